//! The same random traces through the library and through the tool: the same decisions.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use unattended::breaker::{self, Admit, Machine, Outcome, Permit};
use unattended::explain::Explain;
use unattended::fault::{Class, Fault};
use unattended::heartbeat::{Beat, Heart};
use unattended::queue::{Id, Next, Order, Pushed, Queue, Skip, Task};
use unattended::rng::Rng;
use unattended::time::{Moment, Now, Timestamp, between, later};
use unattended::{heartbeat, queue, restart, retry, trend};

use crate::kit::Shop;

const SEEDS: std::ops::Range<u64> = 1..4;

fn at(t: u64) -> Now {
    let span = Duration::from_millis(t);
    Now { moment: Moment::ZERO.after(span), wall: later(Timestamp::UNIX_EPOCH, span) }
}

fn up(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap()
}

/// The tool's answers to this trace are those.
fn same(args: &[&str], trace: &[Value], expected: &[Value]) {
    let input: String = trace.iter().map(|line| line.to_string() + "\n").collect();
    let args = [&["simulate"], args, &["--json"]].concat();
    let given = Shop::sqlite().run_with(&args, &input).ended(0);
    let answers = given.lines();
    assert_eq!(answers.len(), expected.len(), "{args:?}");
    for (answer, expected) in answers.iter().zip(expected) {
        // Numbers as they are read back.
        let expected: Value = serde_json::from_str(&expected.to_string()).unwrap();
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&answer[key], value, "{key}: {answer} is not {expected} ({args:?})");
        }
    }
}

/// A number in `0..below`.
fn under(rng: &mut Rng, below: u64) -> u64 {
    rng.up_to(below - 1)
}

fn breaker_trace(rng: &mut Rng, policy: breaker::Policy, seed: u64) -> (Vec<Value>, Vec<Value>) {
    let (mut t, mut trace, mut expected) = (0, Vec::new(), Vec::new());
    let mut machine = Machine::new(policy, seed, at(0)).unwrap();
    let mut out: HashMap<String, Permit> = HashMap::new();
    let mut names: Vec<String> = Vec::new();
    let mut fails = 20;
    for n in 0..1500 {
        t += under(rng, 4000);
        if under(rng, 60) == 0 {
            fails = [2, 20, 95][usize::try_from(under(rng, 3)).unwrap()];
        }
        match under(rng, 100) {
            0..=1 => {
                trace.push(json!({"t": t, "restart": true}));
                let text = serde_json::to_string(&machine.snapshot("any", at(t))).unwrap();
                machine =
                    Machine::restore(policy, &serde_json::from_str(&text).unwrap(), seed, at(t)).unwrap().0;
            }
            2..=45 => {
                let id = format!("call-{n}");
                trace.push(json!({"t": t, "admit": id}));
                let (decision, retry_at, code, why) = match machine.admit(at(t)) {
                    Admit::Allow { permit, why } => {
                        out.insert(id.clone(), permit);
                        ("allow", Value::Null, why.code(), why.to_string())
                    }
                    Admit::Refuse { why, retry_at } => {
                        let retry_at = up(between(Timestamp::UNIX_EPOCH, retry_at));
                        ("refuse", json!(retry_at), why.code(), why.to_string())
                    }
                };
                let state = machine.standing().as_str();
                expected.push(
                    json!({"t": t, "id": id, "decision": decision, "state": state, "retry_at": retry_at,
                    "code": code, "why": why}),
                );
                names.push(id);
            }
            _ if names.is_empty() => {}
            _ => {
                let place = usize::try_from(under(rng, names.len() as u64)).unwrap();
                let id = names.swap_remove(place);
                let (word, outcome) = match under(rng, 100) {
                    0..=2 => ("abandoned", Outcome::Abandoned),
                    3..=5 => ("slow", Outcome::Slow),
                    6..=8 => ("permanent", Outcome::Failure(Class::Permanent)),
                    other if other < fails => ("failure", Outcome::Failure(Class::Transient)),
                    _ => ("success", Outcome::Success),
                };
                trace.push(json!({"t": t, "settle": id, "outcome": word}));
                let state_before = machine.standing().as_str();
                expected.push(match out.remove(&id) {
                    Some(permit) => {
                        let moved = machine.settle(permit, outcome, at(t));
                        json!({"t": t, "id": id, "decision": moved.as_str(), "state": machine.standing().as_str(),
                            "code": moved.code(), "why": moved.to_string()})
                    }
                    None => json!({"t": t, "id": id, "decision": "none", "state": state_before,
                        "code": "breaker.unscored"}),
                });
            }
        }
    }
    (trace, expected)
}

