//! What versions there are: a file of records for each run that stored something, put together from time to time.
//!
//! `00000000000000000007.run` holds what run 7 stored, `00000000000000000007.base` all that there was after it, and takes the
//! place of whatever has a number up to its own. Each file names the hash of the one before it, so that one that is
//! missing is missed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::act::backup::error::Error;
use crate::act::backup::lines;
use crate::act::backup::name::{Name, escaped};
use crate::act::backup::objects;
use crate::act::backup::place::{Place, sync};
use crate::act::backup::version::Version;
use crate::base::canonical::Fingerprint;
use crate::base::explain::Explain;
use crate::base::time::Timestamp;

/// The folder of the index in a store.
pub(super) const FOLDER: &str = "index";
/// From how many files of single runs on they are put together.
pub(super) const RUNS_MAX: usize = 64;
/// The most bytes of one file of the index.
const BYTES_MAX: u64 = 4 << 30;

/// A line of a file of the index.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    Head(Head),
    Version(Version),
    /// The file was found gone in that run.
    Gone {
        #[serde(rename = "p")]
        name: Name,
        #[serde(rename = "s")]
        sequence: u64,
    },
    /// A version was pinned or unpinned by hand.
    Pin {
        #[serde(rename = "p")]
        name: Name,
        #[serde(rename = "s")]
        sequence: u64,
        #[serde(rename = "i")]
        pinned: bool,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    sequence: u64,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    at: Timestamp,
    previous: Option<Fingerprint>,
    /// The tree, escaped.
    source: String,
}

/// What is wrong with the index. The versions that can be read stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexDamage {
    /// Lines of a file cannot be read or were changed.
    Lines {
        /// The file.
        file: String,
        /// How many.
        lines: u64,
    },
    /// The end of a file is missing, or something was added to it.
    NotWhole {
        /// The file.
        file: String,
    },
    /// A file cannot be read at all.
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        said: String,
    },
    /// The file before this one is missing or is another one.
    Broken {
        /// The file.
        file: String,
    },
    /// Runs at the end are missing.
    Missing {
        /// The last run that there was.
        expected: u64,
        /// The last one that is there.
        found: u64,
    },
}

impl Explain for IndexDamage {
    fn code(&self) -> &'static str {
        match self {
            Self::Lines { .. } => "backup.index_lines",
            Self::NotWhole { .. } => "backup.index_not_whole",
            Self::Unreadable { .. } => "backup.index_unreadable",
            Self::Broken { .. } => "backup.index_broken",
            Self::Missing { .. } => "backup.index_missing",
        }
    }
}

impl fmt::Display for IndexDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines { file, lines } => write!(f, "{lines} lines of {file} are damaged"),
            Self::NotWhole { file } => write!(f, "{file} is not as it was written"),
            Self::Unreadable { file, said } => write!(f, "{file} cannot be read: {said}"),
            Self::Broken { file } => write!(f, "what was before {file} is missing or was changed"),
            Self::Missing { expected, found } => {
                write!(f, "the last run in the index is {found}, and there was a run {expected}")
            }
        }
    }
}

/// All versions of one file.
#[derive(Debug, Default)]
pub(super) struct History {
    /// In the order of their numbers.
    pub(super) versions: Vec<Version>,
    /// The runs that found it gone.
    pub(super) gones: Vec<u64>,
    /// Its place in lists of marks.
    pub(super) slot: usize,
}

impl History {
    /// The last stored version: that with which is compared.
    pub(super) fn last(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// The run that found it gone, if it was not stored since.
    pub(super) fn gone(&self) -> Option<u64> {
        self.gone_after(self.last()?.sequence, u64::MAX)
    }

    /// The last run that found it gone after one and up to another.
    pub(super) fn gone_after(&self, sequence: u64, last: u64) -> Option<u64> {
        self.gones.iter().copied().filter(|&gone| gone > sequence && gone <= last).max()
    }

    /// Takes in a version, in the order of the numbers.
    fn push(&mut self, mut version: Version) {
        let at = self.versions.partition_point(|other| other.sequence < version.sequence);
        if let Some(same) = self.versions.get_mut(at).filter(|other| other.sequence == version.sequence) {
            *same = version;
            return;
        }
        if version.shrunk
            && let Some(before) = at.checked_sub(1).and_then(|at| self.versions.get_mut(at))
        {
            before.pinned = true;
        }
        version.why = version.why.into_owned().into();
        self.versions.insert(at, version);
    }
}

/// The whole index, as far as it can be read.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) files: BTreeMap<Name, History>,
    /// The last run.
    pub(super) sequence: u64,
    /// When that was.
    pub(super) at: Option<Timestamp>,
    /// The tree whose versions these are.
    pub(super) source: Option<PathBuf>,
    /// The hash of the last file.
    last: Option<Fingerprint>,
    /// How many files of single runs there are since the last base.
    pub(super) runs: usize,
    pub(super) damage: Vec<IndexDamage>,
}

