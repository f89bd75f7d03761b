//! `similarity`.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;
use unattended::explain::Explain;
use unattended::rng::Rng;
use unattended::similarity::{Policy, Verdict};

use crate::kit::Shop;

fn of(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap_or_else(|| panic!("{key}: {line}")).to_owned()
}

#[test]
fn two_files_are_compared() {
    let shop = Shop::sqlite();
    let old = "the same line\n".repeat(100);
    shop.file("old", &old);
    shop.file("new", &old.replacen("same", "sane", 1));
    shop.file("other", &"something else\n".repeat(90));
    let given = shop.run(&["similarity", "old", "new", "--json"]).ended(0).object();
    for key in ["old", "new", "verdict", "decided_by", "threshold"] {
        assert!(given.get(key).is_some(), "{key}: {given}");
    }
    assert_eq!(
        [of(&given, "old"), of(&given, "new"), of(&given, "verdict")],
        ["old", "new", "not_meaningful"]
    );
    assert_eq!(given["threshold"], 0.98);
    assert_eq!(of(&given, "code"), format!("similarity.{}", of(&given, "decided_by")));
    let other = shop.run(&["similarity", "old", "other", "--json"]).ended(0).object();
    assert_eq!(of(&other, "verdict"), "meaningful");
    let strict = shop.run(&["similarity", "old", "new", "--threshold", "1", "--json"]).ended(0).object();
    assert_eq!(
        (of(&strict, "verdict"), &strict["threshold"]),
        (String::from("meaningful"), &Value::from(1.0))
    );
    let bytes =
        shop.run(&["similarity", "old", "new", "--changed-bytes-max", "1B", "--json"]).ended(0).object();
    assert_eq!(of(&bytes, "verdict"), "meaningful", "two bytes are more than one");
    let human = shop.run(&["similarity", "old", "new"]).ended(0).out;
    assert!(
        human.starts_with("old -> new  not meaningful: at most 2 bytes differ")
            || human.contains("not meaningful: 2 bytes"),
        "{human}"
    );
    let piped = shop.run_with(&["similarity", "old", "-", "--json"], &old).ended(0).object();
    assert_eq!([of(&piped, "new"), of(&piped, "decided_by")], ["-", "equal"]);
}

/// Texts of words, of which some are changed.
fn pairs(count: usize) -> Vec<(String, String)> {
    let mut rng = Rng::seeded(11);
    let mut word =
        |of: u64| ["alpha", "beta", "gamma", "delta"][usize::try_from(rng.up_to(of - 1)).unwrap()].to_owned();
    (0..count)
        .map(|n| {
            let words: Vec<String> = (0..n % 60).map(|_| word(4)).collect();
            let mut changed = words.clone();
            for at in (0..changed.len()).step_by(1 + n % 23) {
                changed[at] = word(2);
            }
            (words.join(" "), changed.join(" "))
        })
        .collect()
}

#[test]
fn pairs_are_decided_as_the_library_does_in_their_order() {
    let shop = Shop::sqlite();
    let pairs = pairs(600);
    let input: String = pairs.iter().map(|(old, new)| format!("{old}\t{new}\n")).collect();
    let path = shop.file("pairs.tsv", &input);
    for threshold in ["0.98", "0.9", "0.5"] {
        let args = ["similarity", "--pairs", path.to_str().unwrap(), "--threshold", threshold, "--json"];
        let answers = shop.run(&args).ended(0).lines();
        assert_eq!(answers.len(), pairs.len());
        let ppm = (threshold.parse::<f64>().unwrap() * 1e6).round();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few digits")]
        let policy = Policy::builder().threshold_ppm(ppm as u32).build().unwrap();
        for (answer, (old, new)) in answers.iter().zip(&pairs) {
            let verdict = policy.compare(old.as_bytes(), new.as_bytes());
            let word = match verdict {
                Verdict::NotMeaningful(_) => "not_meaningful",
                Verdict::Meaningful(_) => "meaningful",
                Verdict::AssumedMeaningful(_) => "assumed_meaningful",
            };
            assert_eq!([&of(answer, "old"), &of(answer, "new")], [old, new]);
            assert_eq!([&*of(answer, "verdict"), &*of(answer, "code")], [word, verdict.code()]);
        }
    }
    let piped = shop.run_with(&["similarity", "--pairs", "-", "--text"], &input).ended(0);
    assert_eq!(piped.out.lines().count(), pairs.len(), "for people");
}

