//! Supervision of real processes: flaky, hanging, ending for good, outliving a supervisor that is killed.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use unattended::backoff::Backoff;
use unattended::command::Command;
use unattended::explain::Explain;
use unattended::restart::{Class, Escalating, How, Policy, Stopping};
use unattended::shutdown::Shutdown;
use unattended::snapshots::File;
use unattended::supervise::{Builder, Ended, Event, Hanging, Liveness, State, Supervisor};
use unattended::time::{Clock, System};

use crate::kit::{Player, say, var};

const LONG: Duration = Duration::from_secs(60);

/// What the children of these tests are.
pub fn child(role: &str, path: &Path) -> bool {
    match role {
        "supervise" => supervise(path),
        "supervise an idle one" => supervise_an_idle_one(),
        "notify" => notify(),
        _ => return false,
    }
    true
}

fn sh(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script).drain(Duration::from_secs(1))
}

/// Three in 300 s, at once, and nothing but the window.
fn three() -> Policy {
    Policy::new().failures_max(3, Duration::from_secs(300)).backoff(Backoff::zero()).same_unlimited()
}

type Told = Arc<Mutex<Vec<Event>>>;

fn listening(builder: Builder) -> (Supervisor, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let builder = builder.on_event(move |event| heard.lock().unwrap().push(event.clone()));
    (builder.build().unwrap(), told)
}

fn codes(told: &Told) -> Vec<&'static str> {
    told.lock().unwrap().iter().map(Explain::code).collect()
}

