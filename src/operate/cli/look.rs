//! Verbs that look: runs, show, explain.

use std::io::{self, Write};

use crate::base::text::{about, relative, rfc3339, second, shortened, shown};
use crate::base::time::{Timestamp, between};
use crate::decide::run::State;
use crate::operate::cli::args::{Filters, One};
use crate::operate::cli::failure::{Exit, Stop};
use crate::operate::cli::forms;
use crate::operate::cli::print::{Facts, Paint, Table, When, end, ends, plain};
use crate::operate::cli::session::{Need, Session, quoted};
use crate::operate::operator::{RUNS_MAX, Whole};
use crate::operate::timeline;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Run, StepState};

/// Characters of a reason in a table on a terminal; elsewhere it is whole.
const WHY_WIDTH: usize = 72;
/// Characters of an input, an output or a detail for people; `--json` has the whole.
const JSON_WIDTH: usize = 400;
/// A story that paused for this long goes on with a date of its own.
const PAUSE_SECONDS: u64 = 3600;

pub(super) fn runs(session: &mut Session<'_, '_>, filters: Filters, limit: u32) -> Result<Exit, Stop> {
    let filter = filters.filter(session.now)?;
    let operator = session.operator(Need::Read)?;
    // One more than is shown says whether there are more.
    let asked = limit.saturating_add(1).min(RUNS_MAX);
    let mut runs = block_on(operator.list(&filter, asked)).map_err(|error| session.failed(&error))?;
    let more = runs.len() > limit as usize;
    runs.truncate(limit as usize);
    if session.json() {
        for run in &runs {
            session.object(&forms::Line::of(run))?;
        }
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        writeln!(session.out(), "no runs match")?;
        return Ok(Exit::Done);
    }
    table(session, &runs)?;
    if more {
        let line =
            session.paint().dim(format!("there are older ones; --limit {} shows more", u64::from(limit) * 2));
        writeln!(session.out(), "{line}")?;
    }
    Ok(Exit::Done)
}

/// Runs as a table: their ends of ids are as long as it takes to tell them apart.
pub(super) fn table(session: &mut Session<'_, '_>, runs: &[Run]) -> Result<(), Stop> {
    let (paint, when, terminal) = (session.paint(), session.when(), session.io.terminal);
    let length = ends(&runs.iter().map(Run::id).collect::<Vec<_>>());
    let mut table = Table::head(paint, &["RUN", "JOB", "STATE", "TRIES", "CREATED", "TOOK", "WHY"]);
    for run in runs {
        let why = reason(&run.body.code, &run.body.why);
        let why = if terminal { shortened(&why, WHY_WIDTH) } else { why };
        let id = shown(&end(run.id(), length)).into_owned();
        let took = run.duration_ms().map_or_else(|| String::from("-"), took);
        let state = run.state().as_str();
        table.row([
            (id.clone(), paint.bold(&id)),
            plain(run.job()),
            (state.to_owned(), paint.state(state, state)),
            plain(&run.body.attempt.to_string()),
            plain(&when.short(run.record.created_at)),
            plain(&took),
            plain(&why),
        ]);
    }
    table.write(session.out())?;
    Ok(())
}

fn took(millis: i64) -> String {
    about(std::time::Duration::from_millis(millis.unsigned_abs()))
}

fn reason(code: &str, why: &str) -> String {
    match (code, why) {
        ("", why) => why.to_owned(),
        (code, "") => code.to_owned(),
        (code, why) if why.contains(code) => why.to_owned(),
        (code, why) => format!("{why} [{code}]"),
    }
}

