//! What stands in the store of one subject.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::statistics::note::{Noted, Stream, Subject};
use crate::act::statistics::raised::{Raised, What};
use crate::base::time::{Now, Timestamp, forward};
use crate::decide::trend::{self, Measure, Measured, Observed, SavedMeasure, Trend};

const VERSION: u32 = 1;

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
        let ended = noted.ended;
        self.last = forward(Some(self.last), noted.wall);
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
        })
    }
}
