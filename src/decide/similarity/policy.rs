//! The threshold, the budgets, and the comparisons.

use std::borrow::Cow;

use super::bytes::eol_changed;
use super::meter::Meter;
use super::steps::{self, Known, May, Plan};
use super::units;
use super::verdict::{Cut, Limit, Step, Unit, Verdict, Why};

/// Millionths in one.
const WHOLE: u32 = 1_000_000;

const MEMORY_MIN: u64 = 1 << 16;

/// When a change means something, and what it may cost to find that out.
///
/// The ratio of two texts is `2 * LCS / T`, where `LCS` is the length of their longest common subsequence and `T` the sum of
/// their lengths. A change means something when the ratio is below the threshold; a ratio that equals it does not.
///
/// | | default | allowed |
/// |---|---|---|
/// | `threshold_ppm` | 980,000 (0.98) | 1 to 1,000,000 |
/// | `changed_bytes_max` | none | any |
/// | `work_max` | 1,000,000,000 steps, about a second | any |
/// | `memory_max` | 16 MiB | 64 KiB and more |
/// | `unit` | bytes | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    threshold_ppm: u32,
    changed_bytes_max: Option<u64>,
    work_max: u64,
    memory_max: u64,
    unit: Unit,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            threshold_ppm: 980_000,
            changed_bytes_max: None,
            work_max: 1_000_000_000,
            memory_max: 16 << 20,
            unit: Unit::Bytes,
        }
    }
}

impl Policy {
    /// Begins with the defaults.
    pub fn builder() -> Builder {
        Builder { policy: Self::default() }
    }

    /// The threshold in millionths.
    #[must_use]
    pub const fn threshold_ppm(&self) -> u32 {
        self.threshold_ppm
    }

    /// What is counted.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// `k`: the most units that may be inserted and deleted between texts of these lengths without it being meaningful.
    ///
    /// `floor((1 - threshold) * (old + new))`, and no more than `changed_bytes_max`.
    ///
    /// ```
    /// use unattended::similarity::Policy;
    ///
    /// assert_eq!(Policy::default().allowed(1_000, 1_000), 40);
    /// assert_eq!(Policy::default().allowed(20, 20), 0);
    /// ```
    #[must_use]
    pub fn allowed(&self, old: u64, new: u64) -> u64 {
        let total = u128::from(old) + u128::from(new);
        let k = u128::from(WHOLE - self.threshold_ppm) * total / u128::from(WHOLE);
        u64::try_from(k).unwrap_or(u64::MAX).min(self.changed_bytes_max.unwrap_or(u64::MAX))
    }

    /// Whether `new` is a meaningful change of `old`.
    ///
    /// ```
    /// use unattended::similarity::Policy;
    ///
    /// let old = "A line of a document.\n".repeat(100);
    /// let new = old.replacen("document", "manual", 1);
    /// let verdict = Policy::default().compare(old.as_bytes(), new.as_bytes());
    /// assert!(!verdict.is_meaningful());
    /// ```
    pub fn compare(&self, old: &[u8], new: &[u8]) -> Verdict {
        self.compare_until(old, new, &mut || false)
    }

    /// The same, until `over` says that time is over; then what is not decided is assumed to be meaningful.
    ///
    /// `over` is asked between the steps and within the long ones, about every millisecond. The decider itself reads no clock.
    pub fn compare_until(&self, old: &[u8], new: &[u8], over: &mut dyn FnMut() -> bool) -> Verdict {
        let mut meter = Meter::new(over);
        match self.unit {
            Unit::Bytes => {
                let (old_len, new_len) = (old.len() as u64, new.len() as u64);
                let k = self.allowed(old_len, new_len);
                let known = steps::compare(old, new, &self.plan(k), &mut meter);
                self.verdict((old_len, new_len, k), known, || eol_changed(old, new))
            }
            unit => {
                let compared = units::compare(old, new, unit, self, &mut meter);
                self.verdict(compared.0, compared.1, || eol_changed(old, new))
            }
        }
    }

