//! What stands in `failed/`: files of runs that failed for good, each with its reason beside it. The reason is written
//! first, so a file never stands there without one.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use unattended::pipeline::{Cx, StepError};
use unattended::runs::Run;

use crate::crash::CrashAt;
use crate::job::{App, Input, Taken};
use crate::places::{Moved, NAMES_MAX, REASON, Stamp, names, shift};

/// Why a file stands in `failed/`.
#[derive(Debug, Serialize, Deserialize)]
struct Reason {
    file: String,
    run_id: String,
    step: Option<String>,
    code: String,
    why: String,
    next: String,
}

/// Moves the file of a run that has failed for good from `working/` to `failed/`. Whoever comes first does it; a file that
/// was moved half-way by a process that died is finished here.
pub(crate) fn place(app: &App, run: &Run, crash: &CrashAt) -> io::Result<()> {
    let input = Input::of(run)?;
    let fault = run.body.faults.last();
    let reason = Reason {
        file: input.name.clone(),
        run_id: run.id().to_owned(),
        step: fault.map(|fault| fault.step.clone()),
        code: fault.map_or(&run.body.code, |fault| &fault.code).clone(),
        why: fault.map_or(&run.body.why, |fault| &fault.chain).clone(),
        next: format!(
            "ingest ops explain {id}; a file that was mended goes into the inbox, as other content it is a run of its \
             own; where something else was mended: ingest ops replay {id}",
            id = run.id()
        ),
    };
    let working = app.places.working_file(run.id());
    let folder = &app.places.failed;
    if !working.exists() {
        // It was moved by an earlier life of this run, or there never was one: no reason without a file.
        let moved = folder.join(&input.name).exists() && belongs(folder, &input.name, run.id());
        return if moved { write(folder, &input.name, &reason) } else { Ok(()) };
    }
    for name in names(&input.name, &input.sha256) {
        if !reserve(folder, &name, &reason)? {
            continue;
        }
        crash.reached("failed:reason-written");
        let moved = shift(&working, &folder.join(&name))?;
        crash.reached("failed:moved");
        if moved != Moved::Namesake {
            return Ok(());
        }
    }
    Err(too_many(&input.name))
}

/// Moves a file with the content of a run that has failed from the inbox to `failed/`; `false` if it is gone.
pub(crate) fn place_again(app: &App, from: &Path, name: &str, run: &Run, why: &str) -> io::Result<bool> {
    let (input, folder) = (Input::of(run)?, &app.places.failed);
    let reason = Reason {
        file: name.to_owned(),
        run_id: run.id().to_owned(),
        step: None,
        code: "ingest.duplicate".to_owned(),
        why: why.to_owned(),
        next: format!("ingest ops explain {}", run.id()),
    };
    for name in names(name, &input.sha256) {
        if !reserve(folder, &name, &reason)? {
            continue;
        }
        match shift(from, &folder.join(&name))? {
            Moved::Done => return Ok(true),
            Moved::Namesake => {}
            Moved::Gone => {
                fs::remove_file(beside(folder, &name))?;
                return Ok(false);
            }
        }
    }
    Err(too_many(name))
}

/// The run's file in `working/`; a run that is sent round again after it had failed fetches it back from `failed/`.
pub(crate) fn present(app: &App, cx: &Cx) -> Result<PathBuf, StepError> {
    let working = app.places.working_file(cx.run_id());
    if working.exists() {
        return Ok(working);
    }
    let (input, Taken { stamp }): (Input, _) = (cx.input()?, cx.output("ingest")?);
    let folder = &app.places.failed;
    for name in names(&input.name, &input.sha256).take_while(|name| folder.join(name).exists()) {
        if !belongs(folder, &name, cx.run_id()) {
            continue;
        }
        let path = folder.join(&name);
        if Stamp::of(&fs::File::open(&path)?)? != stamp {
            let text = format!(
                "{} has other content than this run is about; move it into the inbox, where it is a run of its own",
                path.display()
            );
            return Err(StepError::permanent("ingest.changed", text));
        }
        shift(&path, &working)?;
        break;
    }
    Ok(working)
}

/// Takes away the reasons of a run that went well in the end.
pub(crate) fn forget(app: &App, run_id: &str, input: &Input) -> io::Result<()> {
    let folder = &app.places.failed;
    for name in names(&input.name, &input.sha256).take_while(|name| beside(folder, name).exists()) {
        if belongs(folder, &name, run_id) && !folder.join(&name).exists() {
            return fs::remove_file(beside(folder, &name));
        }
    }
    Ok(())
}

/// Writes the reason of a file that is about to be `name`; `false` if the name is another's.
fn reserve(folder: &Path, name: &str, reason: &Reason) -> io::Result<bool> {
    if folder.join(name).exists() || (beside(folder, name).exists() && !belongs(folder, name, &reason.run_id))
    {
        return Ok(false);
    }
    write(folder, name, reason)?;
    Ok(true)
}

/// Whether the reason beside `name` is one of this run.
fn belongs(folder: &Path, name: &str, run_id: &str) -> bool {
    let text = fs::read(beside(folder, name)).unwrap_or_default();
    serde_json::from_slice::<Reason>(&text).is_ok_and(|reason| reason.run_id == run_id)
}

/// Writes a reason whole or not at all.
fn write(folder: &Path, name: &str, reason: &Reason) -> io::Result<()> {
    let path = folder.with_file_name(".reason.draft");
    let mut draft = draft(&path)?;
    draft.set_len(0)?;
    serde_json::to_writer_pretty(&draft, reason)?;
    draft.write_all(b"\n")?;
    draft.sync_all()?;
    fs::rename(&path, beside(folder, name))?;
    fs::File::open(folder)?.sync_all()
}

/// The one draft of this root, locked against other copies. One place, so that what a kill leaves is written over and
/// never piles up.
fn draft(path: &Path) -> io::Result<fs::File> {
    const TRIES_MAX: u32 = 1000;
    for _ in 0..TRIES_MAX {
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        // Whoever had the lock before has made a reason of that file; then there is another draft by now.
        if fs::metadata(path).is_ok_and(|there| file.metadata().is_ok_and(|ours| ours.ino() == there.ino())) {
            return Ok(file);
        }
    }
    Err(io::Error::other(format!("{} was taken {TRIES_MAX} times in a row", path.display())))
}

fn beside(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{REASON}"))
}

fn too_many(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} has {NAMES_MAX} namesakes"))
}
