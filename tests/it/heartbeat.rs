//! Who watches: heartbeats in a store, judged by monitors that come and go, under simulated time.
#![cfg(feature = "testing")]

mod bounds;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::explain::Explain;
use unattended::heartbeat::{Beat, Policy, State};
use unattended::job::Job;
use unattended::monitor::{Answer, Builder, Error, Finding, Level, Monitor, NoTimers, Ping, Raised};
use unattended::pipeline::{Step, StepError};
use unattended::store::{self, Ns, Store};
use unattended::time::{Clock, Now, System};

use crate::world::{Faulty, Inject, World};

const HOUR: u64 = 3600;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn hourly() -> unattended::heartbeat::Builder {
    Policy::every(secs(HOUR))
}

/// What was told, by all monitors of a test.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Raised>>>);

impl Told {
    fn by(&self, builder: Builder) -> Monitor {
        let told = self.clone();
        builder.on_event(move |raised| told.0.lock().unwrap().push(raised.clone())).build().unwrap()
    }

    fn take(&self) -> Vec<(String, &'static str)> {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        told.into_iter().map(|raised| (raised.name.clone(), raised.code())).collect()
    }
}

fn codes(store: &Arc<dyn Store>, job: &str) -> Vec<String> {
    let events = block_on(store.events(Ns::SNAPSHOT, &format!("heartbeat/ops/{job}"), 0, 100)).unwrap();
    events.into_iter().map(|stored| stored.event.code.to_string()).collect()
}

fn ops(store: &Arc<dyn Store>) -> Builder {
    Monitor::new(Arc::clone(store), "ops")
}

/// The story of one silent death, with a monitor that is another process at each check.
fn silent_death(store: &Arc<dyn Store>, now: impl Fn(u64) -> Now) {
    let told = Told::default();
    let check = |second: u64| {
        let monitor = told.by(ops(store).expect("backup", hourly()).tell_late());
        let report = monitor.check_blocking(now(second)).unwrap();
        let told = told.take().into_iter().map(|(_, code)| code).collect::<Vec<_>>();
        (told, report.get("backup").unwrap().state(), report.exit_code())
    };
    assert_eq!(check(0), (vec![], "new", 0));
    let job = ops(store).build().unwrap();
    job.beat_blocking("backup", now(60), Beat::succeeded()).unwrap();
    let mut all = Vec::new();
    for second in (60..4 * HOUR).step_by(60) {
        let (told, state, exit) = check(second);
        all.extend(told.into_iter().map(|code| (second, code, state, exit)));
    }
    assert_eq!(
        all,
        [(60 + HOUR, "heartbeat.late", "late", 1), (60 + 2 * HOUR, "heartbeat.overdue", "overdue", 2),]
    );
    job.beat_blocking("backup", now(5 * HOUR), Beat::succeeded()).unwrap();
    assert_eq!(check(4 * HOUR + 60).0, [] as [&str; 0]);
    assert_eq!(
        codes(store, "backup"),
        ["heartbeat.first_success", "heartbeat.late", "heartbeat.overdue", "heartbeat.recovered"]
    );
}

#[test]
fn a_silent_death_is_told_at_twice_its_interval_once_and_its_recovery_once_whoever_looks() {
    let world = World::new();
    let start = world.sim.now();
    silent_death(&world.store, |second| start.after(secs(second)));
}

#[cfg(feature = "sqlite")]
#[test]
fn a_silent_death_on_sqlite_is_told_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(unattended::sqlite::Sqlite::open(folder.path().join("s.db")).unwrap());
    let start = World::new().sim.now();
    silent_death(&store, |second| start.after(secs(second)));
}

