//! The store for more than one host: one schema in a PostgreSQL database (13 or newer).
//!
//! Writes that wait at the same time go in one statement and one commit, each with its own result. The rules are
//! functions in the schema, so that a write is one round trip, and one clock, the database's, judges every lease: a host
//! whose clock is wrong changes nothing. A handle has a thread and a runtime of its own; its futures complete on any
//! executor, and the [blocking face](crate::remember::blocking) only parks.
//!
//! It works behind a proxy that pools transactions: no named statement, no session lock, no setting that outlives its
//! transaction. A connection that breaks is replaced by the next request; a write whose answer was lost is
//! [`ApplyError::Unknown`], and sending it again settles it.
//!
//! A lease ends when its time is over, or when its holder ends it. Unlike on one host, nobody can see that a process on
//! another has died, so dropping the handle ends no lease: end it with the work, or let it run out.
//!
//! Text cannot have a NUL in PostgreSQL: in what tells of something (an event's actor, code and sentence) it becomes
//! U+FFFD, in anything else it is [`Error::Invalid`].
//!
//! ```no_run
//! use unattended::blocking::Blocking;
//! use unattended::postgres::Postgres;
//! use unattended::store::{Batch, Expect, Ns, Put, Write};
//!
//! let store = Postgres::connect_blocking("postgres://jobs:secret@db.example/jobs?sslmode=require")?;
//! let put = Put { state: Some("queued".into()), ..Put::nothing() };
//! Blocking(&store).apply(Batch::of(Write::new(Ns::RUN, "billing/2026-11", Expect::Absent, put)))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod claim;
mod engine;
pub(crate) mod error;
mod info;
mod link;
mod options;
mod own_transaction;
mod read;
mod rows;
mod schema;
mod tls;
mod write;
mod writer;

use std::fmt;
use std::sync::Arc;

use futures_channel::oneshot;

pub use info::{Info, Settings};
pub use options::{Options, migrate};
pub use own_transaction::apply_in;

use crate::base::time::BoxFuture;
use crate::remember::cursor::Mark;
use crate::remember::postgres::engine::Engine;
use crate::remember::postgres::link::Link;
use crate::remember::postgres::writer::Writer;
use crate::remember::store::{
    Applied, ApplyError, Batch, Caps, ClaimDue, Claimed, Error, Ns, Page, Prune, Query, Record, Store,
    StoredEvent,
};

/// The format that this release writes.
pub const FORMAT: u32 = schema::FORMAT;
/// The schema that a store is in unless the options say otherwise.
pub const SCHEMA: &str = "unattended";

/// An open store. Dropping it closes its connections and ends no lease; it does not wait.
pub struct Postgres {
    engine: Engine,
    link: Arc<Link>,
    writer: Writer,
    /// What the server said of its settings when the store was opened.
    durable: bool,
    /// Whether the connections are driven by this handle's own thread alone.
    own: bool,
}

impl Postgres {
    /// Opens the store that `url` names, and fills an empty database.
    ///
    /// # Errors
    /// See [`Options::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::options().connect(url).await
    }

    /// [`connect`](Self::connect), for programs without an async runtime. It parks the thread.
    ///
    /// # Errors
    /// See [`Options::connect`].
    pub fn connect_blocking(url: &str) -> Result<Self, Error> {
        Self::options().connect_blocking(url)
    }

    /// How to open otherwise.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
    }

    /// The schema that it is in.
    #[must_use]
    pub fn schema(&self) -> &str {
        self.link.schema.as_str()
    }
}

/// All statements that make an empty store in `schema`, for a database that no program may change. Run them in one
/// transaction.
///
/// # Errors
/// [`Error::Invalid`] for a name that is no plain identifier.
pub fn script(schema: &str) -> Result<String, Error> {
    Ok(schema::script(&schema::Name::new(schema)?))
}

impl Store for Postgres {
    fn caps(&self) -> Caps {
        Caps {
            durable: self.durable,
            multi_process: true,
            multi_host: true,
            own_threads: self.own,
            ..Caps::new("postgres")
        }
    }

    fn owner(&self) -> &str {
        &self.link.owner
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            write::check(&batch)?;
            let resent = batch.resent();
            let (reply, answer) = oneshot::channel();
            if let Err(error) = self.writer.send(batch, reply) {
                return Err(if resent { ApplyError::Unknown(error) } else { ApplyError::NotApplied(error) });
            }
            // A lane that is gone without an answer may have committed before.
            answer.await.unwrap_or(Err(ApplyError::Unknown(Error::Closed)))
        })
    }

    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        let (link, key) = (Arc::clone(&self.link), key.to_owned());
        Box::pin(self.engine.run(async move {
            if key.contains('\0') {
                return Ok(None);
            }
            read::look(&link, ns, &key).await
        }))
    }

    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
        let link = Arc::clone(&self.link);
        Box::pin(self.engine.run(async move {
            query.check()?;
            let after = query.cursor.as_ref().map(|cursor| Mark::read(cursor, query.order)).transpose()?;
            read::scan(&link, &query, after).await
        }))
    }

    fn events<'a>(
        &'a self,
        ns: Ns,
        key: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredEvent>, Error>> {
        let (link, key) = (Arc::clone(&self.link), key.to_owned());
        Box::pin(self.engine.run(async move { read::events(&link, ns, &key, after, limit).await }))
    }

    fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>> {
        let link = Arc::clone(&self.link);
        Box::pin(self.engine.run(async move { read::prune(&link, &prune).await }))
    }

    fn claim_due(&self, claim: ClaimDue) -> BoxFuture<'_, Result<Vec<Claimed>, Error>> {
        let link = Arc::clone(&self.link);
        Box::pin(self.engine.run(async move {
            claim::check_claim(&claim)?;
            claim::claim_due(&link, &claim).await
        }))
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("schema", &self.link.schema.as_str())
            .field("owner", &self.link.owner)
            .finish_non_exhaustive()
    }
}
