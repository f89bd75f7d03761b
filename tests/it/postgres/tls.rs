//! Encryption, with a server whose authority the system knows, and with one that it does not.

use std::process::Command;
use std::time::Duration;

use unattended::blocking::Blocking;
use unattended::postgres::Postgres;
use unattended::store::{Error, Ns, Store};

use super::database;
use crate::pg::authority;

#[test]
fn a_server_that_nobody_vouches_for_is_refused_for_good() {
    let database = database!();
    if authority().is_none() {
        return;
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let options =
            Postgres::options().schema(database.schema.as_str()).connect_max(Duration::from_secs(20));
        let refused = options.connect_blocking(&format!("{}?sslmode={mode}", database.url));
        assert!(matches!(refused, Err(Error::Setting { name: "sslmode", .. })), "{mode}: {refused:?}");
    }
}

#[test]
fn a_server_that_the_systems_authorities_vouch_for_is_spoken_to_in_secret() {
    let database = database!();
    let Some(authority) = authority() else { return };
    drop(database.open());
    // The system's authorities are read from where the environment says, and only a child has one of its own.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["postgres::tls::child", "--exact", "--nocapture"])
        .env("SSL_CERT_FILE", authority)
        .env("UNATTENDED_TLS_URL", format!("{}?sslmode=verify-full", database.url))
        .env("UNATTENDED_TLS_SCHEMA", &database.schema)
        .env("UNATTENDED_TEST_POSTGRES", &database.url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("spoken in secret"), "{said}");
}

/// Not a test: what the child does.
#[test]
fn child() {
    let Ok(url) = std::env::var("UNATTENDED_TLS_URL") else { return };
    let schema = std::env::var("UNATTENDED_TLS_SCHEMA").unwrap();
    let options = Postgres::options().schema(schema).application_name("over-tls");
    let store =
        options.connect_blocking(&url).unwrap_or_else(|error| panic!("{}", unattended::fault::chain(&error)));
    assert_eq!(Blocking(&store).get(Ns::RUN, "a").unwrap(), None);
    assert!(store.caps().durable);
    let secret = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'over-tls'";
    assert_eq!(database!().value(secret), "true");
    println!("spoken in secret");
}
