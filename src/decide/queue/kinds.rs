//! How long tasks of each kind take: learned from those that were done.

use std::collections::BTreeMap;

use crate::base::time::nanos;
use std::time::Duration;

/// More kinds than this are not told apart; what is beyond is unknown.
pub(super) const KINDS_MAX: usize = 1024;
/// What a task takes of which nothing is known.
pub(super) const UNKNOWN: Duration = Duration::from_secs(1);
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const SHORTEST: u64 = 1000;
/// How much each new duration counts.
const WEIGHT: f64 = 0.1;
/// The logarithm of 8: no single duration, once some are known, counts as more than 8 times or less than an eighth.
const OUTLIER: f64 = 2.079_441_541_679_836;
/// The logarithm of 1.25: less of a change changes no order.
const CHANGE: f64 = 0.223_143_551_314_209_76;
/// From so many on a change has to wait until as many more have been done as make it worth its cost.
const FEW: u32 = 8;
const SHARE: usize = 32;

/// The mean of the logarithms of a kind's durations, and what of it is in use.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) name: Box<str>,
    pub(super) mean: f64,
    pub(super) count: u32,
    /// How many have been done since it was last changed.
    pub(super) since: u32,
    /// In nanoseconds: what its tasks are ordered by.
    pub(super) estimate: u64,
}

/// The kinds, by number from 1 on; 0 is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    by_name: BTreeMap<Box<str>, u16>,
    kinds: Vec<Kind>,
}

impl Kinds {
    /// The number of a kind; 0 if there are too many.
    pub(super) fn number(&mut self, name: &str) -> u16 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        if self.kinds.len() >= KINDS_MAX {
            return 0;
        }
        let kind = Kind { name: name.into(), mean: 0.0, count: 0, since: 0, estimate: nanos(UNKNOWN) };
        self.restore(kind)
    }

    /// Puts a kind back as it was saved.
    pub(super) fn restore(&mut self, kind: Kind) -> u16 {
        if self.kinds.len() >= KINDS_MAX || self.by_name.contains_key(&kind.name) {
            return 0;
        }
        let number = u16::try_from(self.kinds.len() + 1).unwrap_or(0);
        self.by_name.insert(kind.name.clone(), number);
        self.kinds.push(kind);
        number
    }

    pub(super) fn find(&self, name: &str) -> Option<&Kind> {
        self.by_name.get(name).and_then(|number| self.get(*number))
    }

    pub(super) fn get(&self, number: u16) -> Option<&Kind> {
        self.kinds.get(usize::from(number).checked_sub(1)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }

    /// What tasks of it are taken to last, in nanoseconds.
    pub(super) fn estimate(&self, number: u16) -> u64 {
        self.get(number).map_or(nanos(UNKNOWN), |kind| kind.estimate)
    }

    /// Learns from one that was done, while `queued` wait; whether its estimate is another now.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped"
    )]
    pub(super) fn learn(&mut self, number: u16, took: Duration, queued: usize) -> bool {
        let place = usize::from(number).checked_sub(1);
        let Some(kind) = place.and_then(|place| self.kinds.get_mut(place)) else { return false };
        let new = (nanos(took.min(LONGEST)).max(SHORTEST) as f64).ln();
        let apart = if kind.count < 4 { new - kind.mean } else { (new - kind.mean).clamp(-OUTLIER, OUTLIER) };
        kind.count = kind.count.saturating_add(1);
        kind.since = kind.since.saturating_add(1);
        kind.mean += apart * WEIGHT.max(1.0 / f64::from(kind.count));
        let small = (kind.mean - (kind.estimate as f64).ln()).abs() < CHANGE;
        // Each change puts the whole queue in order again: so many completions pay for it.
        let early = kind.count > FEW && (kind.since as usize) < queued / SHARE;
        if small || early {
            return false;
        }
        kind.estimate = (kind.mean.exp() as u64).clamp(SHORTEST, nanos(LONGEST));
        kind.since = 0;
        true
    }
}
