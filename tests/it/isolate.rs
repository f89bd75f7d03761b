//! Each boundary, on simulated time for futures; threads really hang, for a few milliseconds.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use std::time::Duration;

use unattended::explain::Explain as _;
use unattended::fault::{Fault, Severity};
use unattended::isolate::{AT_ONCE, Entry, Future, Group, Outcome, Report};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Sleep as _, System};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn sim() -> Sim {
    Sim::new(chrono::DateTime::UNIX_EPOCH, 1)
}

fn codes<T>(report: &Report<T>) -> Vec<&'static str> {
    report.entries().iter().map(Entry::code).collect()
}

fn degraded() -> Fault {
    Fault::transient("http.503").severity(Severity::Degraded)
}

fn disk_full() -> Fault {
    Fault::permanent("io.storage_full").severity(Severity::Fatal)
}

/// Counts how many are alive.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_failure_a_panic_or_a_hang_in_one_future_never_stops_or_delays_the_others() {
    let sim = sim();
    let report = sim
        .block_on(
            Group::futures("morning")
                .engine("fails", || async { Err::<u32, _>(io::Error::from(io::ErrorKind::TimedOut)) })
                .engine("panics", || async { panic!("no such city") as io::Result<u32> })
                .engine("panics at once", || -> BoxFuture<'_, io::Result<u32>> {
                    panic!("before it was a future")
                })
                .engine("hangs", std::future::pending::<io::Result<u32>>)
                .timeout(secs(60))
                .engine("skips", || async { Err(degraded()) })
                .engine("works", || async {
                    sim.sleep(secs(2)).await;
                    Ok::<_, io::Error>(7)
                })
                .run(&sim),
        )
        .unwrap();
    assert_eq!(
        codes(&report),
        [
            "isolate.failed",
            "isolate.panicked",
            "isolate.panicked",
            "isolate.timed_out",
            "isolate.skipped",
            "isolate.done"
        ]
    );
    assert_eq!(report.get("works").and_then(|entry| entry.took), Some(secs(2)), "nobody delayed it");
    assert_eq!(report.get("hangs").and_then(|entry| entry.took), Some(secs(60)));
    assert_eq!(report.values().collect::<Vec<_>>(), [&7]);
    assert_eq!((report.took(), report.exit_code(), report.alert()), (secs(60), 1, None));
    let said = report.to_string();
    assert!(said.contains("panics: panicked: no such city (0 ms)"), "{said}");
    assert!(said.contains("skips: skipped, http.503 (transient) (0 ms)"), "{said}");
}

#[test]
fn a_fatal_failure_stops_the_group_of_futures_and_raises_an_alert() {
    let sim = sim();
    let alive = Arc::new(AtomicUsize::new(1));
    let held = Alive(Arc::clone(&alive));
    let report = sim
        .block_on(
            Group::futures("morning")
                .at_once(3)
                .engine("done", || async { Ok::<_, Fault>(1) })
                .engine("runs", || async move {
                    let _held = held;
                    std::future::pending::<Result<i32, Fault>>().await
                })
                .engine("full", || async {
                    sim.sleep(secs(5)).await;
                    Err(disk_full())
                })
                .engine("also runs", || async {
                    sim.sleep(secs(9)).await;
                    Ok::<_, Fault>(2)
                })
                .engine("waits", || async { Ok::<_, Fault>(3) })
                .run(&sim),
        )
        .unwrap();
    assert_eq!(
        codes(&report),
        ["isolate.done", "isolate.cut", "isolate.fatal", "isolate.cut", "isolate.not_begun"]
    );
    assert_eq!(alive.load(Ordering::SeqCst), 0, "what ran was dropped");
    assert_eq!((report.took(), report.exit_code()), (secs(5), 1));
    let alert = report.alert().unwrap();
    assert_eq!((alert.engine.as_str(), alert.code()), ("full", "isolate.fatal"));
    assert_eq!(report.entries()[4].to_string(), "waits: not begun, for the failure of full is fatal");
}

