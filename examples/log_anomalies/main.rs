//! A baseline learns what is usual in one log and watches another; then it follows a file that grows, is rotated and truncated, across
//! two processes. Each alert says on what it stands.
//!
//! ```sh
//! cargo run --all-features --example log_anomalies
//! cargo run --all-features --example log_anomalies -- learn.log watch.log
//! ```

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use unattended::baseline::{Baseline, Labelled, Policy, Saved, Severity, Units, backtest};
use unattended::explain::Explain;
use unattended::lines::{Follow, Key, Keyed, Position, each};
use unattended::rng::Rng;
use unattended::time::{Moment, Now};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if let [learn, watch] = &files[..] {
        let mut watcher = Watcher::new()?;
        watcher.text(&fs::read(learn)?)?;
        println!("learned: {}", watcher.baseline.evidence());
        watcher.text(&fs::read(watch)?)?;
        return watcher.end();
    }
    let learned = learn_and_watch()?;
    follow(learned)?;
    tune()?;
    a_step_is_missing()
}

/// A key, a baseline, and a simulated clock that moves on a little with each line.
struct Watcher {
    key: Key,
    text: Vec<u8>,
    baseline: Baseline,
    now: Now,
}

impl Watcher {
    fn new() -> Outcome<Self> {
        let now = Now { moment: Moment::ZERO, wall: "2026-03-02T08:00:00Z".parse()? };
        // A seed of its own, so that this prints the same each time; where it matters it is `rng::entropy()`.
        let baseline = Baseline::new(policy(), 7, now)?;
        Ok(Self { key: Key::default(), text: Vec::new(), baseline, now })
    }

    fn text(&mut self, text: &[u8]) -> Outcome<()> {
        each(text, |line| self.line(line));
        Ok(())
    }

    fn line(&mut self, line: &[u8]) {
        if let Keyed::Key { severity, .. } = self.key.of(line, &mut self.text)
            && self.baseline.observe(&self.text, severity, self.now) == unattended::baseline::Outcome::Tell
        {
            self.tell();
        }
        self.now = self.now.after(Duration::from_millis(100));
    }

    fn tell(&mut self) {
        while let Some(finding) = self.baseline.take(self.now) {
            let word = if finding.is_alert() { "ALERT" } else { "note " };
            println!("  {word} {}: {finding}", finding.code());
        }
    }

    fn end(mut self) -> Outcome<()> {
        self.baseline.flush(self.now);
        self.tell();
        let digest = self.baseline.take_digest();
        println!("  digest: {} minor, {} over the limit", digest.minor, digest.overflow);
        for kind in digest.examples.iter().take(3) {
            println!("    {kind}");
        }
        Ok(())
    }
}

fn policy() -> Policy {
    Policy::new().rare_rate(0.003)
}

fn learn_and_watch() -> Outcome<Watcher> {
    println!("learning from a quiet day");
    let mut rng = Rng::seeded(1);
    let mut watcher = Watcher::new()?;
    watcher.text(shop(&mut rng, 4000).as_bytes())?;
    println!("  {}", watcher.baseline.evidence());

    println!("watching the next one, in which a disk fills");
    let mut day = shop(&mut rng, 1500);
    for n in 0..40 {
        day += &format!(
            "2026-03-03 09:00:{n:02},000 ERROR [io-{n}] shop.Store: no space left on /data/v{n}, {n} tries\n"
        );
        day += &shop(&mut rng, 10);
    }
    day += "2026-03-03 09:10:00,000 INFO [main] shop.Flags: new checkout is on\n";
    day += &shop(&mut rng, 300);
    watcher.text(day.as_bytes())?;
    Ok(watcher)
}

fn follow(mut watcher: Watcher) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (path, old) = (folder.path().join("shop.log"), folder.path().join("shop.log.1"));
    let mut rng = Rng::seeded(2);

    println!("following a file: it grows, and its last line is not complete");
    append(&path, &shop(&mut rng, 200))?;
    append(&path, "2026-03-03 10:00:00,000 FATAL [main] shop.Main: key")?;
    let mut log = Follow::from_start(&path);
    poll(&mut log, &mut watcher)?;
    println!("the rest of it comes, and the file is rotated");
    append(&path, "store is locked by 4711\n")?;
    fs::rename(&path, &old)?;
    append(&path, &shop(&mut rng, 150))?;
    poll(&mut log, &mut watcher)?;

    // Saved before anything is sent: what was told is not told again by the next process.
    let position = serde_json::to_string(&log.position())?;
    let saved = serde_json::to_string(&watcher.baseline.save(watcher.now))?;
    drop(log);

    println!("another process: the file was truncated meanwhile, and another program writes to it");
    fs::write(&path, "")?;
    append(&path, &other_program(&mut rng, 900))?;
    let position: Option<Position> = serde_json::from_str(&position)?;
    let saved: Saved = serde_json::from_str(&saved)?;
    let now = watcher.now.after(Duration::from_secs(60));
    let (baseline, noticed) = Baseline::restore(policy(), saved, now)?;
    assert!(noticed.is_empty());
    let mut watcher = Watcher { baseline, now, ..Watcher::new()? };
    let mut log = Follow::resume(&path, position.ok_or("it was open")?)?;
    poll(&mut log, &mut watcher)?;
    println!("  {}", watcher.baseline.evidence());
    append(&path, &other_program(&mut rng, 1500))?;
    poll(&mut log, &mut watcher)?;
    println!("  {}", watcher.baseline.evidence());
    watcher.end()
}

