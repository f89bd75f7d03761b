//! Switches as records.

use serde::{Deserialize, Serialize};

use crate::base::subject::Subject;
use crate::base::text::head;
use crate::base::time::Timestamp;
use crate::remember::holds::{Forced, Held, Holds, REASON_MAX, Standing, Switch};
use crate::remember::store::{
    ApplyError, Batch, Error, Event, Expect, Ns, PAGE_MAX, Pages, Put, Query, Record, Write, apply_settled,
};

const VERSION: u32 = 1;
const HOLD: &str = "hold";
const FORCED: &str = "breaker.forced";
/// It is set.
const SET: &str = "held";
/// It was set once.
const CLEARED: &str = "released";
/// How often a write is tried when others write too.
const TRIES_MAX: u32 = 16;
/// How many pages of switches are read.
const PAGES_MAX: u32 = 10;

/// A switch as it is saved.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    v: u32,
    subject: Subject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forced: Option<Forced>,
    set: bool,
    #[serde(flatten)]
    held: Held,
}

/// Under which key the hold of a subject is saved.
pub(crate) fn name_of_hold(subject: &Subject) -> String {
    format!("hold/{}", subject.path())
}

/// Under which key it is saved how the breaker of a dependency is forced.
pub(crate) fn name_of_forced(dependency: &str) -> String {
    format!("breaker-forced/{}", Subject::dependency(dependency).path())
}

impl Kept {
    /// The switch, if it is set.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn standing(self) -> Result<Option<Standing>, String> {
        if self.v != VERSION {
            return Err(format!("it has version {}, known is {VERSION}", self.v));
        }
        let switch = self.forced.map_or(Switch::Hold, Switch::Breaker);
        Ok(self.set.then_some(Standing { subject: self.subject, switch, held: self.held }))
    }

    fn of(standing: &Standing, set: bool) -> Self {
        let forced = match standing.switch {
            Switch::Hold => None,
            Switch::Breaker(forced) => Some(forced),
        };
        let held = standing.held.clone();
        Self { v: VERSION, subject: standing.subject.clone(), forced, set, held }
    }
}

/// What cannot be read holds what its key names, and nothing else: nobody knows that it does not.
fn unreadable(record: &Record, error: &Error) -> Option<Standing> {
    let path = record.key.strip_prefix("hold/").or_else(|| record.key.strip_prefix("breaker-forced/"))?;
    let (word, name) = path.split_once('/')?;
    let subject = if word == "job" { Subject::job(name) } else { Subject::dependency(name) };
    let reason = format!("what stands there cannot be read: {error}");
    let held = Held::new("somebody", reason, record.updated_at);
    let switch = if record.kind == FORCED { Switch::Breaker(Forced::Open) } else { Switch::Hold };
    Some(Standing { subject, switch, held })
}

fn read(record: &Record) -> Result<Option<Standing>, Error> {
    let corrupt = |detail: String| Error::Corrupt { detail: format!("{}: {detail}", record.key) };
    let kept: Kept = serde_json::from_str(&record.body).map_err(|error| corrupt(error.to_string()))?;
    kept.standing().map_err(corrupt)
}

impl Holds {
    /// The switch that is set under this key, and its record's version, also where it is not set.
    pub(super) async fn load(&self, key: &str) -> Result<Option<(Standing, u64)>, Error> {
        let Some(record) = self.store.get(Ns::SNAPSHOT, key).await? else { return Ok(None) };
        Ok(read(&record)?.map(|standing| (standing, record.version)))
    }

    pub(super) async fn scan(&self) -> Result<Vec<Standing>, Error> {
        let query = Query {
            kinds: vec![HOLD.to_owned(), FORCED.to_owned()],
            states: vec![SET.to_owned()],
            limit: PAGE_MAX,
            ..Query::all(Ns::SNAPSHOT)
        };
        let mut found = Vec::new();
        let mut pages = Pages::of(&*self.store, query).most(PAGES_MAX);
        while let Some(records) = pages.next().await? {
            for record in &records {
                found.extend(read(record).unwrap_or_else(|error| unreadable(record, &error)));
            }
        }
        Ok(found)
    }

    pub(super) async fn set(
        &self,
        subject: &Subject,
        switch: Switch,
        held: &Held,
    ) -> Result<Option<Standing>, Error> {
        let (key, kind, code) = match switch {
            Switch::Hold => (name_of_hold(subject), HOLD, "hold.set"),
            Switch::Breaker(_) => (name_of_forced(subject.name()), FORCED, "breaker.forced"),
        };
        let held = Held { reason: head(&held.reason, REASON_MAX).to_owned(), ..held.clone() };
        let standing = Standing { subject: subject.clone(), switch, held };
        for _ in 0..TRIES_MAX {
            let found = self.store.get(Ns::SNAPSHOT, &key).await?;
            let before = found.as_ref().map(read).transpose()?.flatten();
            let from = found.as_ref().map(|record| record.state.as_str());
            let event = Event::new(from, SET, &standing.held.by, code, standing.to_string());
            let body = Kept::of(&standing, true);
            if self.write(&key, kind, SET, &body, found.as_ref(), event).await? {
                return Ok(before);
            }
        }
        Err(raced(&key))
    }

    pub(super) async fn clear(
        &self,
        key: &str,
        by: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<Standing>, Error> {
        for _ in 0..TRIES_MAX {
            let Some(record) = self.store.get(Ns::SNAPSHOT, key).await? else { return Ok(None) };
            let Some(before) = read(&record)? else { return Ok(None) };
            let (code, what) = match before.switch {
                Switch::Hold => ("hold.released", format!("{by} released {}", before.subject)),
                Switch::Breaker(_) => (
                    "breaker.auto",
                    format!("{by} lets the breaker of {} decide by itself again", before.subject),
                ),
            };
            let why = head(why.trim(), REASON_MAX);
            let said = if why.is_empty() { what } else { format!("{what}: {why}") };
            let event = Event::new(Some(&record.state), CLEARED, by, code, said);
            let gone = Standing {
                held: Held { until: None, reason: why.to_owned(), by: by.to_owned(), at: now },
                ..before.clone()
            };
            let body = Kept::of(&gone, false);
            if self.write(key, &record.kind, CLEARED, &body, Some(&record), event).await? {
                return Ok(Some(before));
            }
        }
        Err(raced(key))
    }

    /// False if somebody else has written in between.
    async fn write(
        &self,
        key: &str,
        kind: &str,
        state: &str,
        kept: &Kept,
        found: Option<&Record>,
        event: Event,
    ) -> Result<bool, Error> {
        let body = serde_json::to_string(kept)
            .map_err(|error| Error::invalid("hold", error, "a value that is JSON"))?;
        let put = Put {
            state: Some(state.to_owned()),
            kind: Some(kind.to_owned()),
            body: Some(body),
            ..Put::default()
        };
        let expect = found.map_or(Expect::Absent, |record| Expect::Version(record.version));
        let write = Write::new(Ns::SNAPSHOT, key, expect, put).event(event);
        match apply_settled(&*self.store, Batch::of(write)).await {
            Ok(_) => Ok(true),
            Err(ApplyError::Conflict(_)) => Ok(false),
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
        }
    }
}

fn raced(key: &str) -> Error {
    Error::invalid("hold", key, "a switch that nobody else turns all the time")
}
