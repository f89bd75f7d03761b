//! A shop of forty jobs that nobody watches, and a bad day: one service limits its rate for two hours, one credential is
//! dead, one job is gone, one disk is full, one job starts twice, one is held.
//!
//! Each job is put before its command by `exec`, as cron would; the command is a real program. Time is virtual: an hour
//! passes when the test says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use unattended::cli::{Command, Exit, Host, Io};
use unattended::memory::Memory;
use unattended::store::Store;
use unattended::time::{Clock, Moment, Now, Timestamp, later};

const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const MAPS: [&str; 5] = ["maps-tiles", "maps-routes", "maps-places", "maps-stops", "maps-names"];

/// A clock that a test moves.
#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Now {
        let millis = self.0.load(Ordering::Relaxed);
        let begin: Timestamp = chrono::DateTime::parse_from_rfc3339("2026-03-02T00:00:00Z").unwrap().to_utc();
        Now {
            moment: Moment::from_nanos((1_000_000 + millis) * 1_000_000),
            wall: later(begin, Duration::from_millis(millis)),
        }
    }
}

#[derive(Debug, Parser)]
struct Typed {
    #[command(flatten)]
    command: Command,
}

struct Shop {
    folder: tempfile::TempDir,
    clock: Arc<Hand>,
    store: Arc<dyn Store>,
}

#[derive(Debug)]
struct Said {
    exit: Exit,
    out: String,
    #[allow(dead_code, reason = "shown when a test fails")]
    err: String,
}

impl Said {
    fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:?}")))
            .collect()
    }
}

