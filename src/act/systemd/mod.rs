//! What systemd is told, and the units that are made for it.
//!
//! - **[`Notifier`]** tells the service manager what the service does: `READY=1`, `STATUS=`, `RELOADING=1`, `STOPPING=1`,
//!   `EXTEND_TIMEOUT_USEC=` (sd_notify(3)). Where nobody listens each call does nothing and says so, so a program needs no case
//!   of its own for a start by hand.
//! - **[`Watchdog`]** sends `WATCHDOG=1` when work makes progress, and only then. A ticker that pings by itself goes on pinging
//!   while the service hangs.
//! - **[`Service`]** and **[`Timer`]** write the text of a `.service` and a `.timer` from a job's own schedule and policies. What
//!   systemd has no words for is an [`Error`], never a unit that does something else.
//! - **[`lint`]** reads any unit and finds what systemd accepts and does not do.
//!
//! ```
//! use std::time::Duration;
//! use unattended::systemd::{Kind, Restarts, Service};
//!
//! let restarts = Restarts::new(5, Duration::from_secs(600), Duration::from_secs(10)).permanent([64, 78]);
//! let units = Service::new("mailer", ["/usr/bin/mailer", "--queue", "all mail"])
//!     .kind(Kind::Notify)
//!     .watchdog(Duration::from_secs(60))
//!     .restart(&restarts)
//!     .state("mailer")
//!     .build()?;
//! assert!(units.service.text.contains("ExecStart=/usr/bin/mailer --queue \"all mail\"\n"));
//! assert!(units.service.text.contains("StartLimitIntervalSec=10min\nStartLimitBurst=5\n"));
//! assert!(units.lint().is_empty());
//! # Ok::<(), unattended::systemd::Error>(())
//! ```
//!
//! The pages that it goes by are sd_notify(3), systemd.unit(5), systemd.service(5), systemd.exec(5),
//! systemd.resource-control(5), systemd.timer(5) and systemd.time(7) of systemd 252.

mod calendar;
mod check;
mod error;
mod escape;
mod finding;
mod hardening;
mod known;
mod lint;
#[cfg(feature = "store")]
mod live;
mod notify;
mod pace;
mod parse;
mod render;
mod service;
mod settings;
mod span;
mod timer;
mod unit;
mod watchdog;
mod zones;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use finding::{Finding, Flaw};
pub use hardening::Hardening;
pub use lint::lint;
#[cfg(feature = "store")]
pub use live::Live;
pub use notify::{Notifier, Told};
pub use service::Service;
pub use settings::{KillMode, Kind, OutOfMemory, Restarts};
pub use timer::Timer;
pub use unit::{Unit, Units};
pub use watchdog::{Expecting, Watchdog};
