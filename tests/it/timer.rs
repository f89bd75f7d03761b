//! Timers under simulated time: what they run, when, and what becomes of what was missed.

mod clocks;
mod faces;
mod several;
mod trouble;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use unattended::effect::Effect;
use unattended::explain::Explain;
use unattended::job::Job;
use unattended::memory::Memory;
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::schedule::{CatchUp, Overlap, Policy, Schedule};
use unattended::shutdown::Shutdown;
use unattended::store::{Ns, Query, Store};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Sleep, Timestamp, later};
use unattended::timer::{Entry, Event, Occasion, Summary, Timer};
use unattended::worker::Worker;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What happened: when by the wall clock, to what, in minutes after midnight.
type Told = Arc<Mutex<Vec<(i64, String)>>>;

fn midnight() -> Timestamp {
    DateTime::from_timestamp(1_790_000_000 / 86_400 * 86_400, 0).unwrap()
}

fn minutes(at: Timestamp) -> i64 {
    at.signed_duration_since(midnight()).num_minutes()
}

fn hourly() -> Schedule {
    Schedule::every(HOUR).unwrap()
}

/// No spread, so that a catch-up begins at once.
fn policy(catch_up: CatchUp) -> Policy {
    Policy::new().catch_up(catch_up).spread(Duration::ZERO)
}

/// An entry whose work takes so long and tells its beginning.
fn entry(sim: &Sim, told: &Told, takes: Duration) -> Entry {
    let (sim, told) = (sim.clone(), Arc::clone(told));
    Entry::new("report", hourly()).run(move |occasion: Occasion| {
        let (sim, told) = (sim.clone(), Arc::clone(&told));
        async move {
            let what = format!("run {}", minutes(occasion.occurrence.nominal));
            told.lock().unwrap().push((minutes(sim.now().wall), what));
            sim.sleep(takes).await;
            Ok::<(), Infallible>(())
        }
    })
}

fn observed(sim: &Sim, told: &Told, timer: unattended::timer::Builder) -> Timer {
    let (sim, told) = (sim.clone(), Arc::clone(told));
    let observe = move |_: &str, event: &Event| {
        let what = match event {
            Event::Begun { .. } | Event::Ended { error: None, .. } => return,
            Event::Missed(missed) => format!("{} {}", missed.code(), missed.count.number),
            Event::Overlapped { occurrence, why } => {
                format!("{} {}", why.code(), minutes(occurrence.nominal))
            }
            other => other.code().to_owned(),
        };
        told.lock().unwrap().push((minutes(sim.now().wall), what));
    };
    timer.observe(observe).build().unwrap()
}

/// Runs the timer beside `script`, until the script ends.
fn beside(sim: &Sim, timer: &Timer, script: impl Future<Output = ()> + Send) -> Summary {
    let shutdown = Shutdown::new();
    let summary = Mutex::new(None);
    let run = async { *summary.lock().unwrap() = Some(timer.run_on(sim.clone(), &shutdown).await) };
    let script = async {
        script.await;
        shutdown.trigger();
    };
    let both: [BoxFuture<'_, ()>; 2] = [Box::pin(run), Box::pin(script)];
    sim.join(both).unwrap();
    summary.into_inner().unwrap().unwrap()
}

/// Runs timers and workers side by side with `script`, which asks them to end.
fn together(
    sim: &Sim,
    shutdown: &Shutdown,
    timers: &[&Timer],
    workers: &[&Worker],
    script: impl Future<Output = ()> + Send,
) {
    let mut all: Vec<BoxFuture<'_, ()>> = Vec::new();
    for &timer in timers {
        all.push(Box::pin(async move {
            let _summary = timer.run_on(sim.clone(), shutdown).await;
        }));
    }
    for &worker in workers {
        all.push(Box::pin(async move {
            let _summary = worker.run_on(sim.clone(), shutdown).await;
        }));
    }
    all.push(Box::pin(script));
    sim.join(all).unwrap();
}

fn taken(told: &Told) -> Vec<(i64, String)> {
    std::mem::take(&mut *told.lock().unwrap())
}

fn lines(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(at, what)| (*at, (*what).to_owned())).collect()
}

