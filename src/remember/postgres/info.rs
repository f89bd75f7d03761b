//! What an operator asks of a store: how it stands, and what the server promises.

use std::sync::atomic::Ordering;

use tokio_postgres::{Client, Row};

use crate::remember::postgres::rows::get;
use crate::remember::postgres::schema::FORMAT;
use crate::remember::postgres::{Postgres, error};
use crate::remember::store::{Error, Ns};

/// How a store stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The schema.
    pub schema: String,
    /// Its format.
    pub format: u32,
    /// The oldest release's format that can still work with it.
    pub reads_from: u32,
    /// The format that this release writes.
    pub format_supported: u32,
    /// Bytes of its tables and indexes.
    pub bytes: u64,
    /// The last version that was taken; each batch takes 256.
    pub revision: u64,
    /// How many records there are, by namespace and state.
    pub states: Vec<(Ns, String, u64)>,
    /// How many events there are.
    pub events: u64,
    /// The settings, as the server answers them now.
    pub settings: Settings,
    /// The server's version.
    pub server_version: String,
    /// Batches that this handle was sent and has answered after a commit.
    pub batches: u64,
    /// Commits of this handle: fewer than batches, where batches shared one.
    pub commits: u64,
    /// How often this handle tried again to reach the server.
    pub reconnects: u64,
}

/// The settings that durability hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// `on` or more: each commit is on the disk before it is answered. `off`: the last ones may be lost with the server.
    pub synchronous_commit: String,
    /// Whether the server writes through to the disk at all.
    pub fsync: bool,
    /// Whether a torn page can be mended after a loss of power.
    pub full_page_writes: bool,
    /// Whether it is a standby, which cannot be written.
    pub in_recovery: bool,
}

/// What the server promises about a commit.
pub(super) struct Durability(pub(super) Settings);

impl Durability {
    const SQL: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync') = 'on',
         current_setting('full_page_writes') = 'on', pg_is_in_recovery()";

    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let rows = client.query_typed(Self::SQL, &[]).await;
        Self::of(&rows.map_err(|found| error::of("cannot read the settings back", found))?)
    }

    fn of(rows: &[Row]) -> Result<Self, Error> {
        let row = rows.first().ok_or_else(|| error::corrupt("no answer"))?;
        Ok(Self(Settings {
            synchronous_commit: get(row, 0)?,
            fsync: get(row, 1)?,
            full_page_writes: get(row, 2)?,
            in_recovery: get(row, 3)?,
        }))
    }

    /// Whether an answered commit survives the loss of the server's power.
    pub(super) fn durable(&self) -> bool {
        self.0.fsync && self.0.synchronous_commit != "off"
    }
}

impl Postgres {
    /// How the store stands. Counts every record, so it reads the whole table.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn info(&self) -> Result<Info, Error> {
        let link = std::sync::Arc::clone(&self.link);
        let gather = async move {
            let sql = link.sql(
                "SELECT s.format, s.reads_from, v.last_value, (SELECT count(*) FROM SCHEMA.event),
                     pg_total_relation_size('SCHEMA.record') + pg_total_relation_size('SCHEMA.event'),
                     current_setting('server_version')
                 FROM SCHEMA.store AS s, SCHEMA.revision AS v",
            );
            let rows = link.read("cannot read the store's row", &sql, &[]).await?;
            let row = rows.first().ok_or_else(|| error::corrupt("no row in the table of the store"))?;
            let sql = "SELECT ns, state, count(*) FROM SCHEMA.record GROUP BY ns, state ORDER BY ns, state";
            let states = link.read("cannot count the records", &link.sql(sql), &[]).await?;
            let settings = link.read("cannot read the settings back", Durability::SQL, &[]).await?;
            let states = states.iter().map(|row| {
                let ns = u16::try_from(get::<i32>(row, 0)?).unwrap_or(u16::MAX);
                Ok((Ns::from_stored(ns), get(row, 1)?, get::<i64>(row, 2)?.unsigned_abs()))
            });
            let number = |column| Ok::<_, Error>(get::<i64>(row, column)?.unsigned_abs());
            Ok(Info {
                schema: link.schema.as_str().to_owned(),
                format: get::<i32>(row, 0)?.unsigned_abs(),
                reads_from: get::<i32>(row, 1)?.unsigned_abs(),
                format_supported: FORMAT,
                bytes: number(4)?,
                revision: number(2)?,
                states: states.collect::<Result<_, Error>>()?,
                events: number(3)?,
                settings: Durability::of(&settings)?.0,
                server_version: get(row, 5)?,
                batches: link.counts.batches.load(Ordering::Relaxed),
                commits: link.counts.commits.load(Ordering::Relaxed),
                reconnects: link.counts.reconnects.load(Ordering::Relaxed),
            })
        };
        self.engine.run(gather).await
    }
}
