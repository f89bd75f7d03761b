//! Several processes on one store: their clocks differ, one of them dies, one is started by cron.

use unattended::store::Batch;
use unattended::time::Now;

use super::*;
use crate::world::{Faulty, Inject, cut};

/// A process whose wall clock is wrong by so much.
#[derive(Clone)]
struct Skewed(Sim, TimeDelta);

impl Clock for Skewed {
    fn now(&self) -> Now {
        let now = self.0.now();
        Now { wall: now.wall + self.1, ..now }
    }
}

impl Sleep for Skewed {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }
}

fn nominal(told: &[(i64, String)]) -> Vec<&str> {
    told.iter().filter(|(_, what)| what.starts_with("run")).map(|(_, what)| &**what).collect()
}

#[test]
fn clocks_that_differ_by_minutes_run_each_occurrence_once() {
    for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All { at_most: 5 }] {
        let sim = Sim::new(at(10), 1);
        let told = Told::default();
        let memory = Arc::new(Memory::on(Arc::new(sim.clone())));
        let timer = |store: Arc<dyn Store>| {
            let entry = entry(&sim, &told, MINUTE).policy(policy(catch_up)).since(at(0));
            Timer::new().entry(entry).saved_in(store).build().unwrap()
        };
        let timers = [timer(Arc::new(memory.second())), timer(Arc::new(memory.second())), timer(memory)];
        let shutdown = Shutdown::new();
        let mut futures: Vec<BoxFuture<'_, ()>> = Vec::new();
        for (timer, minutes) in timers.iter().zip([7, 0, -5]) {
            let (clock, shutdown) = (Skewed(sim.clone(), TimeDelta::minutes(minutes)), shutdown.clone());
            futures.push(Box::pin(async move {
                let _summary = timer.run_on(clock, &shutdown).await;
            }));
        }
        futures.push(Box::pin(async {
            sim.sleep(24 * HOUR).await;
            shutdown.trigger();
        }));
        sim.join(futures).unwrap();
        let expected: Vec<String> = (1..=24).map(|hour| format!("run {}", hour * 60)).collect();
        assert_eq!(nominal(&taken(&told)), expected, "{catch_up:?}");
    }
}

/// Of the writes of the timer's own record, from the second on.
fn notes(batch: &Batch) -> bool {
    batch.writes().iter().any(|write| write.ns == Ns::SNAPSHOT && write.event.is_some())
}

#[test]
fn a_process_that_dies_between_the_submission_and_its_note_submits_once() {
    let sim = Sim::new(at(50), 1);
    let told = Told::default();
    let memory = Arc::new(Memory::on(Arc::new(sim.clone())));
    let store: Arc<dyn Store> = Arc::<Memory>::clone(&memory);
    let entry = || {
        let job = books(&sim, &told, MINUTE);
        Entry::new("books", hourly()).job(job, |occasion| minutes(occasion.occurrence.nominal))
    };
    let dying: Arc<dyn Store> =
        Arc::new(Faulty::new(&store, |_, batch| if notes(batch) { Inject::Hang } else { Inject::Pass }));
    let dies = Timer::new().entry(entry()).saved_in(dying).build().unwrap();
    let never = Shutdown::new();
    assert!(cut(&sim, 11 * MINUTE, dies.run_on(sim.clone(), &never)).is_none());
    assert_eq!(runs_of(&sim, &store).len(), 1, "submitted, and not noted");
    let next = Timer::new().entry(entry()).saved_in(Arc::clone(&store)).build().unwrap();
    let summary = beside(&sim, &next, sim.sleep(10 * MINUTE));
    assert_eq!((summary.begun, runs_of(&sim, &store).len()), (1, 1));
}

