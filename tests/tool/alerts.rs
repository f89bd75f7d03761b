//! `alerts`, `ack`, `hold`, `release` and `breaker`.

use std::sync::Arc;

use unattended::alert::{Kind, Subject};
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::notify::{Alerts, Signal};
use unattended::pipeline::{Step, StepError};
use unattended::time::{Clock, System};

use crate::kit::Shop;

/// A job that fails, and an alert of it.
fn with_an_alert(shop: &Shop) {
    let store = shop.store();
    let step = Step::blocking("copy", Effect::Pure, |_| {
        Err::<(), _>(StepError::permanent("disk.full", "no space left"))
    });
    Job::new("backup").step(step).build().unwrap().run_once_blocking(&store, &1u64).unwrap();
    let alerts = Alerts::new(Arc::clone(&store)).build().unwrap();
    let now = System.now();
    alerts.take_in_runs_blocking(now).unwrap();
    let mail =
        Signal::new(Subject::job("mail"), Kind::Overdue, "heartbeat.overdue", "it is silent", now.wall);
    let _decision = alerts.raise_blocking(&mail, now).unwrap();
}

#[test]
fn alerts_are_listed_with_all_their_keys_and_as_a_table() {
    for shop in Shop::each() {
        with_an_alert(&shop);
        let config =
            shop.file("jobs.toml", "[jobs.mail]\nowner = \"ada\"\nrunbook = \"https://example.org/mail\"\n");
        let config = config.to_str().unwrap();
        let lines = shop.run(&["alerts", "--json", "--config", config]).ended(0).lines();
        assert_eq!(lines.len(), 2);
        for key in [
            "id", "state", "subject", "kind", "code", "why", "since", "last", "count", "paged", "owner",
            "runbook", "next",
        ] {
            assert!(lines.iter().all(|line| line.get(key).is_some()), "{key}: {lines:?}");
        }
        let mail = lines.iter().find(|line| line["subject"] == "job:mail").unwrap();
        assert_eq!(
            (&mail["state"], &mail["kind"], &mail["paged"]),
            (&"open".into(), &"overdue".into(), &1.into())
        );
        assert_eq!((&mail["owner"], &mail["runbook"]), (&"ada".into(), &"https://example.org/mail".into()));
        let backup = lines.iter().find(|line| line["subject"] == "job:backup").unwrap();
        assert!(backup["next"].as_str().unwrap().starts_with("unattended explain "), "{backup}");
        assert_eq!(
            (&backup["kind"], &backup["paged"]),
            (&"dead_letter".into(), &0.into()),
            "recorded, not paged"
        );
        let of_job = shop.run(&["alerts", "--json", "--job", "mail"]).ended(0).lines();
        assert_eq!(of_job.len(), 1);
        assert_eq!(shop.run(&["alerts", "--json", "--limit", "1"]).ended(0).lines().len(), 1);

        let table = shop.run(&["alerts"]).ended(0).out;
        let head = table.lines().next().unwrap();
        assert!(head.starts_with("ALERT") && head.contains("SUBJECT") && head.contains("WHY"), "{table}");
        assert!(
            table.contains("it is silent") && table.contains("no space left") && table.contains("next: "),
            "{table}"
        );
        assert!(!table.contains('\u{1b}'), "no colour in a pipe");
    }
}

#[test]
fn an_alert_is_acknowledged_by_an_end_of_its_id_and_only_while_it_is_open() {
    for shop in Shop::each() {
        with_an_alert(&shop);
        let lines = shop.run(&["alerts", "--json", "--job", "mail"]).ended(0).lines();
        let id = lines[0]["id"].as_str().unwrap().to_owned();
        let acked = shop.run(&["ack", &id[4..], "--for", "2h", "--json"]).ended(0).object();
        assert_eq!((&acked["id"], &acked["state"]), (&id.as_str().into(), &"acknowledged".into()));
        assert_eq!(acked["acked_by"], "operator:ada");
        assert!(acked["acked_until"].is_string());
        let human = shop.run(&["ack", &id]).ended(0).out;
        assert!(human.contains("is acknowledged until it is over"), "{human}");
        let none = shop.run(&["ack", "0123456789", "--json"]).ended(1).error();
        assert_eq!(none["code"], "alert.missing");
        assert!(none["hint"].as_str().unwrap().contains("alerts --all"));
        shop.run(&["ack", &id, "--for", "0s"]).ended(2);
        shop.run(&["ack", &id, "--for", "soon"]).ended(2);
    }
}

