//! What a policy would have told of a log whose lines are labelled, so that it is tuned before it is trusted.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::time::{Now, Timestamp, between};
use crate::decide::baseline::core::Baseline;
use crate::decide::baseline::error::Error;
use crate::decide::baseline::policy::Policy;
use crate::decide::baseline::reason::{Finding, Outcome, Quiet};
use crate::decide::baseline::severity::Severity;
use crate::decide::baseline::state::State;

/// A line whose truth is known.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<K> {
    /// When it was written; both clocks from the log's own times.
    pub now: Now,
    /// Its kind.
    pub key: K,
    /// How bad it says that it is.
    pub severity: Severity,
    /// Whether somebody should have been told.
    pub label: bool,
}

/// What a policy would have told.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Backtest {
    /// Lines.
    pub lines: u64,
    /// Lines of which somebody should have been told.
    pub labelled: u64,
    /// Those of them that came while the baseline was learning, when nothing is told.
    pub labelled_while_learning: u64,
    /// Those of them that were told, or counted in an alert that was open.
    pub found: u64,
    /// Alerts that would have been sent.
    pub alerts: u64,
    /// Those of them that were about a line that is labelled.
    pub right: u64,
    /// Changes of regime among the alerts.
    pub regime_changes: u64,
    /// What went to the digest for its severity, and for the limit.
    pub digested: u64,
    /// How many days there were between the first line and the last.
    pub days: f64,
}

impl Backtest {
    /// The share of the alerts that were right; `None` without an alert.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        ratio(self.right, self.alerts)
    }

    /// The share of the labelled lines that were found; `None` without one.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        ratio(self.found, self.labelled)
    }

    /// Alerts a day; `None` where all lines are of one instant.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    pub fn alerts_per_day(&self) -> Option<f64> {
        (self.days > 0.0).then(|| self.alerts as f64 / self.days)
    }
}

/// Goes through a log of the past under `policy`, and counts what would have been told, and what of it was right.
///
/// An alert is right if the line that raised it, or one that it counts, is labelled; a change of regime, if one of the lines
/// that it stands for is. A labelled line is found if it raised an alert, or was counted in one that was open or in a change of regime. What went to the
/// digest is not found, and what came while learning is not either: the figures are those of somebody who acts on alerts alone.
///
/// The secrets of the hash come from `seed`; the same seed gives the same figures.
///
/// # Errors
///
/// What [`Policy::check`] finds.
pub fn backtest<K: AsRef<[u8]>>(
    policy: Policy,
    seed: u64,
    lines: impl IntoIterator<Item = Labelled<K>>,
) -> Result<Backtest, Error> {
    let mut lines = lines.into_iter().peekable();
    let Some(first) = lines.peek().map(|line| line.now) else {
        policy.check()?;
        return Ok(Backtest::default());
    };
    let mut replay = Replay {
        baseline: Baseline::new(policy, seed, first)?,
        result: Backtest::default(),
        waiting: BTreeMap::new(),
    };
    let (mut earliest, mut latest, mut last) = (first.wall, first.wall, first);
    for line in lines {
        (earliest, latest, last) = (earliest.min(line.now.wall), latest.max(line.now.wall), line.now);
        replay.line(&line);
    }
    replay.baseline.flush(last);
    replay.told(last);
    Ok(replay.end(earliest, latest))
}

struct Replay {
    baseline: Baseline,
    result: Backtest,
    /// Labelled lines of kinds that are held back: how many, and how many of them are labelled.
    waiting: BTreeMap<u64, u64>,
}

impl Replay {
    fn line<K: AsRef<[u8]>>(&mut self, line: &Labelled<K>) {
        let result = &mut self.result;
        result.lines += 1;
        result.labelled += u64::from(line.label);
        // What the time alone brings is told before the line.
        self.told(line.now);
        let (key, state) = (line.key.as_ref(), self.baseline.state());
        let hash = self.baseline.hash(key);
        if line.label {
            if state == State::Active {
                *self.waiting.entry(hash).or_default() += 1;
            } else {
                self.result.labelled_while_learning += 1;
            }
        }
        let quiet = match self.baseline.observe(key, line.severity, line.now) {
            Outcome::Quiet(quiet) => Some(quiet),
            Outcome::Tell => None,
        };
        self.told(line.now);
        match quiet {
            Some(Quiet::Counted { .. }) => self.result.found += self.waiting.remove(&hash).unwrap_or(0),
            Some(Quiet::Held { .. }) | None => {}
            Some(_) => {
                self.waiting.remove(&hash);
            }
        }
    }

    fn told(&mut self, now: Now) {
        while let Some(finding) = self.baseline.take(now) {
            let result = &mut self.result;
            result.alerts += u64::from(finding.is_alert());
            match (&finding, finding.kind()) {
                (Finding::RegimeChange(_), _) => {
                    result.regime_changes += 1;
                    // It stands for all that was held back.
                    let found: u64 = std::mem::take(&mut self.waiting).into_values().sum();
                    result.found += found;
                    result.right += u64::from(found > 0);
                }
                (Finding::Rare(_) | Finding::Again(_), Some(kind)) => {
                    let found = self.waiting.remove(&kind.hash).unwrap_or(0);
                    result.found += found;
                    result.right += u64::from(found > 0);
                }
                _ => {}
            }
        }
    }

    fn end(mut self, earliest: Timestamp, latest: Timestamp) -> Backtest {
        let digest = self.baseline.take_digest();
        self.result.digested = digest.minor.saturating_add(digest.overflow);
        self.result.days = between(earliest, latest).as_secs_f64() / 86_400.0;
        self.result
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
fn ratio(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

impl fmt::Display for Backtest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |figure: Option<f64>| figure.map_or_else(|| "none".to_owned(), |figure| format!("{figure:.3}"));
        write!(
            f,
            "{} lines, {} labelled: precision {}, recall {}, {} alerts, {} a day, {} in the digest",
            self.lines,
            self.labelled,
            shown(self.precision()),
            shown(self.recall()),
            self.alerts,
            shown(self.alerts_per_day()),
            self.digested,
        )
    }
}