/// A file of the index, by its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    sequence: u64,
    base: bool,
}

impl Part {
    fn of(name: &OsStr) -> Option<Self> {
        let (digits, ending) = name.to_str()?.split_once('.')?;
        let base = match ending {
            "run" => false,
            "base" => true,
            _ => return None,
        };
        let sequence = digits.parse().ok()?;
        let part = Self { sequence, base };
        (part.to_string() == name.to_str()?).then_some(part)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}.{}", self.sequence, if self.base { "base" } else { "run" })
    }
}

impl Index {
    /// Reads the index of a store. A reader takes no lock: where a file goes away meanwhile it looks again.
    pub(super) fn load(store: &Path) -> Result<Self, Error> {
        let folder = store.join(FOLDER);
        let mut index = Self::default();
        for _ in 0..LOOKS_MAX {
            index = Self::default();
            let mut moved = false;
            for part in live(&folder)? {
                let path = folder.join(part.to_string());
                match read(&path) {
                    Ok(bytes) => index.take(&part, &bytes),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => moved = true,
                    Err(error) => {
                        let (file, said) = (part.to_string(), error.to_string());
                        index.take_number(&part);
                        index.damage.push(IndexDamage::Unreadable { file, said });
                    }
                }
            }
            if !moved {
                break;
            }
        }
        for (slot, history) in index.files.values_mut().enumerate() {
            history.slot = slot;
        }
        Ok(index)
    }

    fn take_number(&mut self, part: &Part) {
        self.sequence = self.sequence.max(part.sequence);
        self.runs += usize::from(!part.base);
    }

    fn take(&mut self, part: &Part, bytes: &[u8]) {
        let file = part.to_string();
        let reading = lines::read::<Record>(bytes);
        if reading.damaged > 0 {
            self.damage.push(IndexDamage::Lines { file: file.clone(), lines: reading.damaged });
        } else if !reading.whole {
            self.damage.push(IndexDamage::NotWhole { file: file.clone() });
        }
        self.take_number(part);
        let mut headed = false;
        for record in reading.records {
            match record {
                Record::Head(head) => {
                    headed = true;
                    let follows = part.base || head.previous == self.last;
                    if !follows || head.sequence != part.sequence {
                        self.damage.push(IndexDamage::Broken { file: file.clone() });
                    }
                    self.at = Some(head.at);
                    self.source = unescaped(&head.source);
                }
                Record::Version(version) => self.add(version),
                Record::Gone { name, sequence } => self.lose(&name, sequence),
                Record::Pin { name, sequence, pinned } => self.pin(&name, sequence, pinned),
            }
        }
        if !headed && reading.whole {
            self.damage.push(IndexDamage::NotWhole { file });
        }
        self.last = Some(Fingerprint::of_bytes(bytes));
    }

    fn add(&mut self, version: Version) {
        if let Some(history) = self.files.get_mut(&version.name) {
            history.push(version);
        } else {
            let name = version.name.clone();
            let mut history = History::default();
            history.push(version);
            self.files.insert(name, history);
        }
    }

    fn lose(&mut self, name: &Name, sequence: u64) {
        if let Some(history) = self.files.get_mut(name) {
            history.gones.push(sequence);
        }
    }

    fn pin(&mut self, name: &Name, sequence: u64, pinned: bool) {
        let versions = self.files.get_mut(name).map(|history| history.versions.iter_mut());
        if let Some(version) = versions.into_iter().flatten().find(|version| version.sequence == sequence) {
            version.pinned = pinned;
        }
    }

