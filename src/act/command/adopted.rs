//! Processes that commands have started, that outlive them, and that fall to this process to reap when they end.
//!
//! That happens where this process is a subreaper, or the first of its pid namespace. Nobody tells when one of them ends, so
//! they are looked at whenever a command ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::act::command::proc;

/// How many are remembered; those beyond it stay zombies until this process ends.
const EXPECTED_MAX: usize = 1024;

static SUBREAPER: AtomicBool = AtomicBool::new(false);
/// By number and start time.
static EXPECTED: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());

/// This process is a subreaper from now on.
#[cfg(target_os = "linux")]
pub(super) fn begin() {
    SUBREAPER.store(true, Ordering::Relaxed);
}

/// These will be this process's children when their parents are gone.
pub(super) fn expect(pids: impl Iterator<Item = u32>) {
    if !adopts() {
        return;
    }
    let mut expected = EXPECTED.lock().unwrap_or_else(PoisonError::into_inner);
    for pid in pids {
        let Some(seen) = proc::stat(pid) else { continue };
        let one = (pid, seen.start);
        if expected.len() < EXPECTED_MAX && !expected.contains(&one) {
            expected.push(one);
        }
    }
}

/// Reaps those who have ended.
pub(super) fn reap() {
    if !adopts() {
        return;
    }
    let own = std::process::id();
    EXPECTED.lock().unwrap_or_else(PoisonError::into_inner).retain(|(pid, start)| {
        let Some(seen) = proc::stat(*pid).filter(|seen| seen.start == *start) else { return false };
        if seen.zombie && seen.parent == own {
            reap_one(*pid);
        }
        !seen.zombie || seen.parent != own
    });
}

/// One that has ended, if it is a child of this process. It belonged to a command, so nobody else waits for it.
pub(super) fn reap_one(pid: u32) {
    if let Some(pid) = to_pid(pid) {
        let _reaped =
            rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

pub(super) fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn adopts() -> bool {
    SUBREAPER.load(Ordering::Relaxed) || std::process::id() == 1
}
