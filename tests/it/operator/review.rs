//! Answers to what a run asks.

use unattended::blocking::block_on;
use unattended::canonical::Fingerprint;
use unattended::effect::Effect;
use unattended::operator::{Answer, Error, answers};
use unattended::run::{self, State};
use unattended::runs::{self, StepState, UndoState, Wait};

use crate::operator::desk::{Desk, done, json, question, step, undone};

#[test]
fn applied_goes_on_behind_the_step_with_what_it_gave() {
    for desk in Desk::both() {
        let asked = desk.in_doubt(1);
        let answer = Answer::Applied(Some(json("{\"receipt\":9007199254740993}")));
        let run = block_on(desk.ada().review(&asked, &answer, "the bank's list has it")).unwrap();
        assert_eq!(run.state(), State::Queued);
        assert_eq!(run.record.due_at, Some(desk.now()));
        assert_eq!(step(&run, "pay").state, StepState::Done);
        assert_eq!(step(&run, "pay").output.as_ref().unwrap().get(), "{\"receipt\":9007199254740993}");
        assert_eq!(run.body.next_step().unwrap().name, "publish");
        assert!(run.body.question.is_none() && !run.is_dead_letter());
        let told = desk.last(run.id());
        assert_eq!(told.event.code, "review.applied");
        assert_eq!(told.event.actor, "operator:ada");
        assert_eq!(told.event.why, "operator:ada says of step pay that it was done: the bank's list has it");
        assert_eq!((run.body.code.as_str(), &run.body.why), ("review.applied", &told.event.why));
        assert_eq!(told.event.step.as_deref(), Some("pay"));
        assert!(told.event.data.unwrap().contains("takeover.outcome_unknown"), "what was asked is kept");
        assert_eq!(desk.told(1), (String::from("claimed"), run.id().to_owned(), 1));
        desk.check();
    }
}

#[test]
fn not_applied_runs_the_step_again() {
    for desk in Desk::both() {
        let asked = desk.in_doubt(1);
        let run = block_on(desk.ada().review(&asked, &Answer::NotApplied, "")).unwrap();
        assert_eq!((run.state(), step(&run, "pay").state), (State::Queued, StepState::Pending));
        assert_eq!(run.body.next_step().unwrap().name, "pay");
        assert_eq!(step(&run, "prepare").state, StepState::Done, "what is done stays done");
        desk.check();
    }
}

#[test]
fn an_answer_without_an_output_leaves_the_step_done_with_none() {
    let desk = Desk::new();
    let run = block_on(desk.ada().review(&desk.in_doubt(1), &Answer::Applied(None), "")).unwrap();
    assert_eq!(step(&run, "pay").state, StepState::Done);
    assert!(step(&run, "pay").output.is_none());
}

#[test]
fn an_answer_that_the_question_does_not_offer_says_what_is_possible() {
    let desk = Desk::new();
    let asked = desk.in_doubt(1);
    for answer in [Answer::Skip, Answer::FixedInput(json("{\"amount\":2}"))] {
        let error = block_on(desk.ada().review(&asked, &answer, "")).unwrap_err();
        let expected = format!(
            "run {} does not take the answer {} to takeover.outcome_unknown; it takes applied, not_applied, requeue or dismiss",
            asked.id(),
            answer.as_str()
        );
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(desk.run(asked.id()).record.version, asked.record.version, "nothing was written");
}

#[test]
fn a_run_that_needs_no_answer_refuses_one() {
    let desk = Desk::new();
    for run in [desk.queued(1), desk.held(2), desk.succeeded(3)] {
        let error = block_on(desk.ada().review(&run, &Answer::NotApplied, "")).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "run {} is {}; review takes a run that is needs_review or failed_permanent",
                run.id(),
                run.state()
            )
        );
        assert!(answers(&run).is_empty());
    }
    let gone = desk.queued(4);
    block_on(desk.store.prune(unattended::store::Prune {
        ns: unattended::store::Ns::RUN,
        states: vec![String::from("queued")],
        updated_before: desk.now() + std::time::Duration::from_secs(9),
        limit: 10,
    }))
    .unwrap();
    let error = block_on(desk.ada().review(&gone, &Answer::NotApplied, "")).unwrap_err();
    assert!(matches!(error, Error::Runs(runs::Error::NoSuchRun { .. })), "{error}");
}

