//! `beat` and `forget`: heartbeats by hand.

use std::time::Duration;

use serde::Serialize;

use crate::act::monitor;
use crate::base::text::{exact, rfc3339, shown};
use crate::base::zone::Zone;
use crate::decide::heartbeat::{self, State};
use crate::decide::schedule::Schedule;
use crate::operate::cli::config::{Expected, MONITOR, interval};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::session::{Need, Session, quoted};
use crate::remember::blocking::block_on;

/// What a failure says where nobody gave a reason.
const NO_REASON: &str = "it says that it has failed";

/// What `beat` takes. Without an option it says that the job has ended well.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Beat {
    /// The job
    name: String,

    /// A run of it has begun
    #[arg(long, group = "what")]
    start: bool,

    /// It has failed; what it said may follow, as --fail="no space left"
    #[arg(long, group = "what", value_name = "WHY", num_args = 0..=1, require_equals = true, default_missing_value = NO_REASON)]
    fail: Option<String>,

    /// It goes on
    #[arg(long, group = "what")]
    progress: bool,

    /// Which run of it, where several overlap
    #[arg(long, value_name = "ID")]
    run: Option<String>,

    /// From now on it is expected to end well at least this often, such as 1h or 7d
    #[arg(long, value_name = "D", value_parser = interval, conflicts_with = "schedule")]
    every: Option<Duration>,

    /// From now on it is expected to end well after each of these times: a cron expression
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,

    /// On whose clocks --schedule is read [default: utc]
    #[arg(long, value_name = "Z", requires = "schedule")]
    tz: Option<Zone>,
}

#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    beat: &'static str,
    state: &'static str,
    declared: bool,
    last_success: Option<String>,
}

impl Beat {
    fn expected(&self) -> Result<Option<Expected>, Failure> {
        if let Some(every) = self.every {
            return Ok(Some(Expected::Every(every)));
        }
        let Some(expression) = self.schedule.clone() else { return Ok(None) };
        let zone = self.tz.unwrap_or(Zone::Utc);
        let schedule = Schedule::cron(&expression, zone)
            .map_err(|error| Failure::usage(format!("--schedule: {error}")))?;
        Ok(Some(Expected::Cron { expression, zone, schedule }))
    }

    fn said(&self) -> (&'static str, heartbeat::Beat) {
        let (word, beat) = match &self.fail {
            Some(why) => ("failed", heartbeat::Beat::failed(why)),
            None if self.start => ("started", heartbeat::Beat::started()),
            None if self.progress => ("progress", heartbeat::Beat::progress()),
            None => ("succeeded", heartbeat::Beat::succeeded()),
        };
        (word, beat.of(self.run.clone().unwrap_or_default()))
    }
}

pub(super) fn beat(session: &mut Session<'_, '_>, asked: Beat) -> Result<Exit, Stop> {
    if asked.name.chars().any(char::is_control) {
        let message =
            format!("the job's name is {:?}; allowed is one without control characters", asked.name);
        return Err(Failure::usage(message).into());
    }
    let config = session.config_or_none()?;
    let expected = asked.expected()?;
    let written = config.job(&asked.name).is_some_and(|job| job.expected.is_some());
    let one = expected.clone().map(|expected| (asked.name.as_str(), expected));
    // What is typed is checked before a store is made for it.
    let store = session.store(Need::Create)?;
    let monitor = config.monitor_of(store, one)?;
    let (word, beat) = asked.said();
    let beaten = monitor.beat_blocking(&asked.name, session.host.clock.now(), beat);
    beaten.map_err(|error| failed(session, &error))?;
    let status = block_on(monitor.status(&asked.name)).map_err(|error| failed(session, &error))?;
    let state = status.as_ref().map_or(State::New, |status| status.state);
    let declared = block_on(monitor.is_declared(&asked.name)).map_err(|error| failed(session, &error))?;
    if session.json() {
        let last_success = status.and_then(|status| status.last_success).map(rfc3339);
        let answer = Answer { name: &asked.name, beat: word, state: state.as_str(), declared, last_success };
        return session.object(&answer).map(|()| Exit::Done);
    }
    let name = shown(&asked.name).into_owned();
    let expected = match (&expected, written) {
        (Some(Expected::Every(every)), _) => format!("; it is expected every {}", exact(*every)),
        (Some(Expected::Cron { schedule, .. }), _) => format!("; it is expected {schedule}"),
        (None, _) if !declared => format!(
            "; nobody has said when it is expected, `{} beat {} --every 24h` does",
            session.program(),
            quoted(&asked.name)
        ),
        (None, _) => String::new(),
    };
    writeln!(session.out(), "{name} is {state}{expected}")?;
    Ok(Exit::Done)
}

fn failed(session: &Session<'_, '_>, error: &monitor::Error) -> Failure {
    match error {
        monitor::Error::Store(error) => Failure::of_store(error),
        monitor::Error::Field { .. } | monitor::Error::Policy { .. } => Failure::usage(chain(error)),
        monitor::Error::TooManyUndeclared { .. } => {
            Failure::new(Exit::Failed, "monitor.undeclared", chain(error)).hint(format!(
                "say when it is expected with --every, or `{} forget NAME` those that are gone",
                session.program()
            ))
        }
        error => Failure::new(Exit::NotNow, "monitor.raced", chain(error)).hint("try again"),
    }
}

/// What `forget` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Forget {
    /// The job
    name: String,
}

#[derive(Serialize)]
struct Forgotten<'a> {
    name: &'a str,
    forgotten: bool,
    declared: bool,
}

pub(super) fn forget(session: &mut Session<'_, '_>, asked: Forget) -> Result<Exit, Stop> {
    let config = session.config_or_none()?;
    let monitor = config.monitor(session.store(Need::Write)?)?;
    let forgotten = block_on(monitor.forget(&asked.name)).map_err(|error| failed(session, &error))?;
    let name = shown(&asked.name).into_owned();
    if !forgotten {
        let message = format!("no heartbeat is known of {name} in the monitor {MONITOR}");
        let hint = format!("`{} status` lists those that are", session.program());
        return Err(Failure::new(Exit::Failed, "monitor.unknown", message).hint(hint).into());
    }
    let declared = config.job(&asked.name).is_some_and(|job| job.expected.is_some());
    if session.json() {
        let answer = Forgotten { name: &asked.name, forgotten, declared };
        return session.object(&answer).map(|()| Exit::Done);
    }
    let again = match (&config.path, declared) {
        (Some(path), true) => {
            format!(
                "; it is declared in {}, so the next tick expects it again",
                shown(&path.display().to_string())
            )
        }
        _ => String::from(" until it beats again"),
    };
    writeln!(session.out(), "{name} is forgotten{again}")?;
    Ok(Exit::Done)
}
