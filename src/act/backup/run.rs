//! One run: list, read, decide, store, commit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::{Mode, OFlags};

use crate::act::backup::decision::{Decision, Going, Kind, Passing};
use crate::act::backup::error::Error;
use crate::act::backup::index::{Index, RUNS_MAX, Record};
use crate::act::backup::name::{Name, escaped};
use crate::act::backup::pending::{Verified, Waits};
use crate::act::backup::policy::Policy;
use crate::act::backup::report::{Entry, Progress, Report, Step};
use crate::act::backup::store::{Store, Writing};
use crate::act::backup::walk::{Files, Listed, Walk};
use crate::act::backup::work::{Done, Shared, Worker};
use crate::base::time::{Now, Timestamp};

/// How many groups of files are listed ahead of the readers.
const AHEAD: usize = 64;
/// The most threads, unless the policy says otherwise.
const THREADS_MAX: usize = 4;

impl Store {
    /// Backs a tree up: stores what has changed meaningfully since it was last stored, and says of each file why or why not.
    ///
    /// `now` is the time of the run: what waits is judged by its wall clock. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Source`], [`Error::InTheStore`], [`Error::OtherSource`], [`Error::TooManyFiles`], and what the
    /// file system says of the store: then nothing of this run is kept, and all older versions stand. What goes wrong with a
    /// file of the tree is in the report.
    pub fn backup(&self, tree: impl AsRef<Path>, policy: &Policy, now: Now) -> Result<Report, Error> {
        self.backup_with(tree, policy, now, |_| {})
    }

