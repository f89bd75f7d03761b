//! Why: most programs begin a line with date and time in one order, and then differ; the common layouts are told apart here.

use super::{At, Level, Row, blanks_off, head_before, separator_off, stamp, syslog, token};

/// What follows the time, in its parts.
struct Said<'a> {
    level: Option<Level>,
    component: Option<&'a str>,
    message: &'a str,
}

/// A line that begins with a time, `2015-10-18 18:01:47,978 …` or, as `env_logger` has it, `[2015-10-18T18:01:47Z …] …`.
pub(super) fn split(line: &str) -> Option<Row<'_>> {
    let (open, text) = match line.strip_prefix('[') {
        Some(text) => (true, text),
        None => (false, line),
    };
    let (stamp, taken) = stamp::iso(text)?;
    let zoned = text.as_bytes().get(10) == Some(&b'T');
    let rest = &text[taken..];
    let (said, head) = if open {
        in_brackets(rest)?
    } else {
        let rest = separator_off(rest);
        let said = layout(rest, zoned);
        let head = head_before(rest, said.message);
        (said, head)
    };
    Some(Row::borrowed(Some(At::Iso(stamp)), said.level, said.component, head, said.message))
}

/// `INFO  my_crate::module] message` or `] message`, with the head.
fn in_brackets(rest: &str) -> Option<(Said<'_>, &str)> {
    let (inner, after) = rest.split_once(']')?;
    let (inner, after) = (inner.trim(), blanks_off(after));
    if let Some((level, module)) = level(inner) {
        let component = Some(module).filter(|module| !module.is_empty());
        return Some((Said { level: Some(level), component, message: after }, inner));
    }
    if inner.is_empty() {
        let after = separator_off(after);
        let said = layout(after, false);
        let head = head_before(after, said.message);
        return Some((said, head));
    }
    // What stands in the brackets is of an unknown form; the message keeps it.
    Some((Said { level: None, component: None, message: blanks_off(rest) }, ""))
}

fn layout(rest: &str, zoned: bool) -> Said<'_> {
    if let Some((level, after)) = level(rest) {
        return speaker(level, separator_off(after));
    }
    if let Some((_thread, after)) = bracket(rest) {
        if let Some((level, after)) = level(after) {
            return speaker(level, separator_off(after));
        }
        if let Some(said) = postgres(after) {
            return said;
        }
    }
    if let Some(said) = python(rest) {
        return said;
    }
    // rsyslog's own format: a time with `T`, then a host and a tag as in RFC 3164.
    if zoned && let (Some(component), _, message) = syslog::host_and_tag(rest) {
        return Said { level: None, component: Some(component), message };
    }
    Said { level: None, component: None, message: rest }
}

/// A level and what follows it: `INFO …`, `[INFO] …`, `info: …`. A lower-case word alone is more likely prose.
fn level(text: &str) -> Option<(Level, &str)> {
    if let Some(open) = text.strip_prefix('[') {
        let (word, after) = open.split_once(']')?;
        return Some((Level::of(word.trim())?, blanks_off(after)));
    }
    let length = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (word, after) = text.split_at_checked(length)?;
    let prose = word.starts_with(|first: char| first.is_ascii_lowercase());
    match after.as_bytes().first() {
        Some(b':' | b'\t') => {}
        Some(b' ') | None if !prose => {}
        _ => return None,
    }
    Some((Level::of(word)?, blanks_off(after.strip_prefix(':').unwrap_or(after))))
}

/// Who speaks after a level: `[main] org.apache.Class: message`, `[thread:Class@774] - message`, `my::module: message`,
/// `c.f.Class - message`.
fn speaker(level: Level, rest: &str) -> Said<'_> {
    let said = |component, message| Said { level: Some(level), component, message };
    if let Some((inner, after)) = bracket(rest) {
        if let Some(message) = after.strip_prefix("- ") {
            return said(class_of(inner), blanks_off(message));
        }
        return match named(after) {
            Some((component, message)) => said(Some(component), message),
            None => said(Some(inner), after),
        };
    }
    match named(rest) {
        Some((component, message)) => said(Some(component), message),
        None => said(None, rest),
    }
}

/// `org.apache.Class: message` or `c.f.Class - message`.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, after) = token(text);
    let (name, message) = match name.strip_suffix(':') {
        Some(name) => (name, after),
        None => (name, blanks_off(after.strip_prefix("- ")?)),
    };
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'$' | b'-' | b'/');
    (!name.is_empty() && name.bytes().all(plain)).then_some((name, message))
}

/// The class in `QuorumPeer[myid=1]/0:0:0:0:0:0:0:0:2181:FastLeaderElection@774`.
fn class_of(inner: &str) -> Option<&str> {
    let last = inner.rsplit(':').next().unwrap_or(inner);
    let class = last.split_once('@').map_or(last, |(class, _line)| class).trim();
    if class.is_empty() { Some(inner).filter(|inner| !inner.is_empty()) } else { Some(class) }
}

/// `[QuorumPeer[myid=1]/0:0] rest`: what stands in the brackets, which may nest, and the rest.
fn bracket(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('[') {
        return None;
    }
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 1 => return Some((&text[1..at], blanks_off(&text[at + 1..]))),
            b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// PostgreSQL after its process: `LOG:  message`, `user@database ERROR:  message`. Its words for what continues the line before
/// (DETAIL, HINT, STATEMENT, CONTEXT) are no level.
fn postgres(rest: &str) -> Option<Said<'_>> {
    let (first, after) = token(rest);
    let (session, word, message) = match first.strip_suffix(':') {
        Some(word) => (None, word, after),
        None => {
            let (second, message) = token(after);
            (Some(first).filter(|session| session.contains('@')), second.strip_suffix(':')?, message)
        }
    };
    let level = match word {
        "LOG" => Some(Level::Info),
        "DETAIL" | "HINT" | "STATEMENT" | "CONTEXT" => None,
        _ => Some(Level::of(word)?),
    };
    Some(Said { level, component: session, message })
}

/// Python's usual layout: `name - LEVEL - message`.
fn python(rest: &str) -> Option<Said<'_>> {
    let (name, after) = token(rest);
    let (word, message) = token(after.strip_prefix("- ")?);
    let level = Level::of(word)?;
    let message = blanks_off(message.strip_prefix("- ")?);
    Some(Said { level: Some(level), component: Some(name), message })
}
