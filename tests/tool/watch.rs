//! `anomaly`: learned from a usual time, told of what is rare, and tried on a past whose truth is known.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::kit::Shop;

/// Lines of a usual day: a few kinds, each often.
fn usual(lines: usize) -> String {
    let line = |n: usize| match n % 4 {
        0 => format!("2026-03-02 08:00:00 INFO shop: order {n} has {} items\n", n % 17),
        1 => format!("2026-03-02 08:00:00 INFO pay: paid {n}.50 from 10.0.0.{}\n", n % 250),
        2 => format!("2026-03-02 08:00:00 WARN pool: {} of 256 connections are in use\n", n % 256),
        _ => format!("2026-03-02 08:00:00 INFO mail: sent /var/mail/q{n}.eml\n"),
    };
    (0..lines).map(line).collect()
}

const ODD: &str = "2026-03-03 09:00:00 ERROR store: no space left on /data/v7, token=hunter2\n";

fn learned(lines: usize) -> Shop {
    let shop = Shop::sqlite();
    shop.file("usual.log", &usual(lines));
    shop.run(&["anomaly", "learn", "usual.log", "--baseline", "b"]).ended(0);
    shop
}

/// A usual day with odd lines at these places.
fn day(odd: &[usize]) -> String {
    let mut text = String::new();
    for (index, line) in usual(2000).lines().enumerate() {
        if odd.contains(&(index + 1)) {
            text.push_str(ODD);
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn what_was_learned_is_said() {
    let shop = Shop::sqlite();
    shop.file("usual.log", &usual(8000));
    let learn = ["anomaly", "learn", "usual.log", "--baseline", "b"];
    let given = shop.run(&[&learn[..], &["--json"]].concat()).ended(0).object();
    assert_eq!(
        (&given["lines"], &given["kinds"], &given["key"]),
        (&8000.into(), &4.into(), &"masked".into())
    );
    assert_eq!(given["state"], "active");
    // From as many files as there are, one call after the other.
    let more =
        shop.run_with(&["anomaly", "learn", "-", "usual.log", "--baseline", "b", "--json"], &usual(100));
    let more = more.ended(0).object();
    assert_eq!((&more["lines"], &more["learned"]), (&8100.into(), &16100.into()));
    let people = shop.run(&learn).ended(0);
    assert!(people.out.contains("8000 lines read") && people.out.contains("anomaly watch"), "{people:?}");
    assert!(people.err.is_empty(), "no bar where nobody watches: {people:?}");
}

#[test]
fn a_rare_line_is_told_with_what_it_stands_on() {
    let shop = learned(8000);
    shop.file("day.log", &day(&[3, 1500]));
    let watch = ["anomaly", "watch", "day.log", "--baseline", "b"];
    let before = fs::read(shop.path("b")).unwrap();
    let given = shop.run(&[&watch[..], &["--json"]].concat()).ended(0).object();
    for key in ["kind", "code", "why", "line", "count", "n"] {
        assert!(given.get(key).is_some_and(|value| !value.is_null()), "{key} is missing: {given}");
    }
    assert_eq!((&given["line"], &given["count"]), (&3.into(), &1.into()));
    assert!(given["n"].as_u64().unwrap() > 8000, "{given}");
    assert!(given["kind"].as_str().unwrap().contains("no space left on"), "{given}");
    assert!(given["code"].as_str().unwrap().starts_with("baseline."));
    assert!(!given["text"].as_str().unwrap().contains("hunter2"), "a secret is not shown: {given}");
    // The baseline is left as it is, so it is told again, to people too.
    assert!(fs::read(shop.path("b")).unwrap() == before);
    let people = shop.run(&watch).ended(0);
    assert!(people.out.contains("day.log:3") && people.out.contains("1 alert in 2000 lines"), "{people:?}");
    let quiet = shop.run(&["anomaly", "watch", "usual.log", "--baseline", "b", "--json"]).ended(0);
    assert!(quiet.out.is_empty() && quiet.err.is_empty(), "{quiet:?}");
    let stdin = shop.run_with(&["anomaly", "watch", "-", "--baseline", "b", "--json"], &day(&[7])).ended(0);
    assert_eq!(stdin.object()["line"], 7);
}

#[test]
fn a_severity_below_the_one_asked_for_is_only_counted() {
    let shop = learned(8000);
    shop.file("day.log", &day(&[3]).replace(" ERROR store", " INFO store"));
    let told = shop.run(&["anomaly", "watch", "day.log", "--baseline", "b", "--json"]).ended(0);
    assert_eq!(told.object()["severity"], "info");
    let watch = ["anomaly", "watch", "day.log", "--baseline", "b", "--alert-from", "warn"];
    let people = shop.run(&watch).ended(0);
    assert!(people.out.contains("0 alerts") && people.out.contains("1 rare lines are below"), "{people:?}");
    shop.run(&["anomaly", "watch", "day.log", "--baseline", "b", "--alert-from", "loud"]).ended(2);
}

#[test]
fn each_key_makes_its_kinds() {
    for (spec, usual, odd) in [
        ("first-token", "INFO x: read 7\n", "INFO x: burned 7\n"),
        ("field:2", "GET /a 200\n", "GET /b 200\n"),
        ("json:event.name", "{\"event\":{\"name\":\"up\"}}\n", "{\"event\":{\"name\":\"down\"}}\n"),
        (r"regex:code=(\d+)", "x code=200 y\n", "x code=500 y\n"),
    ] {
        let shop = Shop::sqlite();
        shop.file("usual.log", &usual.repeat(1000));
        shop.run(&["anomaly", "learn", "usual.log", "--baseline", "b", "--key", spec]).ended(0);
        shop.file("day.log", &format!("{}{odd}{usual}", usual.repeat(300)));
        let told = shop.run(&["anomaly", "watch", "day.log", "--baseline", "b", "--json"]).ended(0);
        assert_eq!(told.object()["line"], 301, "{spec}");
        // The key that it was learned with is the only one.
        let other =
            shop.run(&["anomaly", "watch", "day.log", "--baseline", "b", "--key", "masked", "--json"]);
        let message = other.ended(2).error()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(spec) && message.contains("masked"), "{message}");
    }
}

#[test]
fn a_step_that_is_missing_and_one_that_is_done_twice_are_told() {
    let shop = Shop::sqlite();
    let run = |id: usize, steps: &[&str]| -> String {
        steps.iter().map(|step| format!("INFO job: session={id} {step} done\n")).collect()
    };
    let all = ["fetch", "check", "store"];
    let usual: String = (0..300).map(|id| run(id, &all)).collect();
    shop.file("usual.log", &usual);
    let options = ["--key", r"regex:\d (\w+) done", "--unit", r"regex:session=(\d+)"];
    let learn = [&["anomaly", "learn", "usual.log", "--baseline", "b", "--json"], &options[..]].concat();
    assert_eq!(shop.run(&learn).ended(0).object()["units"], 300);
    let odd = run(7001, &["fetch", "store", "store"]) + &run(7002, &all);
    shop.file("day.log", &odd);
    let told = shop.run(&["anomaly", "watch", "day.log", "--baseline", "b", "--json"]).ended(0).lines();
    let codes: Vec<_> =
        told.iter().map(|alert| (alert["code"].as_str().unwrap(), alert["unit"].as_str().unwrap())).collect();
    assert_eq!(codes, [("baseline.step_missing", "7001"), ("baseline.step_repeated", "7001")]);
    assert_eq!((&told[1]["count"], &told[1]["n"]), (&2.into(), &300.into()));
    let people = shop.run(&["anomaly", "watch", "day.log", "--baseline", "b"]).ended(0);
    assert!(people.out.contains("in 7001") && people.out.contains("2 alerts"), "{people:?}");
}

#[test]
fn a_past_whose_truth_is_known_says_what_would_have_been_told() {
    let shop = Shop::sqlite();
    let mut text = usual(6000);
    text.push_str(ODD);
    text.push_str(&usual(500));
    text.push_str("2026-03-03 09:00:00 INFO flags: new checkout is on\n");
    text.push_str(&usual(500));
    shop.file("past.log", &text);
    shop.file("labels", "# the disk\n6001\n");
    let backtest = ["anomaly", "backtest", "past.log", "--labels", "labels"];
    let given = shop.run(&[&backtest[..], &["--json"]].concat()).ended(0).object();
    assert_eq!(
        (&given["alerts"], &given["precision"], &given["recall"]),
        (&2.into(), &0.5.into(), &1.0.into())
    );
    assert_eq!((&given["lines"], &given["labelled"]), (&7002.into(), &1.into()));
    let warn = shop.run(&[&backtest[..], &["--json", "--alert-from", "warn"]].concat()).ended(0).object();
    assert_eq!((&warn["alerts"], &warn["precision"]), (&1.into(), &1.0.into()));
    let people = shop.run(&backtest).ended(0);
    assert!(people.out.contains("precision  0.500") && people.out.contains("recall"), "{people:?}");

    shop.file("labels", "6001\nsix\n");
    let error = shop.run(&[&backtest[..], &["--json"]].concat()).ended(2).error();
    assert!(error["message"].as_str().unwrap().contains("labels:2"), "{error}");
    shop.file("labels", "70000\n");
    shop.run(&backtest).ended(2);
    shop.run(&["anomaly", "backtest", "past.log", "--labels", "none"]).ended(1);
}

/// A watch that goes on, and its alerts as they come.
struct Following {
    child: std::process::Child,
    alerts: mpsc::Receiver<Value>,
}

impl Following {
    fn of(shop: &Shop) -> Self {
        let watch = ["anomaly", "watch", "live.log", "--baseline", "b", "--follow", "--json"];
        let mut child = shop.command(&watch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (give, alerts) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                drop(give.send(serde_json::from_str(&line.unwrap()).unwrap()));
            }
        });
        Self { child, alerts }
    }

    fn next(&self) -> Value {
        self.alerts.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// SIGTERM; what it told after that.
    fn end(mut self) -> Vec<Value> {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status:?}: {said}");
        self.alerts.iter().collect()
    }
}

