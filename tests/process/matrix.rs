//! The matrix of kills: a job with a step of every effect class, killed by SIGKILL before and after each of its store
//! calls, and started again.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::pipeline::{Cx, Step, StepError};
use unattended::run::State;
use unattended::runs::{Filter, Run, Runs, StepState};
use unattended::store::{
    Applied, ApplyError, Batch, Caps, ClaimDue, Claimed, Error, Ns, Page, Prune, Query, Record, Store,
    StoredEvent,
};
use unattended::time::BoxFuture;

use crate::kit::{Player, alone, open, say, var};

/// Short, because a store of many hosts learns of a death by it alone.
const LEASE: Duration = Duration::from_millis(500);

/// A store whose process is killed at one of its calls.
struct Deadly {
    inner: Arc<dyn Store>,
    /// Calls until the deadly one; each call takes one off.
    left: AtomicI64,
    /// Whether that call is carried out first.
    after: bool,
}

impl Deadly {
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let dies = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if dies && !self.after {
            die();
        }
        let done = call.await;
        if dies {
            die();
        }
        done
    }
}

fn die() -> ! {
    let own = std::process::id().to_string();
    std::process::Command::new("kill").args(["-KILL", &own]).status().unwrap();
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

impl Store for Deadly {
    fn caps(&self) -> Caps {
        self.inner.caps()
    }

    fn owner(&self) -> &str {
        self.inner.owner()
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        Box::pin(self.call(self.inner.apply(batch)))
    }

    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(self.call(self.inner.get(ns, key)))
    }

    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
        Box::pin(self.call(self.inner.scan(query)))
    }

    fn events<'a>(
        &'a self,
        ns: Ns,
        key: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredEvent>, Error>> {
        Box::pin(self.call(self.inner.events(ns, key, after, limit)))
    }

    fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.call(self.inner.prune(prune)))
    }

    fn claim_due(&self, claim: ClaimDue) -> BoxFuture<'_, Result<Vec<Claimed>, Error>> {
        Box::pin(self.call(self.inner.claim_due(claim)))
    }
}

/// The world outside: a file of lines `STEP KEY`, appended under a lock. What a killed process has left of a line is
/// cut off by the next.
struct World(PathBuf);

impl World {
    fn locked<T>(&self, act: impl FnOnce(&mut std::fs::File, &str) -> T) -> T {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.0).unwrap();
        file.lock().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64).unwrap();
            text.truncate(whole);
        }
        act(&mut file, &text)
    }

    fn has(&self, line: &str) -> bool {
        self.locked(|_, text| text.lines().any(|one| one == line))
    }

    fn append(&self, line: &str) {
        self.locked(|file, _| file.write_all(format!("{line}\n").as_bytes()).unwrap());
    }

    /// What the other side of an idempotent step does.
    fn append_once(&self, line: &str) {
        self.locked(|file, text| {
            if !text.lines().any(|one| one == line) {
                file.write_all(format!("{line}\n").as_bytes()).unwrap();
            }
        });
    }

    fn count(&self) -> BTreeMap<String, u32> {
        self.locked(|_, text| {
            let mut lines = BTreeMap::new();
            for line in text.lines() {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
            lines
        })
    }
}

fn line(step: &str, cx: &Cx) -> String {
    format!("{step} {}", cx.key().unwrap())
}

/// Looks, sends, writes and pays; `undone` then fails for good, so that what was sent and written is undone.
fn job(log: &Path, name: &str) -> Job {
    let world = || World(log.to_owned());
    let (send, unsend, write, written, unwrite, pay) = (world(), world(), world(), world(), world(), world());
    let job = Job::new(name)
        .lease(LEASE)
        .key(|input: &String| Key::new("site", "thing", input))
        .step(Step::blocking("look", Effect::Pure, |cx| cx.input::<String>()))
        .step(
            Step::blocking("send", Effect::Idempotent, move |cx| {
                send.append_once(&line("send", cx));
                Ok(())
            })
            .undo_blocking(Effect::Idempotent, move |cx| {
                unsend.append_once(&line("unsend", cx));
                Ok(())
            }),
        )
        .step(
            Step::blocking("write", Effect::Verifiable, move |cx| {
                write.append(&line("write", cx));
                Ok(())
            })
            .guard_blocking(move |cx| Ok(written.has(&line("write", cx)).then_some(())))
            .undo_blocking(Effect::Idempotent, move |cx| {
                unwrite.append_once(&line("unwrite", cx));
                Ok(())
            }),
        );
    let job = match name {
        "undone" => job.step(Step::blocking("end", Effect::Pure, |_| {
            Err::<(), _>(StepError::permanent("end.refused", "it is refused for good"))
        })),
        _ => job.step(Step::blocking("pay", Effect::Unsafe, move |cx| {
            pay.append(&line("pay", cx));
            Ok(())
        })),
    };
    job.build().unwrap()
}

