//! Canonical JSON, and what takes secrets out.
#![no_main]

#[allow(dead_code, reason = "each target feeds one of them")]
#[path = "../../tests/support/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|given: &[u8]| parsers::json(given));
