//! Runs as they are read: one, a page, or the one that a person meant.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::remember::runs::{Body, Error, FORMAT, Runs, kinds_of};
use crate::remember::store::{Cursor, Ns, PAGE_MAX, Query, Record};

/// A run, read.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its record.
    pub record: Record,
    /// Its body.
    pub body: Body,
    state: State,
}

impl Run {
    /// Reads a run out of its record.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if the state or the body is not one that this release understands.
    pub fn from_record(record: Record) -> Result<Self, Error> {
        let (body, state) = Self::read(&record)?;
        Ok(Self { record, body, state })
    }

    /// The same, and where it cannot be read the record is given back.
    pub(super) fn of(record: Record) -> Result<Self, (Box<Record>, Error)> {
        match Self::read(&record) {
            Ok((body, state)) => Ok(Self { record, body, state }),
            Err(error) => Err((Box::new(record), error)),
        }
    }

    fn read(record: &Record) -> Result<(Body, State), Error> {
        let unreadable = |detail: String| Error::Unreadable { id: record.key.clone(), detail };
        let state = record.state.parse::<State>().map_err(|error| unreadable(error.to_string()))?;
        let body: Body =
            serde_json::from_str(&record.body).map_err(|error| unreadable(format!("its body: {error}")))?;
        if body.v > FORMAT {
            return Err(unreadable(format!(
                "its body has format {}, this release reads up to {FORMAT}",
                body.v
            )));
        }
        Ok((body, state))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.record.key
    }

    /// The job that it is of.
    #[must_use]
    pub fn job(&self) -> &str {
        let kind = self.record.kind.as_str();
        kind.rsplit_once('@').map_or(kind, |(job, _)| job)
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How often it was tried, retries of a step within one attempt of the run among them: each attempt of the run counts as
    /// often as the step that was tried most in it. Of a run whose older faults are not kept any more, at least so often.
    #[must_use]
    pub fn tries(&self) -> u32 {
        let body = &self.body;
        let mut most: BTreeMap<u32, u32> = BTreeMap::new();
        for fault in body.faults.iter().filter(|fault| (1..=body.attempt).contains(&fault.attempt)) {
            let tries = most.entry(fault.attempt).or_default();
            *tries = fault.step_attempt.max(*tries);
        }
        // The last try of an attempt that ended well is no fault.
        let well = self.state == State::Succeeded && most.contains_key(&body.attempt);
        let more =
            most.values().map(|tries| tries.saturating_sub(1)).fold(u32::from(well), u32::saturating_add);
        body.attempt.saturating_add(more)
    }

    /// How long it took, from the first work on it to its end, in milliseconds; `None` while it has not ended.
    #[must_use]
    pub fn duration_ms(&self) -> Option<i64> {
        let (start, end) = (self.body.started_at?, self.body.finished_at?);
        Some(end.signed_duration_since(start).num_milliseconds().max(0))
    }

    /// Whether it is a dead letter: failed for good or in review, and not yet reviewed.
    #[must_use]
    pub const fn is_dead_letter(&self) -> bool {
        self.state.is_dead_letter() && self.record.reviewed_at.is_none()
    }
}

/// Which runs a list shows. Empty means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these states.
    pub states: Vec<State>,
    /// Only runs of this job.
    pub job: Option<String>,
    /// Only runs whose last reason has this code.
    pub code: Option<String>,
    /// Only runs whose id, reason, input or key contains this text, letter for letter.
    pub text: Option<String>,
    /// Only runs created at this instant or later.
    pub since: Option<Timestamp>,
    /// Only runs that were (or were not) reviewed.
    pub reviewed: Option<bool>,
    /// Only runs that wait for this token, such as `credential:youtube`.
    pub waits_for: Option<String>,
}

impl Filter {
    /// Whether it asks for what only a run's body says, so that a page of records may hold few that match.
    const fn looks_into_bodies(&self) -> bool {
        self.code.is_some() || self.text.is_some() || self.waits_for.is_some()
    }

    /// The runs of a page that match, each with its place there. One that a newer release wrote must not hide all others:
    /// it is left out, and `store check` names it.
    fn of_page(&self, records: &[Record]) -> Vec<(usize, Run)> {
        let may = self.seen_in_text();
        let runs = records.iter().map(|record| {
            // Most records are no match, and reading each would take most of the time.
            may(record).then(|| Run::from_record(record.clone()).ok()).flatten()
        });
        let matching =
            runs.enumerate().filter_map(|(at, run)| Some((at, run.filter(|run| self.matches(run))?)));
        matching.collect()
    }

    /// Whether a record may match, by its text alone: what is searched stands in it, as it is or as JSON writes it.
    fn seen_in_text(&self) -> impl Fn(&Record) -> bool + use<> {
        let escaped = |text: &str| {
            let json = serde_json::to_string(text).unwrap_or_default();
            json.trim_matches('"').to_owned()
        };
        // A quote at an end is cut with those around it; then less is asked.
        let wanted = [self.code.as_deref(), self.waits_for.as_deref()];
        let wanted: Vec<String> = wanted.into_iter().flatten().map(escaped).collect();
        let text = self.text.clone().map(|text| (escaped(&text), text));
        move |record| {
            wanted.iter().all(|part| record.body.contains(part.as_str()))
                && text.as_ref().is_none_or(|(escaped, text)| {
                    [text, escaped].iter().any(|text| record.body.contains(text.as_str()))
                        || record.key.contains(text.as_str())
                })
        }
    }

