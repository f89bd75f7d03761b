//! What a backup takes in, and when a change is stored.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::base::text::DURATION_MAX;
use crate::decide::similarity;

/// What of a file counts when it is decided: `None` for all of it, as it is.
pub(super) type Filter = dyn Fn(&Path, &[u8]) -> Option<Vec<u8>> + Send + Sync;

/// What a backup takes in, and when a change is stored. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use unattended::backup::Policy;
///
/// let policy = Policy::builder()
///     .include(["**/*.md"])
///     .exclude(["drafts"])
///     .age_max(Some(Duration::from_secs(12 * 3600)))
///     .build()?;
/// assert_eq!(policy.skips_max(), 10);
/// # Ok::<(), unattended::backup::InvalidPolicy>(())
/// ```
#[derive(Clone)]
pub struct Policy {
    pub(super) similarity: similarity::Policy,
    pub(super) age_max: Option<Duration>,
    pub(super) skips_max: u32,
    pub(super) shrunk_ppm: u32,
    pub(super) whole_max: u64,
    pub(super) files_max: u64,
    pub(super) threads: Option<usize>,
    pub(super) trust_metadata: bool,
    pub(super) source_moved: bool,
    pub(super) tells_unchanged: bool,
    pub(super) compress: Option<i32>,
    pub(super) filter: Option<Arc<Filter>>,
    include: Option<Arc<GlobSet>>,
    exclude: Option<Arc<GlobSet>>,
}

/// A policy that is being put together.
#[must_use = "a policy is not built until build() is called"]
#[derive(Clone)]
pub struct Builder {
    policy: Policy,
    similarity: Similarity,
    include: Vec<String>,
    exclude: Vec<String>,
}

/// Who says what similar is.
#[derive(Clone, Copy)]
enum Similarity {
    Own { changed_bytes_max: Option<u64>, threshold_ppm: u32 },
    Given(similarity::Policy),
}

/// A policy that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// A number is out of its range.
    #[error("{field} is {given}; allowed is {allowed}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A pattern cannot be read.
    #[error("{given:?} is no pattern for the names of files")]
    Glob {
        /// The pattern.
        given: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The similarity cannot be.
    #[error("the similarity of the policy cannot be")]
    Similarity(#[source] similarity::Error),
}

impl Policy {
    /// A policy with the defaults: similar from 98 % on, at most 4 KiB changed, 24 h and 10 times skipped.
    pub fn builder() -> Builder {
        Builder {
            policy: Self {
                similarity: similarity::Policy::default(),
                age_max: Some(Duration::from_secs(24 * 3600)),
                skips_max: 10,
                shrunk_ppm: 100_000,
                whole_max: 64 << 20,
                files_max: 5_000_000,
                threads: None,
                trust_metadata: false,
                source_moved: false,
                tells_unchanged: false,
                compress: None,
                filter: None,
                include: None,
                exclude: None,
            },
            similarity: Similarity::Own { changed_bytes_max: Some(4096), threshold_ppm: 980_000 },
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }

    /// How often a change is skipped at most.
    #[must_use]
    pub const fn skips_max(&self) -> u32 {
        self.skips_max
    }

    /// How long a change waits at most, if there is a bound.
    #[must_use]
    pub const fn age_max(&self) -> Option<Duration> {
        self.age_max
    }

    /// Below which share of the old size, in millionths, a file has shrunk to almost nothing.
    #[must_use]
    pub const fn shrunk_ppm(&self) -> u32 {
        self.shrunk_ppm
    }

    /// Whether a file of this path is taken in.
    pub(super) fn takes(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(path)) && !self.leaves_out(path)
    }

    /// Whether a file or folder of this path is left out, with all that is in it.
    pub(super) fn leaves_out(&self, path: &Path) -> bool {
        self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(path))
    }

    /// Whether every file is taken in, so that nobody needs to ask.
    pub(super) const fn takes_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// What of a content counts for the decision.
    pub(super) fn filtered<'a>(&self, path: &Path, content: &'a [u8]) -> Cow<'a, [u8]> {
        let filtered = self.filter.as_ref().and_then(|filter| filter(path, content));
        filtered.map_or(Cow::Borrowed(content), Cow::Owned)
    }
}

