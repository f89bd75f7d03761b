//! `backup`: versions of what has changed meaningfully.

mod back;
mod run;
mod versions;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::act::backup::{Error, Name, Store};
use crate::base::fault::Classify;
use crate::base::text;
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::session::Session;
use crate::remember::file;

/// What `backup` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Backup {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Back a folder up: store what has changed meaningfully, and say of each file why or why not
    ///
    /// A change is stored if it is large enough, has waited long enough, or was skipped often enough; else it waits. Each
    /// is compared with what is stored, so small changes add up. Exit code 1 if a file could not be read.
    Run(Run),
    /// Read every version again and compare it with what was stored; exit code 1 if one is damaged
    Verify(Verify),
    /// List versions: of which file, from which run, and why each was stored
    List(List),
    /// Show what differs between two versions of a file, or between a version and the file as it is now
    Diff(Diff),
    /// Write the files back under a folder, as they were after a run
    Restore(Restore),
    /// Remove versions that no rule keeps
    Prune(Prune),
}

#[derive(Clone, Debug, clap::Args)]
struct Run {
    /// The folder whose files are backed up
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// The folder that keeps the versions; made if it is not there
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// Below which ratio of what is common a change is stored, from 0 to 1
    #[arg(long, value_name = "RATIO", default_value = "0.98", value_parser = threshold)]
    threshold: u32,
    /// How long a small change waits at most, such as 24h; `never` for no bound
    #[arg(long, value_name = "D", default_value = "24h", value_parser = age)]
    age_max: Age,
    /// A change of more bytes is stored whatever the ratio, such as 4KiB or 4096; `none` leaves it to the ratio
    #[arg(long, value_name = "SIZE", default_value = "4KiB", value_parser = bytes)]
    changed_bytes_max: Bytes,
    /// How often a small change is skipped at most; 0 stores every change
    #[arg(long, value_name = "N", default_value_t = 10)]
    skips_max: u32,
    /// Only files that match, such as '**/*.md'; may be given several times
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// No files or folders that match; beats --include
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// The folder has moved: take it for the one whose versions DEST has
    #[arg(long)]
    source_moved: bool,
}

/// A duration, or none.
#[derive(Clone, Copy, Debug)]
struct Age(Option<Duration>);

/// A size, or none.
#[derive(Clone, Copy, Debug)]
struct Bytes(Option<u64>);

