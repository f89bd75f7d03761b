//! `backup`: what is stored and why, whether it can be had back, and having it back.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::kit::Shop;

/// A folder with two files, backed up once.
fn shop() -> Shop {
    let shop = Shop::sqlite();
    fs::create_dir_all(shop.path("docs/deep")).unwrap();
    shop.file("docs/guide.md", &page("Guide", 200));
    shop.file("docs/deep/notes.md", &page("Notes", 50));
    shop.run(&["backup", "run", "docs", "kept"]).ended(0);
    shop
}

fn page(title: &str, sentences: usize) -> String {
    let lines = (0..sentences).map(|n| format!("This is sentence {n} of {title}.\n"));
    lines.collect()
}

fn has(line: &Value, keys: &[&str]) {
    for key in keys {
        assert!(line.get(key).is_some(), "{key} is missing: {line}");
    }
}

fn of<'a>(lines: &'a [Value], path: &str) -> &'a Value {
    lines.iter().find(|line| line["path"] == path).unwrap_or_else(|| panic!("no line of {path}: {lines:#?}"))
}

#[test]
fn each_file_has_a_line_that_says_what_became_of_it_and_why() {
    let shop = Shop::sqlite();
    fs::create_dir_all(shop.path("docs")).unwrap();
    let guide = page("Guide", 200);
    shop.file("docs/guide.md", &guide);
    shop.file("docs/same.md", "same\n");
    let first = shop.run(&["backup", "run", "docs", "kept", "--json"]).ended(0);
    let lines = first.lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for line in &lines[..2] {
        has(line, &["path", "action", "code", "ratio", "why"]);
        assert_eq!((&line["action"], &line["code"]), (&Value::from("created"), &Value::from("backup.first")));
    }
    has(&lines[2], &["created", "updated", "skipped", "failed", "bytes_stored"]);
    assert_eq!(lines[2]["created"], 2);
    assert!(lines[2]["bytes_stored"].as_u64().unwrap() >= guide.len() as u64);

    // A typo waits; a file half of which is new does not; a file that cannot be read is said.
    shop.file("docs/guide.md", &guide.replacen("sentence 7 ", "sentense 7 ", 1));
    shop.file("docs/new.md", "new\n");
    let second = shop.run(&["backup", "run", "docs", "kept", "--json"]).ended(0).lines();
    let typo = of(&second, "guide.md");
    assert_eq!((&typo["action"], &typo["code"]), (&Value::from("skipped"), &Value::from("backup.skipped")));
    assert!(typo["ratio"].as_f64().unwrap() >= 0.98, "{typo}");
    assert_eq!(of(&second, "same.md")["action"], "unchanged");
    let sum = second.last().unwrap();
    assert_eq!((&sum["created"], &sum["updated"], &sum["skipped"]), (&1.into(), &0.into(), &1.into()));

    let half: String =
        guide.lines().take(120).map(|line| format!("{line} And more is said of it now.\n")).collect();
    shop.file("docs/guide.md", &half);
    let third = shop.run(&["backup", "run", "docs", "kept", "--json"]).ended(0).lines();
    let large = of(&third, "guide.md");
    assert_eq!(large["action"], "updated");
    assert!(large["ratio"].as_f64().is_some_and(|ratio| ratio < 0.98), "{large}");
}

