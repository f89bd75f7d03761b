//! Stores that fail, hang, or answer for others: nothing is run twice, nothing is lost beyond the policy, nothing spins.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use unattended::blocking::block_on;
use unattended::store::{Applied, ApplyError, Batch, Error, Expect, Page, Put, Record, Write};

use super::*;
use crate::forward::forward;
use crate::world::cut;

const FINE: u8 = 0;
/// Each call fails, and nothing is written.
const FAILS: u8 = 1;
/// Each call takes half a minute.
const SLOW: u8 = 2;
/// No call is answered.
const HANGS: u8 = 3;
/// Writes are applied, and nobody hears of it.
const CUT: u8 = 4;
/// Reads are answered, writes fail.
const READ_ONLY: u8 = 5;
/// Reads are answered, writes are not.
const WRITES_HANG: u8 = 6;

/// A store with moods, which counts what it is asked.
pub(super) struct Moody {
    inner: Arc<dyn Store>,
    sim: Sim,
    mood: AtomicU8,
    pub(super) calls: AtomicU64,
}

impl Moody {
    pub(super) fn new(sim: &Sim, inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, sim: sim.clone(), mood: AtomicU8::new(FINE), calls: AtomicU64::new(0) })
    }

    fn on(sim: &Sim) -> Arc<Self> {
        Self::new(sim, Arc::new(Memory::on(Arc::new(sim.clone()))))
    }

    fn be(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    fn asked(&self) -> u64 {
        self.calls.swap(0, Ordering::SeqCst)
    }

    async fn answer(&self, write: bool) -> Result<(), Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.mood.load(Ordering::SeqCst) {
            FAILS => Err(broken()),
            READ_ONLY if write => Err(broken()),
            SLOW => {
                self.sim.sleep(Duration::from_secs(30)).await;
                Ok(())
            }
            HANGS => std::future::pending().await,
            WRITES_HANG if write => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

fn broken() -> Error {
    Error::Backend { action: "injected", source: "the connection is gone".into() }
}

impl Store for Moody {
    forward!(caps owner events prune => (inner));

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            self.answer(true).await.map_err(ApplyError::NotApplied)?;
            let applied = self.inner.apply(batch).await?;
            if self.mood.load(Ordering::SeqCst) == CUT {
                Err(ApplyError::Unknown(broken()))
            } else {
                Ok(applied)
            }
        })
    }

    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(async move {
            self.answer(false).await?;
            self.inner.get(ns, key).await
        })
    }

    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
        Box::pin(async move {
            self.answer(false).await?;
            self.inner.scan(query).await
        })
    }
}

fn kept(sim: &Sim, told: &Told, store: &Arc<Moody>, entry: Entry) -> Timer {
    observed(sim, told, Timer::new().entry(entry).saved_in(Arc::<Moody>::clone(store)))
}

fn runs(told: &[(i64, String)]) -> Vec<(i64, &str)> {
    told.iter().filter(|(_, what)| what.starts_with("run")).map(|(at, what)| (*at, &**what)).collect()
}

#[test]
fn an_idle_hour_asks_the_store_nothing_and_an_occurrence_asks_twice() {
    let sim = Sim::new(at(1), 1);
    let (told, store) = (Told::default(), Moody::on(&sim));
    let timer = kept(&sim, &told, &store, entry(&sim, &told, Duration::ZERO));
    let script = async {
        sim.sleep(MINUTE).await;
        assert!(store.asked() <= 2, "it is read, and saved for the first time");
        sim.sleep(57 * MINUTE).await;
        assert_eq!(store.asked(), 0);
        sim.sleep(2 * MINUTE).await;
        assert_eq!(store.asked(), 2);
    };
    assert_eq!(beside(&sim, &timer, script).begun, 1);
}

#[test]
fn a_store_that_fails_for_an_hour_is_asked_seldom_and_loses_nothing() {
    for fails_from in [0, 100] {
        let sim = Sim::new(at(0), 1);
        let (told, store) = (Told::default(), Moody::on(&sim));
        let entry = entry(&sim, &told, Duration::ZERO).policy(policy(CatchUp::All { at_most: 10 }));
        let timer = kept(&sim, &told, &store, entry);
        store.be(if fails_from == 0 { FAILS } else { FINE });
        let script = async {
            sim.sleep(MINUTE * fails_from).await;
            store.be(FAILS);
            store.asked();
            sim.sleep(90 * MINUTE).await;
            let asked = store.asked();
            assert!(asked < 160, "{asked} calls in 90 minutes of failure");
            store.be(FINE);
            sim.sleep(4 * HOUR - MINUTE * (90 + fails_from)).await;
        };
        let summary = beside(&sim, &timer, script);
        let told = taken(&told);
        let nominal: Vec<&str> = runs(&told).iter().map(|(_, what)| *what).collect();
        assert_eq!(nominal, ["run 60", "run 120", "run 180", "run 240"][..nominal.len()], "{told:?}");
        assert!(nominal.len() >= 3 && summary.missed == 0, "{told:?}");
    }
}

