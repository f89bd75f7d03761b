//! `gate`.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kit::Shop;

#[test]
fn a_gate_is_open_where_nothing_is_in_the_way() {
    let shop = Shop::sqlite();
    for args in [
        &["gate", "--disk-free", "/:1B", "--mounted", "/"][..],
        &["gate", "--cpu-max", "100", "--mem-max", "100%", "--psi-max", "100"],
        &["gate", "disk:/:1B,mounted:/,exists:/tmp"],
        &["gate", "exists:/", "--disk-free", "/:1B", "--disk-free", "/tmp:1B"],
    ] {
        let given = shop.run(&[args, &["--json"]].concat()).ended(0).object();
        assert_eq!(given["state"], "open", "{given}");
        for key in ["signal", "value", "limit"] {
            assert_eq!(given[key], Value::Null, "{given}");
        }
        assert!(given["why"].as_str().unwrap().contains("none is beyond its limit"), "{given}");
        assert!(shop.run(args).ended(0).out.starts_with("state  open"));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().to_string();
    shop.run(&["gate", "--port", &port]).ended(0);
}

#[test]
fn a_gate_that_is_closed_says_what_is_in_the_way() {
    let shop = Shop::sqlite();
    let closed = |args: &[&str]| shop.run(&[&["gate"], args, &["--json"]].concat()).ended(75).object();
    let mounted = closed(&["--mounted", "/nowhere"]);
    assert_eq!((&mounted["state"], &mounted["signal"]), (&json!("closed"), &json!("mounted:/nowhere")));
    assert_eq!((&mounted["value"], &mounted["limit"]), (&json!(false), &json!(true)));
    assert!(mounted["why"].as_str().unwrap().contains("nothing is mounted at /nowhere"), "{mounted}");
    let disk = closed(&["--disk-free", "/:8000TiB"]);
    assert_eq!((&disk["signal"], &disk["code"]), (&json!("disk:/"), &json!("gate.below")));
    assert!(disk["value"].as_f64().unwrap() < disk["limit"].as_f64().unwrap(), "{disk}");
    let memory = closed(&["mem:0.001"]);
    assert_eq!((&memory["signal"], &memory["limit"]), (&json!("mem"), &json!(0.001)));
    let odd = closed(&["--exists", "/tmp/a,b:50%?"]);
    assert_eq!(odd["signal"], "exists:/tmp/a,b:50%?", "a path is what it is");
    let human = shop.run(&["gate", "--mounted", "/nowhere"]).ended(75).out;
    assert!(human.starts_with("state  closed\nwhy    nothing is mounted"), "{human}");
}

#[test]
fn a_wait_is_bounded_and_says_so() {
    let shop = Shop::sqlite();
    let begun = Instant::now();
    let given = shop.run(&["gate", "--mounted", "/nowhere", "--wait", "1s", "--json"]).ended(75);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(given.err.contains("waiting for at most 1s"), "{given:?}");
    assert_eq!(
        (&given.object()["state"], &given.object()["code"]),
        (&json!("closed"), &json!("gate.given_up"))
    );
    assert_eq!(given.object()["signal"], "mounted:/nowhere");
}

#[test]
fn a_wait_ends_when_it_opens() {
    let shop = Shop::sqlite();
    let ready = shop.path("ready");
    let mut command = shop.command(&["gate", "--exists", ready.to_str().unwrap(), "--wait", "60s"]);
    let mut spec = shop.command(&[
        "gate",
        &format!("exists:{},dwell:100ms", ready.display()),
        "--wait",
        "60s",
        "--json",
    ]);
    let waiting = spec.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(&ready, "").unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["state"], &answer["code"]), (&json!("open"), &json!("gate.calmed")));
    let open = command.output().unwrap();
    assert_eq!((open.status.code(), &*open.stderr), (Some(0), &b""[..]), "no wait, no word");
}

#[test]
fn what_is_no_gate_is_a_usage_error() {
    let shop = Shop::sqlite();
    for (args, says) in [
        (&["gate", "--cpu-max", "lots"][..], "cpu"),
        (&["gate", "--cpu-max", "0"], "above 0"),
        (&["gate", "--disk-free", "/var"], "--disk-free"),
        (&["gate", "--disk-free", "/var:ten"], "disk"),
        (&["gate", "cpu:50", "--cpu-max", "60"], "twice"),
        (&["gate", "custom:approved"], "only the application itself"),
        (&["gate", "weather:fine"], "weather"),
        (&["gate", "--wait", "soon"], "soon"),
        (&["gate", "--odd"], "--odd"),
    ] {
        let given = shop.run(args).ended(2);
        assert!(given.err.contains(says), "{args:?}: {given:?}");
    }
}
