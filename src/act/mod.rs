//! The floor that waits, spawns and changes the world. What to do is decided below; here it is done.

pub mod call;

mod classifier;
mod guarding;
mod log;
mod retrying;
#[cfg(test)]
mod testing;
