//! What a value must be to be accepted, and every way in which it is not.
//!
//! ```
//! use unattended::contract::{self, Contract, Violations};
//!
//! let answer = contract::of("answer", |number: &i64| {
//!     let mut found = Violations::default();
//!     found.unless(*number > 0, "number", "above zero", number);
//!     found.unless(number % 2 == 0, "number", "even", number);
//!     found
//! });
//! assert!(answer.check(&42).is_ok());
//! assert_eq!(answer.check(&-1).unwrap_err().to_string(), "number is -1, allowed is above zero; number is -1, allowed is even");
//! ```

use std::fmt;

use crate::base::text;

/// How many violations are kept; the others are counted.
const KEPT_MAX: usize = 64;
/// How much of a value is told.
const FOUND_MAX: usize = 200;

/// What values of type `T` must be.
pub trait Contract<T: ?Sized> {
    /// Its name, and its version where it has one, such as `upload/2`.
    fn name(&self) -> &str;

    /// Whether `value` is as it must be.
    ///
    /// # Errors
    ///
    /// [`Violations`] with everything that is not, each by its path.
    fn check(&self, value: &T) -> Result<(), Violations>;
}

/// A contract that a closure checks: it collects what is wrong.
#[must_use]
pub fn of<T: ?Sized, F: Fn(&T) -> Violations>(name: impl Into<String>, check: F) -> Checked<F> {
    Checked { name: name.into(), check }
}

/// A contract made by [`of`].
#[derive(Clone)]
pub struct Checked<F> {
    name: String,
    check: F,
}

impl<F> fmt::Debug for Checked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T: ?Sized, F: Fn(&T) -> Violations> Contract<T> for Checked<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, value: &T) -> Result<(), Violations> {
        let found = (self.check)(value);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, such as `items[3].price`.
    pub path: String,
    /// What is there, at most 200 characters of it.
    pub given: String,
    /// What may be there.
    pub allowed: String,
}

/// Everything that is not as it must be. All are counted, the first 64 are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    count: usize,
}

impl Violations {
    /// Notes a violation unless `holds`.
    pub fn unless(&mut self, holds: bool, path: &str, allowed: &str, given: impl fmt::Display) {
        if !holds {
            self.push(path, allowed, given);
        }
    }

    /// Notes a violation.
    pub fn push(&mut self, path: &str, allowed: &str, given: impl fmt::Display) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < KEPT_MAX {
            let given = text::shortened(&given.to_string(), FOUND_MAX);
            self.kept.push(Violation { path: path.to_owned(), given, allowed: allowed.to_owned() });
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Those that are kept, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.kept.iter()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, allowed is {}", self.path, self.given, self.allowed)
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, violation) in self.kept.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            violation.fmt(f)?;
        }
        match self.count.saturating_sub(self.kept.len()) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Violations {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_violations_are_counted_and_the_first_are_kept() {
        let mut found = Violations::default();
        (0..100).for_each(|n| found.push(&format!("items[{n}]"), "shorter", "ä".repeat(300)));
        assert_eq!((found.count(), found.iter().count()), (100, KEPT_MAX));
        assert!(found.iter().all(|violation| violation.given.chars().count() <= FOUND_MAX));
        assert!(found.to_string().ends_with("; and 36 more"));
    }
}
