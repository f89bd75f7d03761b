//! Why: the error log of the Apache server, version 2.4 and before.

use super::{At, Level, Row, blanks_off, head_before, stamp};

/// `[Sun Dec 04 04:47:44 2005] [notice] message`, `[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 4328636416] message`
pub(super) fn split(line: &str) -> Option<Row<'_>> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    let at = Some(At::Iso(stamp::apache(time)?));
    let rest = blanks_off(rest);
    let Some((inner, said)) = rest.strip_prefix('[').and_then(|open| open.split_once(']')) else {
        return Some(Row::borrowed(at, None, None, "", rest));
    };
    let (module, word) = match inner.split_once(':') {
        Some((module, word)) => (Some(module).filter(|module| !module.is_empty()), word),
        None => (None, inner),
    };
    let Some(level) = Level::of(word) else {
        return Some(Row::borrowed(at, None, None, "", rest));
    };
    let said = blanks_off(said);
    let message = match said.strip_prefix("[pid ").and_then(|open| open.split_once(']')) {
        Some((_process, message)) => blanks_off(message),
        None => said,
    };
    Some(Row::borrowed(at, Some(level), module, head_before(rest, message), message))
}
