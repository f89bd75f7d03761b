//! What is kept of a text so that another can be compared with it when the bytes are no longer there, or are too many.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bytes::{histogram, histogram_distance};
use super::grams;
use super::policy::{Error, Policy};
use super::steps::Known;
use super::tokens::{GEAR, between, longest_rising};
use super::verdict::{Cut, Step, Verdict};

/// Counters of five-byte sequences: two to the power of this.
const GRAM_BITS: u32 = 16;

/// A chunk ends where so many of the highest bits of its hash are zero: after 8 KiB on average.
const BITS: u32 = 13;
const CHUNK_MIN: usize = 2 * 1024;
const CHUNK_MAX: usize = 128 * 1024;

/// More chunks than this are joined, two or so to one.
const CHUNKS_MAX: usize = 1 << 16;

/// The largest level to which chunks are joined.
const LEVEL_MAX: u32 = 48;

/// What is known of a text without its bytes: its length, its histogram, the counts of its five-byte sequences, and
/// where its content-defined chunks end, each with its SHA-256.
///
/// At most 65,536 chunks: of 8 KiB on average, and twice as large whenever there are more. So at most about 4 MB, and of a
/// text of 1 MB about 20 KB besides the counts. It can be stored beside a version; [`Policy::compare_profiles`] compares two.
///
/// ```
/// use unattended::similarity::{Policy, Profile};
///
/// let profile = |parts: &[&[u8]]| {
///     let mut builder = Profile::builder();
///     parts.iter().for_each(|part| builder.update(part));
///     builder.finish()
/// };
/// let verdict = Policy::default().compare_profiles(&profile(&[b"in ", b"parts"]), &profile(&[b"in parts"]));
/// assert!(!verdict.is_meaningful());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Profile {
    stored: Stored,
}

/// The format: version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    version: u32,
    len: u64,
    /// How often each byte occurs.
    histogram: Vec<u64>,
    /// The counters that are not zero: (place, count), in order.
    grams: Vec<(u32, u32)>,
    /// How often chunks were joined.
    level: u32,
    /// Length, rank of the end, digest.
    chunks: Vec<Chunk>,
}

/// A stretch of the text. Its end has a rank, the zero bits beyond the first thirteen, so that either of two profiles can be
/// joined to the level of the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Chunk(u64, u32, Hex);

/// A digest, written in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex([u8; 32]);

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        hex.0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
            .collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let wrong = || Error::Profile { field: "digest", given: text.len() as u64, expected: 64 };
        let mut digest = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(wrong());
        }
        for (byte, pair) in digest.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte =
                digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
        }
        Ok(Self(digest))
    }
}

impl From<Profile> for Stored {
    fn from(profile: Profile) -> Self {
        profile.stored
    }
}

impl TryFrom<Stored> for Profile {
    type Error = Error;

    /// Takes only what could have been built: a count that was changed could turn a verdict round.
    fn try_from(stored: Stored) -> Result<Self, Error> {
        let is = |field, given: u64, expected: u64| {
            if given == expected { Ok(()) } else { Err(Error::Profile { field, given, expected }) }
        };
        let add = |sum: u64, part: u64| sum.saturating_add(part);
        is("version", u64::from(stored.version), 1)?;
        is("histogram", stored.histogram.len() as u64, 256)?;
        is("sum of the histogram", stored.histogram.iter().copied().fold(0, add), stored.len)?;
        is("sum of the chunks", stored.chunks.iter().map(|chunk| chunk.0).fold(0, add), stored.len)?;
        let grams = stored.len.saturating_sub(grams::Q as u64 - 1) & u64::from(u32::MAX);
        let counted = stored.grams.iter().fold(0_u32, |sum, (_, count)| sum.wrapping_add(*count));
        is("sum of the sequences", u64::from(counted), grams)?;
        let rising = stored.grams.is_sorted_by(|a, b| a.0 < b.0);
        is("order of the sequences", u64::from(rising), 1)?;
        is("level", u64::from(stored.level.min(LEVEL_MAX)), u64::from(stored.level))?;
        Ok(Self { stored })
    }
}

impl Profile {
    /// Begins with nothing.
    #[must_use]
    pub fn builder() -> ProfileBuilder {
        ProfileBuilder::default()
    }

    /// The length of the text in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.stored.len
    }

    /// Whether the text is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stored.len == 0
    }

    /// The chunks at a level: those between are joined, and their digest is that of their digests.
    fn chunks(&self, level: u32) -> Vec<Chunk> {
        let mut chunks = self.stored.chunks.clone();
        for above in self.stored.level..level.min(LEVEL_MAX) {
            chunks = joined(&chunks, above + 1);
        }
        chunks
    }
}

