//! What is particular to the SQLite store: its file, its settings, and the user's own transactions on it.
#![allow(clippy::unwrap_used, reason = "a test helper stops at the first failure")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use unattended::blocking::Blocking;
use unattended::sqlite::{self, Sqlite};
use unattended::store::{
    ApplyError, Batch, Change, Error, Event, Expect, LeaseChange, Ns, Put, Query, Store, Write,
};
use unattended::testing::conformance::HandClock;

const LEASE: Duration = Duration::from_secs(30);

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn state(state: &str) -> Put {
    Put { state: Some(state.into()), ..Put::nothing() }
}

fn insert(key: &str, put: Put) -> Batch {
    Batch::of(Write::new(Ns::RUN, key, Expect::Absent, put))
}

fn claimed(store: &Sqlite, key: &str) -> u64 {
    let event = Event::new(None, "processing", "worker:1", "claimed", "nobody had it");
    let claim = Write::new(Ns::RUN, key, Expect::Absent, Put::claim("processing", LEASE)).event(event);
    Blocking(store).apply(Batch::of(claim)).unwrap().first().unwrap().fence
}

fn golden(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/store-v{format}.db"))
}

/// A store with every column in use, as the golden file holds it. `UNATTENDED_BLESS=store` keeps it as the golden file:
/// once for a new format, and never again for an old one.
#[test]
fn a_store_with_every_column_is_sound() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    claimed(&store, "held");
    let at = chrono_like(&store);
    let full = Put {
        kind: Some("ingest".into()),
        rank: Some(-7),
        serial_key: Change::to("tenant-1".into()),
        due_at: Change::to(at),
        expires_at: Change::to(at),
        reviewed_at: Change::to(at),
        paused: Some(true),
        cancelling: Some(true),
        fingerprint: Change::to("jcs1:sha256:00".into()),
        body: Some(r#"{"n":9007199254740993}"#.into()),
        ..state("queued")
    };
    Blocking(&store).apply(insert("full", full)).unwrap();
    Blocking(&store).apply(Batch::of(Write::new(Ns::LEDGER, "full", Expect::Absent, state("done")))).unwrap();
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    drop(store);
    if std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "store") {
        std::fs::copy(&path, golden(sqlite::FORMAT)).unwrap();
    }
}

fn chrono_like(store: &Sqlite) -> unattended::time::Timestamp {
    Blocking(store).get(Ns::RUN, "held").unwrap().unwrap().created_at
}

#[test]
fn a_file_of_each_format_opens_and_reads_as_it_was_written() {
    for format in 1..=sqlite::FORMAT {
        let (_folder, path) = folder();
        std::fs::copy(golden(format), &path).unwrap();
        reads_as_it_was_written(&Sqlite::options().read_only().open(&path).unwrap());
        let store = Sqlite::options().create(false).open(&path).unwrap();
        reads_as_it_was_written(&store);
        let held = Blocking(&store).get(Ns::RUN, "held").unwrap().unwrap();
        let renewed = Write::new(Ns::RUN, "held", Expect::Fence(held.fence), Put::renew(LEASE));
        Blocking(&store).apply(Batch::of(renewed)).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        assert_eq!(store.info().unwrap().format, sqlite::FORMAT, "it was brought up to date");
    }
}

