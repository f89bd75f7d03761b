//! Asking a program to end, once politely and once for good.
//!
//! A [`Shutdown`] is a handle that the program, its workers and its signal handler share. The first
//! [`trigger`](Shutdown::trigger) asks for an end: what runs is let finish, nothing new is begun. The second one means at
//! once. It never goes back.
//!
//! ```
//! use unattended::shutdown::{Phase, Shutdown};
//!
//! let shutdown = Shutdown::new();
//! let seen = shutdown.clone();
//! assert_eq!(shutdown.trigger(), Phase::Draining);
//! assert!(seen.is_triggered());
//! assert_eq!(seen.trigger(), Phase::AtOnce);
//! ```
//!
//! What a program has to end, and in which order, is a [`Sequence`] of stages with slices of one deadline.

mod sequence;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A request to end. Clones are handles to the same one.
#[derive(Clone, Default)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

/// How urgent it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nobody has asked for an end.
    #[default]
    Running,
    /// Nothing new is begun; what runs may finish.
    Draining,
    /// What runs is put down too.
    AtOnce,
}

#[derive(Default)]
struct Shared {
    phase: AtomicU8,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    wakers: BTreeMap<u64, Waker>,
    serial: u64,
}

impl Shutdown {
    /// One that nobody has triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for an end; asked again, for an end at once. Says what it is now.
    pub fn trigger(&self) -> Phase {
        self.raise(match self.phase() {
            Phase::Running => Phase::Draining,
            Phase::Draining | Phase::AtOnce => Phase::AtOnce,
        })
    }

    /// Asks for an end at once.
    pub fn at_once(&self) {
        self.raise(Phase::AtOnce);
    }

    /// How urgent it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.shared.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::AtOnce,
        }
    }

    /// Whether an end was asked for.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.phase() != Phase::Running
    }

    /// Waits until it is at least as urgent as `phase`. The future keeps nothing but a handle, and may be dropped.
    pub fn reached(&self, phase: Phase) -> Reached {
        Reached { shutdown: self.clone(), phase, place: None }
    }

    /// Waits until an end is asked for, blocking the thread.
    pub fn wait_blocking(&self) {
        let mut waiting = self.waiting();
        while !self.is_triggered() {
            waiting = self.shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same for at most `limit` of real time; says whether an end was asked for.
    #[must_use]
    pub fn wait_blocking_for(&self, limit: Duration) -> bool {
        let waiting = self.waiting();
        let running = |_: &mut Waiting| !self.is_triggered();
        drop(self.shared.changed.wait_timeout_while(waiting, limit, running));
        self.is_triggered()
    }

    fn raise(&self, to: Phase) -> Phase {
        let waiting = {
            // Under the lock, so that nobody looks before and sleeps after.
            let mut waiting = self.waiting();
            if self.shared.phase.fetch_max(to as u8, Ordering::AcqRel) >= to as u8 {
                return self.phase();
            }
            std::mem::take(&mut waiting.wakers)
        };
        self.shared.changed.notify_all();
        waiting.into_values().for_each(Waker::wake);
        self.phase()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("phase", &self.phase()).finish()
    }
}

/// The future of [`Shutdown::reached`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct Reached {
    shutdown: Shutdown,
    phase: Phase,
    place: Option<u64>,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.shutdown.phase() >= self.phase {
            return Poll::Ready(());
        }
        let place = {
            let mut waiting = self.shutdown.waiting();
            // Looked at again under the lock: a trigger in between has woken those that were there.
            if self.shutdown.phase() >= self.phase {
                return Poll::Ready(());
            }
            let place = self.place.unwrap_or_else(|| {
                waiting.serial += 1;
                waiting.serial
            });
            let waker = waiting.wakers.entry(place).or_insert_with(|| context.waker().clone());
            waker.clone_from(context.waker());
            place
        };
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.shutdown.waiting().wakers.remove(&place);
        }
    }
}

pub use sequence::{Ended, Entry, Outcome, Sequence, Slice, Stage, WITHIN_MAX};
#[cfg(feature = "signals")]
pub use signals::NoSignals;

#[cfg(feature = "signals")]
mod signals {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use super::Shutdown;