#[cfg(feature = "sqlite")]
#[test]
fn two_monitors_at_the_same_time_tell_each_change_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let start = World::new().sim.now();
    let told = Told::default();
    let monitors: Vec<_> = (0..2)
        .map(|_| {
            let store: Arc<dyn Store> = Arc::new(unattended::sqlite::Sqlite::open(&path).unwrap());
            (0..40).fold(ops(&store).tell_late().tick(secs(HOUR)), |builder, job| {
                builder.expect(format!("job {job}"), hourly())
            })
        })
        .map(|builder| told.by(builder))
        .collect();
    // New, late, overdue; then all of them are well again.
    for second in [0, 60, HOUR, HOUR + 60, 2 * HOUR, 2 * HOUR + 60] {
        std::thread::scope(|scope| {
            for monitor in &monitors {
                scope.spawn(|| monitor.check_blocking(start.after(secs(second))).unwrap());
            }
        });
    }
    let mut all = told.take();
    all.retain(|(_, code)| *code != "heartbeat.unwatched");
    all.sort();
    assert_eq!(all.len(), 80, "{all:?}");
    all.dedup();
    assert_eq!(all.len(), 80, "each of 40 late once and overdue once");
    std::thread::scope(|scope| {
        for monitor in &monitors {
            scope.spawn(|| {
                for job in 0..40 {
                    let pulse = monitor.pulse(format!("job {job}")).unwrap();
                    pulse.note(start.after(secs(3 * HOUR)), Beat::succeeded());
                }
                monitor.flush_blocking().unwrap();
            });
        }
    });
    let mut all = told.take();
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!((all.len(), count), (40, 40));
}

#[test]
fn what_fell_due_while_the_monitor_was_down_is_given_a_chance_and_that_nobody_looked_is_said() {
    let (world, told) = (World::new(), Told::default());
    let monitor = told.by(ops(&world.store).expect("mail", hourly()).expect("prices", hourly()));
    let start = world.sim.now();
    let check = |second: u64| monitor.check_blocking(start.after(secs(second))).unwrap();
    for name in ["mail", "prices"] {
        monitor.beat_blocking(name, start, Beat::succeeded()).unwrap();
    }
    let (mut second, mut noticed) = (0, 0);
    while second < 30 * HOUR {
        // Down from the first half hour for ten hours; one of the two jobs went on meanwhile.
        second = if second == HOUR / 2 { 10 * HOUR } else { second + 60 };
        if second == 10 * HOUR {
            monitor.beat_blocking("mail", start.after(secs(10 * HOUR - 600)), Beat::succeeded()).unwrap();
        }
        if second.is_multiple_of(HOUR) && second > 10 * HOUR {
            monitor.beat_blocking("mail", start.after(secs(second)), Beat::succeeded()).unwrap();
        }
        let report = check(second);
        noticed += usize::from(report.noticed.is_some());
        if second == 10 * HOUR {
            assert_eq!(report.level(), Level::Well, "{report}");
            assert!(report.to_string().contains("nobody looked for 9 h 30 min"), "{report}");
        }
    }
    assert_eq!(noticed, 1);
    let told = told.take();
    let of = |name: &str| told.iter().filter(|(of, _)| of == name).map(|(_, code)| *code).collect::<Vec<_>>();
    assert_eq!(of("mail"), ["heartbeat.first_success"]);
    assert_eq!(of("prices"), ["heartbeat.first_success", "heartbeat.overdue"]);
    assert_eq!(of("ops"), ["heartbeat.unwatched"]);
}

#[test]
fn a_job_that_nobody_declared_is_kept_and_reported_and_only_so_many_are() {
    let (world, told) = (World::new(), Told::default());
    let now = world.sim.now();
    let monitor = told.by(ops(&world.store).expect("mail", hourly()).undeclared_max(2));
    monitor.check_blocking(now).unwrap();
    monitor.beat_blocking("old backup", now, Beat::succeeded()).unwrap();
    monitor.beat_blocking("old backup", now, Beat::failed("no")).unwrap();
    let pulse = monitor.pulse("another").unwrap();
    pulse.note(now, Beat::started());
    monitor.flush_blocking().unwrap();
    let refused = monitor.beat_blocking("a third", now, Beat::started()).unwrap_err();
    assert!(matches!(refused, Error::TooManyUndeclared { kept: 2, allowed: 2, .. }), "{refused}");
    assert_eq!(
        told.take(),
        [("old backup", "monitor.undeclared"), ("another", "monitor.undeclared")]
            .map(|(name, code)| (name.to_owned(), code))
    );
    let report = monitor.check_blocking(now.after(secs(60))).unwrap();
    let entry = report.get("old backup").unwrap();
    assert_eq!(
        (entry.state(), entry.code(), entry.level()),
        ("undeclared", "monitor.undeclared", Level::Warning)
    );
    assert!(report.to_string().contains("nobody declared it"), "{report}");
    assert_eq!(report.exit_code(), 1);

    // Forgotten, there is room for another; declared, it is judged by what was heard of it.
    assert!(block_on(monitor.forget("another")).unwrap());
    assert!(!block_on(monitor.forget("another")).unwrap());
    monitor.beat_blocking("a third", now, Beat::started()).unwrap();
    let monitor = told.by(ops(&world.store).expect("old backup", hourly()));
    let report = monitor.check_blocking(now.after(secs(120))).unwrap();
    assert!(
        matches!(&report.get("old backup").unwrap().finding, Finding::Job(status) if status.state == State::Failing)
    );
    assert!(report.get("another").is_none());
    assert_eq!(report.get("mail").unwrap().state(), "undeclared");
}

