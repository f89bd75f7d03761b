//! The embedded store: one SQLite file, for one host and any number of processes on it.
//!
//! Every commit is on the disk before it is answered (WAL, `synchronous = FULL`, read back at open). One thread
//! writes; requests that wait at the same time share a commit. Several processes on one file take turns, and none
//! of them ever sees "database is locked". Leases are judged by the time since boot and end at once when their owner's
//! process is gone.
//!
//! Beside `jobs.db` stand, besides SQLite's own `-wal` and `-shm`, the folder `jobs.db-lock` (turns, and a locked file
//! for each open handle) and `jobs.db-reserve` (4 MiB that are given back when the disk is full, to whoever writes or
//! opens; an empty file is left of it until there is room again). A network file
//! system is refused where it refuses the write-ahead log; do not put the file on one.
//!
//! ```
//! use unattended::blocking::Blocking;
//! use unattended::sqlite::Sqlite;
//! use unattended::store::{Batch, Expect, Ns, Put, Write};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("jobs.db");
//! let store = Sqlite::open(&path)?;
//! let put = Put { state: Some("queued".into()), ..Put::nothing() };
//! Blocking(&store).apply(Batch::of(Write::new(Ns::RUN, "billing/2026-11", Expect::Absent, put)))?;
//! assert_eq!(Blocking(&store).get(Ns::RUN, "billing/2026-11")?.map(|run| run.state), Some("queued".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod boot;
mod busy;
mod connect;
pub(crate) mod error;
mod info;
mod medium;
mod open;
mod own_transaction;
mod owner;
mod read;
mod readers;
mod reserve;
mod rows;
mod schema;
mod site;
mod turn;
mod views;
mod write;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_channel::oneshot;

pub use info::{Info, Settings};
pub use open::Options;
pub use own_transaction::{apply_in, connect_like};

use crate::base::time::BoxFuture;
use crate::remember::cursor::Mark;
use crate::remember::sqlite::own_transaction::Lane;
use crate::remember::sqlite::owner::Owner;
use crate::remember::sqlite::readers::Readers;
use crate::remember::sqlite::site::Site;
use crate::remember::sqlite::turn::Held;
use crate::remember::sqlite::writer::{Request, Writer};
use crate::remember::store::{
    Applied, ApplyError, Batch, Caps, ClaimDue, Claimed, Error, Ns, Page, Prune, Query, Record, Store,
    StoredEvent,
};

/// The format that this release writes, as SQLite's `user_version`; the newest that it reads.
pub const FORMAT: u32 = schema::FORMAT;

/// An open store. Its leases end when it is dropped or its process dies.
///
/// Opening and dropping touch the disk; inside an async runtime do both where blocking is allowed.
pub struct Sqlite {
    site: Arc<Site>,
    readers: Readers,
    /// `None` in a store that was opened to read.
    writer: Option<Writer>,
    lane: Arc<Mutex<Lane>>,
    /// The last claim found something: the next one need not be preceded by a look.
    busy: AtomicBool,
    /// Released last: as long as anything is written, this handle lives.
    owner: Option<Owner>,
}

impl Sqlite {
    /// Opens the store at `path`, or makes it, readable by its owner alone.
    ///
    /// # Errors
    /// See [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(path)
    }

    /// How to open otherwise.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.site.path
    }

    fn new(
        site: Arc<Site>,
        readers: Readers,
        writer: Option<Writer>,
        lane: Arc<Mutex<Lane>>,
        owner: Option<Owner>,
    ) -> Self {
        Self { site, readers, writer, lane, busy: AtomicBool::new(false), owner }
    }

    async fn write<T>(
        &self,
        what: &'static str,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<Option<T>, Error> {
        let Some(writer) = &self.writer else {
            return Err(Error::ReadOnly { detail: String::from("this handle was opened to read") });
        };
        self.site.sound()?;
        own_transaction::refuse_within(&self.site.path, what)?;
        let (reply, answer) = oneshot::channel();
        writer.send(request(reply))?;
        Ok(answer.await.ok())
    }
}

