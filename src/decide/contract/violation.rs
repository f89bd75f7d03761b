//! What is not as it must be, all of it, each by its path.

use std::fmt;

use crate::base::explain::Explain;
use crate::base::text;

/// How many violations are kept; the others are counted.
const KEPT_MAX: usize = 64;
/// How much of a value is told, and of what is allowed, in characters.
const TOLD_MAX: usize = 200;
/// How much of a path is told, in characters.
const PATH_MAX: usize = 300;

/// One thing that is not as it must be. Its [`code`](Explain::code) is its problem's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Where, such as `/items/3/amount`; empty for the whole value. At most 300 characters.
    pub path: String,
    /// In which way.
    pub problem: Problem,
    /// What is there, at most 200 characters of it; `[redacted]` where that is a secret.
    pub given: String,
    /// What may be there, at most 200 characters.
    pub allowed: String,
}

/// In which way something is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// A required field is not there.
    Missing,
    /// A field is there that is not known.
    UnknownField,
    /// One object has two members of this name.
    DuplicateField,
    /// It is something else altogether: text in place of a number.
    WrongType,
    /// A number is beyond its bounds, or beyond what can be kept.
    OutOfBounds,
    /// A text, an array or a map is shorter or longer than it may be.
    Length,
    /// It is none of those that are listed.
    NotListed,
    /// A text has another form than it must have.
    Format,
    /// The text is not JSON.
    NotJson,
    /// It is nested too deep.
    TooDeep,
    /// The schema has accepted it, and the type has not.
    Undecodable,
    /// An older document could not be made a newer one.
    NotUpgraded,
    /// A closure has said so.
    Invalid,
}

impl Explain for Violation {
    fn code(&self) -> &'static str {
        match self.problem {
            Problem::Missing => "contract.missing",
            Problem::UnknownField => "contract.unknown_field",
            Problem::DuplicateField => "contract.duplicate_field",
            Problem::WrongType => "contract.wrong_type",
            Problem::OutOfBounds => "contract.out_of_bounds",
            Problem::Length => "contract.length",
            Problem::NotListed => "contract.not_listed",
            Problem::Format => "contract.format",
            Problem::NotJson => "contract.not_json",
            Problem::TooDeep => "contract.too_deep",
            Problem::Undecodable => "contract.undecodable",
            Problem::NotUpgraded => "contract.not_upgraded",
            Problem::Invalid => "contract.invalid",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the whole value" } else { &self.path };
        write!(f, "{path} is {}, allowed is {}", self.given, self.allowed)
    }
}

/// Everything that is not as it must be. All are counted, the first 64 are kept.
///
/// `Display` is one line, `{:#}` is a line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what is not as it must be must not be used"]
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
        self.note(Problem::Invalid, || path.to_owned(), given, allowed);
    }

    /// Notes a violation of the kind `problem`. The path is asked for only if the violation is kept.
    pub(super) fn note(
        &mut self,
        problem: Problem,
        path: impl FnOnce() -> String,
        given: impl fmt::Display,
        allowed: impl fmt::Display,
    ) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < KEPT_MAX {
            let told = |text: &str, most| text::shortened(&text::shown(text), most);
            self.kept.push(Violation {
                path: told(&path(), PATH_MAX),
                problem,
                given: told(&given.to_string(), TOLD_MAX),
                allowed: told(&allowed.to_string(), TOLD_MAX),
            });
        }
    }

    /// These, and those of `others`.
    #[cfg(feature = "store")]
    pub(super) fn add(&mut self, others: Self) {
        self.count = self.count.saturating_add(others.count);
        let room = KEPT_MAX.saturating_sub(self.kept.len());
        self.kept.extend(others.kept.into_iter().take(room));
    }

    /// Puts `given` in the place of what is told of the values whose path is meant.
    #[cfg(feature = "store")]
    pub(super) fn hide(&mut self, given: &str, is_meant: impl Fn(&str) -> bool) {
        for violation in self.kept.iter_mut().filter(|violation| is_meant(&violation.path)) {
            given.clone_into(&mut violation.given);
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

    /// `Ok` if there is none.
    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if f.alternate() { "\n" } else { "; " };
        for (place, violation) in self.kept.iter().enumerate() {
            if place > 0 {
                f.write_str(between)?;
            }
            violation.fmt(f)?;
        }
        match self.count.saturating_sub(self.kept.len()) {
            0 => Ok(()),
            more => write!(f, "{between}and {more} more"),
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
        assert!(found.iter().all(|violation| violation.given.chars().count() <= TOLD_MAX));
        assert!(found.to_string().ends_with("; and 36 more"));
        assert_eq!(format!("{found:#}").lines().count(), 65);
    }

    #[test]
    fn what_is_told_does_not_move_the_cursor() {
        let mut found = Violations::default();
        found.push("/a\x1b[2J", "one line", "two\nlines");
        assert_eq!(found.to_string(), r"/a\u{1b}[2J is two\nlines, allowed is one line");
    }
}
