//! The store itself, and what is made of the command line: store, completions, man, help, log.

use std::os::unix::fs::PermissionsExt as _;

use crate::kit::{Shop, given, tool};
use crate::runs::made::{fill, has_keys, json};

#[test]
fn a_store_that_a_verb_makes_is_its_owners_alone() {
    let shop = Shop::sqlite();
    let path = shop.path("deep/er/store.db");
    let args = ["submit", "ingest", "--store", path.to_str().unwrap()];
    shop.run_with(&args, "{}").ended(0);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    if let Some(shop) = Shop::postgres() {
        shop.run_with(&["submit", "ingest"], "{}").ended(0);
        assert_eq!(json(&shop, &["runs"]).ended(0).lines().len(), 1);
    }
}

#[test]
fn store_info_and_check_of_each_kind() {
    for shop in Shop::each() {
        fill(&shop);
        let info = json(&shop, &["store", "info"]).ended(0).object();
        has_keys(&info, "version size runs runs_by_state events store backend");
        assert_eq!((&info["runs"], &info["runs_by_state"]["needs_review"]), (&4.into(), &1.into()));
        let human = shop.run(&["store", "info"]).ended(0).out;
        assert!(human.contains("backend") && human.contains("needs_review"), "{human}");
        let checks = json(&shop, &["store", "check"]).object()["checks"].clone();
        for check in checks.as_array().unwrap() {
            has_keys(check, "name result why");
            // A throwaway server may be told not to sync.
            assert!(check["result"] == "pass" || check["name"] == "durability", "{check}");
        }
        assert!(shop.run(&["store", "check"]).out.contains("4 can be read"));
    }
}

#[test]
fn a_damaged_store_is_found_out() {
    let shop = Shop::sqlite();
    fill(&shop);
    let bytes = std::fs::read(shop.path("store.db")).unwrap();
    let mut broken = bytes.clone();
    for byte in broken.iter_mut().skip(4096 * 3).take(4096 * 4) {
        *byte = 0xff;
    }
    std::fs::write(shop.path("store.db"), &broken).unwrap();
    for args in [["store", "check"].as_slice(), &["store", "check", "--json"]] {
        let given = shop.run(args);
        assert_eq!(given.code, 1, "{given:?}");
    }
}

#[test]
fn migration_is_its_own_step_and_says_from_what_to_what() {
    for shop in Shop::each() {
        fill(&shop);
        let migrated = json(&shop, &["store", "migrate"]).ended(0).object();
        has_keys(&migrated, "from to changed");
        assert_eq!((&migrated["from"], &migrated["changed"]), (&migrated["to"], &false.into()));
        let human = shop.run(&["store", "migrate"]).ended(0).out;
        assert!(human.contains("with all its indexes"), "{human}");
    }
    // A store of the format before: verbs work with it and leave it, and the migration brings it on.
    let shop = Shop::sqlite();
    fill(&shop);
    let db = rusqlite::Connection::open(shop.path("store.db")).unwrap();
    let views = ["runs", "dead_letters", "waiting", "run_history", "ledger", "saved_states", "leases"];
    let drop_views: String = views.iter().map(|view| format!("DROP VIEW {view};")).collect();
    let indexes =
        ["record_serial", "record_oldest", "record_due_rare", "record_kind", "record_created", "record_rare"];
    let drop_indexes: String = indexes.iter().map(|index| format!("DROP INDEX {index};")).collect();
    db.execute_batch(&format!("{drop_views}{drop_indexes} PRAGMA user_version = 1;")).unwrap();
    drop(db);
    shop.run(&["note", "ingest", "as before"]).ended(0);
    assert_eq!(json(&shop, &["runs", "--job", "ingest"]).ended(0).lines().len(), 1);
    assert_eq!(json(&shop, &["dead-letters"]).ended(0).lines().len(), 2);
    assert_eq!(json(&shop, &["store", "info"]).ended(0).object()["version"], 1);
    let migrated = json(&shop, &["store", "migrate"]).ended(0).object();
    assert_eq!(
        (&migrated["from"], &migrated["to"], &migrated["changed"]),
        (&1.into(), &2.into(), &true.into())
    );
    assert_eq!(json(&shop, &["store", "info"]).ended(0).object()["version"], 2);
}

