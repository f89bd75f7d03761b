//! `dead-letters`: what has failed for good or asks a person.

use serde::Serialize;

use crate::base::text::{shortened, shown};
use crate::decide::run::State;
use crate::operate::cli::args::{Narrow, count};
use crate::operate::cli::failure::{Exit, Stop};
use crate::operate::cli::look::reason;
use crate::operate::cli::print::{Table, end, ends, plain};
use crate::operate::cli::session::{Need, Session};
use crate::operate::cli::{forms, next};
use crate::operate::operator::RUNS_MAX;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Filter, Run};

/// Characters of a reason in a table on a terminal; elsewhere it is whole.
const WHY_WIDTH: usize = 48;

/// What `dead-letters` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DeadLetters {
    #[command(flatten)]
    narrow: Narrow,

    /// Those that a person has reviewed too
    #[arg(long)]
    reviewed: bool,

    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count())]
    limit: u32,
}

/// A dead letter: the keys of a run in a list, and what to type.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    run: forms::Line<'a>,
    next: Vec<String>,
}

pub(super) fn dead_letters(session: &mut Session<'_, '_>, asked: DeadLetters) -> Result<Exit, Stop> {
    let filter = Filter {
        states: vec![State::FailedPermanent, State::NeedsReview],
        reviewed: (!asked.reviewed).then_some(false),
        ..asked.narrow.filter(session.now)?
    };
    let operator = session.operator(Need::Read)?;
    let wanted = asked.limit.saturating_add(1).min(RUNS_MAX);
    let mut runs = block_on(operator.list(&filter, wanted)).map_err(|error| session.failed(&error))?;
    let more = runs.len() > asked.limit as usize;
    runs.truncate(asked.limit as usize);
    if session.json() {
        for run in &runs {
            let next = next::commands(next::next(session, run));
            session.object(&Line { run: forms::Line::of(run), next })?;
        }
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        writeln!(session.out(), "no dead letters")?;
        return Ok(Exit::Done);
    }
    table(session, &runs)?;
    if more {
        let line = session
            .paint()
            .dim(format!("there are older ones; --limit {} shows more", u64::from(asked.limit) * 2));
        writeln!(session.out(), "{line}")?;
    }
    Ok(Exit::Done)
}

/// The runs, each with the command that most likely comes next.
fn table(session: &mut Session<'_, '_>, runs: &[Run]) -> Result<(), Stop> {
    let (paint, when, terminal) = (session.paint(), session.when(), session.io.terminal);
    let length = ends(&runs.iter().map(Run::id).collect::<Vec<_>>());
    let mut table = Table::head(paint, &["RUN", "JOB", "STATE", "TRIES", "SINCE", "WHY", "NEXT"]);
    for run in runs {
        let why = reason(&run.body.code, &run.body.why);
        let why = if terminal { shortened(&why, WHY_WIDTH) } else { why };
        let id = shown(&end(run.id(), length)).into_owned();
        let state = run.state().as_str();
        let since = run.body.finished_at.unwrap_or(run.record.updated_at);
        let (next, _) = next::first(session, run, &id);
        table.row([
            (id.clone(), paint.bold(&id)),
            plain(run.job()),
            (state.to_owned(), paint.state(state, state)),
            plain(&run.tries().to_string()),
            plain(&when.short(since)),
            plain(&why),
            plain(&next),
        ]);
    }
    table.write(session.out())?;
    Ok(())
}
