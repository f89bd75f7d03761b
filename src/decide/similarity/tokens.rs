//! Texts as lines, chunks or words, and those that both have in the same order.

use std::ops::Range;

use super::bytes::word_at;

/// Where a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cuts {
    /// After each line feed.
    Lines,
    /// Where the bytes before say so, every `2^bits` bytes on average: the same bytes are cut alike wherever they stand.
    Chunks {
        /// The logarithm of the average length.
        bits: u32,
    },
    /// Between words, runs of white space, and other bytes.
    Words,
}

/// A place that differs: a range of either text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

impl Gap {
    pub(super) fn size(&self) -> u64 {
        (self.old.len() + self.new.len()) as u64
    }
}

/// What is between the tokens that both have in the same order. `None` if there are more than `most` tokens in all.
pub(super) fn gaps(a: &[u8], b: &[u8], cuts: Cuts, most: usize) -> Option<Vec<Gap>> {
    let old = ends(a, cuts, most)?;
    let new = ends(b, cuts, most - old.len().min(most))?;
    let ids = intern(&[(a, &old), (b, &new)]);
    let (old_ids, new_ids) = ids.split_at(old.len());
    let anchors = anchors(old_ids, new_ids);
    let place = |ends: &[u32], at: usize| if at == 0 { 0 } else { ends[at - 1] as usize };
    let mut gaps = Vec::new();
    for (i, j) in between(old_ids, new_ids, &anchors) {
        gaps.push(Gap {
            old: place(&old, i.start)..place(&old, i.end),
            new: place(&new, j.start)..place(&new, j.end),
        });
    }
    Some(gaps)
}

/// How many bytes each token takes while it is worked with, about: its end, its number, its place in the table twice,
/// and what is counted of it.
pub(super) const TOKEN_BYTES: u64 = 32;

/// Where each token ends. `None` if there are more than `most`.
pub(super) fn ends(bytes: &[u8], cuts: Cuts, most: usize) -> Option<Vec<u32>> {
    let mut ends = Vec::new();
    match cuts {
        Cuts::Lines => lines(bytes, most, &mut ends),
        Cuts::Chunks { bits } => chunks(bytes, bits, most, &mut ends),
        Cuts::Words => words(bytes, most, &mut ends),
    }
    if ends.last().map_or(0, |end| *end as usize) < bytes.len() && ends.len() <= most {
        ends.push(u32::try_from(bytes.len()).ok()?);
    }
    (ends.len() <= most).then_some(ends)
}

fn end(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn lines(bytes: &[u8], most: usize, ends: &mut Vec<u32>) {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let mut at = 0;
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let x = u64::from_le_bytes(*eight) ^ 0x0A0A_0A0A_0A0A_0A0A;
        let mut found = !(((x & LOW) + LOW) | x | LOW);
        while found != 0 {
            ends.push(end(at + (found.trailing_zeros() / 8) as usize + 1));
            found &= found - 1;
        }
        if ends.len() > most {
            return;
        }
        at += 8;
    }
    ends.extend(rest.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| end(at + i + 1)));
}

/// A number for each byte that has nothing to do with it (SplitMix64).
pub(super) const GEAR: [u64; 256] = {
    let mut gear = [0; 256];
    let mut state = 0x0123_4567_89AB_CDEF_u64;
    let mut at = 0;
    while at < 256 {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        gear[at] = z ^ (z >> 31);
        at += 1;
    }
    gear
};

fn chunks(bytes: &[u8], bits: u32, most: usize, ends: &mut Vec<u32>) {
    let (least, longest) = (1_usize << (bits - 2), 1_usize << (bits + 3));
    let (mut hash, mut start) = (0_u64, 0);
    for (at, byte) in bytes.iter().enumerate() {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        let length = at + 1 - start;
        if (hash >> (64 - bits) == 0 && length >= least) || length >= longest {
            ends.push(end(at + 1));
            start = at + 1;
            if ends.len() > most {
                return;
            }
        }
    }
}

fn words(bytes: &[u8], most: usize, ends: &mut Vec<u32>) {
    let class = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | 0x80.. => 1,
        b' ' | b'\t' | b'\r' | b'\n' => 2,
        _ => 0,
    };
    let mut last = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let here = class(*byte);
        if at > 0 && (here != last || here == 0) {
            ends.push(end(at));
            if ends.len() > most {
                return;
            }
        }
        last = here;
    }
}

/// A number for each token of both texts, one after the other; equal tokens have equal numbers. Numbers are below the count
/// of tokens.
///
/// Equality is that of the bytes. Where many tokens share a place in the table, which only contrived text does, some get a
/// number of their own though an equal one stands elsewhere; [`intern_exact`] says whether that was so.
fn intern(texts: &[(&[u8], &[u32]); 2]) -> Vec<u32> {
    intern_exact(texts).0
}

