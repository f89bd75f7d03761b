//! Work that is to be done once, on the store in memory under simulated time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::ledger::StoreLedger;
use unattended::memory::Memory;
use unattended::once::{Error, Once};
use unattended::testing::sim::Sim;
use unattended::time::{Sleep, Timestamp};

fn world() -> (Sim, StoreLedger) {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 3);
    let ledger = StoreLedger::new(Arc::new(Memory::on(Arc::new(sim.clone()))));
    (sim, ledger)
}

fn key() -> Key {
    Key::new("test", "mail", 7).unwrap()
}

fn done(ledger: &StoreLedger, input: u32) -> Result<Once<u32>, Error<io::Error>> {
    ledger.once_blocking(&key(), &input, |_| Ok(1))
}

fn failed(ledger: &StoreLedger, kind: io::ErrorKind) -> Result<Once<u32>, Error<io::Error>> {
    ledger.once_blocking(&key(), &1, |_| Err(io::Error::from(kind)))
}

#[test]
fn a_second_delivery_is_given_the_result_and_another_input_is_a_conflict() {
    let (_sim, ledger) = world();
    assert_eq!(done(&ledger, 1).unwrap(), Once::Did(1));
    assert_eq!(done(&ledger, 1).unwrap(), Once::Already(1));
    assert!(matches!(done(&ledger, 2).unwrap(), Once::Conflict { .. }));
}

#[test]
fn a_failure_that_cannot_have_arrived_gives_the_key_back() {
    let (_sim, ledger) = world();
    assert!(matches!(failed(&ledger, io::ErrorKind::ConnectionRefused), Err(Error::Work(_))));
    assert_eq!(done(&ledger, 1).unwrap(), Once::Did(1));
}

#[test]
fn an_unsafe_failure_that_may_have_arrived_is_asked_of_a_person() {
    let (_sim, ledger) = world();
    assert!(matches!(failed(&ledger, io::ErrorKind::TimedOut), Err(Error::Work(_))));
    assert!(matches!(done(&ledger, 1).unwrap(), Once::NeedsReview { .. }));
}

#[test]
fn an_idempotent_failure_that_may_have_arrived_is_tried_again() {
    let (_sim, ledger) = world();
    let ledger = ledger.effect(Effect::Idempotent);
    assert!(failed(&ledger, io::ErrorKind::TimedOut).is_err());
    assert_eq!(done(&ledger, 1).unwrap(), Once::Did(1));
}

#[test]
fn a_permanent_failure_is_remembered() {
    let (_sim, ledger) = world();
    assert!(failed(&ledger, io::ErrorKind::InvalidInput).is_err());
    match done(&ledger, 1) {
        Err(Error::FailedBefore { code, .. }) => assert_eq!(code, "io.invalid_input"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn work_that_was_dropped_in_the_middle_follows_its_effect_class() {
    for (effect, again) in [(Effect::Pure, true), (Effect::Idempotent, true), (Effect::Unsafe, false)] {
        let (sim, ledger) = world();
        let ledger = ledger.effect(effect);
        {
            let key = key();
            let work = ledger.once_on(sim.clone(), &key, &1, |_| std::future::pending::<io::Result<u32>>());
            let cut = sim.sleep(Duration::from_secs(5));
            let (mut work, mut cut) = (std::pin::pin!(work), cut);
            let first = std::future::poll_fn(move |context| {
                assert!(work.as_mut().poll(context).is_pending());
                cut.as_mut().poll(context)
            });
            sim.block_on(first).unwrap();
        }
        assert!(matches!(done(&ledger, 1).unwrap(), Once::Busy { .. }), "its lease still runs");
        sim.advance(Duration::from_secs(40));
        match done(&ledger, 1).unwrap() {
            Once::Did(1) => assert!(again, "{effect}"),
            Once::NeedsReview { .. } => assert!(!again, "{effect}"),
            other => panic!("{effect}: {other:?}"),
        }
    }
}

#[test]
fn an_hour_of_work_keeps_its_claim() {
    let (sim, ledger) = world();
    let ran = AtomicU32::new(0);
    let key = key();
    let hour = || async {
        ran.fetch_add(1, Ordering::SeqCst);
        sim.sleep(Duration::from_secs(3600)).await;
        io::Result::Ok(1)
    };
    let both = sim.join([0, 1].map(|late| {
        let (sim, ledger, key) = (sim.clone(), ledger.clone(), &key);
        let hour = &hour;
        async move {
            sim.sleep(Duration::from_secs(late * 1800)).await;
            ledger.once_on(sim.clone(), key, &1, |_| hour()).await.unwrap()
        }
    }));
    let both = both.unwrap();
    assert_eq!(both[0], Once::Did(1));
    assert!(matches!(both[1], Once::Busy { .. }), "{:?}", both[1]);
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}
