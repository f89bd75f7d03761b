//! Contracts of typed values, checked by a closure.

use std::fmt;

use super::Violations;

/// What values of type `T` must be.
pub trait Check<T: ?Sized> {
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
///
/// ```
/// use unattended::contract::{self, Check, Violations};
///
/// let answer = contract::of("answer", |number: &i64| {
///     let mut found = Violations::default();
///     found.unless(*number > 0, "number", "above zero", number);
///     found.unless(number % 2 == 0, "number", "even", number);
///     found
/// });
/// assert!(answer.check(&42).is_ok());
/// assert_eq!(answer.check(&-1).unwrap_err().to_string(), "number is -1, allowed is above zero; number is -1, allowed is even");
/// ```
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

impl<T: ?Sized, F: Fn(&T) -> Violations> Check<T> for Checked<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, value: &T) -> Result<(), Violations> {
        (self.check)(value).into_result()
    }
}
