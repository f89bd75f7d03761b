//! `anomaly learn`: lines of a usual time.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::time::Now;
use crate::operate::cli::anomaly::kept::{self, Use};
use crate::operate::cli::anomaly::lines::Lines;
use crate::operate::cli::anomaly::watcher::Watcher;
use crate::operate::cli::anomaly::{How, Learn};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::progress::Bar;
use crate::operate::cli::session::{Session, quoted};

/// How many lines pass between two looks at the bar.
const LINES_BETWEEN: u64 = 4096;

pub(super) fn learn(session: &mut Session<'_, '_>, asked: &Learn) -> Result<Exit, Stop> {
    let file = kept::file(&asked.baseline)?;
    let before = kept::load(&file)?.map(|(kept, _)| kept);
    let (sources, total) = open(&asked.files)?;
    let now = session.host.clock.now();
    let ready = kept::ready(&asked.baseline, before, &asked.how, asked.unit.as_ref(), Use::Learn, now)?;
    let mut watcher = Watcher::new(ready, names(&asked.files));
    let bar = Bar::begin(session, total, "bytes");
    let read = read_all(session, sources, &mut watcher, &bar, now);
    bar.done();
    read?;
    watcher.end(now);
    let kept = watcher.ready.save(now);
    file.save(&kept).map_err(|error| kept::unusable(&asked.baseline, &error))?;
    report(session, asked, &watcher, kept)
}

fn read_all(
    session: &mut Session<'_, '_>,
    sources: Vec<Source>,
    watcher: &mut Watcher,
    bar: &Bar,
    now: Now,
) -> Result<(), Stop> {
    let mut bytes = 0;
    for (index, mut source) in sources.into_iter().enumerate() {
        let mut lines = Lines::new();
        while source.line(session, &mut lines, |number, line| watcher.line(index, number, line, now))? {
            if lines.count.is_multiple_of(LINES_BETWEEN) {
                bar.at(bytes + lines.bytes);
            }
        }
        bytes += lines.bytes;
    }
    Ok(())
}

fn report(
    session: &mut Session<'_, '_>,
    asked: &Learn,
    watcher: &Watcher,
    kept: kept::Kept,
) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer {
        lines: u64,
        unkeyed: u64,
        learned: u64,
        units: Option<u64>,
        kinds: u64,
        key: String,
        rare_rate: f64,
        state: String,
        why: String,
    }
    let unit = watcher.ready.unit.clone();
    let how = How { key: None, rare_rate: None };
    let severity = crate::decide::baseline::Severity::Info;
    let now = session.host.clock.now();
    let key = kept.key.clone();
    let learned = kept.saved.events();
    let units = kept.units.as_ref().map(crate::decide::baseline::SavedUnits::units);
    let rare_rate = kept.rare_rate.unwrap_or_else(|| kept::fitted(units.unwrap_or(learned)));
    let used = kept::ready(&asked.baseline, Some(kept), &how, unit.as_ref(), Use::Whole(severity), now)?;
    let evidence = used.baseline.evidence();
    if session.json() {
        session.object(&Answer {
            lines: watcher.lines,
            unkeyed: watcher.unkeyed,
            learned,
            units,
            kinds: evidence.kinds,
            key,
            rare_rate,
            state: evidence.state.to_string(),
            why: evidence.to_string(),
        })?;
        return Ok(Exit::Done);
    }
    let without = match watcher.unkeyed {
        0 => String::new(),
        n => format!(", {n} of them without a key"),
    };
    writeln!(session.out(), "{} lines read{without}", watcher.lines)?;
    if let Some(units) = units {
        let needed = kept::policy(Use::Learn, rare_rate).rare_rate(rare_rate).evidence();
        writeln!(session.out(), "{units} units of work are learned, {needed} are needed to call one odd")?;
    } else {
        writeln!(session.out(), "by the key {key} the baseline is {evidence}")?;
    }
    let (program, baseline) = (session.host.program.clone(), quoted(&asked.baseline));
    let hint = session.paint().dim(format!("next: {program} anomaly watch FILE --baseline {baseline}"));
    writeln!(session.out(), "{hint}")?;
    Ok(Exit::Done)
}

/// Where lines come from.
pub(super) enum Source {
    Stdin,
    File(PathBuf, File),
}

impl Source {
    /// The next line; whether there was one.
    pub(super) fn line(
        &mut self,
        session: &mut Session<'_, '_>,
        lines: &mut Lines,
        give: impl FnOnce(u64, &[u8]),
    ) -> Result<bool, Stop> {
        let (name, from): (&Path, &mut dyn Read) = match self {
            Self::Stdin => (Path::new("stdin"), session.input()),
            Self::File(path, file) => (path, file),
        };
        let number = lines.count + 1;
        match lines.next(from) {
            Ok(Some(line)) => {
                give(number, line);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                let message = format!("{} cannot be read: {error}", name.display());
                Err(Failure::new(Exit::Failed, "io.failed", message).into())
            }
        }
    }
}

/// Opens all of them before one is read; and how many bytes they have, where that is known.
pub(super) fn open(files: &[PathBuf]) -> Result<(Vec<Source>, Option<u64>), Stop> {
    let mut total = Some(0_u64);
    let mut sources = Vec::new();
    for path in files {
        if path.as_os_str() == "-" {
            total = None;
            sources.push(Source::Stdin);
            continue;
        }
        let failed = |why: &str| {
            let message = format!("{} cannot be read: {why}", path.display());
            Failure::new(Exit::Failed, "io.failed", message).hint("FILE is a log that is there; - for stdin")
        };
        let file = File::open(path).map_err(|error| failed(&error.to_string()))?;
        let found = file.metadata().map_err(|error| failed(&error.to_string()))?;
        if found.is_dir() {
            return Err(failed("it is a folder").into());
        }
        total = total.map(|total| total + found.len());
        sources.push(Source::File(path.clone(), file));
    }
    if sources.iter().filter(|source| matches!(source, Source::Stdin)).count() > 1 {
        return Err(Failure::usage("- is given more than once, and there is one stdin").into());
    }
    Ok((sources, total))
}

pub(super) fn names(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|path| path.display().to_string()).collect()
}
