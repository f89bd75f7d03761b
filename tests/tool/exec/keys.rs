//! One key, one run.

use super::*;

#[test]
fn one_key_from_8_processes_at_once_runs_the_command_once() {
    for shop in Shop::each() {
        // The store is there: what is raced for is the key.
        exec(&shop, "first", &[], "true").ended(0);
        let script = "echo x >> ran; sleep 1";
        let children: Vec<_> = (0..8).map(|_| begun(&shop, "pay", &["--key", "2026-11"], script)).collect();
        let ends: Vec<_> = children.into_iter().map(ended).collect();
        assert_eq!(lines(&shop, "ran"), 1, "{ends:?}");
        let ran = ends.iter().filter(|(_, answer, _)| answer["exit_code"] == 0).count();
        assert_eq!(ran, 1, "{ends:?}");
        assert!(ends.iter().all(|(code, ..)| matches!(code, Some(0 | 75))), "{ends:?}");
    }
}

#[test]
fn a_finished_key_runs_nothing_and_exits_0() {
    for shop in Shop::each() {
        let first = exec(&shop, "pay", &["--key", "k"], "echo x >> ran").ended(0).object();
        let second = exec(&shop, "pay", &["--key", "k"], "echo x >> ran").ended(0).object();
        assert_eq!((&second["duplicate"], &second["run_id"]), (&true.into(), &first["run_id"]));
        assert_eq!(lines(&shop, "ran"), 1);
        let silent =
            shop.run(&["exec", "--name", "pay", "--key", "k", "--", "sh", "-c", "echo x >> ran"]).ended(0);
        assert_eq!((&*silent.out, &*silent.err), ("", ""));
        exec(&shop, "pay", &["--key", "l"], "echo x >> ran").ended(0);
        exec(&shop, "refund", &["--key", "k"], "echo x >> ran").ended(0);
        assert_eq!(lines(&shop, "ran"), 3, "a key is of one job");
    }
}

#[test]
fn other_arguments_under_the_same_key_are_refused() {
    for shop in Shop::each() {
        exec(&shop, "pay", &["--key", "k"], "true").ended(0);
        let other = exec(&shop, "pay", &["--key", "k"], "echo x >> ran").ended(65);
        assert_eq!(other.object()["code"], "job.conflict");
        let human = shop.run(&["exec", "--name", "pay", "--key", "k", "--", "false"]).ended(65);
        assert!(human.err.contains("other arguments") && human.err.contains("unattended show"), "{human:?}");
        assert_eq!(lines(&shop, "ran"), 0);
    }
}

#[test]
fn what_is_read_is_part_of_what_the_key_stands_for() {
    for shop in Shop::each() {
        let exec = |input: &str| {
            let args =
                ["exec", "--json", "--name", "load", "--key", "k", "--stdin", "--", "sh", "-c", "cat >> got"];
            shop.run_with(&args, input)
        };
        exec("one\n").ended(0);
        assert_eq!(exec("one\n").ended(0).object()["duplicate"], true);
        exec("two\n").ended(65);
        assert_eq!(std::fs::read_to_string(shop.path("got")).unwrap(), "one\n");
        let large = "x".repeat(100_000);
        let args = ["exec", "--json", "--name", "large", "--stdin", "--", "sh", "-c", "wc -c > size"];
        shop.run_with(&args, &large).ended(0);
        assert_eq!(std::fs::read_to_string(shop.path("size")).unwrap().trim(), "100000");
    }
}

#[test]
fn without_asking_for_it_stdin_goes_to_the_command() {
    let shop = Shop::sqlite();
    let args = ["exec", "--name", "cat", "--", "cat"];
    assert_eq!(shop.run_with(&args, "through\n").ended(0).out, "through\n");
}

#[test]
fn once_per_day_is_once() {
    for shop in Shop::each() {
        // Where the day ends between the two there is a day between them.
        for _ in 0..2 {
            exec(&shop, "daily", &["--once-per", "day@Pacific/Kiritimati"], "echo x >> ran").ended(0);
        }
        assert!((1..=2).contains(&lines(&shop, "ran")));
        let key = run_of(&shop, "daily");
        let shown = shop.run(&["show", "--json", key["run_id"].as_str().unwrap()]).ended(0);
        assert!(shown.out.contains("day:20"), "{shown:?}");
    }
}

#[test]
fn what_has_failed_under_a_key_says_what_to_type() {
    for shop in Shop::each() {
        exec(&shop, "pay", &["--key", "k"], "exit 3").ended(3);
        let again = exec(&shop, "pay", &["--key", "k"], "exit 3").ended(1).object();
        assert_eq!((&again["state"], &again["exit_code"]), (&"failed_permanent".into(), &Value::Null));
        assert!(again["hint"].as_str().unwrap().contains("unattended replay "), "{again}");
        let human = shop.run(&["exec", "--name", "pay", "--key", "k", "--", "sh", "-c", "exit 3"]).ended(1);
        assert!(human.err.contains("replay"), "{human:?}");
    }
}