#[test]
fn breakers_decide_as_the_library_does() {
    let own = r#"{"consecutive":4,"rate":{"percent":40,"calls":12,"min":6,"within_ms":600000},
        "slow_rate":{"percent":60,"calls":8,"min":4,"over_ms":1000},"open_ms":20000,"open_factor":3,
        "open_max_ms":100000,"open_jitter":50,"probes":2,"successes":2,"lease_ms":30000}"#;
    for seed in SEEDS {
        for (name, policy) in [
            ("cron", breaker::Policy::cron()),
            ("service", breaker::Policy::service()),
            (own, serde_json::from_str(own).unwrap()),
        ] {
            let (trace, expected) = breaker_trace(&mut Rng::seeded(seed), policy, seed);
            let codes: Vec<&Value> = expected.iter().map(|line| &line["decision"]).collect();
            assert!(codes.contains(&&json!("trip")) && codes.contains(&&json!("close")), "{name} {seed}");
            same(&["breaker", "--policy", name, "--seed", &seed.to_string()], &trace, &expected);
        }
    }
}

#[test]
fn retries_decide_as_the_library_does() {
    for seed in 1..30 {
        let rng = &mut Rng::seeded(seed);
        let (name, policy) = match seed % 2 {
            0 => ("cron", retry::Policy::cron()),
            _ => ("service", retry::Policy::service()),
        };
        let mut run = policy.start(at(0), seed);
        let (mut t, mut trace, mut expected) = (0, Vec::new(), Vec::new());
        for _ in 0..12 {
            t += under(rng, 8000);
            let class = Class::ALL[usize::try_from(under(rng, 5)).unwrap()];
            let mut fault = Fault::new(class, "any");
            let mut line = json!({"t": t, "failed": class.as_str()});
            if under(rng, 3) == 0 {
                let asked = under(rng, 200_000);
                fault = fault.retry_after(Duration::from_millis(asked));
                line["retry_after_ms"] = json!(asked);
            }
            trace.push(line);
            expected.push(match run.failed(at(t), &fault) {
                retry::Next::Wait { delay, attempt, why } => json!({"t": t, "decision": "wait", "delay_ms": up(delay),
                    "attempt": attempt, "disposition": null, "code": why.code(), "why": why.to_string()}),
                retry::Next::Defer { until, why } => json!({"t": t, "decision": "defer",
                    "delay_ms": up(between(at(t).wall, until)), "code": why.code(), "why": why.to_string()}),
                retry::Next::Stop { why, disposition } => json!({"t": t, "decision": "stop", "delay_ms": null,
                    "attempt": null, "disposition": disposition.as_str(), "code": why.code(), "why": why.to_string()}),
            });
        }
        same(&["retry", "--policy", name, "--seed", &seed.to_string()], &trace, &expected);
    }
}

/// A task of a random trace.
struct Job {
    t: u64,
    run: u64,
    value: queue::Value,
    line: Value,
    task: Task<usize>,
}

