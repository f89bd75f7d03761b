//! The same work once more: the same run, another one, another generation.

use unattended::blocking::block_on;
use unattended::operator::{Answer, Error, Mode, Replayed};
use unattended::run::{self, State};
use unattended::runs::{self, Run, StepState, Submitted, UndoState};
use unattended::store::{Ns, Put};

use crate::operator::desk::{Desk, STEPS, done, step};

fn force(reason: &str) -> Mode {
    Mode::Force { reason: reason.to_owned() }
}

fn created(replayed: Result<Replayed, Error>) -> Run {
    match replayed.unwrap() {
        Replayed::Created(run) => *run,
        other => panic!("no new run: {other:?}"),
    }
}

fn refused(desk: &Desk, run: &Run, mode: &Mode) -> runs::Error {
    match block_on(desk.ada().replay(run, mode, "")).unwrap_err() {
        Error::Runs(error) => error,
        other => panic!("{other}"),
    }
}

/// Works a run to its end.
fn finish(desk: &Desk, run: &Run, output: &str) -> Run {
    let held = desk.claim(run.id());
    desk.work(&held, run::Event::Succeed, |body| {
        STEPS.iter().for_each(|(name, _)| done(body, name, output));
        body.output = Some(crate::operator::desk::json(output));
    })
}

#[test]
fn resume_is_the_same_run_from_its_last_checkpoint() {
    let desk = Desk::new();
    let failed = desk.failed(1);
    match block_on(desk.ada().replay(&failed, &Mode::Resume, "the disk has room")).unwrap() {
        Replayed::Resumed(run) => {
            assert_eq!((run.id(), run.state()), (failed.id(), State::Queued));
            assert_eq!(run.body.next_step().unwrap().name, "publish");
            assert!(run.body.why.ends_with(": the disk has room"), "{}", run.body.why);
        }
        other => panic!("{other:?}"),
    }
    let done = desk.succeeded(2);
    let error = block_on(desk.ada().replay(&done, &Mode::Resume, "")).unwrap_err();
    assert!(matches!(error, Error::NotPossible { state: State::Succeeded, .. }), "{error}");
}

#[test]
fn rerun_is_a_new_run_of_the_same_input_and_both_name_each_other() {
    for desk in Desk::both() {
        let mut new = desk.new_run(1);
        (new.rank, new.serial_key, new.body.schema) = (5, Some(String::from("bank")), 3);
        new.body.config = Some(crate::operator::desk::json("{\"limit\":10}"));
        let queued = desk.submit(new);
        let held = desk.claim(queued.id());
        let failed = desk.work(&held, run::Event::FailForGood, |body| done(body, "prepare", "1"));
        desk.secs(60);
        let run = created(block_on(desk.ada().replay(&failed, &Mode::Rerun, "the bank is back")));
        assert_ne!(run.id(), failed.id());
        assert_eq!((run.state(), run.record.due_at), (State::Queued, Some(desk.now())));
        assert_eq!(run.body.replay_of.as_deref(), Some(failed.id()));
        assert_eq!(run.body.input.get(), failed.body.input.get());
        assert_eq!((run.record.kind.as_str(), run.body.schema), ("transfer@3", 3));
        assert_eq!((run.record.rank, run.record.serial_key.as_deref()), (5, Some("bank")));
        assert_eq!(run.record.fingerprint, failed.record.fingerprint);
        assert_eq!((&run.body.key, run.body.generation), (&failed.body.key, 1));
        assert_eq!(run.body.config.as_ref().unwrap().get(), "{\"limit\":10}");
        let steps: Vec<_> = run.body.steps.iter().map(|step| (step.name.as_str(), step.effect)).collect();
        assert_eq!(steps, STEPS);
        assert!(run.body.steps.iter().all(|step| step.state == StepState::Pending));
        let told = desk.last(failed.id()).event;
        assert_eq!(told.code, "run.replayed");
        assert!(told.why.contains(run.id()) && told.data.unwrap().contains(run.id()));
        let first = &desk.history(run.id())[0].event;
        assert_eq!(first.why, format!("submitted as a replay of run {}: the bank is back", failed.id()));
        assert_eq!(desk.told(1), (String::from("claimed"), run.id().to_owned(), 1));
        desk.check();
        finish(&desk, &run, "8");
        assert_eq!(desk.told(1).0, "succeeded");
        desk.check();
    }
}

