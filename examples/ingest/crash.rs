//! Kills this very process at a named point between two writes: what a crash there would leave can be seen, and a test
//! holds the program to it.

use std::io;

use rustix::process::{Signal, getpid, kill_process};

/// Every point, in the order in which a run passes them. `load:chunk-…` only in files of more than one chunk,
/// `failed:…` only with a file that is refused, `duplicate:…` only with one that was delivered before.
pub(crate) const POINTS: &[&str] = &[
    "inbox:locked",
    "inbox:hashed",
    "submit:before",
    "submit:after",
    "ingest:begun",
    "ingest:before-move",
    "ingest:moved",
    "ingest:worked",
    "ingest:saved",
    "validate:begun",
    "validate:worked",
    "validate:saved",
    "transform:begun",
    "transform:worked",
    "transform:saved",
    "load:begun",
    "load:chunk-before-commit",
    "load:chunk-committed",
    "load:last-before-commit",
    "load:last-committed",
    "load:worked",
    "load:saved",
    "notify:guard",
    "notify:begun",
    "notify:before-append",
    "notify:appended",
    "notify:worked",
    "notify:saved",
    "archive:begun",
    "archive:before-move",
    "archive:moved",
    "archive:worked",
    "succeed:before",
    "succeed:after",
    "archive:saved",
    "fail_for_good:before",
    "fail_for_good:after",
    "failed:reason-written",
    "failed:moved",
    "duplicate:before-move",
    "duplicate:moved",
];

/// Where to die, if anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashAt(Option<&'static str>);

impl CrashAt {
    /// At the point of this name.
    pub(crate) fn point(name: &str) -> io::Result<Self> {
        match POINTS.iter().find(|point| **point == name) {
            Some(point) => Ok(Self(Some(point))),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("--crash-at is {name:?}; allowed is one of those that --crash-at list prints"),
            )),
        }
    }

    /// The process is at the point `name`: dies here, if that was asked for.
    pub(crate) fn reached(&self, name: &str) {
        if self.0 == Some(name) {
            // SIGKILL runs no handler, flushes nothing and closes nothing in order: what the kernel has is what is left.
            if kill_process(getpid(), Signal::KILL).is_ok() {
                loop {
                    std::thread::park();
                }
            }
        }
    }
}
