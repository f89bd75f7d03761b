//! Each rule by its name, in simulated time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::act::readiness::{Gate, Shared};
use crate::act::testing::SimClock;
use crate::base::time::{Clock, Now, later};
use crate::decide::gate::{Decision, GaveUp, Opened, Policy, Reading, Sample, Signal};

const MINUTE: Duration = Duration::from_secs(60);

/// Memory by the second, and how often it was looked at.
fn scripted(
    percent: impl Fn(u64) -> f64 + Send + 'static,
) -> (impl FnMut(&[&Signal], Now) -> Sample + Send, Arc<AtomicUsize>) {
    let looked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked);
    let source = move |signals: &[&Signal], now: Now| {
        count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(signals, [&Signal::Memory]);
        Sample::new().with(Signal::Memory, percent(u64::try_from(now.wall.timestamp()).unwrap()))
    };
    (source, looked)
}

fn policy() -> Policy {
    "mem:90/80".parse().unwrap()
}

#[test]
fn a_wait_ends_when_the_machine_was_calm_for_the_dwell() {
    let (source, looked) = scripted(|second| if second < 60 { 95.0 } else { 40.0 });
    let (gate, clock) = (Gate::on(policy(), source), SimClock::default());
    let decision = gate.wait_blocking_on(&clock, 10 * MINUTE);
    let Decision::Open { why: Opened::Calmed { waited, calm } } = decision else { panic!("{decision:?}") };
    assert!(calm >= Duration::from_secs(30) && calm < Duration::from_secs(35), "{calm:?}");
    assert_eq!(waited, clock.elapsed());
    assert!(clock.elapsed() >= Duration::from_secs(90) && clock.elapsed() <= Duration::from_secs(95));
    assert!(looked.load(Ordering::SeqCst) >= 15, "the dwell is looked at all along");
}

#[test]
fn a_spike_in_the_middle_of_the_dwell_is_seen() {
    let (source, _) = scripted(|second| if second < 10 || (22..28).contains(&second) { 95.0 } else { 40.0 });
    let (gate, clock) = (Gate::on(policy(), source), SimClock::default());
    assert!(gate.wait_blocking_on(&clock, 10 * MINUTE).is_open());
    assert!(clock.elapsed() >= Duration::from_secs(58), "{:?}", clock.elapsed());
}

