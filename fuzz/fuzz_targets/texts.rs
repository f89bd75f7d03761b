//! Durations, sizes, instants, rates, and what names a run.
#![no_main]

#[allow(dead_code, reason = "each target feeds one of them")]
#[path = "../../tests/support/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|given: &str| parsers::texts(given));