fn jobs(rng: &mut Rng) -> Vec<Job> {
    let mut t = 0;
    (0..300)
        .map(|n| {
            // Some arrive together.
            t += under(rng, 3) * under(rng, 60);
            let run = 10 + under(rng, 120);
            let estimate = if under(rng, 4) == 0 { 1 + under(rng, 150) } else { run };
            let text = match under(rng, 4) {
                0 => json!({"step": 1 + under(rng, 9)}),
                1 => json!({"linear": {"v": 5, "from": 0, "to": 100 + under(rng, 900)}}),
                2 => json!({"half_life": {"v": 1 + under(rng, 9), "h": 100 + under(rng, 100)}}),
                _ => json!({"step": 2}),
            };
            let value: queue::Value = serde_json::from_value(text.clone()).unwrap();
            let mut line =
                json!({"t": t, "id": n.to_string(), "run_ms": run, "estimate_ms": estimate, "value": text});
            let mut task = Task::new(n).estimate(Duration::from_millis(estimate)).value(value.clone());
            if under(rng, 3) > 0 {
                let deadline = t + under(rng, 800);
                line["deadline"] = json!(deadline);
                task = task.deadline(at(deadline).wall);
            }
            Job { t, run, value, line, task }
        })
        .collect()
}

/// What happens to the jobs, by looking at each millisecond.
fn expected_of(jobs: &[Job], mut queue: Queue<usize>, workers: usize) -> Vec<Value> {
    let mut expected = Vec::new();
    let mut working: Vec<(u64, usize, Id, &'static str, String)> = Vec::new();
    let (mut worth, mut done, mut expired, mut shed, mut next) = (0.0, 0_u64, 0_u64, 0_u64, 0);
    let mut skip = |expected: &mut Vec<Value>, t: u64, n: usize, why: Skip| {
        let end = match why {
            Skip::Expired { .. } => "expired",
            Skip::CannotFinish { .. } => "cannot_finish",
            _ => "shed",
        };
        *(if end == "shed" { &mut shed } else { &mut expired }) += 1;
        expected.push(json!({"id": n.to_string(), "end": end, "at": t, "value": 0.0, "code": why.code(),
            "why": why.to_string()}));
    };
    for t in 0.. {
        let mut left = Vec::new();
        for (ends, n, id, code, why) in std::mem::take(&mut working) {
            if ends > t {
                left.push((ends, n, id, code, why));
                continue;
            }
            let late = queue.done(id, at(t)).unwrap().late;
            let value =
                if late.is_some() { 0.0 } else { jobs[n].value.after(Duration::from_millis(t - jobs[n].t)) };
            (worth, done) = (worth + value, done + 1);
            let end = if late.is_some() { "late" } else { "done" };
            expected.push(json!({"id": n.to_string(), "end": end, "at": t, "value": value, "code": code}));
        }
        working = left;
        while let Some(job) = jobs.get(next).filter(|job| job.t == t) {
            next += 1;
            match queue.push(job.task.clone(), at(t)).unwrap() {
                Pushed::Queued { dropped, .. } => {
                    for over in dropped {
                        skip(&mut expected, t, over.payload, over.why);
                    }
                }
                Pushed::Shed(over) => skip(&mut expected, t, over.payload, over.why),
            }
        }
        while working.len() < workers {
            match queue.next(at(t)) {
                Next::Run(run) => {
                    let (code, why) = (run.why.code(), run.why.to_string());
                    working.push((t + jobs[run.payload].run, run.payload, run.id, code, why));
                }
                Next::Skip(over) => skip(&mut expected, t, over.payload, over.why),
                _ => break,
            }
        }
        if next == jobs.len() && working.is_empty() && queue.is_empty() {
            break;
        }
    }
    expected.push(json!({"value": worth, "done": done, "expired": expired, "shed": shed}));
    expected
}

#[test]
fn queues_decide_as_the_library_does() {
    for seed in SEEDS {
        for (word, order) in [("density", Order::Density), ("fifo", Order::Fifo), ("edf", Order::Edf)] {
            for (workers, capacity) in [(1, 12), (3, 10_000)] {
                let jobs = jobs(&mut Rng::seeded(seed));
                let trace: Vec<Value> = jobs.iter().map(|job| job.line.clone()).collect();
                let queue = Queue::builder().order(order).capacity(capacity).build(at(0)).unwrap();
                let expected = expected_of(&jobs, queue, workers);
                let (workers, policy) = (workers.to_string(), json!({"capacity": capacity}).to_string());
                let args = ["queue", "--policy", &policy, "--workers", &workers, "--order", word];
                same(&args, &trace, &expected);
            }
        }
    }
}

#[test]
fn restarts_decide_as_the_library_does() {
    for seed in 1..12 {
        let rng = &mut Rng::seeded(seed);
        let mut state = restart::State::new(restart::Policy::default(), seed).unwrap();
        let (mut t, mut begins, mut trace, mut expected) = (0, Duration::ZERO, Vec::new(), Vec::new());
        for _ in 0..200 {
            let far = if under(rng, 5) == 0 { 400_000 } else { 4000 };
            t += under(rng, far);
            let code = [0, 1, 1, 2, 75, 78][usize::try_from(under(rng, 6)).unwrap()];
            trace.push(json!({"t": t, "exit": code}));
            let begun = begins.min(Duration::from_millis(t));
            state.started(Now {
                moment: Moment::ZERO.after(begun),
                wall: later(Timestamp::UNIX_EPOCH, begun),
            });
            let decision = state.on_exit(at(t), restart::Exit::code(code));
            let (word, delay) = match &decision {
                restart::Decision::Restart { at: again, .. } => ("restart", Some(again.since(at(t).moment))),
                restart::Decision::Escalate { .. } => ("escalate", None),
                restart::Decision::Stop { .. } => ("stop", None),
            };
            begins = Duration::from_millis(t) + delay.unwrap_or_default();
            expected
                .push(json!({"t": t, "decision": word, "delay_ms": delay.map(up), "code": decision.code(),
                "why": decision.to_string()}));
        }
        same(&["restart", "--seed", &seed.to_string()], &trace, &expected);
    }
}

#[test]
fn heartbeats_decide_as_the_library_does() {
    for seed in SEEDS {
        let rng = &mut Rng::seeded(seed);
        let policy = heartbeat::Policy::every(Duration::from_secs(600)).build().unwrap();
        let mut heart = Heart::new(policy, at(0));
        let (mut t, mut trace, mut expected) = (0, Vec::new(), Vec::new());
        for _ in 0..1000 {
            t += under(rng, 300_000);
            let (line, event) = match under(rng, 5) {
                0 => (json!({"t": t, "success": true}), heart.observe(at(t), Beat::succeeded())),
                1 if under(rng, 4) == 0 => {
                    (json!({"t": t, "success": false}), heart.observe(at(t), Beat::failed("")))
                }
                _ => (json!({"t": t, "tick": true}), heart.tick(at(t).into(), |_| None)),
            };
            trace.push(line);
            let mut answer = json!({"t": t, "state": heart.state().as_str(),
                "decision": if event.is_some() { "tell" } else { "none" }});
            if let Some(event) = event {
                (answer["code"], answer["why"]) = (json!(event.code()), json!(event.why.to_string()));
            }
            expected.push(answer);
        }
        same(&["heartbeat", "--policy", r#"{"every_ms":600000}"#], &trace, &expected);
    }
}

#[test]
fn trends_decide_as_the_library_does() {
    for seed in SEEDS {
        let rng = &mut Rng::seeded(seed);
        let mut trend = trend::Trend::new(trend::Policy::default());
        let (mut t, mut trace, mut expected, mut share) = (0, Vec::new(), Vec::new(), 1);
        for _ in 0..2000 {
            t += under(rng, 100_000);
            if under(rng, 300) == 0 {
                share = [1, 30][usize::try_from(under(rng, 2)).unwrap()];
            }
            let bad = under(rng, 100) < share;
            trace.push(json!({"t": t, "bad": bad}));
            let observed = trend.observe(bad, at(t));
            expected.push(json!({"t": t, "decision": observed.as_str(), "code": observed.code(),
                "why": observed.to_string()}));
        }
        same(&["trend", "--policy", "default"], &trace, &expected);
    }
}
