//! Jobs on the store in memory, under simulated time: what a run does, and what a second delivery, a failure and a
//! dead worker make of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::claim::Settled;
use unattended::effect::Effect;
use unattended::fault::{Class, Fault, Reached, Severity};
use unattended::job::{Builder, Job, Verdict};
use unattended::memory::Memory;
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::runs::{Run, Runs};
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp};

/// A world: a simulated clock and a store on it.
struct World {
    sim: Sim,
    store: Arc<dyn Store>,
}

impl World {
    fn new() -> Self {
        let sim = Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000), 7);
        let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
        Self { sim, store }
    }

    fn run(&self, job: &Job, input: &str) -> unattended::job::Report {
        job.run_once_blocking_on(self.sim.clone(), &self.store, input).unwrap()
    }

    fn runs(&self) -> Runs {
        Runs::new(Arc::clone(&self.store))
    }

    fn history(&self, run: &Run) -> Vec<String> {
        let events = block_on(self.runs().history(run.id(), 0, 100)).unwrap();
        events.into_iter().map(|event| event.event.code.into_owned()).collect()
    }
}

fn keyed(name: &str) -> Builder {
    Job::new(name).key(|input: &String| Key::new("test", "thing", input)).lease(Duration::from_secs(30))
}

fn counting(name: &str, effect: Effect, count: &Arc<AtomicU32>) -> Step {
    let count = Arc::clone(count);
    Step::blocking(name, effect, move |_| Ok(count.fetch_add(1, Ordering::SeqCst)))
}

/// Fails so often with `fault`, then succeeds.
fn failing(name: &str, effect: Effect, times: u32, fault: Fault, count: &Arc<AtomicU32>) -> Step {
    let count = Arc::clone(count);
    Step::blocking(name, effect, move |_| {
        let done = count.fetch_add(1, Ordering::SeqCst);
        if done < times { Err(StepError::new(fault.clone(), format!("failure {done}"))) } else { Ok(done) }
    })
}

fn counter() -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(0))
}

#[test]
fn a_second_delivery_does_nothing_and_is_told_how_it_ended() {
    let (world, count) = (World::new(), counter());
    let job = keyed("once").step(counting("work", Effect::Unsafe, &count)).build().unwrap();
    let first = world.run(&job, "a");
    assert_eq!(first.verdict, Verdict::Ran);
    let second = world.run(&job, "a");
    assert_eq!(second.verdict, Verdict::Duplicate(Settled::Succeeded));
    assert_eq!(second.run.unwrap().id(), first.run.unwrap().id());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(second.worked_off.len(), 0);
}

#[test]
fn the_same_key_with_another_payload_is_a_conflict() {
    let (world, count) = (World::new(), counter());
    let job = Job::new("paid")
        .key(|input: &(String, u32)| Key::new("test", "bill", &input.0))
        .step(counting("pay", Effect::Unsafe, &count))
        .build()
        .unwrap();
    let run = |amount: u32| job.run_once_blocking(&world.store, &("bill-1", amount)).unwrap();
    assert_eq!(run(10).exit_code(), 0);
    let second = run(11);
    assert!(matches!(second.verdict, Verdict::Conflict { .. }), "{:?}", second.verdict);
    assert_eq!((second.exit_code(), count.load(Ordering::SeqCst)), (65, 1));
}

#[test]
fn transient_failures_are_waited_for_and_each_is_in_the_history() {
    let (world, count) = (World::new(), counter());
    let fault = Fault::transient("http.503");
    let job = keyed("flaky").step(failing("call", Effect::Idempotent, 2, fault, &count)).build().unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!(run.state(), State::Succeeded);
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_eq!(run.body.faults.len(), 2);
    assert_eq!(run.body.faults[0].chain, "failure 0");
    let history = world.history(&run);
    assert_eq!(
        history,
        ["run.submitted", "step.started", "retry.backoff", "retry.backoff", "run.succeeded"],
        "{history:?}"
    );
}

