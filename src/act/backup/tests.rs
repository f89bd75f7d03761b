//! The rules one by one, and files that change between being looked at and being read.

mod moving;

use std::time::Duration;

use super::*;
use crate::base::canonical::Fingerprint;
use crate::base::explain::Explain;
use crate::base::time::{Timestamp, later};
use crate::decide::similarity;

fn day(day: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs((20_000 + day) * 86_400))
}

/// A file of 10 000 bytes whose stored version has another content.
fn changed(pending: Pending) -> Facts {
    let stored = Stored { hash: hash("old"), bytes: 10_000, mode: 0o644, gone: None, damaged: false };
    Facts { hash: hash("new"), bytes: 10_000, mode: 0o644, stored: Some(stored), pending }
}

fn hash(text: &str) -> Fingerprint {
    Fingerprint::of_bytes(text)
}

fn waits(since: Timestamp, skips: u32) -> Pending {
    let (stored, seen) = (hash("old"), hash("before"));
    Pending::Waits(Drift { since, skips, stored, seen, from: 10_000, to: 10_001, changed_at_most: 1 })
}

fn verdict(changed: usize) -> Compared {
    let old = vec![b'a'; 10_000];
    let mut new = old.clone();
    new.iter_mut().take(changed).for_each(|byte| *byte = b'b');
    let policy = similarity::Policy::builder().changed_bytes_max(Some(4096)).build().unwrap();
    Compared::Verdict(policy.compare(&old, &new))
}

fn small() -> Compared {
    verdict(10)
}

fn never() -> Compared {
    panic!("it is decided without a comparison")
}

#[test]
fn what_was_never_stored_is_stored_and_what_returns_too() {
    let policy = Policy::default();
    let facts = Facts { stored: None, ..changed(Pending::Nothing) };
    assert_eq!(decide(&facts, &policy, day(0), never).code(), "backup.first");
    let mut facts = changed(Pending::Nothing);
    facts.stored.as_mut().unwrap().gone = Some(7);
    let decision = decide(&facts, &policy, day(0), never);
    assert_eq!(decision, Decision::Created(Creating::Returned { bytes: 10_000, gone: 7 }));
    assert_eq!(decision.to_string(), "it was gone in run 7 and is back, with 10000 bytes");
}

#[test]
fn the_same_hash_is_unchanged_but_for_the_mode() {
    let mut facts = changed(waits(day(0), 9));
    facts.hash = hash("old");
    assert_eq!(decide(&facts, &Policy::default(), day(9), never).code(), "backup.unchanged");
    facts.mode = 0o755;
    let decision = decide(&facts, &Policy::default(), day(9), never);
    assert_eq!(decision, Decision::Updated(Storing::Mode { from: 0o644, to: 0o755 }));
}

#[test]
fn a_small_change_waits_and_a_larger_one_is_stored() {
    let policy = Policy::default();
    let decision = decide(&changed(Pending::Nothing), &policy, day(0), small);
    let Decision::Skipped { drift, .. } = &decision else { panic!("{decision:?}") };
    assert_eq!((drift.skips, drift.since, drift.changed_at_most), (1, day(0), 20));
    assert_eq!(decision.code(), "backup.skipped");
    let decision = decide(&changed(Pending::Nothing), &policy, day(0), || verdict(201));
    assert_eq!(decision.code(), "backup.meaningful");
    // Exactly at the threshold: not meaningful.
    let decision = decide(&changed(Pending::Nothing), &policy, day(0), || verdict(200));
    assert_eq!(decision.code(), "backup.skipped");
}

#[test]
fn a_change_waits_since_it_was_first_seen() {
    let decision = decide(&changed(waits(day(3), 2)), &Policy::default(), day(3), small);
    let Decision::Skipped { drift, .. } = &decision else { panic!("{decision:?}") };
    assert_eq!((drift.skips, drift.since), (3, day(3)));
}