/// As [`intern`], and whether equal tokens surely have equal numbers.
pub(super) fn intern_exact(texts: &[(&[u8], &[u32]); 2]) -> (Vec<u32>, bool) {
    const PROBES: usize = 256;
    let count: usize = texts.iter().map(|(_, ends)| ends.len()).sum();
    let size = (count * 2).next_power_of_two().max(16);
    let mut table = vec![u32::MAX; size];
    // Of each number: where its bytes are; its hash and, in the lowest bit, which of the two texts they are in.
    let mut known: Vec<(u32, u32, u32)> = Vec::new();
    let mut ids = Vec::with_capacity(count);
    let mut exact = true;
    for (which, (text, ends)) in texts.iter().enumerate() {
        let mut start = 0;
        for end in *ends {
            let token = &text[start as usize..*end as usize];
            let hash = hash(token);
            let mut at = (hash >> 32) as usize & (size - 1);
            let short = hash & u64::from(u32::MAX);
            let mut probes = 0;
            let id = loop {
                let id = table[at];
                if id == u32::MAX || probes == PROBES {
                    let new = u32::try_from(known.len()).unwrap_or(u32::MAX - 1);
                    known.push((start, *end, low(short << 1 | (which as u64 & 1))));
                    if id == u32::MAX {
                        table[at] = new
                    } else {
                        exact = false
                    }
                    break new;
                }
                let (from, to, tag) = known[id as usize];
                let of = texts[(tag & 1) as usize].0;
                if tag >> 1 == low(short) & (u32::MAX >> 1) && of[from as usize..to as usize] == *token {
                    break id;
                }
                at = (at + 1) & (size - 1);
                probes += 1;
            };
            ids.push(id);
            start = *end;
        }
    }
    (ids, exact)
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low(word: u64) -> u32 {
    word as u32
}

fn hash(token: &[u8]) -> u64 {
    let mut hash = token.len() as u64 ^ 0x243F_6A88_85A3_08D3;
    let mut at = 0;
    while at < token.len() {
        let word = if token.len() - at >= 8 { word_at(token, at) } else { word_at(&token[at..], 0) };
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        at += 8;
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 29)
}

/// The tokens that occur once in either text, as long as their order is the same: (place in the old, place in the new).
///
/// Of several orders the one with the most tokens is taken (patience diff).
fn anchors(old: &[u32], new: &[u32]) -> Vec<(u32, u32)> {
    const OFTEN: u32 = u32::MAX - 1;
    const NEVER: u32 = u32::MAX;
    let ids = old.iter().chain(new).max().map_or(0, |id| *id as usize + 1);
    let places = |tokens: &[u32]| {
        let mut places = vec![NEVER; ids];
        for (at, id) in tokens.iter().enumerate() {
            let place = &mut places[*id as usize];
            *place = if *place == NEVER { end(at) } else { OFTEN };
        }
        places
    };
    let (in_old, in_new) = (places(old), places(new));
    let pairs: Vec<(u32, u32)> = (old.iter().enumerate())
        .filter(|(_, id)| in_old[**id as usize] < OFTEN && in_new[**id as usize] < OFTEN)
        .map(|(at, id)| (end(at), in_new[*id as usize]))
        .collect();
    drop((in_old, in_new));
    longest_rising(&pairs)
}

/// The longest sequence of pairs, in their order, of which the second numbers rise too.
pub(super) fn longest_rising(pairs: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut tops: Vec<u32> = Vec::new();
    let mut before = vec![u32::MAX; pairs.len()];
    for (at, (_, place)) in pairs.iter().enumerate() {
        let pile = tops.partition_point(|top| pairs[*top as usize].1 < *place);
        if pile > 0 {
            before[at] = tops[pile - 1];
        }
        if pile == tops.len() { tops.push(end(at)) } else { tops[pile] = end(at) }
    }
    let mut chosen = Vec::with_capacity(tops.len());
    let mut at = tops.last().copied().unwrap_or(u32::MAX);
    while let Some(pair) = pairs.get(at as usize) {
        chosen.push(*pair);
        at = before[at as usize];
    }
    chosen.reverse();
    chosen
}

/// What is between the anchors, each grown to both sides as far as the tokens are equal.
pub(super) fn between<T: PartialEq>(
    old: &[T],
    new: &[T],
    anchors: &[(u32, u32)],
) -> Vec<(Range<usize>, Range<usize>)> {
    let mut gaps = Vec::new();
    let (mut i, mut j) = (0, 0);
    let grow = |i: &mut usize, j: &mut usize| {
        while *i < old.len() && *j < new.len() && old[*i] == new[*j] {
            (*i, *j) = (*i + 1, *j + 1);
        }
    };
    grow(&mut i, &mut j);
    let ends = (end(old.len()), end(new.len()));
    for (x, y) in anchors.iter().chain(Some(&ends)) {
        let (x, y) = (*x as usize, *y as usize);
        if x < i || y < j {
            continue;
        }
        let (mut x0, mut y0) = (x, y);
        while x0 > i && y0 > j && old[x0 - 1] == new[y0 - 1] {
            (x0, y0) = (x0 - 1, y0 - 1);
        }
        if x0 > i || y0 > j {
            gaps.push((i..x0, j..y0));
        }
        (i, j) = (x, y);
        grow(&mut i, &mut j);
    }
    gaps
}
