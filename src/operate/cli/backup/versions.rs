//! `backup list`, `backup diff` and `backup prune`: which versions there are.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::act::backup::{Name, PruneError, Pruned, Retention, Store, Version, Which};
use crate::base::explain::Explain;
use crate::base::text::{about_size, rfc3339, shown};
use crate::base::time::Timestamp;
use crate::decide::similarity::hunks;
use crate::operate::cli::backup::{Diff, List, Prune, among, failed, name, opened};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::{Table, plain};
use crate::operate::cli::session::Session;

/// The most places that a diff shows.
const HUNKS_MAX: usize = 1000;
/// The most bytes of one place.
const HUNK_BYTES_MAX: usize = 64 * 1024;
/// The largest file that is compared with a version.
const FILE_MAX: u64 = 256 << 20;

pub(super) fn list(session: &mut Session<'_, '_>, asked: &List) -> Result<Exit, Stop> {
    let store = opened(session, &asked.dest)?;
    let versions = store.list().map_err(|error| failed(session, &error))?;
    let versions: Vec<Version> =
        versions.into_iter().filter(|version| among(&version.name, &asked.paths)).collect();
    if versions.is_empty() && !asked.paths.is_empty() {
        let path = asked.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        return Err(Failure::new(
            Exit::Failed,
            "backup.no_such_version",
            format!("there is no version of {path}"),
        )
        .hint("PATH is the file's path in the backed up folder")
        .into());
    }
    if asked.runs {
        return runs(session, &versions);
    }
    if session.json() {
        for version in &versions {
            session.object(&Line::of(version))?;
        }
        return Ok(Exit::Done);
    }
    let (paint, when) = (session.paint(), session.when());
    let mut table = Table::head(paint, &["PATH", "RUN", "STORED", "SIZE", "WHY"]);
    for version in &versions {
        let mut why = version.why.to_string();
        for (is, what) in
            [(version.shrunk, "shrunk"), (version.pinned, "pinned"), (version.unstable, "changed while read")]
        {
            if is {
                why = format!("{why}, {what}");
            }
        }
        table.row([
            plain(&version.name.to_string()),
            plain(&version.sequence.to_string()),
            plain(&when.short(version.stored_at)),
            plain(&about_size(version.bytes)),
            plain(&why),
        ]);
    }
    if !versions.is_empty() {
        table.write(session.out())?;
    }
    let waiting = store.waiting().map_err(|error| failed(session, &error))?.len();
    let waiting = if waiting == 0 { String::new() } else { format!("; {waiting} small changes wait") };
    let line = format!("{} versions{waiting}", versions.len());
    writeln!(session.out(), "{}", paint.dim(line))?;
    Ok(Exit::Done)
}

/// A version for programs.
#[derive(Serialize)]
struct Line<'a> {
    path: String,
    run: u64,
    stored_at: String,
    bytes: u64,
    code: &'a str,
    hash: String,
    pinned: bool,
    shrunk: bool,
    unstable: bool,
}

impl<'a> Line<'a> {
    fn of(version: &'a Version) -> Self {
        Self {
            path: version.name.to_string(),
            run: version.sequence,
            stored_at: rfc3339(version.stored_at),
            bytes: version.bytes,
            code: &version.why,
            hash: version.hash.to_string(),
            pinned: version.pinned,
            shrunk: version.shrunk,
            unstable: version.unstable,
        }
    }
}

fn runs(session: &mut Session<'_, '_>, versions: &[Version]) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Run {
        run: u64,
        stored_at: String,
        versions: u64,
        bytes: u64,
    }
    let mut runs: BTreeMap<u64, (Timestamp, u64, u64)> = BTreeMap::new();
    for version in versions {
        let (_, count, bytes) = runs.entry(version.sequence).or_insert((version.stored_at, 0, 0));
        *count += 1;
        *bytes += version.bytes;
    }
    if session.json() {
        for (run, (at, versions, bytes)) in runs {
            session.object(&Run { run, stored_at: rfc3339(at), versions, bytes })?;
        }
        return Ok(Exit::Done);
    }
    let (paint, when) = (session.paint(), session.when());
    let mut table = Table::head(paint, &["RUN", "STORED", "VERSIONS", "SIZE"]);
    for (run, (at, versions, bytes)) in runs {
        table.row([
            plain(&run.to_string()),
            plain(&when.short(at)),
            plain(&versions.to_string()),
            plain(&about_size(bytes)),
        ]);
    }
    table.write(session.out())?;
    Ok(Exit::Done)
}

