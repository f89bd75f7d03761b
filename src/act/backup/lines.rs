//! Records in lines of text, each with its own check, so that a damaged one is known and costs no other.
//!
//! A line is `JSON #CHECK`, where the check is the first 8 bytes of the SHA-256 of the JSON, in hexadecimal. The last
//! line says how many there are before it and the SHA-256 of all their bytes, so that what was cut off is missed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::canonical::Fingerprint;

/// The last line of a file.
#[derive(Serialize, Deserialize)]
struct End {
    end: u64,
    hash: Fingerprint,
}

/// A file of records that is being written.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    lines: u64,
}

/// What could be read of a file of records.
pub(super) struct Reading<T> {
    /// Those that are sound, in their order.
    pub(super) records: Vec<T>,
    /// How many lines are not.
    pub(super) damaged: u64,
    /// Whether the file is the one that was written: nothing is cut off, changed or added.
    pub(super) whole: bool,
}

impl Writer {
    pub(super) fn push(&mut self, record: &impl Serialize) {
        self.line(record);
        self.lines += 1;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let end = End { end: self.lines, hash: Fingerprint::of_bytes(&self.bytes) };
        self.line(&end);
        self.bytes
    }

    fn line(&mut self, record: &impl Serialize) {
        let start = self.bytes.len();
        // Plain records in memory: there is nothing in them that JSON cannot say. If there ever were, the count would
        // not fit, and the file be known as damaged.
        drop(serde_json::to_writer(&mut self.bytes, record));
        let check = check(self.bytes.get(start..).unwrap_or_default());
        self.bytes.extend_from_slice(b" #");
        self.bytes.extend_from_slice(&check);
        self.bytes.push(b'\n');
    }
}

/// Reads what [`Writer`] wrote, as far as it still is.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Reading<T> {
    let mut reading = Reading { records: Vec::new(), damaged: 0, whole: false };
    let mut at = 0;
    let mut lines = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let begun = at;
        at += line.len();
        reading.whole = false;
        lines += 1;
        let Some(json) = sound(line) else {
            reading.damaged += 1;
            continue;
        };
        if let Ok(record) = serde_json::from_slice::<T>(json) {
            reading.records.push(record);
        } else if let Ok(End { end, hash }) = serde_json::from_slice(json) {
            let before = bytes.get(..begun).unwrap_or_default();
            reading.whole = end == lines - 1 && reading.damaged == 0 && hash == Fingerprint::of_bytes(before);
        } else {
            reading.damaged += 1;
        }
    }
    reading
}

/// The JSON of a line whose check fits.
fn sound(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (json, tail) = line.split_at_checked(line.len().checked_sub(TAIL)?)?;
    let given = tail.strip_prefix(b" #")?;
    (check(json) == given).then_some(json)
}

/// How long ` #CHECK` is.
const TAIL: usize = 18;

fn check(json: &[u8]) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = Fingerprint::of_bytes(json);
    let mut check = [0; 16];
    for (pair, byte) in check.chunks_exact_mut(2).zip(hash.digest()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = Writer::default();
        for number in 0..5_u32 {
            writer.push(&(number, "text"));
        }
        writer.finish()
    }

    #[test]
    fn cut_at_any_byte_it_is_not_whole_and_what_is_left_is_read() {
        let bytes = written();
        assert!(read::<(u32, String)>(&bytes).whole);
        for end in 0..bytes.len() {
            let reading = read::<(u32, String)>(&bytes[..end]);
            assert!(!reading.whole, "{end}");
            let lines = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(reading.records.len(), lines.min(5), "{end}");
        }
    }

    #[test]
    fn each_flipped_bit_is_known_and_costs_at_most_two_lines() {
        let bytes = written();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let reading = read::<(u32, String)>(&bytes);
            assert!(!reading.whole, "{bit}");
            assert!(reading.records.len() >= 3, "{bit}");
        }
    }

    #[test]
    fn what_is_added_or_exchanged_is_known() {
        let mut bytes = written();
        bytes.extend_from_slice(b"more\n");
        assert!(!read::<(u32, String)>(&bytes).whole);
        let bytes = written();
        let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        lines.swap(1, 2);
        assert!(!read::<(u32, String)>(&lines.concat()).whole);
        assert!(!read::<(u32, String)>(b"").whole);
    }
}
