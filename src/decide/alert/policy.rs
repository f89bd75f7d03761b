//! How often a person is told.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SPAN_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The most pages that a limit can allow.
pub const PAGES_MAX: u32 = 1000;

/// How often a person is told; [`Policy::default`] is right for most.
///
/// As JSON the names are those of the builder, with durations as `NAME_ms` in milliseconds, and the limit as `pages` and `per_ms`; what is
/// absent is as by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) again_after: Duration,
    pub(super) again_max: Duration,
    pub(super) healthy_for: Duration,
    pub(super) pages: u32,
    pub(super) per: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { again_after: HOUR, again_max: 24 * HOUR, healthy_for: 15 * MINUTE, pages: 20, per: HOUR }
    }
}

impl Policy {
    /// The defaults, to be changed.
    pub fn builder() -> Builder {
        Builder(Self::default())
    }

    /// How long after so many pages of one identity it may be paged again.
    pub(super) fn again(&self, paged: u32) -> Duration {
        let doublings = paged.saturating_sub(1).min(31);
        self.again_after.saturating_mul(1 << doublings).min(self.again_max)
    }

    /// How many pages of all identities go out within how long.
    #[must_use]
    pub const fn limit(&self) -> (u32, Duration) {
        (self.pages, self.per)
    }

    /// How long something has to be well.
    #[must_use]
    pub const fn healthy_for(&self) -> Duration {
        self.healthy_for
    }
}

/// A policy that is being described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until it is built"]
pub struct Builder(pub(super) Policy);

impl Builder {
    /// How long after the first page the second may follow, 1 s to 366 days; default 1 h. Each one after takes twice as long.
    pub const fn again_after(mut self, after: Duration) -> Self {
        self.0.again_after = after;
        self
    }

    /// What lies between two pages of one identity at most, `again_after` to 366 days; default 24 h.
    pub const fn again_max(mut self, most: Duration) -> Self {
        self.0.again_max = most;
        self
    }

    /// How long nothing may have happened until it is over, 1 s to 366 days; default 15 min.
    pub const fn healthy_for(mut self, span: Duration) -> Self {
        self.0.healthy_for = span;
        self
    }

    /// How many pages of all identities go out within how long, 1 to 1,000 in 1 s to 366 days; default 20 in 1 h.
    pub const fn limit(mut self, pages: u32, per: Duration) -> Self {
        self.0.pages = pages;
        self.0.per = per;
        self
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Field`] for what is out of its range.
    pub fn build(self) -> Result<Policy, Error> {
        let policy = self.0;
        let second = Duration::from_secs(1);
        for (field, given, least) in [
            ("again_after", policy.again_after, second),
            ("again_max", policy.again_max, policy.again_after.max(second)),
            ("healthy_for", policy.healthy_for, second),
            ("limit.per", policy.per, second),
        ] {
            if given < least || given > SPAN_MAX {
                let (given, allowed) = (format!("{given:?}"), format!("{least:?} to 366 days"));
                return Err(Error::Field { field, given, allowed });
            }
        }
        if policy.pages == 0 || policy.pages > PAGES_MAX {
            let allowed = format!("1 to {PAGES_MAX}");
            return Err(Error::Field { field: "limit.pages", given: policy.pages.to_string(), allowed });
        }
        Ok(policy)
    }
}

/// Why a policy or a saved state is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its range.
    #[error("alert: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// What was saved has a version that this release does not know.
    #[error("the saved alert has version {found}, known is {known}")]
    Version {
        /// Its version.
        found: u32,
        /// What is known.
        known: u32,
    },
}