pub(super) fn diff(session: &mut Session<'_, '_>, asked: &Diff) -> Result<Exit, Stop> {
    let store = opened(session, &asked.dest)?;
    let name = name(&store, &asked.path)?;
    let versions = store.versions(&name).map_err(|error| failed(session, &error))?;
    if versions.is_empty() {
        let error = crate::act::backup::Error::NoSuchVersion { name, sequence: None };
        return Err(failed(session, &error).into());
    }
    match asked.to {
        Some(to) => {
            let before =
                versions.iter().rev().find(|version| version.sequence < to).map(|version| version.sequence);
            let from = Which::At(asked.from.or(before).unwrap_or(to));
            let diff = store.diff(&name, from, Which::At(to), HUNKS_MAX);
            let diff = diff.map_err(|error| failed(session, &error))?;
            let to = format!("run {}", diff.to.sequence);
            let places = diff.hunks.hunks.len() + diff.hunks.more;
            show(session, &name, diff.from.sequence, &to, &diff.text(HUNK_BYTES_MAX), places)
        }
        None => with_file(session, &store, &name, asked),
    }
}

/// A version against the file as it is now.
fn with_file(session: &mut Session<'_, '_>, store: &Store, name: &Name, asked: &Diff) -> Result<Exit, Stop> {
    let path = match &asked.file {
        Some(file) => file.clone(),
        None => {
            store.source().map_err(|error| failed(session, &error))?.unwrap_or_default().join(name.as_path())
        }
    };
    let new = read(&path).map_err(|why| {
        Failure::new(Exit::Failed, "io.failed", format!("{} cannot be compared: {why}", path.display()))
            .hint("--to RUN compares two versions, --file FILE another file")
    })?;
    let from = asked.from.map_or(Which::Latest, Which::At);
    let (version, old) = store.read(name, from).map_err(|error| failed(session, &error))?;
    let found = hunks(&old, &new, HUNKS_MAX);
    let text: String = found.hunks.iter().map(|hunk| hunk.text(&old, &new, HUNK_BYTES_MAX)).collect();
    let places = found.hunks.len() + found.more;
    show(session, name, version.sequence, &path.display().to_string(), &text, places)
}

fn read(path: &PathBuf) -> Result<Vec<u8>, String> {
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err(String::from("it is no file"));
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > FILE_MAX {
        return Err(format!("it has more than {}", about_size(FILE_MAX)));
    }
    Ok(content)
}

fn show(
    session: &mut Session<'_, '_>,
    name: &Name,
    from: u64,
    to: &str,
    text: &str,
    places: usize,
) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer<'a> {
        path: String,
        from: u64,
        to: &'a str,
        places: usize,
        diff: &'a str,
    }
    if session.json() {
        session.object(&Answer { path: name.to_string(), from, to, places, diff: text })?;
        return Ok(Exit::Done);
    }
    let paint = session.paint();
    if places == 0 {
        writeln!(session.out(), "{name}: run {from} and {} are the same", shown(to))?;
        return Ok(Exit::Done);
    }
    writeln!(session.out(), "{}", paint.bold(format!("--- {name} (run {from})")))?;
    writeln!(session.out(), "{}", paint.bold(format!("+++ {}", shown(to))))?;
    for line in text.lines() {
        let safe = shown(line);
        let painted = match line.as_bytes().first() {
            Some(b'-') => paint.bad(safe),
            Some(b'+') => paint.good(safe),
            Some(b'@') => paint.dim(safe),
            _ => safe.into_owned(),
        };
        writeln!(session.out(), "{painted}")?;
    }
    Ok(Exit::Done)
}

pub(super) fn prune(session: &mut Session<'_, '_>, asked: &Prune) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Gone {
        path: String,
        run: u64,
        action: &'static str,
    }
    #[derive(Serialize)]
    struct Answer {
        removed: usize,
        kept: u64,
        contents: u64,
        dry_run: bool,
    }
    let Prune { last, daily, weekly, monthly, trust_clock, dry_run, .. } = *asked;
    let retention = Retention { daily, weekly, monthly, trust_clock, ..Retention::last(last) };
    let store = opened(session, &asked.dest)?;
    let now = session.host.clock.now();
    let pruned = if dry_run { store.would_prune(&retention, now) } else { store.prune(&retention, now) };
    let (removed, kept, contents) = match pruned {
        Ok(Pruned::Done { removed, kept, contents }) => (removed, kept, contents),
        Ok(Pruned::Refused(why)) => {
            let message = format!("nothing was removed: {why}");
            let failure = Failure::new(Exit::Failed, why.code(), message);
            return Err(failure.hint("if the clock is right, say so with --trust-clock").into());
        }
        Err(PruneError::Retention(error)) => return Err(Failure::usage(error.to_string()).into()),
        Err(PruneError::Store(error)) => return Err(failed(session, &error).into()),
    };
    let action = if dry_run { "would_remove" } else { "removed" };
    if session.json() {
        for (name, run) in &removed {
            session.object(&Gone { path: name.to_string(), run: *run, action })?;
        }
        session.object(&Answer { removed: removed.len(), kept, contents, dry_run })?;
        return Ok(Exit::Done);
    }
    for (name, run) in &removed {
        writeln!(session.out(), "{name}  run {run}")?;
    }
    let words = if dry_run { "would be removed" } else { "removed" };
    writeln!(session.out(), "{} versions {words}, {kept} kept", removed.len())?;
    Ok(Exit::Done)
}