#[test]
fn no_alerts_are_no_failure_and_a_store_that_is_not_there_is() {
    let shop = Shop::sqlite();
    for args in [&["alerts"][..], &["ack", "abcdef"], &["release", "job:mail"]] {
        let given = shop.run(args).ended(78);
        assert!(given.err.contains("no store"), "{given:?}");
    }
    drop(shop.store());
    assert_eq!(shop.run(&["alerts"]).ended(0).out, "no alerts are open\n");
    assert_eq!(shop.run(&["alerts", "--all", "--json"]).ended(0).out, "");
}

#[test]
fn a_test_page_goes_through_each_sink_and_says_which_fails() {
    let shop = Shop::sqlite();
    let pages = shop.path("pages.jsonl");
    let got = shop.path("got.json");
    let text = format!(
        "[alerts]\nfile = {:?}\ncommand = [\"sh\", \"-c\", \"cat > {}\"]\n",
        pages.display().to_string(),
        got.display()
    );
    let config = shop.file("jobs.toml", &text);
    let config = config.to_str().unwrap();
    let lines = shop.run(&["alerts", "test", "--json", "--config", config]).ended(0).lines();
    let mut sinks: Vec<_> =
        lines.iter().map(|l| (l["sink"].as_str().unwrap(), l["result"].as_str().unwrap())).collect();
    sinks.sort_unstable();
    assert_eq!(sinks, [("command", "sent"), ("file", "sent")]);
    for path in [pages, got] {
        let page: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!((&page["state"], &page["code"]), (&"test".into(), &"alert.test".into()));
        assert!(page["text"].as_str().unwrap().contains("test"));
    }
    let broken = shop.file(
        "broken.toml",
        "[alerts]\ncommand = [\"sh\", \"-c\", \"echo no modem >&2; exit 3\"]\nfile = \"/nowhere/pages\"\n",
    );
    let given = shop.run(&["alerts", "test", "--config", broken.to_str().unwrap()]).ended(1);
    assert!(given.out.contains("command: failed: ") && given.out.contains("no modem"), "{given:?}");
    assert!(given.out.contains("file: failed: /nowhere/pages"), "{given:?}");
    let nobody = shop.file("nobody.toml", "");
    let error =
        shop.run(&["alerts", "test", "--json", "--config", nobody.to_str().unwrap()]).ended(78).error();
    assert_eq!(error["code"], "alerts.no_sinks");
}

#[test]
#[cfg(feature = "webhook")]
fn a_webhook_is_posted_to_and_its_address_is_never_shown() {
    use std::io::{BufRead, BufReader, Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for status in ["204 No Content", "403 Forbidden"] {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            bodies.push(String::from_utf8(body).unwrap());
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        bodies
    });
    let shop = Shop::sqlite();
    let text = format!("[alerts]\nwebhook = \"http://127.0.0.1:{port}/services/T0K3N?sig=hunter2\"\n");
    let config = shop.file("jobs.toml", &text);
    let config = config.to_str().unwrap();
    shop.run(&["alerts", "test", "--config", config]).ended(0);
    let given = shop.run(&["alerts", "test", "--config", config]).ended(1);
    assert!(
        given.out.contains("403") && given.out.contains(&format!("http://127.0.0.1:{port}")),
        "{given:?}"
    );
    let bodies = server.join().unwrap();
    assert!(bodies[0].contains("\"code\":\"alert.test\""), "{bodies:?}");
    let gone = shop.run(&["alerts", "test", "--config", config, "--json"]).ended(1);
    for given in [given, gone] {
        assert!(
            !format!("{given:?}").contains("T0K3N") && !format!("{given:?}").contains("hunter2"),
            "{given:?}"
        );
    }
}

