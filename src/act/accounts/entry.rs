//! An account as one piece of memory.
//!
//! ```text
//! | length of the name, 1 or 5 bytes | name | 8 bytes for each quota | the packed breaker |
//! ```

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// The length that says that the length follows in four bytes.
const LONG: u8 = u8::MAX;

/// An account; for the map it is its name.
#[derive(Debug)]
pub(super) struct Entry(Box<[u8]>);

impl Entry {
    /// An account to which nothing has happened. A name is cut at 4 GiB.
    pub(super) fn new(key: &str, quotas: usize) -> Self {
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        let key = &key.as_bytes()[..key.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        let mut bytes = Vec::with_capacity(5 + key.len() + 8 * quotas);
        match u8::try_from(length) {
            Ok(short) if short < LONG => bytes.push(short),
            _ => {
                bytes.push(LONG);
                bytes.extend(length.to_le_bytes());
            }
        }
        bytes.extend(key);
        bytes.resize(bytes.len() + 8 * quotas, 0);
        Self(bytes.into_boxed_slice())
    }

    pub(super) fn key(&self) -> &[u8] {
        let (from, to) = self.name();
        self.0.get(from..to).unwrap_or_default()
    }

    /// The integer of a quota.
    pub(super) fn word(&self, quota: usize) -> u64 {
        let from = self.name().1 + 8 * quota;
        let word = self.0.get(from..).and_then(|rest| rest.first_chunk());
        word.map_or(0, |word| u64::from_le_bytes(*word))
    }

    pub(super) fn set_word(&mut self, quota: usize, word: u64) {
        let from = self.name().1 + 8 * quota;
        if let Some(place) = self.0.get_mut(from..from + 8) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// The breaker.
    pub(super) fn packed(&self, quotas: usize) -> &[u8] {
        self.0.get(self.name().1 + 8 * quotas..).unwrap_or_default()
    }

    pub(super) fn set_packed(&mut self, quotas: usize, packed: &[u8]) {
        let from = self.name().1 + 8 * quotas;
        match self.0.get_mut(from..) {
            Some(place) if place.len() == packed.len() => place.copy_from_slice(packed),
            _ => {
                let before = self.0.get(..from).unwrap_or_default();
                self.0 = [before, packed].concat().into_boxed_slice();
            }
        }
    }

    /// Where the name begins and ends.
    fn name(&self) -> (usize, usize) {
        match self.0.split_first() {
            Some((&LONG, rest)) => {
                let length = rest.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
                (5, 5 + usize::try_from(length).unwrap_or(0))
            }
            Some((short, _)) => (1, 1 + usize::from(*short)),
            None => (0, 0),
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }
}

// The map looks accounts up by the bytes of their names, so an account is hashed and compared as these.
impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}
