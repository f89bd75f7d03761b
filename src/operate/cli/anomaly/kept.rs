//! The file that a baseline is kept in.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::fault::Classify;
use crate::base::rng::entropy;
use crate::base::time::Now;
use crate::decide::baseline::{self, Baseline, Noticed, Policy, Saved, SavedUnits, Severity, Units};
use crate::observe::lines::Position;
use crate::operate::cli::anomaly::How;
use crate::operate::cli::anomaly::spec::{KeySpec, UnitSpec};
use crate::operate::cli::failure::{Exit, Failure, chain};
use crate::remember::snapshots::{File, FileError, Recovered};

const VERSION: u32 = 1;
/// The most that a baseline takes on disk.
const BYTES_MAX: u64 = 64 << 20;
/// The shares that are fitted to the lines learned from.
const RATE_MIN: f64 = 0.001;
const RATE_MAX: f64 = 0.05;
/// Seen twice in N lines, a kind's share is at most this over N, at 95 %.
const UPPER: f64 = 6.3;
const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A baseline as it is kept, with what it was learned by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    v: u32,
    /// What makes the kind of a line.
    pub(super) key: String,
    /// What makes its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
    /// The share that a person asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rare_rate: Option<f64>,
    pub(super) saved: Saved,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) units: Option<SavedUnits>,
    /// Where the files that are followed were left.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) positions: BTreeMap<String, Position>,
}

/// What a baseline is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Use {
    /// To be learned: nothing is ever enough evidence to call something rare.
    Learn,
    /// To judge lines that are read at once: time does not pass.
    Whole(Severity),
    /// To judge lines as they come.
    Follow(Severity),
}

pub(super) fn policy(use_: Use, rate: f64) -> Policy {
    let policy = Policy::new().rare_rate(rate);
    match use_ {
        Use::Learn => policy.rare_rate(1e-9).epoch(None).stale_after(YEARS),
        Use::Whole(from) => {
            // Those of one file are told at once, so their pace is no matter.
            let all = Duration::from_secs(1);
            policy.alert_from(from).alerts_max(1000, all).epoch(None).stale_after(YEARS)
        }
        Use::Follow(from) => policy.alert_from(from).hold(Duration::from_secs(1)),
    }
}

/// The share that so many lines prove.
pub(super) fn fitted(lines: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    let rate = UPPER / lines.max(1) as f64;
    rate.clamp(RATE_MIN, RATE_MAX)
}

/// A baseline that is ready to be used.
pub(super) struct Ready {
    pub(super) key: KeySpec,
    pub(super) unit: Option<UnitSpec>,
    pub(super) rare_rate: Option<f64>,
    pub(super) baseline: Baseline,
    pub(super) units: Option<Units>,
    pub(super) positions: BTreeMap<String, Position>,
    pub(super) noticed: Vec<Noticed>,
}

impl Ready {
    pub(super) fn save(&self, now: Now) -> Kept {
        Kept {
            v: VERSION,
            key: self.key.as_str().to_owned(),
            unit: self.unit.as_ref().map(|unit| unit.as_str().to_owned()),
            rare_rate: self.rare_rate,
            saved: self.baseline.save(now),
            units: self.units.as_ref().map(Units::save),
            positions: self.positions.clone(),
        }
    }
}

pub(super) fn file(path: &Path) -> Result<File<Kept>, Failure> {
    File::open(path).map(|file| file.bytes_max(BYTES_MAX)).map_err(|error| unusable(path, &error))
}

/// The baseline in `file`; `None` if there is none.
pub(super) fn load(file: &File<Kept>) -> Result<Option<(Kept, Option<Recovered>)>, Failure> {
    let loaded = file.load().map_err(|error| unusable(file.path(), &error))?;
    let Some(loaded) = loaded else { return Ok(None) };
    if loaded.value.v != VERSION {
        let message = format!("the baseline {} has version {}", file.path().display(), loaded.value.v);
        let hint = format!("this release reads version {VERSION}");
        return Err(Failure::new(Exit::Config, "baseline.version", message).hint(hint));
    }
    Ok(Some((loaded.value, loaded.recovered)))
}

pub(super) fn unusable(path: &Path, error: &FileError) -> Failure {
    let message = format!("the baseline {} cannot be used: {}", path.display(), chain(error));
    Failure::new(Exit::Config, error.fault().code, message)
        .hint("it is left as it is; name another file with --baseline, or learn anew after moving it away")
}

/// Puts a baseline to use, or a new one where there is none.
pub(super) fn ready(
    path: &Path,
    kept: Option<Kept>,
    how: &How,
    unit: Option<&UnitSpec>,
    use_: Use,
    now: Now,
) -> Result<Ready, Failure> {
    let Some(kept) = kept else {
        let key = how.key.clone().unwrap_or_else(KeySpec::masked);
        let policy = policy(use_, how.rare_rate.unwrap_or(RATE_MIN));
        let units = unit.map(|_| Units::new(policy, entropy())).transpose();
        return Ok(Ready {
            key,
            unit: unit.cloned(),
            rare_rate: how.rare_rate,
            baseline: Baseline::new(policy, entropy(), now).map_err(|error| refused(path, &error))?,
            units: units.map_err(|error| refused(path, &error))?,
            positions: BTreeMap::new(),
            noticed: Vec::new(),
        });
    };
    let key = same(path, "key", &kept.key, how.key.as_ref().map(KeySpec::as_str))?;
    let key = key.parse().map_err(|why: String| broken(path, &why))?;
    let unit = match (&kept.unit, unit) {
        (None, None) => None,
        (kept, given) => {
            let kept = kept.as_deref().unwrap_or("no unit");
            let unit = same(path, "unit", kept, given.map(UnitSpec::as_str))?;
            Some(unit.parse().map_err(|why: String| broken(path, &why))?)
        }
    };
    let rare_rate = how.rare_rate.or(kept.rare_rate);
    let learned = kept.saved.events();
    let evidence = kept.units.as_ref().map_or(learned, SavedUnits::units);
    let rate = rare_rate.unwrap_or_else(|| fitted(evidence));
    let policy = policy(use_, rate);
    let units = kept.units.map(|units| Units::restore(policy, units)).transpose();
    let (baseline, noticed) =
        Baseline::restore(policy, kept.saved, now).map_err(|error| refused(path, &error))?;
    Ok(Ready {
        key,
        unit,
        rare_rate,
        baseline,
        units: units.map_err(|error| refused(path, &error))?,
        positions: kept.positions,
        noticed,
    })
}

fn same<'a>(path: &Path, what: &str, kept: &'a str, given: Option<&'a str>) -> Result<&'a str, Failure> {
    match given {
        Some(given) if given != kept => Err(Failure::usage(format!(
            "the baseline {} was learned with the {what} {kept}, not with {given}",
            path.display()
        ))
        .hint(format!("leave --{what} away, or learn a baseline of its own with it"))),
        _ => Ok(kept),
    }
}

fn refused(path: &Path, error: &baseline::Error) -> Failure {
    broken(path, &error.to_string())
}

fn broken(path: &Path, why: &str) -> Failure {
    let message = format!("the baseline {} cannot be used: {why}", path.display());
    Failure::new(Exit::Config, "baseline.damaged", message)
        .hint("it is left as it is; name another file with --baseline, or learn anew after moving it away")
}
