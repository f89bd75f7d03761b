//! Alerts on trends, not on single failures.
//!
//! Every trend is a stream of yes and no: failed, retried, dead-lettered, slower than usual. A [`Trend`] learns which share is
//! usual, then keeps one number, which rises with each yes, falls with each no and never goes below zero; when it passes a limit,
//! the share has risen, and there is one [`Alert`], until it has fallen again. That is the cumulative sum of log likelihood
//! ratios of Page ("Continuous inspection schemes", Biometrika 1954), which finds a change of a given size sooner than any
//! other test with as many false alarms (Moustakides, "Optimal stopping times for detecting changes in distributions", 1986).
//!
//! "Three in a row" misses what fails now and then: where one run in ten fails it says nothing in 1,500 runs as often as not.
//!
//! ```
//! use unattended::time::{Clock, System};
//! use unattended::trend::{Observed, Policy, Trend};
//!
//! let mut failures = Trend::new(Policy::default());
//! for run in 0..200 {
//!     let _usual = failures.observe(run % 50 == 0, System.now());
//! }
//! let found = (1..).find(|run| {
//!     // From now on every third one fails.
//!     matches!(failures.observe(run % 3 == 0, System.now()), Observed::Alert(_))
//! });
//! assert!(found < Some(30), "{found:?}");
//! ```
//!
//! A [`Measure`] does the same with numbers of which more is worse, such as durations: it learns the median and the 95th
//! percentile, and watches which share is above each. Both, because what doubles every duration is found by the median, and what
//! makes few of them much slower by the other.
//!
//! What is promised about false alerts holds for observations that do not depend on each other. Where bad ones come in bunches though all
//! is as usual (a nightly load, a saw tooth), there are more; a greater [`threshold`](Builder::threshold) makes them rarer.
//!
//! **After a restart.** [`Trend::save`] is a small value; [`Trend::restore`] checks it.

mod form;
mod measure;
mod policy;
mod reason;
mod saved;
mod stream;
#[cfg(test)]
mod tests;

pub use measure::{Limits, Measure, Measured};
pub use policy::{Builder, Error, Policy};
pub use reason::{Alert, Cause, Observed, Power, Recovered};
pub use saved::{Saved, SavedMeasure};
pub use stream::Trend;
