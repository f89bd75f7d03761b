//! Jobs that ask whether it is time: a busy machine, a lock that another process has, a dependency that is down.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::file::Lock;
use unattended::gate::{Policy, Sample, Signal};
use unattended::heartbeat;
use unattended::job::{BuildError, Job, Terms};
use unattended::monitor::Monitor;
use unattended::pipeline::Step;
use unattended::readiness::Gate;
use unattended::retry::HandedOver;
use unattended::run::State;
use unattended::runs::{Run, Runs};
use unattended::time::{Clock, Now, later};

use crate::world::World;

fn history(world: &World, run: &Run) -> Vec<(String, String)> {
    let events = block_on(Runs::new(Arc::clone(&world.store)).history(run.id(), 0, 100)).unwrap();
    events.into_iter().map(|event| (event.event.code.into_owned(), event.event.why)).collect()
}

fn run(world: &World, job: &Job, input: &str) -> Run {
    job.run_once_blocking_on(world.sim.clone(), &world.store, input).unwrap().run.unwrap()
}

fn again(world: &World, job: &Job) -> Vec<Run> {
    job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap()
}

/// A step that counts how often it was worked on.
fn counting(name: &str, effect: Effect, count: &Arc<AtomicU32>) -> Step {
    let count = Arc::clone(count);
    Step::blocking(name, effect, move |_| Ok(count.fetch_add(1, Ordering::SeqCst)))
}

/// A machine whose processors are as busy as somebody says.
fn machine(load: &Arc<Mutex<f64>>) -> Gate {
    let (load, policy) = (Arc::clone(load), "cpu:50/40,dwell:30s".parse::<Policy>().unwrap());
    Gate::on(policy, move |_: &[&Signal], _: Now| Sample::new().with(Signal::Cpu, *load.lock().unwrap()))
}

#[test]
fn a_job_is_put_down_while_its_gate_is_closed_and_no_attempt_is_used_up() {
    let (world, count, load) = (World::new(), Arc::default(), Arc::new(Mutex::new(97.0)));
    let job = Job::new("heavy")
        .gate(&machine(&load))
        .step(counting("sort", Effect::Unsafe, &count))
        .step(counting("load", Effect::Idempotent, &count))
        .build()
        .unwrap();
    let put_down = run(&world, &job, "a");
    assert_eq!((put_down.state(), put_down.body.attempt), (State::Queued, 0));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let told = history(&world, &put_down);
    let (code, why) = told.last().unwrap();
    assert!(code.starts_with("gate.") && why.contains("97") && why.contains("50"), "{code}: {why}");

    // Calm, but not for long enough yet; then for long enough.
    *load.lock().unwrap() = 10.0;
    let mut asked = 0;
    while count.load(Ordering::SeqCst) == 0 {
        world.sim.advance(Duration::from_secs(5));
        again(&world, &job);
        asked += 1;
        assert!(asked < 40, "{:?}", history(&world, &put_down));
    }
    assert!(asked >= 6, "it opens only after its dwell: {asked}");
    let done = world.all().pop().unwrap();
    assert_eq!((done.state(), done.body.attempt, count.load(Ordering::SeqCst)), (State::Succeeded, 1, 2));
    world.check();
}

#[test]
fn a_gate_that_closes_between_two_steps_keeps_what_is_done_and_the_next_step_unmarked() {
    let (world, count, load) = (World::new(), Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(1.0)));
    let raise = Arc::clone(&load);
    let job = Job::new("heavy")
        .step(Step::blocking("first", Effect::Pure, move |_| {
            *raise.lock().unwrap() = 99.0;
            Ok(1)
        }))
        .step(counting("second", Effect::Unsafe, &count).gate(&machine(&load)))
        .build()
        .unwrap();
    let put_down = run(&world, &job, "a");
    assert_eq!((put_down.state(), count.load(Ordering::SeqCst)), (State::Queued, 0));
    assert!(put_down.body.steps[0].state.is_settled() && !put_down.body.steps[1].state.is_settled());
    // Whoever takes it over need not ask whether the unsafe step was begun.
    assert_eq!(format!("{:?}", put_down.body.steps[1].state), "Pending");
}

#[test]
fn it_gives_up_in_time() {
    let (world, count, load) = (World::new(), Arc::default(), Arc::new(Mutex::new(97.0)));
    let job = Job::new("report")
        .gate(&machine(&load))
        .step(counting("sort", Effect::Pure, &count))
        .build()
        .unwrap();
    let now = world.sim.now().wall;
    let terms = Terms { expires_at: Some(later(now, Duration::from_secs(600))), ..Terms::default() };
    drop(block_on(job.submit_on(&world.sim, &world.store, "a", &terms)).unwrap());
    for _ in 0..80 {
        again(&world, &job);
        world.sim.advance(Duration::from_secs(10));
    }
    let run = world.all().pop().unwrap();
    assert_eq!((run.state(), count.load(Ordering::SeqCst)), (State::Expired, 0));
    let ended = run.body.finished_at.unwrap();
    assert!(ended <= later(now, Duration::from_secs(610)), "{ended}");
}

