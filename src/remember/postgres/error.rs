//! What the driver and the server say, in the seam's terms.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::base::fault::{Classify, Fault, chain};
use crate::remember::store::Error;

/// How a statement can fail.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server refused it, or it was never sent: it has changed nothing.
    Refused(Error),
    /// The same, and the server asks for another try: a deadlock, or a transaction that was too old.
    Again(Error),
    /// It was sent and no answer came: it may have been committed.
    Open(Error),
}

impl Failed {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Refused(error) | Self::Again(error) | Self::Open(error) => error,
        }
    }
}

/// What became of a statement that was sent.
pub(super) fn sent(action: &'static str, error: tokio_postgres::Error) -> Failed {
    let again =
        matches!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE));
    // The server's own word is that it rolled back, unless it went down while it spoke.
    let refused = error.code().is_some_and(|code| !is_gone(code)) || never_sent(&error);
    let error = of(action, error);
    match (again, refused) {
        (true, _) => Failed::Again(error),
        (false, true) => Failed::Refused(error),
        (false, false) => Failed::Open(error),
    }
}

/// The error of the seam that `error` is.
pub(super) fn of(action: &'static str, error: tokio_postgres::Error) -> Error {
    known(&error).unwrap_or_else(|| Error::Backend { action, source: Box::new(error) })
}

/// What an error of the driver means to a policy, where the seam has a word for it.
pub(crate) fn fault(error: &tokio_postgres::Error) -> Option<Fault> {
    known(error).map(|error| error.fault())
}

/// No connection came out of the pool.
pub(super) fn of_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => of("cannot connect", error),
        PoolError::Closed => Error::Closed,
        other => Error::Unreachable { detail: other.to_string() },
    }
}

/// The same failure once more, for each of those who share it.
pub(super) fn copy_of(error: &Error) -> Error {
    match error {
        Error::Unreachable { detail } => Error::Unreachable { detail: detail.clone() },
        Error::Full { detail } => Error::Full { detail: detail.clone() },
        Error::ReadOnly { detail } => Error::ReadOnly { detail: detail.clone() },
        Error::Corrupt { detail } => Error::Corrupt { detail: detail.clone() },
        Error::Busy { waited_ms, allowed_ms } => {
            Error::Busy { waited_ms: *waited_ms, allowed_ms: *allowed_ms }
        }
        Error::Setting { name, found, needed } => {
            Error::Setting { name, found: found.clone(), needed: needed.clone() }
        }
        Error::Closed => Error::Closed,
        other => Error::Backend { action: "cannot write", source: chain(other).into() },
    }
}

/// A value that came back is not one that this module stores.
pub(super) fn corrupt(detail: impl std::fmt::Display) -> Error {
    Error::Corrupt { detail: detail.to_string() }
}

fn known(error: &tokio_postgres::Error) -> Option<Error> {
    let Some(code) = error.code() else {
        if let Some(found) = untrusted(error) {
            return Some(Error::Setting {
                name: "sslmode",
                found,
                needed: String::from("a server that it can trust"),
            });
        }
        return lost(error).then(|| Error::Unreachable { detail: chain(error) });
    };
    let detail = error.as_db_error().map_or_else(String::new, |said| said.message().to_owned());
    let setting =
        |name, needed: &str| Error::Setting { name, found: detail.clone(), needed: needed.to_owned() };
    Some(match *code {
        SqlState::DISK_FULL => Error::Full { detail },
        SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::INSUFFICIENT_PRIVILEGE => Error::ReadOnly { detail },
        SqlState::LOCK_NOT_AVAILABLE => Error::Busy { waited_ms: LOCK_WAIT_MS, allowed_ms: LOCK_WAIT_MS },
        SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
            Error::Busy { waited_ms: 0, allowed_ms: 0 }
        }
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => Error::Corrupt { detail },
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            setting("authentication", "a role that may connect, and its password")
        }
        SqlState::INVALID_CATALOG_NAME => setting("dbname", "a database that is there"),
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_FUNCTION | SqlState::INVALID_SCHEMA_NAME => {
            setting("schema", "one that postgres::migrate has filled")
        }
        ref code if is_gone(code) => Error::Unreachable { detail },
        _ => return None,
    })
}

/// How long the server waits for a lock that somebody else holds; the functions set it.
const LOCK_WAIT_MS: u64 = 10_000;

/// Whether the connection is no more, or never was.
fn lost(error: &tokio_postgres::Error) -> bool {
    use std::error::Error as _;
    let io = error.source().is_some_and(|source| source.is::<std::io::Error>());
    // The driver tells its kinds apart in words alone.
    let text = error.to_string();
    io || error.is_closed()
        || text.starts_with("error connecting to server")
        || text.starts_with("timeout")
        || text.starts_with("error performing TLS handshake")
        || text.starts_with("unexpected message")
}

/// Why encryption that is demanded cannot be had from this server, which another try would not change.
fn untrusted(error: &tokio_postgres::Error) -> Option<String> {
    use std::error::Error as _;
    if !error.to_string().starts_with("error performing TLS handshake") {
        return None;
    }
    // The driver's own word that there is no TLS is text; what rustls refuses is invalid data.
    let source = error.source()?;
    let broke = source
        .downcast_ref::<std::io::Error>()
        .is_some_and(|io| io.kind() != std::io::ErrorKind::InvalidData);
    (!broke).then(|| source.to_string())
}

/// Whether the failure came before anything was sent: a value that could not be encoded.
fn never_sent(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing parameter") || text.starts_with("error encoding message")
}

/// The server is going down, is not up yet, has no room for another connection, or said that the link failed.
fn is_gone(code: &SqlState) -> bool {
    code.code().starts_with("08")
        || matches!(
            *code,
            SqlState::ADMIN_SHUTDOWN
                | SqlState::CRASH_SHUTDOWN
                | SqlState::CANNOT_CONNECT_NOW
                | SqlState::TOO_MANY_CONNECTIONS
                | SqlState::DATABASE_DROPPED
        )
}
