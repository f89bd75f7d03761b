//! What comes from outside: submit, resolve.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::base::canonical::Key;
use crate::base::text::{self, shown};
use crate::base::time::later;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::{Need, Session};
use crate::operate::operator::Resolved;
use crate::remember::blocking::block_on;
use crate::remember::runs::{NewRun, Run, Submitted, kind_of};

/// What `submit` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Submit {
    /// The job; a worker of the application that has it takes the run up
    job: String,

    /// The input as JSON, in this file, or - for stdin
    #[arg(long, value_name = "FILE", default_value = "-")]
    input: PathBuf,

    /// The idempotency key, SCOPE/KIND/ID: the same work under it is handed over once
    #[arg(long, value_name = "KEY")]
    key: Option<Key>,

    /// The version of the input's schema
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    schema: u32,

    /// How urgent it is: higher first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    rank: i64,

    /// Due after this time, such as 15m [default: at once]
    #[arg(long = "in", value_name = "D", value_parser = text::duration)]
    due_in: Option<Duration>,
}

/// What became of a submission.
#[derive(Serialize)]
struct Answer<'a> {
    run_id: Option<&'a str>,
    state: Option<&'a str>,
    job: &'a str,
    key: Option<&'a str>,
    duplicate: bool,
}

pub(super) fn submit(session: &mut Session<'_, '_>, asked: Submit) -> Result<Exit, Stop> {
    if asked.job.trim().is_empty() || asked.job.contains('@') {
        return Err(
            Failure::usage(format!("JOB is {:?}; allowed is a job's name, without @", asked.job)).into()
        );
    }
    let input = session.json_in(&asked.input)?;
    let operator = session.operator(Need::Create)?;
    let now = session.host.clock.now().wall;
    let mut new = NewRun::new(asked.job.as_str(), input, Vec::new());
    new.key.clone_from(&asked.key);
    new.rank = asked.rank;
    new.due_at = asked.due_in.map(|delay| later(now, delay));
    new.body.schema = asked.schema;
    operator.actor().clone_into(&mut new.actor);
    let submitted = block_on(operator.runs().submit(new, now));
    let submitted = submitted.map_err(|error| session.failed(&error.into()))?;
    let key = asked.key.as_ref().map(Key::as_str);
    match submitted {
        Submitted::Created(run) => told(session, &run, key, false).map(|()| Exit::Done),
        Submitted::Existing(run, _) => {
            told(session, &run, key, true)?;
            Ok(if run.state().is_dead_letter() { Exit::Failed } else { Exit::Done })
        }
        Submitted::Settled { key, settled } => {
            let job = kind_of(&asked.job, 1);
            if session.json() {
                let state = Some("settled");
                session.object(&Answer {
                    run_id: None,
                    state,
                    job: &job,
                    key: Some(key.as_str()),
                    duplicate: true,
                })?;
            } else {
                let key = shown(key.as_str()).into_owned();
                writeln!(
                    session.out(),
                    "the work under {key} was settled before: {settled:?}; nothing was handed over"
                )?;
            }
            Ok(Exit::Done)
        }
        Submitted::Conflict { key, run, .. } => {
            let by = run.as_ref().map(|run| format!(" by run {run}")).unwrap_or_default();
            let message = format!("the key {key} was used{by} with another input");
            let hint = match run {
                Some(run) => format!(
                    "`{} show {run}` shows that input; other work needs another key",
                    session.program()
                ),
                None => String::from("other work needs another key"),
            };
            Err(Failure::new(Exit::OtherArguments, "claim.conflict", message).hint(hint).into())
        }
    }
}

fn told(session: &mut Session<'_, '_>, run: &Run, key: Option<&str>, duplicate: bool) -> Result<(), Stop> {
    let state = run.state();
    if session.json() {
        let (run_id, state) = (Some(run.id()), Some(state.as_str()));
        return session.object(&Answer { run_id, state, job: run.job(), key, duplicate });
    }
    let (id, job) = (shown(run.id()).into_owned(), shown(run.job()).into_owned());
    if !duplicate {
        writeln!(session.out(), "run {id} of job {job} is {state}")?;
        return Ok(());
    }
    writeln!(session.out(), "the same work was handed over before: run {id} of job {job} is {state}")?;
    if state.is_dead_letter() {
        let program = session.program();
        writeln!(session.io.err, "  `{program} show {id}` says how it goes on")?;
    }
    Ok(())
}

/// What `resolve` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Resolve {
    /// The token, as `show` names it
    token: String,

    /// The answer, or - for stdin
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    answer: String,

    /// Why, as the history will say
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// What became of an answer.
#[derive(Serialize)]
struct Given<'a> {
    run_id: Option<&'a str>,
    state: Option<&'a str>,
    token: &'a str,
    result: &'static str,
}

pub(super) fn resolve(session: &mut Session<'_, '_>, asked: Resolve) -> Result<Exit, Stop> {
    let Resolve { token, answer, reason } = asked;
    let answer = match answer.as_str() {
        "-" => session.json_in(Path::new("-"))?,
        text => session.json_of("JSON", text)?,
    };
    let operator = session.operator(Need::Write)?;
    let resolved =
        block_on(operator.resolve(&token, answer, &reason)).map_err(|error| session.failed(&error))?;
    let shown_token = shown(&token).into_owned();
    let (run, result, line) = match &resolved {
        Resolved::Resumed(run) => (
            Some(run.id().to_owned()),
            "resumed",
            format!("run {} has its answer and is {}", shown(run.id()), run.state()),
        ),
        Resolved::Early => (
            None,
            "early",
            format!("nobody waits for {shown_token} yet; the answer is kept for whoever asks"),
        ),
        Resolved::Late { run, same: true } => {
            (run.clone(), "same", format!("{shown_token} has that answer already; nothing was changed"))
        }
        Resolved::Late { run, same: false } => {
            let message = format!(
                "{token} has its answer already, or its run no longer waits; the first answer counts"
            );
            let mut failure = Failure::new(Exit::Failed, "wait.late", message);
            if let Some(run) = run {
                failure = failure.hint(format!("`{} explain {run}` tells who answered", session.program()));
            }
            return Err(failure.into());
        }
    };
    if session.json() {
        let now = match &run {
            Some(run) => block_on(operator.runs().get(run)).map_err(|error| session.failed(&error.into()))?,
            None => None,
        };
        let state = now.as_ref().map(|run| run.state().as_str());
        session.object(&Given { run_id: run.as_deref(), state, token: &token, result })?;
    } else {
        writeln!(session.out(), "{line}")?;
    }
    Ok(Exit::Done)
}
