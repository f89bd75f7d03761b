//! The same shop by the real clock: each job is a process of the binary, all forty at once, as cron starts them.

use std::cell::Cell;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kit::{Given, Shop};
use crate::shop::{Job, configured, jobs, lines_of};

/// How long the service asks to be left alone: longer than a job waits for it in its own process.
const LIMITED: Duration = Duration::from_secs(9);
/// How often the backup is expected.
const EXPECTED: &str = "12s";
/// What a slow machine may take for all that ticks have to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts all of them, waits for them, and says how each ended.
fn cron(shop: &Shop, round: u32, gone: &[&str], twice: &[&str]) -> Vec<(String, i32)> {
    let table = jobs(EXPECTED);
    let due = table.iter().filter(|job| !gone.contains(&&*job.name));
    let again = table.iter().filter(|job| twice.contains(&&*job.name));
    let started: Vec<_> = due
        .chain(again)
        .map(|job: &Job| {
            let typed = job.typed(&format!("{}-{round}", job.name), shop.folder(), LIMITED);
            let words: Vec<&str> = with_config(typed.iter().map(String::as_str));
            let mut command = shop.command(&words);
            (job.name.clone(), command.stdout(Stdio::null()).spawn().unwrap())
        })
        .collect();
    started.into_iter().map(|(name, mut child)| (name, child.wait().unwrap().code().unwrap_or(-1))).collect()
}

fn with_config<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    ["--config", "jobs.toml", "--by", "ada"].into_iter().chain(words).collect()
}

fn say(shop: &Shop, words: &[&str]) -> Given {
    shop.run(&with_config(words.iter().copied()))
}

/// Ticks until it is so.
fn tick_until(shop: &Shop, what: &str, so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "{what}: {:?}", say(shop, &["status"]));
        say(shop, &["--json", "tick"]);
        sleep(Duration::from_millis(200));
    }
}

fn count(shop: &Shop, file: &str) -> usize {
    lines_of(&shop.path(file)).len()
}

fn calls(shop: &Shop) -> Vec<u128> {
    lines_of(&shop.path("maps.calls")).iter().map(|line| line.parse().unwrap()).collect()
}

fn pages(shop: &Shop) -> Vec<Value> {
    lines_of(&shop.path("pages")).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The pages that say that something has begun.
fn opened(shop: &Shop, subject: &str) -> usize {
    let about = |page: &&Value| page["subject"].as_str().unwrap_or_default().ends_with(subject);
    pages(shop).iter().filter(|page| page["state"] == "open").filter(about).count()
}

fn code_of(ended: &[(String, i32)], name: &str) -> Vec<i32> {
    ended.iter().filter(|(of, _)| of == name).map(|(_, code)| *code).collect()
}

#[test]
fn forty_processes_at_once_and_ticks_finish_a_bad_minute_of_the_real_clock() {
    let shop = Shop::sqlite();
    fs::write(shop.path("jobs.toml"), configured(shop.folder(), "1s")).unwrap();
    let good = cron(&shop, 1, &[], &[]);
    assert!(good.iter().all(|(_, code)| *code == 0), "{good:?}");
    assert_eq!((count(&shop, "plain"), count(&shop, "maps.done")), (30, 5));
    say(&shop, &["--json", "tick"]).ended(0);
    assert_eq!(pages(&shop), Vec::<Value>::new());

    for bad in ["maps.limited", "crm.dead", "disk.full"] {
        fs::write(shop.path(bad), "").unwrap();
    }
    say(&shop, &["hold", "job:report", "--reason", "the numbers are being corrected"]).ended(0);
    let bad = cron(&shop, 2, &["backup"], &["bill"]);
    assert_eq!(count(&shop, "plain"), 60, "{bad:?}");
    assert_eq!(code_of(&bad, "report"), [75], "it is held");
    assert_eq!(count(&shop, "report.done"), 1, "it is held");
    assert_eq!(count(&shop, "bill.done"), 2, "once in each round, though it was started twice: {bad:?}");
    assert!(code_of(&bad, "bill").contains(&0), "{bad:?}");
    assert_eq!((code_of(&bad, "crm-sync"), code_of(&bad, "thumbs")), (vec![77], vec![1]));
    let last_call = *calls(&shop).iter().max().unwrap();
    fs::remove_file(shop.path("maps.limited")).unwrap();
    say(&shop, &["release", "job:report"]).ended(0);

    let all_told =
        |shop: &Shop| ["crm-sync", "thumbs", "backup"].iter().all(|subject| opened(shop, subject) > 0);
    tick_until(&shop, "what was deferred is finished and what is wrong is told", || {
        count(&shop, "maps.done") == 10 && count(&shop, "report.done") == 2 && all_told(&shop)
    });
    let later: Vec<u128> = calls(&shop).into_iter().filter(|at| *at > last_call).collect();
    assert_eq!(later.len(), 5, "one call for each job that was sent away");
    assert!(later.iter().all(|at| at - last_call >= LIMITED.as_millis()), "{last_call}: {later:?}");
    mended(&shop);
}

/// What is wrong was told once, is seen, and a person mends it.
fn mended(shop: &Shop) {
    for subject in ["crm-sync", "thumbs", "backup"] {
        assert_eq!(opened(shop, subject), 1, "{subject}: {:#?}", pages(shop));
    }
    assert_eq!(pages(shop).iter().filter(|page| page["state"] == "open").count(), 3, "{:#?}", pages(shop));
    let status = say(shop, &["status"]).ended(1);
    assert!(status.out.contains("backup"), "{}", status.out);
    assert!(say(shop, &["explain", "thumbs"]).ended(0).out.contains("No space left on device"));
    for world in ["disk.full", "crm.dead"] {
        fs::remove_file(shop.path(world)).unwrap();
    }
    for name in ["thumbs", "crm-sync"] {
        say(shop, &["--json", "replay", name]).ended(0);
    }
    assert_eq!(count(shop, "thumbs.done"), 2);
    assert!(say(shop, &["--json", "dead-letters"]).ended(0).lines().is_empty());
    let again = cron(shop, 3, &[], &[]);
    assert!(again.iter().all(|(_, code)| *code == 0), "{again:?}");
    // The backup goes on as expected for as long as that takes.
    let backup = jobs(EXPECTED).into_iter().find(|job| job.name == "backup").unwrap();
    let rounds = Cell::new(4);
    let fine = || {
        let typed =
            backup.typed(&format!("backup-{}", rounds.replace(rounds.get() + 1)), shop.folder(), LIMITED);
        say(shop, &typed.iter().map(String::as_str).collect::<Vec<_>>()).ended(0);
        say(shop, &["status"]).code == 0
    };
    tick_until(shop, "all is well again", fine);
}
