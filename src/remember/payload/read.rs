//! Reading what is referred to: it is that, or an error.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::put::{PIECE, hash_of, reading};
use super::{Error, PayloadRef};
use crate::base::canonical::{self, Fingerprint, Hasher};
use crate::remember::file::open_plain;

impl PayloadRef {
    /// The bytes, once it is certain that they are the ones that were referred to. `bytes_max` is how many there may be.
    ///
    /// # Errors
    /// [`Error::TooBig`] before anything is read, [`Error::Missing`], [`Error::Changed`], [`Error::NotAFile`], [`Error::Outside`],
    /// [`Error::Io`].
    pub fn read(&self, base: impl AsRef<Path>, bytes_max: u64) -> Result<Vec<u8>, Error> {
        if self.bytes > bytes_max {
            return Err(Error::TooBig { given: self.bytes, allowed: bytes_max });
        }
        let mut reader = self.open(base)?;
        let mut bytes = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        // Read around the reader's own verdict, so that it is given as what it is.
        (&mut reader.file)
            .take(self.bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| reading(&reader.path, source))?;
        let found = Fingerprint::of_bytes(&bytes);
        if found == self.hash { Ok(bytes) } else { Err(reader.changed(bytes.len() as u64, Some(found))) }
    }

    /// The bytes as JSON of a type.
    ///
    /// # Errors
    /// [`Error::Json`]; else as [`read`](Self::read).
    pub fn read_json<T: DeserializeOwned>(&self, base: impl AsRef<Path>, bytes_max: u64) -> Result<T, Error> {
        let bytes = self.read(base, bytes_max)?;
        let path = || PathBuf::from(&self.path);
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path(), source })
    }

    /// The bytes, which are JSON, as the canonical text of the same value. Two payloads of one value, however they are spelled, have
    /// one such text, and so one [`Fingerprint::of_text`].
    ///
    /// # Errors
    /// [`Error::Canonical`]; else as [`read`](Self::read).
    pub fn read_canonical(&self, base: impl AsRef<Path>, bytes_max: u64) -> Result<String, Error> {
        Ok(canonical::from_text(self.read(base, bytes_max)?)?)
    }

    /// Reads the file through, with bounded memory, and says whether it is the one that was referred to.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for the bound.
    pub fn verify(&self, base: impl AsRef<Path>) -> Result<(), Error> {
        let reader = self.open(base)?;
        let (found, bytes) = hash_of(&reader.file, self.bytes, &reader.path)?;
        if (found, bytes) == (self.hash, self.bytes) {
            Ok(())
        } else {
            Err(reader.changed(bytes, Some(found)))
        }
    }

    /// The bytes piece by piece, for what does not fit in memory. **Nothing that was read counts before the end was reached**: only
    /// there is it known whether the hash fits.
    ///
    /// # Errors
    /// [`Error::Changed`] where the size tells already; else as [`verify`](Self::verify).
    pub fn open(&self, base: impl AsRef<Path>) -> Result<Reader, Error> {
        let path = locate(base.as_ref(), Path::new(&self.path))?;
        let file = open_plain(&path)?;
        let bytes = file.metadata().map_err(|source| reading(&path, source))?.len();
        let (hash, bytes_expected) = (self.hash, self.bytes);
        let reader = Reader { file, path, hash, bytes_expected, bytes: 0, hasher: Hasher::new() };
        if bytes == self.bytes { Ok(reader) } else { Err(reader.changed(bytes, None)) }
    }
}

/// A payload that is read piece by piece. Its end is an error, with [`Error::Changed`] within, when what was read is not what
/// was referred to.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
    hash: Fingerprint,
    bytes_expected: u64,
    bytes: u64,
    hasher: Hasher,
}

impl Reader {
    /// Reads what is left and says whether the whole is what was referred to.
    ///
    /// # Errors
    /// [`Error::Changed`], and [`Error::Io`] when it cannot be read.
    pub fn finish(mut self) -> Result<(), Error> {
        let mut piece = vec![0_u8; PIECE];
        while self.piece(&mut piece)? > 0 {}
        Ok(())
    }

    /// The next piece; at the end nothing, if all was as it should be.
    fn piece(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        // One byte more than there should be tells that it has grown.
        let left = self.bytes_expected.saturating_sub(self.bytes).saturating_add(1);
        let room = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let into = into.get_mut(..room).unwrap_or_default();
        let count = loop {
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|source| reading(&self.path, source))?,
            }
        };
        self.hasher.update(into.get(..count).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(count as u64);
        let at_end = count == 0 && room > 0;
        let found = at_end.then(|| self.hasher.clone().finish());
        if self.bytes > self.bytes_expected || found.is_some_and(|found| found != self.hash) {
            return Err(self.changed(self.bytes, found));
        }
        Ok(count)
    }

    fn changed(&self, bytes_found: u64, found: Option<Fingerprint>) -> Error {
        let (path, expected, bytes_expected) = (self.path.clone(), self.hash, self.bytes_expected);
        Error::Changed { path, expected, found, bytes_expected, bytes_found }
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.piece(into).map_err(io::Error::other)
    }
}

/// Where the file is behind all links, if that is within the folder.
pub(super) fn locate(base: &Path, path: &Path) -> Result<PathBuf, Error> {
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { path: path.to_owned() },
            _ => reading(path, source),
        })
    };
    let base = real(base)?;
    let path = real(&base.join(path))?;
    if path.starts_with(&base) { Ok(path) } else { Err(Error::Outside { path, base }) }
}