#[test]
fn a_probe_that_hangs_is_cut_at_its_time_out_and_is_not_asked_again_while_it_hangs() {
    let (world, told) = (World::new(), Told::default());
    let (release, held) = channel::<()>();
    let (held, asked) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let hang = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let _released = held.lock().unwrap().recv_timeout(secs(30));
        Answer::Ok
    };
    let monitor = told.by(ops(&world.store)
        .probe("hangs", Duration::from_millis(200), hang)
        .probe("panics", secs(30), || panic!("no such host"))
        .probe("well", secs(30), || Answer::Ok)
        .memory_below(90.0, || Ok(93.5)));
    let now = world.sim.now();
    let began = System.moment();
    let report = monitor.check_blocking(now).unwrap();
    assert!(System.moment().since(began) < secs(10), "it is cut after 200 ms");
    let why = |name: &str| report.get(name).unwrap().why();
    assert_eq!(why("hangs"), "no answer within 0.2 s");
    assert_eq!(why("panics"), "it panicked: no such host");
    assert_eq!(why("memory"), "93.5 % of the memory is used, the limit is 90 %");
    assert_eq!((report.get("well").unwrap().state(), report.exit_code()), ("ok", 2));
    assert_eq!(told.take().len(), 3, "what was never bad is not told to be well");

    let report = monitor.check_blocking(now.after(secs(60))).unwrap();
    assert_eq!(report.get("hangs").unwrap().why(), "it still hangs since it was asked before");
    assert_eq!((asked.load(Ordering::Relaxed), told.take()), (1, vec![]));
    release.send(()).unwrap();
    release.send(()).unwrap();
    // It has come back at some time.
    let recovered = (2..500).any(|minute| {
        std::thread::yield_now();
        let report = monitor.check_blocking(now.after(secs(60 * minute))).unwrap();
        let _gone = release.send(());
        report.get("hangs").unwrap().state() == "ok"
    });
    assert!(recovered);
    assert_eq!(told.take().iter().filter(|(name, _)| name == "hangs").count(), 1);
}

#[test]
fn a_job_that_is_paused_is_not_accused_and_counts_anew_when_it_is_resumed() {
    let (world, told) = (World::new(), Told::default());
    let start = world.sim.now();
    let monitor = told.by(ops(&world.store).expect("mail", hourly()).tell_late());
    let at = |second: u64| start.after(secs(second));
    monitor.beat_blocking("mail", at(0), Beat::Paused).unwrap();
    for second in (0..5 * HOUR).step_by(60) {
        assert_eq!(monitor.check_blocking(at(second)).unwrap().exit_code(), 0);
    }
    monitor.beat_blocking("mail", at(5 * HOUR), Beat::Resumed).unwrap();
    for second in (5 * HOUR..6 * HOUR + 120).step_by(60) {
        monitor.check_blocking(at(second)).unwrap();
    }
    let told = told.take().into_iter().map(|(_, code)| code).collect::<Vec<_>>();
    assert_eq!(told, ["heartbeat.paused", "heartbeat.resumed", "heartbeat.late"]);
}

