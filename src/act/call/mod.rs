//! One adapter for each dependency.

pub use crate::act::classifier::{By, ByTrait, Classifier, Keep, Reject, RejectBy};
pub use crate::act::retrying::Retrying;
