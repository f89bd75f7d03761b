//! How long what has ended is kept.

use std::time::Duration;

use crate::base::time::{Timestamp, earlier};
use crate::decide::claim::Status;
use crate::decide::run::State;
use crate::remember::ledger::{Outcome, entry};
use crate::remember::runs::waits::{ANSWERED, OVER, WAITING, asked_by};
use crate::remember::runs::{Error, Run, Runs};
use crate::remember::store::{
    Batch, Event, Expect, Ns, Order, PAGE_MAX, Pages, Prune, Put, Query, Record, Write,
};

/// How many records one call of the store deletes, so that other writers get their turn.
const BATCH: u32 = 500;
/// How many such calls one prune makes for each kind of record.
const BATCHES_MAX: u32 = 200;
/// How many pages of open entries, and of open tokens, one prune looks through.
const PAGES_MAX: u32 = 100;

/// How long what has ended is kept after it was last written; `None` (the default) is for ever.
///
/// A run that has not ended is kept whatever its age, one in review among them. The ledger remembers a key when the run
/// that it names is gone, so a second delivery is still told how it ended: keep `ledger` longer than any producer sends
/// the same thing again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that succeeded or were skipped.
    pub succeeded: Option<Duration>,
    /// Runs that failed for good or were undone, whether a person has looked at them or not.
    pub failed: Option<Duration>,
    /// Runs that were cancelled or have expired.
    pub cancelled: Option<Duration>,
    /// Entries of the ledger that are settled. A key that is delivered again after that is fresh. Entries that carry an end
    /// of their own go when it has passed, whatever is said here; one that is in doubt is kept for ever.
    pub ledger: Option<Duration>,
    /// Tokens that were answered, or whose run no longer waits.
    pub waits: Option<Duration>,
}

/// What a prune has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Runs, with their history.
    pub runs: u64,
    /// Entries of the ledger.
    pub entries: u64,
    /// Tokens.
    pub tokens: u64,
    /// Whether a bound was met before the end: saying it again goes on.
    pub more: bool,
}

impl Runs {
    /// Deletes what `retention` no longer keeps at `now`, in small batches, up to a bound. Never a run that has not
    /// ended, one that is leased, or one whose ledger entry is open: that is settled first.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was deleted before stays deleted.
    pub async fn prune(&self, retention: &Retention, now: Timestamp, by: &str) -> Result<Pruned, Error> {
        let mut pruned = Pruned::default();
        let of_runs = [
            (retention.succeeded, vec![State::Succeeded, State::Skipped]),
            (retention.failed, vec![State::FailedPermanent, State::Compensated]),
            (retention.cancelled, vec![State::Cancelled, State::Expired]),
        ];
        let oldest = of_runs.iter().filter_map(|(keep, _)| *keep).min();
        let settled = match oldest {
            Some(keep) => self.settle_left_open(earlier(now, keep), by).await?,
            None => true,
        };
        pruned.more = !settled;
        for (keep, states) in of_runs.into_iter().filter(|_| settled) {
            if let Some(keep) = keep {
                let states = states.iter().map(|state| state.as_str()).collect::<Vec<_>>();
                pruned.runs += self.delete(Ns::RUN, &states, earlier(now, keep), &mut pruned.more).await?;
            }
        }
        let settled = [Status::Succeeded, Status::Failed, Status::Released].map(Status::as_str);
        let until = retention.ledger.map_or(Timestamp::UNIX_EPOCH, |keep| earlier(now, keep));
        pruned.entries = self.delete(Ns::LEDGER, &settled, until, &mut pruned.more).await?;
        if let Some(keep) = retention.waits {
            let until = earlier(now, keep);
            pruned.more |= !self.let_go_of_tokens(until, by).await?;
            pruned.tokens = self.delete(Ns::WAIT, &[ANSWERED, OVER], until, &mut pruned.more).await?;
        }
        Ok(pruned)
    }

