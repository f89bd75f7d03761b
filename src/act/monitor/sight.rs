//! When the monitor looked last, kept in the store so that the next process knows.

use serde::{Deserialize, Serialize};

use crate::act::monitor::asked::{Answer, ProbeStatus};
use crate::act::monitor::kept::TRIES_MAX;
use crate::act::monitor::raised::{Raised, What};
use crate::act::monitor::{Error, Monitor};
use crate::base::time::{Now, Timestamp, between};
use crate::decide::heartbeat::{Look, Noticed, SavedSight, Sight};
use crate::remember::snapshots::{Saved, Snapshots};
use crate::remember::store;

/// A look, and what is told of it.
pub(super) struct Looked {
    pub(super) look: Look,
    /// When was last looked before.
    pub(super) before: Option<Timestamp>,
    pub(super) noticed: Option<Noticed>,
}

#[derive(Serialize, Deserialize)]
struct KeptProbe {
    v: u32,
    #[serde(flatten)]
    status: ProbeStatus,
}

impl Monitor {
    /// Looks, and writes that it did unless that was less than a tick ago. Of two that look at the same time one tells what was noticed.
    pub(super) async fn look(&self, now: Now) -> Result<Looked, Error> {
        let (key, tick) = (format!("monitor/{}/sight", self.inner.name), self.inner.tick);
        let snapshots = self.snapshots();
        for _ in 0..TRIES_MAX {
            let found = snapshots.load::<SavedSight>(&key).await?;
            let (mut sight, version) = match found {
                None => (Sight::new(tick), None),
                Some(found) => {
                    let sight = Sight::restored(tick, &found.value).map_err(|error| corrupt(&key, &error))?;
                    (sight, Some(found.version))
                }
            };
            let before = sight.last();
            let (look, noticed) = sight.look(now);
            let fresh = before.is_some_and(|before| between(before, now.wall) < tick);
            if fresh && noticed.is_none() {
                return Ok(Looked { look, before, noticed });
            }
            let told: Vec<Raised> = noticed
                .iter()
                .map(|noticed| self.inner.raised(&self.inner.name, What::Noticed(*noticed)))
                .collect();
            let event = self.inner.event(Some("saved"), "saved", &told);
            let saved = snapshots.save_and_tell(&key, "monitor", &sight.saved(), version, event).await?;
            if let Saved::Done(_) = saved {
                self.tell_all(&told);
                return Ok(Looked { look, before, noticed });
            }
        }
        Err(Error::Raced { job: self.inner.name.clone() })
    }

    /// What is known of a service.
    pub(super) async fn probed(&self, name: &str) -> Result<Option<ProbeStatus>, Error> {
        let key = format!("monitor/{}/probe/{name}", self.inner.name);
        let found = self.snapshots().load::<KeptProbe>(&key).await?;
        Ok(found.filter(|found| found.value.v == 1).map(|found| found.value.status))
    }

    /// What an answer makes of what is known of a service; written if it is other than before.
    pub(super) async fn answered(
        &self,
        name: &str,
        answer: &Answer,
        looked: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<ProbeStatus, Error> {
        let key = format!("monitor/{}/probe/{name}", self.inner.name);
        let snapshots = self.snapshots();
        for _ in 0..TRIES_MAX {
            let found = snapshots.load::<KeptProbe>(&key).await?;
            if let Some(found) = found.as_ref().filter(|found| found.value.v != 1) {
                return Err(
                    corrupt(&key, &format_args!("it has version {}, known is 1", found.value.v)).into()
                );
            }
            let before = found.as_ref().map(|found| &found.value.status);
            let (status, turned) = ProbeStatus::after(before, answer.clone(), looked, now);
            if before.is_some() && turned.is_none() {
                return Ok(status);
            }
            let told: Vec<Raised> =
                turned.into_iter().map(|turned| self.inner.raised(name, What::Probe(turned))).collect();
            let event =
                self.inner.event(before.map(|before| before.state.as_str()), status.state.as_str(), &told);
            let kept = KeptProbe { v: 1, status: status.clone() };
            let version = found.as_ref().map(|found| found.version);
            if let Saved::Done(_) = snapshots.save_and_tell(&key, "probe", &kept, version, event).await? {
                self.tell_all(&told);
                return Ok(status);
            }
        }
        Err(Error::Raced { job: name.to_owned() })
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::new(std::sync::Arc::clone(&self.inner.store))
    }
}

fn corrupt(key: &str, error: &impl std::fmt::Display) -> store::Error {
    store::Error::Corrupt { detail: format!("the saved state {key}: {error}") }
}
