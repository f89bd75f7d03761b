//! How a command ends, as whoever called it sees it.

use std::process::Command;

use super::*;

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn the_exit_code_is_the_commands_own() {
    for shop in Shop::each() {
        for (script, code, state) in [
            ("exit 0", 0, "succeeded"),
            ("exit 1", 1, "failed_permanent"),
            ("exit 75", 75, "failed_permanent"),
            ("exit 255", 255, "failed_permanent"),
            ("kill -9 $$", 137, "needs_review"),
            ("kill -15 $$", 143, "needs_review"),
        ] {
            let given = exec(&shop, "code", &[], script).ended(code).object();
            assert_eq!((&given["exit_code"], &given["state"]), (&code.into(), &state.into()), "{script}");
        }
        let timed =
            exec(&shop, "slow", &["--timeout", "200ms", "--effect", "pure", "--attempts", "1"], "sleep 30");
        let timed = timed.ended(124).object();
        assert_eq!((&timed["exit_code"], &timed["state"]), (&124.into(), &"failed_permanent".into()));
        let missing = shop.run(&["exec", "--json", "--name", "no", "--", "no-such-program"]).ended(127);
        assert_eq!(missing.object()["exit_code"], 127);
        let plain = shop.file("plain", "text");
        let plain = shop.run(&["exec", "--json", "--name", "no", "--", plain.to_str().unwrap()]).ended(126);
        assert_eq!(plain.object()["exit_code"], 126);
        let folder = shop.run(&["exec", "--json", "--name", "no", "--", "/tmp"]).ended(126);
        assert_eq!(folder.object()["state"], "failed_permanent");
    }
}

#[test]
fn a_signal_is_passed_on_and_the_run_is_cancelled() {
    for shop in Shop::each() {
        for (signal, number) in [("-TERM", 15), ("-INT", 2)] {
            let job = format!("stop{number}");
            // A shell in the background ignores INT, so it says what it does with it.
            let script = format!(
                "trap 'echo heard > {job}; exit 7' {}; touch {job}.up; while :; do sleep 0.05; done",
                &signal[1..]
            );
            let child = begun(&shop, &job, &["--effect", "idempotent", "--key", "k"], &script);
            until("it is up", || shop.path(&format!("{job}.up")).exists());
            kill(signal, child.id());
            let (code, answer, err) = ended(child);
            assert_eq!(code, Some(7), "its own code: {answer} {err}");
            assert_eq!(
                (&answer["state"], &answer["code"]),
                (&"cancelled".into(), &"run.interrupted".into()),
                "{answer}"
            );
            assert_eq!(std::fs::read_to_string(shop.path(&job)).unwrap(), "heard\n");
        }
        let child = begun(&shop, "plain", &[], "touch up; exec sleep 60");
        until("it is up", || shop.path("up").exists());
        kill("-TERM", child.id());
        let (code, answer, err) = ended(child);
        assert_eq!(code, Some(143), "{answer} {err}");
        assert_eq!(answer["state"], "cancelled");
        std::fs::remove_file(shop.path("up")).unwrap();
    }
}

#[test]
fn what_was_cancelled_may_run_again_unless_it_is_unsafe() {
    for shop in Shop::each() {
        for (effect, code) in [("idempotent", 0), ("unsafe", 1)] {
            let script = "if [ -e go ]; then exit 0; fi; touch up; exec sleep 60";
            let child = begun(&shop, effect, &["--effect", effect, "--key", "k"], script);
            until("it is up", || shop.path("up").exists());
            kill("-TERM", child.id());
            assert_eq!(ended(child).0, Some(143));
            shop.file("go", "");
            exec(&shop, effect, &["--effect", effect, "--key", "k"], script).ended(code);
            std::fs::remove_file(shop.path("go")).unwrap();
            std::fs::remove_file(shop.path("up")).unwrap();
        }
    }
}

#[test]
fn a_signal_ends_a_wait_between_attempts() {
    let shop = Shop::sqlite();
    let child = begun(&shop, "wait", &["--effect", "pure", "--attempts", "3"], "echo x >> tries; exit 1");
    until("it was tried", || lines(&shop, "tries") == 1);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    kill("-TERM", child.id());
    let (code, answer, err) = ended(child);
    assert_eq!(code, Some(1), "{answer} {err}");
    assert_eq!(answer["state"], "cancelled", "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn attempts_are_as_many_as_were_asked_for() {
    for shop in Shop::each() {
        let given =
            exec(&shop, "twice", &["--effect", "idempotent", "--attempts", "2"], "echo x >> two; exit 75");
        let given = given.ended(75).object();
        assert_eq!((&given["attempts"], &given["state"]), (&2.into(), &"failed_permanent".into()));
        assert_eq!(lines(&shop, "two"), 2);
        let script = "echo x >> one; exit 75";
        exec(&shop, "once", &[], script).ended(75);
        assert_eq!(lines(&shop, "one"), 1, "unsafe has one attempt");
        let script = "echo x >> mend; [ $(wc -l < mend) -ge 2 ]";
        let mended = exec(&shop, "mend", &["--effect", "pure"], script).ended(0).object();
        assert_eq!((&mended["attempts"], &mended["state"]), (&2.into(), &"succeeded".into()));
        let script = "echo x >> final; exit 9";
        exec(&shop, "final", &["--effect", "pure", "--permanent", "8-9"], script).ended(9);
        assert_eq!(lines(&shop, "final"), 1, "a permanent code is not tried again");
    }
}

#[test]
fn a_deadline_bounds_all_of_it() {
    let shop = Shop::sqlite();
    let begun = Instant::now();
    let given = exec(&shop, "late", &["--effect", "pure", "--deadline", "1s"], "sleep 60").ended(124);
    assert!(begun.elapsed() < Duration::from_secs(40), "{given:?}");
    let state = given.object()["state"].clone();
    assert_eq!(state, "failed_permanent", "{given:?}");
}
