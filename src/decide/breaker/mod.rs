//! A dependency that fails is left alone for a while, then tried with care.
//!
//! ```text
//!            a rule trips                 open_for is over
//!   Closed ───────────────▶ Open ───────────────────────────▶ HalfOpen
//!     ▲                       ▲                                  │  │
//!     │                       └── a probe fails, or its lease ends ┘  │
//!     └──────────────────────── enough probes succeed ───────────────┘
//! ```
//!
//! [`Machine`] is the pure state: [`Machine::admit`] answers with a [`Permit`] or a reason, [`Machine::settle`] takes
//! the outcome. [`Breaker`] is the same for many threads: while Closed, a success is one load of one word.
//!
//! ```
//! use unattended::breaker::{Admit, Machine, Outcome, Policy};
//! use unattended::fault::Class;
//! use unattended::time::{Clock, System};
//!
//! let now = System.now();
//! let mut machine = Machine::new(Policy::cron(), 42, now)?;
//! for _ in 0..3 {
//!     if let Admit::Allow { permit, .. } = machine.admit(now) {
//!         let _moved = machine.settle(permit, Outcome::Failure(Class::Transient), now);
//!     }
//! }
//! assert!(matches!(machine.admit(now), Admit::Refuse { .. }));
//! # Ok::<(), unattended::breaker::Error>(())
//! ```
//!
//! **After a restart.** [`Machine::snapshot`] is a small value; [`Machine::restore`] clamps what the wall clock says to
//! what is possible and tells what it had to clamp. Three failures in a row are three in a row across three processes.
//!
//! The pattern is Nygard's, "Release It!", 2007.

mod form;
mod handle;
mod machine;
mod packed;
mod policy;
mod reason;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod window;

pub use handle::Breaker;
pub use machine::{Machine, Outcome, Permit};
pub(crate) use packed::Worth;
pub use policy::{Error, Mode, Policy, Rate, SlowRate, TimeRate};
pub use reason::{Admit, Allowing, Cause, Moved, Refusal, Refusing, Restoring, Standing, Stopped, Unmoved};
pub use snapshot::{Restored, Snapshot};