/// Runs in this group that carry this word in their arguments.
fn running(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(word) && entry.file_name() != *std::process::id().to_string() {
            found.push(format!("{}: {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn no_time_out_and_no_deadline_of_its_command_ends_what_is_supervised() {
    let soon = unattended::time::later(System.now().wall, Duration::from_millis(300));
    let command = sh("sleep 0.8").timeout(Duration::from_millis(100)).deadline(soon);
    let (mut supervisor, told) = listening(Supervisor::new("long").process(command).policy(three()));
    let ended = supervisor.run_blocking(&Shutdown::new());
    assert_eq!(ended, Ended::Well { why: Stopping::Well { how: How::Code(0) } }, "{told:?}");
}

#[test]
fn a_flaky_process_is_begun_again_until_it_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!("echo x >> {0}; test $(wc -l < {0}) -gt 2", log.display());
    let (mut supervisor, told) = listening(Supervisor::new("flaky").process(sh(&script)).policy(three()));
    let ended = supervisor.run_blocking(&Shutdown::new());
    assert_eq!(ended, Ended::Well { why: Stopping::Well { how: How::Code(0) } });
    assert_eq!(lines(&log), 3);
    let of_one = ["supervise.started", "supervise.exited", "restart.failed"];
    let expected =
        [&of_one[..], &of_one, &["supervise.started", "supervise.exited", "restart.well"]].concat();
    assert_eq!(codes(&told), expected);
}

#[test]
fn three_failures_escalate_with_their_evidence_and_a_permanent_exit_is_not_restarted() {
    let policy = three();
    let (mut supervisor, _) = listening(
        Supervisor::new("broken").process(sh("echo no table $$ >&2; kill -SEGV $$; sleep 9")).policy(policy),
    );
    let Ended::Escalated { why, evidence } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
    assert_eq!(why, Escalating::WindowFull { failures: 3, limit: 3, window_ms: 300_000 });
    assert_eq!(evidence.errors.len(), 1, "{evidence:?}");
    assert_eq!((&*evidence.errors[0].fingerprint, evidence.errors[0].count), ("SIGSEGV: no table #", 3));
    assert!(matches!(supervisor.health().state(), State::Escalated { .. }));
    let refused = supervisor.health().ready(System.now()).unwrap_err();
    assert_eq!(refused.code, "supervise.escalated");
    // It stands, whoever calls again, until a person has seen to it.
    assert!(matches!(supervisor.run_blocking(&Shutdown::new()), Ended::Escalated { .. }));
    assert_eq!(supervisor.evidence().starts_total, 3);
    supervisor.clear();
    assert!(matches!(supervisor.run_blocking(&Shutdown::new()), Ended::Escalated { .. }));
    assert_eq!(supervisor.evidence().starts_total, 6);

    let (mut supervisor, told) = listening(Supervisor::new("wrong").process(sh("exit 78")).policy(policy));
    let Ended::Stopped { why, evidence } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
    assert_eq!(why, Stopping::Permanent { how: How::Code(78) });
    assert_eq!((evidence.starts_total, evidence.exits[0].class), (1, Class::Permanent));
    assert_eq!(codes(&told), ["supervise.started", "supervise.exited", "restart.permanent"]);
}

#[test]
fn what_cannot_be_started_is_a_failure_that_says_why() {
    let command = Command::new("/no/such/program");
    let mut supervisor = Supervisor::new("none").process(command).policy(three()).build().unwrap();
    let Ended::Escalated { evidence, .. } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
    assert!(evidence.exits.iter().all(|past| past.how == How::NotStarted), "{evidence:?}");
    assert!(evidence.exits[0].tail.contains("/no/such/program"), "{evidence:?}");
}

#[test]
fn a_hang_is_found_by_its_missing_progress_and_its_whole_tree_is_stopped() {
    let word = format!("61{:05}", std::process::id() % 100_000);
    // It lives for a while, then it and what it has started go on without a sign, and do not listen to SIGTERM.
    let script = format!(
        "trap '' TERM; for i in 1 2 3 4; do echo $i; sleep 0.2; done; (trap '' TERM; sleep {word} & sleep {word}) & sleep {word}"
    );
    let within = Duration::from_millis(700);
    let (mut supervisor, told) = listening(
        Supervisor::new("hanging")
            .process(sh(&script))
            .policy(three().failures_max(1, LONG))
            .liveness(Liveness::progress(within))
            .grace(Duration::from_millis(300)),
    );
    let Ended::Escalated { evidence, .. } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
    let How::Hung { silent_ms } = evidence.exits[0].how else { panic!("{evidence:?}") };
    assert!((700..6_000).contains(&silent_ms), "{silent_ms}");
    assert!(
        evidence.exits[0].uptime >= Duration::from_millis(1400),
        "it lived as long as it wrote: {evidence:?}"
    );
    assert_eq!(
        codes(&told),
        ["supervise.started", "supervise.silent", "supervise.exited", "restart.window_full"]
    );
    assert_eq!(running(&word), Vec::<String>::new());
}

#[test]
fn a_shutdown_stops_the_whole_tree_and_a_second_one_does_not_wait() {
    let word = format!("62{:05}", std::process::id() % 100_000);
    let folder = tempfile::tempdir().unwrap();
    let up = folder.path().join("up");
    let script = format!(
        "trap '' TERM; sleep {word} & (sleep {word} & sleep {word}) & echo > {}; wait; sleep {word}",
        up.display()
    );
    let shutdown = Shutdown::new();
    let mut supervisor = Supervisor::new("service").process(sh(&script)).grace(LONG).build().unwrap();
    let (health, asked) = (supervisor.health(), shutdown.clone());
    let thread = std::thread::spawn(move || supervisor.run_blocking(&asked));
    until("it is up", || up.exists() && health.is_up() && running(&word).len() >= 3);
    assert!(health.ready(System.now()).is_ok());
    shutdown.trigger();
    std::thread::sleep(Duration::from_millis(200));
    assert!(!thread.is_finished(), "it has its grace");
    shutdown.trigger();
    let begun = Instant::now();
    assert_eq!(thread.join().unwrap(), Ended::Shutdown);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(running(&word), Vec::<String>::new());
    assert_eq!(health.ready(System.now()).unwrap_err().code, "supervise.ended");
}

#[test]
fn while_it_is_down_whoever_needs_it_is_told_when_to_look_again() {
    let slow = Backoff::new(LONG, LONG).delay_min(LONG);
    let policy = Policy::new().backoff(slow);
    let shutdown = Shutdown::new();
    let mut supervisor = Supervisor::new("cache").process(sh("exit 3")).policy(policy).build().unwrap();
    let (health, asked) = (supervisor.health(), shutdown.clone());
    assert_eq!(health.ready(System.now()).unwrap_err().code, "supervise.starting");
    let thread = std::thread::spawn(move || supervisor.run_blocking(&asked));
    until("it is down", || matches!(health.state(), State::Down { .. }));
    let now = System.now();
    let put_off = health.ready(now).unwrap_err();
    assert_eq!(put_off.code, "supervise.down");
    let left = (put_off.until - now.wall).to_std().unwrap();
    assert!(left > Duration::from_secs(20) && left <= LONG, "{left:?}");
    assert!(put_off.why.contains("exit code 3: failure 1 within 10m"), "{}", put_off.why);
    shutdown.trigger();
    assert_eq!(thread.join().unwrap(), Ended::Shutdown, "the delay is not waited for");
}

#[test]
fn messages_to_the_notify_socket_are_heard_and_their_end_is_a_hang() {
    let command = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env("UNATTENDED_CHILD", "notify")
        .env("UNATTENDED_STORE", "/");
    let (mut supervisor, told) = listening(
        Supervisor::new("notifying")
            .process(command)
            .policy(three().failures_max(1, LONG))
            .liveness(Liveness::notify(Duration::from_millis(1500)))
            .grace(Duration::from_millis(200)),
    );
    let health = supervisor.health();
    let said = Arc::new(Mutex::new(None));
    let (kept, seen) = (Arc::clone(&said), health.clone());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            until("it says how it is", || seen.is_up() && seen.status().is_some());
            *kept.lock().unwrap() = seen.status();
        });
        let Ended::Escalated { evidence, .. } = supervisor.run_blocking(&Shutdown::new()) else { panic!() };
        assert!(matches!(evidence.exits[0].how, How::Hung { .. }), "{evidence:?}");
        assert!(evidence.exits[0].uptime > Duration::from_millis(2500), "the signs were heard: {evidence:?}");
    });
    assert_eq!(said.lock().unwrap().as_deref(), Some("working"));
    let told = told.lock().unwrap();
    assert!(told.iter().any(|event| matches!(event, Event::Ready { .. })), "{told:?}");
    assert!(
        told.iter().any(|event| matches!(event, Event::Hung { why: Hanging::Silent { .. } })),
        "{told:?}"
    );
}

