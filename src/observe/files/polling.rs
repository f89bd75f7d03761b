//! A tree that is looked at every so often.

use std::time::Duration;

use crate::base::time::{Moment, Now};
use crate::decide::intent::{self, Closing, Intent, Policy, State, Token};
use crate::observe::files::driver::Driver;
use crate::observe::files::error::interval;
use crate::observe::files::{Error, Scan};

/// A tree that is looked at every so often: no events, no thread, no dependency; works on every file system.
///
/// It does not wait: whoever has it calls [`poll`](Self::poll) when [`next_wake`](Self::next_wake) has come. A change is told at most the
/// interval and the quiet after it was made, and within the longest wait if the tree never rests.
#[derive(Debug)]
pub struct Polling {
    driver: Driver,
    every: Duration,
    next_look: Moment,
}

impl Polling {
    /// Looks at the tree, and from now on `every` so often (1 ms to 24 h). Each look asks the system for the state of every entry: 50,000
    /// take about a tenth of a second.
    ///
    /// # Errors
    ///
    /// [`Error::NoFolder`], [`Error::TooMany`], [`Error::Field`] and [`Error::Policy`].
    pub fn start(scan: Scan, policy: Policy, every: Duration, now: Now) -> Result<Self, Error> {
        interval("every", every)?;
        let walked = scan.walk();
        let driver = Driver::start(scan, policy, walked)?;
        Ok(Self { driver, every, next_look: now.moment.after(every) })
    }

    /// The same, from a state that was saved by an earlier process: what has changed since then is told first. It need not be there now.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] and [`Error::Policy`].
    pub fn resume(scan: Scan, policy: Policy, every: Duration, last: State, now: Now) -> Result<Self, Error> {
        interval("every", every)?;
        let driver = Driver::start_from(scan, policy, last)?;
        Ok(Self { driver, every, next_look: now.moment })
    }

    /// Looks, if it is time to, and says what has happened, if that is over. `None` says nothing.
    pub fn poll(&mut self, now: Now) -> Option<Intent> {
        if now.moment < self.next_look && !self.driver.is_due(now) {
            return None;
        }
        let state = self.driver.scan.snapshot();
        self.next_look = now.moment.after(self.every);
        self.driver.compare(&state, now);
        if self.driver.is_due(now) {
            return Some(self.driver.settle(state, now));
        }
        self.driver.keep(state);
        None
    }

    /// When to call [`poll`](Self::poll) again.
    #[must_use]
    pub fn next_wake(&self) -> Moment {
        self.driver.judge.next_wake().map_or(self.next_look, |due| due.min(self.next_look))
    }

    /// The tree as it was judged last: what to save for [`resume`](Self::resume).
    #[must_use]
    pub const fn state(&self) -> &State {
        self.driver.base()
    }

    /// A tool announces itself: see [`Judge::begin_bulk`](crate::decide::intent::Judge::begin_bulk).
    ///
    /// # Errors
    ///
    /// [`intent::Error::TooManyAnnounced`].
    pub fn begin_bulk(&mut self, name: &str, now: Now) -> Result<Token, intent::Error> {
        self.driver.judge.begin_bulk(name, now)
    }

    /// The tool has ended: see [`Judge::end_bulk`](crate::decide::intent::Judge::end_bulk).
    pub fn end_bulk(&mut self, token: Token, now: Now) -> Closing {
        self.driver.judge.end_bulk(token, now)
    }
}
