//! Named steps with checkpoints: a run goes on where it was, never from the start.
//!
//! The output of a finished step is committed together with the run's state. After a crash, a failed step or a reboot
//! the run resumes at the first step that is not settled; what happens to a step that was in the middle is decided by
//! the [`Effect`](crate::base::effect::Effect) that it declares.
//!
//! A step is given a [`Cx`]: its input, the outputs of the steps before it, its cursor, and the means to commit its
//! progress together with what it writes.

mod attempt;
mod cx;
mod drive;
mod failing;
mod handing;
mod holding;
mod step;

pub use cx::{Cx, Progress};
pub(in crate::act) use drive::{Course, drive};
pub(in crate::act) use holding::{Edges, Hold, Holding};
pub use step::{Step, StepError};
