//! `schedule` and `window`: what is when.

use serde::Serialize;

use crate::base::explain::Explain;
use crate::base::text::{self, rfc3339};
use crate::base::time::Timestamp;
use crate::base::zone::Zone;
use crate::decide::schedule::{FIRST, LAST, Note, Schedule as Times};
use crate::decide::window::{State, Window as Hours};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::print::{Facts, Table, plain};
use crate::operate::cli::session::Session;

const COUNT_MAX: u32 = 100_000;

/// What `schedule` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Schedule {
    /// A cron expression such as '30 2 * * *' or @daily, or 'every 15m'
    expr: String,

    /// Whose clocks: utc, +02:00, Europe/Paris
    #[arg(long, value_name = "ZONE", default_value = "utc")]
    tz: String,

    /// What comes after this: RFC 3339, or a duration ago such as 12h [default: now]
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,

    /// So many of them
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
}

const ABOUT: &str = "\
With --json an object for each: nominal (UTC) local (as the clocks of the zone show it) note code. The note says what a change
of the clocks has to do with it (a time that is skipped happens at the first instant after the gap, one that is shown twice
happens the first time), and is null for most.";

pub(super) fn schedule(session: &mut Session<'_, '_>, asked: Schedule) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        nominal: String,
        local: String,
        note: Option<String>,
        code: Option<&'static str>,
    }
    let zone = zone_of(&asked.tz)?;
    let times = times_of(&asked.expr, zone)?;
    let from = instant_of("--from", asked.from.as_deref(), session.now)?;
    if !(FIRST..LAST).contains(&from) {
        let [first, last] = [FIRST, LAST].map(|at| at.format("%Y-%m-%d").to_string());
        let message = format!("--from is {}, times are known from {first} to {last}", rfc3339(from));
        return Err(Failure::usage(message).into());
    }
    let count = usize::try_from(asked.count).unwrap_or(usize::MAX);
    let (json, paint, when) = (session.json(), session.paint(), session.when());
    let mut table = Table::default();
    let mut any = false;
    for next in times.upcoming(from).take(count) {
        any = true;
        let note = (next.note != Note::Normal).then(|| next.note.to_string());
        let local = zone.at(next.nominal);
        if json {
            let code = note.as_ref().map(|_| next.note.code());
            let (nominal, local) = (rfc3339(next.nominal), local.to_rfc3339());
            session.object(&Answer { nominal, local, note, code })?;
            continue;
        }
        let (far, note) = (text::relative(next.nominal, when.now), note.unwrap_or_default());
        let local = local.format("%a %Y-%m-%d %H:%M:%S %:z").to_string();
        table.row([(local.clone(), local), (far.clone(), paint.dim(far)), (note.clone(), paint.bold(note))]);
    }
    if !json {
        writeln!(session.out(), "{}", plain(&times.to_string()).0)?;
        table.write(session.out())?;
        if !any {
            writeln!(session.out(), "never after {} UTC", text::second(from))?;
        }
    }
    Ok(Exit::Done)
}

/// The schedule that is written: `every 15m`, or a cron expression.
pub(super) fn times_of(expr: &str, zone: Zone) -> Result<Times, Failure> {
    let wrong = |said: String| {
        Failure::usage(said).hint("a cron expression such as '30 2 * * *' (quoted) or @daily, or 'every 15m'")
    };
    if let Some(period) = expr.trim().strip_prefix("every ") {
        let period = text::duration(period).map_err(|error| wrong(error.to_string()))?;
        return Times::every(period).map_err(|error| wrong(error.to_string()));
    }
    Times::cron(expr.trim(), zone).map_err(|error| wrong(error.to_string()))
}

pub(super) fn zone_of(given: &str) -> Result<Zone, Failure> {
    given.parse().map_err(|error: crate::base::zone::UnknownZone| Failure::usage(format!("--tz: {error}")))
}

fn instant_of(option: &str, given: Option<&str>, now: Timestamp) -> Result<Timestamp, Failure> {
    let Some(given) = given else { return Ok(now) };
    text::instant(given, now).map_err(|error| Failure::usage(format!("{option}: {error}")))
}

/// What `window` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT_WINDOW)]
pub(super) struct Window {
    /// Hours, days and a zone, such as '09:00-22:00 Mon-Fri Europe/Paris'
    spec: String,

    /// Whose clocks, where the window does not say it: utc, +02:00, Europe/Paris
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,

    /// When: RFC 3339, or a duration ago such as 12h [default: now]
    #[arg(long, value_name = "WHEN")]
    at: Option<String>,
}

const ABOUT_WINDOW: &str = "\
Exit code 0 if it is open, 75 if it is closed. With --json: state(open|closed) opens (null while it is open) closes (null
while it is closed, or if it never closes) why code.
Without a zone it is UTC; a zone that is given twice must be the same.";

pub(super) fn window(session: &mut Session<'_, '_>, asked: Window) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        state: &'static str,
        opens: Option<String>,
        closes: Option<String>,
        why: String,
        code: Option<&'static str>,
    }
    let spec = match &asked.tz {
        // As a part of the text, so that one that is there already must be the same.
        Some(tz) => format!("{} {}", asked.spec, zone_of(tz)?),
        None => asked.spec.clone(),
    };
    let hours: Hours = spec.parse().map_err(|error| {
        Failure::usage(format!("the window: {}", chain(&error as &crate::decide::window::ParseError)))
            .hint("such as '09:00-22:00 Mon-Fri Europe/Paris'")
    })?;
    let at = instant_of("--at", asked.at.as_deref(), session.now)?;
    let local = |at: Timestamp| hours.zone().at(at).format("%a %Y-%m-%d %H:%M:%S %:z").to_string();
    let (state, opens, closes, why, code) = match hours.state(at) {
        State::Open { closes } => {
            let why = closes.map_or_else(
                || String::from("it never closes"),
                |closes| format!("it is open until {}", local(closes)),
            );
            ("open", None, closes, why, None)
        }
        State::Closed { opens, why } => ("closed", opens, None, why.to_string(), Some(why.code())),
    };
    let exit = if state == "open" { Exit::Done } else { Exit::NotNow };
    if session.json() {
        let (opens, closes) = (opens.map(rfc3339), closes.map(rfc3339));
        return session.object(&Answer { state, opens, closes, why, code }).map(|()| exit);
    }
    let paint = session.paint();
    let mut facts = Facts::default();
    facts.painted("state", if state == "open" { paint.good(state) } else { paint.bad(state) });
    facts.text("window", &hours.to_string());
    facts.text("why", &why);
    let far = |at: Option<Timestamp>| {
        at.map_or_else(String::new, |at| format!("{}  {}", local(at), text::relative(at, session.now)))
    };
    facts.painted("opens", far(opens));
    facts.painted("closes", far(closes));
    facts.write(session.out(), paint)?;
    Ok(exit)
}
