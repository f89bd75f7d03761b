//! Which versions are kept, and the removal of the others.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::Datelike as _;

use crate::act::backup::error::Error;
use crate::act::backup::index::Index;
use crate::act::backup::name::Name;
use crate::act::backup::pending::{Verified, Waits};
use crate::act::backup::store::Store;
use crate::act::backup::version::Version;
use crate::base::explain::Explain;
use crate::base::text::DURATION_MAX;
use crate::base::time::{Now, Timestamp, between};
use crate::base::zone::Zone;

/// How many versions of each file are kept.
///
/// A version is kept if any rule keeps it. Days, weeks (from Monday) and months are those of the zone, and count only if
/// they have a version; of each the newest is kept.
///
/// Whatever the rules say these are kept: the newest version of a file, with which the next change is compared; the newest
/// that a verification found sound; those that are pinned; and those that were stored at a time that is still to come,
/// which take the place of no other.
///
/// ```
/// use unattended::backup::Retention;
///
/// let retention = Retention { daily: 7, weekly: 4, monthly: 12, ..Retention::last(3) };
/// assert!(retention.check().is_ok());
/// assert!(Retention::last(0).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many of the newest.
    pub last: u32,
    /// On how many days.
    pub daily: u32,
    /// In how many weeks.
    pub weekly: u32,
    /// In how many months.
    pub monthly: u32,
    /// Whose days they are.
    pub zone: Zone,
    /// For how long there may have been no run without the clock being suspected; 45 days by default.
    pub jump_max: Duration,
    /// Whether a clock is believed that seems to have jumped ahead. Off by default: a person says so.
    pub trust_clock: bool,
}

impl Retention {
    /// Keeps so many of the newest, and nothing by the calendar, which is that of UTC.
    #[must_use]
    pub const fn last(last: u32) -> Self {
        let jump_max = Duration::from_secs(45 * 86_400);
        Self { last, daily: 0, weekly: 0, monthly: 0, zone: Zone::Utc, jump_max, trust_clock: false }
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// Nothing would be kept, or `jump_max` is longer than 100 years.
    pub fn check(&self) -> Result<(), InvalidRetention> {
        if self.last == 0 && self.daily == 0 && self.weekly == 0 && self.monthly == 0 {
            return Err(InvalidRetention::Nothing);
        }
        let given = self.jump_max;
        if given > DURATION_MAX { Err(InvalidRetention::JumpMax { given }) } else { Ok(()) }
    }

    /// Which of the versions of one file are kept, in the order of their numbers as they are given, and why.
    ///
    /// `verified` is the number of the newest version that was found sound, if there is one.
    #[must_use]
    pub fn plan(&self, versions: &[Version], verified: Option<u64>, now: Timestamp) -> Vec<Option<Keep>> {
        let mut plan: Vec<Option<Keep>> = vec![None; versions.len()];
        let mut buckets = Buckets::default();
        for (at, version) in versions.iter().enumerate().rev() {
            // It takes nobody's place: its time may be wrong by years.
            let ahead = version.stored_at > now;
            let counted =
                if ahead { Some(Keep::FromTheFuture) } else { buckets.take(self, version.stored_at) };
            let always = if at + 1 == versions.len() {
                Some(Keep::Reference)
            } else if version.pinned {
                Some(Keep::Pinned)
            } else if verified == Some(version.sequence) {
                Some(Keep::Verified)
            } else {
                None
            };
            if let Some(place) = plan.get_mut(at) {
                *place = always.or(counted);
            }
        }
        plan
    }
}

/// A retention that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRetention {
    /// It keeps nothing.
    #[error("last, daily, weekly and monthly are all 0; allowed is at least one of them above 0")]
    Nothing,
    /// The longest pause is out of its range.
    #[error("jump_max is {given:?}; allowed is up to 100 years")]
    JumpMax {
        /// What was given.
        given: Duration,
    },
}

