//! A connection with the settings that durability and concurrency hang on, each read back.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::remember::sqlite::schema::{APPLICATION_ID, FORMAT};
use crate::remember::sqlite::site::Site;
use crate::remember::sqlite::{busy, error, medium};
use crate::remember::store::Error;

/// The oldest engine that has all that is used here: STRICT tables (3.37).
const ENGINE_MIN: i32 = 3_037_000;
/// The pages after which a commit moves the write-ahead log into the file: 4 MiB. Larger values make longer tails.
const CHECKPOINT_PAGES: u32 = 1_000;
/// The size above which the write-ahead log is cut back after it was moved.
pub(super) const WAL_MAX: u64 = 64 * 1024 * 1024;
/// Every shape of an update is a statement of its own.
const STATEMENTS: usize = 128;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    /// Reads, in a store that this process may write.
    Read,
    /// Reads, in a store that this process must not or may not write.
    ReadOnly,
}

/// A connection that reads.
pub(super) struct Reading {
    pub(super) connection: Connection,
    /// Whether the engine was told that nobody can write the file. Then it is for one read, since that can end.
    pub(super) immutable: bool,
}

/// Opens the file, which must be there, to be written, and applies the settings that need no lock.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    suits()?;
    medium::writable(path)?;
    settled(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|found| not_opened(path, true, found))
}

/// Opens the file of a site to read.
pub(super) fn open_to_read(site: &Site) -> Result<Reading, Error> {
    if site.read_only {
        return open_read_only(&site.path);
    }
    suits()?;
    let connection = settled(&site.path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let connection = connection.map_err(|found| not_opened(&site.path, false, found))?;
    Ok(Reading { connection, immutable: false })
}

/// Opens the file, which must be there, without ever writing it.
///
/// The engine reads through `-wal` and `-shm`, which it finds, or makes. Where it can do neither, the file is read as an
/// immutable one if nobody at all can write it and no log has commits that are not in it ([`medium`]); else it is an
/// error that says what hinders.
pub(super) fn open_read_only(path: &Path) -> Result<Reading, Error> {
    suits()?;
    let mode = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let found = match settled(path, mode) {
        Ok(connection) => return Ok(Reading { connection, immutable: false }),
        Err(found) => found,
    };
    if error::is_refused(&found) && medium::is_frozen(path) && medium::log_of(path).is_none() {
        let name = PathBuf::from(medium::immutable(path));
        let connection = settled(&name, mode | OpenFlags::SQLITE_OPEN_URI);
        let connection = connection.map_err(|found| not_opened(path, false, found))?;
        return Ok(Reading { connection, immutable: true });
    }
    Err(not_opened(path, false, found))
}

/// Fails with an engine that is too old.
fn suits() -> Result<(), Error> {
    if rusqlite::version_number() < ENGINE_MIN {
        let found = rusqlite::version().to_owned();
        return Err(Error::Setting { name: "sqlite_version", found, needed: String::from("3.37 or newer") });
    }
    Ok(())
}

fn settled(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    busy::install(&mut connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // An engine that keeps samples of the indexes plans a statement anew for each new value; the plans here need none.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let settings = format!(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA fullfsync = {mac}; PRAGMA checkpoint_fullfsync = {mac};",
        mac = cfg!(target_os = "macos"),
    );
    let apply = || {
        connection.execute_batch(&settings)?;
        connection.pragma_update_and_check(None, "journal_size_limit", WAL_MAX as i64, |_| Ok(()))
    };
    busy::insist(apply)?;
    Ok(connection)
}

/// Switches the write-ahead log on; the engine answers with another mode where it cannot.
pub(super) fn use_wal(connection: &Connection) -> Result<(), Error> {
    let switch =
        || connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    let found = busy::persist("cannot switch the write-ahead log on", switch)?;
    expect("journal_mode", found, "wal")
}

/// Reads every setting back, and fails at the first that is not as needed.
pub(super) fn check(connection: &Connection, purpose: Use) -> Result<(), Error> {
    // Whoever never writes needs no durability, and an immutable file has no log.
    if purpose != Use::ReadOnly {
        durable(connection)?;
    }
    let mut needed = vec![
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("application_id", i64::from(APPLICATION_ID)),
        ("wal_autocheckpoint", i64::from(CHECKPOINT_PAGES)),
    ];
    if cfg!(target_os = "macos") {
        needed.extend([("fullfsync", 1), ("checkpoint_fullfsync", 1)]);
    }
    // A store that is not to be brought up to date has an older format; what this release needs is in every one.
    let format = number(connection, "user_version")?;
    if !(1..=i64::from(FORMAT)).contains(&format) {
        return expect("user_version", format.to_string(), &format!("1 to {FORMAT}"));
    }
    for (name, needed) in needed {
        expect(name, number(connection, name)?.to_string(), &needed.to_string())?;
    }
    if purpose == Use::Read {
        let only = connection.execute_batch("PRAGMA query_only = ON");
        only.map_err(|found| error::of("cannot make a connection read only", found))?;
    }
    Ok(())
}

/// Reads back the settings that a commit's durability hangs on.
pub(super) fn durable(connection: &Connection) -> Result<(), Error> {
    let mode = text(connection, "journal_mode")?;
    expect("journal_mode", mode, "wal")?;
    let synchronous = number(connection, "synchronous")?;
    // 3 is EXTRA, which is at least as durable.
    if synchronous < 2 {
        return expect("synchronous", synchronous.to_string(), "2");
    }
    Ok(())
}

pub(super) fn number(connection: &Connection, name: &'static str) -> Result<i64, Error> {
    pragma(connection, name, |row| row.get(0))
}

pub(super) fn text(connection: &Connection, name: &'static str) -> Result<String, Error> {
    pragma(connection, name, |row| row.get(0))
}

fn pragma<T>(
    connection: &Connection,
    name: &'static str,
    get: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<T, Error> {
    let read = || connection.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], &get);
    busy::persist("cannot read a setting back", read)
}

fn expect(name: &'static str, found: String, needed: &str) -> Result<(), Error> {
    if found == needed { Ok(()) } else { Err(Error::Setting { name, found, needed: needed.to_owned() }) }
}

fn not_opened(path: &Path, to_write: bool, found: rusqlite::Error) -> Error {
    if error::is_refused(&found)
        && let Some(error) = medium::hindrance(path, to_write)
    {
        return error;
    }
    if found.sqlite_error_code() != Some(rusqlite::ErrorCode::CannotOpen) {
        return error::of("cannot open the store", found);
    }
    let source = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => std::io::Error::from(std::io::ErrorKind::IsADirectory),
        Ok(_) => std::io::Error::other(found.to_string()),
        Err(error) => error,
    };
    Error::Io { action: "cannot open the store", path: path.to_owned(), source }
}
