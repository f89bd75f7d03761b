//! The operator's command line: the verbs of the tool `unattended`, and of every application that mounts them.
//!
//! An application mounts [`Command`] as a subcommand of its own and says what it is with a [`Host`]. It knows its jobs'
//! code, so it can also `replay` them:
//!
//! ```no_run
//! use clap::Parser;
//! use unattended::cli;
//!
//! #[derive(Parser)]
//! enum Verb {
//!     /// Fetch what is new
//!     Fetch,
//!     /// Look at runs and send them round again
//!     Ops(cli::Command),
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     match Verb::parse() {
//!         Verb::Fetch => std::process::ExitCode::SUCCESS,
//!         Verb::Ops(command) => {
//!             let host = cli::Host::new("ingest ops")
//!                 .store_at("/var/lib/ingest/store.db")
//!                 .code_version(env!("CARGO_PKG_VERSION"))
//!                 .replayer(|replay: cli::Replay| {
//!                     // Run the job's code on `replay.store` as `replay.mode` says; give the id of the run that ran.
//!                     Ok(replay.run.id().to_owned())
//!                 });
//!             command.run(&host).into()
//!         }
//!     }
//! }
//! ```
//!
//! Answers go to stdout, everything else to stderr. With `--json` an answer is one object a line, and a failure is
//! `{"error":{"code","message","hint"}}` on stderr. Exit codes are those of [`Exit`]. A reader that goes away early
//! (`| head`) is no failure.

mod address;
mod alerts;
mod anomaly;
mod args;
mod backup;
mod beat;
mod change;
mod check;
mod config;
mod dead_letters;
mod doctor;
mod exec;
mod failure;
mod forms;
mod gate;
mod generate;
mod hold;
mod keep;
mod look;
mod metrics;
mod next;
mod outside;
mod place;
mod plumbing;
mod print;
mod progress;
mod release;
mod remote;
mod review;
mod schedule;
mod session;
mod shared;
mod similarity;
mod simulate;
mod status;
mod steer;
mod story;
mod supervise;
mod tick;
mod tool;
mod unit;

use std::cell::{OnceCell, RefCell};
use std::error::Error;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

pub use failure::Exit;
pub use tool::run_tool;

use crate::base::time::{Clock, System};
use crate::operate::cli::args::{
    Config as ConfigVerb, Credential as CredentialVerb, Global, Store as StoreVerb, Verb,
};
use crate::operate::cli::failure::{Failure, Stop};
use crate::operate::cli::session::Session;
use crate::operate::doctor::Application;
pub use crate::operate::operator::Mode;
use crate::remember::runs::Run;
use crate::remember::store::Store;

/// The operator's verbs, as clap reads them: mount it as a subcommand, then [`run`](Self::run) it.
#[derive(Clone, Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    help_template = tool::TEMPLATE
)]
pub struct Command {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Box<Verb>,
}

/// The program that the verbs are mounted in.
pub struct Host {
    program: String,
    home: Home,
    replayer: Option<Box<dyn Replayer>>,
    code_version: Option<String>,
    application: Option<Application>,
    clock: Arc<dyn Clock>,
}

/// Where a host's store is unless `--store` names another.
enum Home {
    /// In the first of the places that the tool looks at.
    Search,
    /// In this file.
    At(PathBuf),
    /// Opened already.
    Open(Arc<dyn Store>),
}

