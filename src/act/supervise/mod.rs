//! What keeps running, or a person is told.
//!
//! A [`Supervisor`] starts a process or a thread, watches it, and begins it again when it has failed, by a
//! [`restart::Policy`](crate::decide::restart::Policy): not too soon, not too often, and not at all where that cannot help. When it gives up, it
//! says what it has seen. A hang is a failure too: [`Liveness`] says what a sign of life is.
//!
//! ```
//! use std::time::Duration;
//! use unattended::backoff::Backoff;
//! use unattended::command::Command;
//! use unattended::restart;
//! use unattended::shutdown::Shutdown;
//! use unattended::supervise::{Ended, Supervisor};
//!
//! let policy = restart::Policy::new().backoff(Backoff::zero()).quick(Duration::from_secs(60));
//! let worker = Command::new("sh").args(["-c", "echo no table 7 >&2; exit 1"]);
//! let mut supervisor = Supervisor::new("worker").process(worker).policy(policy).build()?;
//! let health = supervisor.health();
//! let Ended::Escalated { why, evidence } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
//! assert_eq!(why.to_string(), "the same error 3 times in a row, each within 1m after its start, 3 are too many");
//! assert_eq!(evidence.exits[2].tail, "no table 7");
//! assert!(!health.is_up());
//! # Ok::<(), unattended::supervise::Error>(())
//! ```
//!
//! # What is stopped
//! All of it: a process with its whole group (see [`command`](crate::act::command)), with SIGTERM and after the
//! [grace](Builder::grace) SIGKILL. A thread is asked by its [`Stop`]; one that does not listen cannot be stopped, and is then never begun
//! beside itself: a person is told.
//!
//! # What survives the supervisor
//! With [`Builder::persist`] the window of failures, the delay that is waited for and an escalation are written before anything is begun
//! again, so a supervisor that is killed goes on counting. With a command that is
//! `recorded`, a process that outlives its supervisor is not run twice: the next supervisor waits until it has ended. It cannot know
//! how that was, so this end is not counted.
//!
//! # What it costs
//! Nothing while nothing happens: the thread sleeps in the kernel until the process ends, a shutdown is asked for, or a sign of life
//! is due.

mod alive;
mod bell;
mod builder;
mod error;
mod event;
mod health;
mod keep;
mod liveness;
mod notify;
mod process;
mod run;
mod stop;
mod thread;

#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use error::Error;
pub use event::{Ended, Event, Hanging};
pub use health::{Health, State};
pub use liveness::Liveness;
pub use run::Supervisor;
pub use stop::Stop;
