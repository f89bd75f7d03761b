//! runs, show, explain, dead-letters.

use std::io::Read;
use std::process::Stdio;

use crate::kit::Shop;
use crate::runs::made::{RUN_KEYS, fill, has_keys, json};

#[test]
fn runs_are_listed_newest_first_and_filtered() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let all = json(&shop, &["runs"]).ended(0).lines();
        let ids: Vec<_> = all.iter().map(|run| run["run_id"].as_str().unwrap()).collect();
        assert_eq!(ids, [&made.waiting, &made.review, &made.failed, &made.succeeded]);
        all.iter().for_each(|run| has_keys(run, RUN_KEYS));
        let of = |args: &[&str]| {
            let lines = json(&shop, &[&["runs"], args].concat()).ended(0).lines();
            lines.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(&["--state", "failed_permanent"]), [&*made.failed]);
        assert_eq!(of(&["--state", "failed_permanent,needs_review"]), [&*made.review, &made.failed]);
        assert_eq!(of(&["--job", "report"]), [&*made.succeeded]);
        assert_eq!(of(&["--job", "report", "--state", "failed_permanent"]), Vec::<String>::new());
        assert_eq!(of(&["--code", "run.succeeded"]), [&*made.succeeded]);
        assert_eq!(of(&["--text", "12.5"]), [&*made.review]);
        assert_eq!(of(&["--since", "1h"]).len(), 4);
        assert_eq!(of(&["--since", "2999-01-01T00:00:00Z"]).len(), 0);
        assert_eq!(of(&["--limit", "1"]), [&*made.waiting]);
        let human = shop.run(&["runs"]).ended(0).out;
        let head = human.lines().next().unwrap();
        assert!(head.starts_with("RUN") && head.contains("JOB") && head.ends_with("WHY"), "{human}");
        let relative = |text: &str| text.contains("just now") || text.contains(" ago");
        assert!(relative(&human) && human.contains("ingest"), "{human}");
        let column = head.find("STATE").unwrap();
        assert!(human.lines().skip(1).all(|line| line.as_bytes()[column - 1] == b' '), "aligned: {human}");
        assert!(!human.contains('\x1b'), "no colours in a pipe");
        let absolute = shop.run(&["runs", "--absolute"]).ended(0).out;
        assert!(!relative(&absolute), "{absolute}");
        assert_eq!(shop.run(&["runs", "--job", "none"]).ended(0).out, "no runs match\n");
    }
}

#[test]
fn one_whole_run_is_shown_without_its_secrets() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let given = json(&shop, &["show", &made.failed]).ended(0);
        assert!(!given.out.contains("hunter2") && !given.out.contains("s3cr3t"), "{}", given.out);
        let run = given.object();
        has_keys(&run, RUN_KEYS);
        has_keys(&run, "history steps faults input output answers next key code_version");
        assert_eq!(run["input"]["api_key"], "[redacted]");
        assert_eq!(run["steps"][0]["output"]["rows"], 120);
        assert_eq!(run["code_version"], "1.0.0");
        let human = shop.run(&["show", &made.failed]).ended(0).out;
        assert!(!human.contains("hunter2") && !human.contains("s3cr3t"), "{human}");
        for part in ["ingest", "feed.gone", "the feed answers 410", &format!("requeue {}", made.failed)] {
            assert!(human.contains(part), "{part}: {human}");
        }
        let explained = json(&shop, &["explain", &made.failed]).ended(0);
        assert!(!explained.out.contains("hunter2"), "{}", explained.out);
    }
}

#[test]
fn show_lists_the_answers_that_a_review_accepts() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let run = json(&shop, &["show", "transfer"]).ended(0).object();
        assert_eq!(run["state"], "needs_review", "{run}");
        let answers: Vec<_> =
            run["answers"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        assert!(answers.contains(&"applied") && answers.contains(&"not_applied"), "{answers:?}");
        let human = shop.run(&["show", "transfer"]).ended(0).out;
        for part in ["question", "answers", &format!("review {} --applied JSON", made.review)] {
            assert!(human.contains(part), "{part}: {human}");
        }
    }
}

#[test]
fn explain_reads_like_a_story() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let run = json(&shop, &["explain", "ingest"]).ended(0).object();
        has_keys(&run, RUN_KEYS);
        let history = run["history"].as_array().unwrap();
        history.iter().for_each(|event| has_keys(event, "seq from to code why actor step attempt at"));
        let decided = history.iter().find(|event| event["code"] == "disk.low").unwrap();
        assert_eq!(decided["step"], "load");
        assert_eq!(decided["data"]["action"], "cleanup");
        assert_eq!(decided["data"]["numbers"]["free_bytes"], 1200);
        let human = shop.run(&["explain", &made.failed]).ended(0).out;
        for part in [
            "It failed for good",
            "disk space below the safe threshold -> cleanup",
            "free_bytes: 1200",
            "safe_bytes: 9000",
            "trying again cannot help: feed.gone: the feed answers 410",
            "\nnow failed_permanent",
            "\nnext\n",
        ] {
            assert!(human.contains(part), "{part}: {human}");
        }
    }
}

#[test]
fn dead_letters_come_with_the_next_command() {
    for shop in Shop::each() {
        let made = fill(&shop);
        let lines = json(&shop, &["dead-letters"]).ended(0).lines();
        let ids: Vec<_> = lines.iter().map(|run| run["run_id"].as_str().unwrap()).collect();
        assert_eq!(ids, [&made.review, &made.failed]);
        lines.iter().for_each(|run| has_keys(run, RUN_KEYS));
        assert!(lines[1]["next"][0].as_str().unwrap().contains(&made.failed), "{lines:?}");
        let human = shop.run(&["dead-letters"]).ended(0).out;
        let end = &made.review[made.review.len() - 8..];
        assert!(human.contains(&format!("unattended show {end}")), "{human}");
        assert_eq!(json(&shop, &["dead-letters", "--job", "ingest"]).ended(0).lines().len(), 1);
        assert_eq!(shop.run(&["dead-letters", "--job", "report"]).ended(0).out, "no dead letters\n");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for shop in Shop::each() {
        fill(&shop);
        for args in [
            ["runs", "--limit", "9"].as_slice(),
            &["explain", "ingest"],
            &["show", "ingest", "--json"],
            &["man"],
            &["completions", "bash"],
        ] {
            let mut child = shop.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // The pipe is closed before anything is written.
            drop(child.stdout.take());
            let (mut err, code) = (String::new(), child.wait().unwrap().code());
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
        }
    }
}