#[test]
fn whoever_finds_it_busy_skips_waits_or_fails() {
    for shop in Shop::each() {
        exec(&shop, "first", &[], "true").ended(0);
        let script = "touch up; while [ ! -e go ]; do sleep 0.05; done";
        let busy = begun(&shop, "long", &["--key", "k"], script);
        until("it is up", || shop.path("up").exists());
        exec(&shop, "long", &["--key", "k"], script).ended(75);
        let skipped = typed(&shop, &[], "long", &["--key", "k"], script);
        let skipped = crate::kit::given(skipped, "").ended(75);
        assert_eq!((&*skipped.out, &*skipped.err), ("", ""), "cron sends no mail");
        exec(&shop, "long", &["--key", "k", "--on-busy", "fail"], script).ended(1);
        exec(&shop, "long", &["--key", "k", "--on-busy", "wait", "--deadline", "500ms"], script).ended(75);
        let waits = begun(&shop, "long", &["--key", "k", "--on-busy", "wait"], script);
        shop.file("go", "");
        let (code, answer, _) = ended(waits);
        assert_eq!((code, &answer["duplicate"]), (Some(0), &true.into()), "{answer}");
        assert_eq!(ended(busy).0, Some(0));
        std::fs::remove_file(shop.path("go")).unwrap();
    }
}

#[test]
fn a_lock_lets_one_run_of_a_name_at_a_time() {
    for shop in Shop::each() {
        exec(&shop, "first", &[], "true").ended(0);
        let script = "touch up; while [ ! -e go ]; do sleep 0.05; done";
        let busy = begun(&shop, "only", &["--lock"], script);
        until("it is up", || shop.path("up").exists());
        let skipped = exec(&shop, "only", &["--lock"], "echo x >> ran").ended(75).object();
        assert_eq!(skipped["code"], "job.locked");
        for key in ["run_id", "state", "attempts", "code", "why", "exit_code", "duplicate"] {
            assert!(skipped.get(key).is_some(), "{key}: {skipped}");
        }
        let failed = exec(&shop, "only", &["--lock", "--on-busy", "fail"], "echo x >> ran").ended(1);
        assert_eq!(failed.object()["code"], "job.locked");
        exec(&shop, "other", &["--lock"], "true").ended(0);
        assert_eq!(lines(&shop, "ran"), 0);
        let waits = begun(&shop, "only", &["--lock", "--on-busy", "wait"], "echo x >> ran");
        shop.file("go", "");
        assert_eq!(ended(busy).0, Some(0));
        let (code, answer, err) = ended(waits);
        assert_eq!(code, Some(0), "{answer} {err}");
        assert_eq!(lines(&shop, "ran"), 1);
    }
}

#[test]
fn a_paused_run_says_so_and_what_lets_it_go_on() {
    for shop in Shop::each() {
        shop.run(&["hold", "job:p", "--reason", "a test"]).ended(0);
        let held = exec(&shop, "p", &["--key", "1"], "true").ended(75).object();
        assert_eq!(held["code"], "hold.job", "{held}");
        shop.run(&["pause", "p"]).ended(0);
        shop.run(&["release", "job:p"]).ended(0);
        let paused = exec(&shop, "p", &["--key", "1"], "true").ended(75).object();
        assert_eq!((&paused["code"], &paused["state"]), (&"run.paused".into(), &"queued".into()), "{paused}");
        assert!(!paused["why"].as_str().unwrap().contains("held"), "{paused}");
        assert!(paused["hint"].as_str().unwrap().contains("unattended resume "), "{paused}");
        assert!(paused.get("due_at").is_none(), "{paused}");
        let human =
            shop.run(&["exec", "-v", "--name", "p", "--key", "1", "--", "sh", "-c", "true"]).ended(75);
        assert!(human.err.contains("p is paused (run ") && human.err.contains("resume"), "{human:?}");
        let replayed = shop.run(&["replay", "--json", "p"]).ended(1).error();
        assert!(replayed["message"].as_str().unwrap().ends_with("it is paused"), "{replayed}");
        assert!(replayed["hint"].as_str().unwrap().contains("unattended resume "), "{replayed}");
        shop.run(&["resume", "p"]).ended(0);
        exec(&shop, "p", &["--key", "1", "--on-busy", "wait"], "true");
        shop.run(&["tick"]).ended(0);
        assert_eq!(run_of(&shop, "p")["state"], "succeeded");
    }
}
