//! Contents, each in a file that is named after its SHA-256.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::act::backup::error::Error;
use crate::act::backup::place::{Batch, Temporary};
use crate::act::backup::version::{Encoding, Version};
use crate::base::canonical::{Fingerprint, Hasher};
use crate::base::explain::Explain;

/// What is wrong with a stored content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It cannot be read.
    Unreadable {
        /// What the system or the decoder said.
        said: String,
    },
    /// It has another size.
    Bytes {
        /// The size that was stored.
        expected: u64,
        /// The size that was found; at most one more than expected, for then nobody reads on.
        found: u64,
    },
    /// It has another hash.
    Hash {
        /// The hash that was found.
        found: Fingerprint,
    },
    /// It is compressed by zstd, and this program was built without the feature `zstd`: it may be sound.
    NeedsZstd,
}

impl Explain for Damage {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "backup.content_missing",
            Self::Unreadable { .. } => "backup.content_unreadable",
            Self::Bytes { .. } => "backup.content_size",
            Self::Hash { .. } => "backup.content_hash",
            Self::NeedsZstd => "backup.content_needs_zstd",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("its content is not there"),
            Self::Unreadable { said } => write!(f, "its content cannot be read: {said}"),
            Self::Bytes { expected, found } => write!(f, "its content has {found} bytes, not {expected}"),
            Self::Hash { found } => write!(f, "its content has the hash {found}"),
            Self::NeedsZstd => f.write_str("its content can only be read with the feature zstd"),
        }
    }
}

/// Why a content could not be copied.
pub(super) enum Uncopied {
    /// It is damaged.
    Damaged(Damage),
    /// Where it was to go, it could not be written.
    Unwritten(io::Error),
}

/// The folder of the contents.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) folder: PathBuf,
}

/// What identifies a stored content.
pub(super) type Key = (Fingerprint, Encoding);

impl Objects {
    pub(super) fn path(&self, (hash, encoding): Key) -> PathBuf {
        let text = hash.to_string();
        let digits = text.rsplit(':').next().unwrap_or_default();
        let (shard, rest) = digits.split_at_checked(2).unwrap_or(("", digits));
        let ending = match encoding {
            Encoding::Raw => "",
            Encoding::Zstd => ".zst",
        };
        self.folder.join(shard).join(format!("{rest}{ending}"))
    }

    /// Stores a content, unless it is there already and sound. Says how it is kept, and with how many new bytes.
    pub(super) fn put(
        &self,
        batch: &mut Batch<'_>,
        hash: Fingerprint,
        content: &[u8],
        compress: Option<i32>,
    ) -> Result<(Encoding, u64), Error> {
        if let Some(encoding) = self.holds(hash, content.len() as u64) {
            return Ok((encoding, 0));
        }
        let packed = compress.and_then(|level| packed(content, level));
        let (encoding, bytes) =
            packed.as_deref().map_or((Encoding::Raw, content), |packed| (Encoding::Zstd, packed));
        let mut temporary = Temporary::new(batch.place().store)?;
        temporary.write(bytes)?;
        let stored = bytes.len() as u64;
        batch.add(temporary, self.path((hash, encoding)), stored)?;
        Ok((encoding, stored))
    }

    /// How a content is kept that is there and sound.
    pub(super) fn holds(&self, hash: Fingerprint, bytes: u64) -> Option<Encoding> {
        let sound = |encoding| self.copy((hash, encoding), bytes, &mut io::sink()).is_ok();
        [Encoding::Raw, Encoding::Zstd].into_iter().find(|encoding| sound(*encoding))
    }

    /// A content in memory, checked.
    pub(super) fn whole(&self, version: &Version, into: &mut Vec<u8>) -> Result<(), Damage> {
        into.clear();
        match self.copy((version.hash, version.encoding), version.bytes, into) {
            Ok(()) => Ok(()),
            Err(Uncopied::Damaged(damage)) => Err(damage),
            Err(Uncopied::Unwritten(error)) => Err(Damage::Unreadable { said: error.to_string() }),
        }
    }

    /// Copies a content to `sink`, in pieces. What was written is only good if this ends well.
    pub(super) fn copy(&self, key: Key, bytes: u64, sink: &mut dyn Write) -> Result<(), Uncopied> {
        let unreadable = |error: io::Error| Uncopied::Damaged(damage_of(&error));
        let file = open(&self.path(key)).map_err(unreadable)?;
        // One byte more than there should be shows that there is more, and no bomb is unpacked.
        let mut source = decoder(file, key.1)?.take(bytes.saturating_add(1));
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE.min(usize::try_from(bytes).unwrap_or(PIECE).saturating_add(1))];
        let mut found = 0;
        loop {
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            let piece = piece.get(..read).unwrap_or_default();
            hasher.update(piece);
            sink.write_all(piece).map_err(Uncopied::Unwritten)?;
            found += read as u64;
        }
        if found != bytes {
            return Err(Uncopied::Damaged(Damage::Bytes { expected: bytes, found }));
        }
        let hash = hasher.finish();
        if hash == key.0 { Ok(()) } else { Err(Uncopied::Damaged(Damage::Hash { found: hash })) }
    }

    /// Every content that is there: its path, and its key where its name is one.
    pub(super) fn all(&self) -> impl Iterator<Item = (PathBuf, Option<Key>)> {
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        files.map(|file| {
            let path = file.path();
            let key = key_of(&path);
            (path, key)
        })
    }
}

