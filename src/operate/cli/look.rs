//! Verbs that look: runs, show, explain.

use std::io::{self, Write};

use crate::base::text::{about, relative, rfc3339, shortened, shown};
use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::operate::cli::args::{Filters, One};
use crate::operate::cli::failure::{Exit, Stop};
use crate::operate::cli::print::{Facts, Paint, Table, When, end, ends, plain};
use crate::operate::cli::session::{Need, Session};
use crate::operate::cli::{exec, forms, next, story};
use crate::operate::operator::{RUNS_MAX, Whole};
use crate::remember::blocking::block_on;
use crate::remember::runs::{Run, StepState};

/// Characters of a reason in a table on a terminal; elsewhere it is whole.
const WHY_WIDTH: usize = 72;
/// Characters of an input, an output or a detail for people; `--json` has the whole.
const JSON_WIDTH: usize = 400;

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
            plain(&run.tries().to_string()),
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

pub(super) fn reason(code: &str, why: &str) -> String {
    match (code, why) {
        ("", why) => why.to_owned(),
        (code, "") => code.to_owned(),
        (code, why) if why.contains(code) => why.to_owned(),
        (code, why) => format!("{why} [{code}]"),
    }
}

pub(super) fn show(session: &mut Session<'_, '_>, one: &One) -> Result<Exit, Stop> {
    let whole = read(session, one)?;
    let (answers, next) = (next::answers(&whole.run), next::next(session, &whole.run));
    if session.json() {
        let outer = forms::Whole::of(&whole.run, &whole.history, whole.cut, next::commands(next));
        session.object(&forms::Shown::of(&whole.run, outer, answers))?;
        return Ok(Exit::Done);
    }
    let (paint, when) = (session.paint(), session.when());
    let out = session.out();
    facts(&whole, when, paint).write(out, paint)?;
    steps(&whole.run, paint, out)?;
    faults(&whole.run, when, paint, out)?;
    question(&whole.run, &answers, paint, out)?;
    next::to_type(&next, paint, out)?;
    Ok(Exit::Done)
}

pub(super) fn explain(session: &mut Session<'_, '_>, one: &One) -> Result<Exit, Stop> {
    let whole = read(session, one)?;
    let next = next::next(session, &whole.run);
    if session.json() {
        session.object(&forms::Whole::of(&whole.run, &whole.history, whole.cut, next::commands(next)))?;
        return Ok(Exit::Done);
    }
    let (paint, when) = (session.paint(), session.when());
    let run = &whole.run;
    let out = session.out();
    let (job, id) = (shown(run.job()), shown(run.id()));
    writeln!(out, "run {} of job {}", paint.bold(&id), paint.bold(&job))?;
    writeln!(out, "{}\n", story::summary(run))?;
    story::story(&whole, when, paint, out)?;
    writeln!(out)?;
    let state = run.state().as_str();
    writeln!(out, "{} {}", paint.bold("now"), ending(run, when, paint.state(state, state)))?;
    question(run, &next::answers(run), paint, out)?;
    next::to_type(&next, paint, out)?;
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
    facts.painted("attempts", format!("{}{crashes}", run.tries()));
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
    // What a person typed is shown as it was typed; `--json` has the whole.
    let typed = exec::typed(run);
    let input = typed.is_none().then(|| body.safe_input());
    if let Some((command, folder)) = typed {
        facts.text("command", &shortened(&command, JSON_WIDTH));
        facts.text("folder", &folder);
    }
    let output = body.output.as_ref().map(|json| body.safe(json.get()));
    for (name, json) in [
        ("input", input.as_deref()),
        ("output", output.as_deref()),
        ("config", body.config.as_ref().map(|json| json.get())),
    ] {
        let json = json.map(|json| shortened(&forms::on_one_line(&forms::hidden(json)), JSON_WIDTH));
        facts.text(name, &json.unwrap_or_default());
    }
    let events = if whole.cut { "more than " } else { "" };
    facts.painted(
        "history",
        format!(
            "{events}{} {}; explain tells them",
            whole.history.len(),
            if whole.history.len() == 1 { "event" } else { "events" }
        ),
    );
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
        let output = step
            .output
            .as_ref()
            .or(step.cursor.as_ref())
            .map(|json| forms::on_one_line(&forms::hidden(&run.body.safe(json.get()))));
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

fn question(run: &Run, answers: &[String], paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    if let Some(question) = run.body.question.as_ref().filter(|_| run.state() == State::NeedsReview) {
        writeln!(out, "\n{}  {}", paint.bold("question"), shown(&question.text))?;
    }
    if answers.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold("answers"))?;
    let mut table = Table::default();
    for answer in answers {
        let (text, _) = plain(answer);
        table.row([(String::new(), String::new()), (text.clone(), text), plain(next::meaning(answer))]);
    }
    table.write(out)
}
