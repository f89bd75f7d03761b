//! Each rule by its name.

mod clocks;
mod words;

use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::time::{Moment, Now, later};
use crate::decide::gate::{
    Bound, Closed, Decision, Error, Gate, GaveUp, Missing, Opened, Policy, Reading, Sample, Saved, Signal,
    Why,
};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Now {
    Now { moment: Moment::from_nanos(1), wall: chrono::DateTime::UNIX_EPOCH }
        .after(Duration::from_secs(seconds))
}

fn memory(percent: f64) -> Sample {
    Sample::new().with(Signal::Memory, percent)
}

/// Memory above 90 % closes, below 80 % opens, after 30 s.
fn gate() -> Gate {
    Gate::new(Policy::builder().above(Signal::Memory, 90.0, 80.0).build().unwrap())
}

fn closed(decision: Decision) -> Closed {
    match decision {
        Decision::Closed(closed) => closed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_gate_is_open_until_a_sample_closes_it() {
    let calm = |decision| matches!(decision, Decision::Open { why: Opened::Calm { signals: 1, missing: 0 } });
    let mut gate = gate();
    for (second, percent) in [(0, 10.0), (1, 85.0), (2, 90.0)] {
        assert!(calm(gate.evaluate(&memory(percent), at(second))), "{percent}");
    }
    let closed = closed(gate.evaluate(&memory(90.1), at(3)));
    assert_eq!((closed.why, closed.since), (Why::Beyond, at(3).wall));
}

#[test]
fn between_its_thresholds_a_gate_stays_as_it_is() {
    let mut gate = gate();
    assert!(gate.evaluate(&memory(85.0), at(0)).is_open());
    assert!(!gate.evaluate(&memory(95.0), at(1)).is_open());
    let between = closed(gate.evaluate(&memory(85.0), at(100)));
    assert_eq!((between.code(), between.value.clone()), ("gate.not_yet_good", Reading::Number(85.0)));
    assert_eq!(between.to_string(), "memory use is 85 %; it opens again below 80 %");
    assert_eq!(closed(gate.evaluate(&memory(80.0), at(200))).why, Why::NotYetGood, "80 is not below 80");
    assert!(matches!(closed(gate.evaluate(&memory(79.9), at(300))).why, Why::Dwelling { .. }));
}

#[test]
fn it_opens_only_after_everything_was_good_for_the_dwell() {
    let mut gate = gate();
    assert!(!gate.evaluate(&memory(95.0), at(0)).is_open());
    for second in [10, 20, 30, 39] {
        let closed = closed(gate.evaluate(&memory(20.0), at(second)));
        let dwelling =
            Why::Dwelling { calm: Duration::from_secs(second - 10), dwell: Duration::from_secs(30) };
        assert_eq!((closed.why, closed.retry_at, closed.since), (dwelling, at(40).wall, at(0).wall));
        assert_eq!(closed.value, Reading::Number(95.0), "what closed it is told");
    }
    let opened = Opened::Calmed { waited: Duration::from_secs(40), calm: Duration::from_secs(30) };
    assert_eq!(gate.evaluate(&memory(20.0), at(40)), Decision::Open { why: opened });
    assert_eq!(opened.to_string(), "calm for 30.0 s; it was closed for 40.0 s");
    assert!(matches!(gate.evaluate(&memory(20.0), at(41)), Decision::Open { why: Opened::Calm { .. } }));
}

#[test]
fn a_relapse_begins_the_dwell_anew() {
    let mut gate = gate();
    for (second, percent) in [(0, 95.0), (10, 20.0), (30, 85.0), (35, 20.0), (60, 20.0), (64, 20.0)] {
        assert!(!gate.evaluate(&memory(percent), at(second)).is_open(), "{second}");
    }
    assert!(gate.evaluate(&memory(20.0), at(65)).is_open());
}

#[test]
fn all_signals_have_to_be_good_and_the_first_in_the_way_is_told() {
    let policy = Policy::idle();
    let both = |cpu: f64, memory: f64| Sample::new().with(Signal::Cpu, cpu).with(Signal::Memory, memory);
    let mut gate = Gate::new(policy);
    assert!(gate.evaluate(&both(49.9, 74.9), at(0)).is_open());
    // One threshold for both: at it is on the bad side.
    let first = closed(gate.evaluate(&both(50.0, 90.0), at(1)));
    assert_eq!(first.to_string(), "processor use is 50 %, not below 50 %");
    assert_eq!(first.limit, Bound::Above { close: 50.0, open: 50.0 });
    let second = closed(gate.evaluate(&both(10.0, 90.0), at(2)));
    assert_eq!((second.signal, second.since), (Signal::Memory, at(1).wall));
    assert!(!gate.evaluate(&both(10.0, 10.0), at(3)).is_open());
    assert!(gate.evaluate(&both(10.0, 10.0), at(33)).is_open());
}

#[test]
fn what_cannot_be_read_does_what_its_limit_says() {
    let policy = Policy::calm();
    let mut gate = Gate::new(policy.clone());
    let none = Sample::new()
        .with(Signal::Memory, 10.0)
        .with(Signal::memory_pressure(), Reading::missing("there is no /proc/pressure/memory"));
    let passed = Decision::Open { why: Opened::Calm { signals: 2, missing: 1 } };
    assert_eq!(gate.evaluate(&none, at(0)), passed);
    assert_eq!(passed.to_string(), "1 of 2 signals were read, none is beyond its limit");
    let strict: Policy = "mem:90/80,psi:20/10!".parse().unwrap();
    let said = closed(Gate::new(strict).evaluate(&none, at(0)));
    let text = "memory pressure over 10 s cannot be read: there is no /proc/pressure/memory";
    assert_eq!((said.code(), &*said.to_string()), ("gate.missing", text));
    // What the sample does not hold is missing too, and by default that closes.
    let said = closed(gate.evaluate(&Sample::new(), at(1)));
    assert_eq!(said.to_string(), "memory use cannot be read: the sample does not hold it");
    let lax = Policy::builder().above(Signal::Memory, 90.0, 80.0).missing(Signal::Memory, Missing::Open);
    assert!(Gate::new(lax.build().unwrap()).evaluate(&Sample::new(), at(0)).is_open());
}

#[test]
fn what_is_no_number_or_of_another_kind_cannot_be_read() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(closed(gate().evaluate(&memory(odd), at(0))).code(), "gate.missing");
    }
    let is = Sample::new().with(Signal::Memory, true);
    assert!(closed(gate().evaluate(&is, at(0))).to_string().contains("yes or no, not a number"));
    let check = Signal::Custom("backlog".into());
    let needs = Policy::builder().needs(check.clone()).build().unwrap();
    let said = closed(Gate::new(needs).evaluate(&Sample::new().with(check, 7.0), at(0)));
    assert_eq!(said.to_string(), "the check backlog cannot be read: it says a number, not yes or no");
}

