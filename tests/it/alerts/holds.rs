//! What a person holds is not begun, and goes on at once when it is let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::alert::Subject;
use unattended::blocking::block_on;
use unattended::call::Call;
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::holds::{Forced, Held, Holds, Switch};
use unattended::job::{Job, Terms};
use unattended::memory::Memory;
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::runs::Runs;
use unattended::store::{Ns, Store};
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp};
use unattended::{breaker, retry};

use super::{HOUR, MINUTE};

struct World {
    sim: Sim,
    store: Arc<dyn Store>,
    holds: Holds,
}

impl World {
    fn new() -> Self {
        let sim = Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000), 7);
        let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
        let holds = Holds::new(Arc::clone(&store));
        Self { sim, store, holds }
    }

    fn wall(&self) -> Timestamp {
        self.sim.now().wall
    }

    fn held(&self) -> Held {
        Held::new("operator:ada", "they migrate", self.wall())
    }
}

fn counting(name: &str, effect: Effect, begun: &Arc<AtomicU32>) -> Job {
    let begun = Arc::clone(begun);
    let step = Step::blocking("send", effect, move |_| Ok(begun.fetch_add(1, Ordering::SeqCst)));
    Job::new(name).step(step).build().unwrap()
}

#[test]
fn a_held_job_is_put_down_with_the_persons_reason_and_goes_on_when_it_is_released() {
    let (world, begun) = (World::new(), Arc::new(AtomicU32::new(0)));
    let mail = Subject::job("mail");
    block_on(world.holds.hold(&mail, &world.held())).unwrap();
    let job = counting("mail", Effect::Unsafe, &begun);
    let report = job.run_once_blocking_on(world.sim.clone(), &world.store, &1u64).unwrap();
    assert_eq!((report.exit_code(), begun.load(Ordering::SeqCst)), (75, 0));
    let run = report.run.unwrap();
    assert_eq!((run.body.code.as_str(), run.body.attempt), ("hold.job", 0), "{}", run.body.why);
    assert!(
        run.body.why.contains("they migrate") && run.body.why.contains("operator:ada"),
        "{}",
        run.body.why
    );
    assert_eq!(
        run.record.due_at,
        Some(world.wall() + MINUTE),
        "without an end it is asked again in a minute"
    );
    assert!(run.body.steps.iter().all(|step| step.state == unattended::runs::StepState::Pending));
    let other = counting("bill", Effect::Pure, &begun);
    other.run_once_blocking_on(world.sim.clone(), &world.store, &1u64).unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 1, "another job is not held");

    world.sim.advance(Duration::from_secs(2));
    block_on(world.holds.release(&mail, "operator:ada", "they are done", world.wall())).unwrap();
    let done = job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
    assert_eq!(done.iter().map(|run| run.state()).collect::<Vec<_>>(), [State::Succeeded], "at once");
    let events = block_on(world.store.events(Ns::SNAPSHOT, "hold/job/mail", 0, 10)).unwrap();
    let told: Vec<_> = events.iter().map(|e| (e.event.code.as_ref(), e.event.actor.as_str())).collect();
    assert_eq!(told, [("hold.set", "operator:ada"), ("hold.released", "operator:ada")]);
}

