//! What waits to be stored, and what was verified: two small files that are replaced whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::backup::decision::Drift;
use crate::act::backup::error::Error;
use crate::act::backup::lines;
use crate::act::backup::name::Name;
use crate::act::backup::objects;
use crate::act::backup::place::Place;
use crate::base::canonical::Fingerprint;
use crate::base::time::{Timestamp, between};

const WAITING: &str = "waiting";
const VERIFIED: &str = "verified";

/// Changes that are not stored yet, and what is known of the runs so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) drifts: BTreeMap<Name, Drift>,
    pub(super) seen: Seen,
    /// Whether what waits is not known.
    pub(super) lost: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The last run of the index.
    pub(super) sequence: u64,
    /// When the last run was, whether it stored anything or not, in milliseconds since 1970.
    pub(super) ran_at: i64,
    /// The longest time between two runs since the last retention, in milliseconds: a clock that jumped shows in it.
    pub(super) gap: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Seen(Seen),
    Waits { name: Name, drift: Drift },
}

impl Waits {
    /// Reads it. Damaged or missing, though there were runs, it is lost.
    pub(super) fn load(store: &Path, had_runs: bool) -> Self {
        let lost = Self { lost: had_runs, ..Self::default() };
        let Ok(bytes) = read(&store.join(WAITING)) else { return lost };
        let reading = lines::read::<Record>(&bytes);
        if !reading.whole {
            return Self { lost: true, ..lost };
        }
        let mut waits = Self::default();
        for record in reading.records {
            match record {
                Record::Seen(seen) => waits.seen = seen,
                Record::Waits { name, drift } => drop(waits.drifts.insert(name, drift)),
            }
        }
        waits
    }

    /// Notes that a run is at `at`.
    pub(super) fn ran(&mut self, at: Timestamp) {
        let at = at.timestamp_millis();
        if self.seen.ran_at != 0 {
            self.seen.gap = self.seen.gap.max(at.saturating_sub(self.seen.ran_at));
        }
        self.seen.ran_at = at;
    }

    /// The longest time without a run since the last retention, up to `now`.
    pub(super) fn gap(&self, now: Timestamp) -> Duration {
        let last = Timestamp::from_timestamp_millis(self.seen.ran_at).filter(|_| self.seen.ran_at != 0);
        let open = last.map_or(Duration::ZERO, |last| between(last, now));
        open.max(Duration::from_millis(u64::try_from(self.seen.gap).unwrap_or(0)))
    }

    pub(super) fn save(&self, place: Place<'_>) -> Result<(), Error> {
        let mut writer = lines::Writer::default();
        writer.push(&Record::Seen(self.seen));
        for (name, drift) in &self.drifts {
            writer.push(&Record::Waits { name: name.clone(), drift: drift.clone() });
        }
        place.replace(&place.store.join(WAITING), &writer.finish())
    }
}

/// What the last verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verified {
    /// Versions up to this run were looked at.
    pub(super) sequence: u64,
    /// When that was, in milliseconds since 1970.
    pub(super) at: i64,
    /// Contents that are damaged.
    pub(super) damaged: BTreeSet<Fingerprint>,
}

impl Verified {
    /// Reads it; damaged or missing, nothing was verified.
    pub(super) fn load(store: &Path) -> Self {
        let Ok(bytes) = read(&store.join(VERIFIED)) else { return Self::default() };
        let reading = lines::read(&bytes);
        if reading.whole { reading.records.into_iter().next().unwrap_or_default() } else { Self::default() }
    }

    pub(super) fn save(&self, place: Place<'_>) -> Result<(), Error> {
        let mut writer = lines::Writer::default();
        writer.push(self);
        place.replace(&place.store.join(VERIFIED), &writer.finish())
    }

    /// Whether that content of that run is known to be damaged.
    pub(super) fn knows_damaged(&self, hash: &Fingerprint, sequence: u64) -> bool {
        sequence <= self.sequence && self.damaged.contains(hash)
    }

    /// Whether that content of that run was found sound.
    pub(super) fn knows_sound(&self, hash: &Fingerprint, sequence: u64) -> bool {
        sequence <= self.sequence && !self.damaged.contains(hash)
    }
}

/// The most bytes of such a file.
const BYTES_MAX: u64 = 1 << 30;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut file = io::Read::take(objects::open(path)?, BYTES_MAX);
    io::Read::read_to_end(&mut file, &mut content)?;
    Ok(content)
}
