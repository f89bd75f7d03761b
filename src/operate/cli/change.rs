//! Verbs that change something: note, requeue, replay.

use serde::Serialize;

use crate::base::fault::Classify as _;
use crate::base::text::{relative, rfc3339, shown};
use crate::base::time::between;
use crate::decide::run::State;
use crate::operate::cli::args::{self, One, ReplayMode};
use crate::operate::cli::exec;
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::look;
use crate::operate::cli::session::{Need, Session, quoted};
use crate::operate::cli::{Mode, Replay, Replayer};
use crate::operate::operator::{Operator, Outcome, RUNS_MAX, Spread};
use crate::remember::blocking::block_on;
use crate::remember::runs::Run;
use std::sync::Arc;

/// What became of a run: the keys that every changing verb answers with, and more.
#[derive(Serialize)]
struct Answer<'a> {
    run_id: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl<'a> Answer<'a> {
    fn of(run: &'a Run) -> Self {
        let state = run.state().as_str();
        Self { run_id: run.id(), state, due_at: None, dry_run: None, code: None, why: None }
    }
}

pub(super) fn note(session: &mut Session<'_, '_>, one: &One, text: &str) -> Result<Exit, Stop> {
    let operator = session.operator(Need::Write)?;
    let noted = one.run.parse().map_err(Into::into).and_then(|run| block_on(operator.note(&run, text)));
    let run = noted.map_err(|error| session.failed(&error))?;
    if session.json() {
        session.object(&Answer::of(&run))?;
    } else {
        writeln!(session.out(), "noted on run {}, which is {}", shown(run.id()), run.state())?;
    }
    Ok(Exit::Done)
}

pub(super) fn requeue(session: &mut Session<'_, '_>, asked: args::Requeue) -> Result<Exit, Stop> {
    asked.check()?;
    let need = if asked.dry_run { Need::Read } else { Need::Write };
    let operator = session.operator(need)?;
    let chosen =
        if asked.all { by_filter(session, &operator, &asked)? } else { by_name(session, &operator, &asked)? };
    if asked.dry_run {
        return dry_run(session, &chosen);
    }
    if chosen.is_empty() {
        if !session.json() {
            writeln!(session.out(), "no failed runs match; nothing was sent")?;
        }
        return Ok(Exit::Done);
    }
    if asked.all && !asked.yes {
        confirm(session, chosen.len())?;
    }
    // From now on, not from when the question was asked: nothing is due in the past.
    let now = session.host.clock.now().wall;
    let spread = Spread { rate: asked.rate };
    let outcomes =
        block_on(operator.requeue_each(chosen, now, spread)).map_err(|error| session.failed(&error))?;
    report(session, &outcomes, asked.all)
}

fn by_name(session: &Session<'_, '_>, operator: &Operator, asked: &args::Requeue) -> Result<Vec<Run>, Stop> {
    let mut chosen: Vec<Run> = Vec::new();
    for name in &asked.runs {
        let found = name.parse().map_err(Into::into).and_then(|run| block_on(operator.find(&run)));
        let run = found.map_err(|error| session.failed(&error))?;
        if chosen.iter().all(|other| other.id() != run.id()) {
            chosen.push(run);
        }
    }
    Ok(chosen)
}

fn by_filter(
    session: &Session<'_, '_>,
    operator: &Operator,
    asked: &args::Requeue,
) -> Result<Vec<Run>, Stop> {
    let filter = asked.filters.clone().filter(session.now)?;
    let limit = asked.limit.min(RUNS_MAX);
    block_on(operator.requeueable(&filter, limit)).map_err(|error| session.failed(&error).into())
}

