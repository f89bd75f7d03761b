//! Clocks that are set, windows that close, and instants at the ends of the calendar.

use std::sync::atomic::{AtomicU64, Ordering};

use unattended::schedule::Ticker;
use unattended::time::Now;

use super::*;

#[test]
fn a_catch_up_that_is_held_back_is_not_held_longer_by_a_clock_that_is_set_back() {
    let sim = Sim::new(at(90), 1);
    let told = Told::default();
    let held = Policy::new().spread(30 * MINUTE);
    let timer =
        observed(&sim, &told, Timer::new().entry(entry(&sim, &told, MINUTE).policy(held).since(at(0))));
    let script = async {
        sim.sleep(Duration::from_secs(1)).await;
        sim.step_wall(-TimeDelta::hours(2));
        sim.sleep(31 * MINUTE).await;
    };
    let summary = beside(&sim, &timer, script);
    assert_eq!(summary.begun, 1, "{:?}", taken(&told));
}

#[test]
fn what_is_caught_up_with_is_not_begun_after_the_window_has_closed() {
    let sim = Sim::new(at(150), 1);
    let told = Told::default();
    let window = "02:00-02:45".parse().unwrap();
    let every = Schedule::every(20 * MINUTE).unwrap();
    let (clock, heard) = (sim.clone(), Arc::clone(&told));
    let entry = Entry::new("report", every)
        .policy(policy(CatchUp::All { at_most: 10 }))
        .since(at(0))
        .during(window)
        .run(move |occasion: Occasion| {
            let (sim, told) = (clock.clone(), Arc::clone(&heard));
            async move {
                let what = format!("run {}", minutes(occasion.occurrence.nominal));
                told.lock().unwrap().push((minutes(sim.now().wall), what));
                sim.sleep(10 * MINUTE).await;
                Ok::<(), Infallible>(())
            }
        });
    let timer = observed(&sim, &told, Timer::new().entry(entry));
    let summary = beside(&sim, &timer, sim.sleep(24 * HOUR));
    let told = taken(&told);
    assert_eq!(
        told[..3],
        lines(&[(150, "run 20"), (160, "run 40"), (165, "timer.window_closed")])[..],
        "{told:?}"
    );
    let runs: Vec<i64> =
        told.iter().filter(|(_, what)| what.starts_with("run")).map(|(at, _)| at % 1440).collect();
    assert!(runs.iter().all(|at| (120..165).contains(at)), "{told:?}");
    // Two of the first day, and five of the next.
    assert!(summary.begun >= 4, "{told:?}");
}

#[test]
fn occurrences_count_from_an_instant_far_in_the_future_where_that_was_said() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let from = at(10 * 1440);
    for _ in 0..2 {
        let entry = entry(&sim, &told, Duration::ZERO).since(from);
        let timer = observed(&sim, &told, Timer::new().entry(entry).saved_in(Arc::clone(&store)));
        beside(&sim, &timer, sim.sleep(3 * 24 * HOUR));
    }
    assert_eq!(taken(&told), []);
    let entry = entry(&sim, &told, Duration::ZERO).since(from);
    let timer = observed(&sim, &told, Timer::new().entry(entry).saved_in(Arc::clone(&store)));
    beside(&sim, &timer, sim.sleep(4 * 24 * HOUR + HOUR + MINUTE));
    assert_eq!(taken(&told), lines(&[(14_460, "run 14460")]));
}

#[test]
fn a_clock_that_was_a_year_ahead_is_told_and_the_schedule_goes_on() {
    for stored in [false, true] {
        let sim = Sim::new(at(0), 1);
        let told = Told::default();
        let mut timer = Timer::new().entry(entry(&sim, &told, Duration::ZERO).policy(policy(CatchUp::Once)));
        if stored {
            timer = timer.saved_in(Arc::new(Memory::on(Arc::new(sim.clone()))));
        }
        let timer = observed(&sim, &told, timer);
        let script = async {
            sim.sleep(70 * MINUTE).await;
            sim.step_wall(TimeDelta::days(366));
            sim.sleep(5 * MINUTE).await;
            sim.step_wall(-TimeDelta::days(366));
            sim.sleep(HOUR).await;
        };
        beside(&sim, &timer, script);
        let told = taken(&told);
        let codes: Vec<&str> = told.iter().map(|(_, what)| &**what).collect();
        let year = 366 * 1440;
        let ahead = format!("run {}", year + 60);
        let expected =
            ["run 60", "clock.stepped", &ahead, "clock.stepped", "schedule.clock_was_ahead", "run 120"];
        let codes: Vec<&str> = codes.into_iter().filter(|code| *code != "schedule.coalesced 8783").collect();
        assert_eq!(codes, expected, "stored: {stored}");
    }
}