/// How much is read at once.
pub(super) const PIECE: usize = 128 << 10;

fn key_of(path: &Path) -> Option<Key> {
    let shard = path.parent()?.file_name()?.to_str()?;
    let name = path.file_name()?.to_str()?;
    let (rest, encoding) =
        name.strip_suffix(".zst").map_or((name, Encoding::Raw), |rest| (rest, Encoding::Zstd));
    Some((format!("sha256:{shard}{rest}").parse().ok()?, encoding))
}

/// Opens a file of the store; whatever else somebody has put there is refused, not waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn damage_of(error: &io::Error) -> Damage {
    match error.kind() {
        io::ErrorKind::NotFound => Damage::Missing,
        _ => Damage::Unreadable { said: error.to_string() },
    }
}

#[cfg(feature = "zstd")]
fn decoder(file: File, encoding: Encoding) -> Result<Box<dyn Read>, Uncopied> {
    Ok(match encoding {
        Encoding::Raw => Box::new(file),
        Encoding::Zstd => Box::new(
            zstd::stream::read::Decoder::new(file).map_err(|error| Uncopied::Damaged(damage_of(&error)))?,
        ),
    })
}

#[cfg(not(feature = "zstd"))]
fn decoder(file: File, encoding: Encoding) -> Result<Box<dyn Read>, Uncopied> {
    match encoding {
        Encoding::Raw => Ok(Box::new(file)),
        Encoding::Zstd => Err(Uncopied::Damaged(Damage::NeedsZstd)),
    }
}

/// The content compressed, if that makes it smaller.
#[cfg(feature = "zstd")]
fn packed(content: &[u8], level: i32) -> Option<Vec<u8>> {
    let packed = zstd::bulk::compress(content, level).ok()?;
    (packed.len() < content.len()).then_some(packed)
}

#[cfg(not(feature = "zstd"))]
const fn packed(_content: &[u8], _level: i32) -> Option<Vec<u8>> {
    None
}

/// A content that comes in pieces: it is in a temporary file until it is known whether it is stored.
pub(super) struct Spool {
    sink: Sink,
    hasher: Hasher,
    path: PathBuf,
}

enum Sink {
    Raw(Temporary),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::write::Encoder<'static, Temporary>>),
}

#[cfg(feature = "zstd")]
impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Spool {
    pub(super) fn new(store: &Path, compress: Option<i32>) -> Result<Self, Error> {
        let temporary = Temporary::new(store)?;
        let path = temporary.path().to_owned();
        let sink = match compress {
            #[cfg(feature = "zstd")]
            Some(level) => {
                let encoder = zstd::stream::write::Encoder::new(temporary, level);
                Sink::Zstd(Box::new(
                    encoder.map_err(|source| Error::Compress { path: path.clone(), source })?,
                ))
            }
            _ => Sink::Raw(temporary),
        };
        Ok(Self { sink, hasher: Hasher::new(), path })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        match &mut self.sink {
            Sink::Raw(temporary) => temporary.write(bytes),
            #[cfg(feature = "zstd")]
            Sink::Zstd(encoder) => {
                encoder.write_all(bytes).map_err(|source| Error::writing("cannot write", &self.path, source))
            }
        }
    }

    pub(super) fn hash(&self) -> Fingerprint {
        self.hasher.clone().finish()
    }

    /// Stores it. Says how it is kept, and with how many bytes.
    pub(super) fn keep(self, objects: &Objects, batch: &mut Batch<'_>) -> Result<(Encoding, u64), Error> {
        let hash = self.hasher.finish();
        let (temporary, encoding) = match self.sink {
            Sink::Raw(temporary) => (temporary, Encoding::Raw),
            #[cfg(feature = "zstd")]
            Sink::Zstd(encoder) => {
                let done = encoder.finish();
                let path = &self.path;
                (done.map_err(|source| Error::writing("cannot write", path, source))?, Encoding::Zstd)
            }
        };
        let found = temporary.file.metadata();
        let bytes = found.map_err(|source| Error::reading("cannot look at it", &self.path, source))?.len();
        batch.add(temporary, objects.path((hash, encoding)), bytes)?;
        Ok((encoding, bytes))
    }
}
