//! What can be typed: the verbs and their options.

use std::ffi::OsString;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};

use crate::base::text::{self, Rate};
use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::operate::cli::failure::Failure;
use crate::operate::operator::RUNS_MAX;
use crate::remember::runs::Filter;

/// Options of every verb.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The store: a path or sqlite:PATH [default: $UNATTENDED_STORE, else $STATE_DIRECTORY, /var/lib/unattended/ for
    /// root, or $XDG_STATE_HOME/unattended/]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) store: Option<OsString>,

    /// Answers for programs: an object a line, durations in *_ms, instants in RFC 3339; errors as an object on stderr
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Who you are, as the history will say [default: $SUDO_USER, else $USER]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) by: Option<String>,

    /// Instants as dates and times in UTC, not as "3 min ago"
    #[arg(long, global = true)]
    pub(super) absolute: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Verb {
    /// List runs, newest first
    Runs {
        #[command(flatten)]
        filters: Filters,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = count())]
        limit: u32,
    },
    /// Show all that is known of one run, the answers it accepts and the next commands to type
    Show(One),
    /// Tell the story of one run: what was seen, decided and done, and why
    Explain(One),
    /// Write a note into a run's history
    Note {
        #[command(flatten)]
        one: One,
        /// The note
        text: String,
    },
    /// Send failed runs round again, each from its last checkpoint
    Requeue(Requeue),
    /// Run a run again, here and now
    Replay(Replay),
    /// Say that a credential was seen to, and release the runs that wait for it
    #[command(subcommand)]
    Credential(Credential),
    /// Canonical JSON: reads JSON on stdin, writes its one canonical form
    Canonical,
    /// The idempotency key of a piece of work, and the fingerprint of its payload (JSON on stdin)
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
pub(super) enum Store {
    /// Where it is, its format and size, and how many runs are in which state
    Info,
    /// Whether it is whole; exit code 1 if a check fails
    Check,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Credential {
    /// It was seen to: it may be refreshed again, and the runs that wait for it go on
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
        let since = self.since.map(|since| text::instant(&since, now)).transpose();
        let since = since.map_err(|error| Failure::usage(format!("--since: {error}")))?;
        let Self { state: states, job, code, text, .. } = self;
        Ok(Filter { states, job, code, text, since, ..Filter::default() })
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
        let filters = &self.filters;
        let filtered = !filters.state.is_empty()
            || [&filters.job, &filters.code, &filters.text, &filters.since].into_iter().any(Option::is_some);
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

fn count() -> impl TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=i64::from(RUNS_MAX))
}
