//! What is in a state file: a line that says what follows, and the value as JSON.
//!
//! The line is `unattended-state VERSION GENERATION BYTES sha256:HASH CHECK`. In every version it begins with the same word and
//! its version, and ends with the first 16 digits of its own SHA-256: so a newer format is told from a flipped digit.

use super::Damage;
use crate::base::canonical::Fingerprint;

/// The format that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;
/// How many bytes the first line may have, in every version.
pub(super) const HEADER_MAX: usize = 512;

const MAGIC: &[u8] = b"unattended-state ";

/// What hinders the reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Damaged(Damage),
    TooNew(u32),
    TooBig(u64),
}

impl From<Damage> for Flaw {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// The first line, with its end.
pub(super) fn header(generation: u64, body: &[u8]) -> String {
    let hash = Fingerprint::of_bytes(body);
    sealed(&format!("unattended-state {VERSION} {generation} {} {hash} ", body.len()))
}

/// A first line of any version, with its own check and its end.
pub(super) fn sealed(said: &str) -> String {
    format!("{said}{}\n", check(said))
}

/// The generation, and where the value begins.
pub(super) fn read(whole: &[u8], bytes_max: u64) -> Result<(u64, usize), Flaw> {
    if !whole.starts_with(MAGIC) {
        let cut = MAGIC.starts_with(whole);
        return Err(if cut { Damage::Header } else { Damage::Foreign }.into());
    }
    let first = whole.get(..HEADER_MAX.min(whole.len())).unwrap_or_default();
    let end = first.iter().position(|byte| *byte == b'\n').ok_or(Damage::Header)?;
    let line = first.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(Damage::Header)?;
    let space = line.rfind(' ').ok_or(Damage::Header)?;
    let (said, given) = line.split_at(space.saturating_add(1));
    if check(said) != given {
        return Err(Damage::Header.into());
    }
    // From here on the line is as it was written.
    let mut words = said.split(' ').skip(1);
    let version = number(words.next())?;
    if version != u64::from(VERSION) {
        return Err(Flaw::TooNew(u32::try_from(version).unwrap_or(u32::MAX)));
    }
    let (generation, expected) = (number(words.next())?, number(words.next())?);
    let hash: Fingerprint = words.next().and_then(|word| word.parse().ok()).ok_or(Damage::Header)?;
    if expected > bytes_max {
        return Err(Flaw::TooBig(expected));
    }
    let at = end.saturating_add(1);
    let body = whole.get(at..).unwrap_or_default();
    let given = body.len() as u64;
    if given < expected {
        Err(Damage::Cut { given, expected }.into())
    } else if given > expected {
        Err(Damage::Longer { expected }.into())
    } else if Fingerprint::of_bytes(body) != hash {
        Err(Damage::Changed.into())
    } else {
        Ok((generation, at))
    }
}

fn number(word: Option<&str>) -> Result<u64, Flaw> {
    word.and_then(|word| word.parse().ok()).ok_or(Flaw::Damaged(Damage::Header))
}

/// The first 16 hexadecimal digits of the SHA-256.
fn check(said: &str) -> String {
    Fingerprint::of_bytes(said).digest().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