pub(super) fn show(session: &mut Session<'_, '_>, one: &One) -> Result<Exit, Stop> {
    let whole = read(session, one)?;
    let (answers, next) = (answers(&whole.run), next(session, &whole.run));
    if session.json() {
        let outer = forms::Whole::of(&whole.run, &whole.history, whole.cut, commands(next));
        session.object(&forms::Shown::of(&whole.run, outer, answers))?;
        return Ok(Exit::Done);
    }
    let (paint, when) = (session.paint(), session.when());
    let out = session.out();
    facts(&whole, when, paint).write(out, paint)?;
    steps(&whole.run, paint, out)?;
    faults(&whole.run, when, paint, out)?;
    question(&whole.run, &answers, paint, out)?;
    to_type(&next, paint, out)?;
    Ok(Exit::Done)
}

pub(super) fn explain(session: &mut Session<'_, '_>, one: &One) -> Result<Exit, Stop> {
    let whole = read(session, one)?;
    let next = next(session, &whole.run);
    if session.json() {
        session.object(&forms::Whole::of(&whole.run, &whole.history, whole.cut, commands(next)))?;
        return Ok(Exit::Done);
    }
    let (paint, when) = (session.paint(), session.when());
    let run = &whole.run;
    let out = session.out();
    let (job, id) = (shown(run.job()), shown(run.id()));
    writeln!(out, "run {} of job {}\n", paint.bold(&id), paint.bold(&job))?;
    story(&whole, when, paint, out)?;
    writeln!(out)?;
    let state = run.state().as_str();
    writeln!(out, "{} {}", paint.bold("now"), ending(run, when, paint.state(state, state)))?;
    question(run, &answers(run), paint, out)?;
    to_type(&next, paint, out)?;
    Ok(Exit::Done)
}

fn read(session: &Session<'_, '_>, one: &One) -> Result<Whole, Stop> {
    let operator = session.operator(Need::Read)?;
    let found = one.run.parse().map_err(Into::into).and_then(|run| block_on(operator.show(&run)));
    found.map_err(|error| session.failed(&error).into())
}

fn facts(whole: &Whole, when: When, paint: Paint) -> Facts {
    let (run, mut facts) = (&whole.run, Facts::default());
    let (record, body) = (&run.record, &run.body);
    let state = run.state().as_str();
    facts.painted("run", paint.bold(shown(run.id())));
    facts.text("job", run.job());
    facts.painted("state", ending(run, when, paint.state(state, state)));
    facts.text("why", &reason(&body.code, &body.why));
    facts.text("key", body.key.as_deref().unwrap_or_default());
    let crashes = match body.crash_count {
        0 => String::new(),
        1 => String::from(", 1 process died at it"),
        n => format!(", {n} processes died at it"),
    };
    facts.painted("attempts", format!("{}{crashes}", body.attempt));
    facts.painted("created", when.long(record.created_at));
    for (name, at) in [
        ("started", body.started_at),
        ("ended", body.finished_at),
        ("due", record.due_at),
        ("expires", record.expires_at),
        ("reviewed", record.reviewed_at),
    ] {
        facts.painted(name, at.map(|at| when.long(at)).unwrap_or_default());
    }
    facts.painted("took", run.duration_ms().map(took).unwrap_or_default());
    facts.text("host", &body.host);
    facts.text("version", body.code_version.as_deref().unwrap_or_default());
    facts.text("replay of", body.replay_of.as_deref().unwrap_or_default());
    for (name, json) in
        [("input", Some(&body.input)), ("output", body.output.as_ref()), ("config", body.config.as_ref())]
    {
        let json = json.map(|json| shortened(&forms::on_one_line(json.get()), JSON_WIDTH));
        facts.text(name, &json.unwrap_or_default());
    }
    let events = if whole.cut { "more than " } else { "" };
    facts.painted("history", format!("{events}{} events; explain tells them", whole.history.len()));
    facts
}

