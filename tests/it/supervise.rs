//! Supervised threads, and where the state of a supervisor is kept.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::backoff::Backoff;
use unattended::explain::Explain;
use unattended::restart::{Escalating, How, Policy, Restart};
use unattended::shutdown::Shutdown;
use unattended::supervise::{Ended, Event, Liveness, Supervisor};

const LONG: Duration = Duration::from_secs(600);

fn three() -> Policy {
    Policy::new().failures_max(3, LONG).backoff(Backoff::zero()).same_unlimited()
}

#[test]
fn errors_and_panics_of_a_thread_are_failures() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let mut supervisor = Supervisor::new("indexer")
        .thread(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
            1 => panic!("index {} of 3", 7),
            _ => Err("no table"),
        })
        .policy(three())
        .build()
        .unwrap();
    let Ended::Escalated { evidence, .. } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
    let hows: Vec<How> = evidence.exits.iter().map(|past| past.how).collect();
    assert_eq!(hows, [How::Failed, How::Panicked, How::Failed]);
    assert_eq!(evidence.exits[1].fingerprint, "panic: index # of #");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn a_thread_that_does_not_beat_hangs_and_one_that_listens_is_begun_again() {
    let mut supervisor = Supervisor::new("poller")
        .thread(|stop| {
            while !stop.wait(Duration::from_millis(50)) {}
            Err("it was asked to end")
        })
        .policy(three().failures_max(2, LONG))
        .liveness(Liveness::progress(Duration::from_millis(100)))
        .build()
        .unwrap();
    let Ended::Escalated { why, evidence } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
    assert!(matches!(why, Escalating::WindowFull { failures: 2, .. }), "{why}");
    assert!(evidence.exits.iter().all(|past| matches!(past.how, How::Hung { .. })), "{evidence:?}");
}

#[test]
fn a_thread_that_hangs_and_does_not_listen_is_not_begun_beside_itself() {
    let (calls, leave) = (Arc::new(AtomicU32::new(0)), Shutdown::new());
    let (counted, left) = (Arc::clone(&calls), leave.clone());
    let mut supervisor = Supervisor::new("deaf")
        .thread(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            left.wait_blocking();
            Ok::<(), String>(())
        })
        .policy(three())
        .liveness(Liveness::progress(Duration::from_millis(50)))
        .grace(Duration::from_millis(100))
        .build()
        .unwrap();
    let Ended::Escalated { why, .. } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
    assert_eq!(why.to_string(), "it hangs and did not end within 100ms, so it is not begun beside itself");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    leave.trigger();
}

#[test]
fn a_thread_is_begun_afresh_after_so_many_runs() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let mut supervisor = Supervisor::new("batches")
        .thread(move |stop| {
            if counted.fetch_add(1, Ordering::SeqCst) == 2 {
                asked.trigger();
            }
            for _ in 0..10 {
                stop.ran();
            }
            while !stop.wait(LONG) {}
            Ok::<(), String>(())
        })
        .policy(three().recycle_after_runs(10).restart(Restart::Always))
        .on_event(move |event: &Event| heard.lock().unwrap().push(event.code()))
        .build()
        .unwrap();
    assert_eq!(supervisor.run_blocking(&shutdown), Ended::Shutdown);
    assert!(calls.load(Ordering::SeqCst) >= 3);
    let told = told.lock().unwrap();
    assert_eq!(told[1], "restart.recycle_runs", "{told:?}");
    assert_eq!(supervisor.evidence().failures_total, 0);
}

#[test]
fn a_listener_that_panics_ends_nothing() {
    let mut supervisor = Supervisor::new("heard")
        .thread(|_| Ok::<(), String>(()))
        .on_event(|event| panic!("{event}"))
        .build()
        .unwrap();
    assert!(matches!(supervisor.run_blocking(&Shutdown::new()), Ended::Well { .. }));
}

#[cfg(feature = "store")]
mod kept {
    use super::*;
    use unattended::blocking::block_on;
    use unattended::memory::Memory;
    use unattended::restart::Saved;
    use unattended::snapshots::{File, Snapshots};
    use unattended::store::Store;
    use unattended::supervise::{Builder, Error};

    /// Fails at each start; one that is asked to end after its second.
    fn failing() -> Builder {
        Supervisor::new("worker").thread(|_| Err("no table")).policy(three())
    }

    /// Runs until the second failure was told.
    fn two_failures(builder: Builder) {
        let shutdown = Shutdown::new();
        let (asked, mut failures) = (shutdown.clone(), 0);
        let builder = builder.on_event(move |event| {
            failures += u32::from(matches!(event, Event::Exited { .. }));
            if failures == 2 {
                asked.trigger();
            }
        });
        assert_eq!(builder.build().unwrap().run_blocking(&shutdown), Ended::Shutdown);
    }

    #[test]
    fn the_window_goes_on_in_the_next_supervisor_by_a_file_and_by_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::<Saved>::open(folder.path().join("restarts")).unwrap();
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let by_file = || failing().persist(file.clone());
        let by_store = || failing().persist_in(&store);
        for builder in [&by_file as &dyn Fn() -> Builder, &by_store] {
            two_failures(builder());
            let mut next = builder().build().unwrap();
            let Ended::Escalated { evidence, .. } = next.run_blocking(&Shutdown::new()) else { panic!() };
            assert_eq!((evidence.starts_total, evidence.failures_total), (3, 3));
            let mut after = builder().build().unwrap();
            assert!(matches!(after.run_blocking(&Shutdown::new()), Ended::Escalated { .. }));
            assert_eq!(after.evidence().starts_total, 3, "the escalation stands");
            after.clear();
            assert_eq!(builder().build().unwrap().evidence().failures_total, 3, "the evidence is kept");
            two_failures(builder());
        }
        assert!(block_on(Snapshots::new(store).load::<Saved>("restart/worker")).unwrap().is_some());
    }

    #[test]
    fn a_state_that_cannot_be_read_is_an_error_and_never_a_new_window() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("restarts");
        two_failures(failing().persist(File::open(&path).unwrap()));
        for name in ["restarts", "restarts.prev"] {
            std::fs::write(folder.path().join(name), "unattended-state 1 what").unwrap();
        }
        let refused = failing().persist(File::open(&path).unwrap()).build();
        assert!(matches!(refused, Err(Error::Kept { .. })), "{refused:?}");
    }

    #[test]
    fn where_it_cannot_be_kept_supervision_goes_on_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        std::fs::create_dir(&place).unwrap();
        let file = File::<Saved>::open(place.join("restarts")).unwrap();
        std::fs::remove_dir(&place).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let mut supervisor = failing()
            .persist(file)
            .on_event(move |event| heard.lock().unwrap().push(event.code()))
            .build()
            .unwrap();
        assert!(matches!(supervisor.run_blocking(&Shutdown::new()), Ended::Escalated { .. }));
        let unkept = told.lock().unwrap().iter().filter(|code| **code == "supervise.not_kept").count();
        assert_eq!(unkept, 6, "at each start and each end");
    }
}
