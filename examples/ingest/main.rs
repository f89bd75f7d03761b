//! The main job: log files dropped into an inbox are ingested exactly once, whatever dies.
//!
//! `cargo run --release --features full --example ingest -- [--inbox DIR] [--root DIR] [--json] [--crash-at POINT]`
//!
//! Each file is one run with the steps ingest, validate, transform, load, notify and archive. Its key is its content:
//! the same content under another name is a duplicate with a known status. Any number of copies may run on one root.

mod crash;
mod failed;
mod format;
mod inbox;
mod job;
mod kinds;
mod lines;
mod load;
mod notify;
mod places;
mod print;
mod validate;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::json;
use unattended::blocking::block_on;
use unattended::cli;
use unattended::fault::{Class, Classify, chain};
use unattended::run;
use unattended::runs::Runs;
use unattended::sqlite::Sqlite;
use unattended::store::{self, Store};
use unattended::text::shown;
use unattended::time::{Clock, System, millis};

use crate::crash::{CrashAt, POINTS};
use crate::inbox::Pass;
use crate::job::App;
use crate::places::Places;
use crate::print::Summary;

/// The store, within the root.
const STORE: &str = "ingest.db";
/// The most rows that are loaded in one transaction: other writers wait for it.
const CHUNK_ROWS: u64 = 20_000;
/// The exit code of "not now, start me again": `EX_TEMPFAIL` of `sysexits.h`.
const NOT_NOW: u8 = 75;
/// The lease of a run.
const LEASE: Duration = unattended::ledger::LEASE;

/// Ingests log files exactly once, whatever dies.
#[derive(Parser)]
#[command(name = "ingest", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    pass: PassArguments,
}

#[derive(Subcommand)]
enum Verb {
    /// Look at runs, and send them round again
    Ops {
        /// The root whose store is looked at.
        #[arg(long, value_name = "DIR", default_value = "ingest-root", global = true)]
        root: PathBuf,
        #[command(flatten)]
        command: cli::Command,
    },
}

#[derive(Args)]
struct PassArguments {
    /// Where files are dropped. Without it, a copy of the shipped sample logs is worked on.
    #[arg(long, value_name = "DIR")]
    inbox: Option<PathBuf>,
    /// Where everything else stands: ingest.db, archive/, failed/, working/, notifications.jsonl.
    #[arg(long, value_name = "DIR", default_value = "ingest-root")]
    root: PathBuf,
    /// One JSON object a file, and a summary as the last line.
    #[arg(long)]
    json: bool,
    /// Kill the process with SIGKILL at this point between two writes; `list` prints the points.
    #[arg(long, value_name = "POINT")]
    crash_at: Option<String>,
    /// The lease of a run, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = millis(LEASE), hide = true)]
    lease_ms: u64,
    /// The most rows that are loaded in one transaction.
    #[arg(long, value_name = "ROWS", default_value_t = CHUNK_ROWS, hide = true,
          value_parser = clap::value_parser!(u64).range(1..=CHUNK_ROWS))]
    chunk_rows: u64,
}

fn main() -> ExitCode {
    let Arguments { verb, pass: arguments } = Arguments::parse();
    if let Some(Verb::Ops { root, command }) = verb {
        return ops(&root, command).into();
    }
    let mut out = io::stdout().lock();
    match run(&arguments, &mut out) {
        Ok(code) => code,
        // Whoever read the output has gone; what was done is done.
        Err(error) if closed(&*error) => ExitCode::SUCCESS,
        Err(error) => stopped(&*error, &arguments, &mut out),
    }
}

