//! `simulate`: the decisions of the library, asked for from outside.

mod bounds;
mod formats;
mod library;
