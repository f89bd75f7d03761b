//! When a change is over, and how much of it is a bulk change.

use std::time::Duration;

use crate::decide::intent::difference::Difference;
use crate::decide::intent::reason::{Calm, Intent, Lost, Mass};
use crate::decide::intent::state::{Root, State};

const WAIT_MIN: Duration = Duration::from_millis(1);
const WAIT_MAX: Duration = Duration::from_secs(3600);
const ANNOUNCED_MAX: Duration = Duration::from_secs(86_400);
const BULK_FROM_MAX: usize = 10_000;
const ROOTS_MAX: usize = 1000;

/// When a change is over, and how much of it is a bulk change.
///
/// ```
/// use std::time::Duration;
/// use unattended::intent::Policy;
///
/// let policy = Policy::default().bulk_from(20).quiet(Duration::from_secs(1));
/// assert!(policy.check().is_ok());
/// let error = policy.roots_max(0).check().unwrap_err();
/// assert_eq!(error.to_string(), "intent policy: roots_max is 0, allowed is 1 to 1000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) quiet: Duration,
    pub(super) longest_wait: Duration,
    pub(super) bulk_from: usize,
    pub(super) roots_max: usize,
    pub(super) announced_max: Duration,
    pub(super) attributes: bool,
}

impl Default for Policy {
    /// Quiet for 500 ms or 5 s at most; a bulk change from 6 paths on, told by at most 8 folders; an announced one lasts 10
    /// minutes at most; permissions, owners and links do not count.
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(500),
            longest_wait: Duration::from_secs(5),
            bulk_from: 6,
            roots_max: 8,
            announced_max: Duration::from_secs(600),
            attributes: false,
        }
    }
}

impl Policy {
    /// How long nothing must have happened for a change to be over; 1 ms to 1 h, default 500 ms.
    #[must_use]
    pub const fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// How long it is waited at most, from the first hint on, while there is no such quiet; at least [`quiet`](Self::quiet), at
    /// most 1 h, default 5 s. What goes on for longer is judged in pieces.
    #[must_use]
    pub const fn longest_wait(mut self, longest_wait: Duration) -> Self {
        self.longest_wait = longest_wait;
        self
    }

    /// From how many paths on a change is a bulk change; 2 to 10,000, default 6.
    #[must_use]
    pub const fn bulk_from(mut self, paths: usize) -> Self {
        self.bulk_from = paths;
        self
    }

    /// By how many folders a bulk change is told at most; 1 to 1,000, default 8.
    #[must_use]
    pub const fn roots_max(mut self, folders: usize) -> Self {
        self.roots_max = folders;
        self
    }

    /// How long tools that [announce themselves](crate::decide::intent::Judge::begin_bulk) are waited for, from the first of them on;
    /// 1 ms to 24 h, default 10 minutes. A tool that died is waited for no longer than that.
    #[must_use]
    pub const fn announced_max(mut self, announced_max: Duration) -> Self {
        self.announced_max = announced_max;
        self
    }

    /// Whether a path of which only the change time (`ctime`) is another one counts; by default it does not.
    ///
    /// That is so for permissions, owners and extended attributes, for each further hard link (a backup that links makes one of every
    /// file), and for a file that was renamed and renamed back. It is also so for the rare edit that keeps the size and sets the
    /// modification time back: to see that one, set this.
    #[must_use]
    pub const fn attributes(mut self, count: bool) -> Self {
        self.attributes = count;
        self
    }

