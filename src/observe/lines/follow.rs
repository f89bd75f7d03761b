//! A file that grows, read as it grows.

mod open;
mod reason;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::observe::lines::follow::open::{Found, Head, Id, find_beside, look, open};

pub use reason::{FollowError, Happened, NotAFile, Polled};

const VERSION: u32 = 1;
const CHUNK: usize = 64 * 1024;
/// A file may be rotated so often between two looks within one poll.
const FILES_MAX: usize = 8;

/// Follows a file by looking at it: each [`poll`](Self::poll) gives the lines that were appended since the one before.
///
/// It never waits and starts nothing; the caller polls as often as it likes. What happens to the file is told in
/// [`Polled::happened`]:
///
/// - **Rotated**: another file stands under the name. The old one is read to its end first; a last line of it without a line feed is given.
///   A new file that is empty gets one poll of grace, in which the writer may still write to the old one. Of files that came and
///   went between two polls nothing is seen.
/// - **Truncated** or **replaced** in place: read from the beginning.
/// - **Gone**: the old file is read on, and closed at the second poll that does not find it. One that comes back is read from the beginning.
/// - **A folder, FIFO or device** under the name is not opened; where nothing is open yet, that is an error.
///
/// The last line is kept until it is complete. A line of more than [`line_max`](Self::line_max) bytes is given as far as that, and says so.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: Option<Open>,
    start: Start,
    line_max: usize,
    bytes_max: u64,
    /// That it is not there, or no file, was told.
    told: Option<Option<NotAFile>>,
    grace: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: Id,
    /// Where the line begins that is not complete.
    offset: u64,
    /// What there is of it.
    partial: Vec<u8>,
    /// Its beginning was given, the rest is left out.
    skipping: bool,
    head: Head,
}

#[derive(Debug)]
enum Start {
    Beginning,
    End,
    At(Position),
}

/// A line, without its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes.
    pub text: &'a [u8],
    /// It was longer than the bound, and this is its beginning.
    pub cut: bool,
}

/// Where a [`Follow`] is: to be saved, and to go on from. It is behind the last line that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    v: u32,
    device: u64,
    inode: u64,
    offset: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    skipping: bool,
    head: Head,
}

impl Position {
    /// The byte of the file at which the next line begins.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}

impl Follow {
    /// Follows the file at `path` from its beginning. Opens nothing yet.
    #[must_use]
    pub fn from_start(path: impl AsRef<Path>) -> Self {
        Self::with(path, Start::Beginning)
    }

    /// Follows it from its end as it is at the first poll; if it is not there then, from its beginning.
    #[must_use]
    pub fn from_end(path: impl AsRef<Path>) -> Self {
        Self::with(path, Start::End)
    }

    /// Goes on where another was. If the file was rotated since, the old one is looked for beside it (under a name that begins with
    /// its own, among the first 1,000 names), and read to its end first.
    ///
    /// # Errors
    ///
    /// [`FollowError::Version`] for a position that a newer program saved.
    pub fn resume(path: impl AsRef<Path>, position: Position) -> Result<Self, FollowError> {
        if position.v != VERSION {
            return Err(FollowError::Version { found: position.v, known: VERSION });
        }
        Ok(Self::with(path, Start::At(position)))
    }

    fn with(path: impl AsRef<Path>, start: Start) -> Self {
        let path = path.as_ref().to_owned();
        Self { path, file: None, start, line_max: CHUNK, bytes_max: 8 << 20, told: None, grace: false }
    }

    /// How many bytes of a line are given; default 64 KiB, at least 64 bytes and at most 16 MiB.
    #[must_use]
    pub fn line_max(mut self, bytes: usize) -> Self {
        self.line_max = bytes.clamp(64, 16 << 20);
        self
    }

    /// How many bytes one poll reads, at least 64 KiB; default 8 MiB. It ends with the chunk in which that is reached.
    #[must_use]
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes.max(CHUNK as u64);
        self
    }

