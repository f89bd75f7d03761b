//! What can be typed: the verbs and their options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};

use crate::base::text::{self, Rate};
use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::operate::cli::failure::Failure;
use crate::operate::cli::{
    alerts, anomaly, backup, beat, dead_letters, doctor, exec, gate, generate, hold, keep, metrics, outside,
    review, schedule, similarity, simulate, status, steer, supervise, tick, unit,
};
use crate::operate::log;
use crate::operate::operator::RUNS_MAX;
use crate::remember::runs::Filter;

/// Options of every verb.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The store: a path, sqlite:PATH or postgres://…?schema=NAME [default: $UNATTENDED_STORE, else $STATE_DIRECTORY,
    /// /var/lib/unattended/ for root, or $XDG_STATE_HOME/unattended/]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) store: Option<OsString>,

    /// Answers for programs: an object a line, durations in *_ms, instants in RFC 3339; errors as an object on stderr
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// What is written down about jobs [default: /etc/unattended/jobs.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// What is logged to stderr while it works
    #[arg(long, global = true, value_enum, value_name = "HOW", default_value = "off")]
    pub(super) log: Log,

    /// Say more
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,

    /// Who you are, as the history will say [default: $SUDO_USER, else $USER]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) by: Option<String>,

    /// Instants as dates and times in UTC, not as "3 min ago"
    #[arg(long, global = true)]
    pub(super) absolute: bool,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Log {
    /// An object a line
    Json,
    /// Lines for people
    Human,
    /// Nothing
    #[default]
    Off,
}