/// The state, and what is to be expected of it.
fn ending(run: &Run, when: When, state: String) -> String {
    let record = &run.record;
    let mut text = state;
    let mut add = |part: String| text.push_str(&part);
    let point = |at: Timestamp| {
        if when.absolute { format!("at {}", rfc3339(at)) } else { relative(at, when.now) }
    };
    match (run.state(), record.lease, record.due_at) {
        (State::Processing | State::Compensating, Some(lease), _) => {
            let owner = shown(record.owner.as_deref().unwrap_or("somebody")).into_owned();
            match lease.over {
                true => add(format!("; {owner} is gone, the next worker takes it over")),
                false => add(format!("; held by {owner}, whose lease ends {}", point(lease.until))),
            }
        }
        (State::Queued | State::FailedTransient, _, Some(due)) if due > when.now => {
            add(format!("; due {}", point(due)));
        }
        (State::Queued | State::FailedTransient, _, Some(_)) => {
            add(String::from("; due, waits for a worker"))
        }
        (state, _, _) if state.is_terminal() => {
            if let Some(at) = run.body.finished_at {
                add(format!("; ended {}", point(at)));
            }
        }
        _ => {}
    }
    if let (State::WaitingExternal, Some(wait)) = (run.state(), &run.body.wait) {
        add(format!("; waits for {}", shown(&wait.token)));
        if let Some(deadline) = wait.deadline {
            add(format!(", at most until {}", rfc3339(deadline)));
        }
    }
    if record.paused {
        add(String::from("; paused"));
    }
    if record.cancelling {
        add(String::from("; asked to stop"));
    }
    if run.state().is_dead_letter() {
        add(String::from(if record.reviewed_at.is_some() { "; reviewed" } else { "; not reviewed" }));
    }
    text
}

fn steps(run: &Run, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    if run.body.steps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold("steps"))?;
    let mut table = Table::default();
    for step in &run.body.steps {
        let (word, painted) = match step.state {
            StepState::Done => ("done", paint.good("done")),
            StepState::Started => ("started", paint.bad("started")),
            StepState::Skipped => ("skipped", paint.dim("skipped")),
            StepState::Pending => ("pending", String::from("pending")),
        };
        let output = step.output.as_ref().or(step.cursor.as_ref()).map(|json| forms::on_one_line(json.get()));
        let output = shortened(&output.unwrap_or_default(), WHY_WIDTH);
        table.row([
            (String::new(), String::new()),
            plain(&step.name),
            (word.to_owned(), painted),
            plain(step.effect.as_str()),
            plain(&output),
        ]);
    }
    table.write(out)
}

fn faults(run: &Run, when: When, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    if run.body.faults.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold("faults"))?;
    let mut table = Table::default();
    for fault in &run.body.faults {
        let what = format!("{} ({})", fault.code, fault.class);
        table.row([
            (String::new(), String::new()),
            plain(&when.short(fault.at)),
            plain(&format!("{} #{}", fault.step, fault.step_attempt)),
            (what.clone(), paint.bad(shown(&what))),
            plain(&fault.chain),
        ]);
    }
    table.write(out)
}

/// The answers that the run accepts; none if nothing is asked.
pub(super) fn answers(run: &Run) -> Vec<&str> {
    match &run.body.question {
        Some(question) if run.state() == State::NeedsReview => {
            question.options.iter().map(String::as_str).collect()
        }
        _ => Vec::new(),
    }
}

fn question(run: &Run, answers: &[&str], paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let Some(question) = run.body.question.as_ref().filter(|_| run.state() == State::NeedsReview) else {
        return Ok(());
    };
    writeln!(out, "\n{}  {}", paint.bold("question"), shown(&question.text))?;
    if answers.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}", paint.bold("answers"))?;
    let mut table = Table::default();
    for answer in answers {
        let (text, _) = plain(answer);
        table.row([(String::new(), String::new()), (text.clone(), text), plain(meaning(answer))]);
    }
    table.write(out)
}

/// What an answer means; nothing for one that an application made up.
fn meaning(answer: &str) -> &'static str {
    match answer.split([' ', ':', '=']).next().unwrap_or_default() {
        "requeue" => "send it round again from its last checkpoint",
        "dismiss" => "leave it as failed",
        "applied" => "it was done: go on behind the step, with what it gave",
        "not_applied" => "it was not done: do the step again",
        "skip" | "skip_step" => "go on without the step",
        "fixed_input" | "input" => "go on with another input",
        _ => "",
    }
}

