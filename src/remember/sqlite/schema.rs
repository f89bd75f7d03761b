//! The file's format: how it is recognised, made and brought up to date.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::remember::sqlite::views::V2;
use crate::remember::sqlite::{busy, error};
use crate::remember::store::Error;

/// `user_version` of the format that this release writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 2;
/// `application_id`: "UnAt".
pub(super) const APPLICATION_ID: i32 = 0x556e_4174;
/// The bits of a record's id that hold the version which created it; the bits above hold the namespace, so that the
/// records of a namespace lie together in the order of their creation.
pub(super) const ID_BITS: u32 = 47;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What each format adds to the one before.
const STEPS: [&str; FORMAT as usize] = [V1, V2];

const V1: &str = "
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL CHECK (revision >= 0),
    lock_dir TEXT NOT NULL
) STRICT;

CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    rank INTEGER NOT NULL,
    serial_key TEXT,
    owner TEXT,
    holder TEXT,
    lease_boot TEXT,
    lease_ends INTEGER,
    lease_until INTEGER,
    due_at INTEGER,
    expires_at INTEGER,
    paused INTEGER NOT NULL,
    cancelling INTEGER NOT NULL,
    reviewed_at INTEGER,
    fingerprint TEXT,
    batch BLOB NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (ns, key)
) STRICT;

CREATE INDEX record_due ON record (ns, rank DESC, due_at) WHERE due_at IS NOT NULL AND lease_ends IS NULL;
CREATE INDEX record_leased ON record (ns, holder) WHERE lease_ends IS NOT NULL;

CREATE TABLE event (
    record_id INTEGER NOT NULL REFERENCES record (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    batch BLOB NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    actor TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    step TEXT,
    code TEXT NOT NULL,
    why TEXT NOT NULL,
    data TEXT,
    PRIMARY KEY (record_id, seq)
) STRICT, WITHOUT ROWID;
";

/// What lists of runs are found by: the runs of a job, those in a state that few are in, and those since an instant. It changes nothing for a
/// release that does not know it, so it is no format of its own: a new store has it, and a migration adds it.
const LISTS: &str = "
CREATE INDEX IF NOT EXISTS record_kind ON record (kind) WHERE ns = 1;
CREATE INDEX IF NOT EXISTS record_created ON record (created_at) WHERE ns = 1;
CREATE INDEX IF NOT EXISTS record_rare ON record (state)
    WHERE ns = 1 AND state NOT IN ('queued', 'processing', 'succeeded', 'failed_transient');
";

/// What stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet: no file, an empty one, or a database that was never filled.
    Nothing,
    /// A store of this format.
    Store(u32),
}

/// Makes the file, readable by its owner alone, if it is not there.
pub(super) fn make_file(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let io = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            Error::ReadOnly { detail: format!("cannot make {}: {source}", path.display()) }
        }
        std::io::ErrorKind::StorageFull => Error::Full { detail: source.to_string() },
        _ => Error::Io { action: "cannot make the store's file", path: path.to_owned(), source },
    };
    match options.open(path) {
        Ok(_) => {
            let Some(folder) = path.parent() else { return Ok(()) };
            // The name must outlive a loss of power too.
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io(error)),
    }
}

/// Refuses a file that no SQLite wrote, before SQLite is asked.
pub(super) fn check_magic(path: &Path) -> Result<(), Error> {
    let io = |source| Error::Io { action: "cannot read the store's file", path: path.to_owned(), source };
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(16).read_to_end(&mut head)).map_err(io)?;
    if head.is_empty() || head == MAGIC {
        return Ok(());
    }
    Err(Error::NotAStore { path: path.to_owned(), found: String::from("not a SQLite database") })
}

/// Reads what stands in the file.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<Found, Error> {
    let number = |name| {
        let read = || connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        busy::persist("cannot read the store's format", read)
    };
    let (id, format) = (number("application_id")?, number("user_version")?);
    let count = "SELECT count(*) FROM sqlite_schema";
    let count = || connection.query_row(count, [], |row| row.get::<_, i64>(0));
    let tables = busy::persist("cannot read the store's schema", count)?;
    let format = u32::try_from(format).unwrap_or(u32::MAX);
    match (id == i64::from(APPLICATION_ID), tables, format) {
        (true, _, 1..) if format > FORMAT => {
            Err(Error::TooNew { path: path.to_owned(), found: format, supported: FORMAT })
        }
        (true, 1.., 1..) => Ok(Found::Store(format)),
        (_, 0, 0) if id == 0 || id == i64::from(APPLICATION_ID) => Ok(Found::Nothing),
        _ => {
            let found =
                format!("a SQLite database with application_id {id:#x} and {tables} tables and indexes");
            Err(Error::NotAStore { path: path.to_owned(), found })
        }
    }
}

/// Brings the file to [`FORMAT`] with all its indexes, in one transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path, lock_dir: &str) -> Result<(), Error> {
    let begin = "cannot begin to bring the store's format up to date";
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|found| error::of(begin, found))?;
    // Judged again under the lock: another process may have done it since.
    let done = match identify(&tx, path)? {
        Found::Nothing => 0,
        Found::Store(format) => format,
    };
    let step = |sql: &str| tx.execute_batch(sql);
    let write = || -> rusqlite::Result<()> {
        for sql in STEPS.iter().skip(done as usize) {
            step(sql)?;
        }
        step(LISTS)?;
        if done == 0 {
            tx.execute("INSERT INTO store (one, revision, lock_dir) VALUES (1, 0, ?1)", [lock_dir])?;
        }
        step(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"))
    };
    write().map_err(|found| error::of("cannot bring the store's format up to date", found))?;
    tx.commit().map_err(|found| error::of("cannot commit the store's format", found))
}
