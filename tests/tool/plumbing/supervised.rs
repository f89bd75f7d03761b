//! `supervise`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use unattended::notify::{Alerts, Filter};

use crate::kit::{Given, Shop};

fn run(shop: &Shop, options: &[&str], script: &str) -> Given {
    shop.run(&[&["supervise"], options, &["--", "sh", "-c", script]].concat())
}

const QUICK: [&str; 6] = ["--max-failures", "3", "--window", "5m", "--backoff", "10ms"];

#[test]
fn what_ends_well_is_done_and_its_output_is_handed_through() {
    let shop = Shop::sqlite();
    let script = "echo said; echo whispered >&2; [ -f again ] || { touch again; exit 3; }";
    let given = run(&shop, &QUICK, script).ended(0);
    assert_eq!(given.out, "said\nsaid\n");
    assert!(
        given.err.starts_with("whispered\n") && given.err.contains("exit code 3: failure 1"),
        "{given:?}"
    );
    let json = run(&shop, &[&QUICK[..], &["--json"]].concat(), "echo said; echo whispered >&2").ended(0);
    assert_eq!(json.err, "said\nwhispered\n", "where answers go nothing else does");
    let lines = json.lines();
    assert_eq!(lines.len(), 2, "{json:?}");
    assert_eq!((&lines[0]["decision"], &lines[0]["code"]), (&json!("stop"), &json!("restart.well")));
    assert_eq!((&lines[1]["state"], &lines[1]["failures"]), (&json!("well"), &json!([])));
    assert!(!shop.path("store.db").exists(), "without a name nothing is kept");
}

