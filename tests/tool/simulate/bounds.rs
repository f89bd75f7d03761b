//! Long traces: in bounded memory, answered as they come, and left alone where nobody reads on.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use crate::kit::Shop;

fn started(shop: &Shop, args: &[&str]) -> Child {
    let mut command: Command = shop.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The most memory that it ever had, in KiB.
#[cfg(target_os = "linux")]
fn most(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Writes `lines` of them and reads as many answers, without closing the input.
#[cfg(target_os = "linux")]
fn feed(child: &mut Child, lines: u64, from: u64, line: impl Fn(u64) -> String + Send) {
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    std::thread::scope(|scope| {
        let input = &mut input;
        scope.spawn(move || {
            let mut text = String::new();
            for n in from..from + lines {
                text.push_str(&line(n));
                if text.len() > 60_000 || n + 1 == from + lines {
                    input.write_all(text.as_bytes()).unwrap();
                    text.clear();
                }
            }
        });
        let mut answer = Vec::new();
        for _ in 0..lines {
            answer.clear();
            assert!(output.read_until(b'\n', &mut answer).unwrap() > 0);
        }
    });
    child.stdin = Some(input);
    child.stdout = Some(output.into_inner());
}

#[cfg(target_os = "linux")]
#[test]
fn a_long_trace_takes_no_more_memory_than_a_short_one() {
    const FEW: u64 = 5_000;
    const MANY: u64 = 100_000;
    let shop = Shop::sqlite();
    // Refused calls that are never settled, and calls that are let through and never settled.
    let line = |n: u64| format!("{{\"t\":{n},\"admit\":\"call-{n}\"}}\n");
    let mut child = started(&shop, &["simulate", "breaker", "--json", "--policy", "service"]);
    feed(&mut child, FEW, 0, line);
    let few = most(&child);
    feed(&mut child, MANY, FEW, line);
    let many = most(&child);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    // 100,000 calls that are out are kept, at some hundred bytes each; 100,000 answers are 14 MB and are not.
    assert!(many < few + 48 * 1024, "{few} KiB after {FEW} lines, {many} KiB after {MANY} more");

    let line = |n: u64| format!("{{\"t\":{n},\"bad\":{}}}\n", n.is_multiple_of(97));
    let mut child = started(&shop, &["simulate", "trend", "--json"]);
    feed(&mut child, FEW, 0, line);
    let few = most(&child);
    feed(&mut child, MANY, FEW, line);
    let many = most(&child);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(many < few + 4 * 1024, "{few} KiB after {FEW} lines, {many} KiB after {MANY} more");
}

#[test]
fn each_line_is_answered_before_the_next_is_waited_for() {
    let shop = Shop::sqlite();
    let mut child = started(&shop, &["simulate", "retry", "--json"]);
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for attempt in 2..5 {
        input.write_all(format!("{{\"t\":{attempt},\"failed\":\"transient\"}}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        assert!(answer.contains(&format!("\"attempt\":{attempt}")), "{answer}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let shop = Shop::sqlite();
    let mut child = started(&shop, &["simulate", "trend"]);
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    input.write_all(b"{\"t\":0,\"bad\":false}\n").unwrap();
    output.read_exact(&mut [0; 1]).unwrap();
    drop(output);
    let line = b"{\"t\":1,\"bad\":false}\n".repeat(1000);
    while input.write_all(&line).is_ok() {}
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
