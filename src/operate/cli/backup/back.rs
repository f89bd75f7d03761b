//! `backup verify` and `backup restore`: whether it can be had back, and having it back.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::act::backup::{Over, Restored, Store, Version, Which};
use crate::base::explain::Explain;
use crate::base::text::about_size;
use crate::operate::cli::backup::{Restore, Verify, among, failed, opened};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::{Table, plain};
use crate::operate::cli::session::{Session, quoted};

/// A finding, or what became of a file.
#[derive(Serialize)]
struct Found {
    path: String,
    run: Option<u64>,
    action: &'static str,
    code: &'static str,
    why: String,
}

pub(super) fn verify(session: &mut Session<'_, '_>, asked: &Verify) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        versions: u64,
        contents: u64,
        bytes: u64,
        damaged: usize,
        index_damaged: usize,
        unreferenced: u64,
        noted: bool,
        restored: Option<u64>,
    }
    let store = opened(session, &asked.dest)?;
    let now = session.host.clock.now();
    let result = store.verify(now).map_err(|error| failed(session, &error))?;
    let mut found: Vec<Found> = Vec::new();
    for one in &result.damaged {
        let (path, run) = (one.name.to_string(), Some(one.sequence));
        found.push(Found {
            path,
            run,
            action: "damaged",
            code: one.damage.code(),
            why: one.damage.to_string(),
        });
    }
    for one in &result.index {
        let (code, why) = (one.code(), one.to_string());
        found.push(Found { path: String::from("index"), run: None, action: "damaged", code, why });
    }
    let mut restored = None;
    if asked.restore {
        restored = Some(restore_all(session, &store, &mut found)?);
    }
    let sound = found.is_empty();
    table(session, &found)?;
    if session.json() {
        session.object(&Answer {
            versions: result.versions,
            contents: result.contents,
            bytes: result.bytes,
            damaged: result.damaged.len(),
            index_damaged: result.index.len(),
            unreferenced: result.unreferenced,
            noted: result.noted,
            restored,
        })?;
    } else {
        let all = match (sound, restored) {
            (true, None) => String::from("all sound"),
            (true, Some(files)) => format!("all sound, and {files} files were written back and read again"),
            (false, _) => format!("{} findings", found.len()),
        };
        let size = about_size(result.bytes);
        writeln!(session.out(), "{} versions in {size}: {all}", result.versions)?;
        if !sound {
            let hint = session
                .paint()
                .dim("keep a copy of DEST; the next `backup run` stores again what is damaged");
            writeln!(session.out(), "{hint}")?;
        }
    }
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

/// Writes everything back to a folder that goes away again; says how many files.
fn restore_all(session: &Session<'_, '_>, store: &Store, found: &mut Vec<Found>) -> Result<u64, Stop> {
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::new(Exit::Failed, "io.failed", format!("cannot make a temporary folder: {error}"))
            .hint("$TMPDIR says where")
    })?;
    let all = store
        .restore_tree(Which::Latest, folder.path(), Over::Older)
        .map_err(|error| failed(session, &error))?;
    let mut written = 0;
    for one in all {
        match one {
            Restored::Written(_) | Restored::Same(_) => written += 1,
            Restored::Refused { version, why } => {
                let known = |known: &Found| {
                    known.run == Some(version.sequence) && known.path == version.name.to_string()
                };
                if !found.iter().any(known) {
                    found.push(self::found(&version, "refused", &why));
                }
            }
        }
    }
    Ok(written)
}

/// What was found, in either form.
fn table(session: &mut Session<'_, '_>, found: &[Found]) -> Result<(), Stop> {
    if session.json() {
        return found.iter().try_for_each(|one| session.object(one));
    }
    if found.is_empty() {
        return Ok(());
    }
    let paint = session.paint();
    let mut table = Table::head(paint, &["ACTION", "PATH", "RUN", "WHY"]);
    for one in found {
        let painted = match one.action {
            "damaged" | "refused" => paint.bad(one.action),
            _ => paint.good(one.action),
        };
        let run = one.run.map_or_else(|| String::from("-"), |run| run.to_string());
        table.row([(one.action.to_owned(), painted), plain(&one.path), plain(&run), plain(&one.why)]);
    }
    table.write(session.out())?;
    writeln!(session.out())?;
    Ok(())
}

