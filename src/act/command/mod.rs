//! Another program, with a time-out that holds.
//!
//! A [`Command`] starts a program in a process group of its own, with an explicit environment, arguments that pass no shell,
//! and nothing to read unless it is given something. It ends in bounded time whatever the program does: when its time is up the group
//! gets SIGTERM, after a [grace](Command::grace) SIGKILL, and what still holds its pipes then is waited for no longer than the
//! [drain](Command::drain). So a call takes at most time-out + grace + drain, and what was written until then is in the
//! [`Outcome`], of which the beginning and the end of each stream are kept.
//!
//! ```
//! use std::time::Duration;
//! use unattended::command::{Command, Error};
//! use unattended::fault::{Class, Classify};
//!
//! let said = Command::new("echo").arg("two words").timeout(Duration::from_secs(5)).run_blocking()?;
//! assert_eq!(said.stdout.text(), "two words\n");
//!
//! // EX_TEMPFAIL of sysexits.h: it may work later.
//! let failed = Command::new("sh").args(["-c", "echo no space left >&2; exit 75"]).run_blocking().unwrap_err();
//! assert_eq!(failed.to_string(), "sh exited with code 75: no space left");
//! assert_eq!(failed.fault().class, Class::Transient);
//! # Ok::<(), Error>(())
//! ```
//!
//! # What is left behind
//!
//! Nothing, as far as it can be reached. A program that ends by itself and leaves others running in its group has them ended too:
//! they get the drain to end by themselves, then SIGTERM, the grace, and SIGKILL. What has left the group (`setsid`) is out of reach
//! of a group's signals: it is ended where that was asked for by [`Contain`], else it is found by the mark that it carries
//! in its environment and reported as [`Error::Escaped`] with its pids (Linux). Children are reaped in every case, also when a [`Child`] or
//! the future of [`Command::run`] is dropped.
//!
//! A program that itself starts others in groups of their own, as this crate does, has to end them when it is asked to end;
//! what it does not end has escaped.
//!
//! # What a program sees
//!
//! `UNATTENDED_DEADLINE`, RFC 3339 with milliseconds, by which it will be ended, and `UNATTENDED_COMMAND`, the mark.
//!
//! # Platforms
//!
//! On Linux a wait is one `poll` on the process (`pidfd_open(2)`, 5.3) and its pipes, and uses no processor time while nothing
//! happens. On other Unixes, and older kernels, the process is looked at every 10 ms. What is left behind is looked up in `/proc`;
//! where there is none, a group is killed as a whole at the end and nobody is reported.

mod adopted;
mod builder;
mod captured;
mod cgroup;
mod check;
mod child;
mod codes;
mod contain;
mod error;
mod launch;
mod leader;
mod outcome;
mod proc;
mod pump;
#[cfg(feature = "store")]
mod record;
mod run;
mod signal;
mod wake;

pub use builder::{Command, Contain, Stdin, Stream};
pub use captured::Captured;
pub use child::{Child, Output, Waited};
pub use codes::Codes;
pub use error::Error;
pub use outcome::{KilledBy, Outcome, Status};
pub use signal::Signal;
pub use wake::Wake;

/// The environment variable with the instant by which the program will be ended: RFC 3339, UTC, milliseconds.
pub const DEADLINE_ENV: &str = "UNATTENDED_DEADLINE";

/// The environment variable that marks what a command has started, however far it went.
pub const MARK_ENV: &str = "UNATTENDED_COMMAND";