#[derive(Clone, Debug, clap::Args)]
struct Verify {
    /// The folder that keeps the versions
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// Also write the newest version of every file to a temporary folder, as a restore would
    #[arg(long)]
    restore: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct List {
    /// The folder that keeps the versions
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// Only of these files
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A line for each run, not for each version
    #[arg(long)]
    runs: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Diff {
    /// The folder that keeps the versions
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// The file, by its path in the backed up folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The older version, by its run [default: the newest one, against the file; with --to, the one before that]
    #[arg(long, value_name = "RUN")]
    from: Option<u64>,
    /// The newer version, by its run [default: the file as it is now]
    #[arg(long, value_name = "RUN")]
    to: Option<u64>,
    /// The file to compare with [default: the one that was backed up]
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, clap::Args)]
struct Restore {
    /// The folder that keeps the versions
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// The folder that they are written to; made if it is not there
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// Only these files, by their paths in the backed up folder
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// As they were after this run [default: the newest versions]
    #[arg(long, value_name = "RUN")]
    at: Option<u64>,
    /// Write over files that differ from the version
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Prune {
    /// The folder that keeps the versions
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// Keep so many of the newest versions of each file
    #[arg(long, value_name = "N", default_value_t = 3)]
    last: u32,
    /// Keep the newest version of so many days
    #[arg(long, value_name = "N", default_value_t = 7)]
    daily: u32,
    /// Keep the newest version of so many weeks
    #[arg(long, value_name = "N", default_value_t = 4)]
    weekly: u32,
    /// Keep the newest version of so many months
    #[arg(long, value_name = "N", default_value_t = 12)]
    monthly: u32,
    /// Believe a clock that seems to have jumped ahead
    #[arg(long)]
    trust_clock: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn backup(session: &mut Session<'_, '_>, asked: Backup) -> Result<Exit, Stop> {
    match asked.verb {
        Verb::Run(asked) => run::run(session, &asked),
        Verb::Verify(asked) => back::verify(session, &asked),
        Verb::List(asked) => versions::list(session, &asked),
        Verb::Diff(asked) => versions::diff(session, &asked),
        Verb::Restore(asked) => back::restore(session, &asked),
        Verb::Prune(asked) => versions::prune(session, &asked),
    }
}

/// `0.98` as millionths.
fn threshold(text: &str) -> Result<u32, String> {
    let invalid = || format!("{text:?} is no ratio; allowed is 0 to 1, such as 0.98");
    let ratio: f64 = text.parse().map_err(|_| invalid())?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(invalid());
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and a million"
    )]
    Ok((ratio * 1e6).round() as u32)
}

fn age(text: &str) -> Result<Age, text::Invalid> {
    if text == "never" { Ok(Age(None)) } else { text::duration(text).map(|age| Age(Some(age))) }
}

fn bytes(text: &str) -> Result<Bytes, text::Invalid> {
    match (text, text.parse()) {
        ("none", _) => Ok(Bytes(None)),
        (_, Ok(bytes)) => Ok(Bytes(Some(bytes))),
        _ => text::size(text).map(|size| Bytes(Some(size))),
    }
}

/// The store at DEST, which has to be there.
fn opened(session: &Session<'_, '_>, dest: &Path) -> Result<Store, Stop> {
    Store::open(dest).map_err(|error| failed(session, &error).into())
}

/// An error of the library, with what to do.
fn failed(session: &Session<'_, '_>, error: &Error) -> Failure {
    let exit = match error {
        Error::Busy { .. } => Exit::NotNow,
        Error::NotAStore { .. } | Error::NotEmpty { .. } | Error::Format { .. } => Exit::Config,
        Error::InTheStore { .. } | Error::OtherSource { .. } => Exit::Usage,
        Error::File(file::Error::Io { action: "cannot find it", source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Exit::Config
        }
        _ => Exit::Failed,
    };
    let failure = Failure::new(exit, error.fault().code, chain(error));
    let program = &session.host.program;
    match error {
        Error::Busy { .. } => failure.hint("wait until it is through, then try again"),
        Error::NotAStore { .. } => failure.hint(format!(
            "DEST is the folder that `{program} backup run SRC DEST` made; it was left as it is"
        )),
        Error::NotEmpty { .. } => {
            failure.hint("name a folder that is empty or not there yet; it was left as it is")
        }
        Error::Format { .. } => failure.hint("a newer release may have written it"),
        Error::Source { .. } => failure.hint("SRC is a folder that is there and may be read"),
        Error::InTheStore { .. } => failure.hint("name SRC first and DEST second"),
        Error::OtherSource { .. } => {
            failure.hint("if the folder has moved, say so with --source-moved; else name another DEST")
        }
        Error::IndexDamaged { .. } => failure.hint(format!(
            "`{program} backup verify DEST` says what; keep a copy of DEST before anything else"
        )),
        Error::NoSuchRun { .. } => failure.hint(format!("`{program} backup list DEST --runs` lists them")),
        Error::NoSuchVersion { .. } => {
            failure.hint(format!("`{program} backup list DEST` lists what there is"))
        }
        _ if exit == Exit::Config => {
            failure.hint(format!("`{program} backup run SRC DEST` makes the first backup there"))
        }
        _ => failure,
    }
}

/// A path as it was typed: as it is in the tree, or as it is listed.
fn name(store: &Store, path: &Path) -> Result<Name, Failure> {
    let plain = path.strip_prefix("./").unwrap_or(path);
    let as_typed = Name::try_from(plain);
    if let Ok(name) = &as_typed
        && store.versions(name).is_ok_and(|versions| !versions.is_empty())
    {
        return Ok(name.clone());
    }
    let listed = plain.to_str().and_then(|text| text.parse::<Name>().ok());
    match (listed, as_typed) {
        (Some(name), _) | (None, Ok(name)) => Ok(name),
        (None, Err(error)) => Err(Failure::usage(error.to_string())
            .hint("PATH is the file's path in the backed up folder, as `backup list DEST` shows it")),
    }
}

/// Whether a name is one of those that were asked for, or lies in one of them.
fn among(name: &Name, paths: &[PathBuf]) -> bool {
    let shown = name.to_string();
    paths.is_empty()
        || paths.iter().any(|path| {
            let path = path.strip_prefix("./").unwrap_or(path);
            name.as_path().starts_with(path) || Path::new(OsStr::new(&shown)).starts_with(path)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_ratio() {
        assert_eq!(threshold("0.98"), Ok(980_000));
        assert_eq!(threshold("1"), Ok(1_000_000));
        for wrong in ["98", "-0.1", "NaN", "", "98%"] {
            assert!(threshold(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_stands_for_what_is_in_it() {
        let name: Name = "docs/a/b.md".parse().unwrap();
        assert!(among(&name, &[]));
        assert!(among(&name, &[PathBuf::from("docs/a")]));
        assert!(among(&name, &[PathBuf::from("./docs")]));
        assert!(!among(&name, &[PathBuf::from("docs/a/b")]));
    }
}
