//! People: what an operator asks and answers, as plain functions and as a command line.

#[cfg(feature = "cli")]
pub mod cli;
pub mod operator;
pub mod timeline;
