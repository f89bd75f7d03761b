//! What is worth doing next, and what no longer is.
//!
//! A [`Task`] has a [`Value`] that never rises with time, and perhaps a deadline, an estimate and a key. The [`Queue`] hands out
//! what is worth most for each second that it takes; what has expired or cannot be done in time ends with its reason instead
//! of being begun; and when there is more than fits, the least valuable goes.
//!
//! ```
//! use std::time::Duration;
//! use unattended::queue::{Next, Queue, Task, Value};
//! use unattended::time::{Clock, System};
//!
//! let start = System.now();
//! let mut queue = Queue::new(start);
//! let report = Task::new("report").estimate(Duration::from_secs(60)).value(Value::step(5.0)?);
//! let code = Task::new("send code").within(Duration::from_secs(30)).estimate(Duration::from_secs(1));
//! for task in [report, code.clone(), code] {
//!     assert!(queue.push(task, start).is_ok());
//! }
//!
//! let Next::Run(first) = queue.next(start) else { unreachable!() };
//! assert_eq!(first.payload, "send code");
//! let done = queue.done(first.id, start.after(Duration::from_secs(40)));
//! assert_eq!(done.and_then(|done| done.late), Some(Duration::from_secs(10)));
//!
//! match queue.next(start.after(Duration::from_secs(40))) {
//!     Next::Skip(over) => assert_eq!(over.why.to_string(), "its deadline was 10s ago"),
//!     _ => unreachable!(),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Each task ends once**: handed out by [`Queue::next`] and then [done](Queue::done), skipped, shed by a [`Queue::push`], or
//! [cancelled](Queue::cancel). What is over is told before anything runs, in the order in which it could last have been begun.
//!
//! **Which clock.** [`Task::within`] and [`Task::delay`] count on the monotonic clock. [`Task::deadline`] and
//! [`Task::not_before`] are instants that a person gave: when the wall clock steps by more than 2 s, they are placed anew.
//!
//! **How it is exact and fast.** A worth never rises, so what was computed earlier is an upper bound: the first of a heap is
//! computed again, and is the best of all if that leaves it first. A test holds every choice to that of a scan over all tasks.
//!
//! What the orders are worth under load: [`docs/value_curve.md`](https://docs.rs/crate/unattended/latest/source/docs/value_curve.md).

mod change;
mod clock;
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
