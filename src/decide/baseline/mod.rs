//! What is rare, and when there is enough evidence to say so.
//!
//! No model is learned: kinds are counted. A kind is rare if it was seen fewer than 3 times, and nothing is called rare before
//! that proves something: seen twice in `N` events, a kind's rate is at most `6.3 / N` at 95 %. Each alert shows on what it
//! stands ([`Footing`]).
//!
//! ```
//! use std::time::Duration;
//! use unattended::baseline::{Baseline, Policy, Severity, State};
//! use unattended::time::{Moment, Now};
//!
//! let mut now = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
//! let mut baseline = Baseline::new(Policy::new().rare_rate(0.01), 7, now)?;
//! for n in 0..1000 {
//!     let _quiet = baseline.observe(["read", "checked", "sent"][n % 3], Severity::Info, now);
//! }
//! assert_eq!(baseline.state(), State::Active);
//! let _held = baseline.observe("disk full", Severity::Error, now);
//! now = now.after(Duration::from_secs(10));
//! let alert = baseline.take(now).expect("it is one");
//! assert_eq!(
//!     alert.to_string(),
//!     "`disk full`: never seen in 1001 events, so at most 0.299 % of them are of this kind, where 0.100 % are expected to be new"
//! );
//! # Ok::<(), unattended::baseline::Error>(())
//! ```
//!
//! **States.** A baseline is [learning](State::Learning) until there is evidence, then [active](State::Active). After a long
//! silence it is [stale](State::Stale), after a change of regime in a [storm](State::Storm); in both it learns anew and
//! calls nothing rare.
//!
//! **Storm valve.** What is rare is held back for a moment ([`Policy::hold`]). If so many new kinds come at once that chance would
//! bring them in one of a million windows, one [`RegimeChange`] is told in place of all of them.
//!
//! **Suppression.** One alert is open for a kind; it counts, is told again ever more seldom, and is closed when it is over. All
//! together have a limit, and what is over it is in the [`Digest`].
//!
//! **Memory.** [`Policy::kinds_max`] kinds are counted exactly. A kind that has to go is remembered in two bits (not, once, twice,
//! more often) which never say too little before the counts are halved: a frequent kind is not taken for a rare one for lack of memory,
//! unless it was not seen for an epoch; then it has *returned*. Of the kinds that were
//! never seen at most 1 % are taken for seen ones; where that could not be kept nothing is called rare ([`Quiet::Crowded`]), and one
//! alert says that there seems to be no bound on the kinds. Two keys with one 64-bit hash are one kind: among a million kinds one new
//! kind in 18 million millions meets that. [`Policy::bytes_max`] is never exceeded.
//!
//! **After a restart.** [`Baseline::save`] has the counts, the evidence, the alerts that are open and what was not taken yet.
//! Save before you send.
//!
//! **Before you trust it**: [`backtest`] goes through a log of the past and says what would have been told and what of it was
//! right. **For jobs**: [`Units`] counts how often each kind occurs in one run, which finds what is missing or done twice.
//!
//! Where log lines get their kinds: `lines` (feature `lines`).

mod alerts;
mod backtest;
mod core;
mod error;
mod filter;
mod form;
mod hash;
mod learn;
mod pack;
mod policy;
mod reason;
mod saved;
mod severity;
mod state;
mod table;
mod tell;
#[cfg(test)]
mod tests;
mod unit;

pub use self::core::Baseline;
pub use backtest::{Backtest, Labelled, backtest};
pub use error::Error;
pub use policy::Policy;
pub use reason::{
    Again, Cardinality, Closed, Digest, Finding, Footing, Kind, Noticed, Outcome, Quiet, Rare, RegimeChange,
    Sighting, Stale,
};
pub use saved::Saved;
pub use severity::Severity;
pub use state::{Evidence, State};
pub use unit::{Judged, KINDS_MAX, Odd, OddKind, SavedUnits, TIMES_MAX, Unit, Units};
