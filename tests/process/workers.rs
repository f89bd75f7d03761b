//! Workers as processes over one store: killed and started again, stopped and woken, and told to end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::pipeline::{Cx, Step, StepError};
use unattended::rng::Rng;
use unattended::run::State;
use unattended::runs::{Filter, Runs};
use unattended::sqlite::{Sqlite, apply_in};
use unattended::store::{Ns, Query, Store};
use unattended::worker::Worker;

use crate::kit::{Player, alone, open, say, var};

/// How many runs the tests work through; `UNATTENDED_WORKER_RUNS` says otherwise.
fn runs(usual: usize) -> usize {
    std::env::var("UNATTENDED_WORKER_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(usual)
}

/// A log of effects that many processes append to, in files by key so that a look is short: `KEY FENCE` lines.
#[derive(Clone)]
struct Effects(PathBuf);

impl Effects {
    const FILES: usize = 64;

    fn file(&self, key: &str) -> File {
        let sum = key.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let path = self.0.join(format!("{}.log", sum % Self::FILES));
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).unwrap()
    }

    /// Its whole lines; where one was torn by a kill, it never happened, and is taken away.
    fn whole(file: &mut File) -> String {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(whole as u64).unwrap();
            text.truncate(whole);
        }
        file.seek(SeekFrom::End(0)).unwrap();
        text
    }

    fn append(&self, key: &str, fence: u64) {
        let mut file = self.file(key);
        file.lock().unwrap();
        Self::whole(&mut file);
        file.write_all(format!("{key} {fence}\n").as_bytes()).unwrap();
    }

    fn has(&self, key: &str) -> bool {
        let mut file = self.file(key);
        file.lock().unwrap();
        Self::whole(&mut file).lines().any(|line| line.split(' ').next() == Some(key))
    }

    fn all(&self) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.0).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            all.extend(text.lines().map(|line| {
                let (key, fence) = line.split_once(' ').unwrap();
                (key.to_owned(), fence.parse().unwrap())
            }));
        }
        all
    }
}

/// A job whose one effect can be looked up.
fn appending(effects: PathBuf, lease: Duration) -> Job {
    let log = Effects(effects);
    let looks = log.clone();
    let step = Step::blocking("append", Effect::Verifiable, move |cx| {
        log.append(&cx.input::<String>()?, cx.fence());
        Ok(())
    });
    let step = step.guard_blocking(move |cx| Ok(looks.has(&cx.input::<String>()?).then_some(())));
    let count = Step::blocking("measure", Effect::Pure, |cx| Ok(cx.input::<String>()?.len()));
    // A run may be in the hands of many that are killed: it is not the run that kills them.
    let job = Job::new("append").crashes_max(1000).lease(lease).step(count).step(step);
    job.key(|input: &String| Key::new("test", "effect", input)).build().unwrap()
}

/// Where rows are kept beside the store's.
#[derive(Clone)]
enum Rows {
    Sqlite(Arc<Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(Arc<unattended::postgres::Postgres>, String),
}

impl Rows {
    fn open(place: &str) -> Self {
        match place.split_once(':').unwrap() {
            #[cfg(feature = "postgres")]
            ("postgres", place) => {
                let (schema, url) = place.split_once('@').unwrap();
                let options = unattended::postgres::Postgres::options().schema(schema);
                Self::Postgres(Arc::new(options.connect_blocking(url).unwrap()), url.to_owned())
            }
            (_, path) => Self::Sqlite(Arc::new(Sqlite::open(path).unwrap())),
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::<Sqlite>::clone(store),
            #[cfg(feature = "postgres")]
            Self::Postgres(store, _) => Arc::<unattended::postgres::Postgres>::clone(store),
        }
    }

