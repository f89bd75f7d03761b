//! What is done with each file: read, hashed, compared, decided, stored.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::act::backup::decision::{
    Compared, Decision, Drift, Facts, Failing, Going, Keeping, Passing, Pending, Stored, Storing, decide,
};
use crate::act::backup::error::Error;
use crate::act::backup::index::{History, Index};
use crate::act::backup::name::Name;
use crate::act::backup::objects::{Objects, Spool, Uncopied};
use crate::act::backup::pending::{Verified, Waits};
use crate::act::backup::place::{Batch, Place};
use crate::act::backup::policy::Policy;
use crate::act::backup::read::{self, TRIES, Unread};
use crate::act::backup::version::{Encoding, Stat, Version};
use crate::act::backup::walk::Files;
use crate::act::panics::caught;
use crate::base::canonical::Fingerprint;
use crate::base::explain::Explain;
use crate::base::time::Timestamp;
use crate::decide::similarity::{Profile, ProfileBuilder};

/// What all workers of a run share.
pub(super) struct Shared<'a> {
    pub(super) objects: &'a Objects,
    pub(super) index: &'a Index,
    pub(super) waits: &'a Waits,
    pub(super) verified: &'a Verified,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    /// The number that this run has, if it stores anything.
    pub(super) sequence: u64,
    /// Which histories were met.
    pub(super) met: &'a [AtomicBool],
    pub(super) place: Place<'a>,
    pub(super) files: &'a AtomicU64,
    pub(super) bytes: &'a AtomicU64,
    /// Told between looking at a file and reading it.
    pub(super) between: &'a (dyn Fn(&[u8]) + Sync),
}

/// What came of the files so far.
#[derive(Default)]
pub(super) struct Done {
    pub(super) entries: Vec<(Vec<u8>, Decision, bool)>,
    pub(super) versions: Vec<Version>,
    pub(super) drifts: Vec<(Name, Drift)>,
    /// Files that waited and are now what is stored.
    pub(super) settled: Vec<Name>,
    pub(super) unchanged: u64,
    pub(super) bytes_stored: u64,
}

/// One thread's share.
pub(super) struct Worker<'a> {
    shared: &'a Shared<'a>,
    batch: Batch<'a>,
    content: Vec<u8>,
    reference: Vec<u8>,
    path: Vec<u8>,
    pub(super) done: Done,
}

/// What was read of a file.
struct Read {
    hash: Fingerprint,
    bytes: u64,
    stat: Stat,
    stable: bool,
    body: Body,
}

enum Body {
    /// The first `bytes` of the worker's buffer.
    Whole,
    /// In a temporary file.
    Spooled(Box<Spool>, Profile),
    /// Not kept, since it is what is stored.
    Dropped,
}

