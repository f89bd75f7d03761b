//! An application that mounts the operator's verbs beside its own, and replays its own job through them.
//!
//! Without arguments a night is told on a simulated clock: the feed is gone, the run becomes a dead letter, somebody mends
//! the feed and replays the run, which resumes at the step that failed.
//!
//! ```sh
//! cargo run --all-features --example operated
//! cargo run --all-features --example operated -- import 7          # one run, in ./feeds.db
//! cargo run --all-features --example operated -- ops dead-letters  # the operator's verbs, on the same store
//! cargo run --all-features --example operated -- ops replay @failed
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use unattended::blocking::block_on;
use unattended::cli::{self, Host, Io, Replay};
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::memory::Memory;
use unattended::operator::Operator;
use unattended::pipeline::{Step, StepError};
use unattended::runs::{Replayed, Runs};
use unattended::sqlite::Sqlite;
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{SleepBlocking, System, Timestamp};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Imports pages of a feed.
#[derive(Parser)]
#[command(name = "feeds")]
enum Verb {
    /// Import one page
    Import { page: u32 },
    /// Look at runs and send them round again
    Ops(cli::Command),
}

/// Two steps: what the first has done is not done twice.
fn importing(feed_is_there: Arc<AtomicBool>) -> Outcome<Job> {
    let fetch = Step::blocking("fetch", Effect::Pure, |cx| {
        let page: u32 = cx.input()?;
        Ok(page * 100)
    });
    let load = Step::blocking("load", Effect::Idempotent, move |cx| {
        if feed_is_there.load(Ordering::Relaxed) {
            return cx.output::<u32>("fetch");
        }
        let numbers = serde_json::json!({ "status": 410 });
        cx.decide_blocking("feed.gone", "the feed answers that it is gone", "give up", &numbers)?;
        Err(StepError::permanent("feed.gone", "410 Gone"))
    });
    Ok(Job::new("import").version(env!("CARGO_PKG_VERSION")).step(fetch).step(load).build()?)
}

/// What `replay` does here: the operator's word first, so that history says who, then the job's own code.
fn host(job: Job, clock: impl SleepBlocking + Clone) -> Host {
    let replayer = move |replay: Replay| {
        let by = replay.actor.trim_start_matches("operator:");
        let operator = Operator::new(Arc::clone(&replay.store), by)?.on(Arc::new(clock.clone()));
        let run = match block_on(operator.replay(&replay.run, &replay.mode, ""))? {
            Replayed::Resumed(run) | Replayed::Created(run) => run,
            again => return Err(format!("nothing is left to do: {again:?}").into()),
        };
        job.work_off_blocking_on(clock.clone(), &replay.store)?;
        Ok(run.id().to_owned())
    };
    Host::new("feeds ops").code_version(env!("CARGO_PKG_VERSION")).replayer(replayer)
}

fn main() -> ExitCode {
    let told = if std::env::args_os().len() > 1 { typed(Verb::parse()) } else { night() };
    told.unwrap_or_else(|error| {
        eprintln!("feeds: {error}");
        ExitCode::FAILURE
    })
}

/// What somebody has typed, on the store in this folder. The feed is there unless `FEED_GONE` is set.
fn typed(verb: Verb) -> Outcome<ExitCode> {
    let there = std::env::var_os("FEED_GONE").is_none();
    let job = importing(Arc::new(AtomicBool::new(there)))?;
    match verb {
        Verb::Import { page } => {
            let store: Arc<dyn Store> = Arc::new(Sqlite::open("feeds.db")?);
            let report = job.run_once_blocking(&store, &page)?;
            println!("{}", report.verdict);
            Ok(ExitCode::from(report.exit_code()))
        }
        Verb::Ops(command) => Ok(command.run(&host(job, System).store_at("feeds.db")).into()),
    }
}

/// The night, on a clock of its own.
fn night() -> Outcome<ExitCode> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_795_600_000), 7);
    let feed = Arc::new(AtomicBool::new(false));
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let job = importing(Arc::clone(&feed))?;
    let run = job.run_once_blocking_on(sim.clone(), &store, &7)?.run.ok_or("no run")?;
    let worker = block_on(Runs::new(Arc::clone(&store)).history(run.id(), 0, 1))?.remove(0).event.actor;
    sim.advance(Duration::from_secs(4 * 3600));
    let host = host(job, sim.clone()).store_open(store).clock(Arc::new(sim));
    let say = |words: &[&str]| -> Outcome<()> {
        println!("$ feeds ops {}", words.join(" "));
        let line = ["feeds", "ops"].into_iter().chain(words.iter().copied()).chain(["--by", "ada"]);
        let Verb::Ops(command) = Verb::try_parse_from(line)? else { return Err("not the operator's".into()) };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let io = &mut Io {
            input: &mut std::io::empty(),
            out: &mut out,
            err: &mut err,
            terminal: false,
            colour: false,
            ask: false,
        };
        let exit = command.run_on(&host, io);
        let text = String::from_utf8([out, err].concat())?;
        // Ids and processes are new each time the story is told.
        let end = &run.id()[run.id().len() - 8..];
        print!("{}", text.replace(run.id(), "RUN").replace(end, "RUN-----").replace(&worker, "WORKER"));
        println!("(exit code {})\n", exit.code());
        Ok(())
    };
    say(&["dead-letters"])?;
    say(&["explain", "import"])?;
    feed.store(true, Ordering::Relaxed);
    say(&["replay", "@failed", "--same-version"])?;
    say(&["runs"])?;
    say(&["dead-letters"])?;
    Ok(ExitCode::SUCCESS)
}
