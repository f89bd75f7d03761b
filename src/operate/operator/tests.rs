use std::time::Duration;

use super::*;
use crate::base::fault::Classify as _;
use crate::base::text;
use crate::base::time::later;
use crate::decide::run::{self, State};
use crate::remember::blocking::block_on;
use crate::remember::memory::Memory;
use crate::remember::runs::{Json, Move, NewRun, Reason, Submitted};
use crate::remember::store::Expect;

fn start() -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000, 0).unwrap()
}

fn operator() -> Operator {
    Operator::new(Arc::new(Memory::new()), "ada").unwrap()
}

fn input() -> Json {
    serde_json::value::RawValue::from_string(String::from("{}")).unwrap()
}

/// A run of `job` that was moved by `events`, the last of them with this code.
fn run(operator: &Operator, job: &str, events: &[run::Event], code: &'static str) -> Run {
    block_on(async {
        let submitted = operator.runs().submit(NewRun::new(job, input(), Vec::new()), start()).await.unwrap();
        let Submitted::Created(mut run) = submitted else { panic!("a run without a key is new") };
        for event in events {
            let mut body = run.body.clone();
            body.code = code.to_owned();
            let expect = Expect::Version(run.record.version);
            let lease = (*event == Claim).then_some(Duration::from_secs(30));
            let step = Move {
                body: Some(&body),
                lease,
                ..Move::new(run.id(), run.state(), *event, expect, Reason::new(code, "a test"))
            };
            operator.runs().apply(step).await.unwrap();
            *run = operator.runs().must_get(run.id()).await.unwrap();
        }
        *run
    })
}

use run::Event::{AskReview, Claim, FailForGood, FailForNow, Succeed};

#[test]
fn a_name_must_be_one() {
    for wrong in ["", "  ", "a\nb", "\x1b[31m"] {
        assert!(Operator::new(Arc::new(Memory::new()), wrong).is_err(), "{wrong:?}");
    }
    assert!(Operator::new(Arc::new(Memory::new()), &"x".repeat(NAME_MAX + 1)).is_err());
    assert_eq!(operator().actor(), "operator:ada");
}

#[test]
fn a_list_goes_over_pages() {
    let operator = operator();
    for _ in 0..(PAGE_MAX + 5) {
        run(&operator, "bulk", &[], "");
    }
    let all = block_on(operator.list(&Filter::default(), RUNS_MAX)).unwrap();
    assert_eq!(all.len(), PAGE_MAX as usize + 5);
    assert_eq!(
        block_on(operator.list(&Filter::default(), PAGE_MAX + 2)).unwrap().len(),
        PAGE_MAX as usize + 2
    );
    assert!(block_on(operator.list(&Filter::default(), 0)).unwrap().is_empty());
}

#[test]
fn a_note_and_a_requeue_are_in_the_history_with_who_did_it() {
    let operator = operator();
    let failed = run(&operator, "ingest", &[Claim, FailForGood], "test.failed");
    let selector = Selector::Name(failed.id().to_owned());
    block_on(operator.note(&selector, " the disk was full ")).unwrap();
    let requeued = block_on(operator.requeue(&failed, start())).unwrap();
    assert_eq!(requeued.state(), State::Queued);
    let whole = block_on(operator.show(&selector)).unwrap();
    let told: Vec<_> =
        whole.history.iter().map(|e| (e.event.code.as_ref(), e.event.actor.as_str())).collect();
    assert_eq!(told[3..], [("run.note", "operator:ada"), ("run.requeued", "operator:ada")]);
    assert_eq!(whole.history[3].event.why, "the disk was full");
    assert!(!whole.cut);
}

#[test]
fn what_cannot_be_requeued_says_what_can() {
    let operator = operator();
    let done = run(&operator, "ingest", &[Claim, Succeed], "test.done");
    let error = block_on(operator.requeue(&done, start())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "run {} is succeeded; requeue takes a run that is failed_transient, needs_review or failed_permanent",
            done.id()
        )
    );
    assert_eq!(error.fault().code, "run.illegal");
    // Judged on what was read; the store judges again.
    let stale = run(&operator, "ingest", &[Claim, FailForGood], "test.failed");
    block_on(operator.requeue(&stale, start())).unwrap();
    let late = block_on(operator.requeue(&stale, start())).unwrap_err();
    assert!(matches!(late, Error::NotPossible { state: State::Queued, .. }), "{late}");
}

#[test]
fn a_filter_takes_what_failed_oldest_first_and_leaves_reviews() {
    let operator = operator();
    let first = run(&operator, "ingest", &[Claim, FailForGood], "test.failed");
    run(&operator, "ingest", &[Claim, AskReview], "test.review");
    run(&operator, "ingest", &[Claim, Succeed], "test.done");
    let second = run(&operator, "ingest", &[Claim, FailForNow], "test.later");
    let chosen = block_on(operator.requeueable(&Filter::default(), 10)).unwrap();
    let ids: Vec<_> = chosen.iter().map(Run::id).collect();
    assert_eq!(ids, [first.id(), second.id()]);
    let reviews = Filter { states: vec![State::NeedsReview], ..Filter::default() };
    assert_eq!(block_on(operator.requeueable(&reviews, 10)).unwrap().len(), 1, "named, they are taken");
    let done = Filter { states: vec![State::Succeeded], ..Filter::default() };
    assert!(matches!(block_on(operator.requeueable(&done, 10)), Err(Error::NotPossible { .. })));
}

#[test]
fn a_rate_spreads_what_was_sent_and_a_run_that_moved_takes_no_turn() {
    let operator = operator();
    let chosen: Vec<_> =
        (0..3).map(|_| run(&operator, "ingest", &[Claim, FailForGood], "test.failed")).collect();
    block_on(operator.requeue(&chosen[1], start())).unwrap();
    let spread = Spread { rate: Some(text::rate("1/s").unwrap()) };
    let outcomes = block_on(operator.requeue_each(chosen, start(), spread)).unwrap();
    let due: Vec<_> =
        outcomes.iter().map(|o| o.result.as_ref().ok().and_then(|run| run.record.due_at)).collect();
    assert_eq!(due, [Some(start()), None, Some(later(start(), Duration::from_secs(1)))]);
    assert!(matches!(outcomes[1].result, Err(Error::NotPossible { state: State::Queued, .. })));
}

#[test]
fn notes_have_a_bound() {
    let operator = operator();
    let run = run(&operator, "ingest", &[], "");
    let selector = Selector::Name(run.id().to_owned());
    for wrong in [String::from(" "), "x".repeat(NOTE_MAX + 1)] {
        assert!(matches!(
            block_on(operator.note(&selector, &wrong)),
            Err(Error::Invalid { field: "note", .. })
        ));
    }
}