/// Why a file was not read.
enum Stopped {
    Unread(Unread),
    Store(Error),
    /// It need not be.
    Trusted,
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Unread(error.into())
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Shared<'a>) -> Self {
        let batch = Batch::new(shared.place);
        let (content, reference, path) = (Vec::new(), Vec::new(), Vec::new());
        Self { shared, batch, content, reference, path, done: Done::default() }
    }

    /// Goes through some files.
    pub(super) fn files(&mut self, files: &Files) -> Result<(), Error> {
        for name in &files.names {
            self.path.clear();
            self.path.extend_from_slice(&files.path);
            if !files.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.file(&files.folder, name)?;
        }
        self.shared.files.fetch_add(files.names.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Puts in place what is written.
    pub(super) fn finish(mut self) -> Result<Done, Error> {
        self.batch.flush()?;
        Ok(self.done)
    }

    fn file(&mut self, folder: &OwnedFd, name: &CStr) -> Result<(), Error> {
        let history = self.shared.index.files.get(self.path.as_slice());
        let stored = history.and_then(|history| self.stored(history));
        match self.read(folder, name, history, stored.as_ref()) {
            Ok(read) => {
                self.meet(history);
                self.decided(history, stored, read)
            }
            Err(Stopped::Store(error)) => Err(error),
            Err(Stopped::Trusted) => {
                self.meet(history);
                self.unchanged(Keeping::SameMetadata);
                Ok(())
            }
            Err(Stopped::Unread(why)) => {
                self.unread(history, why);
                Ok(())
            }
        }
    }

    fn meet(&self, history: Option<&History>) {
        if let Some(met) = history.and_then(|history| self.shared.met.get(history.slot)) {
            met.store(true, Ordering::Relaxed);
        }
    }

    fn stored(&self, history: &History) -> Option<Stored> {
        let last = history.last()?;
        Some(Stored {
            hash: last.hash,
            bytes: last.bytes,
            mode: last.stat.mode,
            gone: history.gone(),
            damaged: self.shared.verified.knows_damaged(&last.hash, last.sequence),
        })
    }

    /// A file that was not read. One that is no longer there, or is no file, is not met: so it is gone if it was stored.
    fn unread(&mut self, history: Option<&History>, why: Unread) {
        let was_there = history.is_some_and(|history| history.gone().is_none());
        let decision = match why {
            Unread::NotAFile(kind) if was_there => {
                self.meet(history);
                Decision::Gone(Going::Became(kind))
            }
            Unread::NotAFile(kind) => Decision::Passed(Passing::NotAFile(kind)),
            Unread::Failed(Failing::Vanished) if was_there => return,
            Unread::Failed(why) => {
                self.meet(history);
                Decision::Failed(why)
            }
        };
        self.done.entries.push((self.path.clone(), decision, false));
    }

    fn unchanged(&mut self, why: Keeping) {
        self.done.unchanged += 1;
        if self.shared.policy.tells_unchanged {
            self.done.entries.push((self.path.clone(), Decision::Unchanged(why), false));
        }
        if !self.shared.waits.drifts.is_empty()
            && let Some((name, _)) = self.shared.waits.drifts.get_key_value(self.path.as_slice())
        {
            self.done.settled.push(name.clone());
        }
    }

    /// Reads the file, again while it changes.
    fn read(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        history: Option<&History>,
        stored: Option<&Stored>,
    ) -> Result<Read, Stopped> {
        let mut tries = 1;
        loop {
            let (mut file, stat) = read::open(folder, name).map_err(Stopped::Unread)?;
            if self.shared.policy.trust_metadata && self.trusts(history, stored, &stat) {
                return Err(Stopped::Trusted);
            }
            (self.shared.between)(&self.path);
            let read = if stat.bytes <= self.shared.policy.whole_max {
                let (filled, hash) = read::whole(&mut file, &stat, &mut self.content)?;
                let bytes = filled as u64;
                let stable = read::is_stable(&file, &stat, bytes)?;
                Read { hash, bytes, stat, stable, body: Body::Whole }
            } else {
                self.read_in_pieces(&mut file, stat, stored)?
            };
            self.shared.bytes.fetch_add(read.bytes, Ordering::Relaxed);
            if read.stable || tries >= TRIES {
                return Ok(read);
            }
            tries += 1;
        }
    }

    /// Reads a file that is too large for memory: once to see whether it has changed, and once more if it has.
    fn read_in_pieces(&self, file: &mut File, stat: Stat, stored: Option<&Stored>) -> Result<Read, Stopped> {
        if let Some(stored) = stored.filter(|stored| !stored.damaged && stored.bytes == stat.bytes) {
            let mut hasher = crate::base::canonical::Hasher::new();
            let bytes = read::pieces(file, &stat, |piece| -> io::Result<()> {
                hasher.update(piece);
                Ok(())
            })?;
            let hash = hasher.finish();
            if hash == stored.hash {
                let stable = read::is_stable(file, &stat, bytes)?;
                return Ok(Read { hash, bytes, stat, stable, body: Body::Dropped });
            }
            io::Seek::rewind(file)?;
        }
        let mut spool = Spool::new(self.shared.place.store, self.shared.policy.compress)?;
        let mut profile = Profile::builder();
        let bytes = read::pieces(file, &stat, |piece| -> Result<(), Stopped> {
            profile.update(piece);
            Ok(spool.write(piece)?)
        })?;
        let stable = read::is_stable(file, &stat, bytes)?;
        let body = Body::Spooled(Box::new(spool), profile.finish());
        let hash = match &body {
            Body::Spooled(spool, _) => spool.hash(),
            Body::Whole | Body::Dropped => Fingerprint::of_bytes(b""),
        };
        Ok(Read { hash, bytes, stat, stable, body })
    }

    /// Whether the metadata say that the content is the stored one.
    fn trusts(&self, history: Option<&History>, stored: Option<&Stored>, stat: &Stat) -> bool {
        let sound = stored.is_some_and(|stored| !stored.damaged && stored.gone.is_none());
        let last = history.and_then(History::last).filter(|last| sound && !last.unstable);
        // A change within the grain of the clock may have left the times as they were.
        let settled = |last: &Version| {
            let stored_at = last.stored_at.timestamp();
            last.stat.mtime.0.max(last.stat.ctime.0) < stored_at.saturating_sub(RACY_SECONDS)
        };
        last.is_some_and(|last| last.stat == *stat && settled(last))
    }

    fn decided(
        &mut self,
        history: Option<&History>,
        stored: Option<Stored>,
        read: Read,
    ) -> Result<(), Error> {
        let waits = self.shared.waits;
        let pending = match waits.drifts.get(self.path.as_slice()) {
            Some(drift) => Pending::Waits(drift.clone()),
            None if waits.lost => Pending::Lost,
            None => Pending::Nothing,
        };
        let facts = Facts { hash: read.hash, bytes: read.bytes, mode: read.stat.mode, stored, pending };
        let (policy, now) = (self.shared.policy, self.shared.now);
        let decision = decide(&facts, policy, now, || self.compare(history, &read));
        match &decision {
            Decision::Unchanged(why) => {
                self.unchanged(*why);
                return Ok(());
            }
            Decision::Created(_) | Decision::Updated(_) => return self.store(history, read, decision),
            Decision::Skipped { drift, .. } => {
                if let Ok(name) = self.name(history) {
                    self.done.drifts.push((name, drift.clone()));
                }
            }
            Decision::Gone(_) | Decision::Passed(_) | Decision::Failed(_) => {}
        }
        self.done.entries.push((self.path.clone(), decision, !read.stable));
        Ok(())
    }

    fn name(&self, history: Option<&History>) -> Result<Name, Failing> {
        match history.and_then(History::last) {
            Some(last) => Ok(last.name.clone()),
            None => Name::of_bytes(&self.path).map_err(|_| Failing::NameTooLong),
        }
    }

    /// Compares what was read with the last stored version.
    fn compare(&mut self, history: Option<&History>, read: &Read) -> Compared {
        let Some(last) = history.and_then(History::last) else { return Compared::Lost };
        let similarity = &self.shared.policy.similarity;
        let whole = last.bytes <= self.shared.policy.whole_max;
        if let (Body::Whole, true) = (&read.body, whole) {
            if self.shared.objects.whole(last, &mut self.reference).is_err() {
                return Compared::Lost;
            }
            let filled = usize::try_from(read.bytes).unwrap_or(usize::MAX);
            let new = self.content.get(..filled).unwrap_or_default();
            let (policy, path) = (self.shared.policy, Path::new(OsStr::from_bytes(&self.path)));
            let filtered = caught(|| (policy.filtered(path, &self.reference), policy.filtered(path, new)));
            return match filtered {
                Ok((old, new)) => Compared::Verdict(similarity.compare(&old, &new)),
                Err(said) => Compared::FilterPanicked { said },
            };
        }
        let mut profiled = Profiled(Profile::builder());
        let key = (last.hash, last.encoding);
        if let Err(Uncopied::Damaged(_) | Uncopied::Unwritten(_)) =
            self.shared.objects.copy(key, last.bytes, &mut profiled)
        {
            return Compared::Lost;
        }
        let old = profiled.0.finish();
        let new = match &read.body {
            Body::Spooled(_, profile) => profile,
            Body::Whole | Body::Dropped => &self.profile(read.bytes),
        };
        Compared::Verdict(similarity.compare_profiles(&old, new))
    }

    fn profile(&self, bytes: u64) -> Profile {
        let filled = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut profile = Profile::builder();
        profile.update(self.content.get(..filled).unwrap_or_default());
        profile.finish()
    }

    /// Puts the content into the store, from the bytes that were decided on.
    fn store(&mut self, history: Option<&History>, read: Read, decision: Decision) -> Result<(), Error> {
        let name = match self.name(history) {
            Ok(name) => name,
            Err(why) => {
                self.done.entries.push((self.path.clone(), Decision::Failed(why), false));
                return Ok(());
            }
        };
        let objects = self.shared.objects;
        let (encoding, stored) = match read.body {
            Body::Spooled(spool, _) => spool.keep(objects, &mut self.batch)?,
            Body::Whole => {
                let filled = usize::try_from(read.bytes).unwrap_or(usize::MAX);
                let content = self.content.get(..filled).unwrap_or_default();
                objects.put(&mut self.batch, read.hash, content, self.shared.policy.compress)?
            }
            Body::Dropped => (history.and_then(History::last).map_or(Encoding::Raw, |last| last.encoding), 0),
        };
        self.done.bytes_stored += stored;
        self.done.versions.push(Version {
            name,
            sequence: self.shared.sequence,
            stored_at: self.shared.now,
            hash: read.hash,
            bytes: read.bytes,
            encoding,
            stat: read.stat,
            why: decision.code().into(),
            unstable: !read.stable,
            shrunk: matches!(decision, Decision::Updated(Storing::Shrunk { .. })),
            pinned: false,
        });
        self.done.entries.push((self.path.clone(), decision, !read.stable));
        Ok(())
    }
}

/// How old times must have been when they were stored to be trusted: some file systems keep them in steps of two seconds.
const RACY_SECONDS: i64 = Duration::from_secs(2).as_secs().cast_signed();

struct Profiled(ProfileBuilder);

impl Write for Profiled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