#[test]
fn fields_that_name_files_are_files_and_all_others_with_them() {
    let shop = Shop::sqlite();
    for (name, text) in [("a", "one\n"), ("b", "one\n"), ("c", "two, which is longer\n")] {
        shop.file(name, text);
    }
    let answers = shop.run_with(&["similarity", "--pairs", "-", "--json"], "a\tb\na\tc\n").ended(0).lines();
    let verdicts: Vec<String> = answers.iter().map(|line| of(line, "verdict")).collect();
    assert_eq!(verdicts, ["not_meaningful", "meaningful"]);
    assert_eq!([of(&answers[1], "old"), of(&answers[1], "new")], ["a", "c"]);
    let texts =
        shop.run_with(&["similarity", "--pairs", "-", "--text", "--json"], "a\tb\n").ended(0).object();
    assert_eq!((of(&texts, "verdict"), texts["old_len"].as_u64()), (String::from("meaningful"), Some(1)));
    let gone = shop.run_with(&["similarity", "--pairs", "-", "--json"], "a\tb\na\tgone\na\tb\n").ended(1);
    assert_eq!(gone.lines().len(), 1);
    assert_eq!(gone.error()["code"], "input.failed");
    assert!(gone.error()["message"].as_str().unwrap().starts_with("line 2: gone cannot be read"), "{gone:?}");
    let forced = shop.run_with(&["similarity", "--pairs", "-", "--files", "--json"], "x\ty\n").ended(1);
    assert!(forced.error()["message"].as_str().unwrap().starts_with("line 1: "), "{forced:?}");
}

#[test]
fn a_missing_first_file_is_missed_where_any_of_the_first_lines_names_one() {
    let shop = Shop::sqlite();
    for name in ["a.txt", "b.txt"] {
        shop.file(name, "the same\n");
    }
    let pairs = |options: &[&str], input: &str| {
        shop.run_with(&[&["similarity", "--pairs", "-", "--json"], options].concat(), input)
    };
    let first = pairs(&[], "missing.txt\tb.txt\na.txt\tb.txt\n").ended(1);
    assert!(
        first.out.is_empty() && of(&first.error(), "message").starts_with("line 1: missing.txt "),
        "{first:?}"
    );
    // Both of the first are missing, and so is one behind the others.
    let both = pairs(&[], "gone\tlost\na.txt\tb.txt\n").ended(1);
    assert!(both.out.is_empty() && of(&both.error(), "message").starts_with("line 1: gone "), "{both:?}");
    let later = format!("{}x\ty\n", "a.txt\tb.txt\n".repeat(150));
    let later = pairs(&[], &later).ended(1);
    assert_eq!(later.lines().len(), 150);
    assert!(of(&later.error(), "message").starts_with("line 151: x "), "{later:?}");
    assert!(later.lines().iter().all(|line| of(line, "of") == "files"));
    // What stands behind the first hundred says nothing of them.
    let texts = format!("{}a.txt\tb.txt\n", "x\ty\n".repeat(100));
    let texts = pairs(&[], &texts).ended(0).lines();
    assert_eq!((texts.len(), of(&texts[100], "of")), (101, String::from("texts")));
    assert_eq!(texts[100]["old_len"], 5, "the name is the text");
    let said = pairs(&["--text"], "a.txt\tb.txt\n").ended(0).object();
    assert_eq!(of(&said, "of"), "texts");
    let said = pairs(&["--files"], "a.txt\tb.txt\n").ended(0).object();
    assert_eq!(of(&said, "of"), "files");
    assert_eq!(of(&shop.run(&["similarity", "a.txt", "b.txt", "--json"]).ended(0).object(), "of"), "files");
    assert!(pairs(&[], "").ended(0).out.is_empty());
}

