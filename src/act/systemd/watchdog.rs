//! Keep-alive pings on proof of progress.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::act::systemd::error::Error;
use crate::act::systemd::notify::{Notifier, micros};
use crate::act::systemd::pace::{Beat, Pace};
use crate::base::time::{Clock, System};

/// The longest interval: a year.
const INTERVAL_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Pings the service manager when work makes progress, and only then.
///
/// Whoever works says [`progressed`](Self::progressed) as often as he likes; it costs a reading of the clock. A ping goes out at
/// once if the last is at least half of the interval ago; else it is remembered, and a ticker sends it when half of the interval is
/// over. Without progress there is no ping, and the service manager ends the service: that is what `WatchdogSec=` is for.
///
/// Clones are handles to the same one. The ticker's thread sleeps while nothing is to be told, and ends with the last handle.
#[derive(Clone)]
pub struct Watchdog {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    notifier: Notifier,
    /// What the unit says.
    interval: Duration,
    /// Whether progress waits to be told: then one more step of work changes nothing.
    waits: AtomicBool,
    /// Before this moment, in nanoseconds, nothing is sent.
    earliest: AtomicU64,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    pace: Pace,
    /// Long pieces of work that are under way: a number of their own, and how long each may take.
    long: Vec<(u64, Duration)>,
    serial: u64,
    /// How often the service manager expects a ping, as far as it was told.
    told: Duration,
    over: bool,
}

impl Watchdog {
    /// As the service manager asks for it by `WATCHDOG_USEC` and `WATCHDOG_PID`. `None` if it does not, if it means another
    /// process, or if the notifier tells nobody.
    ///
    /// # Errors
    /// [`Error::Field`] for a variable that is there and is no number above zero; [`Error::Make`] where no thread can be had.
    pub fn from_env(notifier: &Notifier) -> Result<Option<Self>, Error> {
        let [interval, pid] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map(env::var_os);
        match asked(interval.as_deref(), pid.as_deref(), std::process::id())? {
            Some(interval) if notifier.is_connected() => Self::new(notifier, interval).map(Some),
            _ => Ok(None),
        }
    }

    /// With an interval that is known otherwise.
    ///
    /// # Errors
    /// [`Error::Field`] for an interval under 2 µs or over a year; [`Error::Make`] where no thread can be had.
    pub fn new(notifier: &Notifier, interval: Duration) -> Result<Self, Error> {
        if !(Duration::from_micros(2)..=INTERVAL_MAX).contains(&interval) {
            return Err(Error::field("interval", format!("{interval:?}"), "2 µs to 366 days"));
        }
        let state =
            State { pace: Pace::new(interval), long: Vec::new(), serial: 0, told: interval, over: false };
        let shared = Arc::new(Shared {
            notifier: notifier.clone(),
            interval,
            waits: AtomicBool::new(false),
            earliest: AtomicU64::new(0),
            state: Mutex::new(state),
            wake: Condvar::new(),
        });
        let of_ticker = Arc::clone(&shared);
        let ticker = thread::Builder::new()
            .name(String::from("watchdog"))
            .spawn(move || of_ticker.tick())
            .map_err(|source| Error::Make { what: "the thread of the watchdog", source })?;
        Ok(Self { owner: Arc::new(Owner { shared, ticker: Mutex::new(Some(ticker)) }) })
    }

    /// How often a ping is expected, by the unit.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.owner.shared.interval
    }

    /// The work has got on: something that was to be done is done. Not for a loop that merely goes round.
    pub fn progressed(&self) {
        let shared = &*self.owner.shared;
        let now = System.moment();
        if now.as_nanos() < shared.earliest.load(Ordering::Acquire) && shared.waits.load(Ordering::Acquire) {
            return;
        }
        let mut state = shared.state();
        match state.pace.progressed(now) {
            Beat::Ping => shared.ping(&mut state),
            Beat::NotYet { .. } => {
                shared.waits.store(true, Ordering::Release);
                drop(state);
                shared.wake.notify_one();
            }
            Beat::Silent => {}
        }
    }

    /// A piece of work begins that cannot say how it gets on, and may take this long beyond the interval. Pings are expected
    /// within that time (`WATCHDOG_USEC=`) until the value is dropped; then, which counts as progress, as the unit says again. Of
    /// several the longest counts. At most a year.
    ///
    /// `EXTEND_TIMEOUT_USEC=` would not do: it holds only to the next ping, and any other work of this service may cause one.
    #[must_use = "it is over when it is dropped"]
    pub fn expects(&self, takes: Duration) -> Expecting {
        let shared = &self.owner.shared;
        let mut state = shared.state();
        state.serial = state.serial.wrapping_add(1);
        let serial = state.serial;
        state.long.push((serial, takes));
        shared.changed(&mut state);
        Expecting { shared: Arc::clone(shared), serial }
    }
}

/// A long piece of work that is under way; see [`Watchdog::expects`].
#[must_use = "it is over when it is dropped"]
pub struct Expecting {
    shared: Arc<Shared>,
    serial: u64,
}

