//! What waits, what was written beside a run, what time makes of runs, and how long they are kept.

use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::claim::Settled;
use unattended::ledger::{Claim, Ledger, StoreLedger};
use unattended::operator::{Error, Pruned, Resolved, Retention};
use unattended::run::{self, State};
use unattended::runs::{self, Filter, StepState, Submitted, Wait};
use unattended::store::{Batch, Event, Expect, Ns, Put, Write};

use crate::operator::desk::{Desk, json, step};

const DAY: u64 = 86_400;

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * DAY))
}

/// A run that waits for `token` in its first step.
fn waiting(desk: &Desk, id: u32, token: &str, secs: Option<u64>) -> runs::Run {
    let held = desk.held(id);
    let deadline = secs.map(|secs| desk.now() + Duration::from_secs(secs));
    let mut body = held.body.clone();
    body.wait = Some(Wait { step: Some(String::from("prepare")), deadline, ..Wait::on(token) });
    let step = runs::Move {
        body: Some(&body),
        due_at: deadline,
        actor: "worker:a",
        ..runs::Move::new(
            held.id(),
            held.state(),
            run::Event::Await,
            Expect::Fence(held.record.fence),
            runs::Reason::new("test.waits", "a mail must come"),
        )
    };
    let token_body = format!("{{\"v\":1,\"run\":\"{}\"}}", held.id());
    let put = Put { state: Some(String::from("waiting")), body: Some(token_body), ..Put::nothing() };
    let asked = Write::new(Ns::WAIT, token, Expect::Absent, put).event(Event::new(
        None,
        "waiting",
        "worker:a",
        "wait.token",
        "asked",
    ));
    block_on(desk.runs().apply_batch(Batch::new(vec![step.write().unwrap(), asked]))).unwrap();
    desk.run(held.id())
}

#[test]
fn what_runs_wait_for_is_listed_and_answered_under_the_operators_name() {
    for desk in Desk::both() {
        let first = waiting(&desk, 1, "mail:1", Some(60));
        let second = waiting(&desk, 2, "mail:2", None);
        let ada = desk.ada();
        let listed = block_on(ada.waiting(&Filter::default(), 10)).unwrap();
        let told: Vec<_> =
            listed.iter().map(|one| (one.run.id(), one.token.as_str(), one.until.is_some())).collect();
        assert_eq!(told, [(second.id(), "mail:2", false), (first.id(), "mail:1", true)]);
        assert_eq!(listed[1].step.as_deref(), Some("prepare"));
        assert_eq!(listed[1].until, Some(desk.now() + Duration::from_secs(60)));
        let only = Filter { waits_for: Some(String::from("mail:1")), ..Filter::default() };
        assert_eq!(block_on(ada.waiting(&only, 10)).unwrap().len(), 1);
        match block_on(ada.resolve("mail:1", json("{\"ok\":true}"), "she rang me")).unwrap() {
            Resolved::Resumed(run) => {
                assert_eq!((run.state(), step(&run, "prepare").state), (State::Queued, StepState::Done));
            }
            other => panic!("{other:?}"),
        }
        let told = desk.last(first.id()).event;
        assert_eq!(told.why, "operator:ada answered mail:1: she rang me");
        let late = block_on(desk.operator("bob").resolve("mail:1", json("false"), "")).unwrap();
        assert!(matches!(late, Resolved::Late { same: false, .. }), "{late:?}");
        let early = block_on(ada.resolve("mail:9", json("1"), "")).unwrap();
        assert!(matches!(early, Resolved::Early), "{early:?}");
        for (token, field) in [("", "token"), ("a\nb", "token")] {
            let error = block_on(ada.resolve(token, json("1"), "")).unwrap_err();
            assert!(matches!(&error, Error::Runs(runs::Error::Invalid { field: of, .. }) if *of == field));
        }
        let error = block_on(ada.resolve("credential:youtube", json("1"), "")).unwrap_err();
        assert!(error.to_string().contains("`credential_ok` releases"), "{error}");
    }
}

#[test]
fn notes_are_read_back_with_who_and_when() {
    let desk = Desk::new();
    let run = desk.queued(1);
    let name: runs::Selector = run.id().parse().unwrap();
    block_on(desk.ada().note(&name, " I look at it ")).unwrap();
    desk.secs(60);
    block_on(desk.operator("bob").note(&name, "so do I")).unwrap();
    let notes = block_on(desk.ada().notes(&name)).unwrap();
    let told: Vec<_> = notes.iter().map(|note| (note.by.as_str(), note.text.as_str())).collect();
    assert_eq!(told, [("operator:ada", "I look at it"), ("operator:bob", "so do I")]);
    assert_eq!(notes[1].at, desk.now());
}

