//! The lines that are promised, and what is said of those that are broken.

use serde_json::{Value, json};

use crate::kit::{Given, Shop};

/// What was decided about these lines.
fn decided(args: &[&str], lines: &[&str]) -> Given {
    let args = [&["simulate"], args, &["--json"]].concat();
    Shop::sqlite().run_with(&args, &(lines.join("\n") + "\n"))
}

fn keys(line: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn field<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().map(|line| &line[name]).collect()
}

#[test]
fn a_breaker_answers_each_call_and_each_outcome_and_nothing_to_a_restart() {
    let policy = r#"{"consecutive":3,"open_ms":300000,"open_jitter":0,"probes":1,"successes":1}"#;
    let lines = [
        r#"{"t":0,"admit":"a"}"#,
        r#"{"t":1,"settle":"a","outcome":"failure"}"#,
        r#"{"t":2,"admit":"b"}"#,
        r#"{"t":3,"settle":"b","outcome":"failure"}"#,
        r#"{"t":4,"restart":true}"#,
        r#"{"t":5,"admit":"c"}"#,
        r#"{"t":6,"settle":"c","outcome":"failure"}"#,
        r#"{"t":7,"admit":"d"}"#,
        r#"{"t":8,"settle":"d","outcome":"success"}"#,
        r#"{"t":300006,"admit":"e"}"#,
        r#"{"t":300007,"settle":"e","outcome":"success"}"#,
    ];
    let given = decided(&["breaker", "--policy", policy], &lines).ended(0);
    let answers = given.lines();
    assert_eq!(answers.len(), 10, "a restart has no answer: {given:?}");
    assert_eq!(keys(&answers[0]), ["code", "decision", "id", "retry_at", "state", "t", "why"]);
    assert_eq!(keys(&answers[1]), ["code", "decision", "id", "state", "t", "why"]);
    let decisions = ["allow", "none", "allow", "none", "allow", "trip", "refuse", "none", "allow", "close"];
    assert_eq!(field(&answers, "decision"), decisions);
    assert_eq!(answers[5]["state"], "open");
    assert_eq!(answers[6]["retry_at"], 300_006, "{given:?}");
    assert_eq!(answers[6]["code"], "breaker.open");
    assert_eq!(answers[0]["retry_at"], Value::Null);
    assert_eq!((&answers[7]["id"], &answers[7]["code"]), (&json!("d"), &json!("breaker.unscored")));
    assert_eq!((&answers[8]["state"], &answers[9]["state"]), (&json!("half_open"), &json!("closed")));
    let order: Vec<usize> =
        ["\"t\"", "\"id\"", "\"decision\"", "\"state\"", "\"retry_at\"", "\"code\"", "\"why\""]
            .iter()
            .map(|key| given.out.find(key).unwrap())
            .collect();
    assert!(order.is_sorted(), "{}", given.out.lines().next().unwrap());
}

#[test]
fn a_retry_waits_defers_and_stops() {
    let lines = [
        r#"{"t":0,"failed":"transient"}"#,
        r#"{"t":3000,"failed":"rate_limited","retry_after_ms":30000}"#,
        r#"{"t":40000,"failed":"rate_limited","retry_after_ms":120000}"#,
        r#"{"t":41000,"failed":"permanent"}"#,
    ];
    let answers = decided(&["retry", "--policy", "cron", "--seed", "7"], &lines).ended(0).lines();
    assert_eq!(keys(&answers[0]), ["attempt", "code", "decision", "delay_ms", "disposition", "t", "why"]);
    assert_eq!(field(&answers, "decision"), ["wait", "wait", "defer", "stop"]);
    assert_eq!(
        field(&answers, "disposition"),
        [&Value::Null, &Value::Null, &Value::Null, &json!("dead_letter")]
    );
    let delays: Vec<Option<u64>> = answers.iter().map(|line| line["delay_ms"].as_u64()).collect();
    assert!((500..=2000).contains(&delays[0].unwrap()), "{delays:?}");
    assert!((30_000..=33_000).contains(&delays[1].unwrap()), "never shorter than was asked for: {delays:?}");
    assert!(delays[2].unwrap() >= 120_000 && delays[3].is_none(), "{delays:?}");
    assert_eq!((&answers[0]["attempt"], &answers[3]["attempt"]), (&json!(2), &Value::Null));
    let again = decided(&["retry", "--policy", "cron", "--seed", "7"], &lines).lines();
    assert_eq!(answers, again, "the same seed");
}

