//! Another program, with a time-out that holds.
