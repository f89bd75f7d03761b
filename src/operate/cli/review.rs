//! `review`: an answer to what a run asks.

use std::path::PathBuf;

use serde::Serialize;

use crate::base::text::shown;
use crate::operate::cli::args::One;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::{Need, Session};
use crate::operate::operator::Answer;
use crate::remember::blocking::block_on;

/// What `review` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Review {
    #[command(flatten)]
    one: One,

    #[command(flatten)]
    answer: Given,

    /// Why, as the history will say
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// Exactly one answer.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Given {
    /// It was done, and this is what it gave (null if nothing): the run goes on behind the step
    #[arg(long, value_name = "JSON")]
    applied: Option<String>,
    /// It was not done: the step runs again
    #[arg(long)]
    not_applied: bool,
    /// The run goes on without the step
    #[arg(long)]
    skip_step: bool,
    /// The run goes on with the input in this file, or - for stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// It is left as it is: failed for good
    #[arg(long, value_name = "REASON")]
    dismiss: Option<String>,
}

/// What became of the run.
#[derive(Serialize)]
struct Told<'a> {
    run_id: &'a str,
    state: &'static str,
    answer: &'static str,
}

pub(super) fn review(session: &mut Session<'_, '_>, asked: Review) -> Result<Exit, Stop> {
    let Review { one, answer: given, reason } = asked;
    if given.dismiss.as_deref().is_some_and(|why| why.trim().is_empty()) {
        return Err(Failure::usage("--dismiss has no reason, which is all that is left of the question")
            .hint("say why it is left as it is, such as --dismiss 'the customer was paid by hand'")
            .into());
    }
    // Read before the store is: what cannot be read needs no store.
    let answer = match &given {
        Given { applied: Some(text), .. } => Some(Answer::Applied(Some(session.json_of("--applied", text)?))),
        Given { not_applied: true, .. } => Some(Answer::NotApplied),
        Given { skip_step: true, .. } => Some(Answer::Skip),
        Given { input: Some(file), .. } => Some(Answer::FixedInput(session.json_in(file)?)),
        _ => None,
    };
    let operator = session.operator(Need::Write)?;
    let run = session.find(&operator, &one)?;
    let said = match &answer {
        Some(answer) => block_on(operator.review(&run, answer, &reason)),
        None => block_on(operator.dismiss(&run, given.dismiss.as_deref().unwrap_or_default())),
    };
    let run = said.map_err(|error| session.failed(&error))?;
    let word = answer.as_ref().map_or("dismiss", Answer::as_str);
    if session.json() {
        session.object(&Told { run_id: run.id(), state: run.state().as_str(), answer: word })?;
        return Ok(Exit::Done);
    }
    let meaning = match &answer {
        Some(answer) => format!("{answer}; a worker takes it up"),
        None => String::from("it is left as it is"),
    };
    let (id, state) = (shown(run.id()).into_owned(), run.state());
    writeln!(session.out(), "run {id} is {state}: {meaning}")?;
    Ok(Exit::Done)
}
