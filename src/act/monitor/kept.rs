//! What stands in the store of one job.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::act::monitor::build::Inner;
use crate::act::monitor::raised::{Raised, What};
use crate::base::explain::Explain;
use crate::base::zone::Zone;
use crate::decide::heartbeat::{Heart, Policy, Saved, State};
use crate::decide::schedule::Schedule;
use crate::remember::store::{
    self, BODY_MAX, Event, Expect, Ns, Order, PAGE_MAX, Pages, Put, Query, Record, Store, Write,
};

const VERSION: u32 = 1;
/// Of a job that somebody declared.
pub(super) const DECLARED: &str = "heartbeat";
/// Of a job that nobody declared.
pub(super) const UNDECLARED: &str = "heartbeat.undeclared";
/// Of a job that is forgotten.
const FORGOTTEN: &str = "heartbeat.forgotten";
/// How often a write is tried when others write too.
pub(super) const TRIES_MAX: u32 = 16;

#[derive(Serialize, Deserialize)]
struct Kept {
    v: u32,
    /// That by which it is judged; none if nobody declared it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    /// When it is expected, where that is no interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<Plan>,
    heart: Saved,
}

/// A schedule as it is kept: so that whoever looks can judge by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    cron: String,
    tz: Zone,
}

impl Plan {
    #[cfg(feature = "cron")]
    pub(super) fn of(schedule: &Schedule) -> Option<Self> {
        let (cron, tz) = schedule.as_cron()?;
        Some(Self { cron, tz })
    }

    #[cfg(not(feature = "cron"))]
    pub(super) const fn of(_schedule: &Schedule) -> Option<Self> {
        None
    }

    /// `None` for one that this program cannot read: then it is not judged here.
    #[cfg(feature = "cron")]
    pub(super) fn schedule(&self) -> Option<Schedule> {
        Schedule::cron(&self.cron, self.tz).ok()
    }

    #[cfg(not(feature = "cron"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    pub(super) const fn schedule(&self) -> Option<Schedule> {
        None
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cron, self.tz)
    }
}

/// A heartbeat as it stands in the store.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The version under which it may be replaced; `None` if nothing stands there.
    pub(super) version: Option<u64>,
    /// The policy that stands beside it.
    pub(super) policy: Option<Policy>,
    /// And the schedule.
    pub(super) plan: Option<Plan>,
    pub(super) heart: Heart,
}

impl Known {
    /// Reads a record; `mine` is the policy of who reads it, if the job is declared there. `None` if it is forgotten.
    fn read(record: &Record, mine: Option<Policy>) -> Result<Option<Self>, store::Error> {
        if record.kind == FORGOTTEN {
            return Ok(None);
        }
        let corrupt = |detail: String| store::Error::Corrupt { detail: format!("{}: {detail}", record.key) };
        let kept: Kept = serde_json::from_str(&record.body).map_err(|error| corrupt(error.to_string()))?;
        if kept.v != VERSION {
            return Err(corrupt(format!("it has version {}, known is {VERSION}", kept.v)));
        }
        let policy = match mine.or(kept.policy) {
            Some(policy) => policy,
            None => unjudged().map_err(|error| corrupt(error.to_string()))?,
        };
        let heart = Heart::restored(policy, kept.heart).map_err(|error| corrupt(error.to_string()))?;
        let (version, policy, plan) = (Some(record.version), kept.policy, kept.schedule);
        Ok(Some(Self { version, policy, plan, heart }))
    }
}

/// Of a job that nobody declared.
pub(super) fn unjudged() -> Result<Policy, crate::decide::heartbeat::Error> {
    Policy::scheduled().build()
}

/// The names of the monitors that keep heartbeats in a store.
pub(super) async fn monitors(store: &dyn Store) -> Result<BTreeSet<String>, store::Error> {
    let query = Query {
        kinds: vec![DECLARED.to_owned(), UNDECLARED.to_owned()],
        order: Order::Oldest,
        limit: PAGE_MAX,
        ..Query::all(Ns::SNAPSHOT)
    };
    let mut names = BTreeSet::new();
    let mut pages = Pages::of(store, query);
    while let Some(records) = pages.next().await? {
        let keys = records.iter().filter_map(|record| record.key.strip_prefix("heartbeat/"));
        names.extend(keys.filter_map(|key| Some(key.split_once('/')?.0.to_owned())));
    }
    Ok(names)
}

impl Inner {
    pub(super) fn key(&self, job: &str) -> String {
        format!("heartbeat/{}/{job}", self.name)
    }

