//! The same rules on threads and inside a runtime.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use unattended::credential::{Credential, Serving, Token};
use unattended::fault::Fault;
use unattended::time::{Clock, SleepBlocking, System};

use super::{HOUR, MINUTE, sim};

fn lasting(name: &str) -> Token<String> {
    Token::lasting(name.to_owned(), System.now().wall, HOUR)
}

#[test]
fn of_threads_that_have_no_token_one_refreshes_and_the_others_wait() {
    let sim = sim();
    let calls = Arc::new(AtomicU32::new(0));
    let (count, clock) = (Arc::clone(&calls), sim.clone());
    let credential = Credential::named("youtube")
        .refresh_blocking(move |_: Option<Token<u32>>| {
            let asked = clock.now().wall;
            clock.sleep_blocking(Duration::from_secs(2));
            Ok::<_, Fault>(Token::lasting(count.fetch_add(1, SeqCst), asked, HOUR))
        })
        .on(sim.clone())
        .build()
        .unwrap();
    let credential = Arc::new(credential);
    for round in 0..3 {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let credential = Arc::clone(&credential);
                sim.thread(move || *credential.get_blocking().unwrap().expose())
            })
            .collect();
        let all: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!((all, calls.load(SeqCst)), (vec![round; 8], round + 1));
        sim.advance(2 * HOUR);
    }
}

#[test]
fn a_thread_that_does_not_come_back_is_given_up_and_its_token_is_still_taken() {
    let sim = sim();
    let calls = Arc::new(AtomicU32::new(0));
    let (count, clock) = (Arc::clone(&calls), sim.clone());
    let credential = Credential::named("youtube")
        .refresh_blocking(move |_: Option<Token<u32>>| {
            let (number, asked) = (count.fetch_add(1, SeqCst), clock.now().wall);
            let lifetime = if number == 0 { 10 * HOUR } else { HOUR };
            if number == 0 {
                clock.sleep_blocking(3 * HOUR);
            }
            Ok::<_, Fault>(Token::lasting(number, asked, lifetime))
        })
        .on(sim.clone())
        .attempt_timeout(MINUTE)
        .build()
        .unwrap();
    let credential = Arc::new(credential);
    let stuck = {
        let credential = Arc::clone(&credential);
        sim.thread(move || *credential.get_blocking().unwrap().expose())
    };
    let other = {
        let (credential, sim) = (Arc::clone(&credential), sim.clone());
        sim.clone().thread(move || {
            sim.sleep_blocking(Duration::from_secs(1));
            assert!(credential.get_blocking().is_err(), "the refresh is taken for lost");
            let waited = sim.elapsed();
            assert!((MINUTE..2 * MINUTE).contains(&waited), "{waited:?}");
            sim.sleep_blocking(Duration::from_secs(2));
            *credential.get_blocking().unwrap().expose()
        })
    };
    assert_eq!(other.join().unwrap(), 1);
    assert_eq!(stuck.join().unwrap(), 0, "it lasts longer than the one that is held");
}

#[test]
fn real_threads_that_come_at_once_make_one_refresh() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let credential = Credential::named("youtube")
        .refresh_blocking(move |_: Option<Token<String>>| {
            count.fetch_add(1, SeqCst);
            Ok::<_, Fault>(lasting("a"))
        })
        .build()
        .unwrap();
    let barrier = Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                barrier.wait();
                assert_eq!(credential.get_blocking().unwrap().expose(), "a");
            });
        }
    });
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn tasks_of_a_runtime_make_one_refresh_and_a_blocking_one_holds_no_worker() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let credential = Credential::named("youtube")
        .refresh_blocking(move |_: Option<Token<String>>| {
            count.fetch_add(1, SeqCst);
            may_go.lock().unwrap().recv().map_err(|_| Fault::unknown())?;
            Ok::<_, Fault>(lasting("a"))
        })
        .build()
        .unwrap();
    let credential = Arc::new(credential);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let credential = Arc::clone(&credential);
                tokio::spawn(async move { credential.get().await.unwrap().expose().clone() })
            })
            .collect();
        // On the runtime's only thread: it could not run if the refresh blocked that.
        tokio::spawn(async move { go.send(()).unwrap() }).await.unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap(), "a");
        }
    });
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn outside_of_a_runtime_a_future_needs_no_timer() {
    let credential = Credential::named("youtube")
        .refresh(|_: Option<Token<String>>| async { Ok::<_, Fault>(lasting("a")) })
        .build()
        .unwrap();
    let given = unattended::blocking::block_on(credential.get()).unwrap();
    assert!(matches!(given.why, Serving::Refreshed { .. }));
    assert_eq!(credential.get_blocking().unwrap().expose(), "a");
}
