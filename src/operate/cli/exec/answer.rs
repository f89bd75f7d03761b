//! What `exec` answers: an exit code, an object, a sentence where one is needed.

use serde::Serialize;

use crate::act::job::Verdict;
use crate::base::explain::Explain;
use crate::base::text::{relative, shown};
use crate::base::time::Timestamp;
use crate::decide::claim::Settled;
use crate::decide::run::State;
use crate::operate::cli::exec::replay;
use crate::operate::cli::exec::stage::Last;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::{Session, quoted};
use crate::remember::runs::Run;

/// What became of a call.
pub(super) struct Ended {
    /// Its run, where there is one that others can see.
    pub(super) run: Option<Run>,
    /// Whether the run is on record.
    pub(super) kept: bool,
    pub(super) verdict: Verdict,
    /// How often the command was started in this call.
    pub(super) starts: u32,
    pub(super) last: Last,
    /// The signal that this process was sent.
    pub(super) signal: Option<i32>,
}

/// The object.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    pub(super) run_id: Option<&'a str>,
    pub(super) job: &'a str,
    pub(super) state: &'a str,
    pub(super) attempts: u32,
    pub(super) code: &'a str,
    pub(super) why: &'a str,
    pub(super) exit_code: Option<u8>,
    pub(super) duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl Ended {
    /// Whether the command ran here, or something of this program's own is to be told.
    const fn ran(&self) -> bool {
        self.starts > 0
    }

    fn state(&self) -> Option<State> {
        self.run.as_ref().map(Run::state)
    }

    /// The exit code: the command's own where it ran.
    fn exit(&self) -> Exit {
        if let Some(code) = self.last.code.filter(|_| self.ran()) {
            return Exit::Program(code);
        }
        if let (Some(signal), Some(State::Cancelled)) = (self.signal, self.state()) {
            return Exit::Program(u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX));
        }
        match (&self.verdict, self.state()) {
            (Verdict::Conflict { .. }, _) => Exit::OtherArguments,
            (Verdict::Busy { .. } | Verdict::Deferred { .. } | Verdict::Waiting { .. }, _) => Exit::NotNow,
            (Verdict::Duplicate(Settled::Succeeded), _) => Exit::Done,
            (Verdict::WithAPerson, Some(state)) if state != State::NeedsReview => Exit::NotNow,
            (Verdict::Duplicate(_) | Verdict::WithAPerson, _) => Exit::Failed,
            (Verdict::Ran, Some(State::Succeeded | State::Skipped)) => Exit::Done,
            (
                Verdict::Ran,
                Some(State::FailedTransient | State::WaitingExternal | State::Queued | State::Processing),
            ) => Exit::NotNow,
            (Verdict::Ran, _) => Exit::Failed,
        }
    }

    /// Whether it waits for nothing but that somebody lets it go on.
    fn paused(&self) -> bool {
        let waits = |run: &Run| {
            let answered = run.state() == State::NeedsReview || run.state().is_terminal();
            run.record.paused && !run.record.leased() && !answered
        };
        !matches!(self.verdict, Verdict::Conflict { .. }) && self.run.as_ref().is_some_and(waits)
    }

    /// The stable word and the sentence: the run's own where it was worked on or lies there.
    fn reason(&self) -> (String, String) {
        let run = self.run.as_ref().filter(|_| !matches!(self.verdict, Verdict::Conflict { .. }));
        if self.paused() && !self.ran() {
            return (String::from("run.paused"), String::from("an operator put it aside for now"));
        }
        match (&self.verdict, run) {
            (Verdict::Duplicate(Settled::Succeeded) | Verdict::Busy { .. }, _) | (_, None) => {
                (self.verdict.code().to_owned(), self.verdict.to_string())
            }
            (_, Some(run)) => (run.body.code.clone(), run.body.why.clone()),
        }
    }

    fn attempts(&self) -> u32 {
        self.run.as_ref().map_or(self.starts, Run::tries)
    }

    /// What to type next.
    fn hint(&self, program: &str) -> Option<String> {
        let run = self.run.as_ref().filter(|_| self.kept)?;
        let id = quoted(run.id());
        match (&self.verdict, run.state()) {
            (Verdict::Conflict { .. }, _) => {
                Some(format!("`{program} show {id}` says what the key was used for"))
            }
            (_, State::NeedsReview) => Some(format!(
                "say what became of it: `{program} review {id} --applied null`, `--not-applied` or `--dismiss REASON`"
            )),
            (_, State::FailedPermanent | State::Expired | State::Cancelled | State::Compensated) => Some(
                format!("`{program} explain {id}` tells the story, `{program} replay {id}` runs it again"),
            ),
            _ if self.paused() => Some(format!("`{program} resume {id}` lets it go on")),
            (_, State::FailedTransient | State::Queued) if replay::not_stored(run).is_some() => {
                replay::not_stored(run).map(str::to_owned)
            }
            (_, State::FailedTransient | State::Queued) => {
                Some(format!("`{program} tick` runs it when it is due, `{program} explain {id}` says why"))
            }
            _ => None,
        }
    }
}

