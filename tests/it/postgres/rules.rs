//! The rules of the seam.

use std::time::Duration;

use unattended::postgres::Postgres;
use unattended::store::Store;
use unattended::testing::conformance::{self, Harness};

use super::database;
use crate::pg::Database;

/// Dropped in this order: the store first.
struct OnPostgres {
    store: Postgres,
    database: Database,
}

impl OnPostgres {
    fn new() -> Self {
        let database = Database::new().unwrap();
        let store = database.open();
        database.stop_the_clock();
        Self { store, database }
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
        Some(Box::new(self.database.open()))
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
    conformance::differential(OnPostgres::new, 0..20);
}