/// Why a version is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Keep {
    /// The next change is compared with it.
    Reference,
    /// It is pinned.
    Pinned,
    /// It is the newest that was found sound.
    Verified,
    /// It was stored at a time that is still to come.
    FromTheFuture,
    /// It is one of the newest.
    Last,
    /// It is the newest of its day.
    Daily,
    /// It is the newest of its week.
    Weekly,
    /// It is the newest of its month.
    Monthly,
}

impl Explain for Keep {
    fn code(&self) -> &'static str {
        match self {
            Self::Reference => "backup.keep_reference",
            Self::Pinned => "backup.keep_pinned",
            Self::Verified => "backup.keep_verified",
            Self::FromTheFuture => "backup.keep_from_the_future",
            Self::Last => "backup.keep_last",
            Self::Daily => "backup.keep_daily",
            Self::Weekly => "backup.keep_weekly",
            Self::Monthly => "backup.keep_monthly",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "the next change is compared with it",
            Self::Pinned => "it is pinned",
            Self::Verified => "it is the newest that was found sound",
            Self::FromTheFuture => "it was stored at a time that is still to come",
            Self::Last => "it is one of the newest",
            Self::Daily => "it is the newest of its day",
            Self::Weekly => "it is the newest of its week",
            Self::Monthly => "it is the newest of its month",
        })
    }
}

/// What is taken by versions that are newer.
#[derive(Default)]
struct Buckets {
    last: u32,
    days: BTreeSet<i32>,
    weeks: BTreeSet<i32>,
    months: BTreeSet<i32>,
}

impl Buckets {
    fn take(&mut self, retention: &Retention, at: Timestamp) -> Option<Keep> {
        let local = retention.zone.local(at).date();
        let day = local.num_days_from_ce();
        let monday = day.saturating_sub(i32::try_from(local.weekday().num_days_from_monday()).unwrap_or(0));
        let month =
            local.year().saturating_mul(12).saturating_add(i32::try_from(local.month0()).unwrap_or(0));
        let last = self.last < retention.last;
        self.last = self.last.saturating_add(1);
        let daily = into(&mut self.days, day, retention.daily);
        let weekly = into(&mut self.weeks, monday, retention.weekly);
        let monthly = into(&mut self.months, month, retention.monthly);
        [(last, Keep::Last), (daily, Keep::Daily), (weekly, Keep::Weekly), (monthly, Keep::Monthly)]
            .into_iter()
            .find_map(|(is, keep)| is.then_some(keep))
    }
}

/// Whether there was still a place for it and nobody newer in it.
fn into(taken: &mut BTreeSet<i32>, bucket: i32, most: u32) -> bool {
    let room = u32::try_from(taken.len()).unwrap_or(u32::MAX) < most;
    room && taken.insert(bucket)
}

/// Whether versions were removed.
#[must_use = "what is refused was not removed"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pruned {
    /// They were.
    Done {
        /// Which.
        removed: Vec<(Name, u64)>,
        /// How many are left.
        kept: u64,
        /// How many contents were removed with them.
        contents: u64,
    },
    /// None was: the clock cannot be believed.
    Refused(Suspect),
}

/// Why a clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspect {
    /// It stands before the newest version.
    WentBack {
        /// When that was stored.
        newest: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// It has gone further without a run than it may.
    Jumped {
        /// How far.
        gap: Duration,
        /// How far it may.
        jump_max: Duration,
    },
}

impl Explain for Suspect {
    fn code(&self) -> &'static str {
        match self {
            Self::WentBack { .. } => "backup.clock_went_back",
            Self::Jumped { .. } => "backup.clock_jumped",
        }
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WentBack { newest, now } => {
                write!(f, "the newest version was stored at {newest}, and the clock says {now}")
            }
            Self::Jumped { gap, jump_max } => {
                write!(
                    f,
                    "there was no run for {gap:?}, and {jump_max:?} may pass before the clock is suspected"
                )
            }
        }
    }
}

