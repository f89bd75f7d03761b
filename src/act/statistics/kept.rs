//! What stands in the store of one subject.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::statistics::durations::Durations;
use crate::act::statistics::note::{Ended, Happened, Noted, Stream, Subject};
use crate::act::statistics::raised::{Raised, What};
use crate::base::text::head;
use crate::base::time::{Now, Timestamp, forward};
use crate::decide::trend::{self, Measure, Measured, Observed, SavedMeasure, Trend};
use crate::remember::store::BODY_MAX;

const VERSION: u32 = 1;
/// So many codes of refusals, and so many steps, are told apart.
const CODES_MAX: usize = 64;
const STEPS_MAX: usize = 16;
/// Of a code, or of a step's name, so many bytes are kept.
const CODE_MAX: usize = 100;

/// How a subject did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Of what.
    pub subject: Subject,
    /// Since when it is known.
    pub since: Timestamp,
    /// When something of it was last noted.
    pub last: Timestamp,
    /// How many of it there were.
    pub counts: Counts,
    /// Whether more fail than did.
    pub failed: Trend,
    /// Whether more take more than one attempt.
    pub retried: Trend,
    /// Whether more end with a person.
    pub dead_lettered: Trend,
    /// Whether they take longer, in seconds.
    pub durations: Measure,
    /// How often something was not done now, by the code of the reason.
    pub refusals: BTreeMap<String, u64>,
    /// How long those took that succeeded.
    pub took: Durations,
    /// How long its steps took, by their names.
    pub steps: BTreeMap<String, Durations>,
}

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// All that have ended.
    pub ended: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// Those that took more than one attempt.
    pub retried: u64,
    /// Those that ended with a person.
    pub dead_lettered: u64,
    /// Those that were asked for once more and had been done.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicates: u64,
    /// Those that somebody else took over in the middle.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leases_lost: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// As it is saved.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    v: u32,
    since: Timestamp,
    last: Timestamp,
    counts: Counts,
    failed: trend::Saved,
    retried: trend::Saved,
    dead_lettered: trend::Saved,
    durations: SavedMeasure,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    refusals: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Durations::is_empty")]
    took: Durations,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    steps: BTreeMap<String, Durations>,
}

impl Kept {
    /// Lets go of what is least missed, a step before the next, until it has room in a record.
    pub(super) fn fit(&mut self) {
        let size = |kept: &Self| serde_json::to_string(kept).map_or(0, |json| json.len());
        if size(self) <= BODY_MAX {
            return;
        }
        self.steps.values_mut().for_each(Durations::forget_older);
        self.took.forget_older();
        while size(self) > BODY_MAX && self.steps.pop_last().is_some() {}
    }
}

impl Report {
    pub(super) fn new(subject: &Subject, policy: trend::Policy, at: Timestamp) -> Self {
        let trend = Trend::new(policy);
        Self {
            subject: subject.clone(),
            since: at,
            last: at,
            counts: Counts::default(),
            failed: trend.clone(),
            retried: trend.clone(),
            dead_lettered: trend,
            durations: Measure::new(policy),
            refusals: BTreeMap::new(),
            took: Durations::default(),
            steps: BTreeMap::new(),
        }
    }

    /// Since when an alert stands, if one does.
    #[must_use]
    pub fn open_since(&self, stream: Stream) -> Option<Timestamp> {
        match stream {
            Stream::Failed => self.failed.open_since(),
            Stream::Retried => self.retried.open_since(),
            Stream::DeadLettered => self.dead_lettered.open_since(),
            Stream::SlowerThanMedian => self.durations.median().open_since(),
            Stream::SlowerThanP95 => self.durations.tail().open_since(),
        }
    }

