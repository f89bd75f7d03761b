//! The user's own transaction.

use std::time::Duration;

use tokio_postgres::NoTls;
use unattended::blocking::Blocking;
use unattended::postgres::Postgres;
use unattended::store::{ApplyError, Batch, Error, Expect, LeaseChange, Ns, Put, Store, Write};

use super::{database, insert, state};

const LEASE: Duration = Duration::from_secs(30);

fn held(store: &Postgres, key: &str) -> u64 {
    Blocking(store).apply(insert(key, Put::claim("processing", LEASE))).unwrap().first().unwrap().fence
}

fn completion(fence: u64) -> Batch {
    let put = Put { lease: LeaseChange::End, ..state("succeeded") };
    Batch::of(Write::new(Ns::RUN, "load", Expect::Fence(fence), put))
}

#[test]
fn a_batch_commits_and_rolls_back_with_the_users_rows() {
    let database = database!();
    let store = database.open();
    let fence = held(&store, "load");
    let page = format!("{}.page", database.schema);
    crate::pg::runtime().block_on(async {
        let (mut client, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE TABLE {page} (number integer)")).await.unwrap();
        let insert = format!("INSERT INTO {page} VALUES (7)");
        let tx = client.transaction().await.unwrap();
        store.apply_in(&tx, &completion(fence)).await.unwrap();
        tx.batch_execute(&insert).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(Blocking(&store).get(Ns::RUN, "load").unwrap().unwrap().state, "processing");
        let batch = completion(fence);
        let again = batch.again();
        let tx = client.transaction().await.unwrap();
        let applied = store.apply_in(&tx, &batch).await.unwrap();
        tx.batch_execute(&insert).await.unwrap();
        tx.commit().await.unwrap();
        let record = Blocking(&store).get(Ns::RUN, "load").unwrap().unwrap();
        assert_eq!((record.version, record.state.as_str()), (applied.first().unwrap().version, "succeeded"));
        assert!(Blocking(&store).apply(again).unwrap().replayed, "the same batch through the store");
    });
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.page"), "1");
}

#[test]
fn a_lost_fence_is_a_conflict_and_leaves_nothing_even_if_the_user_commits() {
    let database = database!();
    let store = database.open();
    let lost = held(&store, "load");
    let version = Blocking(&store).get(Ns::RUN, "load").unwrap().unwrap().version;
    let take = Put::claim("processing", LEASE);
    Blocking(&store).apply(Batch::of(Write::new(Ns::RUN, "load", Expect::Version(version), take))).unwrap();
    let zombie = Batch::new(vec![
        Write::new(Ns::RUN, "other", Expect::Absent, state("x")),
        Write::new(Ns::RUN, "load", Expect::Fence(lost), Put::renew(LEASE)),
    ]);
    crate::pg::runtime().block_on(async {
        let (mut client, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let tx = client.transaction().await.unwrap();
        let refused = store.apply_in(&tx, &zombie).await;
        assert!(matches!(&refused, Err(ApplyError::Conflict(lost)) if lost[0].index == 1), "{refused:?}");
        tx.commit().await.unwrap();
    });
    assert_eq!(Blocking(&store).get(Ns::RUN, "other").unwrap(), None);
}

#[test]
fn a_transaction_that_is_not_durable_is_refused() {
    let database = database!();
    let store = database.open();
    crate::pg::runtime().block_on(async {
        let (mut client, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("SET LOCAL synchronous_commit = off").await.unwrap();
        let refused = store.apply_in(&tx, &insert("a", state("x"))).await;
        let Err(ApplyError::NotApplied(Error::Setting { name: "synchronous_commit", .. })) = refused else {
            panic!("{refused:?}")
        };
    });
}

#[test]
fn no_takeover_commits_while_the_transaction_is_open() {
    let database = database!();
    let store = database.open();
    let fence = held(&store, "load");
    database.run("UPDATE SCHEMA.record SET lease_until = 0 WHERE key = 'load'");
    let version = Blocking(&store).get(Ns::RUN, "load").unwrap().unwrap().version;
    crate::pg::runtime().block_on(async {
        let pool = deadpool_postgres::Manager::new(database.url.parse().unwrap(), NoTls);
        let pool = deadpool_postgres::Pool::builder(pool).max_size(1).build().unwrap();
        let mut client = pool.get().await.unwrap();
        // A transaction of deadpool is one too.
        let tx = client.transaction().await.unwrap();
        let renew = Batch::of(Write::new(Ns::RUN, "load", Expect::Fence(fence), Put::renew(LEASE)));
        store.apply_in(&tx, &renew).await.unwrap();
        let take = Put::claim("processing", LEASE);
        let take = Batch::of(Write::new(Ns::RUN, "load", Expect::LeaseOver { version }, take));
        let store = &store;
        let mut takeover = std::pin::pin!(store.apply(take));
        let waited = tokio::time::timeout(Duration::from_millis(300), takeover.as_mut()).await;
        assert!(waited.is_err(), "it was decided while the transaction was open: {waited:?}");
        tx.commit().await.unwrap();
        let refused = takeover.await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "{refused:?}");
    });
}
