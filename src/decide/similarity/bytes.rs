//! Comparing sequences from either end, quickly; counting bytes.

/// An element of a compared sequence: a byte, or the number of a line or word.
pub(super) trait Symbol: Copy + Eq {
    /// How many are the same from the beginning.
    fn prefix(a: &[Self], b: &[Self]) -> usize;
    /// How many are the same from the end.
    fn suffix(a: &[Self], b: &[Self]) -> usize;
}

impl Symbol for u32 {
    fn prefix(a: &[Self], b: &[Self]) -> usize {
        a.iter().zip(b).take_while(|(a, b)| a == b).count()
    }

    fn suffix(a: &[Self], b: &[Self]) -> usize {
        a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
    }
}

/// Large blocks are compared by `==`, which is `memcmp`; the block that differs by smaller ones.
const BLOCKS: [usize; 3] = [32 * 1024, 1024, 64];

impl Symbol for u8 {
    #[inline]
    fn prefix(a: &[Self], b: &[Self]) -> usize {
        let n = a.len().min(b.len());
        let (a, b) = (&a[..n], &b[..n]);
        match words_prefix(a, b, 64) {
            at if at >= 64 => at + long_prefix(&a[at..], &b[at..]),
            at => at,
        }
    }

    #[inline]
    fn suffix(a: &[Self], b: &[Self]) -> usize {
        let n = a.len().min(b.len());
        let (a, b) = (&a[a.len() - n..], &b[b.len() - n..]);
        match words_suffix(a, b, 64) {
            at if at >= 64 => at + long_suffix(&a[..n - at], &b[..n - at]),
            at => at,
        }
    }
}

fn long_prefix(a: &[u8], b: &[u8]) -> usize {
    let n = a.len();
    let mut at = 0;
    for block in BLOCKS {
        while at + block <= n && a[at..at + block] == b[at..at + block] {
            at += block;
        }
    }
    at + words_prefix(&a[at..], &b[at..], usize::MAX)
}

fn long_suffix(a: &[u8], b: &[u8]) -> usize {
    let mut end = a.len();
    for block in BLOCKS {
        while end >= block && a[end - block..end] == b[end - block..end] {
            end -= block;
        }
    }
    a.len() - end + words_suffix(&a[..end], &b[..end], usize::MAX)
}

/// Eight bytes at a time, up to about `most`. Both are of the same length.
#[inline]
fn words_prefix(a: &[u8], b: &[u8], most: usize) -> usize {
    let mut at = 0;
    while at < most {
        let (Some(x), Some(y)) = (a[at..].first_chunk::<8>(), b[at..].first_chunk::<8>()) else {
            return at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count();
        };
        let differs = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differs != 0 {
            return at + (differs.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

#[inline]
fn words_suffix(a: &[u8], b: &[u8], most: usize) -> usize {
    let n = a.len();
    let mut at = 0;
    while at < most {
        let (Some(x), Some(y)) = (a[..n - at].last_chunk::<8>(), b[..n - at].last_chunk::<8>()) else {
            let (a, b) = (&a[..n - at], &b[..n - at]);
            return at + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
        };
        let differs = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differs != 0 {
            return at + (differs.leading_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// The eight bytes from there on, as a number; zeros beyond the end.
#[inline]
pub(super) fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes
            .get(at..)
            .unwrap_or_default()
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// How often each byte occurs. Four tables, as equal bytes that follow each other would wait for each other.
pub(super) fn histogram(bytes: &[u8]) -> [u64; 256] {
    let mut total = [0_u64; 256];
    if bytes.len() < 256 {
        bytes.iter().for_each(|byte| total[usize::from(*byte)] += 1);
        return total;
    }
    for part in bytes.chunks(1 << 24) {
        let mut tables = [[0_u32; 256]; 4];
        let (eights, rest) = part.as_chunks::<8>();
        for eight in eights {
            let word = u64::from_le_bytes(*eight).to_le_bytes();
            for (at, byte) in word.iter().enumerate() {
                tables[at % 4][usize::from(*byte)] += 1;
            }
        }
        for byte in rest {
            tables[0][usize::from(*byte)] += 1;
        }
        for table in tables {
            for (sum, count) in total.iter_mut().zip(table) {
                *sum += u64::from(count);
            }
        }
    }
    total
}

/// The sum of the differences of two histograms: no fewer bytes are inserted or deleted.
pub(super) fn histogram_distance(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).sum()
}

/// Whether the first lines of both, if they end within 64 KiB, end differently.
pub(super) fn eol_changed(a: &[u8], b: &[u8]) -> bool {
    let crlf = |bytes: &[u8]| {
        let end = bytes.iter().take(64 * 1024).position(|byte| *byte == b'\n')?;
        Some(end > 0 && bytes[end - 1] == b'\r')
    };
    matches!((crlf(a), crlf(b)), (Some(a), Some(b)) if a != b)
}
