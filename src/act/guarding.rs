//! breaker driver
