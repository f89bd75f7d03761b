//! The statements of `docs/sql.md`, as a program with another driver would run them.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};
use unattended::blocking::Blocking;
use unattended::store::{Batch, BatchId, Expect, Ns, Put, Write};

use super::{database, state};
use crate::pg::Database;

/// The statement under a heading, in the schema of this test.
fn statement(heading: &str, schema: &str) -> String {
    let page = include_str!("../../../docs/sql.md");
    let (_, rest) =
        page.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let (_, rest) = rest.split_once("```sql\n").unwrap();
    let (sql, _) = rest.split_once("```").unwrap();
    sql.replace("unattended.", &format!("{schema}."))
}

fn batch() -> uuid::Uuid {
    uuid::Uuid::from_bytes(*BatchId::new().as_bytes())
}

struct Theirs<'a> {
    runtime: tokio::runtime::Runtime,
    client: Client,
    schema: &'a str,
}

impl<'a> Theirs<'a> {
    fn connect(database: &'a Database) -> Self {
        let runtime = crate::pg::runtime();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&database.url, NoTls)).unwrap();
        runtime.spawn(connection);
        Self { runtime, client, schema: &database.schema }
    }

    fn run(&self, heading: &str, binds: &[&(dyn ToSql + Sync)]) -> Option<Row> {
        let sql = statement(heading, self.schema);
        let rows = self.runtime.block_on(self.client.query(&sql, binds));
        let rows = rows.unwrap_or_else(|error| panic!("{heading}: {error:?}"));
        assert!(rows.len() < 2, "{heading}");
        rows.into_iter().next()
    }

    fn claim(&self) -> Option<Row> {
        let print = Some("jcs1:sha256:00");
        self.run(
            "### claim",
            &[&NS, &"k", &"claimed", &"them", &LEASE, &print, &batch(), &"{}", &"them", &"c", &"why"],
        )
    }

    fn take_over(&self, seen: i64) -> Option<Row> {
        self.run(
            "### take over",
            &[&NS, &"k", &seen, &"claimed", &"other", &LEASE, &batch(), &"other", &"c", &"why"],
        )
    }

    fn renew(&self, fence: i64, lease: i64) -> Option<Row> {
        self.run("### renew", &[&NS, &"k", &fence, &lease, &batch()])
    }

    fn complete(&self, fence: i64, body: &str) -> Option<Row> {
        self.run(
            "### complete",
            &[&NS, &"k", &fence, &"succeeded", &body, &batch(), &"other", &"done", &"why"],
        )
    }
}

const NS: i32 = 1000;
const LEASE: i64 = 30_000;

#[test]
fn the_statements_of_the_page_keep_the_rules_that_the_store_keeps() {
    let database = database!();
    let store = database.open();
    let theirs = Theirs::connect(&database);
    let ns = Ns::custom(1000).unwrap();
    let fence: i64 = theirs.claim().unwrap().get(1);
    assert!(theirs.claim().is_none(), "the key is taken");
    let seen = theirs.run("### look", &[&NS, &"k"]).unwrap();
    let (version, over): (i64, bool) = (seen.get(0), seen.get(5));
    assert_eq!((version, over), (fence, false));
    // The store sees the same holder, and keeps to it.
    let record = Blocking(&store).get(ns, "k").unwrap().unwrap();
    assert!(
        record.leased() && record.fence == fence.unsigned_abs() && record.owner.as_deref() == Some("them")
    );
    let expect = Expect::LeaseOver { version: record.version };
    assert!(Blocking(&store).apply(Batch::of(Write::new(ns, "k", expect, state("stolen")))).is_err());
    assert!(theirs.take_over(version).is_none(), "a live lease is not over");
    let version: i64 = theirs.renew(fence, 0).unwrap().get(0);
    assert!(version > fence);
    let second: i64 = theirs.take_over(version).unwrap().get(1);
    assert!(second > fence);
    assert!(
        theirs.renew(fence, LEASE).is_none() && theirs.complete(fence, "{}").is_none(),
        "the zombie is refused"
    );
    let ours = Put { rank: Some(7), ..Put::nothing() };
    Blocking(&store)
        .apply(Batch::of(Write::new(ns, "k", Expect::Fence(second.unsigned_abs()), ours)))
        .unwrap();
    let version: i64 = theirs.complete(second, "[1]").unwrap().get(0);
    let record = Blocking(&store).get(ns, "k").unwrap().unwrap();
    assert_eq!((record.state.as_str(), record.body.as_str(), record.rank), ("succeeded", "[1]", 7));
    assert_eq!((record.version, record.lease), (version.unsigned_abs(), None));
    let events = Blocking(&store).events(ns, "k", 0, 9).unwrap();
    let told = events.iter().map(|one| (one.event.actor.as_str(), one.event.from.as_deref()));
    let told: Vec<(&str, Option<&str>)> = told.collect();
    assert_eq!(told, [("them", None), ("other", Some("claimed")), ("other", Some("claimed"))]);
}

#[test]
fn the_other_statements_of_the_page_run() {
    let database = database!();
    drop(database.open());
    let theirs = Theirs::connect(&database);
    let arguments: String = theirs.run("### apply", &[]).unwrap().get(0);
    assert!(arguments.starts_with("handle text, patient boolean"), "{arguments}");
    assert!(theirs.run("## Views", &[]).is_none(), "no dead letters yet");
}
