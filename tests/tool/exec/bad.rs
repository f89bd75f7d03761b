//! Bad input, and a store that is not there.

use super::*;

#[test]
fn what_cannot_be_meant_is_a_usage_error_and_runs_nothing() {
    let shop = Shop::sqlite();
    let touch = ["--", "touch", "ran"];
    for options in [
        &["--nosuch"][..],
        &["--effect", "safe"],
        &["--effect", "verify:"],
        &["--during", "25:00-26:00"],
        &["--gate", "moon:full"],
        &["--quota", "60"],
        &["--timeout", "90"],
        &["--attempts", "0"],
        &["--transient", "300"],
        &["--permanent", "5-3"],
        &["--transient", "5,7", "--permanent", "6-7"],
        &["--expect-every", "10ms"],
        &["--once-per", "week"],
        &["--key", "a", "--once-per", "day"],
        &["--schedule", "now and then"],
        &["--tz", "UTC"],
        &["--secret-arg", "9"],
        &["--dep", "a b"],
        &["--env", "A=B"],
        &["--on-busy", "panic"],
    ] {
        let mut args = vec!["exec", "--json", "--name", "x"];
        args.extend(options);
        args.extend(touch);
        let given = shop.run(&args).ended(2);
        assert_eq!(given.error()["code"], "usage", "{options:?}: {given:?}");
    }
    let both =
        shop.run(&["exec", "--name", "x", "--transient", "5", "--permanent", "5", "--", "touch", "ran"]);
    assert!(both.ended(2).err.contains("exit code 5 is given to --transient and to --permanent"));
    shop.run(&["exec", "--name", "x"]).ended(2);
    shop.run(&["exec", "--name", "x", "--"]).ended(2);
    shop.run(&["exec", "--", "true"]).ended(2);
    let spaces = shop.run(&["exec", "--name", "a b", "--", "touch", "ran"]).ended(2);
    assert!(spaces.err.contains("job.name"), "{spaces:?}");
    assert!(!shop.path("ran").exists());
}

#[test]
fn a_usage_error_for_a_program_names_what_is_missing() {
    let shop = Shop::sqlite();
    for (args, named) in [
        (&["exec", "--name", "x"][..], "not provided: <CMD>..."),
        (&["exec", "--", "true"], "not provided: --name <NAME>"),
        (&["hold", "job:x"], "not provided: --reason <"),
        (&["replay", "x", "--mode", "force"], "--reason"),
        (&["resolve", "tok"], "not provided: <"),
        (&["requeue", "--rate", "1/s"], "<RUN>"),
    ] {
        let mut all = vec!["--json"];
        all.extend(args);
        let error = shop.run(&all).ended(2).error();
        assert!(error["message"].as_str().unwrap().contains(named), "{args:?}: {error}");
    }
    let error = shop.run(&["--json", "exec", "--nam", "x", "--", "true"]).ended(2).error();
    assert!(error["hint"].as_str().unwrap().contains("a similar argument exists: '--name'"), "{error}");
}

#[test]
fn one_bad_file_does_not_stop_a_job_unless_it_must_not_run_twice() {
    let shop = Shop::sqlite();
    shop.file("store.db", &"this is no store. ".repeat(1000));
    let ran = exec(&shop, "plain", &[], "echo x >> ran").ended(0);
    assert!(ran.err.contains("runs without a record"), "{ran:?}");
    let answer: Value = serde_json::from_str(ran.out.trim()).unwrap();
    assert_eq!((&answer["run_id"], &answer["state"]), (&Value::Null, &"succeeded".into()));
    exec(&shop, "plain", &[], "exit 6").ended(6);
    for promise in [&["--key", "k"][..], &["--lock"], &["--store-down", "refuse"]] {
        let refused = exec(&shop, "plain", promise, "echo x >> ran").ended(78);
        assert_eq!(refused.error()["code"], "store.not_a_store", "{refused:?}");
    }
    assert_eq!(lines(&shop, "ran"), 1);
    exec(&shop, "plain", &["--key", "k", "--store-down", "run"], "echo x >> ran").ended(0);
    assert_eq!(lines(&shop, "ran"), 2);
    assert!(std::fs::read_to_string(shop.path("store.db")).unwrap().starts_with("this is no store"));
}

#[test]
fn a_server_that_is_not_there_is_a_store_that_is_down() {
    let shop = Shop::sqlite();
    let mut command = typed(&shop, &["--json"], "plain", &[], "echo x >> ran");
    command.env("UNATTENDED_STORE", "postgres://nobody@127.0.0.1:1/none");
    let ran = crate::kit::given(command, "").ended(0);
    assert!(ran.err.contains("runs without a record"), "{ran:?}");
    assert_eq!(lines(&shop, "ran"), 1);
}

#[test]
fn a_store_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Shop::sqlite();
    let path = shop.path("deep/down/store.db");
    shop.run(&["exec", "--store", path.to_str().unwrap(), "--name", "x", "--", "true"]).ended(0);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_path_of_a_store_may_have_any_bytes() {
    use std::os::unix::ffi::OsStringExt;
    let shop = Shop::sqlite();
    let path = shop.folder().join(std::ffi::OsString::from_vec(b"\xff.db".to_vec()));
    let typed = |args: &[&str], input: &str| {
        let mut command = shop.command(&[]);
        command.arg("--store").arg(&path).args(args);
        crate::kit::given(command, input)
    };
    typed(&["exec", "--name", "q", "--lock", "--effect", "idempotent", "--", "touch", "ran"], "").ended(0);
    assert!(path.exists() && shop.path("ran").exists());
    // What it reads lies in a file beside the store, and is found again.
    let long = "x".repeat(100_000);
    let read = ["exec", "--name", "r", "--stdin", "--", "sh", "-c", "cat > copy; test -e good"];
    typed(&read, &long).ended(1);
    std::fs::remove_file(shop.path("copy")).unwrap();
    shop.file("good", "");
    typed(&["replay", "r"], "").ended(0);
    assert_eq!(std::fs::read_to_string(shop.path("copy")).unwrap(), long);
}

#[test]
fn arguments_of_any_size_and_bytes_are_run() {
    use std::os::unix::ffi::OsStringExt;
    let shop = Shop::sqlite();
    let long = "y".repeat(90_000);
    let args =
        ["exec", "--json", "--name", "long", "--", "sh", "-c", "printf %s \"$1\" | wc -c", "sh", &long];
    let given = shop.run(&args).ended(0);
    assert!(given.err.contains("90000"), "{}", given.err);
    let mut command = shop.command(&["exec", "--json", "--name", "raw", "--", "test", "-n"]);
    command.arg(std::ffi::OsString::from_vec(vec![0xff, 0xfe]));
    crate::kit::given(command, "").ended(0);
    let many: Vec<String> = (0..3000).map(|n| format!("file-{n}")).collect();
    let mut args = vec!["exec", "--json", "--name", "many", "--", "true"];
    args.extend(many.iter().map(String::as_str));
    shop.run(&args).ended(0);
}