#[test]
fn what_fails_too_often_is_told_with_the_evidence() {
    let shop = Shop::sqlite();
    let given = run(&shop, &[&QUICK[..], &["--json"]].concat(), "echo no table 17 >&2; exit 4").ended(1);
    let lines = given.lines();
    let (last, decisions) = lines.split_last().unwrap();
    let words: Vec<&Value> = decisions.iter().map(|line| &line["decision"]).collect();
    assert_eq!(words, ["restart", "restart", "escalate"]);
    for key in ["decision", "code", "why", "at"] {
        assert!(decisions.iter().all(|line| line[key].is_string()), "{key}: {given:?}");
    }
    assert_eq!((&last["state"], &last["code"]), (&json!("escalated"), &json!("restart.window_full")));
    let failures = last["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 3, "{last}");
    assert_eq!((&failures[0]["how"], &failures[0]["tail"]), (&json!("exit code 4"), &json!("no table 17")));
    assert!(failures.iter().all(|past| past["at"].is_string() && past["uptime_ms"].is_u64()), "{last}");
    let human = run(&shop, &QUICK, "echo no table 17 >&2; exit 4").ended(1);
    assert!(human.err.contains("a person is needed: 3 failures within 5m"), "{human:?}");
    assert_eq!(human.err.matches("exit code 4  after").count(), 3, "{human:?}");
    let same = run(&shop, &["--backoff", "10ms", "--json"], "exit 4").ended(1).lines();
    assert_eq!(same.last().unwrap()["code"], "restart.same_error", "unless it is said how often");
}

#[test]
fn what_trying_again_cannot_help_is_not_tried_again() {
    let shop = Shop::sqlite();
    let given = run(&shop, &["--json"], "exit 78").ended(1).lines();
    assert_eq!((&given[0]["decision"], &given[0]["code"]), (&json!("stop"), &json!("restart.permanent")));
    assert_eq!(given[1]["failures"].as_array().unwrap().len(), 1);
    let gone =
        shop.run(&["supervise", "--max-failures", "1", "--json", "--", "/no/such/program"]).ended(1).lines();
    assert_eq!(gone.last().unwrap()["failures"][0]["how"], "not started");
}

#[test]
fn with_a_name_the_window_outlives_the_supervisor() {
    for shop in Shop::each() {
        let named = [&QUICK[..], &["--name", "mailer", "--json"]].concat();
        run(&shop, &named, "echo first >&2; exit 4").ended(1);
        // The escalation stands: nothing is begun.
        let stands = run(&shop, &named, "echo second >&2").ended(1);
        assert!(!stands.err.contains("second"), "{stands:?}");
        let lines = stands.lines();
        assert_eq!(lines[0]["decision"], "escalate");
        assert_eq!(lines.last().unwrap()["failures"].as_array().unwrap().len(), 3, "{lines:?}");
        // Who is paged is told by `tick`; it is written already, once.
        let alerts = Alerts::new(shop.store()).build().unwrap();
        let open = alerts.list_blocking(&Filter::open(), 10).unwrap();
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!((&*open[0].code, &*open[0].tail), ("restart.window_full", "first"), "{open:?}");
        // Another name knows nothing of it, and somebody who has seen to it says so.
        run(&shop, &[&QUICK[..], &["--name", "other"]].concat(), "true").ended(0);
        let cleared = run(&shop, &[&named[..], &["--clear"]].concat(), "echo third >&2").ended(0);
        assert_eq!(cleared.err, "third\n");
    }
}

fn started(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn gone(pid: &str) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_it_and_all_that_it_has_started() {
    let shop = Shop::sqlite();
    for name in ["-TERM", "-INT"] {
        // One in its group, and one that has left it.
        let script = "setsid sleep 300 & echo $!; sleep 300 & echo $!; wait";
        let child = shop.command(&["supervise", "--grace", "2s", "--", "sh", "-c", script]);
        let mut child = started(child);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut pids = [String::new(), String::new()];
        for pid in &mut pids {
            output.read_line(pid).unwrap();
        }
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(0), "asked for is well");
        assert!(pids.iter().all(|pid| gone(pid.trim())), "{pids:?}");
    }
    let mut child =
        started(shop.command(&["supervise", "--json", "--", "sh", "-c", "echo up >&2; exec sleep 300"]));
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    signal(&child, "-TERM");
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["decision"], &lines[0]["code"]), (&json!("stop"), &json!("supervise.shut_down")));
    assert_eq!(lines[1]["state"], "shut_down", "{out}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_supervisor_leaves_running_is_not_run_twice() {
    let shop = Shop::sqlite();
    let script = "echo $$ >> pids; echo up; exec sleep 300";
    let begin = || {
        let options = ["supervise", "--json", "--name", "worker", "--", "sh", "-c", script];
        let mut child = started(shop.command(&options));
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        (child, out, err)
    };
    let pids = || -> Vec<String> {
        let text = std::fs::read_to_string(shop.path("pids")).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let (mut first, _out, mut said) = begin();
    said.read_line(&mut String::new()).unwrap();
    signal(&first, "-KILL");
    first.wait().unwrap();

    let (mut second, mut out, mut said) = begin();
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let waits: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&waits["decision"], &waits["code"]), (&json!("wait"), &json!("supervise.busy")), "{waits}");
    assert_eq!(pids().len(), 1, "the first one still runs");
    assert!(Command::new("kill").args(["-KILL", &pids()[0]]).status().unwrap().success());
    said.read_line(&mut String::new()).unwrap();
    assert_eq!(pids().len(), 2, "nobody runs it any more, so it is started");
    signal(&second, "-TERM");
    assert_eq!(second.wait().unwrap().code(), Some(0));
    assert!(gone(&pids()[1]));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let shop = Shop::sqlite();
    let mut child = started(shop.command(&["supervise", "--", "sh", "-c", "while :; do echo y; done"]));
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 1]).unwrap();
    drop(output);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let shop = Shop::sqlite();
    for (args, says) in [
        (&["supervise"][..], "CMD"),
        (&["supervise", "--max-failures", "0", "--", "true"], "failures_max is 0"),
        (&["supervise", "--window", "2s", "--", "true"], "never reached"),
        (&["supervise", "--backoff", "2m", "--window", "1d", "--", "true"], "--backoff-max"),
        (&["supervise", "--clear", "--", "true"], "--name"),
        (&["supervise", "--window", "soon", "--", "true"], "soon"),
        (&["supervise", "--odd", "--", "true"], "--odd"),
    ] {
        let given = shop.run(args).ended(2);
        assert!(given.err.contains(says), "{args:?}: {given:?}");
    }
    let strange = shop.path("store.db");
    std::fs::write(&strange, "no store at all, but a text that is long enough to be looked at").unwrap();
    let given = shop.run(&["supervise", "--name", "x", "--json", "--", "true"]).ended(78);
    assert_eq!(given.error()["code"], "store.not_a_store");
}