#[test]
fn names_of_files_may_have_any_bytes() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let shop = Shop::sqlite();
    shop.file("a.txt", "x\n");
    let name = OsString::from_vec(b"n\xff.txt".to_vec());
    std::fs::write(shop.folder().join(&name), "x\n").unwrap();
    let mut command = shop.command(&["similarity", "--json"]);
    command.arg(&name).arg("a.txt");
    let given = crate::kit::given(command, "").ended(0).object();
    assert_eq!(
        (of(&given, "old"), of(&given, "decided_by")),
        (String::from("n\u{fffd}.txt"), String::from("equal"))
    );
    std::fs::write(shop.path("pairs"), b"n\xff.txt\ta.txt\n").unwrap();
    let given = shop.run(&["similarity", "--pairs", "pairs", "--json"]).ended(0).object();
    assert_eq!((of(&given, "of"), of(&given, "decided_by")), (String::from("files"), String::from("equal")));
    // The text of a gate's policy cannot say it, and that is told.
    for option in ["--exists", "--mounted", "--disk-free"] {
        let mut command = shop.command(&["gate", option]);
        command.arg(&name);
        let refused = crate::kit::given(command, "").ended(2);
        assert!(
            refused.err.contains(option) && refused.err.contains("allowed is a path in UTF-8"),
            "{refused:?}"
        );
    }
    let policy = OsString::from_vec(b"p\xff.json".to_vec());
    std::fs::write(shop.folder().join(&policy), "{}").unwrap();
    let mut command = shop.command(&["simulate", "trend", "--policy"]);
    command.arg(&policy);
    crate::kit::given(command, "").ended(0);
}

#[test]
fn a_line_without_a_tab_is_named_and_nothing_after_it_is_looked_at() {
    let shop = Shop::sqlite();
    for (line, says) in
        [("no tab", "there is no TAB"), ("a\tb\tc", "more than one TAB"), ("", "there is no TAB")]
    {
        let given =
            shop.run_with(&["similarity", "--pairs", "-", "--json"], &format!("x\ty\nx\tx\n{line}\nx\ty\n"));
        let given = given.ended(1);
        assert_eq!(given.lines().len(), 2);
        assert_eq!(given.error()["code"], "pairs.invalid");
        let message = of(&given.error(), "message");
        assert!(message.starts_with("line 3: ") && message.contains(says), "{given:?}");
    }
}

#[test]
fn bad_input_says_what_to_do() {
    let shop = Shop::sqlite();
    shop.file("a", "a");
    for args in [
        &["similarity"][..],
        &["similarity", "a"],
        &["similarity", "-", "-"],
        &["similarity", "a", "a", "--threshold", "98%"],
        &["similarity", "a", "a", "--threshold", "0"],
        &["similarity", "a", "a", "--threshold", "1.5"],
        &["similarity", "a", "a", "--text"],
        &["similarity", "a", "a", "--pairs", "-"],
        &["similarity", "--pairs", "-", "--text", "--files"],
        &["similarity", "a", "a", "--odd"],
    ] {
        shop.run(args).ended(2);
    }
    let gone = shop.run(&["similarity", "a", "gone", "--json"]).ended(1);
    assert_eq!(gone.error()["code"], "input.failed");
    let folder = shop.run(&["similarity", "a", "."]).ended(1);
    assert!(folder.err.contains(". cannot be read: "), "{folder:?}");
    shop.run(&["similarity", "--pairs", "gone"]).ended(1);
}

#[cfg(target_os = "linux")]
#[test]
fn many_pairs_take_no_more_memory_than_a_few() {
    let shop = Shop::sqlite();
    let mut command = shop.command(&["similarity", "--pairs", "-", "--text", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut output = BufReader::new(output);
    let most = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let mut feed = |lines: usize| {
        let text = "the old text of a line\tthe new text of a line\n".repeat(100);
        let mut answer = Vec::new();
        for _ in 0..lines / 100 {
            input.write_all(text.as_bytes()).unwrap();
            for _ in 0..100 {
                answer.clear();
                assert!(output.read_until(b'\n', &mut answer).unwrap() > 0);
            }
        }
    };
    feed(1000);
    let few = most();
    feed(20_000);
    let many = most();
    drop(input);
    assert!(many < few + 4096, "{few} KiB after 1,000 pairs, {many} KiB after 20,000 more");
    assert!(child.wait().unwrap().success());
}
