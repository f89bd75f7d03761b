//! What was noted, on top of what others have written.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::act::env::{Env, Face};
use crate::act::runlog;
use crate::act::statistics::kept::{Kept, Report};
use crate::act::statistics::note::{Noted, Subject};
use crate::act::statistics::raised::Raised;
use crate::act::statistics::{Error, Inner, Statistics};
use crate::base::explain::Explain;
use crate::base::fault::chain;
use crate::base::park::block_on_for;
use crate::base::race::before;
use crate::remember::snapshots::Saved;
use crate::remember::store::{self, BODY_MAX, Event, Ns, Order, PAGE_MAX, Pages, Query};

/// How often a write is tried when others write too.
const TRIES_MAX: u32 = 16;
/// How long a run or a worker's end waits for the store to take statistics in.
pub(in crate::act) const STORE_WAIT: Duration = Duration::from_secs(5);
/// How long, and how often, the end of a process waits for another thread of it that writes.
const TURN: Duration = Duration::from_millis(50);
const TURNS_MAX: u32 = 100;
/// More subjects are not listed.
const SUBJECTS_MAX: usize = 10_000;
/// Who tells.
const ACTOR: &str = "statistics";

/// What is being written: put back if that fails, or is dropped in the middle.
struct Writing<'a> {
    inner: &'a Inner,
    left: BTreeMap<Subject, VecDeque<Noted>>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut left: Vec<Noted> = std::mem::take(&mut self.left).into_values().flatten().collect();
        if !left.is_empty() {
            // As it was noted: the oldest are the first to be dropped.
            left.sort_by_key(|noted| noted.moment);
            let left = VecDeque::from(left);
            self.inner.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner).put_back(left);
        }
        self.inner.writing.store(false, Ordering::Release);
    }
}

