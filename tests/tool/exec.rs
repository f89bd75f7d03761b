//! `exec`: a command as a recorded run, through the real binary.

mod asked_to_end;
mod bad;
mod cost;
mod deps;
mod ends;
mod keys;
mod killed;
mod options;
mod output;
mod secret;
mod ticks;

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kit::{Given, Shop};

/// `exec --json --name job OPTIONS -- sh -c SCRIPT`.
fn exec(shop: &Shop, job: &str, options: &[&str], script: &str) -> Given {
    let given = typed(shop, &["--json"], job, options, script);
    crate::kit::given(given, "")
}

fn typed(shop: &Shop, first: &[&str], job: &str, options: &[&str], script: &str) -> std::process::Command {
    let mut args = vec!["exec"];
    args.extend(first);
    args.extend(["--name", job]);
    args.extend(options);
    args.extend(["--", "sh", "-c", script]);
    shop.command(&args)
}

/// The same in the background, with nothing to read.
fn begun(shop: &Shop, job: &str, options: &[&str], script: &str) -> Child {
    let mut command = typed(shop, &["--json"], job, options, script);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How one in the background has ended: its exit code and its object.
fn ended(mut child: Child) -> (Option<i32>, Value, String) {
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let code = child.wait().unwrap().code();
    (code, serde_json::from_str(out.trim()).unwrap_or(Value::Null), err)
}

/// How many lines a file of the shop has by now.
fn lines(shop: &Shop, file: &str) -> usize {
    std::fs::read_to_string(shop.path(file)).map_or(0, |text| text.lines().count())
}

/// Waits for something that another process does.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The last run of a job, as `runs` lists it.
fn run_of(shop: &Shop, job: &str) -> Value {
    let listed = shop.run(&["runs", "--json", "--job", job]).ended(0).lines();
    listed.into_iter().next().unwrap_or_else(|| panic!("no run of {job}"))
}

fn runs_of(shop: &Shop, job: &str) -> usize {
    shop.run(&["runs", "--json", "--job", job]).ended(0).lines().len()
}

#[test]
fn every_key_of_the_answer_is_always_there() {
    for shop in Shop::each() {
        let ran = exec(&shop, "greet", &[], "echo hello; echo aside >&2").ended(0);
        assert!(ran.err.contains("hello") && ran.err.contains("aside"), "{ran:?}");
        let failed = exec(&shop, "fail", &[], "exit 3").ended(3);
        let done = exec(&shop, "once", &["--key", "k"], "true").ended(0);
        let again = exec(&shop, "once", &["--key", "k"], "true").ended(0);
        let other = exec(&shop, "once", &["--key", "k"], "false").ended(65);
        for given in [&ran, &failed, &done, &again, &other] {
            let answer = given.object();
            for key in ["run_id", "state", "attempts", "code", "why", "exit_code", "duplicate"] {
                assert!(answer.get(key).is_some(), "{key}: {answer}");
            }
        }
        let ran = ran.object();
        assert_eq!(
            (&ran["state"], &ran["exit_code"], &ran["attempts"]),
            (&"succeeded".into(), &0.into(), &1.into())
        );
        let failed = failed.object();
        assert_eq!((&failed["state"], &failed["exit_code"]), (&"failed_permanent".into(), &3.into()));
        assert_eq!(again.object()["duplicate"], true);
        assert_eq!(again.object()["exit_code"], Value::Null, "nothing ran");
        assert_eq!(run_of(&shop, "greet")["run_id"], ran["run_id"]);
    }
}

#[test]
fn a_person_hears_nothing_of_what_went_well() {
    for shop in Shop::each() {
        let ran = shop.run(&["exec", "--name", "greet", "--", "echo", "hello"]).ended(0);
        assert_eq!((&*ran.out, &*ran.err), ("hello\n", ""));
        let failed =
            shop.run(&["exec", "--name", "bad", "--", "sh", "-c", "echo no disk >&2; exit 4"]).ended(4);
        assert!(failed.err.starts_with("no disk\nunattended: bad has failed (run "), "{failed:?}");
        assert!(failed.err.contains("unattended explain "), "what to type next: {failed:?}");
        let verbose = shop.run(&["exec", "-v", "--name", "greet", "--", "true"]).ended(0);
        assert!(verbose.err.contains("greet succeeded"), "{verbose:?}");
    }
}
