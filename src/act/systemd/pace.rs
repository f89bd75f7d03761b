//! When to ping: on proof of progress, and at most every half of the interval.

use std::time::Duration;

use crate::base::time::Moment;

/// What was done and when, as far as the watchdog asks for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// None may be sent before; the origin at first, so that the first progress is told at once.
    earliest: Moment,
    progressed: bool,
}

/// Whether to ping.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// There was progress, and the last ping is half an interval ago.
    Ping,
    /// There was progress; it is told then.
    NotYet {
        /// When.
        until: Moment,
    },
    /// There was none since the last ping: whoever hangs is found by his silence.
    Silent,
}

impl Pace {
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, earliest: Moment::ZERO, progressed: false }
    }

    /// The work has got on.
    pub(super) fn progressed(&mut self, now: Moment) -> Beat {
        self.note();
        self.look(now)
    }

    /// The same, where nobody asks whether to ping.
    pub(super) fn note(&mut self) {
        self.progressed = true;
    }

    pub(super) fn look(&self, now: Moment) -> Beat {
        if !self.progressed {
            Beat::Silent
        } else if now < self.earliest {
            Beat::NotYet { until: self.earliest }
        } else {
            Beat::Ping
        }
    }

    /// A ping was sent, and the next ones are expected this often. What progresses from now on is for the next one.
    pub(super) fn pinged(&mut self, interval: Duration, now: Moment) {
        self.interval = interval;
        self.progressed = false;
        self.earliest = now.after(interval / 2);
    }

    /// A ping could not be sent: it is tried again soon, and not with each step of the work.
    pub(super) fn failed(&mut self, now: Moment) {
        self.earliest = now.after(self.interval / 16);
    }

    pub(super) const fn earliest(&self) -> Moment {
        self.earliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(1_000_000_000_000).after(Duration::from_millis(millis))
    }

    #[test]
    fn the_first_progress_is_told_at_once_and_the_next_at_half_the_interval() {
        let mut pace = Pace::new(MINUTE);
        assert_eq!(pace.look(at(0)), Beat::Silent, "no work, no ping");
        assert_eq!(pace.progressed(at(0)), Beat::Ping);
        pace.pinged(MINUTE, at(0));
        assert_eq!(pace.look(at(30_000)), Beat::Silent);
        assert_eq!(pace.progressed(at(10)), Beat::NotYet { until: at(30_000) });
        assert_eq!(pace.look(at(29_999)), Beat::NotYet { until: at(30_000) });
        assert_eq!(pace.look(at(30_000)), Beat::Ping);
        pace.pinged(MINUTE, at(30_000));
        assert_eq!(pace.progressed(at(75_000)), Beat::Ping, "half the interval has long been over");
    }

    #[test]
    fn no_progress_is_no_ping_however_long() {
        let mut pace = Pace::new(MINUTE);
        pace.pinged(MINUTE, at(0));
        for second in 0..86_400 {
            assert_eq!(pace.look(at(second * 1000)), Beat::Silent);
        }
    }

    #[test]
    fn an_interval_has_no_floor() {
        let mut pace = Pace::new(MINUTE);
        pace.pinged(Duration::from_millis(2), at(0));
        assert_eq!(pace.progressed(at(0)), Beat::NotYet { until: at(1) });
    }

    #[test]
    fn a_ping_that_was_not_sent_is_tried_again_and_does_not_spam() {
        let mut pace = Pace::new(Duration::from_millis(1600));
        assert_eq!(pace.progressed(at(0)), Beat::Ping);
        pace.failed(at(0));
        assert_eq!(pace.progressed(at(1)), Beat::NotYet { until: at(100) });
        assert_eq!(pace.look(at(100)), Beat::Ping);
    }

    /// Steps of work at random times, over an hour: no two pings closer than half the interval, none without progress
    /// since the last, and none later than half an interval after progress.
    #[test]
    fn pings_follow_progress_by_at_most_half_the_interval_and_never_crowd() {
        let mut rng = crate::base::rng::Rng::seeded(7);
        let mut pace = Pace::new(MINUTE);
        let (mut pinged, mut progressed) = (None::<u64>, None::<u64>);
        for ms in (0..3_600_000).step_by(50) {
            let works = rng.up_to(999) == 0;
            if works {
                progressed = progressed.or(Some(ms));
            }
            let beat = if works { pace.progressed(at(ms)) } else { pace.look(at(ms)) };
            match beat {
                Beat::Ping => {
                    let since = progressed.take().expect("there was progress");
                    assert!(ms - since <= 30_000);
                    assert!(pinged.is_none_or(|last| ms - last >= 30_000));
                    pinged = Some(ms);
                    pace.pinged(MINUTE, at(ms));
                }
                Beat::NotYet { until } => assert!(until > at(ms) && progressed.is_some()),
                Beat::Silent => assert!(progressed.is_none()),
            }
        }
        assert!(pinged.is_some());
    }
}