fn reads_as_it_was_written(store: &Sqlite) {
    let full = Blocking(store).get(Ns::RUN, "full").unwrap().unwrap();
    assert_eq!((full.kind.as_str(), full.rank, full.state.as_str()), ("ingest", -7, "queued"));
    assert_eq!(full.body, r#"{"n":9007199254740993}"#);
    assert!(full.paused && full.cancelling && full.due_at.is_some() && full.reviewed_at == full.expires_at);
    let held = Blocking(store).get(Ns::RUN, "held").unwrap().unwrap();
    assert!(held.lease.is_some_and(|lease| lease.over), "its boot and its owner are gone");
    assert_eq!(Blocking(store).events(Ns::RUN, "held", 0, 9).unwrap()[0].event.code, "claimed");
    assert_eq!(Blocking(store).scan(Query::all(Ns::LEDGER)).unwrap().records.len(), 1);
}

#[test]
fn a_table_of_the_users_own_keeps_its_name_and_the_other_views_are_made() {
    let (_folder, path) = folder();
    std::fs::copy(golden(1), &path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE runs (mine TEXT) STRICT").unwrap();
    drop(Sqlite::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM pragma_table_info('runs')"), 1, "the user's table");
    assert_eq!(count("SELECT count(*) FROM ledger"), 1);
    assert_eq!(count("SELECT count(*) FROM dead_letters"), 0);
}

#[test]
fn a_missing_store_is_missing_and_an_empty_file_is_filled() {
    let (_folder, path) = folder();
    let missing = Sqlite::options().create(false).open(&path);
    assert!(matches!(missing, Err(Error::Missing { .. })), "{missing:?}");
    assert!(!path.exists(), "nothing was made");
    let nowhere = Sqlite::open(path.parent().unwrap().join("no/such/folder/store.db"));
    assert!(matches!(nowhere, Err(Error::Missing { .. })), "{nowhere:?}");
    std::fs::write(&path, "").unwrap();
    claimed(&Sqlite::open(&path).unwrap(), "a");
}

#[test]
#[cfg(unix)]
fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    claimed(&store, "a");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        if entry.file_name() != "store.db-reserve" {
            assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
        }
    }
}

#[test]
fn what_is_not_a_store_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    for content in ["hello, I am a text file", "x"] {
        std::fs::write(&path, content).unwrap();
        let found = Sqlite::open(&path);
        assert!(matches!(found, Err(Error::NotAStore { .. })), "{found:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    std::fs::remove_file(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 1").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let found = Sqlite::open(&path);
    assert!(matches!(found, Err(Error::NotAStore { .. })), "{found:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "another program's database was changed");
}

#[test]
fn a_newer_format_is_refused_by_both_numbers() {
    let (_folder, path) = folder();
    drop(Sqlite::open(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let found = Sqlite::open(&path);
    assert!(matches!(found, Err(Error::TooNew { found: 99, supported: sqlite::FORMAT, .. })), "{found:?}");
}

#[test]
fn damage_is_a_typed_error_and_never_an_empty_store() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    for index in 0..200 {
        claimed(&store, &format!("k{index}"));
    }
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let damages: Vec<(String, Vec<u8>)> = [20, 60, 1000, 4096, 5000, 20_000, whole.len() - 4096]
        .into_iter()
        .map(|length| (format!("cut at {length}"), whole[..length].to_vec()))
        .chain((0..whole.len() / 4096).map(|page| {
            let mut bytes = whole.clone();
            for byte in &mut bytes[page * 4096 + if page == 0 { 100 } else { 0 }..(page + 1) * 4096] {
                *byte ^= 0x5a;
            }
            (format!("page {page} flipped"), bytes)
        }))
        .collect();
    for (what, bytes) in damages {
        std::fs::write(&path, bytes).unwrap();
        let found = Sqlite::open(&path).and_then(|store| {
            let findings = store.check()?;
            for index in (0..200).step_by(20) {
                Blocking(&store).get(Ns::RUN, &format!("k{index}"))?;
            }
            Ok(findings)
        });
        match found {
            Err(Error::Corrupt { .. } | Error::NotAStore { .. }) => {}
            Ok(findings) => assert!(!findings.is_empty(), "{what}: nothing was found"),
            Err(other) => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn the_settings_are_read_back() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let settings = store.info().unwrap().settings;
    assert_eq!(
        (settings.journal_mode.as_str(), settings.synchronous, settings.foreign_keys),
        ("wal", 2, true)
    );
    let own = sqlite::connect_like(&store).unwrap();
    let number = |name| own.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((number("synchronous"), number("foreign_keys"), number("trusted_schema")), (2, 1, 0));
}

#[test]
fn a_reader_reads_and_writes_nothing() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    claimed(&store, "a");
    let reader = Sqlite::options().read_only().open(&path).unwrap();
    assert!(Blocking(&reader).get(Ns::RUN, "a").unwrap().unwrap().leased(), "its owner lives");
    let refused = Blocking(&reader).apply(insert("b", state("x")));
    assert!(matches!(refused, Err(ApplyError::NotApplied(Error::ReadOnly { .. }))), "{refused:?}");
    assert!(matches!(sqlite::connect_like(&reader), Err(Error::ReadOnly { .. })));
    drop(store);
    assert!(!Blocking(&reader).get(Ns::RUN, "a").unwrap().unwrap().leased(), "its owner is gone");
}

#[test]
fn the_lock_folder_is_part_of_the_store() {
    let (folder, path) = folder();
    let locks = folder.path().join("elsewhere");
    drop(Sqlite::options().lock_dir(&locks).open(&path).unwrap());
    let found = Sqlite::open(&path);
    assert!(matches!(found, Err(Error::Setting { name: "lock_dir", .. })), "{found:?}");
    let store = Sqlite::options().lock_dir(&locks).open(&path).unwrap();
    claimed(&store, "a");
}

#[test]
fn a_store_opens_again_after_many_times_and_leaves_no_owners_behind() {
    let (folder, path) = folder();
    for index in 0..20 {
        claimed(&Sqlite::open(&path).unwrap(), &format!("k{index}"));
    }
    let store = Sqlite::open(&path).unwrap();
    let owners = std::fs::read_dir(folder.path().join("store.db-lock")).unwrap();
    let owners =
        owners.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("owner-"));
    assert_eq!(owners.count(), 1, "this handle's own");
    assert_eq!(store.info().unwrap().states, [(Ns::RUN, String::from("processing"), 20)]);
}

#[test]
fn a_batch_commits_and_rolls_back_with_the_users_rows() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let fence = claimed(&store, "load");
    let complete = || {
        let put = Put { lease: LeaseChange::End, ..state("succeeded") };
        Batch::of(Write::new(Ns::RUN, "load", Expect::Fence(fence), put))
    };
    type Failed = Box<dyn std::error::Error>;
    let rolled: Result<(), Failed> = store.transaction(|tx| {
        tx.execute_batch("CREATE TABLE page (number INTEGER) STRICT; INSERT INTO page VALUES (1)")?;
        sqlite::apply_in(tx, &complete())?;
        Err("the page is torn".into())
    });
    assert_eq!(rolled.unwrap_err().to_string(), "the page is torn");
    assert_eq!(Blocking(&store).get(Ns::RUN, "load").unwrap().unwrap().state, "processing");
    let batch = complete();
    let again = batch.again();
    let loaded: Result<u64, Failed> = store.transaction(|tx| {
        let applied = sqlite::apply_in(tx, &batch)?;
        tx.execute_batch("CREATE TABLE page (number INTEGER) STRICT; INSERT INTO page VALUES (1)")?;
        Ok(applied.first().unwrap().version)
    });
    let record = Blocking(&store).get(Ns::RUN, "load").unwrap().unwrap();
    assert_eq!((record.version, record.state.as_str()), (loaded.unwrap(), "succeeded"));
    assert!(Blocking(&store).apply(again).unwrap().replayed, "the same batch through the store");
    let version = |batch| Blocking(&store).apply(batch).unwrap().first().unwrap().version;
    assert!(version(insert("next", state("x"))) > record.version);
}

#[test]
fn a_lost_fence_is_a_conflict_and_leaves_nothing() {
    let (_folder, path) = folder();
    let clock = Arc::new(HandClock::new());
    let store = Sqlite::options().clock(Arc::clone(&clock) as Arc<_>).open(&path).unwrap();
    let lost = claimed(&store, "load");
    clock.advance(LEASE);
    let version = Blocking(&store).get(Ns::RUN, "load").unwrap().unwrap().version;
    let expect = Expect::LeaseOver { version };
    let takeover = Write::new(Ns::RUN, "load", expect, Put::claim("processing", LEASE));
    Blocking(&store).apply(Batch::of(takeover)).unwrap();
    let zombie = Batch::new(vec![
        Write::new(Ns::RUN, "other", Expect::Absent, state("x")),
        Write::new(Ns::RUN, "load", Expect::Fence(lost), Put::renew(LEASE)),
    ]);
    let refused: Result<(), ApplyError> = store.transaction(|tx| sqlite::apply_in(tx, &zombie).map(drop));
    assert!(matches!(refused, Err(ApplyError::Conflict(conflicts)) if conflicts[0].index == 1));
    // On the user's own connection, also when the user commits in spite of the conflict.
    let mut own = sqlite::connect_like(&store).unwrap();
    let tx = own.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    assert!(matches!(sqlite::apply_in(&tx, &zombie), Err(ApplyError::Conflict(_))));
    tx.commit().unwrap();
    assert_eq!(Blocking(&store).get(Ns::RUN, "other").unwrap(), None);
}

#[test]
fn a_connection_made_like_the_store_claims_in_its_name() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let mut own = sqlite::connect_like(&store).unwrap();
    let tx = own.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    sqlite::apply_in(&tx, &insert("a", Put::claim("processing", LEASE))).unwrap();
    tx.commit().unwrap();
    let record = Blocking(&store).get(Ns::RUN, "a").unwrap().unwrap();
    assert_eq!(record.owner.as_deref(), Some(store.owner()));
    drop((own, store));
    let store = Sqlite::open(&path).unwrap();
    assert!(!Blocking(&store).get(Ns::RUN, "a").unwrap().unwrap().leased(), "the handle is gone");
}

#[test]
fn a_connection_that_is_less_durable_is_refused() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    claimed(&store, "a");
    let mut own = Connection::open(&path).unwrap();
    own.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    let tx = own.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let refused = sqlite::apply_in(&tx, &insert("b", state("x")));
    assert!(
        matches!(refused, Err(ApplyError::NotApplied(Error::Setting { name: "synchronous", .. }))),
        "{refused:?}"
    );
    drop(tx);
    own.execute_batch("PRAGMA synchronous = FULL").unwrap();
    let tx = own.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    sqlite::apply_in(&tx, &insert("b", Put::claim("processing", LEASE))).unwrap();
    tx.commit().unwrap();
    assert!(
        Blocking(&store).get(Ns::RUN, "b").unwrap().unwrap().leased(),
        "nobody's handle, so time alone ends it"
    );
}

