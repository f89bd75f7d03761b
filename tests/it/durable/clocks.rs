//! Workers whose clocks are off: what is due is due by the store's clock, and nobody takes what is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Job, Terms, Verdict};
use unattended::pipeline::{Flow, Otherwise, Step, StepError, Wait};
use unattended::run::State;
use unattended::runs::{Run, Submitted};
use unattended::store::{Caps, Store};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Now, Sleep, later};

use crate::world::{LEASE, World};

/// The same time as everybody's, under a wall clock that is off by so many minutes.
#[derive(Clone)]
struct Off(Sim, i64);

impl Clock for Off {
    fn now(&self) -> Now {
        let Now { moment, wall } = self.0.now();
        let by = Duration::from_secs(60 * self.1.unsigned_abs());
        Now { moment, wall: if self.1 < 0 { wall - by } else { wall + by } }
    }
}

impl Sleep for Off {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }
}

const TEN: Duration = Duration::from_secs(600);

/// What the store says of a wait: from the write to when it is due.
fn wait_of(run: &Run) -> Duration {
    let due = run.record.due_at.unwrap();
    due.signed_duration_since(run.record.updated_at).to_std().unwrap()
}

/// A job that fails for now until it is told otherwise, then waits an hour for an answer.
fn job(fails: &Arc<AtomicU32>) -> Job {
    let fails = Arc::clone(fails);
    Job::new("skewed")
        .lease(LEASE)
        .key(|input: &String| Key::new("site", "thing", input))
        .step(Step::blocking("try", Effect::Idempotent, move |_| {
            match fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
                Ok(_) => Err(StepError::transient("http.503", "later")),
                Err(_) => Ok(()),
            }
        }))
        .step(Step::waiting_blocking("ask", Effect::Idempotent, |cx| {
            let until = later(cx.now().wall, Duration::from_secs(3600));
            Ok::<Flow<u8>, _>(Flow::Wait(Wait::on("answer").until(until).otherwise(Otherwise::Review)))
        }))
        .build()
        .unwrap()
}

#[test]
fn a_worker_whose_clock_is_ten_minutes_off_works_at_the_same_times_as_any_other() {
    for minutes in [-10, 0, 10] {
        let (world, fails) = (World::new(), Arc::new(AtomicU32::new(100)));
        let (job, clock) = (job(&fails), Off(world.sim.clone(), minutes));
        let what = format!("{minutes} minutes off");
        let submitted =
            world.sim.block_on(job.submit_on(&clock, &world.store, "a", &Terms::default())).unwrap();
        let Ok(Submitted::Created(run)) = submitted else { panic!("{what}") };
        assert_eq!(wait_of(&run), Duration::ZERO, "{what}: what is due at once");
        let work = || world.sim.block_on(job.work_off_on(clock.clone(), &world.store)).unwrap().unwrap();
        assert_eq!(work().len(), 1, "{what}");
        let put_down = world.run(run.id());
        assert_eq!(put_down.state(), State::FailedTransient, "{what}: {}", put_down.body.why);
        assert!(wait_of(&put_down) <= Duration::from_secs(61), "{what}: {:?}", wait_of(&put_down));
        assert!(wait_of(&put_down) >= Duration::from_secs(1), "{what}: {:?}", wait_of(&put_down));
        world.sim.advance(wait_of(&put_down));
        fails.store(0, Ordering::SeqCst);
        assert_eq!(work().len(), 1, "{what}: when it is due");
        let waiting = world.run(run.id());
        assert_eq!(waiting.state(), State::WaitingExternal, "{what}: {}", waiting.body.why);
        assert_eq!(wait_of(&waiting), Duration::from_secs(3600), "{what}: an hour");
        world.sim.advance(Duration::from_secs(3599));
        work();
        assert_eq!(world.run(run.id()).state(), State::WaitingExternal, "{what}: a second before");
        world.sim.advance(Duration::from_secs(1));
        work();
        assert_eq!(world.run(run.id()).state(), State::NeedsReview, "{what}");
        world.check();
    }
}

#[test]
fn a_clock_that_is_off_takes_nothing_that_is_held_and_frees_nothing_late() {
    for minutes in [-10, 10] {
        let world = World::new();
        let held = Job::new("held")
            .lease(LEASE)
            .key(|input: &String| Key::new("site", "thing", input))
            .step(Step::blocking("work", Effect::Idempotent, |_| Ok(())))
            .edges(|edge| {
                if edge == "work:begun" {
                    std::panic::resume_unwind(Box::new(crate::durable::site::Death));
                }
            })
            .build()
            .unwrap();
        assert!(crate::durable::site::deliver(&world, &held, "a").is_none());
        let other = Job::new("held")
            .lease(LEASE)
            .key(|input: &String| Key::new("site", "thing", input))
            .step(Step::blocking("work", Effect::Idempotent, |_| Ok(())))
            .build()
            .unwrap();
        let clock = Off(world.sim.clone(), minutes);
        let deliver =
            || world.sim.block_on(other.run_once_on(clock.clone(), &world.other(), "a")).unwrap().unwrap();
        world.sim.advance(LEASE - Duration::from_secs(1));
        assert!(matches!(deliver().verdict, Verdict::Busy { .. }), "{minutes} minutes off");
        world.sim.advance(Duration::from_secs(1));
        assert_eq!(deliver().worked_off.len(), 1, "{minutes} minutes off");
        assert_eq!(world.all()[0].state(), State::Succeeded);
        assert!(TEN > LEASE, "a clock that is off by less than a lease would show nothing");
        world.check();
    }
}

/// A store of many hosts.
struct Shared(Arc<dyn Store>);

impl Store for Shared {
    crate::forward::forward!(owner apply get scan events prune claim_due => (0));

    fn caps(&self) -> Caps {
        let mut caps = self.0.caps();
        caps.multi_host = true;
        caps
    }
}

#[test]
fn a_worker_whose_clock_is_ahead_of_the_stores_ends_nothing_that_is_still_worth_doing() {
    let world = World::new();
    let store: Arc<dyn Store> = Arc::new(Shared(Arc::clone(&world.store)));
    let job = job(&Arc::default());
    let soon = Terms { expires_at: Some(later(world.wall(), Duration::from_secs(60))), ..Terms::default() };
    let submitted = block_on(job.submit_on(&world.sim, &store, &String::from("a"), &soon)).unwrap();
    let Submitted::Created(run) = submitted else { panic!("{submitted:?}") };
    let ahead = Off(world.sim.clone(), 5);
    let done = world.sim.block_on(job.work_off_on(ahead, &store)).unwrap().unwrap();
    assert_eq!(done.len(), 1, "it is worked on");
    assert_eq!(world.run(run.id()).state(), State::WaitingExternal);
}
