//! One pass over the inbox: each file is decided on, and each decision says why.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use unattended::blocking::block_on;
use unattended::explain::Explain;
use unattended::job::{self, Job, Verdict};
use unattended::run::State;
use unattended::runs::{self, Filter, Run, Runs};
use unattended::store::Store;
use unattended::time::{Clock, System};

use crate::crash::CrashAt;
use crate::job::{App, Input, Transformed, VANISHED, lines_of, place_failed};
use crate::places::{Stamp, claim, hash, marked, naming, settle};

/// What is told about a file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) file: String,
    pub(crate) run_id: Option<String>,
    pub(crate) state: String,
    pub(crate) code: String,
    pub(crate) why: String,
    pub(crate) lines: Option<u64>,
    pub(crate) duplicate: bool,
}

/// Why a pass could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Job(#[from] job::Error),
    #[error(transparent)]
    Runs(#[from] runs::Error),
}

/// A pass over one inbox.
pub(crate) struct Pass<'a> {
    pub(crate) app: &'a App,
    pub(crate) job: &'a Job,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) crash: CrashAt,
}

/// How many runs a look at what is in work takes in.
const IN_WORK_MAX: u32 = 1000;

impl Pass<'_> {
    /// Finishes what earlier lives of this program have left: runs that are due or whose worker is gone, and files of
    /// runs that failed and were not moved yet.
    pub(crate) fn recover(&self) -> Result<Vec<Told>, Error> {
        let mut told = Vec::new();
        loop {
            let worked = self.job.work_off_blocking(&self.store)?;
            if worked.is_empty() {
                break;
            }
            for run in worked {
                told.push(self.after(&run)?);
            }
        }
        self.sweep()?;
        Ok(told)
    }

    /// The files of the inbox, by name.
    pub(crate) fn files(inbox: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for entry in fs::read_dir(inbox).map_err(|error| naming(inbox, &error))? {
            let entry = entry?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // What is not a plain file (a folder, a link, a pipe) is none of ours.
            if !hidden && entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }

    /// Decides on one file; `None` if it is gone by now.
    pub(crate) fn file(&self, path: &Path) -> Result<Option<Told>, Error> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            let name = path.to_string_lossy().into_owned();
            let why = "its name is not UTF-8; rename it".to_owned();
            return Ok(Some(left(name, "ingest.name", why)));
        };
        let claimed = match claim(path) {
            Ok(Some(claimed)) => claimed,
            Ok(None) if !path.exists() => return Ok(None),
            Ok(None) => {
                let why = "another copy of this program is at it".to_owned();
                return Ok(Some(left(name, "ingest.busy", why)));
            }
            Err(error) => return Ok(Some(left(name, "ingest.unreadable", naming(path, &error).to_string()))),
        };
        self.crash.reached("inbox:locked");
        let read = || -> io::Result<_> {
            let before = Stamp::of(&claimed.file)?;
            let (sha256, bytes) = hash(&claimed.file)?;
            Ok((before == Stamp::of(&claimed.file)? && bytes == before.bytes, sha256, bytes))
        };
        let (steady, sha256, bytes) = match read() {
            Ok(read) => read,
            Err(error) => return Ok(Some(left(name, "ingest.unreadable", naming(path, &error).to_string()))),
        };
        if !steady {
            let why = "it changed while it was read; its writer is not done with it".to_owned();
            return Ok(Some(left(name, "ingest.growing", why)));
        }
        self.crash.reached("inbox:hashed");
        let input = Input { name: self.free_name(&name, &sha256)?, source: source(path)?, sha256, bytes };
        let report = self.job.run_once_blocking(&self.store, &input)?;
        for run in &report.worked_off {
            self.after(run)?;
        }
        let Some(run) = report.run else {
            return Ok(Some(left(name, report.verdict.code(), report.verdict.to_string())));
        };
        Ok(Some(match report.verdict {
            Verdict::Ran => self.after(&run)?,
            Verdict::Duplicate(_) => self.duplicate(path, &name, &input, &run)?,
            Verdict::Busy { .. }
            | Verdict::Deferred { .. }
            | Verdict::WithAPerson
            | Verdict::Conflict { .. } => Told {
                duplicate: true,
                code: report.verdict.code().to_owned(),
                why: report.verdict.to_string(),
                ..told(&run, name)
            },
        }))
    }

    /// What is told of a run that was worked on; its file is moved if it failed.
    fn after(&self, run: &Run) -> Result<Told, Error> {
        if run.state() == State::FailedPermanent {
            place_failed(self.app, run, &self.crash)?;
        }
        let input: Input = serde_json::from_str(run.body.input.get()).map_err(io::Error::other)?;
        Ok(told(run, input.name))
    }

    /// The same content was delivered before: its status is known, and the file joins the one before it.
    fn duplicate(&self, path: &Path, name: &str, input: &Input, run: &Run) -> Result<Told, Error> {
        let vanished = run.body.faults.last().is_some_and(|fault| fault.code == VANISHED);
        if run.state() == State::FailedPermanent && vanished {
            return self.revive(path, run);
        }
        let folder = match run.state() {
            State::Succeeded => &self.app.places.archive,
            _ => &self.app.places.failed,
        };
        self.crash.reached("duplicate:before-move");
        let Some(moved) = settle(path, folder, name, &input.sha256)? else {
            // It was this run's own file, and another copy has put it away.
            return Ok(told(run, name.to_owned()));
        };
        self.crash.reached("duplicate:moved");
        let first: Input = serde_json::from_str(run.body.input.get()).map_err(io::Error::other)?;
        let why = format!("the same content came as {} before: that run is {}", first.name, run.state());
        if run.state() != State::Succeeded {
            let beside = format!("{}.reason.json", moved.file_name().unwrap_or_default().to_string_lossy());
            let text = serde_json::json!({
                "file": name, "run_id": run.id(), "code": "ingest.duplicate", "why": why,
                "next": format!("ingest ops explain {}", run.id()),
            });
            fs::write(folder.join(beside), format!("{text:#}\n"))?;
        }
        block_on(self.runs().note(run.id(), "ingest", &format!("delivered again as {name}")))?;
        Ok(Told { duplicate: true, code: "ingest.duplicate".to_owned(), why, ..told(run, name.to_owned()) })
    }

    /// The file of a run that failed because it had gone away is back: the run goes on with it.
    fn revive(&self, path: &Path, run: &Run) -> Result<Told, Error> {
        let runs = self.runs();
        crate::places::shift(path, &self.app.places.working_file(run.id()))?;
        let run = block_on(runs.requeue(run.id(), "ingest", System.now().wall))?;
        let run = match self.job.resume_blocking(&self.store, &run)? {
            Some(run) => run,
            None => block_on(runs.must_get(run.id()))?,
        };
        self.after(&run)
    }

    /// Moves the files of failed runs that a process left behind when it died.
    fn sweep(&self) -> Result<(), Error> {
        let runs = self.runs();
        let folder = &self.app.places.working;
        for entry in fs::read_dir(folder).map_err(|error| naming(folder, &error))? {
            let name = entry?.file_name();
            let Some(run) = name.to_str().map(|id| block_on(runs.get(id))).transpose()?.flatten() else {
                continue;
            };
            if run.state() == State::FailedPermanent {
                place_failed(self.app, &run, &self.crash)?;
            }
        }
        Ok(())
    }

    /// The name itself, or a marked one where a namesake with other content stands or is in work.
    fn free_name(&self, name: &str, sha256: &str) -> Result<String, Error> {
        let live = [State::Queued, State::Processing, State::FailedTransient, State::NeedsReview];
        let filter =
            Filter { states: live.to_vec(), job: Some(self.job.name().to_owned()), ..Filter::default() };
        let (in_work, _) = block_on(self.runs().list(&filter, IN_WORK_MAX, None))?;
        let in_work =
            in_work.iter().filter_map(|run| serde_json::from_str::<Input>(run.body.input.get()).ok());
        let in_work: Vec<_> = in_work.map(|input| input.name).collect();
        Ok(match self.app.places.taken(name, &in_work) {
            true => marked(name, &sha256[..sha256.len().min(8)]),
            false => name.to_owned(),
        })
    }

    fn runs(&self) -> Runs {
        Runs::new(Arc::clone(&self.store))
    }
}

