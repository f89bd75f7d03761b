//! What is particular to the PostgreSQL store, and the rules of the seam on it.
#![allow(clippy::unwrap_used, reason = "a test helper stops at the first failure")]
#![allow(clippy::panic, reason = "a test helper stops at the first failure")]

mod contract;
mod groups;
mod links;
mod opening;
mod own;
mod proxy;
mod rules;
#[cfg(feature = "postgres-tls")]
mod tls;

use unattended::store::{Batch, Expect, Ns, Put, Write};

/// The test's own schema, or the end of the test where there is no PostgreSQL.
macro_rules! database {
    () => {
        match crate::pg::Database::new() {
            Some(database) => database,
            None => return,
        }
    };
}
use database;

fn state(state: &str) -> Put {
    Put { state: Some(state.into()), ..Put::nothing() }
}

fn insert(key: &str, put: Put) -> Batch {
    Batch::of(Write::new(Ns::RUN, key, Expect::Absent, put))
}
