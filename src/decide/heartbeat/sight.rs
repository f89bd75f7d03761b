//! When was looked, and when nobody did: the monitor's own sight.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::text;
use crate::base::time::{Now, Timestamp, between, later};
use crate::decide::heartbeat::policy::Error;
use crate::decide::heartbeat::reason::second;

const VERSION: u32 = 1;
/// More than so many ticks without a look, and the monitor was away.
const TICKS_MAX: u32 = 3;
/// A look may be so far ahead of this one: another host's clock.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// A look at hearts: now, and what could not be seen before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Now.
    pub now: Now,
    /// When last nobody looked; what fell due then is judged a grace after its end.
    pub unseen: Option<Unseen>,
}

impl From<Now> for Look {
    fn from(now: Now) -> Self {
        Self { now, unseen: None }
    }
}

/// A span in which nobody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// The last look before it.
    pub from: Timestamp,
    /// The first one after it.
    pub to: Timestamp,
}

impl Unseen {
    /// When what is due at `due` may be judged.
    pub(super) fn held(self, due: Timestamp, grace: Duration) -> Timestamp {
        if due > self.from && due <= self.to { later(self.to, grace).max(due) } else { due }
    }
}

/// What was noticed about the monitor itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Noticed {
    /// It was away, or the clock was set forwards, or the machine was suspended.
    Unwatched {
        /// The last look before it.
        from: Timestamp,
        /// The first one after it.
        to: Timestamp,
        /// How often is looked otherwise.
        tick: Duration,
    },
    /// The last look lies in the future: the clock was set back.
    ClockWentBack {
        /// The last look.
        last: Timestamp,
        /// Now.
        now: Timestamp,
    },
}

impl Explain for Noticed {
    fn code(&self) -> &'static str {
        match self {
            Self::Unwatched { .. } => "heartbeat.unwatched",
            Self::ClockWentBack { .. } => "heartbeat.clock_went_back",
        }
    }
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwatched { from, to, tick } => write!(
                f,
                "nobody looked for {}, from {} on, where it is done each {}: what fell due then is judged a grace later",
                text::about(between(*from, *to)),
                second(*from),
                text::about(*tick)
            ),
            Self::ClockWentBack { last, now } => write!(
                f,
                "the last look was at {}, and it is {}: the clock was set back",
                second(*last),
                second(*now)
            ),
        }
    }
}

/// Knows when was last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    tick: Duration,
    last: Option<Timestamp>,
    unseen: Option<Unseen>,
}

/// A [`Sight`] as it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSight {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unseen: Option<Unseen>,
}

impl Sight {
    /// One that has never looked. More than three `tick`s without a look are a span in which nobody did.
    #[must_use]
    pub const fn new(tick: Duration) -> Self {
        Self { tick, last: None, unseen: None }
    }

    /// Looks, and says what was noticed about the time since the last look.
    pub fn look(&mut self, now: Now) -> (Look, Option<Noticed>) {
        let (wall, tick) = (now.wall, self.tick);
        let mut noticed = None;
        match self.last {
            Some(from) if between(from, wall) > tick.saturating_mul(TICKS_MAX) => {
                self.unseen = Some(Unseen { from, to: wall });
                noticed = Some(Noticed::Unwatched { from, to: wall, tick });
                self.last = Some(wall);
            }
            Some(last) if between(wall, last) > AHEAD_MAX => {
                self.unseen = None;
                noticed = Some(Noticed::ClockWentBack { last, now: wall });
                self.last = Some(wall);
            }
            last => self.last = Some(last.map_or(wall, |last| last.max(wall))),
        }
        (Look { now, unseen: self.unseen }, noticed)
    }

    /// When was last looked.
    #[must_use]
    pub const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// As it is saved.
    #[must_use]
    pub const fn saved(&self) -> SavedSight {
        SavedSight { v: VERSION, last: self.last, unseen: self.unseen }
    }

    /// As it was saved.
    ///
    /// # Errors
    /// [`Error::Version`] for one of a later version.
    pub const fn restored(tick: Duration, saved: &SavedSight) -> Result<Self, Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        Ok(Self { tick, last: saved.last, unseen: saved.unseen })
    }
}
