//! `hold`, `release` and `breaker`: the switches that route around a failure.

use std::time::Duration;

use serde::Serialize;

use crate::base::text::{self, rfc3339, shown};
use crate::base::time::{Timestamp, later};
use crate::decide::alert::Subject;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::{Need, Session};
use crate::remember::blocking::block_on;
use crate::remember::holds::{Forced, Held};

/// Until when.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Until {
    /// For how long, such as 90s, 2h or 7d [default: until it is released]
    #[arg(long = "for", value_name = "D", value_parser = text::duration)]
    span: Option<Duration>,

    /// Until when, as RFC 3339
    #[arg(long, value_name = "T", conflicts_with = "span")]
    until: Option<String>,
}

impl Until {
    pub(super) fn instant(&self, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
        if let Some(text) = &self.until {
            let at = text::instant(text, now).map_err(|error| Failure::usage(format!("--until: {error}")))?;
            if at <= now {
                let message = format!("--until {} is not later than now", shown(text));
                return Err(Failure::usage(message).hint("give an instant that is still to come, or --for D"));
            }
            return Ok(Some(at));
        }
        match self.span {
            Some(Duration::ZERO) => Err(Failure::usage("--for 0s holds nothing").hint("give a longer time")),
            span => Ok(span.map(|span| later(now, span))),
        }
    }
}

/// What `hold` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Hold {
    /// job:NAME or dependency:NAME
    #[arg(value_name = "WHAT")]
    subject: Subject,

    #[command(flatten)]
    until: Until,

    /// Why, as whoever meets it will read
    #[arg(long, value_name = "R")]
    reason: String,
}

/// What `release` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Release {
    /// job:NAME or dependency:NAME
    #[arg(value_name = "WHAT")]
    subject: Subject,

    /// Why, for the history
    #[arg(long, value_name = "R", default_value = "")]
    reason: String,
}

/// What `breaker` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("how").required(true))]
pub(super) struct Breaker {
    /// The dependency
    name: String,

    /// Let nothing in
    #[arg(long, group = "how")]
    open: bool,

    /// Let everything in, whatever it has counted
    #[arg(long, group = "how")]
    close: bool,

    /// Let it decide by itself again
    #[arg(long, group = "how")]
    auto: bool,

    #[command(flatten)]
    until: Until,

    /// Why, as whoever meets it will read
    #[arg(long, value_name = "R", default_value = "")]
    reason: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    subject: String,
    state: &'static str,
    until: Option<String>,
    reason: &'a str,
    by: &'a str,
}

pub(super) fn hold(session: &mut Session<'_, '_>, asked: Hold) -> Result<Exit, Stop> {
    let until = asked.until.instant(session.now)?;
    let operator = session.operator(Need::Create)?;
    let before = block_on(operator.hold(&asked.subject, until, &asked.reason))
        .map_err(|error| session.failed(&error))?;
    let reason = asked.reason.trim();
    if session.json() {
        return answer(session, &asked.subject, "held", until, reason, operator.actor());
    }
    let until = ending(session, until, "until it is released");
    let again = if before.is_some() { " anew" } else { "" };
    let subject = asked.subject.to_string();
    writeln!(session.out(), "{} is held{again} {until}: {}", shown(&subject), shown(reason))?;
    let program = session.program();
    let line = format!("`{program} release {}` lets it go", shown(&asked.subject.typed()));
    let line = session.paint().dim(line);
    writeln!(session.out(), "{line}")?;
    Ok(Exit::Done)
}

pub(super) fn release(session: &mut Session<'_, '_>, asked: Release) -> Result<Exit, Stop> {
    let operator = session.operator(Need::Write)?;
    let before =
        block_on(operator.release(&asked.subject, &asked.reason)).map_err(|error| session.failed(&error))?;
    let Some(before) = before else {
        let message = format!("{} is not held", asked.subject);
        let hint = format!("`{} status` shows what is", session.program());
        return Err(Failure::new(Exit::Failed, "hold.none", message).hint(hint).into());
    };
    if session.json() {
        let reason = asked.reason.trim();
        return answer(session, &asked.subject, "released", None, reason, operator.actor());
    }
    let line = since(session, &before);
    let subject = asked.subject.to_string();
    writeln!(session.out(), "{} is released; {line}. What waited for it is due now.", shown(&subject))?;
    Ok(Exit::Done)
}

pub(super) fn breaker(session: &mut Session<'_, '_>, asked: Breaker) -> Result<Exit, Stop> {
    let until = asked.until.instant(session.now)?;
    if asked.auto && until.is_some() {
        return Err(Failure::usage("--auto has no end").hint("leave --for and --until away").into());
    }
    let subject = format!("dependency:{}", asked.name)
        .parse::<Subject>()
        .map_err(|_| Failure::usage(format!("{:?} is no name of a dependency", asked.name)))?;
    let operator = session.operator(Need::Create)?;
    let forced = match (asked.open, asked.close) {
        (true, _) => Some(Forced::Open),
        (_, true) => Some(Forced::Closed),
        _ => None,
    };
    let name = subject.name();
    let done = match forced {
        Some(forced) => block_on(operator.force(name, forced, until, &asked.reason)).map(drop),
        None => block_on(operator.auto(name, &asked.reason)).map(drop),
    };
    done.map_err(|error| session.failed(&error))?;
    let (state, reason) = (forced.map_or("auto", Forced::as_str), asked.reason.trim());
    if session.json() {
        return answer(session, &subject, state, until, reason, operator.actor());
    }
    let until = ending(session, until, "until `--auto`");
    let name = shown(name).into_owned();
    let why = if reason.is_empty() { String::new() } else { format!(": {}", shown(reason)) };
    match forced {
        Some(Forced::Open) => writeln!(session.out(), "the breaker of {name} is open {until}{why}")?,
        Some(Forced::Closed) => {
            writeln!(session.out(), "the breaker of {name} lets everything in {until}{why}")?;
        }
        None => writeln!(session.out(), "the breaker of {name} decides by itself{why}")?,
    }
    Ok(Exit::Done)
}

fn answer(
    session: &mut Session<'_, '_>,
    subject: &Subject,
    state: &'static str,
    until: Option<Timestamp>,
    reason: &str,
    by: &str,
) -> Result<Exit, Stop> {
    let (subject, until) = (subject.typed(), until.map(rfc3339));
    session.object(&Answer { subject, state, until, reason, by })?;
    Ok(Exit::Done)
}

fn ending(session: &Session<'_, '_>, until: Option<Timestamp>, without: &str) -> String {
    until.map_or_else(|| without.to_owned(), |until| format!("until {}", session.when().long(until)))
}

fn since(session: &Session<'_, '_>, before: &Held) -> String {
    let (by, at) = (shown(&before.by).into_owned(), session.when().short(before.at));
    match before.reason.as_str() {
        "" => format!("{by} held it {at}"),
        reason => format!("{by} held it {at}: {}", shown(reason)),
    }
}
