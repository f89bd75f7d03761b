//! A dead-man switch: what should have succeeded by now, and has not.
