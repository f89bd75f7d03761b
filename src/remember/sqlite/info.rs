//! What an operator asks of a store: how it stands, and whether it is whole.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use crate::remember::sqlite::connect::{self, Reading};
use crate::remember::sqlite::schema::{FORMAT, ID_BITS};
use crate::remember::sqlite::{Sqlite, beside, busy, error};
use crate::remember::store::{Error, Ns};

/// How a store stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: u32,
    /// The newest format that this release reads.
    pub format_supported: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// The last version that was given.
    pub revision: u64,
    /// How many records there are, by namespace and state.
    pub states: Vec<(Ns, String, u64)>,
    /// How many events there are.
    pub events: u64,
    /// The settings, as the engine answers them now.
    pub settings: Settings,
    /// The engine's version.
    pub sqlite_version: String,
    /// Batches that this handle was sent and has answered after a commit.
    pub batches: u64,
    /// Commits of this handle: fewer than batches, where batches shared one.
    pub commits: u64,
    /// Whether the reserve for a full disk stands beside the store.
    pub reserve_stands: bool,
    /// Whether this handle found the disk full, gave the reserve back, and refuses new work until there is room.
    pub disk_full: bool,
    /// Why this handle refuses everything, if an I/O error closed it.
    pub latched: Option<String>,
}

/// The settings that durability and concurrency hang on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// `wal`.
    pub journal_mode: String,
    /// 2 is FULL: each commit is on the disk before it is answered.
    pub synchronous: i64,
    /// Whether `fsync` on macOS reaches the medium.
    pub fullfsync: bool,
    /// Whether foreign keys are enforced.
    pub foreign_keys: bool,
}

/// The states of a run after which nothing happens any more; no lease may be left on one.
const TERMINAL: [&str; 6] =
    ["succeeded", "failed_permanent", "cancelled", "skipped", "expired", "compensated"];
/// The most findings that are listed.
const FINDINGS_MAX: usize = 100;

impl Sqlite {
    /// How the store stands. Counts every record, so it reads the whole file; it blocks the thread.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn info(&self) -> Result<Info, Error> {
        let Reading { connection, immutable } = self.reader()?;
        let states = busy::persist("cannot count the records", || states(&connection))?;
        let count =
            |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
        let revision = busy::persist("cannot read the revision", || count("SELECT revision FROM store"))?;
        let events = busy::persist("cannot count the events", || count("SELECT count(*) FROM event"))?;
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        let counts = &self.site.counts;
        Ok(Info {
            path: self.site.path.clone(),
            format: u32::try_from(connect::number(&connection, "user_version")?).unwrap_or(u32::MAX),
            format_supported: FORMAT,
            bytes: size(self.site.path.clone()),
            wal_bytes: size(beside(&self.site.path, "-wal")),
            revision,
            states,
            events,
            settings: settings(&connection, immutable)?,
            sqlite_version: rusqlite::version().to_owned(),
            batches: counts.batches.load(Ordering::Relaxed),
            commits: counts.commits.load(Ordering::Relaxed),
            reserve_stands: self.site.reserve.stands(),
            disk_full: counts.full.load(Ordering::Relaxed),
            latched: self.site.latched(),
        })
    }

    /// Whether the store is whole: the engine's own check, references, and what must hold between the rows. Lists at
    /// most 100 findings; none means that it is whole. Reads everything, and blocks the thread.
    ///
    /// # Errors
    /// When the store cannot be read at all; damage that can be read around is a finding.
    pub fn check(&self) -> Result<Vec<String>, Error> {
        let Reading { connection, .. } = self.reader()?;
        let mut findings = busy::persist("cannot check the file", || engine_findings(&connection))?;
        for (what, sql) in rules() {
            let left = FINDINGS_MAX.saturating_sub(findings.len());
            match busy::persist("cannot check the records", || broken(&connection, &sql, left)) {
                Ok(found) => findings.extend(found.into_iter().map(|row| format!("{what}: {row}"))),
                Err(Error::Corrupt { detail }) => findings.push(format!("{what}: cannot be read: {detail}")),
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    fn reader(&self) -> Result<Reading, Error> {
        busy::allow(self.site.busy_max, None);
        connect::open_to_read(&self.site)
    }
}

fn states(connection: &Connection) -> rusqlite::Result<Vec<(Ns, String, u64)>> {
    let sql = "SELECT ns, state, count(*) FROM record GROUP BY ns, state ORDER BY ns, state";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let ns = u16::try_from(row.get::<_, i64>(0)?).unwrap_or(u16::MAX);
        Ok((Ns::from_stored(ns), row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs()))
    })?;
    rows.collect()
}

fn settings(connection: &Connection, immutable: bool) -> Result<Settings, Error> {
    // An immutable file is read without its log, and only because that could not be opened; so it has one.
    let journal_mode =
        if immutable { String::from("wal") } else { connect::text(connection, "journal_mode")? };
    Ok(Settings {
        journal_mode,
        synchronous: connect::number(connection, "synchronous")?,
        fullfsync: connect::number(connection, "fullfsync")? != 0,
        foreign_keys: connect::number(connection, "foreign_keys")? != 0,
    })
}

fn engine_findings(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut findings = Vec::new();
    let check = format!("PRAGMA integrity_check({FINDINGS_MAX})");
    let mut statement = connection.prepare(&check)?;
    for line in statement.query_map([], |row| row.get::<_, String>(0))? {
        match line {
            Ok(line) if line == "ok" => {}
            Ok(line) => findings.push(format!("integrity: {line}")),
            Err(found) if error::is_busy(&found) => return Err(found),
            Err(found) => {
                findings.push(format!("integrity: {found}"));
                break;
            }
        }
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while findings.len() < FINDINGS_MAX {
        match rows.next() {
            Ok(Some(row)) => {
                findings.push(format!("reference: an event of no record, row {:?}", row.get_ref(1)?))
            }
            Ok(None) => break,
            Err(found) if error::is_busy(&found) => return Err(found),
            Err(found) => {
                findings.push(format!("reference: {found}"));
                break;
            }
        }
    }
    Ok(findings)
}

/// What must hold between the rows: a sentence, and a statement that finds the keys of what breaks it.
fn rules() -> Vec<(&'static str, String)> {
    let records = |condition: &str| format!("SELECT key FROM record WHERE {condition} LIMIT ?1");
    let words: Vec<String> = TERMINAL.iter().map(|word| format!("'{word}'")).collect();
    let terminal = format!("ns = 1 AND state IN ({}) AND lease_ends IS NOT NULL", words.join(", "));
    vec![
        ("an id outside its namespace", records(&format!("id >> {ID_BITS} <> ns"))),
        (
            "a version that was never given",
            records("version > (SELECT revision FROM store) OR version < (id & 0x7fffffffffff)"),
        ),
        ("a fence that was never given", records("fence > version OR fence < 0")),
        (
            "half a lease",
            records(
                "(lease_ends IS NULL) <> (lease_boot IS NULL) OR (lease_ends IS NULL) <> (lease_until IS NULL)",
            ),
        ),
        ("a lease on a run that has ended", records(&terminal)),
        ("a flag that is neither yes nor no", records("paused NOT IN (0, 1) OR cancelling NOT IN (0, 1)")),
        ("a batch id of the wrong length", records("length(batch) <> 16")),
        (
            "an event later than its record",
            String::from(
                "SELECT record.key FROM event JOIN record ON record.id = record_id WHERE seq > version LIMIT ?1",
            ),
        ),
    ]
}

fn broken(connection: &Connection, sql: &str, limit: usize) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map([limit], |row| row.get(0))?.collect()
}