impl Log {
    /// Logs from now on, unless the application has a subscriber already: then that has its own way.
    pub(super) fn begin(self) -> Result<(), Failure> {
        let format = match self {
            Self::Json => log::Format::Json,
            Self::Human => log::Format::Human,
            Self::Off => return Ok(()),
        };
        match log::init(format) {
            Ok(()) | Err(log::Error::AlreadySet) => Ok(()),
            Err(error) => Err(Failure::usage(error.to_string())),
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Verb {
    /// How everything stands; exit code 1 if anything is overdue or open
    #[command(after_help = "Example: status")]
    Status(status::Status),
    /// List alerts
    #[command(after_help = "Example: alerts --json")]
    Alerts(alerts::Alerts),
    /// Acknowledge an alert: it is seen to, and not paged again for a while
    #[command(after_help = "Example: ack 7f3a --for 4h")]
    Ack(alerts::Ack),
    /// List what has failed for good or asks a person
    #[command(after_help = "Example: dead-letters --job ingest --since 7d")]
    DeadLetters(dead_letters::DeadLetters),
    /// Answer what a run asks, or go on from a failed one past its failed step
    #[command(after_help = "Example: review @failed --applied '{\"sent\":12}'")]
    Review(review::Review),
    /// End a run
    #[command(after_help = "Example: cancel ingest --reason \"the feed is gone\"")]
    Cancel(steer::Steer),
    /// Keep a run from being begun or gone on with
    #[command(after_help = "Example: pause ingest --reason \"until the index is rebuilt\"")]
    Pause(steer::Steer),
    /// Let a paused run go on
    #[command(after_help = "Example: resume ingest")]
    Resume(steer::Steer),
    /// Undo the finished steps of a run
    #[command(after_help = "Example: compensate 7f3a01bc --reason \"billed twice\"")]
    Compensate(steer::Steer),
    /// Hand a job's input to its workers
    #[command(after_help = "Example: submit ingest --input page.json --key feed/page/42")]
    Submit(outside::Submit),
    /// Answer what a run waits for
    #[command(after_help = "Example: resolve approval-42 '{\"approved\":true}'")]
    Resolve(outside::Resolve),
    /// Hold a job or a dependency: its work is put off, with the reason, until it is released
    #[command(after_help = "Example: hold dependency:youtube --for 2h --reason \"quota is used up\"")]
    Hold(hold::Hold),
    /// Release what is held
    #[command(after_help = "Example: release dependency:youtube")]
    Release(hold::Release),
    /// Open or close a breaker by hand, or let it decide again
    #[command(after_help = "Example: breaker youtube --auto")]
    Breaker(hold::Breaker),
    /// Run a command as a recorded run: once for each key, retried, resumed, explained
    #[command(
        after_help = "Example: exec --name backup --once-per day --effect idempotent --timeout 1h -- /usr/local/bin/backup.sh"
    )]
    Exec(exec::Exec),
    /// One bounded pass for cron or a timer: what is due, orphaned, overdue or unsent
    #[command(after_help = "Example: tick")]
    Tick(tick::Tick),
    /// Keep a command alive, and say when that is no use
    #[command(after_help = "Example: supervise --name feed --max-failures 5 --window 10m -- ./feed")]
    Supervise(supervise::Supervise),
    /// Say that a job is well, has begun or has failed
    #[command(after_help = "Example: beat backup --every 24h")]
    Beat(beat::Beat),
    /// Forget a heartbeat
    #[command(after_help = "Example: forget backup")]
    Forget(beat::Forget),
    /// Whether the machine is ready: exit code 0 if it is, 75 if not
    #[command(after_help = "Example: gate --cpu-max 50 --disk-free /var:10GiB --wait 10m")]
    Gate(gate::Gate),
    /// Versions of files that have changed meaningfully
    #[command(after_help = "Example: backup run ./docs /srv/backup --threshold 0.98")]
    Backup(backup::Backup),
    /// Rare kinds of log lines
    #[command(after_help = "Example: anomaly watch app.log --baseline app.baseline --follow")]
    Anomaly(anomaly::Anomaly),
    /// Numbers for Prometheus
    #[command(after_help = "Example: metrics --out /var/lib/node_exporter/unattended.prom")]
    Metrics(metrics::Metrics),
    /// A service and a timer of systemd from the same policies
    #[command(after_help = "Example: unit --name backup --exec \"/usr/local/bin/backup.sh\" --every 24h")]
    Unit(unit::Unit),
    /// The production-readiness checklist
    #[command(after_help = "Example: doctor")]
    Doctor(doctor::Doctor),
    /// What is written down about jobs
    #[command(subcommand)]
    Config(Config),
    /// Whether a change of a text means something
    #[command(after_help = "Example: similarity old.txt new.txt --threshold 0.98")]
    Similarity(similarity::Similarity),
    /// When something is next
    #[command(after_help = "Example: schedule \"30 2 * * *\" --tz Europe/Paris --count 5")]
    Schedule(schedule::Schedule),
    /// Whether a window is open, and when it opens or closes
    #[command(
        after_help = "Example: window \"09:00-22:00 Mon-Fri\" --tz Europe/Paris --at 2026-11-22T08:00:00Z"
    )]
    Window(schedule::Window),
    /// What would this policy have done? Decides about a trace, without waiting
    #[command(after_help = "Example: simulate retry --policy cron < failures.jsonl")]
    Simulate(simulate::Simulate),
    /// Completions for a shell
    #[command(after_help = "Example: completions bash > /etc/bash_completion.d/unattended")]
    Completions(generate::Completions),
    /// The manual page
    #[command(after_help = "Example: man | man -l -")]
    Man(generate::Man),
    /// List runs, newest first
    #[command(after_help = "Example: runs --state failed_permanent,needs_review --since 12h")]
    Runs {
        #[command(flatten)]
        filters: Filters,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = count())]
        limit: u32,
    },
    /// Show all that is known of one run, the answers it accepts and the next commands to type
    #[command(after_help = "Example: show @failed")]
    Show(One),
    /// Tell the story of one run: what was seen, decided and done, and why
    #[command(after_help = "Example: explain ingest")]
    Explain(One),
    /// Write a note into a run's history
    #[command(after_help = "Example: note ingest \"the feed was down, see ticket 12\"")]
    Note {
        #[command(flatten)]
        one: One,
        /// The note
        text: String,
    },
    /// Send failed runs round again, each from its last checkpoint
    #[command(after_help = "Example: requeue --all --job ingest --rate 1/s --dry-run")]
    Requeue(Requeue),
    /// Run a run again, here and now
    #[command(after_help = "Example: replay @failed --mode rerun")]
    Replay(Replay),
    /// Say that a credential was seen to, and release the runs that wait for it
    #[command(subcommand)]
    Credential(Credential),
    /// Canonical JSON: reads JSON on stdin, writes its one canonical form
    #[command(after_help = "Example: canonical < input.json")]
    Canonical,
    /// The idempotency key of a piece of work, and the fingerprint of its payload (JSON on stdin)
    #[command(after_help = "Example: key --scope billing --kind invoice --id 42 < input.json")]
    Key {
        /// The application or tenant
        #[arg(long)]
        scope: String,
        /// The kind of work
        #[arg(long)]
        kind: String,
        /// The business identity: never a time, a random number or a host
        #[arg(long)]
        id: String,
    },
    /// The store itself
    #[command(subcommand)]
    Store(Store),
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Config {
    /// Print what is in force, and where it was read
    #[command(after_help = "Example: config show")]
    Show,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Store {
    /// Where it is, its format and size, and how many runs are in which state
    #[command(after_help = "Example: store info --json")]
    Info,
    /// Whether it is whole; exit code 1 if a check fails
    #[command(after_help = "Example: store check")]
    Check,
    /// Bring its format up to this release's; releases before it go on working
    #[command(after_help = "Example: store migrate")]
    Migrate,
    /// Delete what has ended and is old; what has not ended is kept
    #[command(after_help = "Example: store prune --older-than 90d --dry-run")]
    Prune(keep::Prune),
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Credential {
    /// It was seen to: it may be refreshed again, and the runs that wait for it go on
    #[command(after_help = "Example: credential ok youtube --rate 10/min")]
    Ok {
        /// The credential
        name: String,
        /// So many of its runs become due in a time, such as 10/min or 1/s
        #[arg(long, value_parser = text::rate, default_value = "10/min")]
        rate: Rate,
    },
}

/// One run.
#[derive(Clone, Debug, Args)]
pub(super) struct One {
    /// An id, a unique end of one, a job's name (its last run), JOB~1 (the one before), or @failed
    #[arg(value_name = "RUN")]
    pub(super) run: String,
}

/// Which runs.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Filters {
    /// Only in this state; several with commas
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state(), hide_possible_values = true)]
    state: Vec<State>,
    #[command(flatten)]
    narrow: Narrow,
}

