//! `similarity`: whether a change means something.

mod pairs;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::explain::Explain;
use crate::base::text::{self, shortened, shown};
use crate::decide::similarity::{Policy, Unit, Verdict};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::Paint;
use crate::operate::cli::session::Session;
use crate::operate::cli::simulate::trace::unreadable;

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
    old: Option<PathBuf>,

    /// The file as it is; - is stdin
    new: Option<PathBuf>,

    /// Pairs, a line each: old TAB new; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "old")]
    pairs: Option<PathBuf>,

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
With --json an object for each pair: old new (as they were given) of(files|texts) verdict(meaningful|not_meaningful|assumed_meaningful)
decided_by (the step, or the budget that ended the search) threshold, and code why old_len new_len allowed at_least at_most.
The exit code is 0 whatever the verdict. A difference is assumed to be meaningful where finding out would take too long.

What the fields of --pairs are is seen from the first 100 lines (or the first MiB of them, if that is less), which are read before
the first answer: if a name in them is that of a file that is there, all lines name files, and one that is not there is an
error; else they are texts. Say --text or --files where that is not to be left to chance, as for texts from elsewhere, or where
each line is to be answered before the next.
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
            (true, _) => Some(Of::Texts),
            (_, true) => Some(Of::Files),
            _ => None,
        };
        return pairs::of_pairs(session, &policy, pairs, kind);
    }
    if asked.text || asked.files {
        return Err(
            Failure::usage("--text and --files say what stands in --pairs, which is not there").into()
        );
    }
    let (Some(old), Some(new)) = (&asked.old, &asked.new) else {
        return Err(Failure::usage("two files are needed: OLD and NEW, or --pairs").into());
    };
    if old.as_os_str() == "-" && new.as_os_str() == "-" {
        return Err(Failure::usage("only one of the two can be stdin").into());
    }
    let [before, after] = [read(session, old)?, read(session, new)?];
    let (json, paint) = (session.json(), session.paint());
    let names = [old, new].map(|path| path.to_string_lossy());
    let answer = Answer::of(&policy, Of::Files, (&names[0], &names[1]), (&before, &after));
    answer.write(session.out(), json, paint, &mut Vec::new())?;
    Ok(Exit::Done)
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    Texts,
    Files,
}

#[derive(Serialize)]
struct Answer {
    old: String,
    new: String,
    of: Of,
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
    fn of(policy: &Policy, of: Of, (old, new): (&str, &str), (before, after): (&[u8], &[u8])) -> Self {
        let verdict = policy.compare(before, after);
        let (code, why) = (verdict.code(), verdict.why());
        Self {
            old: old.to_owned(),
            new: new.to_owned(),
            of,
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

fn read(session: &mut Session<'_, '_>, path: &Path) -> Result<Vec<u8>, Stop> {
    if path.as_os_str() != "-" {
        return Ok(contents(path)?);
    }
    let mut text = Vec::new();
    session.input().take(FILE_MAX + 1).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() as u64 > FILE_MAX {
        return Err(too_large("stdin").into());
    }
    Ok(text)
}

fn contents(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = open(path)?.take(FILE_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| not_read(path, &error))?;
    if text.len() as u64 > FILE_MAX { Err(too_large(path.display())) } else { Ok(text) }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| not_read(path, &error))
}

fn not_read(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, "input.failed", format!("{} cannot be read: {error}", path.display()))
}

fn too_large(name: impl Display) -> Failure {
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
