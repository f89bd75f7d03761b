//! Who belongs to a command, and the signals that reach them.

use crate::act::command::adopted;
use crate::act::command::cgroup::{self, Cage};
use crate::act::command::leader::Leader;
use crate::act::command::proc::{self, Found};
use crate::act::command::{Contain, Error, MARK_ENV, Signal};
use crate::base::rng::entropy;

/// How many marks a command that was started by a command that was … carries.
const MARKS_MAX: usize = 8;

/// How many of those that were seen are remembered, to be reaped.
const KNOWN_MAX: usize = 4096;

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
                self.known.extend(&members);
                Found { members, ..Found::default() }
            }
            How::Group | How::Subreaper => proc::belonging(leader.pid(), &self.mark, young)?,
        };
        found.zombies.drain(..).for_each(adopted::reap_one);
        self.known.sort_unstable();
        self.known.dedup();
        self.known.truncate(KNOWN_MAX);
        if matches!(self.how, How::Subreaper) {
            self.known.extend(&found.strays);
            found.members.append(&mut found.strays);
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
        if matches!(self.how, How::Cage(_)) {
            // Seen before they are zombies, which are shown in no control group, and may be this process's to reap.
            self.look(leader, false);
        }
        if let How::Cage(cage) = &self.how {
            cage.kill();
        }
        self.signal(leader, Signal::KILL);
    }

    /// Reaps those who have become this process's to reap, of this command and of earlier ones.
    pub(super) fn reap(&mut self) {
        adopted::expect(self.known.drain(..));
        adopted::reap();
    }

    /// Those who are not seen to end, as nobody waits for them any longer.
    pub(super) fn leave(&mut self, members: Vec<u32>) {
        self.known.extend(members);
    }

    /// Which of them still run and belong to the command.
    pub(super) fn still(&self, pids: Vec<u32>) -> Vec<u32> {
        let still: Vec<_> = pids.into_iter().filter(|pid| proc::is_marked(*pid, &self.mark)).collect();
        adopted::expect(still.iter().copied());
        still
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
        let open = |pid: &u32| Some((*pid, pidfd_open(adopted::to_pid(*pid)?, PidfdFlags::empty()).ok()?));
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
        .map_err(|source| Error::Spawn { program: String::from("as a subreaper"), source: source.into() })?;
    adopted::begin();
    Ok(())
}

#[cfg(not(target_os = "linux"))]
const fn become_subreaper() -> Result<(), Error> {
    Ok(())
}
