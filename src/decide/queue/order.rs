//! The orders on offer, and the bounds of a queue.

use crate::base::time::Now;
use crate::decide::queue::core::Queue;
use crate::decide::queue::entry::By;
use crate::decide::queue::error::Error;

const CAPACITY_MAX: usize = 1 << 31;

/// What comes first. In all of them what has expired, and what is declared to take longer than is left, is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// What is worth most when it is done, for each second that it takes; then the earlier deadline, then the earlier
    /// arrival. What would be late by a learned estimate counts a millionth of its worth.
    ///
    /// Without admission control this does best under overload (Buttazzo, Spuri, Sensini, "Value vs. deadline scheduling in
    /// overload conditions", RTSS 1995).
    #[default]
    Density,
    /// What arrived first.
    Fifo,
    /// The earliest deadline first; what would be late by a learned estimate after all else. The best there is while all can
    /// be done, and the worst when not: it begins what is about to expire.
    Edf,
    /// The earliest deadline first (then the earlier arrival), and `Density` from the time when something expires or the
    /// first by deadline cannot be done in time, until nothing is left to run. Each change orders the queue anew.
    EdfUntilOverload,
    /// The lowest class first, and `Density` within each. Densities are compared a little more coarsely: to one part in four
    /// million.
    StrictClasses,
}

impl Order {
    pub(super) const fn by(self, overloaded: bool) -> By {
        match self {
            Self::Density => By::Density,
            Self::Fifo => By::Arrival,
            Self::Edf => By::Deadline,
            Self::EdfUntilOverload if overloaded => By::Density,
            Self::EdfUntilOverload => By::BareDeadline,
            Self::StrictClasses => By::Class,
        }
    }

    /// By what the least valuable is found when the queue is full.
    pub(super) const fn shed_by(self) -> By {
        match self {
            Self::StrictClasses => By::Class,
            _ => By::Density,
        }
    }
}

/// How a queue is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builder {
    pub(super) order: Order,
    pub(super) capacity: usize,
    pub(super) oldest_every: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self { order: Order::Density, capacity: 10_000, oldest_every: 16 }
    }
}

impl Builder {
    /// What comes first; [`Order::Density`] if it is not said.
    #[must_use]
    pub const fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How many may wait, 1 to 2^31; 10,000 if it is not said. What runs does not count.
    #[must_use]
    pub const fn capacity(mut self, tasks: usize) -> Self {
        self.capacity = tasks;
        self
    }

    /// Which of how many dispatches takes the oldest task that can still be done in time, so that nothing starves; 16 if it is
    /// not said, 0 is never. It takes turns also where classes are strict.
    #[must_use]
    pub const fn oldest_every(mut self, dispatches: u32) -> Self {
        self.oldest_every = dispatches;
        self
    }

    /// An empty queue.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] if the capacity is not 1 to 2^31.
    pub fn build<T>(self, now: Now) -> Result<Queue<T>, Error> {
        self.check()?;
        Ok(Queue::with(self, now))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.capacity == 0 || self.capacity > CAPACITY_MAX {
            return Err(Error::field("capacity", self.capacity, format!("1 to {CAPACITY_MAX}")));
        }
        Ok(())
    }
}