#[test]
fn a_prune_keeps_what_has_not_ended() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let dry = json(&shop, &["store", "prune", "--older-than", "1ms", "--dry-run"]).ended(0).object();
        assert_eq!((&dry["runs"], &dry["dry_run"]), (&2.into(), &true.into()));
        assert_eq!(json(&shop, &["runs"]).lines().len(), 4);
        let kept = shop.run(&["store", "prune"]).ended(0).out;
        assert!(kept.starts_with("0 runs, 0 keys and 0 tokens deleted"), "{kept}");
        let pruned = json(&shop, &["store", "prune", "--older-than", "1ms"]).ended(0).object();
        assert_eq!(pruned["runs"], 2, "{pruned}");
        let left = json(&shop, &["runs"]).ended(0).lines();
        let ids: Vec<_> = left.iter().map(|run| run["run_id"].as_str().unwrap()).collect();
        assert_eq!(ids, [&made.waiting, &made.review]);
    }
}

fn typed(args: &[&str]) -> crate::kit::Given {
    let mut command = tool();
    command.args(args);
    given(command, "")
}

#[test]
fn help_is_grouped_and_each_verb_has_an_example() {
    let help = typed(&["--help"]).ended(0).out;
    let groups: Vec<_> = ["Incident:", "Wrap:", "Watch:", "Set up:", "Plumbing:", "Options:"]
        .iter()
        .map(|group| help.find(&format!("\n{group}\n")).unwrap_or_else(|| panic!("{group}: {help}")))
        .collect();
    assert!(groups.is_sorted(), "{help}");
    assert!(help.contains("Exit codes: 0 done; 1 failed, or needs a person; 2 usage; 65"), "{help}");
    for verb in ["runs", "review", "exec", "requeue", "hold", "similarity"] {
        let help = typed(&[verb, "--help"]).ended(0).out;
        assert!(help.contains(&format!("\nExample: unattended {verb} ")), "{help}");
    }
}

#[test]
fn completions_and_the_manual_are_made_from_the_verbs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = typed(&["completions", shell]).ended(0).out;
        assert!(script.contains("unattended") && script.contains("dead-letters"), "{shell}");
    }
    let page = typed(&["man"]).ended(0).out;
    assert!(page.starts_with(".") && page.contains(".SH NAME") && page.contains("dead\\-letters"), "{page}");
    let verb = typed(&["man", "requeue"]).ended(0).out;
    assert!(verb.contains("dry\\-run") && verb.contains("Example: unattended requeue"), "{verb}");
    assert!(typed(&["man", "store", "prune"]).ended(0).out.contains("older\\-than"));
    assert!(
        typed(&["man", "--json", "dance"]).ended(2).error()["hint"].as_str().unwrap().contains("requeue")
    );
}

#[test]
fn what_is_logged_is_an_object_a_line_with_stable_names() {
    let shop = Shop::sqlite();
    shop.run_with(&["submit", "ingest", "--log", "json"], "{}").ended(0);
    let mut command = shop.command(&["runs", "--log", "json"]);
    command.env("UNATTENDED_LOG", "unattended=loud");
    let wrong = given(command, "").ended(2).err;
    assert!(wrong.contains("UNATTENDED_LOG is \"unattended=loud\"; allowed is a level"), "{wrong}");
    for how in ["json", "human", "off"] {
        let answer = shop.run(&["runs", "--json", "--log", how]).ended(0);
        assert_eq!(answer.lines().len(), 1, "answers stay on stdout");
    }
}
