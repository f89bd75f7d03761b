//! The kind of a line: what stays the same from one to the next.

use crate::decide::baseline::Severity;
use crate::observe::lines::header::{Header, header};

const LINE_MAX: usize = 4096;

/// Makes `component|level|message` of a line, with everything that changes from line to line as `*`.
///
/// Time, host, process and thread are left out ([the headers](crate::observe::lines) that it reads). Of the message a word becomes `*` if it has a
/// digit or an `@`, or is hexadecimal of eight letters or more; of a path, what follows its first part; what stands behind `=`
/// if there is a dot or a slash in it. So numbers, ids, addresses, UUIDs and dates are all `*`, and a list of them is one `*`, however long.
/// Names of people and hosts that have no digit stay, for nothing tells them from other words; put them behind `=`, or take
/// a [capture](crate::observe::lines::Key::capture).
///
/// Works on bytes: text need not be UTF-8. A line is read up to [`line_max`](Self::line_max).
///
/// ```
/// use unattended::baseline::Severity;
/// use unattended::lines::Masker;
///
/// let (masker, mut key) = (Masker::new(), Vec::new());
/// let line = b"2015-10-18 18:01:47,978 WARN [main] org.apache.Client: 10.0.0.7:9000 gave 3 of 5 blocks in /data/d1/b77";
/// let masked = masker.mask(line, &mut key);
/// assert_eq!(String::from_utf8_lossy(&key), "org.apache.Client|WARN|* gave * of * blocks in /data/*");
/// assert_eq!((masked.severity, masked.cut), (Severity::Warn, 0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Masker {
    line_max: usize,
}

/// What was seen of a line beside its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masked {
    /// How bad the line says that it is.
    pub severity: Severity,
    /// How many bytes were left out, as the line was too long.
    pub cut: usize,
}

impl Default for Masker {
    fn default() -> Self {
        Self::new()
    }
}

impl Masker {
    /// Reads the first 4,096 bytes of a line.
    #[must_use]
    pub const fn new() -> Self {
        Self { line_max: LINE_MAX }
    }

    /// How many bytes of a line are read; at least 64.
    #[must_use]
    pub const fn line_max(mut self, bytes: usize) -> Self {
        self.line_max = if bytes < 64 { 64 } else { bytes };
        self
    }

    /// Writes the kind of `line` into `key`, in place of what was there. Allocates only if `key` has never been so long.
    pub fn mask(&self, line: &[u8], key: &mut Vec<u8>) -> Masked {
        let whole = line.trim_ascii_end();
        let cut = whole.len().saturating_sub(self.line_max);
        let Header { severity, component, message } = header(&whole[..whole.len() - cut]);
        key.clear();
        // No mask is longer than what it stands for, but for a `*` behind a path.
        key.reserve(component.len() + message.len() + 16);
        masked_numbers(component, key);
        key.push(b'|');
        key.extend_from_slice(severity.word().as_bytes());
        key.push(b'|');
        masked_words(message, key);
        Masked { severity, cut }
    }
}

// What a byte is.
const DIGIT: u8 = 1;
const SLASH: u8 = 2;
const DOT: u8 = 4;
const AT: u8 = 8;
/// A letter that is no hexadecimal digit, or any other byte.
const OTHER: u8 = 16;
/// Ends a word.
const END: u8 = 32;
/// Ends a word, and may stand between the numbers of a list.
const SOFT: u8 = 64;

const CLASS: [u8; 256] = {
    let mut class = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let letter = byte as u8;
        class[byte] = match letter {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => 0,
            b'/' => SLASH,
            b'.' => DOT | OTHER,
            b'@' => AT,
            b' ' | b',' | b':' | b'\t' => END | SOFT,
            b';' | b'=' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b'"' | b'\'' | b'|'
            | b'!' | b'?' => END,
            _ => OTHER,
        };
        byte += 1;
    }
    class
};

fn masked_words(message: &[u8], key: &mut Vec<u8>) {
    let mut rest = message;
    let mut behind_equals = false;
    // Where the last `*` ended, as long as only what may stand in a list came since.
    let mut list = None::<usize>;
    while !rest.is_empty() {
        let mut seen = 0;
        let mut end = 0;
        for byte in rest {
            let class = CLASS[usize::from(*byte)];
            if class & END != 0 {
                break;
            }
            seen |= class;
            end += 1;
        }
        let (word, after) = rest.split_at(end);
        let head = if end > 0 { kept(word, seen, behind_equals) } else { 0 };
        let separator = after.first().copied();
        if head == end {
            // The word and what ends it, in one piece.
            key.extend_from_slice(&rest[..end + usize::from(separator.is_some())]);
            list = list.filter(|_| end == 0);
        } else {
            match list.filter(|_| head == 0) {
                Some(star) => key.truncate(star),
                None => {
                    key.extend_from_slice(&word[..head]);
                    key.push(b'*');
                }
            }
            list = Some(key.len());
            key.extend(separator);
        }
        let Some(separator) = separator else { break };
        if CLASS[usize::from(separator)] & SOFT == 0 {
            list = None;
        }
        behind_equals = separator == b'=';
        rest = &after[1..];
    }
    while key.last().is_some_and(u8::is_ascii_whitespace) {
        key.pop();
    }
}

/// How many bytes of a word stay; the rest is masked.
#[inline]
fn kept(word: &[u8], seen: u8, behind_equals: bool) -> usize {
    if seen & (DIGIT | SLASH | AT) == 0 {
        let is_hex = seen == 0 && word.len() >= 8;
        let is_value = behind_equals && seen & DOT != 0;
        return if is_hex || is_value { 0 } else { word.len() };
    }
    if seen & SLASH == 0 {
        return 0;
    }
    // The first part of a path stays if nothing in it changes.
    let begins = usize::from(word[0] == b'/');
    let part = word[begins..].iter().position(|byte| *byte == b'/').map(|at| begins + at + 1);
    let stays = part.filter(|end| *end < word.len() && !behind_equals);
    let head =
        stays.filter(|end| word[..*end].iter().all(|byte| CLASS[usize::from(*byte)] & (DIGIT | AT) == 0));
    if head.is_none() && word.len() == 1 {
        return 1;
    }
    head.unwrap_or(0)
}

/// A component, with each number as `*`.
fn masked_numbers(component: &[u8], key: &mut Vec<u8>) {
    let mut before = false;
    for byte in component {
        let digit = byte.is_ascii_digit();
        if !digit {
            key.push(*byte);
        } else if !before {
            key.push(b'*');
        }
        before = digit;
    }
}