impl Default for Policy {
    fn default() -> Self {
        let builder = Self::builder();
        let similarity = similarity::Policy::builder().changed_bytes_max(Some(4096)).build();
        Self { similarity: similarity.unwrap_or_default(), ..builder.policy }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("similarity", &self.similarity)
            .field("age_max", &self.age_max)
            .field("skips_max", &self.skips_max)
            .field("shrunk_ppm", &self.shrunk_ppm)
            .field("filtered", &self.filter.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("include", &self.include)
            .field("exclude", &self.exclude)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// From which ratio on a change is not meaningful, in millionths: `2 * common / total` in bytes. 980 000 by default.
    pub fn threshold_ppm(mut self, ppm: u32) -> Self {
        let changed_bytes_max = match self.similarity {
            Similarity::Own { changed_bytes_max, .. } => changed_bytes_max,
            Similarity::Given(_) => Some(4096),
        };
        self.similarity = Similarity::Own { changed_bytes_max, threshold_ppm: ppm };
        self
    }

    /// How many inserted and deleted bytes are never meaningful together, whatever the ratio; a change of more always is.
    /// 4 KiB by default; `None` leaves it to the ratio, which in a file of 1 GB lets 20 MB wait.
    pub fn changed_bytes_max(mut self, bytes: Option<u64>) -> Self {
        let threshold_ppm = match self.similarity {
            Similarity::Own { threshold_ppm, .. } => threshold_ppm,
            Similarity::Given(_) => 980_000,
        };
        self.similarity = Similarity::Own { changed_bytes_max: bytes, threshold_ppm };
        self
    }

    /// Everything about similarity, its budgets too, in the place of [`threshold_ppm`](Self::threshold_ppm) and
    /// [`changed_bytes_max`](Self::changed_bytes_max).
    pub const fn similarity(mut self, policy: similarity::Policy) -> Self {
        self.similarity = Similarity::Given(policy);
        self
    }

    /// How long a change waits at most, from the run that saw it first, until it is stored however small it is. 24 h by
    /// default; `None` for ever.
    pub const fn age_max(mut self, age: Option<Duration>) -> Self {
        self.policy.age_max = age;
        self
    }

    /// How often a change is skipped at most, until it is stored however small it is. 10 by default; 0 stores every change.
    pub const fn skips_max(mut self, skips: u32) -> Self {
        self.policy.skips_max = skips;
        self
    }

    /// Below which share of the stored size, in millionths, a file has shrunk to almost nothing: it is stored, the version
    /// says so, and the one before it is pinned. 100 000 by default, a tenth; 0 for empty files alone.
    pub const fn shrunk_ppm(mut self, ppm: u32) -> Self {
        self.policy.shrunk_ppm = ppm;
        self
    }

    /// Files that are taken in, by patterns over their paths in the tree, such as `**/*.md`; all of them by default. `*` does
    /// not cross a `/`, `**` does.
    pub fn include<G: Into<String>>(mut self, globs: impl IntoIterator<Item = G>) -> Self {
        self.include.extend(globs.into_iter().map(Into::into));
        self
    }

    /// Files and folders that are left out, a folder with all that is in it; beats [`include`](Self::include).
    pub fn exclude<G: Into<String>>(mut self, globs: impl IntoIterator<Item = G>) -> Self {
        self.exclude.extend(globs.into_iter().map(Into::into));
        self
    }

    /// What of a file counts for the decision: given its path in the tree and its content, the content without what does
    /// not matter, such as a time stamp; `None` for all of it. What is stored is always all of it. Not asked about files that
    /// are larger than [`whole_max`](Self::whole_max).
    pub fn filter(
        mut self,
        filter: impl Fn(&Path, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.policy.filter = Some(Arc::new(filter));
        self
    }

    /// Up to which size a file is read into memory and decided exactly, 64 MiB by default, at most 4 GiB. Larger ones are
    /// read in pieces and decided by their profiles. Each thread may hold two such files.
    pub const fn whole_max(mut self, bytes: u64) -> Self {
        self.policy.whole_max = bytes;
        self
    }

    /// How many files a tree may have, 5 million by default. A larger one is an error, not half a backup.
    pub const fn files_max(mut self, files: u64) -> Self {
        self.policy.files_max = files;
        self
    }

    /// How many threads read: 1 to 64; by default as many as there are cores, at most 4.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.policy.threads = Some(threads);
        self
    }

    /// Whether a file whose size, times and inode are those of the stored version is taken for unchanged without reading it.
    /// Off by default: an edit that sets the time back would be missed. Modification times of the last two seconds before
    /// the version was stored are never trusted.
    pub const fn trust_metadata(mut self, trust: bool) -> Self {
        self.policy.trust_metadata = trust;
        self
    }

    /// Takes the tree for the one that the store has, though it has another path now. Off by default: the wrong
    /// folder would look like one whose files are all gone.
    pub const fn source_moved(mut self, moved: bool) -> Self {
        self.policy.source_moved = moved;
        self
    }

    /// Whether the report has an entry for each unchanged file too, and not only their number. Off by default: a large
    /// tree has millions of them.
    pub const fn tell_unchanged(mut self, tell: bool) -> Self {
        self.policy.tells_unchanged = tell;
        self
    }

    /// Compresses what is stored from now on by zstd, at a level from 1 to 22, where that makes it smaller.
    #[cfg(feature = "zstd")]
    pub const fn compress(mut self, level: i32) -> Self {
        self.policy.compress = Some(level);
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// A number out of its range, a pattern that cannot be read; it is named.
    pub fn build(self) -> Result<Policy, InvalidPolicy> {
        let mut policy = self.policy;
        policy.similarity = match self.similarity {
            Similarity::Given(similarity) => similarity,
            Similarity::Own { changed_bytes_max, threshold_ppm } => similarity::Policy::builder()
                .threshold_ppm(threshold_ppm)
                .changed_bytes_max(changed_bytes_max)
                .build()
                .map_err(InvalidPolicy::Similarity)?,
        };
        policy.check()?;
        policy.include = globs(&self.include)?;
        policy.exclude = globs(&self.exclude)?;
        Ok(policy)
    }
}

impl Policy {
    fn check(&self) -> Result<(), InvalidPolicy> {
        let within = |fits: bool, field, given: String, allowed| match fits {
            true => Ok(()),
            false => Err(InvalidPolicy::Field { field, given, allowed }),
        };
        let age = self.age_max.unwrap_or_default();
        within(age <= DURATION_MAX, "age_max", format!("{age:?}"), "up to 100 years")?;
        let ppm = self.shrunk_ppm;
        within(ppm < 1_000_000, "shrunk_ppm", ppm.to_string(), "0 to 999999")?;
        let whole = self.whole_max;
        within((1..=4 << 30).contains(&whole), "whole_max", whole.to_string(), "1 to 4294967296")?;
        let files = self.files_max;
        within(files > 0, "files_max", files.to_string(), "1 or more")?;
        let threads = self.threads.unwrap_or(1);
        within((1..=64).contains(&threads), "threads", threads.to_string(), "1 to 64")?;
        let level = self.compress.unwrap_or(1);
        within((1..=22).contains(&level), "compress", level.to_string(), "1 to 22")
    }
}

/// The most patterns of one kind.
const GLOBS_MAX: usize = 10_000;

fn globs(patterns: &[String]) -> Result<Option<Arc<GlobSet>>, InvalidPolicy> {
    if patterns.is_empty() {
        return Ok(None);
    }
    if patterns.len() > GLOBS_MAX {
        let given = format!("{} patterns", patterns.len());
        return Err(InvalidPolicy::Field { field: "include or exclude", given, allowed: "up to 10000" });
    }
    let mut set = GlobSetBuilder::new();
    for given in patterns {
        let glob = GlobBuilder::new(given).literal_separator(true).build();
        let refused = |source| InvalidPolicy::Glob { given: given.clone(), source: Box::new(source) };
        set.add(glob.map_err(refused)?);
    }
    let refused = |source| InvalidPolicy::Glob { given: patterns.join(" "), source: Box::new(source) };
    set.build().map(|set| Some(Arc::new(set))).map_err(refused)
}