fn dry_run(session: &mut Session<'_, '_>, chosen: &[Run]) -> Result<Exit, Stop> {
    let possible = |run: &Run| {
        matches!(run.state(), State::FailedTransient | State::FailedPermanent | State::NeedsReview)
    };
    if session.json() {
        for run in chosen {
            session.object(&Answer { dry_run: Some(true), ..Answer::of(run) })?;
        }
    } else if !chosen.is_empty() {
        look::table(session, chosen)?;
    }
    let sendable = chosen.iter().filter(|run| possible(run)).count();
    if !session.json() {
        let left = match chosen.len() - sendable {
            0 => String::new(),
            n => format!(", {n} cannot be"),
        };
        writeln!(
            session.out(),
            "{} would be sent round again{left}; nothing was changed",
            counted(sendable)
        )?;
    }
    Ok(if sendable == chosen.len() { Exit::Done } else { Exit::Failed })
}

fn confirm(session: &mut Session<'_, '_>, count: usize) -> Result<(), Stop> {
    match session.asked(&format!("Send {} round again?", counted(count))) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::new(Exit::Failed, "requeue.not_confirmed", "nothing was sent").into()),
        None => {
            let message =
                format!("--all would send {} round again, and there is nobody to ask", counted(count));
            Err(Failure::usage(message).hint("give --yes to do it, or --dry-run to see them").into())
        }
    }
}

pub(super) fn counted(count: usize) -> String {
    if count == 1 { String::from("1 run") } else { format!("{count} runs") }
}

pub(super) fn report(
    session: &mut Session<'_, '_>,
    outcomes: &[Outcome],
    by_filter: bool,
) -> Result<Exit, Stop> {
    let mut left = 0;
    for outcome in outcomes {
        let was = outcome.chosen.state();
        match &outcome.result {
            Ok(run) if session.json() => {
                let why = exec::not_stored(run).map(str::to_owned);
                session.object(&Answer { due_at: run.record.due_at.map(rfc3339), why, ..Answer::of(run) })?;
            }
            Ok(run) => {
                let now = session.host.clock.now().wall;
                let due = run.record.due_at.filter(|due| between(now, *due).as_secs() > 0);
                let due = due.map(|due| format!(", due {}", relative(due, now))).unwrap_or_default();
                let id = shown(run.id());
                writeln!(session.io.out, "run {id} was {was} and is {}{due}", run.state())?;
                if let Some(why) = exec::not_stored(run) {
                    session.io.out.flush()?;
                    writeln!(session.io.err, "run {id} waits for whoever typed it: {why}")?;
                }
            }
            Err(error) => {
                left += 1;
                let failure = session.failed(error);
                if session.json() {
                    let (code, why) = (Some(error.fault().code.into_owned()), Some(failure.message));
                    session.object(&Answer { code, why, ..Answer::of(&outcome.chosen) })?;
                } else {
                    session.io.out.flush()?;
                    write!(session.io.err, "{}", failure.human(&session.host.program))?;
                }
            }
        }
    }
    if by_filter && !session.json() {
        let sent = outcomes.len() - left;
        let moved = if left == 0 { String::new() } else { format!(", {left} left where they are") };
        writeln!(session.out(), "{} sent round again{moved}", counted(sent))?;
    }
    // What a filter chose may move meanwhile; what was named by hand was meant.
    Ok(if left == 0 || by_filter { Exit::Done } else { Exit::Failed })
}