    /// The same, and tells how far it is. It is told from the threads that work, one at a time, so it should be quick.
    ///
    /// # Errors
    /// As [`backup`](Self::backup).
    pub fn backup_with(
        &self,
        tree: impl AsRef<Path>,
        policy: &Policy,
        now: Now,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Report, Error> {
        self.backup_between(tree.as_ref(), policy, now, progress, &|_| {})
    }

    /// The same; `between` is called with each path after the file is looked at and before it is read.
    pub(super) fn backup_between(
        &self,
        tree: &Path,
        policy: &Policy,
        now: Now,
        progress: impl FnMut(Progress) + Send,
        between: &(dyn Fn(&[u8]) + Sync),
    ) -> Result<Report, Error> {
        let (tree, root) = self.open_tree(tree)?;
        let writing = self.write()?;
        let index = writing.index()?;
        check_source(&index, &tree, policy)?;
        let counters = Counters::default();
        let progress = Mutex::new(progress);
        let step = |step| {
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            (*progress)(counters.progress(step));
        };
        step(Step::Begun);
        // Kept to the millisecond in the index.
        let at = Timestamp::from_timestamp_millis(now.wall.timestamp_millis()).unwrap_or(now.wall);
        let run = Run { writing: &writing, tree, policy, at, counters: &counters, step: &step, between };
        run.through(index, root)
    }

    /// Opens the tree.
    fn open_tree(&self, tree: &Path) -> Result<(PathBuf, OwnedFd), Error> {
        let failed = |source: io::Error| Error::Source { tree: tree.to_owned(), source };
        let path = fs::canonicalize(tree).map_err(failed)?;
        if path.starts_with(&self.folder) {
            return Err(Error::InTheStore { tree: path, store: self.folder.clone() });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok((path, root))
    }
}

fn check_source(index: &Index, tree: &Path, policy: &Policy) -> Result<(), Error> {
    match &index.source {
        Some(stored) if stored != tree && !policy.source_moved => {
            Err(Error::OtherSource { given: tree.to_owned(), stored: stored.clone() })
        }
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Counters {
    files: AtomicU64,
    bytes: AtomicU64,
    found: AtomicU64,
    listed: AtomicBool,
    stop: AtomicBool,
}

impl Counters {
    fn progress(&self, step: Step) -> Progress {
        Progress {
            step,
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            found: self.found.load(Ordering::Relaxed),
            listed: self.listed.load(Ordering::Relaxed),
        }
    }
}

struct Run<'a> {
    writing: &'a Writing<'a>,
    tree: PathBuf,
    policy: &'a Policy,
    at: Timestamp,
    counters: &'a Counters,
    step: &'a (dyn Fn(Step) + Sync),
    between: &'a (dyn Fn(&[u8]) + Sync),
}

impl Run<'_> {
    fn through(&self, mut index: Index, root: OwnedFd) -> Result<Report, Error> {
        let waits = Waits::load(&self.writing.store.folder, index.sequence > 0);
        let met: Vec<_> = index.files.values().map(|_| AtomicBool::new(false)).collect();
        let stored = self.read(&index, &waits, &met, root).and_then(|(listed, done)| {
            let outcome = self.outcome(&index, &met, &listed, done);
            self.commit(&mut index, waits, outcome)
        });
        if stored.is_err() {
            // What this run had stored takes room, and no version refers to it.
            self.writing.sweep(&index);
        }
        stored
    }

    /// Lists and reads the tree; gives what was found of it, and what each worker did.
    fn read(
        &self,
        index: &Index,
        waits: &Waits,
        met: &[AtomicBool],
        root: OwnedFd,
    ) -> Result<(Listed, Vec<Done>), Error> {
        let store = self.writing.store;
        let verified = Verified::load(&store.folder);
        let counters = self.counters;
        let shared = Shared {
            objects: &store.objects,
            index,
            waits,
            verified: &verified,
            policy: self.policy,
            now: self.at,
            sequence: index.sequence.saturating_add(1),
            met,
            place: self.writing.place(self.step),
            files: &counters.files,
            bytes: &counters.bytes,
            between: self.between,
        };
        let (to, from) = sync_channel(AHEAD);
        let from = Arc::new(Mutex::new(from));
        let is_stored = |path: &[u8]| index.files.contains_key(path);
        let walk = Walk {
            policy: self.policy,
            store: store.identity()?,
            stop: &counters.stop,
            found: &counters.found,
            is_stored: &is_stored,
            to,
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads())
                .map(|_| {
                    let (shared, from) = (&shared, Arc::clone(&from));
                    scope.spawn(move || self.work(shared, &from))
                })
                .collect();
            // Only the workers hold it now: if all of them are gone, the walk is told.
            drop(from);
            let listed = walk.run(root);
            if listed.is_err() {
                counters.stop.store(true, Ordering::Relaxed);
            }
            counters.listed.store(true, Ordering::Relaxed);
            drop(walk);
            let mut done = Vec::new();
            let mut failed = None;
            for worker in workers {
                match worker.join() {
                    Ok(Ok(part)) => done.push(part),
                    Ok(Err(error)) => failed = failed.or(Some(error)),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            match failed {
                Some(error) => Err(error),
                None => listed.map(|listed| (listed, done)),
            }
        })
    }

    fn threads(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        self.policy.threads.unwrap_or_else(cores)
    }

    fn work(&self, shared: &Shared<'_>, from: &Mutex<Receiver<Files>>) -> Result<Done, Error> {
        let mut worker = Worker::new(shared);
        let mut failed = None;
        loop {
            let next = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(files) = next else { break };
            // Taken all the same, so that the walk does not wait.
            if self.counters.stop.load(Ordering::Relaxed) {
                continue;
            }
            match worker.files(&files) {
                Ok(()) => (self.step)(Step::Decided),
                Err(error) => {
                    self.counters.stop.store(true, Ordering::Relaxed);
                    failed = failed.or(Some(error));
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None if self.counters.stop.load(Ordering::Relaxed) => Ok(worker.done),
            None => worker.finish(),
        }
    }

    /// Puts together what became of all files, also of those that nobody met.
    fn outcome(&self, index: &Index, met: &[AtomicBool], listed: &Listed, parts: Vec<Done>) -> Outcome {
        let mut outcome = Outcome::default();
        for mut part in parts {
            outcome.entries.append(&mut part.entries);
            outcome.done.versions.append(&mut part.versions);
            outcome.done.drifts.append(&mut part.drifts);
            outcome.done.settled.append(&mut part.settled);
            outcome.done.unchanged += part.unchanged;
            outcome.done.bytes_stored += part.bytes_stored;
        }
        let noted: BTreeMap<&[u8], &Decision> =
            listed.noted.iter().map(|(path, decision)| (path.as_slice(), decision)).collect();
        let mut became = Vec::new();
        for (name, history) in &index.files {
            let is_met = met.get(history.slot).is_none_or(|met| met.load(Ordering::Relaxed));
            if is_met || history.gone().is_some() || !self.would_be_read(name, listed) {
                continue;
            }
            let going = match noted.get(name.as_bytes()) {
                Some(Decision::Passed(Passing::NotAFile(kind))) => Going::Became(*kind),
                _ if listed.folders.iter().any(|folder| folder == name.as_bytes()) => {
                    Going::Became(Kind::Folder)
                }
                _ => Going::Vanished,
            };
            became.extend((going != Going::Vanished).then(|| name.as_bytes().to_vec()));
            outcome.entries.push((name.as_bytes().to_vec(), Decision::Gone(going), false));
            outcome.gone.push(name.clone());
        }
        // A file that turned into something else while it was read, or before it was opened.
        for (path, decision, _) in &outcome.entries {
            if matches!(decision, Decision::Gone(Going::Became(_)))
                && !became.contains(path)
                && let Some((name, _)) = index.files.get_key_value(path.as_slice())
            {
                outcome.gone.push(name.clone());
            }
        }
        let rest = listed.noted.iter().filter(|(path, _)| !became.contains(path));
        outcome.entries.extend(rest.map(|(path, decision)| (path.clone(), decision.clone(), false)));
        outcome.entries.sort_by(|one, other| one.0.cmp(&other.0));
        outcome.done.versions.sort_by(|one, other| one.name.cmp(&other.name));
        outcome
    }

    /// Whether a file that nobody met would have been read if it were there.
    fn would_be_read(&self, name: &Name, listed: &Listed) -> bool {
        let known =
            !listed.unknown.iter().any(|folder| name.is_in(folder) || name.as_bytes() == folder.as_slice());
        let path = name.as_path();
        let above = || path.ancestors().skip(1).take_while(|above| *above != OsStr::from_bytes(b""));
        known
            && (self.policy.takes_all()
                || self.policy.takes(path) && !above().any(|above| self.policy.leaves_out(above)))
    }

    /// Saves what waits, then the index; from then on the new versions are.
    fn commit(&self, index: &mut Index, mut waits: Waits, outcome: Outcome) -> Result<Report, Error> {
        let place = self.writing.place(self.step);
        let Outcome { entries, done, gone } = outcome;
        let stores = !done.versions.is_empty() || !gone.is_empty();
        waits.ran(self.at);
        waits.drifts.extend(done.drifts);
        for name in &done.settled {
            waits.drifts.remove(name);
        }
        if stores {
            // First with the waits of what is stored: should the index not follow, they count. What is lost stays lost
            // until then.
            if !waits.lost {
                waits.save(place)?;
            }
            for name in done.versions.iter().map(|version| &version.name).chain(&gone) {
                waits.drifts.remove(name);
            }
            let sequence = index.sequence.saturating_add(1);
            let lost = gone.into_iter().map(|name| Record::Gone { name, sequence });
            let records = done.versions.into_iter().map(Record::Version).chain(lost).collect();
            index.append(place, (self.at, &self.tree), records)?;
            (self.step)(Step::Committed);
        }
        waits.seen.sequence = index.sequence;
        let saved = waits.save(place);
        let swept = if self.writing.marker.is_set() { self.writing.sweep(index) } else { 0 };
        (self.step)(Step::Swept);
        if stores {
            // The versions are there. What could not be tidied up is tidied up the next time.
            if index.runs > RUNS_MAX && index.damage.is_empty() {
                drop(index.compact(place));
                (self.step)(Step::Compacted);
            }
        } else {
            saved?;
        }
        let entries = entries.into_iter().map(|(path, decision, unstable)| {
            let path = escaped(&path);
            Entry { path, decision, unstable }
        });
        Ok(Report {
            sequence: stores.then_some(index.sequence),
            at: self.at,
            entries: entries.collect(),
            unchanged: done.unchanged,
            bytes_read: self.counters.bytes.load(Ordering::Relaxed),
            bytes_stored: done.bytes_stored,
            damage: index.damage.clone(),
            swept,
        })
    }
}

/// What became of all files.
#[derive(Default)]
struct Outcome {
    entries: Vec<(Vec<u8>, Decision, bool)>,
    done: Done,
    gone: Vec<Name>,
}
