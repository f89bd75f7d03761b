//! Steps and jobs that begin only while a window is open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::job::{Builder, Job, Report, Terms, Verdict};
use unattended::memory::Memory;
use unattended::pipeline::{Step, StepError};
use unattended::run::State;
use unattended::runs::{Run, Runs, StepState, Submitted};
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Sleep, Timestamp, between};
use unattended::timeline;
use unattended::window::Window;
use unattended::worker::Worker;

const HOUR: Duration = Duration::from_secs(3600);

struct World {
    sim: Sim,
    store: Arc<dyn Store>,
}

impl World {
    fn at(start: &str) -> Self {
        let sim = Sim::new(at(start), 7);
        let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
        Self { sim, store }
    }

    fn advance_to(&self, to: &str) {
        self.sim.advance(between(self.sim.now().wall, at(to)));
        assert_eq!(self.sim.now().wall, at(to));
    }

    fn run(&self, job: &Job) -> Report {
        job.run_once_blocking_on(self.sim.clone(), &self.store, "issue").unwrap()
    }

    fn submit(&self, job: &Job, expires_at: Option<&str>) -> String {
        let terms = Terms { expires_at: expires_at.map(at), ..Terms::default() };
        match block_on(job.submit_on(&self.sim, &self.store, "issue", &terms)).unwrap() {
            Submitted::Created(run) => run.id().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// What is due is worked off once.
    fn work_off(&self, job: &Job) -> Vec<Run> {
        self.sim.block_on(job.work_off_on(self.sim.clone(), &self.store)).unwrap().unwrap()
    }

    fn get(&self, id: &str) -> Run {
        block_on(Runs::new(Arc::clone(&self.store)).must_get(id)).unwrap()
    }

    fn codes(&self, run: &Run) -> Vec<String> {
        let events = block_on(Runs::new(Arc::clone(&self.store)).history(run.id(), 0, 100)).unwrap();
        events.into_iter().map(|event| event.event.code.into_owned()).collect()
    }

    fn told(&self, run: &Run) -> Vec<String> {
        let events = block_on(Runs::new(Arc::clone(&self.store)).history(run.id(), 0, 100)).unwrap();
        timeline::of(&events).into_iter().map(|moment| moment.text).collect()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(text: &str) -> Window {
    text.parse().unwrap()
}

fn must_finish_inside() -> Window {
    let time = |hour| chrono::NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    Window::new(unattended::zone::Zone::Utc).hours(time(9), time(22)).must_finish_inside().build().unwrap()
}

fn counting(name: &str, effect: Effect, count: &Arc<AtomicU32>) -> Step {
    let count = Arc::clone(count);
    Step::blocking(name, effect, move |_| Ok(count.fetch_add(1, Ordering::SeqCst) + 1))
}

/// Prepares at any time, publishes in its window what was prepared.
fn newsletter(window: Window, [prepared, published]: [&Arc<AtomicU32>; 2]) -> Builder {
    let published = Arc::clone(published);
    let publish = Step::blocking("publish", Effect::Unsafe, move |cx| {
        published.fetch_add(1, Ordering::SeqCst);
        cx.output::<u32>("prepare")
    });
    Job::new("newsletter").step(counting("prepare", Effect::Pure, prepared)).step(publish.during(window))
}

fn counters() -> [Arc<AtomicU32>; 2] {
    [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))]
}

fn counts(counters: &[Arc<AtomicU32>; 2]) -> [u32; 2] {
    counters.each_ref().map(|count| count.load(Ordering::SeqCst))
}

#[test]
fn a_step_outside_its_window_is_put_down_until_it_opens_and_keeps_what_was_done_before() {
    let (world, done) = (World::at("2026-07-31T23:00:00Z"), counters());
    let job = newsletter(window("09:00-22:00"), done.each_ref()).build().unwrap();
    let first = world.run(&job);
    let run = first.run.as_ref().unwrap();
    assert_eq!((run.state(), first.exit_code()), (State::Queued, 75));
    assert_eq!(run.record.due_at, Some(at("2026-08-01T09:00:00Z")));
    assert_eq!((run.body.attempt, run.body.code.as_str()), (0, "window.closed"));
    let why = "waits for its window until 2026-08-01 09:00:00 UTC: the hours of Friday have ended at 22:00";
    assert_eq!(run.body.why, why);
    assert_eq!(run.body.steps[1].state, StepState::Pending);
    assert_eq!(counts(&done), [1, 0]);
    world.advance_to("2026-08-01T08:59:59Z");
    assert!(world.work_off(&job).is_empty());
    world.advance_to("2026-08-01T09:00:00Z");
    let run = world.work_off(&job).remove(0);
    assert_eq!((run.state(), run.body.attempt), (State::Succeeded, 1));
    assert_eq!(run.body.output.as_ref().unwrap().get(), "1", "what was prepared in the night");
    assert_eq!(counts(&done), [1, 1]);
    let codes =
        ["run.submitted", "step.done", "window.closed", "run.claimed", "step.started", "run.succeeded"];
    assert_eq!(world.codes(&run), codes);
    let told = world.told(&run);
    assert!(told.iter().any(|text| text.contains(why) && text.contains("publish")), "{told:?}");
}

#[test]
fn a_second_delivery_meanwhile_is_told_until_when() {
    let (world, done) = (World::at("2026-07-31T23:00:00Z"), counters());
    let job = newsletter(window("09:00-22:00"), done.each_ref());
    let job =
        job.key(|issue: &String| unattended::canonical::Key::new("test", "issue", issue)).build().unwrap();
    assert_eq!(world.run(&job).verdict, Verdict::Ran);
    assert_eq!(world.run(&job).verdict, Verdict::Deferred { until: at("2026-08-01T09:00:00Z") });
    assert_eq!(counts(&done), [1, 0]);
}

#[test]
fn a_worker_takes_it_up_at_the_opening() {
    let world = World::at("2026-03-28T22:30:00Z");
    let times = Arc::new(Mutex::new(Vec::new()));
    let timed = |name: &str, effect| {
        let (sim, times, step) = (world.sim.clone(), Arc::clone(&times), name.to_owned());
        Step::blocking(name, effect, move |_| {
            times.lock().unwrap().push((step.clone(), sim.now().wall));
            Ok(())
        })
    };
    // The clocks of Paris go forward in this night: nine is an hour earlier than it was yesterday.
    let publish = timed("publish", Effect::Unsafe).during(window("09:00-22:00 Europe/Paris"));
    let job = Job::new("newsletter").step(timed("prepare", Effect::Pure)).step(publish).build().unwrap();
    let id = world.submit(&job, None);
    let (worker, shutdown) =
        (Worker::new(Arc::clone(&world.store)).job(job).build().unwrap(), Shutdown::new());
    let sim = world.sim.clone();
    let ends: BoxFuture<'_, ()> = Box::pin(async {
        sim.sleep(12 * HOUR).await;
        shutdown.trigger();
    });
    let works: BoxFuture<'_, ()> = Box::pin(async { drop(worker.run_on(sim.clone(), &shutdown).await) });
    world.sim.join([ends, works]).unwrap();
    let times = times.lock().unwrap().clone();
    assert_eq!((times[0].0.as_str(), times[0].1), ("prepare", at("2026-03-28T22:30:00Z")));
    let late = between(at("2026-03-29T07:00:00Z"), times[1].1);
    assert!(times[1].1 >= at("2026-03-29T07:00:00Z") && late < Duration::from_secs(60), "{times:?}");
    assert_eq!((world.get(&id).state(), times.len()), (State::Succeeded, 2));
}

