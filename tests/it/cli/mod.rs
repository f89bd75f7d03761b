//! The real binary on a real store: every verb, for people and for programs, and what happens when it cannot.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what helps a test is a test")]

mod bad_input;
mod credential;
mod fixture;
mod golden;

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use fixture::{Fixture, filled};
use serde_json::Value;

/// What a run of the binary gave.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Given {
    /// Each line of the answer as JSON.
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn object(&self) -> Value {
        assert_eq!(self.exit, 0, "{self:?}");
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.remove(0)
    }

    /// The failure of a command that was asked for JSON: one object on stderr, nothing else.
    fn failure(&self) -> (i32, String) {
        assert_eq!(self.out, "", "{self:?}");
        let error: Value = serde_json::from_str(&self.err).unwrap_or_else(|_| panic!("{self:?}"));
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(error["error"]["message"].is_string() && error["error"].get("hint").is_some(), "{error}");
        (self.exit, error["error"]["code"].as_str().unwrap().to_owned())
    }
}

/// The binary with no surroundings but a user.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unattended"));
    command.env_clear().env("USER", "ada");
    command
}

pub(crate) fn run(args: &[&str]) -> Given {
    fed(args, "")
}

/// With `input` on stdin.
pub(crate) fn fed(args: &[&str], input: &str) -> Given {
    given(command().args(args), input)
}