#[test]
fn a_queue_says_how_each_task_ends_and_what_it_came_to() {
    let lines = [
        r#"{"t":0,"id":"small","run_ms":10,"estimate_ms":10,"value":{"step":1}}"#,
        r#"{"t":0,"id":"large","run_ms":10,"estimate_ms":10,"value":{"step":5}}"#,
        r#"{"t":5,"id":"hopeless","run_ms":50,"estimate_ms":50,"deadline":20,"value":{"step":9}}"#,
        r#"{"t":6,"id":"fading","run_ms":10,"estimate_ms":10,"value":{"linear":{"v":4,"from":0,"to":48}}}"#,
        r#"{"t":7,"id":"halved","run_ms":10,"estimate_ms":10,"deadline":500,"value":{"half_life":{"v":8,"h":1000}}}"#,
        r#"{"t":60,"id":"tardy","run_ms":100,"estimate_ms":10,"deadline":90}"#,
        r#"{"t":60,"id":"old","run_ms":1,"deadline":59}"#,
    ];
    let given = decided(&["queue", "--policy", "default"], &lines).ended(0);
    let answers = given.lines();
    let (sum, tasks) = answers.split_last().unwrap();
    assert_eq!(keys(sum), ["cannot_finish", "done", "expired", "late", "shed", "value"]);
    for key in ["id", "end", "at", "value", "code", "why", "t", "decision"] {
        assert!(tasks.iter().all(|line| line.get(key).is_some()), "{key}: {given:?}");
    }
    let ends: Vec<(&str, &str, u64)> = tasks
        .iter()
        .map(|line| {
            (line["id"].as_str().unwrap(), line["end"].as_str().unwrap(), line["at"].as_u64().unwrap())
        })
        .collect();
    let expected = [
        ("large", "done", 10),
        ("hopeless", "cannot_finish", 10),
        ("halved", "done", 20),
        ("fading", "done", 30),
        ("small", "done", 40),
        ("old", "expired", 60),
        ("tardy", "late", 160),
    ];
    assert_eq!(ends, expected, "{given:?}");
    assert_eq!(tasks[3]["value"], 2.0, "half of the way down");
    assert_eq!(tasks[6]["value"], 0.0, "what is late is worth nothing");
    assert_eq!(
        [&sum["done"], &sum["expired"], &sum["shed"], &sum["late"]],
        [&json!(5), &json!(2), &json!(0), &json!(1)]
    );
    let worth: f64 = tasks.iter().map(|line| line["value"].as_f64().unwrap()).sum();
    assert!((sum["value"].as_f64().unwrap() - worth).abs() < 1e-9, "{given:?}");

    let two = decided(&["queue", "--workers", "2", "--order", "fifo"], &lines[..2]).ended(0).lines();
    assert_eq!(field(&two, "at")[..2], [&json!(10), &json!(10)], "two at a time");
    let tight = decided(&["queue", "--policy", r#"{"capacity":1}"#], &lines[..3]).ended(0).lines();
    assert_eq!(field(&tight, "end")[..1], [&json!("shed")], "{tight:?}");
    assert_eq!(tight.last().unwrap()["shed"], 1);
}

#[test]
fn a_restart_is_begun_again_until_a_person_is_told() {
    let lines: Vec<String> = (0..6).map(|n| format!(r#"{{"t":{},"exit":1}}"#, n * 60_000)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answers = decided(&["restart", "--policy", "default"], &lines).ended(0).lines();
    assert_eq!(keys(&answers[0]), ["code", "decision", "delay_ms", "t", "why"]);
    let decisions = ["restart", "restart", "restart", "restart", "escalate", "escalate"];
    assert_eq!(field(&answers, "decision"), decisions);
    assert!(answers[0]["delay_ms"].as_u64().unwrap() <= 1000);
    assert_eq!((&answers[4]["delay_ms"], &answers[4]["code"]), (&Value::Null, &json!("restart.window_full")));
    let ends =
        decided(&["restart"], &[r#"{"t":0,"exit":78}"#, r#"{"t":9,"signal":9,"tail":"out of memory"}"#]);
    assert_eq!(field(&ends.ended(0).lines(), "decision"), ["stop", "restart"]);
}

#[test]
fn a_heartbeat_is_new_up_late_and_overdue() {
    let hour = 3_600_000;
    let lines = [
        String::from(r#"{"t":0,"tick":true}"#),
        String::from(r#"{"t":1000,"success":true}"#),
        format!(r#"{{"t":{},"tick":true}}"#, hour),
        format!(r#"{{"t":{},"tick":true}}"#, hour + 1000),
        format!(r#"{{"t":{},"tick":true}}"#, 2 * hour + 1000),
        format!(r#"{{"t":{},"tick":true}}"#, 2 * hour + 2000),
        format!(r#"{{"t":{},"success":true}}"#, 3 * hour),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answers = decided(&["heartbeat", "--policy", "default"], &lines).ended(0).lines();
    assert_eq!(keys(&answers[0]), ["code", "decision", "state", "t", "why"]);
    assert_eq!(field(&answers, "state"), ["new", "up", "up", "late", "overdue", "overdue", "up"]);
    assert_eq!(field(&answers, "decision"), ["none", "tell", "none", "tell", "tell", "none", "tell"]);
    assert!(answers.iter().all(|line| line["code"].is_string() && line["why"].is_string()), "{answers:?}");
    let failed = decided(&["heartbeat"], &[r#"{"t":0,"success":false}"#]).lines();
    assert_eq!(failed[0]["why"], "it has failed", "nobody said why");
}

#[test]
fn a_trend_alerts_and_recovers() {
    let line = |t: u32| {
        let bad = t.is_multiple_of(50) || ((200..300).contains(&t) && t.is_multiple_of(3));
        format!(r#"{{"t":{t},"bad":{bad}}}"#)
    };
    let lines: Vec<String> = (0..500).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answers = decided(&["trend", "--policy", "default"], &lines).ended(0).lines();
    assert_eq!(keys(&answers[0]), ["code", "decision", "t", "why"]);
    let told: Vec<&str> = answers
        .iter()
        .map(|line| line["decision"].as_str().unwrap())
        .filter(|word| *word != "none")
        .collect();
    assert_eq!(told, ["alert", "recover"]);
}

/// A line of each kind that is right, and its word.
const KINDS: [(&str, &str, &str); 6] = [
    ("breaker", r#"{"t":5,"admit":"a"}"#, "allow"),
    ("retry", r#"{"t":5,"failed":"permanent"}"#, "stop"),
    ("queue", r#"{"t":5,"id":"a","run_ms":1}"#, "done"),
    ("restart", r#"{"t":5,"exit":0}"#, "stop"),
    ("heartbeat", r#"{"t":5,"success":true}"#, "up"),
    ("trend", r#"{"t":5,"bad":false}"#, "none"),
];

#[test]
fn people_are_answered_in_lines() {
    let shop = Shop::sqlite();
    for (kind, line, word) in KINDS {
        let given = shop.run_with(&["simulate", kind], &format!("{line}\n")).ended(0);
        let first = given.out.lines().next().unwrap();
        assert!(first.contains(" ms  ") && first.contains(word) && !first.contains('{'), "{kind}: {given:?}");
        assert!(!given.out.contains('\x1b'), "{kind}: {given:?}");
        let help = shop.run(&["simulate", kind, "--help"]).ended(0);
        assert!(help.out.contains("Policy:") && help.out.contains("\"t\":0"), "{kind}: {help:?}");
    }
}

#[test]
fn a_broken_line_is_named_and_nothing_after_it_is_looked_at() {
    let shop = Shop::sqlite();
    for (kind, line, _) in KINDS {
        for broken in [
            "{",
            "nonsense",
            "[]",
            "{}",
            r#"{"t":6}"#,
            r#"{"t":6,"odd":1}"#,
            r#"{"t":-1,"admit":"a"}"#,
            "\u{fffd}",
        ] {
            let input = format!("{line}\n\n{broken}\n{line}\n");
            let given = shop.run_with(&["simulate", kind, "--json"], &input).ended(1);
            let error = given.error();
            assert_eq!(error["code"], "trace.invalid", "{kind} {broken}: {given:?}");
            assert!(error["message"].as_str().unwrap().starts_with("line 3: "), "{kind} {broken}: {given:?}");
            let answered = if kind == "queue" { 0 } else { 1 };
            assert_eq!(given.lines().len(), answered, "what was answered stands: {given:?}");
        }
        let back =
            shop.run_with(&["simulate", kind, "--json"], &format!("{line}\n{}\n", line.replace(":5", ":4")));
        let message = back.ended(1).error()["message"].as_str().unwrap().to_owned();
        assert_eq!(message, "line 2: t is 4, before the 5 of a line before it", "{kind}");
    }
    // A list is no object, whatever stands in it.
    for (kind, line) in [
        ("trend", "[6,false]"),
        ("retry", r#"[6,"transient"]"#),
        ("heartbeat", "[6,true,null]"),
        ("queue", r#"["a"]"#),
        ("queue", r#"{"t":6,"id":"a","run_ms":10,"value":{"linear":[5,0,500]}}"#),
    ] {
        let given = shop.run_with(&["simulate", kind, "--json"], &format!("\n{line}\n")).ended(1);
        let message = given.error()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("line 2: it has a list, expected is an object"), "{kind}: {message}");
        assert!(given.out.is_empty(), "{given:?}");
    }
    let tail = "{\"t\":0,\"exit\":1,\"tail\":\"[warn] \\\"[\"}\n";
    shop.run_with(&["simulate", "restart"], tail).ended(0);
    let given = shop.run_with(&["simulate", "retry"], "{\"t\":0,\"failed\":\"odd\"}\n").ended(1);
    assert!(
        given.err.contains("line 1: unknown variant `odd`") && given.err.contains("in column"),
        "{given:?}"
    );
    let given = shop.run_with(&["simulate", "breaker"], "{\"t\":0,\"settle\":\"a\"}\n").ended(1);
    assert!(given.err.contains("missing field `outcome`"), "{given:?}");
    let long = format!("{{\"t\":0,\"admit\":\"{}\"}}\n", "a".repeat(1 << 20));
    let given = shop.run_with(&["simulate", "breaker"], &long).ended(1);
    assert!(given.err.contains("line 1: it has more than 1048576 bytes"), "{given:?}");
    assert_eq!(shop.run_with(&["simulate", "breaker", "--json"], "").ended(0).out, "", "nothing is nothing");
}

#[test]
fn a_broken_policy_names_its_file_line_and_field() {
    let shop = Shop::sqlite();
    let file = shop
        .file("policy.json", "{\n  \"consecutive\": 3,\n  \"rate\": {\"percent\": 0, \"calls\": 10}\n}\n");
    let given = shop.run(&["simulate", "breaker", "--json", "--policy", file.to_str().unwrap()]).ended(78);
    let message = given.error()["message"].as_str().unwrap().to_owned();
    assert_eq!(given.error()["code"], "policy.invalid");
    assert!(message.contains("policy.json, line 3: ") && message.contains("rate.percent is 0"), "{message}");
    for (kind, policy, says) in [
        ("breaker", "{\n\"consecutiv\": 3}", "line 2: unknown field `consecutiv`"),
        (
            "retry",
            "{\"transient\":\n{\"attempts_max\": \"5\"}}",
            "line 2: transient.attempts_max: invalid type",
        ),
        ("queue", "{\n\n\"capacity\": 0}", "line 3: queue: capacity is 0"),
        ("restart", "{\n\"failures_max\": 0}", "line 2: restart policy: failures_max is 0"),
        ("heartbeat", "{\n\"every_ms\": 10}", "line 2: heartbeat: every is 10ms"),
        ("heartbeat", "{}", "missing field `every_ms`"),
        ("trend", "{\n\"factor\": 1}", "line 2: factor is 1"),
        ("trend", "{", "line 1: EOF"),
        ("trend", "[50]", "line 1: it is a list"),
        ("breaker", "{\n\"rate\": [50, 10, 5]}", "line 2: rate: it is a list"),
    ] {
        let file = shop.file("broken.json", policy);
        let given = shop.run(&["simulate", kind, "--policy", file.to_str().unwrap()]).ended(78);
        assert!(given.err.contains("broken.json") && given.err.contains(says), "{kind} {policy}: {given:?}");
        assert_eq!(given.out, "");
    }
    let gone = shop.run(&["simulate", "trend", "--policy", "gone.json", "--json"]).ended(78);
    assert_eq!(gone.error()["code"], "policy.missing");
    assert!(gone.error()["hint"].as_str().unwrap().contains("default, cron, service"), "{gone:?}");
    for (kind, line, _) in KINDS {
        for name in ["default", "cron", "service"] {
            shop.run_with(&["simulate", kind, "--policy", name], line).ended(0);
        }
    }
}

#[test]
fn what_is_not_an_option_is_a_usage_error() {
    let shop = Shop::sqlite();
    for args in [
        &["simulate"][..],
        &["simulate", "weather"],
        &["simulate", "breaker", "--odd"],
        &["simulate", "breaker", "--workers", "2"],
        &["simulate", "queue", "--workers", "0"],
        &["simulate", "queue", "--order", "random"],
        &["simulate", "retry", "--seed", "x"],
    ] {
        shop.run(args).ended(2);
    }
}
