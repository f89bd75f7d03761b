//! The week of hostile days is told as it was told: same seed, same output. Its invariants are tests of the example.

use std::fs;
use std::path::Path;
use std::process::Command;

/// `UNATTENDED_BLESS=examples` keeps what it prints now.
#[test]
fn the_same_seed_prints_the_same_week() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = crate::examples::built(root).join("hostile_api");
    let output = Command::new(program).arg("--week").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let golden = root.join("tests/golden/examples/hostile_api.out");
    if std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "examples") {
        fs::write(&golden, &output.stdout).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