#[test]
fn a_job_is_held_and_released_and_both_are_told() {
    for shop in Shop::each() {
        drop(shop.store());
        let held = shop
            .run(&["hold", "job:mail", "--for", "2h", "--reason", "they migrate", "--json"])
            .ended(0)
            .object();
        for key in ["subject", "state", "until", "reason", "by"] {
            assert!(held.get(key).is_some(), "{key}: {held}");
        }
        assert_eq!(
            (&held["subject"], &held["state"], &held["by"]),
            (&"job:mail".into(), &"held".into(), &"operator:ada".into())
        );
        assert!(held["until"].is_string());
        let again = shop.run(&["hold", "dependency:s3", "--reason", "slow", "--by", "grace"]).ended(0).out;
        assert!(again.starts_with("dependency s3 is held until it is released: slow\n"), "{again}");

        let step = Step::blocking("send", Effect::Pure, |_| Ok(()));
        let job = Job::new("mail").step(step).build().unwrap();
        let report = job.run_once_blocking(&shop.store(), &1u64).unwrap();
        assert_eq!(report.exit_code(), 75);
        let run = shop.run(&["runs", "--json", "--job", "mail"]).ended(0).object();
        assert_eq!(run["code"], "hold.job");
        assert!(run["why"].as_str().unwrap().contains("they migrate"), "{run}");

        let released = shop.run(&["release", "job:mail", "--reason", "done", "--json"]).ended(0).object();
        assert_eq!((&released["state"], &released["reason"]), (&"released".into(), &"done".into()));
        let done = job.work_off_blocking(&shop.store()).unwrap();
        assert_eq!(done.len(), 1, "what it had put down is due at once");
        let human = shop.run(&["release", "dependency:s3"]).ended(0).out;
        assert!(human.contains("operator:grace held it") && human.contains("slow"), "{human}");
        let none = shop.run(&["release", "job:mail", "--json"]).ended(1).error();
        assert_eq!(none["code"], "hold.none");
    }
}

#[test]
fn a_breaker_is_forced_and_decides_by_itself_again() {
    for shop in Shop::each() {
        drop(shop.store());
        let open = shop
            .run(&["breaker", "s3", "--open", "--for", "30m", "--reason", "maintenance", "--json"])
            .ended(0)
            .object();
        assert_eq!((&open["subject"], &open["state"]), (&"dependency:s3".into(), &"open".into()));
        assert_eq!(shop.run(&["breaker", "s3", "--close", "--json"]).ended(0).object()["state"], "closed");
        let auto = shop.run(&["breaker", "s3", "--auto", "--json"]).ended(0).object();
        assert_eq!((&auto["state"], &auto["until"]), (&"auto".into(), &serde_json::Value::Null));
        let human = shop.run(&["breaker", "s3", "--open"]).ended(0).out;
        assert_eq!(human, "the breaker of s3 is open until `--auto`\n");
    }
}

#[test]
fn what_cannot_be_held_is_a_usage_error() {
    let shop = Shop::sqlite();
    drop(shop.store());
    for args in [
        &["hold", "mail", "--reason", "r"][..],
        &["hold", "host:a", "--reason", "r"],
        &["hold", "job:", "--reason", "r"],
        &["hold", "job:mail"],
        &["hold", "job:mail", "--reason", " "],
        &["hold", "job:mail", "--reason", "r", "--for", "0s"],
        &["hold", "job:mail", "--reason", "r", "--for", "x"],
        &["hold", "job:mail", "--reason", "r", "--until", "2001-01-01T00:00:00Z"],
        &["hold", "job:mail", "--reason", "r", "--until", "tomorrow"],
        &["hold", "job:mail", "--reason", "r", "--for", "1h", "--until", "2101-01-01T00:00:00Z"],
        &["breaker", "s3"],
        &["breaker", "s3", "--open", "--close"],
        &["breaker", "s3", "--auto", "--for", "1h"],
        &["breaker", "", "--open"],
        &["alerts", "--limit", "0"],
        &["alerts", "--nonsense"],
    ] {
        let given = shop.run(args).ended(2);
        assert!(!given.err.is_empty(), "{args:?}");
    }
}
