//! Who belongs to a command, and the signals that reach them.

use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::act::command::cgroup::{self, Cage};
use crate::act::command::leader::Leader;
use crate::act::command::proc::{self, Found};
use crate::act::command::{Contain, Error, MARK_ENV, Signal};
use crate::base::rng::entropy;

/// How many marks a command that was started by a command that was … carries.
const MARKS_MAX: usize = 8;

/// How far a command is reached.
#[derive(Debug)]
pub(super) struct Reach {
    mark: String,
    how: How,
    oom_kills: Option<u64>,
    /// Whoever was found out of the group, to be reaped where that falls to this process.
    known: Vec<u32>,
}

#[derive(Debug)]
enum How {
    Group,
    Subreaper,
    Cage(Cage),
}

impl Reach {
    pub(super) fn of(contain: &Contain) -> Result<Self, Error> {
        let mark = format!("{:016x}", entropy());
        let how = match contain {
            Contain::Group => How::Group,
            Contain::Subreaper => {
                become_subreaper()?;
                How::Subreaper
            }
            Contain::Cgroup(parent) => How::Cage(Cage::below(parent, &mark)?),
        };
        let oom_kills = match &how {
            How::Cage(cage) => cage.oom_kills(),
            How::Group | How::Subreaper => cgroup::own_oom_kills(),
        };
        Ok(Self { mark, how, oom_kills, known: Vec::new() })
    }

    /// The value of the mark's variable: the marks of the commands above, and this one's.
    pub(super) fn marks(&self) -> String {
        let above = std::env::var(MARK_ENV).unwrap_or_default();
        let mut marks: Vec<_> = above.split('.').filter(|mark| !mark.is_empty()).collect();
        let old = (marks.len() + 1).saturating_sub(MARKS_MAX);
        marks.drain(..old);
        marks.push(&self.mark);
        marks.join(".")
    }

    /// Before the program runs.
    pub(super) fn take(&self, leader: &Leader) -> Result<(), Error> {
        match &self.how {
            How::Cage(cage) => cage.take(leader.pid()),
            How::Group | How::Subreaper => Ok(()),
        }
    }

    /// Who is to be ended with the command, and who has escaped; `None` where nobody can tell.
    pub(super) fn look(&mut self, leader: &Leader, young: bool) -> Option<Found> {
        let mut found = match &self.how {
            How::Cage(cage) => {
                let mut members = cage.members();
                members.retain(|pid| *pid != leader.pid());
                Found { members, ..Found::default() }
            }
            How::Group | How::Subreaper => proc::belonging(leader.pid(), &self.mark, young)?,
        };
        found.zombies.drain(..).for_each(reap);
        if matches!(self.how, How::Subreaper) {
            for pid in found.strays.drain(..) {
                if !self.known.contains(&pid) {
                    self.known.push(pid);
                }
                found.members.push(pid);
            }
        }
        Some(found)
    }

    /// Asks all of them to end.
    pub(super) fn terminate(&mut self, leader: &Leader) {
        self.signal(leader, Signal::TERM);
        // One that is stopped would not hear it.
        self.signal(leader, Signal::CONT);
    }

    /// Ends all of them.
    pub(super) fn kill(&mut self, leader: &Leader) {
        if let How::Cage(cage) = &self.how {
            cage.kill();
        }
        self.signal(leader, Signal::KILL);
    }

    /// Reaps those who have become this process's to reap.
    pub(super) fn reap(&mut self) {
        self.known.drain(..).for_each(reap);
    }

    /// Which of them still run and belong to the command.
    pub(super) fn still(&self, pids: Vec<u32>) -> Vec<u32> {
        pids.into_iter().filter(|pid| proc::is_marked(*pid, &self.mark)).collect()
    }

    /// Whether the kernel has ended a process here for want of memory since the start.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let now = match &self.how {
            How::Cage(cage) => cage.oom_kills(),
            How::Group | How::Subreaper => cgroup::own_oom_kills(),
        };
        matches!((self.oom_kills, now), (Some(before), Some(now)) if now > before)
    }

    fn signal(&mut self, leader: &Leader, signal: Signal) {
        // Fails where all of it has ended, or belongs to another user.
        drop(leader.signal_group(signal));
        if !matches!(self.how, How::Group) {
            self.signal_one_by_one(leader, signal);
        }
    }

    /// Those who may be out of the group. Held by a file descriptor before they are looked at once more, so that a number that was
    /// given to somebody else meanwhile is not signalled.
    #[cfg(target_os = "linux")]
    fn signal_one_by_one(&mut self, leader: &Leader, signal: Signal) {
        use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

        let Some(first) = self.look(leader, false) else { return };
        let open = |pid: &u32| Some((*pid, pidfd_open(to_pid(*pid)?, PidfdFlags::empty()).ok()?));
        let held: Vec<_> = first.members.iter().filter_map(open).collect();
        let (Some(again), Some(raw)) = (self.look(leader, false), signal.raw()) else { return };
        for (pid, fd) in held {
            if again.members.contains(&pid) {
                let _sent = pidfd_send_signal(fd, raw);
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn signal_one_by_one(&mut self, _leader: &Leader, _signal: Signal) {}
}

#[cfg(target_os = "linux")]
fn become_subreaper() -> Result<(), Error> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|source| Error::Spawn { program: String::from("as a subreaper"), source: source.into() })
}

#[cfg(not(target_os = "linux"))]
const fn become_subreaper() -> Result<(), Error> {
    Ok(())
}

fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// One that has ended, if it is a child of this process. It belonged to a command, so nobody else waits for it.
fn reap(pid: u32) {
    if let Some(pid) = to_pid(pid) {
        let _reaped =
            rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}
