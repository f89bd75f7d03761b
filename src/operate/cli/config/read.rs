//! The file as it is written, and what is wrong with it: where, what it is, what it may be.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Spanned, Value};

use crate::act::monitor::{JOBS_MAX, NAME_MAX};
use crate::base::secret::Secret;
use crate::base::text;
use crate::base::zone::Zone;
use crate::decide::alert::Rule;
use crate::decide::schedule::Schedule;
use crate::operate::cli::config::{Alerts, Config, Expected, Job};
use crate::operate::cli::failure::{Exit, Failure};

const BYTES_MAX: u64 = 16 << 20;
const TICK_MIN: Duration = Duration::from_secs(1);
/// What is expected more often is not looked at as often.
pub(super) const EVERY_MIN: Duration = TICK_MIN;
const TICK_MAX: Duration = Duration::from_secs(86_400);
pub(super) const EVERY_MAX: Duration = Duration::from_secs(3660 * 86_400);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    tick: TickTable,
    alerts: AlertsTable,
    metrics: MetricsTable,
    jobs: BTreeMap<Spanned<String>, JobTable>,
}

type Given = Option<Spanned<Value>>;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TickTable {
    every: Given,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AlertsTable {
    command: Given,
    file: Given,
    webhook: Given,
    limit: Given,
    again_after: Given,
    again_max: Given,
    healthy_for: Given,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MetricsTable {
    file: Given,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct JobTable {
    every: Given,
    schedule: Given,
    tz: Given,
    effect: Given,
    dependencies: Given,
    alert: Given,
    owner: Given,
    runbook: Given,
    retention: Given,
}

/// Reads the file; none if it is not there and need not be.
pub(super) fn file(path: &Path, needed: bool) -> Result<Option<Config>, Failure> {
    let told = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Config, "config.unreadable", format!("{} cannot be read: {error}", path.display()))
    };
    let mut source = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut source));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("there is no configuration at {}", path.display());
            return Err(Failure::new(Exit::Config, "config.missing", message)
                .hint("name another with --config FILE, or leave it away"));
        }
        Err(error) => return Err(told(&error)),
        Ok(length) if length as u64 > BYTES_MAX => {
            return Err(told(&format_args!("it is longer than {}", text::about_size(BYTES_MAX))));
        }
        Ok(_) => {}
    }
    parse(&source, path).map(Some).map_err(|wrong| wrong.failure(&source, path))
}

/// Something is wrong at a place.
#[derive(Debug)]
struct Wrong {
    at: Option<Range<usize>>,
    what: String,
}

impl Wrong {
    fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at: Some(at), what: what.into() }
    }

    fn failure(self, source: &str, path: &Path) -> Failure {
        let place = self.at.map(|at| place(source, at.start));
        let place = place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        Failure::new(Exit::Config, "config.invalid", format!("{}{place}: {}", path.display(), self.what))
            .hint("mend the file; `config show` prints what is in force")
    }
}