#[test]
fn what_waited_for_its_time_is_stored_however_small() {
    let policy = Policy::default();
    let soon = day(1) - chrono::TimeDelta::milliseconds(1);
    assert_eq!(decide(&changed(waits(day(0), 1)), &policy, soon, small).code(), "backup.skipped");
    let decision = decide(&changed(waits(day(0), 1)), &policy, day(1), never);
    assert_eq!(decision.code(), "backup.waited");
    let policy = Policy::builder().age_max(None).build().unwrap();
    assert_eq!(decide(&changed(waits(day(0), 1)), &policy, day(900), small).code(), "backup.skipped");
}

#[test]
fn what_was_skipped_often_enough_is_stored_however_small() {
    let policy = Policy::default();
    assert_eq!(decide(&changed(waits(day(0), 9)), &policy, day(0), small).code(), "backup.skipped");
    let decision = decide(&changed(waits(day(0), 10)), &policy, day(0), never);
    assert_eq!(decision, Decision::Updated(Storing::SkippedOften { skips: 10, skips_max: 10 }));
    let policy = Policy::builder().skips_max(0).build().unwrap();
    let decision = decide(&changed(Pending::Nothing), &policy, day(0), never);
    assert_eq!(decision.code(), "backup.skipped_often", "0 stores every change");
}

#[test]
fn what_waited_beside_another_version_does_not_count() {
    let mut facts = changed(waits(day(0), 10));
    facts.stored.as_mut().unwrap().hash = hash("stored since");
    assert_eq!(decide(&facts, &Policy::default(), day(5), small).code(), "backup.skipped");
}

#[test]
fn what_is_not_known_is_on_the_safe_side() {
    let policy = Policy::default();
    let decision =
        |pending, compare: fn() -> Compared| decide(&changed(pending), &policy, day(1), compare).code();
    assert_eq!(decision(Pending::Lost, never), "backup.state_lost");
    assert_eq!(decision(waits(day(2), 1), never), "backup.clock_stepped_back");
    assert_eq!(decision(Pending::Nothing, || Compared::Lost), "backup.reference_lost");
    let mut facts = changed(Pending::Nothing);
    facts.stored.as_mut().unwrap().damaged = true;
    facts.hash = hash("old");
    assert_eq!(decide(&facts, &policy, day(1), never).code(), "backup.reference_lost");
}

#[test]
fn shrinking_to_almost_nothing_is_stored_and_marked() {
    let policy = Policy::default();
    let with = |bytes, policy: &Policy| {
        let facts = Facts { bytes, ..changed(Pending::Nothing) };
        decide(&facts, policy, day(0), || verdict(5_000)).code()
    };
    assert_eq!(with(0, &policy), "backup.shrunk");
    assert_eq!(with(999, &policy), "backup.shrunk");
    assert_eq!(with(1000, &policy), "backup.meaningful");
    let policy = Policy::builder().shrunk_ppm(0).build().unwrap();
    assert_eq!((with(0, &policy), with(1, &policy)), ("backup.shrunk", "backup.meaningful"));
}

#[test]
fn a_policy_that_cannot_be_names_the_field() {
    let said = |builder: Builder| builder.build().unwrap_err().to_string();
    assert!(said(Policy::builder().threads(0)).starts_with("threads is 0"));
    assert!(said(Policy::builder().whole_max(0)).starts_with("whole_max is 0"));
    assert!(said(Policy::builder().files_max(0)).starts_with("files_max is 0"));
    assert!(said(Policy::builder().shrunk_ppm(1_000_000)).starts_with("shrunk_ppm is 1000000"));
    assert!(said(Policy::builder().age_max(Some(Duration::MAX))).starts_with("age_max is "));
    assert!(said(Policy::builder().include(["a[".to_owned()])).contains("\"a[\" is no pattern"));
    assert!(Policy::builder().threshold_ppm(1_000_001).build().is_err());
    #[cfg(feature = "zstd")]
    assert!(said(Policy::builder().compress(23)).starts_with("compress is 23"));
}