    /// Compares what a filter leaves of either text: without time stamps, without ids. The lengths in the verdict are
    /// those of what was compared. A filter is for the decision only; what is kept is the text.
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use unattended::similarity::Policy;
    ///
    /// // Without the first line, which is a date.
    /// let body = |text: &[u8]| match text.iter().position(|byte| *byte == b'\n') {
    ///     Some(end) => text[end + 1..].to_vec(),
    ///     None => Vec::new(),
    /// };
    /// let verdict = Policy::default().compare_filtered(b"Monday\nall is well", b"Tuesday\nall is well", |text| {
    ///     Cow::Owned(body(text))
    /// });
    /// assert!(!verdict.is_meaningful());
    /// ```
    pub fn compare_filtered<F>(&self, old: &[u8], new: &[u8], filter: F) -> Verdict
    where
        F: for<'a> Fn(&'a [u8]) -> Cow<'a, [u8]>,
    {
        self.compare(&filter(old), &filter(new))
    }

    pub(super) const fn plan(&self, k: u64) -> Plan {
        Plan { k, work_max: self.work_max, memory_max: self.memory_max, may: May::ALL }
    }

    pub(super) fn verdict(
        &self,
        (old, new, allowed): (u64, u64, u64),
        known: Known,
        eol: impl FnOnce() -> bool,
    ) -> Verdict {
        let Known { step, at_least, at_most, cut } = known;
        let eol_changed = step != Step::Equal && step != Step::Length && eol();
        let why = Why { step, unit: self.unit, old, new, allowed, at_least, at_most, eol_changed };
        if at_most <= allowed {
            Verdict::NotMeaningful(why)
        } else if at_least > allowed {
            Verdict::Meaningful(why)
        } else {
            let cut = cut.unwrap_or(Cut::Work { needed: u64::MAX, max: self.work_max });
            Verdict::AssumedMeaningful(Limit { cut, why })
        }
    }
}

/// Makes a [`Policy`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Builder {
    policy: Policy,
}

impl Builder {
    /// Below this ratio, in millionths, a change means something.
    pub const fn threshold_ppm(mut self, ppm: u32) -> Self {
        self.policy.threshold_ppm = ppm;
        self
    }

    /// More units inserted and deleted than this mean something, whatever the ratio: 2 % of a gigabyte are 20 MB. It
    /// also bounds the time that is needed to be sure.
    pub const fn changed_bytes_max(mut self, bytes: Option<u64>) -> Self {
        self.policy.changed_bytes_max = bytes;
        self
    }

    /// How many steps an exact search may take; a step is about a nanosecond. With none, what the quick steps leave open
    /// is assumed to be meaningful.
    ///
    /// By default pairs of up to 1 MB are always decided at a threshold of 0.98 and above.
    pub const fn work_max(mut self, steps: u64) -> Self {
        self.policy.work_max = steps;
        self
    }

    /// How many bytes a comparison may take beside the two texts.
    pub const fn memory_max(mut self, bytes: u64) -> Self {
        self.policy.memory_max = bytes;
        self
    }

    /// What is counted. Lines and words are interned, so that they take memory in proportion to the text.
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.policy.unit = unit;
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for a threshold of zero or above 1,000,000, and for less memory than 64 KiB.
    pub const fn build(self) -> Result<Policy, Error> {
        let Policy { threshold_ppm, memory_max, .. } = self.policy;
        if threshold_ppm == 0 || threshold_ppm > WHOLE {
            let given = threshold_ppm as u64;
            return Err(Error::Field { field: "threshold_ppm", given, least: 1, most: WHOLE as u64 });
        }
        if memory_max < MEMORY_MIN {
            let most = u64::MAX;
            return Err(Error::Field { field: "memory_max", given: memory_max, least: MEMORY_MIN, most });
        }
        Ok(self.policy)
    }
}

/// What is wrong with a policy or a stored profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its bounds.
    #[error("{field} is {given}, allowed are {least} to {most}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What was given.
        given: u64,
        /// The least that is allowed.
        least: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// A stored profile contradicts itself.
    #[error("{field} of the profile is {given}, by its length it is {expected}")]
    Profile {
        /// What does not fit.
        field: &'static str,
        /// What it is.
        given: u64,
        /// What it must be.
        expected: u64,
    },
}
