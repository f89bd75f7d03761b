//! Why: the log of most Unix machines. RFC 3164, section 4.1.2 and 4.1.3: a time without a year, a host, a tag.

use std::borrow::Cow;

use super::{At, Row, blanks_off, head_before, stamp, token};

/// `Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure`
pub(super) fn split(line: &str) -> Option<Row<'_>> {
    if !stamp::is_syslog(line) {
        return None;
    }
    let (at, rest) = line.split_at_checked(15)?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let (component, head, message) = host_and_tag(blanks_off(rest));
    Some(Row::borrowed(Some(At::Given(Cow::Borrowed(at))), None, component, head, message))
}

/// The component, the head and the message of what stands after the time.
pub(super) fn host_and_tag(rest: &str) -> (Option<&str>, &str, &str) {
    let (_host, said) = token(rest);
    let (component, message) = match tag(said) {
        Some((component, message)) => (Some(component), message),
        None => (None, said),
    };
    (component, head_before(rest, message), message)
}

/// `sshd[19939]: message`: the program without the process, and the message.
pub(super) fn tag(said: &str) -> Option<(&str, &str)> {
    let (tag, message) = token(said);
    let tag = tag.strip_suffix(':')?;
    let program = match tag.strip_suffix(']').and_then(|open| open.rsplit_once('[')) {
        Some((program, _process)) => program,
        None => tag,
    };
    (!program.is_empty()).then_some((program, message))
}