impl Shop {
    fn new() -> Self {
        let clock = Arc::new(Hand::default());
        let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::clone(&clock) as Arc<dyn Clock>));
        let shop = Self { folder: tempfile::tempdir().unwrap(), clock, store };
        let config = configured(shop.folder.path(), "30m");
        fs::write(shop.path("jobs.toml"), config).unwrap();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Something in the world is so, or is not.
    fn world(&self, name: &str, so: bool) {
        let path = self.path(name);
        if so { fs::write(path, "").unwrap() } else { fs::remove_file(path).unwrap() }
    }

    fn pass(&self, span: Duration) {
        self.clock.0.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn hour(&self) -> u64 {
        self.clock.0.load(Ordering::Relaxed) / 3_600_000
    }

    fn say(&self, args: &[&str]) -> Said {
        let config = self.path("jobs.toml");
        let words = ["unattended", "--config", config.to_str().unwrap(), "--by", "ada"];
        let typed = Typed::try_parse_from(words.iter().chain(args))
            .unwrap_or_else(|error| panic!("{args:?}: {error}"));
        let host = Host::new("unattended")
            .store_open(Arc::clone(&self.store))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = typed.command.run_on(
            &host,
            &mut Io {
                input: &mut std::io::empty(),
                out: &mut out,
                err: &mut err,
                terminal: false,
                colour: false,
                ask: false,
            },
        );
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { exit, out: text(out), err: text(err) }
    }

    /// What cron types at this hour for this job.
    fn exec(&self, job: &Job) -> Said {
        let key = format!("{}-{}", job.name, self.hour());
        let args = job.typed(&key, self.folder.path(), 2 * 60 * MINUTE);
        self.say(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// All jobs of this hour but those that are gone.
    fn cron(&self, gone: &[&str]) {
        for job in jobs("1h").iter().filter(|job| !gone.contains(&&*job.name)) {
            self.exec(job);
        }
    }

    fn tick(&self) -> Value {
        let said = self.say(&["--json", "tick"]);
        let mut lines = said.lines();
        assert_eq!(lines.len(), 1, "{said:?}");
        lines.remove(0)
    }

    fn count(&self, file: &str) -> usize {
        lines_of(&self.path(file)).len()
    }

    fn pages(&self) -> Vec<Value> {
        lines_of(&self.path("pages")).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A line of the table of cron: what stands before the command, and the command.
pub(crate) struct Job {
    pub(crate) name: String,
    options: Vec<String>,
    script: &'static str,
}

impl Job {
    fn new(name: &str, options: &[&str], script: &'static str) -> Self {
        let options = options.iter().map(|&word| word.to_owned()).collect();
        Self { name: name.to_owned(), options, script }
    }

    /// What is typed for it. The command is told where the world is, and for how long whoever is limited stays so.
    pub(crate) fn typed(&self, key: &str, world: &Path, limited: Duration) -> Vec<String> {
        let mut args: Vec<String> =
            ["--json", "exec", "--name", &self.name, "--key", key].map(str::to_owned).into();
        args.extend(self.options.iter().cloned());
        let (world, limited) = (world.display().to_string(), limited.as_millis().to_string());
        args.extend(["--", "/bin/sh", "-c", self.script, "sh", &world, &limited].map(str::to_owned));
        args
    }
}

/// The forty jobs of the shop; the backup is expected this often.
pub(crate) fn jobs(expected: &str) -> Vec<Job> {
    let plain = |index| {
        Job::new(&format!("plain-{index}"), &["--effect", "idempotent"], "echo $UNATTENDED_KEY >> $1/plain")
    };
    let maps = |name: &&str| {
        let script = "date +%s%3N >> $1/maps.calls; if [ -e $1/maps.limited ]; then \
            printf '{\"class\":\"rate_limited\",\"retry_after_ms\":%s}' $2 > $UNATTENDED_REPORT; exit 75; fi; \
            echo $UNATTENDED_KEY >> $1/maps.done";
        Job::new(name, &["--effect", "idempotent", "--dep", "maps"], script)
    };
    let others: [(&str, &[&str], &str); 5] = [
        (
            "crm-sync",
            &["--effect", "idempotent"],
            "if [ -e $1/crm.dead ]; then printf '{\"class\":\"unauthorized\",\"code\":\"crm.token_refused\"}' > $UNATTENDED_REPORT; exit 77; fi",
        ),
        ("backup", &["--effect", "pure", "--expect-every", expected], "true"),
        (
            "thumbs",
            &["--effect", "unsafe"],
            "if [ -e $1/disk.full ]; then echo 'cannot write: No space left on device' >&2; exit 1; fi; echo ok >> $1/thumbs.done",
        ),
        ("bill", &["--effect", "unsafe"], "echo $UNATTENDED_KEY >> $1/bill.done"),
        ("report", &["--effect", "pure"], "echo $UNATTENDED_KEY >> $1/report.done"),
    ];
    let others = others.iter().map(|&(name, options, script)| Job::new(name, options, script));
    (0..30).map(plain).chain(MAPS.iter().map(maps)).chain(others).collect()
}

/// What pages are sent with, and what is told of the jobs; an alert is over after so long without it.
pub(crate) fn configured(folder: &Path, healthy_for: &str) -> String {
    let pager = folder.join("pager.sh");
    fs::write(&pager, format!("cat >> {}\necho >> {0}\n", folder.join("pages").display())).unwrap();
    format!(
        "[alerts]\ncommand = [\"/bin/sh\", \"{}\"]\nhealthy_for = \"{healthy_for}\"\n\n\
         [jobs.crm-sync]\nalert = \"first\"\nowner = \"ada\"\n\n\
         [jobs.thumbs]\nalert = \"first\"\nrunbook = \"https://wiki.example/disk\"\n",
        pager.display()
    )
}

pub(crate) fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

#[test]
fn a_bad_day_of_forty_jobs_is_finished_by_ticks_alone_and_pages_once_for_each_cause() {
    let shop = Shop::new();
    // A good hour.
    shop.cron(&[]);
    shop.tick();
    assert_eq!(shop.count("plain"), 30);
    assert_eq!(shop.count("maps.done"), 5);
    assert_eq!(shop.pages().len(), 0, "{:?}", shop.pages());
    let calm = shop.say(&["status"]);
    assert_eq!(calm.exit, Exit::Done, "{calm:?}");

    // The bad one.
    shop.pass(60 * MINUTE);
    for bad in ["maps.limited", "crm.dead", "disk.full"] {
        shop.world(bad, true);
    }
    let held = shop.say(&[
        "--json",
        "hold",
        "job:report",
        "--for",
        "3h",
        "--reason",
        "the numbers are being corrected",
    ]);
    assert_eq!(held.exit, Exit::Done, "{held:?}");
    let calls_before = shop.count("maps.calls");
    shop.cron(&["backup"]);
    let calls = shop.count("maps.calls") - calls_before;
    assert!((1..=2).contains(&calls), "one was told to leave it alone for two hours, {calls} have called");
    // Cron starts one twice: the same key again.
    let twice = shop.exec(jobs("1h").iter().find(|job| job.name == "bill").unwrap());
    assert_eq!(twice.exit, Exit::Done, "{twice:?}");
    assert_eq!(shop.count("bill.done"), 2, "once in each of two hours");
    assert_eq!(shop.count("report.done"), 1, "it is held");

    // For two hours nothing but ticks: nobody starts anything.
    for _ in 0..24 {
        shop.pass(5 * MINUTE);
        shop.tick();
        if shop.count("maps.calls") - calls_before > calls {
            assert!(
                shop.clock.0.load(Ordering::Relaxed) >= 3 * 3_600_000 - 60_000,
                "it was called while it asked not to be"
            );
        }
    }
    shop.world("maps.limited", false);
    for _ in 0..36 {
        shop.pass(5 * MINUTE);
        shop.tick();
    }
    assert_eq!(shop.count("maps.done"), 10, "what was deferred is finished by ticks alone");
    assert_eq!(shop.count("report.done"), 2, "the hold is over");
    assert_eq!(shop.count("bill.done"), 2);

    // One page for each cause: the credential, the silent job, the disk.
    let pages = shop.pages();
    let first: Vec<&Value> =
        pages.iter().filter(|page| page["state"] == "open" && page["count"].as_u64() <= Some(1)).collect();
    for subject in ["crm-sync", "thumbs", "backup"] {
        let about = first
            .iter()
            .filter(|page| page["subject"].as_str().unwrap_or_default().ends_with(subject))
            .count();
        assert_eq!(about, 1, "{subject}: {pages:#?}");
    }
    for page in &pages {
        let subject = page["subject"].as_str().unwrap();
        assert!(["crm-sync", "thumbs", "backup"].iter().any(|name| subject.ends_with(name)), "{page:#}");
        assert!(!page["next"].as_str().unwrap().is_empty(), "{page:#}");
    }
    let thumbs = pages.iter().find(|page| page["subject"].as_str().unwrap().ends_with("thumbs")).unwrap();
    assert!(thumbs["tail"].as_str().unwrap().contains("No space left on device"), "{thumbs:#}");
    assert_eq!(thumbs["runbook"], "https://wiki.example/disk");

    // What is wrong is seen, told, and mended.
    let status = shop.say(&["status"]);
    assert_eq!(status.exit, Exit::Failed, "{status:?}");
    assert!(status.out.contains("backup"), "{}", status.out);
    let story = shop.say(&["explain", "thumbs"]);
    assert!(story.out.contains("exit"), "{}", story.out);
    shop.world("disk.full", false);
    shop.world("crm.dead", false);
    let mended = shop.say(&["--json", "replay", "thumbs"]);
    assert_eq!(mended.exit, Exit::Done, "{mended:?}");
    assert_eq!(shop.count("thumbs.done"), 2);
    let mended = shop.say(&["--json", "replay", "crm-sync"]);
    assert_eq!(mended.exit, Exit::Done, "{mended:?}");
    assert!(shop.say(&["--json", "dead-letters"]).lines().is_empty());

    // The day goes on, all is well again.
    shop.cron(&[]);
    for _ in 0..12 {
        shop.pass(5 * MINUTE);
        shop.tick();
    }
    let calm = shop.say(&["status"]);
    assert_eq!(calm.exit, Exit::Done, "{calm:?}");
}

#[test]
fn what_only_who_typed_it_can_run_is_told_after_an_hour_and_over_when_it_is_typed_again() {
    let shop = Shop::new();
    let typed =
        ["--json", "exec", "--name", "sec", "--key", "k", "--secret-arg", "2", "--", "sh", "-c", "true"];
    shop.say(&["hold", "job:sec", "--reason", "later"]);
    let exit = shop.say(&typed).exit;
    assert_eq!(exit, Exit::NotNow);
    shop.say(&["release", "job:sec"]);
    shop.tick();
    shop.pass(50 * MINUTE);
    shop.tick();
    assert_eq!(shop.pages().len(), 0, "whoever typed it may type it again");
    shop.pass(11 * MINUTE);
    for _ in 0..3 {
        shop.tick();
    }
    let pages = shop.pages();
    assert_eq!(pages.len(), 1, "{pages:#?}");
    assert_eq!((&pages[0]["code"], &pages[0]["subject"]), (&"exec.not_runnable".into(), &"job:sec".into()));
    assert!(pages[0]["why"].as_str().unwrap().contains("type the command again"), "{pages:#?}");
    let exit = shop.say(&typed).exit;
    assert_eq!(exit, Exit::Program(0));
    for _ in 0..3 {
        shop.pass(31 * MINUTE);
        shop.tick();
    }
    let listed = shop.say(&["--json", "alerts"]).lines();
    assert!(listed.is_empty(), "{listed:#?}");
}