#[test]
fn the_options_decide_what_is_stored() {
    let shop = shop();
    let guide = page("Guide", 200);
    let typo = guide.replacen("sentence 7 ", "sentense 7 ", 1);
    let action = |shop: &Shop, options: &[&str]| {
        shop.file("docs/guide.md", &guide);
        fs::remove_dir_all(shop.path("kept")).unwrap();
        shop.run(&["backup", "run", "docs", "kept"]).ended(0);
        shop.file("docs/guide.md", &typo);
        let given = shop.run(&[&["backup", "run", "docs", "kept", "--json"], options].concat()).ended(0);
        let lines = given.lines();
        lines
            .iter()
            .find(|line| line["path"] == "guide.md")
            .map(|line| line["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(action(&shop, &[]).as_deref(), Some("backup.skipped"));
    assert_eq!(action(&shop, &["--threshold", "1"]).as_deref(), Some("backup.meaningful"));
    assert_eq!(action(&shop, &["--skips-max", "0"]).as_deref(), Some("backup.skipped_often"));
    assert_eq!(
        action(&shop, &["--changed-bytes-max", "1B", "--age-max", "never"]).as_deref(),
        Some("backup.meaningful")
    );
    assert_eq!(action(&shop, &["--exclude", "*.md"]), None);
    assert_eq!(action(&shop, &["--include", "deep/**"]), None);
}

#[test]
fn people_are_shown_what_was_stored_and_a_sentence() {
    let shop = shop();
    shop.file("docs/more.md", "more\n");
    let given = shop.run(&["backup", "run", "docs", "kept"]).ended(0);
    let lines: Vec<&str> = given.out.lines().collect();
    assert!(lines[0].starts_with("ACTION") && lines[1].starts_with("created  more.md"), "{given:?}");
    assert!(given.out.contains("1 file stored (1 new)") && given.out.contains("2 unchanged"), "{given:?}");
    assert!(!given.out.contains("guide.md"), "what is unchanged is not listed: {given:?}");
    assert!(given.err.is_empty(), "no bar where nobody watches: {given:?}");
    let nothing = shop.run(&["backup", "run", "docs", "kept"]).ended(0);
    assert_eq!(nothing.out, "nothing had to be stored; 3 unchanged\n");
}

#[test]
fn a_file_that_cannot_be_read_is_a_failure_and_the_others_are_stored() {
    let shop = Shop::sqlite();
    // Deeper than is looked, which stops root too.
    let deep = shop.path("docs").join(["d"; 140].join("/"));
    fs::create_dir_all(&deep).unwrap();
    shop.file("docs/well.md", "well\n");
    let lines = shop.run(&["backup", "run", "docs", "kept", "--json"]).ended(1).lines();
    let sum = lines.last().unwrap();
    assert_eq!((&sum["created"], &sum["failed"]), (&1.into(), &1.into()));
    let failed = lines.iter().find(|line| line["action"] == "failed").unwrap();
    assert_eq!(failed["code"], "backup.too_deep");
    let people = shop.run(&["backup", "run", "docs", "kept"]).ended(1);
    assert!(people.out.contains("failed") && people.out.contains("1 could not be read"), "{people:?}");
}

#[test]
fn damage_is_found_and_told() {
    let shop = shop();
    let fine = shop.run(&["backup", "verify", "kept", "--json"]).ended(0).object();
    assert_eq!((&fine["versions"], &fine["damaged"]), (&2.into(), &0.into()));
    let fine = shop.run(&["backup", "verify", "--restore", "kept"]).ended(0);
    assert!(fine.out.contains("2 files were written back"), "{fine:?}");

    let object = first_object(&shop);
    let mut content = fs::read(&object).unwrap();
    content[10] ^= 1;
    fs::set_permissions(&object, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&object, content).unwrap();
    let found = shop.run(&["backup", "verify", "kept", "--json"]).ended(1).lines();
    assert_eq!(found[0]["action"], "damaged");
    assert_eq!(found[0]["code"], "backup.content_hash");
    assert_eq!(found.last().unwrap()["damaged"], 1);
    let found = shop.run(&["backup", "verify", "--restore", "kept"]).ended(1);
    assert!(found.out.contains("damaged") && found.out.contains("1 findings"), "{found:?}");
}

fn first_object(shop: &Shop) -> std::path::PathBuf {
    let mut folders = vec![shop.path("kept/objects")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                return path;
            }
            folders.push(path);
        }
    }
    panic!("nothing is stored")
}

#[test]
fn versions_and_runs_are_listed() {
    let shop = shop();
    shop.file("docs/guide.md", &page("Another", 200));
    shop.run(&["backup", "run", "docs", "kept"]).ended(0);
    let lines = shop.run(&["backup", "list", "kept", "--json"]).ended(0).lines();
    let runs: Vec<_> =
        lines.iter().map(|line| (line["path"].as_str().unwrap(), line["run"].as_u64().unwrap())).collect();
    assert_eq!(runs, [("deep/notes.md", 1), ("guide.md", 1), ("guide.md", 2)]);
    has(&lines[0], &["stored_at", "bytes", "code", "hash"]);
    let one = shop.run(&["backup", "list", "kept", "deep", "--json"]).ended(0).lines();
    assert_eq!(one.len(), 1);
    let runs = shop.run(&["backup", "list", "kept", "--runs", "--json"]).ended(0).lines();
    assert_eq!((&runs[0]["versions"], &runs[1]["versions"]), (&2.into(), &1.into()));
    let table = shop.run(&["backup", "list", "kept"]).ended(0);
    assert!(table.out.starts_with("PATH") && table.out.contains("3 versions"), "{table:?}");
    shop.run(&["backup", "list", "kept", "other.md"]).ended(1);
}

#[test]
fn two_versions_and_a_version_and_the_file_are_compared() {
    let shop = shop();
    shop.file("docs/guide.md", &page("Guide", 200).replace("sentence 7 ", "paragraph seven "));
    let now = shop.run(&["backup", "diff", "kept", "guide.md"]).ended(0);
    assert!(
        now.out.contains("-This is sentence 7 of Guide.") && now.out.contains("+This is paragraph seven"),
        "{now:?}"
    );
    shop.run(&["backup", "run", "docs", "kept", "--skips-max", "0"]).ended(0);
    let two = shop.run(&["backup", "diff", "kept", "guide.md", "--to", "2", "--json"]).ended(0).object();
    has(&two, &["path", "from", "to", "places", "diff"]);
    assert_eq!((&two["from"], &two["to"], &two["places"]), (&1.into(), &"run 2".into(), &1.into()));
    let same = shop.run(&["backup", "diff", "kept", "guide.md"]).ended(0);
    assert!(same.out.contains("are the same"), "{same:?}");
    let none = shop.run(&["backup", "diff", "kept", "none.md", "--json"]).ended(1);
    assert_eq!(none.error()["code"], "backup.no_such_version");
    shop.run(&["backup", "diff", "kept", "../docs/guide.md"]).ended(2);
}

#[test]
fn a_restore_writes_over_nothing_without_force() {
    let shop = shop();
    let lines = shop.run(&["backup", "restore", "kept", "back", "--json"]).ended(0).lines();
    assert_eq!((lines.len(), &lines[2]["written"]), (3, &2.into()));
    assert_eq!(fs::read_to_string(shop.path("back/guide.md")).unwrap(), page("Guide", 200));
    let again = shop.run(&["backup", "restore", "kept", "back"]).ended(0);
    assert!(again.out.contains("2 were there already"), "{again:?}");

    shop.file("back/guide.md", "mine\n");
    // However old it is.
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(shop.path("back/guide.md")).unwrap().set_modified(old).unwrap();
    let refused = shop.run(&["backup", "restore", "kept", "back", "--json"]).ended(1).lines();
    assert_eq!(of(&refused, "guide.md")["code"], "backup.differs_there");
    assert_eq!(fs::read_to_string(shop.path("back/guide.md")).unwrap(), "mine\n");
    let told = shop.run(&["backup", "restore", "kept", "back"]).ended(1);
    assert!(told.out.contains("--force"), "{told:?}");
    shop.run(&["backup", "restore", "kept", "back", "--force"]).ended(0);
    assert_eq!(fs::read_to_string(shop.path("back/guide.md")).unwrap(), page("Guide", 200));
    shop.run(&["backup", "restore", "kept", "one", "--path", "deep/notes.md"]).ended(0);
    assert!(shop.path("one/deep/notes.md").exists() && !shop.path("one/guide.md").exists());
    shop.run(&["backup", "restore", "kept", "one", "--path", "none"]).ended(1);
    // A run that never was is not taken for the newest.
    let never = shop.run(&["backup", "restore", "kept", "never", "--at", "99", "--json"]).ended(1);
    assert_eq!(never.error()["code"], "backup.no_such_run");
    assert_eq!(never.error()["message"], "there is no run 99; the newest is 1");
    assert!(!shop.path("never").exists());
    shop.run(&["backup", "restore", "kept", "first", "--at", "1"]).ended(0);
    for args in [["--to", "99"], ["--from", "99"]] {
        let args = [&["backup", "diff", "kept", "guide.md", "--json"][..], &args].concat();
        assert_eq!(shop.run(&args).ended(1).error()["code"], "backup.no_such_run");
    }
}

#[test]
fn what_no_rule_keeps_is_removed_and_before_that_shown() {
    let shop = shop();
    for title in ["Second", "Third"] {
        shop.file("docs/guide.md", &page(title, 200));
        shop.run(&["backup", "run", "docs", "kept"]).ended(0);
    }
    let one = [
        "backup",
        "prune",
        "kept",
        "--last",
        "1",
        "--daily",
        "0",
        "--weekly",
        "0",
        "--monthly",
        "0",
        "--json",
    ];
    let would = shop.run(&[&one[..], &["--dry-run"]].concat()).ended(0).lines();
    assert_eq!((would.len(), &would[0]["action"]), (3, &"would_remove".into()));
    assert_eq!(
        (&would[2]["removed"], &would[2]["kept"], &would[2]["dry_run"]),
        (&2.into(), &2.into(), &true.into())
    );
    assert_eq!(
        shop.run(&["backup", "list", "kept", "--json"]).ended(0).lines().len(),
        4,
        "nothing was removed"
    );
    let done = shop.run(&one).ended(0).lines();
    assert_eq!(done[2]["removed"], 2);
    assert_eq!(shop.run(&["backup", "list", "kept", "--json"]).ended(0).lines().len(), 2);
    let people = shop.run(&["backup", "prune", "kept"]).ended(0);
    assert_eq!(people.out, "0 versions removed, 2 kept\n");
    shop.run(&["backup", "prune", "kept", "--last", "0", "--daily", "0", "--weekly", "0", "--monthly", "0"])
        .ended(2);
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let shop = shop();
    let error = |code: i32, args: &[&str]| {
        let given = shop.run(&[args, &["--json"]].concat()).ended(code);
        assert!(given.out.is_empty(), "{given:?}");
        let error = given.error();
        assert!(error["hint"].is_string(), "{error}");
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(error(1, &["backup", "run", "nowhere", "new"]).contains("nowhere"));
    assert!(!shop.path("new").exists(), "nothing is made for a wrong SRC");
    assert!(error(78, &["backup", "verify", "nowhere"]).contains("nowhere"));
    shop.file("docs/plain", "x");
    assert!(error(78, &["backup", "list", "docs"]).contains("no store of backups"));
    assert!(error(78, &["backup", "run", "kept", "docs"]).contains("not empty"));
    assert!(error(2, &["backup", "run", "docs", "kept", "--include", "a{b"]).contains("a{b"));
    fs::create_dir(shop.path("other")).unwrap();
    assert!(error(2, &["backup", "run", "other", "kept"]).contains("versions of"));
    shop.run(&["backup", "run", "other", "kept", "--source-moved"]).ended(0);
    for wrong in
        [["--threshold", "98"], ["--age-max", "soon"], ["--changed-bytes-max", "much"], ["--skips-max", "-1"]]
    {
        shop.run(&["backup", "run", "docs", "kept", wrong[0], wrong[1]]).ended(2);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let shop = Shop::sqlite();
    fs::create_dir_all(shop.path("docs")).unwrap();
    for n in 0..3000 {
        shop.file(&format!("docs/{n}"), "x");
    }
    let mut child = shop
        .command(&["backup", "run", "docs", "kept", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && said.is_empty(), "{said}");
    assert_eq!(shop.run(&["backup", "list", "kept", "--json"]).ended(0).lines().len(), 3000);
}
