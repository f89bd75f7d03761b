//! What stands before the message: time, level, thread, host, component.
//!
//! No format is configured. From the beginning of the line words are taken as long as each of them is a time, a number, a level, a
//! separator, or a thread in brackets; what follows them and ends with a colon is the component. That reads Apache's error log,
//! log4j as Hadoop and ZooKeeper write it, syslog (RFC 3164 and 5424), and what most programs write by themselves.

use crate::decide::baseline::Severity;
use crate::observe::lines::level::{of_priority, severity};

/// How many words may stand before the message.
const WORDS_MAX: usize = 12;
/// How long something in brackets may be.
const BRACKETS_MAX: usize = 200;

/// A line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) severity: Severity,
    pub(super) component: &'a [u8],
    pub(super) message: &'a [u8],
}

pub(super) fn header(line: &[u8]) -> Header<'_> {
    let mut reader =
        Reader { rest: line, severity: Severity::Unknown, component: b"", timed: false, host: false };
    reader.priority();
    for _ in 0..WORDS_MAX {
        if !reader.word() || (reader.host && reader.timed) {
            break;
        }
    }
    if reader.host {
        let (_host, rest) = split_word(trim(reader.rest));
        reader.rest = rest;
    }
    if reader.component.is_empty() {
        reader.component();
    }
    Header { severity: reader.severity, component: reader.component, message: trim(reader.rest) }
}

struct Reader<'a> {
    rest: &'a [u8],
    severity: Severity,
    component: &'a [u8],
    /// A time or a level was read, so that brackets are a thread.
    timed: bool,
    /// A host follows.
    host: bool,
}

impl<'a> Reader<'a> {
    /// `<34>`, and the version behind it.
    fn priority(&mut self) {
        let Some(rest) = self.rest.strip_prefix(b"<") else { return };
        let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || rest.get(digits) != Some(&b'>') {
            return;
        }
        let priority = rest[..digits].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        self.severity = of_priority(priority);
        self.rest = &rest[digits + 1..];
        if let Some(rest) = self.rest.strip_prefix(b"1 ") {
            self.rest = rest;
            self.host = true;
        }
    }

    /// Takes one word that is no part of the message.
    fn word(&mut self) -> bool {
        let rest = trim(self.rest);
        let Some(first) = rest.first() else { return false };
        if *first == b'[' {
            return self.brackets(rest);
        }
        let (word, after) = split_word(rest);
        let bare = word.strip_suffix(b":").unwrap_or(word);
        if matches!(word, b"-" | b"|" | b":" | b"--") && self.timed {
            self.rest = after;
        } else if first.is_ascii_digit() && is_time(word) {
            (self.rest, self.timed) = (after, true);
        } else if let Some(found) = severity(bare).filter(|_| is_level(bare, word, after)) {
            self.level(found);
            self.rest = after;
        } else if is_month(bare) && self.day(after) {
            self.host = true;
        } else if is_weekday(bare) && self.timed_after(after) {
            self.rest = after;
        } else if let Some(value) = strip_name(word) {
            if let Some(found) = value {
                self.level(found);
            }
            (self.rest, self.timed) = (after, true);
        } else {
            return false;
        }
        true
    }

    fn level(&mut self, found: Severity) {
        self.severity = found;
        self.timed = true;
    }

    /// `14 15:16:01` behind a month.
    fn day(&mut self, after: &'a [u8]) -> bool {
        let (day, after) = split_word(trim(after));
        let (time, after) = split_word(trim(after));
        let fits = (1..=2).contains(&day.len())
            && day.iter().all(u8::is_ascii_digit)
            && time.first().is_some_and(u8::is_ascii_digit)
            && time.contains(&b':')
            && is_time(time);
        if fits {
            (self.rest, self.timed) = (after, true);
        }
        fits
    }

    /// Whether a weekday is followed by what can be a date.
    fn timed_after(&self, after: &[u8]) -> bool {
        let (next, _) = split_word(trim(after));
        is_month(next) || next.first().is_some_and(u8::is_ascii_digit)
    }

