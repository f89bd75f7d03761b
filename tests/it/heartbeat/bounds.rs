//! What a monitor reports of others, what it cannot be, and many heartbeats at once.

use super::*;

#[test]
fn a_monitor_that_declares_nothing_reports_what_others_judge_and_what_is_damaged_is_said() {
    let world = World::new();
    let now = world.sim.now();
    ops(&world.store)
        .expect("mail", hourly())
        .expect("prices", hourly())
        .build()
        .unwrap()
        .check_blocking(now)
        .unwrap();
    let body = store::Put { body: Some(String::from("{}")), ..store::Put::nothing() };
    world.put(Ns::SNAPSHOT, "heartbeat/ops/prices", body);
    let onlooker = ops(&world.store).build().unwrap();
    let report = onlooker.check_blocking(now.after(secs(30))).unwrap();
    assert_eq!(report.get("mail").unwrap().state(), "new");
    let entry = report.get("prices").unwrap();
    assert_eq!((entry.state(), entry.code(), report.exit_code()), ("unreadable", "monitor.unreadable", 2));
    let error = onlooker.beat_blocking("prices", now, Beat::succeeded()).unwrap_err();
    assert!(matches!(error, Error::Store(store::Error::Corrupt { .. })), "{error}");
    onlooker.beat_blocking("mail", now, Beat::failed("no")).unwrap();
    assert_eq!(codes(&world.store, "mail"), ["heartbeat.failed"], "by the policy that stands beside it");
}

#[test]
fn what_a_monitor_cannot_be_is_said_with_field_given_and_allowed() {
    let world = World::new();
    let ops = || ops(&world.store);
    let probe = |builder: Builder, timeout| builder.probe("p", timeout, || Answer::Ok);
    let cases = [
        (
            Monitor::new(world.store.clone(), "a/b"),
            "monitor: name is \"a/b\" (3 bytes), allowed is 1 to 100 bytes",
        ),
        (ops().expect("", hourly()), "monitor: job is \"\" (0 bytes), allowed is 1 to 200 bytes, no NUL"),
        (ops().expect("x".repeat(201), hourly()), "monitor: job is"),
        (ops().expect("a", hourly()).expect("a", hourly()), "monitor: job is a, allowed is each name once"),
        (ops().expect("a", Policy::scheduled()), "monitor: policy is a scheduled one"),
        (ops().expect("a", Policy::every(secs(9))), "the job a"),
        (ops().expect("a", hourly()).tick(secs(2 * HOUR)), "the job a"),
        (probe(ops(), secs(0)), "monitor: timeout is 0s, allowed is 1ms to 10m"),
        (probe(probe(ops(), secs(1)), secs(1)), "monitor: probe is p, allowed is each name once"),
        (
            ops().memory_below(f64::NAN, || Ok(1.0)),
            "monitor: memory_below is NaN, allowed is 1 to 100 percent",
        ),
        (ops().undeclared_max(1001), "monitor: undeclared_max is 1001, allowed is at most 1000"),
        (ops().on_timer("a", "a.timer"), "monitor: on_timer is a, allowed is a job that is declared"),
    ];
    for (builder, says) in cases {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
    let monitor = ops().build().unwrap();
    assert!(monitor.pulse("x".repeat(201)).is_err());
    assert!(monitor.beat_blocking("a\0b", world.sim.now(), Beat::started()).is_err());
    assert!(monitor.check_blocking(world.sim.now()).unwrap().entries.is_empty());
}

/// What it costs is printed; the bound is for a debug build beside other tests.
#[cfg(feature = "sqlite")]
#[test]
fn ten_thousand_heartbeats_on_sqlite_are_checked_in_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(unattended::sqlite::Sqlite::open(folder.path().join("s.db")).unwrap());
    let monitor =
        (0..10_000).fold(ops(&store), |builder, job| builder.expect(format!("job {job}"), hourly()));
    let (monitor, start) = (monitor.build().unwrap(), World::new().sim.now());
    for what in ["declared", "read for the first time", "read again"] {
        let began = System.moment();
        let report = monitor.check_blocking(start.after(secs(30))).unwrap();
        let took = System.moment().since(began);
        println!("10,000 heartbeats, {what}: {took:?}");
        assert_eq!((report.entries.len(), report.level()), (10_000, Level::Well));
        assert!(took < secs(60), "{what}: {took:?}");
    }
}

/// This machine: whether it has systemd or not, the answer comes in time and is understood.
#[cfg(all(feature = "process", unix))]
#[test]
fn the_timers_and_the_memory_of_this_machine_are_asked_for_in_time() {
    use unattended::monitor::{NoTimers, Systemctl, Timers, parse_timers};

    match Systemctl::new().list() {
        Ok(list) => drop(parse_timers(&list).unwrap()),
        Err(error) => assert!(matches!(error, NoTimers::NoSystemd(_) | NoTimers::Failed(_)), "{error}"),
    }
    let world = World::new();
    let monitor =
        Monitor::new(Arc::clone(&world.store), "machine").memory_of_host_below(100.0).build().unwrap();
    let report = monitor.check_blocking(System.now()).unwrap();
    assert!(report.get("memory").is_some(), "{report}");
}
