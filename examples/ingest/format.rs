//! Why: a line is worth more when its time, its level and its speaker can be asked for, and none may be lost on the way.
//!
//! A file has one format, found from its first lines. A line that does not have the form of its file (a continuation, a
//! stack trace, the output of another program) stays whole: no time, no level, all of it the message.

mod apache;
mod build;
mod iso;
mod json;
mod stamp;
mod syslog;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub(crate) use stamp::Stamp;

/// How many lines that are not blank a format is found from.
const LOOKED_AT_MAX: u32 = 200;

/// One in so many lines must have the form. Build logs and stack traces are mostly continuations.
const ONE_IN: u32 = 20;

/// The form of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// RFC 3164 as syslog daemons write it: `Jun 14 15:16:01 host program[pid]: message`.
    Syslog,
    /// A date and a time of day in the order of ISO 8601, in the layouts of log4j, logback, Zookeeper, Python, tracing,
    /// PostgreSQL, rsyslog and dpkg.
    Iso,
    /// The error log of the Apache server: `[Sun Dec 04 04:47:44 2005] [notice] message`.
    Apache,
    /// The output of compilers and package managers: `warning: …`, `error[E0425]: …`, `main.c:3:5: error: …`.
    Build,
    /// One JSON object a line.
    Json,
    /// No form that is known.
    Plain,
}

/// All that have a form, the stricter first.
const FORMS: [Format; 5] = [Format::Json, Format::Apache, Format::Iso, Format::Syslog, Format::Build];

impl Format {
    /// Splits a line of a file that has this format. Costs no allocation but for JSON.
    pub(crate) fn parse(self, line: &str) -> Row<'_> {
        self.split(line).unwrap_or_else(|| Row::whole(line))
    }

    fn split(self, line: &str) -> Option<Row<'_>> {
        match self {
            Self::Syslog => syslog::split(line),
            Self::Iso => iso::split(line),
            Self::Apache => apache::split(line),
            Self::Build => build::split(line),
            Self::Json => json::split(line),
            Self::Plain => None,
        }
    }

    /// Its stable word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Iso => "iso",
            Self::Apache => "apache",
            Self::Build => "build",
            Self::Json => "json",
            Self::Plain => "plain",
        }
    }
}

/// Finds the format of a file from its first lines.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detector {
    looked_at: u32,
    matched: [u32; FORMS.len()],
}

impl Detector {
    /// Looks at the next line; says whether more lines would be looked at.
    pub(crate) fn see(&mut self, line: &str) -> bool {
        if self.looked_at < LOOKED_AT_MAX && !line.trim().is_empty() {
            self.looked_at += 1;
            for (form, matched) in FORMS.iter().zip(&mut self.matched) {
                *matched += u32::from(form.split(line).is_some());
            }
        }
        self.looked_at < LOOKED_AT_MAX
    }

    /// The format that most lines have, if one in twenty has it; else plain.
    pub(crate) fn format(&self) -> Format {
        let mut best = (Format::Plain, 0);
        for (form, matched) in FORMS.iter().zip(self.matched) {
            if matched > best.1 && matched.saturating_mul(ONE_IN) >= self.looked_at {
                best = (*form, matched);
            }
        }
        best.0
    }
}

/// A line in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    /// When: ISO 8601 where the year is known, else as the line has it.
    pub(crate) at: Option<At<'a>>,
    /// How severe, where the line says so.
    pub(crate) level: Option<Level>,
    /// Who speaks: the program, the logger, the file.
    pub(crate) component: Option<Cow<'a, str>>,
    /// All that stands between the time and the message, as the line has it: with the level and the component also the
    /// host, the process, the thread. Only separators are in no part of a row.
    pub(crate) head: &'a str,
    /// What is said.
    pub(crate) message: Cow<'a, str>,
}

impl<'a> Row<'a> {
    /// A line without a form.
    pub(crate) const fn whole(line: &'a str) -> Self {
        Self { at: None, level: None, component: None, head: "", message: Cow::Borrowed(line) }
    }

    fn borrowed(
        at: Option<At<'a>>,
        level: Option<Level>,
        component: Option<&'a str>,
        head: &'a str,
        message: &'a str,
    ) -> Self {
        Self { at, level, component: component.map(Cow::Borrowed), head, message: Cow::Borrowed(message) }
    }
}

/// The time of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At<'a> {
    /// As the line has it, because it names no year or is in a form of its own.
    Given(Cow<'a, str>),
    /// ISO 8601.
    Iso(Stamp),
}

impl At<'_> {
    /// The text to store.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Given(text) => text,
            Self::Iso(stamp) => stamp.as_str(),
        }
    }
}

/// How severe a line is, the least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Finest detail.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// The normal course.
    Info,
    /// Normal, but worth a look.
    Notice,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
    /// The program or the machine cannot go on.
    Critical,
}

impl Level {
    /// All, the least severe first.
    pub(crate) const ALL: [Self; 7] =
        [Self::Trace, Self::Debug, Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Critical];

    /// The word that is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// What a program means by `word`, in any case; `debug3` and `trace8` are levels as well.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let word = word.trim_end_matches(|last: char| last.is_ascii_digit()).as_bytes();
        let mut lower = [0; 12];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trc" | b"finest" | b"finer" => Self::Trace,
            b"debug" | b"dbg" | b"fine" | b"verbose" => Self::Debug,
            b"info" | b"inf" | b"information" => Self::Info,
            b"notice" | b"note" => Self::Notice,
            b"warning" | b"warn" | b"wrn" => Self::Warning,
            b"error" | b"err" | b"severe" => Self::Error,
            b"critical" | b"crit" | b"fatal" | b"panic" | b"alert" | b"emerg" | b"emergency" => {
                Self::Critical
            }
            _ => return None,
        })
    }
}

/// The part of `line` before `message`, which must be a suffix of it, without the separator between them: blanks, a colon,
/// or a dash between blanks.
fn head_before<'a>(line: &'a str, message: &str) -> &'a str {
    let head = line.get(..line.len().saturating_sub(message.len())).unwrap_or_default();
    let head = head.trim_end_matches([' ', '\t']);
    match head.strip_suffix('-') {
        Some(dashed) if dashed.is_empty() || dashed.ends_with([' ', '\t']) => {
            dashed.trim_end_matches([' ', '\t'])
        }
        _ => head.strip_suffix(':').unwrap_or(head),
    }
}

/// The text up to the first space or tab, and the rest without its leading blanks.
fn token(text: &str) -> (&str, &str) {
    match text.as_bytes().iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(at) => (&text[..at], blanks_off(&text[at..])),
        None => (text, ""),
    }
}

/// The text without the blanks, or the dash between blanks, that it begins with.
fn separator_off(text: &str) -> &str {
    let text = blanks_off(text);
    text.strip_prefix("- ").map_or(text, blanks_off)
}

fn blanks_off(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}
