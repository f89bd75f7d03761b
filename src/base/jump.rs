//! Clocks that do not move together: the machine was suspended, or somebody set the wall clock.

use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;

use crate::base::explain::Explain;
use crate::base::time::{Clock, Now};

/// Sees that the two clocks have moved apart by more than [`TOLERANCE`](Self::TOLERANCE) since the last look.
///
/// On Linux and macOS the monotonic clock stands still while the machine is suspended, so every wait that is measured by it
/// ends that much too late by the wall clock. Whoever waits for a wall time waits at most [`PIECE`](Self::PIECE) at a time,
/// looks, and computes anew what is left.
///
/// ```
/// use std::time::Duration;
/// use unattended::time::{Moment, Now, Watch};
///
/// let at = |moment: u64, wall: u64| Now {
///     moment: Moment::from_nanos(moment * 1_000_000_000),
///     wall: chrono::DateTime::UNIX_EPOCH + Duration::from_secs(wall),
/// };
/// let mut watch = Watch::new(at(0, 1000), None);
/// assert_eq!(watch.look(at(60, 1060), None), None);
/// let jump = watch.look(at(61, 1061 + 3 * 3600), None).expect("three hours are missing");
/// assert_eq!(jump.by.num_hours(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    seen: Now,
    uptime: Option<Duration>,
}

/// The wall clock has moved otherwise than the monotonic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// How much further the wall clock went; negative where it went back.
    pub by: TimeDelta,
    /// For how much of it the machine was suspended; `None` where nobody can tell.
    pub slept: Option<Duration>,
}

impl Watch {
    /// By how much the clocks may move apart between two looks: corrections by a time service stay below it.
    pub const TOLERANCE: Duration = Duration::from_secs(2);
    /// How long nobody should wait without a look.
    pub const PIECE: Duration = Duration::from_secs(60);

    /// Begins to look; `uptime` is [`Clock::uptime`].
    #[must_use]
    pub const fn new(now: Now, uptime: Option<Duration>) -> Self {
        Self { seen: now, uptime }
    }

    /// The same by the clock itself.
    pub fn on(clock: &(impl Clock + ?Sized)) -> Self {
        Self::new(clock.now(), clock.uptime())
    }

    /// What happened to the clocks since the last look, if they moved apart.
    pub fn look(&mut self, now: Now, uptime: Option<Duration>) -> Option<Jump> {
        let before = std::mem::replace(self, Self::new(now, uptime));
        let passed = now.moment.since(before.seen.moment);
        let wall = now.wall.signed_duration_since(before.seen.wall);
        let by = wall.checked_sub(&signed(passed)).unwrap_or(TimeDelta::MAX);
        let slept = match (before.uptime, uptime) {
            (Some(before), Some(after)) => Some(after.saturating_sub(before).saturating_sub(passed)),
            _ => None,
        };
        // The machine's uptime is told in hundredths of a second, and read a moment later.
        let slept = slept.map(|slept| if slept > Self::TOLERANCE { slept } else { Duration::ZERO });
        let apart = by.abs() > signed(Self::TOLERANCE) || slept.is_some_and(|slept| !slept.is_zero());
        apart.then_some(Jump { by, slept })
    }
}

impl Jump {
    /// How much of it is not explained by a suspend: the wall clock was set.
    #[must_use]
    pub fn stepped(&self) -> TimeDelta {
        self.by.checked_sub(&signed(self.slept.unwrap_or_default())).unwrap_or(self.by)
    }

    fn is_suspend(&self) -> bool {
        self.slept.is_some_and(|slept| !slept.is_zero())
    }

    fn is_step(&self) -> bool {
        self.stepped().abs() > signed(Watch::TOLERANCE)
    }
}

