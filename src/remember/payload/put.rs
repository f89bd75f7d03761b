//! Putting payloads where they can be referred to.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Error, InvalidRef, PayloadRef, short};
use crate::base::canonical::{self, Fingerprint, Hasher};
use crate::remember::file::{self, Replacement, folder_of, open_plain, sync_folder};

/// How much is held in memory where a payload goes by in pieces.
pub(super) const PIECE: usize = 64 * 1024;

impl PayloadRef {
    /// Puts bytes into `folder` under the name of their hash, `ab/cdef…`, and refers to them relative to it.
    ///
    /// Atomic and durable before it returns. The same bytes are the same file: where it stands already it is read, and nothing is
    /// written; where something else stands under its name, it is put right. Folders that are missing are made.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written, among them a full disk; [`Error::NotAFile`].
    pub fn put(folder: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<Self, Error> {
        let (folder, bytes) = (absolute(folder.as_ref())?, bytes.as_ref());
        let payload = Self::named_by(Fingerprint::of_bytes(bytes), bytes.len() as u64)?;
        if payload.stands(&folder)? {
            return Ok(payload);
        }
        make_folder(&folder)?;
        let mut replacement = Replacement::in_folder(&folder, folder.join(&payload.path))?;
        replacement.write(bytes)?;
        payload.place(&folder, replacement)
    }

    /// Puts what a reader gives, holding 64 KiB of it in memory; else as [`put`](Self::put). `bytes_max` is how many bytes
    /// it may give.
    ///
    /// # Errors
    /// [`Error::TooBig`] beyond `bytes_max`, [`Error::Source`] when the reader fails; else as [`put`](Self::put). Then nothing is put.
    pub fn put_reader(
        folder: impl AsRef<Path>,
        mut reader: impl Read,
        bytes_max: u64,
    ) -> Result<Self, Error> {
        let folder = absolute(folder.as_ref())?;
        make_folder(&folder)?;
        let mut replacement = Replacement::in_folder(&folder, folder.clone())?;
        let mut hasher = Hasher::new();
        let mut bytes = 0_u64;
        each_piece(&mut reader, Error::Source, |piece| {
            bytes = bytes.saturating_add(piece.len() as u64);
            if bytes > bytes_max {
                return Err(Error::TooBig { given: bytes, allowed: bytes_max });
            }
            hasher.update(piece);
            Ok(replacement.write(piece)?)
        })?;
        let payload = Self::named_by(hasher.finish(), bytes)?;
        if payload.stands(&folder)? {
            return Ok(payload);
        }
        payload.place(&folder, replacement)
    }

    /// Puts a value as canonical JSON, so that equal values are the same payload however they were spelled.
    ///
    /// # Errors
    /// [`Error::Canonical`] for a value that has no canonical form; else as [`put`](Self::put).
    pub fn put_canonical<T: Serialize + ?Sized>(folder: impl AsRef<Path>, value: &T) -> Result<Self, Error> {
        let payload = Self::put(folder, canonical::to_string(value)?)?;
        Ok(payload.with_media_type("application/json")?)
    }

    /// Refers to the file at `path` as it is now, by its absolute path. Reads it through, with bounded memory.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::NotAFile`], [`Error::Moving`] when it grows or shrinks meanwhile, [`Error::Invalid`] for a
    /// path that is not UTF-8, [`Error::Io`].
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = absolute(path.as_ref())?;
        Self::of_file_as(&path, &path)
    }

    /// Refers to the file at `path` within `base` as it is now, by that path.
    ///
    /// # Errors
    /// As [`of_file`](Self::of_file), and [`Error::Outside`] where it is not in `base`.
    pub fn of_file_in(base: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<Self, Error> {
        let (base, path) = (base.as_ref(), path.as_ref());
        super::check_path(text(path)?)?;
        let found = super::read::locate(base, path)?;
        Self::of_file_as(&found, path)
    }

    fn of_file_as(found: &Path, path: &Path) -> Result<Self, Error> {
        let path = text(path)?;
        super::check_path(path)?;
        let file = open_plain(found)?;
        let bytes = file.metadata().map_err(|source| reading(found, source))?.len();
        let (hash, given) = hash_of(file, bytes, found)?;
        if given != bytes {
            return Err(Error::Moving { path: found.to_owned() });
        }
        Ok(Self::new(path, hash, bytes)?)
    }

    fn named_by(hash: Fingerprint, bytes: u64) -> Result<Self, Error> {
        let hex: String = hash.digest().iter().map(|byte| format!("{byte:02x}")).collect();
        let (first, rest) = hex.split_at(2);
        Ok(Self::new(format!("{first}/{rest}"), hash, bytes)?)
    }

    /// Whether this very payload stands in the folder; then it is durable too.
    fn stands(&self, folder: &Path) -> Result<bool, Error> {
        let path = folder.join(&self.path);
        let file = match open_plain(&path) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let sync = file.try_clone().map_err(|source| reading(&path, source))?;
        if hash_of(file, self.bytes, &path)? != (self.hash, self.bytes) {
            return Ok(false);
        }
        // Whoever put it may not have come so far yet.
        sync.sync_all()
            .and_then(|()| sync_folder(folder_of(&path)))
            .map_err(|source| reading(&path, source))?;
        Ok(true)
    }

    fn place(self, folder: &Path, replacement: Replacement) -> Result<Self, Error> {
        let target = folder.join(&self.path);
        make_folder(folder_of(&target))?;
        replacement.commit_as(target)?;
        Ok(self)
    }
}

/// The hash of what a reader gives and how many bytes that were, at most one more than `bytes`.
pub(super) fn hash_of(reader: impl Read, bytes: u64, path: &Path) -> Result<(Fingerprint, u64), Error> {
    let mut hasher = Hasher::new();
    let mut given = 0_u64;
    each_piece(
        &mut reader.take(bytes.saturating_add(1)),
        |source| reading(path, source),
        |piece| {
            given = given.saturating_add(piece.len() as u64);
            hasher.update(piece);
            Ok(())
        },
    )?;
    Ok((hasher.finish(), given))
}

pub(super) fn reading(path: &Path, source: io::Error) -> Error {
    Error::Io(file::Error::Io { action: "cannot read the payload", path: path.to_owned(), source })
}

fn each_piece(
    reader: &mut impl Read,
    failed: impl Fn(io::Error) -> Error,
    mut each: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut piece = vec![0_u8; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => each(piece.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| reading(path, source))
}

fn text(path: &Path) -> Result<&str, Error> {
    let why = "it is not UTF-8";
    Ok(path.to_str().ok_or_else(|| InvalidRef::Path { given: short(&path.to_string_lossy()), why })?)
}

/// Makes a folder and those above it that are missing, durably.
fn make_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    if above != folder {
        make_folder(above)?;
    }
    let failed = |source| Error::Io(file::Error::writing("cannot make the folder", folder, source));
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        Ok(()) | Err(_) => sync_folder(above).map_err(failed),
    }
}
