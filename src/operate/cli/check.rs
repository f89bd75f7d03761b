//! Whether a store is whole: what each kind of store can be asked.

use serde::Serialize;

use crate::base::text::about_size;
use crate::operate::cli::session::Opened;
use crate::remember::blocking::block_on;
use crate::remember::postgres::Postgres;
use crate::remember::runs::Run;
use crate::remember::sqlite::Sqlite;
use crate::remember::store::{self, Ns, PAGE_MAX, Pages, Query, Store};

/// The most findings that are told of one check.
const FINDINGS_MAX: usize = 20;
/// SQLite's number for synchronous=FULL.
const SYNCHRONOUS_FULL: i64 = 2;

/// A check, and how it went.
#[derive(Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    result: &'static str,
    pub(super) why: String,
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

    pub(super) fn passes(&self) -> bool {
        self.result == "pass"
    }
}

/// Each check, in the order in which they are told.
pub(super) fn checks(opened: &Opened) -> Result<Vec<Check>, store::Error> {
    match opened {
        Opened::Sqlite(store) => of_file(store),
        Opened::Postgres(store, _) => of_schema(store),
    }
}

fn format(found: u32, supported: u32) -> Check {
    let mut findings = Vec::new();
    if found > supported {
        findings.push(format!("it has format {found}, this release reads up to {supported}"));
    }
    Check::new("format", findings, format!("format {found}"))
}

fn of_file(store: &Sqlite) -> Result<Vec<Check>, store::Error> {
    let info = store.info()?;
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
        format(info.format, info.format_supported),
        Check::new("file", file, format!("{} are whole", about_size(info.bytes))),
        Check::new("references", references, "every event belongs to a record"),
        Check::new("records", rows, "what must hold between the rows holds"),
        Check::new("durability", durable, "a commit is on the disk before it is answered"),
        readable(store)?,
    ])
}

/// What the server itself looks after, such as references and pages, is not asked again.
fn of_schema(store: &Postgres) -> Result<Vec<Check>, store::Error> {
    let info = block_on(store.info())?;
    let settings = &info.settings;
    let mut durable = Vec::new();
    if settings.synchronous_commit == "off" {
        durable.push(String::from("synchronous_commit is off, needed is on or more"));
    }
    for (name, on) in [("fsync", settings.fsync), ("full_page_writes", settings.full_page_writes)] {
        if !on {
            durable.push(format!("{name} is off, needed is on"));
        }
    }
    let mut writable = Vec::new();
    if settings.in_recovery {
        writable.push(String::from("the server is a standby, which cannot be written"));
    }
    Ok(vec![
        format(info.format, info.format_supported),
        Check::new("server", writable, format!("PostgreSQL {} takes writes", info.server_version)),
        Check::new("durability", durable, "a commit is on the disk before it is answered"),
        readable(store)?,
    ])
}

/// Whether this release understands every run.
fn readable(store: &dyn Store) -> Result<Check, store::Error> {
    let (mut count, mut findings) = (0usize, Vec::new());
    let mut pages = Pages::of(store, Query { limit: PAGE_MAX, ..Query::all(Ns::RUN) });
    while let Some(records) = block_on(pages.next())? {
        for record in records {
            count += 1;
            if let Err(error) = Run::from_record(record) {
                findings.push(error.to_string());
            }
        }
    }
    Ok(Check::new("runs", findings, format!("{count} can be read")))
}
