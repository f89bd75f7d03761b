//! Trees of files: what is there, and what has changed.
