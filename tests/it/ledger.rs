//! The ledger, the named leases and the saved states, held to what they promise: on simulated time, where a lease ends
//! when the test says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::{Fingerprint, Key};
use unattended::claim::LastKnown;
use unattended::fault::{Class, Fault};
use unattended::leases::{Kept, Leases, Taken};
use unattended::ledger::{Claim, Error, Fence, Ledger, Outcome, StoreLedger};
use unattended::snapshots::{Saved, Snapshots};
use unattended::store::{self, Batch, Expect, Ns, Prune, Put, Record, Write};

use crate::world::{Faulty, Inject, LEASE, World};

fn key(id: u32) -> Key {
    Key::new("billing", "invoice", id).unwrap()
}

fn payload(value: u32) -> Fingerprint {
    Fingerprint::of(&value).unwrap()
}

fn json(text: &str) -> unattended::runs::Json {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

/// A ledger of a process of its own.
fn ledger(world: &World) -> StoreLedger {
    StoreLedger::new(world.other()).on(Arc::new(world.sim.clone()))
}

fn claim(ledger: &StoreLedger, id: u32, value: u32) -> Claim {
    block_on(ledger.claim(&key(id), &payload(value), LEASE)).unwrap()
}

fn fresh(ledger: &StoreLedger, id: u32, value: u32) -> Fence {
    match claim(ledger, id, value) {
        Claim::Fresh(fence) => fence,
        other => panic!("not fresh: {other:?}"),
    }
}

fn taken_over(ledger: &StoreLedger, id: u32, value: u32) -> Fence {
    match claim(ledger, id, value) {
        Claim::TakeOver(fence, LastKnown::Started) => fence,
        other => panic!("not taken over: {other:?}"),
    }
}

fn record(world: &World, id: u32) -> Record {
    world.entry(key(id).as_str()).unwrap()
}

fn codes(world: &World, id: u32) -> Vec<String> {
    let events = block_on(world.store.events(Ns::LEDGER, key(id).as_str(), 0, 1000)).unwrap();
    events.into_iter().map(|event| event.event.code.into_owned()).collect()
}

/// The same claim in the hands of somebody who kept a copy of it.
fn copy(fence: &Fence) -> Fence {
    Fence::granted(fence.key().clone(), fence.number())
}

#[test]
fn a_second_claim_is_busy_then_a_duplicate_with_the_stored_result() {
    let world = World::new();
    let (one, two) = (ledger(&world), ledger(&world));
    let fence = fresh(&one, 1, 10);
    match claim(&two, 1, 10) {
        Claim::Busy { owner, until } => {
            assert_eq!(owner, one.store().owner());
            assert_eq!(until, world.wall() + LEASE);
        }
        other => panic!("{other:?}"),
    }
    block_on(one.complete(&fence, json("{\"paid\":12345678901234567890}"))).unwrap();
    for ledger in [&one, &two] {
        match claim(ledger, 1, 10) {
            Claim::Duplicate(Outcome::Succeeded { result }) => {
                assert_eq!(result.get(), "{\"paid\":12345678901234567890}", "digit by digit");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn another_payload_is_a_conflict_whether_the_key_is_busy_settled_or_orphaned() {
    let world = World::new();
    let (one, two) = (ledger(&world), ledger(&world));
    let conflicts = |when: &str| match claim(&two, 1, 11) {
        Claim::Conflict { stored, given } => {
            assert_eq!((stored, given), (payload(10).to_string(), payload(11).to_string()), "{when}");
        }
        other => panic!("{when}: {other:?}"),
    };
    let fence = fresh(&one, 1, 10);
    conflicts("busy");
    world.pass_a_lease();
    conflicts("orphaned");
    block_on(one.complete(&fence, json("1"))).unwrap();
    conflicts("done");
}

#[test]
fn a_claim_is_taken_over_only_when_its_lease_is_over() {
    let world = World::new();
    let (one, two) = (ledger(&world), ledger(&world));
    let first = fresh(&one, 1, 10);
    world.sim.advance(LEASE - Duration::from_millis(1));
    assert!(matches!(claim(&two, 1, 10), Claim::Busy { .. }));
    let until = block_on(one.renew(&first, LEASE)).unwrap().until.unwrap();
    assert_eq!(until, world.wall() + LEASE);
    world.sim.advance(LEASE - Duration::from_millis(1));
    assert!(matches!(claim(&two, 1, 10), Claim::Busy { .. }), "it was renewed");
    world.secs(1);
    let second = taken_over(&two, 1, 10);
    assert!(second.number() > first.number());
}

#[test]
fn a_step_of_the_wall_clock_ends_no_lease_and_keeps_none() {
    let world = World::new();
    let (one, two) = (ledger(&world), ledger(&world));
    let first = fresh(&one, 1, 10);
    world.sim.step_wall(chrono::TimeDelta::days(3));
    assert!(matches!(claim(&two, 1, 10), Claim::Busy { .. }), "the wall clock went forward");
    world.sim.step_wall(chrono::TimeDelta::days(-30));
    world.pass_a_lease();
    assert!(taken_over(&two, 1, 10).number() > first.number(), "the wall clock went back");
}

#[test]
fn a_dead_process_on_the_same_host_is_taken_over_at_once() {
    let world = World::new();
    let (one, two) = (ledger(&world), ledger(&world));
    let first = fresh(&one, 1, 10);
    drop(one);
    assert!(taken_over(&two, 1, 10).number() > first.number());
}

#[test]
fn a_zombie_is_refused_everything_and_what_it_saw_is_kept() {
    type Late<'a> = (&'static str, &'a dyn Fn(&StoreLedger, Fence) -> Result<(), Error>);
    let fault = Fault::permanent("card.declined");
    let settles: [Late<'_>; 4] = [
        ("succeeded", &|ledger, fence| block_on(ledger.complete(&fence, json("{\"receipt\":\"r-77\"}")))),
        ("failed", &|ledger, fence| block_on(ledger.fail(&fence, &fault, "declined by r-77"))),
        ("needs_review", &|ledger, fence| block_on(ledger.doubt(&fence, "cut off after r-77"))),
        ("released", &|ledger, fence| block_on(ledger.release(&fence, "not begun, r-77"))),
    ];
    for (what, settle) in settles {
        let world = World::new();
        let (one, two) = (ledger(&world), ledger(&world));
        let first = fresh(&one, 1, 10);
        world.pass_a_lease();
        let second = taken_over(&two, 1, 10);
        assert!(matches!(block_on(one.renew(&first, LEASE)), Err(Error::Fenced { .. })), "{what}");
        let before = record(&world, 1);
        let refused = settle(&one, copy(&first)).unwrap_err();
        assert!(
            matches!(&refused, Error::Fenced { fence, stands: Some(stands), .. }
                if *fence == first.number() && *stands == second.number()),
            "{what}: {refused}"
        );
        let after = record(&world, 1);
        let kept = |record: &Record| {
            let record = record.clone();
            (record.state, record.body, record.fence, record.lease, record.owner, record.fingerprint)
        };
        assert_eq!(kept(&after), kept(&before), "{what}: the record is as it was");
        let events = block_on(world.store.events(Ns::LEDGER, key(1).as_str(), 0, 1000)).unwrap();
        let late = events.last().unwrap();
        assert_eq!(late.event.code, "claim.late", "{what}");
        let told = format!("{} {}", late.event.why, late.event.data.as_deref().unwrap_or_default());
        assert!(told.contains(what), "{what}: {told}");
        assert!(told.contains("r-77"), "what the zombie saw is the only trace of the effect: {what}: {told}");
        // The holder is not disturbed by it.
        block_on(two.renew(&second, LEASE)).unwrap();
        block_on(two.complete(&second, json("2"))).unwrap();
        assert!(matches!(claim(&two, 1, 10), Claim::Duplicate(Outcome::Succeeded { .. })));
    }
}

#[test]
fn what_was_given_back_is_fresh_and_what_failed_or_is_in_doubt_is_told() {
    let world = World::new();
    let (one, two) = (ledger(&world), ledger(&world));
    let first = fresh(&one, 1, 10);
    block_on(one.release(&first, "not begun")).unwrap();
    let second = fresh(&two, 1, 10);
    block_on(two.fail(&second, &Fault::permanent("card.declined"), "declined")).unwrap();
    match claim(&one, 1, 10) {
        Claim::Duplicate(Outcome::Failed { class, code, why }) => {
            assert_eq!((class, &*code, &*why), (Class::Permanent, "card.declined", "declined"));
        }
        other => panic!("{other:?}"),
    }
    let doubtful = fresh(&one, 2, 10);
    block_on(one.doubt(&doubtful, "cut off")).unwrap();
    world.secs(86_400 * 365);
    match claim(&two, 2, 10) {
        Claim::Duplicate(Outcome::NeedsReview { why }) => assert_eq!(why, "cut off"),
        other => panic!("{other:?}"),
    }
    let expected = ["claim.fresh", "claim.given_back", "claim.released", "claim.failed"];
    assert_eq!(codes(&world, 1), expected);
}

#[test]
fn the_first_claimer_gives_back_and_one_of_the_others_must_win() {
    let world = World::new();
    let ledgers: Vec<_> = (0..3).map(|_| ledger(&world)).collect();
    let first = fresh(&ledgers[0], 1, 10);
    assert!(matches!(claim(&ledgers[1], 1, 10), Claim::Busy { .. }));
    block_on(ledgers[0].release(&first, "rolled back")).unwrap();
    let second = fresh(&ledgers[1], 1, 10);
    assert!(matches!(claim(&ledgers[2], 1, 10), Claim::Busy { .. }));
    block_on(ledgers[1].complete(&second, json("2"))).unwrap();
    assert!(matches!(claim(&ledgers[0], 1, 10), Claim::Duplicate(_)));
}

#[test]
fn entries_expire_as_told_and_never_while_their_outcome_is_open() {
    let world = World::new();
    let day = Duration::from_secs(86_400);
    let ledger = ledger(&world).keep_for(day);
    block_on(ledger.complete(&fresh(&ledger, 1, 10), json("1"))).unwrap();
    block_on(ledger.fail(&fresh(&ledger, 2, 10), &Fault::permanent("x"), "x")).unwrap();
    block_on(ledger.doubt(&fresh(&ledger, 3, 10), "x")).unwrap();
    let held = fresh(&ledger, 4, 10);
    world.sim.advance(day - Duration::from_secs(1));
    assert!(matches!(claim(&ledger, 1, 10), Claim::Duplicate(_)));
    assert!(matches!(claim(&ledger, 1, 11), Claim::Conflict { .. }));
    block_on(ledger.renew(&held, day * 2)).unwrap();
    world.secs(2);
    let everything = || expired(1000);
    fresh(&ledger, 1, 11);
    assert_eq!(block_on(world.store.prune(everything())).unwrap(), 1, "the failed one alone");
    fresh(&ledger, 2, 11);
    assert!(matches!(claim(&ledger, 3, 10), Claim::Duplicate(Outcome::NeedsReview { .. })));
    assert!(matches!(claim(&ledger, 4, 10), Claim::Busy { .. }));
    world.sim.advance(day * 30);
    assert_eq!(block_on(world.store.prune(everything())).unwrap(), 0, "orphans and doubts stay");
    taken_over(&ledger, 4, 10);
}

#[test]
fn a_claim_again_after_expiry_is_leased_and_does_not_expire() {
    let world = World::new();
    let ledger = ledger(&world).keep_for(Duration::from_secs(60));
    block_on(ledger.complete(&fresh(&ledger, 1, 10), json("1"))).unwrap();
    world.secs(61);
    let again = fresh(&ledger, 1, 11);
    world.pass_a_lease();
    world.secs(600);
    assert!(matches!(claim(&ledger, 1, 10), Claim::Conflict { .. }), "its outcome is open");
    assert!(taken_over(&ledger, 1, 11).number() > again.number());
}

#[test]
fn fences_never_repeat_whatever_becomes_of_the_key() {
    let world = World::new();
    let ledger = ledger(&world).keep_for(Duration::from_secs(60));
    let mut seen = Vec::new();
    for round in 0..40_u32 {
        let fence = match claim(&ledger, 1, 10) {
            Claim::Fresh(fence) | Claim::TakeOver(fence, _) => fence,
            other => panic!("round {round}: {other:?}"),
        };
        seen.push(fence.number());
        match round % 4 {
            0 => block_on(ledger.release(&fence, "again")).unwrap(),
            1 => world.pass_a_lease(),
            _ => {
                block_on(ledger.complete(&fence, json("1"))).unwrap();
                world.secs(61);
                if round % 4 == 2 {
                    assert_eq!(block_on(world.store.prune(expired(10))).unwrap(), 1);
                }
            }
        }
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    for number in seen {
        let zombie = Fence::granted(key(1), number);
        let refused = block_on(ledger.renew(&zombie, LEASE));
        let stands = world.entry(key(1).as_str()).map(|record| record.fence);
        assert!(refused.is_err() || stands == Some(number), "fence {number}");
    }
}

#[test]
fn of_many_threads_one_gets_each_key() {
    let world = World::new();
    let done: Vec<AtomicU32> = (0..50).map(|_| AtomicU32::new(0)).collect();
    let fences = std::sync::Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for thread in 0..16_usize {
            let (world, done, fences) = (&world, &done, &fences);
            scope.spawn(move || {
                let ledger = ledger(world);
                for at in 0..50_usize {
                    let id = (at + thread * 3) % 50;
                    match claim(&ledger, u32::try_from(id).unwrap(), 10) {
                        Claim::Fresh(fence) => {
                            done[id].fetch_add(1, Ordering::SeqCst);
                            assert!(fences.lock().unwrap().insert(fence.number()));
                            block_on(ledger.complete(&fence, json("1"))).unwrap();
                        }
                        Claim::Busy { .. } | Claim::Duplicate(Outcome::Succeeded { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert!(done.iter().all(|count| count.load(Ordering::SeqCst) == 1), "{done:?}");
}

#[test]
fn a_claim_whose_answer_was_cut_off_is_adopted() {
    let world = World::new();
    for injected in [Inject::CutAfter, Inject::CutBefore] {
        let id = u32::from(injected == Inject::CutAfter);
        let faulty = Faulty::new(&world.store, move |n, _| if n == 0 { injected } else { Inject::Pass });
        let ledger = StoreLedger::new(Arc::new(faulty));
        let fence = fresh(&ledger, id, 10);
        block_on(ledger.complete(&fence, json("1"))).unwrap();
        assert_eq!(codes(&world, id), ["claim.fresh", "claim.succeeded"], "{injected:?}");
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_an_error_and_not_free() {
    let world = World::new();
    let ledger = ledger(&world);
    block_on(ledger.complete(&fresh(&ledger, 1, 10), json("1"))).unwrap();
    world.put(Ns::LEDGER, key(1).as_str(), Put { body: Some(String::from("{\"v\":")), ..Put::nothing() });
    let claimed = block_on(ledger.claim(&key(1), &payload(10), LEASE));
    assert!(matches!(claimed, Err(Error::Unreadable { .. })), "{claimed:?}");
}

#[test]
fn a_lease_has_one_holder_and_its_tokens_grow() {
    let world = World::new();
    let (one, two) = (Leases::new(world.other()), Leases::new(world.other()));
    let mut last = 0;
    for round in 0..6 {
        let (mine, theirs) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let Taken::Held(held) = block_on(mine.take("deploy", LEASE)).unwrap() else {
            panic!("round {round}")
        };
        assert!(held.fence() > last, "round {round}");
        last = held.fence();
        let busy = block_on(theirs.take("deploy", LEASE)).unwrap();
        assert!(matches!(busy, Taken::Busy { until, .. } if until == world.wall() + LEASE), "{busy:?}");
        assert_eq!(block_on(mine.renew(&held, LEASE)).unwrap(), Kept::Held);
        if round % 3 == 0 {
            assert_eq!(block_on(mine.release(held)).unwrap(), Kept::Held);
        } else {
            world.pass_a_lease();
        }
    }
}

#[test]
fn whoever_lost_a_lease_is_told_and_cannot_give_it_back() {
    let world = World::new();
    let (one, two) = (Leases::new(world.other()), Leases::new(world.other()));
    let Taken::Held(first) = block_on(one.take("deploy", LEASE)).unwrap() else { panic!() };
    world.pass_a_lease();
    assert_eq!(block_on(one.renew(&first, LEASE)).unwrap(), Kept::Held, "nobody took it meanwhile");
    world.pass_a_lease();
    let Taken::Held(second) = block_on(two.take("deploy", LEASE)).unwrap() else { panic!() };
    assert_eq!(block_on(one.renew(&first, LEASE)).unwrap(), Kept::Lost);
    assert_eq!(block_on(one.release(first)).unwrap(), Kept::Lost);
    assert!(matches!(block_on(one.take("deploy", LEASE)).unwrap(), Taken::Busy { .. }));
    assert_eq!(block_on(two.renew(&second, LEASE)).unwrap(), Kept::Held);
    let zero = block_on(one.take("other", Duration::ZERO));
    assert!(matches!(zero, Err(store::Error::Invalid { .. })), "{zero:?}");
}

#[test]
fn of_many_threads_one_holds_a_lease() {
    let world = World::new();
    let held = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = world.other();
                if let Taken::Held(_) = block_on(Leases::new(Arc::clone(&store)).take("one", LEASE)).unwrap()
                {
                    held.fetch_add(1, Ordering::SeqCst);
                    // The handle lives on: its lease is not over.
                    std::mem::forget(store);
                }
            });
        }
    });
    assert_eq!(held.load(Ordering::SeqCst), 1);
}

#[test]
fn a_saved_state_is_replaced_only_by_whoever_read_it_last() {
    let world = World::new();
    let (one, two) = (Snapshots::new(world.other()), Snapshots::new(world.other()));
    assert_eq!(block_on(one.load::<Vec<u64>>("b")).unwrap(), None);
    let Saved::Done(first) = block_on(one.save("b", "breaker", &vec![1_u64], None)).unwrap() else {
        panic!()
    };
    assert_eq!(block_on(two.save("b", "breaker", &vec![2_u64], None)).unwrap(), Saved::Raced);
    let seen = block_on(two.load::<Vec<u64>>("b")).unwrap().unwrap();
    assert_eq!((seen.value, seen.version), (vec![1], first));
    let Saved::Done(second) = block_on(two.save("b", "breaker", &vec![2_u64], Some(first))).unwrap() else {
        panic!()
    };
    assert_eq!(block_on(one.save("b", "breaker", &vec![3_u64], Some(first))).unwrap(), Saved::Raced);
    let seen = block_on(one.load::<Vec<u64>>("b")).unwrap().unwrap();
    assert_eq!((seen.value, seen.version), (vec![2], second));
}

#[test]
fn a_saved_state_that_is_damaged_is_an_error_and_never_a_default() {
    let world = World::new();
    let snapshots = Snapshots::new(world.other());
    let text = "{\"failures\":3,\"open\":true}";
    for end in 0..text.len() {
        let name = format!("torn/{end}");
        let put = Put { body: Some(text[..end].to_owned()), ..Put::nothing() };
        let write = Write::new(Ns::SNAPSHOT, name.as_str(), Expect::Absent, put);
        block_on(world.store.apply(Batch::of(write))).unwrap();
        let loaded = block_on(snapshots.load::<Option<serde_json::Value>>(&name));
        assert!(matches!(loaded, Err(store::Error::Corrupt { .. })), "{end}: {loaded:?}");
    }
    let big = "x".repeat(store::BODY_MAX);
    let saved = block_on(snapshots.save("big", "text", &big, None));
    assert!(matches!(saved, Err(store::Error::Invalid { .. })), "{saved:?}");
}

/// Settled entries that may be forgotten, however young they are.
fn expired(limit: u32) -> Prune {
    let states = ["succeeded", "failed", "released"].map(str::to_owned).to_vec();
    Prune { ns: Ns::LEDGER, states, updated_before: unattended::time::Timestamp::UNIX_EPOCH, limit }
}

#[test]
fn a_settled_claim_is_not_settled_again_under_the_same_fence() {
    let world = World::new();
    let ledger = ledger(&world);
    let fence = fresh(&ledger, 1, 10);
    block_on(ledger.complete(&fence, json("1"))).unwrap();
    let again = block_on(ledger.fail(&fence, &Fault::permanent("x"), "x"));
    assert!(matches!(again, Err(Error::Fenced { .. })), "{again:?}");
    assert!(matches!(claim(&ledger, 1, 10), Claim::Duplicate(Outcome::Succeeded { .. })));
}

#[test]
fn a_settled_entry_keeps_the_generation_of_its_key() {
    let world = World::new();
    let ledger = ledger(&world);
    let generation = || {
        let body: serde_json::Value = serde_json::from_str(&record(&world, 1).body).unwrap();
        body["generation"].as_u64().unwrap()
    };
    let fence = fresh(&ledger, 1, 10);
    block_on(ledger.release(&fence, "not begun")).unwrap();
    assert_eq!(generation(), 1);
    // A forced replay has opened the third since.
    let body = Put { body: Some(String::from("{\"v\":1,\"generation\":3}")), ..Put::nothing() };
    world.put(Ns::LEDGER, key(1).as_str(), body);
    let fence = fresh(&ledger, 1, 10);
    assert_eq!(generation(), 3);
    block_on(ledger.complete(&fence, json("1"))).unwrap();
    assert_eq!(generation(), 3);
    let second = fresh(&ledger, 2, 10);
    block_on(ledger.fail(&second, &Fault::permanent("x"), "x")).unwrap();
    assert!(record(&world, 2).body.contains("\"generation\":1"));
}