/// The chunks between two ends of that rank become one.
fn joined(chunks: &[Chunk], rank: u32) -> Vec<Chunk> {
    let mut all = Vec::new();
    let mut open = Open::default();
    for (at, chunk) in chunks.iter().enumerate() {
        open.take_in(chunk);
        if chunk.1 >= rank || at + 1 == chunks.len() {
            all.push(open.end(chunk.1));
        }
    }
    all
}

/// Takes the bytes of a text in, part by part, and keeps under 5 MB of it.
#[derive(Clone, Debug)]
pub struct ProfileBuilder {
    len: u64,
    histogram: Vec<u64>,
    grams: Vec<u32>,
    /// The last bytes, whose sequences are not yet complete.
    tail: VecDeque<u8>,
    level: u32,
    chunks: Vec<Chunk>,
    /// What is being joined, for each level above the first.
    open: Vec<Open>,
    /// The chunk under way: digest, length and rolling hash.
    digest: Sha256,
    pending: usize,
    hash: u64,
}

/// Chunks that are being joined to one.
#[derive(Clone, Debug, Default)]
struct Open {
    len: u64,
    digest: Sha256,
}

impl Open {
    fn take_in(&mut self, chunk: &Chunk) {
        self.len = self.len.saturating_add(chunk.0);
        self.digest.update(chunk.2.0);
    }

    fn end(&mut self, rank: u32) -> Chunk {
        let Self { len, digest } = std::mem::take(self);
        Chunk(len, rank, Hex(digest.finalize().into()))
    }
}

impl Default for ProfileBuilder {
    fn default() -> Self {
        Self {
            len: 0,
            histogram: vec![0; 256],
            grams: vec![0; 1 << GRAM_BITS],
            tail: VecDeque::new(),
            level: 0,
            chunks: Vec::new(),
            open: Vec::new(),
            digest: Sha256::new(),
            pending: 0,
            hash: 0,
        }
    }
}

impl ProfileBuilder {
    /// Takes in what comes next. How a text is parted makes no difference.
    pub fn update(&mut self, bytes: &[u8]) {
        self.len = self.len.saturating_add(bytes.len() as u64);
        for (sum, count) in self.histogram.iter_mut().zip(histogram(bytes)) {
            *sum = sum.saturating_add(count);
        }
        self.count_grams(bytes);
        self.cut(bytes);
    }

    /// The profile of what was taken in.
    #[must_use]
    pub fn finish(mut self) -> Profile {
        if self.pending > 0 {
            self.end_chunk(0);
        }
        for level in 0..self.open.len() {
            if self.open[level].len > 0 {
                let chunk = self.open[level].end(0);
                match self.open.get_mut(level + 1) {
                    Some(above) => above.take_in(&chunk),
                    None => self.chunks.push(chunk),
                }
            }
        }
        let counted = self.grams.iter().enumerate().filter(|(_, count)| **count > 0);
        let grams = counted.filter_map(|(at, count)| Some((u32::try_from(at).ok()?, *count))).collect();
        let Self { len, histogram, level, chunks, .. } = self;
        Profile { stored: Stored { version: 1, len, histogram, grams, level, chunks } }
    }

    fn count_grams(&mut self, bytes: &[u8]) {
        let mut count = |at: usize| self.grams[at] = self.grams[at].wrapping_add(1);
        // Those that began in the part before end within the first four bytes of this one.
        let head = &bytes[..bytes.len().min(grams::Q - 1)];
        let seam: Vec<u8> = self.tail.iter().copied().chain(head.iter().copied()).collect();
        grams::each(&seam, GRAM_BITS, &mut count);
        grams::each(bytes, GRAM_BITS, &mut count);
        if bytes.len() >= grams::Q - 1 {
            self.tail.clear();
        }
        self.tail.extend(&bytes[bytes.len() - head.len()..]);
        while self.tail.len() > grams::Q - 1 {
            self.tail.pop_front();
        }
    }

