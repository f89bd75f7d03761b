//! `config`, `beat`, `forget`, `status`, `tick` and `metrics`.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unattended::alert::Subject;
use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::heartbeat::{Beat, Policy};
use unattended::holds::{Held, Holds};
use unattended::job::Job;
use unattended::monitor::Monitor;
use unattended::pipeline::{Step, StepError};
use unattended::schedule::Schedule;
use unattended::statistics::Statistics;
use unattended::store::Store;
use unattended::time::{Clock, Now, System};

use crate::kit::{Given, Shop, given};

const HOUR: Duration = Duration::from_secs(3600);

fn ago(time: Duration) -> Now {
    let now = System.now();
    Now { wall: now.wall - time, ..now }
}

/// A job that succeeded two days ago, and is expected each hour: declared by its own process alone.
fn silent(store: Arc<dyn Store>, name: &str) {
    let monitor = Monitor::new(store, "unattended").expect(name, Policy::every(HOUR)).build().unwrap();
    monitor.beat_blocking(name, ago(48 * HOUR), Beat::succeeded()).unwrap();
}

fn run(store: &Arc<dyn Store>, job: &str, well: bool) {
    let step = Step::blocking("greet", Effect::Pure, move |cx| {
        if well {
            cx.input::<u64>()
        } else {
            Err(StepError::permanent("greeting.refused", "nobody is there"))
        }
    });
    let statistics = Statistics::new(Arc::clone(store)).build();
    let key = |name: String| move |id: &u64| Key::new("shop", &name, id);
    let job = Job::new(job).step(step).key(key(job.to_owned())).statistics(&statistics).build().unwrap();
    job.run_once_blocking(store, &7u64).unwrap();
}

fn named<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let list = list.as_array().unwrap_or_else(|| panic!("{list}"));
    list.iter().find(|item| item[key] == name).unwrap_or_else(|| panic!("no {name} in {list:?}"))
}

fn config(shop: &Shop, text: &str) -> String {
    shop.file("jobs.toml", text).display().to_string()
}

/// A configuration whose pages are lines of a file.
fn paging(shop: &Shop, more: &str) -> String {
    let pages = shop.path("pages.jsonl").display().to_string();
    config(
        shop,
        &format!(
            "[alerts]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> {pages}\"]\nhealthy_for = \"1s\"\n{more}"
        ),
    )
}

