//! The way to the server: connections out of a pool, statements with a bound on how long they take.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::base::backoff::{Backoff, Jitter};
use crate::base::rng::{Rng, entropy};
use crate::base::time::{Clock, System, millis};
use crate::remember::postgres::error::{self, Failed};
use crate::remember::postgres::schema::Name;
use crate::remember::store::Error;

/// A value of a statement and its type: with both the driver needs no named statement.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// The most reads and claims that wait; another one is told that the store is busy.
const WAITING_MAX: usize = 16_384;
/// How often a statement is tried again when the server asks for it.
const AGAIN_MAX: u32 = 5;

/// What every part of a handle shares.
pub(super) struct Link {
    pub(super) pool: Pool,
    pub(super) schema: Name,
    pub(super) owner: String,
    pub(super) connect_max: Duration,
    pub(super) answer_max: Duration,
    /// Places for reads and claims, so that they leave the writers their connections.
    places: Semaphore,
    waiting: AtomicUsize,
    pub(super) counts: Counts,
}

/// What this handle has done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) batches: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) reconnects: AtomicU64,
}

impl Link {
    pub(super) fn new(
        pool: Pool,
        schema: Name,
        owner: String,
        readers: usize,
        connect_max: Duration,
        answer_max: Duration,
    ) -> Self {
        let (places, waiting) = (Semaphore::new(readers), AtomicUsize::new(0));
        Self { pool, schema, owner, connect_max, answer_max, places, waiting, counts: Counts::default() }
    }

    pub(super) fn sql(&self, template: &str) -> String {
        self.schema.sql(template)
    }

    /// A place among the reads and claims.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>, Error> {
        let busy = || {
            let bound = millis(self.answer_max);
            Error::Busy { waited_ms: bound, allowed_ms: bound }
        };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Busy { waited_ms: 0, allowed_ms: 0 });
        }
        let place = timeout(self.answer_max, self.places.acquire()).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match place {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(busy()),
        }
    }

    /// A connection that was sound when it was last looked at. A server that is out of reach is tried again, with
    /// growing pauses, until the bound.
    pub(super) async fn connection(&self) -> Result<Object, Error> {
        let begun = System.moment();
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1)).jitter(Jitter::Full);
        let (mut rng, mut pause) = (Rng::seeded(entropy()), Duration::ZERO);
        for step in 0.. {
            let left = self.connect_max.saturating_sub(System.moment().since(begun));
            let error = match timeout(left, self.pool.get()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error::of_pool(error),
                Err(_) => {
                    Error::Unreachable { detail: format!("no connection within {:?}", self.connect_max) }
                }
            };
            if !matches!(error, Error::Unreachable { .. }) {
                return Err(error);
            }
            pause = backoff.delay(step, pause, &mut rng);
            if System.moment().since(begun).saturating_add(pause) >= self.connect_max {
                return Err(error);
            }
            self.counts.reconnects.fetch_add(1, Ordering::Relaxed);
            sleep(pause).await;
        }
        Err(Error::Closed)
    }

    /// Sends one statement on a connection of its own choice.
    pub(super) async fn ask(
        &self,
        action: &'static str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Failed> {
        let mut tries = 0;
        loop {
            let connection = self.connection().await.map_err(Failed::Refused)?;
            match self.ask_on(connection, action, sql, params).await {
                Err(Failed::Again(_)) if tries < AGAIN_MAX => tries += 1,
                done => return done,
            }
        }
    }

    /// Asks what changes nothing: when the link breaks, it is asked once more on another.
    pub(super) async fn read(
        &self,
        action: &'static str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        let _place = self.place().await?;
        match self.ask(action, sql, params).await {
            Err(Failed::Open(Error::Unreachable { .. })) => self.ask(action, sql, params).await,
            done => done,
        }
        .map_err(Failed::into_error)
    }

    /// Sends one statement, which is one transaction: the answer is complete only after its commit.
    async fn ask_on(
        &self,
        connection: Object,
        action: &'static str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Failed> {
        let client: &Client = &connection;
        let failed = match timeout(self.answer_max, client.query_typed(sql, params)).await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => error::sent(action, error),
            Err(_) => {
                let detail = format!("no answer within {:?}", self.answer_max);
                Failed::Open(Error::Unreachable { detail })
            }
        };
        if matches!(failed, Failed::Open(_)) {
            // Whatever still comes over it belongs to nobody.
            drop(Object::take(connection));
        }
        Err(failed)
    }
}
