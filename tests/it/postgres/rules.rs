//! The rules of the seam.

use std::time::Duration;

use unattended::postgres::Postgres;
use unattended::store::Store;
use unattended::testing::conformance::{self, Harness};

use super::database;
use crate::pg::{Database, pgbouncer};

/// Dropped in this order: the store first.
struct OnPostgres {
    store: Postgres,
    database: Database,
    url: String,
}

impl OnPostgres {
    fn new() -> Self {
        let database = Database::new().unwrap();
        let url = database.url.clone();
        Self::at(database, url)
    }

    fn behind_pgbouncer() -> Self {
        Self::at(Database::new().unwrap(), pgbouncer().unwrap().to_owned())
    }

    fn at(database: Database, url: String) -> Self {
        let store = database.open_at(&url);
        database.stop_the_clock();
        Self { store, database, url }
    }
}

impl Harness for OnPostgres {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn advance(&self, by: Duration) {
        self.database.advance(by);
    }

    fn second(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.database.open_at(&self.url)))
    }
}

#[test]
fn postgres_keeps_the_rules() {
    drop(database!());
    conformance::run(OnPostgres::new);
}

#[test]
fn postgres_and_memory_tell_the_same_story() {
    drop(database!());
    conformance::differential(OnPostgres::new, 0..10);
}

#[test]
fn the_rules_hold_behind_a_proxy_that_pools_transactions() {
    drop(database!());
    if pgbouncer().is_some() {
        conformance::run(OnPostgres::behind_pgbouncer);
    }
}
