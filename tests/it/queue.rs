//! The queue, from outside.