    fn cut(&mut self, bytes: &[u8]) {
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            self.pending += 1;
            let zeros = self.hash.leading_zeros();
            let ends = zeros >= BITS && self.pending >= CHUNK_MIN;
            if ends || self.pending >= CHUNK_MAX {
                self.digest.update(&bytes[from..=at]);
                from = at + 1;
                self.end_chunk(if ends { zeros - BITS } else { 0 });
            }
        }
        self.digest.update(&bytes[from..]);
    }

    fn end_chunk(&mut self, rank: u32) {
        let digest = std::mem::take(&mut self.digest).finalize();
        let mut chunk = Chunk(self.pending as u64, rank, Hex(digest.into()));
        self.pending = 0;
        for (open, level) in self.open.iter_mut().zip(1..) {
            open.take_in(&chunk);
            if rank < level {
                return;
            }
            chunk = open.end(rank);
        }
        self.chunks.push(chunk);
        if self.chunks.len() >= CHUNKS_MAX && self.level < LEVEL_MAX {
            self.join();
        }
    }

    /// One level up. What is not complete there stays open.
    fn join(&mut self) {
        self.level += 1;
        let mut open = Open::default();
        for chunk in std::mem::take(&mut self.chunks) {
            open.take_in(&chunk);
            if chunk.1 >= self.level {
                self.chunks.push(open.end(chunk.1));
            }
        }
        self.open.push(open);
    }
}

impl Policy {
    /// Whether the text of one profile is a meaningful change of that of another, as far as profiles tell: by lengths,
    /// histograms, counted sequences, and the chunks that both have. What they leave open is assumed to be meaningful.
    ///
    /// The memory is bounded, whatever the lengths. Chunks with one SHA-256 are taken to be equal. Profiles are about bytes: a policy
    /// with another unit compares them by bytes too.
    pub fn compare_profiles(&self, old: &Profile, new: &Profile) -> Verdict {
        let (old, new) = (&old.stored, &new.stored);
        let k = self.allowed(old.len, new.len);
        let mut known = Known {
            step: Step::Length,
            at_least: old.len.abs_diff(new.len),
            at_most: old.len.saturating_add(new.len),
            cut: None,
        };
        let decided = known.at_least > k
            || known.learn(Step::Histogram, histogram_distance(&old.histogram, &new.histogram), u64::MAX, k)
            || known.learn(Step::Grams, gram_distance(&old.grams, &new.grams), u64::MAX, k)
            || {
                let most = chunk_distance(old, new);
                known.learn(if most == 0 { Step::Equal } else { Step::Chunks }, 0, most, k)
            };
        if !decided {
            known.cut = Some(Cut::Profiles);
        }
        let bytes = Self::builder().build().unwrap_or_default();
        bytes.verdict((old.len, new.len, k), known, || false)
    }
}

/// As for whole texts; the counters wrap at 2^32.
fn gram_distance(a: &[(u32, u32)], b: &[(u32, u32)]) -> u64 {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut sum = 0_u64;
    loop {
        let (x, y) = match (a.peek().copied(), b.peek().copied()) {
            (None, None) => return sum.div_ceil(grams::EACH),
            (Some(x), Some(y)) if x.0 == y.0 => (a.next(), b.next()),
            (Some(x), Some(y)) if x.0 > y.0 => (None, b.next()),
            (None, Some(_)) => (None, b.next()),
            _ => (a.next(), None),
        };
        let count = |side: Option<&(u32, u32)>| side.map_or(0, |(_, count)| *count);
        let difference = count(x).wrapping_sub(count(y)).cast_signed();
        sum = sum.saturating_add(u64::from(difference.unsigned_abs()));
    }
}

/// What is not in chunks that both have in the same order: no more bytes are inserted or deleted.
fn chunk_distance(old: &Stored, new: &Stored) -> u64 {
    let level = old.level.max(new.level);
    let of = |stored: &Stored| Profile { stored: stored.clone() }.chunks(level);
    let (a, b) = (of(old), of(new));
    let once = |chunks: &[Chunk]| {
        let mut places = std::collections::BTreeMap::new();
        for (at, chunk) in chunks.iter().enumerate() {
            let place = u32::try_from(at).ok();
            places.entry(chunk.2).and_modify(|place| *place = None).or_insert(place);
        }
        places
    };
    let (in_a, in_b) = (once(&a), once(&b));
    let mut pairs: Vec<(u32, u32)> =
        (in_a.iter()).filter_map(|(digest, place)| Some(((*place)?, (*in_b.get(digest)?)?))).collect();
    pairs.sort_unstable();
    // Equal digests are equal bytes, so the rank of the end may differ only where a text ends.
    let digests = |chunks: &[Chunk]| chunks.iter().map(|chunk| (chunk.0, chunk.2)).collect::<Vec<_>>();
    let gaps = between(&digests(&a), &digests(&b), &longest_rising(&pairs));
    let size = |chunks: &[Chunk]| chunks.iter().map(|chunk| chunk.0).fold(0, u64::saturating_add);
    gaps.into_iter().map(|(i, j)| size(&a[i]).saturating_add(size(&b[j]))).fold(0, u64::saturating_add)
}
