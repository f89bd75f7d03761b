#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small numbers"
)]

mod hostile;
mod random;
mod rules;
mod saved;
mod scan;
mod value;
