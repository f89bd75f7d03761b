//! The user's own transaction on the same file: what the store remembers commits with what the user loads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::remember::sqlite::boot::Clocks;
use crate::remember::sqlite::connect::{self, Use};
use crate::remember::sqlite::rows::Judge;
use crate::remember::sqlite::schema::APPLICATION_ID;
use crate::remember::sqlite::site::Site;
use crate::remember::sqlite::turn::Turnstile;
use crate::remember::sqlite::write::Session;
use crate::remember::sqlite::{Sqlite, beside, busy, error};
use crate::remember::store::{Applied, ApplyError, Batch, Error};

thread_local! {
    /// The files on which this thread holds a write transaction of this module's making.
    static HELD: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// The open handles of this process, by owner: whose name a connection of [`connect_like`] bears.
static HANDLES: Mutex<BTreeMap<String, Weak<Site>>> = Mutex::new(BTreeMap::new());

/// The connection and the place at the turnstile that the handle's own transactions use, one after the other.
pub(super) struct Lane {
    connection: Option<Connection>,
    turnstile: Turnstile,
}

impl Lane {
    pub(super) fn new(site: &Site) -> Self {
        Self { connection: None, turnstile: Turnstile::new(&site.locks) }
    }
}

/// A connection of your own to the store's file, with the settings that the store asserts, each read back.
///
/// Begin its write transactions with [`TransactionBehavior::Immediate`]: a deferred one that has read fails at its
/// first write when another writer came between. [`Sqlite::transaction`] does that, and takes its turn among other
/// processes.
///
/// # Errors
/// When the file cannot be opened, or a setting is not as needed.
pub fn connect_like(store: &Sqlite) -> Result<Connection, Error> {
    busy::allow(store.site.busy_max, None);
    connect(&store.site)
}

/// Applies `batch` inside your own transaction on the store's file: its writes commit or roll back with yours.
///
/// The rules are those of [`Store::apply`](crate::remember::store::Store::apply). Call it first in the transaction,
/// with the fence in the batch's precondition and a renewal in its change: then a lost fence is known before anything
/// is loaded, and no takeover can commit while the transaction is open. Keep the transaction short (at most 20,000
/// rows or 250 ms): every other writer waits for it, so a long load goes in several, each with its own cursor.
///
/// # Errors
/// [`ApplyError::Conflict`] when a precondition does not hold, such as a lost fence: nothing of the batch is written,
/// and you roll back. [`ApplyError::NotApplied`] when the connection is less durable than the store
/// ([`Error::Setting`]), when the file is not a store, or when the engine fails.
pub fn apply_in(tx: &Transaction<'_>, batch: &Batch) -> Result<Applied, ApplyError> {
    batch.check()?;
    connect::durable(tx)?;
    let id = connect::number(tx, "application_id")?;
    if id != i64::from(APPLICATION_ID) {
        let path = tx.path().unwrap_or_default().into();
        return Err(Error::NotAStore { path, found: format!("application_id {id:#x}") }.into());
    }
    let handle = handle_of(tx);
    let (clocks, locks) = match &handle {
        Some(site) => (site.clocks.clone(), site.locks.clone()),
        None => (Clocks::system(), locks_of(tx)?),
    };
    let owner = handle.as_ref().map(|site| site.owner.as_str());
    let run = || -> rusqlite::Result<_> {
        // The first statement writes, so that a deferred transaction takes the lock before anything is judged.
        tx.execute("UPDATE store SET revision = revision WHERE one = 1", [])?;
        let mut session = Session::begin(tx, Judge::now(&clocks, &locks), owner)?;
        let applied = session.apply(batch, true)?;
        session.finish()?;
        Ok(applied)
    };
    match run() {
        Ok(applied) => applied.map_err(ApplyError::Conflict),
        Err(found) => Err(ApplyError::NotApplied(error::of("cannot apply the batch", found))),
    }
}

impl Sqlite {
    /// Runs `load` in a write transaction of your own on the store's file, and commits it if `load` is `Ok`.
    ///
    /// It takes its turn among the other processes, so that a load of many transactions stays fair. Transactions of
    /// one handle go one after the other. While it is open, writing through the store on this thread would wait for
    /// itself, and is refused with [`Error::WouldDeadlock`]; use [`apply_in`].
    ///
    /// ```
    /// use unattended::sqlite::{Sqlite, apply_in};
    /// use unattended::store::{Batch, Error, Expect, Ns, Put, Write};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("jobs.db");
    /// let store = Sqlite::open(&path)?;
    /// store.transaction(|tx| -> Result<(), Box<dyn std::error::Error>> {
    ///     apply_in(tx, &Batch::of(Write::new(Ns::RUN, "load/7", Expect::Absent, Put::nothing())))?;
    ///     tx.execute_batch("CREATE TABLE page (number INTEGER) STRICT; INSERT INTO page VALUES (7)")?;
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What `load` returned, after a roll-back; or the store's error as `E`, when the transaction could not begin or
    /// commit.
    pub fn transaction<T, E: From<Error>>(
        &self,
        load: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.site.read_only {
            return Err(Error::ReadOnly { detail: String::from("this handle was opened to read") }.into());
        }
        self.site.sound()?;
        refuse_within(&self.site.path, "transaction")?;
        busy::allow(self.site.busy_max, None);
        let mut lane = lock(&self.lane);
        let Lane { connection, turnstile } = &mut *lane;
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.site)?),
        };
        let free = || {
            let look = || connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
            busy::without_waiting(look)
        };
        let _turn = turnstile.enter(free);
        let _held = Holding::new(&self.site.path);
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|found| error::of("cannot begin a transaction", found))?;
        // Dropped on the way out it rolls back, also when `load` panics.
        let loaded = load(&tx)?;
        tx.commit().map_err(|found| {
            if error::is_io(&found) {
                self.site.latch(found.to_string());
            }
            error::of("cannot commit a transaction", found)
        })?;
        Ok(loaded)
    }
}

