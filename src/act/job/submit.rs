//! How work comes in: checked before anything is claimed or spent, then queued for a worker or taken at once.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::act::job::Job;
use crate::act::job::driver::actor;
use crate::act::pipeline::StepError;
use crate::base::canonical::Key;
use crate::base::fault::{Classify, Fault};
use crate::base::time::{Clock, System, Timestamp, later};
use crate::decide::contract::Refused;
use crate::decide::queue::Value;
use crate::remember::blocking::block_on;
use crate::remember::runs::{self, ESTIMATE_MAX, Json, NewRun, Runs, StepRecord, Submitted, Worth, kind_of};
use crate::remember::store::{BODY_MAX, KEY_MAX, Store};

/// The most bytes that an input may have: the rest of a run's record is for what its steps give. What is bigger stays
/// outside, and the input says where (`payload::PayloadRef`).
pub const INPUT_MAX: usize = 48 * 1024;

/// On what terms work is queued.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// How urgent it is: higher first. Default: 0. Where a value or an estimate is known, the rank is made of these.
    pub rank: i64,
    /// When it becomes due. Default: at once.
    pub due_at: Option<Timestamp>,
    /// After which it is not worth doing: it expires then, if nobody has begun, and before where it would have to wait
    /// for a window until then. Default: never.
    pub expires_at: Option<Timestamp>,
    /// What it is worth over time, counted from the submission, or from `due_at`. Default: what the job says
    /// ([`Builder::value`](crate::act::job::Builder::value)).
    pub value: Option<Value>,
    /// How long it takes; above zero, at most 366 days. What cannot be done by then before `expires_at` is not begun. Default:
    /// what the job says ([`Builder::estimate`](crate::act::job::Builder::estimate)).
    pub estimate: Option<Duration>,
}

/// An input that the job takes.
pub(super) struct Admitted {
    input: Json,
    schema: u32,
}

impl Job {
    /// Queues `input` for a worker: its run and its ledger entry in one commit. What was submitted before is found by its
    /// key and not submitted again.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Input`] for an input that the job does not take; what the store said when it could
    /// not be used.
    pub async fn submit<I>(
        &self,
        store: &Arc<dyn Store>,
        input: &I,
        terms: &Terms,
    ) -> Result<Submitted, Error>
    where
        I: Serialize + ?Sized,
    {
        self.queue(store, self.admitted(input)?, terms, System.now().wall).await
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_blocking<I>(
        &self,
        store: &Arc<dyn Store>,
        input: &I,
        terms: &Terms,
    ) -> Result<Submitted, Error>
    where
        I: Serialize + ?Sized,
    {
        block_on(self.submit(store, input, terms))
    }

    /// The same for JSON text from outside, in `version` of the job's contract (`None`: the present one). Every violation
    /// of the contract is told, with its path.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub async fn submit_text(
        &self,
        store: &Arc<dyn Store>,
        version: Option<u32>,
        text: &str,
        terms: &Terms,
    ) -> Result<Submitted, Error> {
        self.queue(store, self.admitted_text(version, text)?, terms, System.now().wall).await
    }

    /// The same as [`submit`](Self::submit) on another clock: for tests under simulated time.
    ///
    /// # Errors
    /// As there.
    pub async fn submit_on<I>(
        &self,
        clock: &impl Clock,
        store: &Arc<dyn Store>,
        input: &I,
        terms: &Terms,
    ) -> Result<Submitted, Error>
    where
        I: Serialize + Sync + ?Sized,
    {
        self.queue(store, self.admitted(input)?, terms, clock.now().wall).await
    }

    /// Queues what an occurrence of a schedule is about; `key` is for a job that has none of its own.
    pub(in crate::act) async fn submit_occasion(
        &self,
        store: &Arc<dyn Store>,
        input: &Json,
        terms: &Terms,
        key: Key,
        now: Timestamp,
    ) -> Result<Submitted, Error> {
        let mut new = self.new_run(store, self.admitted(input)?, terms, now)?;
        new.key.get_or_insert(key);
        self.keep_config(store).await?;
        Ok(Runs::new(Arc::clone(store)).submit(new, now).await?)
    }