#[test]
fn what_is_being_measured_is_asked_again_and_changes_nothing() {
    let due = Duration::from_millis(200);
    let measuring = || Sample::new().with(Signal::Memory, Reading::Measuring(due));
    let mut gate = gate();
    let first = closed(gate.evaluate(&measuring(), at(0)));
    assert_eq!((first.code(), first.retry_at), ("gate.measuring", later(at(0).wall, due)));
    assert_eq!(first.to_string(), "memory use is still being measured, for another 0.2 s");
    assert!(gate.evaluate(&memory(10.0), at(1)).is_open(), "no dwell after what never closed it");
    // In the middle of a dwell the dwell goes on.
    assert!(!gate.evaluate(&memory(95.0), at(10)).is_open());
    assert!(!gate.evaluate(&memory(10.0), at(20)).is_open());
    assert_eq!(closed(gate.evaluate(&measuring(), at(45))).code(), "gate.measuring");
    assert!(gate.evaluate(&memory(10.0), at(50)).is_open());
    // What is bad goes first, and a source that never says when is not asked without end.
    let endless =
        Sample::new().with(Signal::Cpu, Reading::Measuring(Duration::ZERO)).with(Signal::Memory, 99.0);
    let mut idle = Gate::new(Policy::idle());
    assert_eq!(closed(idle.evaluate(&endless, at(0))).signal, Signal::Memory);
    let calm = endless.with(Signal::Memory, 9.0);
    assert!(closed(Gate::new(Policy::idle()).evaluate(&calm, at(0))).retry_at > at(0).wall);
}

