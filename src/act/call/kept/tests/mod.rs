//! What outlives a process, and what two of them decide together.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use super::*;
use crate::act::call::tests::down;
use crate::act::call::{ByTrait, Call};
use crate::act::testing::SimClock;
use crate::base::effect::Effect;
use crate::base::fault::Fault;
use crate::base::time::BoxFuture;
use crate::decide::{breaker, retry};

/// A store in memory that can be switched off.
#[derive(Default)]
struct InMemory {
    texts: Mutex<HashMap<String, (u64, String)>>,
    down: AtomicBool,
    silent: AtomicBool,
    saves: AtomicU32,
}

impl InMemory {
    fn ready(&self) -> Result<(), PersistError> {
        if self.down.load(Ordering::SeqCst) {
            Err(PersistError::Store("switched off".into()))
        } else {
            Ok(())
        }
    }
}

impl Saved for InMemory {
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<(u64, String)>, PersistError>> {
        Box::pin(async move {
            self.ready()?;
            if self.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(self.texts.lock().unwrap().get(key).cloned())
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        json: String,
        expect: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PersistError>> {
        Box::pin(async move {
            self.ready()?;
            self.saves.fetch_add(1, Ordering::SeqCst);
            let mut texts = self.texts.lock().unwrap();
            if texts.get(key).map(|(version, _)| *version) != expect {
                return Err(PersistError::Conflict);
            }
            let version = expect.unwrap_or(0) + 1;
            texts.insert(key.into(), (version, json));
            Ok(version)
        })
    }
}

/// What one process of a cron job has.
fn process(clock: &SimClock, store: &Arc<InMemory>) -> Call<ByTrait, SimClock> {
    Call::to("youtube")
        .retry(retry::Policy::once())
        .breaker(breaker::Policy::cron())
        .effect(Effect::Idempotent)
        .on(clock.clone())
        .kept_in(Arc::clone(store) as Arc<dyn Saved>, None)
        .build()
        .unwrap()
}

fn fails(call: &Call<ByTrait, SimClock>) -> u8 {
    call.run_blocking(|_| Err::<(), _>(down())).unwrap_err().exit_code()
}

#[test]
fn three_failing_runs_trip_it_for_the_fourth() {
    let (clock, store) = (SimClock::default(), Arc::default());
    for _ in 0..3 {
        let call = process(&clock, &store);
        assert_eq!(fails(&call), 1);
        call.flush_blocking().unwrap();
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(fails(&process(&clock, &store)), 75);
    clock.advance(Duration::from_secs(360));
    assert!(process(&clock, &store).run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert_eq!(fails(&process(&clock, &store)), 1, "closed again, and that was written without a flush");
}

#[test]
fn a_transition_and_a_block_are_written_before_the_call_returns() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let call = process(&clock, &store);
    let fault = Fault::rate_limited(Some(Duration::from_secs(300)));
    let _failed = call.run_blocking(|_| Err::<(), _>(fault.clone()));
    std::mem::forget(call);
    assert_eq!(fails(&process(&clock, &store)), 75);
}

#[test]
fn a_probe_is_written_before_it_is_made() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let first = process(&clock, &store);
    assert_eq!([fails(&first), fails(&first), fails(&first), fails(&first)], [1, 1, 1, 75]);
    clock.advance(Duration::from_secs(360));
    let probing = process(&clock, &store);
    let second = probing.run_blocking(|_| {
        // While the probe is out, another process starts.
        let other = process(&clock, &store);
        assert_eq!(fails(&other), 75);
        Ok::<_, io::Error>(())
    });
    assert!(second.is_ok());
}

#[test]
fn of_two_that_write_the_newer_generation_wins() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let (a, b) = (process(&clock, &store), process(&clock, &store));
    assert!(a.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert!(b.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert_eq!([fails(&a), fails(&a), fails(&a)], [1, 1, 1]);
    b.flush_blocking().unwrap();
    assert_eq!(b.breaker().standing(), Standing::Open);
    assert_eq!(fails(&b), 75);
}

#[test]
fn a_store_that_is_down_fails_the_flush_and_not_the_call() {
    let (clock, store) = (SimClock::default(), Arc::<InMemory>::default());
    store.down.store(true, Ordering::SeqCst);
    let call = process(&clock, &store);
    assert!(call.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert!(matches!(call.flush_blocking(), Err(PersistError::Store(_))));
    store.down.store(false, Ordering::SeqCst);
    call.flush_blocking().unwrap();
}

mod together;
