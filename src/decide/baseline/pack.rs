//! Counts as text: sorted hashes as differences, numbers seven bits at a time, all of it in base 64.

use crate::decide::baseline::table::{AGED, SINGLE, Slot};

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The kinds as bytes; the age of each is counted from `epoch`.
pub(super) fn pack<'a>(slots: impl Iterator<Item = &'a Slot>, epoch: u16) -> Vec<u8> {
    let mut slots: Vec<&Slot> = slots.collect();
    slots.sort_unstable_by_key(|slot| slot.hash);
    let (mut bytes, mut before) = (Vec::with_capacity(slots.len() * 10), 0);
    for slot in slots {
        number(&mut bytes, slot.hash - before);
        before = slot.hash;
        number(&mut bytes, u64::from(slot.count));
        number(&mut bytes, u64::from(epoch.wrapping_sub(slot.last)));
        bytes.push(slot.flags & (SINGLE | AGED));
    }
    bytes
}

/// The kinds, or what is wrong with the bytes.
pub(super) fn unpack(bytes: &[u8], epoch: u16) -> Result<Vec<Slot>, &'static str> {
    let (mut rest, mut before, mut slots) = (bytes, 0_u64, Vec::new());
    while !rest.is_empty() {
        let difference = read(&mut rest).ok_or(CUT)?;
        let hash = before
            .checked_add(difference)
            .filter(|hash| difference > 0 && *hash > 0)
            .ok_or("a hash is none")?;
        before = hash;
        let count = u32::try_from(read(&mut rest).ok_or(CUT)?).map_err(|_| "a count is too large")?;
        let age = u16::try_from(read(&mut rest).ok_or(CUT)?).map_err(|_| "an age is too large")?;
        let (flags, after) = rest.split_first().ok_or(CUT)?;
        if flags & !(SINGLE | AGED) != 0 {
            return Err("a flag is none");
        }
        rest = after;
        slots.push(Slot { hash, count, last: epoch.wrapping_sub(age), flags: *flags });
    }
    Ok(slots)
}

const CUT: &str = "it ends in the middle of a kind";

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn read(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Base 64 without padding (RFC 4648).
pub(super) fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let joined = chunk.iter().fold(0_u32, |joined, byte| joined << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for letter in 0..=chunk.len() {
            let bits = joined >> (18 - 6 * letter) & 63;
            text.push(char::from(LETTERS[bits as usize]));
        }
    }
    text
}

/// The bytes of a text in base 64, or what is wrong with it.
pub(super) fn from_text(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4 + 3);
    for chunk in text.as_bytes().chunks(4) {
        let mut joined = 0_u32;
        for letter in chunk {
            let bits = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err("a letter is not of base 64"),
            };
            joined = joined << 6 | u32::from(bits);
        }
        if chunk.len() == 1 {
            return Err("it ends in the middle of a byte");
        }
        joined <<= 6 * (4 - chunk.len());
        let [_, first, second, third] = joined.to_be_bytes();
        bytes.extend([first, second, third].into_iter().take(chunk.len() - 1));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_is_read_again(
            kinds in prop::collection::btree_map(1..=u64::MAX, (any::<u32>(), any::<u16>(), 0_u8..2), 0..40),
            epoch in any::<u16>(), cut in any::<prop::sample::Index>(),
        ) {
            let slots: Vec<Slot> = kinds
                .iter()
                .map(|(hash, (count, last, flag))| Slot { hash: *hash, count: *count, last: *last, flags: *flag })
                .collect();
            let bytes = pack(slots.iter(), epoch);
            let text = to_text(&bytes);
            prop_assert_eq!(from_text(&text), Ok(bytes.clone()));
            prop_assert_eq!(unpack(&bytes, epoch), Ok(slots.clone()));
            // What is cut is a prefix of it, or is refused.
            let part = unpack(&bytes[..cut.index(bytes.len() + 1)], epoch);
            if let Ok(part) = part {
                prop_assert_eq!(&part[..], &slots[..part.len()]);
            }
        }

        #[test]
        fn no_text_and_no_bytes_panic(text in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            drop(from_text(&text));
            drop(unpack(&bytes, 7));
        }
    }

    #[test]
    fn the_text_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(to_text(bytes.as_bytes()), text);
        }
    }
}
