//! `similarity`: whether a change means something.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;

use crate::base::explain::Explain;
use crate::base::text::{self, shortened, shown};
use crate::decide::similarity::{Policy, Unit, Verdict};
use crate::operate::cli::Io;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::Paint;
use crate::operate::cli::session::Session;
use crate::operate::cli::simulate::lines::{Lines, Next};
use crate::operate::cli::simulate::trace::unreadable;

/// A longer line of pairs is not read.
const LINE_MAX: usize = 64 << 20;
/// A larger file is not read.
const FILE_MAX: u64 = 1 << 30;
/// As much of a text as stands in an answer for people.
const SAID_MAX: usize = 40;

/// What `similarity` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Similarity {
    /// The file as it was; - is stdin
    #[arg(required_unless_present = "pairs", requires = "new")]
    old: Option<String>,

    /// The file as it is; - is stdin
    new: Option<String>,

    /// Pairs, a line each: old TAB new; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "old")]
    pairs: Option<String>,

    /// What stands in --pairs are texts, not files
    #[arg(long, requires = "pairs")]
    text: bool,

    /// What stands in --pairs are files, not texts
    #[arg(long, requires = "pairs", conflicts_with = "text")]
    files: bool,

    /// Below this ratio a change means something: 0.000001 to 1, in millionths
    #[arg(long, value_name = "T", default_value = "0.98", value_parser = threshold)]
    threshold: u32,

    /// More than this changed means something, whatever the ratio, such as 4KiB
    #[arg(long, value_name = "SIZE", value_parser = text::size)]
    changed_bytes_max: Option<u64>,

    /// What is counted
    #[arg(long, value_enum, default_value = "bytes")]
    unit: UnitWord,
}

const ABOUT: &str = "\
With --json an object for each pair: old new (as they were given) verdict(meaningful|not_meaningful|assumed_meaningful)
decided_by (the step, or the budget that ended the search) threshold, and code why old_len new_len allowed at_least at_most.
The exit code is 0 whatever the verdict. A difference is assumed to be meaningful where finding out would take too long.

What the fields of --pairs are is seen from the first line: if one of its two names a file that is there, all lines name
files; else they are texts. Say --text or --files where that is not to be left to chance, as for texts from elsewhere.
A line without a TAB ends it with exit code 1 and names its number; what was answered before it stands.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum UnitWord {
    Bytes,
    Lines,
    Words,
}