#[test]
fn it_gives_up_exactly_then_and_tells_what_was_in_the_way() {
    let policy = Policy::builder().above(Signal::Memory, 90.0, 80.0).give_up_after(Duration::from_secs(600));
    let mut gate = Gate::new(policy.build().unwrap());
    assert!(gate.evaluate(&memory(10.0), at(0)).is_open());
    assert!(!gate.evaluate(&memory(95.0), at(100)).is_open());
    let last = closed(gate.evaluate(&memory(95.0), at(699)));
    assert_eq!(last.retry_at, at(700).wall, "it is asked again when it gives up, not later");
    match gate.evaluate(&memory(96.0), at(700)) {
        Decision::GivenUp(given_up) => {
            assert_eq!(given_up.waited, Duration::from_secs(600));
            assert_eq!(given_up.by, GaveUp::After(Duration::from_secs(600)));
            assert_eq!(given_up.code(), "gate.given_up");
            assert_eq!(given_up.to_string(), "given up after 10 min: memory use is 96 %, above 90 %");
        }
        other => panic!("{other:?}"),
    }
    // Until it opens after all.
    assert!(matches!(gate.evaluate(&memory(10.0), at(710)), Decision::GivenUp(_)));
    assert!(gate.evaluate(&memory(10.0), at(740)).is_open());
    assert!(matches!(gate.evaluate(&memory(95.0), at(750)), Decision::Closed(_)), "and counts anew");
}

#[test]
fn an_opening_at_the_last_instant_is_no_giving_up() {
    let policy = Policy::builder().above(Signal::Memory, 90.0, 80.0).give_up_after(Duration::from_secs(40));
    let mut gate = Gate::new(policy.build().unwrap());
    assert!(!gate.evaluate(&memory(95.0), at(0)).is_open());
    assert!(!gate.evaluate(&memory(10.0), at(10)).is_open());
    assert!(gate.evaluate(&memory(10.0), at(40)).is_open());
}

#[test]
fn a_deadline_of_the_question_is_kept() {
    let mut gate = gate();
    let deadline = at(50).wall;
    let first = closed(gate.evaluate_by(&memory(95.0), at(0), deadline));
    assert!(first.retry_at <= deadline);
    assert_eq!(closed(gate.evaluate_by(&memory(95.0), at(49), deadline)).retry_at, deadline);
    let given_up = gate.evaluate_by(&memory(95.0), at(50), deadline);
    assert!(
        matches!(&given_up, Decision::GivenUp(given_up) if given_up.by == GaveUp::At(deadline)
            && given_up.waited == Duration::from_secs(50)),
        "{given_up:?}"
    );
    let text = "given up after 50.0 s, at 1970-01-01 00:00:50 UTC: memory use is 95 %, above 90 %";
    assert_eq!(given_up.to_string(), text);
    assert!(matches!(gate.evaluate(&memory(95.0), at(60)), Decision::Closed(_)), "the policy has none");
}

#[test]
fn what_is_in_the_way_for_long_is_asked_about_less_often() {
    let mut gate = gate();
    let mut now = at(0);
    let mut waits = Vec::new();
    while waits.len() < 40 {
        let retry_at = closed(gate.evaluate(&memory(95.0), now)).retry_at;
        waits.push(crate::base::time::between(now.wall, retry_at));
        now = now.after(*waits.last().unwrap());
    }
    assert_eq!(waits.first(), Some(&Duration::from_secs(5)));
    assert_eq!(waits.last(), Some(&Duration::from_secs(60)));
    assert!(waits.is_sorted());
}