    /// The heartbeat of one job, and the version of what stands under its key.
    pub(super) async fn load(&self, job: &str) -> Result<(Option<Known>, Option<u64>), store::Error> {
        let Some(record) = self.store.get(Ns::SNAPSHOT, &self.key(job)).await? else {
            return Ok((None, None));
        };
        let mine = self.jobs.get(job).map(|declared| declared.policy);
        Ok((Known::read(&record, mine)?, Some(record.version)))
    }

    /// All heartbeats, by name: those of the declared jobs and others. What has not changed since the last time is not read again; what
    /// cannot be read is given with what is wrong with it.
    pub(super) async fn load_all(&self) -> Result<Vec<(String, Result<Known, store::Error>)>, store::Error> {
        let prefix = self.key("");
        // By their kinds and in the order in which they were made, so that a page goes on where the one before ended.
        let query = Query {
            kinds: vec![DECLARED.to_owned(), UNDECLARED.to_owned()],
            order: Order::Oldest,
            limit: PAGE_MAX,
            ..Query::all(Ns::SNAPSHOT)
        };
        let mut before = std::mem::take(&mut *self.known());
        let mut all = Vec::with_capacity(before.len());
        let mut pages = Pages::of(&*self.store, query);
        while let Some(records) = pages.next().await? {
            for record in &records {
                let Some(job) = record.key.strip_prefix(&prefix) else { continue };
                let known = before.remove(job).filter(|known| known.version == Some(record.version));
                let known = match known {
                    Some(known) => Ok(Some(known)),
                    None => Known::read(record, self.jobs.get(job).map(|declared| declared.policy)),
                };
                all.extend(known.transpose().map(|known| (job.to_owned(), known)));
            }
        }
        Ok(all)
    }

    /// How many jobs nobody declared, up to one more than are kept.
    pub(super) async fn undeclared(&self) -> Result<usize, store::Error> {
        let limit = u32::try_from(self.undeclared_max.saturating_add(1)).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let query = Query {
            kinds: vec![UNDECLARED.to_owned()],
            key_prefix: Some(self.key("")),
            limit,
            ..Query::all(Ns::SNAPSHOT)
        };
        Ok(self.store.scan(query).await?.records.len())
    }

    /// What writes the heartbeat of a job over what stood under its key, with what is told of it.
    pub(super) fn write_of(
        &self,
        job: &str,
        (heart, policy, plan): (&Heart, Option<Policy>, Option<&Plan>),
        version: Option<u64>,
        from: Option<State>,
        told: &[Raised],
    ) -> Result<Write, store::Error> {
        let kept = Kept { v: VERSION, policy, schedule: plan.cloned(), heart: heart.saved() };
        let body = serde_json::to_string(&kept)
            .map_err(|error| store::Error::invalid("heartbeat", error, "a value that is JSON"))?;
        let kind = if policy.is_some() { DECLARED } else { UNDECLARED };
        let state = heart.state().as_str();
        let put = Put {
            state: Some(state.to_owned()),
            kind: Some(kind.to_owned()),
            body: Some(body),
            ..Put::default()
        };
        let event = self.event(from.map(State::as_str), state, told);
        let write = Write::new(Ns::SNAPSHOT, self.key(job), expect(version), put);
        Ok(Write { event, ..write })
    }

    /// What makes a job a forgotten one.
    pub(super) fn forgetting(&self, job: &str, version: u64, from: State) -> Write {
        let actor = format!("monitor:{}", self.name);
        let event = Event::new(
            Some(from.as_str()),
            "forgotten",
            &actor,
            "monitor.forgotten",
            "it is forgotten until it beats again",
        );
        let put = Put {
            state: Some(String::from("forgotten")),
            kind: Some(FORGOTTEN.to_owned()),
            ..Put::default()
        };
        Write::new(Ns::SNAPSHOT, self.key(job), Expect::Version(version), put).event(event)
    }

    /// The event that stands beside a write.
    pub(super) fn event(&self, from: Option<&str>, to: &str, told: &[Raised]) -> Option<Event> {
        let last = told.last()?;
        let why = told.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let mut event = Event::new(from, to, &format!("monitor:{}", self.name), last.code(), why);
        event.data = serde_json::to_string(told).ok().filter(|data| data.len() <= BODY_MAX);
        Some(event)
    }

    pub(super) fn raised(&self, name: &str, what: What) -> Raised {
        Raised { monitor: self.name.clone(), name: name.to_owned(), what }
    }
}

pub(super) fn expect(version: Option<u64>) -> Expect {
    version.map_or(Expect::Absent, Expect::Version)
}