#[test]
fn a_sweep_ends_what_nobody_claims_and_nothing_that_a_person_put_aside() {
    for desk in Desk::both() {
        let mut short = desk.new_run(1);
        short.expires_at = Some(desk.now() + Duration::from_secs(60));
        let mut aside = desk.new_run(2);
        aside.expires_at = short.expires_at;
        let (short, aside) = (desk.submit(short), desk.submit(aside));
        let waits = waiting(&desk, 3, "mail:3", Some(60));
        let ada = desk.ada();
        block_on(ada.pause(&aside, "")).unwrap();
        assert_eq!(block_on(ada.sweep()).unwrap(), 0);
        desk.secs(61);
        assert_eq!(block_on(ada.sweep()).unwrap(), 2);
        assert_eq!(desk.run(short.id()).state(), State::Expired);
        assert_eq!(desk.told(1).0, "released", "its key is given back");
        assert_eq!(desk.run(waits.id()).state(), State::FailedTransient);
        assert_eq!(desk.run(aside.id()).state(), State::Queued);
        assert_eq!(desk.last(short.id()).event.actor, "operator:ada");
        desk.check();
    }
}

#[test]
fn a_prune_keeps_what_lives_whatever_its_age_and_the_ledger_remembers() {
    for desk in Desk::both() {
        let live = [desk.queued(1), desk.held(2), desk.in_doubt(3), waiting(&desk, 4, "mail:4", None)];
        let later = {
            let held = desk.held(5);
            desk.work(&held, run::Event::FailForNow, |_| {})
        };
        desk.failed(6);
        desk.succeeded(7);
        block_on(desk.ada().cancel(&desk.queued(8), "")).unwrap();
        desk.secs(30 * DAY);
        let all =
            Retention { succeeded: days(7), failed: days(7), cancelled: days(7), ..Retention::default() };
        let keeps = Retention { failed: days(31), ..Retention::default() };
        assert_eq!(block_on(desk.ada().prune(&keeps, desk.now())).unwrap(), Pruned::default());
        let pruned = block_on(desk.ada().prune(&all, desk.now())).unwrap();
        assert_eq!(pruned, Pruned { runs: 3, ..Pruned::default() });
        for run in live.iter().chain([&later]) {
            assert_eq!(desk.run(run.id()).state(), run.state(), "it lives");
        }
        // Deliveries of the keys whose runs are gone.
        let again = |id| block_on(desk.runs().submit(desk.new_run(id), desk.now())).unwrap();
        assert!(matches!(again(6), Submitted::Settled { settled: Settled::Failed, .. }));
        assert!(matches!(again(7), Submitted::Settled { settled: Settled::Succeeded, .. }));
        assert!(matches!(again(3), Submitted::Existing(..)), "a run in review keeps its key");
        assert!(matches!(again(8), Submitted::Created(_)), "a key that was given back is free");
        desk.check();
    }
}

#[test]
fn a_dismissed_run_that_is_pruned_leaves_its_doubt_behind() {
    let desk = Desk::new();
    block_on(desk.ada().dismiss(&desk.in_doubt(1), "")).unwrap();
    desk.secs(30 * DAY);
    let retention = Retention { failed: days(1), ledger: days(1), ..Retention::default() };
    let pruned = block_on(desk.ada().prune(&retention, desk.now())).unwrap();
    assert_eq!((pruned.runs, pruned.entries), (1, 0), "what is in doubt is not forgotten");
    let again = block_on(desk.runs().submit(desk.new_run(1), desk.now())).unwrap();
    assert!(matches!(again, Submitted::Settled { settled: Settled::NeedsReview, .. }), "{again:?}");
}

#[test]
fn a_run_whose_key_is_still_open_settles_it_before_it_goes() {
    for desk in Desk::both() {
        let held = desk.held(1);
        // An application moves its runs itself, and forgets the key.
        let mut body = held.body.clone();
        body.output = Some(json("{\"paid\":1}"));
        body.finished_at = Some(desk.now());
        body.steps.iter_mut().for_each(|step| step.state = StepState::Done);
        let expect = Expect::Fence(held.record.fence);
        let step = runs::Move {
            body: Some(&body),
            ..runs::Move::new(
                held.id(),
                held.state(),
                run::Event::Succeed,
                expect,
                runs::Reason::new("test.done", "done"),
            )
        };
        block_on(desk.runs().apply(step)).unwrap();
        assert_eq!(desk.told(1).0, "claimed");
        desk.secs(30 * DAY);
        let retention = Retention { succeeded: days(1), ..Retention::default() };
        assert_eq!(block_on(desk.ada().prune(&retention, desk.now())).unwrap().runs, 1);
        assert_eq!(desk.told(1).0, "succeeded");
        let again = block_on(desk.runs().submit(desk.new_run(1), desk.now())).unwrap();
        assert!(matches!(again, Submitted::Settled { settled: Settled::Succeeded, .. }), "{again:?}");
    }
}

