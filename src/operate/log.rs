//! The library's decisions on stderr, for an application that has no subscriber of its own: one line sets it up.
//!
//! ```no_run
//! use unattended::log::{self, Format};
//!
//! log::init(Format::Json)?;
//! # Ok::<(), log::Error>(())
//! ```
//!
//! Each event is one line. Its fields have the same names everywhere: `run_id`, `idempotency_key`, `job`, `step`,
//! `dependency`, `attempt`, `duration_ms`, `outcome`, `code` (the reason's stable word) and `why` (its sentence); as JSON
//! they stand beside `timestamp`, `level` and `target`. The library's own events have the target `unattended`.
//!
//! What is logged is said by `UNATTENDED_LOG`: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or levels of
//! targets, `warn,unattended=debug`. The default is `info`.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

/// The variable that says what is logged.
pub const VARIABLE: &str = "UNATTENDED_LOG";

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object a line.
    Json,
    /// For people: coloured on a terminal, unless `NO_COLOR` is set.
    Human,
}

/// The subscriber could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program has one already: this was called before, or the application set up its own.
    #[error("events are logged already: the program has a subscriber, and can have only one")]
    AlreadySet,
    /// The variable does not say what is logged.
    #[error(
        "{VARIABLE} is {given:?}; allowed is a level such as info, or levels of targets such as warn,unattended=debug"
    )]
    Filter {
        /// What it says.
        given: String,
        /// What was not understood.
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Logs the events of this program to stderr from now on, as [`VARIABLE`] says.
///
/// # Errors
/// [`Error::AlreadySet`] the second time, or where the application has a subscriber; [`Error::Filter`] if the variable
/// cannot be read. Nothing is changed then.
pub fn init(format: Format) -> Result<(), Error> {
    let given = std::env::var(VARIABLE).ok().filter(|given| !given.trim().is_empty());
    init_with(format, given.as_deref().unwrap_or("info"))
}

/// The same, with what is logged said here, in the form of [`VARIABLE`].
///
/// # Errors
/// As [`init`].
pub fn init_with(format: Format, filter: &str) -> Result<(), Error> {
    let targets = targets(filter)?;
    // Where nobody reads any more nothing is said of that either: it would be said there, and end the thread.
    let layer = match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(io::stderr)
            .log_internal_errors(false)
            .boxed(),
        Format::Human => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colour = io::stderr().is_terminal() && !plain;
            fmt::layer().with_ansi(colour).with_writer(io::stderr).log_internal_errors(false).boxed()
        }
    };
    let layer: Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync> = layer;
    tracing_subscriber::registry().with(layer.with_filter(targets)).try_init().map_err(|_| Error::AlreadySet)
}

fn targets(filter: &str) -> Result<Targets, Error> {
    filter.trim().parse().map_err(|source| Error::Filter { given: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_a_level_or_levels_of_targets() {
        for good in ["info", "off", "warn,unattended=debug", " DEBUG "] {
            assert!(targets(good).is_ok(), "{good}");
        }
        let wrong = targets("unattended=loud").unwrap_err().to_string();
        assert!(wrong.starts_with("UNATTENDED_LOG is \"unattended=loud\"; allowed is a level"), "{wrong}");
    }

    #[test]
    fn the_second_time_is_an_error_that_says_so() {
        // Whichever comes first in this program: the second is the one that fails.
        let _first_or_not = init_with(Format::Json, "off");
        let second = init_with(Format::Human, "off");
        assert!(matches!(second, Err(Error::AlreadySet)), "{second:?}");
        assert!(second.unwrap_err().to_string().contains("only one"));
    }
}