    /// The file's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is; `None` while no file was ever opened.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match (&self.file, &self.start) {
            (Some(open), _) => Some(Position {
                v: VERSION,
                device: open.id.device,
                inode: open.id.inode,
                offset: open.offset,
                skipping: open.skipping,
                head: open.head.clone(),
            }),
            (None, Start::At(position)) => Some(position.clone()),
            (None, _) => None,
        }
    }

    /// Gives the lines that were appended since the last poll.
    ///
    /// # Errors
    ///
    /// [`FollowError::NotAFile`] while nothing is open and there is no file under the name, [`FollowError::Io`] for what the system
    /// refuses. Nothing is lost: the next poll begins behind the last line that was given.
    pub fn poll(&mut self, mut line: impl FnMut(Line<'_>)) -> Result<Polled, FollowError> {
        let mut polled = Polled::default();
        for _ in 0..FILES_MAX {
            if self.file.is_none() && !self.begin(&mut polled)? {
                return Ok(polled);
            }
            self.look_for_changes(&mut polled)?;
            self.read(&mut polled, &mut line)?;
            if polled.more || !self.leave(&mut polled, &mut line)? {
                return Ok(polled);
            }
        }
        polled.more = true;
        Ok(polled)
    }

    /// Opens what stands under the name, where it is to begin; whether there is something.
    fn begin(&mut self, polled: &mut Polled) -> Result<bool, FollowError> {
        let found = look(&self.path)?;
        let id = match found {
            Found::File { id, .. } => id,
            Found::Other(found) => return Err(FollowError::NotAFile { path: self.path.clone(), found }),
            Found::Nothing => {
                self.tell_once(None, polled);
                if matches!(self.start, Start::End) {
                    self.start = Start::Beginning;
                }
                return Ok(false);
            }
        };
        self.told = None;
        match std::mem::replace(&mut self.start, Start::Beginning) {
            Start::Beginning => self.file = open(&self.path)?.map(|(file, id)| Open::at(file, id, 0)),
            Start::End => {
                // As below: after an error the whole file would be new.
                self.start = Start::End;
                let Some((file, id)) = open(&self.path)? else { return Ok(false) };
                let mut open = Open::at(file, id, 0);
                open.skip_to_end().map_err(|source| self.io("cannot go to the end", source))?;
                self.file = Some(open);
                self.start = Start::Beginning;
            }
            Start::At(position) => {
                // Kept until the file is open, so that an error loses nothing.
                self.start = Start::At(position.clone());
                let same = Id { device: position.device, inode: position.inode };
                let beside = id != same;
                let path = if beside { find_beside(&self.path, same)? } else { Some(self.path.clone()) };
                let opened = match &path {
                    Some(path) => open(path)?.filter(|(_, id)| *id == same),
                    None => None,
                };
                let mut resumed = opened.map(|(file, id)| Open::resumed(file, id, &position));
                if let Some(other) = resumed.as_mut().filter(|_| beside) {
                    // Its number may have been given to what the old file was packed into: nothing of that is a line.
                    let changed = other.changed().map_err(|source| self.io("cannot look at it", source))?;
                    resumed = resumed.filter(|_| changed.is_none());
                }
                self.file = match resumed {
                    Some(open) => Some(open),
                    None => {
                        polled.happened.push(Happened::Lost { offset: position.offset });
                        open(&self.path)?.map(|(file, id)| Open::at(file, id, 0))
                    }
                };
                self.start = Start::Beginning;
            }
        }
        Ok(self.file.is_some())
    }

    /// Whether the file that is open was truncated, or replaced in place.
    fn look_for_changes(&mut self, polled: &mut Polled) -> Result<(), FollowError> {
        let Some(open) = &mut self.file else { return Ok(()) };
        let looked = open.changed();
        let happened = looked.map_err(|source| io(&self.path, "cannot look at it", source))?;
        polled.happened.extend(happened);
        Ok(())
    }

    fn read(&mut self, polled: &mut Polled, line: &mut impl FnMut(Line<'_>)) -> Result<(), FollowError> {
        let (line_max, bytes_max) = (self.line_max, self.bytes_max);
        let Some(open) = &mut self.file else { return Ok(()) };
        open.read_on(&self.path, line_max, bytes_max, polled, line)
    }

    /// The open file is at its end: whether it was left for the one that stands under its name now.
    fn leave(&mut self, polled: &mut Polled, line: &mut impl FnMut(Line<'_>)) -> Result<bool, FollowError> {
        let Some(open) = &mut self.file else { return Ok(false) };
        match look(&self.path)? {
            Found::File { id, .. } if id == open.id => {
                (self.told, self.grace) = (None, false);
                Ok(false)
            }
            Found::File { size, .. } => {
                if size == 0 && !self.grace {
                    self.grace = true;
                    return Ok(false);
                }
                // What was written between the end that was read and the look is in no other file.
                open.read_on(&self.path, self.line_max, self.bytes_max, polled, line)?;
                if polled.more {
                    return Ok(false);
                }
                let unfinished = open.finish(polled, line);
                polled.happened.push(Happened::Rotated { unfinished });
                (self.file, self.told, self.grace) = (None, None, false);
                Ok(true)
            }
            Found::Nothing => {
                if self.told == Some(None) {
                    open.read_on(&self.path, self.line_max, self.bytes_max, polled, line)?;
                    if polled.more {
                        return Ok(false);
                    }
                    open.finish(polled, line);
                    self.file = None;
                } else {
                    self.tell_once(None, polled);
                }
                Ok(false)
            }
            Found::Other(found) => {
                self.tell_once(Some(found), polled);
                Ok(false)
            }
        }
    }

    fn tell_once(&mut self, found: Option<NotAFile>, polled: &mut Polled) {
        if self.told != Some(found) {
            self.told = Some(found);
            polled.happened.push(found.map_or(Happened::Gone, Happened::NotAFile));
        }
    }

    fn io(&self, action: &'static str, source: io::Error) -> FollowError {
        io(&self.path, action, source)
    }
}

impl Open {
    const fn at(file: File, id: Id, offset: u64) -> Self {
        Self { file, id, offset, partial: Vec::new(), skipping: false, head: Head::NONE }
    }

    fn resumed(file: File, id: Id, position: &Position) -> Self {
        let head = position.head.clone();
        Self { skipping: position.skipping, head, ..Self::at(file, id, position.offset) }
    }

    fn skip_to_end(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        self.offset = size;
        if size > 0 {
            let mut last = [0];
            self.file.seek(SeekFrom::Start(size - 1))?;
            let read = self.file.read(&mut last)?;
            // In the middle of a line: the rest of it is no line.
            self.skipping = read == 1 && last[0] != b'\n';
        }
        Ok(())
    }

    fn changed(&mut self) -> io::Result<Option<Happened>> {
        let size = self.file.metadata()?.len();
        let read = self.offset.saturating_add(self.partial.len() as u64);
        let happened = if size < read {
            Some(Happened::Truncated { read, size })
        } else if size > 0 && !self.head.fits(&mut self.file)? {
            Some(Happened::Replaced { read })
        } else {
            None
        };
        if happened.is_some() {
            (self.offset, self.skipping) = (0, false);
            self.partial.clear();
            self.head = Head::NONE;
        }
        Ok(happened)
    }

    fn read_on(
        &mut self,
        path: &Path,
        line_max: usize,
        bytes_max: u64,
        polled: &mut Polled,
        line: &mut impl FnMut(Line<'_>),
    ) -> Result<(), FollowError> {
        let read = self.read(line_max, bytes_max, polled, line);
        read.map_err(|source| io(path, "cannot read it", source))
    }

    fn read(
        &mut self,
        line_max: usize,
        bytes_max: u64,
        polled: &mut Polled,
        line: &mut impl FnMut(Line<'_>),
    ) -> io::Result<()> {
        let from = self.offset.saturating_add(self.partial.len() as u64);
        self.file.seek(SeekFrom::Start(from))?;
        loop {
            let kept = self.partial.len();
            self.partial.resize(kept + CHUNK, 0);
            let read = loop {
                match self.file.read(&mut self.partial[kept..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.partial.truncate(kept + *read.as_ref().unwrap_or(&0));
            let read = read?;
            polled.bytes = polled.bytes.saturating_add(read as u64);
            self.give(kept, line_max, polled, line);
            if read == 0 {
                return self.head.grow(&mut self.file, self.offset.saturating_add(self.partial.len() as u64));
            }
            if polled.bytes >= bytes_max {
                polled.more = true;
                return self.head.grow(&mut self.file, self.offset.saturating_add(self.partial.len() as u64));
            }
        }
    }

    /// Gives what is complete of the partial line and what was read behind `kept` bytes of it.
    fn give(&mut self, kept: usize, line_max: usize, polled: &mut Polled, line: &mut impl FnMut(Line<'_>)) {
        let mut begin = 0;
        for at in memchr::memchr_iter(b'\n', &self.partial[kept..]) {
            let text = &self.partial[begin..kept + at];
            if std::mem::take(&mut self.skipping) {
                polled.bytes_cut = polled.bytes_cut.saturating_add(text.len() as u64);
            } else {
                polled.give(text, line_max, line);
            }
            begin = kept + at + 1;
        }
        if self.partial.len() - begin > line_max {
            let text = &self.partial[begin..];
            if self.skipping {
                polled.bytes_cut = polled.bytes_cut.saturating_add(text.len() as u64);
            } else {
                polled.give(text, line_max, line);
                self.skipping = true;
            }
            begin = self.partial.len();
        }
        self.offset = self.offset.saturating_add(begin as u64);
        self.partial.drain(..begin);
    }

    /// Nobody will complete its last line.
    fn finish(&mut self, polled: &mut Polled, line: &mut impl FnMut(Line<'_>)) -> bool {
        let unfinished = !self.partial.is_empty() && !self.skipping;
        if unfinished {
            polled.give(&self.partial, usize::MAX, line);
        }
        self.offset = self.offset.saturating_add(self.partial.len() as u64);
        self.partial.clear();
        unfinished
    }
}

impl Polled {
    fn give(&mut self, text: &[u8], line_max: usize, line: &mut impl FnMut(Line<'_>)) {
        let shown = text.len().min(line_max);
        let cut = text.len() - shown;
        self.lines = self.lines.saturating_add(1);
        self.bytes_cut = self.bytes_cut.saturating_add(cut as u64);
        self.lines_cut = self.lines_cut.saturating_add(u64::from(cut > 0));
        line(Line { text: &text[..shown], cut: cut > 0 });
    }
}

fn io(path: &Path, action: &'static str, source: io::Error) -> FollowError {
    FollowError::Io { action, path: path.to_owned(), source }
}

/// Opening says itself that it is no file, though nobody has looked before.
#[cfg(all(test, unix))]
pub(super) fn opened_without_a_look(path: &Path) -> bool {
    matches!(open(path), Err(FollowError::NotAFile { found: NotAFile::Fifo, .. }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_written_before_the_rotation_was_seen_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        for is_replaced in [true, false] {
            fs::write(&path, "one\n").unwrap();
            let mut follow = Follow::from_start(&path);
            let (mut polled, mut lines) = (Polled::default(), Vec::new());
            let mut line = |line: Line<'_>| lines.push(line.text.to_vec());
            assert!(follow.begin(&mut polled).unwrap());
            follow.read(&mut polled, &mut line).unwrap();
            // Its end was read. Now, before anybody looks, it is written to and rotated.
            fs::write(&path, "one\ntwo\nth").unwrap();
            fs::rename(&path, folder.path().join("app.log.1")).unwrap();
            if is_replaced {
                fs::write(&path, "new\n").unwrap();
                assert!(follow.leave(&mut polled, &mut line).unwrap());
                assert_eq!(polled.happened, [Happened::Rotated { unfinished: true }]);
            } else {
                for _ in 0..2 {
                    assert!(!follow.leave(&mut polled, &mut line).unwrap());
                }
                assert!(follow.file.is_none());
            }
            assert_eq!(lines, [b"one".to_vec(), b"two".to_vec(), b"th".to_vec()]);
        }
    }
}