#[test]
fn entries_go_by_policy_or_by_their_own_end_and_never_while_open() {
    let desk = Desk::new();
    desk.succeeded(1);
    desk.queued(2);
    let ledger = StoreLedger::new(std::sync::Arc::clone(&desk.store))
        .on(std::sync::Arc::new(desk.sim.clone()))
        .keep_for(Duration::from_secs(60));
    let key = Key::new("mail", "letter", 1).unwrap();
    let print = unattended::canonical::Fingerprint::of("x").unwrap();
    let claim = |key: &Key| block_on(ledger.claim(key, &print, crate::world::LEASE)).unwrap();
    let Claim::Fresh(fence) = claim(&key) else { panic!("not fresh") };
    block_on(ledger.complete(&fence, json("1"))).unwrap();
    desk.secs(61);
    let none = Retention::default();
    let pruned = block_on(desk.ada().prune(&none, desk.now())).unwrap();
    assert_eq!(pruned.entries, 1, "the one that has an end of its own");
    desk.secs(2 * DAY);
    let policy = Retention { ledger: days(1), ..none };
    assert_eq!(block_on(desk.ada().prune(&policy, desk.now())).unwrap().entries, 1);
    assert_eq!((desk.entry(1).is_none(), desk.told(2).0.as_str()), (true, "claimed"));
}

#[test]
fn tokens_go_once_they_are_answered_or_their_run_is_over() {
    for desk in Desk::both() {
        let answered = waiting(&desk, 1, "mail:1", None);
        let over = waiting(&desk, 2, "mail:2", None);
        let lives = waiting(&desk, 3, "mail:3", None);
        let ada = desk.ada();
        let _resumed = block_on(ada.resolve("mail:1", json("1"), "")).unwrap();
        block_on(ada.cancel(&over, "")).unwrap();
        desk.secs(2 * DAY);
        let retention = Retention { waits: days(1), ..Retention::default() };
        assert_eq!(block_on(ada.prune(&retention, desk.now())).unwrap().tokens, 1);
        desk.secs(2 * DAY);
        assert_eq!(block_on(ada.prune(&retention, desk.now())).unwrap().tokens, 1, "the one that was let go");
        let stands = |token| block_on(desk.store.get(Ns::WAIT, token)).unwrap().is_some();
        assert_eq!(["mail:1", "mail:2", "mail:3"].map(stands), [false, false, true]);
        assert_eq!(desk.run(lives.id()).state(), State::WaitingExternal);
        assert_eq!(desk.run(answered.id()).state(), State::Queued);
    }
}

#[test]
fn a_prune_of_many_goes_in_batches_and_counts_them() {
    let desk = Desk::new();
    for id in 0..1203 {
        block_on(desk.ada().cancel(&desk.queued(id), "")).unwrap();
    }
    desk.secs(2 * DAY);
    let retention = Retention { cancelled: days(1), ledger: days(1), ..Retention::default() };
    let pruned = block_on(desk.ada().prune(&retention, desk.now())).unwrap();
    assert_eq!(pruned, Pruned { runs: 1203, entries: 1203, tokens: 0, more: false });
    assert!(desk.all().is_empty());
}

#[test]
fn a_poisoned_run_may_be_given_another_input() {
    let desk = Desk::new();
    let run = desk.queued(1);
    for _ in 0..3 {
        block_on(desk.runs().claim_due("transfer", 1, crate::world::LEASE, "worker:a")).unwrap();
        desk.secs(crate::world::LEASE.as_secs() + 1);
    }
    block_on(desk.runs().claim_due("transfer", 1, crate::world::LEASE, "worker:a")).unwrap();
    let asked = desk.run(run.id());
    assert_eq!(asked.body.code, "run.poison");
    let answer = unattended::operator::Answer::FixedInput(json("{\"amount\":3}"));
    assert_eq!(
        block_on(desk.ada().review(&asked, &answer, "it was too big")).unwrap().state(),
        State::Queued
    );
    desk.check();
}
