//! Connections that break, a server that is down or says nothing.
#![allow(clippy::disallowed_methods, reason = "that a wait is bounded is seen in real time")]

use std::time::{Duration, Instant};

use unattended::blocking::Blocking;
use unattended::fault::{Class, Classify};
use unattended::postgres::Postgres;
use unattended::store::{ApplyError, Batch, Error, Event, Expect, Ns, Put, Write};

use super::proxy::{Mode, Proxy};
use super::{database, insert, state};
use crate::pg::Database;

/// Bounds that a test can wait for.
fn opened(database: &Database, proxy: &Proxy) -> Postgres {
    let options = Postgres::options().schema(database.schema.as_str());
    let options = options.connect_max(Duration::from_secs(2)).answer_max(Duration::from_secs(2));
    drop(database.open());
    options.connect_blocking(&proxy.url).unwrap()
}

fn told(key: &str) -> Batch {
    let event = Event::new(None, "queued", "test:link", "made", "a test made it");
    Batch::of(Write::new(Ns::RUN, key, Expect::Absent, state("queued")).event(event))
}

#[test]
fn a_connection_cut_after_the_commit_leaves_the_outcome_open_and_the_second_sending_adopts_it() {
    let database = database!();
    let proxy = Proxy::before(&database.url);
    let store = opened(&database, &proxy);
    Blocking(&store).apply(told("before")).unwrap();
    proxy.set(Mode::CutAfterAWrite);
    let batch = told("a");
    let again = batch.again();
    let open = Blocking(&store).apply(batch);
    assert!(matches!(open, Err(ApplyError::Unknown(Error::Unreachable { .. }))), "{open:?}");
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.record WHERE key = 'a'"), "1", "it was committed");
    let adopted = Blocking(&store).apply(again).unwrap();
    assert!(adopted.replayed);
    assert_eq!(
        adopted.first().unwrap().version,
        Blocking(&store).get(Ns::RUN, "a").unwrap().unwrap().version
    );
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.event AS e JOIN SCHEMA.record AS r ON r.id = record_id WHERE key = 'a'"), "1");
}

#[test]
fn a_connection_cut_before_the_write_arrived_leaves_nothing_and_the_second_sending_writes_it() {
    let database = database!();
    let proxy = Proxy::before(&database.url);
    let store = opened(&database, &proxy);
    Blocking(&store).apply(told("before")).unwrap();
    proxy.set(Mode::CutBeforeAWrite);
    let batch = told("a");
    let again = batch.again();
    let open = Blocking(&store).apply(batch);
    assert!(matches!(open, Err(ApplyError::Unknown(_))), "from here nobody can know: {open:?}");
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.record WHERE key = 'a'"), "0");
    assert!(!Blocking(&store).apply(again).unwrap().replayed);
    assert_eq!(Blocking(&store).events(Ns::RUN, "a", 0, 9).unwrap().len(), 1);
}

#[test]
fn a_server_that_is_down_is_a_transient_error_in_bounded_time_and_is_found_again() {
    let database = database!();
    let proxy = Proxy::before(&database.url);
    let store = opened(&database, &proxy);
    Blocking(&store).apply(told("a")).unwrap();
    proxy.set(Mode::Down);
    let begun = Instant::now();
    let (late, resent) = (told("b"), told("b"));
    let found = Blocking(&store).get(Ns::RUN, "a").unwrap_err();
    assert!(matches!(found, Error::Unreachable { .. }), "{found:?}");
    assert_eq!(found.fault().class, Class::Transient);
    // The first write may go over a connection that is not known to be cut yet.
    drop(Blocking(&store).apply(told("c")));
    let refused = Blocking(&store).apply(late);
    assert!(matches!(refused, Err(ApplyError::NotApplied(Error::Unreachable { .. }))), "{refused:?}");
    let open = Blocking(&store).apply(resent.again());
    assert!(matches!(open, Err(ApplyError::Unknown(_))), "its first sending may have arrived: {open:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    proxy.set(Mode::Pass);
    assert_eq!(Blocking(&store).get(Ns::RUN, "b").unwrap(), None);
    Blocking(&store).apply(told("d")).unwrap();
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_bounded_time() {
    let database = database!();
    let proxy = Proxy::before(&database.url);
    let store = opened(&database, &proxy);
    Blocking(&store).apply(told("a")).unwrap();
    proxy.set(Mode::Silent);
    let begun = Instant::now();
    let batch = told("b");
    let again = batch.again();
    let open = Blocking(&store).apply(batch);
    assert!(matches!(open, Err(ApplyError::Unknown(Error::Unreachable { .. }))), "{open:?}");
    let found = Blocking(&store).get(Ns::RUN, "a");
    assert!(matches!(found, Err(Error::Unreachable { .. })), "{found:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    proxy.set(Mode::Pass);
    Blocking(&store).apply(again).unwrap();
    assert_eq!(Blocking(&store).events(Ns::RUN, "b", 0, 9).unwrap().len(), 1, "written once");
}

#[test]
fn a_claim_whose_answer_was_lost_is_handed_over_by_the_second_sending() {
    let database = database!();
    let store = database.open();
    let due = Put {
        due_at: unattended::store::Change::to(unattended::time::Timestamp::UNIX_EPOCH),
        ..state("queued")
    };
    Blocking(&store).apply(insert("a", due)).unwrap();
    let call = "SELECT string_agg(key || ' ' || fence || ' ' || from_state || ' ' || orphan, ',') FROM SCHEMA.claim_by_rank(1, NULL, NULL, 5,
        '00000000-0000-0000-0000-00000000000c', RESENT, 'w', 60000, 'processing', 'w', 'due', 'it was due', 'orphan', 'gone')";
    let first = database.value(&call.replace("RESENT", "false"));
    assert!(first.starts_with("a "), "{first}");
    assert_eq!(database.value(&call.replace("RESENT", "true")), first);
    assert_eq!(Blocking(&store).events(Ns::RUN, "a", 0, 9).unwrap().len(), 1);
    assert_eq!(database.value(&call.replace("RESENT", "false")), "(null)", "another call finds nothing");
}