/// Says why the pass could not go on.
fn stopped(error: &(dyn Error + 'static), arguments: &PassArguments, out: &mut dyn Write) -> ExitCode {
    let of_store = error.downcast_ref::<store::Error>().map(Classify::fault);
    let of_pass = error.downcast_ref::<inbox::Error>().map(Classify::fault);
    let mut text = chain(error);
    let path = arguments.root.join(STORE).display().to_string();
    if of_store.is_some() && !text.contains(&path) {
        text = format!("{path}: {text}");
    }
    let hint = "nothing is lost: mend it and start again";
    let told = if arguments.json {
        let error = json!({ "error": { "code": "ingest.stopped", "message": text, "hint": hint } });
        writeln!(out, "{error}")
    } else {
        writeln!(io::stderr(), "ingest: {}\n{hint}", shown(&text))
    };
    drop(told);
    match of_store.or(of_pass).map(|fault| fault.class) {
        Some(Class::Transient) => NOT_NOW.into(),
        _ => ExitCode::FAILURE,
    }
}

fn run(arguments: &PassArguments, out: &mut dyn Write) -> Result<ExitCode, Box<dyn Error>> {
    if arguments.crash_at.as_deref() == Some("list") {
        for point in POINTS {
            writeln!(out, "{point}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let crash = arguments.crash_at.as_deref().map(CrashAt::point).transpose()?.unwrap_or_default();
    let began = System.moment();
    if let Some(inbox) = &arguments.inbox {
        // Before anything is made: an inbox that cannot be read leaves no trace.
        fs::read_dir(inbox).map_err(|error| places::naming(inbox, &error))?;
        places::one_file_system(inbox, &arguments.root)?;
    }
    let places = Places::open(&arguments.root)?;
    let inbox = match &arguments.inbox {
        Some(inbox) => inbox.clone(),
        None => samples(&arguments.root)?,
    };
    let store = Arc::new(Sqlite::open(arguments.root.join(STORE))?);
    let app = Arc::new(App { store, places, chunk_rows: arguments.chunk_rows });
    load::prepare(&app)?;
    let store: Arc<dyn Store> = Arc::clone(&app.store) as Arc<dyn Store>;
    let job = job::build(&app, Duration::from_millis(arguments.lease_ms), crash.clone())?;
    let pass = Pass { app: &app, job: &job, store, crash };
    let mut told = Vec::new();
    let ended = pass.all(&inbox, &mut told);
    let summary = Summary::of(&told, System.moment().since(began));
    match arguments.json {
        true => print::json(out, &told, ended.is_ok().then_some(&summary))?,
        false => print::human(out, &told, &summary)?,
    }
    out.flush()?;
    ended?;
    Ok(if summary.left > 0 { NOT_NOW.into() } else { ExitCode::SUCCESS })
}

/// The operator's verbs on the store of `root`, with `replay` of this program's own job.
fn ops(root: &Path, command: cli::Command) -> cli::Exit {
    let home = root.to_owned();
    let host = cli::Host::new(format!("ingest ops --root {}", root.display()))
        .store_at(root.join(STORE))
        .code_version(env!("CARGO_PKG_VERSION"))
        .replayer(move |replay: cli::Replay| replay_run(&home, &replay));
    command.run(&host)
}

/// Runs a run again, here and now: the same run from its last checkpoint, or what a new delivery of its file finds.
fn replay_run(root: &Path, replay: &cli::Replay) -> Result<String, Box<dyn Error + Send + Sync>> {
    let store = Arc::new(Sqlite::open(root.join(STORE))?);
    let app = Arc::new(App { store, places: Places::open(root)?, chunk_rows: CHUNK_ROWS });
    let job = job::build(&app, LEASE, CrashAt::default())?;
    let store: Arc<dyn Store> = Arc::clone(&app.store) as Arc<dyn Store>;
    let runs = Runs::new(Arc::clone(&store));
    let pass = Pass { app: &app, job: &job, store: Arc::clone(&store), crash: CrashAt::default() };
    match &replay.mode {
        cli::Mode::Resume => {
            let again = run::transition(replay.run.state(), run::Event::Requeue).is_ok();
            let run = match again {
                true => block_on(runs.requeue(replay.run.id(), &replay.actor, System.now().wall))?,
                false => replay.run.clone(),
            };
            if job.resume_blocking(&store, &run)?.is_none() {
                return Err(format!(
                    "run {} is {}: nothing is left to do, or somebody is at it",
                    run.id(),
                    run.state()
                )
                .into());
            }
            pass.recover(&mut Vec::new())?;
            Ok(run.id().to_owned())
        }
        cli::Mode::Rerun => {
            let input: job::Input = serde_json::from_str(replay.run.body.input.get())?;
            let report = job.run_once_blocking(&store, &input)?;
            report.run.map(|run| run.id().to_owned()).ok_or_else(|| report.verdict.to_string().into())
        }
        cli::Mode::Force { .. } => {
            Err("a forced replay would load every line a second time; this job loads each content once"
                .into())
        }
    }
}

/// A copy of the shipped logs, as if somebody had just dropped them.
fn samples(root: &Path) -> io::Result<PathBuf> {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data"), root.join("inbox"));
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(&from).map_err(|error| places::naming(&from, &error))? {
        let path = entry?.path();
        if let Some(name) = path.file_name()
            && path.extension().is_some_and(|ending| ending == "log" || ending == "txt")
        {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(to)
}

fn closed(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
