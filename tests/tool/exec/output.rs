//! What a command writes: passed through, kept in part, shown when it matters.

use std::io::Read;
use std::process::Stdio;

use super::*;

/// The data of the events of a run.
fn stored(shop: &Shop, job: &str) -> String {
    let id = run_of(shop, job)["run_id"].as_str().unwrap().to_owned();
    let runs = unattended::runs::Runs::new(shop.store());
    let events = unattended::blocking::block_on(runs.history(&id, 0, 1000)).unwrap();
    events.into_iter().filter_map(|event| event.event.data).collect::<Vec<_>>().join("\n")
}

#[test]
fn of_a_large_output_the_beginning_and_the_end_are_kept() {
    for shop in Shop::each() {
        let script = "echo begins; seq 1 200000; echo ends";
        let given = typed(&shop, &[], "large", &[], script);
        let given = crate::kit::given(given, "").ended(0);
        assert!(
            given.out.len() > 1_000_000 && given.out.starts_with("begins\n") && given.out.ends_with("ends\n")
        );
        let stored = stored(&shop, "large");
        assert!(stored.contains("begins") && stored.contains("ends"), "{} bytes", stored.len());
        assert!((50_000..=70_000).contains(&stored.len()), "{} bytes", stored.len());
    }
}

#[test]
fn garbage_goes_through_and_is_kept_as_text() {
    for shop in Shop::each() {
        let script = "head -c 100000 /dev/urandom | tee made; head -c 100000 /dev/urandom >&2";
        let mut command = typed(&shop, &[], "noise", &[], script);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, std::fs::read(shop.path("made")).unwrap());
        assert_eq!(output.stderr.len(), 100_000);
        assert_eq!(run_of(&shop, "noise")["state"], "succeeded");
        assert!(stored(&shop, "noise").len() > 10_000);
    }
}

#[test]
fn what_goes_well_is_not_shown_where_nobody_wants_it() {
    let shop = Shop::sqlite();
    let well = ["exec", "--name", "q", "--quiet-ok", "--", "sh", "-c", "echo out; echo err >&2"];
    let well = shop.run(&well).ended(0);
    assert_eq!((&*well.out, &*well.err), ("", ""));
    let ill = ["exec", "--name", "q", "--quiet-ok", "--", "sh", "-c", "echo out; echo err >&2; exit 2"];
    let ill = shop.run(&ill).ended(2);
    assert!(ill.out == "out\n" && ill.err.starts_with("err\n"), "{ill:?}");
}

#[test]
fn the_output_of_a_failure_is_kept() {
    for shop in Shop::each() {
        exec(&shop, "fail", &[], "echo some; echo trouble >&2; exit 5").ended(5);
        let stored = stored(&shop, "fail");
        assert!(stored.contains("some") && stored.contains("trouble"), "{stored}");
    }
}

#[test]
fn whoever_reads_and_goes_away_does_not_end_the_command() {
    let shop = Shop::sqlite();
    let mut command = typed(&shop, &[], "pipe", &[], "seq 1 100000; touch over");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut some = [0; 16];
    child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(shop.path("over").exists());
    assert_eq!(run_of(&shop, "pipe")["state"], "succeeded");
}

#[test]
fn output_comes_while_the_command_runs() {
    let shop = Shop::sqlite();
    let mut command = typed(&shop, &[], "live", &[], "echo now; while [ ! -e go ]; do sleep 0.05; done");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"now\n");
    shop.file("go", "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_page_has_the_end_of_what_the_command_wrote_line_by_line() {
    for shop in Shop::each() {
        let pages = shop.path("pages.jsonl");
        let jobs =
            ["out", "err", "both", "none"].map(|job| format!("[jobs.{job}]\nalert = \"first\"\n")).join("");
        let config = format!("[alerts]\nfile = {:?}\n{jobs}", pages.display().to_string());
        let config = shop.file("jobs.toml", &config);
        for (job, script) in [
            ("out", "echo first; echo tail-line; exit 3"),
            ("err", "echo e1 >&2; echo e2 >&2; exit 3"),
            ("both", "echo o1; echo o2; echo e1 >&2; echo e2 >&2; exit 3"),
            ("none", "exit 3"),
        ] {
            exec(&shop, job, &[], script).ended(3);
        }
        shop.run(&["tick", "--config", config.to_str().unwrap()]).ended(0);
        let pages = std::fs::read_to_string(&pages).unwrap();
        let page = |job: &str| -> Value {
            let subject = format!("job:{job}");
            let pages = pages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            pages.into_iter().find(|page| page["subject"] == *subject).unwrap()
        };
        let text = |job: &str| page(job)["text"].as_str().unwrap().to_owned();
        assert_eq!(page("out")["tail"], "first\ntail-line");
        assert!(
            text("out").contains("its output ended with:\n  first\n  tail-line\nnext: "),
            "{}",
            text("out")
        );
        assert_eq!(page("err")["tail"], "e1\ne2");
        assert!(text("err").contains("its output ended with:\n  e1\n  e2\nnext: "), "{}", text("err"));
        assert_eq!(page("both")["tail"], "stdout:\no1\no2\nstderr:\ne1\ne2");
        assert_eq!(page("none")["tail"], "");
        assert!(!text("none").contains("its output"), "{}", text("none"));
        assert!(text("none").contains("sh exited with code 3"), "{}", text("none"));
    }
}
