//! An alert as it stands in the store.

use serde::{Deserialize, Serialize};

use crate::act::notify::outbox::Outbox;
use crate::act::notify::{About, Alerts, Error, Filter, Signal};
use crate::base::canonical::Fingerprint;
use crate::base::text::head;
use crate::base::time::Timestamp;
use crate::decide::alert::{Alert, Kind, Rule, Saved, State, Subject};
use crate::remember::runs::kinds_of;
use crate::remember::store::{
    self, ApplyError, Batch, Event, Expect, Ns, PAGE_MAX, Pages, Put, Query, Record, Write, apply_settled,
};

const VERSION: u32 = 1;
/// With nothing to be sent.
pub(super) const QUIET: &str = "alert";
/// With a page that was not sent.
pub(super) const UNSENT: &str = "alert.unsent";
/// With a page that waits for the digest.
pub(super) const HELD_BACK: &str = "alert.held";
/// How often a write is tried when others write too.
pub(super) const TRIES_MAX: u32 = 32;
/// The fewest letters that name an alert by the end of its id.
const END_MIN: usize = 4;
/// So many letters of a fingerprint are an id.
const ID_LEN: usize = 12;
/// So many bytes of an owner and of a runbook are kept.
const ABOUT_MAX: usize = 500;
/// So many bytes of a name and of a run's id are kept.
const NAME_MAX: usize = 400;
/// How many pages of records a list reads.
const PAGES_MAX: u32 = 100;

/// What is saved. Every text is bounded, and so is it, however often something happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    v: u32,
    pub(super) subject: Subject,
    pub(super) code: String,
    pub(super) alert: Saved,
    pub(super) why: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) tail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runbook: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) acked_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<Outbox>,
}

/// An alert that was read.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) version: Option<u64>,
    pub(super) fence: u64,
    /// Whether somebody else is sending it.
    pub(super) leased: bool,
    pub(super) alert: Alert,
    pub(super) kept: Kept,
}

/// The id of an identity.
pub(super) fn id_of(subject: &Subject, code: &str) -> String {
    let text = format!("{}\n{code}", subject.typed());
    // What stands before it says how it was made.
    let made = Fingerprint::of_bytes(text).to_string();
    let hex = made.rsplit_once(':').map_or(made.as_str(), |(_, hex)| hex);
    head(hex, ID_LEN).to_owned()
}

pub(super) fn key_of(id: &str) -> String {
    format!("alert/{id}")
}

impl Known {
    /// Of an identity of which nothing is known.
    pub(super) fn new(signal: &Signal) -> Self {
        let alert = Alert::new(signal.kind);
        let kept = Kept {
            v: VERSION,
            subject: named(&signal.subject),
            code: signal.code.clone(),
            alert: alert.saved(),
            why: String::new(),
            tail: String::new(),
            run: None,
            rule: None,
            owner: None,
            runbook: None,
            acked_by: None,
            page: None,
        };
        let id = id_of(&signal.subject, &signal.code);
        Self { id, version: None, fence: 0, leased: false, alert, kept }
    }

    pub(super) fn read(record: &Record) -> Result<Self, store::Error> {
        let corrupt = |detail: String| store::Error::Corrupt { detail: format!("{}: {detail}", record.key) };
        let kept: Kept = serde_json::from_str(&record.body).map_err(|error| corrupt(error.to_string()))?;
        if kept.v != VERSION {
            return Err(corrupt(format!("it has version {}, known is {VERSION}", kept.v)));
        }
        let alert = Alert::restored(&kept.alert).map_err(|error| corrupt(error.to_string()))?;
        let id = record.key.strip_prefix("alert/").unwrap_or(&record.key).to_owned();
        let (version, fence, leased) = (Some(record.version), record.fence, record.leased());
        Ok(Self { id, version, fence, leased, alert, kept })
    }

    /// The rule by which it is judged: what is known here, else what was known where it was raised.
    pub(super) fn rule(&self, about: Option<&About>) -> Rule {
        about.map(|about| about.rule).or(self.kept.rule).unwrap_or_default()
    }