/// READY, five signs of life in two seconds, then none.
fn notify() {
    let socket = UnixDatagram::unbound().unwrap();
    let to: PathBuf = var("NOTIFY_SOCKET");
    assert_eq!(var::<u64>("WATCHDOG_USEC"), 1_500_000);
    let tell = |what: &str| socket.send_to(what.as_bytes(), &to).unwrap();
    tell("READY=1\nSTATUS=working");
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(400));
        tell("WATCHDOG=1");
    }
    std::thread::sleep(LONG);
}

#[test]
fn a_probe_by_a_command_finds_what_answers_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("answers");
    fs::write(&mark, "").unwrap();
    let script = format!("sleep 0.6; rm {}; exec sleep 60", mark.display());
    let probe = Command::new("test").arg("-e").arg(&mark);
    let liveness = Liveness::command(Duration::from_millis(200), LONG, probe).misses_max(2);
    let (mut supervisor, told) = listening(
        Supervisor::new("server")
            .process(sh(&script))
            .policy(three().failures_max(1, LONG))
            .liveness(liveness),
    );
    assert!(matches!(supervisor.run_blocking(&Shutdown::new()), Ended::Escalated { .. }));
    assert_eq!(codes(&told)[1], "supervise.probe_missed");
}

#[test]
fn what_becomes_too_large_is_begun_afresh_and_that_is_no_failure() {
    // The second start ends well; the first takes some memory and stays.
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let script = format!(
        "test -e {0} && exit 0; touch {0}; x=$(head -c 30000000 /dev/zero | tr '\\0' x); while :; do sleep 0.1; done",
        mark.display()
    );
    let policy = three().recycle_above(20 << 20).failures_max(1, LONG);
    let (mut supervisor, told) = listening(
        Supervisor::new("leaking")
            .process(sh(&script))
            .policy(policy)
            .resident_every(Duration::from_millis(100))
            .grace(Duration::from_secs(1)),
    );
    assert!(matches!(supervisor.run_blocking(&Shutdown::new()), Ended::Well { .. }));
    assert_eq!(codes(&told)[1], "restart.recycle_resident");
    assert_eq!(supervisor.evidence().failures_total, 0);
}

