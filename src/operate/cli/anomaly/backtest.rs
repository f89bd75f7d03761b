//! `anomaly backtest`: what would have been told of a past whose truth is known.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Serialize;

use crate::base::time::Now;
use crate::decide::baseline::{self, Labelled};
use crate::observe::lines::Keyed;
use crate::operate::cli::anomaly::Backtest;
use crate::operate::cli::anomaly::kept::{self, Use};
use crate::operate::cli::anomaly::learn::{self, Source};
use crate::operate::cli::anomaly::lines::Lines;
use crate::operate::cli::anomaly::spec::KeySpec;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::Session;

/// The largest file of labels.
const LABELS_BYTES_MAX: u64 = 64 << 20;
/// Where the seed does not matter, the same figures come each time.
const SEED: u64 = 7;

#[derive(Serialize)]
struct Answer {
    precision: Option<f64>,
    recall: Option<f64>,
    alerts: u64,
    right: u64,
    lines: u64,
    labelled: u64,
    labelled_while_learning: u64,
    found: u64,
    regime_changes: u64,
    digested: u64,
    unkeyed: u64,
    key: String,
    rare_rate: f64,
}

pub(super) fn backtest(session: &mut Session<'_, '_>, asked: &Backtest) -> Result<Exit, Stop> {
    let labels = labels(&asked.labels)?;
    let files = std::slice::from_ref(&asked.file);
    let counted = match asked.how.rare_rate {
        None if asked.file.as_os_str() != "-" => Some(count(session, files)?),
        _ => None,
    };
    // A third of the lines is evidence enough, so that there is something to be judged behind it.
    let rate =
        asked.how.rare_rate.unwrap_or_else(|| kept::fitted(counted.map_or(u64::MAX, |lines| lines / 3)));
    let key = asked.how.key.clone().unwrap_or_else(KeySpec::masked);
    let policy = kept::policy(Use::Whole(asked.alert_from), rate);
    let now = session.host.clock.now();
    let (sources, _) = learn::open(files)?;
    let mut failed = None;
    let mut past = Past {
        session,
        sources,
        lines: Lines::new(),
        key: &key,
        labels: &labels,
        text: Vec::new(),
        now,
        unkeyed: 0,
    };
    let iter = std::iter::from_fn(|| {
        past.next().unwrap_or_else(|stop| {
            failed = Some(stop);
            None
        })
    });
    let result = baseline::backtest(policy, SEED, iter);
    let (unkeyed, lines) = (past.unkeyed, past.lines.count);
    if let Some(stop) = failed {
        return Err(stop);
    }
    let result = result.map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(last) = labels.last().filter(|last| *last.end() > lines) {
        let message = format!("{} labels line {}, and there are {lines}", asked.labels.display(), last.end());
        return Err(Failure::usage(message).hint("is it the labels of another file?").into());
    }
    let answer = Answer {
        precision: result.precision(),
        recall: result.recall(),
        alerts: result.alerts,
        right: result.right,
        lines,
        labelled: result.labelled,
        labelled_while_learning: result.labelled_while_learning,
        found: result.found,
        regime_changes: result.regime_changes,
        digested: result.digested,
        unkeyed,
        key: key.as_str().to_owned(),
        rare_rate: rate,
    };
    if session.json() {
        session.object(&answer)?
    } else {
        tell(session, &answer)?
    }
    Ok(Exit::Done)
}

fn tell(session: &mut Session<'_, '_>, answer: &Answer) -> Result<(), Stop> {
    let share =
        |share: Option<f64>| share.map_or_else(|| String::from("none"), |share| format!("{share:.3}"));
    let mut facts = crate::operate::cli::print::Facts::default();
    let Answer { alerts, right, labelled, found, lines, .. } = answer;
    facts.painted(
        "precision",
        format!("{}  {right} of {alerts} alerts were about a labelled line", share(answer.precision)),
    );
    facts.painted(
        "recall",
        format!("{}  {found} of {labelled} labelled lines were told of", share(answer.recall)),
    );
    facts.painted(
        "alerts",
        format!("{alerts}  in {lines} lines, {} of them changes of regime", answer.regime_changes),
    );
    facts.painted(
        "digest",
        format!("{}  rare lines below --alert-from, or more than are told", answer.digested),
    );
    if answer.labelled_while_learning > 0 {
        let learning = answer.labelled_while_learning;
        facts
            .painted("too early", format!("{learning}  labelled lines came while the baseline was learning"));
    }
    if answer.unkeyed > 0 {
        facts.painted("no key", format!("{}  lines", answer.unkeyed));
    }
    let paint = session.paint();
    facts.write(session.out(), paint)?;
    Ok(())
}

