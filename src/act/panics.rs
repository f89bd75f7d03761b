//! What a panic said.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::fault::Panicked;

/// What `run` gives, or what it said when it panicked.
pub(in crate::act) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| Panicked::of(&*panic).message)
}
