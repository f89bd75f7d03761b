//! A producer and workers as processes over one store: invoices are sent once each, whatever dies.
//!
//! ```text
//! queue_worker demo                                  one producer, two workers, one of them killed; what became of it
//! queue_worker produce 500 --store sqlite:queue.db   queues 500 invoices
//! queue_worker work --store sqlite:queue.db          works until SIGTERM or SIGINT; a second one stops at once
//! queue_worker status --store sqlite:queue.db        how many runs are in which state
//! ```
//!
//! `--store` is `sqlite:PATH`, for any number of processes on one host, or `postgres:URL`, for any number of hosts. Workers
//! write what they send into the folder `--outbox`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::pipeline::{Step, StepError};
use unattended::postgres::Postgres;
use unattended::run::State;
use unattended::runs::{Filter, Run, Runs, Submitted};
use unattended::sqlite::Sqlite;
use unattended::store::Store;
use unattended::time::{SleepBlocking, System};
use unattended::worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Sends invoices from a queue.
#[derive(Parser)]
struct Arguments {
    /// Default: demo.
    #[command(subcommand)]
    what: Option<What>,
    /// Where the queue is: sqlite:PATH or postgres:URL.
    #[arg(long, global = true)]
    store: Option<String>,
    /// Where sent invoices go.
    #[arg(long, global = true, default_value = "outbox")]
    outbox: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// Queues invoices.
    Produce { invoices: u32 },
    /// Works on them until it is told to end.
    Work,
    /// Says how many runs are in which state.
    Status,
    /// A producer and two workers, of which one is killed.
    Demo,
}

fn main() -> Result<()> {
    let Arguments { what, store, outbox } = Arguments::parse();
    let what = what.unwrap_or(What::Demo);
    if matches!(what, What::Demo) {
        return demo(store);
    }
    let store = open(&store.ok_or("--store says where the queue is")?)?;
    match what {
        What::Produce { invoices } => produce(&store, invoices),
        What::Work => work(store, outbox),
        What::Status | What::Demo => status(&store),
    }
}

fn open(place: &str) -> Result<Arc<dyn Store>> {
    Ok(match place.split_once(':') {
        Some(("sqlite", path)) => Arc::new(Sqlite::open(path)?),
        Some(("postgres" | "postgresql", _)) => Arc::new(Postgres::connect_blocking(place)?),
        _ => return Err(format!("{place} is neither sqlite:PATH nor postgres:URL").into()),
    })
}

/// An invoice is known by its number: queued twice, it is one run.
fn job(outbox: PathBuf) -> Result<Job> {
    let compose = Step::blocking("compose", Effect::Pure, |cx| {
        let number: u32 = cx.input()?;
        // Composing takes its time, so that there is something to be killed in.
        System.sleep_blocking(Duration::from_millis(10));
        if number == 13 {
            return Err(StepError::permanent("invoice.no_customer", "invoice 13 has no customer"));
        }
        Ok(format!("invoice {number}: please pay {} EUR", number * 10))
    });
    let is_sent = outbox.clone();
    let send = Step::blocking("send", Effect::Verifiable, move |cx| {
        let path = outbox.join(cx.input::<u32>()?.to_string());
        // Whole or not at all, and never twice: what stands there is not written over.
        let draft = path.with_extension(format!("{}.draft", cx.fence()));
        fs::write(&draft, cx.output::<String>("compose")?)?;
        fs::hard_link(&draft, &path)?;
        Ok(fs::remove_file(draft)?)
    });
    let send = send.guard_blocking(move |cx| {
        let path = is_sent.join(cx.input::<u32>()?.to_string());
        match fs::metadata(path) {
            Ok(_) => Ok(Some(())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    });
    let job = Job::new("invoice").key(|number: &u32| Key::new("billing", "invoice", number));
    Ok(job.step(compose).step(send).build()?)
}

fn produce(store: &Arc<dyn Store>, invoices: u32) -> Result<()> {
    let job = job(PathBuf::new())?;
    let mut new = 0;
    for number in 1..=invoices {
        // What has been promised first is sent first.
        let terms = Terms { rank: -i64::from(number), ..Terms::default() };
        new += u32::from(matches!(job.submit_blocking(store, &number, &terms)?, Submitted::Created(_)));
    }
    println!("{new} queued, {} known already", invoices - new);
    Ok(())
}

fn work(store: Arc<dyn Store>, outbox: PathBuf) -> Result<()> {
    fs::create_dir_all(&outbox)?;
    let worker = Worker::new(store)
        .job(job(outbox)?)
        .concurrency(4)
        .poll(Duration::from_millis(100))
        .orphans_every(Duration::from_millis(500))
        .build()?;
    println!("{}", worker.run_blocking_until_shutdown()?);
    Ok(())
}

fn all(store: &Arc<dyn Store>) -> Result<Vec<Run>> {
    let (runs, mut all, mut cursor) = (Runs::new(Arc::clone(store)), Vec::new(), None);
    loop {
        let (page, next) = block_on(runs.list(&Filter::default(), 1000, cursor))?;
        all.extend(page);
        cursor = next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

fn status(store: &Arc<dyn Store>) -> Result<()> {
    let mut states: BTreeMap<State, u32> = BTreeMap::new();
    for run in all(store)? {
        *states.entry(run.state()).or_default() += 1;
    }
    for (state, count) in states {
        println!("{count:>6} {state}");
    }
    Ok(())
}

const INVOICES: u32 = 300;

fn demo(place: Option<String>) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("queue_worker-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let place = place.unwrap_or_else(|| format!("sqlite:{}", folder.join("queue.db").display()));
    let outbox = folder.join("outbox");
    let start = |arguments: &[&str]| -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).args(["--store", &place]).arg("--outbox").arg(&outbox);
        Ok(command.stdout(Stdio::null()).spawn()?)
    };
    let invoices = INVOICES.to_string();
    let (mut first, mut second) = (start(&["work"])?, start(&["work"])?);
    let produced = start(&["produce", &invoices])?.wait()?;
    println!(
        "a producer has queued {INVOICES} invoices: {}",
        if produced.success() { "well" } else { "badly" }
    );
    let again = start(&["produce", &invoices])?.wait()?;
    println!("and once more, which changes nothing: {}", if again.success() { "well" } else { "badly" });
    first.kill()?;
    first.wait()?;
    println!("one of two workers is killed in the middle");
    let store = open(&place)?;
    while all(&store)?.iter().any(|run| !run.state().is_terminal()) {
        System.sleep_blocking(Duration::from_millis(100));
    }
    Command::new("kill").arg(second.id().to_string()).status()?;
    println!("the other goes on, and ends when it is told to: {}", second.wait()?);
    println!("what became of the runs:");
    status(&store)?;
    for run in all(&store)?.iter().filter(|run| run.is_dead_letter()) {
        println!("a person looks at invoice {}: {}", run.body.input, run.body.why);
    }
    println!("{} invoices were sent, each once", sent(&outbox)?);
    Ok(fs::remove_dir_all(folder)?)
}

fn sent(outbox: &Path) -> Result<usize> {
    let mut sent = 0;
    for entry in fs::read_dir(outbox)? {
        // A draft is what a worker was killed over.
        sent += usize::from(entry?.path().extension().is_none());
    }
    Ok(sent)
}
