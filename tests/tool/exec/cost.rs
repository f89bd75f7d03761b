//! What a wrapped command costs.

use std::process::Command;

use super::*;

#[test]
fn a_wrapped_command_costs_at_most_6_fsyncs() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: no strace");
        return;
    }
    let shop = Shop::sqlite();
    exec(&shop, "x", &[], "true").ended(0);
    let counts = shop.path("counts");
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&counts).args(["-e", "trace=fsync,fdatasync"]);
    command.arg(env!("CARGO_BIN_EXE_unattended")).args(["exec", "--name", "x", "--", "true"]);
    command.env("UNATTENDED_STORE", shop.store_url()).env("HOME", shop.folder()).current_dir(shop.folder());
    let output = command.output().unwrap();
    if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("ptrace") {
        eprintln!("skipped: this process may not trace others");
        return;
    }
    assert!(output.status.success(), "{output:?}");
    let calls = std::fs::read_to_string(&counts).unwrap();
    let synced = calls.lines().filter(|line| line.contains("sync(")).count();
    assert!((1..=6).contains(&synced), "{synced}:\n{calls}");
}