    /// Whether the policy makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with the first knob that does not, what was given and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        time("quiet", self.quiet, WAIT_MIN, WAIT_MAX)?;
        time("longest_wait", self.longest_wait, self.quiet, WAIT_MAX)?;
        time("announced_max", self.announced_max, WAIT_MIN, ANNOUNCED_MAX)?;
        within("bulk_from", self.bulk_from, 2, BULK_FROM_MAX)?;
        within("roots_max", self.roots_max, 1, ROOTS_MAX)
    }

    /// What has happened between two states of a tree, with no hints at all: for a process that compares what it finds with what
    /// it saved the last time.
    pub fn judge(&self, before: &State, after: &State) -> Intent {
        self.judge_as(before, after, None, None)
    }

    /// The same, where events were lost or a tool has announced itself.
    pub(super) fn judge_as(
        &self,
        before: &State,
        after: &State,
        lost: Option<Lost>,
        announced: Option<Mass>,
    ) -> Intent {
        if !matches!(before.root(), Root::Folder(_)) && !matches!(after.root(), Root::Folder(_)) {
            return Intent::Nothing(Calm::StillGone);
        }
        let lost = lost_between(before, after).or(lost);
        let found = if after.cut_at().is_some() || !matches!(after.root(), Root::Folder(_)) {
            Intent::Nothing(Calm::Unseen)
        } else {
            self.named(Difference::between(before, after), announced)
        };
        match lost {
            Some(why) => Intent::Resync { why, found: Box::new(found) },
            None => found,
        }
    }

    fn named(&self, difference: Difference, announced: Option<Mass>) -> Intent {
        let difference = if self.attributes { difference } else { difference.without_attributes() };
        let tally = difference.tally();
        let count = tally.sum();
        let many = (count >= self.bulk_from).then_some(Mass::Many { bulk_from: self.bulk_from });
        if let Some(why) = announced.or(many).filter(|_| count > 0) {
            return Intent::Bulk { count, roots: difference.roots(self.roots_max), tally, why };
        }
        let mut changes = difference.into_changes();
        match changes.pop() {
            None => Intent::Nothing(Calm::Same),
            Some(change) if changes.is_empty() => Intent::Single(change),
            Some(change) => {
                changes.push(change);
                Intent::Few(changes)
            }
        }
    }
}

/// Why a comparison of these states does not tell all.
fn lost_between(before: &State, after: &State) -> Option<Lost> {
    match (before.root(), after.root()) {
        (_, Root::Missing) => return Some(Lost::RootGone),
        (_, Root::NotFolder(kind)) => return Some(Lost::RootNotFolder { kind }),
        (_, Root::Unreadable) => return Some(Lost::RootUnreadable),
        (Root::Folder(was), Root::Folder(is)) if was != 0 && is != 0 && was != is => {
            return Some(Lost::RootReplaced);
        }
        (Root::Folder(_), Root::Folder(_)) => {}
        (Root::Missing | Root::NotFolder(_) | Root::Unreadable, Root::Folder(_)) => {
            return Some(Lost::RootBack);
        }
    }
    if let Some(entries_max) = after.cut_at().or_else(|| before.cut_at()) {
        return Some(Lost::TooMany { entries_max });
    }
    let only_in = |one: &State, other: &State| {
        let mut folders =
            one.unreadable().iter().filter(|folder| other.unreadable().binary_search(folder).is_err());
        let first = folders.next().cloned();
        first.map(|path| (path, 1 + folders.count()))
    };
    if let Some((path, count)) = only_in(after, before) {
        return Some(Lost::Unreadable { path, count });
    }
    // A folder that is gone is not one that can be read again.
    only_in(before, after)
        .filter(|(path, _)| after.get(path).is_some())
        .map(|(path, count)| Lost::ReadableAgain { path, count })
}

/// What is wrong with a policy, or with what is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("intent policy: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which knob.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// More tools than can be waited for have announced themselves.
    #[error("{given} tools have announced themselves at the same time, allowed are {allowed}")]
    TooManyAnnounced {
        /// How many it would be.
        given: usize,
        /// How many may.
        allowed: usize,
    },
}

fn time(field: &'static str, given: Duration, min: Duration, max: Duration) -> Result<(), Error> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(Error::Field { field, given: format!("{given:?}"), allowed: format!("{min:?} to {max:?}") })
}

fn within(field: &'static str, given: usize, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(Error::Field { field, given: given.to_string(), allowed: format!("{min} to {max}") })
}