#[test]
fn a_store_that_takes_half_a_minute_for_each_answer_delays_and_loses_nothing() {
    let sim = Sim::new(at(0), 1);
    let (told, store) = (Told::default(), Moody::on(&sim));
    let timer = kept(&sim, &told, &store, entry(&sim, &told, Duration::ZERO));
    store.be(SLOW);
    beside(&sim, &timer, sim.sleep(3 * HOUR + 2 * MINUTE));
    assert_eq!(taken(&told), lines(&[(61, "run 60"), (121, "run 120"), (181, "run 180")]));
}

#[test]
fn what_runs_goes_on_and_its_end_is_heard_while_the_store_is_asked() {
    let sim = Sim::new(at(0), 1);
    let (told, store) = (Told::default(), Moody::on(&sim));
    let (clock, ends) = (sim.clone(), Told::default());
    let heard = Arc::clone(&ends);
    let entry = entry(&sim, &told, 70 * MINUTE).policy(policy(CatchUp::Once).overlap(Overlap::Allow));
    let observe = move |_: &str, event: &Event| {
        if let Event::Ended { .. } = event {
            heard.lock().unwrap().push((minutes(clock.now().wall), String::from("ended")));
        }
    };
    let timer = Timer::new().entry(entry).saved_in(Arc::<Moody>::clone(&store)).observe(observe);
    let timer = timer.build().unwrap();
    let script = async {
        sim.sleep(90 * MINUTE).await;
        store.be(HANGS);
        sim.sleep(90 * MINUTE).await;
    };
    beside(&sim, &timer, script);
    assert_eq!(taken(&ends), lines(&[(130, "ended")]));
}

#[test]
fn a_store_that_hangs_does_not_hold_up_the_end() {
    for mood in [HANGS, WRITES_HANG] {
        let sim = Sim::new(at(0), 1);
        let (told, store) = (Told::default(), Moody::on(&sim));
        let timer = entry(&sim, &told, Duration::ZERO);
        let timer = Timer::new().entry(timer).saved_in(Arc::<Moody>::clone(&store)).grace(2 * MINUTE);
        let timer = observed(&sim, &told, timer);
        let script = async {
            sim.sleep(90 * MINUTE).await;
            store.be(mood);
            sim.sleep(35 * MINUTE).await;
        };
        beside(&sim, &timer, script);
        // A write that others may know of has the grace.
        assert_eq!(minutes(sim.now().wall), if mood == HANGS { 125 } else { 127 });
        assert_eq!(taken(&told), lines(&[(60, "run 60")]));
    }
}

#[test]
fn what_others_have_run_while_the_store_failed_here_is_not_run_again() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let memory: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let (near, far) = (Moody::new(&sim, Arc::clone(&memory)), Moody::new(&sim, memory));
    let timer = |store: &Arc<Moody>| kept(&sim, &told, store, entry(&sim, &told, MINUTE));
    let (one, other) = (timer(&near), timer(&far));
    let shutdown = Shutdown::new();
    let script = async {
        sim.sleep(30 * MINUTE).await;
        near.be(READ_ONLY);
        far.be(FAILS);
        // Now both know that 60 is due, and neither could write it.
        sim.sleep(35 * MINUTE).await;
        far.be(FINE);
        sim.sleep(10 * MINUTE).await;
        near.be(FINE);
        sim.sleep(30 * MINUTE).await;
        shutdown.trigger();
    };
    together(&sim, &shutdown, &[&one, &other], &[], script);
    let told = taken(&told);
    assert_eq!(runs(&told).iter().filter(|(_, what)| *what == "run 60").count(), 1, "{told:?}");
}

#[test]
fn what_was_written_without_being_heard_of_is_run_once() {
    let sim = Sim::new(at(0), 1);
    let (told, store) = (Told::default(), Moody::on(&sim));
    let timer = kept(&sim, &told, &store, entry(&sim, &told, MINUTE));
    let script = async {
        sim.sleep(30 * MINUTE).await;
        store.be(CUT);
        sim.sleep(35 * MINUTE).await;
        store.be(FINE);
        sim.sleep(60 * MINUTE).await;
    };
    beside(&sim, &timer, script);
    let told = taken(&told);
    let nominal: Vec<&str> = runs(&told).iter().map(|(_, what)| *what).collect();
    assert_eq!(nominal, ["run 60", "run 120"], "{told:?}");
}

