//! What is worth doing next, and what no longer is.

mod error;
mod form;
#[cfg(test)]
mod tests;
mod value;

pub use error::Error;
pub use value::{Value, density, rank};