#[test]
fn a_run_that_failed_for_now_resumes_at_its_step_and_not_before_its_time() {
    let (world, first, second) = (World::new(), counter(), counter());
    let fault = Fault::transient("http.503");
    let job = keyed("resumes")
        .step(counting("prepare", Effect::Pure, &first))
        .step(failing("send", Effect::Idempotent, 5, fault, &second))
        .build()
        .unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!(run.state(), State::FailedTransient, "{}", run.body.why);
    let again = world.run(&job, "a");
    assert!(matches!(again.verdict, Verdict::Deferred { .. }), "{:?}", again.verdict);
    assert_eq!(again.exit_code(), 75);
    world.sim.advance(Duration::from_secs(3600));
    let report = world.run(&job, "b");
    assert_eq!(report.worked_off.len(), 1, "the deferred run goes first");
    assert_eq!(report.worked_off[0].state(), State::Succeeded);
    assert_eq!(report.worked_off[0].body.attempt, 2);
    assert_eq!(first.load(Ordering::SeqCst), 2, "once for each input: a finished step is not repeated");
}

#[test]
fn a_permanent_failure_is_a_dead_letter_and_a_requeue_goes_on_at_its_step() {
    let (world, first, second) = (World::new(), counter(), counter());
    let job = keyed("dead")
        .step(counting("prepare", Effect::Pure, &first))
        .step(failing("send", Effect::Idempotent, 1, Fault::permanent("schema.mismatch"), &second))
        .build()
        .unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert!(run.is_dead_letter());
    assert_eq!(world.run(&job, "a").verdict, Verdict::Duplicate(Settled::Failed));
    let runs = world.runs();
    let queued = block_on(runs.requeue(run.id(), "operator:ada", world.sim.now().wall)).unwrap();
    assert_eq!(queued.state(), State::Queued);
    let report = world.run(&job, "a");
    assert_eq!(report.worked_off[0].state(), State::Succeeded);
    assert_eq!(report.verdict, Verdict::Duplicate(Settled::Succeeded), "the ledger knows how it ended");
    assert_eq!(first.load(Ordering::SeqCst), 1);
}

