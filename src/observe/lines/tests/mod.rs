//! The rules, one test each.

mod follows;
mod keys;
mod masks;