#[test]
fn no_more_futures_than_allowed_run_at_once_and_the_report_has_the_declared_order() {
    let sim = sim();
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut group = Group::futures("many");
    for number in 0_u64..100 {
        let (sim, now, most) = (&sim, &now, &most);
        group = group.engine(format!("engine {number}"), move || async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sim.sleep(secs(100 - number)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Fault>(number)
        });
    }
    let report = sim.block_on(group.run(&sim)).unwrap();
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    assert!(report.values().copied().eq(0..100));
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn a_degraded_failure_alone_is_no_failure_of_the_group() {
    let sim = sim();
    let group = Group::futures("one").engine("skips", || async { Err::<(), _>(degraded()) });
    assert_eq!(sim.block_on(group.run(&sim)).unwrap().exit_code(), 0);
    let none = sim.block_on(Group::<Future<'_, ()>>::futures("none").run(&sim)).unwrap();
    assert_eq!((none.exit_code(), none.entries().len()), (0, 0));
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_group_of_futures_can_be_spawned() {
    let group = Group::futures("spawned")
        .engine("a", || async { Ok::<_, Fault>(1) })
        .engine("hangs", std::future::pending::<Result<i32, Fault>>)
        .timeout(Duration::from_millis(1));
    let report = tokio::spawn(async move { group.run(&System).await }).await.unwrap();
    assert_eq!(codes(&report), ["isolate.done", "isolate.timed_out"]);
}

#[test]
fn a_failure_a_panic_or_a_hang_on_one_thread_never_stops_or_delays_the_others() {
    // It hangs until the test lets it go, whatever it is told.
    let (let_go, held) = mpsc::channel::<()>();
    let (told, was_told) = mpsc::channel();
    let report = Group::threads("morning")
        .at_once(1)
        .engine("hangs", move |stop| {
            let _end = held.recv();
            told.send(stop.is_set()).map_err(|_| Fault::unknown())
        })
        .timeout(Duration::from_millis(20))
        .engine("fails", |_| Err(io::Error::from(io::ErrorKind::TimedOut)))
        .engine("panics", |_| -> Result<(), Fault> { panic!("no {} city", "such") })
        .engine("skips", |_| Err(degraded()))
        .engine("works", |stop| if stop.is_set() { Err(disk_full()) } else { Ok(()) })
        .run();
    assert_eq!(
        codes(&report),
        ["isolate.timed_out", "isolate.failed", "isolate.panicked", "isolate.skipped", "isolate.done"]
    );
    assert_eq!(report.entries()[2].outcome, Outcome::Panicked { message: "no such city".into() });
    drop(let_go);
    assert_eq!(was_told.recv(), Ok(true), "what is left behind was told to stop");
}

#[test]
fn a_fatal_failure_stops_the_group_of_threads_and_waits_no_longer_than_the_grace() {
    let (let_go, held) = mpsc::channel::<()>();
    let (ready, begun) = mpsc::channel::<()>();
    let also_ready = ready.clone();
    let report = Group::threads("morning")
        .at_once(3)
        .grace(Duration::from_millis(200))
        .engine("deaf", move |_| {
            drop(ready);
            let _end = held.recv();
            Ok::<_, Fault>(1)
        })
        .engine("listens", move |stop| {
            drop(also_ready);
            while !stop.is_set() {
                std::thread::yield_now();
            }
            Ok::<_, Fault>(2)
        })
        .engine("full", move |_| {
            let _both_run = begun.recv();
            Err(disk_full())
        })
        .engine("waits", |_| Ok::<_, Fault>(3))
        .run();
    assert_eq!(codes(&report), ["isolate.cut", "isolate.done", "isolate.fatal", "isolate.not_begun"]);
    assert_eq!(report.alert().map(|alert| alert.engine.as_str()), Some("full"));
    assert!(report.took() < secs(60));
    drop(let_go);
}
