//! One integration binary: what crosses modules.

mod documents;
mod layering;
mod manifest;
mod reasons;
mod source;