/// Line and column, from 1; columns are characters.
fn place(source: &str, at: usize) -> (usize, usize) {
    let before = source.get(..at.min(source.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn parse(source: &str, path: &Path) -> Result<Config, Wrong> {
    let file: File = toml::from_str(source)
        .map_err(|error| Wrong { at: error.span(), what: error.message().trim_end().to_owned() })?;
    let mut config = Config { path: Some(path.to_owned()), ..Config::default() };
    if let Some(every) = span_of_time("tick.every", file.tick.every, TICK_MIN, TICK_MAX)? {
        config.tick = every;
    }
    config.alerts = alerts(file.alerts)?;
    config.metrics = string("metrics.file", file.metrics.file)?.map(PathBuf::from);
    for (name, table) in file.jobs {
        let at = name.span();
        let name = name.into_inner();
        if !(1..=NAME_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
            let shown = text::shortened(&name, 40);
            let allowed = format!("1 to {NAME_MAX} bytes, no control characters");
            return Err(Wrong::new(at, format!("the name of the job is {shown:?}, allowed is {allowed}")));
        }
        if config.jobs.len() == JOBS_MAX {
            return Err(Wrong::new(at, format!("there are more jobs than {JOBS_MAX}")));
        }
        let job = job(&format!("jobs.{name}"), table)?;
        config.jobs.insert(name, job);
    }
    Ok(config)
}

fn alerts(table: AlertsTable) -> Result<Alerts, Wrong> {
    let day = Duration::from_secs(86_400);
    let time = |field, given| span_of_time(field, given, Duration::from_secs(1), 366 * day);
    let command = list("alerts.command", table.command, "a program and its arguments")?;
    let webhook = match table.webhook {
        None => None,
        Some(given) => {
            let at = given.span();
            let url = string("alerts.webhook", Some(given))?.unwrap_or_default();
            if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
                let what =
                    "alerts.webhook is no address, allowed is one that begins with https:// or http://";
                return Err(Wrong::new(at, what));
            }
            Some(Secret::new(url))
        }
    };
    Ok(Alerts {
        command: command.unwrap_or_default(),
        file: string("alerts.file", table.file)?.map(PathBuf::from),
        webhook,
        limit: read("alerts.limit", table.limit, "a number in a time, such as \"20/1h\"", |text| {
            let (count, per) = text.split_once('/')?;
            let count = count.trim().parse().ok().filter(|count| *count > 0)?;
            let per = text::duration(per).or_else(|_| text::duration(&format!("1{}", per.trim()))).ok()?;
            (per > Duration::ZERO).then_some((count, per))
        })?,
        again_after: time("alerts.again_after", table.again_after)?,
        again_max: time("alerts.again_max", table.again_max)?,
        healthy_for: time("alerts.healthy_for", table.healthy_for)?,
    })
}

fn job(name: &str, table: JobTable) -> Result<Job, Wrong> {
    let field = |field: &str| format!("{name}.{field}");
    let effect = "\"unsafe\", \"pure\", \"idempotent\" or \"verify:COMMAND\"";
    let rules = "\"first\", \"trend\" or \"never\"";
    Ok(Job {
        effect: read(&field("effect"), table.effect, effect, |text| {
            let verify = text.strip_prefix("verify:").is_some_and(|command| !command.trim().is_empty());
            (verify || matches!(text, "unsafe" | "pure" | "idempotent")).then(|| text.to_owned())
        })?,
        dependencies: list(&field("dependencies"), table.dependencies, "names")?.unwrap_or_default(),
        alert: read(&field("alert"), table.alert, rules, |text| text.parse::<Rule>().ok())?,
        owner: string(&field("owner"), table.owner)?,
        runbook: string(&field("runbook"), table.runbook)?,
        retention: span_of_time(&field("retention"), table.retention, Duration::from_secs(1), EVERY_MAX)?,
        expected: expected(name, (table.every, table.schedule, table.tz))?,
    })
}

fn expected(name: &str, (every, schedule, tz): (Given, Given, Given)) -> Result<Option<Expected>, Wrong> {
    let (every_at, tz_at) = (every.as_ref().map(Spanned::span), tz.as_ref().map(Spanned::span));
    let every = span_of_time(&format!("{name}.every"), every, EVERY_MIN, EVERY_MAX)?;
    let field = format!("{name}.tz");
    let zone = match tz {
        None => None,
        Some(given) => {
            let at = given.span();
            let given = string(&field, Some(given))?.unwrap_or_default();
            let zone = given.parse::<Zone>();
            Some(zone.map_err(|error| {
                Wrong::new(at, format!("{field} is {:?}, allowed is {}", error.given, error.allowed))
            })?)
        }
    };
    let Some(given) = schedule else {
        return match (tz_at, every) {
            (Some(at), _) => Err(Wrong::new(at, format!("{field} needs {name}.schedule"))),
            (None, every) => Ok(every.map(Expected::Every)),
        };
    };
    if let Some(at) = every_at {
        let what = format!("{name}.every and {name}.schedule are both given, allowed is one of them");
        return Err(Wrong::new(at, what));
    }
    let (at, field) = (given.span(), format!("{name}.schedule"));
    let expression = string(&field, Some(given))?.unwrap_or_default();
    let zone = zone.unwrap_or(Zone::Utc);
    let schedule = Schedule::cron(&expression, zone).map_err(|error| {
        let shown = text::shortened(&expression, 60);
        Wrong::new(
            at,
            format!("{field} is {shown:?}, allowed is a cron expression such as \"30 2 * * *\"; {error}"),
        )
    })?;
    Ok(Some(Expected::Cron { expression, zone, schedule }))
}

fn span_of_time(
    field: &str,
    given: Given,
    least: Duration,
    most: Duration,
) -> Result<Option<Duration>, Wrong> {
    let allowed =
        format!("a duration of {} to {}, such as \"90s\" or \"24h\"", text::exact(least), text::exact(most));
    read(field, given, &allowed, |text| {
        text::duration(text).ok().filter(|duration| (least..=most).contains(duration))
    })
}

/// A text that is not empty.
fn string(field: &str, given: Given) -> Result<Option<String>, Wrong> {
    read(field, given, "a text that is not empty", |text| {
        (!text.trim().is_empty() && !text.contains('\0')).then(|| text.to_owned())
    })
}

/// What a text means.
fn read<T>(
    field: &str,
    given: Given,
    allowed: &str,
    meaning: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Wrong> {
    let Some(given) = given else { return Ok(None) };
    let at = given.span();
    let value = given.into_inner();
    let meant = value.as_str().and_then(meaning);
    meant
        .map(Some)
        .ok_or_else(|| Wrong::new(at, format!("{field} is {}, allowed is {allowed}", told(&value))))
}

/// A list of texts that are not empty.
fn list(field: &str, given: Given, what: &str) -> Result<Option<Vec<String>>, Wrong> {
    let Some(given) = given else { return Ok(None) };
    let at = given.span();
    let value = given.into_inner();
    let texts = value.as_array().filter(|list| !list.is_empty()).and_then(|list| {
        let text = |value: &Value| {
            value.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(str::to_owned)
        };
        list.iter().map(text).collect::<Option<Vec<String>>>()
    });
    let wrong = || {
        let allowed = format!("a list of texts, [\"…\"]: {what}");
        Wrong::new(at, format!("{field} is {}, allowed is {allowed}", told(&value)))
    };
    texts.map(Some).ok_or_else(wrong)
}

/// A value in an error.
fn told(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text::shortened(text, 60)),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(at) => at.to_string(),
        Value::Array(list) if list.is_empty() => String::from("an empty list"),
        Value::Array(_) => String::from("a list"),
        Value::Table(_) => String::from("a table"),
    }
}

#[cfg(test)]
mod tests;
