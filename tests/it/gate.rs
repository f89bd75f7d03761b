//! Gates over the machine, from outside: what an application writes.

use std::time::Duration;

use unattended::explain::Explain;
use unattended::gate::{Decision, Policy, Signal};
use unattended::readiness::{Gate, Shared};
use unattended::time::{Clock, System};

/// Limits that nothing is ever beyond, so that what the gate answers is only whether each could be read.
#[cfg(target_os = "linux")]
#[test]
fn every_signal_of_a_policy_is_read_by_the_sampler_that_comes_with_it() {
    let policy: Policy = "cpu:100/99!, mem:100/99!, swap:100/99!, load:1000000!, psi:100/99!, psi:cpu:100/99!, \
                          psi:io:full:avg60:100/99!, disk:/:1B!, disk:/:0.000000001%!, exists:/!, mounted:/!, \
                          custom:yes!, custom:number:<1/2!"
        .parse()
        .unwrap();
    let gate = Gate::new(policy).check("yes", || true).check("number", || 3.0);
    let first = gate.ask(System.now());
    if std::fs::read("/proc/pressure/io").is_err() || !cfg!(feature = "host") {
        assert_eq!(first.code(), "gate.missing", "{first}");
        return;
    }
    assert_eq!(first.code(), "gate.measuring", "{first}");
    let decision = gate.wait_blocking(Duration::from_secs(30));
    assert_eq!(decision.to_string(), "13 of 13 signals were read, none is beyond its limit");
}

#[test]
fn what_is_not_there_keeps_the_gate_closed_and_the_next_run_is_told_when_to_ask() {
    let shared = Shared::default();
    let policy = Policy::builder().needs(Signal::Exists("/no/such/disk".into())).build().unwrap();
    let gate = Gate::new(policy).sampler(&shared);
    let now = System.now();
    let put_off = gate.ready(now).unwrap_err();
    assert_eq!((put_off.code, &*put_off.why), ("gate.no", "/no/such/disk does not exist"));
    assert!(put_off.until > now.wall);
    let given_up = gate.wait_blocking(Duration::from_millis(30));
    assert!(matches!(given_up, Decision::GivenUp(_)), "{given_up:?}");
}

/// The future of a wait may be spawned, and dropped.
#[cfg(feature = "testing")]
#[test]
fn a_wait_under_simulated_time_gives_up_to_the_second() {
    use unattended::gate::Sample;
    use unattended::testing::sim::Sim;
    use unattended::time::Now;

    let sim = Sim::new(chrono::DateTime::UNIX_EPOCH, 7);
    let busy = |_: &[&Signal], _: Now| Sample::new().with(Signal::Cpu, 99.0).with(Signal::Memory, 10.0);
    let gate = Gate::on(Policy::idle(), busy);
    let limit = Duration::from_millis(3_600_001);
    let boxed: std::pin::Pin<Box<dyn Future<Output = Decision> + Send + '_>> =
        Box::pin(gate.wait_on(&sim, limit));
    drop(boxed);
    let ends = sim.join((0..3).map(|_| gate.wait_on(&sim, limit))).unwrap();
    for end in ends {
        assert!(matches!(&end, Decision::GivenUp(given_up) if given_up.waited == limit), "{end:?}");
    }
    assert_eq!(sim.elapsed(), limit);
}
