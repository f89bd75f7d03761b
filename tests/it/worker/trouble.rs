//! What fails around a worker: other workers, the store, the work itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use unattended::effect::Effect;
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::time::{BoxFuture, Clock, Sleep};
use unattended::worker::Summary;

use super::{Counted, Log, job, of, queue, run_for, secs, worker};
use crate::world::{Dropped, Faulty, Inject, World, cut, is_renewal};

#[test]
fn the_orphan_of_another_worker_is_taken_over_when_its_lease_ends() {
    let (world, log) = (World::new(), Log::default());
    let slow = job("orphan", log.step(&world.sim, Effect::Idempotent, secs(3600)));
    queue(&world, &slow, "a");
    let dies = worker(&world.store, slow).build().unwrap();
    let shutdown = Shutdown::new();
    // Renewed at 10 s for the last time: the lease ends at 40 s.
    assert!(cut(&world.sim, secs(15), dies.run_on(world.sim.clone(), &shutdown)).is_none());
    let quick = job("orphan", log.step(&world.sim, Effect::Idempotent, secs(1)));
    let other = worker(&world.other(), quick).orphans_every(secs(4)).build().unwrap();
    let summary = run_for(&world, secs(60), &[&other]).remove(0);
    assert_eq!((summary.taken_over, summary.ended_in(State::Succeeded)), (1, 1), "{summary}");
    let begun = log.spans()[1].begun;
    assert!((40_000..=45_000).contains(&begun), "{begun}");
    world.check();
}

#[test]
fn work_stops_before_its_lease_ends_when_that_cannot_be_renewed() {
    let world = World::new();
    let at = Arc::new(Mutex::new(None));
    let (sim, dropped) = (world.sim.clone(), Arc::clone(&at));
    let step = Step::new("work", Effect::Idempotent, move |_| {
        let (sim, guard) = (sim.clone(), Dropped { sim: sim.clone(), at: Arc::clone(&dropped) });
        async move {
            let _guard = guard;
            sim.sleep(secs(3600)).await;
            Ok(())
        }
    });
    let job = job("cannot-renew", step);
    queue(&world, &job, "a");
    let refuses = |_, batch: &_| if is_renewal(batch) { Inject::NotApplied } else { Inject::Pass };
    let store: Arc<dyn Store> = Arc::new(Faulty::new(&world.store, refuses));
    let begun = world.sim.moment();
    let worker = worker(&store, job).orphans_every(secs(3600)).build().unwrap();
    let summary = run_for(&world, secs(29), &[&worker]).remove(0);
    assert_eq!((summary.lost, summary.handed_back), (1, 0), "{summary}");
    let stopped = at.lock().unwrap().unwrap().since(begun);
    assert!(stopped < secs(30) && stopped >= secs(20), "{stopped:?}");
}

#[test]
fn a_store_that_is_down_is_asked_again_with_growing_waits_and_worked_with_when_it_is_back() {
    let (world, log) = (World::new(), Log::default());
    let job = job("down", log.step(&world.sim, Effect::Pure, secs(1)));
    queue(&world, &job, "a");
    let counted = Counted::new(&world.store);
    counted.down.store(true, Ordering::SeqCst);
    let store: Arc<dyn Store> = Arc::<Counted>::clone(&counted);
    let worker = worker(&store, job).build().unwrap();
    let shutdown = Shutdown::new();
    let (sim, asked, seen) = (&world.sim, shutdown.clone(), Arc::clone(&counted));
    let script: BoxFuture<'_, Option<Summary>> = Box::pin(async move {
        sim.sleep(secs(600)).await;
        // Each wait is half of its ceiling at least, and the ceiling 15 s.
        assert!((40..=100).contains(&seen.calls()), "{} calls in ten minutes", seen.calls());
        seen.down.store(false, Ordering::SeqCst);
        sim.sleep(secs(30)).await;
        asked.trigger();
        None
    });
    let run: BoxFuture<'_, Option<Summary>> = Box::pin(super::run_one(&worker, world.sim.clone(), shutdown));
    let summary = world.sim.join([script, run]).unwrap().into_iter().flatten().next().unwrap();
    assert_eq!(summary.ended_in(State::Succeeded), 1, "{summary}");
    assert!(summary.errors >= 40, "{summary}");
    let begun = log.spans()[0].begun;
    assert!((600_000..=615_000).contains(&begun), "{begun}");
    world.check();
}

#[test]
fn a_run_that_panics_or_fails_harms_no_other() {
    let (world, log) = (World::new(), Log::default());
    let step = Step::new("mixed", Effect::Pure, |cx| async move {
        match cx.input::<String>()?.as_str() {
            "panics" => panic!("it was asked to"),
            "fails" => Err(StepError::permanent("mixed.bad", "bad input")),
            _ => Ok(()),
        }
    });
    let once = unattended::retry::Policy::once();
    let mixed = of("mixed", step.retry(once)).attempts_max(1).build().unwrap();
    let other = job("other", log.step(&world.sim, Effect::Pure, secs(1)));
    for input in ["panics", "fails", "works", "panics", "works"] {
        queue(&world, &mixed, input);
        queue(&world, &other, input);
    }
    let worker = worker(&world.store, mixed).job(other).concurrency(3).build().unwrap();
    let summary = run_for(&world, secs(60), &[&worker]).remove(0);
    assert_eq!(summary.ended_in(State::Succeeded), 7, "{summary}");
    assert_eq!(summary.ended_in(State::FailedPermanent), 3, "{summary}");
    world.check();
}

#[test]
fn a_panic_outside_of_the_steps_ends_its_run_alone() {
    let (world, log) = (World::new(), Log::default());
    let hooked = of("hooked", log.step(&world.sim, Effect::Pure, secs(1)))
        .edges(|name| assert_ne!(name, "work:worked", "the hook panics"))
        .build()
        .unwrap();
    let other = job("other", log.step(&world.sim, Effect::Pure, secs(2)));
    queue(&world, &hooked, "a");
    queue(&world, &other, "b");
    let worker = worker(&world.store, hooked).job(other).build().unwrap();
    let summary = run_for(&world, secs(20), &[&worker]).remove(0);
    assert_eq!((summary.ended_in(State::Succeeded), summary.left, summary.errors), (1, 1, 1), "{summary}");
}

#[test]
fn a_store_that_is_closed_for_good_ends_the_worker() {
    struct Closed(Arc<dyn Store>);
    impl Store for Closed {
        crate::forward::forward!(caps owner apply get events prune => (0));
        fn scan(
            &self,
            _: unattended::store::Query,
        ) -> BoxFuture<'_, Result<unattended::store::Page, unattended::store::Error>> {
            Box::pin(async { Err(unattended::store::Error::Closed) })
        }
    }
    let (world, log) = (World::new(), Log::default());
    let job = job("closed", log.step(&world.sim, Effect::Pure, secs(1)));
    let store: Arc<dyn Store> = Arc::new(Closed(Arc::clone(&world.store)));
    let worker = worker(&store, job).build().unwrap();
    let summary = world.sim.block_on(worker.run_on(world.sim.clone(), &Shutdown::new())).unwrap();
    assert_eq!(unattended::explain::Explain::code(&summary.stopped), "worker.store_closed");
}
