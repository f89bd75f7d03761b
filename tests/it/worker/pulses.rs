//! What a job's beats say, as another process sees it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::heartbeat::{Policy, Status};
use unattended::job::Job;
use unattended::memory::Memory;
use unattended::monitor::{Finding, Monitor, Pulse};
use unattended::pipeline::{Cx, Step, StepError};
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::time::{BoxFuture, Clock, Now, Sleep};
use unattended::worker::{Standing, Summary, Watch};

use super::{queue, run_one, secs, worker};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

/// A store for the beats alone.
fn beats(world: &World) -> Arc<dyn Store> {
    Arc::new(Memory::on(Arc::new(world.sim.clone())))
}

/// As another process sees it.
fn seen(beats: &Arc<dyn Store>, now: Now) -> Status {
    let monitor = Monitor::new(Arc::clone(beats), "ops").build().unwrap();
    let entries = monitor.check_blocking(now).unwrap().entries;
    let found = entries.into_iter().find(|entry| entry.name == "import").map(|entry| entry.finding);
    match found {
        Some(Finding::Job(status)) => status,
        other => panic!("{other:?}"),
    }
}

fn pulse(beats: &Arc<dyn Store>) -> Pulse {
    let monitor = Monitor::new(Arc::clone(beats), "ops").expect("import", Policy::every(HOUR).run_max(HOUR));
    monitor.build().unwrap().pulse("import").unwrap()
}

#[test]
fn a_run_that_was_lost_is_not_taken_to_run_for_ever() {
    let world = World::new();
    let (beats, clock, elsewhere) = (beats(&world), world.sim.clone(), world.other());
    // Another process, which tells nobody, takes it over.
    let other = Step::blocking("step", Effect::Pure, |_| Ok::<(), StepError>(()));
    let other = Job::new("import").step(other).build().unwrap();
    let taken_over = move |_: &Cx| {
        clock.advance(24 * HOUR);
        let done = other.work_off_blocking_on(clock.clone(), &elsewhere).unwrap();
        assert_eq!(done.len(), 1);
        Ok::<(), StepError>(())
    };
    let step = Step::blocking("step", Effect::Pure, taken_over);
    let job = Job::new("import").step(step).pulse(pulse(&beats)).build().unwrap();
    drop(block_on(job.run_once_on(world.sim.clone(), &world.store, &1)));
    assert_eq!(seen(&beats, world.sim.now()).running, 0);
}

#[test]
fn a_run_of_a_cron_process_is_told_as_it_begins() {
    let world = World::new();
    let (beats, clock) = (beats(&world), world.sim.clone());
    let others = Arc::clone(&beats);
    let looks = move |_: &Cx| Ok::<_, StepError>(seen(&others, clock.now()).running);
    let step = Step::blocking("step", Effect::Pure, looks);
    let job = Job::new("import").step(step).pulse(pulse(&beats)).build().unwrap();
    let report = job.run_once_blocking_on(world.sim.clone(), &world.store, &1).unwrap();
    assert_eq!(report.run.unwrap().body.output.unwrap().get(), "1");
}

struct Hangs;

impl Watch for Hangs {
    fn told(&self, _: Now, _: &Standing) {}

    fn flush(&self, _: Now) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }
}

#[test]
fn a_worker_writes_beats_though_no_other_run_ends_and_does_not_wait_for_a_watcher_that_hangs() {
    let world = World::new();
    let beats = beats(&world);
    let step = Step::blocking("step", Effect::Pure, |_| Ok::<(), StepError>(()));
    let job = Job::new("import").step(step).pulse(pulse(&beats)).build().unwrap();
    queue(&world, &job, "1");
    let worker = worker(&world.store, job).watched_by(Arc::new(Hangs)).build().unwrap();
    let (shutdown, sim) = (Shutdown::new(), &world.sim);
    let asked = shutdown.clone();
    let story: BoxFuture<'_, Option<Summary>> = Box::pin(async {
        sim.sleep(secs(90)).await;
        assert!(seen(&beats, sim.now()).last_success.is_some(), "it succeeded a minute and a half ago");
        asked.trigger();
        None
    });
    let run: BoxFuture<'_, Option<Summary>> = Box::pin(run_one(&worker, sim.clone(), shutdown));
    drop(sim.join([story, run]).unwrap());
    assert!(sim.elapsed() < secs(120), "{:?}", sim.elapsed());
}
