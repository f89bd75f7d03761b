//! Pure state machines: state, input and now in; a decision with its reason out. No clock, no I/O, no logs.

pub mod claim;
pub mod run;
