//! Heartbeats and trends as alerts: by how they stand, not by what was told, so that a pass that died in the middle is made up for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::act::monitor::{self, Finding, Level, Monitor, Report};
use crate::act::notify::{self, Alerts, Heard, Sign, Signal};
use crate::act::statistics::{Statistics, Stream};
use crate::base::explain::Explain as _;
use crate::base::time::Now;
use crate::decide::alert::{Kind, Subject};
use crate::decide::heartbeat::{State, Why};
use crate::operate::cli::config::{Config, Expected, MONITOR};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::remember::blocking::block_on;
use crate::remember::store::Store;

/// So many alerts are looked at.
pub(super) const ALERTS_MAX: u32 = 10_000;

pub(super) fn failed(error: &notify::Error) -> Failure {
    match error {
        notify::Error::Store(error) => Failure::of_store(error),
        error => Failure::new(Exit::Failed, "alert.not_written", chain(error)),
    }
}

/// Judges the heartbeats; how many jobs are overdue or failing.
pub(super) fn heartbeats(
    store: &Arc<dyn Store>,
    config: &Config,
    alerts: &Alerts,
    own: (&str, Expected),
    now: Now,
) -> Result<u64, Stop> {
    let monitor = config.monitor_of(Arc::clone(store), Some(own))?;
    let unwatched = |error: monitor::Error| match error {
        monitor::Error::Store(error) => Failure::of_store(&error),
        error => Failure::new(Exit::Failed, "monitor.not_checked", chain(&error)),
    };
    let report = monitor.check_blocking(now).map_err(unwatched)?;
    let mut down = 0;
    for entry in report.entries.iter().filter(|entry| entry.level() == Level::Trouble) {
        down += 1;
        alerts.hear_blocking(&heard(entry, now), now).map_err(|error| failed(&error))?;
    }
    let alone = block_on(Monitor::names(store)).map_err(unwatched)?.iter().all(|name| name == MONITOR);
    recovered(&report, alerts, alone, now).map_err(|error| failed(&error))?;
    Ok(down)
}

fn heard(entry: &monitor::Entry, now: Now) -> Heard {
    let at = entry.since().unwrap_or(now.wall);
    let why = format!("{} is {}: {}", entry.name, entry.state(), entry.why());
    let signal = Signal::new(Subject::job(&entry.name), Kind::Overdue, entry.code(), why, at);
    match &entry.finding {
        // Its run tells it, where there is one.
        Finding::Job(status) if matches!(status.why, Some(Why::Failed { .. })) => Heard::Failed(signal),
        _ => Heard::Stands(signal),
    }
}

/// What was silent and is well, or is not expected any more. What another monitor has said is left to it.
fn recovered(report: &Report, alerts: &Alerts, alone: bool, now: Now) -> Result<(), notify::Error> {
    for alert in alerts.list_blocking(&notify::Filter::open(), ALERTS_MAX)? {
        let Subject::Job(job) = &alert.subject else { continue };
        if alert.kind != Kind::Overdue {
            continue;
        }
        let well = match report.get(job).map(|entry| &entry.finding) {
            Some(Finding::Job(status)) => matches!(status.state, State::Up | State::New | State::Paused),
            Some(Finding::Undeclared(_)) => true,
            Some(_) => false,
            None => alone,
        };
        if well {
            let _healed = alerts.healthy_blocking(&alert.subject, Sign::Code(&alert.code), now)?;
        }
    }
    Ok(())
}

/// What fails more often than it did, or takes longer.
pub(super) fn trends(store: &Arc<dyn Store>, alerts: &Alerts, now: Now) -> Result<(), Stop> {
    let statistics = Statistics::new(Arc::clone(store)).build();
    let (reports, _) = block_on(statistics.read_all())
        .map_err(|error| Failure::new(Exit::Failed, "statistics.not_read", chain(&error)))?;
    let open = alerts.list_blocking(&notify::Filter::open(), ALERTS_MAX).map_err(|error| failed(&error))?;
    let mut open: BTreeMap<(Subject, String), ()> = open
        .into_iter()
        .filter(|alert| alert.kind == Kind::Trend)
        .map(|alert| ((alert.subject, alert.code), ()))
        .collect();
    for report in &reports {
        for stream in Stream::ALL {
            let code = format!("trend.{stream}");
            let was_open = open.remove(&(report.subject.clone(), code.clone())).is_some();
            match report.open_since(stream) {
                Some(since) if !was_open => {
                    let why = format!("{}: {stream} more than is usual", report.subject);
                    let signal = Signal::new(report.subject.clone(), Kind::Trend, code, why, since);
                    alerts.stands_blocking(&signal, now).map(drop).map_err(|error| failed(&error))?;
                }
                None if was_open => {
                    let healed = alerts.healthy_blocking(&report.subject, Sign::Code(&code), now);
                    healed.map(drop).map_err(|error| failed(&error))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}