fn at(minutes: u64) -> Timestamp {
    later(midnight(), MINUTE * u32::try_from(minutes).unwrap())
}

#[test]
fn a_service_runs_each_occurrence_at_its_time_and_drifts_by_nothing() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let timer = observed(&sim, &told, Timer::new().entry(entry(&sim, &told, 7 * MINUTE)));
    let summary = beside(&sim, &timer, sim.sleep(30 * 24 * HOUR + 10 * MINUTE));
    let expected: Vec<(i64, String)> =
        (1..=720).map(|hour| (hour * 60, format!("run {}", hour * 60))).collect();
    assert_eq!(taken(&told), expected);
    assert_eq!((summary.begun, summary.failed, summary.missed, summary.left), (720, 0, 0, 0));
}

/// The service runs from 0:00 to 2:10 and from 7:30 to 9:10.
fn restarted(catch_up: CatchUp) -> Vec<(i64, String)> {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    for (from, until) in [(0, 130), (450, 550)] {
        sim.set_wall(at(from));
        let timer = Timer::new().entry(entry(&sim, &told, MINUTE).policy(policy(catch_up)));
        let timer = observed(&sim, &told, timer.saved_in(Arc::clone(&store)));
        beside(&sim, &timer, sim.sleep(MINUTE * (until - u32::try_from(from).unwrap())));
    }
    taken(&told)
}

#[test]
fn after_a_restart_exactly_what_the_policy_promises_is_run() {
    let before = [(60, "run 60"), (120, "run 120")];
    let after = [(480, "run 480"), (540, "run 540")];
    let all = |between: &[(i64, &str)]| lines(&[&before, between, &after].concat());
    assert_eq!(restarted(CatchUp::Skip), all(&[(450, "schedule.skipped 5")]));
    assert_eq!(restarted(CatchUp::Once), all(&[(450, "schedule.coalesced 4"), (450, "run 420")]));
    let three = CatchUp::All { at_most: 3 };
    let caught_up = [(450, "schedule.too_many 2"), (450, "run 300"), (451, "run 360"), (452, "run 420")];
    assert_eq!(restarted(three), all(&caught_up));
}

/// Suspended from 1:30 to 4:30, with or without a store.
fn suspended(catch_up: CatchUp, stored: bool) -> Vec<(i64, String)> {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let mut timer = Timer::new().entry(entry(&sim, &told, Duration::ZERO).policy(policy(catch_up)));
    if stored {
        timer = timer.saved_in(Arc::new(Memory::on(Arc::new(sim.clone()))));
    }
    let timer = observed(&sim, &told, timer);
    let script = async {
        sim.sleep(90 * MINUTE).await;
        sim.suspend(3 * HOUR);
        sim.sleep(2 * HOUR).await;
    };
    beside(&sim, &timer, script);
    taken(&told)
}

#[test]
fn a_suspend_of_three_hours_is_seen_within_a_minute_and_treated_as_a_restart() {
    for stored in [false, true] {
        let told = |catch_up, between: &[(i64, &str)]| {
            let jump = [(270, "clock.suspended")];
            let all = [&[(60, "run 60")], &jump, between, &[(300, "run 300"), (360, "run 360")]].concat();
            assert_eq!(suspended(catch_up, stored), lines(&all), "{catch_up:?}");
        };
        told(CatchUp::Skip, &[(270, "schedule.skipped 3")]);
        told(CatchUp::Once, &[(270, "schedule.coalesced 2"), (270, "run 240")]);
        told(CatchUp::All { at_most: 10 }, &[(270, "run 120"), (270, "run 180"), (270, "run 240")]);
    }
}

