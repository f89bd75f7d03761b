//! What a classifier proposes is decided as it was decided: the same messages give the same story.

use std::fs;
use std::path::Path;
use std::process::Command;

/// `UNATTENDED_BLESS=examples` keeps what it prints now.
#[test]
fn the_same_messages_are_decided_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = crate::examples::built(root).join("untrusted_intent");
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let golden = root.join("tests/golden/examples/untrusted_intent.out");
    if std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "examples") {
        fs::write(&golden, &output.stdout).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
