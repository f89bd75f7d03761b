//! The same word about many runs.

use std::time::Duration;

use unattended::blocking::block_on;
use unattended::operator::{Counts, Error, RUNS_MAX, Spread, Verb};
use unattended::run::{self, State};
use unattended::runs::{self, Filter};
use unattended::text;
use unattended::time::later;

use crate::operator::desk::Desk;

fn ids(runs: &[runs::Run]) -> Vec<&str> {
    runs.iter().map(runs::Run::id).collect()
}

#[test]
fn a_dry_run_lists_what_would_be_taken_and_each_takes_it() {
    for desk in Desk::both() {
        let (failed, queued, asked) = (desk.failed_early(1), desk.queued(2), desk.in_doubt(3));
        let (held, done, ada) = (desk.held(4), desk.succeeded(5), desk.ada());
        let paused = block_on(ada.pause(&desk.queued(6), "")).unwrap();
        let chosen = |verb| block_on(ada.choose(verb, &Filter::default(), 100)).unwrap();
        assert_eq!(ids(&chosen(Verb::Requeue)), [failed.id()]);
        assert_eq!(ids(&chosen(Verb::Cancel)), [queued.id(), held.id(), paused.id()]);
        assert_eq!(ids(&chosen(Verb::Pause)), [queued.id(), held.id()]);
        assert_eq!(ids(&chosen(Verb::Resume)), [paused.id()]);
        assert_eq!(ids(&chosen(Verb::Dismiss)), [asked.id()]);
        assert_eq!(ids(&chosen(Verb::MarkReviewed)), [failed.id(), asked.id()]);
        assert_eq!(ids(&chosen(Verb::Rerun)), [failed.id()]);
        assert_eq!(desk.run(queued.id()).state(), State::Queued, "choosing changes nothing");
        for (verb, after) in [
            (
                Verb::MarkReviewed,
                &[(failed.id(), State::FailedPermanent), (asked.id(), State::NeedsReview)][..],
            ),
            (Verb::Pause, &[(queued.id(), State::Queued), (held.id(), State::Processing)][..]),
            (Verb::Resume, &[(queued.id(), State::Queued), (paused.id(), State::Queued)][..]),
            (Verb::Dismiss, &[(asked.id(), State::FailedPermanent)][..]),
            (Verb::Cancel, &[(queued.id(), State::Cancelled), (held.id(), State::Processing)][..]),
        ] {
            let taken = block_on(ada.each(chosen(verb), verb, "all of them", Spread::default())).unwrap();
            assert_eq!(Counts::of(&taken).left, 0, "{verb}: {taken:?}");
            for (id, state) in after {
                assert_eq!(desk.run(id).state(), *state, "{verb}");
            }
        }
        assert!(desk.run(held.id()).record.cancelling);
        assert!(chosen(Verb::MarkReviewed).iter().all(|run| run.id() != failed.id()));
        assert_eq!(desk.run(done.id()).state(), State::Succeeded, "nobody meant it");
        desk.check();
    }
}

#[test]
fn what_moved_meanwhile_is_left_with_the_reason_and_takes_no_turn() {
    let desk = Desk::new();
    let ada = desk.ada();
    for id in 1..=4 {
        desk.failed_early(id);
    }
    let chosen = block_on(ada.choose(Verb::Rerun, &Filter::default(), 100)).unwrap();
    block_on(desk.operator("bob").requeue(&chosen[1], desk.now())).unwrap();
    let spread = Spread { rate: Some(text::rate("1/min").unwrap()) };
    let outcomes = block_on(ada.each(chosen, Verb::Rerun, "the bank is back", spread)).unwrap();
    assert_eq!(Counts::of(&outcomes), Counts { done: 3, left: 1 });
    match &outcomes[1].result {
        Err(Error::Runs(runs::Error::Forestalled { by, .. })) => assert_eq!(by, "operator:bob"),
        other => panic!("{other:?}"),
    }
    let due: Vec<_> = outcomes.iter().filter_map(|one| one.result.as_ref().ok()?.record.due_at).collect();
    let at = |minutes: u64| later(desk.now(), Duration::from_secs(60 * minutes));
    assert_eq!(due, [at(0), at(1), at(2)]);
    desk.check();
}

#[test]
fn work_that_was_done_is_left_by_a_rerun_of_many() {
    let desk = Desk::new();
    let done = desk.succeeded(1);
    let named = Filter { states: vec![State::Succeeded], ..Filter::default() };
    let chosen = block_on(desk.ada().choose(Verb::Rerun, &named, 10)).unwrap();
    let outcomes = block_on(desk.ada().each(chosen, Verb::Rerun, "", Spread::default())).unwrap();
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the work of run {id} was done before under bank/transfer/1, by run {id}; nothing was done",
            id = done.id()
        )
    );
}

#[test]
fn a_word_for_one_run_is_not_said_of_many() {
    let desk = Desk::new();
    for verb in [Verb::Review, Verb::Resolve, Verb::Note] {
        for error in [
            block_on(desk.ada().choose(verb, &Filter::default(), 1)).map(drop),
            block_on(desk.ada().each(Vec::new(), verb, "", Spread::default())).map(drop),
        ] {
            assert!(matches!(error, Err(Error::Invalid { field: "verb", .. })), "{error:?}");
        }
    }
    let failed = desk.failed_early(1);
    let error = block_on(desk.ada().each(vec![failed], Verb::Force, " ", Spread::default())).unwrap_err();
    assert!(matches!(error, Error::Invalid { field: "why", .. }), "{error}");
    let many = vec![desk.queued(2); RUNS_MAX as usize + 1];
    let error = block_on(desk.ada().each(many, Verb::Cancel, "", Spread::default())).unwrap_err();
    assert_eq!(error.to_string(), "runs is 10001; allowed is at most 10000 at once");
    let wrong = Filter { states: vec![State::Succeeded], ..Filter::default() };
    let error = block_on(desk.ada().choose(Verb::Cancel, &wrong, 1)).unwrap_err();
    assert!(error.to_string().starts_with("run that the filter names is succeeded; cancel takes"), "{error}");
}

#[test]
fn a_bound_holds_and_the_filter_narrows() {
    let desk = Desk::new();
    for id in 1..=5 {
        desk.queued(id);
    }
    let three = block_on(desk.ada().choose(Verb::Cancel, &Filter::default(), 3)).unwrap();
    assert_eq!(three.len(), 3);
    assert!(three.windows(2).all(|two| two[0].record.created_at <= two[1].record.created_at));
    let text = Filter { text: Some(String::from("transfer/4")), ..Filter::default() };
    let chosen = block_on(desk.ada().choose(Verb::Cancel, &text, 10)).unwrap();
    assert_eq!(chosen.len(), 1);
    let held = desk.claim(chosen[0].id());
    desk.work(&held, run::Event::Succeed, |body| {
        body.steps.iter_mut().for_each(|step| step.state = runs::StepState::Skipped);
    });
    let outcomes = block_on(desk.ada().each(chosen, Verb::Cancel, "", Spread::default())).unwrap();
    assert!(matches!(outcomes[0].result, Err(Error::NotPossible { state: State::Succeeded, .. })));
    desk.check();
}
