//! How a worker ends: what it finishes, what it gives back, and what it leaves to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use unattended::backoff::Jitter;
use unattended::effect::Effect;
use unattended::explain::Explain;
use unattended::fault::Fault;
use unattended::pipeline::{Step, StepError};
use unattended::retry::Policy;
use unattended::run::State;
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Sleep};
use unattended::worker::{Stopped, Summary, Worker};

use super::{Log, job, of, queue, run_for, secs, states, worker};
use crate::world::{Faulty, Inject, World};

/// Triggers at each of these seconds.
fn run_and_trigger(world: &World, worker: &Worker, at: &[u64]) -> Summary {
    let shutdown = Shutdown::new();
    let (sim, asked, mut at) = (&world.sim, shutdown.clone(), at.to_vec());
    at.insert(0, 0);
    let script: BoxFuture<'_, Option<Summary>> = Box::pin(async move {
        for pair in at.windows(2) {
            sim.sleep(secs(pair[1] - pair[0])).await;
            asked.trigger();
        }
        None
    });
    let run: BoxFuture<'_, Option<Summary>> = Box::pin(super::run_one(worker, sim.clone(), shutdown));
    world.sim.join([script, run]).unwrap().into_iter().flatten().next().unwrap()
}

#[test]
fn what_runs_may_finish_within_the_grace_and_nothing_new_is_begun() {
    let (world, log) = (World::new(), Log::default());
    let job = job("drains", log.step(&world.sim, Effect::Unsafe, secs(20)));
    for run in 0..6 {
        queue(&world, &job, &run.to_string());
    }
    let worker = worker(&world.store, job).concurrency(4).grace(secs(30)).build().unwrap();
    let summary = run_and_trigger(&world, &worker, &[10]);
    assert_eq!(summary.stopped, Stopped::Drained);
    assert_eq!((summary.claimed, summary.ended_in(State::Succeeded)), (4, 4), "{summary}");
    assert_eq!(world.sim.elapsed(), secs(20), "it ends when the last of them has");
    assert_eq!(states(&world)[..2], [State::Queued, State::Queued]);
    world.check();
}

#[test]
fn leases_are_renewed_while_it_drains() {
    let (world, log) = (World::new(), Log::default());
    let job = job("long", log.step(&world.sim, Effect::Unsafe, secs(200)));
    queue(&world, &job, "a");
    let one = worker(&world.store, job.clone()).grace(secs(600)).build().unwrap();
    let summary = run_and_trigger(&world, &one, &[10]);
    assert_eq!(summary.ended_in(State::Succeeded), 1, "{summary}");
    assert_eq!((log.spans().len(), world.sim.elapsed()), (1, secs(200)));
}

#[test]
fn what_was_claimed_and_not_begun_is_given_back() {
    let (world, log) = (World::new(), Log::default());
    let job = job("claimed", log.step(&world.sim, Effect::Unsafe, secs(1)));
    let id = queue(&world, &job, "a");
    let shutdown = Shutdown::new();
    let (asked, armed) = (shutdown.clone(), Arc::new(AtomicBool::new(false)));
    let seen = Arc::clone(&armed);
    // The end is asked for while the claim is under way: after its third look, which is the one for due runs.
    let store: Arc<dyn Store> =
        Arc::new(Faulty::new(&world.store, |_, _| Inject::Pass).after_scan(move |n| {
            if n == 2 {
                seen.store(true, Ordering::SeqCst);
                asked.trigger();
            }
        }));
    let worker = worker(&store, job).name("leaver").build().unwrap();
    let summary = world.sim.block_on(worker.run_on(world.sim.clone(), &shutdown)).unwrap();
    assert!(armed.load(Ordering::SeqCst));
    assert_eq!((summary.claimed, summary.handed_back, log.spans().len()), (1, 1, 0), "{summary}");
    let run = world.run(&id);
    assert_eq!((run.state(), run.body.attempt), (State::Queued, 0));
    let history = unattended::blocking::block_on(world.runs().history(&id, 0, 100)).unwrap();
    let last = &history[history.len() - 1].event;
    assert_eq!((&*last.code, last.actor.as_str()), ("worker.not_begun", "worker:leaver"));
    world.check();
}