pub(crate) fn given(command: &mut Command, input: &str) -> Given {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read its input may be gone already.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let done = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Given { exit: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
}

impl Fixture {
    pub(crate) fn run(&self, args: &[&str]) -> Given {
        given(command().args(args).arg("--store").arg(&self.path), "")
    }

    pub(crate) fn json(&self, args: &[&str]) -> Given {
        given(
            command().args(args).args([OsStr::new("--json"), "--store".as_ref(), self.path.as_os_str()]),
            "",
        )
    }

    fn state(&self, id: &str) -> String {
        self.json(&["show", id]).object()["state"].as_str().unwrap().to_owned()
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn has_keys(value: &Value, wanted: &str) {
    for key in wanted.split(' ') {
        assert!(value.get(key).is_some(), "{key} is missing in {value}");
    }
}

const RUN_KEYS: &str = "run_id job state attempts code why created_at duration_ms host";

#[test]
fn runs_lists_newest_first_and_filters() {
    let fixture = filled();
    let all = fixture.json(&["runs"]);
    let ids: Vec<_> = all.lines().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, [&*fixture.queued, &fixture.review, &fixture.succeeded, &fixture.failed]);
    for line in all.lines() {
        has_keys(&line, RUN_KEYS);
        assert_eq!(keys(&line).len(), 9);
    }
    let count = |args: &[&str]| fixture.json(&[&["runs"], args].concat()).lines().len();
    assert_eq!(count(&["--state", "failed_permanent"]), 1);
    assert_eq!(count(&["--state", "failed_permanent,queued"]), 2);
    assert_eq!(count(&["--job", "ingest"]), 2);
    assert_eq!(count(&["--job", "ingest", "--limit", "1"]), 1);
    assert_eq!(count(&["--code", "run.succeeded"]), 1);
    assert_eq!(count(&["--text", "9007199254740993"]), 1);
    assert_eq!(count(&["--text", "feed/page/1"]), 1);
    assert_eq!(count(&["--since", "2026-03-01T10:00:00Z"]), 3);
    assert_eq!(count(&["--since", "2026-03-01T11:00:00+01:00"]), 3);
    assert_eq!(count(&["--since", "1m"]), 0);
    let none = fixture.run(&["runs", "--since", "1m"]);
    assert_eq!((none.exit, none.out.as_str()), (0, "no runs match\n"));
    let cut = fixture.run(&["runs", "--limit", "2"]);
    assert!(cut.out.ends_with("there are older ones; --limit 4 shows more\n"), "{}", cut.out);
}

#[test]
fn show_has_everything_with_every_digit() {
    let fixture = filled();
    let given = fixture.json(&["show", &fixture.failed]);
    assert!(given.out.contains("\"input\":{\"page\":1,\"id\":9007199254740993}"), "{}", given.out);
    let run = given.object();
    has_keys(&run, RUN_KEYS);
    assert_eq!(run["state"], "failed_permanent");
    assert_eq!(run["attempts"], 2);
    assert_eq!(run["duration_ms"], 7_208_200);
    assert_eq!(run["created_at"], "2026-03-01T08:00:00.000Z");
    assert_eq!(run["key"], "feed/page/1");
    assert_eq!(run["faults"].as_array().unwrap().len(), 2);
    assert_eq!(run["steps"][0]["output"]["rows"], 120);
    let history = run["history"].as_array().unwrap();
    assert_eq!(history.len(), 6);
    for event in history {
        has_keys(event, "seq from to code why actor step attempt at");
    }
    assert_eq!(history[0]["from"], Value::Null);
    assert_eq!(history[3]["data"]["fault"]["code"], "io.timed_out");
    let human = fixture.run(&["show", &fixture.failed]);
    assert_eq!(human.exit, 0);
    for part in ["feed/page/1", "io.timed_out (transient)", "  fetch  done ", " requeue ", "took      2 h\n"]
    {
        assert!(human.out.contains(part), "{part}: {}", human.out);
    }
}

#[test]
fn show_lists_the_answers_of_a_review_and_what_to_type() {
    let fixture = filled();
    let human = fixture.run(&["show", "@failed"]);
    assert!(human.out.contains("was the step pay done?"), "{}", human.out);
    assert!(human.out.contains("not_applied  it was not done: do the step again"), "{}", human.out);
    let requeue = format!("unattended --store {} requeue {}  ", fixture.path.display(), fixture.review);
    assert!(human.out.contains(&requeue), "{}", human.out);
    let run = fixture.json(&["show", "@failed"]).object();
    assert_eq!(run["answers"], serde_json::json!(["applied", "not_applied", "requeue"]));
    assert_eq!(run["question"]["step"], "pay");
}

#[test]
fn a_run_is_found_by_each_kind_of_name() {
    let fixture = filled();
    let found = |name: &str| fixture.json(&["show", name]).object()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(found(&fixture.failed), fixture.failed);
    assert_eq!(found(&fixture.failed[fixture.failed.len() - 8..]), fixture.failed);
    assert_eq!(found("ingest"), fixture.queued);
    assert_eq!(found("ingest~0"), fixture.queued);
    assert_eq!(found("ingest~1"), fixture.failed);
    assert_eq!(found("@failed"), fixture.review);
}

#[test]
fn explain_for_programs_has_the_history() {
    let fixture = filled();
    let run = fixture.json(&["explain", "report"]).object();
    has_keys(&run, RUN_KEYS);
    let codes: Vec<_> =
        run["history"].as_array().unwrap().iter().map(|event| event["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["run.submitted", "run.claimed", "run.succeeded"]);
    assert_eq!(run["history"][2]["at"], "2026-03-01T10:01:09.820Z");
}

#[test]
fn a_note_is_kept_with_who_wrote_it() {
    let fixture = filled();
    let noted = fixture.json(&["note", "ingest~1", "the disk was full", "--by", "grace"]).object();
    assert_eq!(keys(&noted), ["run_id", "state"]);
    assert_eq!(noted["state"], "failed_permanent");
    let human = fixture.run(&["note", "ingest~1", "and is not any more"]);
    assert_eq!(human.out, format!("noted on run {}, which is failed_permanent\n", fixture.failed));
    let history = fixture.json(&["explain", "ingest~1"]).object()["history"].clone();
    let told: Vec<_> = history.as_array().unwrap()[6..]
        .iter()
        .map(|event| (event["actor"].as_str().unwrap(), event["why"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("operator:grace", "the disk was full"), ("operator:ada", "and is not any more")]);
    let sudo = given(
        command().env("SUDO_USER", "linus").args(["note", "ingest", "x", "--store"]).arg(&fixture.path),
        "",
    );
    assert_eq!(sudo.exit, 0);
    assert!(fixture.run(&["explain", "ingest"]).out.contains("note by operator:linus: x"));
}

#[test]
fn requeue_by_id_sends_what_can_be_sent() {
    let fixture = filled();
    let mixed = fixture.json(&["requeue", &fixture.failed, &fixture.succeeded]);
    assert_eq!(mixed.exit, 1);
    let lines = mixed.lines();
    assert_eq!((&lines[0]["run_id"], &lines[0]["state"]), (&fixture.failed.clone().into(), &"queued".into()));
    assert_eq!((&lines[1]["state"], &lines[1]["code"]), (&"succeeded".into(), &"run.illegal".into()));
    let review = fixture.run(&["requeue", "@failed"]);
    assert_eq!(review.out, format!("run {} was needs_review and is queued\n", fixture.review));
    let none = fixture.json(&["requeue", "@failed"]);
    assert_eq!(none.failure(), (1, String::from("run.no_such_run")));
}

#[test]
fn requeue_by_filter_asks_or_is_told() {
    let fixture = filled();
    let asked = fixture.json(&["requeue", "--all"]);
    assert_eq!(asked.failure(), (2, String::from("usage")), "there is nobody to ask");
    let dry = fixture.json(&["requeue", "--all", "--dry-run"]);
    assert_eq!((dry.exit, dry.lines().len()), (0, 1), "the run in review is left out");
    assert_eq!(dry.lines()[0]["dry_run"], true);
    assert_eq!(fixture.state(&fixture.failed), "failed_permanent");
    let human = fixture.run(&["requeue", "--all", "--state", "failed_permanent,needs_review", "--dry-run"]);
    assert!(human.out.ends_with("2 runs would be sent round again; nothing was changed\n"), "{}", human.out);
    let sent = fixture.run(&[
        "requeue",
        "--all",
        "--state",
        "failed_permanent,needs_review",
        "--rate",
        "2/h",
        "--yes",
    ]);
    assert_eq!(sent.exit, 0, "{sent:?}");
    assert!(sent.out.ends_with("2 runs sent round again\n"), "{}", sent.out);
    let due = |id: &str| {
        let due = fixture.json(&["show", id]).object()["due_at"].as_str().unwrap().to_owned();
        chrono::DateTime::parse_from_rfc3339(&due).unwrap()
    };
    let apart = due(&fixture.review) - due(&fixture.failed);
    assert_eq!(apart.num_seconds(), 1800, "the older one goes first");
    let nothing = fixture.run(&["requeue", "--all", "--yes"]);
    assert_eq!((nothing.exit, nothing.out.as_str()), (0, "no failed runs match; nothing was sent\n"));
}

#[test]
fn canonical_is_the_bytes_and_nothing_else() {
    let given = fed(&["canonical"], "{ \"b\": 1.50,\n \"a\": 9007199254740993 }\n");
    assert_eq!(given.out, r#"{"a":9007199254740993,"b":1.5}"#);
    assert_eq!((given.exit, given.err.as_str()), (0, ""));
}

#[test]
fn key_is_the_same_for_every_spelling() {
    let args = ["key", "--scope", "billing", "--kind", "invoice", "--id", "a/42", "--json"];
    let one = fed(&args, "{\"total\":1.50,\"n\":1}").object();
    let two = fed(&args, "{ \"n\": 1.0, \"total\": 1.5 }").object();
    assert_eq!(one, two);
    assert_eq!(keys(&one), ["fingerprint", "key"]);
    assert_eq!(one["key"], "billing/invoice/a%2F42");
    assert!(one["fingerprint"].as_str().unwrap().starts_with("jcs1:sha256:"));
    let human = fed(&args[..7], "{}");
    assert!(
        human.out.starts_with("key          billing/invoice/a%2F42\nfingerprint  jcs1:"),
        "{}",
        human.out
    );
}

#[test]
fn store_info_and_check() {
    let fixture = filled();
    let info = fixture.json(&["store", "info"]).object();
    has_keys(&info, "version size runs");
    assert_eq!(info["runs"], 4);
    assert_eq!(info["runs_by_state"]["failed_permanent"], 1);
    assert!(info["size"].as_u64().unwrap() > 0);
    let human = fixture.run(&["store", "info"]);
    assert!(human.out.contains(&fixture.path.display().to_string()), "{}", human.out);
    let check = fixture.json(&["store", "check"]).object();
    for check in check["checks"].as_array().unwrap() {
        assert_eq!(check["result"], "pass", "{check}");
        has_keys(check, "name result why");
    }
    assert_eq!(fixture.run(&["store", "check"]).exit, 0);
}

#[test]
fn store_check_finds_a_run_that_cannot_be_read() {
    let fixture = filled();
    let store = unattended::sqlite::Sqlite::options().create(false).open(&fixture.path).unwrap();
    fixture::put_body(&store, "from-the-future", "ingest", "levitating", String::from("{}"));
    drop(store);
    let given = fixture.json(&["store", "check"]);
    assert_eq!(given.exit, 1);
    let checks = given.lines().remove(0)["checks"].clone();
    let failed: Vec<_> =
        checks.as_array().unwrap().iter().filter(|check| check["result"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{checks}");
    assert_eq!(failed[0]["name"], "runs");
    assert!(failed[0]["why"].as_str().unwrap().contains("from-the-future"));
    let list = fixture.run(&["runs"]);
    assert_eq!(list.exit, 0, "it does not hide the others: {}", list.err);
    assert!(list.out.contains("ingest"), "{}", list.out);
    let human = fixture.run(&["store", "check"]);
    assert_eq!(human.exit, 1);
    assert!(human.out.contains("FAIL  runs"), "{}", human.out);
}

#[test]
fn help_is_grouped_and_offers_what_is_there() {
    let help = run(&["--help"]);
    assert_eq!(help.exit, 0);
    for part in ["Incident:", "Plumbing:", "  requeue ", "--store <URL>", "Exit codes: 0 done"] {
        assert!(help.out.contains(part), "{part}: {}", help.out);
    }
    assert!(help.out.contains("\n  replay "), "{}", help.out);
    assert!(!help.out.contains('\x1b'), "no colours in a pipe");
    let version = run(&["--version"]);
    assert_eq!(version.out, format!("unattended {}\n", env!("CARGO_PKG_VERSION")));
    let verb = run(&["requeue", "--help"]);
    assert!(verb.out.contains("--dry-run"), "{}", verb.out);
}