    /// The process cannot listen to signals.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen to SIGTERM and SIGINT")]
    pub struct NoSignals {
        /// What the system said.
        #[source]
        pub source: io::Error,
    }

    static HEARD: Mutex<Option<Shutdown>> = Mutex::new(None);

    impl Shutdown {
        /// The one that SIGTERM and SIGINT trigger: the first signal asks for an end, the second for one at once. There is
        /// one in a process, whoever asks for it; from the first call on the signals no longer end the process by
        /// themselves.
        ///
        /// # Errors
        /// When no handler can be set up.
        pub fn on_signals() -> Result<Self, NoSignals> {
            let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(shutdown) = &*heard {
                return Ok(shutdown.clone());
            }
            let shutdown = Self::new();
            listen(shutdown.clone()).map_err(|source| NoSignals { source })?;
            *heard = Some(shutdown.clone());
            Ok(shutdown)
        }
    }

    /// A handler may do next to nothing: it writes a byte into a pipe, and a thread reads that.
    #[cfg(unix)]
    fn listen(shutdown: Shutdown) -> io::Result<()> {
        use std::io::Read;
        use std::os::unix::net::UnixStream;

        use signal_hook::consts::{SIGINT, SIGTERM};

        let (mut read, write) = UnixStream::pair()?;
        std::thread::Builder::new().name(String::from("unattended-signals")).spawn(move || {
            let mut byte = [0_u8; 1];
            loop {
                match read.read(&mut byte) {
                    Ok(1) => {
                        shutdown.trigger();
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(_) | Err(_) => return,
                }
            }
        })?;
        signal_hook::low_level::pipe::register(SIGINT, write.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGTERM, write)?;
        Ok(())
    }

    /// Where there are no such pipes a thread looks at a flag now and then.
    #[cfg(not(unix))]
    fn listen(shutdown: Shutdown) -> io::Result<()> {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicBool, Ordering};
        use std::time::Duration;

        use signal_hook::consts::{SIGINT, SIGTERM};

        use crate::base::time::{SleepBlocking, System};

        let asked = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGINT, Arc::clone(&asked))?;
        signal_hook::flag::register(SIGTERM, Arc::clone(&asked))?;
        std::thread::Builder::new().name(String::from("unattended-signals")).spawn(move || {
            loop {
                System.sleep_blocking(Duration::from_millis(50));
                if asked.swap(false, Ordering::SeqCst) {
                    shutdown.trigger();
                }
            }
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::park::block_on;

    #[test]
    fn the_first_trigger_drains_and_the_second_means_at_once() {
        let shutdown = Shutdown::new();
        assert_eq!((shutdown.phase(), shutdown.is_triggered()), (Phase::Running, false));
        assert_eq!(shutdown.trigger(), Phase::Draining);
        assert_eq!(shutdown.trigger(), Phase::AtOnce);
        assert_eq!(shutdown.trigger(), Phase::AtOnce, "it never goes back");
        let other = Shutdown::new();
        other.at_once();
        assert_eq!(other.trigger(), Phase::AtOnce);
    }

    #[test]
    fn whoever_waits_is_woken_on_threads_and_as_futures() {
        let shutdown = Shutdown::new();
        std::thread::scope(|scope| {
            let drained = scope.spawn(|| block_on(shutdown.reached(Phase::Draining)));
            let at_once = scope.spawn(|| block_on(shutdown.reached(Phase::AtOnce)));
            let parked = scope.spawn(|| shutdown.wait_blocking());
            assert!(!shutdown.wait_blocking_for(Duration::from_millis(1)));
            shutdown.trigger();
            drained.join().unwrap();
            parked.join().unwrap();
            assert!(!at_once.is_finished());
            shutdown.trigger();
            at_once.join().unwrap();
        });
        assert!(shutdown.wait_blocking_for(Duration::MAX));
    }

    #[test]
    fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let shutdown = Shutdown::new();
        let mut wait = shutdown.reached(Phase::Draining);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut wait).poll(&mut context).is_pending());
        assert!(Pin::new(&mut wait).poll(&mut context).is_pending());
        assert_eq!(shutdown.waiting().wakers.len(), 1);
        drop(wait);
        assert_eq!(shutdown.waiting().wakers.len(), 0);
    }
}
