//! The rules of the store seam as checks that every backend runs: ours, and yours.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use unattended::memory::Memory;
//! use unattended::store::Store;
//! use unattended::testing::conformance::{self, Harness, HandClock};
//!
//! struct OnMemory { clock: Arc<HandClock>, store: Memory }
//!
//! impl Harness for OnMemory {
//!     fn store(&self) -> &dyn Store { &self.store }
//!     fn advance(&self, by: Duration) { self.clock.advance(by) }
//!     fn step_wall(&self, by_ms: i64) -> bool { self.clock.step_wall(by_ms); true }
//!     fn second(&self) -> Option<Box<dyn Store>> { Some(Box::new(self.store.second())) }
//! }
//!
//! fn fresh() -> OnMemory {
//!     let clock = Arc::new(HandClock::new());
//!     OnMemory { store: Memory::on(clock.clone()), clock }
//! }
//!
//! conformance::run(fresh);
//! conformance::differential(fresh, 0..3);
//! ```

mod clock;
mod differential;
mod kit;
mod reads;
mod resend;
mod work;
mod writes;

use std::fmt;
use std::time::Duration;

pub use clock::HandClock;
pub use differential::{Difference, differential, first_difference};

use crate::remember::store::Store;

/// One empty store, and the hands on its clock.
pub trait Harness {
    /// The store; empty when the harness was made, and the same one at each call.
    fn store(&self) -> &dyn Store;

    /// Moves every clock that the store reads later by `by`.
    fn advance(&self, by: Duration);

    /// Steps the wall clock alone, by milliseconds either way, and says whether that is possible here. The default
    /// says no, and the checks that need it are left out.
    fn step_wall(&self, _by_ms: i64) -> bool {
        false
    }

    /// Another handle on the same records, as a second process would have. The default has none.
    fn second(&self) -> Option<Box<dyn Store>> {
        None
    }
}

/// What a check found: nothing wrong, or one sentence that says what was expected and what was there.
pub type Verdict = Result<(), String>;

/// One rule.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name, which is the rule in a few words.
    pub name: &'static str,
    /// Runs it on a fresh store.
    pub run: fn(&dyn Harness) -> Verdict,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// Every rule of the seam.
#[must_use]
pub fn checks() -> Vec<Check> {
    [writes::CHECKS, resend::CHECKS, reads::CHECKS, work::CHECKS].concat()
}

/// A rule that a backend does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub check: &'static str,
    /// What was expected and what was there.
    pub found: String,
}

/// Runs every check on a store of its own, and returns those that failed.
pub fn broken<H: Harness>(make: impl Fn() -> H) -> Vec<Broken> {
    let failed = |check: Check| (check.run)(&make()).err().map(|found| Broken { check: check.name, found });
    checks().into_iter().filter_map(failed).collect()
}

/// Runs every check on a store of its own.
///
/// # Panics
/// When the backend breaks a rule, with all the rules that it breaks.
pub fn run<H: Harness>(make: impl Fn() -> H) {
    let broken = broken(make);
    let lines: Vec<String> = broken.iter().map(|one| format!("  {}: {}", one.check, one.found)).collect();
    assert!(broken.is_empty(), "{} rules of the seam are broken:\n{}", broken.len(), lines.join("\n"));
}
