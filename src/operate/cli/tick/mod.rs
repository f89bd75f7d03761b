//! `tick`: one bounded pass for cron or a timer.
//!
//! Each part stands for itself: one that fails is told, and does not stop the others. Two passes at once do no harm: what is due is
//! claimed, a heartbeat is judged by compare-and-set, an alert that stands is not raised again, a page is sent under a lease.

mod prune;
mod tally;
mod watch;
mod work;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::act::notify;
use crate::base::text;
use crate::base::text::shown;
use crate::base::time::Moment;
use crate::decide::heartbeat;
use crate::operate::cli::config::{Config, Expected};
use crate::operate::cli::exec::{self, due::Worked};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::metrics;
use crate::operate::cli::session::{Need, Session};
use crate::remember::blocking::block_on;
use crate::remember::store::Store;

/// The heartbeat of the tick itself.
const OWN: &str = "unattended.tick";
/// It is late after so many passes that were left out.
const OWN_MISSED: u32 = 3;
/// The time that stays for what comes after the runs, as a part of all.
const KEPT_BACK: u32 = 5;

/// What `tick` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Tick {
    /// How long the pass may take; what has not been begun by then is left to the next one
    #[arg(long = "for", value_name = "D", value_parser = text::duration, default_value = "50s")]
    time: Duration,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    /// Runs that were worked on.
    ran: u64,
    /// Runs and waits whose time is over.
    expired: u64,
    /// Jobs that are overdue or failing.
    overdue: u64,
    /// Alerts that are open.
    alerts: u64,
    /// Pages and digests that were sent.
    sent: u64,
    /// Pages that wait.
    unsent: u64,
    /// Runs and other records that were deleted.
    pruned: u64,
    /// Runs that are due and were left alone.
    left: Vec<Left>,
    failed: Vec<Part>,
}

/// A run that was left alone.
#[derive(Debug, Serialize)]
struct Left {
    run_id: String,
    job: String,
    why: String,
}

/// A part that failed.
#[derive(Debug, Serialize)]
struct Part {
    part: &'static str,
    code: String,
    why: String,
}

/// A pass that is under way.
struct Pass {
    answer: Answer,
}

impl Pass {
    /// What a part gave; a failure is noted, and a reader that has gone away is none.
    fn part<T>(&mut self, part: &'static str, did: Result<T, Stop>) -> Option<T> {
        match did {
            Ok(did) => Some(did),
            Err(Stop::Closed) => None,
            Err(Stop::Failed(failure)) => {
                self.failed(part, failure.code.into_owned(), failure.message);
                None
            }
        }
    }

    fn failed(&mut self, part: &'static str, code: impl Into<String>, why: impl Into<String>) {
        let (code, why) = (code.into(), why.into());
        // What fails is looked at more than once in a pass.
        if self.answer.failed.iter().all(|known| known.part != part || known.why != why) {
            self.answer.failed.push(Part { part, code, why });
        }
    }
}

pub(super) fn tick(session: &mut Session<'_, '_>, asked: Tick) -> Result<Exit, Stop> {
    let began = session.host.clock.now().moment;
    let config = session.config_or_none()?;
    let store = session.store(Need::Create)?;
    let alerts = config.alerts(Arc::clone(&store), session)?;
    let mut pass = Pass { answer: Answer::default() };
    sweep(session, &mut pass);
    // Before anything runs, which may take long or hang.
    tell_people(session, &mut pass, &store, &config, &alerts);
    // What comes after has to come too.
    let until = began.after(asked.time.saturating_sub(asked.time / KEPT_BACK));
    let meanwhile = |session: &mut Session<'_, '_>| tell_people(session, &mut pass, &store, &config, &alerts);
    let worked = work::work(session, &store, &config, until, meanwhile);
    let something_ran = note_worked(session, &mut pass, worked, &alerts);
    if began_within(session, began, asked.time) {
        let pruned = prune::prune(session, &store, &config, began.after(asked.time));
        pass.answer.pruned = pass.part("retention", pruned).unwrap_or(0);
    }
    exec::clear_reports(session);
    if something_ran {
        tell_people(session, &mut pass, &store, &config, &alerts);
    }
    let written = config.metrics.as_ref().map(|path| {
        metrics::collected(session, &store)
            .and_then(|report| metrics::write(path, &report))
            .map_err(Stop::from)
    });
    written.map(|written| pass.part("metrics", written));
    let beaten = beat(session, &store, &config, &pass.answer);
    let _beaten = pass.part("beat", beaten);
    tell(session, &pass.answer)
}

fn began_within(session: &Session<'_, '_>, began: Moment, time: Duration) -> bool {
    session.host.clock.now().moment.since(began) < time
}

/// Waits whose time is over.
fn sweep(session: &Session<'_, '_>, pass: &mut Pass) {
    let swept = session
        .operator(Need::Write)
        .and_then(|operator| block_on(operator.sweep()).map_err(|error| session.failed(&error).into()));
    pass.answer.expired = pass.part("sweep", swept).unwrap_or(0).into();
}

