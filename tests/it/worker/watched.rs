//! What those who watch a worker are told, and when they are told nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::effect::Effect;
use unattended::heartbeat;
use unattended::monitor::{Living, Monitor};
use unattended::store::Store;
use unattended::time::{Clock, Now};
use unattended::worker::{Course, Standing, Watch, Worker};

use super::{Counted, Log, job, queue, run_for, secs, worker};
use crate::world::World;

#[derive(Default)]
struct Heard {
    told: Mutex<Vec<(Duration, Standing)>>,
    flushed: AtomicUsize,
    begun: Mutex<Option<Now>>,
}

impl Watch for Heard {
    fn told(&self, now: Now, standing: &Standing) {
        let begun = *self.begun.lock().unwrap().get_or_insert(now);
        self.told.lock().unwrap().push((now.moment.since(begun.moment), *standing));
    }

    fn flush(&self, _now: Now) -> unattended::time::BoxFuture<'_, ()> {
        self.flushed.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn progress_is_told_at_most_four_times_a_second_and_each_change_at_once() {
    let (world, log, heard) = (World::new(), Log::default(), Arc::new(Heard::default()));
    let job = job("quick", log.step(&world.sim, Effect::Pure, Duration::from_millis(10)));
    for n in 0..500 {
        queue(&world, &job, &n.to_string());
    }
    let watcher: Arc<dyn Watch> = Arc::<Heard>::clone(&heard);
    let worker = worker(&world.store, job).concurrency(2).watched_by(watcher).build().unwrap();
    let summary = run_for(&world, secs(20), &[&worker]).pop().unwrap();
    let told = heard.told.lock().unwrap();
    assert!(told.len() <= 20 * 4 + 3 && told.len() >= 20, "{}", told.len());
    let (first, last) = (told[0].1, told[told.len() - 1].1);
    assert_eq!((first.course, last.course), (Course::Working, Course::Stopped));
    assert_eq!((last.claimed, last.ended, last.running), (summary.claimed, 500, 0));
    assert!(told.iter().any(|(_, standing)| matches!(standing.course, Course::Draining { .. })));
    assert!(heard.flushed.load(Ordering::SeqCst) >= 2);
}

#[test]
fn a_store_that_does_not_answer_is_no_progress() {
    let (world, log, heard) = (World::new(), Log::default(), Arc::new(Heard::default()));
    let counted = Counted::new(&world.store);
    let store: Arc<dyn Store> = Arc::<Counted>::clone(&counted);
    let watcher: Arc<dyn Watch> = Arc::<Heard>::clone(&heard);
    let job = job("idle", log.step(&world.sim, Effect::Pure, secs(1)));
    let worker = worker(&store, job).watched_by(watcher).build().unwrap();
    counted.down.store(true, Ordering::SeqCst);
    drop(run_for(&world, secs(60), &[&worker]));
    let told: Vec<_> = heard.told.lock().unwrap().iter().map(|(_, standing)| standing.course).collect();
    assert!(!told.contains(&Course::Working), "{told:?}");
}

#[test]
fn a_run_that_hangs_makes_the_worker_silent() {
    let (world, log, heard) = (World::new(), Log::default(), Arc::new(Heard::default()));
    let job = job("hangs", log.step(&world.sim, Effect::Pure, secs(3600)));
    queue(&world, &job, "a");
    let watcher: Arc<dyn Watch> = Arc::<Heard>::clone(&heard);
    let worker = worker(&world.store, job)
        .watched_by(watcher)
        .hangs_after(secs(60))
        .grace(Duration::ZERO)
        .build()
        .unwrap();
    drop(run_for(&world, secs(600), &[&worker]));
    let told = heard.told.lock().unwrap();
    let working: Vec<_> = told.iter().filter(|(_, standing)| standing.course == Course::Working).collect();
    let last = working.last().unwrap().0;
    assert!(last <= secs(61) && last >= secs(50), "{last:?}");
}

#[test]
fn bounds_of_watching_are_checked() {
    let (world, log) = (World::new(), Log::default());
    let build = |limit| {
        worker(&world.store, job("x", log.step(&world.sim, Effect::Pure, secs(1)))).hangs_after(limit).build()
    };
    assert_eq!(build(Duration::ZERO).unwrap_err().field, "hangs_after");
    let many = (0..9)
        .fold(worker(&world.store, job("x", log.step(&world.sim, Effect::Pure, secs(1)))), |all, _| {
            all.watched_by(Arc::new(Heard::default()))
        });
    assert_eq!(many.build().unwrap_err().field, "watched_by");
}

#[test]
fn a_worker_that_died_is_missed_and_one_that_works_is_not() {
    let (world, log) = (World::new(), Log::default());
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let monitor = Monitor::new(Arc::clone(&world.store), "watch")
        .expect("worker-1", heartbeat::Policy::every(secs(120)))
        .on_event(move |raised| heard.lock().unwrap().push(raised.to_string()))
        .build()
        .unwrap();
    let living = Living::new(monitor.pulse("worker-1").unwrap());
    let worker: Worker = worker(&world.store, job("idle", log.step(&world.sim, Effect::Pure, secs(1))))
        .watched_by(Arc::new(living))
        .build()
        .unwrap();
    for _ in 0..20 {
        drop(run_for(&world, secs(60), &[&worker]));
        drop(monitor.check_blocking(world.sim.now()).unwrap());
    }
    let so_far = told.lock().unwrap().clone();
    assert_eq!(so_far.len(), 1, "{:?}", so_far);
    for _ in 0..10 {
        world.sim.advance(secs(60));
        drop(monitor.check_blocking(world.sim.now()).unwrap());
    }
    let so_far = told.lock().unwrap().clone();
    assert_eq!(so_far.len(), 2, "overdue: {:?}", so_far);
}

#[cfg(all(feature = "systemd", unix))]
#[test]
fn systemd_is_told_that_it_is_ready_how_it_stands_and_that_it_ends() {
    use unattended::systemd::{Live, Notifier};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(secs(10))).unwrap();
    let (world, log) = (World::new(), Log::default());
    let job = job("quick", log.step(&world.sim, Effect::Pure, secs(2)));
    queue(&world, &job, "a");
    let live = Live::with(&Notifier::to(&path).unwrap(), None);
    let worker = worker(&world.store, job).grace(secs(30)).watched_by(Arc::new(live)).build().unwrap();
    drop(run_for(&world, secs(1), &[&worker]));
    let mut lines = Vec::new();
    let mut buffer = [0; 4096];
    while !lines.iter().any(|line: &String| line.starts_with("STATUS=ended")) {
        let length = socket.recv(&mut buffer).unwrap();
        lines.extend(std::str::from_utf8(&buffer[..length]).unwrap().lines().map(str::to_owned));
    }
    let place = |start: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no {start} in {lines:?}"))
    };
    assert!(place("READY=1") < place("STATUS=working"));
    assert!(place("STATUS=working") < place("STOPPING=1") && place("STOPPING=1") < place("STATUS=ended"));
    assert!(lines.contains(&String::from("EXTEND_TIMEOUT_USEC=40000000")), "{lines:?}");
}
