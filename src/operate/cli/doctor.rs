//! `doctor`: the production-readiness checklist.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::command::{Command, Stdin};
use crate::base::effect::Effect;
use crate::base::text::{shortened, shown};
use crate::operate::cli::config::Config;
use crate::operate::cli::failure::{Exit, Stop, chain};
use crate::operate::cli::print::{Table, plain};
use crate::operate::cli::session::{Need, Opened, Session};
use crate::operate::doctor::{Application, Check, Declared, Outcome, examine_at};
use crate::remember::blocking::block_on;
use crate::remember::runs::{Filter, Runs};

/// How long an application's own doctor may take.
const APP_TIMEOUT: Duration = Duration::from_secs(120);
/// The most of its answer that is read.
const APP_OUTPUT_MAX: usize = 4 << 20;
/// How many of the newest runs say which jobs there are.
const RUNS_MAX: u32 = 1000;
/// Characters of a sentence in a table on a terminal.
const WHY_WIDTH: usize = 90;

/// What `doctor` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Doctor {
    /// Ask an application too: CMD is what is typed before the verb, such as 'ingest ops'. It is called as
    /// `CMD doctor --json`, which every application that mounts the verbs answers for its own jobs
    #[arg(long, value_name = "CMD")]
    app: Option<String>,
}

/// The answer, and what is read of an application's.
#[derive(Serialize, Deserialize)]
struct Answer {
    checks: Vec<Check>,
}

pub(super) fn doctor(session: &mut Session<'_, '_>, asked: Doctor) -> Result<Exit, Stop> {
    let app = application(session)?;
    let mut checks = examine_at(&app, session.now);
    if let Some(command) = &asked.app {
        merge(&mut checks, ask(command));
    }
    let failed = checks.iter().filter(|check| check.result == Outcome::Fail).count();
    let exit = if failed == 0 { Exit::Done } else { Exit::Failed };
    if session.json() {
        return session.object(&Answer { checks }).map(|()| exit);
    }
    table(session, &checks)?;
    Ok(exit)
}

/// The application that is looked at: that of the host, or what is written down and what has run.
fn application(session: &Session<'_, '_>) -> Result<Application, Stop> {
    let config = session.config_or_none()?;
    let own = session.host.application.clone();
    let is_own = own.is_some();
    let app = own.unwrap_or_else(|| Application::new(session.host.program.as_str()));
    let app = if app.has_store() && session.global.store.is_none() { app } else { with_store(session, app) };
    Ok(if is_own { app } else { written_down(session, app, &config) })
}

/// With the store that the other verbs would use. One that is missing or is none is a finding.
fn with_store(session: &Session<'_, '_>, app: Application) -> Application {
    let told = |stop: Stop| match stop {
        Stop::Failed(failure) => failure.message,
        Stop::Closed => String::from("the output was closed"),
    };
    if session.open_store_of_host() {
        return match session.store(Need::Read) {
            Ok(store) => app.store(store),
            Err(stop) => app.store_missing(told(stop)),
        };
    }
    match session.opened(Need::Read) {
        Ok(Opened::Sqlite(store)) => app.sqlite(store.into()),
        Ok(Opened::Postgres(store, _)) => app.store(std::sync::Arc::new(store)),
        Err(stop) => app.store_missing(told(stop)),
    }
}

/// The jobs that are written down, and those that have run without being so.
fn written_down(session: &Session<'_, '_>, mut app: Application, config: &Config) -> Application {
    let ran = ran(session);
    for (name, job) in &config.jobs {
        let mut declared = Declared::named(name).replayable();
        if let Some(effect) = job.effect.as_deref().and_then(effect).or_else(|| ran.get(name).copied()) {
            declared = declared.effect(effect);
        }
        if let Some(owner) = &job.owner {
            declared = declared.owner(owner);
        }
        if let Some(runbook) = &job.runbook {
            declared = declared.runbook(runbook);
        }
        if let Some(retention) = job.retention {
            declared = declared.retention(retention);
        }
        if job.expected.is_some() {
            declared = declared.heartbeat();
        }
        app = app.job(declared);
    }
    for (name, effect) in ran {
        if !config.jobs.contains_key(&name) {
            app = app.job(Declared::named(name).replayable().effect(effect));
        }
    }
    let alerts = &config.alerts;
    if let Some(program) = alerts.command.first() {
        app = app.alerts(format!("command {program}"));
    }
    if let Some(file) = &alerts.file {
        app = app.alerts(format!("file {}", file.display()));
    }
    if alerts.webhook.is_some() {
        app = app.alerts("a webhook");
    }
    app.logs("each run keeps its decisions, and the head and tail of its output")
}

