//! Named steps with checkpoints: a run goes on where it was, never from the start.
//!
//! The output of a finished step is committed together with the run's state. After a crash, a failed step or a reboot
//! the run resumes at the first step that is not settled; what happens to a step that was in the middle is decided by
//! the [`Effect`](crate::base::effect::Effect) that it declares.
//!
//! A step is given a [`Cx`]: its input, the outputs of the steps before it, its cursor, and the means to commit its
//! progress together with what it writes.

mod attempt;
#[cfg(all(feature = "process", unix))]
pub(crate) mod command;
mod cx;
mod deciding;
mod drive;
mod during;
mod failing;
mod fan_out;
mod handing;
mod holding;
mod intake;
mod interrupt;
mod known;
mod ready;
mod step;
mod undo;
mod waiting;

pub use cx::{Cx, Progress, REPORT_EVERY};
pub(in crate::act) use drive::After;
pub(in crate::act) use drive::{Course, drive};
pub use fan_out::AT_ONCE_MAX;
pub(in crate::act) use holding::{AtEnd, Edges, Hold, Holding, Hooks};
pub(in crate::act) use interrupt::Sent;
pub(crate) use interrupt::{Interrupt, Wakeful};
pub use known::Known;
pub(in crate::act) use ready::{NotNow, Only};
pub use step::{Flow, Step, StepError};

pub use crate::remember::runs::{Otherwise, Wait};
