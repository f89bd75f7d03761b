//! What stands in for a failure, and what is kept for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::act::call::Call;
use crate::act::testing::SimClock;
use crate::base::effect::Effect;
use crate::base::fault::Fault;
use crate::base::time::{BoxFuture, Timestamp, later};
use crate::decide::retry;
use crate::remember::memory::Memory;
use crate::remember::snapshots::Snapshots;
use crate::remember::store::{
    Applied, ApplyError, Batch, Caps, Error, Ns, Page, Prune, Query, Record, Store, StoredEvent,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A store that counts its writes, and fails when it is told to.
struct Flaky {
    inner: Memory,
    down: AtomicBool,
    writes: AtomicUsize,
}

impl Flaky {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: Memory::new(), down: AtomicBool::new(false), writes: AtomicUsize::new(0) })
    }

    fn check(&self) -> Result<(), Error> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::Corrupt { detail: String::from("the disk is gone") });
        }
        Ok(())
    }
}

impl Store for Flaky {
    fn caps(&self) -> Caps {
        self.inner.caps()
    }
    fn owner(&self) -> &str {
        self.inner.owner()
    }
    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            self.check().map_err(ApplyError::NotApplied)?;
            self.inner.apply(batch).await
        })
    }
    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(async move {
            self.check()?;
            self.inner.get(ns, key).await
        })
    }
    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
        self.inner.scan(query)
    }
    fn events<'a>(
        &'a self,
        ns: Ns,
        key: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredEvent>, Error>> {
        self.inner.events(ns, key, after, limit)
    }
    fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>> {
        self.inner.prune(prune)
    }
}

fn down() -> Result<u32, io::Error> {
    Err(io::ErrorKind::TimedOut.into())
}

fn settle<K: Clock>(fallback: &Fallback<u32, K>, result: io::Result<u32>) -> io::Result<Answer<u32>> {
    fallback.settle_blocking_as(result, Because::of_fault)
}

fn code(answer: &Answer<u32>) -> &'static str {
    answer.origin().map_or("fresh", |origin| origin.code())
}

#[test]
fn a_value_stands_in_and_says_because_of_what() {
    let answer = settle(&Fallback::value(7), down()).unwrap();
    let Answer::Fallen { value, from, because, passed } = answer else { panic!("fresh") };
    assert_eq!((value, from, passed), (7, Origin::Value, vec![]));
    assert_eq!(because.code, "io.timed_out");
    assert_eq!(settle(&Fallback::value(7), Ok(8)).unwrap(), Answer::Fresh(8));
}