/// Which of the runs in certain states.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Narrow {
    /// Only of this job
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only with this code as the last reason, such as io.timed_out
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only with this text in the id, the reason, the input or the key
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Only created since: RFC 3339, or a duration ago such as 12h
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

impl Filters {
    pub(super) fn filter(self, now: Timestamp) -> Result<Filter, Failure> {
        Ok(Filter { states: self.state, ..self.narrow.filter(now)? })
    }
}

impl Narrow {
    pub(super) fn filter(self, now: Timestamp) -> Result<Filter, Failure> {
        let since = self.since.map(|since| text::instant(&since, now)).transpose();
        let since = since.map_err(|error| {
            let hint = "an instant is 2026-11-22T02:10:00Z, or a duration ago such as 12h or 7d";
            Failure::usage(format!("--since: {error}")).hint(hint)
        })?;
        let Self { job, code, text, .. } = self;
        Ok(Filter { job, code, text, since, ..Filter::default() })
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct Requeue {
    /// Ids, unique ends of ids, job names, JOB~1 or @failed
    #[arg(value_name = "RUN", required_unless_present = "all", conflicts_with = "all")]
    pub(super) runs: Vec<String>,

    /// Every failed run that the filters match, oldest first; runs in review only with --state needs_review
    #[arg(long)]
    pub(super) all: bool,

    #[command(flatten)]
    pub(super) filters: Filters,

    /// With --all: at most this many
    #[arg(long, value_name = "N", requires = "all", default_value_t = RUNS_MAX, value_parser = count())]
    pub(super) limit: u32,

    /// So many become due in a time, such as 1/s or 60/min [default: all at once]
    #[arg(long, value_parser = text::rate)]
    pub(super) rate: Option<Rate>,

    /// Only say what would be sent
    #[arg(long)]
    pub(super) dry_run: bool,

    /// With --all: do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

impl Requeue {
    /// A filter without --all would be silently without effect.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let narrow = &self.filters.narrow;
        let filtered = !self.filters.state.is_empty()
            || [&narrow.job, &narrow.code, &narrow.text, &narrow.since].into_iter().any(Option::is_some);
        if filtered && !self.all {
            return Err(Failure::usage("the filters --state, --job, --code, --text and --since need --all")
                .hint("name runs, or give --all with filters"));
        }
        Ok(())
    }
}

/// How a run is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReplayMode {
    /// The same run, from its last checkpoint
    Resume,
    /// A new run of the same input; what was done under its key is not done twice
    Rerun,
    /// A new run of the same input that does it once more; needs a reason
    Force,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    pub(super) one: One,

    /// How
    #[arg(long, value_enum, default_value = "resume")]
    pub(super) mode: ReplayMode,

    /// Why it may be done once more; needed by --mode force
    #[arg(long, required_if_eq("mode", "force"))]
    pub(super) reason: Option<String>,

    /// Only if the code is the version that the run ran under
    #[arg(long)]
    pub(super) same_version: bool,
}

fn state() -> impl TypedValueParser<Value = State> {
    let names = State::ALL.map(State::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<State>())
}

pub(super) fn count() -> impl TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=i64::from(RUNS_MAX))
}