impl Explain for Jump {
    fn code(&self) -> &'static str {
        match (self.is_suspend(), self.is_step(), self.slept) {
            (true, false, _) => "clock.suspended",
            (true, true, _) => "clock.suspended_and_stepped",
            (false, _, None) if self.by > TimeDelta::zero() => "clock.ahead",
            (false, ..) => "clock.stepped",
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stepped = self.stepped();
        let size = stepped.abs().to_std().unwrap_or_default();
        let way = if stepped < TimeDelta::zero() { "back" } else { "forward" };
        match self.code() {
            "clock.suspended" => {
                write!(f, "the machine was suspended for {:?}", self.slept.unwrap_or_default())
            }
            "clock.suspended_and_stepped" => write!(
                f,
                "the machine was suspended for {:?}, and the wall clock was set {way} by {size:?}",
                self.slept.unwrap_or_default()
            ),
            "clock.ahead" => {
                write!(
                    f,
                    "the wall clock went {size:?} ahead: the machine was suspended, or the clock was set"
                )
            }
            _ => write!(f, "the wall clock was set {way} by {size:?}"),
        }
    }
}

fn signed(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{Moment, Timestamp, later};

    /// Clocks after so many seconds: monotonic, wall (from an hour on), uptime.
    fn at(moment: u64, wall: i64, uptime: Option<u64>) -> (Now, Option<Duration>) {
        let wall = later(Timestamp::UNIX_EPOCH, Duration::from_secs(3600)) + TimeDelta::seconds(wall);
        let moment = Moment::ZERO.after(Duration::from_secs(moment));
        (Now { moment, wall }, uptime.map(Duration::from_secs))
    }

    fn jump(to: (Now, Option<Duration>)) -> Option<Jump> {
        let (now, uptime) = at(0, 0, to.1.map(|_| 100));
        Watch::new(now, uptime).look(to.0, to.1)
    }

    #[test]
    fn clocks_that_move_together_or_drift_a_little_have_not_jumped() {
        assert_eq!(jump(at(60, 60, None)), None);
        assert_eq!(jump(at(60, 62, None)), None, "two seconds are a correction");
        assert_eq!(jump(at(60, 58, Some(161))), None);
    }

    #[test]
    fn a_suspend_a_step_and_both_are_told_apart_where_the_uptime_is_known() {
        let three_hours = 3 * 3600;
        let slept = jump(at(60, 60 + three_hours, Some(160 + 10_800))).unwrap();
        assert_eq!((slept.code(), slept.stepped()), ("clock.suspended", TimeDelta::zero()));
        assert_eq!(slept.to_string(), "the machine was suspended for 10800s");
        let stepped = jump(at(60, 60 - 7200, Some(160))).unwrap();
        assert_eq!((stepped.code(), stepped.by), ("clock.stepped", TimeDelta::hours(-2)));
        assert_eq!(stepped.to_string(), "the wall clock was set back by 7200s");
        let both = jump(at(60, 60 + three_hours - 7200, Some(160 + 10_800))).unwrap();
        assert_eq!(both.code(), "clock.suspended_and_stepped");
        // A step back that hides the suspend from the wall clock.
        let hidden = jump(at(60, 60, Some(160 + 10_800))).unwrap();
        assert_eq!((hidden.code(), hidden.stepped()), ("clock.suspended_and_stepped", TimeDelta::hours(-3)));
    }

    #[test]
    fn without_the_uptime_a_wall_clock_that_went_ahead_may_be_either() {
        assert_eq!(jump(at(60, 3660, None)).unwrap().code(), "clock.ahead");
        assert_eq!(jump(at(60, -3600, None)).unwrap().code(), "clock.stepped");
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_panic() {
        let (now, _) = at(0, 0, None);
        for (from, to) in [(Timestamp::MIN_UTC, Timestamp::MAX_UTC), (Timestamp::MAX_UTC, Timestamp::MIN_UTC)]
        {
            let mut watch = Watch::new(Now { wall: from, ..now }, Some(Duration::MAX));
            let jump =
                watch.look(Now { wall: to, moment: Moment::from_nanos(u64::MAX) }, Some(Duration::ZERO));
            assert!(jump.is_some_and(|jump| !jump.to_string().is_empty()));
        }
    }

    #[test]
    fn each_look_begins_anew() {
        let (start, _) = at(0, 0, None);
        let mut watch = Watch::new(start, None);
        let (jumped, _) = at(60, 3660, None);
        assert!(watch.look(jumped, None).is_some());
        assert_eq!(watch.look(at(120, 3720, None).0, None), None);
    }
}
