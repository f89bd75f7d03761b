//! A timer in a process that is started again and again: one pass does what is due, and leaves.

use std::sync::Arc;

use crate::act::env::{Env, Face, OnThread};
use crate::act::shutdown::Shutdown;
use crate::act::timer::kept::{Given, Look, Track};
use crate::act::timer::{Entry, Event, Summary, Timer};
use crate::base::time::{SleepBlocking, System};
use crate::decide::schedule::{Clash, Due, Missed, Turn};
use crate::remember::blocking::block_on;

/// How often one pass looks at an entry: others may settle what it was about to.
const LOOKS_MAX: u32 = 100;

impl Timer {
    /// Does what is due, one entry after the other, and leaves, blocking the thread: for a process that cron starts each few
    /// minutes, or an operator's by hand. What a job's entry submits is worked off here, with what else of that job is due.
    ///
    /// Needs [`saved_in`](super::Builder::saved_in) to be of use: without a store each process begins anew, and nothing is
    /// ever due.
    ///
    /// # Errors
    /// What the store said, at the first entry for which it failed.
    pub fn pass_blocking(&self) -> Result<Summary, PassError> {
        block_on(self.pass(&Self::on_thread(System, Face::Thread)))
    }

    /// The same by `clock`: for tests under simulated time.
    ///
    /// # Errors
    /// As there.
    pub fn pass_blocking_on<C: SleepBlocking>(&self, clock: C) -> Result<Summary, PassError> {
        block_on(self.pass(&Self::on_thread(clock, Face::SimulatedThread)))
    }

    fn on_thread<C: SleepBlocking>(clock: C, face: Face) -> Arc<dyn Env> {
        Arc::new(OnThread { clock, face })
    }

    async fn pass(&self, env: &Arc<dyn Env>) -> Result<Summary, PassError> {
        let mut passing = Passing { timer: self, env, summary: Summary::default() };
        for entry in self.entries.iter() {
            let failed = |why| PassError { entry: entry.name().to_owned(), why };
            let now = env.now().wall;
            let mut track = Track::new(Arc::clone(entry), self.store.as_ref(), now).map_err(failed)?;
            passing.entry(entry, &mut track).await.map_err(failed)?;
            passing.summary.next = passing.summary.next.into_iter().chain(track.next()).min();
        }
        Ok(passing.summary)
    }
}

/// A pass could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}: {why}")]
pub struct PassError {
    /// The entry.
    pub entry: String,
    /// What the store said.
    pub why: String,
}

struct Passing<'a> {
    timer: &'a Timer,
    env: &'a Arc<dyn Env>,
    summary: Summary,
}

impl Passing<'_> {
    async fn entry(&mut self, entry: &Entry, track: &mut Track) -> Result<(), String> {
        for _ in 0..LOOKS_MAX {
            let now = self.env.now().wall;
            let noticed = track.refresh(now).await?;
            noticed.into_iter().for_each(|one| self.tell(entry, &Event::Noticed(one)));
            match track.look(now) {
                Look::Shut { opens, why } => {
                    self.tell(entry, &Event::Shut { opens, why });
                    break;
                }
                Look::Due(Due::Wait { .. }) => break,
                Look::Due(Due::Skip { missed, .. }) => {
                    let event = Event::Missed(missed);
                    if track.settle(missed.newest.nominal, &event, None, now).await? {
                        self.tell(entry, &event);
                    }
                }
                Look::Due(Due::Run { turns, missed }) => {
                    if !self.turns(entry, track, &turns, missed).await? {
                        break;
                    }
                }
            }
        }
        if let (Some(submission), Some(store)) = (track.submission(), &self.timer.store) {
            let runs = crate::remember::runs::Runs::new(Arc::clone(store));
            let done = submission.job.work_off_in(self.env, &runs).await;
            done.map_err(|error| crate::base::fault::chain(&error))?;
        }
        Ok(())
    }

    /// Runs what is due, one after the other; `false` if it is to be left for another pass.
    async fn turns(
        &mut self,
        entry: &Entry,
        track: &mut Track,
        turns: &[Turn],
        mut missed: Option<Missed>,
    ) -> Result<bool, String> {
        for turn in turns {
            let now = self.env.now().wall;
            if !track.may_begin(turn, now) {
                return Ok(true);
            }
            let running = usize::from(track.submission().is_some() && track.still_runs().await?);
            // Those of one batch follow each other.
            let clash =
                if turn == &turns[0] { entry.overlap().decide(running, usize::MAX) } else { Clash::Begin };
            match clash {
                Clash::Begin => {}
                Clash::Wait => {
                    self.tell(entry, &Event::Waits { occurrence: turn.occurrence });
                    return Ok(false);
                }
                Clash::Replace => {
                    track.replace(now).await?;
                    if track.still_runs().await? {
                        // Whoever works on it has not stopped yet.
                        self.tell(entry, &Event::Waits { occurrence: turn.occurrence });
                        return Ok(false);
                    }
                }
                Clash::Skip { why } => {
                    let newest = turns.last().unwrap_or(turn).occurrence;
                    let event = Event::Overlapped { occurrence: newest, why };
                    if track.settle(newest.nominal, &event, missed.as_ref(), now).await? {
                        missed.take().into_iter().for_each(|missed| self.tell(entry, &Event::Missed(missed)));
                        self.tell(entry, &event);
                    }
                    return Ok(true);
                }
            }
            if !self.turn(entry, track, turn, &mut missed).await? {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Runs one; `false` if somebody else does.
    async fn turn(
        &mut self,
        entry: &Entry,
        track: &mut Track,
        turn: &Turn,
        missed: &mut Option<Missed>,
    ) -> Result<bool, String> {
        let now = self.env.now().wall;
        let occasion = track.occasion(turn, Shutdown::new());
        let Given { run, refused: mut error } = track.submit(&occasion, &**self.env).await?;
        let job = track.submission().is_some();
        let begun = Event::Begun { occurrence: turn.occurrence, why: turn.why, run };
        if !track.settle(turn.occurrence.nominal, &begun, missed.as_ref(), now).await? {
            return Ok(false);
        }
        missed.take().into_iter().for_each(|missed| self.tell(entry, &Event::Missed(missed)));
        self.tell(entry, &begun);
        if let Some(work) = entry.work().filter(|_| !job) {
            error = work.begin(self.env, occasion).await.0;
        }
        if !job || error.is_some() {
            self.tell(entry, &Event::Ended { occurrence: turn.occurrence, error });
        }
        Ok(true)
    }

    fn tell(&mut self, entry: &Entry, event: &Event) {
        self.summary.count(event);
        self.timer.tell(entry.name(), event);
    }
}
