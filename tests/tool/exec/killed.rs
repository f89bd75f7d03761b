//! SIGKILL of the tool in the middle, and what the next call does.

use super::*;

/// Begins it, kills the tool when the command is up, and lets the command end.
fn killed(shop: &Shop, job: &str, options: &[&str]) -> &'static str {
    let script = "echo x >> ran; touch up; while [ ! -e go ]; do sleep 0.05; done";
    let mut child = begun(shop, job, options, script);
    until("it is up", || shop.path("up").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    script
}

#[test]
fn unsafe_work_is_a_question_for_a_person_and_never_runs_again_by_itself() {
    let shop = Shop::sqlite();
    let script = killed(&shop, "pay", &["--key", "k"]);
    shop.file("go", "");
    for _ in 0..2 {
        let next = exec(&shop, "pay", &["--key", "k"], script).ended(1).object();
        assert_eq!((&next["state"], &next["exit_code"]), (&"needs_review".into(), &Value::Null), "{next}");
        assert!(next["hint"].as_str().unwrap().contains("unattended review "), "{next}");
    }
    assert_eq!(lines(&shop, "ran"), 1);
}

#[test]
fn unsafe_work_without_a_key_is_asked_about_and_the_new_call_is_a_run_of_its_own() {
    let shop = Shop::sqlite();
    killed(&shop, "pay", &[]);
    shop.file("go", "");
    let next = exec(&shop, "pay", &[], "echo x >> ran").ended(0);
    assert!(next.err.contains("needs a person"), "{next:?}");
    let listed = shop.run(&["runs", "--json", "--job", "pay", "--state", "needs_review"]).ended(0).lines();
    assert_eq!(listed.len(), 1);
    assert_eq!(lines(&shop, "ran"), 2);
}

#[test]
fn what_may_be_repeated_is_taken_over() {
    let shop = Shop::sqlite();
    for (effect, keyed) in [("pure", true), ("idempotent", true), ("pure", false), ("idempotent", false)] {
        let job = format!("{effect}-{keyed}");
        let mut options = vec!["--effect", effect];
        options.extend(keyed.then_some(["--key", "k"]).into_iter().flatten());
        let script = killed(&shop, &job, &options);
        shop.file("go", "");
        options.extend(["--on-busy", "wait"]);
        let next = exec(&shop, &job, &options, script).ended(0).object();
        assert_eq!((&next["state"], &next["duplicate"]), (&"succeeded".into(), &false.into()), "{next}");
        assert_eq!(lines(&shop, "ran"), 2, "{job}");
        assert_eq!(runs_of(&shop, &job), 1, "{job}: the same run goes on");
        for file in ["ran", "up", "go"] {
            std::fs::remove_file(shop.path(file)).unwrap();
        }
    }
}

#[test]
fn a_command_that_outlived_the_tool_is_not_started_a_second_time() {
    let shop = Shop::sqlite();
    let script = killed(&shop, "sync", &["--effect", "idempotent", "--key", "k"]);
    let busy = exec(&shop, "sync", &["--effect", "idempotent", "--key", "k"], script).ended(75).object();
    assert_eq!(busy["code"], "exec.child_alive", "{busy}");
    assert_eq!(lines(&shop, "ran"), 1);
    let options = ["--effect", "idempotent", "--key", "k", "--on-busy", "fail"];
    exec(&shop, "sync", &options, script).ended(1);
    shop.file("go", "");
    let options = ["--effect", "idempotent", "--key", "k", "--on-busy", "wait"];
    exec(&shop, "sync", &options, script).ended(0);
    assert_eq!(lines(&shop, "ran"), 2);
}

#[test]
fn what_can_be_asked_is_asked_first() {
    for shop in Shop::each() {
        let verify = ["--effect", "verify:test -e made"];
        let made = exec(&shop, "make", &verify, "echo x >> ran; touch made").ended(0).object();
        assert_eq!((&made["exit_code"], &made["state"]), (&0.into(), &"succeeded".into()));
        let there = exec(&shop, "make", &verify, "echo x >> ran; touch made").ended(0).object();
        assert_eq!((&there["exit_code"], &there["state"]), (&Value::Null, &"succeeded".into()));
        assert_eq!(lines(&shop, "ran"), 1);
        std::fs::remove_file(shop.path("ran")).unwrap();
        std::fs::remove_file(shop.path("made")).unwrap();
    }
    let shop = Shop::sqlite();
    let options = ["--effect", "verify:test -e made", "--key", "k"];
    let script = killed(&shop, "make", &options);
    shop.file("made", "");
    shop.file("go", "");
    let next = exec(&shop, "make", &options, script).ended(0).object();
    assert_eq!((&next["state"], lines(&shop, "ran")), (&"succeeded".into(), 1), "it was done: {next}");
}

/// On PostgreSQL nobody sees a process die: its lease has to end first.
#[test]
fn on_postgresql_a_dead_process_is_busy_until_its_lease_ends() {
    let Some(shop) = Shop::postgres() else { return };
    let script = killed(&shop, "pay", &["--key", "k"]);
    shop.file("go", "");
    exec(&shop, "pay", &["--key", "k"], script).ended(75);
    let options = ["--key", "k", "--on-busy", "wait", "--deadline", "90s"];
    let next = exec(&shop, "pay", &options, script).ended(1).object();
    assert_eq!(next["state"], "needs_review", "{next}");
    assert_eq!(lines(&shop, "ran"), 1);
}

/// The folders in which commands report, beside the store.
fn reports(shop: &Shop) -> Vec<std::path::PathBuf> {
    let found = std::fs::read_dir(shop.path("store.db-lock")).unwrap().flatten().map(|entry| entry.path());
    found.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("report-")).collect()
}

#[test]
fn the_report_of_a_killed_tool_is_removed_by_whoever_takes_the_run_over_or_by_a_tick() {
    let shop = Shop::sqlite();
    let script = "echo $UNATTENDED_REPORT >> told; touch up; while [ ! -e go ]; do sleep 0.05; done";
    let kill = |job: &str| {
        let mut child = begun(&shop, job, &["--effect", "pure", "--key", "k"], script);
        until("it is up", || shop.path("up").exists());
        shop.run(&["tick", "--json"]).ended(0);
        assert_eq!(reports(&shop).len(), 1, "one that is used stays");
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(shop.path("up")).unwrap();
    };
    kill("taken");
    let told = std::fs::read_to_string(shop.path("told")).unwrap();
    assert!(std::path::Path::new(told.trim()).starts_with(&reports(&shop)[0]), "{told}");
    shop.file("go", "");
    exec(&shop, "taken", &["--effect", "pure", "--key", "k", "--on-busy", "wait"], script).ended(0);
    assert_eq!(reports(&shop), Vec::<std::path::PathBuf>::new());
    std::fs::remove_file(shop.path("go")).unwrap();
    std::fs::remove_file(shop.path("up")).unwrap();

    kill("left");
    shop.file("go", "");
    let left = reports(&shop).remove(0);
    shop.run(&["cancel", "left"]).ended(0);
    shop.run(&["tick"]).ended(0);
    assert!(left.exists(), "it is too young to tell");
    let earlier = std::time::SystemTime::now() - Duration::from_secs(120);
    std::fs::File::open(&left).unwrap().set_modified(earlier).unwrap();
    shop.run(&["tick"]).ended(0);
    assert!(!left.exists());
}
