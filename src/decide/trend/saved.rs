//! What of a trend has to survive a restart, as a small value with a version.

use serde::{Deserialize, Serialize};

use crate::base::sketch::Sketch;
use crate::base::time::Timestamp;
use crate::decide::trend::measure::{Limits, Measure};
use crate::decide::trend::policy::{Error, Policy};
use crate::decide::trend::stream::{Open, Tally, Trend};

const VERSION: u32 = 1;

/// A [`Trend`] as it is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    v: u32,
    usual: Tally,
    #[serde(default, skip_serializing_if = "is_zero")]
    score: f64,
    #[serde(default, skip_serializing_if = "is_none")]
    doubt: Tally,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
}

/// A [`Measure`] as it is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedMeasure {
    v: u32,
    seen: Sketch,
    #[serde(default)]
    doubt: Sketch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    #[serde(default)]
    fixed_at: u64,
    median: Saved,
    tail: Saved,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(score: &f64) -> bool {
    *score == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_none(tally: &Tally) -> bool {
    tally.of == 0
}

impl Trend {
    /// As it is saved.
    #[must_use]
    pub fn save(&self) -> Saved {
        let Self { usual, score, doubt, since, open, last, .. } = self;
        Saved {
            v: VERSION,
            usual: *usual,
            score: *score,
            doubt: *doubt,
            since: *since,
            open: *open,
            last: *last,
        }
    }

    /// As it was saved; by another policy it goes on by that. A sum that a lower threshold has made too great is told at the next
    /// observation that does not lower it.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for one of a later version, [`Error::Field`] for what no trend can have: what was saved was changed.
    pub fn restore(policy: Policy, saved: &Saved) -> Result<Self, Error> {
        let Saved { v, usual, score, doubt, since, open, last } = *saved;
        if v != VERSION {
            return Err(Error::Version { found: v, known: VERSION });
        }
        for (field, tally) in
            [("usual", Some(usual)), ("doubt", Some(doubt)), ("open", open.map(|o| o.tally))]
        {
            if let Some(tally) = tally.filter(|tally| tally.bad > tally.of) {
                return Err(Error::saved(
                    field,
                    format!("{} of {}", tally.bad, tally.of),
                    "bad ones at most all",
                ));
            }
        }
        for (field, sum) in [("score", Some(score)), ("back", open.map(|open| open.back))] {
            if let Some(sum) = sum.filter(|sum| !(0.0..=1e3).contains(sum)) {
                return Err(Error::saved(field, sum, "0 to 1000"));
            }
        }
        Ok(Self { policy, learns: true, usual, score, doubt, since, open, last })
    }
}

impl Measure {
    /// As it is saved: at most about 12 KiB of JSON.
    #[must_use]
    pub fn save(&self) -> SavedMeasure {
        SavedMeasure {
            v: VERSION,
            seen: self.seen.clone(),
            doubt: self.doubt.clone(),
            limits: self.limits,
            fixed_at: self.fixed_at,
            median: self.median.save(),
            tail: self.tail.save(),
        }
    }

    /// As it was saved.
    ///
    /// # Errors
    ///
    /// As [`Trend::restore`].
    pub fn restore(policy: Policy, saved: &SavedMeasure) -> Result<Self, Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        if let Some(Limits { median, p95 }) = saved.limits
            && !(median >= 0.0 && p95 >= median && p95.is_finite())
        {
            return Err(Error::saved(
                "limits",
                format!("{median} and {p95}"),
                "a median and a p95 not below it",
            ));
        }
        let told =
            |saved: &Saved| Ok(Trend { learns: false, ..Trend::restore(Self::told_by(policy), saved)? });
        Ok(Self {
            policy,
            seen: saved.seen.clone(),
            doubt: saved.doubt.clone(),
            limits: saved.limits,
            fixed_at: saved.fixed_at,
            median: told(&saved.median)?,
            tail: told(&saved.tail)?,
        })
    }
}
