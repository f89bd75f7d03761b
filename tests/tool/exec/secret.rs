//! Secrets are never stored.

use super::*;

/// Whether any file of the store has these bytes.
fn stands_in_the_store(shop: &Shop, secret: &str) -> bool {
    let files = std::fs::read_dir(shop.folder()).unwrap().flatten();
    files.filter(|file| file.file_name().to_string_lossy().starts_with("store.db")).any(|file| {
        std::fs::read(file.path())
            .is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
    })
}

#[test]
fn words_that_are_secret_are_not_stored_and_neither_is_what_repeats_them() {
    let shop = Shop::sqlite();
    let script = "echo using $1 $2 $3; echo again $1 >&2; exit 1";
    let args = [
        "exec",
        "--json",
        "--name",
        "pay",
        "--secret-arg",
        "4",
        "--secret-arg",
        "pin=*",
        "--",
        "sh",
        "-c",
        script,
        "x",
        "tr0ub4dor",
        "pin=48151623",
        "--api-key=abcdef123",
    ];
    // The fourth word after the program is the first that the script is given.
    let given = shop.run(&args).ended(1);
    assert!(given.err.contains("using tr0ub4dor pin=48151623"), "the command has them: {given:?}");
    for secret in ["tr0ub4dor", "48151623", "abcdef123"] {
        assert!(!stands_in_the_store(&shop, secret), "{secret}");
    }
    assert!(stands_in_the_store(&shop, "[redacted]"));
    let answer: Value = serde_json::from_str(given.out.trim()).unwrap();
    assert!(!given.out.contains("tr0ub4dor"), "{answer}");
    let replayed = shop.run(&["replay", "--json", "pay"]).ended(1);
    assert!(replayed.error()["message"].as_str().unwrap().contains("not stored"), "{replayed:?}");
}

#[test]
fn a_secret_in_a_variable_is_not_stored() {
    let shop = Shop::sqlite();
    let mut command = typed(
        &shop,
        &["--json"],
        "env",
        &["--env", "API_TOKEN", "--env", "PLACE"],
        "echo $API_TOKEN; exit 1",
    );
    command.env("API_TOKEN", "s3cr3tvalue").env("PLACE", "here-it-is");
    crate::kit::given(command, "").ended(1);
    assert!(!stands_in_the_store(&shop, "s3cr3tvalue"));
    assert!(stands_in_the_store(&shop, "here-it-is"));
}

#[test]
fn no_line_of_a_secret_and_no_part_of_one_is_shown_or_stored() {
    let shop = Shop::sqlite();
    let key = "-----BEGIN KEY-----\nAAAABBBBCCCC\nZZZZsecretlastline";
    let long = "0123456789abcdef".repeat(20);
    for (job, secret, part) in [("lines", key, "ZZZZsecretlastline"), ("long", &long, "9abcdef01234")] {
        let script = "printf '%s\\n' \"$0\" >&2; exit 3";
        let args = ["exec", "--json", "--name", job, "--secret-arg", "3", "--", "sh", "-c", script, secret];
        let given = shop.run(&args).ended(3);
        assert!(!given.out.contains(part), "{given:?}");
        assert!(!stands_in_the_store(&shop, part), "{part}");
        let told = shop.run(&["show", job]).ended(0).out;
        assert!(told.contains("[redacted]") && !told.contains(part), "{told}");
    }
}

#[test]
fn of_secrets_that_overlap_nothing_is_left() {
    let shop = Shop::sqlite();
    let mut args = vec!["exec", "--json", "--name", "pay", "--secret-arg", "4", "--secret-arg", "5", "--"];
    args.extend(["sh", "-c", "echo $1 $2 >&2; exit 3", "x", "s3cr3tZQC", "s3cr3tZQCDEF"]);
    let given = shop.run(&args).ended(3).out;
    assert!(given.contains("[redacted] [redacted]") && !given.contains("DEF"), "{given}");
    assert!(!stands_in_the_store(&shop, "]DEF"));
}

#[test]
fn a_secret_in_the_question_whether_it_is_done_is_asked_with_and_not_stored() {
    let shop = Shop::sqlite();
    let ask = "TOKEN=s3cr3tvalue sh -c 'test $TOKEN = s3cr3tvalue && test -e made'; done=$?; : https://me:pa55word@h/; exit $done";
    let effect = format!("verify:{ask}");
    let options = ["--effect", &effect, "--key", "k", "--attempts", "1"];
    let script = "echo x >> ran; test -e up || exit 9; touch made";
    exec(&shop, "ask", &options, script).ended(9);
    for secret in ["s3cr3tvalue", "pa55word"] {
        assert!(!stands_in_the_store(&shop, secret), "{secret}");
    }
    let replayed = shop.run(&["replay", "--json", "ask"]).ended(1).error();
    assert!(replayed["message"].as_str().unwrap().contains("type the command again"), "{replayed}");
    shop.file("made", "");
    let ran = lines(&shop, "ran");
    let store = shop.store();
    let runs = unattended::runs::Runs::new(store);
    let id = run_of(&shop, "ask")["run_id"].as_str().unwrap().to_owned();
    unattended::blocking::block_on(runs.requeue(&id, "operator:ada", chrono::Utc::now())).unwrap();
    let again = exec(&shop, "ask", &options, script).ended(0).object();
    assert_eq!((&again["state"], lines(&shop, "ran")), (&"succeeded".into(), ran), "it was asked: {again}");

    let refers = "verify:test -n \"$(true --password $TOKEN)\"";
    exec(&shop, "refers", &["--effect", refers, "--attempts", "1"], "exit 9").ended(9);
    assert!(stands_in_the_store(&shop, "--password $TOKEN"), "a reference is no secret");
    shop.run(&["replay", "--json", "refers"]).ended(1).object();
}
