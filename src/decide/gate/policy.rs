//! What closes a gate, what opens it, and when nobody waits any more.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::text::{DURATION_MAX, exact, shortened};
use crate::decide::gate::limit::{Bound, Limit, Missing};
use crate::decide::gate::signal::{Signal, Unit};

/// More limits no policy has.
pub(super) const LIMITS_MAX: usize = 64;
/// A longer name, path or address none of them has, in bytes.
const NAME_MAX: usize = 4096;
/// Numbers of bytes up to here are exact.
const BYTES_MAX: f64 = 9_007_199_254_740_992.0;
const DWELL: Duration = Duration::from_secs(30);
const DWELL_MAX: Duration = Duration::from_secs(86_400);

/// What closes a gate and what opens it.
///
/// [`Policy::calm`], which is the default, asks whether the machine is about to run out of memory; [`Policy::idle`] whether it has
/// something else to do. Others are made by [`Policy::builder`] or read from text such as `cpu:50,mem:75,disk:/var:10GiB`.
///
/// ```
/// use unattended::gate::Policy;
///
/// assert_eq!(Policy::calm().to_string(), "mem:90/80,psi:20/10,dwell:30s");
/// assert_eq!(Policy::idle().to_string(), "cpu:50,mem:75,dwell:30s");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub(super) limits: Vec<Limit>,
    pub(super) dwell: Duration,
    pub(super) give_up_after: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::calm()
    }
}

impl Policy {
    /// One with no limits yet.
    pub const fn builder() -> Builder {
        Builder { limits: Vec::new(), missing: Vec::new(), dwell: DWELL, give_up_after: None }
    }

    /// Memory does not run out: closed above 90 % of memory, or when work stood still for want of it in more than 20 % of the last 10
    /// seconds; open again below 80 % and 10 %, for 30 s. It never gives up by itself.
    #[must_use]
    pub fn calm() -> Self {
        let above = |signal, close, open| Limit::new(signal, Bound::Above { close, open });
        Self {
            limits: vec![above(Signal::Memory, 90.0, 80.0), above(Signal::memory_pressure(), 20.0, 10.0)],
            dwell: DWELL,
            give_up_after: None,
        }
    }

    /// The machine has nothing else to do: processors below 50 % and memory below 75 %, for 30 s once that was not so.
    #[must_use]
    pub fn idle() -> Self {
        let below = |signal, percent| Limit::new(signal, Bound::Above { close: percent, open: percent });
        Self {
            limits: vec![below(Signal::Cpu, 50.0), below(Signal::Memory, 75.0)],
            dwell: DWELL,
            give_up_after: None,
        }
    }

    /// As [`idle`](Self::idle) with other numbers, in percent: it is open while both are below them.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for what is no percentage above 0.
    pub fn below(cpu: f64, memory: f64) -> Result<Self, Error> {
        Self::builder().above(Signal::Cpu, cpu, cpu).above(Signal::Memory, memory, memory).build()
    }

    /// What it limits, in the order in which it was given: the first that is in the way is the one that is told.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// For how long every signal has to be good before it opens.
    #[must_use]
    pub const fn dwell(&self) -> Duration {
        self.dwell
    }

    /// After how long it gives up, if it does.
    #[must_use]
    pub const fn give_up_after(&self) -> Option<Duration> {
        self.give_up_after
    }
}

/// What a policy is to be.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it does nothing until it is built"]
pub struct Builder {
    limits: Vec<Limit>,
    missing: Vec<(Signal, Missing)>,
    dwell: Duration,
    give_up_after: Option<Duration>,
}

impl Builder {
    /// Closed above `close`, open again below `open`, which is the same or less. At most 64 limits in all.
    pub fn above(self, signal: Signal, close: f64, open: f64) -> Self {
        self.limit(signal, Bound::Above { close, open })
    }

    /// Closed below `close`, open again above `open`, which is the same or more.
    pub fn below(self, signal: Signal, close: f64, open: f64) -> Self {
        self.limit(signal, Bound::Below { close, open })
    }

    /// Closed with less than `close` bytes free at `path`, open again with more than `open`.
    #[allow(clippy::cast_precision_loss, reason = "more than 2^53 bytes are refused")]
    pub fn disk_free(self, path: impl Into<PathBuf>, close: u64, open: u64) -> Self {
        self.below(Signal::DiskFreeBytes(path.into()), close as f64, open as f64)
    }

    /// Closed unless it is so: what is to be mounted, to exist, to answer, or to be said by a check.
    pub fn needs(self, signal: Signal) -> Self {
        self.limit(signal, Bound::Yes)
    }

    /// What it means that a signal cannot be read; by default pressure is passed over, and anything else keeps the gate closed.
    pub fn missing(mut self, signal: Signal, means: Missing) -> Self {
        self.missing.push((signal, means));
        self
    }

    /// For how long every signal has to be good before it opens, up to a day, rounded up to a millisecond; default 30 s. Zero only where each limit has two
    /// thresholds: else it would open and close with each sample.
    pub const fn dwell(mut self, dwell: Duration) -> Self {
        self.dwell = dwell;
        self
    }

    /// After how long it gives up, counted from the first answer that was not "open"; more than the dwell, at most 100 years. By
    /// default never: then whoever waits has to say how long.
    pub fn give_up_after(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.give_up_after = limit.into();
        self
    }

