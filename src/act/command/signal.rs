//! A signal by its number.

use std::fmt;

/// A signal, by its number on this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

impl Signal {
    /// The terminal is gone; for many services: read the configuration again.
    pub const HUP: Self = Self(rustix::process::Signal::HUP.as_raw());
    /// Interrupted from the keyboard.
    pub const INT: Self = Self(rustix::process::Signal::INT.as_raw());
    /// Ended from the keyboard, with a core.
    pub const QUIT: Self = Self(rustix::process::Signal::QUIT.as_raw());
    /// Ended at once; cannot be caught.
    pub const KILL: Self = Self(rustix::process::Signal::KILL.as_raw());
    /// The program's own.
    pub const USR1: Self = Self(rustix::process::Signal::USR1.as_raw());
    /// The program's own.
    pub const USR2: Self = Self(rustix::process::Signal::USR2.as_raw());
    /// Asked to end.
    pub const TERM: Self = Self(rustix::process::Signal::TERM.as_raw());
    /// Goes on after a stop.
    pub const CONT: Self = Self(rustix::process::Signal::CONT.as_raw());
    /// Stopped; cannot be caught.
    pub const STOP: Self = Self(rustix::process::Signal::STOP.as_raw());

    /// The signal of this number, as the system counts them.
    #[must_use]
    pub const fn of(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its name, such as `SIGTERM`; `None` for one that has none here, such as a real-time signal.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        use rustix::process::Signal as S;
        let named = [
            (S::HUP, "SIGHUP"),
            (S::INT, "SIGINT"),
            (S::QUIT, "SIGQUIT"),
            (S::ILL, "SIGILL"),
            (S::TRAP, "SIGTRAP"),
            (S::ABORT, "SIGABRT"),
            (S::BUS, "SIGBUS"),
            (S::FPE, "SIGFPE"),
            (S::KILL, "SIGKILL"),
            (S::USR1, "SIGUSR1"),
            (S::SEGV, "SIGSEGV"),
            (S::USR2, "SIGUSR2"),
            (S::PIPE, "SIGPIPE"),
            (S::ALARM, "SIGALRM"),
            (S::TERM, "SIGTERM"),
            (S::CHILD, "SIGCHLD"),
            (S::CONT, "SIGCONT"),
            (S::STOP, "SIGSTOP"),
            (S::TSTP, "SIGTSTP"),
            (S::TTIN, "SIGTTIN"),
            (S::TTOU, "SIGTTOU"),
            (S::URG, "SIGURG"),
            (S::XCPU, "SIGXCPU"),
            (S::XFSZ, "SIGXFSZ"),
            (S::VTALARM, "SIGVTALRM"),
            (S::PROF, "SIGPROF"),
            (S::WINCH, "SIGWINCH"),
            (S::SYS, "SIGSYS"),
        ];
        named.iter().find(|(signal, _)| signal.as_raw() == self.0).map(|(_, name)| *name)
    }

    /// The system's; `None` for a number that is none, or that a program's runtime keeps to itself.
    pub(super) fn raw(self) -> Option<rustix::process::Signal> {
        rustix::process::Signal::from_named_raw(self.0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}