    async fn queue(
        &self,
        store: &Arc<dyn Store>,
        admitted: Admitted,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Submitted, Error> {
        let new = self.new_run(store, admitted, terms, now)?;
        self.keep_config(store).await?;
        Ok(Runs::new(Arc::clone(store)).submit(new, now).await?)
    }

    /// Keeps the configuration that runs speak of only by its fingerprint.
    pub(super) async fn keep_config(&self, store: &Arc<dyn Store>) -> Result<(), Error> {
        match &self.config {
            Some(config) => Ok(config.keep(store).await.map_err(runs::Error::from)?),
            None => Ok(()),
        }
    }

    /// The input as it is stored, if the job takes it.
    pub(super) fn admitted<I: Serialize + ?Sized>(&self, input: &I) -> Result<Admitted, Error> {
        let input: Json = serde_json::value::to_raw_value(input).map_err(|error| self.bad_input(error))?;
        match &self.intake {
            Some(_) => self.admitted_text(None, input.get()),
            None => self.bounded(Admitted { input, schema: 1 }),
        }
    }

    fn admitted_text(&self, version: Option<u32>, text: &str) -> Result<Admitted, Error> {
        // Before it is read: a text of any size may come from outside.
        if text.len() > BODY_MAX.saturating_mul(4) {
            return Err(self.bad_input(too_big(text.len())));
        }
        match (&self.intake, version) {
            (Some(intake), version) => {
                let refused = |refused| Error::Refused { job: self.name.clone(), refused: Box::new(refused) };
                let admitted = intake.admit(version, text).map_err(refused)?;
                self.bounded(Admitted { input: admitted.input, schema: intake.version() })
            }
            (None, None | Some(1)) => {
                let input = serde_json::from_str(text).map_err(|error| self.bad_input(error))?;
                self.bounded(Admitted { input, schema: 1 })
            }
            (None, Some(version)) => {
                let why = format!("it has version {version}, and the job has no contract: allowed is 1");
                Err(self.bad_input(why))
            }
        }
    }

    fn bounded(&self, admitted: Admitted) -> Result<Admitted, Error> {
        match admitted.input.get().len() {
            size if size > INPUT_MAX => Err(self.bad_input(too_big(size))),
            _ => Ok(admitted),
        }
    }

    fn bad_input(&self, why: impl ToString) -> Error {
        Error::Input { job: self.name.clone(), why: why.to_string() }
    }

    pub(super) fn new_run(
        &self,
        store: &Arc<dyn Store>,
        Admitted { input, schema }: Admitted,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<NewRun, Error> {
        let refused = |error: StepError| self.bad_input(error);
        let key = self.key.as_ref().map(|key| key(&input)).transpose().map_err(refused)?;
        let payload = self.payload.as_ref().map(|payload| payload(&input)).transpose().map_err(refused)?;
        let serial_key = self.serial.as_ref().map(|serial| serial(&input)).transpose().map_err(refused)?;
        if let Some(key) = serial_key.as_ref().filter(|key| key.len() > KEY_MAX) {
            let why = format!("its serial key has {} bytes; allowed are {KEY_MAX}", key.len());
            return Err(self.bad_input(why));
        }
        let steps =
            self.steps.iter().map(|step| StepRecord::pending(step.name.as_str(), step.effect)).collect();
        let mut new = NewRun::new(self.name.as_str(), input, steps);
        let from = terms.due_at.map_or(now, |due| due.max(now));
        new.expires_at = terms.expires_at.or_else(|| self.within.map(|within| later(from, within)));
        if let (Some(due), Some(until)) = (terms.due_at, terms.expires_at)
            && until < due
        {
            return Err(self.bad_input(format!("it expires at {until}, before it is due at {due}")));
        }
        let value = match (&terms.value, &self.value) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(of)) => Some(of(&new.body.input).map_err(refused)?),
            (None, None) => None,
        };
        let estimate = terms.estimate.or(self.estimate);
        if terms.estimate.is_some_and(|given| given.is_zero() || given > ESTIMATE_MAX) {
            let why = format!("its estimate is {:?}; allowed is more than 0 s, at most 366 days", estimate);
            return Err(self.bad_input(why));
        }
        new.rank = terms.rank;
        if value.is_some() || estimate.is_some() {
            if terms.rank != 0 {
                let why = format!("its rank is {}; allowed is 0 beside a value or an estimate", terms.rank);
                return Err(self.bad_input(why));
            }
            let worth = Worth::new(value.unwrap_or_default(), estimate, from);
            new.rank = worth.rank(from);
            new.body.worth = Some(worth);
        }
        new.key = key;
        new.fingerprint = payload;
        new.serial_key = serial_key;
        new.due_at = terms.due_at;
        new.actor = actor(store);
        new.body.schema = schema;
        new.body.code_version.clone_from(&self.version);
        if let Some(intake) = &self.intake {
            new.body.sensitive = intake.sensitive().to_vec();
        }
        if let Some(config) = &self.config {
            config.tell(&self.name);
            new.body.config = Some(config.kept());
        }
        Ok(new)
    }

    /// The kinds of runs that it knows: one for each version of its input.
    pub(in crate::act) fn kinds(&self) -> Vec<String> {
        match &self.intake {
            Some(intake) => intake.versions().map(|version| kind_of(&self.name, version)).collect(),
            None => vec![kind_of(&self.name, 1)],
        }
    }
}

fn too_big(size: usize) -> String {
    format!("it has {size} bytes; allowed are {INPUT_MAX}: store it outside and give where")
}

/// A call could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is not one that the job takes.
    #[error("the input of job {job}: {why}")]
    Input {
        /// The job.
        job: String,
        /// What is wrong with it.
        why: String,
    },
    /// The input breaks the job's contract.
    #[error("the input of job {job}: {refused}")]
    Refused {
        /// The job.
        job: String,
        /// Every violation, by its path.
        #[source]
        refused: Box<Refused>,
    },
    /// The runs could not be read or written.
    #[error(transparent)]
    Runs(#[from] runs::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Input { .. } => Fault::permanent("job.input"),
            Self::Refused { refused, .. } => refused.fault(),
            Self::Runs(error) => error.fault(),
        }
    }
}
