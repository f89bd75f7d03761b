//! Cancel, pause, resume.

use unattended::blocking::block_on;
use unattended::operator::Error;
use unattended::run::{self, State};
use unattended::runs::{StepState, Wait};
use unattended::store::{Batch, Expect, Ns, Put, Write};

use crate::operator::desk::Desk;
use crate::world::LEASE;

#[test]
fn a_run_that_nobody_holds_is_cancelled_at_once_and_its_key_given_back() {
    for desk in Desk::both() {
        let queued = desk.queued(1);
        let later = {
            let held = desk.held(2);
            desk.work(&held, run::Event::FailForNow, |_| {})
        };
        let waiting = {
            let held = desk.held(3);
            desk.work(&held, run::Event::Await, |body| body.wait = Some(Wait::on("mail:3")))
        };
        for (id, chosen) in [(1, &queued), (2, &later), (3, &waiting)] {
            let run = block_on(desk.ada().cancel(chosen, "not wanted any more")).unwrap();
            assert_eq!((run.state(), run.record.due_at), (State::Cancelled, None));
            assert_eq!(desk.told(id).0, "released");
            let told = desk.last(run.id()).event;
            assert_eq!((&*told.code, told.actor.as_str()), ("run.cancelled", "operator:ada"));
            let again = block_on(desk.ada().cancel(&run, "")).unwrap();
            assert_eq!(again.record.version, run.record.version, "saying it twice changes nothing");
        }
        desk.check();
    }
}

#[test]
fn a_cancelled_run_in_review_leaves_its_key_in_doubt() {
    let desk = Desk::new();
    let asked = desk.in_doubt(1);
    let run = block_on(desk.ada().cancel(&asked, "")).unwrap();
    assert_eq!((run.state(), desk.told(1).0.as_str()), (State::Cancelled, "needs_review"));
    assert!(run.body.question.is_none());
    desk.check();
}

#[test]
fn a_held_run_is_asked_to_stop_and_its_holder_sees_it_at_its_next_renewal() {
    for desk in Desk::both() {
        let held = desk.held(1);
        let run = block_on(desk.ada().cancel(&held, "too slow")).unwrap();
        assert_eq!((run.state(), run.record.cancelling), (State::Processing, true));
        assert_eq!(desk.last(run.id()).event.code, "run.cancel_asked");
        let again = block_on(desk.operator("bob").cancel(&held, "")).unwrap();
        assert_eq!(again.record.version, run.record.version, "saying it twice changes nothing");
        let renewal = Write::new(Ns::RUN, held.id(), Expect::Fence(held.record.fence), Put::renew(LEASE));
        let renewed = block_on(desk.store.apply(Batch::of(renewal))).unwrap();
        assert!(renewed.first().unwrap().cancelling);
        let ended = desk.work(&held, run::Event::Cancel, |_| {});
        assert_eq!(ended.state(), State::Cancelled);
        desk.check();
    }
}

#[test]
fn a_held_run_whose_lease_is_over_is_cancelled_directly_and_its_zombie_is_shut_out() {
    for desk in Desk::both() {
        let held = desk.held(1);
        block_on(desk.ada().cancel(&held, "")).unwrap();
        desk.secs(LEASE.as_secs() + 1);
        let run = block_on(desk.ada().cancel(&desk.run(held.id()), "its worker is gone")).unwrap();
        assert_eq!((run.state(), run.record.cancelling), (State::Cancelled, false));
        let late = Write::new(Ns::RUN, held.id(), Expect::Fence(held.record.fence), Put::nothing());
        assert!(block_on(desk.store.apply(Batch::of(late))).is_err(), "the zombie's write landed");
        assert_eq!(desk.told(1).0, "released");
        desk.check();
    }
}

#[test]
fn a_cancelled_orphan_in_the_middle_of_an_unsafe_step_leaves_its_key_in_doubt() {
    let desk = Desk::new();
    let held = desk.held(1);
    let begun = desk.work(&held, run::Event::Checkpoint, |body| {
        body.step_mut("pay").unwrap().state = StepState::Started;
    });
    desk.secs(LEASE.as_secs() + 1);
    block_on(desk.ada().cancel(&desk.run(begun.id()), "")).unwrap();
    assert_eq!(desk.told(1).0, "needs_review");
    desk.check();
}