/// A supervisor in a process of its own, with its state and its worker's log in the folder `path`.
fn supervise(path: &Path) {
    let state = File::open(path.join("state")).unwrap();
    let log = path.join("log");
    // The third run stays, the others fail after they have said that they run.
    let script =
        format!("echo $$ >> {0}; test $(wc -l < {0}) -eq 3 && exec sleep 600; exit 1", log.display());
    let command = sh(&script).recorded(path.join("worker"));
    let mut supervisor = Supervisor::new("worker")
        .process(command)
        .policy(three())
        .persist(state)
        .on_event(|event| say(event.code()))
        .build()
        .unwrap();
    match supervisor.run_blocking(&Shutdown::new()) {
        Ended::Escalated { why, evidence } => {
            say(format_args!(
                "{why}; {} starts, {} failures",
                evidence.starts_total, evidence.failures_total
            ));
        }
        other => say(format_args!("{other:?}")),
    }
}

#[test]
fn the_window_survives_the_kill_of_the_supervisor_and_its_child_is_not_run_twice() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut first = Player::start("supervise", folder.path(), &[]);
    for code in ["supervise.started", "supervise.exited", "restart.failed"].repeat(2) {
        assert_eq!(first.hear().as_deref(), Some(code));
    }
    assert_eq!(first.hear().as_deref(), Some("supervise.started"));
    until("the third run", || lines(&log) == 3);
    first.kill();
    let pids = fs::read_to_string(&log).unwrap();
    let orphan = pids.lines().last().unwrap().to_owned();
    assert!(Path::new("/proc").join(&orphan).exists(), "it outlives its supervisor");

    let mut second = Player::start("supervise", folder.path(), &[]);
    assert_eq!(second.hear().as_deref(), Some("supervise.busy"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(lines(&log), 3, "what still runs is not run again");
    let killed = std::process::Command::new("kill").args(["-KILL", &orphan]).status().unwrap();
    assert!(killed.success());
    // Two failures before the kill, one after: that is three.
    assert_eq!(
        second.finish(),
        [
            "supervise.started",
            "supervise.exited",
            "restart.window_full",
            "3 failures within 5m, 3 are too many; 4 starts, 3 failures",
        ]
    );
    assert_eq!(lines(&log), 4);
    // And the next one does not undo what this one has found.
    let third = Player::start("supervise", folder.path(), &[]).finish();
    assert_eq!(third[0], "restart.window_full");
    assert_eq!(lines(&log), 4);
}

/// Ten seconds with a child that does nothing, and a probe now and then.
fn supervise_an_idle_one() {
    let shutdown = Shutdown::new();
    let liveness = Liveness::probe(Duration::from_secs(5), Duration::from_secs(1), || Ok::<(), String>(()));
    let mut supervisor =
        Supervisor::new("idle").process(Command::new("sleep").arg("600")).liveness(liveness).build().unwrap();
    let (health, asked) = (supervisor.health(), shutdown.clone());
    let thread = std::thread::spawn(move || supervisor.run_blocking(&asked));
    until("it is up", || health.is_up());
    let used = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
    };
    let before = used();
    std::thread::sleep(Duration::from_secs(10));
    say((used() - before).as_micros());
    shutdown.trigger();
    assert_eq!(thread.join().unwrap(), Ended::Shutdown);
}

#[test]
fn supervising_an_idle_child_for_ten_seconds_costs_less_than_20_ms_of_processor_time() {
    let said = Player::start("supervise an idle one", Path::new("/"), &[]).finish();
    let micros: u64 = said[0].parse().unwrap();
    println!("{micros} µs of processor time in 10 s");
    assert!(micros < 20_000, "{micros} µs");
}
