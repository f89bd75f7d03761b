//! The faces of a worker in real time: threads without a runtime, and tokio. And what a builder refuses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::memory::Memory;
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::text::Rate;
use unattended::worker::{Limits, Stopped, Worker};

use super::secs;

/// A job that counts its runs, and asks for the end with the last.
fn counting(step: impl Fn(Arc<AtomicU64>, Shutdown) -> Step, shutdown: &Shutdown) -> (Job, Arc<AtomicU64>) {
    let done = Arc::new(AtomicU64::new(0));
    let job = Job::new("count").step(step(Arc::clone(&done), shutdown.clone())).build().unwrap();
    (job, done)
}

fn enqueue(store: &Arc<dyn Store>, job: &Job, runs: u64) {
    for run in 0..runs {
        drop(job.submit_blocking(store, &run, &Terms::default()).unwrap());
    }
}

#[test]
fn without_a_runtime_steps_that_block_run_side_by_side_on_threads() {
    let (store, shutdown): (Arc<dyn Store>, _) = (Arc::new(Memory::new()), Shutdown::new());
    // Nobody gets past the barrier alone.
    let barrier = Arc::new(Barrier::new(4));
    let step = |done: Arc<AtomicU64>, shutdown: Shutdown| {
        let barrier = Arc::clone(&barrier);
        Step::blocking("meet", Effect::Pure, move |_| {
            barrier.wait();
            if done.fetch_add(1, Ordering::SeqCst) == 39 {
                shutdown.trigger();
            }
            Ok(())
        })
    };
    let (job, _) = counting(step, &shutdown);
    enqueue(&store, &job, 40);
    let summary = Worker::new(store).job(job).concurrency(4).build().unwrap().run_blocking(&shutdown);
    assert_eq!(
        (summary.stopped.clone(), summary.ended_in(State::Succeeded)),
        (Stopped::Drained, 40),
        "{summary}"
    );
}

#[test]
fn without_a_runtime_a_step_that_hangs_does_not_keep_the_end() {
    let (store, shutdown): (Arc<dyn Store>, _) = (Arc::new(Memory::new()), Shutdown::new());
    let step = |_: Arc<AtomicU64>, shutdown: Shutdown| {
        Step::new("hang", Effect::Idempotent, move |_| {
            shutdown.at_once();
            std::future::pending::<Result<(), _>>()
        })
    };
    let (job, _) = counting(step, &shutdown);
    enqueue(&store, &job, 1);
    let summary = Worker::new(store).job(job).build().unwrap().run_blocking(&shutdown);
    assert_eq!((summary.stopped.clone(), summary.handed_back), (Stopped::AtOnce, 1), "{summary}");
}

#[cfg(feature = "tokio")]
#[test]
fn on_a_runtime_steps_of_both_kinds_are_worked_on() {
    for threads in [1, 2] {
        let (store, shutdown): (Arc<dyn Store>, _) = (Arc::new(Memory::new()), Shutdown::new());
        let step = |done: Arc<AtomicU64>, shutdown: Shutdown| {
            Step::blocking("count", Effect::Pure, move |_| {
                if done.fetch_add(1, Ordering::SeqCst) == 99 {
                    shutdown.trigger();
                }
                Ok(())
            })
        };
        let (job, done) = counting(step, &shutdown);
        let both = Job::new("both").step(Step::new("wait", Effect::Pure, |_| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(())
        }));
        let both = both.build().unwrap();
        enqueue(&store, &both, 20);
        enqueue(&store, &job, 100);
        let worker = Worker::new(store).job(job).job(both).build().unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(threads).enable_time().build().unwrap();
        let summary = runtime.block_on(worker.run(&shutdown));
        assert_eq!(
            (done.load(Ordering::SeqCst), summary.ended_in(State::Succeeded)),
            (100, 120),
            "{summary}"
        );
    }
}

#[cfg(feature = "tokio")]
#[test]
fn a_worker_that_is_dropped_drops_what_it_runs() {
    struct Told(Arc<AtomicU64>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (store, shutdown): (Arc<dyn Store>, _) = (Arc::new(Memory::new()), Shutdown::new());
    let (dropped, begun) = (Arc::new(AtomicU64::new(0)), Shutdown::new());
    let step = |_: Arc<AtomicU64>, _: Shutdown| {
        let (dropped, begun) = (Arc::clone(&dropped), begun.clone());
        Step::new("hang", Effect::Idempotent, move |_| {
            let told = Told(Arc::clone(&dropped));
            begun.trigger();
            async move {
                let _told = told;
                std::future::pending::<Result<(), _>>().await
            }
        })
    };
    let (job, _) = counting(step, &shutdown);
    enqueue(&store, &job, 1);
    let worker = Worker::new(store).job(job).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            _ = worker.run(&shutdown) => panic!("nobody asked it to end"),
            () = begun.reached(unattended::shutdown::Phase::Draining) => {}
        }
        tokio::task::yield_now().await;
    });
    drop(runtime);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn what_could_not_work_is_refused_with_the_field_what_was_given_and_what_is_allowed() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let job = || Job::new("j").step(Step::blocking("s", Effect::Pure, |_| Ok(()))).build().unwrap();
    let new = || Worker::new(Arc::clone(&store)).job(job());
    let none = Rate { count: 0, per: secs(1) };
    let refused = [
        ("jobs", Worker::new(Arc::clone(&store)).build()),
        ("jobs", new().job(job()).build()),
        ("concurrency", new().concurrency(0).build()),
        ("concurrency", new().concurrency(1025).build()),
        ("poll", new().poll(Duration::ZERO).build()),
        ("grace", new().grace(Duration::MAX).build()),
        ("orphans_every", new().orphans_every(Duration::ZERO).build()),
        ("sweep_every", new().sweep_every(secs(3601)).build()),
        ("name", new().name("two words").build()),
        ("rate", new().rate(none).build()),
        ("job_limits", new().job_limits("other", Limits::default()).build()),
        ("limits.concurrency", new().job_limits("j", Limits { concurrency: Some(0), rate: None }).build()),
        ("limits.rate", new().job_limits("j", Limits { concurrency: None, rate: Some(none) }).build()),
    ];
    for (field, built) in refused {
        let error = built.err().unwrap_or_else(|| panic!("{field} was taken"));
        assert_eq!(error.field, field);
        assert!(!error.given.is_empty() && !error.allowed.is_empty(), "{error}");
    }
}