fn poll(log: &mut Follow, watcher: &mut Watcher) -> Outcome<()> {
    let polled = log.poll(|line| watcher.line(line.text))?;
    for happened in &polled.happened {
        println!("  note  {}: {happened}", happened.code());
    }
    println!("  {} lines", polled.lines);
    watcher.now = watcher.now.after(Duration::from_secs(15));
    watcher.tell();
    Ok(())
}

/// What a policy would have told of a past whose truth is known.
fn tune() -> Outcome<()> {
    println!("two policies on the same past");
    let mut rng = Rng::seeded(5);
    let mut now = Watcher::new()?.now;
    let mut past = Vec::new();
    for n in 0..12_000 {
        now = now.after(Duration::from_secs(5));
        let (key, severity, label) = match n {
            9000 | 10_000 | 11_000 => (format!("failure {n}"), Severity::Error, true),
            _ if n > 5000 && n % 1200 == 7 => (format!("oddity {n}"), Severity::Warn, false),
            _ => (format!("usual {}", rng.up_to(20)), Severity::Info, false),
        };
        past.push(Labelled { now, key, severity, label });
    }
    for (name, policy) in [("from WARN", policy()), ("from ERROR", policy().alert_from(Severity::Error))] {
        println!("  {name}: {}", backtest(policy, 7, past.clone())?);
    }
    Ok(())
}

/// Each line of it is well known; that one does not come is not.
fn a_step_is_missing() -> Outcome<()> {
    println!("runs of a job, in one of which a step is missing");
    let mut units = Units::new(Policy::new().rare_rate(0.02), 7)?;
    for run in 0..400 {
        let mut unit = units.begin();
        for step in ["fetch", "check", "store", "store", "report"] {
            if run != 390 || step != "check" {
                unit.observe(step);
            }
        }
        for odd in units.end(&unit).odd {
            println!("  run {run}: {}: {odd}", odd.code());
        }
    }
    Ok(())
}

/// Lines of a program, most of them usual.
fn shop(rng: &mut Rng, lines: u32) -> String {
    let line = |rng: &mut Rng, n: u32| {
        let (a, b) = (rng.up_to(9999), rng.up_to(255));
        let what = match rng.up_to(9) {
            0..=3 => format!("INFO [http-{b}] shop.Cart: order {a} has {b} items"),
            4..=6 => format!("INFO [http-{b}] shop.Pay: paid {a}.50 from 10.0.{b}.7 in {b} ms"),
            7 => format!("WARN [pool-1] shop.Pool: {b} of 256 connections are in use"),
            8 => format!("INFO [mail] shop.Mail: sent /var/mail/q{a}/m{b}.eml"),
            _ => format!("ERROR [http-{b}] shop.Pay: card {a} was refused"),
        };
        format!("2026-03-02 08:{:02}:{:02},{:03} {what}\n", n / 60 % 60, n % 60, a % 1000)
    };
    (0..lines).map(|n| line(rng, n)).collect()
}

fn other_program(rng: &mut Rng, lines: u32) -> String {
    const VERBS: [&str; 12] = [
        "opened", "closed", "read", "wrote", "mapped", "synced", "moved", "linked", "locked", "freed",
        "named", "sent",
    ];
    let line = |rng: &mut Rng, n: u32| {
        let verb = VERBS[usize::try_from(rng.up_to(11)).unwrap_or(0)];
        format!(
            "Mar  3 10:{:02}:{:02} host stored[{n}]: warning: {verb} segment {}\n",
            n / 60 % 60,
            n % 60,
            rng.up_to(999)
        )
    };
    (0..lines).map(|n| line(rng, n)).collect()
}

fn append(path: &Path, text: &str) -> Outcome<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())?;
    Ok(())
}
