//! Names of files on their way, from which the next process reads how far one had come.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::base::rng::Rng;
use crate::base::text::head;

/// What the name of a reason has after that of its file.
pub const REASON: &str = ".reason.json";
/// The folder, within each of the others, for what is on its way and has no name there yet.
pub(super) const STAGING: &str = ".unattended";
const PART: &[u8] = b".part";
/// The longest name that a file keeps: file systems take 255 bytes, and its mark, its reason or its number come to it.
const NAME_MAX: usize = 200;
/// What comes after the last dot of a name is its ending, up to so many bytes.
const ENDING_MAX: usize = 16;
/// How many names are tried for one file.
pub(super) const TRIES_MAX: u32 = 10_000;

/// What tells one file's way from another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u64);

impl Id {
    pub(super) const fn new(entropy: u64) -> Self {
        Self(entropy)
    }

    /// The id of a file that is copied from another file system: the same, however often it is begun.
    pub(super) fn of_source(dev: u64, ino: u64, mtime: (i64, i64)) -> Self {
        let mut rng = Rng::seeded(dev ^ ino.rotate_left(32));
        let mixed = rng.next_u64() ^ mtime.0.cast_unsigned().rotate_left(20) ^ mtime.1.cast_unsigned();
        Self(Rng::seeded(mixed).next_u64())
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }

    pub(super) fn text(self) -> String {
        format!("{:016x}", self.0)
    }

    fn of_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 16)?;
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

/// The name of a file in `working`: `ID-TURN~NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Working {
    pub(super) id: Id,
    /// How often it was taken up, this time included.
    pub(super) turn: u32,
    pub(super) name: OsString,
}

impl Working {
    pub(super) fn written(&self) -> OsString {
        joined(&[self.id.text().as_bytes(), format!("-{}~", self.turn).as_bytes(), self.name.as_bytes()])
    }

    pub(super) fn read(name: &OsStr) -> Option<Self> {
        let (id, rest) = name.as_bytes().split_at_checked(16)?;
        let rest = rest.strip_prefix(b"-")?;
        let tilde = rest.iter().position(|byte| *byte == b'~')?;
        let turn = std::str::from_utf8(&rest[..tilde]).ok()?.parse().ok()?;
        let name = OsString::from_vec(rest[tilde + 1..].to_vec());
        Some(Self { id: Id::of_text(id)?, turn, name: Some(name).filter(|name| !name.is_empty())? })
    }
}

/// What a name in the staging folder says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Staged {
    /// A copy that may not be whole: `ID.part`.
    Part(Id),
    /// A whole copy that has not got its name yet: `ID~NAME`.
    Whole(Id, OsString),
    /// A reason that has not got its name yet: `ID.reason.json`.
    Reason(Id),
}

impl Staged {
    pub(super) fn written(&self) -> OsString {
        match self {
            Self::Part(id) => joined(&[id.text().as_bytes(), PART]),
            Self::Whole(id, name) => joined(&[id.text().as_bytes(), b"~", name.as_bytes()]),
            Self::Reason(id) => joined(&[id.text().as_bytes(), REASON.as_bytes()]),
        }
    }

    pub(super) fn read(name: &OsStr) -> Option<Self> {
        let (id, rest) = name.as_bytes().split_at_checked(16)?;
        let id = Id::of_text(id)?;
        match rest {
            PART => Some(Self::Part(id)),
            rest if rest == REASON.as_bytes() => Some(Self::Reason(id)),
            [b'~', name @ ..] if !name.is_empty() => Some(Self::Whole(id, OsString::from_vec(name.to_vec()))),
            _ => None,
        }
    }
}

/// Whether a file of that name is still being written by whoever drops it, or is none of those that are dropped.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let endings: [&[u8]; 6] = [b".tmp", b".part", b".partial", b".filepart", b".crdownload", b"~"];
    name.starts_with(b".") || endings.iter().any(|ending| name.ends_with(ending))
}

/// The name under which a file goes its way: its own, cut where it is too long for the marks that may come to it.
pub(super) fn kept(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    if bytes.len() <= NAME_MAX {
        return name.to_owned();
    }
    let (stem, ending) = ending(bytes);
    joined(&[cut(stem, NAME_MAX - ending.len()), ending])
}

/// The names that the file may have where it ends, the best first: its own, then marked ones. `app.log` becomes
/// `app~1a2b3c4d.log`.
pub(super) fn endings(name: &OsStr, id: Id) -> impl Iterator<Item = OsString> {
    let mark = id.text()[..8].to_owned();
    let own = name.to_owned();
    let marked = move |n: u32| {
        let mark = if n == 1 { format!("~{mark}") } else { format!("~{mark}-{n}") };
        let (stem, ending) = ending(own.as_bytes());
        joined(&[stem, mark.as_bytes(), ending])
    };
    // A file that looks like somebody's reason is not put where reasons are looked for.
    let first = (!name.as_bytes().ends_with(REASON.as_bytes())).then(|| name.to_owned());
    first.into_iter().chain((1..TRIES_MAX).map(marked))
}

fn ending(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 && name.len() - dot <= ENDING_MAX => name.split_at(dot),
        _ => (name, b""),
    }
}

/// At most so many bytes of `text`, and no half of a character where it is UTF-8.
fn cut(text: &[u8], most: usize) -> &[u8] {
    match std::str::from_utf8(text) {
        Ok(text) => head(text, most).as_bytes(),
        Err(_) => &text[..most.min(text.len())],
    }
}

fn joined(parts: &[&[u8]]) -> OsString {
    OsString::from_vec(parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn names_on_the_way_are_read_as_they_were_written() {
        let id = Id::new(0x00ab_0000_0000_0001);
        for name in ["a.csv", "~", "a~b-3~c", "é", "x.part"] {
            let name = os(name).to_owned();
            let working = Working { id, turn: 12, name: name.clone() };
            assert_eq!(Working::read(&working.written()), Some(working));
            for staged in [Staged::Part(id), Staged::Whole(id, name), Staged::Reason(id)] {
                assert_eq!(Staged::read(&staged.written()), Some(staged));
            }
        }
        for name in ["", "a.csv", "00ab000000000001", "00ab000000000001-~x", "00ab000000000001-1~"] {
            assert_eq!(Working::read(os(name)), None, "{name}");
            assert_eq!(Staged::read(os(name)), None, "{name}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_room_for_a_mark() {
        let long = kept(os(&format!("{}.csv", "é".repeat(130))));
        assert_eq!((long.len(), long.to_str().map(|name| name.ends_with("é.csv"))), (200, Some(true)));
        let last = endings(&long, Id::new(1)).last().unwrap();
        assert!(last.len() + REASON.len() <= 255, "{last:?}");
    }

    #[test]
    fn the_first_name_is_its_own_unless_it_looks_like_a_reason() {
        let names =
            |name: &str| endings(os(name), Id::new(0x0123_4567_89ab_cdef)).take(3).collect::<Vec<_>>();
        assert_eq!(names("a.csv"), ["a.csv", "a~01234567.csv", "a~01234567-2.csv"]);
        assert_eq!(names("a.reason.json")[0], "a.reason~01234567.json");
        assert_eq!(names("none")[1], "none~01234567");
    }

    #[test]
    fn what_is_still_being_written_is_known_by_its_name() {
        assert!(
            [".a", "a.tmp", "a.csv.part", "a~", ".unattended-x"].iter().all(|name| is_unfinished(os(name)))
        );
        assert!(["a.csv", "part", "a.temp"].iter().all(|name| !is_unfinished(os(name))));
    }
}
