//! A state in a file.
#![no_main]

#[allow(dead_code, reason = "each target feeds one of them")]
#[path = "../../tests/support/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|given: &[u8]| {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    parsers::snapshot(folder.path(), given);
});
