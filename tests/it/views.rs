//! What operators read with the database's own tool: the same views in both databases.
#![allow(clippy::unwrap_used, reason = "a test helper stops at the first failure")]

use std::time::Duration;

use unattended::blocking::Blocking;
use unattended::store::{Batch, Change, Event, Expect, LeaseChange, Ns, Put, Store, Write};
use unattended::time::Timestamp;

/// Each view and its columns, in order.
const VIEWS: [(&str, &str); 7] = [
    (
        "runs",
        "id job schema_version state attempt crash_count owner lease_until due_at expires_at paused cancelling \
         reviewed_at code why idempotency_key replay_of created_at updated_at",
    ),
    ("dead_letters", "id job state attempt code why question idempotency_key created_at updated_at"),
    ("waiting", "id job token deadline due_at since"),
    ("run_history", "run seq at from_state to_state actor attempt step code why data"),
    ("ledger", "key status fingerprint run generation owner lease_until expires_at created_at updated_at"),
    ("saved_states", "name kind version value updated_at"),
    ("leases", "name state owner fence lease_until updated_at"),
];

/// What is asked of the views, and what they answer: texts, whatever the database's own types are.
const ANSWERS: [(&str, &str); 10] = [
    (
        "SELECT id || ' ' || job || ' ' || schema_version || ' ' || attempt FROM runs WHERE id = 'r1'",
        "r1 ingest 2 3",
    ),
    (
        "SELECT code || ', ' || why || ', ' || idempotency_key || ', ' || replay_of FROM runs WHERE id = 'r1'",
        "http.503, it was down, billing/invoice/42, r0",
    ),
    ("SELECT id FROM dead_letters", "r1"),
    ("SELECT question FROM dead_letters", "was it done?"),
    ("SELECT token || ' ' || deadline FROM waiting", "approval 2026-11-22T00:00:00Z"),
    ("SELECT count(*) FROM runs WHERE code IS NULL", "1"),
    (
        "SELECT to_state || ' ' || actor || ' ' || code FROM run_history WHERE run = 'r1'",
        "needs_review worker:1 x.y",
    ),
    (
        "SELECT run || ' ' || generation || ' ' || status || ' ' || fingerprint FROM ledger",
        "r1 7 claimed jcs1:sha256:00",
    ),
    ("SELECT name || ' ' || kind || ' ' || value FROM saved_states", "breaker/api breaker {\"v\":1}"),
    ("SELECT name || ' ' || owner FROM leases WHERE lease_until IS NOT NULL", "leader worker:9"),
];

fn fill(store: &dyn Store) {
    let store = Blocking(store);
    let put = |state: &str, kind: &str, body: &str| Put {
        state: Some(state.into()),
        kind: Some(kind.into()),
        body: Some(body.into()),
        ..Put::nothing()
    };
    let write = |ns, key: &str, put| Write::new(ns, key, Expect::Absent, put);
    let review = r#"{"v":1,"key":"billing/invoice/42","input":{},"schema":2,"attempt":3,"crash_count":0,
        "generation":1,"replay_of":"r0","steps":[],"code":"http.503","why":"it was down",
        "question":{"code":"c","text":"was it done?","options":[]}}"#;
    let event = Event::new(None, "needs_review", "worker:1", "x.y", "why");
    let reviewed =
        Put { reviewed_at: Change::to(Timestamp::UNIX_EPOCH), ..put("failed_permanent", "other", "no json") };
    let wait = r#"{"code":"w","wait":{"token":"approval","deadline":"2026-11-22T00:00:00Z"}}"#;
    let lease = LeaseChange::For(Duration::from_secs(30));
    let entry = Put {
        fingerprint: Change::to("jcs1:sha256:00".into()),
        ..put("claimed", "", r#"{"v":1,"run":"r1","generation":7}"#)
    };
    let held = Put { lease, owner: Some("worker:9".into()), ..put("held", "", "{}") };
    let writes = vec![
        write(Ns::RUN, "r1", put("needs_review", "ingest@2", review)).event(event),
        write(Ns::RUN, "r2", reviewed),
        write(Ns::RUN, "r3", put("waiting_external", "ingest", wait)),
        write(Ns::LEDGER, "billing/invoice/42", entry),
        write(Ns::SNAPSHOT, "breaker/api", put("saved", "breaker", r#"{"v":1}"#)),
        write(Ns::LEASE, "leader", held),
    ];
    store.apply(Batch::new(writes)).unwrap();
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_shows_what_it_keeps() {
    use unattended::sqlite::{self, Sqlite};
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("store.db")).unwrap();
    fill(&store);
    // A connection that trusts no schema: the views call nothing that it forbids.
    let connection = sqlite::connect_like(&store).unwrap();
    for (view, columns) in VIEWS {
        let statement = connection.prepare(&format!("SELECT * FROM {view}")).unwrap();
        let found = Vec::from_iter(statement.column_names());
        assert_eq!(found.join(" "), columns, "{view}");
    }
    for (question, answer) in ANSWERS {
        let sql = format!("SELECT CAST(({question}) AS TEXT)");
        let found: String = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(found, answer, "{question}");
    }
    let year = "SELECT substr(updated_at, 1, 2) || length(updated_at) FROM runs LIMIT 1";
    assert_eq!(
        connection.query_row(year, [], |row| row.get::<_, String>(0)).unwrap(),
        "2024",
        "an instant that is read"
    );
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_shows_the_same() {
    let Some(database) = crate::pg::Database::new() else { return };
    fill(&database.open());
    for (view, columns) in VIEWS {
        let of = format!(
            "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns
             WHERE table_schema = '{}' AND table_name = '{view}'",
            database.schema
        );
        assert_eq!(database.value(&of), columns, "{view}");
    }
    for (question, answer) in ANSWERS {
        let here = question.replace(" FROM ", " FROM SCHEMA.");
        assert_eq!(database.value(&here), answer, "{question}");
    }
    assert_eq!(
        database.value("SELECT pg_typeof(updated_at) FROM SCHEMA.runs LIMIT 1"),
        "timestamp with time zone"
    );
}