#[test]
fn a_hold_with_an_end_puts_off_until_then_and_is_over_by_itself() {
    let (world, begun) = (World::new(), Arc::new(AtomicU32::new(0)));
    let mail = Subject::job("mail");
    block_on(world.holds.hold(&mail, &world.held().until(world.wall() + HOUR))).unwrap();
    let job = counting("mail", Effect::Idempotent, &begun);
    let run = job.run_once_blocking_on(world.sim.clone(), &world.store, &1u64).unwrap().run.unwrap();
    assert_eq!(run.record.due_at, Some(world.wall() + HOUR));
    world.sim.advance(HOUR);
    assert_eq!(block_on(world.holds.check(&mail, world.wall())).unwrap(), None);
    assert!(block_on(world.holds.list(world.wall())).unwrap().is_empty());
    let done = job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
    assert_eq!((done.len(), begun.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_hundred_runs_of_a_held_job_are_put_down_and_none_is_begun() {
    let (world, begun) = (World::new(), Arc::new(AtomicU32::new(0)));
    let job = counting("mail", Effect::Unsafe, &begun);
    for id in 0..100u64 {
        let _submitted = job.submit_blocking(&world.store, &id, &Terms::default()).unwrap();
    }
    let mail = Subject::job("mail");
    block_on(world.holds.hold(&mail, &world.held())).unwrap();
    // Each pass is bounded; what is put down is not due again before a minute is over.
    let mut put_down = 0;
    loop {
        let passed = job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
        assert!(passed.iter().all(|run| run.body.code == "hold.job"));
        put_down += passed.len();
        if passed.is_empty() {
            break;
        }
    }
    assert_eq!((put_down, begun.load(Ordering::SeqCst)), (100, 0));
    world.sim.advance(Duration::from_secs(2));
    block_on(world.holds.release(&mail, "operator:ada", "", world.wall())).unwrap();
    while !job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap().is_empty() {}
    assert_eq!(begun.load(Ordering::SeqCst), 100);
}

fn call(world: &World, name: &str) -> Call<unattended::call::ByTrait, Sim> {
    Call::to(name)
        .retry(retry::Policy::once())
        .breaker(breaker::Policy::cron())
        .effect(Effect::Idempotent)
        .on(world.sim.clone())
        .persist(&world.store)
        .build()
        .unwrap()
}

#[test]
fn a_held_dependency_is_not_called_and_its_run_is_deferred() {
    let (world, mail) = (World::new(), Subject::dependency("mail"));
    let until = world.wall() + HOUR;
    block_on(world.holds.hold(&mail, &world.held().until(until))).unwrap();
    let refused = call(&world, "mail").run_blocking(|_| Ok::<_, Fault>(())).unwrap_err();
    assert_eq!((refused.code(), refused.retry_at()), ("hold.dependency", Some(until)), "{refused}");
    assert!(call(&world, "other").run_blocking(|_| Ok::<_, Fault>(())).is_ok());

    let adapter = call(&world, "mail");
    let step = Step::blocking("send", Effect::Idempotent, move |_| {
        adapter.run_blocking(|_| Ok::<_, Fault>(())).map_err(Into::into)
    });
    let job = Job::new("letters").step(step).build().unwrap();
    let run = job.run_once_blocking_on(world.sim.clone(), &world.store, &1u64).unwrap().run.unwrap();
    assert_eq!((run.body.code.as_str(), run.body.attempt), ("hold.dependency", 0), "{}", run.body.why);
    assert_eq!(run.record.due_at, Some(until));
    world.sim.advance(Duration::from_secs(2));
    block_on(world.holds.release(&mail, "operator:ada", "", world.wall())).unwrap();
    let run = block_on(Runs::new(Arc::clone(&world.store)).must_get(run.id())).unwrap();
    assert!(run.record.due_at.unwrap() <= world.wall(), "due at once: {}", run.body.why);
    let done = job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
    assert_eq!(done[0].state(), State::Succeeded);
}

#[test]
fn a_breaker_that_is_forced_wins_over_its_own_state() {
    let (world, api) = (World::new(), Subject::dependency("api"));
    block_on(world.holds.force("api", Forced::Open, &world.held())).unwrap();
    let adapter = call(&world, "api");
    let refused = adapter.run_blocking(|_| Ok::<_, Fault>(())).unwrap_err();
    assert_eq!((refused.code(), refused.retry_at()), ("breaker.forced_open", Some(world.wall() + MINUTE)));
    let standing = block_on(world.holds.list(world.wall())).unwrap();
    assert_eq!((standing[0].switch, &standing[0].subject), (Switch::Breaker(Forced::Open), &api));
    block_on(world.holds.auto("api", "operator:ada", "", world.wall())).unwrap();
    world.sim.advance(Duration::from_secs(2));
    for _ in 0..5 {
        let _failed = adapter.run_blocking(|_| Err::<(), _>(Fault::transient("http.503")));
    }
    let open = adapter.run_blocking(|_| Ok::<_, Fault>(())).unwrap_err();
    assert!(open.code().starts_with("breaker."), "{open}");
    block_on(world.holds.force("api", Forced::Closed, &world.held())).unwrap();
    world.sim.advance(Duration::from_secs(2));
    assert!(adapter.run_blocking(|_| Ok::<_, Fault>(())).is_ok(), "let in, whatever it has counted");
    block_on(world.holds.auto("api", "operator:ada", "", world.wall())).unwrap();
    world.sim.advance(Duration::from_secs(2));
    assert!(adapter.run_blocking(|_| Ok::<_, Fault>(())).is_err(), "it decides by itself again");
}
