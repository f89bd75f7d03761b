//! What is worth doing next, and what no longer is.

mod change;
mod core;
mod entry;
mod error;
mod form;
mod keys;
mod kinds;
mod line;
mod order;
mod pick;
mod pile;
mod reason;
mod saved;
mod shed;
mod slab;
mod task;
#[cfg(test)]
mod tests;
mod value;

pub use self::core::Queue;
pub use error::Error;
pub use order::{Builder, Order};
pub use reason::{Done, Listed, Next, Noticed, Picked, Pushed, Rejected, Run, Skip, Skipped, State};
pub use saved::Saved;
pub use slab::Id;
pub use task::{Reschedule, Task};
pub use value::{Value, density, rank};