/// Tells it, and gives the exit code.
pub(super) fn tell(session: &mut Session<'_, '_>, job: &str, ended: &Ended) -> Result<Exit, Stop> {
    let exit = ended.exit();
    let (code, why) = ended.reason();
    let program = session.program();
    let state = ended.state().map_or("none", State::as_str);
    let hint = ended.hint(&program);
    let due =
        ended.run.as_ref().and_then(|run| run.record.due_at).filter(|_| {
            matches!(ended.state(), Some(State::Queued | State::FailedTransient)) && !ended.paused()
        });
    if session.json() {
        let answer = Answer {
            run_id: ended.run.as_ref().filter(|_| ended.kept).map(Run::id),
            job,
            state,
            attempts: ended.attempts(),
            code: &code,
            why: &why,
            exit_code: ended.last.code.filter(|_| ended.ran()),
            duplicate: ended.verdict.is_duplicate(),
            due_at: due.map(crate::base::text::rfc3339),
            hint: hint.filter(|_| exit != Exit::Done && exit != Exit::Program(0)),
        };
        session.object(&answer)?;
        return Ok(exit);
    }
    say(session, job, ended, exit, &why, hint, due)?;
    Ok(exit)
}

/// Nothing of what went well, nor of what is only not now, unless more was asked for.
fn say(
    session: &mut Session<'_, '_>,
    job: &str,
    ended: &Ended,
    exit: Exit,
    why: &str,
    hint: Option<String>,
    due: Option<Timestamp>,
) -> Result<(), Stop> {
    let silent = matches!(exit, Exit::Done | Exit::NotNow | Exit::Program(0))
        && ended.state() != Some(State::NeedsReview);
    if silent && !session.global.verbose {
        return Ok(());
    }
    let now = session.host.clock.now().wall;
    let (job, why) = (shown(job), shown(why));
    let id = ended.run.as_ref().filter(|_| ended.kept).map_or("", Run::id);
    let state = ended.state();
    let text = match (exit, due) {
        (Exit::OtherArguments, _) => {
            format!("{job} was run under this key with other arguments; nothing was done")
        }
        (Exit::Done, _) if ended.verdict.is_duplicate() => format!("{job} was done before, by run {id}"),
        (_, Some(due)) => format!("{job} is put off, due {} (run {id}): {why}", relative(due, now)),
        (_, None) => {
            let word = match state {
                Some(_) if ended.paused() => String::from("is paused"),
                Some(State::Succeeded) => String::from("succeeded"),
                Some(State::FailedPermanent) => String::from("has failed"),
                Some(State::NeedsReview) => String::from("needs a person"),
                Some(State::Processing) => String::from("is being worked on"),
                Some(other) => format!("is {}", other.as_str().replace('_', " ")),
                None => String::from("was not run"),
            };
            let run = if id.is_empty() { String::new() } else { format!(" (run {id})") };
            format!("{job} {word}{run}: {why}")
        }
    };
    let mut said = Failure::new(exit, "", text);
    said.hint = hint.filter(|_| !matches!(exit, Exit::Done | Exit::Program(0)));
    session.io.out.flush()?;
    // Where stderr is gone the exit code still says it.
    drop(session.io.err.write_all(said.human(&session.host.program).as_bytes()));
    Ok(())
}

/// Somebody else is at it, and nothing was written down.
pub(super) fn busy(
    session: &mut Session<'_, '_>,
    job: &str,
    exit: Exit,
    code: &str,
    why: &str,
) -> Result<Exit, Stop> {
    if session.json() {
        let answer = Answer {
            run_id: None,
            job,
            state: "none",
            attempts: 0,
            code,
            why,
            exit_code: None,
            duplicate: false,
            due_at: None,
            hint: None,
        };
        session.object(&answer)?;
    } else if exit != Exit::NotNow || session.global.verbose {
        let said = Failure::new(exit, "", format!("{} was not run: {why}", shown(job)));
        drop(session.io.err.write_all(said.human(&session.host.program).as_bytes()));
    }
    Ok(exit)
}
