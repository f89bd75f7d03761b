//! Pure state machines: a state, an input and the time in; a decision with its reason out.
//!
//! Nothing here reads a clock, sleeps, logs or does I/O, and the modules do not import each other.

pub mod alert;
pub mod baseline;
pub mod breaker;
pub mod budget;
pub mod claim;
pub mod contract;
pub mod gate;
pub mod heartbeat;
pub mod intent;
pub mod queue;
pub mod quota;
pub mod restart;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod similarity;
pub mod trend;
pub mod window;