    /// The duration that a share of `q` of the usual ones is at most, to one part in a hundred.
    #[must_use]
    pub fn duration(&self, q: f64) -> Option<Duration> {
        self.durations.quantile(q).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// Begins to learn anew.
    pub(super) fn relearn(&mut self) {
        for trend in [&mut self.failed, &mut self.retried, &mut self.dead_lettered] {
            trend.relearn();
        }
        self.durations.relearn();
    }

    /// Counts one, and gives what it has moved.
    pub(super) fn count(&mut self, noted: &Noted) -> Vec<Raised> {
        let now = Now { moment: noted.moment, wall: noted.wall };
        self.last = forward(Some(self.last), noted.wall);
        match &noted.happened {
            Happened::Ended(ended) => return self.ended(*ended, now),
            Happened::Duplicate => self.counts.duplicates = self.counts.duplicates.saturating_add(1),
            Happened::LeaseLost => self.counts.leases_lost = self.counts.leases_lost.saturating_add(1),
            Happened::Refused(code) => {
                let room = self.refusals.len() < CODES_MAX || self.refusals.contains_key(code);
                let code = if room { head(code, CODE_MAX) } else { "other" };
                let count = self.refusals.entry(code.to_owned()).or_insert(0);
                *count = count.saturating_add(1);
            }
            Happened::Step(step, took) => {
                let step = head(step, CODE_MAX);
                if self.steps.len() < STEPS_MAX || self.steps.contains_key(step) {
                    self.steps.entry(step.to_owned()).or_default().add_coarsely(*took, now.wall);
                }
            }
        }
        Vec::new()
    }

    fn ended(&mut self, ended: Ended, now: Now) -> Vec<Raised> {
        if let Some(took) = ended.duration {
            self.took.add(took, now.wall);
        }
        let one = |counter: &mut u64, on: bool| *counter = counter.saturating_add(u64::from(on));
        one(&mut self.counts.ended, true);
        one(&mut self.counts.failed, ended.failed);
        one(&mut self.counts.retried, ended.retried == Some(true));
        one(&mut self.counts.dead_lettered, ended.dead_lettered == Some(true));
        let mut observed = vec![(Stream::Failed, self.failed.observe(ended.failed, now))];
        observed.extend(ended.retried.map(|bad| (Stream::Retried, self.retried.observe(bad, now))));
        let dead =
            ended.dead_lettered.map(|bad| (Stream::DeadLettered, self.dead_lettered.observe(bad, now)));
        observed.extend(dead);
        if let Some(duration) = ended.duration
            && let Measured::Judged { median, tail, .. } = self.durations.observe(duration.as_secs_f64(), now)
        {
            observed.extend([(Stream::SlowerThanMedian, median), (Stream::SlowerThanP95, tail)]);
        }
        let moved = observed.into_iter().filter_map(|(stream, observed)| {
            let what = match observed {
                Observed::Alert(alert) => What::Alert(alert),
                Observed::Recovered(recovered) => What::Recovered(recovered),
                Observed::Learning { .. } | Observed::Steady { .. } | Observed::Open { .. } => return None,
            };
            Some(Raised { subject: self.subject.clone(), stream, what })
        });
        moved.collect()
    }

    pub(super) fn save(&self) -> Kept {
        Kept {
            v: VERSION,
            since: self.since,
            last: self.last,
            counts: self.counts,
            failed: self.failed.save(),
            retried: self.retried.save(),
            dead_lettered: self.dead_lettered.save(),
            durations: self.durations.save(),
            refusals: self.refusals.clone(),
            took: self.took.clone(),
            steps: self.steps.clone(),
        }
    }

    pub(super) fn restore(
        subject: &Subject,
        policy: trend::Policy,
        kept: &Kept,
    ) -> Result<Self, trend::Error> {
        if kept.v != VERSION {
            return Err(trend::Error::Version { found: kept.v, known: VERSION });
        }
        Ok(Self {
            subject: subject.clone(),
            since: kept.since,
            last: kept.last,
            counts: kept.counts,
            failed: Trend::restore(policy, &kept.failed)?,
            retried: Trend::restore(policy, &kept.retried)?,
            dead_lettered: Trend::restore(policy, &kept.dead_lettered)?,
            durations: Measure::restore(policy, &kept.durations)?,
            refusals: kept.refusals.clone(),
            took: kept.took.clone(),
            steps: kept.steps.clone(),
        })
    }
}
