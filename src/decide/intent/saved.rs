//! A state as it is saved. A path that is UTF-8 is text, any other the bytes that it is made of; nothing is lost.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decide::intent::state::{Kind, Root, Stamp, State};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Form<E> {
    v: u32,
    root: Root,
    entries: E,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_at: Option<usize>,
    #[serde(default)]
    left_out: usize,
}

/// Path, kind, size, mtime, ctime, inode.
type Entry = (Name, Kind, u64, i64, i64, u64);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes(OsString),
}

impl Name {
    fn of(path: &Path) -> Self {
        path.to_str()
            .map_or_else(|| Self::Bytes(path.as_os_str().to_owned()), |text| Self::Text(text.to_owned()))
    }
}

impl From<Name> for PathBuf {
    fn from(name: Name) -> Self {
        match name {
            Name::Text(text) => text.into(),
            Name::Bytes(bytes) => bytes.into(),
        }
    }
}

/// Entries one after the other, so that a big tree is not copied first.
struct Entries<'a>(&'a State);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = |(path, stamp): (&Path, &Stamp)| -> Entry {
            let Stamp { kind, size, mtime, ctime, inode } = *stamp;
            (Name::of(path), kind, size, mtime, ctime, inode)
        };
        serializer.collect_seq(self.0.iter().map(row))
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unreadable = self.unreadable().iter().map(|path| Name::of(path)).collect();
        let (root, cut_at, left_out) = (self.root(), self.cut_at(), self.left_out());
        Form { v: VERSION, root, entries: Entries(self), unreadable, cut_at, left_out }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::<Vec<Entry>>::deserialize(deserializer)?;
        if form.v != VERSION {
            let found = form.v;
            return Err(D::Error::custom(format!(
                "the state of a tree has version {found}, this program knows {VERSION}"
            )));
        }
        let entry = |(name, kind, size, mtime, ctime, inode): Entry| {
            (PathBuf::from(name), Stamp { kind, size, mtime, ctime, inode })
        };
        let state = Self::of(form.entries.into_iter().map(entry))
            .with_root(form.root)
            .with_left_out(form.left_out)
            .with_unreadable(form.unreadable.into_iter().map(PathBuf::from));
        Ok(match form.cut_at {
            Some(entries_max) => state.with_cut(entries_max),
            None => state,
        })
    }
}