#[test]
fn a_damaged_record_is_told_does_not_spin_and_stops_that_entry_alone() {
    let sim = Sim::new(at(0), 1);
    let (told, store) = (Told::default(), Moody::on(&sim));
    let put = Put { state: Some("saved".into()), kind: Some("timer".into()), ..Put::default() };
    let put = Put { body: Some(String::from("{\"v\":1}")), ..put };
    block_on(store.inner.apply(Batch::of(Write::new(Ns::SNAPSHOT, "timer/bad", Expect::Absent, put))))
        .unwrap();
    let bad = Entry::new("bad", hourly()).run(|_| async { Ok::<(), Infallible>(()) });
    let timer = Timer::new().entry(bad).entry(entry(&sim, &told, Duration::ZERO));
    let timer = observed(&sim, &told, timer.saved_in(Arc::<Moody>::clone(&store)));
    let summary = beside(&sim, &timer, sim.sleep(2 * HOUR + MINUTE));
    let told = taken(&told);
    assert_eq!(summary.begun, 2);
    assert!(told.iter().any(|(_, what)| what == "timer.store_failed"), "{told:?}");
    assert!(store.asked() < 250);
}

#[test]
fn a_process_that_dies_amid_a_catch_up_leaves_the_rest_to_the_next() {
    let sim = Sim::new(at(0), 1);
    let (told, store) = (Told::default(), Moody::on(&sim));
    let entry = || entry(&sim, &told, MINUTE).policy(policy(CatchUp::All { at_most: 10 })).since(at(0));
    let timer = || kept(&sim, &told, &store, entry());
    sim.set_wall(at(190));
    let first = timer();
    let never = Shutdown::new();
    assert!(cut(&sim, Duration::from_secs(90), first.run_on(sim.clone(), &never)).is_none());
    beside(&sim, &timer(), sim.sleep(10 * MINUTE));
    let told = taken(&told);
    let nominal: Vec<&str> = runs(&told).iter().map(|(_, what)| *what).collect();
    assert_eq!(nominal, ["run 60", "run 120", "run 180"], "{told:?}");
}

#[test]
fn an_end_amid_a_catch_up_leaves_the_rest_to_the_next() {
    let sim = Sim::new(at(0), 1);
    let (told, store) = (Told::default(), Moody::on(&sim));
    let entry = || entry(&sim, &told, MINUTE).policy(policy(CatchUp::All { at_most: 10 })).since(at(0));
    sim.set_wall(at(190));
    let summary = beside(&sim, &kept(&sim, &told, &store, entry()), sim.sleep(Duration::from_secs(90)));
    assert_eq!(summary.begun, 2);
    let summary = beside(&sim, &kept(&sim, &told, &store, entry()), sim.sleep(10 * MINUTE));
    assert_eq!(summary.begun, 1);
    let told = taken(&told);
    let nominal: Vec<&str> = runs(&told).iter().map(|(_, what)| *what).collect();
    assert_eq!(nominal, ["run 60", "run 120", "run 180"], "{told:?}");
}

#[test]
fn each_second_is_run_once_at_two_calls_each() {
    let sim = Sim::new(at(0), 1);
    let store = Moody::on(&sim);
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let entry = Entry::new("beat", Schedule::every(Duration::from_secs(1)).unwrap()).run(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok::<(), Infallible>(()) }
    });
    let timer = Timer::new().entry(entry).saved_in(Arc::<Moody>::clone(&store)).build().unwrap();
    beside(&sim, &timer, sim.sleep(10 * MINUTE + Duration::from_millis(500)));
    assert_eq!(count.load(Ordering::SeqCst), 600);
    let asked = store.asked();
    assert!(asked <= 1202, "{asked}");
}

