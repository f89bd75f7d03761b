//! What a value or a JSON document must be to be accepted, every way in which it is not, and the gate that what comes
//! from an untrusted source has to pass.
//!
//! | you have | take |
//! |---|---|
//! | a typed value, such as an answer | [`Check`], made by [`of`] |
//! | JSON text, such as a job's input | `Contract` with its `Schema`, upgrades and version (feature `store`) |
//! | what a model or another untrusted source proposes | `Proposal`, `Gate`, `Approved` (feature `store`) |
//!
//! Bad input is refused before anything is claimed or spent, with everything that is wrong with it, each by its path.
//! Paths of JSON are JSON pointers ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)), such as `/items/3/amount`.

mod check;
mod violation;

#[cfg(feature = "store")]
mod accept;
#[cfg(feature = "store")]
mod approved;
#[cfg(feature = "store")]
mod build;
#[cfg(feature = "store")]
mod extract;
#[cfg(feature = "store")]
mod gate;
#[cfg(feature = "store")]
mod intake;
#[cfg(feature = "store")]
mod proposal;
#[cfg(feature = "store")]
mod refused;
#[cfg(feature = "store")]
pub mod schema;
#[cfg(feature = "store")]
mod tree;
#[cfg(feature = "store")]
mod verdict;
#[cfg(feature = "store")]
mod walk;

#[cfg(test)]
#[cfg(feature = "store")]
mod tests;

pub use check::{Check, Checked, of};
pub use violation::{Problem, Violation, Violations};

#[cfg(feature = "store")]
pub use {
    accept::{Accepted, Contract},
    approved::{Approved, Candidate, Origin, Review},
    build::{Builder, Error, VERSION_MAX},
    extract::Extraction,
    gate::{Gate, GateBuilder, Otherwise},
    intake::{Admitted, Intake},
    proposal::Proposal,
    refused::{Refusal, Refused},
    schema::Schema,
    verdict::{Decision, Reason, Verdict},
};
