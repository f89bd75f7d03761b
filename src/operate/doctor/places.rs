//! Checks of where things are kept, and by which clock.

use chrono::Datelike as _;

use crate::base::text::{about, second};
use crate::base::time::{Timestamp, between};
use crate::operate::doctor::machine::Fitness;
use crate::operate::doctor::tally::Tally;
use crate::operate::doctor::{Application, Check, Machine};
use crate::remember::blocking::block_on;
use crate::remember::runs::{Filter, Run, Runs};

/// How many of the newest runs are looked at.
const RUNS_MAX: u32 = 200;
/// How far two clocks may be apart, in seconds.
const APART_SECONDS: u64 = 5;
/// Years that a clock can be in.
const YEARS: std::ops::RangeInclusive<i32> = 2024..=2100;

/// The newest runs, or why they cannot be read.
pub(super) fn newest_runs(app: &Application) -> Result<Vec<Run>, String> {
    let Some(store) = &app.store else { return Ok(Vec::new()) };
    let runs = Runs::new(std::sync::Arc::clone(store));
    let listed = block_on(runs.list(&Filter::default(), RUNS_MAX, None));
    listed.map(|(runs, _)| runs).map_err(|error| error.to_string())
}

pub(super) fn state_path(app: &Application) -> Check {
    let mut tally = Tally::default();
    let here = app.machine.clone().unwrap_or_else(Machine::here);
    for path in &app.paths {
        let shown = path.display();
        match here.fitness(path) {
            Fitness::Fit(kind) => tally.pass(format!("{shown} is on {kind}")),
            Fitness::Unfit(kind) => {
                tally.fail(format!("{shown} is on {kind}, which keeps nothing or locks nothing"))
            }
            Fitness::Unknown(why) => tally.unknown(format!("{shown}: {why}")),
        }
    }
    if app.paths.is_empty()
        && let Some(store) = &app.store
    {
        let caps = store.caps();
        match caps.durable {
            true if caps.multi_host => tally.pass(format!("the state is in {}", caps.name)),
            true => tally.unknown(format!("the store {} does not say where it is", caps.name)),
            false => tally.fail(format!("the store {} loses what it has with its process", caps.name)),
        }
    }
    let todo = "put the state on a disk of the machine itself, such as under /var/lib, and say where with `state_path`";
    tally.check("state_path", "the state is on a durable file system", todo)
}

pub(super) fn store(app: &Application, runs: &Result<Vec<Run>, String>) -> Check {
    let mut tally = Tally::default();
    if let Some(why) = &app.store_missing {
        tally.fail(why.as_str());
    }
    if let Err(why) = runs {
        tally.fail(format!("runs cannot be read: {why}"));
    }
    whole(app, &mut tally);
    if let (Some(store), Ok(runs)) = (&app.store, runs) {
        let (caps, count) = (store.caps(), runs.len());
        match caps.durable {
            true => {
                tally.pass(format!("{}: what is committed is on the disk; {count} runs were read", caps.name))
            }
            false => tally.fail(format!("{}: what is committed is lost when the power is", caps.name)),
        }
    }
    let todo = "`store check` says more; keep a copy of the file before anything else";
    tally.check("store", "the store is whole, and synced at each commit", todo)
}

#[cfg(feature = "sqlite")]
fn whole(app: &Application, tally: &mut Tally) {
    /// SQLite's number for synchronous=FULL.
    const FULL: i64 = 2;
    let Some(store) = &app.sqlite else { return };
    match store.info() {
        Ok(info) => {
            let (found, supported) = (info.format, info.format_supported);
            match found <= supported {
                true => tally.pass(format!("it has format {found}")),
                false => tally.fail(format!("it has format {found}, this release reads up to {supported}")),
            }
            let settings = &info.settings;
            match settings.synchronous >= FULL && settings.journal_mode.eq_ignore_ascii_case("wal") {
                true => tally.pass("a commit is synced before it is answered"),
                false => tally.fail(format!(
                    "journal_mode is {} and synchronous {}; needed are wal and {FULL}",
                    settings.journal_mode, settings.synchronous
                )),
            }
        }
        Err(error) => tally.fail(format!("it cannot be looked at: {error}")),
    }
    match store.check() {
        Ok(found) if found.is_empty() => tally.pass("every check of the file holds"),
        Ok(found) => found.into_iter().for_each(|finding| tally.fail(finding)),
        Err(error) => tally.fail(format!("it cannot be checked: {error}")),
    }
}

#[cfg(not(feature = "sqlite"))]
const fn whole(_: &Application, _: &mut Tally) {}

pub(super) fn clock(app: &Application, runs: &Result<Vec<Run>, String>, now: Timestamp) -> Check {
    let mut tally = Tally::default();
    match YEARS.contains(&now.year()) {
        true => tally.pass(format!("it is {}", second(now))),
        false => tally.fail(format!("it is {}, which nobody believes", second(now))),
    }
    let newest = runs.iter().flatten().map(|run| run.record.updated_at).max();
    if let Some(newest) = newest {
        let ahead = between(now, newest);
        match ahead.as_secs() > APART_SECONDS {
            true => tally.fail(format!("a run was written {} in the future", about(ahead))),
            false => {
                tally.pass(format!("no run was written later than now; the last one at {}", second(newest)))
            }
        }
    } else if app.store.is_some() {
        tally.pass("there is no run yet that it could be held against");
    }
    tally.check(
        "clock",
        "the clock stands behind all that is stored",
        "set the clock, and keep it right by NTP",
    )
}

pub(super) fn clock_synchronised(app: &Application) -> Check {
    let mut tally = Tally::default();
    match app.machine.clone().unwrap_or_else(Machine::here).synchronised {
        Some(true) => tally.pass("it was set by the network since the machine was started"),
        Some(false) => tally.fail("it is not kept right by the network"),
        None => tally.unknown("nothing on this machine says whether the clock is kept right"),
    }
    let todo = "run systemd-timesyncd or chrony; `timedatectl` says how it stands";
    tally.check("clock_synchronised", "the clock is kept right", todo)
}
