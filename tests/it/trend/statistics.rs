//! How the ends of runs and of calls come to their trends, and are kept in the store.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::call::Call;
use unattended::effect::Effect;
use unattended::explain::Explain;
use unattended::fault::Fault;
use unattended::job::{Job, Terms};
use unattended::pipeline::{Step, StepError};
use unattended::retry;
use unattended::shutdown::Shutdown;
use unattended::statistics::{Builder, Counts, Ended, Error, Raised, Statistics, Stream, Subject};
use unattended::store::{self, Batch, Expect, Ns, Put, Store, Write};
use unattended::time::{Clock, Sleep, SleepBlocking};
use unattended::worker::Worker;

use crate::world::World;

/// What was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Raised>>>);

impl Told {
    fn by(&self, builder: Builder) -> Statistics {
        let told = self.clone();
        builder.tell(move |raised| told.0.lock().unwrap().push(raised.clone())).build()
    }

    fn take(&self) -> Vec<(String, &'static str, Stream)> {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        told.into_iter().map(|raised| (raised.subject.to_string(), raised.code(), raised.stream)).collect()
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A job of which an input that is a string fails for good.
fn job(statistics: &Statistics) -> Job {
    Job::new("publish")
        .step(Step::blocking("read", Effect::Pure, |cx| match cx.input::<Option<u64>>()? {
            Some(id) => Ok(id),
            None => Err(StepError::permanent("feed.gone", "no feed")),
        }))
        .statistics(statistics)
        .build()
        .unwrap()
}

fn events(store: &Arc<dyn Store>, subject: &Subject) -> Vec<(String, Option<String>)> {
    let events = block_on(store.events(Ns::SNAPSHOT, &subject.key(), 0, 100)).unwrap();
    events.into_iter().map(|stored| (stored.event.code.to_string(), stored.event.data)).collect()
}

#[test]
fn runs_that_begin_to_fail_are_told_once_and_so_is_their_recovery() {
    let (world, told) = (World::new(), Told::default());
    let statistics = told.by(Statistics::new(Arc::clone(&world.store)));
    let job = job(&statistics);
    let run = |input: Option<u64>| {
        let report = job.run_once_blocking_on(world.sim.clone(), &world.store, &input).unwrap();
        world.secs(60);
        report.exit_code()
    };
    for id in 0..100 {
        assert_eq!(run((id % 50 != 0).then_some(id)), u8::from(id % 50 == 0));
    }
    assert_eq!(told.take(), []);
    for n in 0..30u64 {
        run((n % 3 > 0).then_some(n));
    }
    let worse = |stream| (String::from("job publish"), "trend.worse", stream);
    assert_eq!(told.take(), [worse(Stream::Failed), worse(Stream::DeadLettered)]);
    for id in 0..60 {
        run(Some(id));
    }
    let better = |stream| (String::from("job publish"), "trend.recovered", stream);
    assert_eq!(told.take(), [better(Stream::Failed), better(Stream::DeadLettered)]);
    let report = statistics.read_blocking(&Subject::job("publish")).unwrap().unwrap();
    assert_eq!((report.counts.ended, report.counts.failed, report.counts.dead_lettered), (190, 12, 12));
    assert!(Stream::ALL.iter().all(|stream| report.open_since(*stream).is_none()));
    // What was told stands in the store, with all its numbers.
    let events = events(&world.store, &Subject::job("publish"));
    assert_eq!(
        events.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(),
        ["trend.worse", "trend.recovered"]
    );
    let data: serde_json::Value = serde_json::from_str(events[0].1.as_deref().unwrap()).unwrap();
    assert_eq!((&data[0]["stream"], &data[1]["stream"]), (&"failed".into(), &"dead_lettered".into()));
    assert!(data[0]["what"]["alert"]["usual_of"].as_u64().unwrap() > 50);
}

#[test]
fn an_alert_is_remembered_before_it_is_told() {
    let world = World::new();
    let (store, seen) = (Arc::clone(&world.store), Arc::new(Mutex::new(None)));
    let told = Arc::clone(&seen);
    let statistics = Statistics::new(Arc::clone(&world.store))
        .tell(move |raised| *told.lock().unwrap() = Some(events(&store, &raised.subject).len()))
        .build();
    let subject = Subject::job("a");
    for _ in 0..3 {
        statistics.note(&subject, Ended::failed(), world.sim.now());
    }
    statistics.flush_blocking().unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(1));
    // Whoever comes after one that died before it told does not tell again.
    let told = Told::default();
    let next = told.by(Statistics::new(world.other()));
    next.note(&subject, Ended::failed(), world.sim.now());
    next.flush_blocking().unwrap();
    assert_eq!(told.take(), []);
    assert_eq!(next.read_blocking(&subject).unwrap().unwrap().counts.failed, 4);
}

#[test]
fn processes_on_one_store_keep_one_statistics() {
    let (world, told) = (World::new(), Told::default());
    let handles: Vec<Statistics> = (0..4).map(|_| told.by(Statistics::new(world.other()).batch(3))).collect();
    let subject = Subject::dependency("api");
    for n in 0..400usize {
        let handle = &handles[n % 4];
        let ended = if n % 100 == 7 || n >= 390 { Ended::failed() } else { Ended::ok(secs(1)) };
        handle.note(&subject, ended.retried(false), world.sim.now());
        world.secs(1);
        if handle.is_due(world.sim.now()) {
            handle.flush_blocking().unwrap();
        }
    }
    for handle in &handles {
        handle.flush_blocking().unwrap();
    }
    let report = handles[0].read_blocking(&subject).unwrap().unwrap();
    assert_eq!((report.counts.ended, report.counts.failed, report.counts.retried), (400, 14, 0));
    assert_eq!(told.take(), [(String::from("dependency api"), "trend.worse", Stream::Failed)]);
    assert!((0.98..1.02).contains(&report.duration(0.5).unwrap().as_secs_f64()));
}

#[test]
fn threads_that_write_at_once_lose_nothing() {
    let world = World::new();
    let subject = Subject::job("busy");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let statistics = Statistics::new(world.other()).build();
            let (subject, sim) = (subject.clone(), world.sim.clone());
            scope.spawn(move || {
                for _ in 0..50 {
                    statistics.note(&subject, Ended::ok(secs(2)), sim.now());
                    while statistics.flush_blocking().is_err() {}
                }
            });
        }
    });
    let report = Statistics::new(world.other()).build().read_blocking(&subject).unwrap().unwrap();
    assert_eq!(report.counts.ended, 200);
}