/// Why nothing could be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The retention cannot be.
    #[error(transparent)]
    Retention(#[from] InvalidRetention),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Removes the versions that no rule keeps, and the contents to which no version refers any more.
    ///
    /// # Errors
    /// The retention cannot be; [`Error::Busy`], [`Error::IndexDamaged`], and what the file system says: then either nothing is
    /// removed, or the versions are and their contents will be.
    pub fn prune(&self, retention: &Retention, now: Now) -> Result<Pruned, PruneError> {
        retention.check()?;
        let writing = self.write()?;
        let mut index = writing.index()?;
        if !index.damage.is_empty() {
            return Err(Error::IndexDamaged { files: index.damage.len() }.into());
        }
        let mut waits = Waits::load(&self.folder, false);
        if let Some(why) = suspect(retention, newest(&index), &waits, now.wall) {
            return Ok(Pruned::Refused(why));
        }
        let (removed, kept) = sort_out(&mut index, &Verified::load(&self.folder), retention, now.wall);
        let place = writing.place(&|_| {});
        if !removed.is_empty() {
            index.compact(place)?;
        }
        waits.seen.gap = 0;
        if !waits.lost && waits.seen.ran_at != 0 {
            waits.seen.ran_at = now.wall.timestamp_millis();
            waits.save(place)?;
        }
        let contents = if removed.is_empty() { 0 } else { writing.sweep(&index) };
        Ok(Pruned::Done { removed, kept, contents })
    }

    /// What [`prune`](Self::prune) would remove. Removes nothing, and takes no lock; no contents are counted.
    ///
    /// # Errors
    /// As there, but for [`Error::Busy`].
    pub fn would_prune(&self, retention: &Retention, now: Now) -> Result<Pruned, PruneError> {
        retention.check()?;
        let mut index = Index::load(&self.folder)?;
        let waits = Waits::load(&self.folder, false);
        index.missing_after(waits.seen.sequence);
        if !index.damage.is_empty() {
            return Err(Error::IndexDamaged { files: index.damage.len() }.into());
        }
        if let Some(why) = suspect(retention, newest(&index), &waits, now.wall) {
            return Ok(Pruned::Refused(why));
        }
        let (removed, kept) = sort_out(&mut index, &Verified::load(&self.folder), retention, now.wall);
        Ok(Pruned::Done { removed, kept, contents: 0 })
    }
}

/// When the newest version was stored.
fn newest(index: &Index) -> Option<Timestamp> {
    let newest = index.files.values().filter_map(|history| history.last());
    newest.max_by_key(|version| version.sequence).map(|version| version.stored_at)
}

/// Takes the versions that no rule keeps out of the index: which, and how many are left.
fn sort_out(
    index: &mut Index,
    verified: &Verified,
    retention: &Retention,
    now: Timestamp,
) -> (Vec<(Name, u64)>, u64) {
    let mut removed = Vec::new();
    let mut kept = 0_u64;
    for (name, history) in &mut index.files {
        let sound = |version: &&Version| verified.knows_sound(&version.hash, version.sequence);
        let sound = history.versions.iter().rev().find(sound).map(|version| version.sequence);
        let mut plan = retention.plan(&history.versions, sound, now).into_iter();
        history.versions.retain(|version| {
            let keeps = plan.next().flatten().is_some();
            if !keeps {
                removed.push((name.clone(), version.sequence));
            }
            kept += u64::from(keeps);
            keeps
        });
    }
    (removed, kept)
}

fn suspect(
    retention: &Retention,
    newest: Option<Timestamp>,
    waits: &Waits,
    now: Timestamp,
) -> Option<Suspect> {
    if let Some(newest) = newest.filter(|newest| *newest > now) {
        return Some(Suspect::WentBack { newest, now });
    }
    // What no run has noted is known from the newest version.
    let gap = waits.gap(now).max(match waits.seen.ran_at {
        0 => newest.map_or(Duration::ZERO, |newest| between(newest, now)),
        _ => Duration::ZERO,
    });
    let jump_max = retention.jump_max;
    (gap > jump_max && !retention.trust_clock).then_some(Suspect::Jumped { gap, jump_max })
}