#[cfg(feature = "tz")]
#[test]
fn a_daily_job_is_expected_when_the_clocks_say_so_also_where_they_skip_an_hour() {
    use unattended::schedule::Schedule;
    use unattended::zone::Zone;

    let half_past_two = chrono::NaiveTime::from_hms_opt(2, 30, 0).unwrap();
    let schedule = Schedule::daily(half_past_two, Zone::Named(chrono_tz::Europe::Berlin));
    let (world, told) = (World::new(), Told::default());
    // 28 March 2027: from 02:00 to 03:00; the job of that night is at 03:00, which is 01:00 UTC.
    world.sim.set_wall("2027-03-26T00:00:00Z".parse().unwrap());
    let start = world.sim.now();
    let policy = Policy::scheduled().grace(secs(1800));
    let monitor = told.by(ops(&world.store).expect_schedule("backup", schedule, policy).tell_late());
    let mut all = Vec::new();
    for minute in 0..5 * 24 * 60 {
        let now = start.after(secs(60 * minute));
        // It runs as it should on the 26th and 27th, and never again.
        let at = now.wall.format("%d %H:%M").to_string();
        if ["26 01:40", "27 01:40"].contains(&at.as_str()) {
            monitor.beat_blocking("backup", now, Beat::succeeded()).unwrap();
        }
        let report = monitor.check_blocking(now).unwrap();
        all.extend(told.take().into_iter().map(|(_, code)| format!("{at} {code}")));
        assert!(report.noticed.is_none());
    }
    assert_eq!(
        all,
        [
            "26 01:40 heartbeat.first_success",
            "28 01:30 heartbeat.late",
            // By summer time half past two is half an hour after midnight.
            "29 00:30 heartbeat.overdue",
        ]
    );
}

#[test]
fn what_a_store_did_not_take_in_is_kept_and_written_the_next_time_and_nobody_is_pinged() {
    let world = World::new();
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let plan = move |_: u64, _: &store::Batch| {
        if is_down.load(Ordering::Relaxed) { Inject::NotApplied } else { Inject::Pass }
    };
    let faulty: Arc<dyn Store> = Arc::new(Faulty::new(&world.store, plan));
    let (told, pings) = (Told::default(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&pings);
    let ping = Ping::call(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok::<(), String>(())
    });
    let monitor = told.by(ops(&faulty).expect("mail", hourly()).ping(ping).batch(3));
    let start = world.sim.now();
    monitor.check_blocking(start).unwrap();
    assert_eq!(pings.load(Ordering::Relaxed), 1);
    down.store(true, Ordering::Relaxed);
    let pulse = monitor.pulse("mail").unwrap();
    assert!(!monitor.is_due(start));
    for n in 0..3 {
        pulse.note(start.after(secs(n)), Beat::started());
    }
    pulse.note(start.after(secs(5)), Beat::succeeded());
    assert!(monitor.is_due(start));
    assert!(monitor.flush_blocking().is_err());
    assert!(monitor.beat_blocking("mail", start.after(secs(6)), Beat::succeeded()).is_err());
    assert!(monitor.check_blocking(start.after(secs(60))).is_err());
    assert_eq!((pings.load(Ordering::Relaxed), told.take(), monitor.lost()), (1, vec![], 0));
    down.store(false, Ordering::Relaxed);
    let report = monitor.check_blocking(start.after(secs(120))).unwrap();
    assert_eq!(told.take(), [(String::from("mail"), "heartbeat.first_success")]);
    assert_eq!(report.get("mail").unwrap().last_success(), Some(start.after(secs(6)).wall));
    assert_eq!(pings.load(Ordering::Relaxed), 2);
    // What nobody writes is bounded.
    down.store(true, Ordering::Relaxed);
    for n in 0..5000 {
        pulse.note(start.after(secs(n)), Beat::succeeded());
    }
    assert_eq!(monitor.lost(), 5000 - 4096);
    (0..5000).for_each(|n| pulse.note(start.after(secs(n)), Beat::progress()));
    assert_eq!(monitor.lost(), 5000 - 4095, "of progress only the last is kept");
}

#[test]
fn a_check_in_which_nothing_has_changed_writes_nothing() {
    let world = World::new();
    let writes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&writes);
    let plan = move |_: u64, _: &store::Batch| {
        count.fetch_add(1, Ordering::Relaxed);
        Inject::Pass
    };
    let counting: Arc<dyn Store> = Arc::new(Faulty::new(&world.store, plan));
    let monitor =
        (0..2500).fold(ops(&counting), |builder, job| builder.expect(format!("job {job}"), hourly()));
    let monitor = monitor.build().unwrap();
    let start = world.sim.now();
    assert_eq!(monitor.check_blocking(start).unwrap().entries.len(), 2500);
    assert_eq!(writes.swap(0, Ordering::Relaxed), 1 + 2500_usize.div_ceil(128));
    monitor.check_blocking(start.after(secs(59))).unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), 0);
    monitor.check_blocking(start.after(secs(60))).unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), 1, "when was last looked");
    monitor.beat_blocking("job 7", start.after(secs(61)), Beat::succeeded()).unwrap();
    let report = monitor.check_blocking(start.after(secs(62))).unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), 2, "the beat");
    assert_eq!(report.get("job 7").unwrap().state(), "up");
    assert!(report.to_string().contains("and 2300 more, none of them worse"), "{report}");
}

