//! What the engine says, in the seam's terms.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::base::fault::{Classify, Fault};
use crate::base::time::millis;
use crate::remember::sqlite::busy;
use crate::remember::store::Error;

/// `SQLITE_IOERR_SHMSIZE`: the shared memory file could not be made bigger, which happens on a full disk.
const SHM_SIZE: i32 = 10 | 19 << 8;
/// `SQLITE_BUSY_SNAPSHOT`: a transaction that began as a reader is too old to write.
const SNAPSHOT: i32 = 5 | 2 << 8;

/// The error of the seam that `error` is.
pub(super) fn of(action: &'static str, error: rusqlite::Error) -> Error {
    known(&error).unwrap_or_else(|| Error::Backend { action, source: Box::new(error) })
}

/// The error of the seam for what the file system said when something was to be made or written at `path`.
pub(super) fn of_io(action: &'static str, path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::Full { detail: format!("{action} at {}: {source}", path.display()) }
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Error::ReadOnly { detail: format!("{action} at {}: {source}", path.display()) }
        }
        _ => Error::Io { action, path: path.to_owned(), source },
    }
}

/// What an error of the engine means to a policy, where the seam has a word for it.
pub(crate) fn fault(error: &rusqlite::Error) -> Option<Fault> {
    known(error).map(|error| error.fault())
}

fn known(error: &rusqlite::Error) -> Option<Error> {
    let (code, extended) = match error {
        rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => return Some(Error::Corrupt { detail: error.to_string() }),
        _ => return None,
    };
    if extended == SNAPSHOT {
        return Some(Error::Setting {
            name: "transaction",
            found: String::from("deferred, and another writer came between"),
            needed: String::from("BEGIN IMMEDIATE"),
        });
    }
    Some(match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            let (waited, allowed) = busy::waited();
            Error::Busy { waited_ms: millis(waited), allowed_ms: millis(allowed) }
        }
        ErrorCode::DiskFull => Error::Full { detail: error.to_string() },
        ErrorCode::SystemIoFailure if extended == SHM_SIZE => {
            Error::Full { detail: String::from("there is no room for -shm") }
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Error::ReadOnly { detail: error.to_string() },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt { detail: error.to_string() },
        _ => return None,
    })
}

/// Whether the file system failed under the engine: nothing that this handle has in memory can be trusted since.
pub(super) fn is_io(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.code == ErrorCode::SystemIoFailure && failure.extended_code != SHM_SIZE
    )
}

/// Whether the disk is full.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.code == ErrorCode::DiskFull || failure.extended_code == SHM_SIZE
    )
}

/// Whether the engine could not open a file, or not as it has to.
pub(super) fn is_refused(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqliteFailure(failure, _)
            if matches!(failure.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

/// Whether others hold a lock.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.extended_code != SNAPSHOT
                && matches!(
                    failure.code,
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed
                )
    )
}
