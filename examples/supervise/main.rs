//! A flaky worker that is kept alive, whose pattern is recognised, and which a person hears of with the evidence.
//!
//! Four stories with real processes: one that fails now and then and gets through; one that dies at each start, which is told
//! early; one that hangs; one whose configuration is wrong. And what depends on them is told whether to begin.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use unattended::backoff::Backoff;
use unattended::command::Command;
use unattended::restart::{Evidence, How, Policy};
use unattended::shutdown::Shutdown;
use unattended::snapshots;
use unattended::supervise::{Builder, Ended, Event, Liveness, Supervisor};
use unattended::time::{Clock, System};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    flaky(folder.path())?;
    crash_loop(folder.path())?;
    hang()?;
    wrong()
}

/// Short delays, so that the story is told in seconds, on however busy a machine.
fn policy() -> Policy {
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(100));
    Policy::new().backoff(backoff).quick(Duration::from_secs(60))
}

fn worker(script: &str) -> Builder {
    Supervisor::new("worker").process(Command::new("sh").arg("-c").arg(script)).on_event(
        |event| match event {
            Event::Exited { past } => println!("  it has ended: {}", past.fingerprint),
            Event::Hung { .. } => println!("  it hangs and is stopped with all that it has started"),
            _ => {}
        },
    )
}

/// It loses its connection twice, each time another one, and gets through the third time.
fn flaky(folder: &Path) -> Result<(), Box<dyn Error>> {
    println!("a flaky worker");
    let log = folder.join("log");
    let script = format!(
        "echo run >> {0}; n=$(wc -l < {0}); test $n -gt 2 && exit 0; echo lost 10.0.0.$n:5432 >&2; exit $n",
        log.display()
    );
    let ended = worker(&script).policy(policy()).build()?.run_blocking(&Shutdown::new());
    tell(&ended);
    Ok(())
}

/// The same error at each start: five tries would show no more than three. What was found outlives the supervisor.
fn crash_loop(folder: &Path) -> Result<(), Box<dyn Error>> {
    println!("a worker that dies at each start");
    let supervisor = || -> Result<Supervisor, Box<dyn Error>> {
        let state = snapshots::File::open(folder.join("restarts"))?;
        let builder = worker("echo \"$(date +%T): no table \\\"orders\\\" in $$\" >&2; exit 1");
        Ok(builder.policy(policy()).persist(state).build()?)
    };
    let mut first = supervisor()?;
    tell(&first.run_blocking(&Shutdown::new()));
    if let Err(put_off) = first.health().ready(System.now()) {
        println!("  who needs it is told {}", put_off.code);
    }
    let mut second = supervisor()?;
    println!("whoever restarts the supervisor does not undo that");
    tell(&second.run_blocking(&Shutdown::new()));
    second.clear();
    println!("a person has seen to it, and it is tried again");
    tell(&supervisor()?.run_blocking(&Shutdown::new()));
    Ok(())
}

/// It writes for a while and then no more, with a child of its own that does not listen to SIGTERM.
fn hang() -> Result<(), Box<dyn Error>> {
    println!("a worker that hangs");
    let script = "trap '' TERM; echo at work; sleep 600 & wait";
    let mut supervisor = worker(script)
        .policy(policy().failures_max(2, Duration::from_secs(300)))
        .liveness(Liveness::progress(Duration::from_millis(300)))
        .grace(Duration::from_millis(100))
        .build()?;
    tell(&supervisor.run_blocking(&Shutdown::new()));
    Ok(())
}

/// EX_CONFIG: to try that again would be to knock at a wall.
fn wrong() -> Result<(), Box<dyn Error>> {
    println!("a worker that is configured wrongly");
    let mut supervisor = worker("echo port: not a number >&2; exit 78").policy(policy()).build()?;
    tell(&supervisor.run_blocking(&Shutdown::new()));
    Ok(())
}

fn tell(ended: &Ended) {
    match ended {
        Ended::Well { why } => println!("  well: {why}"),
        Ended::Shutdown => println!("  shut down"),
        Ended::Stopped { why, evidence } => {
            println!("  stopped: {why}");
            show(evidence);
        }
        Ended::Escalated { why, evidence } => {
            println!("  a person is told: {why}");
            show(evidence);
        }
    }
}

fn show(evidence: &Evidence) {
    println!("  seen: {evidence}");
    for error in &evidence.errors {
        println!("  {} x {}", error.count, error.fingerprint);
    }
    let hung = evidence.exits.iter().filter(|past| matches!(past.how, How::Hung { .. })).count();
    println!("  {} starts, {} failures, {hung} of them hung", evidence.starts_total, evidence.failures_total);
}
