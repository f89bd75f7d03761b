//! The main job, in its parts: reads a log file, says what is wrong with it, splits its lines and counts them.
//!
//! `cargo run --example ingest --features full -- FILE [OFFSET LINE]`, with a line boundary to go on from.

mod format;
mod kinds;
mod lines;
mod validate;

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use unattended::explain::Explain;
use unattended::time::{Clock, Moment, System};

use crate::format::{Detector, Format};
use crate::kinds::{Counts, KINDS_MAX};
use crate::lines::{Cursor, LINE_BYTES_MAX, Lines, Text};
use crate::validate::{Limits, validate};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("which file?")?);
    let mut numbers = arguments.map(|word| word.to_string_lossy().parse::<u64>());
    let cursor = match (numbers.next().transpose()?, numbers.next().transpose()?) {
        (Some(offset), Some(line_no)) => Cursor { offset, line_no },
        _ => Cursor::default(),
    };
    let mut out = io::stdout().lock();
    check(&path, &mut out)?;
    let format = detect(&path)?;
    writeln!(out, "format: {}", format.as_str())?;

    // Three passes, so that the price of each part can be told.
    let (mut unreadable, mut timed, mut headed) = (0_u64, 0_u64, 0_u64);
    let rate = each_line(&path, cursor, |text| unreadable += u64::from(text.is_none()))?;
    writeln!(out, "read: {rate}")?;
    let rate = each_line(&path, cursor, |text| {
        let Some(text) = text else { return };
        let row = format.parse(text);
        timed += u64::from(row.at.as_ref().is_some_and(|at| !at.as_str().is_empty()));
        headed += u64::from(!row.head.is_empty());
    })?;
    writeln!(out, "read and split: {rate}")?;
    let mut counts = Counts::new(KINDS_MAX);
    let rate = each_line(&path, cursor, |text| {
        if let Some(text) = text {
            counts.count(&format.parse(text));
        }
    })?;
    writeln!(out, "read, split and count: {rate}")?;

    let summary = counts.summary(12);
    writeln!(
        out,
        "rows {}, with a time {timed}, with a head {headed}, unreadable {unreadable}",
        summary.lines
    )?;
    for (level, count) in &summary.levels {
        writeln!(out, "{count:>9}  {}", level.as_str())?;
    }
    writeln!(out, "{} kinds", summary.kinds_total)?;
    for (kind, count) in &summary.kinds {
        writeln!(out, "{count:>9}  {kind}")?;
    }
    Ok(())
}

fn check(path: &Path, out: &mut impl Write) -> io::Result<()> {
    for hash in [false, true] {
        let began = System.moment();
        let report = validate(File::open(path)?, &Limits { hash, ..Limits::default() })?;
        let rate = Rate { bytes: report.bytes, lines: report.lines, began, ended: System.moment() };
        writeln!(out, "validate, sha256 {}: {rate}", report.sha256.as_deref().unwrap_or("-"))?;
        if hash {
            for problem in &report.problems {
                writeln!(out, "  {problem} ({})", problem.what.code())?;
            }
            if !report.sound() {
                writeln!(out, "  and {} more", report.problems_more)?;
            }
        }
    }
    Ok(())
}

fn detect(path: &Path) -> io::Result<Format> {
    let mut detector = Detector::default();
    let mut lines = Lines::new(File::open(path)?, LINE_BYTES_MAX);
    while let Some(line) = lines.next_line()? {
        if let Text::Valid(text) = line.text
            && !detector.see(text)
        {
            break;
        }
    }
    Ok(detector.format())
}

/// Hands out every line from `cursor` on; none for a line that cannot be read as text.
fn each_line(path: &Path, cursor: Cursor, mut seen: impl FnMut(Option<&str>)) -> io::Result<Rate> {
    let began = System.moment();
    let mut lines = Lines::resume(File::open(path)?, cursor, LINE_BYTES_MAX)?;
    while let Some(line) = lines.next_line()? {
        match line.text {
            Text::Valid(text) => seen(Some(text)),
            Text::NotUtf8 { .. } | Text::TooLong { .. } => seen(None),
        }
    }
    let end = lines.cursor();
    let (bytes, lines) = (end.offset - cursor.offset, end.line_no - cursor.line_no);
    Ok(Rate { bytes, lines, began, ended: System.moment() })
}

/// How fast something went.
struct Rate {
    bytes: u64,
    lines: u64,
    began: Moment,
    ended: Moment,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.ended.since(self.began).as_secs_f64().max(1e-9);
        let (bytes, lines) = (self.bytes as f64, self.lines as f64);
        write!(
            f,
            "{} bytes, {} lines in {:.3} s: {:.0} MB/s, {:.0} lines/s, {:.0} ns a line",
            self.bytes,
            self.lines,
            seconds,
            bytes / seconds / 1e6,
            lines / seconds,
            seconds * 1e9 / lines.max(1.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Level;
    use crate::kinds::{OTHER, Summary};
    use crate::validate::What;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name)
    }

    fn read(name: &str) -> (Format, Summary, u64) {
        let text = std::fs::read_to_string(data(name)).unwrap();
        let mut detector = Detector::default();
        for line in text.lines() {
            detector.see(line);
        }
        let format = detector.format();
        let (mut counts, mut timed) = (Counts::new(KINDS_MAX), 0);
        let mut lines = Lines::new(text.as_bytes(), LINE_BYTES_MAX);
        while let Some(line) = lines.next_line().unwrap() {
            let Text::Valid(line) = line.text else { panic!("{line:?}") };
            let row = format.parse(line);
            timed += u64::from(row.at.is_some());
            counts.count(&row);
        }
        (format, counts.summary(usize::MAX), timed)
    }

    #[test]
    fn real_logs_are_sound_and_every_line_is_a_row() {
        for (name, format, lines, timed) in [
            ("dpkg.log", Format::Iso, 1_500, 1_500),
            ("apt-history.log", Format::Plain, 42, 0),
            ("apt-term.log", Format::Plain, 260, 0),
            ("cargo-build.log", Format::Build, 238, 0),
            ("git-trace.log", Format::Json, 264, 264),
        ] {
            let report = validate(File::open(data(name)).unwrap(), &Limits::default()).unwrap();
            assert_eq!(report.problems, [], "{name}");
            assert_eq!(report.lines, lines, "{name}");
            let (found, summary, with_time) = read(name);
            assert_eq!((found, with_time), (format, timed), "{name}");
            assert_eq!(summary.lines, lines, "{name}");
            assert!(summary.kinds.iter().all(|(kind, _)| kind != OTHER), "{name}");
        }
    }

    #[test]
    fn the_levels_of_the_build_log_are_those_cargo_counted() {
        let (_, summary, _) = read("cargo-build.log");
        let count =
            |level| summary.levels.iter().find(|(other, _)| *other == level).map_or(0, |(_, count)| *count);
        // "generated 16 warnings" and "due to 6 previous errors" are themselves a warning and an error.
        assert_eq!((count(Level::Warning), count(Level::Error)), (17, 7));
    }

    #[test]
    fn the_broken_log_is_refused_where_it_breaks() {
        let report = validate(File::open(data("broken.log")).unwrap(), &Limits::default()).unwrap();
        assert!(!report.sound());
        let first = report.problems[0];
        assert_eq!(first.line, 61, "{first}");
        assert!(matches!(first.what, What::NotUtf8 { .. }), "{first}");
        // The second byte of a gzip stream.
        assert_eq!(first.column, 2, "{first}");
        assert!(report.problems.iter().any(|problem| problem.what == What::Nul));
    }
}
