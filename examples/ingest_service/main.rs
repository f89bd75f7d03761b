//! The main job, `ingest`, as a service of systemd: twice, as a oneshot that a timer starts and as a service that goes on.
//!
//! `cargo run --features full --example ingest_service -- [FOLDER]`
//!
//! Prints the units, and what a lint finds in them and in a unit as one writes it by hand. With a folder, such as
//! `/etc/systemd/system`, the units are written there too.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use unattended::explain::Explain;
use unattended::schedule::{Policy, Schedule};
use unattended::systemd::{Hardening, Kind, OutOfMemory, Restarts, Service, Timer, Units, lint};
use unattended::zone::Zone;

const MINUTE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
/// Where files are dropped.
const INBOX: &str = "/srv/inbox";

/// As somebody writes it in a minute: systemd accepts each line of it.
const BY_HAND: &str = "\
[Unit]
Description=ingest

[Service]
Type=oneshot
ExecStart=ingest --inbox /srv/inbox
Restart=on-failure
RestartSec=30
RestartMaxDelaySec=10min
StartLimitBurst=5
StartLimitIntervalSec=600
WatchdogSec=60
";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1);
    let (oneshot, service) = (oneshot()?, service()?);
    tell("Each quarter of an hour, by a timer", &oneshot);
    tell("Without an end, under a watchdog", &service);

    println!("# At half past two in Paris\n");
    let half_past_two = chrono::NaiveTime::from_hms_opt(2, 30, 0).unwrap_or_default();
    let nightly = Schedule::daily(half_past_two, Zone::Named(chrono_tz::Europe::Paris));
    print_findings(&base("ingest-nightly").timer(Timer::of(&nightly, &Policy::new())?).build()?);

    println!("# What has no words\n");
    let seventh_working_day = Schedule::cron("0 6 7W * *", Zone::Utc)?;
    if let Err(error) = Timer::of(&seventh_working_day, &Policy::new()) {
        println!("- {error}");
    }
    let never = Restarts::new(5, 2 * MINUTE, MINUTE);
    if let Err(error) = base("ingest").restart(&never).build() {
        println!("- {error}\n");
    }

    println!("# A unit written by hand\n");
    for finding in lint(BY_HAND) {
        println!("- {}: {finding}", finding.code());
    }
    if let Some(folder) = folder {
        for units in [oneshot, service] {
            for path in units.write_to(Path::new(&folder))? {
                eprintln!("written: {}", path.display());
            }
        }
    }
    Ok(())
}

/// What both have: an own user and own folders, bounds for memory and processor, somebody who is told.
fn base(name: &str) -> Service {
    Service::new(name, ["/usr/bin/ingest", "--inbox", INBOX, "--root", "/var/lib/ingest"])
        .description("Ingests the log files that are dropped into the inbox")
        .user("ingest")
        .directories("ingest")
        .writes(INBOX)
        .memory_high(384 * MIB)
        .memory_max(512 * MIB)
        .cpu_quota(50)
        .tasks_max(64)
        .on_failure("alert@%n.service")
}

/// The job says 75 for "not now, start me again": that is no failure, and the timer starts it again.
fn oneshot() -> Result<Units, Box<dyn Error>> {
    let schedule = Schedule::every(15 * MINUTE)?.jitter(MINUTE, "ingest")?;
    let timer = Timer::of(&schedule, &Policy::new())?;
    Ok(base("ingest").timeout_start(14 * MINUTE).hardening(Hardening::Strict).timer(timer).build()?)
}

/// Three failures in five minutes are left to a person; what it was told wrongly (64, 78) at once.
fn service() -> Result<Units, Box<dyn Error>> {
    let restarts = Restarts::new(3, 5 * MINUTE, Duration::from_secs(10)).permanent([64, 78]);
    let service = base("ingest-worker")
        .kind(Kind::Notify)
        .watchdog(MINUTE)
        .drain(Duration::from_secs(45))
        .restart(&restarts)
        .out_of_memory(OutOfMemory::Stop)
        .after("postgresql.service")
        .wants("postgresql.service");
    Ok(service.build()?)
}

fn tell(title: &str, units: &Units) {
    println!("# {title}\n");
    for unit in units.all() {
        println!("## {}\n\n{}", unit.file_name, unit.text);
    }
    print_findings(units);
}

fn print_findings(units: &Units) {
    let found = units.lint();
    if found.is_empty() {
        println!("The lint finds nothing.\n");
    }
    for finding in found {
        println!("- {}: {finding}\n", finding.code());
    }
}
