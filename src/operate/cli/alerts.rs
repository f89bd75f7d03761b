//! `alerts`, `alerts test` and `ack`.

use std::sync::Arc;

use serde::Serialize;

use crate::act::notify::{self, Entry, Filter};
use crate::base::text::{rfc3339, shortened, shown};
use crate::decide::alert::State;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::hold::Until;
use crate::operate::cli::print::{Table, plain};
use crate::operate::cli::session::{Need, Session};
use crate::operate::operator;
use crate::remember::blocking::block_on;
use crate::remember::memory::Memory;

/// The most alerts that one list shows.
const LIMIT_MAX: i64 = 10_000;
/// Characters of a reason in a table on a terminal.
const WHY_WIDTH: usize = 60;

/// What `alerts` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Alerts {
    #[command(subcommand)]
    what: Option<What>,

    /// Also those that are over
    #[arg(long)]
    all: bool,

    /// Only those of this job
    #[arg(long, value_name = "N")]
    job: Option<String>,

    /// At most so many, 1 to 10,000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Send a test page through each sink of the configuration
    Test,
}

/// What `ack` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Ack {
    /// The alert: its id, a unique end of it, or job:NAME or dependency:NAME where only one of that is not over
    id: String,

    #[command(flatten)]
    until: Until,
}

/// An alert, as it is listed.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    state: &'static str,
    subject: String,
    kind: &'static str,
    code: &'a str,
    why: &'a str,
    since: Option<String>,
    last: Option<String>,
    count: u64,
    paged: u32,
    owner: Option<&'a str>,
    runbook: Option<&'a str>,
    next: &'a str,
    run_id: Option<&'a str>,
    acked_until: Option<String>,
    acked_by: Option<&'a str>,
    unsent: bool,
    not_sent: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            id: &entry.id,
            state: entry.state.as_str(),
            subject: entry.subject.typed(),
            kind: entry.kind.as_str(),
            code: &entry.code,
            why: &entry.why,
            since: entry.since.map(rfc3339),
            last: entry.last.map(rfc3339),
            count: entry.count,
            paged: entry.paged,
            owner: entry.owner.as_deref(),
            runbook: entry.runbook.as_deref(),
            next: &entry.next,
            run_id: entry.run.as_deref(),
            acked_until: entry.acked_until.map(rfc3339),
            acked_by: entry.acked_by.as_deref(),
            unsent: entry.unsent,
            not_sent: entry.not_sent.as_deref(),
        }
    }
}

pub(super) fn alerts(session: &mut Session<'_, '_>, asked: Alerts) -> Result<Exit, Stop> {
    if let Some(What::Test) = asked.what {
        return test(session);
    }
    let config = session.config_or_none()?;
    let alerts = config.alerts(session.store(Need::Read)?, session)?;
    let filter = if asked.all { Filter::default() } else { Filter::open() };
    let filter = Filter { job: asked.job, ..filter };
    let entries = block_on(alerts.list(&filter, asked.limit)).map_err(|error| failed(session, error))?;
    if session.json() {
        for entry in &entries {
            session.object(&Line::of(entry))?;
        }
        return Ok(Exit::Done);
    }
    if entries.is_empty() {
        let which = if asked.all { "no alerts" } else { "no alerts are open" };
        writeln!(session.out(), "{which}")?;
        return Ok(Exit::Done);
    }
    table(session, &entries)?;
    Ok(Exit::Done)
}

fn table(session: &mut Session<'_, '_>, entries: &[Entry]) -> Result<(), Stop> {
    let (paint, when, terminal) = (session.paint(), session.when(), session.io.terminal);
    let names = ["ALERT", "STATE", "SUBJECT", "KIND", "COUNT", "SINCE", "LAST", "WHY"];
    let mut table = Table::head(paint, &names);
    for entry in entries {
        let state = match (entry.state, entry.acked_until) {
            (State::Acknowledged, Some(until)) => format!("acknowledged until {}", when.short(until)),
            (State::Open, _) if entry.unsent => String::from("open, not sent"),
            (state, _) => state.as_str().to_owned(),
        };
        let painted = match entry.state {
            State::Open => paint.bad(&state),
            State::Acknowledged => state.clone(),
            State::Resolved => paint.dim(&state),
        };
        let why = format!("{} [{}]", entry.why, entry.code);
        let why = if terminal { shortened(&why, WHY_WIDTH) } else { why };
        let at = |at: Option<_>| at.map_or_else(|| String::from("-"), |at| when.short(at));
        table.row([
            (entry.id.clone(), paint.bold(&entry.id)),
            (state, painted),
            plain(&entry.subject.typed()),
            plain(entry.kind.as_str()),
            plain(&entry.count.to_string()),
            plain(&at(entry.since)),
            plain(&at(entry.last)),
            plain(&why),
        ]);
    }
    table.write(session.out())?;
    if let Some(open) = entries.iter().find(|entry| entry.state == State::Open) {
        let program = session.program();
        writeln!(session.out(), "\nnext: {}", shown(&open.next))?;
        let line = format!("`{program} ack {}` says that you see to it", open.id);
        let line = session.paint().dim(line);
        writeln!(session.out(), "{line}")?;
    }
    Ok(())
}

fn test(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer<'a> {
        sink: &'a str,
        result: &'static str,
        why: Option<String>,
    }
    let config = session.config_or_none()?;
    let alerts = config.alerts(Arc::new(Memory::new()), session)?;
    if !alerts.has_sinks() {
        let message = "nobody is told: the configuration names no command, file or webhook for alerts";
        let hint =
            "write `[alerts]` and `command = [\"/usr/local/bin/page\"]` into it; --config FILE names another";
        return Err(Failure::new(Exit::Config, "alerts.no_sinks", message).hint(hint).into());
    }
    let answers = block_on(alerts.test(session.host.clock.now()));
    let mut exit = Exit::Done;
    for (sink, answer) in answers {
        let why = answer.err().map(|error| error.to_string());
        if why.is_some() {
            exit = Exit::Failed;
        }
        if session.json() {
            let result = if why.is_some() { "failed" } else { "sent" };
            session.object(&Answer { sink: &sink, result, why })?;
            continue;
        }
        let paint = session.paint();
        match why {
            None => writeln!(session.out(), "{}: {}", shown(&sink), paint.good("sent"))?,
            Some(why) => {
                writeln!(session.out(), "{}: {}: {}", shown(&sink), paint.bad("failed"), shown(&why))?;
            }
        }
    }
    Ok(exit)
}

pub(super) fn ack(session: &mut Session<'_, '_>, asked: Ack) -> Result<Exit, Stop> {
    let until = asked.until.instant(session.now)?;
    let operator = session.operator(Need::Write)?;
    let entry = block_on(operator.ack(&asked.id, until)).map_err(|error| session.failed(&error))?;
    if session.json() {
        // With what is written down about the job, as a list shows it.
        let config = session.config_or_none()?;
        let alerts = config.alerts(session.store(Need::Read)?, session)?;
        let entry = block_on(alerts.find(&entry.id)).map_err(|error| failed(session, error))?;
        session.object(&Line::of(&entry))?;
        return Ok(Exit::Done);
    }
    let until = match until {
        Some(until) => format!("until {}", session.when().long(until)),
        None => String::from("until it is over"),
    };
    let (id, subject) = (entry.id, entry.subject.to_string());
    writeln!(
        session.out(),
        "alert {id} of {} is acknowledged {until}; nobody is paged about it",
        shown(&subject)
    )?;
    Ok(Exit::Done)
}

fn failed(session: &Session<'_, '_>, error: notify::Error) -> Failure {
    session.failed(&operator::Error::from(error))
}
