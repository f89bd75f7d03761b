//! Held to the rules, one by one and at random.

mod places;
mod random;
mod rules;
mod saved;
mod time;

use std::path::PathBuf;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::intent::{Kind, Policy, Stamp, State};

fn start() -> Now {
    Now { moment: Moment::ZERO.after(Duration::from_secs(3600)), wall: Timestamp::UNIX_EPOCH }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A file with its own inode, last written at `at`.
fn file(path: &str, inode: u64, at: i64) -> (PathBuf, Stamp) {
    (path.into(), Stamp { kind: Kind::File, size: 10, mtime: at, ctime: at, inode })
}

fn folder(path: &str, inode: u64) -> (PathBuf, Stamp) {
    (path.into(), Stamp { kind: Kind::Folder, size: 4096, mtime: 1, ctime: 1, inode })
}

/// A number up to `max`, to pick by.
fn pick(rng: &mut Rng, max: usize) -> usize {
    usize::try_from(rng.up_to(max as u64)).unwrap()
}

fn intent(before: &State, after: &State) -> String {
    Policy::default().judge(before, after).to_string()
}
