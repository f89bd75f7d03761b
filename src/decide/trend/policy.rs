//! When a share has risen.

use crate::base::stats::wilson_upper;

/// More is never learned from.
const LEARN_MAX: u32 = 1_000_000;
/// The upper limit of the share that was learned is one-sided at 95 %.
pub(super) const Z: f64 = 1.644_854;

/// When a share has risen; [`Policy::default`] is right for most.
///
/// What was learned is `bad` of `n`; the share `p0` that is taken for usual is the upper limit of Wilson's interval, so that
/// little evidence alerts late rather than falsely. What is looked for is `p1`, the greater of `factor` times `p0` and `p0 + add`
/// (at most halfway from `p0` to 1).
///
/// `cargo test --all-features --test it trend::simulation -- --nocapture` prints, over hundreds of seeds, how many false alerts
/// there are and how many runs it takes to find what: the figures stand in `docs/trends.md`.
///
/// As JSON the names are those of the builder; what is absent is as by default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    pub(super) learn_min: u32,
    pub(super) learn_max: u32,
    pub(super) threshold: f64,
    pub(super) recover: f64,
    pub(super) factor: f64,
    pub(super) add: f64,
    pub(super) bad_max: Option<f64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            learn_min: 50,
            learn_max: 1000,
            threshold: 7.0,
            recover: 3.0,
            factor: 5.0,
            add: 0.05,
            bad_max: Some(0.5),
        }
    }
}

impl Policy {
    /// The defaults, to be changed.
    pub fn builder() -> Builder {
        Builder(Self::default())
    }

    /// The share that is usual, as far as `bad` of `of` says, and the one that is looked for.
    pub(super) fn shares(&self, bad: u64, of: u64) -> (f64, f64) {
        // A share of nothing at all would make one bad one infinitely unlikely, and one of everything leaves nothing to find.
        let usual = wilson_upper(bad, of, Z).clamp(1e-6, 1.0 - 1e-6);
        let worse = (self.factor * usual).max(usual + self.add).min(usual + (1.0 - usual) / 2.0);
        (usual, worse)
    }

    /// What is assumed of a stream of which nothing was learned.
    pub(super) fn assumed(&self) -> (f64, f64) {
        (self.add, self.bad_max.unwrap_or(0.5).max(2.0 * self.add).min(f64::midpoint(1.0, self.add)))
    }
}

/// What a policy is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "it does nothing until it is built"]
pub struct Builder(pub(super) Policy);

impl Builder {
    /// How many are learned from before anything is judged, 10 to 1,000,000; default 50.
    pub const fn learn_min(mut self, n: u32) -> Self {
        self.0.learn_min = n;
        self
    }

    /// After how many what was learned stays as it is, `learn_min` to 1,000,000; default 1,000. Until then those that turned out
    /// to be usual are added.
    pub const fn learn_max(mut self, n: u32) -> Self {
        self.0.learn_max = n;
        self
    }

    /// What the sum has to pass for an alert, 2 to 50; default 7. There is at most one false alert in `e^threshold` observations
    /// (Lorden, "Procedures for reacting to a change in distribution", 1971), in practice far fewer.
    pub const fn threshold(mut self, limit: f64) -> Self {
        self.0.threshold = limit;
        self
    }

    /// What the same sum, the other way round, has to pass for an alert to be over, 0.5 to 50; default 3.
    pub const fn recover(mut self, limit: f64) -> Self {
        self.0.recover = limit;
        self
    }

    /// A rise to so many times the usual is looked for, 1.5 to 100; default 5.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.0.factor = factor;
        self
    }

    /// Or a rise by so much, if that is more, 0.01 to 0.5; default 0.05.
    pub const fn add(mut self, share: f64) -> Self {
        self.0.add = share;
        self
    }

    /// A share above which what is being learned is bad in itself, 0.1 to 0.9; default 0.5. So a job that has failed from its first
    /// run on is told after three runs, and not learned as usual. `None` learns anything.
    pub fn bad_max(mut self, share: impl Into<Option<f64>>) -> Self {
        self.0.bad_max = share.into();
        self
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for what is out of its range.
    pub fn build(self) -> Result<Policy, Error> {
        let Policy { learn_min, learn_max, threshold, recover, factor, add, bad_max } = self.0;
        whole("learn_min", learn_min, 10, LEARN_MAX)?;
        whole("learn_max", learn_max, learn_min, LEARN_MAX)?;
        number("threshold", threshold, 2.0, 50.0)?;
        number("recover", recover, 0.5, 50.0)?;
        number("factor", factor, 1.5, 100.0)?;
        number("add", add, 0.01, 0.5)?;
        if let Some(bad_max) = bad_max {
            number("bad_max", bad_max, 0.1, 0.9)?;
        }
        Ok(self.0)
    }
}

fn whole(field: &'static str, given: u32, least: u32, most: u32) -> Result<(), Error> {
    if (least..=most).contains(&given) { Ok(()) } else { Err(Error::field(field, given, least, most)) }
}

fn number(field: &'static str, given: f64, least: f64, most: f64) -> Result<(), Error> {
    if (least..=most).contains(&given) { Ok(()) } else { Err(Error::field(field, given, least, most)) }
}

/// What is wrong with a policy, or with what was saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its range.
    #[error("{field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// It was saved by a version of the library that is not known here.
    #[error("it has version {found}, known is {known}")]
    Version {
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
    },
}

impl Error {
    pub(super) fn field<T: std::fmt::Display>(field: &'static str, given: T, least: T, most: T) -> Self {
        Self::Field { field, given: given.to_string(), allowed: format!("{least} to {most}") }
    }

    pub(super) fn saved(field: &'static str, given: impl std::fmt::Display, allowed: &str) -> Self {
        Self::Field { field, given: given.to_string(), allowed: allowed.to_owned() }
    }
}