pub fn child() {
    let (name, input): (String, String) = (var("UNATTENDED_JOB"), var("UNATTENDED_INPUT"));
    let job = job(Path::new(&var::<String>("UNATTENDED_LOG")), &name);
    let inner = open(&var::<String>("UNATTENDED_PLACE"));
    let left = AtomicI64::new(var("UNATTENDED_DIE"));
    let store: Arc<dyn Store> = Arc::new(Deadly { inner, left, after: var::<u8>("UNATTENDED_AFTER") == 1 });
    let report = job.run_once_blocking(&store, &input).unwrap();
    say(format_args!("{:?}", report.verdict));
}

/// Kills the job `name` before and after its first, second … store call, until it ends without coming that far.
pub fn matrix(place: &str, folder: &Path, name: &str) {
    let log = folder.join(format!("{name}.log"));
    let (store, mut kills) = (open(place), 0);
    let runs = Runs::new(Arc::clone(&store));
    'calls: for call in 1..100 {
        for after in [0, 1] {
            let input = format!("{name}-{call}-{after}");
            let start = |die: i64| {
                let args = [
                    ("UNATTENDED_PLACE", place.to_owned()),
                    ("UNATTENDED_JOB", name.to_owned()),
                    ("UNATTENDED_INPUT", input.clone()),
                    ("UNATTENDED_LOG", log.to_string_lossy().into_owned()),
                    ("UNATTENDED_DIE", die.to_string()),
                    ("UNATTENDED_AFTER", after.to_string()),
                ];
                Player::start("matrix", folder, &args).end()
            };
            let what = format!("{name} on {place}, killed {} call {call}", ["before", "after"][after]);
            if !start(call).1 {
                break 'calls;
            }
            kills += 1;
            let ended = again_until_it_ends(&runs, &input, || assert!(!start(0).1, "{what}"));
            check(&runs, &ended, &log, &input, &what);
        }
    }
    assert!(kills >= 20, "{name} on {place}: only {kills} kills");
    eprintln!("{name} on {}: {kills} kills", place.split(':').next().unwrap());
}

fn again_until_it_ends(runs: &Runs, input: &str, start: impl Fn()) -> Run {
    let begun = Instant::now();
    loop {
        start();
        let filter = Filter { text: Some(input.to_owned()), ..Filter::default() };
        let (mut found, _) = block_on(runs.list(&filter, 10, None)).unwrap();
        assert_eq!(found.len(), 1, "{input}: one run");
        let run = found.remove(0);
        if run.state().is_terminal() || run.state() == State::NeedsReview {
            return run;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{input}: {} {}", run.state(), run.body.why);
        std::thread::sleep(LEASE / 4);
    }
}

/// Keyed effects at most once, an unsafe one never twice, nothing lost, and the history whole.
fn check(runs: &Runs, run: &Run, log: &Path, input: &str, what: &str) {
    let lines = World(log.to_owned()).count();
    let times = |step: &str| lines.get(&format!("{step} site/thing/{input}")).copied().unwrap_or(0);
    let what = format!("{what}: {} {}", run.state(), run.body.why);
    for step in ["send", "write"] {
        assert_eq!(times(step), 1, "{step}, {what}");
    }
    match run.state() {
        State::Succeeded => assert_eq!(times("pay"), 1, "{what}"),
        State::NeedsReview => {
            assert!(times("pay") <= 1, "{what}");
            let question = run.body.question.as_ref().unwrap();
            assert_eq!(question.step.as_deref(), Some("pay"), "{what}");
            assert_eq!(run.body.steps[3].state, StepState::Started, "{what}");
        }
        State::Compensated => {
            assert_eq!((times("unsend"), times("unwrite"), times("pay")), (1, 1, 0), "{what}");
        }
        other => panic!("{other}: {what}"),
    }
    let events = block_on(runs.history(run.id(), 0, 1000)).unwrap();
    let mut at = None;
    for stored in &events {
        assert_eq!(stored.event.from, at, "a move is missing, {what}: {events:#?}");
        at = Some(stored.event.to.clone());
    }
    assert_eq!(at.as_deref(), Some(run.state().as_str()), "{what}");
    let entry = block_on(runs.store().get(Ns::LEDGER, &format!("site/thing/{input}"))).unwrap().unwrap();
    let expected = match run.state() {
        State::Succeeded => "succeeded",
        State::NeedsReview => "claimed",
        _ => "failed",
    };
    assert_eq!(entry.state, expected, "{what}");
}

#[test]
fn a_job_killed_at_every_store_call_on_sqlite_loses_nothing_and_repeats_nothing() {
    let _alone = alone();
    for name in ["through", "undone"] {
        let folder = tempfile::tempdir().unwrap();
        let place = format!("sqlite:{}", folder.path().join("jobs.db").display());
        matrix(&place, folder.path(), name);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn a_job_killed_at_every_store_call_on_postgresql_loses_nothing_and_repeats_nothing() {
    let _alone = alone();
    for name in ["through", "undone"] {
        let Some(database) = crate::pg::Database::new() else { return };
        let folder = tempfile::tempdir().unwrap();
        let place = format!("postgres:{}@{}", database.schema, database.url);
        matrix(&place, folder.path(), name);
    }
}
