//! Whether something as long as that has room in an opening.

use std::time::Duration;

use chrono::NaiveDateTime;

use crate::base::time::{Timestamp, between, later};
use crate::decide::window::shown::time_of;
use crate::decide::window::week::Segment;
use crate::decide::window::{Fits, State, Why, Window};

/// How far openings are looked through, from the first of them on: each week and each change of the clocks is in it.
const LOOKED_THROUGH: Duration = Duration::from_secs(366 * 86_400);
/// And how many of them.
const OPENINGS_MAX: usize = 10_000;

impl Window {
    /// Whether something of that length, begun at `at`, ends inside one opening; or when it could be begun.
    ///
    /// The openings of a year are looked through, and at most 10,000 of them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unattended::window::{Fits, Window};
    ///
    /// let window: Window = "09:00-10:00".parse()?;
    /// let at = "2026-07-31T09:45:00Z".parse()?;
    /// assert_eq!(window.fits(at, Duration::from_secs(900)), Fits::Yes);
    /// let Fits::NotBefore { at, .. } = window.fits(at, Duration::from_secs(1800)) else { unreachable!() };
    /// assert_eq!(at.to_string(), "2026-08-01 09:00:00 UTC");
    /// let longest = Duration::from_secs(3600);
    /// assert_eq!(window.fits(at, Duration::from_secs(5400)), Fits::Never { longest });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fits(&self, at: Timestamp, duration: Duration) -> Fits {
        let (mut next, mut longest) = (self.opens(at), Duration::ZERO);
        let until = later(next.unwrap_or(at), LOOKED_THROUGH);
        for _ in 0..OPENINGS_MAX {
            let Some(opens) = next.filter(|opens| *opens <= until) else { break };
            let State::Open { closes } = self.state(opens) else { break };
            let Some(closes) = closes.filter(|closes| between(opens, *closes) < duration) else {
                return if opens == at {
                    Fits::Yes
                } else {
                    Fits::NotBefore { at: opens, why: self.why_not(at, duration) }
                };
            };
            longest = longest.max(between(opens, closes));
            next = self.opens(closes);
        }
        Fits::Never { longest }
    }

    fn why_not(&self, at: Timestamp, needs: Duration) -> Why {
        match self.state(at) {
            State::Open { closes } => {
                Why::ClosesTooSoon { closes: closes.unwrap_or(Timestamp::MAX_UTC), needs }
            }
            State::Closed { why, .. } => why,
        }
    }

    /// Why there are no hours at an instant at which the clocks have shown `local`.
    pub(super) fn outside(&self, at: Timestamp, local: NaiveDateTime) -> Why {
        use chrono::Datelike;
        let (weekday, time) = (local.weekday(), time_of(local));
        if let Some(daily) = self.inner.dailies.iter().find(|daily| daily.covers(time))
            && self.inner.segments.iter().any(|hours| hours.covers(weekday, time))
        {
            return Why::Blackout { why: daily.why.clone() };
        }
        let hours = self.inner.segments.iter().filter(|hours| hours.wants(weekday));
        let hours: Vec<(Segment, [Timestamp; 2])> =
            hours.map(|hours| (*hours, self.opening(local, hours))).collect();
        let real = || hours.iter().filter(|(_, [opens, closes])| opens < closes);
        let ahead = real().filter(|(_, [opens, _])| *opens > at).min_by_key(|(_, [opens, _])| *opens);
        let behind = real().filter(|(_, [_, closes])| *closes <= at).max_by_key(|(_, [_, closes])| *closes);
        match (ahead, behind, hours.first()) {
            (Some((hours, _)), _, _) => Why::BeforeHours { weekday, opens: hours.open },
            (None, Some((hours, _)), _) => Why::AfterHours { weekday, closed: hours.close },
            (None, None, Some((hours, _))) => Why::Skipped { weekday, opens: hours.open },
            (None, None, None) => Why::NotThisDay { weekday },
        }
    }

    /// What hours are on the day of `local`, as instants.
    fn opening(&self, local: NaiveDateTime, hours: &Segment) -> [Timestamp; 2] {
        let (today, zone) = (local.date(), self.inner.zone);
        let closing = if hours.close > hours.open { Some(today) } else { today.succ_opt() };
        let closes = closing.map_or(Timestamp::MAX_UTC, |day| zone.first(day.and_time(hours.close)));
        [zone.first(today.and_time(hours.open)), closes]
    }
}
