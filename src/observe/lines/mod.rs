//! Log lines: what kind each is, and files that are followed.
