//! The quota for many threads: one integer, no lock.

use std::time::Duration;

use crate::base::bucket::Bucket;
use crate::base::time::{Moment, Now, Timestamp, between, later, nanos};
use crate::decide::quota::calendar::Calendar;
use crate::decide::quota::count::{Count, Used};
use crate::decide::quota::policy::{Error, Limit, Quota};
use crate::decide::quota::reason::{Admit, Allowing, Refusing, Reserve};
use crate::decide::quota::snapshot::{Owed, Restored, Snapshot};

/// Counts against a [`Limit`]; shared by reference or in an `Arc`.
///
/// Its state is one integer. [`admit`](Self::admit) answers for now; [`reserve`](Self::reserve) may take a place that
/// comes a little later, so that those who wait have an order and do not return all at once.
#[derive(Debug)]
// On a line of its own, so that what lies beside it in memory does not slow it down.
#[repr(align(64))]
pub struct Meter {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Rate { quota: Quota, bucket: Bucket },
    Calendar { calendar: Calendar, count: Count },
}

/// A place that was taken from a [`Meter`]. One that is not used can be [given back](Meter::give_back).
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    word: u64,
    n: u32,
}

impl Taken {
    /// How many it is.
    #[must_use]
    pub const fn n(&self) -> u32 {
        self.n
    }
}

impl Meter {
    /// Nothing is used at `now`.
    #[must_use]
    pub fn new(limit: impl Into<Limit>, now: Now) -> Self {
        Self::owing(limit.into(), Owed::NOTHING, now)
    }

    /// Picks up where `snapshot` was taken; what was noticed is said.
    ///
    /// What is owed is clamped to the burst, whatever the wall clock says, and a clock that went back has paid nothing.
    /// A clock that went forward counts as time that has passed, which is worth one burst at most.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for a snapshot of a newer program, [`Error::Torn`] for one that says nothing.
    pub fn restore(
        limit: impl Into<Limit>,
        snapshot: &Snapshot,
        now: Now,
    ) -> Result<(Self, Restored), Error> {
        let limit = limit.into();
        let (owed, restored) = snapshot.owed(&limit, now.wall)?;
        Ok((Self::owing(limit, owed, now), restored))
    }

    /// Takes over what `snapshot` holds, in place: whatever is owed more, here or there, is owed.
    ///
    /// # Errors
    ///
    /// What [`restore`](Self::restore) finds; then nothing has changed.
    pub fn adopt(&self, snapshot: &Snapshot, now: Now) -> Result<Restored, Error> {
        let (owed, restored) = snapshot.owed(&self.limit(), now.wall)?;
        match &self.kind {
            Kind::Rate { bucket, .. } => bucket.raise(owed.full_at(now.moment)),
            Kind::Calendar { calendar, count } => {
                count.raise(calendar, owed.count(calendar, now.wall), now.wall);
            }
        }
        Ok(restored)
    }

    /// All that has to survive a restart. Places that are reserved for later are owed up to the burst.
    #[must_use]
    pub fn snapshot(&self, key: &str, now: Now) -> Snapshot {
        match &self.kind {
            Kind::Rate { quota, bucket } => {
                let debt = bucket.full_at().saturating_sub(now.moment.as_nanos());
                Snapshot::of_rate(key, quota, debt, now.wall)
            }
            Kind::Calendar { calendar, count } => {
                Snapshot::of_calendar(key, calendar, count.read(calendar, now.wall), now.wall)
            }
        }
    }

