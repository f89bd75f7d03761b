//! Patterns for paths, by globset.

use std::path::Path;

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::observe::files::{Error, Scan};

/// How long a pattern may be, and how many there may be on either side.
const LENGTH_MAX: usize = 4096;
const PATTERNS_MAX: usize = 1000;

/// Patterns of which one has to fit.
#[derive(Clone, Default)]
pub(in crate::observe::files) struct Globs {
    given: Vec<Glob>,
    set: GlobSet,
}

impl Globs {
    fn add(&mut self, pattern: &str) -> Result<(), Error> {
        let refused = |source| Error::Pattern { given: crate::base::text::shortened(pattern, 100), source };
        if pattern.len() > LENGTH_MAX || self.given.len() >= PATTERNS_MAX {
            let most = format!("at most {PATTERNS_MAX} patterns of at most {LENGTH_MAX} bytes are taken");
            return Err(refused(most.into()));
        }
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        self.given.push(glob.map_err(|error| refused(error.into()))?);
        let mut set = GlobSetBuilder::new();
        for glob in &self.given {
            set.add(glob.clone());
        }
        self.set = set.build().map_err(|error| refused(error.into()))?;
        Ok(())
    }

    pub(in crate::observe::files) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// By bytes, so that a name that is not UTF-8 is no obstacle.
    pub(in crate::observe::files) fn matches(&self, path: &Path) -> bool {
        !self.is_empty() && self.set.is_match_candidate(&Candidate::new(path))
    }
}

impl Scan {
    /// Takes in only what fits `pattern`, or another one that is given so; feature `globs`.
    ///
    /// `?` and `*` are any characters but `/`, `**/` any folders, `[ab]` one of them, `{a,b}` either: `**/*.md` is every Markdown file,
    /// `*.md` those at the root. Folders are looked into whether they fit or not, and told of only if they fit.
    ///
    /// # Errors
    ///
    /// [`Error::Pattern`] for what is none, and for more than 1,000 patterns or 4,096 bytes.
    pub fn include(mut self, pattern: &str) -> Result<Self, Error> {
        self.filter.include.add(pattern)?;
        Ok(self)
    }

    /// Leaves out what fits `pattern`, and all that is below it; feature `globs`. It goes before [`include`](Self::include).
    ///
    /// # Errors
    ///
    /// As [`include`](Self::include).
    pub fn exclude(mut self, pattern: &str) -> Result<Self, Error> {
        self.filter.exclude.add(pattern)?;
        Ok(self)
    }
}