/// Commands that can be typed next: each with what it does.
pub(super) fn next(session: &Session<'_, '_>, run: &Run) -> Vec<(String, &'static str)> {
    let program = session.program();
    let id = run.id();
    let mut next = Vec::new();
    let asked = run.body.question.as_ref().filter(|_| run.state() == State::NeedsReview);
    let accepts =
        |word: &str| asked.is_none_or(|question| question.options.iter().any(|option| option == word));
    if matches!(run.state(), State::FailedTransient | State::FailedPermanent | State::NeedsReview)
        && accepts("requeue")
    {
        next.push((format!("{program} requeue {id}"), "a worker takes it up from its last checkpoint"));
    }
    if session.host.replayer.is_some() && (!run.state().is_held()) {
        match run.state() {
            state if !state.is_terminal() || state == State::FailedPermanent => {
                next.push((format!("{program} replay {id}"), "goes on with it here and now"));
            }
            _ => next.push((
                format!("{program} replay {id} --mode rerun"),
                "a new run of the same input; its key still holds",
            )),
        }
    }
    if let (State::WaitingExternal, Some(wait)) = (run.state(), &run.body.wait)
        && let Some(name) = wait.token.strip_prefix("credential:")
    {
        let command = format!("{program} credential ok {}", quoted(name));
        next.push((command, "once a person has seen to it: this run and the others go on"));
    }
    next.push((format!("{program} note {id} TEXT"), "writes into its history"));
    next
}

pub(super) fn commands(next: Vec<(String, &'static str)>) -> Vec<String> {
    next.into_iter().map(|(command, _)| command).collect()
}

fn to_type(next: &[(String, &'static str)], paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{}", paint.bold("next"))?;
    let mut table = Table::default();
    for (command, what) in next {
        table.row([(String::new(), String::new()), plain(command), (String::from(*what), paint.dim(what))]);
    }
    table.write(out)
}

fn story(whole: &Whole, when: When, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    const DATE: usize = "2026-11-22 01:02:03".len();
    let moments = timeline::of(&whole.history);
    let states = moments.iter().filter_map(|moment| moment.state.as_ref());
    let width = states.map(|state| state.chars().count()).max().unwrap_or(0);
    let mut anchor: Option<Timestamp> = None;
    let mut before = None;
    for moment in &moments {
        let pause = before.is_some_and(|before| between(before, moment.at).as_secs() >= PAUSE_SECONDS);
        let at = match anchor.filter(|anchor| !when.absolute && !pause && *anchor <= moment.at) {
            Some(anchor) => format!("+{}", about(between(anchor, moment.at))),
            None => {
                anchor = Some(moment.at);
                second(moment.at).to_string()
            }
        };
        before = Some(moment.at);
        let state = moment.state.as_deref().unwrap_or_default();
        let pad = " ".repeat(width.saturating_sub(state.chars().count()));
        let state = paint.state(state, shown(state));
        let mut tail = format!("[{}", shown(&moment.code));
        if let Some(actor) = &moment.actor {
            tail.push_str(&format!(", by {}", shown(actor)));
        }
        tail.push(']');
        writeln!(out, "{at:>DATE$}  {state}{pad}  {}  {}", shown(&moment.text), paint.dim(tail))?;
        let indent = " ".repeat(DATE + width + 6);
        if let Some(fault) = &moment.fault {
            writeln!(out, "{indent}{}", paint.bad(shown(&shortened(fault, JSON_WIDTH))))?;
        }
        for (name, value) in &moment.details {
            let value = shortened(value, JSON_WIDTH);
            writeln!(out, "{indent}{}", paint.dim(format!("{}: {}", shown(name), shown(&value))))?;
        }
    }
    if whole.cut {
        writeln!(out, "{:>DATE$}  … and more than is shown here", "")?;
    }
    Ok(())
}
