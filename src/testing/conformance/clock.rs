//! A clock that stands still until it is moved.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::base::time::{Clock, Moment, Now, Timestamp};

/// A clock moved by hand. It begins on 1 January 2026, and one day after the origin of the monotonic clock.
#[derive(Debug)]
pub struct HandClock(Mutex<Now>);

impl HandClock {
    /// A clock that stands at its beginning.
    #[must_use]
    pub fn new() -> Self {
        let wall = Timestamp::from_timestamp_millis(1_767_225_600_000).unwrap_or_default();
        Self(Mutex::new(Now { moment: Moment::ZERO.after(Duration::from_secs(86_400)), wall }))
    }

    /// Moves both clocks later.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.after(by);
    }

    /// Steps the wall clock alone, by milliseconds either way; saturates at the ends of the calendar.
    pub fn step_wall(&self, by_ms: i64) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stepped = now.wall.timestamp_millis().saturating_add(by_ms);
        let end = if by_ms < 0 { Timestamp::MIN_UTC } else { Timestamp::MAX_UTC };
        now.wall = Timestamp::from_timestamp_millis(stepped).unwrap_or(end);
    }
}

impl Default for HandClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HandClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
