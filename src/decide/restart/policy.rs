//! The knobs: how many failures in how long, how the delays grow, what is permanent, when to begin afresh.

use std::time::Duration;

use crate::base::backoff::{Backoff, Jitter};
use crate::base::text;
use crate::decide::restart::exit::{Class, How};

pub(super) const FAILURES_LIMIT: u32 = 1000;
const WINDOW_MIN: Duration = Duration::from_secs(1);
const WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);
const STABLE_MAX: Duration = Duration::from_secs(30 * 86_400);
const QUICK_MAX: Duration = Duration::from_secs(3600);
const AGE_MIN: Duration = Duration::from_secs(1);

/// Which ends are begun again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// All of them, a clean exit too (after the first delay, so that what ends at once does not spin).
    Always,
    /// Failures. A clean exit ends it well.
    #[default]
    OnFailure,
    /// None.
    Never,
}

/// When and how often something is begun again.
///
/// | knob | default |
/// |---|---|
/// | [`failures_max`](Policy::failures_max) | 5 within 10 min: the fifth is told to a person |
/// | [`backoff`](Policy::backoff) | 1 s, doubled to 60 s, full jitter |
/// | [`stable_after`](Policy::stable_after) | 60 s, and at least twice the last delay |
/// | [`same_max`](Policy::same_max), [`quick`](Policy::quick) | the same error 3 times in a row, each within 2 s after its start |
/// | [`permanent`](Policy::permanent) | exit codes 64, 65, 77 and 78 |
/// | [`success`](Policy::success) | exit code 0 |
/// | [`restart`](Policy::restart) | [`Restart::OnFailure`] |
/// | recycling | never |
///
/// An end by a signal that the supervisor did not send is a failure, SIGTERM too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) failures_max: u32,
    pub(super) window: Duration,
    pub(super) backoff: Backoff,
    pub(super) stable_after: Duration,
    pub(super) same_max: Option<u32>,
    pub(super) quick: Duration,
    pub(super) restart: Restart,
    permanent: Codes,
    success: Codes,
    pub(super) age_max: Option<Duration>,
    pub(super) runs_max: Option<u64>,
    pub(super) resident_max: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            failures_max: 5,
            window: Duration::from_secs(600),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            stable_after: Duration::from_secs(60),
            same_max: Some(3),
            quick: Duration::from_secs(2),
            restart: Restart::OnFailure,
            permanent: Codes::of(&[64, 65, 77, 78]),
            success: Codes::of(&[0]),
            age_max: None,
            runs_max: None,
            resident_max: None,
        }
    }

    /// The so-manieth failure within `window` is told to a person instead of tried again: 1 to 1000, within 1 s to 366 days. A
    /// failure that is exactly as old as the window is still in it.
    #[must_use]
    pub const fn failures_max(mut self, failures: u32, window: Duration) -> Self {
        self.failures_max = failures;
        self.window = window;
        self
    }

    /// The delay before a failure is tried again.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The delays begin anew after an uptime of this, or of twice the last delay if that is longer; up to 30 days.
    #[must_use]
    pub const fn stable_after(mut self, uptime: Duration) -> Self {
        self.stable_after = uptime;
        self
    }

    /// The same error so often in a row, each time [`quick`](Self::quick) after the start, is told at once: 2 to 1000.
    #[must_use]
    pub const fn same_max(mut self, times: u32) -> Self {
        self.same_max = Some(times);
        self
    }

    /// The same error is not told before the window is full.
    #[must_use]
    pub const fn same_unlimited(mut self) -> Self {
        self.same_max = None;
        self
    }

    /// An end within this time after the start is a quick one, up to an hour.
    #[must_use]
    pub const fn quick(mut self, quick: Duration) -> Self {
        self.quick = quick;
        self
    }

    /// Which ends are begun again.
    #[must_use]
    pub const fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Exit codes after which trying again cannot help, in place of the default ones.
    ///
    /// Those are, of sysexits(3): 64 (wrong usage), 65 (wrong data), 77 (not permitted) and 78 (wrong configuration). 66 (no
    /// input) is not among them, since a file may still come; nor are the shell's 126 and 127, since a program may be about to be
    /// installed anew.
    #[must_use]
    pub const fn permanent(mut self, codes: &[u8]) -> Self {
        self.permanent = Codes::of(codes);
        self
    }

    /// Exit codes that mean that all is well, in place of 0 alone.
    #[must_use]
    pub const fn success(mut self, codes: &[u8]) -> Self {
        self.success = Codes::of(codes);
        self
    }

    /// It is begun afresh when it has been up for so long, at least 1 s.
    #[must_use]
    pub const fn recycle_after(mut self, age: Duration) -> Self {
        self.age_max = Some(age);
        self
    }

    /// It is begun afresh after so many runs or requests (told by [`State::ran`](crate::decide::restart::State::ran)), at
    /// least 1.
    #[must_use]
    pub const fn recycle_after_runs(mut self, runs: u64) -> Self {
        self.runs_max = Some(runs);
        self
    }

    /// It is begun afresh when more than so many bytes of it are resident in memory, at least 1.
    #[must_use]
    pub const fn recycle_above(mut self, resident: u64) -> Self {
        self.resident_max = Some(resident);
        self
    }

    /// The limit of resident memory above which it is begun afresh.
    #[must_use]
    pub const fn resident_max(&self) -> Option<u64> {
        self.resident_max
    }

    /// After how many runs it is begun afresh.
    #[must_use]
    pub const fn runs_max(&self) -> Option<u64> {
        self.runs_max
    }

    /// What an end counts as.
    #[must_use]
    pub fn class_of(&self, how: How) -> Class {
        match how {
            How::Recycled => Class::Recycled,
            How::Code(code) if self.success.has(code) => Class::Success,
            How::Code(code) if self.permanent.has(code) => Class::Permanent,
            _ => Class::Failure,
        }
    }

    /// The same policy, if it makes sense.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn build(self) -> Result<Self, Error> {
        self.check().map(|()| self)
    }

    /// How many failures within which time, the delays, and the codes that are permanent: what systemd can be told too.
    #[cfg(all(feature = "systemd", unix))]
    pub(crate) fn parts(&self) -> (u32, Duration, Backoff, Vec<i32>) {
        let permanent = (1..=255).filter(|code| self.permanent.has(*code)).collect();
        (self.failures_max, self.window, self.backoff, permanent)
    }

    /// Whether the policy makes sense.
    ///
    /// # Errors
    /// [`Error::Field`] with the first knob that does not, and [`Error::Unreachable`] where the longest delays between
    /// `failures_max` failures do not fit into the window: then the limit would never be reached, and a defect be restarted
    /// for ever. (With systemd it is `StartLimitIntervalSec=10`, its default, beside a `RestartSec=` of some seconds.)
    pub fn check(&self) -> Result<(), Error> {
        field("failures_max", self.failures_max, 1, FAILURES_LIMIT)?;
        span("window", self.window, WINDOW_MIN, WINDOW_MAX)?;
        span("stable_after", self.stable_after, Duration::ZERO, STABLE_MAX)?;
        span("quick", self.quick, Duration::ZERO, QUICK_MAX)?;
        if let Some(times) = self.same_max {
            field("same_max", times, 2, FAILURES_LIMIT)?;
        }
        if let Some(age) = self.age_max {
            span("recycle_after", age, AGE_MIN, WINDOW_MAX)?;
        }
        field("recycle_after_runs", self.runs_max.unwrap_or(1), 1, u64::MAX)?;
        field("recycle_above", self.resident_max.unwrap_or(1), 1, u64::MAX)?;
        if let Some(code) = self.permanent.both(self.success) {
            let allowed = String::from("no code that is a success too");
            return Err(Error::Field { field: "permanent", given: code.to_string(), allowed });
        }
        let delays = self.longest_delays();
        if self.failures_max > 1 && delays >= self.window {
            return Err(Error::Unreachable { failures_max: self.failures_max, window: self.window, delays });
        }
        Ok(())
    }

    /// How long the delays before the last failure of a full window are together, when each is as long as it can be.
    fn longest_delays(&self) -> Duration {
        let (base, _, min, max, jitter) = self.backoff.parts();
        let mut last = Duration::ZERO;
        (0..self.failures_max.saturating_sub(1)).fold(Duration::ZERO, |sum, step| {
            last = match jitter {
                Jitter::Decorrelated => last.saturating_mul(3).max(base),
                Jitter::None | Jitter::Full | Jitter::Equal => self.backoff.ceiling(step),
            };
            last = last.max(min).min(max);
            sum.saturating_add(last)
        })
    }
}

