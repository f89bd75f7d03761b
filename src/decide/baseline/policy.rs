//! The knobs: what is rare, how much evidence it takes, what is told and how often, and how much is remembered.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::bucket::Rate;
use crate::base::stats::poisson_upper;
use crate::base::time::nanos;
use crate::decide::baseline::error::Error;
use crate::decide::baseline::filter;
use crate::decide::baseline::severity::Severity;
use crate::decide::baseline::table;

/// How sure the evidence makes: a kind that were more frequent would have been seen so seldom with less than this probability.
pub(super) const MISS: f64 = 0.05;
/// A storm is what chance alone would bring in one of a million windows.
pub(super) const STORM_P: f64 = 1e-6;
const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// What is rare, when there is enough evidence to say so, and what is told.
///
/// | knob | default | allowed |
/// |---|---|---|
/// | [`rare_below`](Self::rare_below) | seen fewer than 3 times | 1 to 1,000 |
/// | [`rare_rate`](Self::rare_rate) | one event in 1,000: evidence of 6,296 events | 1e-9 to 0.5 |
/// | [`missing_mass_max`](Self::missing_mass_max) | 0.1 | above 0, to 1 |
/// | [`alert_from`](Self::alert_from) | `WARN`; below goes to the digest | |
/// | [`storm`](Self::storm) | 5 new kinds in 100 events | 2 to 1,000 kinds, 10 to 1,000 events |
/// | [`hold`](Self::hold) | 10 s | 0 to 1 h |
/// | [`realert`](Self::realert) | after 1 h, doubled up to 24 h | 1 s to 10 years |
/// | [`healthy`](Self::healthy) | fewer than 1 within 1 h | 1 to 1,000,000; 1 s to 10 years |
/// | [`alerts_max`](Self::alerts_max) | 10 at once, one more each 6 min | 1 to 1,000; 1 ms to 10 years |
/// | [`open_max`](Self::open_max) | 1,024 alerts | 1 to 65,536 |
/// | [`epoch`](Self::epoch) | 30 days | 1 s to 10 years, or never |
/// | [`epoch_events`](Self::epoch_events) | never | 100 and more, or never |
/// | [`stale_after`](Self::stale_after) | 7 days | 1 s to 10 years |
/// | [`kinds_max`](Self::kinds_max) | 65,536 exactly (2 MiB) | 16 to 4,194,304 |
/// | [`distinct_max`](Self::distinct_max) | 1,000,000 roughly (4 MiB, once needed) | 1,024 to 100,000,000 |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    pub(super) rare_below: u32,
    pub(super) rare_rate: f64,
    pub(super) missing_mass_max: f64,
    pub(super) alert_from: Severity,
    pub(super) storm_kinds: u32,
    pub(super) storm_events: u32,
    pub(super) hold: Duration,
    pub(super) realert_after: Duration,
    pub(super) realert_max: Duration,
    pub(super) healthy_below: u32,
    pub(super) healthy_after: Duration,
    pub(super) alerts_burst: u32,
    pub(super) alerts_each: Duration,
    pub(super) open_max: u32,
    pub(super) epoch: Option<Duration>,
    pub(super) epoch_events: Option<u64>,
    pub(super) stale_after: Duration,
    pub(super) kinds_max: u32,
    pub(super) distinct_max: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// The defaults of the table above.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rare_below: 3,
            rare_rate: 1e-3,
            missing_mass_max: 0.1,
            alert_from: Severity::Warn,
            storm_kinds: 5,
            storm_events: 100,
            hold: Duration::from_secs(10),
            realert_after: Duration::from_secs(3600),
            realert_max: Duration::from_secs(86_400),
            healthy_below: 1,
            healthy_after: Duration::from_secs(3600),
            alerts_burst: 10,
            alerts_each: Duration::from_secs(360),
            open_max: 1024,
            epoch: Some(Duration::from_secs(30 * 86_400)),
            epoch_events: None,
            stale_after: Duration::from_secs(7 * 86_400),
            kinds_max: 1 << 16,
            distinct_max: 1_000_000,
        }
    }

    /// A kind is rare while it was seen fewer times than this.
    #[must_use]
    pub const fn rare_below(mut self, times: u32) -> Self {
        self.rare_below = times;
        self
    }

    /// The share of events below which a kind is to be called rare.
    ///
    /// No kind is called so before there is evidence: as many events as make it improbable, below 5 %, that a kind at this rate was
    /// seen fewer than [`rare_below`](Self::rare_below) times. For 3 that is 6.3 divided by the rate.
    #[must_use]
    pub const fn rare_rate(mut self, share: f64) -> Self {
        self.rare_rate = share;
        self
    }

    /// No kind is called rare while the share of events that are expected to be of a kind never seen is above this: then news
    /// is no news. It is estimated as N1/N (Good, "The population frequencies of species", Biometrika 1953).
    #[must_use]
    pub const fn missing_mass_max(mut self, share: f64) -> Self {
        self.missing_mass_max = share;
        self
    }

    /// From which severity on a rare event is an alert; below it goes to the digest. [`Severity::Debug`] makes all of them alerts.
    #[must_use]
    pub const fn alert_from(mut self, severity: Severity) -> Self {
        self.alert_from = severity;
        self
    }

    /// At least so many kinds that are new within so many events are a change of regime, if chance would bring them in one of a
    /// million such windows; and so are three new kinds or more that make up more than half of the events. One finding is told instead of
    /// one for each, and what is usual is learned anew.
    #[must_use]
    pub const fn storm(mut self, kinds: u32, events: u32) -> Self {
        self.storm_kinds = kinds;
        self.storm_events = events;
        self
    }

    /// How long a rare event is held back, so that one of many can be told as the change of regime that it is part of. It is told
    /// earlier when the window of [`storm`](Self::storm) is over. With zero nothing is held, and a storm begins with some alerts.
    #[must_use]
    pub const fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// An alert that is open is told again when its kind is seen `after` it was told; that doubles each time, up to `most`.
    #[must_use]
    pub const fn realert(mut self, after: Duration, most: Duration) -> Self {
        self.realert_after = after;
        self.realert_max = most;
        self
    }

    /// An alert is closed once its kind was seen fewer than `below` times for so long.
    #[must_use]
    pub const fn healthy(mut self, below: u32, after: Duration) -> Self {
        self.healthy_below = below;
        self.healthy_after = after;
        self
    }

    /// How many alerts are told at once, and after how long there may be one more; what is over goes to the digest.
    #[must_use]
    pub const fn alerts_max(mut self, burst: u32, each: Duration) -> Self {
        self.alerts_burst = burst;
        self.alerts_each = each;
        self
    }

    /// How many alerts may be open; what is over goes to the digest.
    #[must_use]
    pub const fn open_max(mut self, alerts: u32) -> Self {
        self.open_max = alerts;
        self
    }

    /// All counts are halved each time this has passed; what has decayed so far that it is rare again is *returned* when it is seen,
    /// not new. `None` for never.
    #[must_use]
    pub const fn epoch(mut self, epoch: Option<Duration>) -> Self {
        self.epoch = epoch;
        self
    }

    /// All counts are halved each time so many events were seen; `None` for never.
    #[must_use]
    pub const fn epoch_events(mut self, events: Option<u64>) -> Self {
        self.epoch_events = events;
        self
    }

    /// A baseline that has observed nothing for so long says so, and learns anew.
    #[must_use]
    pub const fn stale_after(mut self, stale_after: Duration) -> Self {
        self.stale_after = stale_after;
        self
    }

    /// How many kinds are counted exactly: 16 bytes each, at most 43 with the room for growth and the table's free places.
    #[must_use]
    pub const fn kinds_max(mut self, kinds: u32) -> Self {
        self.kinds_max = kinds;
        self
    }

    /// For how many kinds beyond those the rough memory is made: 3 to 6 bytes each, taken when the first kind has to go. Of the
    /// kinds never seen it takes at most 1 % for seen; where it could not keep to that it is *crowded*, and nothing is called rare.
    #[must_use]
    pub const fn distinct_max(mut self, kinds: u64) -> Self {
        self.distinct_max = kinds;
        self
    }

    /// How many events are evidence enough to call something rare.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a checked rate gives at most 2e12"
    )]
    pub fn evidence(&self) -> u64 {
        let most = poisson_upper(u64::from(self.rare_below.saturating_sub(1)), MISS);
        (most / self.rare_rate).ceil() as u64
    }

    /// How many bytes a baseline under this policy takes at most, with all that it holds back.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let places = table::places(self.kinds_max as usize);
        // The old table stands while it is moved into one of twice its size.
        let table = places.max(1024) * 16 * 3 / 2;
        let named = self.open_max as usize + 2 * self.storm_events as usize + 2 * super::tell::OUTBOX_MAX;
        table + filter::bytes_for(self.distinct_max) + named * 512 + 64 * 1024
    }

    /// Whether the policy can be followed.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with the first knob that is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let second = Duration::from_secs(1);
        within("rare_below", self.rare_below, 1..=1000)?;
        share("rare_rate", self.rare_rate, 1e-9, 0.5)?;
        share("missing_mass_max", self.missing_mass_max, f64::MIN_POSITIVE, 1.0)?;
        within("storm.kinds", self.storm_kinds, 2..=1000)?;
        within("storm.events", self.storm_events, 10..=1000)?;
        time("hold", self.hold, Duration::ZERO, Duration::from_secs(3600))?;
        time("realert.after", self.realert_after, second, DURATION_MAX)?;
        time("realert.most", self.realert_max, self.realert_after, DURATION_MAX)?;
        within("healthy.below", self.healthy_below, 1..=1_000_000)?;
        time("healthy.after", self.healthy_after, second, DURATION_MAX)?;
        within("alerts_max.burst", self.alerts_burst, 1..=1000)?;
        self.rate()?;
        within("open_max", self.open_max, 1..=65_536)?;
        self.epoch.map_or(Ok(()), |epoch| time("epoch", epoch, second, DURATION_MAX))?;
        if let Some(events) = self.epoch_events.filter(|events| *events < 100) {
            return Err(Error::field("epoch_events", events, "100 and more, or none"));
        }
        time("stale_after", self.stale_after, second, DURATION_MAX)?;
        within("kinds_max", self.kinds_max, 16..=1 << 22)?;
        if !(1024..=100_000_000).contains(&self.distinct_max) {
            return Err(Error::field("distinct_max", self.distinct_max, "1024 to 100000000"));
        }
        Ok(())
    }

    /// The bucket of all alerts together.
    pub(super) fn rate(&self) -> Result<Rate, Error> {
        time("alerts_max.each", self.alerts_each, Duration::from_millis(1), DURATION_MAX)?;
        let allowed = "a burst that is there again within 100 years";
        Rate::new(nanos(self.alerts_each), self.alerts_burst)
            .ok_or_else(|| Error::time("alerts_max.each", self.alerts_each, allowed))
    }
}

fn within(field: &'static str, given: u32, range: RangeInclusive<u32>) -> Result<(), Error> {
    if range.contains(&given) {
        return Ok(());
    }
    Err(Error::field(field, given, format!("{} to {}", range.start(), range.end())))
}

fn share(field: &'static str, given: f64, least: f64, most: f64) -> Result<(), Error> {
    // A NaN is in no range.
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let least = if least < 1e-100 { "above 0".to_owned() } else { format!("{least}") };
    Err(Error::field(field, given, format!("{least} to {most}")))
}

fn time(field: &'static str, given: Duration, least: Duration, most: Duration) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Error::time(field, given, format!("{least:?} to {most:?}")))
}
