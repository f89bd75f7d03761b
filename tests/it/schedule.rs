//! Schedules, from outside.
