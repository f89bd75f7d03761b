//! `unit`.

use std::process::Command;

use serde_json::Value;

use crate::kit::Shop;

/// Checked by systemd itself, where it is there.
fn verified(paths: &[&str]) {
    let verify = Command::new("systemd-analyze")
        .env("SYSTEMD_COLORS", "0")
        .args(["verify", "--man=no"])
        .args(paths)
        .output();
    let Ok(output) = verify else {
        eprintln!("skipped: no systemd-analyze");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{paths:?}: {said}");
}

#[test]
fn not_now_is_a_success_and_what_was_given_up_is_not_begun_again() {
    let shop = Shop::sqlite();
    for (name, more) in [
        ("daemon", &[][..]),
        ("quarter", &["--every", "15m"]),
        ("second", &["--every", "1s"]),
        ("calendar", &["--on-calendar", "Mon..Fri 06:30 UTC", "--user", "daemon"]),
        ("cron", &["--on-calendar", "30 2 * * 1-5", "--tz", "Europe/Paris"]),
        ("wrapped", &["--every", "1h", "--effect", "idempotent"]),
        ("never", &["--effect", "unsafe", "--description", "Runs once"]),
    ] {
        let dir = shop.path(name);
        std::fs::create_dir(&dir).unwrap();
        let args = [
            "unit",
            "--json",
            "--name",
            name,
            "--exec",
            "/bin/echo 'two words'",
            "--dir",
            dir.to_str().unwrap(),
        ];
        let given = shop.run(&[&args, more].concat()).ended(0).object();
        let service = given["service"].as_str().unwrap();
        assert!(service.contains("\nSuccessExitStatus=75\n"), "{name}: {service}");
        assert!(service.contains("\nRestartPreventExitStatus=1 64 65 77 78\n"), "{name}: {service}");
        assert_eq!(service.contains("\nRestart=on-failure\n"), name == "daemon", "{name}: {service}");
        assert!(service.contains("/bin/echo \"two words\"\n"), "{name}: {service}");
        let timer = &given["timer"];
        assert_eq!(timer.is_null(), matches!(name, "daemon" | "never"), "{name}: {timer}");
        let files: Vec<&str> =
            given["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
        assert_eq!(files.len(), if timer.is_null() { 1 } else { 2 });
        assert_eq!(std::fs::read_to_string(files[0]).unwrap(), service);
        match name {
            "quarter" => {
                assert!(timer.as_str().unwrap().contains("OnCalendar=*-*-* *:00/15:00 UTC"), "{timer}")
            }
            "calendar" => assert!(
                timer.as_str().unwrap().contains("OnCalendar=Mon..Fri 06:30 UTC")
                    && service.contains("\nUser=daemon\n"),
                "{timer}"
            ),
            "cron" => assert!(timer.as_str().unwrap().contains("Europe/Paris"), "{timer}"),
            "wrapped" => assert!(
                service.contains(" exec --name wrapped --effect idempotent -- /bin/echo"),
                "{service}"
            ),
            _ => {}
        }
        verified(&files);
    }
}

#[test]
fn people_see_the_files_and_the_commands_that_install_them() {
    let shop = Shop::sqlite();
    let given = shop.run(&["unit", "--name", "report", "--exec", "true", "--every", "1h"]).ended(0);
    for says in [
        "# /etc/systemd/system/report.service\n[Unit]\n",
        "# /etc/systemd/system/report.timer\n[Unit]\n",
        "systemctl daemon-reload\nsystemctl enable --now report.timer\n",
        "/true\n",
    ] {
        assert!(given.out.contains(says), "{says}: {}", given.out);
    }
    assert_eq!(
        shop.run(&["unit", "--json", "--name", "x", "--exec", "/bin/true"]).ended(0).object()["timer"],
        Value::Null
    );
}

#[test]
fn what_is_there_and_says_something_else_is_not_replaced() {
    let shop = Shop::sqlite();
    let dir = shop.folder().to_str().unwrap();
    let args = ["unit", "--name", "report", "--exec", "/bin/true", "--every", "1h", "--dir", dir];
    let first = shop.run(&args).ended(0);
    assert!(first.out.contains("written: ") && first.out.contains("report.timer"), "{first:?}");
    shop.run(&args).ended(0);
    let other = ["unit", "--name", "report", "--exec", "/bin/false", "--every", "1h", "--dir", dir];
    let refused = shop.run(&[&other[..], &["--json"]].concat()).ended(1);
    assert_eq!(refused.error()["code"], "unit.exists");
    assert!(refused.error()["hint"].as_str().unwrap().contains("--force"));
    let there = || std::fs::read_to_string(shop.path("report.service")).unwrap();
    assert!(there().contains("ExecStart=/bin/true\n"));
    shop.run(&[&other[..], &["--force"]].concat()).ended(0);
    assert!(there().contains("ExecStart=/bin/false\n"));
    let nowhere =
        shop.run(&["unit", "--name", "x", "--exec", "/bin/true", "--dir", "/nowhere/at/all"]).ended(1);
    assert!(nowhere.err.contains("/nowhere/at/all"), "{nowhere:?}");
}

#[test]
fn what_cannot_be_said_is_a_usage_error() {
    let shop = Shop::sqlite();
    for (args, says) in [
        (&["--name", "x", "--exec", "a | b"][..], "there is no shell"),
        (&["--name", "x", "--exec", "'a"], "not closed"),
        (&["--name", "x", "--exec", ""], "no program"),
        (&["--name", "x", "--exec", "./relative"], "absolute"),
        (&["--name", "x", "--exec", "no-such-program-anywhere"], "absolute"),
        (&["--name", "x/y", "--exec", "/bin/true"], "name"),
        (&["--name", "x", "--exec", "/bin/true", "--every", "3d"], "interval"),
        (
            &["--name", "x", "--exec", "/bin/true", "--every", "1h", "--on-calendar", "daily"],
            "cannot be used with",
        ),
        (&["--name", "x", "--exec", "/bin/true", "--on-calendar", "61 * * * *"], "minute"),
        (&["--name", "x", "--exec", "/bin/true", "--on-calendar", "daily; rm"], "calendar"),
        (&["--name", "x", "--exec", "/bin/true", "--effect", "magic"], "magic"),
        (&["--name", "x"], "--exec"),
    ] {
        let given = shop.run(&[&["unit"], args].concat()).ended(2);
        assert!(given.err.contains(says), "{args:?}: {given:?}");
    }
}