#[test]
fn yes_and_no_say_what_they_are_about() {
    let needs = |signal: Signal| {
        let policy = Policy::builder().needs(signal.clone()).build().unwrap();
        closed(Gate::new(policy).evaluate(&Sample::new().with(signal, false), at(0))).to_string()
    };
    assert_eq!(needs(Signal::Mounted("/data".into())), "nothing is mounted at /data");
    assert_eq!(needs(Signal::Exists("/run/ready".into())), "/run/ready does not exist");
    assert_eq!(needs(Signal::Answers("db.internal:5432".into())), "db.internal:5432 does not answer");
    assert_eq!(needs(Signal::Custom("approved".into())), "the check approved says no");
    let disk = Policy::builder().disk_free("/var", 10 << 30, 12 << 30).build().unwrap();
    let sample = Sample::new().with(Signal::DiskFreeBytes("/var".into()), 1.5 * f64::from(1 << 30));
    let said = closed(Gate::new(disk).evaluate(&sample, at(0)));
    assert_eq!(said.to_string(), "the free space of /var is 1.5 GiB, below 10.0 GiB");
    assert_eq!(said.code(), "gate.below");
}

#[test]
fn a_bad_policy_is_refused_with_its_field() {
    let refused = |builder: super::Builder| match builder.build() {
        Err(Error::Field { field, given, allowed }) => (field, given, allowed),
        other => panic!("{other:?}"),
    };
    let builder = Policy::builder;
    assert_eq!(refused(builder()).0, "limits");
    let wrong_way = refused(builder().above(Signal::Memory, 80.0, 90.0));
    assert_eq!(wrong_way, ("open", "90 % for memory use".into(), "at most 80 %, at which it closes".into()));
    assert_eq!(refused(builder().disk_free("/", 2, 1)).0, "open");
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, 100.5] {
        assert_eq!(refused(builder().above(Signal::Cpu, bad, 10.0)).0, "close", "{bad}");
        assert_eq!(refused(builder().above(Signal::Swap, 50.0, bad)).0, "open", "{bad}");
    }
    assert_eq!(refused(builder().above(Signal::LoadPerCore, f64::NAN, 1.0)).0, "close");
    assert_eq!(refused(builder().below(Signal::DiskFreePercent("/".into()), 10.0, 100.0)).0, "open");
    assert_eq!(refused(builder().below(Signal::DiskFreeBytes("/".into()), 0.5, 1.0)).0, "close");
    assert_eq!(refused(builder().disk_free("/", 1, u64::MAX)).0, "open");
    assert_eq!(refused(builder().above(Signal::DiskFreeBytes("/".into()), 2.0, 1.0)).0, "signal");
    assert_eq!(refused(builder().below(Signal::Memory, 10.0, 20.0)).0, "signal");
    assert_eq!(refused(builder().needs(Signal::Cpu)).0, "signal");
    assert_eq!(refused(builder().above(Signal::Exists("/x".into()), 1.0, 1.0)).0, "signal");
    let twice = refused(builder().needs(Signal::Exists("/x".into())).needs(Signal::Exists("/x/".into())));
    assert_eq!((twice.0, &*twice.1), ("limits", "/x/ twice"));
    let many = (0..65).fold(builder(), |builder, n| builder.needs(Signal::Custom(n.to_string())));
    assert_eq!(refused(many).2, "1 to 64");
    let cpu = || builder().above(Signal::Cpu, 50.0, 40.0);
    assert_eq!(refused(cpu().missing(Signal::Memory, Missing::Open)).0, "missing");
    assert_eq!(refused(cpu().dwell(Duration::MAX)).0, "dwell");
    assert_eq!(
        refused(cpu().give_up_after(Duration::from_secs(30))).0,
        "give_up_after",
        "it could never open"
    );
    assert_eq!(refused(cpu().give_up_after(Duration::MAX)).0, "give_up_after");
    for name in ["", "a\nb"] {
        assert_eq!(refused(builder().needs(Signal::Custom(name.into()))).0, "name");
        assert_eq!(refused(builder().needs(Signal::Exists(name.into()))).0, "path");
    }
    for address in ["", "db", "db:", ":1", "db:0", "db:65536", "db:+5", "::1:5", "a b:5"] {
        assert_eq!(refused(builder().needs(Signal::Answers(address.into()))).0, "address", "{address}");
    }
    for address in ["db:1", "127.0.0.1:80", "[::1]:65535"] {
        assert!(builder().needs(Signal::Answers(address.into())).build().is_ok(), "{address}");
    }
}

