//! A file that is being worked on.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::act::layout::drops::Folders;
use crate::act::layout::error::Error;
use crate::act::layout::names::Working;
use crate::act::layout::place::{Held, Moved, Why, copy, reason_of, remove, reserve, settle, shift};
use crate::base::time::Timestamp;

/// A file in `working`, which nobody else has. It ends in [`archive`](Self::archive) or [`fail`](Self::fail); dropped
/// before that it stays, and is handed out again to the next process.
#[must_use = "a file that is neither archived nor failed is handed out again"]
pub struct Taken {
    folders: Arc<Folders>,
    working: Working,
    path: PathBuf,
    held: Held,
}

impl Taken {
    pub(super) const fn new(folders: Arc<Folders>, working: Working, path: PathBuf, held: Held) -> Self {
        Self { folders, working, path, held }
    }

    /// Where it stands now. Its name there is not the one that it was dropped under.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name under which it was dropped; where that had more than 200 bytes, it is cut before its ending.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.working.name
    }

    /// How often it was taken up, this time included: above 1, a process died while it had it, or put it down. A job
    /// that sees a high one may suspect the file.
    #[must_use]
    pub const fn turn(&self) -> u32 {
        self.working.turn
    }

    /// Moves it to `archive`, under its own name or, where a namesake stands, a marked one (`report~1a2b3c4d.csv`); says where it
    /// stands.
    ///
    /// # Errors
    /// When it cannot be moved; it is still in `working` then, or on its way, and handed out or moved by the next
    /// [`take`](super::Drops::take) of another handle.
    pub fn archive(self) -> Result<PathBuf, Error> {
        let archive = self.folders.archive.clone();
        self.end("archive", &archive, None)
    }

    /// Moves it to `failed` and puts beside it why, as JSON in `NAME.reason.json`: a stable word and a sentence.
    ///
    /// # Errors
    /// As [`archive`](Self::archive).
    pub fn fail(self, code: &str, why: &str, now: Timestamp) -> Result<PathBuf, Error> {
        let failed = self.folders.failed.clone();
        let why = Why::new(self.working.id, now, code, why, self.working.turn);
        self.end("fail", &failed, Some(&why))
    }

    /// Moves it back to where it was dropped, to be taken again at another time.
    ///
    /// # Errors
    /// As [`archive`](Self::archive).
    pub fn put_back(self) -> Result<PathBuf, Error> {
        let incoming = self.folders.incoming.clone();
        self.end("back", &incoming, None)
    }

    fn end(mut self, way: &str, folder: &Path, why: Option<&Why>) -> Result<PathBuf, Error> {
        let Self { folders, working, path, held } = &mut self;
        let folders = Arc::clone(folders);
        let (id, name) = (working.id, working.name.clone());
        let edge = |point: &str| folders.edge(&format!("{way}:{point}"));
        edge("before");
        let mut from = path.clone();
        let mut copied = None;
        let to = loop {
            let across = match why {
                None => match settle(&from, folder, &name, id)? {
                    Some(to) => break to,
                    None => true,
                },
                Some(why) => {
                    let to = reserve(folder, &name, id, why)?;
                    edge("reason");
                    if copied.is_some() {
                        // Only now, that the reason stands, may the original go.
                        remove(path)?;
                        edge("removed");
                    }
                    match shift(&from, &to)? {
                        Moved::Done => break to,
                        Moved::Gone => return Err(Error::Gone { path: from }),
                        Moved::Across => true,
                        // Somebody else has put a file there since: the reason is none of that one's.
                        Moved::Namesake => {
                            remove(&reason_of(folder, to.file_name().unwrap_or(&name)))?;
                            false
                        }
                    }
                }
            };
            if across {
                let (whole, file) = copy(held, path, folder, id, &name, &edge)?;
                if why.is_none() {
                    remove(path)?;
                    edge("removed");
                }
                copied = Some(file);
                from = whole;
            }
        };
        edge("moved");
        folders.seen().remove(&id.number());
        drop(copied);
        Ok(to)
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken")
            .field("name", &self.working.name)
            .field("path", &self.path)
            .field("turn", &self.working.turn)
            .finish_non_exhaustive()
    }
}
