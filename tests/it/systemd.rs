//! What systemd is told arrives on a real socket, and what is written for it means to systemd what was meant.
//!
//! Units are checked by systemd itself: `systemd-analyze` of the Debian package `systemd`. Where it is missing those tests are
//! skipped; with `UNATTENDED_REQUIRE_SYSTEMD=1` that is a failure.

mod messages;
mod units;

use std::process::Command;

/// A command of systemd's, where there is one.
fn systemd(program: &str) -> Option<Command> {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        let required = std::env::var("UNATTENDED_REQUIRE_SYSTEMD").is_ok_and(|value| value == "1");
        assert!(!required, "no {program}, and UNATTENDED_REQUIRE_SYSTEMD is set");
        eprintln!("skipped: no {program}");
        return None;
    }
    let mut command = Command::new(program);
    command.env("SYSTEMD_COLORS", "0").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    Some(command)
}