impl Statistics {
    /// False, and nothing is written, while somebody else in this process is at it.
    pub(super) async fn write(&self) -> Result<bool, Error> {
        if self.inner.writing.swap(true, Ordering::Acquire) {
            return Ok(false);
        }
        let mut writing = Writing { inner: &self.inner, left: BTreeMap::new() };
        for noted in self.pending().take() {
            writing.left.entry(noted.subject.clone()).or_default().push_back(noted);
        }
        let subjects: Vec<Subject> = writing.left.keys().cloned().collect();
        let mut first_error = None;
        for subject in subjects {
            let Some(noted) = writing.left.get(&subject) else { continue };
            match self.write_one(&subject, noted.iter()).await {
                Ok(raised) => {
                    // It stands: whoever drops this from here on must not count it again.
                    writing.left.remove(&subject);
                    for raised in raised {
                        self.tell(&raised);
                    }
                }
                // What is wrong with one subject is no reason to lose the others.
                Err(error @ (Error::Raced { .. } | Error::Store(store::Error::Corrupt { .. }))) => {
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        first_error.map_or(Ok(true), Err)
    }

    /// Writes what was noted of one subject.
    async fn write_one<'a>(
        &self,
        subject: &Subject,
        noted: impl Iterator<Item = &'a Noted> + Clone,
    ) -> Result<Vec<Raised>, Error> {
        let Some(first) = noted.clone().next() else { return Ok(Vec::new()) };
        for _ in 0..TRIES_MAX {
            let (mut report, version) = match self.load(subject).await? {
                Some((report, version)) => (report, Some(version)),
                None => (Report::new(subject, self.inner.policy, first.wall), None),
            };
            let raised: Vec<Raised> = noted.clone().flat_map(|noted| report.count(noted)).collect();
            if let Saved::Done(_) = self.save(&report, version, told(&raised)).await? {
                return Ok(raised);
            }
        }
        Err(Error::Raced { subject: subject.clone() })
    }

    pub(super) async fn begin_anew(&self, subject: &Subject) -> Result<bool, Error> {
        for _ in 0..TRIES_MAX {
            let Some((mut report, version)) = self.load(subject).await? else { return Ok(false) };
            report.relearn();
            let why = "what was learned is forgotten; what comes is what is usual";
            let event = Event::new(Some("saved"), "saved", ACTOR, "trend.relearned", why);
            if let Saved::Done(_) = self.save(&report, Some(version), Some(event)).await? {
                return Ok(true);
            }
        }
        Err(Error::Raced { subject: subject.clone() })
    }

    pub(super) async fn load(&self, subject: &Subject) -> Result<Option<(Report, u64)>, Error> {
        let key = subject.key();
        let Some(found) = self.inner.snapshots.load::<Kept>(&key).await? else { return Ok(None) };
        let report = Report::restore(subject, self.inner.policy, &found.value)
            .map_err(|error| store::Error::Corrupt { detail: format!("the saved state {key}: {error}") })?;
        Ok(Some((report, found.version)))
    }

    /// All that is known, by subject: one page of records after another. What cannot be read is left out, and counted.
    pub(super) async fn load_all(&self) -> Result<(Vec<Report>, u64), Error> {
        let query = Query {
            kinds: vec![String::from("statistics")],
            order: Order::Oldest,
            limit: PAGE_MAX,
            ..Query::all(Ns::SNAPSHOT)
        };
        let (mut reports, mut unreadable) = (Vec::new(), 0_u64);
        let mut pages = Pages::of(&*self.inner.store, query);
        while let Some(records) = pages.next().await? {
            for record in records {
                let Some(subject) = subject_of(&record.key) else { continue };
                let kept = serde_json::from_str::<Kept>(&record.body).ok();
                match kept.and_then(|kept| Report::restore(&subject, self.inner.policy, &kept).ok()) {
                    Some(report) => reports.push(report),
                    None => unreadable = unreadable.saturating_add(1),
                }
            }
            if reports.len() >= SUBJECTS_MAX {
                break;
            }
        }
        reports.sort_by(|one, other| one.subject.cmp(&other.subject));
        Ok((reports, unreadable))
    }

    async fn save(
        &self,
        report: &Report,
        version: Option<u64>,
        event: Option<Event>,
    ) -> Result<Saved, Error> {
        let key = report.subject.key();
        let mut kept = report.save();
        kept.fit();
        Ok(self.inner.snapshots.save_and_tell(&key, "statistics", &kept, version, event).await?)
    }

    fn tell(&self, raised: &Raised) {
        let of = match &raised.subject {
            Subject::Job(name) => (Some(name.as_str()), None),
            Subject::Dependency(name) => (None, Some(name.as_str())),
        };
        runlog::trend(of, raised.stream.as_str(), raised.code(), raised);
        if let Some(tell) = &self.inner.tell {
            tell(raised);
        }
    }

    /// Writes what was noted before its process ends; waits for whoever is at it already.
    pub(in crate::act) async fn finish_in(&self, env: &Arc<dyn Env>) {
        for _ in 0..TURNS_MAX {
            if self.flush_in(env).await {
                return;
            }
            env.sleep(TURN).await;
        }
        not_written(None);
    }

    /// Writes what was noted, in a driver that goes on whatever comes of it. False while somebody else is at it.
    pub(in crate::act) async fn flush_in(&self, env: &Arc<dyn Env>) -> bool {
        let written = match env.face() {
            Face::Future => before(env.sleep(STORE_WAIT), self.write()).await,
            Face::Thread | Face::SimulatedThread => block_on_for(self.write(), STORE_WAIT),
        };
        let mine = !matches!(written, Some(Ok(false)));
        not_written(written.map(|written| written.map(drop)));
        mine
    }
}

/// What the statistics under a key are about.
fn subject_of(key: &str) -> Option<Subject> {
    let (of, name) = key.strip_prefix("statistics/")?.split_once('/')?;
    match of {
        "job" => Some(Subject::job(name)),
        "dependency" => Some(Subject::dependency(name)),
        _ => None,
    }
}

/// Statistics fail nothing: what was noted is kept for the next time.
pub(in crate::act) fn not_written(written: Option<Result<(), Error>>) {
    let why = match written {
        Some(Ok(())) => return,
        Some(Err(error)) => chain(&error),
        None => format!("the store did not answer within {STORE_WAIT:?}"),
    };
    runlog::doubtful("statistics", "statistics.not_written", &why);
}

/// The event that stands beside the write.
fn told(raised: &[Raised]) -> Option<Event> {
    let first = raised.first()?;
    let why = raised.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut event = Event::new(Some("saved"), "saved", ACTOR, first.code(), why);
    event.data = serde_json::to_string(raised).ok().filter(|data| data.len() <= BODY_MAX);
    Some(event)
}
