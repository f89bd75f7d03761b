//! What was put off or left behind is finished by `tick` alone.

use super::*;

fn tick(shop: &Shop) -> Value {
    let given = shop.run(&["tick", "--json"]);
    assert!(matches!(given.code, 0 | 1), "{given:?}");
    given.lines().pop().unwrap_or_else(|| panic!("{given:?}"))
}

#[test]
fn what_was_put_off_is_run_when_it_is_due() {
    for shop in Shop::each() {
        let script = r#"echo x >> ran; if [ -e well ]; then exit 0; fi
            echo '{"class":"rate_limited","retry_after_ms":120000}' > "$UNATTENDED_REPORT"; exit 1"#;
        let put_off = exec(&shop, "upload", &["--effect", "idempotent"], script).ended(1).object();
        assert_eq!(put_off["state"], "failed_transient", "{put_off}");
        tick(&shop);
        assert_eq!(lines(&shop, "ran"), 1, "it is not due");
        shop.file("well", "");
        shop.run(&["requeue", put_off["run_id"].as_str().unwrap()]).ended(0);
        let answer = tick(&shop);
        assert_eq!((&answer["ran"], lines(&shop, "ran")), (&1.into(), 2), "{answer}");
        assert_eq!(run_of(&shop, "upload")["state"], "succeeded");
        assert_eq!(tick(&shop)["ran"], 0);
        for file in ["ran", "well"] {
            std::fs::remove_file(shop.path(file)).unwrap();
        }
    }
}

#[test]
fn what_a_dead_process_left_is_taken_over_or_asked_about() {
    let shop = Shop::sqlite();
    for (job, effect) in [("copy", "idempotent"), ("pay", "unsafe")] {
        let script = format!("echo x >> {job}; touch up; while [ ! -e go ]; do sleep 0.05; done");
        let mut child = begun(&shop, job, &["--effect", effect], &script);
        until("it is up", || shop.path("up").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(shop.path("up")).unwrap();
    }
    shop.file("go", "");
    until("the command has ended and the run is done", || {
        tick(&shop);
        shop.run(&["requeue", "copy"]);
        run_of(&shop, "copy")["state"] == "succeeded"
    });
    assert_eq!((lines(&shop, "copy"), lines(&shop, "pay")), (2, 1));
    assert_eq!(run_of(&shop, "pay")["state"], "needs_review");
}

#[test]
fn two_passes_at_once_run_each_command_once() {
    for shop in Shop::each() {
        let limited =
            r#"echo '{"class":"rate_limited","retry_after_ms":120000}' > "$UNATTENDED_REPORT"; exit 1"#;
        for number in 0..4 {
            let script = format!("if [ -e well ]; then echo {number} >> ran; exit 0; fi; {limited}");
            exec(&shop, &format!("job{number}"), &["--effect", "idempotent"], &script).ended(1);
        }
        shop.file("well", "");
        shop.run(&["requeue", "--all", "--yes", "--state", "failed_transient"]).ended(0);
        let both: Vec<_> = (0..2)
            .map(|_| {
                shop.command(&["tick", "--json"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        both.into_iter().for_each(|child| drop(child.wait_with_output().unwrap()));
        tick(&shop);
        let mut ran: Vec<_> =
            std::fs::read_to_string(shop.path("ran")).unwrap().lines().map(str::to_owned).collect();
        ran.sort_unstable();
        assert_eq!(ran, ["0", "1", "2", "3"]);
        for file in ["ran", "well"] {
            std::fs::remove_file(shop.path(file)).unwrap();
        }
    }
}

#[test]
fn what_has_secrets_is_left_to_whoever_knows_them() {
    let shop = Shop::sqlite();
    let script = r#"echo x >> ran; echo '{"class":"rate_limited","retry_after_ms":120000}' > "$UNATTENDED_REPORT"; exit 1"#;
    let args = [
        "exec",
        "--json",
        "--name",
        "pay",
        "--key",
        "k",
        "--effect",
        "idempotent",
        "--secret-arg",
        "4",
        "--",
        "sh",
        "-c",
        script,
        "sh",
        "tr0ub4dor",
    ];
    let given = shop.run(&args).ended(1).object();
    shop.run(&["requeue", given["run_id"].as_str().unwrap()]).ended(0);
    assert_eq!(tick(&shop)["ran"], 0);
    assert_eq!(lines(&shop, "ran"), 1);
    shop.run(&args).ended(1);
    assert_eq!(lines(&shop, "ran"), 2, "whoever types it again goes on with it");
    assert_eq!(runs_of(&shop, "pay"), 1);
}