impl Host {
    /// A program that is called `program` on a command line, up to the verb: `unattended`, `ingest ops`. It looks for
    /// its store in `$UNATTENDED_STORE`, `$STATE_DIRECTORY`, `/var/lib/unattended/` for root, and
    /// `$XDG_STATE_HOME/unattended/`, and has no `replay`.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        let clock = Arc::new(System);
        Self {
            program: program.into(),
            home: Home::Search,
            replayer: None,
            code_version: None,
            application: None,
            clock,
        }
    }

    /// The same program with its store in this file (or, of a folder, in `unattended.db` there) unless `--store` names
    /// another; nothing is searched then.
    #[must_use]
    pub fn store_at(mut self, path: impl Into<PathBuf>) -> Self {
        self.home = Home::At(path.into());
        self
    }

    /// The same program on a store that is open already, unless `--store` names another. The verbs of `store` look at a
    /// file or a database themselves, and so need `--store`.
    #[must_use]
    pub fn store_open(mut self, store: Arc<dyn Store>) -> Self {
        self.home = Home::Open(store);
        self
    }

    /// The same program, which can replay runs of its own jobs.
    #[must_use]
    pub fn replayer(mut self, replayer: impl Replayer) -> Self {
        self.replayer = Some(Box::new(replayer));
        self
    }

    /// The same program, which says which version its code is; `replay --same-version` needs it.
    #[must_use]
    pub fn code_version(mut self, version: impl Into<String>) -> Self {
        self.code_version = Some(version.into());
        self
    }

    /// The same program, which says what it is: its own jobs are what the verb `doctor` looks at. Where it names no store,
    /// that of the other verbs is looked at.
    #[must_use]
    pub fn application(mut self, application: Application) -> Self {
        self.application = Some(application);
        self
    }

    /// The same program on another clock: for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("program", &self.program)
            .field("replays", &self.replayer.is_some())
            .field("code_version", &self.code_version)
            .finish_non_exhaustive()
    }
}

/// What `replay` asks of an application.
#[non_exhaustive]
pub struct Replay {
    /// The store that the run is in.
    pub store: Arc<dyn Store>,
    /// The run that was meant, as it was when it was looked up.
    pub run: Run,
    /// How.
    pub mode: Mode,
    /// Who asks, as events name them: `operator:NAME`.
    pub actor: String,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("run", &self.run.id())
            .field("mode", &self.mode)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// Runs a run of an application's own jobs again, here and now.
pub trait Replayer: Send + Sync + 'static {
    /// Does what is asked, waits for its end, and gives the id of the run that ran: the one that was asked for, or
    /// the new one that `rerun` and `force` make.
    ///
    /// # Errors
    /// When the run could not be run at all. A run that ran and failed is not an error: its state says so.
    fn replay(&self, replay: Replay) -> Result<String, Box<dyn Error + Send + Sync>>;

    /// Whether it has the code of this run's job. By default it has; where not, `replay` refuses and says so.
    fn knows(&self, run: &Run) -> bool {
        let _any = run;
        true
    }
}

impl<F> Replayer for F
where
    F: Fn(Replay) -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
{
    fn replay(&self, replay: Replay) -> Result<String, Box<dyn Error + Send + Sync>> {
        self(replay)
    }
}

/// Where a command reads and writes.
#[expect(missing_debug_implementations, reason = "three borrowed streams have nothing to show")]
pub struct Io<'a> {
    /// What is read: JSON, or the answer to a question.
    pub input: &'a mut dyn Read,
    /// Where answers go.
    pub out: &'a mut dyn Write,
    /// Where failures and questions go.
    pub err: &'a mut dyn Write,
    /// Whether `out` is a terminal: long reasons are cut in tables.
    pub terminal: bool,
    /// Whether `out` understands colours.
    pub colour: bool,
    /// Whether a person sits at `input` and `err` and can be asked.
    pub ask: bool,
}

impl Command {
    /// Carries the verb out on the process's own streams. It blocks the thread; inside an async program call it on a
    /// thread of its own.
    #[must_use]
    pub fn run(self, host: &Host) -> Exit {
        with_process_streams(|io| self.run_on(host, io))
    }

    /// Carries the verb out on these streams.
    #[must_use]
    pub fn run_on(self, host: &Host, io: &mut Io<'_>) -> Exit {
        let json = self.global.json;
        let result = self.dispatch(host, io).and_then(|exit| {
            io.out.flush()?;
            Ok(exit)
        });
        match result {
            Ok(exit) => exit,
            Err(Stop::Closed) => Exit::Done,
            Err(Stop::Failed(failure)) => {
                // What was answered before the failure comes before it; an output that is broken too was told already.
                drop(io.out.flush());
                tell(&failure, host, json, io)
            }
        }
    }

