//! Log lines: what kind each is, and files that are followed.
//!
//! A [`Key`] makes the kind of a line: by default `component|level|message` with everything that changes as `*` ([`Masker`]); or
//! the first word, a JSON field, a captured group. The kinds are what a [`baseline`](crate::decide::baseline) counts.
//!
//! A [`Follow`] reads what was appended to a file, through rotation and truncation, and says what happened to the file. Its
//! [`Position`] is saved, so that the next process goes on where this one was.
//!
//! ```
//! use unattended::baseline::{Baseline, Policy};
//! use unattended::lines::{Follow, Key, Keyed};
//! use unattended::time::{Clock, System};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("app.log");
//! std::fs::write(&path, "10:00:01 INFO job: 17 rows\n10:00:02 WARN job: slow\n")?;
//!
//! let (key, mut text) = (Key::default(), Vec::new());
//! let mut baseline = Baseline::new(Policy::new(), unattended::rng::entropy(), System.now())?;
//! let mut log = Follow::from_start(&path);
//! let polled = log.poll(|line| {
//!     if let Keyed::Key { severity, .. } = key.of(line.text, &mut text) {
//!         let _learning = baseline.observe(&text, severity, System.now());
//!     }
//! })?;
//! assert_eq!((polled.lines, baseline.evidence().kinds), (2, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod follow;
mod header;
mod key;
mod level;
mod mask;
#[cfg(test)]
mod tests;

pub use follow::{Follow, FollowError, Happened, Line, NotAFile, Polled, Position};
pub use key::{Error, Key, Keyed, Unkeyed};
pub use level::severity;
pub use mask::{Masked, Masker};

/// Gives each line of a text to `line`, without its line feed; the last one too if none ends it.
pub fn each<'a>(text: &'a [u8], mut line: impl FnMut(&'a [u8])) {
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        line(&text[begin..end]);
        begin = end + 1;
    }
    if begin < text.len() {
        line(&text[begin..]);
    }
}