    /// Writes what a run has to say, and takes it in.
    pub(super) fn append(
        &mut self,
        place: Place<'_>,
        (at, source): (Timestamp, &Path),
        records: Vec<Record>,
    ) -> Result<(), Error> {
        let sequence = self.sequence.saturating_add(1);
        let part = Part { sequence, base: false };
        let mut writer = lines::Writer::default();
        writer.push(&Record::Head(Head { sequence, at, previous: self.last, source: source_text(source) }));
        records.iter().for_each(|record| writer.push(record));
        let bytes = writer.finish();
        place.replace(&place.store.join(FOLDER).join(part.to_string()), &bytes)?;
        (self.at, self.source, self.last) =
            (Some(at), Some(source.to_owned()), Some(Fingerprint::of_bytes(&bytes)));
        self.take_number(&part);
        for record in records {
            match record {
                Record::Head(_) => {}
                Record::Version(version) => self.add(version),
                Record::Gone { name, sequence } => self.lose(&name, sequence),
                Record::Pin { name, sequence, pinned } => self.pin(&name, sequence, pinned),
            }
        }
        Ok(())
    }

    /// Puts all that there is into one file, and removes those that it takes the place of.
    pub(super) fn compact(&mut self, place: Place<'_>) -> Result<(), Error> {
        let folder = place.store.join(FOLDER);
        let part = Part { sequence: self.sequence, base: true };
        let mut writer = lines::Writer::default();
        let (at, source) = (self.at.unwrap_or_default(), self.source.clone().unwrap_or_default());
        let head = Head { sequence: self.sequence, at, previous: None, source: source_text(&source) };
        writer.push(&Record::Head(head));
        for (name, history) in &self.files {
            for version in &history.versions {
                writer.push(&Record::Version(version.clone()));
                // A pin that was taken away stays away, though the version after this one shrank.
            }
            for (version, next) in history.versions.iter().zip(history.versions.iter().skip(1)) {
                if next.shrunk && !version.pinned {
                    let (name, sequence) = (name.clone(), version.sequence);
                    writer.push(&Record::Pin { name, sequence, pinned: false });
                }
            }
            let oldest = history.versions.first().map_or(u64::MAX, |version| version.sequence);
            for sequence in history.gones.iter().copied().filter(|&gone| gone > oldest) {
                writer.push(&Record::Gone { name: name.clone(), sequence });
            }
        }
        let bytes = writer.finish();
        place.replace(&folder.join(part.to_string()), &bytes)?;
        (self.last, self.runs) = (Some(Fingerprint::of_bytes(&bytes)), 0);
        clear(&folder)
    }
}

/// How often a reader looks again.
const LOOKS_MAX: usize = 8;

/// The files that count: the newest base, and the runs after it.
fn live(folder: &Path) -> Result<Vec<Part>, Error> {
    let mut parts = parts(folder)?;
    let base = parts.iter().filter(|part| part.base).map(|part| part.sequence).max();
    parts.retain(|part| base.is_none_or(|base| part.sequence > base || part.base && part.sequence == base));
    Ok(parts)
}

fn parts(folder: &Path) -> Result<Vec<Part>, Error> {
    let failed = |source| Error::reading("cannot read it", folder, source);
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        parts.extend(Part::of(&entry.map_err(failed)?.file_name()));
    }
    parts.sort();
    Ok(parts)
}

/// Removes the files whose place a base has taken.
fn clear(folder: &Path) -> Result<(), Error> {
    let live = live(folder)?;
    for part in parts(folder)? {
        if !live.contains(&part) {
            let path = folder.join(part.to_string());
            fs::remove_file(&path).map_err(|source| Error::writing("cannot remove it", &path, source))?;
        }
    }
    sync(folder)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = objects::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes > BYTES_MAX {
        return Err(io::Error::other(format!("it has {bytes} bytes; {BYTES_MAX} are read")));
    }
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    io::Read::read_to_end(&mut io::Read::take(file, BYTES_MAX), &mut content)?;
    Ok(content)
}

fn source_text(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

/// The path that [`source_text`] wrote.
fn unescaped(text: &str) -> Option<PathBuf> {
    // As a name, which the path of a tree is but for its beginning.
    let relative = text.strip_prefix('/')?;
    if relative.is_empty() {
        return Some(PathBuf::from("/"));
    }
    let name: Name = relative.parse().ok()?;
    Some(Path::new("/").join(name.as_path()))
}

impl Index {
    /// Notes runs that there were and that are missing at the end; their numbers are not given again.
    pub(super) fn missing_after(&mut self, expected: u64) {
        if expected > self.sequence {
            self.damage.push(IndexDamage::Missing { expected, found: self.sequence });
            self.sequence = expected;
        }
    }
}