#[test]
fn an_unsafe_step_whose_outcome_is_unknown_asks_a_person_and_never_runs_twice() {
    let (world, count) = (World::new(), counter());
    let fault = Fault::transient("http.timed_out").reached(Reached::Maybe);
    let job = keyed("unsafe").step(failing("pay", Effect::Unsafe, 1, fault, &count)).build().unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!(run.state(), State::NeedsReview);
    assert!(run.body.question.unwrap().text.contains("was it done?"));
    assert_eq!(world.run(&job, "a").verdict, Verdict::WithAPerson);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn an_unsafe_step_that_certainly_did_not_arrive_is_tried_again() {
    let (world, count) = (World::new(), counter());
    let fault = Fault::transient("io.connection_refused").reached(Reached::No);
    let job = keyed("refused").step(failing("pay", Effect::Unsafe, 2, fault, &count)).build().unwrap();
    assert_eq!(world.run(&job, "a").run.unwrap().state(), State::Succeeded);
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn a_guard_that_finds_it_done_makes_the_step_a_success_without_a_write() {
    let (world, count) = (World::new(), counter());
    let step = counting("publish", Effect::Verifiable, &count).guard_blocking(|_| Ok(Some("there already")));
    let job = keyed("guarded").step(step).build().unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!(run.state(), State::Succeeded);
    assert_eq!(run.body.steps[0].output.as_ref().unwrap().get(), "\"there already\"");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn a_degraded_step_is_left_out_and_the_others_go_on() {
    let (world, count) = (World::new(), counter());
    let fault = Fault::permanent("thumbnail.failed").severity(Severity::Degraded);
    let job = keyed("degraded")
        .step(failing("thumbnail", Effect::Pure, 9, fault, &counter()))
        .step(counting("publish", Effect::Idempotent, &count))
        .build()
        .unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!((run.state(), count.load(Ordering::SeqCst)), (State::Succeeded, 1));
}

#[test]
fn a_panic_is_an_unknown_fault_and_not_the_end_of_the_process() {
    let world = World::new();
    let step =
        Step::blocking("boom", Effect::Pure, |_| -> Result<(), StepError> { panic!("the bottom fell out") });
    let run = world.run(&keyed("panics").step(step).build().unwrap(), "a").run.unwrap();
    assert_eq!(run.state(), State::FailedPermanent);
    assert_eq!(run.body.faults[0].class, Class::Unknown);
    assert!(run.body.faults[0].chain.contains("the bottom fell out"));
}

#[test]
fn the_backlog_is_bounded() {
    let world = World::new();
    let job = keyed("backlog")
        .step(failing("send", Effect::Idempotent, u32::MAX, Fault::transient("http.503"), &counter()))
        .backlog_max(3)
        .build()
        .unwrap();
    for input in ["a", "b", "c", "d", "e"] {
        world.run(&job, input);
    }
    world.sim.advance(Duration::from_secs(7200));
    assert_eq!(world.run(&job, "f").worked_off.len(), 3);
}

#[test]
fn a_job_that_could_not_work_is_refused_with_the_field() {
    let none = || Step::blocking("a", Effect::Pure, |_| Ok(()));
    let cases: [(Builder, &str); 6] = [
        (Job::new("x"), "steps is 0"),
        (Job::new("").step(none()), "job.name is \"\""),
        (Job::new("x").step(none()).step(none()), "step.name is a"),
        (Job::new("x").step(none()).attempts_max(0), "attempts_max is 0"),
        (Job::new("x").step(none()).lease(Duration::ZERO), "lease is 0ns"),
        (Job::new("x").step(Step::blocking("v", Effect::Verifiable, |_| Ok(()))), "step.guard is none"),
    ];
    for (builder, expected) in cases {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} does not begin with {expected}");
    }
}

#[test]
fn threads_and_futures_take_the_same_path() {
    let path = |on_futures: bool| {
        let (world, count) = (World::new(), counter());
        let fault = Fault::transient("http.503");
        let job = keyed("twice").step(failing("call", Effect::Idempotent, 2, fault, &count)).build().unwrap();
        let run = if on_futures {
            let report = world.sim.block_on(job.run_once_on(world.sim.clone(), &world.store, "a"));
            report.unwrap().unwrap().run.unwrap()
        } else {
            world.run(&job, "a").run.unwrap()
        };
        (world.history(&run), run.state())
    };
    assert_eq!(path(true), path(false));
}

#[test]
fn what_is_due_is_worked_off_as_a_future_without_an_input() {
    let (world, count) = (World::new(), counter());
    let fault = Fault::transient("http.503");
    let job = keyed("due").step(failing("send", Effect::Idempotent, 5, fault, &count)).build().unwrap();
    assert_eq!(world.run(&job, "a").run.unwrap().state(), State::FailedTransient);
    let work_off = || {
        let worked = job.work_off_on(world.sim.clone(), &world.store);
        let states = world.sim.block_on(worked).unwrap().unwrap();
        states.iter().map(Run::state).collect::<Vec<_>>()
    };
    assert_eq!(work_off(), [], "not before its time");
    world.sim.advance(Duration::from_secs(3600));
    assert_eq!(work_off(), [State::Succeeded]);
}

#[test]
fn a_long_future_keeps_its_lease() {
    let world = World::new();
    let sim = world.sim.clone();
    let step = Step::new("long", Effect::Unsafe, move |_| {
        let sim = sim.clone();
        async move {
            unattended::time::Sleep::sleep(&sim, Duration::from_secs(3600)).await;
            Ok(())
        }
    });
    let job = keyed("long").step(step).build().unwrap();
    let report = world.sim.block_on(job.run_once_on(world.sim.clone(), &world.store, "a")).unwrap().unwrap();
    assert_eq!(report.run.unwrap().state(), State::Succeeded);
}

#[test]
fn a_future_is_cut_at_its_time_out() {
    let world = World::new();
    let sim = world.sim.clone();
    let step = Step::new("silent", Effect::Pure, move |_| {
        let sim = sim.clone();
        async move {
            unattended::time::Sleep::sleep(&sim, Duration::from_secs(86_400)).await;
            Ok(())
        }
    });
    let job = keyed("silent").step(step.timeout(Duration::from_secs(30))).build().unwrap();
    let report = world.sim.block_on(job.run_once_on(world.sim.clone(), &world.store, "a")).unwrap().unwrap();
    let run = report.run.unwrap();
    assert_eq!((run.state(), &*run.body.faults[0].code), (State::FailedTransient, "step.timed_out"));
}
