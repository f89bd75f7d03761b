//! Two clocks, never mixed: [`Moment`] is monotonic and dies with the process, [`Timestamp`] is wall time and
//! survives a restart.
//!
//! Everything that decides takes [`Now`] as an argument. Only this file reads the machine's clocks, so a test that
//! passes its own time runs a week of failures in a millisecond.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use crate::base::jump::{Jump, Watch};

/// Wall time, UTC. Used only for what a person gave as wall time or what must survive a restart.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A point on the monotonic clock, in nanoseconds since an origin that means nothing outside this process.
///
/// Never store one: after a restart the origin is another. Arithmetic saturates (the range is 584 years).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved later by `by`, at most to the end of the range.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: for every duration inside this process.
    pub moment: Moment,
    /// The wall clock: for deadlines a person gave, and for what is stored.
    pub wall: Timestamp,
}

impl Now {
    /// Both clocks moved later by `by`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unattended::time::{Moment, Now};
    ///
    /// let now = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
    /// assert_eq!(now.after(Duration::from_secs(2)).wall.timestamp(), 2);
    /// ```
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self { moment: self.moment.after(by), wall: later(self.wall, by) }
    }
}

/// Reads both clocks.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, now.
    fn now(&self) -> Now;

    /// The monotonic clock alone; cheaper than [`now`](Self::now) where the wall time is not needed.
    fn moment(&self) -> Moment {
        self.now().moment
    }

    /// How long the machine has been up, the time that it was suspended included; `None` where nobody can tell. Together
    /// with the monotonic clock it tells a suspend from a clock that was set.
    fn uptime(&self) -> Option<Duration> {
        None
    }
}

/// A clock that can be waited on by a thread.
pub trait SleepBlocking: Clock {
    /// Blocks the thread for `duration`.
    fn sleep_blocking(&self, duration: Duration);
}

/// A clock that can be waited on by a future.
pub trait Sleep: Clock {
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// The machine's own clocks.
///
/// The monotonic one is [`Instant`], which on Linux and macOS stands still while the machine is suspended.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Now {
        Now { moment: self.moment(), wall: system_wall() }
    }

    fn moment(&self) -> Moment {
        let now = system_instant();
        Moment(nanos(now.saturating_duration_since(origin(now))))
    }

    /// On Linux from `/proc/uptime`, which goes by the clock that does not stand still (`CLOCK_BOOTTIME`); elsewhere `None`.
    fn uptime(&self) -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl SleepBlocking for System {
    fn sleep_blocking(&self, duration: Duration) {
        #[allow(clippy::disallowed_methods, reason = "this is the one place where a thread waits")]
        std::thread::sleep(duration);
    }
}

#[cfg(feature = "tokio")]
impl Sleep for System {
    /// Waits on tokio's timer; must be called inside a tokio runtime with time enabled.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// `from` moved later by `by`, at most to the end of the calendar.
#[must_use]
pub fn later(from: Timestamp, by: Duration) -> Timestamp {
    chrono::TimeDelta::from_std(by)
        .ok()
        .and_then(|by| from.checked_add_signed(by))
        .unwrap_or(Timestamp::MAX_UTC)
}

/// `from` moved earlier by `by`, at most to 1970: no store holds anything older.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "stores are looked back into"))]
pub(crate) fn earlier(from: Timestamp, by: Duration) -> Timestamp {
    chrono::TimeDelta::from_std(by)
        .ok()
        .and_then(|by| from.checked_sub_signed(by))
        .map_or(Timestamp::UNIX_EPOCH, |at| at.max(Timestamp::UNIX_EPOCH))
}

/// How long `to` is after `from`; zero if it is not.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.signed_duration_since(from).to_std().unwrap_or(Duration::ZERO)
}

/// `wall`, or what was seen last where the clock has stepped back: it is taken to stand still. What is more than a day ahead was
/// said by a clock that was wrong, and is not believed.
pub(crate) fn forward(last: Option<Timestamp>, wall: Timestamp) -> Timestamp {
    const AHEAD_MAX: Duration = Duration::from_secs(86_400);
    last.filter(|last| between(wall, *last) <= AHEAD_MAX).map_or(wall, |last| last.max(wall))
}

/// Milliseconds of `duration`, saturating: the unit in which durations are stored and printed.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Nanoseconds of `duration`, saturating at 584 years.
#[must_use]
pub const fn nanos(duration: Duration) -> u64 {
    // In 64 bits: this lies between each reading of the clock and its user.
    match duration.as_secs().checked_mul(1_000_000_000) {
        Some(nanos) => nanos.saturating_add(duration.subsec_nanos() as u64),
        None => u64::MAX,
    }
}

/// Microseconds of `CLOCK_MONOTONIC`, the clock that other processes of the machine name too; `None` where it is not Linux.
#[cfg(all(feature = "systemd", unix))]
pub(crate) fn monotonic_micros() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let (seconds, nanos) = (u64::try_from(now.tv_sec).ok()?, u64::try_from(now.tv_nsec).ok()?);
        Some(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
fn system_instant() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn system_wall() -> Timestamp {
    chrono::Utc::now()
}

/// The first reading of this process, less a day: a moment a little before the first one still has room.
fn origin(first: Instant) -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(|| first.checked_sub(Duration::from_secs(86_400)).unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate_at_both_ends() {
        let end = Moment::from_nanos(u64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(Moment::ZERO.since(end), Duration::ZERO);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }

    #[test]
    fn wall_time_saturates_at_the_end_of_the_calendar() {
        assert_eq!(later(Timestamp::MAX_UTC, Duration::from_secs(1)), Timestamp::MAX_UTC);
        assert_eq!(later(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX_UTC);
        assert_eq!(between(Timestamp::MAX_UTC, Timestamp::UNIX_EPOCH), Duration::ZERO);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_uptime_of_linux_goes_on_with_the_monotonic_clock() {
        let (up, now) = (System.uptime().unwrap(), System.moment());
        assert!(up > Duration::ZERO);
        let (later, passed) = (System.uptime().unwrap(), System.moment().since(now));
        assert!(later >= up && later - up <= passed + Duration::from_secs(1), "{up:?} {later:?} {passed:?}");
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let (a, b) = (System.moment(), System.moment());
        assert!(b >= a);
        assert!(a > Moment::ZERO);
    }
}