/// What became of the runs that were deferred or left behind; whether that changed anything.
fn note_worked(
    session: &Session<'_, '_>,
    pass: &mut Pass,
    worked: Result<Worked, Stop>,
    alerts: &notify::Alerts,
) -> bool {
    let Some(worked) = pass.part("runs", worked) else { return true };
    pass.answer.ran = worked.ran;
    pass.answer.expired = pass.answer.expired.saturating_add(worked.expired);
    let told = work::tell_stuck(&worked, alerts, session.host.clock.now());
    let _told = pass.part("runs", told.map_err(|error| watch::failed(&error).into()));
    let something = worked.ran > 0 || worked.expired > 0 || !worked.left.is_empty();
    let left = worked.left.into_iter();
    pass.answer.left = left.map(|left| Left { run_id: left.run, job: left.job, why: left.why }).collect();
    something
}

/// What ends with a person is written, and sent.
fn tell_people(
    session: &mut Session<'_, '_>,
    pass: &mut Pass,
    store: &Arc<dyn Store>,
    config: &Config,
    alerts: &notify::Alerts,
) {
    judge(session, pass, store, config, alerts);
    send(session, pass, alerts);
}

/// What is silent, or worse than usual, or ends with a person, becomes an alert.
fn judge(
    session: &Session<'_, '_>,
    pass: &mut Pass,
    store: &Arc<dyn Store>,
    config: &Config,
    alerts: &notify::Alerts,
) {
    let now = session.host.clock.now();
    let seen = watch::heartbeats(store, config, alerts, own(config), now);
    pass.answer.overdue = pass.part("heartbeats", seen).unwrap_or(0);
    let _counted = pass.part("statistics", tally::tally(store, now));
    let _seen = pass.part("trends", watch::trends(store, alerts, now));
    let taken = alerts.take_in_runs_blocking(now).map_err(|error| watch::failed(&error).into());
    let _taken = pass.part("dead letters", taken);
}

fn send(session: &Session<'_, '_>, pass: &mut Pass, alerts: &notify::Alerts) {
    // What falls due now is sent by whoever has somewhere to send it.
    let sent = alerts.send_blocking(session.host.clock.now()).map_err(|error| watch::failed(&error).into());
    if let Some(sent) = pass.part("pages", sent) {
        pass.answer.sent += u64::from(sent.pages).saturating_add(u64::from(sent.digests));
        pass.answer.unsent = sent.left.into();
        for (sink, why) in sent.failed {
            pass.failed("pages", "alert.not_sent", format!("{sink}: {why}"));
        }
    }
    let open =
        notify::Filter { states: vec![crate::decide::alert::State::Open], ..notify::Filter::default() };
    let open = alerts.list_blocking(&open, watch::ALERTS_MAX).map_err(|error| watch::failed(&error).into());
    pass.answer.alerts = pass.part("alerts", open).map_or(0, |open| open.len() as u64);
}

/// The tick's own heartbeat: who misses it knows that nobody looks.
fn own(config: &Config) -> (&'static str, Expected) {
    (OWN, Expected::Every(config.tick.saturating_mul(OWN_MISSED)))
}

fn beat(
    session: &Session<'_, '_>,
    store: &Arc<dyn Store>,
    config: &Config,
    answer: &Answer,
) -> Result<(), Stop> {
    let monitor = config.monitor_of(Arc::clone(store), Some(own(config)))?;
    let beat = match answer.failed.first() {
        None => heartbeat::Beat::succeeded(),
        Some(part) => heartbeat::Beat::failed(format!("{}: {}", part.part, part.why)),
    };
    let beaten = monitor.beat_blocking(OWN, session.host.clock.now(), beat);
    Ok(beaten.map_err(|error| Failure::new(Exit::Failed, "monitor.not_written", chain(&error)))?)
}

fn tell(session: &mut Session<'_, '_>, answer: &Answer) -> Result<Exit, Stop> {
    let exit = if answer.failed.is_empty() { Exit::Done } else { Exit::Failed };
    if session.json() {
        return session.object(answer).map(|()| exit);
    }
    for part in &answer.failed {
        let line = format!("{}: {}", part.part, part.why);
        writeln!(session.io.err, "{}: {}", session.host.program, shown(&line))?;
    }
    let told = [
        (answer.ran, "run was worked on", "runs were worked on"),
        (answer.expired, "run's time is over", "runs' time is over"),
        (answer.overdue, "job is overdue or failing", "jobs are overdue or failing"),
        (answer.alerts, "alert is open", "alerts are open"),
        (answer.sent, "page was sent", "pages were sent"),
        (answer.unsent, "page waits", "pages wait"),
        (answer.pruned, "record was deleted", "records were deleted"),
    ];
    let told = told.iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    });
    let told: Vec<String> = told.collect();
    if session.global.verbose {
        for left in &answer.left {
            writeln!(
                session.io.err,
                "run {} of {} is left alone: {}",
                left.run_id,
                shown(&left.job),
                shown(&left.why)
            )?;
        }
    }
    // Cron sends what is printed: where nothing was done nothing is said, unless more is wanted.
    if !told.is_empty() {
        writeln!(session.out(), "{}", told.join(", "))?;
    } else if session.global.verbose && answer.failed.is_empty() {
        writeln!(session.out(), "nothing was due")?;
    }
    Ok(exit)
}
