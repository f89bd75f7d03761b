//! One pass over the inbox: each file is decided on, and each decision says why.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use unattended::blocking::block_on;
use unattended::explain::Explain;
use unattended::fault::{Classify, Fault};
use unattended::job::{self, Job, Verdict};
use unattended::run::State;
use unattended::runs::{self, Filter, Run, Runs};
use unattended::store::Store;
use unattended::time::{Clock, System};

use crate::crash::CrashAt;
use crate::failed;
use crate::job::{App, Input, Transformed, VANISHED, lines_of};
use crate::places::{NAMES_MAX, Places, Stamp, claim, hash, names, naming, settle, shift};

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

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Io(error) => error.fault(),
            Self::Job(error) => error.fault(),
            Self::Runs(error) => error.fault(),
        }
    }
}

/// What a look at a file found.
enum Seen {
    /// All of it; the lock is held for as long as the file lives.
    Whole(File, Input),
    Gone,
    NotNow {
        code: &'static str,
        why: &'static str,
    },
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
    pub(crate) fn recover(&self, told: &mut Vec<Told>) -> Result<(), Error> {
        loop {
            let worked = self.job.work_off_blocking(&self.store)?;
            if worked.is_empty() {
                break;
            }
            for run in worked {
                told.push(self.after(&run)?);
            }
        }
        self.sweep()
    }

    /// Recovers, then decides on every file of the inbox. What was told stands also when an error ends the pass.
    pub(crate) fn all(&self, inbox: &Path, told: &mut Vec<Told>) -> Result<(), Error> {
        self.recover(told)?;
        for path in Self::files(inbox)? {
            told.extend(self.file(&path)?);
        }
        // Their files have left the inbox, and nothing was said of them in this pass.
        for run in self.in_state(&[State::FailedTransient])? {
            if !told.iter().any(|one| one.run_id.as_deref() == Some(run.id())) {
                told.push(self.after(&run)?);
            }
        }
        Ok(())
    }