    async fn delete(
        &self,
        ns: Ns,
        states: &[&str],
        updated_before: Timestamp,
        more: &mut bool,
    ) -> Result<u64, Error> {
        let mut deleted = 0_u64;
        for _ in 0..BATCHES_MAX {
            let states = states.iter().map(|state| (*state).to_owned()).collect();
            let gone = self.store().prune(Prune { ns, states, updated_before, limit: BATCH }).await?;
            deleted = deleted.saturating_add(gone);
            if gone < u64::from(BATCH) {
                return Ok(deleted);
            }
        }
        *more = true;
        Ok(deleted)
    }

    /// Settles the entries that are open under runs that have ended: a run that an application moved by itself may have
    /// left one, and with the run gone the key would be free. `false` if a bound was met before the end.
    async fn settle_left_open(&self, until: Timestamp, by: &str) -> Result<bool, Error> {
        // An entry that was made later is not that of a run that was last written before.
        self.each_open(Ns::LEDGER, Status::Claimed.as_str(), until, |record| async move {
            let Some(open) = entry::Entry::from_record(record) else { return Ok(()) };
            let Standing::Ended(run) = self.standing(open.body.run.as_deref()).await? else { return Ok(()) };
            let outcome = match run.state() {
                State::Succeeded => {
                    let result = run.body.output.clone();
                    let none = || serde_json::value::RawValue::NULL.to_owned();
                    Some(Outcome::Succeeded { result: result.unwrap_or_else(none) })
                }
                State::FailedPermanent => Some(Outcome::Failed {
                    class: crate::base::fault::Class::Permanent,
                    code: run.body.code.clone(),
                    why: run.body.why.clone(),
                }),
                _ => None,
            };
            let mut body = run.body.clone();
            body.ledger_fence = Some(open.record.fence);
            match self.settle_entry(&body, run.id(), by, outcome).await? {
                Some(write) => self.unless_lost(write).await,
                None => Ok(()),
            }
        })
        .await
    }

    /// Marks the tokens that nobody has answered and whose run no longer waits, so that they may go one day. `false` if a
    /// bound was met before the end.
    async fn let_go_of_tokens(&self, until: Timestamp, by: &str) -> Result<bool, Error> {
        self.each_open(Ns::WAIT, WAITING, until, |record| async move {
            if let Standing::Lives = self.standing(asked_by(&record).as_deref()).await? {
                return Ok(());
            }
            let put = Put { state: Some(OVER.to_owned()), ..Put::nothing() };
            let event = Event::new(Some(WAITING), OVER, by, "wait.over", "its run no longer waits");
            let write = Write::new(Ns::WAIT, record.key, Expect::Version(record.version), put);
            self.unless_lost(write.event(event)).await
        })
        .await
    }

    /// Looks at each record of `ns` in `state` that was made before `until`, oldest first. `false` if a bound was met.
    async fn each_open<F>(
        &self,
        ns: Ns,
        state: &str,
        until: Timestamp,
        look: impl Fn(Record) -> F + Send,
    ) -> Result<bool, Error>
    where
        F: Future<Output = Result<(), Error>> + Send,
    {
        let query =
            Query { states: vec![state.to_owned()], order: Order::Oldest, limit: PAGE_MAX, ..Query::all(ns) };
        let mut pages = Pages::of(&**self.store(), query).most(PAGES_MAX);
        while let Some(records) = pages.next().await? {
            for record in records {
                if record.created_at > until {
                    return Ok(true);
                }
                look(record).await?;
            }
        }
        Ok(!pages.cut())
    }

    /// Where the run of an entry or a token stands. One that cannot be read has not ended as far as this release knows.
    async fn standing(&self, id: Option<&str>) -> Result<Standing, Error> {
        let Some(id) = id else { return Ok(Standing::Gone) };
        match self.get(id).await {
            Ok(None) => Ok(Standing::Gone),
            Ok(Some(run)) if run.state().is_terminal() => Ok(Standing::Ended(Box::new(run))),
            Ok(Some(_)) | Err(Error::Unreadable { .. }) => Ok(Standing::Lives),
            Err(error) => Err(error),
        }
    }

    async fn unless_lost(&self, write: Write) -> Result<(), Error> {
        match self.apply_batch(Batch::of(write)).await {
            Ok(_) | Err(Error::Lost { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Where the run of something that was left open stands.
enum Standing {
    Gone,
    Ended(Box<Run>),
    Lives,
}