    fn matches(&self, run: &Run) -> bool {
        let contains = |text: &str| {
            [run.id(), &run.body.why, run.body.input.get()].iter().any(|field| field.contains(text))
                || run.body.key.as_deref().is_some_and(|key| key.contains(text))
        };
        self.code.as_deref().is_none_or(|code| run.body.code == code)
            && self.text.as_deref().is_none_or(contains)
            && self.waits_for.as_deref().is_none_or(|token| {
                run.state == State::WaitingExternal
                    && run.body.wait.as_ref().is_some_and(|wait| wait.token == token)
            })
    }
}

/// How a person names a run: an id, a unique end of one, a job's name (its last run), `JOB~1` (the one before it), or
/// `@failed` (the last that failed for good or is in review).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The newest dead letter.
    Failed,
    /// A job's run, so many before its last.
    Job(String, u32),
    /// An id, the end of one, or a job's name.
    Name(String),
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "@failed" {
            return Ok(Self::Failed);
        }
        if let Some((job, back)) = text.rsplit_once('~')
            && !job.is_empty()
            && let Ok(back) = back.parse()
        {
            return Ok(Self::Job(job.to_owned(), back));
        }
        if text.is_empty() {
            return Err(Error::Invalid {
                field: "run",
                given: String::from("empty"),
                allowed: String::from("an id, the end of one, a job, JOB~1 or @failed"),
            });
        }
        Ok(Self::Name(text.to_owned()))
    }
}

/// How many records a list reads at most to fill one page, when it filters by what only the body says.
const READ_MAX: usize = 100_000;
/// How many records it reads at once then, at least.
const FILTERED_PAGE: u32 = 200;
/// The shortest end of an id that names a run.
const END_MIN: usize = 4;

impl Runs {
    /// Up to `limit` runs that match, newest first, and where to go on.
    ///
    /// A record that this release cannot read is left out: [`get`](Self::get) says what is wrong with it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &self,
        filter: &Filter,
        limit: u32,
        cursor: Option<Cursor>,
    ) -> Result<(Vec<Run>, Option<Cursor>), Error> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut query = Query {
            states: filter.states.iter().map(|state| state.as_str().to_owned()).collect(),
            kinds: filter.job.as_deref().map(kinds_of).unwrap_or_default(),
            created_from: filter.since,
            reviewed: filter.reviewed,
            limit: limit.clamp(1, PAGE_MAX),
            cursor,
            ..Query::all(Ns::RUN)
        };
        let (mut runs, mut read, mut large) = (Vec::new(), 0, filter.looks_into_bodies());
        while runs.len() < wanted && read < READ_MAX {
            let left = wanted - runs.len();
            let exact = u32::try_from(left).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
            // Where the first page held too few, what is looked for is rare: the next ones are as large as may be.
            let least = if read == 0 { FILTERED_PAGE } else { PAGE_MAX };
            query.limit = if large { exact.max(least) } else { exact };
            let mut page = self.store().scan(query.clone()).await?;
            read += page.records.len();
            let mut found = filter.of_page(&page.records);
            if found.len() > left {
                // The cursor must stand right behind the last run that is given. Only a page that ends there has one, so
                // it is read once more up to there; where that finds other runs, no page is larger than what is wanted.
                let end = found.get(left - 1).map_or(0, |(at, _)| at + 1);
                query.limit = u32::try_from(end).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
                page = self.store().scan(query.clone()).await?;
                found = filter.of_page(&page.records);
                if found.len() > left {
                    large = false;
                    continue;
                }
            }
            runs.extend(found.into_iter().map(|(_, run)| run));
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        Ok((runs, query.cursor))
    }

    /// The run that a person meant.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], [`Error::Ambiguous`], or when the store cannot be read.
    pub async fn find(&self, selector: &Selector) -> Result<Run, Error> {
        match selector {
            Selector::Failed => {
                let filter = Filter {
                    states: vec![State::FailedPermanent, State::NeedsReview],
                    reviewed: Some(false),
                    ..Filter::default()
                };
                self.nth(&filter, 0, "@failed").await
            }
            Selector::Job(job, back) => {
                let filter = Filter { job: Some(job.clone()), ..Filter::default() };
                self.nth(&filter, *back, &format!("{job}~{back}")).await
            }
            Selector::Name(name) => self.find_by_name(name).await,
        }
    }

    async fn find_by_name(&self, name: &str) -> Result<Run, Error> {
        if let Some(run) = self.get(name).await? {
            return Ok(run);
        }
        let of_job = Filter { job: Some(name.to_owned()), ..Filter::default() };
        if let (mut runs, _) = self.list(&of_job, 1, None).await?
            && let Some(run) = runs.pop()
        {
            return Ok(run);
        }
        if name.len() < END_MIN {
            return Err(Error::NoSuchRun { given: name.to_owned() });
        }
        let by_end = Query { key_suffix: Some(name.to_owned()), limit: 5, ..Query::all(Ns::RUN) };
        let mut records = self.store().scan(by_end).await?.records;
        match (records.pop(), records.is_empty()) {
            (None, _) => Err(Error::NoSuchRun { given: name.to_owned() }),
            (Some(record), true) => Run::from_record(record),
            (Some(record), false) => {
                let mut matches: Vec<_> = records.into_iter().map(|record| record.key).collect();
                matches.push(record.key);
                Err(Error::Ambiguous { given: name.to_owned(), matches })
            }
        }
    }

    async fn nth(&self, filter: &Filter, back: u32, given: &str) -> Result<Run, Error> {
        let (mut runs, _) = self.list(filter, back.saturating_add(1).min(PAGE_MAX), None).await?;
        let index = usize::try_from(back).unwrap_or(usize::MAX);
        if index < runs.len() {
            return Ok(runs.swap_remove(index));
        }
        Err(Error::NoSuchRun { given: given.to_owned() })
    }
}
