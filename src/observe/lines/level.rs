//! The words by which a line says how bad it is.

use crate::decide::baseline::Severity;

/// The severity that a word stands for, in any case; `None` if it is no such word.
#[must_use]
pub fn severity(word: &[u8]) -> Option<Severity> {
    let first = word.first()?.to_ascii_lowercase();
    // Most words are none: told by their first letter.
    if word.len() < 3 || word.len() > 13 || !b"acdefinpstvw".contains(&first) {
        return None;
    }
    let mut lower = [0_u8; 13];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"trace" | b"debug" | b"fine" | b"finer" | b"finest" | b"verbose" | b"dbg" => Severity::Debug,
        b"info" | b"information" | b"informational" | b"inf" => Severity::Info,
        b"notice" | b"config" => Severity::Notice,
        b"warn" | b"warning" | b"wrn" => Severity::Warn,
        b"error" | b"err" | b"severe" => Severity::Error,
        b"fatal" | b"crit" | b"critical" | b"alert" | b"emerg" | b"emergency" | b"panic" => Severity::Fatal,
        _ => return None,
    })
}

/// The severity in a priority of syslog (RFC 5424, 6.2.1).
pub(super) const fn of_priority(priority: u32) -> Severity {
    match priority & 7 {
        0..=2 => Severity::Fatal,
        3 => Severity::Error,
        4 => Severity::Warn,
        5 => Severity::Notice,
        6 => Severity::Info,
        _ => Severity::Debug,
    }
}