#[test]
fn the_ping_is_a_file_or_a_closure_and_one_that_fails_is_said() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alive");
    let missing = folder.path().join("no/such/folder/alive");
    let monitor = ops(&world.store)
        .expect("mail", hourly())
        .ping(Ping::file(&path))
        .ping(Ping::file(missing))
        .ping(Ping::call(|report| match report.exit_code() {
            0 => Err("HTTP 404"),
            _ => Ok(()),
        }))
        .build()
        .unwrap();
    let report = monitor.check_blocking(world.sim.now()).unwrap();
    let line = std::fs::read_to_string(&path).unwrap();
    assert_eq!(line, "2023-11-14T22:13:20.000Z 1 well, 0 to be looked at, 0 in trouble\n");
    assert_eq!((report.pings_failed.len(), report.exit_code()), (2, 1), "{report}");
    assert_eq!(report.pings_failed[1], "HTTP 404");
    assert!(report.to_string().contains("a ping did not go out: HTTP 404"), "{report}");
}

#[test]
fn the_timers_of_systemd_are_compared_with_what_is_declared() {
    let world = World::new();
    let list = r#"[{"next":1763856000000000,"last":0,"unit":"backup.timer","activates":"backup.service"},
        {"next":null,"last":1763769600000000,"unit":"mail.timer","activates":"mail.service"}]"#;
    let with = |answer: Result<&'static str, NoTimers>| {
        let jobs = ["backup", "mail", "prices"];
        let builder = jobs.iter().fold(ops(&world.store), |builder, job| {
            builder.expect(*job, hourly()).on_timer(*job, format!("{job}.timer"))
        });
        let monitor = builder.timers(move || answer.clone().map(str::to_owned)).build().unwrap();
        let report = monitor.check_blocking(world.sim.now()).unwrap();
        let of = |job: &str| {
            let entry = report.get(&format!("{job}.timer")).unwrap();
            format!("{}: {}", entry.state(), entry.why())
        };
        (jobs.map(of), report.exit_code())
    };
    let (found, exit) = with(Ok(list));
    assert_eq!(
        found,
        [
            "scheduled: systemd runs backup next at 2025-11-23 00:00:00",
            "missing: the timer is not scheduled, so systemd does not run mail",
            "missing: systemd has no such timer, so it does not run prices",
        ]
    );
    assert_eq!(exit, 2);
    let (found, exit) = with(Err(NoTimers::NoSystemd("no bus".into())));
    assert_eq!(
        found[0],
        "unknown: nobody knows whether systemd runs backup: there is no systemd here: no bus"
    );
    assert_eq!(exit, 0, "it is skipped, with its reason");
    let (found, exit) = with(Ok("Failed to connect"));
    assert!(found[0].contains("which is no list of timers"), "{}", found[0]);
    assert_eq!(exit, 1);
}

#[test]
fn a_run_in_the_store_that_has_succeeded_counts_though_nobody_sent_a_beat() {
    let (world, told) = (World::new(), Told::default());
    let job = Job::new("report")
        .step(Step::blocking("write", Effect::Pure, |_| Ok::<(), StepError>(())))
        .build()
        .unwrap();
    let monitor = told.by(ops(&world.store).expect("report", hourly()).tell_late());
    let run =
        |input: u64| block_on(job.run_once_on(world.sim.clone(), &world.store, &input)).map(drop).unwrap();
    run(0);
    let mut all = Vec::new();
    let start = world.wall();
    for minute in 0..400 {
        if minute == 50 {
            run(1);
        }
        monitor.check_blocking(world.sim.now()).unwrap();
        all.extend(told.take().into_iter().map(|(_, code)| (minute, code)));
        world.secs(60);
    }
    assert_eq!(
        all,
        [(0, "heartbeat.first_success"), (110, "heartbeat.late"), (170, "heartbeat.overdue")],
        "{start}"
    );
    run(2);
    monitor.check_blocking(world.sim.now()).unwrap();
    assert_eq!(told.take(), [(String::from("report"), "heartbeat.recovered")]);
}