/// As `exec --effect` takes it.
fn effect(text: &str) -> Option<Effect> {
    match text {
        "pure" => Some(Effect::Pure),
        "idempotent" => Some(Effect::Idempotent),
        "unsafe" => Some(Effect::Unsafe),
        _ if text.starts_with("verify:") => Some(Effect::Verifiable),
        _ => None,
    }
}

/// The jobs that have run lately, and what their newest runs did to the world at worst.
fn ran(session: &Session<'_, '_>) -> BTreeMap<String, Effect> {
    let Ok(store) = session.store(Need::Read) else { return BTreeMap::new() };
    let listed = block_on(Runs::new(store).list(&Filter::default(), RUNS_MAX, None));
    let mut ran = BTreeMap::new();
    for run in listed.map(|(runs, _)| runs).unwrap_or_default() {
        let mut effects = run.body.steps.iter().map(|step| step.effect);
        let worst = if effects.any(|effect| effect == Effect::Unsafe) { Some(Effect::Unsafe) } else { None };
        let first = run.body.steps.iter().map(|step| step.effect).find(|effect| *effect != Effect::Pure);
        let effect = worst.or(first).unwrap_or(Effect::Pure);
        ran.entry(run.job().to_owned()).or_insert(effect);
    }
    ran
}

/// Asks an application's own doctor. One that does not answer is a finding.
fn ask(command: &str) -> Vec<Check> {
    let failed = |why: String| {
        let check = Check {
            name: String::from("app"),
            result: Outcome::Fail,
            why: format!("`{command} doctor --json` gave no checklist: {why}"),
            evidence: Vec::new(),
            todo: Some(String::from(
                "an application that mounts the verbs answers it; CMD is what stands before the verb",
            )),
        };
        vec![check]
    };
    let asked = Command::new("sh")
        .args(["-c", &format!("exec {command} doctor --json")])
        .stdin(Stdin::Closed)
        .timeout(APP_TIMEOUT)
        .output_max(APP_OUTPUT_MAX)
        .run_blocking();
    // Exit code 1 says that a check fails, which is an answer.
    let outcome = match &asked {
        Ok(outcome) => Some(outcome),
        Err(error) => error.outcome(),
    };
    let why = || asked.as_ref().err().map_or_else(|| String::from("it is no JSON"), |error| chain(error));
    match outcome.map(|outcome| outcome.stdout.text()) {
        Some(text) => match serde_json::from_str::<Answer>(text.trim()) {
            Ok(answer) => answer.checks,
            Err(_) => failed(why()),
        },
        None => failed(why()),
    }
}

/// Puts an application's checks beside the tool's: of two of one name the worse result counts, with the evidence of both. What the
/// tool could not prove for want of the code, the application has said.
fn merge(checks: &mut Vec<Check>, of_app: Vec<Check>) {
    for theirs in of_app {
        let Some(ours) = checks.iter_mut().find(|check| check.name == theirs.name) else {
            checks.push(theirs);
            continue;
        };
        let knows_more = ours.result == Outcome::NotProvable || theirs.result > ours.result;
        let mut evidence = std::mem::take(&mut ours.evidence);
        evidence.extend(theirs.evidence.iter().cloned());
        if knows_more {
            *ours = theirs;
        }
        ours.evidence = evidence;
    }
}

fn table(session: &mut Session<'_, '_>, checks: &[Check]) -> Result<(), Stop> {
    let (paint, terminal) = (session.paint(), session.io.terminal);
    let mut table = Table::default();
    for check in checks {
        let (mark, painted) = match check.result {
            Outcome::Pass => ("✓", paint.good("✓")),
            Outcome::Fail => ("✗", paint.bad("✗")),
            Outcome::NotProvable => ("?", paint.dim("?")),
        };
        let why = if terminal { shortened(&check.why, WHY_WIDTH) } else { check.why.clone() };
        table.row([(mark.to_owned(), painted), plain(&check.name), plain(&why)]);
    }
    table.write(session.out())?;
    for check in checks.iter().filter(|check| check.result != Outcome::Pass || session.global.verbose) {
        let out = &mut *session.io.out;
        writeln!(out, "\n{}", paint.bold(shown(&check.name)))?;
        for finding in &check.evidence {
            writeln!(out, "  {}", shown(finding))?;
        }
        if let Some(todo) = &check.todo {
            writeln!(out, "  {} {}", paint.dim("to do:"), shown(todo))?;
        }
    }
    let of = |result: Outcome| checks.iter().filter(|check| check.result == result).count();
    let (pass, fail, open) = (of(Outcome::Pass), of(Outcome::Fail), of(Outcome::NotProvable));
    writeln!(session.out(), "\n{pass} pass, {fail} fail, {open} cannot be proved from here")?;
    Ok(())
}