#[test]
fn a_question_that_panics_is_no_yes_and_the_first_that_objects_is_told() {
    let (world, count) = (World::new(), Arc::default());
    let up = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&up);
    let job = Job::new("asks")
        .ready_when(move |now| match asked.load(Ordering::SeqCst) {
            true => panic!("nobody knows"),
            false => Err(HandedOver::new(
                "db.down",
                "the database is down",
                later(now.wall, Duration::from_secs(7)),
            )),
        })
        .step(counting("work", Effect::Pure, &count))
        .build()
        .unwrap();
    let put_down = run(&world, &job, "a");
    let due = put_down.record.due_at.unwrap();
    assert_eq!(unattended::time::between(world.sim.now().wall, due), Duration::from_secs(7));
    assert_eq!(history(&world, &put_down).last().unwrap().0, "db.down");
    up.store(true, Ordering::SeqCst);
    world.sim.advance(Duration::from_secs(8));
    let put_down = again(&world, &job).pop().unwrap();
    let (code, why) = history(&world, &put_down).pop().unwrap();
    assert_eq!((code.as_str(), why.contains("nobody knows")), ("job.not_known_ready", true), "{why}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn whoever_finds_the_lock_held_puts_its_run_down_and_says_who_has_it() {
    let (world, count) = (World::new(), Arc::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("import.lock");
    let job = Job::new("import").lock(&path).step(counting("work", Effect::Unsafe, &count)).build().unwrap();
    let held = Lock::take(&path, Duration::ZERO).unwrap();
    let put_down = run(&world, &job, "a");
    assert_eq!((put_down.state(), put_down.body.attempt), (State::Queued, 0));
    let (code, why) = history(&world, &put_down).pop().unwrap();
    assert!(
        code == "job.locked" && why.contains(&format!("by process {}", std::process::id())),
        "{code}: {why}"
    );
    drop(held);
    world.sim.advance(Duration::from_secs(11));
    assert_eq!(again(&world, &job).pop().unwrap().state(), State::Succeeded);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // It was let go of at the end of the run.
    drop(Lock::take(&path, Duration::ZERO).unwrap());

    let nowhere = Job::new("nowhere")
        .lock(folder.path().join("missing").join("x.lock"))
        .step(counting("work", Effect::Pure, &count))
        .build()
        .unwrap();
    let put_down = run(&world, &nowhere, "a");
    assert_eq!(history(&world, &put_down).pop().unwrap().0, "job.lock_failed");
}

#[test]
fn a_job_asks_at_most_eight_questions() {
    let mut builder = Job::new("asks").step(Step::blocking("work", Effect::Pure, |_| Ok(())));
    for _ in 0..9 {
        builder = builder.ready_when(|_| Ok(()));
    }
    let error = builder.build().unwrap_err();
    assert!(matches!(error, BuildError::Invalid { field: "ready_when", .. }), "{error}");
}

#[test]
fn a_job_beats_and_is_missed_when_it_does_not() {
    let world = World::new();
    let hour = Duration::from_secs(3600);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let monitor = Monitor::new(Arc::clone(&world.store), "night watch")
        .expect("import", heartbeat::Policy::every(hour).tick(hour / 2))
        .tick(hour / 2)
        .on_event(move |raised| heard.lock().unwrap().push(raised.to_string()))
        .build()
        .unwrap();
    let load = Arc::new(Mutex::new(1.0));
    let job = Job::new("import")
        .pulse(monitor.pulse("import").unwrap())
        .gate(&machine(&load))
        .step(Step::blocking("work", Effect::Pure, |_| Ok(())))
        .build()
        .unwrap();
    for n in 0..3 {
        assert_eq!(run(&world, &job, &n.to_string()).state(), State::Succeeded);
        drop(monitor.check_blocking(world.sim.now()).unwrap());
        world.sim.advance(hour / 2);
    }
    let so_far = told.lock().unwrap().clone();
    assert_eq!(so_far.len(), 1, "the first success: {:?}", so_far);
    // It is tried again and again, and put down each time: that is no success.
    *load.lock().unwrap() = 99.0;
    for n in 0..6 {
        run(&world, &job, &format!("busy {n}"));
        drop(monitor.check_blocking(world.sim.now()).unwrap());
        world.sim.advance(hour / 2);
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("overdue"), "{told:?}");
}

#[test]
fn what_an_earlier_process_began_stays_begun_where_the_lock_is_held() {
    let (world, count) = (World::new(), Arc::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pay.lock");
    let dies = Arc::new(AtomicBool::new(true));
    let died = Arc::clone(&dies);
    let job = Job::new("pay").lock(&path).lease(crate::world::LEASE);
    let job = job.step(counting("pay", Effect::Unsafe, &count)).edges(move |edge| {
        if edge == "pay:worked" && died.swap(false, Ordering::SeqCst) {
            std::panic::resume_unwind(Box::new("dies"));
        }
    });
    let job = job.build().unwrap();
    let dead = std::panic::AssertUnwindSafe(|| run(&world, &job, "a"));
    assert!(std::panic::catch_unwind(dead).is_err(), "it did not die");
    assert_eq!((count.load(Ordering::SeqCst), dies.load(Ordering::SeqCst)), (1, false));
    world.pass_a_lease();
    let held = Lock::take(&path, Duration::ZERO).unwrap();
    let put_down = again(&world, &job).pop().unwrap();
    assert_eq!(put_down.state(), State::Queued);
    drop(held);
    world.sim.advance(Duration::from_secs(11));
    assert_eq!(again(&world, &job).pop().unwrap().state(), State::NeedsReview);
    assert_eq!(count.load(Ordering::SeqCst), 1, "nobody knows whether it was done, and it was done again");
}