#[test]
fn a_clock_that_is_set_back_by_two_hours_runs_nothing_twice_and_misses_nothing() {
    for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All { at_most: 10 }] {
        let sim = Sim::new(at(0), 1);
        let told = Told::default();
        let timer = Timer::new().entry(entry(&sim, &told, Duration::ZERO).policy(policy(catch_up)));
        let timer = observed(&sim, &told, timer);
        let script = async {
            sim.sleep(210 * MINUTE).await;
            sim.step_wall(-TimeDelta::hours(2));
            sim.sleep(4 * HOUR).await;
        };
        beside(&sim, &timer, script);
        let expected = [
            (60, "run 60"),
            (120, "run 120"),
            (180, "run 180"),
            (90, "clock.stepped"),
            (240, "run 240"),
            (300, "run 300"),
        ];
        assert_eq!(taken(&told), lines(&expected), "{catch_up:?}");
    }
}

#[test]
fn a_clock_that_is_set_forward_is_a_time_that_was_missed() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let timer = Timer::new().entry(entry(&sim, &told, Duration::ZERO).policy(policy(CatchUp::Once)));
    let timer = observed(&sim, &told, timer);
    let script = async {
        sim.sleep(30 * MINUTE).await;
        sim.step_wall(TimeDelta::hours(2));
        sim.sleep(40 * MINUTE).await;
    };
    beside(&sim, &timer, script);
    let expected =
        [(150, "clock.stepped"), (150, "schedule.coalesced 1"), (150, "run 120"), (180, "run 180")];
    assert_eq!(taken(&told), lines(&expected));
}

/// Work that takes 150 minutes of an hourly schedule, for eight hours.
fn overlapping(overlap: Overlap) -> (Vec<(i64, String)>, Summary) {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let timer = entry(&sim, &told, 150 * MINUTE).policy(policy(CatchUp::Once).overlap(overlap));
    let timer = observed(&sim, &told, Timer::new().entry(timer));
    let summary = beside(&sim, &timer, sim.sleep(5 * HOUR + MINUTE));
    (taken(&told), summary)
}

#[test]
fn what_comes_while_the_one_before_runs_is_skipped_queued_put_in_its_place_or_run_beside_it() {
    let (told, summary) = overlapping(Overlap::Skip);
    let expected = [
        (60, "run 60"),
        (120, "schedule.overlap 120"),
        (180, "schedule.overlap 180"),
        (240, "run 240"),
        (300, "schedule.overlap 300"),
    ];
    assert_eq!((told, summary.overlapped), (lines(&expected), 3));
    let (told, _) = overlapping(Overlap::QueueOne);
    let expected = [
        (60, "run 60"),
        (120, "timer.waits"),
        (180, "timer.waits"),
        (210, "schedule.coalesced 1"),
        (210, "run 180"),
        (240, "timer.waits"),
        (300, "timer.waits"),
    ];
    assert_eq!(told, lines(&expected));
    let (told, summary) = overlapping(Overlap::Replace);
    let expected: Vec<(i64, String)> = (1..=5)
        .flat_map(|hour| {
            let failed = (hour > 1).then(|| (hour * 60, String::from("timer.failed")));
            failed.into_iter().chain([(hour * 60, format!("run {}", hour * 60))])
        })
        .collect();
    assert_eq!((told, summary.failed), (expected, 4));
    let (told, summary) = overlapping(Overlap::Allow);
    let expected: Vec<(i64, String)> =
        (1..=5).map(|hour| (hour * 60, format!("run {}", hour * 60))).collect();
    assert_eq!((told, summary.left), (expected, 3), "those of 3:00, 4:00 and 5:00 have not ended");
}

