//! Trends: what they find and how fast, and how they come to runs and calls.

mod simulation;
mod statistics;
