//! One check: take in, look, judge, ask, tell.

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use crate::act::monitor::kept::{Known, Plan};

use crate::act::monitor::asked::{Ask, Asked, Got, ask_all};
use crate::act::monitor::build::Declared;
use crate::act::monitor::kept::TRIES_MAX;
use crate::act::monitor::raised::Raised;
use crate::act::monitor::report::{Entry, Finding, Report};
use crate::act::monitor::timers::{NoTimers, TimerUnit};
use crate::act::monitor::write::Applying;
use crate::act::monitor::{Error, Monitor};
use crate::base::fault::chain;
use crate::base::time::{Now, Timestamp};
use crate::decide::heartbeat::{Beat, Heart, Look, State};
use crate::decide::run;
use crate::remember::runs::{Run, kinds_of};
use crate::remember::store::{self, Ns, Order, Query};

/// So many heartbeats are written in one commit.
const TOGETHER: usize = 128;
/// Of so many jobs that are not well the runs are looked at in a check.
const LOOKUPS_MAX: u32 = 256;

/// A heartbeat that has changed.
struct Change {
    job: String,
    declared: Declared,
    version: Option<u64>,
    from: Option<State>,
    heart: Heart,
    told: Vec<Raised>,
}

/// What a check knows of the jobs.
#[derive(Default)]
struct Seen {
    known: BTreeMap<String, Known>,
    unreadable: BTreeMap<String, String>,
}

impl Monitor {
    pub(super) async fn check_all(&self, now: Now) -> Result<Report, Error> {
        // What has come is taken in before anything is judged.
        let not_taken_in = match self.write().await {
            Ok(_) => None,
            Err(
                error @ (Error::Raced { .. }
                | Error::TooManyUndeclared { .. }
                | Error::Store(store::Error::Corrupt { .. })),
            ) => Some(chain(&error)),
            Err(error) => return Err(error),
        };
        let looked = self.look(now).await?;
        let mut seen = self.seen().await?;
        let changes = self.judge_all(&mut seen, looked.look).await?;
        self.commit(changes, &mut seen, looked.look).await?;
        let mut entries = self.jobs(&seen);
        self.ask(&mut entries, looked.before, now.wall).await?;
        *self.inner.known() = seen.known.into_iter().collect();
        let mut report = Report {
            monitor: self.inner.name.clone(),
            at: now.wall,
            entries,
            noticed: looked.noticed,
            unseen: looked.look.unseen,
            not_taken_in,
            pings_failed: Vec::new(),
        };
        if !self.inner.pings.is_empty() {
            report = self.ping(report).await;
        }
        Ok(report)
    }

    /// How everything stands at `now`, without a word of it being written or told: nobody is asked either.
    pub(super) async fn standing(&self, now: Now) -> Result<Report, Error> {
        let mut seen = self.seen().await?;
        for change in self.judge_all(&mut seen, Look::from(now)).await? {
            let Change { job, declared, version, heart, .. } = change;
            let known = Known { version, policy: Some(declared.policy), plan: declared.plan, heart };
            seen.known.insert(job, known);
        }
        Ok(Report {
            monitor: self.inner.name.clone(),
            at: now.wall,
            entries: self.jobs(&seen),
            noticed: None,
            unseen: None,
            not_taken_in: None,
            pings_failed: Vec::new(),
        })
    }

