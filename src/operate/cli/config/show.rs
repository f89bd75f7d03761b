//! `config show`.

use serde::Serialize;

use crate::base::redact::{Names, Redact as _};
use crate::base::text::exact;
use crate::base::time::millis;
use crate::decide::alert::Rule;
use crate::operate::cli::config::{Alerts, Config, DEFAULT, Expected, Job};
use crate::operate::cli::failure::{Exit, Stop};
use crate::operate::cli::print::{Facts, Table, plain};
use crate::operate::cli::session::Session;

#[derive(Serialize)]
struct Answer {
    path: Option<String>,
    tick_every_ms: u64,
    alerts: Sinks,
    metrics_file: Option<String>,
    jobs: Vec<Line>,
}

#[derive(Serialize)]
struct Sinks {
    command: Option<Vec<String>>,
    file: Option<String>,
    webhook: Option<String>,
    limit: Option<Limit>,
    again_after_ms: Option<u64>,
    again_max_ms: Option<u64>,
    healthy_for_ms: Option<u64>,
}

#[derive(Serialize)]
struct Limit {
    count: u32,
    per_ms: u64,
}

#[derive(Serialize)]
struct Line {
    name: String,
    every_ms: Option<u64>,
    schedule: Option<String>,
    tz: Option<String>,
    effect: Option<String>,
    dependencies: Vec<String>,
    alert: Option<&'static str>,
    owner: Option<String>,
    runbook: Option<String>,
    retention_ms: Option<u64>,
}

pub(in crate::operate::cli) fn show(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    let config = session.config_or_none()?;
    if session.json() {
        session.object(&answer(&config))?;
        return Ok(Exit::Done);
    }
    if config.path.is_none() {
        writeln!(
            session.out(),
            "nothing is written down: there is no {DEFAULT}; name another file with --config FILE"
        )?;
        return Ok(Exit::Done);
    }
    human(session, &answer(&config), &config)
}

fn answer(config: &Config) -> Answer {
    let shown = |path: &std::path::PathBuf| path.display().to_string();
    Answer {
        path: config.path.as_ref().map(shown),
        tick_every_ms: millis(config.tick),
        alerts: sinks(&config.alerts),
        metrics_file: config.metrics.as_ref().map(shown),
        jobs: config.jobs.iter().map(|(name, job)| line(name, job)).collect(),
    }
}

fn sinks(alerts: &Alerts) -> Sinks {
    let names = Names::new();
    // The path of a webhook is its password: of the address only the host is shown.
    let host = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/[redacted]")
    };
    let words = |words: &Vec<String>| {
        words.iter().map(|word| names.body(word.as_bytes()).into_owned()).collect::<Vec<_>>()
    };
    Sinks {
        command: Some(&alerts.command).filter(|command| !command.is_empty()).map(words),
        file: alerts.file.as_ref().map(|path| path.display().to_string()),
        webhook: alerts.webhook.as_ref().map(|url| host(url.expose())),
        limit: alerts.limit.map(|(count, per)| Limit { count, per_ms: millis(per) }),
        again_after_ms: alerts.again_after.map(millis),
        again_max_ms: alerts.again_max.map(millis),
        healthy_for_ms: alerts.healthy_for.map(millis),
    }
}

fn line(name: &str, job: &Job) -> Line {
    let (every_ms, schedule, tz) = match &job.expected {
        None => (None, None, None),
        Some(Expected::Every(every)) => (Some(millis(*every)), None, None),
        Some(Expected::Cron { expression, zone, .. }) => {
            (None, Some(expression.clone()), Some(zone.to_string()))
        }
    };
    Line {
        name: name.to_owned(),
        every_ms,
        schedule,
        tz,
        effect: job.effect.as_ref().map(|effect| Names::new().body(effect.as_bytes()).into_owned()),
        dependencies: job.dependencies.clone(),
        alert: job.alert.map(Rule::as_str),
        owner: job.owner.clone(),
        runbook: job.runbook.as_ref().map(|url| Names::new().url(url).into_owned()),
        retention_ms: job.retention.map(millis),
    }
}

fn human(session: &mut Session<'_, '_>, answer: &Answer, config: &Config) -> Result<Exit, Stop> {
    let paint = session.paint();
    let mut facts = Facts::default();
    facts.text("file", answer.path.as_deref().unwrap_or_default());
    facts.painted("tick every", exact(config.tick));
    let sinks = &answer.alerts;
    facts.text("pages by", &sinks.command.as_ref().map(|words| words.join(" ")).unwrap_or_default());
    facts.text("pages in", sinks.file.as_deref().unwrap_or_default());
    facts.text("pages to", sinks.webhook.as_deref().unwrap_or_default());
    if let Some((count, per)) = config.alerts.limit {
        facts.painted("at most", format!("{count} pages in {}", exact(per)));
    }
    let again = [("again after", config.alerts.again_after), ("again within", config.alerts.again_max)];
    for (name, time) in again.into_iter().chain([("healthy for", config.alerts.healthy_for)]) {
        facts.painted(name, time.map(exact).unwrap_or_default());
    }
    facts.text("metrics in", answer.metrics_file.as_deref().unwrap_or_default());
    facts.write(session.out(), paint)?;
    if answer.jobs.is_empty() {
        writeln!(session.out(), "no jobs are declared")?;
        return Ok(Exit::Done);
    }
    writeln!(session.out())?;
    let names = ["JOB", "EXPECTED", "EFFECT", "NEEDS", "ALERT", "OWNER", "RUNBOOK", "KEPT"];
    let mut table = Table::head(paint, &names);
    for (line, job) in answer.jobs.iter().zip(config.jobs.values()) {
        let expected = match &job.expected {
            None => String::from("-"),
            Some(Expected::Every(every)) => format!("every {}", exact(*every)),
            Some(Expected::Cron { expression, zone, .. }) => format!("{expression} {zone}"),
        };
        let or = |text: Option<&str>, other: &str| plain(text.unwrap_or(other));
        let needs = line.dependencies.join(" ");
        table.row([
            plain(&line.name),
            plain(&expected),
            or(line.effect.as_deref(), "unsafe"),
            or(Some(needs.as_str()).filter(|needs| !needs.is_empty()), "-"),
            or(line.alert, "trend"),
            or(line.owner.as_deref(), "-"),
            or(line.runbook.as_deref(), "-"),
            or(job.retention.map(exact).as_deref(), "-"),
        ]);
    }
    table.write(session.out())?;
    Ok(Exit::Done)
}