/// A set of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Codes([u128; 2]);

impl Codes {
    const fn of(codes: &[u8]) -> Self {
        let (mut sets, mut at) = ([0_u128; 2], 0);
        while at < codes.len() {
            sets[(codes[at] >> 7) as usize] |= 1 << (codes[at] & 127);
            at += 1;
        }
        Self(sets)
    }

    fn has(self, code: i32) -> bool {
        u8::try_from(code).is_ok_and(|code| self.0[usize::from(code >> 7)] >> (code & 127) & 1 == 1)
    }

    /// The first code that is in both.
    fn both(self, other: Self) -> Option<i32> {
        (0..=255).find(|code| self.has(*code) && other.has(*code))
    }
}

/// What is wrong with a policy or with a saved state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob, or a part of a saved state, out of its range.
    #[error("restart policy: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// The limit would never be reached, because of the policy's own delays.
    #[error(
        "restart policy: failures_max is {failures_max} within {}, which is never reached: the delays alone can take {}; \
         allowed is a window above that",
        text::exact(*window), text::exact(*delays)
    )]
    Unreachable {
        /// The failures of the limit.
        failures_max: u32,
        /// The window that was given.
        window: Duration,
        /// What the delays between so many failures add up to at most; the window must be longer.
        delays: Duration,
    },
    /// A saved state in a format that this version does not know.
    #[error("saved restart state has version {found}, this program knows {known}")]
    Version {
        /// The version in the state.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
}

fn field<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    given: T,
    min: T,
    max: T,
) -> Result<(), Error> {
    if given >= min && given <= max {
        return Ok(());
    }
    Err(Error::Field { field, given: given.to_string(), allowed: format!("{min} to {max}") })
}

fn span(field: &'static str, given: Duration, min: Duration, max: Duration) -> Result<(), Error> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let allowed = format!("{} to {}", text::exact(min), text::exact(max));
    Err(Error::Field { field, given: text::exact(given), allowed })
}