    /// The files of the inbox, by name.
    fn files(inbox: &Path) -> Result<Vec<PathBuf>, Error> {
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
    fn file(&self, path: &Path) -> Result<Option<Told>, Error> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            let name = path.to_string_lossy().into_owned();
            return Ok(Some(left(name, "ingest.name", "its name is not UTF-8; rename it".to_owned())));
        };
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound && !path.exists();
        match self.read(path, name) {
            Ok(Seen::Whole(_lock, input)) => match self.decide(path, name, &input) {
                Err(Error::Io(error)) if gone(&error) => Ok(None),
                // What the file system refuses for one file must not hold up the others.
                Err(Error::Io(error)) => Ok(Some(left(name.to_owned(), "ingest.io", error.to_string()))),
                decided => decided.map(Some),
            },
            Ok(Seen::Gone) => Ok(None),
            Ok(Seen::NotNow { code, why }) => Ok(Some(left(name.to_owned(), code, why.to_owned()))),
            Err(Error::Io(error)) if gone(&error) => Ok(None),
            Err(Error::Io(error)) => {
                Ok(Some(left(name.to_owned(), "ingest.unreadable", naming(path, &error).to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// Locks a file and reads it once.
    fn read(&self, path: &Path, name: &str) -> Result<Seen, Error> {
        let Some(claimed) = claim(path)? else {
            if !path.exists() {
                return Ok(Seen::Gone);
            }
            return Ok(Seen::NotNow { code: "ingest.busy", why: "another copy of this program is at it" });
        };
        self.crash.reached("inbox:locked");
        let before = Stamp::of(&claimed)?;
        let (sha256, bytes) = hash(&claimed)?;
        if Stamp::of(&claimed)? != before || bytes != before.bytes {
            let why = "it changed while it was read; its writer is not done with it";
            return Ok(Seen::NotNow { code: "ingest.growing", why });
        }
        self.crash.reached("inbox:hashed");
        let source = path.canonicalize()?.into_os_string().into_string();
        let Ok(source) = source else {
            return Ok(Seen::NotNow { code: "ingest.name", why: "its path is not UTF-8" });
        };
        let name = self.free_name(name, &sha256)?;
        Ok(Seen::Whole(claimed, Input { name, source, sha256, bytes }))
    }

    /// Works on a file that was read, or finds what became of its content before.
    fn decide(&self, path: &Path, name: &str, input: &Input) -> Result<Told, Error> {
        let report = self.job.run_once_blocking(&self.store, input)?;
        for run in &report.worked_off {
            self.after(run)?;
        }
        let (code, why) = (report.verdict.code(), report.verdict.to_string());
        let Some(run) = report.run else { return Ok(left(name.to_owned(), code, why)) };
        let waits =
            |why: String| Told { duplicate: true, code: code.to_owned(), why, ..told(&run, name.to_owned()) };
        match report.verdict {
            Verdict::Ran => self.after(&run),
            Verdict::Duplicate(_) => self.duplicate(path, name, input, &run),
            Verdict::Deferred { .. } => Ok(waits(format!("{why}; {}", run.body.why))),
            Verdict::Busy { .. }
            | Verdict::Waiting { .. }
            | Verdict::WithAPerson
            | Verdict::Conflict { .. } => Ok(waits(why)),
        }
    }

    /// What is told of a run that was worked on; its file is moved if it failed.
    fn after(&self, run: &Run) -> Result<Told, Error> {
        if run.state() == State::FailedPermanent {
            failed::place(self.app, run, &self.crash)?;
        }
        Ok(told(run, Input::of(run)?.name))
    }

    /// The same content was delivered before: its status is known, and the file joins the one before it.
    fn duplicate(&self, path: &Path, name: &str, input: &Input, run: &Run) -> Result<Told, Error> {
        let vanished = run.body.faults.last().is_some_and(|fault| fault.code == VANISHED);
        if run.state() == State::FailedPermanent && vanished {
            return self.revive(path, run);
        }
        let first = Input::of(run)?.name;
        let why = format!("the same content came as {first} before: that run is {}", run.state());
        self.crash.reached("duplicate:before-move");
        let moved = match run.state() {
            State::Succeeded => settle(path, &self.app.places.archive, &input.name, &input.sha256)?,
            _ => failed::place_again(self.app, path, &input.name, run, &why)?,
        };
        if !moved {
            // It was this run's own file, and another copy has put it away.
            return Ok(told(run, name.to_owned()));
        }
        self.crash.reached("duplicate:moved");
        block_on(self.runs().note(run.id(), "ingest", &format!("delivered again as {name}")))?;
        Ok(Told { duplicate: true, code: "ingest.duplicate".to_owned(), why, ..told(run, name.to_owned()) })
    }

    /// The file of a run that failed because it had gone away is back: the run goes on with it.
    fn revive(&self, path: &Path, run: &Run) -> Result<Told, Error> {
        let runs = self.runs();
        shift(path, &self.app.places.working_file(run.id()))?;
        let run = block_on(runs.requeue(run.id(), "ingest", System.now().wall))?;
        let run = match self.job.resume_blocking(&self.store, &run)? {
            Some(run) => run,
            None => block_on(runs.must_get(run.id()))?,
        };
        self.after(&run)
    }

    /// Moves the files of failed runs that a process left behind when it died.
    fn sweep(&self) -> Result<(), Error> {
        for run in self.on_their_way()? {
            failed::place(self.app, &run, &self.crash)?;
        }
        Ok(())
    }

    /// The runs that have failed for good and whose file is still in `working/`.
    fn on_their_way(&self) -> Result<Vec<Run>, Error> {
        let (runs, folder) = (self.runs(), &self.app.places.working);
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| naming(folder, &error))? {
            let name = entry?.file_name();
            let run = name.to_str().map(|id| block_on(runs.get(id))).transpose()?.flatten();
            found.extend(run.filter(|run| run.state() == State::FailedPermanent));
        }
        Ok(found)
    }

    /// The first name that no namesake with other content has, neither one that is put away nor one in work.
    fn free_name(&self, name: &str, sha256: &str) -> Result<String, Error> {
        let live = [State::Queued, State::Processing, State::FailedTransient, State::NeedsReview];
        // From where files come from to where they go, so that one on its way is seen in at least one place.
        let mut in_work = self.in_state(&live)?;
        in_work.extend(self.on_their_way()?);
        let in_work: Vec<_> = in_work.iter().filter_map(|run| Some(Input::of(run).ok()?.name)).collect();
        let Places { archive, failed, .. } = &self.app.places;
        let taken = |name: &String| {
            in_work.contains(name) || archive.join(name).exists() || failed.join(name).exists()
        };
        let found = names(name, sha256).find(|name| !taken(name));
        Ok(found.ok_or_else(|| io::Error::other(format!("{name} has {NAMES_MAX} namesakes")))?)
    }

    fn in_state(&self, states: &[State]) -> Result<Vec<Run>, Error> {
        let job = Some(self.job.name().to_owned());
        let filter = Filter { states: states.to_vec(), job, ..Filter::default() };
        Ok(block_on(self.runs().list(&filter, IN_WORK_MAX, None))?.0)
    }

    fn runs(&self) -> Runs {
        Runs::new(Arc::clone(&self.store))
    }
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
