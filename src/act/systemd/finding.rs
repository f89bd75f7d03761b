//! What a unit says that systemd does not do.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::text::about;

/// A flaw, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The line of the unit, from 1.
    pub line: usize,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// So many starts, each so long after the one before, do not fit into the time in which they are counted.
    LimitUnreachable {
        /// `StartLimitBurst=`.
        burst: u64,
        /// `RestartSec=`.
        delay: Duration,
        /// `StartLimitIntervalSec=`.
        within: Duration,
    },
    /// A limit of starts that stands in `[Service]`.
    LimitMisplaced {
        /// Which one.
        key: String,
    },
    /// `RestartMaxDelaySec=` without `RestartSteps=`.
    DelayMaxIgnored,
    /// A directive that is newer than the systemd that the unit is for.
    TooNew {
        /// Which one.
        key: String,
        /// The version that brought it.
        since: u32,
        /// The version that the unit is for.
        target: u32,
    },
    /// A oneshot that is to be begun again also when it succeeds.
    RestartRefused {
        /// `Restart=`.
        given: String,
    },
    /// A watchdog of a service that does not say how it gets on.
    WatchdogUnheard {
        /// `Type=`.
        kind: String,
    },
    /// A oneshot whose run has no limit.
    OneshotWithoutEnd,
    /// The policy catches up with what was missed, and the timer does not.
    NotPersistent,
    /// The timer catches up however late it is, and the policy does not.
    LateWithoutEnd {
        /// What the policy says.
        late_max: Duration,
    },
    /// The service is killed before it has had its time to end.
    StopTooSoon {
        /// `TimeoutStopSec=`.
        stop: Duration,
        /// The time that it takes.
        drain: Duration,
    },
    /// A time of day that the clocks skip once a year: systemd leaves it out on that day.
    ClocksSkip {
        /// `OnCalendar=`.
        calendar: String,
        /// Whether the zone is the machine's own, which nobody knows here.
        machine: bool,
    },
    /// Each hour or minute, in a zone that shows an hour twice: systemd passes it once.
    ClocksRepeat {
        /// `OnCalendar=`.
        calendar: String,
    },
    /// A program without its whole path.
    ExecNotAbsolute {
        /// The program.
        program: String,
    },
    /// A directive that systemd does not know in that section.
    UnknownDirective {
        /// The section.
        section: String,
        /// The directive.
        key: String,
    },
    /// A section that systemd does not know.
    UnknownSection {
        /// The section.
        section: String,
    },
    /// A line that is neither a section, an assignment, nor a comment.
    UnreadableLine,
}

impl Finding {
    pub(super) const fn at(line: usize, flaw: Flaw) -> Self {
        Self { line, flaw }
    }
}

impl Explain for Finding {
    fn code(&self) -> &'static str {
        self.flaw.code()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.flaw)
    }
}

impl Explain for Flaw {
    fn code(&self) -> &'static str {
        match self {
            Self::LimitUnreachable { .. } => "systemd.limit_unreachable",
            Self::LimitMisplaced { .. } => "systemd.limit_misplaced",
            Self::DelayMaxIgnored => "systemd.delay_max_ignored",
            Self::TooNew { .. } => "systemd.too_new",
            Self::RestartRefused { .. } => "systemd.restart_refused",
            Self::WatchdogUnheard { .. } => "systemd.watchdog_unheard",
            Self::OneshotWithoutEnd => "systemd.oneshot_without_end",
            Self::NotPersistent => "systemd.not_persistent",
            Self::LateWithoutEnd { .. } => "systemd.late_without_end",
            Self::StopTooSoon { .. } => "systemd.stop_too_soon",
            Self::ClocksSkip { .. } => "systemd.clocks_skip",
            Self::ClocksRepeat { .. } => "systemd.clocks_repeat",
            Self::ExecNotAbsolute { .. } => "systemd.exec_not_absolute",
            Self::UnknownDirective { .. } => "systemd.unknown_directive",
            Self::UnknownSection { .. } => "systemd.unknown_section",
            Self::UnreadableLine => "systemd.unreadable_line",
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitUnreachable { burst, delay, within } => {
                let (delay, within) = (about(*delay), about(*within));
                write!(
                    f,
                    "{burst} starts, each {delay} after an end, never fall into {within}: it is begun again for ever"
                )
            }
            Self::LimitMisplaced { key } => {
                write!(f, "{key}= belongs into [Unit]; here it is ignored or obsolete")
            }
            Self::DelayMaxIgnored => f.write_str("RestartMaxDelaySec= does nothing without RestartSteps="),
            Self::TooNew { key, since, target } => {
                write!(f, "{key}= came with systemd {since}; {target} ignores it")
            }
            Self::RestartRefused { given } => {
                write!(f, "systemd refuses Restart={given} of a oneshot, and the unit with it")
            }
            Self::WatchdogUnheard { kind } => {
                write!(
                    f,
                    "a service of Type={kind} does not say how it gets on: WatchdogSec= kills it, or does nothing"
                )
            }
            Self::OneshotWithoutEnd => f.write_str("a oneshot without TimeoutStartSec= may hang for ever"),
            Self::NotPersistent => f.write_str(
                "what is missed while the machine is down is not made up for, and the policy says it is",
            ),
            Self::LateWithoutEnd { late_max } => {
                write!(
                    f,
                    "systemd makes up for what was missed however late it is, and the policy only for {}",
                    about(*late_max)
                )
            }
            Self::StopTooSoon { stop, drain } => {
                write!(f, "it is killed after {}, and takes {} to end", about(*stop), about(*drain))
            }
            Self::ClocksSkip { calendar, machine: false } => {
                write!(f, "the clocks skip {calendar} once a year, and systemd leaves it out on that day")
            }
            Self::ClocksSkip { calendar, machine: true } => {
                write!(
                    f,
                    "where the zone of the machine skips {calendar} once a year systemd leaves it out on that day"
                )
            }
            Self::ClocksRepeat { calendar } => {
                write!(f, "the clocks show an hour of {calendar} twice, and systemd passes it once")
            }
            Self::ExecNotAbsolute { program } => {
                write!(f, "{program} is searched for in a path of systemd's own")
            }
            Self::UnknownDirective { section, key } => {
                write!(f, "systemd knows no {key}= in [{section}] and ignores it")
            }
            Self::UnknownSection { section } => {
                write!(f, "systemd knows no section [{section}] and ignores it")
            }
            Self::UnreadableLine => f.write_str("this is neither a section, an assignment, nor a comment"),
        }
    }
}
