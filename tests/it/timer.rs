//! Timers under simulated time.