    /// What it counts against.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        match &self.kind {
            Kind::Rate { quota, .. } => Limit::Rate(*quota),
            Kind::Calendar { calendar, .. } => Limit::Calendar(*calendar),
        }
    }

    /// Whether every decision needs the wall clock, as with a calendar.
    #[inline]
    #[must_use]
    pub const fn needs_wall(&self) -> bool {
        matches!(self.kind, Kind::Calendar { .. })
    }

    /// Whether one may be done now; if so it is counted.
    #[inline]
    pub fn admit(&self, now: Now) -> Admit {
        self.admit_n(1, now)
    }

    /// Whether `n` may be done now, all or none; if so they are counted.
    pub fn admit_n(&self, n: u32, now: Now) -> Admit {
        let refuse = |(why, wait, retry_at)| Admit::Refuse { why, wait, retry_at };
        match &self.kind {
            Kind::Rate { quota, bucket } => {
                let rate = quota.rate();
                match bucket.take(rate, now.moment, rate.cost(n), 0) {
                    Ok(slot) => {
                        let left = rate.left(slot.full_at, now.moment);
                        let (limit, period, burst) = (quota.limit(), quota.period(), quota.burst_max());
                        Admit::Allow { why: Allowing::Within { n, left, limit, period, burst } }
                    }
                    Err(wait) => refuse(spent(quota, bucket, n, wait, now)),
                }
            }
            Kind::Calendar { calendar, count } => match count.take(calendar, n, now) {
                Ok((_, Used { period, used, carried })) => {
                    let (limit, resets_at) = (calendar.limit(), period.resets_at);
                    let why = if carried {
                        Allowing::Carried { n, used, limit, resets_at }
                    } else {
                        Allowing::Calendar { n, used, limit, resets_at }
                    };
                    Admit::Allow { why }
                }
                Err(seen) => refuse(full(calendar, seen, n, now.wall)),
            },
        }
    }

    /// Why `n` at `now` would be refused, and until when. Reading this changes nothing.
    #[must_use]
    pub fn refusal(&self, n: u32, now: Now) -> Option<(Refusing, Timestamp)> {
        let (why, _, retry_at) = match &self.kind {
            Kind::Rate { quota, bucket } => {
                let rate = quota.rate();
                let wait = rate.take(bucket.full_at(), now.moment, rate.cost(n), 0).err()?;
                spent(quota, bucket, n, wait, now)
            }
            Kind::Calendar { calendar, count } => {
                let seen = count.read(calendar, now.wall);
                if seen.used.checked_add(n).is_some_and(|used| used <= calendar.limit()) {
                    return None;
                }
                full(calendar, seen, n, now.wall)
            }
        };
        Some((why, retry_at))
    }

    /// Takes `n` places, now or after at most `wait_max`; those who come later get later places.
    ///
    /// A calendar has no places in the future: it is ready, or refuses until the next reset.
    pub fn reserve(&self, n: u32, now: Now, wait_max: Duration) -> Reserve {
        let (why, wait, retry_at) = match &self.kind {
            Kind::Rate { quota, bucket } => {
                let rate = quota.rate();
                match bucket.take(rate, now.moment, rate.cost(n), nanos(wait_max)) {
                    Ok(slot) => {
                        let taken = Taken { word: slot.full_at, n };
                        if slot.wait == 0 {
                            return Reserve::Ready(taken);
                        }
                        let before = slot.full_at.saturating_sub(rate.cost(n));
                        let why = lacking(quota, n, rate.left(before, now.moment));
                        return Reserve::Wait { taken, delay: Duration::from_nanos(slot.wait), why };
                    }
                    Err(wait) => spent(quota, bucket, n, wait, now),
                }
            }
            Kind::Calendar { calendar, count } => match count.take(calendar, n, now) {
                Ok((word, _)) => return Reserve::Ready(Taken { word, n }),
                Err(seen) => full(calendar, seen, n, now.wall),
            },
        };
        Reserve::Refuse { why, wait, retry_at }
    }

    /// [`reserve`](Self::reserve) without the wall clock: the place, and the delay until it is there. `None` if nothing was
    /// taken, as always with a calendar: then `reserve` decides, and says why.
    #[inline]
    #[must_use]
    pub fn reserve_fast(&self, n: u32, moment: Moment, wait_max: Duration) -> Option<(Taken, Duration)> {
        let Kind::Rate { quota, bucket } = &self.kind else { return None };
        let rate = quota.rate();
        let slot = bucket.take(rate, moment, rate.cost(n), nanos(wait_max)).ok()?;
        Some((Taken { word: slot.full_at, n }, Duration::from_nanos(slot.wait)))
    }

    /// Gives a place back that was not used; says whether that was possible.
    ///
    /// Of a rate it is possible only while nobody has taken one after it: whoever came later was told a time that counts
    /// with this place, so freeing it would admit too many at once. It then stays taken, which is never an excess, only a
    /// little less. Of a calendar it is possible within its period.
    pub fn give_back(&self, taken: Taken) -> bool {
        match &self.kind {
            Kind::Rate { quota, bucket } => bucket.give_back(taken.word, quota.rate().cost(taken.n)),
            Kind::Calendar { count, .. } => count.give_back(taken.word, taken.n),
        }
    }

    /// A meter whose whole state is `word`, as [`word`](Self::word) gave it: for whoever keeps many under one limit.
    pub(crate) fn of_word(limit: Limit, word: u64) -> Self {
        let kind = match limit {
            Limit::Rate(quota) => Kind::Rate { quota, bucket: Bucket::new(word) },
            Limit::Calendar(calendar) => Kind::Calendar { calendar, count: Count::new(word) },
        };
        Self { kind }
    }

    /// The whole state; 0 is one of which nothing is used. It is of this process alone.
    pub(crate) fn word(&self) -> u64 {
        match &self.kind {
            Kind::Rate { bucket, .. } => bucket.full_at(),
            Kind::Calendar { count, .. } => count.word(),
        }
    }

    /// How long until nothing of it is used any more, if nothing more is taken.
    pub(crate) fn full_in(&self, now: Now) -> Duration {
        match &self.kind {
            Kind::Rate { bucket, .. } => Moment::from_nanos(bucket.full_at()).since(now.moment),
            Kind::Calendar { calendar, count } => {
                let seen = count.read(calendar, now.wall);
                if seen.used == 0 { Duration::ZERO } else { between(now.wall, seen.period.resets_at) }
            }
        }
    }

    fn owing(limit: Limit, owed: Owed, now: Now) -> Self {
        let kind = match limit {
            Limit::Rate(quota) => Kind::Rate { quota, bucket: Bucket::new(owed.full_at(now.moment)) },
            Limit::Calendar(calendar) => {
                let used = owed.count(&calendar, now.wall);
                Kind::Calendar { calendar, count: Count::new(used.word()) }
            }
        };
        Self { kind }
    }
}

