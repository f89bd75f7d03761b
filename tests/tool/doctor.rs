//! `doctor`: the checklist of what is written down and what has run, and of an application that says more.

use std::process::Command;

use serde_json::Value;

use crate::kit::{Shop, given};

fn check<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {answer:#}"))
}

const GOOD: &str = r#"
[alerts]
command = ["/usr/local/bin/page"]

[jobs.backup]
every = "24h"
effect = "idempotent"
owner = "ada"
runbook = "https://example.org/backup"
retention = "30d"
"#;

#[test]
fn what_is_written_down_is_gone_through_and_each_fault_said() {
    for shop in Shop::each() {
        let store = shop.store();
        drop(store);
        shop.file("good.toml", GOOD);
        let answer = shop.run(&["doctor", "--config", "good.toml", "--json"]);
        let answer = answer.object();
        for check in answer["checks"].as_array().unwrap() {
            for key in ["name", "result", "why"] {
                assert!(check[key].is_string(), "{key} is missing: {check}");
            }
            let result = check["result"].as_str().unwrap();
            assert!(["pass", "fail", "not_provable"].contains(&result), "{check}");
        }
        for name in [
            "effect",
            "dead_letters",
            "heartbeat",
            "alerts",
            "secrets",
            "store",
            "clock",
            "retention",
            "ownership",
        ] {
            assert_eq!(check(&answer, name)["result"], "pass", "{}", check(&answer, name));
        }
        for name in ["rollback", "idempotency_proof", "alerts_delivery"] {
            assert_eq!(check(&answer, name)["result"], "not_provable", "{}", check(&answer, name));
        }

        shop.file("bad.toml", "[jobs.backup]\neffect = \"unsafe\"\n");
        let bad = shop.run(&["doctor", "--config", "bad.toml", "--json"]).ended(1).object();
        for name in ["effect", "heartbeat", "alerts", "alerts_delivery", "retention", "ownership"] {
            assert_eq!(check(&bad, name)["result"], "fail", "{}", check(&bad, name));
        }
    }
}

#[test]
fn people_see_a_mark_for_each_check_with_evidence_and_what_to_do() {
    let shop = Shop::sqlite();
    drop(shop.store());
    shop.file("bad.toml", "[jobs.backup]\neffect = \"unsafe\"\n");
    let given = shop.run(&["doctor", "--config", "bad.toml"]).ended(1);
    let row = given.out.lines().find(|line| line.contains("ownership")).unwrap();
    assert!(row.starts_with("✗  ownership") && row.contains("backup: it has no owner"), "{given:?}");
    assert!(given.out.lines().any(|line| line.starts_with("✓  store")), "{given:?}");
    assert!(given.out.lines().any(|line| line.starts_with("?  rollback")), "{given:?}");
    assert!(
        given.out.contains("to do: send one: `alerts test`") && given.out.contains("cannot be proved"),
        "{given:?}"
    );
}

#[test]
fn a_store_that_is_missing_or_is_none_fails_its_check() {
    let shop = Shop::sqlite();
    let missing = shop.run(&["doctor", "--json"]).ended(1).object();
    assert_eq!(check(&missing, "store")["result"], "fail");
    assert!(check(&missing, "store")["why"].as_str().unwrap().contains("there is no store"), "{missing}");
    assert!(!shop.path("store.db").exists(), "nothing is made");
    shop.file("store.db", "this is no database, and longer than the head of one is\n".repeat(50).as_str());
    let none = shop.run(&["doctor", "--json"]).ended(1).object();
    assert_eq!(check(&none, "store")["result"], "fail");
}

#[test]
fn an_applications_own_checklist_is_put_beside_it() {
    let shop = Shop::sqlite();
    drop(shop.store());
    shop.file("good.toml", GOOD);
    let app = shop.file(
        "app",
        "#!/bin/sh\n[ \"$1 $2 $3\" = 'ops doctor --json' ] || exit 9\n\
         echo '{\"checks\":[{\"name\":\"rollback\",\"result\":\"fail\",\"why\":\"no undo\"},{\"name\":\"own\",\"result\":\"pass\",\"why\":\"fine\"}]}'\n\
         exit 1\n",
    );
    assert!(Command::new("chmod").arg("+x").arg(&app).status().unwrap().success());
    let ask = |command: &str| {
        shop.run(&["doctor", "--config", "good.toml", "--app", command, "--json"]).ended(1).object()
    };
    let both = ask("./app ops");
    assert_eq!(
        (&check(&both, "rollback")["result"], &check(&both, "own")["result"]),
        (&"fail".into(), &"pass".into())
    );
    for broken in ["./app other", "./none", "echo hello"] {
        let answer = ask(broken);
        assert_eq!(check(&answer, "app")["result"], "fail", "{broken}");
    }
}

#[test]
fn a_broken_configuration_is_said_and_a_reader_that_goes_away_is_no_failure() {
    let shop = Shop::sqlite();
    shop.file("broken.toml", "[jobs.backup\n");
    let error = shop.run(&["doctor", "--config", "broken.toml", "--json"]).ended(78).error();
    assert!(error["message"].as_str().unwrap().contains("broken.toml"), "{error}");
    shop.run(&["doctor", "--config", "none.toml"]).ended(78);
    let mut command = Command::new("sh");
    let tool = env!("CARGO_BIN_EXE_unattended");
    let store = shop.path("store.db");
    drop(shop.store());
    command
        .arg("-c")
        .arg(format!("{tool} --store {} doctor | true", store.display()))
        .current_dir(shop.folder());
    assert!(given(command, "").err.is_empty());
}
