//! The timer on a runtime and on threads, by the machine's clock: what is due at once, without waiting.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Waker};

use super::*;

/// Due at once, as it was missed; the work asks for the end.
fn ends(shutdown: &Shutdown, name: &str) -> Entry {
    let shutdown = shutdown.clone();
    due(name).run(move |_| {
        shutdown.trigger();
        async { Ok::<(), Infallible>(()) }
    })
}

fn due(name: &str) -> Entry {
    let policy = policy(CatchUp::Once).late_max(HOUR * 24 * 366);
    Entry::new(name, hourly()).policy(policy).since(Timestamp::UNIX_EPOCH)
}

fn panics() -> Entry {
    due("panics").run_blocking(|_| {
        assert!(Timestamp::UNIX_EPOCH > Timestamp::MAX_UTC, "never so");
        Ok::<(), Infallible>(())
    })
}

/// Asks for the end when both others have ended.
fn both(failed: &Arc<AtomicU32>, shutdown: &Shutdown) -> impl Fn(&str, &Event) + Send + Sync + 'static {
    let (failed, shutdown) = (Arc::clone(failed), shutdown.clone());
    move |_, event| {
        if let Event::Ended { error, .. } = event
            && (error.is_some() && failed.fetch_add(1, Ordering::SeqCst) == 1)
        {
            shutdown.trigger();
        }
    }
}

fn fails() -> Entry {
    due("fails").run(|_| async { Err("no such file") })
}

#[test]
fn on_threads_work_is_run_a_panic_is_told_and_the_end_comes() {
    let (shutdown, failed) = (Shutdown::new(), Arc::new(AtomicU32::new(0)));
    let timer =
        Timer::new().entry(panics()).entry(fails()).observe(both(&failed, &shutdown)).build().unwrap();
    let summary = timer.run_blocking(&shutdown);
    assert_eq!((summary.begun, summary.failed, summary.left), (2, 2, 0));
    let shutdown = Shutdown::new();
    let summary = Timer::new().entry(ends(&shutdown, "ends")).build().unwrap().run_blocking(&shutdown);
    assert_eq!((summary.begun, summary.failed, summary.left), (1, 0, 0));
}

#[test]
fn on_a_runtime_work_is_run_a_panic_is_told_and_the_end_comes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (shutdown, failed) = (Shutdown::new(), Arc::new(AtomicU32::new(0)));
    let timer =
        Timer::new().entry(panics()).entry(fails()).observe(both(&failed, &shutdown)).build().unwrap();
    let summary = runtime.block_on(timer.run(&shutdown));
    assert_eq!((summary.begun, summary.failed, summary.left), (2, 2, 0));
    let shutdown = Shutdown::new();
    let timer = Timer::new().entry(ends(&shutdown, "ends")).build().unwrap();
    let summary = runtime.block_on(timer.run(&shutdown));
    assert_eq!((summary.begun, summary.failed, summary.left), (1, 0, 0));
}

#[test]
fn a_timer_that_is_dropped_drops_what_runs() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let sim = Sim::new(at(90), 1);
    let dropped = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&dropped);
    let entry = Entry::new("report", hourly()).policy(policy(CatchUp::Once)).since(at(0)).run(move |_| {
        let held = Dropped(Arc::clone(&held));
        async move {
            let _held = held;
            std::future::pending::<Result<(), Infallible>>().await
        }
    });
    let timer = Timer::new().entry(entry).build().unwrap();
    let shutdown = Shutdown::new();
    let mut run = Box::pin(timer.run_on(sim.clone(), &shutdown));
    for _ in 0..10 {
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(!dropped.load(Ordering::SeqCst));
    drop(run);
    assert!(dropped.load(Ordering::SeqCst));
}
