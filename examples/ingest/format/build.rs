//! Why: compilers and package managers write no times, but their prefixes say how bad a line is.

use super::{Level, Row, head_before, token};

/// `warning: …`, `error[E0425]: …`, `   Compiling serde v1.0.229`, `main.c:3:5: error: …`, `npm ERR! …`, `make: *** …`
pub(super) fn split(line: &str) -> Option<Row<'_>> {
    let (level, component, message) =
        diagnostic(line).or_else(|| located(line)).or_else(|| npm(line)).or_else(|| status(line))?;
    Some(Row::borrowed(None, Some(level), component, head_before(line, message), message))
}

type Parts<'a> = (Level, Option<&'a str>, &'a str);

/// `warning: unused variable`, `error[E0425]: cannot find value`, `WARNING: running pip as root`
fn diagnostic(line: &str) -> Option<Parts<'_>> {
    let (prefix, message) = line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
    let (word, code) = match prefix.strip_suffix(']').and_then(|open| open.split_once('[')) {
        Some((word, code)) => (word, Some(code)),
        None => (prefix, None),
    };
    Some((level(word)?, code, message))
}

/// `main.c:3:5: error: message`, `dpkg: warning: message`, `make[1]: *** [Makefile:3: all] Error 2`
fn located(line: &str) -> Option<Parts<'_>> {
    let (place, rest) = line.split_once(": ")?;
    if place.is_empty() || place.contains([' ', '\t']) {
        return None;
    }
    // The line and column of a compiler and the depth of make are of the head, not of the name.
    let name = place.split(['[', ':']).next().filter(|name| !name.is_empty()).unwrap_or(place);
    if let Some(message) = rest.strip_prefix("*** ") {
        return Some((Level::Error, Some(name), message));
    }
    let (word, message) = rest.split_once(": ")?;
    Some((level(word)?, Some(name), message))
}

fn npm(line: &str) -> Option<Parts<'_>> {
    let (word, message) = token(line.strip_prefix("npm ")?);
    Some((Level::of(word.trim_end_matches('!'))?, Some("npm"), message))
}

/// Cargo sets the verb of its status lines flush right to twelve columns.
fn status(line: &str) -> Option<Parts<'_>> {
    let (padded, rest) = line.split_at_checked(12)?;
    let verb = padded.trim_start_matches(' ');
    let capital = verb.starts_with(|first: char| first.is_ascii_uppercase());
    let word = verb.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    (capital && word && rest.starts_with(' ')).then_some((Level::Info, None, line.trim_start_matches(' ')))
}

/// Levels as compilers name them.
fn level(word: &str) -> Option<Level> {
    match word {
        "fatal error" => Some(Level::Critical),
        "internal compiler error" => Some(Level::Critical),
        "help" => Some(Level::Info),
        _ => Level::of(word),
    }
}
