//! What a run is worth over time, and the rank that its store orders it by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Timestamp, between, later, millis};
use crate::decide::queue::{Value, density, rank};
use crate::remember::runs::{Error, Reason, Run, Runs, due};
use crate::remember::store::{ApplyError, Batch, Expect, Ns, Order, Put, Record, Write, apply_settled};

/// The estimate of a run that has none.
const UNKNOWN: Duration = Duration::from_secs(1);
/// The longest estimate.
pub const ESTIMATE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// How many pages of the queue's head are ranked anew before one claim.
const PAGES_MAX: u32 = 16;
/// A rank that is too high by less than this, 0.7 percent of what a run is worth, is left: many that fade at the same pace
/// would else be written anew before each claim.
const SLACK: i64 = 10;
/// The fewest runs in such a page.
const PAGE_MIN: u32 = 16;

/// What it is worth to have a run done, and how long that takes.
///
/// The store orders runs by an integer, their rank: the density of this value, worth for each second of work. Since a value
/// never rises, the rank of the day of submission is an upper bound; before runs are claimed those at the head of the queue
/// whose rank is too high by now are ranked anew, until the best of them are ranked as they are worth, to 0.7 percent. So what is claimed is
/// what an [in-memory queue](crate::decide::queue) would take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    estimate_ms: Option<u64>,
    /// When the value was whole: when the run was submitted, or became due if that was later.
    since: Timestamp,
}

impl Worth {
    /// A value that counts from `since`, for work that takes about `estimate` (unknown: a second).
    #[must_use]
    pub fn new(value: Value, estimate: Option<Duration>, since: Timestamp) -> Self {
        Self { value, estimate_ms: estimate.map(millis), since }
    }

    /// The value.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// How long the work takes, as it was declared.
    #[must_use]
    pub fn estimate(&self) -> Option<Duration> {
        self.estimate_ms.map(Duration::from_millis)
    }

    /// The rank at `now`. It never rises.
    #[must_use]
    pub fn rank(&self, now: Timestamp) -> i64 {
        let estimate = self.estimate().unwrap_or(UNKNOWN);
        let age = between(self.since, now).saturating_add(estimate);
        rank(density(self.value.after(age), estimate))
    }

    /// Whether its rank falls as time goes by.
    #[must_use]
    pub fn ages(&self) -> bool {
        !self.value.is_constant()
    }

    /// The same, for a run that does the work again.
    pub(crate) fn again(&self, since: Timestamp) -> Self {
        Self { since, ..self.clone() }
    }

    /// Why the work is not to be begun at `now`, where it cannot be done by `deadline`.
    pub(crate) fn too_long(&self, now: Timestamp, deadline: Timestamp) -> Option<Reason> {
        let estimate = self.estimate()?;
        (later(now, estimate) > deadline).then(|| {
            let why = format!("it takes {estimate:?}, and is worth having until {deadline}");
            Reason::new("run.cannot_finish", why)
        })
    }
}

impl Runs {
    /// Ranks the head of the queue as it is worth at `now`, and ends what is not worth beginning any more; so that the best
    /// `limit` of `kinds` are claimed. Says whether there was anything whose rank falls.
    pub(crate) async fn rank_anew(
        &self,
        kinds: &[String],
        limit: u32,
        now: Timestamp,
        actor: &str,
    ) -> Result<bool, Error> {
        let query = due(kinds.to_vec(), Order::Rank, limit.max(PAGE_MIN));
        let head = usize::try_from(limit).unwrap_or(usize::MAX);
        // Where hosts have clocks of their own the store's is not known here: what has expired is ended by who claims it.
        let one_clock = !self.store().caps().multi_host;
        let mut aging = false;
        for _ in 0..PAGES_MAX {
            let page = self.store().scan(query.clone()).await?.records;
            let (mut lowered, mut settled) = (Vec::new(), true);
            for (index, record) in page.into_iter().enumerate() {
                let Ok(run) = Run::of(record) else { continue };
                if let Some(reason) = run.not_worth_it(now).filter(|_| one_clock && !run.in_doubt()) {
                    // An error with one run is met again by whoever claims it, and told; it does not keep others.
                    let expired = self.expire_idle(run, reason, now, actor).await;
                    settled &= expired.is_err() || index >= head;
                    continue;
                }
                let Some(worth) = run.body.worth.as_ref().filter(|worth| worth.ages()) else { continue };
                aging = true;
                let rank = worth.rank(now);
                if rank.saturating_add(SLACK) < run.record.rank {
                    settled &= index >= head;
                    lowered.push((run.record, rank));
                }
            }
            self.lower(lowered).await?;
            if settled {
                break;
            }
        }
        Ok(aging)
    }

    /// Writes lower ranks: all at once, and one by one where somebody else was at one of them.
    async fn lower(&self, lowered: Vec<(Record, i64)>) -> Result<(), Error> {
        let write = |(record, rank): &(Record, i64)| {
            let put = Put { rank: Some(*rank), ..Put::nothing() };
            Write::new(Ns::RUN, record.key.as_str(), Expect::Version(record.version), put)
        };
        for part in lowered.chunks(crate::remember::store::WRITES_MAX) {
            match apply_settled(&**self.store(), Batch::new(part.iter().map(write).collect())).await {
                Ok(_) => continue,
                Err(ApplyError::Conflict(_)) => {}
                Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => return Err(error.into()),
            }
            for one in part {
                match apply_settled(&**self.store(), Batch::of(write(one))).await {
                    Ok(_) | Err(ApplyError::Conflict(_)) => {}
                    Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => {
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }
}