#[test]
fn what_is_due_is_due_by_count_or_by_age() {
    let world = World::new();
    let statistics = Statistics::new(Arc::clone(&world.store)).batch(3).every(secs(10)).build();
    let note = || statistics.note(&Subject::job("a"), Ended::ok(secs(1)), world.sim.now());
    assert!(!statistics.is_due(world.sim.now()));
    note();
    note();
    assert!(!statistics.is_due(world.sim.now()));
    note();
    assert!(statistics.is_due(world.sim.now()));
    statistics.flush_blocking().unwrap();
    note();
    world.secs(9);
    assert!(!statistics.is_due(world.sim.now()));
    world.secs(1);
    assert!(statistics.is_due(world.sim.now()));
}

#[test]
fn a_store_that_is_down_fails_no_run_and_what_was_noted_is_written_later() {
    let world = World::new();
    let broken = Arc::new(unattended::memory::Memory::new());
    let statistics = Statistics::new(Arc::clone(&broken) as Arc<dyn Store>).build();
    let subject = Subject::job("publish");
    // What stands there is none of ours.
    let put = Put { state: Some("saved".into()), body: Some("\"other\"".into()), ..Put::default() };
    let write = |expect| Batch::of(Write::new(Ns::SNAPSHOT, subject.key(), expect, put.clone()));
    block_on(broken.apply(write(Expect::Absent))).unwrap();
    let job = job(&statistics);
    for id in 0..5u64 {
        let report = job.run_once_blocking_on(world.sim.clone(), &world.store, &Some(id)).unwrap();
        assert_eq!(report.exit_code(), 0);
    }
    assert!(matches!(statistics.flush_blocking(), Err(Error::Store(store::Error::Corrupt { .. }))));
    let record = block_on(broken.get(Ns::SNAPSHOT, &subject.key())).unwrap().unwrap();
    let body = Statistics::new(Arc::clone(&world.store)).build();
    body.note(&subject, Ended::ok(secs(1)), world.sim.now());
    body.flush_blocking().unwrap();
    let sound = block_on(world.store.get(Ns::SNAPSHOT, &subject.key())).unwrap().unwrap().body;
    let put = Put { body: Some(sound.to_string()), ..Put::default() };
    let mended = Write::new(Ns::SNAPSHOT, subject.key(), Expect::Version(record.version), put);
    block_on(broken.apply(Batch::of(mended))).unwrap();
    statistics.flush_blocking().unwrap();
    assert_eq!(statistics.read_blocking(&subject).unwrap().unwrap().counts.ended, 6);
    assert_eq!(statistics.lost(), 0);
}

#[test]
fn what_cannot_be_written_for_long_is_bounded_and_the_last_is_kept() {
    let world = World::new();
    let statistics = Statistics::new(Arc::clone(&world.store)).build();
    for n in 0..5000u64 {
        statistics.note(&Subject::job("a"), Ended::ok(secs(n)), world.sim.now());
    }
    assert_eq!(statistics.lost(), 5000 - 4096);
    statistics.flush_blocking().unwrap();
    assert_eq!(statistics.read_blocking(&Subject::job("a")).unwrap().unwrap().counts.ended, 4096);
}

