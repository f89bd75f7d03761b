//! Writes that share a commit: each with its own verdict.

use std::sync::Arc;
use std::time::Duration;

use unattended::blocking::Blocking;
use unattended::postgres::Postgres;
use unattended::store::{Applied, ApplyError, Batch, Error, Event, Expect, Ns, Put, Store, Write};

use super::{database, insert, state};

const LEASE: Duration = Duration::from_secs(30);

/// Sends all of them at the same time.
fn at_once(store: &Arc<Postgres>, batches: Vec<Batch>) -> Vec<Result<Applied, ApplyError>> {
    crate::pg::runtime().block_on(async {
        let send = |batch| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.apply(batch).await })
        };
        let tasks: Vec<_> = batches.into_iter().map(send).collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    })
}

fn counts(store: &Postgres) -> (u64, u64) {
    let info = unattended::blocking::block_on(store.info()).unwrap();
    (info.batches, info.commits)
}

#[test]
fn batches_that_wait_share_a_commit_and_each_has_its_own_verdict() {
    let database = database!();
    let store = Arc::new(database.open());
    let event = || Event::new(None, "processing", "worker:1", "claimed", "nobody had it");
    let claim = |key: String| {
        Batch::of(Write::new(Ns::RUN, key, Expect::Absent, Put::claim("processing", LEASE)).event(event()))
    };
    // Every third asks for the same key as the one before it.
    let key = |index: usize| format!("k{}", if index % 3 == 2 { index - 1 } else { index });
    let answers = at_once(&store, (0..300).map(|index| claim(key(index))).collect());
    let (mut applied, mut refused) = (0, 0);
    for (index, answer) in answers.into_iter().enumerate() {
        let record = Blocking(&*store).get(Ns::RUN, &key(index)).unwrap().unwrap();
        match answer {
            Ok(done) => {
                applied += 1;
                assert_eq!(done.first().unwrap().fence, record.fence, "{index}");
            }
            Err(ApplyError::Conflict(lost)) => {
                refused += 1;
                assert_eq!(lost[0].winner.as_ref(), Some(&record), "{index}");
            }
            Err(error) => panic!("{index}: {error:?}"),
        }
    }
    assert_eq!((applied, refused), (200, 100));
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.event"), "200");
    let (batches, commits) = counts(&store);
    assert!(batches == 300 && commits < 150, "{commits} commits for {batches} batches");
}

#[test]
fn a_batch_of_several_is_whole_or_nothing_also_in_a_group() {
    let database = database!();
    let store = Arc::new(database.open());
    let batch = |index: usize| {
        let own = Write::new(Ns::RUN, format!("own-{index}"), Expect::Absent, state("x"));
        let shared = Write::new(Ns::LEDGER, format!("shared-{}", index % 4), Expect::Absent, state("x"));
        let event = Event::new(None, "x", "test", "made", "why");
        Batch::new(vec![own.event(event.clone()), shared.event(event)])
    };
    let answers = at_once(&store, (0..80).map(batch).collect());
    let applied: Vec<usize> =
        answers.iter().enumerate().filter(|(_, answer)| answer.is_ok()).map(|(index, _)| index).collect();
    assert_eq!(applied.len(), 4, "{applied:?}");
    for (index, answer) in answers.iter().enumerate() {
        let own = Blocking(&*store).get(Ns::RUN, &format!("own-{index}")).unwrap();
        assert_eq!(own.is_some(), answer.is_ok(), "{index}");
        if let Err(error) = answer {
            assert!(
                matches!(error, ApplyError::Conflict(lost) if lost.len() == 1 && lost[0].index == 1),
                "{error:?}"
            );
        }
    }
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.event"), "8");
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.record"), "8");
}

#[test]
fn writes_to_one_record_at_once_go_one_after_the_other() {
    let database = database!();
    let store = Arc::new(database.open());
    let held = Blocking(&*store).apply(insert("a", Put::claim("processing", LEASE))).unwrap();
    let fence = held.first().unwrap().fence;
    let note = |index: usize| {
        let event = Event::new(None, "noted", "test", format!("n{index}"), "why");
        Batch::of(Write::new(Ns::RUN, "a", Expect::Fence(fence), Put::nothing()).event(event))
    };
    for answer in at_once(&store, (0..50).map(note).collect()) {
        answer.unwrap();
    }
    let events = Blocking(&*store).events(Ns::RUN, "a", 0, 100).unwrap();
    let codes: Vec<String> = events.iter().map(|stored| stored.event.code.to_string()).collect();
    assert_eq!(
        codes,
        (0..50).map(|index| format!("n{index}")).collect::<Vec<_>>(),
        "in the order in which they were sent"
    );
}

#[test]
fn one_that_the_server_refuses_hurts_no_other() {
    let database = database!();
    let store = Arc::new(database.open());
    database.run("ALTER TABLE SCHEMA.record ADD CHECK (key <> 'poison')");
    let key = |index: usize| if index == 17 { String::from("poison") } else { format!("k{index}") };
    let answers = at_once(&store, (0..64).map(|index| insert(&key(index), state("x"))).collect());
    for (index, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(_) => assert_ne!(index, 17),
            Err(ApplyError::NotApplied(Error::Backend { source, .. })) => {
                assert_eq!(index, 17);
                assert!(unattended::fault::chain(&*source).contains("check constraint"), "{source:?}");
            }
            Err(error) => panic!("{index}: {error:?}"),
        }
    }
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.record"), "63");
}

#[test]
fn a_record_that_somebody_else_has_locked_holds_up_no_other() {
    let database = database!();
    let store = Arc::new(database.open());
    let version = Blocking(&*store).apply(insert("held", state("x"))).unwrap().first().unwrap().version;
    database.run("BEGIN; SELECT 1 FROM SCHEMA.record WHERE key = 'held' FOR UPDATE");
    let patient = std::thread::scope(|scope| {
        let late = || {
            Blocking(&*store).apply(Batch::of(Write::new(
                Ns::RUN,
                "held",
                Expect::Version(version),
                state("y"),
            )))
        };
        let patient = scope.spawn(late);
        for index in 0..200 {
            Blocking(&*store).apply(insert(&format!("k{index}"), state("x"))).unwrap();
        }
        assert!(!patient.is_finished(), "it was written past a lock");
        database.run("COMMIT");
        patient.join().unwrap()
    });
    assert_eq!(
        patient.unwrap().first().unwrap().version,
        Blocking(&*store).get(Ns::RUN, "held").unwrap().unwrap().version
    );
}

#[test]
fn what_tells_of_something_loses_its_nuls_and_what_names_something_may_have_none() {
    let database = database!();
    let store = database.open();
    let event = Event::new(None, "x", "worker:1", "code", "it said \0 and died");
    let told = Batch::of(Write::new(Ns::RUN, "a", Expect::Absent, state("x")).event(event));
    Blocking(&store).apply(told).unwrap();
    assert_eq!(
        Blocking(&store).events(Ns::RUN, "a", 0, 1).unwrap()[0].event.why,
        "it said \u{fffd} and died"
    );
    let named = insert("b", Put { owner: Some(String::from("a\0b")), ..state("x") });
    let refused = Blocking(&store).apply(named);
    assert!(matches!(refused, Err(ApplyError::NotApplied(Error::Invalid { .. }))), "{refused:?}");
    assert_eq!(Blocking(&store).get(Ns::RUN, "a\0b").unwrap(), None);
}