#[test]
fn a_process_that_dies_between_its_note_and_the_work_has_run_it() {
    let sim = Sim::new(at(50), 1);
    let told = Told::default();
    let memory: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    // Written, and whoever wrote it is dead before he hears of it.
    let late =
        Arc::new(Faulty::new(&memory, |_, batch| if notes(batch) { Inject::CutAfter } else { Inject::Pass }));
    let timer = |store: Arc<dyn Store>| {
        let entry = entry(&sim, &told, MINUTE).policy(policy(CatchUp::Once));
        Timer::new().entry(entry).saved_in(store).build().unwrap()
    };
    let (dies, never) = (timer(late), Shutdown::new());
    assert!(cut(&sim, 10 * MINUTE + Duration::from_millis(100), dies.run_on(sim.clone(), &never)).is_none());
    assert_eq!(taken(&told), []);
    sim.set_wall(at(65));
    beside(&sim, &timer(memory), sim.sleep(60 * MINUTE));
    assert_eq!(nominal(&taken(&told)), ["run 120"]);
}

#[test]
fn an_occurrence_that_waits_for_a_run_waits_for_it_after_a_restart_too() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let job = || books(&sim, &told, 150 * MINUTE);
    let timer = || {
        let entry = Entry::new("books", hourly())
            .policy(policy(CatchUp::Once).overlap(Overlap::QueueOne))
            .job(job(), |occasion| minutes(occasion.occurrence.nominal));
        observed(&sim, &told, Timer::new().entry(entry).saved_in(Arc::clone(&store)))
    };
    let worker = Worker::new(Arc::clone(&store)).job(job()).concurrency(4).build().unwrap();
    let (first, second) = (timer(), timer());
    let (shutdown, restart) = (Shutdown::new(), Shutdown::new());
    let futures: [BoxFuture<'_, ()>; 3] = [
        Box::pin(async {
            let _summary = worker.run_on(sim.clone(), &shutdown).await;
        }),
        Box::pin(async {
            let _summary = first.run_on(sim.clone(), &restart).await;
            let _summary = second.run_on(sim.clone(), &shutdown).await;
        }),
        Box::pin(async {
            sim.sleep(130 * MINUTE).await;
            restart.trigger();
            sim.sleep(100 * MINUTE).await;
            shutdown.at_once();
        }),
    ];
    sim.join(futures).unwrap();
    let told = taken(&told);
    let closes: Vec<&str> =
        told.iter().filter(|(_, what)| what.starts_with("close")).map(|(_, what)| &**what).collect();
    assert_eq!(closes, ["close 60", "close 180"], "{told:?}");
    let begun = told.iter().find(|(_, what)| what == "close 180").map(|(at, _)| *at);
    assert!(begun.is_some_and(|at| (210..=212).contains(&at)), "{told:?}");
}

#[test]
fn a_pass_begins_nothing_after_the_window_has_closed() {
    let sim = Sim::new(at(150), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let pass = || {
        let (clock, heard) = (sim.clone(), Arc::clone(&told));
        let entry = Entry::new("report", Schedule::every(20 * MINUTE).unwrap())
            .policy(policy(CatchUp::All { at_most: 4 }))
            .since(at(0))
            .during("02:00-02:45".parse().unwrap())
            .run_blocking(move |occasion: Occasion| {
                let what = format!("run {}", minutes(occasion.occurrence.nominal));
                heard.lock().unwrap().push((minutes(clock.now().wall), what));
                clock.advance(10 * MINUTE);
                Ok::<(), Infallible>(())
            });
        let timer = observed(&sim, &told, Timer::new().entry(entry).saved_in(Arc::clone(&store)));
        timer.pass_blocking_on(sim.clone()).unwrap().begun
    };
    assert_eq!(pass(), 2);
    let expected =
        [(150, "schedule.too_many 3"), (150, "run 80"), (160, "run 100"), (170, "timer.window_closed")];
    assert_eq!(taken(&told), lines(&expected));
    // The rest is there the next time that it is open.
    sim.set_wall(at(1440 + 125));
    assert!(pass() > 0);
}

#[test]
fn side_by_side_at_most_sixteen_run_and_more_are_told() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let entry = entry(&sim, &told, 1000 * HOUR).policy(policy(CatchUp::Once).overlap(Overlap::Allow));
    let timer = observed(&sim, &told, Timer::new().entry(entry).grace(MINUTE));
    let summary = beside(&sim, &timer, sim.sleep(20 * HOUR + MINUTE));
    assert_eq!((summary.begun, summary.overlapped, summary.left), (16, 4, 16));
    assert_eq!(taken(&told).iter().filter(|(_, what)| what.starts_with("schedule.too_many_run")).count(), 4);
}