#[test]
fn an_opening_that_the_clocks_skip_is_waited_for_until_the_next_day() {
    let (world, done) = (World::at("2026-03-29T00:30:00Z"), counters());
    let job = newsletter(window("02:00-03:00 Europe/Paris"), done.each_ref()).build().unwrap();
    let run = world.run(&job).run.unwrap();
    assert_eq!(run.record.due_at, Some(at("2026-03-30T00:00:00Z")));
    assert!(
        run.body.why.ends_with("the clocks skip the hours of this Sunday, from 02:00 on"),
        "{}",
        run.body.why
    );
}

#[test]
fn a_run_that_expires_before_the_opening_ends_at_once() {
    let (world, done) = (World::at("2026-07-31T23:00:00Z"), counters());
    let job = Job::new("publish").step(counting("publish", Effect::Unsafe, &done[1]));
    let job = job.during(window("09:00-22:00")).build().unwrap();
    let id = world.submit(&job, Some("2026-08-01T09:00:00Z"));
    world.work_off(&job);
    let run = world.get(&id);
    assert_eq!((run.state(), run.body.code.as_str()), (State::Expired, "window.past_deadline"));
    let why = "its window opens at 2026-08-01 09:00:00 UTC, and it was worth running until 2026-08-01 09:00:00 UTC: \
               the hours of Friday have ended at 22:00";
    assert_eq!(run.body.why, why);
    assert_eq!((run.body.finished_at, run.body.attempt), (Some(world.sim.now().wall), 0));
    // A second later it would have been worth it.
    let id = world.submit(&job, Some("2026-08-01T09:00:01Z"));
    world.work_off(&job);
    assert_eq!((world.get(&id).state(), counts(&done)), (State::Queued, [0, 0]));
}

