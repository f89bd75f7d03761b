//! Held to the rules.