impl Store for Sqlite {
    fn caps(&self) -> Caps {
        Caps { durable: true, multi_process: true, own_threads: true, ..Caps::new("sqlite") }
    }

    fn owner(&self) -> &str {
        &self.site.owner
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            batch.check()?;
            let answer = self.write("apply", |reply| Request::Apply(batch, reply)).await?;
            // A writer that is gone without an answer may have committed before.
            answer.unwrap_or(Err(ApplyError::Unknown(Error::Closed)))
        })
    }

    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        let key = key.to_owned();
        Box::pin(async move {
            let found =
                self.readers.run(move |connection, site| read::get(connection, &site.judge(), ns, &key));
            Ok(found.await?.map(|(_, record)| record))
        })
    }

    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
        Box::pin(async move {
            query.check()?;
            let after = query.cursor.as_ref().map(|cursor| Mark::read(cursor, query.order)).transpose()?;
            let scan =
                move |connection: &_, site: &Site| read::scan(connection, &site.judge(), &query, after);
            self.readers.run(scan).await
        })
    }

    fn events<'a>(
        &'a self,
        ns: Ns,
        key: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredEvent>, Error>> {
        let key = key.to_owned();
        Box::pin(async move {
            self.readers.run(move |connection, _| read::events(connection, ns, &key, after, limit)).await
        })
    }

    fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            // Found by a reader, so that the write lock is held for the deletion alone.
            let look = move |connection: &_, site: &Site| read::prunable(connection, &site.judge(), &prune);
            let found = self.readers.run(look).await?;
            if found.is_empty() {
                return Ok(0);
            }
            self.write("prune", |reply| Request::Prune(found, reply)).await?.unwrap_or(Err(Error::Closed))
        })
    }

    fn claim_due(&self, claim: ClaimDue) -> BoxFuture<'_, Result<Vec<Claimed>, Error>> {
        Box::pin(async move {
            check_claim(&claim)?;
            // A worker that finds nothing must not take the write lock.
            if !self.busy.load(Ordering::Relaxed) {
                let page = self.scan(Query { limit: 1, ..write::attention(&claim) }).await?;
                if page.records.is_empty() {
                    return Ok(Vec::new());
                }
            }
            let request = |reply| Request::Claim(Box::new(claim), reply);
            let claimed = self.write("claim_due", request).await?.unwrap_or(Err(Error::Closed))?;
            self.busy.store(!claimed.is_empty(), Ordering::Relaxed);
            Ok(claimed)
        })
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.site.path)
            .field("owner", &self.site.owner)
            .finish_non_exhaustive()
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // No future can be pending, since each borrows this handle; what was handed over without one is finished.
        if self.writer.is_some() {
            self.site.closing.store(true, Ordering::Relaxed);
        }
        // Whoever closes last moves the log into the file; the writer's log was synced already, with its folder.
        self.readers.close();
        if let Some(writer) = &mut self.writer {
            writer.close();
        }
        own_transaction::forget(&self.site, &self.lane);
        drop(self.owner.take());
    }
}

/// Holds the claim to the bounds that a batch of it would have.
fn check_claim(claim: &ClaimDue) -> Result<(), Error> {
    use crate::remember::store::{Expect, Put, Write};
    let put = Put { owner: claim.owner.clone(), ..Put::claim(&claim.state, claim.lease) };
    Batch::of(Write::new(claim.ns, "claim", Expect::Absent, put)).check()
}

/// How long an opening or closing waits for another one. A process that is stopped in between delays others by this.
const GATE_PATIENCE: Duration = Duration::from_secs(2);

/// Openings and closings one at a time: the engine's own locks are taken in ways there that cannot wait.
fn gate(locks: &Path) -> Option<Held> {
    turn::hold(&locks.join("open"), GATE_PATIENCE)
}

/// `jobs.db` with `suffix` after its whole name.
fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The same failure once more, for each of those who share it.
fn copy_of(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(failure, text) => {
            rusqlite::Error::SqliteFailure(*failure, text.clone())
        }
        // A conversion: what was stored is not what this module stores.
        other => rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Null,
            other.to_string().into(),
        ),
    }
}