#[test]
fn a_run_with_finished_steps_that_expires_before_the_opening_is_undone() {
    for undoable in [true, false] {
        let (world, done) = (World::at("2026-07-31T23:00:00Z"), counters());
        let mut book = Step::blocking("book", Effect::Idempotent, |_| Ok(()));
        if undoable {
            let undone = Arc::clone(&done[0]);
            book = book.undo_blocking(Effect::Idempotent, move |_| {
                undone.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
        }
        let publish = counting("publish", Effect::Unsafe, &done[1]).during(window("09:00-22:00"));
        let job = Job::new("newsletter").step(book).step(publish).build().unwrap();
        let id = world.submit(&job, Some("2026-08-01T08:00:00Z"));
        world.work_off(&job);
        let run = world.get(&id);
        let (state, undone) = if undoable { (State::Compensated, 1) } else { (State::FailedPermanent, 0) };
        assert_eq!((run.state(), counts(&done)), (state, [undone, 0]));
        assert!(world.codes(&run).iter().any(|code| code == "window.past_deadline"));
    }
}

#[test]
fn what_must_finish_inside_begins_only_where_its_time_out_has_room() {
    let job = |timeout: Option<Duration>, done: &[Arc<AtomicU32>; 2]| {
        let mut publish = counting("publish", Effect::Unsafe, &done[1]).during(must_finish_inside());
        if let Some(timeout) = timeout {
            publish = publish.timeout(timeout);
        }
        Job::new("newsletter").step(counting("prepare", Effect::Pure, &done[0])).step(publish).build()
    };
    let (world, done) = (World::at("2026-07-31T21:00:01Z"), counters());
    let run = world.run(&job(Some(HOUR), &done).unwrap()).run.unwrap();
    assert_eq!((run.record.due_at, counts(&done)), (Some(at("2026-08-01T09:00:00Z")), [1, 0]));
    assert!(run.body.why.ends_with("it closes at 2026-07-31 22:00:00 UTC, too soon for what takes 3600s"));
    let (world, done) = (World::at("2026-07-31T21:00:00Z"), counters());
    assert_eq!(world.run(&job(Some(HOUR), &done).unwrap()).run.unwrap().state(), State::Succeeded);
    let (world, done) = (World::at("2026-07-31T12:00:00Z"), counters());
    let run = world.run(&job(Some(14 * HOUR), &done).unwrap()).run.unwrap();
    assert_eq!((run.state(), run.body.code.as_str()), (State::FailedPermanent, "window.never_fits"));
    assert_eq!(run.body.why, "it may take 50400s, and its window is never open for more than 46800s");
    let refused = job(None, &done).unwrap_err().to_string();
    let allowed =
        "step.timeout is none; allowed is a time-out, as step publish must finish inside its window";
    assert_eq!(refused, allowed);
    let whole = Job::new("newsletter").step(counting("prepare", Effect::Pure, &done[0]));
    assert!(whole.during(must_finish_inside()).build().is_err());
}

#[test]
fn the_window_of_a_job_is_asked_before_each_step_and_never_in_the_middle_of_one() {
    let (world, done) = (World::at("2026-07-31T21:55:00Z"), counters());
    let (sim, first) = (world.sim.clone(), Arc::clone(&done[0]));
    let slow = Step::blocking("slow", Effect::Idempotent, move |_| {
        sim.advance(Duration::from_secs(360));
        match first.fetch_add(1, Ordering::SeqCst) {
            // The second attempt begins and ends after it has closed.
            0 => Err(StepError::transient("http.503", "not now")),
            _ => {
                sim.advance(Duration::from_secs(600));
                Ok(())
            }
        }
    });
    let job = Job::new("newsletter").step(slow).step(counting("publish", Effect::Unsafe, &done[1]));
    let job = job.lease(4 * HOUR).during(window("09:00-22:00")).build().unwrap();
    let run = world.run(&job).run.unwrap();
    assert_eq!((run.state(), run.body.code.as_str()), (State::Queued, "window.closed"), "{}", run.body.why);
    assert_eq!((counts(&done), run.body.steps[0].state), ([2, 0], StepState::Done));
    world.advance_to("2026-08-01T09:00:00Z");
    assert_eq!(world.work_off(&job).remove(0).state(), State::Succeeded);
    assert_eq!(counts(&done), [2, 1]);
}

#[test]
fn both_windows_must_be_open() {
    let (world, done) = (World::at("2026-07-31T08:00:00Z"), counters());
    let job =
        newsletter(window("14:00-22:00"), done.each_ref()).during(window("09:00-16:00")).build().unwrap();
    let id = world.submit(&job, None);
    for (now, due, counted) in [("08:00", "09:00", [0, 0]), ("09:00", "14:00", [1, 0])] {
        world.advance_to(&format!("2026-07-31T{now}:00Z"));
        world.work_off(&job);
        let due = at(&format!("2026-07-31T{due}:00Z"));
        assert_eq!((world.get(&id).record.due_at, counts(&done)), (Some(due), counted));
    }
    world.advance_to("2026-07-31T14:00:00Z");
    assert_eq!(world.work_off(&job).remove(0).state(), State::Succeeded);
}

/// An unsafe step is marked as begun together with the end of the step before it, but not while its window is closed.
#[test]
fn a_process_that_dies_before_a_closed_window_leaves_nothing_in_doubt() {
    let (world, done) = (World::at("2026-07-31T23:00:00Z"), counters());
    let dies = newsletter(window("09:00-22:00"), done.each_ref());
    let dies = dies.edges(|edge| assert_ne!(edge, "prepare:saved", "it dies here")).build().unwrap();
    let id = world.submit(&dies, None);
    assert!(catch_unwind(AssertUnwindSafe(|| world.work_off(&dies))).is_err());
    let left = world.get(&id);
    assert_eq!((left.state(), left.body.steps[1].state), (State::Processing, StepState::Pending));
    world.advance_to("2026-07-31T23:30:00Z");
    let job = newsletter(window("09:00-22:00"), done.each_ref()).build().unwrap();
    world.work_off(&job);
    let run = world.get(&id);
    assert_eq!((run.state(), run.body.code.as_str()), (State::Queued, "window.closed"));
    world.advance_to("2026-08-01T09:00:00Z");
    assert_eq!(world.work_off(&job).remove(0).state(), State::Succeeded);
    assert_eq!(counts(&done), [1, 1]);
}

/// What was in the middle when its process died goes on, though the window has closed since.
#[test]
fn what_was_in_the_middle_is_gone_on_with_after_the_window_has_closed() {
    let (world, done) = (World::at("2026-07-31T21:59:50Z"), counters());
    let job = |dies: bool| {
        let publish = counting("publish", Effect::Idempotent, &done[1]).during(window("09:00-22:00"));
        let job = Job::new("newsletter").step(publish);
        job.edges(move |edge| assert!(!dies || edge != "publish:worked", "it dies here")).build().unwrap()
    };
    let id = world.submit(&job(true), None);
    assert!(catch_unwind(AssertUnwindSafe(|| world.work_off(&job(true)))).is_err());
    assert_eq!(world.get(&id).body.steps[0].state, StepState::Started);
    world.advance_to("2026-07-31T22:30:00Z");
    assert_eq!(world.work_off(&job(false)).remove(0).state(), State::Succeeded);
    assert_eq!(counts(&done), [0, 2]);
}

#[test]
fn windows_that_are_never_open_together_end_the_run_and_undo_what_it_did() {
    let (world, done) = (World::at("2026-07-31T10:00:00Z"), counters());
    let undone = Arc::clone(&done[0]);
    let book =
        Step::blocking("book", Effect::Idempotent, |_| Ok(())).undo_blocking(Effect::Idempotent, move |_| {
            undone.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
    let publish = counting("publish", Effect::Unsafe, &done[1]).during(window("14:00-16:00"));
    let job = Job::new("newsletter").step(book).step(publish).during(window("09:00-12:00")).build().unwrap();
    let run = world.run(&job).run.unwrap();
    assert_eq!((run.state(), counts(&done)), (State::Compensated, [1, 0]));
    assert!(world.codes(&run).iter().any(|code| code == "window.never_opens"), "{:?}", world.codes(&run));
}

#[test]
fn two_windows_are_waited_for_once_until_both_are_open() {
    let (world, done) = (World::at("2026-07-27T20:00:00Z"), counters());
    let publish = counting("publish", Effect::Unsafe, &done[1]).during(window("10:00-12:00 Mon-Sat"));
    let job = Job::new("newsletter").step(publish).during(window("14:00-16:00 Mon-Fri; 11:00-13:00 Sat"));
    let run = world.run(&job.build().unwrap()).run.unwrap();
    assert_eq!(run.record.due_at, Some(at("2026-08-01T11:00:00Z")));
    assert_eq!(world.codes(&run), ["run.submitted", "window.closed"]);
}

#[test]
fn what_is_undone_waits_for_no_window() {
    let (world, done) = (World::at("2026-07-31T21:55:00Z"), counters());
    let (sim, undone) = (world.sim.clone(), Arc::clone(&done[0]));
    let book =
        Step::blocking("book", Effect::Idempotent, |_| Ok(())).undo_blocking(Effect::Idempotent, move |_| {
            undone.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
    let pay = Step::blocking("pay", Effect::Unsafe, move |_| -> Result<(), StepError> {
        sim.advance(Duration::from_secs(600));
        Err(StepError::permanent("http.402", "no money"))
    });
    let hours = window("09:00-22:00");
    let job = Job::new("order")
        .lease(HOUR)
        .step(book.during(hours.clone()))
        .step(pay)
        .during(hours)
        .build()
        .unwrap();
    let run = world.run(&job).run.unwrap();
    assert_eq!((run.state(), counts(&done)[0]), (State::Compensated, 1), "{}", run.body.why);
}

#[test]
fn a_run_that_was_put_off_fifty_times_is_at_its_first_attempt() {
    let (world, done) = (World::at("2026-07-01T09:00:00Z"), counters());
    let mut job = Job::new("slow").lease(4 * HOUR).attempts_max(2);
    for n in 0..51 {
        let (sim, count) = (world.sim.clone(), Arc::clone(&done[0]));
        let step = Step::blocking(format!("step_{n}"), Effect::Idempotent, move |_| {
            sim.advance(2 * HOUR);
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        job = job.step(step.during(window("09:00-10:00")));
    }
    let job = job.build().unwrap();
    let id = world.submit(&job, None);
    for _ in 0..51 {
        assert!(world.get(&id).state() == State::Queued);
        assert_eq!(world.work_off(&job).len(), 1);
        assert!(world.work_off(&job).is_empty(), "it is not looked at before its time");
        world.sim.advance(22 * HOUR);
    }
    let run = world.get(&id);
    assert_eq!((run.state(), run.body.attempt, counts(&done)[0]), (State::Succeeded, 1, 51));
    let events = block_on(Runs::new(Arc::clone(&world.store)).history(&id, 0, 1000)).unwrap();
    let closed = events.iter().filter(|event| event.event.code == "window.closed").count();
    assert_eq!(closed, 50, "a line each");
}
