//! A signal that a program was sent, on its way to the run that it works on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::base::time::{Clock, Moment, Now, SleepBlocking, System};

/// How soon a wait ends once somebody asked for it.
const LOOK: Duration = Duration::from_millis(50);

/// What a program was asked by a signal: to end the one run that it works on. Clones are the same.
///
/// It brings the clock that the run is worked on by: the machine's, unless a test has another.
#[derive(Clone)]
pub(crate) struct Interrupt {
    shared: Arc<Shared>,
}

#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the tool asks for it"))]
struct Shared {
    clock: Arc<dyn Clock>,
    /// The number of the last signal; 0 for none.
    last: Arc<AtomicUsize>,
    /// The one that was not passed on yet.
    pending: Arc<AtomicUsize>,
    /// Whether one was passed on to a program.
    passed_on: AtomicBool,
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("signal", &self.signal()).finish_non_exhaustive()
    }
}

#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the tool asks for it"))]
impl Interrupt {
    /// One that nothing was asked by yet, on this clock.
    pub(crate) fn on(clock: Arc<dyn Clock>) -> Self {
        let (last, pending, passed_on) = Default::default();
        Self { shared: Arc::new(Shared { clock, last, pending, passed_on }) }
    }

    /// Its clock.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Where a handler of signals puts their numbers.
    pub(crate) fn slots(&self) -> [Arc<AtomicUsize>; 2] {
        [Arc::clone(&self.shared.last), Arc::clone(&self.shared.pending)]
    }

    /// The signal, if one came.
    pub(crate) fn signal(&self) -> Option<i32> {
        number(self.shared.last.load(Ordering::SeqCst))
    }

    /// The signal that nobody has taken yet.
    pub(crate) fn take(&self) -> Option<i32> {
        number(self.shared.pending.swap(0, Ordering::SeqCst))
    }

    /// It has reached the program that is run. Says whether an earlier one had.
    pub(in crate::act) fn pass_on(&self) -> bool {
        self.shared.passed_on.swap(true, Ordering::SeqCst)
    }

    /// Whether one has.
    pub(in crate::act) fn was_passed_on(&self) -> bool {
        self.shared.passed_on.load(Ordering::SeqCst)
    }
}

fn number(raw: usize) -> Option<i32> {
    i32::try_from(raw).ok().filter(|number| *number > 0)
}

/// Its clock, on which nobody sleeps past a signal. A sleep takes real time, whatever the clock.
#[derive(Clone, Debug)]
pub(crate) struct Wakeful(pub(crate) Interrupt);

impl Clock for Wakeful {
    fn now(&self) -> Now {
        self.0.clock().now()
    }

    fn moment(&self) -> Moment {
        self.0.clock().moment()
    }

    fn uptime(&self) -> Option<Duration> {
        self.0.clock().uptime()
    }
}

impl SleepBlocking for Wakeful {
    fn sleep_blocking(&self, duration: Duration) {
        let end = System.moment().after(duration);
        while self.0.signal().is_none() {
            let left = end.since(System.moment());
            if left.is_zero() {
                return;
            }
            System.sleep_blocking(left.min(LOOK));
        }
    }
}

/// What is said of a run that a signal ended.
pub(in crate::act) struct Sent(pub(in crate::act) i32);

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("SIGHUP"),
            2 => f.write_str("SIGINT"),
            3 => f.write_str("SIGQUIT"),
            15 => f.write_str("SIGTERM"),
            other => write!(f, "signal {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sleeps_past_a_signal() {
        let interrupt = Interrupt::on(Arc::new(System));
        let clock = Wakeful(interrupt.clone());
        for slot in interrupt.slots() {
            slot.store(15, Ordering::SeqCst);
        }
        let begun = System.moment();
        clock.sleep_blocking(Duration::from_secs(3600));
        assert!(System.moment().since(begun) < Duration::from_secs(60));
        assert_eq!((interrupt.take(), interrupt.take(), interrupt.signal()), (Some(15), None, Some(15)));
        assert!(!interrupt.pass_on() && interrupt.pass_on() && interrupt.was_passed_on());
    }
}