fn count(session: &mut Session<'_, '_>, files: &[std::path::PathBuf]) -> Result<u64, Stop> {
    let (sources, _) = learn::open(files)?;
    let mut lines = Lines::new();
    for mut source in sources {
        while source.line(session, &mut lines, |_, _| {})? {}
    }
    Ok(lines.count)
}

/// The lines of a file with their kinds and labels.
struct Past<'p, 'a, 'io> {
    session: &'p mut Session<'a, 'io>,
    sources: Vec<Source>,
    lines: Lines,
    key: &'p KeySpec,
    labels: &'p [RangeInclusive<u64>],
    text: Vec<u8>,
    now: Now,
    unkeyed: u64,
}

impl Past<'_, '_, '_> {
    fn next(&mut self) -> Result<Option<Labelled<Vec<u8>>>, Stop> {
        let Self { session, sources, lines, key, text, .. } = self;
        let Some(source) = sources.first_mut() else { return Ok(None) };
        loop {
            let (mut keyed, mut at) = (None, 0);
            let there = source.line(session, lines, |number, line| {
                (keyed, at) = (Some(key.key().of(line, text)), number);
            })?;
            if !there {
                return Ok(None);
            }
            let Some(Keyed::Key { severity, .. }) = keyed else {
                self.unkeyed += 1;
                continue;
            };
            let label = is_labelled(self.labels, at);
            return Ok(Some(Labelled { now: self.now, key: text.clone(), severity, label }));
        }
    }
}

fn is_labelled(labels: &[RangeInclusive<u64>], line: u64) -> bool {
    let at = labels.partition_point(|range| *range.end() < line);
    labels.get(at).is_some_and(|range| range.contains(&line))
}

/// The labelled lines, in order and without overlaps.
fn labels(path: &Path) -> Result<Vec<RangeInclusive<u64>>, Failure> {
    let failed = |why: String| {
        let message = format!("the labels {} cannot be read: {why}", path.display());
        Failure::new(Exit::Failed, "io.failed", message)
    };
    let found = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if found.len() > LABELS_BYTES_MAX {
        return Err(failed(format!("they have more than {LABELS_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(|(line, given)| {
        Failure::usage(format!("{}:{line}: {given:?} is no label", path.display()))
            .hint("a label is the number of a line, the first is 1, or the first and the last of several, as 120-140")
    })
}

fn parse(text: &str) -> Result<Vec<RangeInclusive<u64>>, (usize, String)> {
    let mut ranges = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || (index + 1, line.chars().take(60).collect::<String>());
        let number =
            |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(wrong);
        let (first, last) = line.split_once('-').unwrap_or((line, line));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(wrong());
        }
        ranges.push((first, last));
    }
    ranges.sort_unstable();
    let mut merged: Vec<RangeInclusive<u64>> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= *before.end() => *before = *before.start()..=last.max(*before.end()),
            _ => merged.push(first..=last),
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_lines_and_ranges() {
        let labels = parse("# known\n7\n\n3-5\n 4-6 \n").unwrap();
        assert_eq!(labels, [3..=6, 7..=7]);
        let labelled: Vec<u64> = (1..=9).filter(|line| is_labelled(&labels, *line)).collect();
        assert_eq!(labelled, [3, 4, 5, 6, 7]);
        assert_eq!(parse("1\nx\n").unwrap_err(), (2, String::from("x")));
        assert!(parse("5-3").is_err() && parse("0").is_err());
    }
}