    /// Takes over what is known here of who sees to it.
    pub(super) fn learn(&mut self, about: Option<&About>) {
        let Some(About { rule, owner, runbook }) = about else { return };
        let short = |text: &Option<String>| text.as_deref().map(|text| head(text, ABOUT_MAX).to_owned());
        self.kept.rule = Some(*rule);
        self.kept.owner = short(owner);
        self.kept.runbook = short(runbook);
    }

    /// Takes over what happened last.
    pub(super) fn heard(&mut self, signal: &Signal) {
        head(&signal.why, Signal::WHY_MAX).clone_into(&mut self.kept.why);
        signal.tail.clone_into(&mut self.kept.tail);
        self.kept.run = signal.run.as_deref().map(|run| head(run, NAME_MAX).to_owned());
    }

    fn kind(&self) -> &'static str {
        match &self.kept.page {
            None => QUIET,
            Some(page) if page.held => HELD_BACK,
            Some(_) => UNSENT,
        }
    }

    /// The write that saves it, if it is still as it was read.
    pub(super) fn write(&self, event: Option<Event>) -> Result<Write, store::Error> {
        let kept = Kept { alert: self.alert.saved(), ..self.kept.clone() };
        let body = serde_json::to_string(&kept)
            .map_err(|error| store::Error::invalid("alert", error, "a value that is JSON"))?;
        let put = Put {
            state: Some(self.alert.state().as_str().to_owned()),
            kind: Some(self.kind().to_owned()),
            body: Some(body),
            ..Put::default()
        };
        let expect = self.version.map_or(Expect::Absent, Expect::Version);
        Ok(Write { event, ..Write::new(Ns::SNAPSHOT, key_of(&self.id), expect, put) })
    }
}

fn named(subject: &Subject) -> Subject {
    let short = |name: &str| head(name, NAME_MAX).to_owned();
    match subject {
        Subject::Job(name) => Subject::Job(short(name)),
        Subject::Dependency(name) => Subject::Dependency(short(name)),
    }
}

/// An alert, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub state: State,
    /// What it is about.
    pub subject: Subject,
    /// What it is.
    pub kind: Kind,
    /// The stable word of what is wrong.
    pub code: String,
    /// The last sentence.
    pub why: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When last.
    pub last: Option<Timestamp>,
    /// How often since.
    pub count: u64,
    /// How often it was paged since.
    pub paged: u32,
    /// Whether a page of it was not sent yet.
    pub unsent: bool,
    /// Why it could not be sent, if that was tried.
    pub not_sent: Option<String>,
    /// Until when somebody sees to it, where that has an end.
    pub acked_until: Option<Timestamp>,
    /// Who does.
    pub acked_by: Option<String>,
    /// Who is to see to it.
    pub owner: Option<String>,
    /// Where it says what to do.
    pub runbook: Option<String>,
    /// The last run in which it happened.
    pub run: Option<String>,
    /// The end of what that put out.
    pub tail: String,
    /// The command to type next.
    pub next: String,
}

impl Alerts {
    pub(super) fn about(&self, subject: &Subject) -> Option<&About> {
        self.inner.about.get(subject)
    }

    pub(super) fn entry(&self, known: &Known) -> Entry {
        let Known { id, alert, kept, .. } = known;
        let about = self.about(&kept.subject);
        let page = kept.page.as_ref();
        Entry {
            id: id.clone(),
            state: alert.state(),
            subject: kept.subject.clone(),
            kind: alert.kind(),
            code: kept.code.clone(),
            why: kept.why.clone(),
            since: alert.since(),
            last: alert.last(),
            count: alert.count(),
            paged: alert.paged(),
            unsent: page.is_some(),
            not_sent: page.and_then(|page| page.failed.clone()),
            acked_until: alert.acked().and_then(|acked| acked.until),
            acked_by: kept.acked_by.clone(),
            owner: about.and_then(|about| about.owner.clone()).or_else(|| kept.owner.clone()),
            runbook: about.and_then(|about| about.runbook.clone()).or_else(|| kept.runbook.clone()),
            run: kept.run.clone(),
            tail: kept.tail.clone(),
            next: self.next_command(known),
        }
    }

