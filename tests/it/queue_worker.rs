//! The example of a queue: processes over one store, one of them killed.

use std::path::Path;
use std::process::Command;

#[test]
fn a_producer_and_two_workers_of_which_one_is_killed_send_every_invoice_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = crate::examples::built(root).join("queue_worker");
    let output = Command::new(program).arg("demo").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let golden = root.join("tests/golden/examples/queue_worker.out");
    let said = String::from_utf8(output.stdout).unwrap();
    if std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "examples") {
        std::fs::write(&golden, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(&golden).unwrap_or_default());
}