#[test]
fn of_two_processes_with_one_store_one_runs_each_occurrence() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let timer = || {
        let entry = entry(&sim, &told, MINUTE).policy(policy(CatchUp::Once));
        Timer::new().entry(entry).saved_in(Arc::clone(&store)).build().unwrap()
    };
    let (one, other) = (timer(), timer());
    let shutdown = Shutdown::new();
    let script = async {
        sim.sleep(48 * HOUR + MINUTE).await;
        shutdown.trigger();
    };
    together(&sim, &shutdown, &[&one, &other], &[], script);
    let expected: Vec<(i64, String)> =
        (1..=48).map(|hour| (hour * 60, format!("run {}", hour * 60))).collect();
    assert_eq!(taken(&told), expected);
}

fn books(sim: &Sim, told: &Told, takes: Duration) -> Job {
    let (sim, told) = (sim.clone(), Arc::clone(told));
    let close = Step::new("close", Effect::Idempotent, move |cx| {
        let (sim, told) = (sim.clone(), Arc::clone(&told));
        async move {
            told.lock().unwrap().push((minutes(sim.now().wall), format!("close {}", cx.input::<i64>()?)));
            sim.sleep(takes).await;
            Ok(())
        }
    });
    Job::new("books").step(close).build().unwrap()
}

fn runs_of(sim: &Sim, store: &Arc<dyn Store>) -> Vec<(String, State)> {
    let page = sim.block_on(store.scan(Query::all(Ns::RUN))).unwrap().unwrap();
    let mut found: Vec<(String, State)> =
        page.records.iter().map(|run| (run.kind.clone(), run.state.parse().unwrap())).collect();
    found.sort_by_key(|(_, state)| state.as_str());
    found
}

#[test]
fn a_job_is_submitted_each_time_once_and_is_under_way_until_its_run_has_ended() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    // Takes 90 minutes, so each second occurrence overlaps.
    let job = || books(&sim, &told, 90 * MINUTE);
    let entry = Entry::new("books", hourly())
        .policy(policy(CatchUp::Once))
        .job(job(), |occasion| minutes(occasion.occurrence.nominal));
    let timer = observed(&sim, &told, Timer::new().entry(entry).saved_in(Arc::clone(&store)));
    let worker = Worker::new(Arc::clone(&store)).job(job()).build().unwrap();
    let shutdown = Shutdown::new();
    let script = async {
        sim.sleep(5 * HOUR - MINUTE).await;
        shutdown.trigger();
    };
    together(&sim, &shutdown, &[&timer], &[&worker], script);
    let expected =
        [(60, "close 60"), (120, "schedule.overlap 120"), (180, "close 180"), (240, "schedule.overlap 240")];
    assert_eq!(taken(&told), lines(&expected));
    assert_eq!(runs_of(&sim, &store), vec![(String::from("books"), State::Succeeded); 2]);
    // What was skipped is in the history of the timer's own record.
    let history = sim.block_on(store.events(Ns::SNAPSHOT, "timer/books", 0, 100)).unwrap().unwrap();
    let codes: Vec<&str> = history.iter().map(|stored| &*stored.event.code).collect();
    assert_eq!(codes, ["schedule.on_time", "schedule.overlap", "schedule.on_time", "schedule.overlap"]);
}

#[test]
fn a_cron_process_does_what_is_due_in_one_pass_and_leaves() {
    let sim = Sim::new(at(5), 1);
    let told = Told::default();
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let pass = || {
        let grace = Duration::from_secs(900);
        let entry = Entry::new("books", hourly())
            .policy(policy(CatchUp::Once).grace(grace))
            .job(books(&sim, &told, Duration::ZERO), |occasion| minutes(occasion.occurrence.nominal));
        let timer = observed(&sim, &told, Timer::new().entry(entry).saved_in(Arc::clone(&store)));
        timer.pass_blocking_on(sim.clone()).unwrap()
    };
    assert_eq!(pass(), Summary { next: Some(at(60)), ..Summary::default() }, "seen for the first time");
    for quarter in 1..=8 {
        sim.set_wall(at(5 + 15 * quarter));
        pass();
    }
    // Down until 9:05.
    sim.set_wall(at(545));
    let summary = pass();
    assert_eq!((summary.begun, summary.missed, summary.next), (1, 6, Some(at(600))));
    let expected = [(65, "close 60"), (125, "close 120"), (545, "schedule.coalesced 6"), (545, "close 540")];
    assert_eq!(taken(&told), lines(&expected));
    assert_eq!(pass().begun, 0);
    let history = sim.block_on(store.events(Ns::SNAPSHOT, "timer/books", 0, 100)).unwrap().unwrap();
    let last = &history.last().unwrap().event;
    assert!(last.code == "schedule.on_time" && last.why.contains("schedule.coalesced (6,"), "{}", last.why);
}