#[test]
fn a_run_that_has_ended_is_neither_cancelled_nor_paused() {
    let desk = Desk::new();
    let done = desk.succeeded(1);
    let ada = desk.ada();
    let error = block_on(ada.cancel(&done, "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "run {} is succeeded; cancel takes a run that is queued, processing, waiting_external, failed_transient, needs_review or compensating",
            done.id()
        )
    );
    for error in [block_on(ada.pause(&done, "")), block_on(ada.resume(&done, ""))] {
        assert!(matches!(error, Err(Error::NotPossible { state: State::Succeeded, .. })), "{error:?}");
    }
}

#[test]
fn a_paused_run_is_not_claimed_until_it_is_resumed() {
    for desk in Desk::both() {
        let queued = desk.queued(1);
        let ada = desk.ada();
        let paused = block_on(ada.pause(&queued, "the bank is closed")).unwrap();
        assert!(paused.record.paused);
        let again = block_on(ada.pause(&queued, "")).unwrap();
        assert_eq!(again.record.version, paused.record.version, "saying it twice changes nothing");
        let due = || block_on(desk.runs().claim_due("transfer", 9, LEASE, "worker:a")).unwrap().len();
        assert_eq!(due(), 0);
        assert!(block_on(desk.runs().claim(&paused, LEASE, "worker:a")).unwrap().is_none());
        let resumed = block_on(ada.resume(&queued, "it is open")).unwrap();
        assert!(!resumed.record.paused);
        assert_eq!(due(), 1);
        let codes: Vec<_> =
            desk.history(queued.id()).into_iter().map(|stored| stored.event.code.into_owned()).collect();
        assert_eq!(codes[1..3], ["run.paused", "run.resumed"]);
        desk.check();
    }
}

#[test]
fn a_pause_does_not_interrupt_the_holder_and_stops_the_next_claim() {
    let desk = Desk::new();
    let held = desk.held(1);
    block_on(desk.ada().pause(&held, "")).unwrap();
    let back = desk.work(&held, run::Event::FailForNow, |_| {});
    assert!(back.record.paused, "a holder's write does not undo it");
    desk.secs(3600);
    assert!(block_on(desk.runs().claim_due("transfer", 9, LEASE, "worker:a")).unwrap().is_empty());
    desk.check();
}

#[test]
fn a_paused_orphan_is_not_taken_over_and_can_be_cancelled() {
    let desk = Desk::new();
    let held = desk.held(1);
    block_on(desk.ada().pause(&held, "")).unwrap();
    desk.secs(LEASE.as_secs() + 1);
    assert!(block_on(desk.runs().claim_due("transfer", 9, LEASE, "worker:b")).unwrap().is_empty());
    assert_eq!(block_on(desk.ada().cancel(&held, "")).unwrap().state(), State::Cancelled);
    desk.check();
}

#[test]
fn a_driver_puts_a_paused_run_down_between_two_steps_and_goes_on_when_it_is_resumed() {
    use unattended::effect::Effect;
    use unattended::job::Job;
    use unattended::pipeline::Step;

    let desk = Desk::new();
    let ada = desk.ada();
    let paid = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&paid);
    let prepare = Step::new("prepare", Effect::Pure, move |cx| {
        let ada = ada.clone();
        async move {
            let run = ada.find(&cx.run_id().parse().unwrap()).await.unwrap();
            ada.pause(&run, "wait a moment").await.unwrap();
            Ok(1)
        }
    });
    let pay = Step::new("pay", Effect::Unsafe, move |_| {
        let counted = std::sync::Arc::clone(&counted);
        async move { Ok(counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) }
    });
    let job = Job::new("transfer").lease(LEASE).step(prepare).step(pay).build().unwrap();
    let once = || desk.sim.block_on(job.run_once_on(desk.sim.clone(), &desk.store, "x")).unwrap().unwrap();
    let run = once().run.unwrap();
    let paid = || paid.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!((run.state(), run.record.paused, paid()), (State::Queued, true, 0), "{}", run.body.why);
    block_on(desk.ada().resume(&run, "")).unwrap();
    desk.sim.block_on(job.work_off_on(desk.sim.clone(), &desk.store)).unwrap().unwrap();
    let run = desk.run(run.id());
    assert_eq!((run.state(), paid()), (State::Succeeded, 1), "{}", run.body.why);
    desk.check();
}