#[test]
fn a_deferred_transaction_that_came_too_late_is_told_so() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let mut own = sqlite::connect_like(&store).unwrap();
    let tx = own.transaction().unwrap();
    let _: i64 = tx.query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap();
    claimed(&store, "between");
    let refused = sqlite::apply_in(&tx, &insert("b", state("x")));
    assert!(
        matches!(refused, Err(ApplyError::NotApplied(Error::Setting { name: "transaction", .. }))),
        "{refused:?}"
    );
}

#[test]
fn writing_through_the_store_inside_its_transaction_is_refused_not_waited_for() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let inside: Result<(), Error> = store.transaction(|_| {
        let refused = Blocking(&store).apply(insert("a", state("x")));
        assert!(matches!(refused, Err(ApplyError::NotApplied(Error::WouldDeadlock { what: "apply", .. }))));
        let nested: Result<(), Error> = store.transaction(|_| Ok(()));
        assert!(matches!(nested, Err(Error::WouldDeadlock { .. })));
        assert_eq!(Blocking(&store).get(Ns::RUN, "a")?, None, "reading is fine");
        Ok(())
    });
    inside.unwrap();
    Blocking(&store).apply(insert("a", state("x"))).expect("outside it is fine again");
}

#[test]
fn a_renewal_waits_for_the_users_transaction_and_succeeds() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    let fence = claimed(&store, "load");
    std::thread::scope(|scope| {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let store = &store;
        let load = scope.spawn(move || {
            store.transaction(|_| -> Result<(), Error> {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
                Ok(())
            })
        });
        has_begun.recv().unwrap();
        let renew = Batch::of(Write::new(Ns::RUN, "load", Expect::Fence(fence), Put::renew(LEASE)));
        let renewal = scope.spawn(move || Blocking(store).apply(renew));
        #[allow(clippy::disallowed_methods, reason = "the renewal must find the file busy for a while")]
        std::thread::sleep(Duration::from_millis(150));
        assert!(!renewal.is_finished(), "a renewal was written beside an open write transaction");
        end.send(()).unwrap();
        load.join().unwrap().unwrap();
        renewal.join().unwrap().unwrap();
    });
}

