//! What is typed wrongly, or about what is not there.

use crate::kit::{Shop, given, tool};
use crate::runs::made::{fill, json};

/// Each verb about runs, and whether a store must be there.
const VERBS: [&[&str]; 15] = [
    &["runs"],
    &["show", "x"],
    &["explain", "x"],
    &["dead-letters"],
    &["replay", "x"],
    &["requeue", "x"],
    &["cancel", "x"],
    &["pause", "x"],
    &["resume", "x"],
    &["compensate", "x"],
    &["note", "x", "text"],
    &["review", "x", "--not-applied"],
    &["resolve", "token", "1"],
    &["store", "info"],
    &["store", "prune"],
];

#[test]
fn a_store_that_is_not_there_is_not_made_and_where_it_was_looked_for_is_said() {
    for shop in Shop::each() {
        for args in VERBS {
            let error = json(&shop, args).ended(78).error();
            assert_eq!(error["code"], "store.missing", "{args:?}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("($UNATTENDED_STORE)"), "{message}");
            assert!(error["hint"].as_str().unwrap().contains("--store"), "{error}");
        }
        assert!(!shop.path("store.db").exists());
        let human = shop.run(&["runs"]).ended(78).err;
        assert!(human.starts_with("unattended: there is no store at "), "{human}");
    }
}

#[test]
fn a_file_that_is_no_store_stays_as_it_is() {
    let shop = Shop::sqlite();
    let text = "This is a diary, and long enough to look like something.\n".repeat(40);
    shop.file("store.db", &text);
    for args in VERBS.into_iter().chain([["submit", "job", "--input", "store.db"].as_slice()]) {
        let given = json(&shop, args);
        assert!([2, 78].contains(&given.code), "{args:?}: {given:?}");
    }
    assert_eq!(std::fs::read_to_string(shop.path("store.db")).unwrap(), text);
}

#[test]
fn a_run_that_is_not_there_says_what_a_run_is() {
    for shop in Shop::each() {
        fill(&shop);
        for args in VERBS.into_iter().filter(|args| args.get(1) == Some(&"x")) {
            let error = json(&shop, args).ended(1).error();
            assert_eq!(error["code"], "run.no_such_run", "{args:?}: {error}");
            assert!(error["hint"].as_str().unwrap().contains("@failed"), "{error}");
        }
    }
}

#[test]
fn what_is_typed_wrongly_is_a_usage_error_in_both_forms() {
    let shop = Shop::sqlite();
    fill(&shop);
    for args in [
        ["runs", "--colour"].as_slice(),
        &["runs", "--since", "yesterday"],
        &["runs", "--limit", "0"],
        &["runs", "--state", "broken"],
        &["review", "ingest"],
        &["review", "ingest", "--not-applied", "--skip-step"],
        &["review", "ingest", "--applied", "{broken"],
        &["requeue", "ingest", "--job", "ingest"],
        &["requeue", "--all"],
        &["submit", "job@2", "--input", "-"],
        &["submit", "job", "--key", "no-key"],
        &["resolve", "t", "{"],
        &["store", "prune", "--older-than", "soon"],
        &["completions", "tcsh"],
        &["man", "dance"],
        &["dance"],
        &["runs", "--log", "loud"],
    ] {
        let error = json(&shop, args).ended(2).error();
        assert_eq!(error["code"], "usage", "{args:?}: {error}");
        assert!(!shop.run(args).ended(2).err.is_empty());
    }
    let broken = shop.file("broken.json", "{\n \"page\": 1,\n \"next\" 2\n}");
    let error = json(&shop, &["review", "ingest", "--input", broken.to_str().unwrap()]).ended(2).error();
    assert!(error["message"].as_str().unwrap().contains("line 3 column 9"), "{error}");
    let wrong = json(&shop, &["review", "report", "--skip-step"]).ended(1).error();
    assert_eq!(wrong["code"], "run.illegal");
    assert!(wrong["hint"].as_str().unwrap().contains(" --mode rerun`"), "{wrong}");
}

#[test]
fn a_password_is_never_shown() {
    let url = "postgres://ada:hunter2@127.0.0.1:1/db?schema=x";
    for args in
        [["runs", "--json"].as_slice(), &["runs"], &["store", "info"], &["runs", "--log", "json", "-v"]]
    {
        let mut command = tool();
        command.args(args).args(["--store", url]);
        let given = given(command, "");
        assert_eq!(given.code, 75, "{given:?}");
        assert!(!given.err.contains("hunter2") && !given.out.contains("hunter2"), "{given:?}");
        assert!(given.err.contains("postgres://ada@127.0.0.1:1/db?schema=x (--store)"), "{given:?}");
    }
    let Some(shop) = Shop::postgres() else { return };
    fill(&shop);
    let url = shop.store_url().replace("postgres@", "postgres:hunter2@");
    for args in [
        ["store", "info", "--json"].as_slice(),
        &["store", "info"],
        &["show", "ingest", "--json"],
        &["explain", "ingest"],
    ] {
        let mut command = tool();
        command.args(args).args(["--store", &url]);
        let given = given(command, "").ended(0);
        assert!(!given.err.contains("hunter2") && !given.out.contains("hunter2"), "{given:?}");
    }
}

#[test]
fn what_is_meant_as_an_address_makes_no_file_and_shows_no_password() {
    for address in [
        "host=127.0.0.1 user=bob password=s3cr3t",
        "postgres//bob:s3cr3t@h/db",
        "postgres:/bob:s3cr3t@h/db",
        "mysql://bob:s3cr3t@h/db",
    ] {
        for given_by in ["--store", "UNATTENDED_STORE"] {
            let shop = Shop::sqlite();
            for args in
                [["runs", "--json"].as_slice(), &["submit", "job", "--json"], &["beat", "x", "--json"]]
            {
                let mut command = shop.command(args);
                if given_by == "--store" {
                    command.args(["--store", address]);
                } else {
                    command.env("UNATTENDED_STORE", address);
                }
                let given = given(command, "{}").ended(78);
                assert_eq!(given.error()["code"], "store.unknown_kind", "{address}");
                assert!(
                    given.err.contains("postgres://USER@HOST/DB") && !given.err.contains("s3cr3t"),
                    "{given:?}"
                );
            }
            let mut command =
                shop.command(&["exec", "--name", "x", "--lock", "--store", address, "--", "touch", "ran"]);
            command.env("UNATTENDED_STORE", address);
            let refused = given(command, "").ended(78);
            assert!(!refused.err.contains("s3cr3t"), "{refused:?}");
            assert_eq!(std::fs::read_dir(shop.folder()).unwrap().count(), 0, "{address} has made a file");
        }
    }
    let shop = Shop::sqlite();
    shop.run_with(&["submit", "job", "--store", "./postgres/a=b@c:d.db"], "{}").ended(0);
    assert!(shop.path("postgres/a=b@c:d.db").exists());
}

#[test]
fn what_is_wrong_with_an_address_is_named() {
    for (address, says) in [
        ("postgres://bob:s3cr3t@127.0.0.1:1/db?bogus=1", "the parameter bogus is not known"),
        ("postgres://bob:s3cr3t@127.0.0.1:99999/db", "the port is 99999"),
        ("postgres://bob:s3cr3t@h/db?sslmode=s3cr3t", "the parameter sslmode"),
    ] {
        let mut command = tool();
        command.args(["runs", "--json", "--store", address]);
        let given = given(command, "").ended(78);
        assert_eq!(given.error()["code"], "store.address_invalid");
        assert!(given.err.contains(says) && !given.err.contains("s3cr3t"), "{given:?}");
    }
    for address in ["Postgres://ada:s3cr3t@127.0.0.1:1/db", " POSTGRES://ada:s3cr3t@127.0.0.1:1/db"] {
        let mut command = tool();
        command.args(["runs", "--store", address]);
        let given = given(command, "").ended(75);
        assert!(given.err.contains("postgres://ada@127.0.0.1:1/db (--store)"), "{given:?}");
        assert!(!given.err.contains("s3cr3t"), "{given:?}");
    }
}

#[test]
fn credentials_come_from_the_usual_variables() {
    let Some(shop) = Shop::postgres() else { return };
    fill(&shop);
    let url = shop.store_url();
    let (_, rest) = url.split_once('@').unwrap();
    let (place, query) = rest.split_once('?').unwrap();
    let (host, database) = place.split_once('/').unwrap();
    let (host, port) = host.split_once(':').unwrap_or((host, "5432"));
    let mut command = tool();
    command.env("PGUSER", "postgres").env("PGHOST", host).env("PGPORT", port).env("PGDATABASE", database);
    command.args(["runs", "--json", "--store", &format!("postgres://?{query}")]);
    assert_eq!(given(command, "").ended(0).lines().len(), 4);
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_no_success() {
    for args in [&["--help"][..], &["--version"], &["runs", "--help"]] {
        let mut command = tool();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.args(args).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.contains("cannot be written")),
            (Some(1), true),
            "{args:?}: {said}"
        );
    }
}