#[test]
fn what_a_slow_claim_brings_after_the_end_was_asked_for_is_given_back_at_once() {
    struct Slow(Sim, Arc<dyn Store>);
    impl Store for Slow {
        crate::forward::forward!(caps owner apply get events prune => (1));
        fn scan(
            &self,
            query: unattended::store::Query,
        ) -> BoxFuture<'_, Result<unattended::store::Page, unattended::store::Error>> {
            Box::pin(async move {
                let page = self.1.scan(query).await;
                self.0.sleep(secs(2)).await;
                page
            })
        }
    }
    let (world, log) = (World::new(), Log::default());
    let job = job("slow-claim", log.step(&world.sim, Effect::Unsafe, secs(1)));
    let id = queue(&world, &job, "a");
    let slow: Arc<dyn Store> = Arc::new(Slow(world.sim.clone(), Arc::clone(&world.store)));
    let worker = worker(&slow, job).grace(secs(600)).build().unwrap();
    // The claim begins at 6 s, after three looks, and is answered at 8 s.
    let summary = run_and_trigger(&world, &worker, &[7]);
    assert_eq!((summary.claimed, summary.handed_back, log.spans().len()), (1, 1, 0), "{summary}");
    assert_eq!((world.sim.elapsed(), world.run(&id).state()), (secs(8), State::Queued));
    world.check();
}

#[test]
fn what_has_not_ended_within_the_grace_goes_back_to_the_queue_and_on_elsewhere() {
    for effect in [Effect::Pure, Effect::Idempotent] {
        let (world, log) = (World::new(), Log::default());
        let slow = log.step(&world.sim, effect, secs(3600));
        let slow = of("slow", slow).build().unwrap();
        let id = queue(&world, &slow, "a");
        let one = worker(&world.store, slow).grace(secs(10)).build().unwrap();
        let summary = run_and_trigger(&world, &one, &[5]);
        assert_eq!(summary.stopped, Stopped::GraceOver);
        assert_eq!((summary.handed_back, summary.left, summary.lost), (1, 0, 0), "{summary}");
        assert_eq!(world.sim.elapsed(), secs(15));
        let run = world.run(&id);
        assert_eq!((run.state(), run.body.attempt, &*run.body.code), (State::Queued, 0, "worker.stopping"));
        world.check();
        let quick = job("slow", log.step(&world.sim, effect, secs(1)));
        let other = worker(&world.other(), quick).build().unwrap();
        let summary = run_for(&world, secs(5), &[&other]).remove(0);
        assert_eq!((summary.ended_in(State::Succeeded), summary.taken_over), (1, 0), "{summary}");
        world.check();
    }
}

#[test]
fn a_verifiable_step_that_was_put_down_asks_its_guard_before_it_begins_again() {
    let world = World::new();
    let (asked, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let make = |takes: u64| {
        let (done, sim) = (Arc::clone(&done), world.sim.clone());
        Step::new("write", Effect::Verifiable, move |_| {
            // The effect takes place at once, and the step hangs after it.
            done.fetch_add(1, Ordering::SeqCst);
            let sim = sim.clone();
            async move {
                sim.sleep(secs(takes)).await;
                Ok("written")
            }
        })
    };
    let guarded = |step: Step| {
        let (asked, done) = (Arc::clone(&asked), Arc::clone(&done));
        step.guard(move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            let stands = done.load(Ordering::SeqCst) > 0;
            async move { Ok(stands.then_some("written")) }
        })
    };
    let slow = of("verify", guarded(make(3600))).build().unwrap();
    let id = queue(&world, &slow, "a");
    let one = worker(&world.store, slow).grace(secs(10)).build().unwrap();
    let summary = run_and_trigger(&world, &one, &[5]);
    assert_eq!((summary.handed_back, world.run(&id).state()), (1, State::Queued), "{summary}");
    let again = of("verify", guarded(make(1))).build().unwrap();
    run_for(&world, secs(10), &[&worker(&world.other(), again).build().unwrap()]);
    assert_eq!(world.run(&id).state(), State::Succeeded);
    assert_eq!((asked.load(Ordering::SeqCst), done.load(Ordering::SeqCst)), (2, 1));
}