#[test]
fn a_wait_gives_up_exactly_at_its_limit_and_tells_what_was_in_the_way() {
    let (source, _) = scripted(|_| 95.0);
    let (gate, clock) = (Gate::on(policy(), source), SimClock::default());
    for limit in [Duration::from_millis(7_777), Duration::from_nanos(1), Duration::ZERO] {
        let begun = clock.elapsed();
        match gate.wait_blocking_on(&clock, limit) {
            Decision::GivenUp(given_up) => {
                assert_eq!((given_up.waited, given_up.by), (limit, GaveUp::After(limit)));
                assert_eq!(given_up.last.to_string(), "memory use is 95 %, above 90 %");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(clock.elapsed() - begun, limit);
    }
}

#[test]
fn the_policys_own_giving_up_ends_a_wait_too() {
    let (source, _) = scripted(|_| 95.0);
    let policy = "mem:90/80,give_up:5m".parse().unwrap();
    let (gate, clock) = (Gate::on(policy, source), SimClock::default());
    let decision = gate.wait_blocking_on(&clock, Duration::MAX);
    assert!(matches!(decision, Decision::GivenUp(given_up) if given_up.waited == 5 * MINUTE));
    assert_eq!(clock.elapsed(), 5 * MINUTE);
}

#[test]
fn gates_that_share_a_sampler_look_once_for_all() {
    let (source, looked) = scripted(|_| 50.0);
    let shared = Shared::new(source);
    let gates: Vec<Gate> = (0..10).map(|_| Gate::new(policy()).sampler(&shared)).collect();
    let clock = SimClock::default();
    let ask = |clock: &SimClock| gates.iter().for_each(|gate| assert!(gate.ask(clock.now()).is_open()));
    ask(&clock);
    clock.advance(Duration::from_millis(999));
    ask(&clock);
    assert_eq!(looked.load(Ordering::SeqCst), 1);
    clock.advance(Duration::from_millis(1));
    ask(&clock);
    assert_eq!(looked.load(Ordering::SeqCst), 2);
    let always = Gate::new(policy()).sampler(&shared.fresh_for(Duration::ZERO));
    for _ in 0..3 {
        assert!(always.ask(clock.now()).is_open());
    }
    assert_eq!(looked.load(Ordering::SeqCst), 5);
}

#[test]
fn what_is_being_measured_is_looked_at_again_when_it_is_due() {
    let first = Mutex::new(true);
    let source = move |_: &[&Signal], _: Now| {
        let first = std::mem::take(&mut *first.lock().unwrap());
        let due = Reading::Measuring(Duration::from_millis(200));
        let cpu = if first { due } else { Reading::Number(3.0) };
        Sample::new().with(Signal::Cpu, cpu)
    };
    let (gate, clock) = (Gate::on("cpu:50".parse().unwrap(), source), SimClock::default());
    let refused = gate.ready(clock.now()).unwrap_err();
    assert_eq!((refused.code, refused.until), ("gate.measuring", later(clock.now().wall, MINUTE / 300)));
    assert!(gate.wait_blocking_on(&clock, MINUTE).is_open(), "though the reading is younger than a second");
}

#[test]
fn work_is_put_off_with_the_reason_and_until_it_is_worth_asking_again() {
    let (source, _) = scripted(|second| if second < 1000 { 95.0 } else { 40.0 });
    let gate = Gate::on("mem:90/80,give_up:10m".parse().unwrap(), source);
    let clock = SimClock::default();
    let refused = gate.ready(clock.now()).unwrap_err();
    assert_eq!(refused.code, "gate.above");
    assert_eq!(refused.why, "memory use is 95 %, above 90 %");
    assert_eq!(refused.until, later(clock.now().wall, Duration::from_secs(5)));
    clock.advance(10 * MINUTE);
    let refused = gate.ready(clock.now()).unwrap_err();
    assert_eq!(refused.code, "gate.given_up");
    assert!(refused.why.starts_with("given up after 10 min: ") && refused.until > clock.now().wall);
    clock.advance(10 * MINUTE);
    assert_eq!(gate.ready(clock.now()).unwrap_err().code, "gate.given_up");
    clock.advance(MINUTE);
    assert_eq!(gate.ready(clock.now()), Ok(()));
    assert!(gate.ask_by(clock.now(), clock.now().wall).is_open(), "what is open is open at its deadline");
}

#[test]
fn the_checks_of_a_gate_are_its_own_and_asked_under_no_lock() {
    let policy: Policy = "custom:approved,custom:queue:>100/80,dwell:1s".parse().unwrap();
    let known = Arc::new(Mutex::new(None::<Gate>));
    let again = Arc::clone(&known);
    let gate = Gate::on(policy, |signals: &[&Signal], _: Now| {
        assert_eq!(signals, [] as [&Signal; 0], "nobody else is asked for them");
        Sample::new()
    });
    let gate = gate
        .check("approved", || false)
        .check("queue", || 5.0)
        // A check that looks at its own gate would stand still if it were asked under a lock.
        .check("approved", move || {
            again.lock().unwrap().as_ref().is_some_and(|gate| !gate.policy().limits().is_empty())
        });
    let clock = SimClock::default();
    assert_eq!(gate.ready(clock.now()).unwrap_err().why, "the check approved says no");
    *known.lock().unwrap() = Some(gate.clone());
    assert!(gate.wait_blocking_on(&clock, MINUTE).is_open());
    let panics = Gate::new("custom:x".parse().unwrap()).check("x", || -> bool { panic!("no idea") });
    let why = panics.ready(clock.now()).unwrap_err().why;
    assert_eq!(why, "the check x cannot be read: its check panicked: no idea");
    let nobody = Gate::new("custom:x".parse().unwrap()).ready(clock.now()).unwrap_err().why;
    assert_eq!(nobody, "the check x cannot be read: there is no check of this name");
}

#[test]
fn what_was_seen_goes_on_in_the_next_process() {
    let clock = SimClock::default();
    let gate = || Gate::on(policy(), scripted(|second| if second < 10 { 95.0 } else { 40.0 }).0);
    let first = gate();
    assert!(!first.ask(clock.now()).is_open());
    clock.advance(Duration::from_secs(20));
    assert!(!first.ask(clock.now()).is_open());
    clock.advance(Duration::from_secs(30));
    assert!(gate().ask(clock.now()).is_open(), "one that knows nothing");
    let text = serde_json::to_string(&first.saved()).unwrap();
    let second = gate().restored(&serde_json::from_str(&text).unwrap()).unwrap();
    let decision = second.ask(clock.now());
    assert!(
        matches!(decision, Decision::Open { why: Opened::Calmed { waited, .. } } if waited == MINUTE * 5 / 6)
    );
    let other = text.replace("\"v\":1", "\"v\":9");
    assert!(gate().restored(&serde_json::from_str(&other).unwrap()).is_err());
}

#[test]
fn a_gate_may_be_asked_from_many_threads() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let (source, _) = scripted(|_| 50.0);
    let (gate, clock) = (Gate::on(policy(), source), SimClock::default());
    shared(&gate);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    clock.advance(Duration::from_millis(300));
                    assert!(gate.ask(clock.now()).is_open());
                }
            });
        }
    });
}

#[cfg(feature = "tokio")]
#[test]
fn a_future_waits_as_a_thread_does() {
    let (source, _) = scripted(|second| if second < 60 { 95.0 } else { 40.0 });
    let (gate, clock) = (Gate::on(policy(), source), SimClock::default());
    let decision = crate::base::park::block_on(gate.wait_on(&clock, MINUTE));
    assert!(matches!(decision, Decision::GivenUp(given_up) if given_up.waited == MINUTE));
    assert!(crate::base::park::block_on(gate.wait_on(&clock, MINUTE)).is_open());
    assert!(clock.elapsed() < 2 * MINUTE);
    let calm = Gate::on(policy(), scripted(|_| 40.0).0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(runtime.block_on(calm.wait(MINUTE)).is_open());
    let busy = Gate::on(policy(), scripted(|_| 99.0).0);
    let given_up = runtime.block_on(busy.wait(Duration::from_millis(20)));
    assert!(matches!(given_up, Decision::GivenUp(given_up) if given_up.waited >= Duration::from_millis(20)));
}
