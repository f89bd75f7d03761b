//! Verbs about the store itself: info, check.

use serde::Serialize;

use crate::base::text::about_size;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::{Facts, Table, plain};
use crate::operate::cli::session::{Need, Session};
use crate::remember::blocking::block_on;
use crate::remember::runs::Run;
use crate::remember::sqlite::{Info, Sqlite};
use crate::remember::store::{self, Ns, PAGE_MAX, Query, Store};

/// The most findings that are told of one check.
const FINDINGS_MAX: usize = 20;
/// SQLite's number for synchronous=FULL.
const SYNCHRONOUS_FULL: i64 = 2;

pub(super) fn info(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer<'a> {
        version: u32,
        size: u64,
        runs: u64,
        runs_by_state: std::collections::BTreeMap<&'a str, u64>,
        records: Vec<Records<'a>>,
        events: u64,
        revision: u64,
        wal_size: u64,
        version_supported: u32,
        path: String,
        backend: &'static str,
        backend_version: &'a str,
        journal_mode: &'a str,
        synchronous: i64,
        reserve: bool,
    }
    #[derive(Serialize)]
    struct Records<'a> {
        kind: String,
        state: &'a str,
        count: u64,
    }
    let store = session.sqlite(Need::Read)?;
    let info = store.info().map_err(|error| Failure::of_store(&error))?;
    let runs: Vec<(&str, u64)> = of_runs(&info).collect();
    let total = runs.iter().map(|(_, count)| count).sum();
    if session.json() {
        let records = info.states.iter().map(|(ns, state, count)| Records {
            kind: ns.to_string(),
            state,
            count: *count,
        });
        let answer = Answer {
            version: info.format,
            size: info.bytes,
            runs: total,
            runs_by_state: runs.into_iter().collect(),
            records: records.collect(),
            events: info.events,
            revision: info.revision,
            wal_size: info.wal_bytes,
            version_supported: info.format_supported,
            path: info.path.display().to_string(),
            backend: store.caps().name,
            backend_version: &info.sqlite_version,
            journal_mode: &info.settings.journal_mode,
            synchronous: info.settings.synchronous,
            reserve: info.reserve_stands,
        };
        return session.object(&answer).map(|()| Exit::Done);
    }
    let mut facts = Facts::default();
    facts.text("store", &info.path.display().to_string());
    facts.text("backend", &format!("{} {}", store.caps().name, info.sqlite_version));
    facts.painted("format", format!("{} (this release reads up to {})", info.format, info.format_supported));
    facts.painted("size", format!("{}, log {}", about_size(info.bytes), about_size(info.wal_bytes)));
    facts.painted("revision", info.revision.to_string());
    facts.painted("events", info.events.to_string());
    facts.painted("runs", total.to_string());
    let paint = session.paint();
    facts.write(session.out(), paint)?;
    let mut table = Table::default();
    for (state, count) in runs {
        let state_shown = plain(state).0;
        let painted = paint.state(state, &state_shown);
        table.row([(String::new(), String::new()), (state_shown, painted), plain(&count.to_string())]);
    }
    table.write(session.out())?;
    Ok(Exit::Done)
}

fn of_runs(info: &Info) -> impl Iterator<Item = (&str, u64)> {
    let runs = info.states.iter().filter(|(ns, _, _)| *ns == Ns::RUN);
    runs.map(|(_, state, count)| (state.as_str(), *count))
}

/// A check, and how it went.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    result: &'static str,
    why: String,
}

impl Check {
    fn new(name: &'static str, findings: Vec<String>, fine: impl Into<String>) -> Self {
        if findings.is_empty() {
            return Self { name, result: "pass", why: fine.into() };
        }
        let more = findings.len().saturating_sub(FINDINGS_MAX);
        let mut told = findings.into_iter().take(FINDINGS_MAX).collect::<Vec<_>>();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        Self { name, result: "fail", why: told.join("; ") }
    }
}

pub(super) fn check(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        checks: Vec<Check>,
    }
    let store = session.sqlite(Need::Read)?;
    let checks = checks(&store).map_err(|error| Failure::of_store(&error))?;
    let failed = checks.iter().filter(|check| check.result != "pass").count();
    let exit = if failed == 0 { Exit::Done } else { Exit::Failed };
    if session.json() {
        return session.object(&Answer { checks }).map(|()| exit);
    }
    let paint = session.paint();
    let mut table = Table::default();
    for check in &checks {
        let result = if check.result == "pass" { paint.good("pass") } else { paint.bad("FAIL") };
        table.row([(String::from("pass"), result), plain(check.name), plain(&check.why)]);
    }
    table.write(session.out())?;
    if failed > 0 {
        let path = store.path().display().to_string();
        writeln!(
            session.out(),
            "\nkeep a copy of {} and of the files beside it before anything else",
            plain(&path).0
        )?;
    }
    Ok(exit)
}

fn checks(store: &Sqlite) -> Result<Vec<Check>, store::Error> {
    let info = store.info()?;
    let mut format = Vec::new();
    if info.format > info.format_supported {
        format.push(format!(
            "it has format {}, this release reads up to {}",
            info.format, info.format_supported
        ));
    }
    let (mut file, mut references, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for finding in store.check()? {
        match finding.split_once(": ") {
            Some(("integrity", what)) => file.push(what.to_owned()),
            Some(("reference", what)) => references.push(what.to_owned()),
            _ => rows.push(finding),
        }
    }
    let settings = &info.settings;
    let mut durable = Vec::new();
    if !settings.journal_mode.eq_ignore_ascii_case("wal") {
        durable.push(format!("journal_mode is {}, needed is wal", settings.journal_mode));
    }
    if settings.synchronous < SYNCHRONOUS_FULL {
        durable.push(format!("synchronous is {}, needed is {SYNCHRONOUS_FULL}", settings.synchronous));
    }
    Ok(vec![
        Check::new("format", format, format!("format {}", info.format)),
        Check::new("file", file, format!("{} are whole", about_size(info.bytes))),
        Check::new("references", references, "every event belongs to a record"),
        Check::new("records", rows, "what must hold between the rows holds"),
        Check::new("durability", durable, "a commit is on the disk before it is answered"),
        readable(store)?,
    ])
}

/// Whether this release understands every run.
fn readable(store: &Sqlite) -> Result<Check, store::Error> {
    let mut query = Query { limit: PAGE_MAX, ..Query::all(Ns::RUN) };
    let (mut count, mut findings) = (0usize, Vec::new());
    loop {
        let page = block_on(store.scan(query.clone()))?;
        for record in page.records {
            count += 1;
            if let Err(error) = Run::from_record(record) {
                findings.push(error.to_string());
            }
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    Ok(Check::new("runs", findings, format!("{count} can be read")))
}
