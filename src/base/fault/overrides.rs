//! Where a dependency means something else by its answers than the rest of the world.

use std::borrow::Cow;

use super::{Class, Fault, Severity};

/// What some codes of one dependency mean, whatever the classifier says.
///
/// Codes are compared whole. Where two rules say something about the same code, the later one holds.
///
/// ```
/// use unattended::fault::{Class, Fault, Overrides, Severity};
///
/// // This API answers 403 when it is asked too often, and 402 when somebody has to pay.
/// let overrides = Overrides::new()
///     .class("http.403", Class::RateLimited)
///     .severity("http.402", Severity::Fatal);
/// overrides.check()?;
///
/// assert_eq!(overrides.apply(Fault::permanent("http.403")).class, Class::RateLimited);
/// assert_eq!(overrides.apply(Fault::permanent("http.402")).severity, Severity::Fatal);
/// assert_eq!(overrides.apply(Fault::permanent("http.404")), Fault::permanent("http.404"));
/// # Ok::<(), unattended::fault::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    rules: Vec<Rule>,
    given: usize,
}

/// Overrides that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More rules than are kept.
    #[error("{given} overrides, allowed are {limit}")]
    TooMany {
        /// How many there are.
        given: usize,
        /// How many are kept.
        limit: usize,
    },
    /// A code that no fault has.
    #[error("override of code {given:?}, allowed are 1 to {limit} visible ASCII characters")]
    Code {
        /// The code.
        given: String,
        /// How long one may be.
        limit: usize,
    },
}

impl Overrides {
    /// How many rules there may be.
    pub const RULES_MAX: usize = 64;
    /// How long a code may be, in bytes.
    pub const CODE_MAX: usize = 100;

    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { rules: Vec::new(), given: 0 }
    }

    /// A fault with this code is of this class. Its severity follows, unless the classifier gave it another one than
    /// that of its class.
    #[must_use]
    pub fn class(self, code: impl Into<Cow<'static, str>>, class: Class) -> Self {
        self.with(code.into(), To::Class(class))
    }

    /// A fault with this code is this severe.
    #[must_use]
    pub fn severity(self, code: impl Into<Cow<'static, str>>, severity: Severity) -> Self {
        self.with(code.into(), To::Severity(severity))
    }

    /// Whether they can be meant.
    ///
    /// # Errors
    ///
    /// More than [`RULES_MAX`](Self::RULES_MAX) rules, or a code that no fault can have.
    pub fn check(&self) -> Result<(), Error> {
        if self.given > Self::RULES_MAX {
            return Err(Error::TooMany { given: self.given, limit: Self::RULES_MAX });
        }
        let readable = |code: &str| {
            (1..=Self::CODE_MAX).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match self.rules.iter().find(|rule| !readable(&rule.code)) {
            Some(rule) => {
                let given = rule.code.chars().take(Self::CODE_MAX).collect();
                Err(Error::Code { given, limit: Self::CODE_MAX })
            }
            None => Ok(()),
        }
    }

    /// The fault as this dependency means it. Code, wait and whether it arrived stay what they are.
    #[must_use]
    pub fn apply(&self, mut fault: Fault) -> Fault {
        for rule in &self.rules {
            if rule.code != fault.code {
                continue;
            }
            match rule.to {
                To::Severity(severity) => fault.severity = severity,
                To::Class(class) => {
                    if fault.severity == fault.class.severity() {
                        fault.severity = class.severity();
                    }
                    fault.class = class;
                }
            }
        }
        fault
    }

    fn with(mut self, code: Cow<'static, str>, to: To) -> Self {
        self.given = self.given.saturating_add(1);
        if self.rules.len() < Self::RULES_MAX {
            self.rules.push(Rule { code, to });
        }
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    code: Cow<'static, str>,
    to: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Class(Class),
    Severity(Severity),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::Reached;

    #[test]
    fn an_override_changes_the_class_and_nothing_that_happened() {
        let fault = Fault::permanent("http.403").reached(Reached::Yes);
        let changed = Overrides::new().class("http.403", Class::Unauthorized).apply(fault);
        assert_eq!((changed.class, changed.severity), (Class::Unauthorized, Severity::Critical));
        assert_eq!((&*changed.code, changed.reached), ("http.403", Reached::Yes));
    }

    #[test]
    fn an_override_of_the_class_keeps_a_severity_that_was_given() {
        let full = Fault::permanent("io.storage_full").severity(Severity::Fatal);
        let changed = Overrides::new().class("io.storage_full", Class::Transient).apply(full);
        assert_eq!((changed.class, changed.severity), (Class::Transient, Severity::Fatal));
    }

    #[test]
    fn the_later_override_of_a_code_holds() {
        let both =
            Overrides::new().class("a.b", Class::Transient).class(String::from("a.b"), Class::RateLimited);
        assert_eq!(both.apply(Fault::permanent("a.b")).class, Class::RateLimited);
    }

    #[test]
    fn overrides_are_bounded_and_their_codes_are_codes() {
        let many = (0..65).fold(Overrides::new(), |all, n| all.class(format!("a.{n}"), Class::Transient));
        assert_eq!(many.check(), Err(Error::TooMany { given: 65, limit: 64 }));
        assert_eq!(many.rules.len(), 64);
        for wrong in ["", "two words", "a\u{7}"] {
            let error = Overrides::new().severity(wrong, Severity::Fatal).check().unwrap_err();
            assert_eq!(error, Error::Code { given: wrong.to_owned(), limit: 100 });
        }
        assert_eq!(Overrides::new().class("http.403", Class::RateLimited).check(), Ok(()));
    }
}