#[test]
fn a_file_is_followed_through_rotation_and_gone_on_with_by_the_next_process() {
    let shop = learned(8000);
    let append = |text: &str| {
        let mut file = OpenOptions::new().create(true).append(true).open(shop.path("live.log")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append(&usual(50));
    let following = Following::of(&shop);
    append("2026-03-03 09:00:00 ERROR store: first oddity\n");
    assert!(following.next()["kind"].as_str().unwrap().contains("first oddity"));
    fs::rename(shop.path("live.log"), shop.path("live.log.1")).unwrap();
    append("2026-03-03 09:00:01 ERROR store: second oddity\n");
    assert!(following.next()["kind"].as_str().unwrap().contains("second oddity"));
    assert_eq!(following.end(), Vec::<Value>::new());

    // What was told is not told again, and what came meanwhile is read.
    append("2026-03-03 09:00:02 ERROR store: third oddity\n");
    let following = Following::of(&shop);
    assert!(following.next()["kind"].as_str().unwrap().contains("third oddity"));
    assert_eq!(following.end(), Vec::<Value>::new());
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let shop = learned(300);
    let error = |code: i32, args: &[&str]| {
        let given = shop.run(&[&["anomaly"], args, &["--json"]].concat()).ended(code);
        assert!(given.out.is_empty(), "{given:?}");
        let error = given.error();
        assert!(error["message"].is_string(), "{error}");
        error
    };
    assert_eq!(error(78, &["watch", "usual.log", "--baseline", "none"])["code"], "baseline.missing");
    assert_eq!(error(78, &["watch", "usual.log", "--baseline", "no/folder"])["code"], "baseline.missing");
    shop.file("broken", "no baseline\n");
    let broken = error(78, &["watch", "usual.log", "--baseline", "broken"]);
    assert!(broken["message"].as_str().unwrap().contains("broken"), "{broken}");
    error(78, &["learn", "usual.log", "--baseline", "broken"]);
    assert_eq!(fs::read_to_string(shop.path("broken")).unwrap(), "no baseline\n", "it is left as it is");
    error(1, &["learn", "none.log", "--baseline", "new"]);
    assert!(!shop.path("new").exists());
    error(1, &["watch", "none.log", "--baseline", "b"]);
    error(1, &["watch", ".", "--baseline", "b"]);
    error(2, &["watch", "-", "--follow", "--baseline", "b"]);
    for spec in ["regex:(", "field:0", "json:", "other"] {
        shop.run(&["anomaly", "learn", "usual.log", "--baseline", "new", "--key", spec]).ended(2);
    }
    shop.run(&["anomaly", "learn", "usual.log", "--baseline", "new", "--unit", "session"]).ended(2);
    shop.run(&["anomaly", "learn", "usual.log", "--baseline", "b", "--unit", "regex:(x)"]).ended(2);
}

#[test]
fn too_few_lines_prove_nothing_and_that_is_said() {
    let shop = learned(40);
    shop.file("day.log", ODD);
    let given = shop.run(&["anomaly", "watch", "day.log", "--baseline", "b", "--json"]).ended(0);
    assert!(given.out.is_empty() && given.err.contains("nothing could be called rare"), "{given:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let shop = learned(8000);
    shop.file("day.log", &day(&[1, 2, 3]));
    let watch = ["anomaly", "watch", "day.log", "--baseline", "b", "--json"];
    let mut child = shop.command(&watch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && said.is_empty(), "{said}");
}