/// Fails when this thread holds a write transaction on the file.
pub(super) fn refuse_within(path: &Path, what: &'static str) -> Result<(), Error> {
    if HELD.with_borrow(|held| held.iter().any(|one| one == path)) {
        let instead = "use sqlite::apply_in with the open transaction";
        return Err(Error::WouldDeadlock { what, instead });
    }
    Ok(())
}

/// Makes the handle known to connections that are made like it.
pub(super) fn remember(site: &Arc<Site>) {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner).insert(site.owner.clone(), Arc::downgrade(site));
}

/// The handle is closing.
pub(super) fn forget(site: &Site, lane: &Mutex<Lane>) {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner).remove(&site.owner);
    let mut lane = lock(lane);
    if lane.connection.is_some() {
        let gate = super::gate(&site.locks);
        lane.connection = None;
        drop(gate);
    }
}

struct Holding;

impl Holding {
    fn new(path: &Path) -> Self {
        HELD.with_borrow_mut(|held| held.push(path.to_owned()));
        Self
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| drop(held.pop()));
    }
}

fn connect(site: &Site) -> Result<Connection, Error> {
    if site.read_only {
        return Err(Error::ReadOnly { detail: String::from("this handle was opened to read") });
    }
    let connection = connect::open(&site.path)?;
    connect::check(&connection, Use::Write)?;
    let name = "CREATE TEMP TABLE unattended_handle (owner TEXT NOT NULL) STRICT";
    connection
        .execute_batch(name)
        .and_then(|()| connection.execute("INSERT INTO temp.unattended_handle VALUES (?1)", [&site.owner]))
        .map_err(|found| error::of("cannot name a connection", found))?;
    Ok(connection)
}

/// The handle that the connection was made like, if it is open still.
fn handle_of(connection: &Connection) -> Option<Arc<Site>> {
    let mut statement = connection.prepare_cached("SELECT owner FROM temp.unattended_handle").ok()?;
    let owner: String = statement.query_row([], |row| row.get(0)).ok()?;
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner).get(&owner)?.upgrade()
}

/// Where the locks of a file are that was opened without this module.
fn locks_of(connection: &Connection) -> Result<PathBuf, Error> {
    let read = || {
        connection.prepare_cached("SELECT lock_dir FROM store WHERE one = 1")?.query_row([], |row| row.get(0))
    };
    let stored: String = busy::persist("cannot read the store's row", read)?;
    if stored.is_empty() {
        let path = Path::new(connection.path().unwrap_or_default());
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        return Ok(beside(&path, "-lock"));
    }
    Ok(PathBuf::from(stored))
}

fn lock(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}