pub(super) const fn lacking(quota: &Quota, n: u32, left: u32) -> Refusing {
    let (limit, period, burst) = (quota.limit(), quota.period(), quota.burst_max());
    if n > burst {
        return Refusing::TooMany { n, most: burst };
    }
    Refusing::Spent { n, left, limit, period, burst }
}

/// The refusal of a rate.
#[cold]
fn spent(quota: &Quota, bucket: &Bucket, n: u32, wait: u64, now: Now) -> (Refusing, Duration, Timestamp) {
    let why = lacking(quota, n, quota.rate().left(bucket.full_at(), now.moment));
    let (wait, retry_at) = until(wait, now.wall);
    (why, wait, retry_at)
}

/// A wait in nanoseconds, where the largest is for ever.
pub(super) fn until(wait: u64, wall: Timestamp) -> (Duration, Timestamp) {
    let wait = if wait == u64::MAX { Duration::MAX } else { Duration::from_nanos(wait) };
    (wait, later(wall, wait))
}

/// The refusal of a calendar.
#[cold]
pub(super) fn full(
    calendar: &Calendar,
    seen: Used,
    n: u32,
    wall: Timestamp,
) -> (Refusing, Duration, Timestamp) {
    let (limit, used, resets_at) = (calendar.limit(), seen.used, seen.period.resets_at);
    if n > limit {
        return (Refusing::TooMany { n, most: limit }, Duration::MAX, Timestamp::MAX_UTC);
    }
    let why = if seen.carried {
        Refusing::Carried { n, used, limit, resets_at }
    } else {
        Refusing::Calendar { n, used, limit, resets_at }
    };
    (why, between(wall, resets_at), resets_at)
}