/// The ratio that is written, in millionths.
fn threshold(given: &str) -> Result<u32, String> {
    let wrong =
        || String::from("allowed is 0.000001 to 1 with at most six digits behind the point, such as 0.98");
    let (whole, part) = given.split_once('.').unwrap_or((given, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 || whole.len() > 6 {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let part: u32 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    let millionths = whole.saturating_mul(1_000_000).saturating_add(part);
    if (1..=1_000_000).contains(&millionths) { Ok(millionths) } else { Err(wrong()) }
}

pub(super) fn similarity(session: &mut Session<'_, '_>, asked: Similarity) -> Result<Exit, Stop> {
    let unit = match asked.unit {
        UnitWord::Bytes => Unit::Bytes,
        UnitWord::Lines => Unit::Lines,
        UnitWord::Words => Unit::Words,
    };
    let policy = Policy::builder()
        .threshold_ppm(asked.threshold)
        .changed_bytes_max(asked.changed_bytes_max)
        .unit(unit)
        .build()
        .map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(pairs) = &asked.pairs {
        let kind = match (asked.text, asked.files) {
            (true, _) => Some(Fields::Texts),
            (_, true) => Some(Fields::Files),
            _ => None,
        };
        return of_pairs(session, &policy, pairs, kind);
    }
    if asked.text || asked.files {
        return Err(
            Failure::usage("--text and --files say what stands in --pairs, which is not there").into()
        );
    }
    let (Some(old), Some(new)) = (&asked.old, &asked.new) else {
        return Err(Failure::usage("two files are needed: OLD and NEW, or --pairs").into());
    };
    if old == "-" && new == "-" {
        return Err(Failure::usage("only one of the two can be stdin").into());
    }
    let [before, after] = [read(session, old)?, read(session, new)?];
    let (json, paint) = (session.json(), session.paint());
    let answer = Answer::of(&policy, old, new, &before, &after);
    answer.write(session.out(), json, paint, &mut Vec::new())?;
    Ok(Exit::Done)
}

/// What the fields of a line are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fields {
    Texts,
    Files,
}

impl Fields {
    /// What they are, as far as the first line shows.
    fn of(old: &[u8], new: &[u8]) -> Self {
        let is_file = |field: &[u8]| std::str::from_utf8(field).is_ok_and(|path| Path::new(path).is_file());
        if is_file(old) || is_file(new) { Self::Files } else { Self::Texts }
    }
}

fn of_pairs(
    session: &mut Session<'_, '_>,
    policy: &Policy,
    pairs: &str,
    mut fields: Option<Fields>,
) -> Result<Exit, Stop> {
    let (json, paint) = (session.json(), session.paint());
    if pairs == "-" && session.io.ask {
        writeln!(session.io.err, "reading pairs from the terminal; end them with Ctrl-D")?;
    }
    let mut file;
    let Io { input, out, .. } = &mut *session.io;
    let source: &mut dyn Read = if pairs == "-" {
        &mut **input
    } else {
        file = open(pairs)?;
        &mut file
    };
    let mut lines = Lines::new(source, LINE_MAX);
    let mut buffer = Vec::new();
    loop {
        if lines.may_wait() {
            out.flush()?;
        }
        let answered = match lines.next().map_err(|error| unreadable(&error))? {
            Next::End => return Ok(Exit::Done),
            Next::TooLong => Err(Wrong::Line(format!("it has more than {LINE_MAX} bytes"))),
            Next::Line(line) => {
                one(policy, line, &mut fields).map(|answer| answer.write(*out, json, paint, &mut buffer))
            }
        };
        match answered {
            Ok(written) => written?,
            Err(wrong) => return Err(wrong.told(lines.number()).into()),
        }
    }
}

/// Why a line cannot be answered.
enum Wrong {
    Line(String),
    File(Failure),
}

impl Wrong {
    fn told(self, number: u64) -> Failure {
        const HINT: &str =
            "the answers to the lines before it stand; neither it nor what follows it was looked at";
        match self {
            Self::Line(said) => {
                Failure::new(Exit::Failed, "pairs.invalid", format!("line {number}: {said}")).hint(HINT)
            }
            Self::File(failure) => {
                let message = format!("line {number}: {}", failure.message);
                Failure::new(Exit::Failed, failure.code, message)
                    .hint(format!("{HINT}; say --text if these are texts"))
            }
        }
    }
}

fn one(policy: &Policy, line: &[u8], fields: &mut Option<Fields>) -> Result<Answer, Wrong> {
    let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
        return Err(Wrong::Line(String::from("there is no TAB between old and new")));
    };
    let (old, rest) = line.split_at(tab);
    let new = rest.get(1..).unwrap_or_default();
    if new.contains(&b'\t') {
        return Err(Wrong::Line(String::from("there is more than one TAB")));
    }
    let [name_old, name_new] = [old, new].map(String::from_utf8_lossy);
    match *fields.get_or_insert_with(|| Fields::of(old, new)) {
        Fields::Texts => Ok(Answer::of(policy, &name_old, &name_new, old, new)),
        Fields::Files => {
            let load = |path: &str| contents(path).map_err(Wrong::File);
            let [before, after] = [load(&name_old)?, load(&name_new)?];
            Ok(Answer::of(policy, &name_old, &name_new, &before, &after))
        }
    }
}

#[derive(Serialize)]
struct Answer {
    old: String,
    new: String,
    verdict: &'static str,
    decided_by: &'static str,
    threshold: f64,
    code: &'static str,
    why: String,
    unit: Unit,
    old_len: u64,
    new_len: u64,
    allowed: u64,
    at_least: u64,
    at_most: u64,
}

impl Answer {
    fn of(policy: &Policy, old: &str, new: &str, before: &[u8], after: &[u8]) -> Self {
        let verdict = policy.compare(before, after);
        let (code, why) = (verdict.code(), verdict.why());
        Self {
            old: old.to_owned(),
            new: new.to_owned(),
            verdict: match verdict {
                Verdict::NotMeaningful(_) => "not_meaningful",
                Verdict::Meaningful(_) => "meaningful",
                Verdict::AssumedMeaningful(_) => "assumed_meaningful",
            },
            decided_by: code.split_once('.').map_or(code, |(_, step)| step),
            threshold: f64::from(policy.threshold_ppm()) / 1_000_000.0,
            code,
            why: verdict.to_string(),
            unit: why.unit,
            old_len: why.old,
            new_len: why.new,
            allowed: why.allowed,
            at_least: why.at_least,
            at_most: why.at_most,
        }
    }

    fn write(&self, out: &mut dyn Write, json: bool, paint: Paint, buffer: &mut Vec<u8>) -> io::Result<()> {
        if json {
            buffer.clear();
            serde_json::to_writer(&mut *buffer, self)?;
            buffer.push(b'\n');
            return out.write_all(buffer);
        }
        let name = |text: &str| shortened(&shown(text), SAID_MAX);
        let why = match self.verdict {
            "not_meaningful" => self.why.clone(),
            _ => paint.bold(&self.why),
        };
        writeln!(out, "{} -> {}  {why}", name(&self.old), name(&self.new))
    }
}

fn read(session: &mut Session<'_, '_>, path: &str) -> Result<Vec<u8>, Stop> {
    if path != "-" {
        return Ok(contents(path)?);
    }
    let mut text = Vec::new();
    session.input().take(FILE_MAX + 1).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() as u64 > FILE_MAX {
        return Err(too_large("stdin").into());
    }
    Ok(text)
}

fn contents(path: &str) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = open(path)?.take(FILE_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| not_read(path, &error))?;
    if text.len() as u64 > FILE_MAX { Err(too_large(path)) } else { Ok(text) }
}

fn open(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|error| not_read(path, &error))
}

fn not_read(path: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, "input.failed", format!("{path} cannot be read: {error}"))
}

fn too_large(name: &str) -> Failure {
    let message = format!("{name} has more than {}, the most that is compared", text::about_size(FILE_MAX));
    Failure::new(Exit::Failed, "similarity.too_large", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_exact() {
        assert_eq!(threshold("0.98"), Ok(980_000));
        assert_eq!(threshold("1"), Ok(1_000_000));
        assert_eq!(threshold("1.0"), Ok(1_000_000));
        assert_eq!(threshold("0.000001"), Ok(1));
        for wrong in ["", ".5", "0", "0.0", "1.1", "-0.5", "98%", "0.9800001", "1e-1", "nan", "99999999999"] {
            assert!(threshold(wrong).is_err(), "{wrong:?}");
        }
    }
}