#[test]
fn requests_that_wait_share_a_commit_and_a_conflict_undoes_its_own_alone() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    Blocking(&store).apply(insert("taken", state("x"))).unwrap();
    let before = store.info().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = Arc::new(store);
    let results = runtime.block_on(async {
        let tasks: Vec<_> = (0..60)
            .map(|index| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let key = if index % 10 == 0 { String::from("taken") } else { format!("k{index}") };
                    let mut batch = insert(&key, state("y"));
                    batch.push(Write::new(Ns::LEDGER, format!("k{index}"), Expect::Absent, state("y")));
                    store.apply(batch).await
                })
            })
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    });
    for (index, result) in results.iter().enumerate() {
        let ledger = Blocking(&*store).get(Ns::LEDGER, &format!("k{index}")).unwrap();
        assert_eq!(result.is_err(), index % 10 == 0, "{result:?}");
        assert_eq!(ledger.is_none(), index % 10 == 0, "the other half of request {index}");
    }
    let after = store.info().unwrap();
    assert_eq!(after.batches - before.batches, 60);
    assert!(after.commits - before.commits < 30, "{} commits for 60 batches", after.commits - before.commits);
}

#[test]
fn a_store_that_stays_busy_is_an_error_after_its_bound() {
    let (_folder, path) = folder();
    let store = Sqlite::options().busy_max(Duration::from_millis(80)).open(&path).unwrap();
    let mut own = sqlite::connect_like(&store).unwrap();
    let tx = own.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let busy = Blocking(&store).apply(insert("a", state("x")));
    assert!(
        matches!(busy, Err(ApplyError::NotApplied(Error::Busy { waited_ms: 80.., allowed_ms: 80 }))),
        "{busy:?}"
    );
    assert_eq!(Blocking(&store).get(Ns::RUN, "a").unwrap(), None, "a read waits for nobody");
    drop(tx);
    Blocking(&store).apply(insert("a", state("x"))).unwrap();
}

#[test]
fn check_finds_what_must_not_be() {
    let (_folder, path) = folder();
    let store = Sqlite::open(&path).unwrap();
    claimed(&store, "a");
    claimed(&store, "b");
    let own = Connection::open(&path).unwrap();
    own.execute_batch(
        "PRAGMA foreign_keys = OFF; UPDATE record SET state = 'succeeded' WHERE key = 'a';
         UPDATE record SET lease_boot = NULL, version = 99 WHERE key = 'b'; UPDATE event SET record_id = 5 WHERE seq = 1",
    )
    .unwrap();
    let findings = store.check().unwrap().join("\n");
    for found in [
        "a lease on a run that has ended: a",
        "half a lease: b",
        "a version that was never given: b",
        "reference:",
    ] {
        assert!(findings.contains(found), "{found:?} is missing in {findings}");
    }
}