    pub(super) fn limit(mut self, signal: Signal, bound: Bound) -> Self {
        self.limits.push(Limit::new(signal, bound));
        self
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for a threshold that is none, or on the wrong side of the other; for a signal that is limited twice or cannot
    /// be limited so; for a dwell of zero that would make it flap; for a give-up that comes before it could open.
    pub fn build(self) -> Result<Policy, Error> {
        let Self { mut limits, missing, .. } = self;
        let (dwell, give_up_after) = (up(self.dwell), self.give_up_after.map(up));
        if limits.is_empty() || limits.len() > LIMITS_MAX {
            return Err(Error::field("limits", limits.len(), format!("1 to {LIMITS_MAX}")));
        }
        for (at, limit) in limits.iter().enumerate() {
            name(&limit.signal)?;
            bound(&limit.signal, limit.bound)?;
            if limits.iter().take(at).any(|other| other.signal == limit.signal) {
                return Err(Error::field("limits", format!("{} twice", limit.signal), "each signal once"));
            }
        }
        for (signal, means) in missing {
            match limits.iter_mut().find(|limit| limit.signal == signal) {
                Some(limit) => limit.missing = means,
                None => {
                    let given = format!("{signal}, which has no limit");
                    return Err(Error::field("missing", given, "a signal that has a limit"));
                }
            }
        }
        if dwell > DWELL_MAX {
            return Err(Error::field("dwell", exact(dwell), "at most 24h"));
        }
        let flaps = limits.iter().any(|limit| match limit.bound {
            Bound::Above { close, open } | Bound::Below { close, open } => close == open,
            Bound::Yes => true,
        });
        if dwell.is_zero() && flaps {
            let allowed =
                "more, or two thresholds for each signal: with one it would open and close with each sample";
            return Err(Error::field("dwell", "0s", allowed));
        }
        if let Some(after) = give_up_after
            && (after <= dwell || after > DURATION_MAX)
        {
            let allowed = format!("more than the dwell of {}, at most 100 years", exact(dwell));
            return Err(Error::field("give_up_after", exact(after), allowed));
        }
        Ok(Policy { limits, dwell, give_up_after })
    }
}

/// In whole milliseconds, as it is written.
fn up(duration: Duration) -> Duration {
    let rest = duration.subsec_nanos() % 1_000_000;
    if rest == 0 {
        duration
    } else {
        duration.saturating_add(Duration::from_nanos(u64::from(1_000_000 - rest)))
    }
}

/// What the signal is of has to be sayable.
fn name(signal: &Signal) -> Result<(), Error> {
    let bad = |field, given: &str, allowed: &str| {
        Err(Error::field(field, format!("{:?}", shortened(given, 120)), allowed))
    };
    let fits = |text: &str| !text.is_empty() && text.len() <= NAME_MAX && !text.chars().any(char::is_control);
    if let Some(path) = signal.path() {
        let Some(text) = path.to_str() else {
            return bad("path", &path.to_string_lossy(), "a path in UTF-8");
        };
        if !fits(text) {
            return bad("path", text, "1 to 4096 bytes without control characters");
        }
    }
    match signal {
        Signal::Custom(name) if !fits(name) => {
            bad("name", name, "1 to 4096 bytes without control characters")
        }
        Signal::Answers(address) if !fits(address) || !is_address(address) => {
            bad("address", address, "a host, a colon and a port from 1 to 65535, such as db.internal:5432")
        }
        _ => Ok(()),
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let in_brackets = host.starts_with('[') && host.ends_with(']');
        !host.is_empty()
            && !host.contains(char::is_whitespace)
            && (in_brackets || !host.contains(':'))
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse().is_ok_and(|port: u16| port > 0)
    })
}

fn bound(signal: &Signal, bound: Bound) -> Result<(), Error> {
    let (close, open, above) = match bound {
        Bound::Above { close, open } => (close, open, true),
        Bound::Below { close, open } => (close, open, false),
        Bound::Yes => {
            return match signal.unit() {
                Unit::YesNo | Unit::Any => Ok(()),
                _ => Err(Error::field(
                    "signal",
                    format!("{signal} as yes or no"),
                    "a number with its thresholds",
                )),
            };
        }
    };
    if signal.unit() == Unit::YesNo {
        return Err(Error::field("signal", format!("{signal} as a number"), "needed, without thresholds"));
    }
    if signal.unit() != Unit::Any && above == signal.is_supply() {
        let (given, allowed) = if above { ("above", "below") } else { ("below", "above") };
        return Err(Error::field("signal", format!("{signal} {given} a number"), allowed));
    }
    for (field, number) in [("close", close), ("open", open)] {
        let allowed = match signal.unit() {
            Unit::Percent if above || field == "close" => (number > 0.0 && number <= 100.0, "above 0 to 100"),
            // Nothing is above all of it.
            Unit::Percent => (number > 0.0 && number < 100.0, "above 0 to below 100"),
            Unit::Bytes => {
                ((1.0..=BYTES_MAX).contains(&number) && number.fract() == 0.0, "1 to 2^53 whole bytes")
            }
            Unit::Plain => (number > 0.0 && number.is_finite(), "above 0"),
            Unit::YesNo | Unit::Any => (number.is_finite(), "a number"),
        };
        if !allowed.0 {
            return Err(Error::field(field, format!("{number} for {signal}"), allowed.1));
        }
    }
    if if above { open > close } else { open < close } {
        let side = if above { "at most" } else { "at least" };
        let allowed = format!("{side} {}, at which it closes", signal.shown(close));
        return Err(Error::field("open", format!("{} for {signal}", signal.shown(open)), allowed));
    }
    Ok(())
}

/// What is wrong with a policy, or with what was saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its range.
    #[error("gate: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// It was saved by a version of the library that is not known here.
    #[error("gate: it has version {found}, known is {known}")]
    Version {
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
    },
}

impl Error {
    pub(super) fn field(field: &'static str, given: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Field { field, given: given.to_string(), allowed: allowed.into() }
    }
}