#[test]
fn nothing_is_begun_while_the_window_is_closed_and_what_is_due_then_is_caught_up_with() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let window = "02:30-05:00".parse().unwrap();
    let entry = entry(&sim, &told, Duration::ZERO).policy(policy(CatchUp::Once)).during(window);
    let timer = observed(&sim, &told, Timer::new().entry(entry));
    beside(&sim, &timer, sim.sleep(6 * HOUR + MINUTE));
    let expected = [
        (60, "timer.window_closed"),
        (150, "schedule.coalesced 1"),
        (150, "run 120"),
        (180, "run 180"),
        (240, "run 240"),
        (300, "timer.window_closed"),
    ];
    assert_eq!(taken(&told), lines(&expected));
}

#[test]
fn an_end_waits_for_what_runs_within_the_grace_and_says_what_was_left() {
    for (grace, left, ended) in [(10, 1, 70), (40, 0, 90)] {
        let sim = Sim::new(at(0), 1);
        let told = Told::default();
        let timer = Timer::new().entry(entry(&sim, &told, 30 * MINUTE)).grace(MINUTE * grace);
        let timer = observed(&sim, &told, timer);
        let summary = beside(&sim, &timer, sim.sleep(60 * MINUTE + Duration::from_secs(1)));
        assert_eq!((summary.begun, summary.left), (1, left));
        assert_eq!(minutes(sim.now().wall), ended);
    }
}

#[test]
fn work_that_panics_or_fails_is_told_and_harms_no_other() {
    let sim = Sim::new(at(0), 1);
    let told = Told::default();
    let panics = Entry::new("panics", hourly()).run(|_| async {
        assert!(Timestamp::UNIX_EPOCH > Timestamp::MAX_UTC, "never so");
        Ok::<(), Infallible>(())
    });
    let fails = Entry::new("fails", hourly()).run_blocking(|_| Err("no such file"));
    let timer = Timer::new().entry(entry(&sim, &told, MINUTE)).entry(panics).entry(fails);
    let timer = observed(&sim, &told, timer);
    let summary = beside(&sim, &timer, sim.sleep(2 * HOUR + MINUTE));
    assert_eq!((summary.begun, summary.failed), (6, 4));
    let runs = taken(&told).into_iter().filter(|(_, what)| what.starts_with("run")).count();
    assert_eq!(runs, 2);
}

#[test]
fn a_timer_that_could_not_work_is_refused_with_its_field() {
    let refused = |timer: unattended::timer::Builder| timer.build().unwrap_err().to_string();
    assert!(refused(Timer::new()).starts_with("entries is 0;"));
    let idle = || Entry::new("a", hourly());
    assert!(refused(Timer::new().entry(idle())).starts_with("entry.work is none;"));
    let run = || idle().run_blocking(|_| Ok::<(), Infallible>(()));
    assert!(refused(Timer::new().entry(run()).entry(run())).starts_with("entry.name is a;"));
    let sim = Sim::new(at(0), 1);
    let job = books(&sim, &Told::default(), MINUTE);
    assert!(refused(Timer::new().entry(idle().job(job, |_| 1))).starts_with("saved_in is none;"));
    let policy = Policy::new().grace(48 * HOUR);
    assert_eq!(refused(Timer::new().entry(run().policy(policy))), "the schedule of a");
}