    fn make(&self) {
        match self {
            Self::Sqlite(store) => {
                let table = "CREATE TABLE effect (key TEXT NOT NULL, fence INTEGER NOT NULL) STRICT";
                store.transaction(|tx| Ok::<_, StepError>(tx.execute(table, [])?)).unwrap();
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(store, url) => {
                let table = format!(
                    "CREATE TABLE {}.effect (key text NOT NULL, fence bigint NOT NULL)",
                    store.schema()
                );
                with_client(url, async |client| Ok(client.batch_execute(&table).await?)).unwrap();
            }
        }
    }

    /// The row and the record of it, in one transaction.
    fn add(
        &self,
        key: &str,
        fence: u64,
        batch: &unattended::store::Batch,
    ) -> Result<unattended::store::Applied, StepError> {
        match self {
            Self::Sqlite(store) => store.transaction(|tx| -> Result<_, StepError> {
                let applied = apply_in(tx, batch)?;
                tx.execute("INSERT INTO effect VALUES (?1, ?2)", (key, i64::try_from(fence)?))?;
                Ok(applied)
            }),
            #[cfg(feature = "postgres")]
            Self::Postgres(store, url) => with_client(url, async |client| {
                let tx = client.transaction().await?;
                let applied = store.apply_in(&tx, batch).await?;
                let insert = format!("INSERT INTO {}.effect VALUES ($1, $2)", store.schema());
                tx.execute(&insert, &[&key, &i64::try_from(fence)?]).await?;
                tx.commit().await?;
                Ok(applied)
            }),
        }
    }

    fn keys(&self) -> Vec<String> {
        match self {
            Self::Sqlite(store) => store
                .transaction(|tx| {
                    let mut rows = tx.prepare("SELECT key FROM effect ORDER BY key")?;
                    let rows = rows.query_map([], |row| row.get(0))?;
                    Ok::<_, StepError>(rows.collect::<rusqlite::Result<Vec<String>>>()?)
                })
                .unwrap(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store, url) => {
                let select = format!("SELECT key FROM {}.effect ORDER BY key", store.schema());
                let rows = with_client(url, async |client| Ok(client.query(&select, &[]).await?)).unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

/// A connection of the caller's own, for one piece of work.
#[cfg(feature = "postgres")]
fn with_client<T>(
    url: &str,
    work: impl AsyncFnOnce(&mut tokio_postgres::Client) -> Result<T, StepError>,
) -> Result<T, StepError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let done = work(&mut client).await;
        drop(client);
        drop(connection.await);
        done
    })
}

/// A job whose effect commits with its progress, in a table beside the store's; the try before it is in a log.
fn committing(rows: &Rows, effects: PathBuf, lease: Duration) -> Job {
    let (rows, log) = (rows.clone(), Effects(effects));
    let work = move |cx: &Cx| -> Result<(), StepError> {
        let key: String = cx.input()?;
        log.append(&key, cx.fence());
        // Long enough to be stopped in.
        std::thread::sleep(Duration::from_millis(20));
        let progress = cx.completion(&1, &())?;
        let applied = rows.add(&key, cx.fence(), progress.batch())?;
        cx.committed(progress, &applied);
        Ok(())
    };
    let guarded = {
        Step::blocking("commit", Effect::Idempotent, work)
            .guard_blocking(|cx| Ok(cx.cursor::<u32>()?.is_some().then_some(())))
    };
    let job = Job::new("commit").crashes_max(1000).lease(lease).step(guarded);
    job.key(|input: &String| Key::new("test", "row", input)).build().unwrap()
}

/// A child: a worker until it is told to end.
pub fn child() {
    let place: String = var("UNATTENDED_PLACE");
    let lease = Duration::from_millis(var("UNATTENDED_LEASE_MS"));
    let effects = PathBuf::from(var::<String>("UNATTENDED_EFFECTS"));
    let (store, job): (Arc<dyn Store>, Job) = match var::<String>("UNATTENDED_JOB").as_str() {
        "append" => (open(&place), appending(effects, lease)),
        _ => {
            let rows = Rows::open(&place);
            (rows.store(), committing(&rows, effects, lease))
        }
    };
    let worker = Worker::new(store)
        .job(job)
        .concurrency(8)
        .poll(Duration::from_millis(50))
        .orphans_every(Duration::from_millis(200))
        .build()
        .unwrap();
    say("ready");
    let summary = if var::<bool>("UNATTENDED_THREADS") {
        worker.run_blocking_until_shutdown().unwrap()
    } else {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(worker.run_until_shutdown()).unwrap()
    };
    say(format_args!("ended: {summary}"));
}

/// A place, its folder, and the processes that work on it.
struct Site {
    _folder: tempfile::TempDir,
    place: String,
    effects: PathBuf,
    job: &'static str,
    lease: Duration,
    players: Vec<Player>,
    started: usize,
}

impl Site {
    fn new(place: Option<String>, job: &'static str, lease: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = place.unwrap_or_else(|| format!("sqlite:{}", folder.path().join("queue.db").display()));
        let effects = folder.path().join("effects");
        std::fs::create_dir(&effects).unwrap();
        Self { _folder: folder, place, effects, job, lease, players: Vec::new(), started: 0 }
    }

    fn start(&mut self) -> Player {
        self.started += 1;
        let args = [
            ("UNATTENDED_PLACE", self.place.clone()),
            ("UNATTENDED_EFFECTS", self.effects.display().to_string()),
            ("UNATTENDED_JOB", self.job.to_owned()),
            ("UNATTENDED_LEASE_MS", self.lease.as_millis().to_string()),
            ("UNATTENDED_THREADS", self.started.is_multiple_of(2).to_string()),
        ];
        let mut player = Player::start("worker", Path::new(""), &args);
        assert_eq!(player.hear().as_deref(), Some("ready"));
        player
    }

    fn start_all(&mut self, count: usize) {
        for _ in 0..count {
            let player = self.start();
            self.players.push(player);
        }
    }

    /// Kills one of them, and starts another in its place.
    fn kill(&mut self, which: usize) {
        let which = which % self.players.len();
        self.players.swap_remove(which).kill();
        let player = self.start();
        self.players.push(player);
    }

    /// Tells all to end by SIGTERM, and gives what they said at last.
    fn end(&mut self) -> Vec<String> {
        let players = std::mem::take(&mut self.players);
        players.iter().for_each(|player| player.signal("-TERM"));
        players.into_iter().map(|player| player.finish().pop().unwrap()).collect()
    }
}

fn fill(store: &Arc<dyn Store>, job: &Job, runs: Range<usize>) {
    std::thread::scope(|scope| {
        for part in 0..8 {
            let runs = runs.clone();
            scope.spawn(move || {
                for run in runs.skip(part).step_by(8) {
                    drop(job.submit_blocking(store, &format!("run-{run}"), &Terms::default()).unwrap());
                }
            });
        }
    });
}

/// Whether some runs have not ended.
fn unfinished(store: &Arc<dyn Store>) -> bool {
    let live = State::ALL.into_iter().filter(|state| !state.is_terminal() && *state != State::NeedsReview);
    let states = live.map(|state| state.as_str().to_owned()).collect();
    let mut query = Query::all(Ns::RUN);
    (query.states, query.limit) = (states, 1);
    !block_on(store.scan(query)).unwrap().records.is_empty()
}

fn check_ended(store: &Arc<dyn Store>, runs: usize) {
    let (of, mut cursor, mut states) = (Runs::new(Arc::clone(store)), None, BTreeMap::new());
    loop {
        let (page, next) = block_on(of.list(&Filter::default(), 1000, cursor)).unwrap();
        for run in page {
            *states.entry(run.state()).or_insert(0_usize) += 1;
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(states, BTreeMap::from([(State::Succeeded, runs)]), "every run has ended, and well");
}

/// Works through `runs` while one worker after another is killed; each effect is there once.
fn through_kills(place: Option<String>, lease: Duration, runs: usize) {
    let mut site = Site::new(place, "append", lease);
    let store = open(&site.place);
    fill(&store, &appending(site.effects.clone(), lease), 0..runs);
    site.start_all(4);
    let (mut rng, begun, mut kills) = (Rng::seeded(7), Instant::now(), 0);
    while unfinished(&store) {
        assert!(begun.elapsed() < Duration::from_secs(1200), "no progress; {kills} kills");
        std::thread::sleep(Duration::from_millis(400 + rng.up_to(200)));
        let which = usize::try_from(rng.up_to(3)).unwrap();
        site.kill(which);
        kills += 1;
    }
    let ends = site.end();
    assert!(kills >= 2, "{runs} runs were too few to be killed in");
    assert!(ends.iter().all(|end| end.starts_with("ended: asked to end, and all")), "{ends:?}");
    check_ended(&store, runs);
    let effects = Effects(site.effects.clone()).all();
    let keys: BTreeSet<_> = effects.iter().map(|(key, _)| key).collect();
    assert_eq!((effects.len(), keys.len()), (runs, runs), "each effect once, after {kills} kills");
    eprintln!("{runs} runs, {kills} kills, {:?}", begun.elapsed());
}

#[test]
fn every_run_ends_once_and_every_effect_is_there_once_while_workers_are_killed() {
    let _alone = alone();
    through_kills(None, Duration::from_secs(30), runs(2000));
}

/// There a death is known by the lease's end alone, and what is in flight is done again then.
#[cfg(feature = "postgres")]
#[test]
fn the_same_on_postgresql() {
    let _alone = alone();
    let Some(database) = crate::pg::Database::new() else { return };
    let place = format!("postgres:{}@{}", database.schema, database.url);
    through_kills(Some(place), Duration::from_secs(2), runs(1500));
}

#[test]
#[ignore = "takes minutes"]
fn the_same_with_twenty_thousand_runs() {
    let _alone = alone();
    through_kills(None, Duration::from_secs(30), runs(20_000));
}

#[test]
fn rows_that_commit_with_the_run_stand_once_while_workers_are_stopped_and_woken() {
    let _alone = alone();
    through_stops(None, Duration::from_millis(400), runs(400));
}

#[cfg(feature = "postgres")]
#[test]
fn rows_in_postgresql_stand_once_while_workers_are_stopped_and_woken() {
    let _alone = alone();
    let Some(database) = crate::pg::Database::new() else { return };
    let place = format!("postgres:{}@{}", database.schema, database.url);
    through_stops(Some(place), Duration::from_millis(600), runs(400));
}

fn through_stops(place: Option<String>, lease: Duration, runs: usize) {
    let mut site = Site::new(place, "commit", lease);
    let rows = Rows::open(&site.place);
    rows.make();
    let (job, store) = (committing(&rows, site.effects.clone(), lease), rows.store());
    fill(&store, &job, 0..runs);
    site.start_all(4);
    let (begun, mut stops, mut filled) = (Instant::now(), 0, runs);
    let tries = Effects(site.effects.clone());
    loop {
        if !unfinished(&store) {
            if tries.all().len() > filled {
                break;
            }
            // Nobody was in the middle of anything when he was stopped: once more.
            fill(&store, &job, filled..filled + runs);
            filled += runs;
        }
        assert!(begun.elapsed() < Duration::from_secs(600), "no progress; {stops} stops");
        let player = &site.players[stops % site.players.len()];
        player.signal("-STOP");
        // Longer than its leases: others take its runs over, and then it wakes.
        std::thread::sleep(lease * 5 / 2);
        player.signal("-CONT");
        std::thread::sleep(lease / 4);
        stops += 1;
    }
    site.end();
    check_ended(&store, filled);
    let rows = rows.keys();
    let keys: BTreeSet<_> = rows.iter().collect();
    assert_eq!((rows.len(), keys.len()), (filled, filled), "each row once, and no zombie's");
    let tries = tries.all();
    let once: BTreeSet<_> = tries.iter().collect();
    assert_eq!(once.len(), tries.len(), "a fence acts at most once");
    eprintln!("{filled} runs, {stops} stops, {} tries, {:?}", tries.len(), begun.elapsed());
}

#[test]
fn a_worker_that_is_told_to_end_ends_what_it_has_begun_and_loses_nothing() {
    let _alone = alone();
    let (lease, runs) = (Duration::from_secs(30), 600);
    let mut site = Site::new(None, "append", lease);
    let store = open(&site.place);
    fill(&store, &appending(site.effects.clone(), lease), 0..runs);
    while unfinished(&store) {
        site.start_all(2);
        std::thread::sleep(Duration::from_millis(150));
        for end in site.end() {
            assert!(end.starts_with("ended: asked to end, and all that was begun came to its end"), "{end}");
            assert!(!end.contains("left") && !end.contains("lost") && !end.contains("taken over"), "{end}");
        }
    }
    check_ended(&store, runs);
    assert_eq!(Effects(site.effects.clone()).all().len(), runs);
}