    pub(super) async fn load(&self, id: &str) -> Result<Option<Known>, store::Error> {
        let record = self.inner.store.get(Ns::SNAPSHOT, &key_of(id)).await?;
        record.as_ref().map(Known::read).transpose()
    }

    /// Applies writes, all or none. False if somebody else has written in between.
    pub(super) async fn apply(&self, writes: Vec<Write>) -> Result<bool, store::Error> {
        match apply_settled(&*self.inner.store, Batch::new(writes)).await {
            Ok(_) => Ok(true),
            Err(ApplyError::Conflict(_)) => Ok(false),
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
        }
    }

    pub(super) fn query(kinds: &[&str], states: &[State]) -> Query {
        Query {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            states: states.iter().map(|state| state.as_str().to_owned()).collect(),
            limit: PAGE_MAX,
            ..Query::all(Ns::SNAPSHOT)
        }
    }

    pub(super) async fn entries(&self, filter: &Filter, limit: u32) -> Result<Vec<Entry>, Error> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let query = Self::query(&[QUIET, UNSENT, HELD_BACK], &filter.states);
        let kinds = filter.job.as_deref().map(kinds_of);
        let is_of = |subject: &Subject| match (&kinds, subject) {
            (None, _) => true,
            (Some(names), Subject::Job(name)) => names.contains(name),
            (Some(_), Subject::Dependency(_)) => false,
        };
        let mut found = Vec::new();
        let mut pages = Pages::of(&*self.inner.store, query).most(PAGES_MAX);
        while let Some(records) = pages.next().await? {
            for record in &records {
                let known = Known::read(record)?;
                if is_of(&known.kept.subject) {
                    found.push(self.entry(&known));
                }
            }
        }
        found.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.id.cmp(&b.id)));
        found.truncate(wanted);
        Ok(found)
    }

    pub(super) async fn find_entry(&self, given: &str) -> Result<Entry, Error> {
        Ok(self.entry(&self.find_known(given).await?))
    }

    /// The one alert of a subject that is not over.
    async fn find_of(&self, subject: &Subject, given: &str) -> Result<Known, Error> {
        let open = self.list(&Filter::open(), PAGE_MAX).await?;
        let mut matches: Vec<_> =
            open.into_iter().filter(|entry| entry.subject == *subject).map(|entry| entry.id).collect();
        let (given, one) = (given.to_owned(), matches.pop());
        let Some(id) = one.filter(|_| matches.is_empty()) else {
            return Err(match matches.is_empty() {
                true => Error::NoSuchAlert { given },
                false => Error::Ambiguous { given, matches },
            });
        };
        self.load(&id).await?.ok_or(Error::NoSuchAlert { given })
    }

    pub(super) async fn find_known(&self, given: &str) -> Result<Known, Error> {
        let none = || Error::NoSuchAlert { given: head(given, NAME_MAX).to_owned() };
        if given.is_empty() || given.len() > NAME_MAX || given.contains('\0') {
            return Err(none());
        }
        if let Some(known) = self.load(given).await? {
            return Ok(known);
        }
        if let Ok(subject) = given.parse::<Subject>() {
            return self.find_of(&subject, given).await;
        }
        if given.len() < END_MIN {
            return Err(none());
        }
        let query = Query {
            key_suffix: Some(given.to_owned()),
            limit: 5,
            ..Self::query(&[QUIET, UNSENT, HELD_BACK], &[])
        };
        let records = self.inner.store.scan(query).await?.records;
        match records.as_slice() {
            [] => Err(none()),
            [one] => Ok(Known::read(one)?),
            several => {
                let matches =
                    several.iter().map(|record| record.key.trim_start_matches("alert/").to_owned()).collect();
                Err(Error::Ambiguous { given: given.to_owned(), matches })
            }
        }
    }
}
