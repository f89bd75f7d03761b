//! A run that is a command, run again from what its record says.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use crate::act::command::Stream;
use crate::act::monitor::Pulse;
use crate::act::pipeline::{Interrupt, Wakeful};
use crate::base::time::Clock;
use crate::decide::run::State;
use crate::operate::cli::exec::form::{Form, Word};
use crate::operate::cli::exec::front::Listening;
use crate::operate::cli::exec::stage::{Hear, Own, Stage};
use crate::operate::cli::exec::{OUTPUT_MAX, job, lock, plan};
use crate::operate::cli::session::quoted;
use crate::operate::cli::{self, Mode, Replay};
use crate::operate::operator::Operator;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Replayed, Run, Runs};
use crate::remember::store::Store;

const NOT_STORED: &str = "its command has words that were not stored, being secret or too long: type the command again, under the same key";

const QUESTION_NOT_STORED: &str = "the question whether it is done has a secret, which was not stored: type the command again, under the same key; a question that reads it from a file or a variable is stored whole";

/// Runs again what `exec` has run.
pub(in crate::operate::cli) struct Replayer {
    pub(in crate::operate::cli) clock: Arc<dyn Clock>,
}

/// A command and its folder, as a person would type them; `None` of any other run.
pub(in crate::operate::cli) fn typed(run: &Run) -> Option<(String, String)> {
    let form = Form::of(run)?;
    let word = |word: &Word| quoted(word.os());
    Some((form.argv.iter().map(word).collect::<Vec<_>>().join(" "), word(&form.cwd)))
}

/// Whether a run is a command that `exec` has run.
pub(in crate::operate::cli) fn is_command(run: &Run) -> bool {
    Form::of(run).is_some()
}

impl cli::Replayer for Replayer {
    fn knows(&self, run: &Run) -> bool {
        is_command(run)
    }

    fn replay(&self, replay: Replay) -> Result<String, Box<dyn Error + Send + Sync>> {
        let Replay { store, run, mode, actor, .. } = replay;
        let form = Form::of(&run).ok_or_else(|| {
            format!("{} is no command of exec: its application's own command replays it", run.job())
        })?;
        replayable(&form)?;
        let only = match lock::ask(run.job(), &form, &store).map_err(|failure| failure.message)? {
            lock::Asked::Mine(only) => only,
            lock::Asked::Busy(who) => {
                return Err(format!("one of its runs is being worked on, by {who}").into());
            }
        };
        let listening = Listening::begin(Arc::clone(&self.clock)).map_err(|failure| failure.message)?;
        let run = match queued_anew(&store, run, &mode, &actor)? {
            Anew::Run(run) => run,
            Anew::Done(id) => return Ok(id),
        };
        // A person looks on: what it writes is shown, and the answer stands alone on stdout.
        let hear: Arc<Hear> = Arc::new(|_: Stream, bytes: &[u8]| {
            drop(std::io::stderr().write_all(bytes));
        });
        let id = run.id().to_owned();
        let taken = again(&store, &run, &form, None, Some(hear), &listening.interrupt)?;
        drop(only);
        match taken.run {
            Some(_) => Ok(id),
            None => Err(not_taken(&store, &id).into()),
        }
    }
}

/// Why nobody could take it, as it stands now.
fn not_taken(store: &Arc<dyn Store>, id: &str) -> String {
    let why = match block_on(Runs::new(Arc::clone(store)).get(id)) {
        Ok(Some(run)) if run.record.leased() => String::from("somebody works on it"),
        Ok(Some(run)) if run.record.paused => String::from("it is paused"),
        Ok(Some(run)) => format!("it is {}", run.state().as_str().replace('_', " ")),
        Ok(None) => String::from("it is gone"),
        Err(error) => error.to_string(),
    };
    format!("run {id} could not be taken: {why}")
}

enum Anew {
    Run(Box<Run>),
    /// The ledger says that this one has done it.
    Done(String),
}

/// The run that is to be worked on now.
fn queued_anew(
    store: &Arc<dyn Store>,
    run: Run,
    mode: &Mode,
    actor: &str,
) -> Result<Anew, Box<dyn Error + Send + Sync>> {
    let waits = matches!(run.state(), State::Queued | State::FailedTransient | State::Processing);
    if *mode == Mode::Resume && waits {
        return Ok(Anew::Run(Box::new(run)));
    }
    let by = actor.strip_prefix("operator:").unwrap_or(actor);
    let operator = Operator::new(Arc::clone(store), by)?;
    Ok(match block_on(operator.replay(&run, mode, ""))? {
        Replayed::Resumed(run) | Replayed::Created(run) => Anew::Run(run),
        Replayed::Duplicate { run: Some(id), .. } => Anew::Done(id),
        Replayed::Duplicate { key, run: None, .. } => {
            return Err(format!("the work of {key} was done before, by a run that is gone").into());
        }
    })
}

/// Why nobody but who types the command again can run it, if that is so.
pub(in crate::operate::cli) fn not_stored(run: &Run) -> Option<&'static str> {
    unstored(&Form::of(run)?)
}

const fn unstored(form: &Form) -> Option<&'static str> {
    match (form.hidden.is_empty(), form.verify_hidden) {
        (false, _) => Some(NOT_STORED),
        (true, true) => Some(QUESTION_NOT_STORED),
        (true, false) => None,
    }
}

/// Why a run cannot be run again from its record, if it cannot.
pub(super) fn replayable(form: &Form) -> Result<(), String> {
    if let Some(why) = unstored(form) {
        return Err(String::from(why));
    }
    let here = rustix::process::geteuid().as_raw();
    if form.uid != here {
        return Err(format!(
            "it was run by the user {}, and this is {here}: replay it as that user",
            form.uid
        ));
    }
    Ok(())
}

/// What became of a run that was to be worked on.
pub(super) struct Again {
    /// None if it could not be taken.
    pub(super) run: Option<Run>,
    /// How often its command was started.
    pub(super) starts: u32,
}

/// Works on a run that is there.
pub(super) fn again(
    store: &Arc<dyn Store>,
    run: &Run,
    form: &Form,
    pulse: Option<Pulse>,
    hear: Option<Arc<Hear>>,
    interrupt: &Interrupt,
) -> Result<Again, Box<dyn Error + Send + Sync>> {
    let own = Own {
        words: form.argv.iter().map(Word::os).collect(),
        verify: form.verify.clone(),
        stdin: plan::stored_stdin(form)?,
        secrets: Vec::new(),
        here: false,
        hear,
        output_max: OUTPUT_MAX,
        pulse: pulse.clone(),
        clock: Wakeful(interrupt.clone()),
    };
    let stage = Arc::new(Stage::new(run.job(), form, own, store)?);
    let job = job::of(run.job(), form, &stage, pulse, run.record.expires_at)?;
    let run = job.resume_in_front(store, run, interrupt)?;
    Ok(Again { run, starts: stage.starts() })
}
