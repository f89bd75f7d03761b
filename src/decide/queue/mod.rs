//! What is worth doing next, and what no longer is.
