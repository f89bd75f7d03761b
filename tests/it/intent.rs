//! What editors and tools do to a real folder, told by polling and by the kernel's events.

mod outcomes;
#[cfg(feature = "watch")]
mod overflow;
#[cfg(feature = "watch")]
mod replay;
mod restart;

use std::fs;
use std::path::Path;
use std::time::Duration;

use unattended::intent::{Change, Intent, What};
use unattended::time::{Clock, Now, System};

/// An instant to begin with; from there on time is moved by hand.
fn start() -> Now {
    System.now()
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn single(path: &str, what: What) -> Intent {
    Intent::Single(Change { path: path.into(), what })
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