impl Drop for Expecting {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.long.retain(|(serial, _)| *serial != self.serial);
        if !state.over {
            self.shared.changed(&mut state);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is due, and sleeps until something is.
    fn tick(&self) {
        let mut state = self.state();
        while !state.over {
            let now = System.moment();
            state = match state.pace.look(now) {
                Beat::Ping => {
                    self.ping(&mut state);
                    state
                }
                Beat::NotYet { until } => {
                    let waited = self.wake.wait_timeout(state, until.since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Beat::Silent => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Sends a ping, and how often one is to be expected where that has changed.
    fn ping(&self, state: &mut State) {
        let longest = state.long.iter().map(|(_, takes)| *takes).max().unwrap_or_default();
        let wanted = self.interval.saturating_add(longest).min(INTERVAL_MAX);
        let sent = match micros("interval", wanted) {
            Ok(micros) if wanted != state.told => {
                self.notifier.send(&[("WATCHDOG_USEC", &micros), ("WATCHDOG", "1")])
            }
            _ => self.notifier.send(&[("WATCHDOG", "1")]),
        };
        let now = System.moment();
        match sent {
            Ok(_) => {
                state.told = wanted;
                state.pace.pinged(wanted, now);
            }
            // Counted by the notifier. The progress still waits, and the ticker tries again.
            Err(_) => state.pace.failed(now),
        }
        self.waits.store(sent.is_err(), Ordering::Release);
        self.earliest.store(state.pace.earliest().as_nanos(), Ordering::Release);
        if sent.is_err() {
            self.wake.notify_one();
        }
    }

    /// What is under way has changed: that is progress, and is told at once.
    fn changed(&self, state: &mut State) {
        state.pace.note();
        self.ping(state);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.wake.notify_all();
        let ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It blocks on nothing but this.
        drop(ticker.map(JoinHandle::join));
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("interval", &self.interval()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Expecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expecting").finish_non_exhaustive()
    }
}

/// What the variables ask of the process `own`, as sd_watchdog_enabled(3) reads them.
fn asked(interval: Option<&OsStr>, pid: Option<&OsStr>, own: u32) -> Result<Option<Duration>, Error> {
    let Some(given) = interval else { return Ok(None) };
    if let Some(pid) = pid {
        let meant: u32 = number("WATCHDOG_PID", pid, "the number of a process")?;
        if meant == 0 {
            return Err(Error::field("WATCHDOG_PID", 0, "the number of a process"));
        }
        if meant != own {
            return Ok(None);
        }
    }
    let allowed = "microseconds, 2 to those of 366 days";
    let micros: u64 = number("WATCHDOG_USEC", given, allowed)?;
    let interval = Duration::from_micros(micros);
    if micros < 2 || interval > INTERVAL_MAX {
        return Err(Error::field("WATCHDOG_USEC", micros, allowed));
    }
    Ok(Some(interval))
}

fn number<T: std::str::FromStr>(name: &'static str, given: &OsStr, allowed: &str) -> Result<T, Error> {
    let digits = given.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let wrong = || Error::field(name, given.to_string_lossy(), allowed);
    digits.and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_are_checked_and_meant_for_this_process() {
        let asked = |interval: &str, pid: &str| {
            let [interval, pid] = [interval, pid].map(|text| (text != "-").then_some(OsStr::new(text)));
            asked(interval, pid, 4711).map_err(|error| error.to_string())
        };
        assert_eq!(asked("-", "-"), Ok(None));
        assert_eq!(asked("-", "rubbish"), Ok(None), "nobody asks");
        assert_eq!(asked("30000000", "-"), Ok(Some(Duration::from_secs(30))));
        assert_eq!(asked("200000", "4711"), Ok(Some(Duration::from_millis(200))), "no floor");
        assert_eq!(asked("30000000", "4712"), Ok(None), "another process");
        for wrong in ["", "0", "1", "-5", "+5", "3.5", "30s", "18446744073709551615", "99999999999999999999"]
        {
            let error = asked(wrong, "4711").expect_err(wrong);
            assert!(
                error.starts_with("systemd: WATCHDOG_USEC is ") && error.contains("allowed is"),
                "{error}"
            );
        }
        for wrong in ["", "0", "me", "99999999999"] {
            assert!(asked("5000", wrong).expect_err(wrong).contains("WATCHDOG_PID"));
        }
    }

    #[test]
    fn an_interval_that_is_no_interval_is_refused() {
        for wrong in [Duration::ZERO, Duration::from_nanos(1999), Duration::MAX] {
            assert!(matches!(
                Watchdog::new(&Notifier::nobody(), wrong),
                Err(Error::Field { field: "interval", .. })
            ));
        }
    }

    #[test]
    fn the_ticker_ends_with_the_last_handle() {
        let watchdog = Watchdog::new(&Notifier::nobody(), Duration::from_secs(3600)).unwrap();
        let shared = Arc::downgrade(&watchdog.owner.shared);
        let clone = watchdog.clone();
        clone.progressed();
        clone.progressed();
        drop(watchdog);
        assert!(shared.upgrade().is_some());
        drop(clone);
        assert!(shared.upgrade().is_none(), "the thread has given up what it shared");
    }
}