pub(super) fn replay(session: &mut Session<'_, '_>, asked: args::Replay) -> Result<Exit, Stop> {
    let operator = session.operator(Need::Write)?;
    let run = session.find(&operator, &asked.one)?;
    let commands = exec::Replayer { clock: Arc::clone(&session.host.clock) };
    let knows = |replayer: &&dyn Replayer| replayer.knows(&run);
    let hosts = session.host.replayer.as_deref();
    let Some(replayer) = [Some(&commands as &dyn Replayer), hosts].into_iter().flatten().find(knows) else {
        let (program, job) = (&session.host.program, run.job());
        let message = format!("{program} does not have the code of job {job}, so it cannot run it");
        let hint = format!(
            "use the application's own command, or `{} requeue {}` to hand the run to its worker",
            session.program(),
            run.id()
        );
        return Err(Failure::new(Exit::Failed, "replay.no_code", message).hint(hint).into());
    };
    if asked.same_version {
        same_version(session, &run)?;
    }
    let mode = match (asked.mode, asked.reason) {
        (ReplayMode::Resume, _) => Mode::Resume,
        (ReplayMode::Rerun, _) => Mode::Rerun,
        (ReplayMode::Force, reason) => Mode::Force { reason: reason.unwrap_or_default() },
    };
    if matches!(&mode, Mode::Force { reason } if reason.trim().is_empty()) {
        return Err(Failure::usage("--mode force needs a --reason that says something").into());
    }
    let before = run.body.code_version.clone();
    let actor = operator.actor().to_owned();
    let request = Replay { store: operator.runs().store().clone(), run, mode, actor };
    let given = request.run.id().to_owned();
    let id = replayer.replay(request).map_err(|error| {
        let message = format!("the run could not be replayed: {}", chain(&*error));
        let hint = in_the_way(session, &operator, &given);
        Failure { hint, ..Failure::new(Exit::Failed, "replay.failed", message) }
    })?;
    let after = block_on(operator.runs().must_get(&id)).map_err(|error| session.failed(&error.into()))?;
    replayed(session, &after, before.as_deref())
}

/// What to type where the run itself says why it cannot be taken.
fn in_the_way(session: &Session<'_, '_>, operator: &Operator, id: &str) -> Option<String> {
    let (run, program) = (block_on(operator.runs().get(id)).ok()??, session.program());
    let id = quoted(run.id());
    if run.record.leased() {
        return Some(format!("`{program} explain {id}` says who works on it"));
    }
    run.record.paused.then(|| format!("`{program} resume {id}` lets it go on"))
}

fn same_version(session: &Session<'_, '_>, run: &Run) -> Result<(), Stop> {
    let Some(version) = &session.host.code_version else {
        return Err(
            Failure::usage("--same-version: this application does not say which version it is").into()
        );
    };
    let ran = run.body.code_version.as_deref();
    if ran == Some(version) {
        return Ok(());
    }
    let message = format!(
        "run {} ran under version {}, and this is {version}",
        run.id(),
        ran.unwrap_or("(not recorded)")
    );
    Err(Failure::new(Exit::Failed, "replay.other_version", message)
        .hint("use that version of the application, or leave --same-version away")
        .into())
}

fn replayed(session: &mut Session<'_, '_>, run: &Run, before: Option<&str>) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Replayed<'a> {
        run_id: &'a str,
        state: &'static str,
        attempts: u32,
        code: &'a str,
        why: &'a str,
        duration_ms: Option<i64>,
        code_version_before: Option<&'a str>,
        code_version: Option<&'a str>,
    }
    let version = run.body.code_version.as_deref().or(session.host.code_version.as_deref());
    let state = run.state();
    if session.json() {
        let (attempts, code, why) = (run.tries(), run.body.code.as_str(), run.body.why.as_str());
        session.object(&Replayed {
            run_id: run.id(),
            state: state.as_str(),
            attempts,
            code,
            why,
            duration_ms: run.duration_ms(),
            code_version_before: before,
            code_version: version,
        })?;
    } else {
        let paint = session.paint();
        let (id, why) = (shown(run.id()), shown(&run.body.why));
        writeln!(session.io.out, "run {id} is {}: {why}", paint.state(state.as_str(), state))?;
        let (before, now) = (before.unwrap_or("(not recorded)"), version.unwrap_or("(not recorded)"));
        writeln!(session.io.out, "ran under version {} before, {} now", shown(before), shown(now))?;
    }
    Ok(match state {
        State::Succeeded | State::Skipped => Exit::Done,
        State::Queued | State::Processing | State::FailedTransient | State::WaitingExternal => Exit::NotNow,
        State::NeedsReview
        | State::Compensating
        | State::FailedPermanent
        | State::Cancelled
        | State::Expired
        | State::Compensated => Exit::Failed,
    })
}
