//! The schema in the database: how it is recognised, made and brought up to date.

use tokio_postgres::Client;

use crate::remember::postgres::error;
use crate::remember::store::Error;

/// The format that this release writes.
pub(super) const FORMAT: u32 = 1;
/// The oldest release's format that can still work with what this one writes.
const READS_FROM: u32 = 1;
/// The oldest server that has all that is used here: `gen_random_uuid` and generated columns.
const SERVER_MIN: i32 = 130_000;

/// The name of a schema: a plain identifier, so that it needs no quoting anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn new(name: &str) -> Result<Self, Error> {
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if first && rest && name.len() <= 48 && !name.starts_with("pg_") {
            return Ok(Self(name.to_owned()));
        }
        let allowed = "a-z, 0-9 and _, beginning with a letter or _, at most 48, not pg_…";
        Err(Error::invalid("schema", name, allowed))
    }

    /// `template` with this schema's name in it.
    pub(super) fn sql(&self, template: &str) -> String {
        template.replace("SCHEMA", &format!("\"{}\"", self.0))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// One number for each name, under which migrations go one after the other.
    fn lock(&self) -> i64 {
        let hash = self.0.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        i64::from_ne_bytes(hash.to_ne_bytes())
    }
}

/// What stands in the database under a schema's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No store.
    Nothing,
    /// A store of this format.
    Store(u32),
}

/// What each format adds to the one before.
fn steps() -> [String; FORMAT as usize] {
    let by_rank = ("claim_by_rank", "r.rank DESC, r.due_at, r.id", "r.rank DESC, r.due_at NULLS FIRST, r.id");
    // The sum is what the index on those that are due has.
    let oldest = ("claim_oldest", "r.id + 0", "r.id + 0");
    let newest = ("claim_newest", "(r.id + 0) DESC", "(r.id + 0) DESC");
    let mut first = String::from(include_str!("sql/tables.sql"));
    first += include_str!("sql/apply.sql");
    for (name, due, all) in [by_rank, oldest, newest] {
        let claim = include_str!("sql/claim.sql");
        first += &claim.replace("CLAIM_NAME", name).replace("DUE_ORDER", due).replace("ALL_ORDER", all);
    }
    first += include_str!("sql/views.sql");
    [first]
}

/// All statements that make an empty schema of that name, for somebody who lets no program change the database.
pub(super) fn script(name: &Name) -> String {
    let steps = name.sql(&steps().join("\n"));
    let made = format!("INSERT INTO SCHEMA.store (format, reads_from) VALUES ({FORMAT}, {READS_FROM});\n");
    format!("CREATE SCHEMA IF NOT EXISTS \"{}\";\n\n{steps}\n{}", name.as_str(), name.sql(&made))
}

/// Reads what stands there; refuses what this release cannot work with.
pub(super) async fn identify(client: &Client, name: &Name) -> Result<Found, Error> {
    let failed = |found| error::of("cannot read the store's format", found);
    // Read as a table: what `to_regclass` knows may be older than the lock that a migration waited for.
    let look = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'store'),
         current_setting('server_version_num'), current_setting('server_encoding')";
    let params = [(&name.0 as &(dyn tokio_postgres::types::ToSql + Sync), tokio_postgres::types::Type::TEXT)];
    let rows = client.query_typed(look, &params).await.map_err(failed)?;
    let row = rows.first().ok_or_else(|| error::corrupt("no answer"))?;
    let (there, version, encoding): (bool, String, String) = (row.get(0), row.get(1), row.get(2));
    if version.parse::<i32>().is_ok_and(|version| version < SERVER_MIN) {
        return Err(Error::Setting {
            name: "server_version_num",
            found: version,
            needed: String::from("13 or newer"),
        });
    }
    if encoding != "UTF8" {
        return Err(Error::Setting {
            name: "server_encoding",
            found: encoding,
            needed: String::from("UTF8"),
        });
    }
    if !there {
        return Ok(Found::Nothing);
    }
    let format = name.sql("SELECT format, reads_from FROM SCHEMA.store");
    let rows = client.query_typed(&format, &[]).await.map_err(failed)?;
    let path = || std::path::PathBuf::from(format!("the schema {}", name.as_str()));
    let Some(row) = rows.first() else {
        return Err(Error::NotAStore { path: path(), found: String::from("a table without a format") });
    };
    let number = |column: usize| u32::try_from(row.get::<_, i32>(column)).unwrap_or(u32::MAX);
    let (format, reads_from) = (number(0), number(1));
    // A newer format that says that this release can still work with it is no reason to stop: a rolling deploy.
    if reads_from > FORMAT {
        return Err(Error::TooNew { path: path(), found: format, supported: FORMAT });
    }
    Ok(Found::Store(format))
}

/// Brings the schema to [`FORMAT`] in one transaction, and says what stood there before. Two at once go one after the
/// other; the second finds nothing left to do.
pub(super) async fn migrate(client: &mut Client, name: &Name) -> Result<Found, Error> {
    let failed = |found| error::of("cannot bring the store's format up to date", found);
    let tx = client.transaction().await.map_err(failed)?;
    let lock = format!("SELECT pg_advisory_xact_lock({})", name.lock());
    tx.batch_execute(&lock).await.map_err(failed)?;
    // Judged again under the lock: another host may have done it since.
    let found = identify(tx.client(), name).await?;
    let done = match found {
        Found::Nothing => 0,
        Found::Store(format) => format,
    };
    if done >= FORMAT {
        return Ok(found);
    }
    if done == 0 {
        tx.batch_execute(&script(name)).await.map_err(failed)?;
    } else {
        for step in steps().iter().skip(done as usize) {
            tx.batch_execute(&name.sql(step)).await.map_err(failed)?;
        }
        let set = format!("UPDATE SCHEMA.store SET format = {FORMAT}, reads_from = {READS_FROM}");
        tx.batch_execute(&name.sql(&set)).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(found)
}