#[test]
fn a_dwell_of_zero_is_refused_where_it_makes_the_gate_flap() {
    let zero = |builder: super::Builder| builder.dwell(Duration::ZERO).build();
    let one = zero(Policy::builder().above(Signal::Cpu, 50.0, 50.0)).unwrap_err().to_string();
    assert!(one.starts_with("gate: dwell is 0s, allowed is more, or two thresholds"), "{one}");
    assert!(zero(Policy::builder().needs(Signal::Exists("/x".into()))).is_err());
    let mut gate = Gate::new(zero(Policy::builder().above(Signal::Memory, 90.0, 80.0)).unwrap());
    for (percent, open) in [(95.0, false), (85.0, false), (79.0, true), (85.0, true), (91.0, false)] {
        assert_eq!(gate.evaluate(&memory(percent), at(0)).is_open(), open, "{percent}");
    }
}

#[test]
fn a_cron_job_dwells_and_gives_up_across_its_processes() {
    let policy: Policy = "mem:90/80,give_up:1h".parse().unwrap();
    let mut text = serde_json::to_string(&Gate::new(policy.clone()).saved()).unwrap();
    let mut run = |minute: u64, percent: f64| {
        let saved: Saved = serde_json::from_str(&text).unwrap();
        let mut gate = Gate::restored(policy.clone(), &saved).unwrap();
        // Another process: another origin of the monotonic clock.
        let now = Now { moment: Moment::from_nanos(7), ..at(60 * minute) };
        let decision = gate.evaluate(&memory(percent), now);
        text = serde_json::to_string(&gate.saved()).unwrap();
        decision
    };
    assert!(run(0, 50.0).is_open());
    assert_eq!(closed(run(15, 95.0)).code(), "gate.above");
    assert_eq!(closed(run(30, 70.0)).code(), "gate.dwelling");
    assert!(run(45, 70.0).is_open());
    for minute in [60, 75, 90, 105] {
        assert_eq!(closed(run(minute, 95.0)).since, at(60 * 60).wall);
    }
    assert!(matches!(run(120, 95.0), Decision::GivenUp(given_up) if given_up.waited == 3600 * SECOND));
}

#[test]
fn what_was_saved_and_changed_is_refused_by_its_field() {
    let mut gate = gate();
    assert!(!gate.evaluate(&memory(95.0), at(0)).is_open());
    assert!(!gate.evaluate(&memory(10.0), at(5)).is_open());
    assert!(!gate.evaluate(&memory(10.0), at(15)).is_open());
    let text = serde_json::to_string(&gate.saved()).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        let saved: Saved = serde_json::from_str(&text.replace(from, to)).unwrap();
        Gate::restored(gate.policy().clone(), &saved).unwrap_err().to_string()
    };
    assert_eq!(refused("\"v\":1", "\"v\":2"), "gate: it has version 2, known is 1");
    assert!(
        refused("\"calm\":{\"ns\":10000000000}", "\"calm\":{\"ns\":16000000000}").starts_with("gate: calm")
    );
    assert!(refused("\"at\":", "\"else\":").starts_with("gate: at is missing"));
    assert!(refused("\"wait\":", "\"else\":").starts_with("gate: wait is missing"));
    assert!(refused("{\"number\":95.0}", "{\"is\":true}").starts_with("gate: closed"));
    for cut in 0..text.len() {
        assert!(serde_json::from_str::<Saved>(&text[..cut]).is_err());
    }
}

#[test]
fn the_first_saved_form_is_still_read() {
    let text = include_str!("../../../tests/golden/gate_v1.json");
    let saved: Saved = serde_json::from_str(text).unwrap();
    let mut gate = Gate::restored(Policy::calm(), &saved).unwrap();
    assert_eq!(
        serde_json::to_value(gate.saved()).unwrap(),
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    );
    let sample = memory(40.0).with(Signal::memory_pressure(), 0.5);
    let now = Now { moment: Moment::ZERO, wall: "2026-11-22T01:02:20Z".parse().unwrap() };
    let closed = closed(gate.evaluate(&sample, now));
    let text = "calm for 25.0 s of 30.0 s; it was closed because memory use is 93.5 %, above 90 %";
    assert_eq!(closed.to_string(), text);
    assert!(gate.evaluate(&sample, now.after(Duration::from_secs(5))).is_open());
}
