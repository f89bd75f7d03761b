//! What users test their own jobs with.

pub mod sim;
