//! The user's own transaction: what the store remembers commits with what the user loads.

use tokio_postgres::Transaction;

use crate::remember::postgres::error::{self, Failed};
use crate::remember::postgres::schema::Name;
use crate::remember::postgres::write::{self, Columns, Verdict};
use crate::remember::postgres::{Postgres, SCHEMA};
use crate::remember::store::{Applied, ApplyError, Batch, Error};

/// Who holds a lease that a batch grants without naming an owner, where no handle applies it.
const NOBODY: &str = "postgres:transaction";

/// Applies `batch` inside your own transaction on the store's database, in the schema `unattended`: its writes commit or
/// roll back with yours. A transaction of deadpool is one of tokio-postgres too.
///
/// The rules are those of [`Store::apply`](crate::remember::store::Store::apply). Call it first in the transaction,
/// with the fence in the batch's precondition and a renewal in its change: then a lost fence is known before anything
/// is loaded, and no takeover can commit while the transaction is open. The record is locked until your transaction
/// ends, so keep it short, and use the default isolation level, READ COMMITTED. Somebody else's lock on the record is
/// waited for at most 10 s.
///
/// ```no_run
/// use unattended::postgres::apply_in;
/// use unattended::store::{Batch, Expect, LeaseChange, Ns, Put, Write};
///
/// # async fn load(client: &mut tokio_postgres::Client, fence: u64) -> Result<(), Box<dyn std::error::Error>> {
/// let tx = client.transaction().await?;
/// let put = Put { lease: LeaseChange::End, state: Some("succeeded".into()), ..Put::nothing() };
/// apply_in(&tx, &Batch::of(Write::new(Ns::RUN, "load/7", Expect::Fence(fence), put))).await?;
/// tx.batch_execute("INSERT INTO page VALUES (7)").await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ApplyError::Conflict`] when a precondition does not hold, such as a lost fence: nothing of the batch is written,
/// and you roll back. [`ApplyError::NotApplied`] when the transaction is not durable ([`Error::Setting`] for
/// `synchronous_commit = off`), when there is no store, or when the server refuses it. After any error of the server
/// the transaction can only be rolled back.
pub async fn apply_in(tx: &Transaction<'_>, batch: &Batch) -> Result<Applied, ApplyError> {
    apply(tx, batch, &Name::new(SCHEMA)?, NOBODY).await
}

impl Postgres {
    /// [`apply_in`](fn@apply_in) in this handle's schema and under its name.
    ///
    /// # Errors
    /// As there.
    pub async fn apply_in(&self, tx: &Transaction<'_>, batch: &Batch) -> Result<Applied, ApplyError> {
        apply(tx, batch, &self.link.schema, &self.link.owner).await
    }
}

async fn apply(
    tx: &Transaction<'_>,
    batch: &Batch,
    schema: &Name,
    owner: &str,
) -> Result<Applied, ApplyError> {
    write::check(batch)?;
    let failed = |action, found| match error::sent(action, found) {
        // Nothing of it can stand unless the caller commits, who cannot any more.
        Failed::Refused(error) | Failed::Again(error) | Failed::Open(error) => ApplyError::NotApplied(error),
    };
    let look = "SELECT current_setting('synchronous_commit')";
    let rows =
        tx.query_typed(look, &[]).await.map_err(|found| failed("cannot read a setting back", found))?;
    let found = rows.first().map_or(Ok(String::new()), |row| row.try_get::<_, String>(0));
    let found = found.map_err(|found| failed("cannot read a setting back", found))?;
    if found == "off" {
        let needed = String::from("on, for the transaction at least (SET LOCAL)");
        return Err(Error::Setting { name: "synchronous_commit", found, needed }.into());
    }
    let columns = Columns::of([batch]);
    let sql = schema.sql(&write::call());
    let answer = tx.query_typed(&sql, &columns.params(&owner, &true)).await;
    let answer = answer.map_err(|found| failed("cannot apply the batch", found))?;
    match write::verdicts(owner, &[batch], &answer)?.pop() {
        Some(Verdict::Applied(applied)) => Ok(applied),
        Some(Verdict::Conflict(lost)) => Err(ApplyError::Conflict(lost)),
        Some(Verdict::Again) | None => Err(Error::Busy { waited_ms: 0, allowed_ms: 0 }.into()),
    }
}
