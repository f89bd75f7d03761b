//! One integration binary: what crosses modules.
