//! Files that are dropped: which may be taken, which were left by a process that died.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::act::layout::error::Error;
use crate::act::layout::names::{Id, STAGING, Staged, Working, is_unfinished, kept};
use crate::act::layout::place::{Held, Moved, claim, copy, release, remove, reserved, settle, shift, staged};
use crate::act::layout::taken::Taken;
use crate::base::rng::entropy;
use crate::base::time::{Timestamp, between, later};

/// How many entries of a folder one look goes through; what is beyond is found once those before it are gone.
pub const LOOK_MAX: usize = 10_000;
/// How far ahead of the clock a file's time may be and still be that of one that is being written: clocks of file servers.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// How old what was begun and never ended is at least.
const LEFT_AFTER: Duration = Duration::from_secs(3600);

/// The life of files that are dropped into a folder. Clones share what was taken. Any number of processes may take from the
/// same folders; each file is had by one at a time, held by a kernel lock on itself.
///
/// A file is taken once nobody has written to it for [`settle`](Self::settle). Whoever drops files should write them under
/// another name and rename them: names that begin with a dot or end in `.tmp`, `.part`, `.partial`, `.filepart`, `.crdownload` or
/// `~` are left alone, and so is everything that is no plain file.
///
/// What a process had taken when it died is handed out again, with its [`turn`](Taken::turn) counted up. What was on its way
/// between two file systems is found by its staging folder, `.unattended` in each of the others, and ended.
#[derive(Clone)]
pub struct Drops {
    pub(super) shared: Arc<Folders>,
    settle: Duration,
}

pub(super) struct Folders {
    pub(super) incoming: PathBuf,
    pub(super) working: PathBuf,
    pub(super) archive: PathBuf,
    pub(super) failed: PathBuf,
    pub(super) edges: Option<Box<Edges>>,
    /// What was taken here and put down again without an end: not handed out a second time.
    pub(super) seen: Mutex<HashSet<u64>>,
}

type Edges = dyn Fn(&str) + Send + Sync;

/// What waits in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// What may be taken now, the oldest first.
    pub ready: Vec<OsString>,
    /// What was written to a moment ago, or has the name of what is still being written.
    pub unfinished: Vec<OsString>,
    /// What is no plain file, and is left alone: folders, links, devices.
    pub others: Vec<OsString>,
    /// Whether there is more than [`LOOK_MAX`] entries.
    pub more: bool,
}

impl Drops {
    /// The life of files between these folders, which must exist. They may be on different file systems.
    #[must_use]
    pub fn between(
        incoming: impl Into<PathBuf>,
        working: impl Into<PathBuf>,
        archive: impl Into<PathBuf>,
        failed: impl Into<PathBuf>,
    ) -> Self {
        let shared = Folders {
            incoming: incoming.into(),
            working: working.into(),
            archive: archive.into(),
            failed: failed.into(),
            edges: None,
            seen: Mutex::default(),
        };
        Self { shared: Arc::new(shared), settle: Duration::from_secs(2) }
    }

    /// How long nobody must have written to a file before it is taken. Default: 2 s.
    #[must_use]
    pub const fn settle(mut self, quiet: Duration) -> Self {
        self.settle = quiet;
        self
    }

    /// Is told the name of every point between two changes as it is reached. For tests that kill the process there.
    #[must_use]
    pub fn edges(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let Folders { incoming, working, archive, failed, .. } = &*self.shared;
        let [incoming, working, archive, failed] = [incoming, working, archive, failed].map(PathBuf::clone);
        let edges: Option<Box<Edges>> = Some(Box::new(hook));
        self.shared = Arc::new(Folders { incoming, working, archive, failed, edges, seen: Mutex::default() });
        self
    }