#[test]
fn rerun_of_work_that_was_done_gives_the_stored_result_back() {
    for desk in Desk::both() {
        let done = desk.succeeded(1);
        match block_on(desk.ada().replay(&done, &Mode::Rerun, "")).unwrap() {
            Replayed::Duplicate { key, run, result } => {
                assert_eq!((key.as_str(), run.as_deref()), ("bank/transfer/1", Some(done.id())));
                assert_eq!(result.get(), "7");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(desk.all().len(), 1);
        // The same for an earlier run whose replay has done it.
        let failed = desk.failed_early(2);
        let second = created(block_on(desk.ada().replay(&failed, &Mode::Rerun, "")));
        finish(&desk, &second, "9");
        let again = block_on(desk.ada().replay(&desk.run(failed.id()), &Mode::Rerun, "")).unwrap();
        match again {
            Replayed::Duplicate { run, result, .. } => {
                assert_eq!((run.as_deref(), result.get()), (Some(second.id()), "9"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn rerun_of_work_in_doubt_says_what_to_do() {
    let desk = Desk::new();
    let dismissed = block_on(desk.ada().dismiss(&desk.in_doubt(1), "")).unwrap();
    let error = refused(&desk, &dismissed, &Mode::Rerun);
    assert!(matches!(error, runs::Error::InDoubt { .. }), "{error}");
    assert!(error.to_string().ends_with(&format!("answer run {}, or force it", dismissed.id())), "{error}");
    // As it says.
    block_on(desk.ada().review(&dismissed, &Answer::NotApplied, "")).unwrap();
    desk.check();
}

#[test]
fn rerun_does_no_unsafe_step_twice_but_undone_it_may() {
    let desk = Desk::new();
    let failed = desk.failed(1);
    let error = refused(&desk, &failed, &Mode::Rerun);
    assert_eq!(
        error.to_string(),
        format!(
            "step pay of run {} was begun and is unsafe to repeat: go on with that run, or force it",
            failed.id()
        )
    );
    let held = desk.held(2);
    let undoing = desk.work(&held, run::Event::Compensate, |body| done(body, "pay", "1"));
    let undone = desk.work(&undoing, run::Event::Undone, |body| {
        body.step_mut("pay").unwrap().undo = UndoState::Done;
    });
    created(block_on(desk.ada().replay(&undone, &Mode::Rerun, "")));
    desk.check();
}

#[test]
fn a_run_that_lives_is_not_replayed() {
    let desk = Desk::new();
    let held = desk.held(1);
    for mode in [Mode::Rerun, force("because")] {
        let error = refused(&desk, &held, &mode);
        let text = error.to_string();
        assert!(text.starts_with(&format!("run {} is processing, held by memory:", held.id())), "{text}");
        assert!(text.ends_with("; a replay takes a run that has ended"), "{text}");
        for live in [desk.queued(2), desk.in_doubt(3)] {
            let error = refused(&desk, &live, &mode);
            assert!(matches!(error, runs::Error::Live { held_by: None, .. }), "{error}");
            block_on(desk.ada().cancel(&live, "")).unwrap();
        }
        for id in [2, 3] {
            let key = format!("bank/transfer/{id}");
            let entry = desk.entry(id).unwrap();
            let put = Put { state: Some(String::from("released")), ..Put::nothing() };
            let expect = unattended::store::Expect::Version(entry.version);
            let write = unattended::store::Write::new(Ns::LEDGER, key, expect, put);
            block_on(desk.store.apply(unattended::store::Batch::of(write))).unwrap();
        }
    }
}

#[test]
fn a_force_needs_a_reason_and_opens_the_next_generation() {
    for desk in Desk::both() {
        let done = desk.succeeded(1);
        for reason in ["", " \n"] {
            let error = refused(&desk, &done, &force(reason));
            assert!(matches!(error, runs::Error::Invalid { field: "why", .. }), "{error}");
        }
        let run = created(block_on(desk.ada().replay(&done, &force("the bank lost it"), "ticket 7")));
        assert_eq!((run.body.generation, run.body.replay_of.as_deref()), (2, Some(done.id())));
        assert_eq!(desk.told(1), (String::from("claimed"), run.id().to_owned(), 2));
        let first = &desk.history(run.id())[0].event;
        assert_eq!(first.why, format!("forced as a replay of run {}: the bank lost it; ticket 7", done.id()));
        desk.check();
        // Somebody works under the key now.
        let error = refused(&desk, &desk.run(done.id()), &force("once more"));
        assert!(
            matches!(&error, runs::Error::KeyTaken { run: Some(other), .. } if other == run.id()),
            "{error}"
        );
        finish(&desk, &run, "8");
        assert_eq!(desk.told(1), (String::from("succeeded"), run.id().to_owned(), 2));
        let third = created(block_on(desk.ada().replay(&desk.run(run.id()), &force("again"), "")));
        assert_eq!(third.body.generation, 3);
        desk.check();
    }
}

#[test]
fn of_two_operators_that_replay_one_run_the_second_hears_who_was_first() {
    for desk in Desk::both() {
        let mut keyless = desk.new_run(1);
        keyless.key = None;
        let queued = desk.submit(keyless);
        let held = desk.claim(queued.id());
        for failed in [desk.work(&held, run::Event::FailForGood, |_| {}), desk.failed_early(2)] {
            let before = desk.all().len();
            created(block_on(desk.ada().replay(&failed, &Mode::Rerun, "")));
            let second = block_on(desk.operator("bob").replay(&failed, &Mode::Rerun, ""));
            match second.unwrap_err() {
                Error::Runs(runs::Error::Forestalled { by, code, .. }) => {
                    assert_eq!((by.as_str(), code.as_str()), ("operator:ada", "run.replayed"));
                }
                other => panic!("{other}"),
            }
            assert_eq!(desk.all().len(), before + 1);
        }
        desk.check();
    }
}

#[test]
fn of_operators_that_replay_at_the_same_time_one_makes_a_run() {
    for desk in Desk::both() {
        let failed = desk.failed_early(1);
        std::thread::scope(|scope| {
            for n in 0..6 {
                let (failed, operator) = (failed.clone(), desk.operator(&format!("op{n}")));
                let mode = if n % 2 == 0 { Mode::Rerun } else { force("again") };
                scope.spawn(move || match block_on(operator.replay(&failed, &mode, "")) {
                    Ok(Replayed::Created(_)) | Err(Error::Runs(runs::Error::Forestalled { .. })) => {}
                    other => panic!("{other:?}"),
                });
            }
        });
        assert_eq!(desk.all().len(), 2);
        desk.check();
    }
}

#[test]
fn only_the_last_run_of_a_key_is_replayed() {
    let desk = Desk::new();
    let first = desk.failed_early(1);
    let second = created(block_on(desk.ada().replay(&first, &Mode::Rerun, "")));
    let held = desk.claim(second.id());
    // The second has paid, which the steps of the first do not show.
    desk.work(&held, run::Event::FailForGood, |body| done(body, "pay", "1"));
    let error = refused(&desk, &desk.run(first.id()), &Mode::Rerun);
    assert!(matches!(&error, runs::Error::KeyTaken { run: Some(run), .. } if run == second.id()), "{error}");
    desk.check();
}

#[test]
fn a_key_that_was_used_for_something_else_since_is_a_conflict_for_a_rerun() {
    let desk = Desk::new();
    let first = block_on(desk.ada().cancel(&desk.queued(1), "")).unwrap();
    let entry = desk.entry(1).unwrap();
    let put =
        Put { fingerprint: unattended::store::Change::to(String::from("jcs1:other")), ..Put::nothing() };
    let expect = unattended::store::Expect::Version(entry.version);
    let write = unattended::store::Write::new(Ns::LEDGER, entry.key, expect, put);
    block_on(desk.store.apply(unattended::store::Batch::of(write))).unwrap();
    let error = refused(&desk, &first, &Mode::Rerun);
    assert!(matches!(error, runs::Error::OtherPayload { .. }), "{error}");
    assert_eq!(desk.all().len(), 1);
}

#[test]
fn a_run_that_cannot_be_read_is_not_replayed() {
    let desk = Desk::new();
    let failed = desk.failed_early(1);
    let body = failed.record.body.replacen("\"v\":1", "\"v\":99", 1);
    let put = Put { body: Some(body), ..Put::nothing() };
    let expect = unattended::store::Expect::Version(failed.record.version);
    let write = unattended::store::Write::new(Ns::RUN, failed.id(), expect, put);
    block_on(desk.store.apply(unattended::store::Batch::of(write))).unwrap();
    let error = refused(&desk, &failed, &Mode::Rerun);
    assert!(matches!(error, runs::Error::Unreadable { .. }), "{error}");
}

#[test]
fn a_new_delivery_after_a_rerun_finds_the_new_run() {
    let desk = Desk::new();
    let failed = desk.failed_early(1);
    let run = created(block_on(desk.ada().replay(&failed, &Mode::Rerun, "")));
    match block_on(desk.runs().submit(desk.new_run(1), desk.now())).unwrap() {
        Submitted::Existing(existing, _) => assert_eq!(existing.id(), run.id()),
        other => panic!("{other:?}"),
    }
    assert_eq!(step(&run, "prepare").state, StepState::Pending);
}