fn pages(shop: &Shop) -> Vec<Value> {
    let text = std::fs::read_to_string(shop.path("pages.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn status(shop: &Shop, code: i32) -> Value {
    shop.run(&["status", "--json"]).ended(code).object()
}

const WHOLE: &str = r#"
[alerts]
command = ["/usr/local/bin/page", "--token=s3cr3t"]
webhook = "https://hooks.example.org/services/T0/B0/s3cr3t"
limit = "20/1h"
[jobs.backup]
schedule = "30 2 * * *"
tz = "Europe/Paris"
effect = "idempotent"
dependencies = ["s3"]
alert = "first"
owner = "ada"
runbook = "https://wiki.example.org/backup"
retention = "30d"
[jobs.mail]
every = "1h"
"#;

#[test]
fn what_is_in_force_is_shown_and_its_secrets_are_not() {
    let shop = Shop::sqlite();
    let file = config(&shop, WHOLE);
    let given = shop.run(&["config", "show", "--config", &file, "--json"]).ended(0);
    assert!(!given.out.contains("s3cr3t"), "{given:?}");
    let shown = given.object();
    assert_eq!(shown["path"], file.as_str());
    assert_eq!(shown["alerts"]["limit"], json!({"count": 20, "per_ms": 3_600_000}));
    assert_eq!(shown["alerts"]["webhook"], "https://hooks.example.org/[redacted]");
    let backup = named(&shown["jobs"], "name", "backup");
    assert_eq!(backup["schedule"], "30 2 * * *");
    assert_eq!(backup["tz"], "Europe/Paris");
    assert_eq!(backup["retention_ms"], 30 * 86_400_000_u64);
    assert_eq!(named(&shown["jobs"], "name", "mail")["every_ms"], 3_600_000);
    let human = shop.run(&["config", "show", "--config", &file]).ended(0).out;
    for wanted in [&file, "backup", "30 2 * * * Europe/Paris", "every 1h", "ada", "20 pages in 1h"] {
        assert!(human.contains(wanted), "{wanted}: {human}");
    }
    assert!(!human.contains("s3cr3t"), "{human}");
    let none = shop.run(&["config", "show"]).ended(0);
    assert!(none.out.contains("--config FILE"), "{none:?}");
}

#[test]
fn a_broken_configuration_is_told_with_line_and_field_by_every_verb_that_reads_it() {
    let shop = Shop::sqlite();
    for (text, told) in [
        ("[jobs.backup\n", ":1:13: "),
        ("[jobs.backup]\nevry = \"1h\"\n", ":2:1: unknown field `evry`"),
        (
            "[jobs.backup]\nschedule = \"61 2 * * *\"\n",
            ":2:12: jobs.backup.schedule is \"61 2 * * *\", allowed is",
        ),
        (
            "[jobs.backup]\nschedule = \"1 2 * * *\"\ntz = \"Mars\"\n",
            ":3:6: jobs.backup.tz is \"Mars\", allowed is",
        ),
        ("[jobs.backup]\nevery = \"soon\"\n", ":2:9: jobs.backup.every is \"soon\", allowed is"),
        ("[alerts]\nagain_after = \"2h\"\nagain_max = \"1h\"\n", "again"),
    ] {
        let file = config(&shop, text);
        for verb in [&["config", "show"][..], &["beat", "a"], &["tick"]] {
            let args: Vec<&str> = [verb, &["--config", &file, "--json"]].concat();
            let given = shop.run(&args);
            if given.code == 0 && told == "again" {
                continue;
            }
            let error = given.ended(78).error();
            assert_eq!(error["code"], "config.invalid");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(told) && message.contains("jobs.toml"), "{told}: {message}");
        }
    }
    let missing = shop.path("none.toml").display().to_string();
    let error = shop.run(&["config", "show", "--config", &missing, "--json"]).ended(78).error();
    assert_eq!(error["code"], "config.missing");
    let human = shop.run(&["tick", "--config", &missing]).ended(78);
    assert!(human.err.contains("none.toml") && human.out.is_empty(), "{human:?}");
}

#[test]
fn a_job_beats_is_expected_fails_and_is_forgotten() {
    for shop in Shop::each() {
        let beat = |args: &[&str]| shop.run(&[&["beat", "nightly", "--json"], args].concat());
        let first = beat(&["--every", "1h"]).ended(0).object();
        assert_eq!(first["name"], "nightly");
        assert_eq!((&first["state"], &first["declared"]), (&json!("up"), &json!(true)));
        assert_eq!(beat(&["--start"]).ended(0).object()["beat"], "started");
        assert_eq!(beat(&["--progress"]).ended(0).object()["beat"], "progress");
        assert_eq!(status(&shop, 0)["heartbeats"][0]["every_ms"], 3_600_000);
        assert_eq!(beat(&["--fail=no space left"]).ended(0).object()["state"], "failing");
        let down = status(&shop, 1);
        let nightly = named(&down["heartbeats"], "name", "nightly");
        assert_eq!(nightly["state"], "failing");
        assert!(nightly["why"].as_str().unwrap().contains("no space left"), "{nightly}");
        let human = shop.run(&["beat", "nightly"]).ended(0).out;
        assert!(human.contains("nightly is up"), "{human}");
        assert_eq!(shop.run(&["beat", "stray", "--json"]).ended(0).object()["declared"], false);
        assert_eq!(named(&status(&shop, 0)["undeclared"], "name", "stray")["name"], "stray");
        let human = shop.run(&["beat", "stray"]).ended(0).out;
        assert!(human.contains("beat stray --every 24h"), "{human}");

        assert_eq!(shop.run(&["forget", "stray", "--json"]).ended(0).object()["forgotten"], true);
        let human = shop.run(&["forget", "nightly"]).ended(0).out;
        assert!(human.contains("nightly is forgotten"), "{human}");
        assert_eq!(status(&shop, 0)["heartbeats"], json!([]));
        let error = shop.run(&["forget", "nightly", "--json"]).ended(1).error();
        assert_eq!(error["code"], "monitor.unknown");

        for bad in [
            &["beat", "a", "--start", "--fail"][..],
            &["beat", "a", "--every", "soon"],
            &["beat", "a", "--every", "10ms"],
            &["beat", "\u{1b}[31mred"],
            &["beat", "two\nlines"],
            &["beat", "a", "--schedule", "61 * * * *"],
            &["beat", "a", "--tz", "utc"],
            &["beat", ""],
            &["beat"],
            &["forget"],
        ] {
            shop.run(bad).ended(2);
        }
    }
}

#[test]
fn what_is_wrong_with_a_beat_is_said_of_what_was_typed() {
    let shop = Shop::sqlite();
    for args in [&["--every", "0s"][..], &["--every", "10ms"]] {
        let given = shop.run(&[&["beat", "b"], args].concat()).ended(2);
        assert!(given.err.contains("--every") && !given.err.contains("tick"), "{given:?}");
    }
    let red = shop.run(&["beat", "\u{1b}[31mred"]).ended(2);
    assert!(!red.err.contains('\u{1b}') && red.err.contains("control characters"), "{red:?}");
    assert!(!shop.path("store.db").exists());
}

#[test]
fn a_verb_that_reads_makes_no_store_and_a_tick_does() {
    let shop = Shop::sqlite();
    for verb in [&["status"][..], &["metrics"], &["forget", "a"]] {
        let given = shop.run(&[verb, &["--json"]].concat()).ended(78);
        assert_eq!(given.error()["code"], "store.missing");
        assert!(!shop.path("store.db").exists());
    }
    let ticked = shop.run(&["tick", "--json"]).ended(0).object();
    for key in ["ran", "expired", "overdue", "alerts", "sent", "unsent", "pruned"] {
        assert_eq!(ticked[key], 0, "{key}: {ticked}");
    }
    assert_eq!(ticked["failed"], json!([]));
    assert!(shop.path("store.db").exists());
    let no_store = shop.file("no-store", "this is text");
    let given = shop.run(&["tick", "--json", "--store", &no_store.display().to_string()]).ended(78);
    assert_eq!(given.error()["code"], "store.not_a_store");
}

#[test]
fn all_is_well_in_one_sentence_and_with_every_key() {
    for shop in Shop::each() {
        shop.run(&["tick"]).ended(0);
        let answer = status(&shop, 0);
        for key in [
            "heartbeats",
            "breakers",
            "holds",
            "alerts",
            "budgets",
            "quotas",
            "windows",
            "next",
            "undeclared",
            "never",
        ] {
            assert!(answer[key].is_array(), "{key}: {answer}");
        }
        assert_eq!(answer["well"], true);
        for key in ["queued", "processing", "needs_review", "due"] {
            assert_eq!(answer["queue"][key], 0, "{key}: {answer}");
        }
        assert_eq!(answer["queue"]["oldest_ms"], Value::Null);
        let tick = named(&answer["heartbeats"], "name", "unattended.tick");
        for key in ["name", "state", "since", "last_success", "every_ms", "why", "declared", "code"] {
            assert!(!tick[key].is_null(), "{key}: {tick}");
        }
        assert_eq!(tick["state"], "up");
        let human = shop.run(&["status"]).ended(0).out;
        assert_eq!(human.lines().count(), 1, "{human}");
        assert!(human.starts_with("all is well: 1 heartbeat well"), "{human}");
    }
}

#[test]
fn what_is_declared_elsewhere_is_judged_by_whoever_looks() {
    for shop in Shop::each() {
        let store = shop.command(&["tick"]).status().map(|_| shop.store()).unwrap();
        silent(Arc::clone(&store), "hourly");
        let schedule = Schedule::cron("30 2 * * *", "Europe/Paris".parse().unwrap()).unwrap();
        let monitor = Monitor::new(Arc::clone(&store), "unattended")
            .expect_schedule("nightly", schedule, Policy::scheduled())
            .build()
            .unwrap();
        monitor.beat_blocking("nightly", ago(120 * HOUR), Beat::succeeded()).unwrap();
        // Looking does not write.
        let before =
            block_on(store.get(unattended::store::Ns::SNAPSHOT, "heartbeat/unattended/hourly")).unwrap();
        let answer = status(&shop, 1);
        for (name, key, value) in [
            ("hourly", "every_ms", json!(3_600_000)),
            ("nightly", "schedule", json!("30 2 * * * Europe/Paris")),
        ] {
            let beat = named(&answer["heartbeats"], "name", name);
            assert_eq!((&beat["state"], &beat["declared"]), (&json!("overdue"), &json!(true)), "{beat}");
            assert_eq!(beat[key], value);
            assert_eq!(beat["code"], "heartbeat.overdue");
        }
        let after =
            block_on(store.get(unattended::store::Ns::SNAPSHOT, "heartbeat/unattended/hourly")).unwrap();
        assert_eq!(before, after);
        let human = shop.run(&["status"]).ended(1).out;
        assert!(human.contains("overdue") && human.contains("forget hourly"), "{human}");
        run(&store, "hourly", false);
        assert!(shop.run(&["status"]).ended(1).out.contains("explain hourly"));
        assert_eq!(shop.run(&["tick", "--json"]).ended(0).object()["overdue"], 2);
    }
}

#[test]
fn a_tick_pages_once_for_what_is_silent_and_the_alert_ends_when_it_is_well() {
    for shop in Shop::each() {
        let file = paging(&shop, "[jobs.hourly]\nevery = \"1h\"\nowner = \"ada\"\n");
        shop.run(&["tick"]).ended(0);
        silent(shop.store(), "hourly");
        let tick = |code: i32| shop.run(&["tick", "--json", "--config", &file]).ended(code).object();
        let first = tick(0);
        assert_eq!((&first["overdue"], &first["alerts"], &first["sent"]), (&json!(1), &json!(1), &json!(1)));
        let page = pages(&shop);
        assert_eq!(page.len(), 1, "{page:?}");
        assert!(page[0].to_string().contains("hourly") && page[0].to_string().contains("ada"), "{page:?}");
        assert_eq!(tick(0)["sent"], 0);
        assert_eq!(pages(&shop).len(), 1);

        let answer = status(&shop, 1);
        let alert = named(&answer["alerts"], "subject", "job:hourly");
        assert_eq!((&alert["state"], &alert["code"]), (&json!("open"), &json!("heartbeat.overdue")));
        let human = shop.run(&["status"]).ended(1).out;
        assert!(human.contains("alerts") && human.contains("ack "), "{human}");

        shop.run(&["beat", "hourly", "--config", &file]).ended(0);
        tick(0);
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(tick(0)["alerts"], 0);
        status(&shop, 0);
    }
}

#[test]
fn two_ticks_at_once_do_no_harm() {
    for shop in Shop::each() {
        let file = paging(&shop, "");
        shop.run(&["tick"]).ended(0);
        for job in 0..5 {
            silent(shop.store(), &format!("job-{job}"));
        }
        let all: Vec<Given> = std::thread::scope(|scope| {
            let tick = || given(shop.command(&["tick", "--json", "--config", &file]), "");
            let all: Vec<_> = (0..3).map(|_| scope.spawn(tick)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for one in all {
            let one = one.ended(0).object();
            assert_eq!(one["failed"], json!([]), "{one}");
        }
        let last = shop.run(&["tick", "--json", "--config", &file]).ended(0).object();
        assert_eq!((&last["overdue"], &last["alerts"]), (&json!(5), &json!(5)));
        let mut told: Vec<String> = pages(&shop).iter().map(ToString::to_string).collect();
        told.sort();
        assert_eq!(told.len(), 5, "each is paged once: {told:?}");
    }
}

#[test]
fn one_part_of_a_tick_that_fails_does_not_stop_the_others() {
    let shop = Shop::sqlite();
    let file = paging(&shop, "[metrics]\nfile = \"/nowhere/at/all.prom\"\n");
    shop.run(&["tick"]).ended(0);
    silent(shop.store(), "hourly");
    let ticked = shop.run(&["tick", "--json", "--config", &file]).ended(1).object();
    assert_eq!(named(&ticked["failed"], "part", "metrics")["code"], "metrics.not_written");
    assert_eq!(pages(&shop).len(), 1);
    let answer = status(&shop, 1);
    assert_eq!(named(&answer["heartbeats"], "name", "unattended.tick")["state"], "failing");
    let human = shop.run(&["tick", "--config", &file]).ended(1);
    assert!(human.err.contains("metrics: ") && human.err.contains("all.prom"), "{human:?}");
    assert!(
        human.out.contains("1 job is overdue or failing") || human.out.contains("2 jobs are"),
        "{human:?}"
    );

    let prom = shop.path("x.prom").display().to_string();
    let file = config(&shop, &format!("[metrics]\nfile = \"{prom}\"\n"));
    shop.run(&["tick", "--config", &file]).ended(0);
    assert!(std::fs::read_to_string(&prom).unwrap().contains("unattended_heartbeat{"));
}

#[test]
fn what_ran_undeclared_what_never_ran_and_what_is_next_is_told() {
    for shop in Shop::each() {
        let file = config(
            &shop,
            "[jobs.never]\nevery = \"1h\"\n[jobs.nightly]\nschedule = \"30 2 * * *\"\ntz = \"Europe/Paris\"\n",
        );
        shop.run(&["tick", "--config", &file]).ended(0);
        let store = shop.store();
        run(&store, "stranger", true);
        run(&store, "nightly", true);
        let answer = shop.run(&["status", "--json", "--config", &file]).ended(0).object();
        assert_eq!(named(&answer["undeclared"], "name", "stranger")["name"], "stranger");
        let never: Vec<&str> =
            answer["never"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
        assert_eq!(never, ["never"]);
        let next = named(&answer["next"], "job", "nightly");
        assert!(next["local"].as_str().unwrap().contains(" 02:30:00 +0"), "{next}");
        let human = shop.run(&["status", "--config", &file]).ended(0).out;
        for wanted in ["declared, and never ran", "ran, and nobody declared it", "stranger", "next"] {
            assert!(human.contains(wanted), "{wanted}: {human}");
        }
    }
}

#[test]
fn what_is_held_and_what_waits_is_told() {
    for shop in Shop::each() {
        shop.run(&["tick"]).ended(0);
        let store = shop.store();
        run(&store, "greet", false);
        let held = Held::new("operator:ada", "they migrate", System.now().wall);
        block_on(Holds::new(Arc::clone(&store)).hold(&Subject::dependency("mail"), &held)).unwrap();
        let answer = status(&shop, 0);
        let hold = named(&answer["holds"], "subject", "dependency:mail");
        assert_eq!((&hold["reason"], &hold["by"]), (&json!("they migrate"), &json!("operator:ada")));
        assert_eq!(answer["dead_letters"], 1);
        let human = shop.run(&["status"]).ended(0).out;
        for wanted in ["release dependency:mail", "they migrate", "dead-letters"] {
            assert!(human.contains(wanted), "{wanted}: {human}");
        }
    }
}

#[test]
fn the_runs_of_a_job_are_kept_for_as_long_as_is_written_down() {
    for shop in Shop::each() {
        let file = config(&shop, "[jobs.short]\nretention = \"1s\"\n[jobs.long]\nretention = \"30d\"\n");
        shop.run(&["tick"]).ended(0);
        let store = shop.store();
        run(&store, "short", true);
        run(&store, "long", true);
        std::thread::sleep(Duration::from_millis(1200));
        let ticked = shop.run(&["tick", "--json", "--config", &file]).ended(0).object();
        assert!(ticked["pruned"].as_u64().unwrap() >= 1, "{ticked}");
        let left = shop.run(&["runs", "--json"]).ended(0).lines();
        let left: Vec<&str> = left.iter().map(|run| run["job"].as_str().unwrap()).collect();
        assert_eq!(left, ["long"]);
    }
}

#[test]
fn the_numbers_are_printed_written_and_given_as_json() {
    for shop in Shop::each() {
        shop.run(&["tick"]).ended(0);
        let store = shop.store();
        run(&store, "greet", true);
        run(&store, "greet", true);
        run(&store, "refused", false);
        let text = shop.run(&["metrics"]).ended(0).out;
        for wanted in [
            "# TYPE unattended_ended_total counter\n",
            "unattended_ended_total{job=\"greet\"} 1\n",
            "unattended_duplicates_total{job=\"greet\"} 1\n",
            "unattended_failed_total{job=\"refused\"} 1\n",
            "unattended_dead_lettered_total{job=\"refused\"} 1\n",
            "unattended_duration_seconds_count{job=\"greet\"} 1\n",
            "unattended_step_duration_seconds_count{job=\"greet\",step=\"greet\"} 1\n",
            "unattended_dead_letters 1\n",
            "unattended_queue{state=\"queued\"} 0\n",
            "unattended_alerts{state=\"open\"} 0\n",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let lines = shop.run(&["metrics", "--json"]).ended(0).lines();
        let failed = lines
            .iter()
            .find(|line| line["name"] == "unattended_failed_total" && line["labels"]["job"] == "refused");
        assert_eq!(failed.map(|line| &line["value"]), Some(&json!(1.0)), "{lines:?}");
        let out = shop.path("x.prom").display().to_string();
        let written = shop.run(&["metrics", "--out", &out, "--json"]).ended(0).object();
        assert_eq!(written["file"], out.as_str());
        assert!(std::fs::read_to_string(&out).unwrap().contains("unattended_ended_total"));
        assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o644);
        let given = shop.run(&["metrics", "--out", "/nowhere/x.prom", "--json"]).ended(1);
        assert_eq!(given.error()["code"], "metrics.not_written");
    }
}