#[test]
fn an_unsafe_step_in_the_middle_is_left_as_it_is_and_a_person_is_asked() {
    let (world, log) = (World::new(), Log::default());
    let job = job("unsafe", log.step(&world.sim, Effect::Unsafe, secs(3600)));
    let id = queue(&world, &job, "a");
    let one = worker(&world.store, job.clone()).grace(secs(10)).build().unwrap();
    let summary = run_and_trigger(&world, &one, &[5]);
    assert_eq!((summary.left, summary.handed_back), (1, 0), "{summary}");
    assert_eq!(world.run(&id).state(), State::Processing, "its lease runs out");
    let other = worker(&world.other(), job).build().unwrap();
    run_for(&world, secs(60), &[&other]);
    let run = world.run(&id);
    assert_eq!(run.state(), State::NeedsReview);
    assert_eq!(run.body.question.unwrap().code, "takeover.outcome_unknown");
    assert_eq!(log.spans().len(), 1, "it was not begun again");
    world.check();
}

#[test]
fn an_unsafe_step_that_ends_when_it_is_told_to_has_ended() {
    let world = World::new();
    let sim = world.sim.clone();
    let step = Step::new("polite", Effect::Unsafe, move |cx| {
        let sim = sim.clone();
        async move {
            while !cx.should_stop() {
                sim.sleep(secs(1)).await;
            }
            Ok(sim.elapsed().as_secs())
        }
    });
    let job = job("polite", step);
    let id = queue(&world, &job, "a");
    let worker = worker(&world.store, job).grace(secs(10)).build().unwrap();
    let summary = run_and_trigger(&world, &worker, &[5]);
    assert_eq!((summary.ended_in(State::Succeeded), summary.left), (1, 0), "{summary}");
    let output = world.run(&id).body.output.unwrap();
    assert!(["15", "16"].contains(&output.get()), "told at the end of the grace: {output}");
}

#[test]
fn a_second_request_puts_down_at_once() {
    let (world, log) = (World::new(), Log::default());
    let job = job("twice", log.step(&world.sim, Effect::Idempotent, secs(3600)));
    let id = queue(&world, &job, "a");
    let worker = worker(&world.store, job).grace(secs(600)).build().unwrap();
    let summary = run_and_trigger(&world, &worker, &[5, 7]);
    assert_eq!((summary.stopped.clone(), summary.handed_back), (Stopped::AtOnce, 1), "{summary}");
    assert_eq!(summary.stopped.code(), "worker.at_once");
    assert_eq!((world.sim.elapsed(), world.run(&id).state()), (secs(7), State::Queued));
    world.check();
}

#[test]
fn a_run_that_waits_between_two_attempts_goes_back_with_the_rest_of_its_wait() {
    let world = World::new();
    let step = Step::new("busy", Effect::Idempotent, |_| async {
        Err::<(), _>(StepError::new(Fault::transient("http.503"), "not now"))
    });
    let policy = Policy::service()
        .transient(|strategy| strategy.delay_base(secs(40)).delay_max(secs(40)).jitter(Jitter::None))
        .inline_wait_max(secs(120))
        .elapsed_max(None);
    let job = of("busy", step.retry(policy)).build().unwrap();
    let id = queue(&world, &job, "a");
    let worker = worker(&world.store, job).grace(secs(10)).build().unwrap();
    let begun = world.wall();
    let summary = run_and_trigger(&world, &worker, &[5]);
    assert_eq!((summary.handed_back, summary.left), (1, 0), "{summary}");
    let run = world.run(&id);
    assert_eq!((run.state(), run.body.attempt, run.body.faults.len()), (State::Queued, 0, 1));
    let wait = run.record.due_at.unwrap().signed_duration_since(begun).num_seconds();
    assert!((39..=41).contains(&wait), "{wait}");
    world.check();
}

#[test]
fn an_end_is_not_kept_waiting_by_a_store_that_hangs() {
    let (world, log) = (World::new(), Log::default());
    let job = job("hangs", log.step(&world.sim, Effect::Idempotent, secs(3)));
    queue(&world, &job, "a");
    let hangs: Arc<dyn Store> =
        Arc::new(Faulty::new(&world.store, |n, _| if n > 1 { Inject::Hang } else { Inject::Pass }));
    let worker = worker(&hangs, job).grace(secs(10)).build().unwrap();
    let summary = run_and_trigger(&world, &worker, &[5]);
    assert_eq!(summary.left, 1, "{summary}");
    assert!(world.sim.elapsed() <= secs(21), "{:?}", world.sim.elapsed());
    assert!(Duration::ZERO < world.sim.elapsed());
}
