//! Opening, migrating, and what is refused.

use std::time::Duration;

use unattended::blocking::{Blocking, block_on};
use unattended::postgres::{self, FORMAT, Postgres};
use unattended::store::{Batch, Error, Expect, LeaseChange, Ns, Put, Store, Write};

use super::{database, insert, state};
use crate::pg::Database;

fn options(database: &Database) -> postgres::Options {
    Postgres::options().schema(database.schema.as_str()).connect_max(Duration::from_secs(5))
}

#[test]
fn many_who_migrate_at_once_make_one_store() {
    let database = database!();
    std::thread::scope(|scope| {
        let open = || {
            let store = database.open();
            Blocking(&store).apply(insert(&format!("by {}", store.owner()), state("x"))).unwrap();
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
    assert_eq!(database.value("SELECT count(*) FROM SCHEMA.store"), "1");
    assert_eq!(database.value("SELECT count(DISTINCT key) FROM SCHEMA.record"), "8");
}

#[test]
fn migrating_is_a_step_of_its_own() {
    let database = database!();
    let missing = options(&database).migrate(false).connect_blocking(&database.url);
    assert!(matches!(missing, Err(Error::Missing { .. })), "{missing:?}");
    let migrate = || block_on(postgres::migrate(&database.url, options(&database)));
    assert_eq!(migrate().unwrap(), None);
    assert_eq!(migrate().unwrap(), Some(FORMAT));
    options(&database).migrate(false).connect_blocking(&database.url).unwrap();
}

#[test]
fn the_script_makes_the_same_store_by_hand() {
    let database = database!();
    database.run_as_it_is(&format!("BEGIN; {} COMMIT", postgres::script(&database.schema).unwrap()));
    let store = options(&database).migrate(false).connect_blocking(&database.url).unwrap();
    Blocking(&store).apply(insert("a", state("x"))).unwrap();
}

#[test]
fn an_older_format_is_not_brought_up_to_date_unasked() {
    let database = database!();
    drop(database.open());
    database.run("UPDATE SCHEMA.store SET format = 0, reads_from = 0");
    let refused = options(&database).connect_blocking(&database.url);
    assert!(matches!(refused, Err(Error::Setting { name: "format", .. })), "{refused:?}");
}

#[test]
fn a_newer_format_opens_while_it_says_that_this_release_can_read_it() {
    let database = database!();
    drop(database.open());
    database.run(&format!("UPDATE SCHEMA.store SET format = {}, reads_from = {FORMAT}", FORMAT + 1));
    let store = options(&database).connect_blocking(&database.url).unwrap();
    assert_eq!(block_on(store.info()).unwrap().format, FORMAT + 1);
    database.run(&format!("UPDATE SCHEMA.store SET reads_from = {}", FORMAT + 1));
    let refused = options(&database).connect_blocking(&database.url);
    assert!(
        matches!(refused, Err(Error::TooNew { found, supported: FORMAT, .. }) if found == FORMAT + 1),
        "{refused:?}"
    );
}

#[test]
fn what_cannot_be_is_refused_and_the_password_is_never_shown() {
    let database = database!();
    let secret = "hunter2";
    let url = database.url.replace("postgres@", &format!("postgres:{secret}@"));
    let nowhere = |url: &str| {
        format!("{:?}", options(&database).connect_max(Duration::from_millis(300)).connect_blocking(url))
    };
    for (url, word) in [
        (format!("postgres://a:{secret}@@b:c:d/e"), "Invalid"),
        (format!("host=x password={secret} nonsense=1"), "Invalid"),
        (format!("password={secret}"), "Invalid"),
        (
            format!("postgres://postgres:{secret}@127.0.0.1:{}/postgres", crate::pg::free_port()),
            "Unreachable",
        ),
        (format!("{url}?sslmode=require"), "sslmode"),
    ] {
        let found = nowhere(&url);
        assert!(!found.contains(secret), "{found}");
        assert!(found.contains(word), "{word}: {found}");
    }
    let store = options(&database).connect_blocking(&url).unwrap();
    assert!(!format!("{store:?} {:?}", options(&database)).contains(secret));
    for name in ["", "Upper", "a-b", "1a", "pg_x", "a\"b", &"a".repeat(49)] {
        let refused = Postgres::options().schema(name).connect_blocking(&database.url);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{name}: {refused:?}");
    }
    let refused = options(&database).lanes(0).connect_blocking(&database.url);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    let refused = options(&database).connect_blocking("postgres://postgres@127.0.0.1:1/x?sslmode=nonsense");
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}

#[test]
fn a_database_that_is_not_there_is_told_at_once() {
    let database = database!();
    let mut behind: tokio_postgres::Config = database.url.parse().unwrap();
    behind.dbname("no_such_database");
    let port = behind.get_ports()[0];
    let refused = options(&database)
        .connect_blocking(&format!("postgres://postgres@127.0.0.1:{port}/no_such_database"));
    assert!(matches!(refused, Err(Error::Setting { name: "dbname", .. })), "{refused:?}");
}

#[test]
fn the_settings_that_durability_hangs_on_are_read_back() {
    let database = database!();
    let store = database.open();
    assert!(store.caps().durable && store.caps().multi_host);
    let info = block_on(store.info()).unwrap();
    assert_eq!((info.settings.synchronous_commit.as_str(), info.settings.fsync), ("on", true));
    assert_eq!((info.format, info.schema.as_str()), (FORMAT, database.schema.as_str()));
    let hasty = options(&database)
        .connect_blocking(&format!("{}?options=-csynchronous_commit%3Doff", database.url))
        .unwrap();
    assert!(!hasty.caps().durable);
    assert_eq!(block_on(hasty.info()).unwrap().settings.synchronous_commit, "off");
}

#[test]
fn leases_are_judged_by_the_databases_clock_whatever_that_of_a_host_says() {
    let database = database!();
    let store = database.open();
    for skew in ["+ interval '10 minutes'", "- interval '10 minutes'"] {
        database.run(&format!(
            "CREATE OR REPLACE FUNCTION SCHEMA.clock() RETURNS timestamptz LANGUAGE sql VOLATILE
             AS $$ SELECT clock_timestamp() {skew} $$"
        ));
        let held =
            Blocking(&store).apply(insert(skew, Put::claim("processing", Duration::from_secs(30)))).unwrap();
        assert!(Blocking(&store).get(Ns::RUN, skew).unwrap().unwrap().leased(), "{skew}: 30 s are not over");
        let version = held.first().unwrap().version;
        let take = || {
            let put = Put::claim("processing", Duration::from_millis(1));
            Batch::of(Write::new(Ns::RUN, skew, Expect::LeaseOver { version }, put))
        };
        assert!(Blocking(&database.open()).apply(take()).is_err(), "{skew}: taken over while it is live");
        database.run("UPDATE SCHEMA.record SET lease_until = lease_until - 31000 WHERE leased");
        Blocking(&database.open()).apply(take()).unwrap();
    }
    assert!(Blocking(&store).apply(insert("end", Put { lease: LeaseChange::End, ..state("x") })).is_ok());
}

#[test]
fn it_works_on_any_executor_and_parks_inside_a_runtime_of_one_thread() {
    let database = database!();
    let store = database.open();
    block_on(store.apply(insert("a", state("x")))).unwrap();
    let one = crate::pg::runtime();
    one.block_on(async {
        assert!(store.get(Ns::RUN, "a").await.unwrap().is_some());
        // Parking the only thread of a runtime: the store has one of its own.
        assert!(Blocking(&store).get(Ns::RUN, "a").unwrap().is_some());
        drop(database.open());
    });
    let second = one.block_on(options(&database).connect(&database.url)).unwrap();
    drop(one);
    assert!(
        block_on(second.get(Ns::RUN, "a")).unwrap().is_some(),
        "after the runtime that opened it is gone"
    );
}

#[test]
fn a_pool_of_the_users_own_serves_and_is_not_parked_on() {
    use deadpool_postgres::{Manager, Pool};
    let database = database!();
    drop(database.open());
    let pool = Pool::builder(Manager::new(database.url.parse().unwrap(), tokio_postgres::NoTls))
        .max_size(1)
        .build()
        .unwrap();
    let one = crate::pg::runtime();
    let store = one.block_on(options(&database).over(pool.clone())).unwrap();
    one.block_on(async {
        store.apply(insert("a", state("x"))).await.unwrap();
        assert!(store.get(Ns::RUN, "a").await.unwrap().is_some());
        let refused = Blocking(&store).get(Ns::RUN, "a");
        assert!(matches!(refused, Err(Error::WouldDeadlock { .. })), "{refused:?}");
    });
    assert!(!store.caps().own_threads);
}