    /// What waits in the folder at `now`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn look(&self, now: Timestamp) -> Result<Waiting, Error> {
        let incoming = &self.shared.incoming;
        let unread = |source| Error::reading("cannot read the folder", incoming, source);
        let mut waiting = Waiting::default();
        let mut ready = Vec::new();
        for (looked, entry) in fs::read_dir(incoming).map_err(unread)?.enumerate() {
            if looked == LOOK_MAX {
                waiting.more = true;
                break;
            }
            let entry = entry.map_err(unread)?;
            let name = entry.file_name();
            if name == STAGING {
                continue;
            }
            // It may be gone by now.
            let Ok(found) = entry.metadata() else { continue };
            if !found.is_file() {
                waiting.others.push(name);
            } else if is_unfinished(&name) || !self.is_quiet(&found, now) {
                waiting.unfinished.push(name);
            } else {
                ready.push(((found.mtime(), found.mtime_nsec()), name));
            }
        }
        ready.sort_unstable();
        waiting.ready = ready.into_iter().map(|(_, name)| name).collect();
        Ok(waiting)
    }

    /// Takes a file to `working`: one that a process which has died had taken, else the oldest that is dropped. `None` if
    /// there is none. What was taken by this handle or a clone of it, and dropped without an end, is left to the next one.
    ///
    /// # Errors
    /// When a folder cannot be read or a file cannot be moved. A file that cannot be opened is an error only when
    /// there is no other to take.
    pub fn take(&self, now: Timestamp) -> Result<Option<Taken>, Error> {
        self.mend(now)?;
        if let Some(left) = self.take_left()? {
            return Ok(Some(left));
        }
        let mut trouble = None;
        for name in self.look(now)?.ready {
            match self.take_named(&name) {
                Ok(Some(taken)) => return Ok(Some(taken)),
                Ok(None) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(None), Err)
    }

    /// Takes the file `name`, whether or not it is quiet. `None` if it is gone, held by another process, or no plain file.
    ///
    /// # Errors
    /// When the file cannot be opened or moved.
    pub fn take_named(&self, name: &OsStr) -> Result<Option<Taken>, Error> {
        let folders = &self.shared;
        let from = folders.incoming.join(name);
        let Some(mut held) = claim(&from)? else { return Ok(None) };
        let mut working = Working { id: Id::new(entropy()), turn: 1, name: kept(name) };
        let to = folders.working.join(working.written());
        folders.edge("take:before");
        match shift(&from, &to)? {
            // Whoever drops files has put another in its place meanwhile: that one is had only once it is held too.
            Moved::Done if !held.is_at(&to) => match claim(&to)? {
                Some(other) => held = other,
                None => return Ok(None),
            },
            Moved::Done => {}
            Moved::Gone | Moved::Namesake => return Ok(None),
            Moved::Across => {
                let found = held.metadata();
                let found = found.map_err(|source| Error::reading("cannot look at it", &from, source))?;
                working.id = source_id(&found);
                let edge = |point: &str| folders.edge(&format!("take:{point}"));
                let (whole, copied) =
                    copy(&mut held, &from, &folders.working, working.id, &working.name, &edge)?;
                if held.is_at(&from) {
                    remove(&from)?;
                }
                folders.edge("take:removed");
                let to = folders.working.join(working.written());
                if shift(&whole, &to)? != Moved::Done {
                    return Err(Error::Gone { path: whole });
                }
                held = copied;
            }
        }
        folders.edge("take:taken");
        Ok(Some(self.taken(working, held)))
    }

    fn taken(&self, working: Working, held: Held) -> Taken {
        self.shared.seen().insert(working.id.number());
        let path = self.shared.working.join(working.written());
        Taken::new(Arc::clone(&self.shared), working, path, held)
    }

    /// A file that a process had taken, and is held by nobody now.
    fn take_left(&self) -> Result<Option<Taken>, Error> {
        let folders = &self.shared;
        for left in entries(&folders.working)? {
            let Some(mut working) = Working::read(&left) else { continue };
            if folders.seen().contains(&working.id.number()) {
                continue;
            }
            let from = folders.working.join(&left);
            let Some(held) = claim(&from)? else { continue };
            // Where a rename was made of two names its process died between them.
            let dropped = folders.incoming.join(&working.name);
            if held.is_at(&dropped) {
                remove(&dropped)?;
            }
            // It was about to fail when its process died; now that is to be decided anew.
            release(&folders.failed, &working.name, working.id)?;
            working.turn = working.turn.saturating_add(1);
            if shift(&from, &folders.working.join(working.written()))? == Moved::Done {
                return Ok(Some(self.taken(working, held)));
            }
        }
        Ok(None)
    }

    /// Ends what was on its way between two file systems when its process died.
    fn mend(&self, now: Timestamp) -> Result<(), Error> {
        let folders = &self.shared;
        for folder in [&folders.working, &folders.archive, &folders.failed, &folders.incoming] {
            let staging = folder.join(STAGING);
            // Whoever drops files may put a link there; it is not followed.
            if !fs::symlink_metadata(&staging).is_ok_and(|found| found.is_dir()) {
                continue;
            }
            for name in entries(&staging)? {
                let Some(found) = Staged::read(&name) else { continue };
                let path = staged(folder, &found);
                // Held: its process lives.
                let Some(_held) = claim(&path)? else { continue };
                self.mend_one(folder, found, &path, now)?;
            }
        }
        Ok(())
    }

    fn mend_one(&self, folder: &Path, found: Staged, path: &Path, now: Timestamp) -> Result<(), Error> {
        let folders = &self.shared;
        let (id, name) = match found {
            // Whoever takes the same file up again makes it anew; a young one may be that of a process that lives.
            Staged::Part(_) | Staged::Reason(_) if is_left(path, now) => return remove(path),
            Staged::Part(_) | Staged::Reason(_) => return Ok(()),
            Staged::Whole(id, name) => (id, name),
        };
        if *folder == folders.working {
            // The original is still where it was dropped: then that is the file, and this a copy.
            if self.is_dropped(&name, id)? {
                return remove(path);
            }
            let working = Working { id, turn: 1, name: kept(&name) };
            return shift(path, &folder.join(working.written())).map(drop);
        }
        if self.is_in_working(id)? {
            return remove(path);
        }
        match reserved(folder, &name, id).filter(|_| *folder == folders.failed) {
            Some(to) => shift(path, &to).map(drop),
            None => settle(path, folder, &name, id).map(drop),
        }
    }

    /// Whether the file whose copy was to be called `name` is still where it was dropped.
    fn is_dropped(&self, name: &OsStr, id: Id) -> Result<bool, Error> {
        let incoming = &self.shared.incoming;
        let is_it = |name: &OsStr| {
            let found = fs::symlink_metadata(incoming.join(name));
            found.is_ok_and(|found| source_id(&found) == id)
        };
        // A long name was cut for its copy.
        let cut =
            || Ok::<_, Error>(entries(incoming)?.iter().any(|other| kept(other) == name && is_it(other)));
        Ok(is_it(name) || cut()?)
    }

    /// Whether the original of a copy is still in `working`: asked once the copy is held, as until then its process may
    /// live, and go on.
    fn is_in_working(&self, id: Id) -> Result<bool, Error> {
        let working = &self.shared.working;
        let unread = |source| Error::reading("cannot read the folder", working, source);
        for entry in fs::read_dir(working).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name();
            if Working::read(&name).is_some_and(|found| found.id == id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether nobody has written to it for long enough. A time that is far ahead says nothing, and is taken as old.
    fn is_quiet(&self, found: &fs::Metadata, now: Timestamp) -> bool {
        let nanos = u32::try_from(found.mtime_nsec()).unwrap_or(0);
        let Some(written) = Timestamp::from_timestamp(found.mtime(), nanos) else { return true };
        let quiet = written <= now && between(written, now) >= self.settle;
        self.settle.is_zero() || quiet || written > later(now, AHEAD_MAX)
    }
}

impl Folders {
    pub(super) fn edge(&self, point: &str) {
        if let Some(hook) = &self.edges {
            hook(point);
        }
    }

    pub(super) fn seen(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Drops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Folders { incoming, working, archive, failed, .. } = &*self.shared;
        f.debug_struct("Drops")
            .field("incoming", incoming)
            .field("working", working)
            .field("archive", archive)
            .field("failed", failed)
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

fn is_left(path: &Path, now: Timestamp) -> bool {
    let written = fs::symlink_metadata(path).and_then(|found| found.modified());
    written.is_ok_and(|written| between(written.into(), now) >= LEFT_AFTER)
}

fn source_id(found: &fs::Metadata) -> Id {
    Id::of_source(found.dev(), found.ino(), (found.mtime(), found.mtime_nsec()))
}

/// The names in a folder, at most [`LOOK_MAX`], in order.
fn entries(folder: &Path) -> Result<Vec<OsString>, Error> {
    let unread = |source| Error::reading("cannot read the folder", folder, source);
    let names = fs::read_dir(folder).map_err(unread)?.take(LOOK_MAX);
    let mut names =
        names.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().map_err(unread)?;
    names.sort_unstable();
    Ok(names)
}