fn source(path: &Path) -> io::Result<String> {
    let path = path.canonicalize().map_err(|error| naming(path, &error))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| io::Error::other(format!("{}: the path is not UTF-8", path.to_string_lossy())))
}

/// A file that stays in the inbox.
fn left(file: String, code: &str, why: String) -> Told {
    let state = "inbox".to_owned();
    Told { file, run_id: None, state, code: code.to_owned(), why, lines: None, duplicate: false }
}

fn told(run: &Run, file: String) -> Told {
    let fault = run.body.faults.last().filter(|_| run.state() == State::FailedPermanent);
    let why = match (run.state(), fault) {
        (State::Succeeded, _) => story(run),
        (_, Some(fault)) => fault.chain.clone(),
        (_, None) => run.body.why.clone(),
    };
    Told {
        file,
        run_id: Some(run.id().to_owned()),
        state: run.state().to_string(),
        code: fault.map_or(&run.body.code, |fault| &fault.code).clone(),
        why,
        lines: lines_of(run),
        duplicate: false,
    }
}

/// What a run that succeeded did, in a sentence.
fn story(run: &Run) -> String {
    let transformed = run.body.steps.iter().find(|step| step.name == "transform");
    let transformed = transformed.and_then(|step| step.output.as_ref());
    let found = transformed.and_then(|output| serde_json::from_str::<Transformed>(output.get()).ok());
    let Some(Transformed { format, summary }) = found else { return run.body.why.clone() };
    let levels: Vec<_> =
        summary.levels.iter().map(|(level, count)| format!("{count} {}", level.as_str())).collect();
    let levels = if levels.is_empty() { String::new() } else { format!(" ({})", levels.join(", ")) };
    format!(
        "{} lines of format {}{levels} in {} kinds are loaded, notified and archived",
        summary.lines,
        format.as_str(),
        summary.kinds_total
    )
}