    async fn seen(&self) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        for (job, known) in self.inner.load_all().await? {
            match known {
                Ok(known) => drop(seen.known.insert(job, known)),
                Err(error) => drop(seen.unreadable.insert(job, chain(&error))),
            }
        }
        Ok(seen)
    }

    /// The jobs that others declared, where these are judged too.
    fn adopted(&self, seen: &Seen) -> Vec<(String, Declared)> {
        let others =
            seen.known.iter().filter(|(job, _)| self.inner.adopts && !self.inner.jobs.contains_key(*job));
        others.filter_map(|(job, known)| Some((job.clone(), Declared::by_others(known)?))).collect()
    }

    async fn judge_all(&self, seen: &mut Seen, look: Look) -> Result<Vec<Change>, Error> {
        let (mut changes, mut lookups) = (Vec::new(), LOOKUPS_MAX);
        let adopted = self.adopted(seen);
        let adopted = adopted.iter().map(|(job, declared)| (job, declared));
        for (job, declared) in self.inner.jobs.iter().chain(adopted) {
            if seen.unreadable.contains_key(job) {
                continue;
            }
            let known = seen.known.get_mut(job);
            // Nearly all of them: nothing is to be judged.
            if let Some(known) = &known
                && declared.stands(known)
                && known.heart.state() <= State::Up
                && !known.heart.is_due(&look)
            {
                continue;
            }
            let (heart, told) = self.judge(job, declared, known.as_deref(), look, &mut lookups).await?;
            let changed = known
                .as_ref()
                .is_none_or(|known| !declared.stands(known) || known.heart.saved() != heart.saved());
            if changed {
                let version = known.as_ref().and_then(|known| known.version);
                let from = known.as_ref().map(|known| known.heart.state());
                let (job, declared) = (job.clone(), declared.clone());
                changes.push(Change { job, declared, version, from, heart: heart.clone(), told });
            }
            if let Some(known) = known {
                known.heart = heart;
            }
        }
        Ok(changes)
    }

    /// What becomes of a heart at this look, and what is told of it.
    async fn judge(
        &self,
        job: &str,
        declared: &Declared,
        known: Option<&Known>,
        look: Look,
        lookups: &mut u32,
    ) -> Result<(Heart, Vec<Raised>), Error> {
        let mut before =
            known.map_or_else(|| Heart::new(declared.policy, look.now), |known| known.heart.clone());
        if known.is_some_and(|known| known.policy.is_none()) {
            before.expect_from(look.now.wall);
        }
        let mut heart = before.clone();
        let mut events: Vec<_> = heart.tick(look, |after| declared.expected(after)).into_iter().collect();
        // Before it is accused its runs are looked at: that nobody sent a beat does not mean that nothing was done.
        let paused = heart.state() == State::Paused;
        if !paused && (known.is_none() || heart.state() > State::Up) && *lookups > 0 {
            *lookups -= 1;
            let status = before.status();
            if let Some((run, at)) =
                self.succeeded_since(job, status.last_success.max(status.last_failure)).await?
            {
                heart = before;
                let beat = Beat::succeeded().of(run);
                events = heart.observe(Now { wall: at, ..look.now }, beat).into_iter().collect();
                events.extend(heart.tick(look, |after| declared.expected(after)));
            }
        }
        Ok((heart, self.inner.told(job, events)))
    }

    /// The newest run of a job that succeeded, and when it did, if that was after `since`.
    async fn succeeded_since(
        &self,
        job: &str,
        since: Option<Timestamp>,
    ) -> Result<Option<(String, Timestamp)>, Error> {
        let query = Query {
            kinds: kinds_of(job),
            states: vec![run::State::Succeeded.as_str().to_owned()],
            order: Order::Newest,
            limit: 1,
            ..Query::all(Ns::RUN)
        };
        let page = self.inner.store.scan(query).await?;
        let run = page.records.into_iter().next().and_then(|record| Run::from_record(record).ok());
        let finished = run.and_then(|run| Some((run.id().to_owned(), run.body.finished_at?)));
        Ok(finished.filter(|(_, at)| since.is_none_or(|since| *at > since)))
    }

    /// Writes what has changed, and tells it. What somebody else has changed since is read and judged again, alone.
    async fn commit(&self, changes: Vec<Change>, seen: &mut Seen, look: Look) -> Result<(), Error> {
        for together in changes.chunks(TOGETHER) {
            let mut writes = Vec::with_capacity(together.len());
            for change in together {
                let declared = &change.declared;
                let heart = (&change.heart, Some(declared.policy), declared.plan.as_ref());
                writes.push(self.inner.write_of(
                    &change.job,
                    heart,
                    change.version,
                    change.from,
                    &change.told,
                )?);
            }
            match self.inner.apply(writes).await? {
                Applying::Done(applied) => {
                    for (change, written) in together.iter().zip(applied.writes) {
                        let (policy, plan) = (Some(change.declared.policy), change.declared.plan.clone());
                        let (version, heart) = (Some(written.version), change.heart.clone());
                        let known = Known { version, policy, plan, heart };
                        seen.known.insert(change.job.clone(), known);
                        self.tell_all(&change.told);
                    }
                }
                Applying::Raced => {
                    for change in together {
                        self.commit_alone((&change.job, &change.declared), seen, look).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn commit_alone(
        &self,
        (job, declared): (&str, &Declared),
        seen: &mut Seen,
        look: Look,
    ) -> Result<(), Error> {
        for _ in 0..TRIES_MAX {
            let (known, version) = match self.inner.load(job).await {
                Ok(loaded) => loaded,
                Err(store::Error::Corrupt { detail }) => {
                    seen.unreadable.insert(job.to_owned(), detail);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            let (heart, told) = self.judge(job, declared, known.as_ref(), look, &mut 1).await?;
            let (policy, plan) = (Some(declared.policy), declared.plan.clone());
            let as_it_was = known
                .as_ref()
                .is_some_and(|known| declared.stands(known) && known.heart.saved() == heart.saved());
            if as_it_was {
                seen.known.insert(job.to_owned(), Known { version, policy, plan, heart });
                return Ok(());
            }
            let from = known.map(|known| known.heart.state());
            let write = self.inner.write_of(job, (&heart, policy, plan.as_ref()), version, from, &told)?;
            if let Applying::Done(applied) = self.inner.apply(vec![write]).await? {
                let version = applied.first().map(|written| written.version);
                seen.known.insert(job.to_owned(), Known { version, policy, plan, heart });
                self.tell_all(&told);
                return Ok(());
            }
        }
        Err(Error::Raced { job: job.to_owned() })
    }

    /// The jobs, then those that nobody declared.
    fn jobs(&self, seen: &Seen) -> Vec<Entry> {
        // Where nothing is declared, what others declared is.
        let all = self.inner.jobs.is_empty() || self.inner.adopts;
        let is_declared = |job: &str, known: &Known| {
            if all { known.policy.is_some() } else { self.inner.jobs.contains_key(job) }
        };
        let unreadable = seen.unreadable.iter();
        let mut entries: Vec<Entry> =
            unreadable.map(|(job, why)| Entry::new(job.clone(), Finding::Unreadable(why.clone()))).collect();
        let mut undeclared = Vec::new();
        for (job, known) in &seen.known {
            let status = known.heart.status();
            if is_declared(job, known) {
                entries.push(Entry::of_job(job, Finding::Job(status), known));
            } else {
                undeclared.push(Entry::of_job(job, Finding::Undeclared(status), known));
            }
        }
        entries.append(&mut undeclared);
        entries
    }

    /// Asks services and timers.
    async fn ask(
        &self,
        entries: &mut Vec<Entry>,
        looked: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let is_wanted = |asked: &&Asked| matches!(asked.ask, Ask::Probe(_)) || !self.inner.units.is_empty();
        let asked: Vec<Asked> = self.inner.asked.iter().filter(is_wanted).cloned().collect();
        let mut timers = None;
        if !asked.is_empty() {
            for (asked, got) in asked.iter().zip(ask_all(&asked).await) {
                match got {
                    Got::Answer(answer) => {
                        let status = self.answered(&asked.name, &answer, looked, now).await?;
                        entries.push(Entry::new(asked.name.clone(), Finding::Probe(status)));
                    }
                    Got::Timers(list) => timers = Some(list),
                    Got::Elsewhere => {
                        let known = self.probed(&asked.name).await?;
                        entries.extend(
                            known.map(|status| Entry::new(asked.name.clone(), Finding::Probe(status))),
                        );
                    }
                    Got::Ping(_) => {}
                }
            }
        }
        let nobody = || Err(NoTimers::Failed(String::from("nobody was given to ask")));
        if !self.inner.units.is_empty() {
            self.compare(entries, &timers.unwrap_or_else(nobody));
        }
        Ok(())
    }

    /// The timers that are to run jobs with those that systemd has.
    fn compare(&self, entries: &mut Vec<Entry>, timers: &Result<Vec<TimerUnit>, NoTimers>) {
        for (job, unit) in &self.inner.units {
            let job = job.clone();
            let finding = match timers {
                Err(why) => Finding::TimersNotAsked { job, why: why.clone() },
                Ok(timers) => match timers.iter().find(|timer| timer.unit == *unit).cloned() {
                    Some(timer) if timer.next.is_some() => Finding::Scheduled { job, timer },
                    timer => Finding::NotScheduled { job, timer },
                },
            };
            entries.push(Entry::new(unit.clone(), finding));
        }
    }

    /// Says to others that it is alive.
    async fn ping(&self, report: Report) -> Report {
        let report = Arc::new(report);
        let asked: Vec<Asked> = self.inner.pings.iter().map(|ping| Asked::ping(ping, &report)).collect();
        let got = ask_all(&asked).await;
        drop(asked);
        let failed = got.into_iter().filter_map(|got| match got {
            Got::Ping(Err(why)) => Some(why),
            _ => None,
        });
        let pings_failed = failed.collect();
        Report { pings_failed, ..Arc::unwrap_or_clone(report) }
    }
}
