//! What else can be asked for.

use super::*;

#[test]
fn a_closed_window_puts_it_off_until_it_opens() {
    for shop in Shop::each() {
        // Open on one day of the week that is not today, in a zone that nobody doubts.
        let today = chrono::Utc::now().format("%a").to_string();
        let other = if ["Mon", "Tue", "Sun"].contains(&&*today) { "Thu" } else { "Mon" };
        let window = format!("10:00-11:00 {other} UTC");
        let given = exec(&shop, "night", &["--during", &window], "echo x >> ran").ended(75).object();
        assert_eq!(given["state"], "queued", "{given}");
        assert!(given["due_at"].is_string() && given["exit_code"].is_null(), "{given}");
        let silent = typed(&shop, &[], "night", &["--during", &window], "echo x >> ran");
        let silent = crate::kit::given(silent, "").ended(75);
        assert_eq!((&*silent.out, &*silent.err), ("", ""));
        assert_eq!((lines(&shop, "ran"), runs_of(&shop, "night")), (0, 1), "one call waits for all of them");
        exec(&shop, "day", &["--during", "00:00-24:00 UTC"], "true").ended(0);
    }
}

#[test]
fn a_closed_gate_puts_it_off() {
    for shop in Shop::each() {
        let given = exec(&shop, "big", &["--gate", "disk:/:1000TiB"], "echo x >> ran").ended(75).object();
        assert_eq!(given["state"], "queued", "{given}");
        assert_eq!(lines(&shop, "ran"), 0);
        exec(&shop, "small", &["--gate", "disk:/:1KiB"], "true").ended(0);
        let missing = shop.path("mount").display().to_string();
        exec(&shop, "mounted", &["--gate", &format!("mounted:{missing}")], "true").ended(75);
    }
}

#[test]
fn a_quota_puts_off_what_is_too_often() {
    for shop in Shop::each() {
        let options = ["--quota", "1/d"];
        exec(&shop, "mail", &options, "echo x >> ran").ended(0);
        let second = exec(&shop, "mail", &options, "echo x >> ran").ended(75).object();
        assert!(second["code"].as_str().unwrap().starts_with("quota."), "{second}");
        assert_eq!(lines(&shop, "ran"), 1);
        std::fs::remove_file(shop.path("ran")).unwrap();
    }
}

#[test]
fn every_run_beats_and_what_is_expected_is_declared() {
    for shop in Shop::each() {
        exec(&shop, "undeclared", &[], "true").ended(0);
        exec(&shop, "hourly", &["--expect-every", "1h"], "true").ended(0);
        exec(&shop, "nightly", &["--schedule", "30 2 * * *", "--tz", "Europe/Paris"], "exit 1").ended(1);
        let monitor = unattended::monitor::Monitor::new(shop.store(), "unattended").build().unwrap();
        let now = unattended::time::Clock::now(&unattended::time::System);
        let report = monitor.check_blocking(now).unwrap().to_string();
        for job in ["undeclared", "hourly", "nightly"] {
            assert!(report.contains(job), "{job}: {report}");
        }
    }
}

#[test]
fn codes_of_a_program_are_known_by_its_name() {
    let shop = Shop::sqlite();
    for (name, code, class) in [("curl", 7, "transient"), ("rsync", 1, "permanent"), ("mine", 7, "unknown")] {
        let program = shop.file(name, &format!("#!/bin/sh\nexit {code}\n"));
        std::process::Command::new("chmod").arg("+x").arg(&program).status().unwrap();
        let args = ["exec", "--json", "--name", name, "--", program.to_str().unwrap()];
        shop.run(&args).ended(code);
        let shown = shop.run(&["show", name]).ended(0);
        assert!(shown.out.contains(&format!("exit.{code} ({class})")), "{shown:?}");
    }
    let script = "exit 40";
    exec(&shop, "said", &["--transient", "40,50-59"], script).ended(40);
    assert!(shop.run(&["show", "said"]).out.contains("exit.40 (transient)"));
}

#[test]
fn the_command_is_told_what_it_works_on_and_may_report() {
    for shop in Shop::each() {
        let script = r#"echo "$UNATTENDED_RUN_ID $UNATTENDED_KEY $UNATTENDED_DEADLINE" > told
            echo '{"class":"permanent","code":"shop.closed","why":"it is Sunday"}' > "$UNATTENDED_REPORT"; exit 1"#;
        let options = ["--key", "k", "--deadline", "1h", "--effect", "pure"];
        let given = exec(&shop, "told", &options, script).ended(1).object();
        assert_eq!((&given["attempts"], &given["state"]), (&1.into(), &"failed_permanent".into()), "{given}");
        assert!(given["why"].as_str().unwrap().contains("shop.closed"), "{given}");
        let told = std::fs::read_to_string(shop.path("told")).unwrap();
        let told: Vec<&str> = told.split_whitespace().collect();
        assert_eq!((told[0], told[1]), (given["run_id"].as_str().unwrap(), "exec/told/k"));
        assert!(told[2].starts_with("20") && told[2].ends_with('Z'), "{told:?}");
    }
}

#[test]
fn what_failed_is_replayed_where_it_was_with_what_it_had() {
    for shop in Shop::each() {
        let folder = shop.path("work");
        std::fs::create_dir(&folder).unwrap();
        let mut command = shop.command(&[
            "exec",
            "--json",
            "--name",
            "build",
            "--key",
            "k",
            "--stdin",
            "--env",
            "FLAVOUR",
            "--",
            "sh",
            "-c",
            "cat > got; echo $FLAVOUR >> got; [ -e fixed ]",
        ]);
        command.current_dir(&folder).env("FLAVOUR", "mild").env("TZ", "Asia/Tokyo");
        crate::kit::given(command, "input\n").ended(1);
        std::fs::write(folder.join("fixed"), "").unwrap();
        std::fs::remove_file(folder.join("got")).unwrap();
        let replayed = shop.run(&["replay", "--json", "build"]).ended(0).object();
        assert_eq!(replayed["state"], "succeeded", "{replayed}");
        assert_eq!(std::fs::read_to_string(folder.join("got")).unwrap(), "input\nmild\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn the_configuration_says_what_the_line_does_not() {
    let shop = Shop::sqlite();
    let config = shop.file("jobs.toml", "[jobs.sync]\neffect = \"pure\"\n");
    let options = ["--attempts", "2", "--config", config.to_str().unwrap()];
    exec(&shop, "sync", &options, "echo x >> ran; exit 1").ended(1);
    assert_eq!(lines(&shop, "ran"), 2, "unsafe would not be tried twice without a word of its own");
    let broken = shop.file("broken.toml", "[jobs.sync]\neffect = 7\n");
    exec(&shop, "sync", &["--config", broken.to_str().unwrap()], "echo x >> no").ended(78);
    assert_eq!(lines(&shop, "no"), 0);
}
