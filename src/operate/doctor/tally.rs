//! What was found about several things, as one check.

use crate::base::text::shortened;
use crate::operate::doctor::{Check, Outcome};

/// The most findings that are told of one check.
const FINDINGS_MAX: usize = 20;
/// The most characters of a check's sentence.
const WHY_MAX: usize = 400;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Tally {
    found: Vec<(Outcome, String)>,
}

impl Tally {
    pub(super) fn pass(&mut self, what: impl Into<String>) {
        self.found.push((Outcome::Pass, what.into()));
    }

    pub(super) fn fail(&mut self, what: impl Into<String>) {
        self.found.push((Outcome::Fail, what.into()));
    }

    pub(super) fn unknown(&mut self, what: impl Into<String>) {
        self.found.push((Outcome::NotProvable, what.into()));
    }

    /// The worst of what was found; `fine` is said where all of it is well, `todo` where it is not. Nothing found proves
    /// nothing.
    pub(super) fn check(self, name: &str, fine: &str, todo: &str) -> Check {
        let result = self.found.iter().map(|(outcome, _)| *outcome).max().unwrap_or(Outcome::NotProvable);
        let worst: Vec<&str> = self
            .found
            .iter()
            .filter(|(outcome, _)| *outcome == result)
            .map(|(_, what)| what.as_str())
            .collect();
        let why = match result {
            Outcome::Pass => fine.to_owned(),
            _ if worst.is_empty() => String::from("nothing was declared that could be looked at"),
            _ => shortened(&worst.join("; "), WHY_MAX),
        };
        let todo = (result != Outcome::Pass).then(|| todo.to_owned());
        let more = self.found.len().saturating_sub(FINDINGS_MAX);
        let mut found = self.found;
        // The worst first, so that none of them is what is left out.
        found.sort_by_key(|(outcome, _)| std::cmp::Reverse(*outcome));
        let mut evidence: Vec<String> = found.into_iter().take(FINDINGS_MAX).map(|(_, what)| what).collect();
        if more > 0 {
            evidence.push(format!("and {more} more"));
        }
        Check { name: name.to_owned(), result, why, evidence, todo }
    }
}
