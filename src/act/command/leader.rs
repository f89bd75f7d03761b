//! The process that was started, and its group: seen to end, signalled only while it is not reaped, and always reaped.

use std::io;
use std::os::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};

use crate::act::command::{Signal, Status};

/// The first process of a command. Its number is also that of its group, and is not given to anybody else before it is reaped.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    #[cfg(target_os = "linux")]
    pidfd: Option<OwnedFd>,
    status: Option<Status>,
    reaped: bool,
}

impl Leader {
    /// Of a child of this process that nobody else waits for.
    pub(super) fn of(pid: Pid) -> Self {
        Self {
            pid,
            // Where the kernel knows no such thing it is looked at now and then.
            #[cfg(target_os = "linux")]
            pidfd: rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok(),
            status: None,
            reaped: false,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What becomes readable when it ends.
    #[cfg(target_os = "linux")]
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// How it has ended, if it has been seen to.
    pub(super) const fn status(&self) -> Option<Status> {
        self.status
    }

    /// Looks whether it has ended, and leaves it to be reaped.
    pub(super) fn look(&mut self) {
        if self.status.is_none() {
            self.wait(WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        }
    }

    /// Reaps it if it has ended. From then on its group gets no signal any more.
    pub(super) fn reap(&mut self) -> bool {
        if !self.reaped && self.wait(WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            self.reaped = true;
        }
        self.reaped
    }

    /// Sends a signal to its group, in which it still is itself, if only as a zombie.
    pub(super) fn signal_group(&self, signal: Signal) -> io::Result<()> {
        if self.reaped {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended"));
        }
        let raw = signal.raw().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} is no signal of this system"))
        })?;
        Ok(rustix::process::kill_process_group(self.pid, raw)?)
    }

    /// Says whether it has ended.
    fn wait(&mut self, options: WaitIdOptions) -> bool {
        match rustix::process::waitid(WaitId::Pid(self.pid), options) {
            Ok(Some(status)) => {
                self.status = Some(read(&status));
                true
            }
            // Somebody else has reaped it: the number may be anybody's by now.
            Err(rustix::io::Errno::CHILD) => {
                self.status = self.status.or(Some(Status::Unknown));
                self.reaped = true;
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

/// Killed and reaped, in the background where the kernel does not let it end now.
impl Drop for Leader {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        drop(self.signal_group(Signal::KILL));
        if self.reap() {
            return;
        }
        let pid = self.pid;
        let reap = move || rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).is_ok();
        drop(std::thread::Builder::new().name(String::from("unattended-reap")).spawn(reap));
    }
}

fn read(status: &WaitIdStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, Some(signal)) => Status::Signalled { signal: Signal::of(signal), core: status.dumped() },
        (None, None) => Status::Unknown,
    }
}
