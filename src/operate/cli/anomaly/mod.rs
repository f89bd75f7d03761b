//! `anomaly`: rare kinds of log lines.

mod backtest;
mod kept;
mod learn;
mod lines;
mod print;
mod spec;
mod watch;
mod watcher;

use std::path::PathBuf;

use crate::decide::baseline::Severity;
use crate::operate::cli::anomaly::spec::{KeySpec, UnitSpec};
use crate::operate::cli::failure::{Exit, Stop};
use crate::operate::cli::session::Session;

/// What `anomaly` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Anomaly {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Count the kinds of the lines of a usual time, as the baseline for others
    ///
    /// What a baseline has learned before stays: learn from as many files as there are. Nothing is called rare here.
    Learn(Learn),
    /// Say which lines are of a kind that is rare by the baseline
    ///
    /// Without --follow each file is read whole, and the baseline is left as it is, so that this can be repeated. With
    /// --follow the files are read on as they grow, through rotation, until SIGTERM or SIGINT: the baseline learns from
    /// them, and is saved with the places in the files, where the next call goes on.
    Watch(Watch),
    /// Say what would have been told of a log of the past whose truth is known, before it is trusted
    ///
    /// The labels are a file with a line for each labelled line of FILE: its number (the first is 1), or the first and
    /// the last of several, as 120-140. Empty lines and lines that begin with # are left out.
    Backtest(Backtest),
}

/// What makes the kind of a line.
#[derive(Clone, Debug, clap::Args)]
struct How {
    /// What makes the kind of a line: `masked` (component, level and message, with * for what changes), `first-token`,
    /// `field:N` (the first is 1), `json:NAME` (a.b for a field in a field), `regex:R` (its first group)
    /// [default: that of the baseline, else masked]
    #[arg(long, value_name = "SPEC")]
    key: Option<KeySpec>,
    /// A kind is rare if at most this share of the lines is of it; smaller takes more evidence
    /// [default: what the lines learned from prove, from 0.001 to 0.05]
    #[arg(long, value_name = "SHARE", value_parser = spec::share)]
    rare_rate: Option<f64>,
}

#[derive(Clone, Debug, clap::Args)]
struct Learn {
    /// The log; - for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The file that the baseline is kept in; made if it is not there
    #[arg(long, value_name = "B")]
    baseline: PathBuf,
    #[command(flatten)]
    how: How,
    /// Count how often each kind occurs in one unit of work, such as a session, which finds missing and repeated steps;
    /// the first group of the regular expression is the unit's name
    #[arg(long, value_name = "regex:R")]
    unit: Option<UnitSpec>,
}

#[derive(Clone, Debug, clap::Args)]
struct Watch {
    /// The log; - for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The file that the baseline is kept in
    #[arg(long, value_name = "B")]
    baseline: PathBuf,
    #[command(flatten)]
    how: How,
    /// Units of work, as the baseline learned them
    #[arg(long, value_name = "regex:R")]
    unit: Option<UnitSpec>,
    /// From which severity on a rare line is told: debug, info, notice, warn, error or fatal; a line that says none is
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = spec::severity)]
    alert_from: Severity,
    /// Read on as the files grow, until SIGTERM or SIGINT
    #[arg(long)]
    follow: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Backtest {
    /// The log; - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which lines of it somebody should have been told of
    #[arg(long, value_name = "F")]
    labels: PathBuf,
    #[command(flatten)]
    how: How,
    /// From which severity on a rare line is told
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = spec::severity)]
    alert_from: Severity,
}

pub(super) fn anomaly(session: &mut Session<'_, '_>, asked: Anomaly) -> Result<Exit, Stop> {
    match asked.verb {
        Verb::Learn(asked) => learn::learn(session, &asked),
        Verb::Watch(asked) if asked.follow => watch::follow(session, &asked),
        Verb::Watch(asked) => watch::whole(session, &asked),
        Verb::Backtest(asked) => backtest::backtest(session, &asked),
    }
}