    /// `[Sun Dec 04 04:47:44 2005]`, `[notice]`, `[core:error]`, `[pid 12]`, `[main]`, `[worker/host:Class@12]`.
    fn brackets(&mut self, rest: &'a [u8]) -> bool {
        let Some(end) = closing(rest) else { return false };
        let (inner, after) = (&rest[1..end], &rest[end + 1..]);
        if let Some(found) = severity(inner) {
            self.level(found);
        } else if (inner.first().is_some_and(u8::is_ascii_digit) && inner.contains(&b':') && !self.timed)
            || is_weekday(split_word(inner).0)
            || is_month(split_word(inner).0)
        {
            self.timed = true;
        } else if !self.timed {
            return false;
        } else if let Some((module, found)) = module_and_level(inner) {
            self.level(found);
            self.component = module;
        } else if let Some(class) = class_of_thread(inner) {
            self.component = class;
        }
        self.rest = after;
        true
    }

    /// `sshd(pam_unix)[19939]:`, `org.apache.hadoop.Class:`.
    fn component(&mut self) {
        let rest = trim(self.rest);
        let (word, after) = split_word(rest);
        let Some(name) = word.strip_suffix(b":") else { return };
        if !self.timed || name.is_empty() || name.len() > BRACKETS_MAX {
            return;
        }
        let end = name.iter().rposition(|byte| *byte == b'[').filter(|_| name.ends_with(b"]"));
        self.component = &name[..end.unwrap_or(name.len())];
        self.rest = after;
    }
}

/// A word of the message may be a level too: `Error` in front of `reading the file`. It is one if it is in capitals, or stands alone
/// between separators.
fn is_level(bare: &[u8], word: &[u8], after: &[u8]) -> bool {
    bare.iter().all(u8::is_ascii_uppercase)
        || word.ends_with(b":")
        || after.starts_with(b" [")
        || after.starts_with(b"  ")
}

/// Digits and what stands between them in times: `2015-10-18`, `18:01:47,978`, `081109`, `2024-01-01T00:00:00.000Z`, `+0200`.
fn is_time(word: &[u8]) -> bool {
    word.len() <= 40
        && word
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b':' | b'.' | b',' | b'/' | b'T' | b'Z' | b'+'))
}

/// `level=warn`, `ts=…`, `time="…"`: the level if it is one, `Some(None)` for a time.
fn strip_name(word: &[u8]) -> Option<Option<Severity>> {
    let at = word.iter().take(10).position(|byte| *byte == b'=')?;
    let value = word[at + 1..].strip_prefix(b"\"").unwrap_or_else(|| &word[at + 1..]);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    match &word[..at] {
        b"level" | b"lvl" | b"severity" => severity(value).map(Some),
        b"ts" | b"time" | b"timestamp" if is_time(value) => Some(None),
        _ => None,
    }
}

fn module_and_level(inner: &[u8]) -> Option<(&[u8], Severity)> {
    let at = inner.iter().position(|byte| *byte == b':')?;
    Some((&inner[..at], severity(&inner[at + 1..])?))
}

/// The class in `worker/host:Class@12`, as ZooKeeper writes it.
fn class_of_thread(inner: &[u8]) -> Option<&[u8]> {
    let at = inner.iter().rposition(|byte| *byte == b'@')?;
    let line = &inner[at + 1..];
    if line.is_empty() || !line.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let begins = inner[..at].iter().rposition(|byte| *byte == b':').map_or(0, |colon| colon + 1);
    Some(&inner[begins..at])
}

/// Where the bracket that opens at the beginning is closed.
fn closing(rest: &[u8]) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, byte) in rest.iter().take(BRACKETS_MAX).enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn is_month(word: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    MONTHS.contains(&word)
}

fn is_weekday(word: &[u8]) -> bool {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    DAYS.contains(&word.strip_suffix(b",").unwrap_or(word))
}

fn split_word(rest: &[u8]) -> (&[u8], &[u8]) {
    let end = rest.iter().position(|byte| *byte == b' ' || *byte == b'\t').unwrap_or(rest.len());
    rest.split_at(end)
}

fn trim(rest: &[u8]) -> &[u8] {
    rest.trim_ascii_start()
}