/// A job of 90 minutes on an hourly schedule, from 0:00 or with three to be caught up with.
fn jobs(overlap: Overlap, since: Timestamp, hours: u32) -> Vec<(i64, String)> {
    let sim = Sim::new(at(181), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let job = || {
        let (sim, told) = (sim.clone(), Arc::clone(&told));
        let close = Step::new("close", Effect::Idempotent, move |cx| {
            let (sim, told) = (sim.clone(), Arc::clone(&told));
            async move {
                let input = cx.input::<i64>()?;
                told.lock().unwrap().push((minutes(sim.now().wall), format!("close {input}")));
                sim.sleep(50 * MINUTE).await;
                told.lock().unwrap().push((minutes(sim.now().wall), format!("closed {input}")));
                Ok(())
            }
        });
        Job::new("books").step(close).build().unwrap()
    };
    let entry = Entry::new("books", Schedule::every(20 * MINUTE).unwrap())
        .since(since)
        .policy(policy(CatchUp::All { at_most: 3 }).overlap(overlap))
        .job(job(), |occasion| minutes(occasion.occurrence.nominal));
    let timer = observed(&sim, &Told::default(), Timer::new().entry(entry).saved_in(Arc::clone(&store)));
    let worker = Worker::new(Arc::clone(&store)).job(job()).concurrency(4).build().unwrap();
    let shutdown = Shutdown::new();
    let script = async {
        sim.sleep(HOUR * hours).await;
        shutdown.trigger();
    };
    together(&sim, &shutdown, &[&timer], &[&worker], script);
    taken(&told)
}

fn most_at_once(told: &[(i64, String)]) -> i32 {
    let (mut most, mut running) = (0, 0);
    for (_, what) in told {
        running += if what.starts_with("closed") { -1 } else { 1 };
        most = most.max(running);
    }
    most
}

#[test]
fn runs_of_a_job_that_are_caught_up_with_follow_each_other() {
    let told = jobs(Overlap::Skip, at(0), 3);
    let begun: Vec<&str> =
        told.iter().filter(|(_, what)| what.starts_with("close ")).map(|(_, what)| &**what).take(3).collect();
    assert_eq!(begun, ["close 120", "close 140", "close 160"], "{told:?}");
    assert_eq!(most_at_once(&told), 1, "{told:?}");
}

#[test]
fn a_run_that_is_replaced_has_stopped_before_the_next_begins() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    // Two steps of 45 minutes: that it is asked to stop is seen between them.
    let job = || {
        let step = |name: &'static str| {
            let (sim, told) = (sim.clone(), Arc::clone(&told));
            Step::blocking(name, Effect::Idempotent, move |cx| {
                let input = cx.input::<i64>()?;
                told.lock().unwrap().push((minutes(sim.now().wall), format!("{name} {input}")));
                Ok(())
            })
        };
        let (sim, told) = (sim.clone(), Arc::clone(&told));
        let long = Step::new("long", Effect::Unsafe, move |cx| {
            let (sim, told) = (sim.clone(), Arc::clone(&told));
            async move {
                let input = cx.input::<i64>()?;
                told.lock().unwrap().push((minutes(sim.now().wall), format!("long {input}")));
                sim.sleep(90 * MINUTE).await;
                told.lock().unwrap().push((minutes(sim.now().wall), format!("ended {input}")));
                Ok(())
            }
        });
        Job::new("books").step(long).step(step("after")).build().unwrap()
    };
    let entry = Entry::new("books", hourly())
        .policy(policy(CatchUp::Once).overlap(Overlap::Replace))
        .job(job(), |occasion| minutes(occasion.occurrence.nominal));
    let timer = observed(&sim, &Told::default(), Timer::new().entry(entry).saved_in(Arc::clone(&store)));
    let worker = Worker::new(Arc::clone(&store)).job(job()).concurrency(4).build().unwrap();
    let shutdown = Shutdown::new();
    let script = async {
        sim.sleep(4 * HOUR).await;
        shutdown.at_once();
    };
    together(&sim, &shutdown, &[&timer], &[&worker], script);
    let told = taken(&told);
    let next = told.iter().position(|(_, what)| what == "long 120").unwrap_or(usize::MAX);
    let end = told.iter().position(|(_, what)| what == "ended 60").unwrap_or(0);
    assert!(end < next, "{told:?}");
    assert!(!told.iter().any(|(_, what)| what == "after 60"), "{told:?}");
}

#[test]
fn an_input_that_panics_is_told_and_harms_no_other() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let bad = Entry::new("books", hourly()).job(books(&sim, &told, MINUTE), |occasion| {
        assert!(occasion.occurrence.nominal > Timestamp::MAX_UTC, "never so");
        1
    });
    let timer = Timer::new().entry(bad).entry(entry(&sim, &told, Duration::ZERO)).saved_in(store);
    let summary = beside(&sim, &observed(&sim, &told, timer), sim.sleep(2 * HOUR + MINUTE));
    assert_eq!((summary.begun, summary.failed), (4, 2));
}

#[test]
fn a_name_under_which_nothing_could_be_stored_is_refused() {
    for name in ["a\0b", "a\nb", &"/".repeat(190)] {
        let entry = Entry::new(name, hourly()).run_blocking(|_| Ok::<(), Infallible>(()));
        let error = Timer::new().entry(entry).build().unwrap_err().to_string();
        assert!(error.starts_with("entry.name is "), "{error}");
    }
}