    fn dispatch(self, host: &Host, io: &mut Io<'_>) -> Result<Exit, Stop> {
        let Self { global, verb } = self;
        global.log.begin()?;
        let (now, config) = (host.clock.now().wall, OnceCell::new());
        let kept = RefCell::default();
        let session = &mut Session { host, global: &global, io, now, config, kept };
        match *verb {
            Verb::Runs { filters, limit } => look::runs(session, filters, limit),
            Verb::Show(one) => look::show(session, &one),
            Verb::Explain(one) => look::explain(session, &one),
            Verb::Note { one, text } => change::note(session, &one, &text),
            Verb::Requeue(asked) => change::requeue(session, asked),
            Verb::Replay(asked) => change::replay(session, asked),
            Verb::Credential(CredentialVerb::Ok { name, rate }) => {
                release::credential_ok(session, &name, rate)
            }
            Verb::Status(asked) => status::status(session, asked),
            Verb::Alerts(asked) => alerts::alerts(session, asked),
            Verb::Ack(asked) => alerts::ack(session, asked),
            Verb::DeadLetters(asked) => dead_letters::dead_letters(session, asked),
            Verb::Review(asked) => review::review(session, asked),
            Verb::Cancel(asked) => steer::cancel(session, asked),
            Verb::Pause(asked) => steer::pause(session, asked),
            Verb::Resume(asked) => steer::resume(session, asked),
            Verb::Compensate(asked) => steer::compensate(session, asked),
            Verb::Submit(asked) => outside::submit(session, asked),
            Verb::Resolve(asked) => outside::resolve(session, asked),
            Verb::Hold(asked) => hold::hold(session, asked),
            Verb::Release(asked) => hold::release(session, asked),
            Verb::Breaker(asked) => hold::breaker(session, asked),
            Verb::Exec(asked) => exec::exec(session, asked),
            Verb::Tick(asked) => tick::tick(session, asked),
            Verb::Supervise(asked) => supervise::supervise(session, asked),
            Verb::Beat(asked) => beat::beat(session, asked),
            Verb::Forget(asked) => beat::forget(session, asked),
            Verb::Gate(asked) => gate::gate(session, asked),
            Verb::Backup(asked) => backup::backup(session, asked),
            Verb::Anomaly(asked) => anomaly::anomaly(session, asked),
            Verb::Metrics(asked) => metrics::metrics(session, asked),
            Verb::Unit(asked) => unit::unit(session, asked),
            Verb::Doctor(asked) => doctor::doctor(session, asked),
            Verb::Config(ConfigVerb::Show) => config::show(session),
            Verb::Similarity(asked) => similarity::similarity(session, asked),
            Verb::Schedule(asked) => schedule::schedule(session, asked),
            Verb::Window(asked) => schedule::window(session, asked),
            Verb::Simulate(asked) => simulate::simulate(session, asked),
            Verb::Completions(asked) => generate::completions(session, asked),
            Verb::Man(asked) => generate::man(session, asked),
            Verb::Canonical => plumbing::canonical(session),
            Verb::Key { scope, kind, id } => plumbing::key(session, &scope, &kind, &id),
            Verb::Store(StoreVerb::Info) => keep::info(session),
            Verb::Store(StoreVerb::Check) => keep::check(session),
            Verb::Store(StoreVerb::Migrate) => keep::migrate(session),
            Verb::Store(StoreVerb::Prune(asked)) => keep::prune(session, asked),
        }
    }
}

fn tell(failure: &Failure, host: &Host, json: bool, io: &mut Io<'_>) -> Exit {
    let text = if json { failure.json() + "\n" } else { failure.human(&host.program) };
    // Where nobody can be told, the exit code still says it.
    drop(io.err.write_all(text.as_bytes()));
    failure.exit
}

fn with_process_streams<T>(run: impl FnOnce(&mut Io<'_>) -> T) -> T {
    let (stdin, stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    let terminal = stdout.is_terminal();
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let ask = stdin.is_terminal() && stderr.is_terminal();
    run(&mut Io {
        input: &mut stdin.lock(),
        // Not locked: other threads log there while this one waits for them.
        out: &mut BufWriter::new(stdout),
        err: &mut stderr,
        terminal,
        colour: terminal && !set("NO_COLOR") && !dumb,
        ask,
    })
}

#[cfg(test)]
mod tests;