#[test]
fn a_suspend_over_an_occurrence_runs_it_once() {
    for (asleep_from, asleep_for) in [(60, 1), (59, 1), (59, 2), (60, 60)] {
        let sim = Sim::new(at(0), 1);
        let told = Told::default();
        let timer = Timer::new().entry(entry(&sim, &told, Duration::ZERO).policy(policy(CatchUp::Once)));
        let timer = observed(&sim, &told, timer);
        let script = async {
            sim.sleep(MINUTE * asleep_from).await;
            sim.suspend(MINUTE * asleep_for);
            sim.sleep(30 * MINUTE).await;
        };
        beside(&sim, &timer, script);
        let told = taken(&told);
        let runs = |wanted: &str| told.iter().filter(|(_, what)| what == wanted).count();
        assert_eq!(
            runs("run 60"),
            usize::from(asleep_for < 60 || runs("schedule.coalesced 1") == 0),
            "{told:?}"
        );
        assert!(runs("run 120") <= 1);
    }
}

/// Counts how often somebody waits.
#[derive(Clone)]
struct Waits(Sim, Arc<AtomicU64>);

impl Clock for Waits {
    fn now(&self) -> Now {
        self.0.now()
    }
}

impl Sleep for Waits {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.sleep(duration)
    }
}

#[test]
fn a_yearly_entry_wakes_once_a_minute() {
    let sim = Sim::new(at(1), 1);
    let yearly = Schedule::every(366 * 24 * HOUR).unwrap();
    let entry = Entry::new("yearly", yearly).run(|_| async { Ok::<(), Infallible>(()) });
    let timer = Timer::new().entry(entry).build().unwrap();
    let (shutdown, waits) = (Shutdown::new(), Arc::new(AtomicU64::new(0)));
    let clock = Waits(sim.clone(), Arc::clone(&waits));
    let futures: [BoxFuture<'_, ()>; 2] = [
        Box::pin(async {
            let _summary = timer.run_on(clock, &shutdown).await;
        }),
        Box::pin(async {
            sim.sleep(24 * HOUR).await;
            shutdown.trigger();
        }),
    ];
    sim.join(futures).unwrap();
    let waits = waits.load(Ordering::SeqCst);
    assert!((1440..=1445).contains(&waits), "{waits}");
}

#[test]
fn the_ends_of_the_calendar_are_no_panic() {
    let ends = [Timestamp::MIN_UTC, Timestamp::UNIX_EPOCH, Timestamp::MAX_UTC];
    let daily = || Schedule::daily(chrono::NaiveTime::MIN, "+02:00".parse().unwrap());
    let schedules = || {
        let jittered = hourly().jitter(MINUTE, "x").unwrap();
        [hourly(), jittered, daily(), Schedule::once(Timestamp::MAX_UTC), Schedule::once(Timestamp::MIN_UTC)]
    };
    for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All { at_most: 1000 }] {
        for schedule in schedules() {
            for (since, now) in ends.iter().flat_map(|since| ends.map(|now| (*since, now))) {
                let mut ticker = Ticker::new("x", schedule.clone(), policy(catch_up), since).unwrap();
                drop(ticker.due(now));
                let saved = serde_json::to_string(&ticker.snapshot(now)).unwrap();
                let saved = serde_json::from_str(&saved).unwrap();
                let restored = Ticker::restore(schedule.clone(), policy(catch_up), &saved, now);
                drop(restored.unwrap().0.due(now));
            }
        }
    }
    for (start, since) in [(Timestamp::MAX_UTC, Timestamp::MIN_UTC), (Timestamp::MIN_UTC, Timestamp::MAX_UTC)]
    {
        let sim = Sim::new(start, 1);
        let told = Told::default();
        let timer = Timer::new().entry(entry(&sim, &told, Duration::ZERO).since(since));
        let timer = timer.saved_in(Arc::new(Memory::on(Arc::new(sim.clone())))).build().unwrap();
        beside(&sim, &timer, sim.sleep(2 * HOUR));
    }
}