#[test]
fn a_run_that_is_handed_over_to_a_later_time_has_not_failed() {
    let world = World::new();
    let statistics = Statistics::new(Arc::clone(&world.store)).build();
    let sim = world.sim.clone();
    let job = Job::new("publish")
        .step(Step::blocking("ask", Effect::Idempotent, move |_| {
            let policy = retry::Policy::cron();
            let asked = policy
                .classify(|_: &io::Error| Fault::rate_limited(Some(secs(7200))))
                .on(&sim)
                .run_blocking(|_| Err::<(), _>(io::Error::other("quota")));
            Ok(asked?)
        }))
        .statistics(&statistics)
        .build()
        .unwrap();
    let report = job.run_once_blocking_on(world.sim.clone(), &world.store, "a").unwrap();
    assert_eq!(report.exit_code(), 75);
    let kept = statistics.read_blocking(&Subject::job("publish")).unwrap().unwrap();
    assert_eq!(kept.counts, Counts::default());
    assert_eq!(kept.refusals.values().sum::<u64>(), 1, "{:?}", kept.refusals);
}

#[test]
fn a_worker_writes_what_is_left_at_its_end() {
    let world = World::new();
    let statistics = Statistics::new(Arc::clone(&world.store)).build();
    let job = job(&statistics);
    for id in 0..10u64 {
        let _submitted =
            block_on(job.submit(&world.store, &(id > 2).then_some(id), &Terms::default())).unwrap();
    }
    let (shutdown, sim) = (Shutdown::new(), world.sim.clone());
    let worker = Worker::new(Arc::clone(&world.store)).job(job).build().unwrap();
    let last = shutdown.clone();
    let (summary, ()) = world
        .sim
        .block_on(async {
            let stop = async {
                sim.sleep(secs(60)).await;
                let _phase = last.trigger();
            };
            let mut both = (Box::pin(worker.run_on(sim.clone(), &shutdown)), Box::pin(stop));
            let mut summary = None;
            let mut stopped = false;
            std::future::poll_fn(move |context| {
                use std::future::Future;
                use std::task::Poll;
                if !stopped && both.1.as_mut().poll(context).is_ready() {
                    stopped = true;
                }
                if summary.is_none()
                    && let Poll::Ready(done) = both.0.as_mut().poll(context)
                {
                    summary = Some(done);
                }
                if stopped && summary.is_some() { Poll::Ready((summary.take(), ())) } else { Poll::Pending }
            })
            .await
        })
        .unwrap();
    assert!(summary.is_some());
    let report = statistics.read_blocking(&Subject::job("publish")).unwrap().unwrap();
    assert_eq!((report.counts.ended, report.counts.failed), (10, 3));
}

#[test]
fn calls_are_counted_by_their_ends_and_slow_ones_are_found() {
    let (world, told) = (World::new(), Told::default());
    let statistics = told.by(Statistics::new(Arc::clone(&world.store)).batch(1));
    let api = Call::to("api")
        .retry(retry::Policy::cron())
        .classify(|_: &io::Error| Fault::transient("io"))
        .effect(Effect::Idempotent)
        .statistics(&statistics)
        .on(world.sim.clone())
        .build()
        .unwrap();
    let sim = world.sim.clone();
    let call = |takes: u64, fails: u32| {
        api.run_blocking(|attempt| {
            sim.sleep_blocking(Duration::from_millis(takes));
            if attempt.number() <= fails { Err(io::Error::other("down")) } else { Ok(()) }
        })
        .is_ok()
    };
    for n in 0..200u64 {
        assert!(call(100 + n * 17 % 40, u32::from(n % 100 == 50)));
    }
    assert!(!call(100, 9));
    let subject = Subject::dependency("api");
    let report = statistics.read_blocking(&subject).unwrap().unwrap();
    assert_eq!((report.counts.ended, report.counts.failed, report.counts.retried), (201, 1, 3));
    assert_eq!(told.take(), []);
    let found = (0..100).position(|n| {
        assert!(call(300 + n * 17 % 40, 0));
        told.take() == [(String::from("dependency api"), "trend.worse", Stream::SlowerThanMedian)]
    });
    assert!(found < Some(20), "{found:?}");
}

#[test]
fn what_is_usual_can_be_learned_anew() {
    let (world, told) = (World::new(), Told::default());
    let statistics = told.by(Statistics::new(Arc::clone(&world.store)));
    let subject = Subject::job("a");
    assert!(!block_on(statistics.relearn(&subject)).unwrap());
    for _ in 0..3 {
        statistics.note(&subject, Ended::failed(), world.sim.now());
    }
    statistics.flush_blocking().unwrap();
    assert_eq!(told.take().len(), 1);
    assert!(block_on(statistics.relearn(&subject)).unwrap());
    let report = statistics.read_blocking(&subject).unwrap().unwrap();
    assert_eq!((report.counts.failed, report.open_since(Stream::Failed)), (3, None));
    assert_eq!(events(&world.store, &subject).len(), 2);
}

#[test]
fn names_that_no_key_takes_are_cut() {
    let long = Subject::job("ä".repeat(1000)).key();
    assert!(long.len() <= 512 && long.starts_with("statistics/job/ä"));
    assert_eq!(Subject::dependency("a\0b").key(), "statistics/dependency/a?b");
}
