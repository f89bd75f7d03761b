//! Quoting, as systemd.syntax(7), systemd.unit(5) (`%`) and "Command lines" of systemd.service(5) (`$`) ask for.

use crate::act::systemd::error::Error;
use crate::base::text::shown;

/// The longest argument and the longest value, in bytes.
const WORD_MAX: usize = 32 * 1024;
/// The longest name of a unit, with its ending.
const NAME_MAX: usize = 255;
const ENDINGS: [&str; 9] =
    [".service", ".timer", ".target", ".socket", ".mount", ".automount", ".path", ".slice", ".device"];

/// What `$` means where the word stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dollar {
    /// A variable: on a command line. `$$` is one dollar.
    Variable,
    /// Itself.
    Plain,
}

/// A word that systemd reads as exactly this text.
pub(super) fn word(field: &'static str, given: &str, dollar: Dollar) -> Result<String, Error> {
    one_line(field, given)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=:,./@^".contains(c);
    let mut written = String::with_capacity(given.len() + 2);
    for c in given.chars() {
        match c {
            '\\' => written.push_str("\\\\"),
            '"' => written.push_str("\\\""),
            '\t' => written.push_str("\\t"),
            '%' => written.push_str("%%"),
            '$' if dollar == Dollar::Variable => written.push_str("$$"),
            _ => written.push(c),
        }
    }
    Ok(if given.is_empty() || !given.chars().all(plain) { format!("\"{written}\"") } else { written })
}

/// The program of a command line: an absolute path.
pub(super) fn program(given: &str) -> Result<String, Error> {
    let allowed = "the absolute path of a program, without $";
    // The path is not searched for variables, but the name that the program is told is.
    if !given.starts_with('/')
        || given.ends_with('/')
        || given.contains('$')
        || given.split('/').any(|part| part == "..")
    {
        return Err(Error::field("exec", shown(given), allowed));
    }
    word("exec", given, Dollar::Plain)
}

/// The rest of a line, which systemd takes as it is but for `%`.
pub(super) fn prose(field: &'static str, given: &str) -> Result<String, Error> {
    one_line(field, given)?;
    let given = given.trim();
    if given.is_empty() || given.ends_with('\\') || given.contains('\t') {
        return Err(Error::field(
            field,
            shown(given),
            "one line that is not empty and has no backslash at its end",
        ));
    }
    Ok(given.replace('%', "%%"))
}

/// An absolute path that needs no quotes: it stands in lists, of which not all are unquoted the same way.
pub(super) fn path(field: &'static str, given: &str) -> Result<String, Error> {
    one_line(field, given)?;
    let odd = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ':');
    if !given.starts_with('/') || given.contains(odd) || given.split('/').any(|part| part == "..") {
        let allowed = "an absolute path without spaces, quotes, colons, backslashes and ..";
        return Err(Error::field(field, shown(given), allowed));
    }
    Ok(given.replace('%', "%%"))
}

/// The name of a folder below `/var/lib`, `/var/log`, `/etc` or `/run`.
pub(super) fn folder(field: &'static str, given: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let parts = || given.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if given.is_empty() || given.len() > NAME_MAX || !given.chars().all(plain) || !parts() {
        return Err(Error::field(field, shown(given), "a relative path of letters, digits, _, -, . and /"));
    }
    Ok(given.to_owned())
}

/// The name of a service, without its ending.
pub(super) fn service_name(given: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !given.starts_with(first) || given.len() + ".service".len() > NAME_MAX || !given.chars().all(plain) {
        let allowed =
            "letters, digits, _, -, . and :, without an ending; it begins with a letter, a digit or _";
        return Err(Error::field("name", shown(given), allowed));
    }
    Ok(())
}

/// Another unit, with its ending. `%n`, `%N` and `%p`, which name this one, may stand in it.
pub(super) fn unit_name(field: &'static str, given: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:@\\".contains(c);
    let rest = given.replace("%n", "").replace("%N", "").replace("%p", "");
    let ending = ENDINGS.iter().find_map(|ending| given.strip_suffix(ending));
    if !rest.chars().all(plain) || given.len() > NAME_MAX || ending.is_none_or(str::is_empty) {
        return Err(Error::field(
            field,
            shown(given),
            "the name of a unit with its ending, such as alert@%n.service",
        ));
    }
    Ok(given.to_owned())
}

/// The name of an environment variable.
pub(super) fn variable(given: &str) -> Result<(), Error> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if given.is_empty()
        || given.len() > NAME_MAX
        || given.starts_with(|c: char| c.is_ascii_digit())
        || !given.chars().all(word)
    {
        return Err(Error::field("environment", shown(given), "letters, digits and _, a letter first"));
    }
    Ok(())
}

/// A user: a name of the system's, or a number.
pub(super) fn user(given: &str) -> Result<String, Error> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if given.is_empty() || given.len() > 31 || given.starts_with('-') || !given.chars().all(word) {
        return Err(Error::field("user", shown(given), "letters, digits, _ and -, at most 31"));
    }
    Ok(given.to_owned())
}

fn one_line(field: &'static str, given: &str) -> Result<(), Error> {
    if given.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Error::field(field, shown(given), "one line without control characters"));
    }
    if given.len() > WORD_MAX {
        return Err(Error::field(
            field,
            format!("{} bytes", given.len()),
            format!("at most {WORD_MAX} bytes"),
        ));
    }
    Ok(())
}