pub(super) fn restore(session: &mut Session<'_, '_>, asked: &Restore) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        written: usize,
        same: usize,
        refused: usize,
    }
    let store = opened(session, &asked.dest)?;
    let which = asked.at.map_or(Which::Latest, Which::At);
    let tree = store.tree(which).map_err(|error| failed(session, &error))?;
    let chosen: Vec<Version> =
        tree.into_iter().filter(|version| among(&version.name, &asked.paths)).collect();
    if chosen.is_empty() {
        let of = asked.paths.first().map(|path| format!(" of {}", path.display())).unwrap_or_default();
        let dest = quoted(&asked.dest);
        return Err(Failure::new(Exit::Failed, "backup.no_such_version", format!("there is no version{of}"))
            .hint(format!("`{} backup list {dest}` lists what there is", session.host.program))
            .into());
    }
    let over = if asked.force { Over::Everything } else { Over::Older };
    let mut found = Vec::new();
    let (mut written, mut same) = (0, 0);
    for version in &chosen {
        let one = write(session, &store, version, asked, over)?;
        written += usize::from(one.action == "written");
        same += usize::from(one.action == "same");
        found.push(one);
    }
    let refused = found.len() - written - same;
    if session.json() {
        table(session, &found)?;
        session.object(&Answer { written, same, refused })?;
    } else {
        found.retain(|one| one.action == "refused");
        table(session, &found)?;
        let to = plain(&asked.to.display().to_string()).0;
        let size = about_size(chosen.iter().map(|version| version.bytes).sum());
        let there = if same == 0 { String::new() } else { format!(", {same} were there already") };
        writeln!(session.out(), "{written} of {} files ({size}) written to {to}{there}", chosen.len())?;
        if refused > 0 && !asked.force {
            let hint =
                session.paint().dim(format!("{refused} were left as they are; --force writes over files"));
            writeln!(session.out(), "{hint}")?;
        }
    }
    Ok(if refused == 0 { Exit::Done } else { Exit::Failed })
}

/// Writes one version back. A file that is there and differs is only written over by force, however old it is.
fn write(
    session: &Session<'_, '_>,
    store: &Store,
    version: &Version,
    asked: &Restore,
    over: Over,
) -> Result<Found, Stop> {
    let to = asked.to.join(version.name.as_path());
    let differs = || to.symlink_metadata().is_ok_and(|found| found.is_file()) && !is_same(&to, version);
    if over == Over::Older && differs() {
        return Ok(found(version, "refused", &Fate::DiffersThere));
    }
    let one = store.restore_into(&version.name, Which::At(version.sequence), &asked.to, over);
    Ok(match one.map_err(|error| failed(session, &error))? {
        Restored::Written(version) => found(&version, "written", &Fate::Restored { bytes: version.bytes }),
        Restored::Same(version) => found(&version, "same", &Fate::SameThere),
        Restored::Refused { version, why } => found(&version, "refused", &why),
    })
}

fn found(version: &Version, action: &'static str, why: &impl Explain) -> Found {
    let (path, run) = (version.name.to_string(), Some(version.sequence));
    Found { path, run, action, code: why.code(), why: why.to_string() }
}

/// What became of a version that was to be written back.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Restored { bytes: u64 },
    SameThere,
    DiffersThere,
}

impl Explain for Fate {
    fn code(&self) -> &'static str {
        match self {
            Self::Restored { .. } => "backup.restored",
            Self::SameThere => "backup.same_there",
            Self::DiffersThere => "backup.differs_there",
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored { bytes } => write!(f, "it is written, with {bytes} bytes"),
            Self::SameThere => f.write_str("the file that is there has this content already"),
            Self::DiffersThere => f.write_str("the file that is there differs from the version"),
        }
    }
}

fn is_same(to: &Path, version: &Version) -> bool {
    use crate::base::canonical::Hasher;
    let Ok(mut file) = std::fs::File::open(to) else { return false };
    let (mut hasher, mut piece) = (Hasher::new(), vec![0; 64 * 1024]);
    loop {
        match std::io::Read::read(&mut file, &mut piece) {
            Ok(0) => return hasher.finish() == version.hash,
            Ok(read) => hasher.update(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}