#[test]
fn a_closure_sees_the_failure_and_may_have_no_answer_to_it() {
    let fallback = Fallback::with(|because| (because.code == "io.timed_out").then_some(1));
    assert_eq!(settle(&fallback, down()).unwrap().origin(), Some(Origin::Closure));
    let error = settle(&fallback, Err(io::ErrorKind::NotFound.into())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "the failure itself is given back");
    let fallback = fallback.or_value(2);
    let answer = settle(&fallback, Err(io::ErrorKind::NotFound.into())).unwrap();
    let Answer::Fallen { from: Origin::Value, passed, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(passed, [Passing::GaveNone]);
}

#[test]
fn the_last_good_value_stands_in_with_its_age_for_another_process_too() {
    let (clock, store) = (SimClock::default(), Flaky::new());
    let snapshots = Snapshots::new(store);
    let process = || Fallback::last_good(LastGood::new(&snapshots, "rates")).on(clock.clone());
    let before = settle(&process(), down()).unwrap_err();
    assert_eq!(before.kind(), io::ErrorKind::TimedOut, "nothing was kept yet");
    assert!(settle(&process(), Ok(12)).unwrap().is_fresh());
    clock.advance(HOUR);
    let answer = settle(&process(), down()).unwrap();
    assert_eq!(answer.origin(), Some(Origin::LastGood { age: HOUR, ahead: None }));
    assert_eq!((code(&answer), answer.into_value()), ("fallback.last_good", 12));
}

#[test]
fn a_value_that_is_too_old_does_not_stand_in() {
    let clock = SimClock::default();
    let snapshots = Snapshots::new(Flaky::new());
    let last = || LastGood::new(&snapshots, "rates").age_max(HOUR);
    let fallback = Fallback::last_good(last()).or_value(0).on(clock.clone());
    settle(&fallback, Ok(12)).unwrap();
    clock.advance(HOUR);
    assert_eq!(*settle(&fallback, down()).unwrap().value(), 12, "the limit itself is allowed");
    clock.advance(Duration::from_secs(1));
    let Answer::Fallen { value: 0, passed, .. } = settle(&fallback, down()).unwrap() else { panic!("12") };
    let age = HOUR + Duration::from_secs(1);
    assert_eq!(passed, [Passing::TooOld { age, age_max: HOUR }]);
    assert!(settle(&Fallback::last_good(last()).on(clock), down()).is_err());
}

#[test]
fn a_clock_that_stepped_back_gives_age_zero_and_says_so() {
    let snapshots = Snapshots::new(Flaky::new());
    let fallback =
        |clock: &SimClock| Fallback::last_good(LastGood::new(&snapshots, "rates")).on(clock.clone());
    let (ahead, behind) = (SimClock::default(), SimClock::default());
    ahead.advance(HOUR);
    settle(&fallback(&ahead), Ok(12)).unwrap();
    let answer = settle(&fallback(&behind), down()).unwrap();
    assert_eq!(answer.origin(), Some(Origin::LastGood { age: Duration::ZERO, ahead: Some(HOUR) }));
    assert_eq!(code(&answer), "fallback.clock_stepped_back");
    // A newer good answer takes its place, whatever the clock said before.
    settle(&fallback(&behind), Ok(13)).unwrap();
    assert_eq!(code(&settle(&fallback(&behind), down()).unwrap()), "fallback.last_good");
}

#[test]
fn a_value_that_cannot_be_kept_is_told_and_not_fatal() {
    let store = Flaky::new();
    let snapshots = Snapshots::new(Arc::clone(&store) as Arc<dyn Store>);
    let fallback = Fallback::last_good(LastGood::new(&snapshots, "rates"));
    store.down.store(true, Ordering::SeqCst);
    assert!(settle(&fallback, Ok(12)).unwrap().is_fresh());
    assert!(fallback.not_kept().is_some_and(|why| why.contains("the disk is gone")));
    let with_value = Fallback::last_good(LastGood::new(&snapshots, "rates")).or_value(0);
    let Answer::Fallen { passed, .. } = settle(&with_value, down()).unwrap() else { panic!("fresh") };
    assert!(matches!(&passed[..], [Passing::Unreadable { error }] if error.contains("disk")), "{passed:?}");
    store.down.store(false, Ordering::SeqCst);
    settle(&fallback, Ok(12)).unwrap();
    assert_eq!(fallback.not_kept(), None);
    let big = Fallback::last_good(LastGood::new(&snapshots, "big"));
    let text = "x".repeat(70_000);
    assert!(big.settle_blocking_as(Ok::<_, io::Error>(text), Because::of_fault).unwrap().is_fresh());
    assert!(big.not_kept().is_some_and(|why| why.contains("65536")), "{:?}", big.not_kept());
}

#[test]
fn at_most_one_is_kept_in_each_time_whichever_process_it_is_from() {
    let (clock, store) = (SimClock::default(), Flaky::new());
    let snapshots = Snapshots::new(Arc::clone(&store) as Arc<dyn Store>);
    let process =
        || Fallback::last_good(LastGood::new(&snapshots, "rates").save_every(HOUR)).on(clock.clone());
    let (one, other) = (process(), process());
    for number in 0..120 {
        settle(if number % 2 == 0 { &one } else { &other }, Ok(number)).unwrap();
        clock.advance(Duration::from_secs(60));
    }
    let writes = store.writes.load(Ordering::SeqCst);
    assert!((2..=4).contains(&writes), "{writes} writes in two hours");
    let answer = settle(&process(), down()).unwrap();
    assert!(matches!(answer.origin(), Some(Origin::LastGood { age, .. }) if age <= HOUR), "{answer:?}");
}

#[test]
fn the_format_that_is_kept_is_read_for_ever() {
    let snapshots = Snapshots::new(Flaky::new());
    let keep = |name: &str, text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let saved = block_on(snapshots.save(&format!("last_good/{name}"), "last_good", &value, None));
        assert!(saved.is_ok());
    };
    keep("v1", r#"{"v":1,"saved_at":"1970-01-01T00:00:00Z","value":12}"#);
    keep("v2", r#"{"v":2,"saved_at":"1970-01-01T00:00:00Z","value":12}"#);
    keep("text", r#"{"v":1,"saved_at":"1970-01-01T00:00:00Z","value":"twelve"}"#);
    let find =
        |name| settle(&Fallback::last_good(LastGood::new(&snapshots, name)).or_value(0), down()).unwrap();
    assert_eq!(*find("v1").value(), 12);
    for name in ["v2", "text"] {
        let Answer::Fallen { value: 0, passed, .. } = find(name) else { panic!("{name}") };
        assert_eq!(passed[0].code(), "fallback.unreadable");
    }
}

#[test]
fn a_fallback_is_outside_of_the_call_it_is_over() {
    let clock = SimClock::default();
    let call = Call::to("rates").retry(retry::Policy::cron()).effect(Effect::Pure).on(clock.clone());
    let call = call.build().unwrap();
    let snapshots = Snapshots::new(Flaky::new());
    let fallback = Fallback::last_good(LastGood::new(&snapshots, "rates")).on(clock.clone());
    let rates = fallback.over(&call);
    assert!(rates.run_blocking(|_| Ok::<_, Fault>(12)).unwrap().is_fresh());
    let mut tries = 0;
    let answer = rates.run_blocking(|_| {
        tries += 1;
        Err::<u32, _>(Fault::transient("http.503"))
    });
    assert_eq!(tries, 5, "it stands in only once the call has given up");
    let Ok(Answer::Fallen { value: 12, because, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(because.code, "retry.attempts_spent");
    assert!(because.why.ends_with("http.503 (transient)"), "{}", because.why);
    let nothing = Fallback::<u32>::with(|_| None);
    let stopped =
        nothing.over(&call).run_blocking(|_| Err::<u32, _>(Fault::permanent("http.404"))).unwrap_err();
    assert_eq!(stopped.code(), "retry.permanent");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_fallback_over_a_call_can_be_awaited_and_spawned() {
    let call = Call::to("rates").retry(retry::Policy::once()).effect(Effect::Pure).build().unwrap();
    let fallback = Fallback::last_good(LastGood::new(&Snapshots::new(Flaky::new()), "rates")).or_value(1);
    let answer = tokio::spawn(async move {
        let good = fallback.over(&call).run(|_| async { Ok::<_, Fault>(2) }).await;
        (good, fallback.over(&call).run(|_| async { Err::<u32, _>(Fault::transient("http.503")) }).await)
    });
    let (good, fallen) = answer.await.unwrap();
    assert_eq!(good.unwrap(), Answer::Fresh(2));
    assert_eq!(fallen.unwrap().into_value(), 2);
}

#[test]
fn wall_times_at_the_ends_of_the_calendar_are_ages_too() {
    let far = later(Timestamp::UNIX_EPOCH, Duration::MAX);
    let (age, ahead) = (crate::base::time::between(far, Timestamp::UNIX_EPOCH), Some(Duration::MAX));
    let told = Origin::LastGood { age, ahead }.to_string();
    assert!(told.contains("in the future"), "{told}");
}