#[test]
fn of_two_operators_with_one_question_the_second_hears_who_was_first() {
    for desk in Desk::both() {
        let asked = desk.in_doubt(1);
        block_on(desk.ada().review(&asked, &Answer::Applied(None), "seen on the list")).unwrap();
        // One looked at it before, the other after.
        for seen in [asked.clone(), desk.run(asked.id())] {
            let second = block_on(desk.operator("bob").review(&seen, &Answer::NotApplied, "not there"));
            match second.unwrap_err() {
                Error::Runs(error @ runs::Error::Forestalled { .. }) => {
                    let text = error.to_string();
                    assert!(text.starts_with("operator:ada was first: operator:ada says"), "{text}");
                    assert!(text.ends_with(&format!("run {} is queued", asked.id())), "{text}");
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(step(&desk.run(asked.id()), "pay").state, StepState::Done);
        desk.check();
    }
}

#[test]
fn of_operators_that_answer_at_the_same_time_one_is_heard() {
    for desk in Desk::both() {
        let asked = desk.in_doubt(1);
        let heard: Vec<bool> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|n| {
                    let (asked, operator) = (asked.clone(), desk.operator(&format!("op{n}")));
                    let answer = if n % 2 == 0 { Answer::Applied(None) } else { Answer::NotApplied };
                    scope.spawn(move || match block_on(operator.review(&asked, &answer, "")) {
                        Ok(_) => true,
                        Err(Error::Runs(runs::Error::Forestalled { .. })) => false,
                        Err(error) => panic!("{error}"),
                    })
                })
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(heard.iter().filter(|heard| **heard).count(), 1, "{heard:?}");
        desk.check();
    }
}

#[test]
fn an_answer_to_an_earlier_question_is_none_to_a_later_one() {
    let desk = Desk::new();
    let first = desk.in_doubt(1);
    block_on(desk.ada().review(&first, &Answer::NotApplied, "")).unwrap();
    let held = desk.claim(first.id());
    desk.work(&held, run::Event::AskReview, |body| {
        body.step_mut("pay").unwrap().state = StepState::Started;
        body.question = Some(question("pay", &["applied", "not_applied"], false));
    });
    let late = block_on(desk.operator("bob").review(&first, &Answer::Applied(None), "of the first time"));
    assert!(matches!(late, Err(Error::Runs(runs::Error::Forestalled { .. }))), "{late:?}");
}

#[test]
fn notes_and_marks_in_between_do_not_shut_an_answer_out() {
    let desk = Desk::new();
    let (asked, ada) = (desk.in_doubt(1), desk.ada());
    block_on(ada.note(&asked.id().parse().unwrap(), "I ask the bank")).unwrap();
    block_on(ada.mark_reviewed(&asked, "")).unwrap();
    block_on(ada.pause(&asked, "")).unwrap();
    let run = block_on(ada.review(&asked, &Answer::NotApplied, "")).unwrap();
    assert_eq!(run.state(), State::Queued);
    assert!(run.record.paused, "an answer does not undo a pause");
    assert_eq!(run.record.reviewed_at, None, "what was reviewed was the earlier failure");
}

#[test]
fn skip_leaves_the_step_out_where_the_question_offers_it() {
    let desk = Desk::new();
    let held = desk.held(1);
    let asked = desk.work(&held, run::Event::AskReview, |body| {
        done(body, "prepare", "1");
        body.question = Some(question("publish", &["applied", "skip"], false));
    });
    let run = block_on(desk.ada().review(&asked, &Answer::Skip, "nobody reads it")).unwrap();
    assert_eq!(step(&run, "publish").state, StepState::Skipped);
    assert_eq!(run.body.next_step().unwrap().name, "pay");
    assert_eq!(desk.last(run.id()).event.code, "review.skipped");
    desk.check();
}

#[test]
fn a_run_that_failed_goes_on_as_a_person_says_and_its_key_is_open_again() {
    for desk in Desk::both() {
        let failed = desk.failed(1);
        assert_eq!(desk.told(1).0, "failed");
        assert_eq!(answers(&failed), ["applied", "not_applied", "skip", "fixed_input"]);
        let answer = Answer::Applied(Some(json("\"by hand\"")));
        let run = block_on(desk.ada().review(&failed, &answer, "I published it by hand")).unwrap();
        assert_eq!((run.state(), run.body.next_step().unwrap().name.as_str()), (State::Queued, "notify"));
        assert_eq!(run.body.finished_at, None);
        assert_eq!(desk.told(1), (String::from("claimed"), run.id().to_owned(), 1));
        let held = desk.claim(run.id());
        desk.work(&held, run::Event::Succeed, |body| done(body, "notify", "1"));
        assert_eq!(desk.told(1).0, "succeeded");
        desk.check();
    }
}

#[test]
fn an_unsafe_step_that_may_have_been_done_is_not_left_out_unsaid() {
    let desk = Desk::new();
    let held = desk.held(1);
    // What it gave had no room: it failed, and the step stays marked as begun.
    let failed = desk.work(&held, run::Event::FailForGood, |body| {
        done(body, "prepare", "1");
        body.step_mut("pay").unwrap().state = StepState::Started;
    });
    assert_eq!(answers(&failed), ["applied", "not_applied"]);
    let error = block_on(desk.ada().review(&failed, &Answer::Skip, "")).unwrap_err();
    assert!(error.to_string().ends_with("it takes applied or not_applied"), "{error}");
}

#[test]
fn a_fixed_input_is_other_work_under_the_same_key() {
    for desk in Desk::both() {
        let failed = desk.failed(1);
        let fixed = json("{\"amount\":100}");
        let run = block_on(desk.ada().review(&failed, &Answer::FixedInput(fixed.clone()), "a typo")).unwrap();
        let print = Fingerprint::of_text(fixed.get()).unwrap().to_string();
        assert_eq!(run.body.input.get(), fixed.get());
        assert_eq!(run.record.fingerprint.as_deref(), Some(print.as_str()));
        assert_eq!(run.body.generation, 2);
        assert_eq!(desk.told(1), (String::from("claimed"), run.id().to_owned(), 2));
        assert_eq!(desk.entry(1).unwrap().fingerprint, Some(print));
        assert_eq!(step(&run, "pay").state, StepState::Done, "what is done stays done");
        assert_eq!(step(&run, "publish").state, StepState::Pending);
        let told: serde_json::Value = serde_json::from_str(&desk.last(run.id()).event.data.unwrap()).unwrap();
        assert_eq!(told["input_before"]["amount"], 1, "the input before is in the history");
        desk.check();
        // The producer still sends the earlier input, then the fixed one.
        let again = block_on(desk.runs().submit(desk.new_run(1), desk.now())).unwrap();
        assert!(matches!(again, runs::Submitted::Conflict { .. }), "{again:?}");
        let mut same = desk.new_run(1);
        same.body.input = fixed;
        let again = block_on(desk.runs().submit(same, desk.now())).unwrap();
        assert!(matches!(again, runs::Submitted::Existing(..)), "{again:?}");
    }
}

#[test]
fn a_fixed_input_in_review_counts_the_open_entry_up() {
    let desk = Desk::new();
    let held = desk.held(1);
    let asked = desk.work(&held, run::Event::AskReview, |body| {
        body.question = Some(question("prepare", &["requeue", "fixed_input", "dismiss"], false));
    });
    let run = block_on(desk.ada().review(&asked, &Answer::FixedInput(json("{\"amount\":5}")), "")).unwrap();
    assert_eq!(desk.told(1), (String::from("claimed"), run.id().to_owned(), 2));
    desk.check();
    let held = desk.claim(run.id());
    desk.work(&held, run::Event::Succeed, |body| {
        for name in ["prepare", "pay", "publish", "notify"] {
            done(body, name, "1");
        }
    });
    assert_eq!(desk.told(1), (String::from("succeeded"), run.id().to_owned(), 2));
    desk.check();
}

#[test]
fn a_fixed_input_that_is_none_is_refused() {
    let desk = Desk::new();
    let failed = desk.failed(1);
    let said = |input: &str| {
        block_on(desk.ada().review(&failed, &Answer::FixedInput(json(input)), "")).unwrap_err().to_string()
    };
    assert_eq!(
        said("{ \"amount\" : 1.0 }"),
        format!(
            "input is the one that run {} has already; allowed is another one; requeue runs it again with the same",
            failed.id()
        )
    );
    assert!(said("{\"a\":1,\"a\":2}").contains("allowed is JSON that has a canonical form"));
    let big = format!("\"{}\"", "x".repeat(70_000));
    assert!(said(&big).starts_with("input is one with which the run's record has 7"), "{}", said(&big));
    let error = block_on(desk.ada().review(&failed, &Answer::Applied(Some(json(&big))), "")).unwrap_err();
    assert!(error.to_string().starts_with("output is one with which"), "{error}");
    assert_eq!(desk.run(failed.id()).record.version, failed.record.version, "nothing was written");
}

#[test]
fn a_fixed_input_for_a_key_that_is_other_work_by_now_is_refused() {
    let desk = Desk::new();
    let (failed, ada) = (desk.failed_early(1), desk.ada());
    let _another = block_on(ada.replay(&failed, &unattended::operator::Mode::Rerun, "")).unwrap();
    let failed = desk.run(failed.id());
    for answer in [Answer::FixedInput(json("{\"amount\":9}")), Answer::NotApplied] {
        let error = block_on(ada.review(&failed, &answer, "")).unwrap_err();
        assert!(matches!(error, Error::Runs(runs::Error::KeyTaken { run: Some(_), .. })), "{error}");
    }
    let error = block_on(ada.requeue(&failed, desk.now())).unwrap_err();
    assert!(error.to_string().contains("the key bank/transfer/1 of run"), "{error}");
    let error = block_on(ada.compensate(&failed, "")).unwrap_err();
    assert!(matches!(error, Error::Runs(runs::Error::KeyTaken { .. })), "{error}");
    desk.check();
}

#[test]
fn a_question_about_an_undoing_is_answered_about_that() {
    for (answer, state, code) in [
        (Answer::Applied(None), UndoState::Done, "review.applied"),
        (Answer::NotApplied, UndoState::None, "review.not_applied"),
        (Answer::Skip, UndoState::Skipped, "review.skipped"),
    ] {
        let desk = Desk::new();
        let held = desk.held(1);
        let undoing = desk.work(&held, run::Event::Compensate, |body| done(body, "pay", "1"));
        let asked = desk.work(&undoing, run::Event::AskReview, |body| {
            body.step_mut("pay").unwrap().undo = UndoState::Started;
            body.question = Some(question("pay", &["applied", "not_applied", "skip", "dismiss"], true));
        });
        let fixed = block_on(desk.ada().review(&asked, &Answer::FixedInput(json("1")), "")).unwrap_err();
        assert!(fixed.to_string().ends_with("it takes applied, not_applied, skip or dismiss"), "{fixed}");
        let run = block_on(desk.ada().review(&asked, &answer, "")).unwrap();
        assert_eq!((run.state(), undone(&run, "pay")), (State::Compensating, state));
        assert_eq!(step(&run, "pay").state, StepState::Done, "that it was done is not undone by a word");
        assert_eq!((run.record.due_at, run.record.lease), (Some(desk.now()), None));
        assert_eq!(desk.last(run.id()).event.code, code);
        let taken = block_on(desk.runs().claim(&run, crate::world::LEASE, "worker:b")).unwrap();
        assert!(taken.is_some_and(|taken| !taken.orphan), "the next worker goes on with it");
    }
}

#[test]
fn a_requeue_of_a_question_about_an_undoing_goes_on_with_that() {
    let desk = Desk::new();
    let held = desk.held(1);
    let undoing = desk.work(&held, run::Event::Compensate, |body| done(body, "pay", "1"));
    let asked = desk.work(&undoing, run::Event::AskReview, |body| {
        body.question = Some(question("pay", &["requeue"], true));
    });
    let run = block_on(desk.ada().requeue(&asked, desk.now())).unwrap();
    assert_eq!(run.state(), State::Compensating, "it does not go forward over what is half undone");
}

#[test]
fn a_dismissed_run_has_failed_and_can_still_be_answered() {
    for desk in Desk::both() {
        let asked = desk.in_doubt(1);
        let run = block_on(desk.ada().dismiss(&asked, "the bank does not answer")).unwrap();
        assert_eq!(run.state(), State::FailedPermanent);
        assert_eq!(desk.told(1).0, "needs_review", "nobody knows whether it was done, and the key says so");
        assert_eq!(desk.last(run.id()).event.code, "review.dismissed");
        desk.check();
        assert_eq!(answers(&run), ["applied", "not_applied"], "the question is kept");
        let run = block_on(desk.ada().review(&run, &Answer::Applied(None), "it answered")).unwrap();
        assert_eq!(run.state(), State::Queued);
        assert_eq!(desk.told(1).0, "claimed");
        desk.check();
        let error = block_on(desk.ada().dismiss(&run, "")).unwrap_err();
        assert!(error.to_string().ends_with("dismiss takes a run that is needs_review"), "{error}");
    }
}

#[test]
fn a_dismissed_run_that_began_nothing_unsafe_has_failed_for_its_key_too() {
    let desk = Desk::new();
    let held = desk.held(1);
    let asked = desk.work(&held, run::Event::AskReview, |body| {
        body.question = Some(question("prepare", &["requeue", "dismiss"], false));
    });
    block_on(desk.ada().dismiss(&asked, "")).unwrap();
    assert_eq!(desk.told(1).0, "failed");
    desk.check();
}

#[test]
fn what_a_failed_run_did_is_undone_on_a_persons_word() {
    for desk in Desk::both() {
        let failed = desk.failed(1);
        let run = block_on(desk.ada().compensate(&failed, "the order was withdrawn")).unwrap();
        assert_eq!((run.state(), run.record.due_at), (State::Compensating, Some(desk.now())));
        assert!(run.record.lease.is_none() && run.body.finished_at.is_none());
        assert_eq!(desk.told(1).0, "claimed", "the key is the run's while it is at it");
        assert_eq!(run.body.failure.as_ref().unwrap().code, "test.worked", "why it had failed is kept");
        assert_eq!(desk.last(run.id()).event.code, "run.compensating");
        let taken = block_on(desk.runs().claim(&run, crate::world::LEASE, "worker:b")).unwrap().unwrap();
        desk.check();
        let held = desk.run(taken.run.id());
        let error = block_on(desk.ada().compensate(&held, "")).unwrap_err();
        assert!(
            error.to_string().ends_with("compensate takes a run that is needs_review or failed_permanent")
        );
    }
}

#[test]
fn an_answer_opens_a_key_again_that_was_forgotten() {
    let desk = Desk::new();
    let failed = desk.failed(1);
    desk.secs(100);
    let retention = unattended::operator::Retention {
        ledger: Some(std::time::Duration::from_secs(10)),
        ..Default::default()
    };
    assert_eq!(block_on(desk.ada().prune(&retention, desk.now())).unwrap().entries, 1);
    assert!(desk.entry(1).is_none());
    block_on(desk.ada().review(&failed, &Answer::NotApplied, "")).unwrap();
    assert_eq!(desk.told(1), (String::from("claimed"), failed.id().to_owned(), 1));
    let again = block_on(desk.runs().submit(desk.new_run(1), desk.now())).unwrap();
    assert!(matches!(again, runs::Submitted::Existing(..)), "the key is not free: {again:?}");
    desk.check();
}

#[test]
fn too_long_a_reason_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let asked = desk.in_doubt(1);
    let error = block_on(desk.ada().review(&asked, &Answer::NotApplied, &"x".repeat(8193))).unwrap_err();
    assert_eq!(error.to_string(), "why is 8193 bytes; allowed is at most 8192 bytes");
    assert_eq!(desk.run(asked.id()).record.version, asked.record.version);
}

#[test]
fn an_answer_ends_a_wait_that_has_run_out() {
    let desk = Desk::new();
    let held = desk.held(1);
    let failed = desk.work(&held, run::Event::FailForGood, |body| {
        body.wait = Some(Wait { over: true, ..Wait::on("mail:1") });
    });
    let run = block_on(desk.ada().review(&failed, &Answer::NotApplied, "")).unwrap();
    assert!(run.body.wait.is_none(), "it would fail again at once");
    assert_eq!(step(&run, "prepare").effect, Effect::Pure);
}

#[test]
fn an_unsafe_step_that_was_left_out_is_done_by_no_second_delivery_and_no_rerun() {
    let desk = Desk::new();
    let held = desk.held(1);
    let asked = desk.work(&held, run::Event::AskReview, |body| {
        body.step_mut("pay").unwrap().state = StepState::Started;
        body.question = Some(question("pay", &["applied", "not_applied", "skip"], false));
    });
    let run = block_on(desk.ada().review(&asked, &Answer::Skip, "we shall see")).unwrap();
    block_on(desk.ada().cancel(&run, "")).unwrap();
    assert_eq!(desk.told(1).0, "needs_review", "it may have been done before it was left out");
    let again = block_on(desk.runs().submit(desk.new_run(1), desk.now())).unwrap();
    assert!(matches!(again, runs::Submitted::Existing(..)), "{again:?}");
    let held = desk.held(2);
    let failed = desk.work(&held, run::Event::FailForGood, |body| {
        body.step_mut("pay").unwrap().state = StepState::Skipped;
    });
    let error = block_on(desk.ada().replay(&failed, &unattended::operator::Mode::Rerun, "")).unwrap_err();
    assert!(matches!(error, Error::Runs(runs::Error::UnsafeAgain { .. })), "{error}");
    desk.check();
}
