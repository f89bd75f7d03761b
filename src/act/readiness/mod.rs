//! Waiting until it is time to begin.
