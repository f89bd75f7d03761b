//! What children do.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use unattended::blocking::Blocking;
use unattended::sqlite::Sqlite;
use unattended::store::{ApplyError, Batch, Error, Expect, Ns, Put, Write};

use crate::kit::{claim, say, var};

const LONG: Duration = Duration::from_secs(600);

pub fn run() {
    let Ok(role) = std::env::var("UNATTENDED_CHILD") else { return };
    let path = PathBuf::from(var::<String>("UNATTENDED_STORE"));
    if crate::shared::child(&role, &path) || crate::files::child(&role, &path) {
        return;
    }
    #[cfg(feature = "layout")]
    if crate::layout::child(&role) {
        return;
    }
    #[cfg(feature = "process")]
    if crate::command::child(&role, &path) {
        return;
    }
    #[cfg(feature = "process")]
    if crate::supervise::child(&role, &path) {
        return;
    }
    match role.as_str() {
        "add" => add(&path),
        "ask for a token" => crate::credential::ask(&path),
        "write" => write(&path),
        "open" => open(&path),
        "stop in turn" => stop_in_turn(&path),
        "acknowledge" => acknowledge(&path),
        "zombie" => zombie(&path),
        "matrix" => crate::matrix::child(),
        "hold" => hold(&path),
        #[cfg(all(feature = "signals", feature = "tokio"))]
        "worker" => crate::workers::child(),
        "fail" => fail(&path),
        other => panic!("no child plays {other:?}"),
    }
}

/// Reads, adds one, writes at the version that was read.
fn add(path: &std::path::Path) {
    let store = Sqlite::open(path).unwrap();
    let store = Blocking(&store);
    for _ in 0..var("UNATTENDED_COUNT") {
        loop {
            let record = store.get(Ns::RUN, "sum").unwrap().unwrap();
            let put = Put { rank: Some(record.rank + 1), ..Put::nothing() };
            match store.apply(Batch::of(Write::new(Ns::RUN, "sum", Expect::Version(record.version), put))) {
                Ok(_) => break,
                Err(ApplyError::Conflict(_)) => {}
                Err(error) => panic!("{}", unattended::fault::chain(&error)),
            }
        }
    }
}

/// Writes without a pause, and says how often and what its longest wait was.
fn write(path: &std::path::Path) {
    let store = Sqlite::open(path).unwrap();
    let (name, span): (String, f64) = (var("UNATTENDED_NAME"), var("UNATTENDED_SECONDS"));
    let pause = Duration::from_millis(var("UNATTENDED_PAUSE_MS"));
    say("ready");
    let begun = Instant::now();
    let (mut count, mut worst, mut over, mut wal) = (0_u64, Duration::ZERO, 0_u64, 0_u64);
    while begun.elapsed().as_secs_f64() < span {
        let asked = Instant::now();
        claim(&store, &format!("{name}-{count}"), LONG).unwrap_or_else(|error| {
            panic!("{} after {:?}", unattended::fault::chain(&error), asked.elapsed());
        });
        let waited = asked.elapsed();
        worst = worst.max(waited);
        over += u64::from(waited > Duration::from_millis(50));
        count += 1;
        if count % 512 == 0 {
            let mut log = path.as_os_str().to_owned();
            log.push("-wal");
            wal = wal.max(std::fs::metadata(log).map_or(0, |found| found.len()));
        }
        std::thread::sleep(pause);
    }
    say(format_args!("{count} {} {over} {wal}", worst.as_micros()));
}

fn open(path: &std::path::Path) {
    for _ in 0..var("UNATTENDED_COUNT") {
        let store = Sqlite::open(path).unwrap_or_else(|error| panic!("{}", unattended::fault::chain(&error)));
        drop(store);
    }
}

/// Takes the place of a writer whose turn it is, and stops before it begins its transaction.
fn stop_in_turn(path: &std::path::Path) {
    let _open = Sqlite::open(path).unwrap();
    let mut locks = path.as_os_str().to_owned();
    locks.push("-lock");
    let locks = PathBuf::from(locks);
    loop {
        let pair = std::fs::read(locks.join("turn")).unwrap().first().copied().unwrap_or(0);
        let main = File::open(locks.join(format!("main-{pair}")));
        if let Ok(main) = main
            && main.try_lock().is_ok()
        {
            say("stopping in the turn");
            let own = std::process::id().to_string();
            std::process::Command::new("kill").args(["-STOP", &own]).status().unwrap();
            say("going on");
            drop(main);
            return;
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// Says each number after the store has answered that it is written.
fn acknowledge(path: &std::path::Path) {
    let store = Sqlite::open(path).unwrap();
    let name: String = var("UNATTENDED_NAME");
    for number in 0_u64.. {
        claim(&store, &format!("{name}-{number}"), LONG).unwrap();
        say(number);
    }
}

/// Claims, is stopped by its parent, and tries to complete when it wakes.
fn zombie(path: &std::path::Path) {
    let store = Sqlite::open(path).unwrap();
    let claimed = claim(&store, "job", Duration::from_millis(400)).unwrap();
    let fence = claimed.first().unwrap().fence;
    say(fence);
    while !std::path::Path::new(&var::<String>("UNATTENDED_GO")).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    for put in [Put { state: Some("succeeded".into()), ..Put::nothing() }, Put::renew(LONG)] {
        let late = Batch::of(Write::new(Ns::RUN, "job", Expect::Fence(fence), put));
        match Blocking(&store).apply(late) {
            Err(ApplyError::Conflict(conflicts)) => {
                say(format_args!("refused by fence {}", conflicts[0].winner.as_ref().unwrap().fence));
            }
            other => say(format_args!("not refused: {other:?}")),
        }
    }
}

/// Claims for long, and waits to be killed.
fn hold(path: &std::path::Path) {
    let store = Sqlite::open(path).unwrap();
    claim(&store, "job", LONG).unwrap();
    say("holding");
    loop {
        std::thread::sleep(LONG);
    }
}

/// Writes until the file system fails, and says what it is told then and afterwards.
fn fail(path: &std::path::Path) {
    let store = Sqlite::open(path).unwrap();
    for number in 0..100_000 {
        match claim(&store, &format!("k{number}"), LONG) {
            Ok(_) => say(number),
            Err(ApplyError::Unknown(_)) => {
                say("unknown");
                break;
            }
            Err(other) => {
                say(format_args!("{other:?}"));
                break;
            }
        }
    }
    let after = claim(&store, "after", LONG);
    say(matches!(after, Err(ApplyError::NotApplied(Error::Latched { .. }))));
    say(matches!(Blocking(&store).get(Ns::RUN, "k0"), Err(Error::Latched { .. })));
    say(store.info().unwrap().latched.is_some());
}
