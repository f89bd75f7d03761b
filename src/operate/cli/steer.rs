//! Verbs that steer a run: cancel, pause, resume, compensate.

use serde::Serialize;

use crate::base::text::shown;
use crate::operate::cli::args::One;
use crate::operate::cli::failure::{Exit, Stop};
use crate::operate::cli::session::{Need, Session};
use crate::operate::operator::Operator;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Run, Verb};

/// A run and why.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Steer {
    #[command(flatten)]
    pub(super) one: One,

    /// Why, as the history will say
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) reason: String,
}

/// What became of the run.
#[derive(Serialize)]
struct Answer<'a> {
    run_id: &'a str,
    state: &'static str,
    paused: bool,
    cancelling: bool,
}

pub(super) fn cancel(session: &mut Session<'_, '_>, asked: Steer) -> Result<Exit, Stop> {
    steer(session, asked, Verb::Cancel)
}

pub(super) fn pause(session: &mut Session<'_, '_>, asked: Steer) -> Result<Exit, Stop> {
    steer(session, asked, Verb::Pause)
}

pub(super) fn resume(session: &mut Session<'_, '_>, asked: Steer) -> Result<Exit, Stop> {
    steer(session, asked, Verb::Resume)
}

pub(super) fn compensate(session: &mut Session<'_, '_>, asked: Steer) -> Result<Exit, Stop> {
    steer(session, asked, Verb::Compensate)
}

fn steer(session: &mut Session<'_, '_>, asked: Steer, verb: Verb) -> Result<Exit, Stop> {
    let operator = session.operator(Need::Write)?;
    let run = session.find(&operator, &asked.one)?;
    let said = say(&operator, &run, verb, &asked.reason);
    let run = said.map_err(|error| session.failed(&error))?;
    if session.json() {
        let (paused, cancelling) = (run.record.paused, run.record.cancelling);
        session.object(&Answer { run_id: run.id(), state: run.state().as_str(), paused, cancelling })?;
        return Ok(Exit::Done);
    }
    let line = told(&run, verb);
    writeln!(session.out(), "{line}")?;
    Ok(Exit::Done)
}

fn say(
    operator: &Operator,
    run: &Run,
    verb: Verb,
    why: &str,
) -> Result<Run, crate::operate::operator::Error> {
    block_on(async {
        match verb {
            Verb::Pause => operator.pause(run, why).await,
            Verb::Resume => operator.resume(run, why).await,
            Verb::Compensate => operator.compensate(run, why).await,
            _ => operator.cancel(run, why).await,
        }
    })
}

fn told(run: &Run, verb: Verb) -> String {
    let (id, state) = (shown(run.id()), run.state());
    let holder = run.record.owner.as_deref().filter(|_| state.is_held());
    let holder = holder.map(|owner| shown(owner).into_owned());
    match (verb, holder) {
        (Verb::Cancel, Some(holder)) if run.record.cancelling => {
            format!("run {id} is asked to stop; {holder} sees that at its next checkpoint, and cancels it")
        }
        (Verb::Pause, Some(holder)) => {
            format!("run {id} is paused; {holder} ends the step that it is at, then puts the run down")
        }
        (Verb::Pause, None) => format!("run {id} is paused, {state}; nobody takes it up until `resume`"),
        (Verb::Resume, _) => format!("run {id} goes on; it is {state}"),
        (Verb::Compensate, _) => {
            format!("run {id} is {state}; the next worker of its job undoes what was done")
        }
        _ => format!("run {id} is {state}"),
    }
}
