//! What runs wait for outside, and the word that they go on.

use std::time::Duration;

use crate::act::credential;
use crate::base::text::Rate;
use crate::base::time::{Timestamp, later};
use crate::decide::run::State;
use crate::operate::operator::{Error, Operator, Outcome, RUNS_MAX};
use crate::remember::runs::{self, Filter, Json, Resolved, Run, Verb};
use crate::remember::store::Ns;

/// A run that waits for something outside.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The token under which it is given what it waits for.
    pub token: String,
    /// The step whose output that becomes; none where the run itself waits, such as for a credential.
    pub step: Option<String>,
    /// Until when it waits; `None` for as long as it takes.
    pub until: Option<Timestamp>,
    /// The run.
    pub run: Run,
}

/// How fast runs that wait for a credential are released unless told otherwise: 10 in a minute.
pub const RELEASE_RATE: Rate = Rate { count: 10, per: Duration::from_secs(60) };

/// What a person's word about a credential has done.
#[derive(Debug)]
pub struct Released {
    /// How the credential stood.
    pub cleared: credential::Cleared,
    /// The runs that waited for it, oldest first.
    pub outcomes: Vec<Outcome>,
    /// Whether there are more than [`RUNS_MAX`]: say it again for them.
    pub more: bool,
}

impl Operator {
    /// The runs that wait for something outside, newest first: for which token, until when. The states of the filter do
    /// not count. At most `limit`, and [`RUNS_MAX`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn waiting(&self, filter: &Filter, limit: u32) -> Result<Vec<Waiting>, Error> {
        let filter = Filter { states: vec![State::WaitingExternal], ..filter.clone() };
        let runs = self.list(&filter, limit).await?.into_iter();
        let waiting = runs.filter_map(|run| {
            let wait = run.body.wait.clone()?;
            Some(Waiting { token: wait.token, step: wait.step, until: wait.deadline, run })
        });
        Ok(waiting.collect())
    }

    /// Gives `answer` to whoever waits for `token`: it becomes the output of the step that asked, and the run is queued,
    /// due now. The first answer counts; one that comes before anybody asks is kept.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the token of a credential, which [`credential_ok`](Self::credential_ok) is for, and for too
    /// long a reason; [`Invalid`](runs::Error::Invalid) for a token outside its bounds or an answer that has no room in
    /// the run's record; when the store cannot be read or written.
    pub async fn resolve(&self, token: &str, answer: Json, why: &str) -> Result<Resolved, Error> {
        let of_credential = token.starts_with(&credential::token_of(""));
        // A step may have asked for one that looks so.
        if of_credential
            && self.runs.store().get(Ns::WAIT, token).await.map_err(runs::Error::Store)?.is_none()
        {
            let allowed = "the token of a step; `credential_ok` releases the runs that wait for a credential";
            return Err(Error::invalid("token", format!("{token:?}"), allowed));
        }
        Ok(self.runs.resolve_with(token, answer, self.word(why)?).await?)
    }

    /// A person has seen to the credential `name`: it may be refreshed again, and the runs that wait for it are queued,
    /// oldest first, the first due at `at`, the others after it at `rate` ([`RELEASE_RATE`] is a good one): whoever waited
    /// for long does not all come at once.
    ///
    /// A run that has moved meanwhile is left, with the reason.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was released before stays released, and saying it again goes on.
    pub async fn credential_ok(&self, name: &str, at: Timestamp, rate: Rate) -> Result<Released, Error> {
        let token = credential::token_of(name);
        // Before the list: whoever parks after this word is refused that and tries again.
        let cleared =
            credential::ok(self.runs.store(), name, &self.actor).await.map_err(runs::Error::Store)?;
        let filter = Filter {
            states: vec![State::WaitingExternal],
            waits_for: Some(token.clone()),
            ..Filter::default()
        };
        let mut waiting = self.list(&filter, RUNS_MAX).await?;
        let more = waiting.len() >= RUNS_MAX as usize;
        waiting.reverse();
        let why = format!("{} has seen to credential {name}", self.actor);
        let reason = runs::Reason::new("credential.ok", why);
        let (mut outcomes, mut sent) = (Vec::with_capacity(waiting.len()), 0u64);
        for run in waiting {
            let due = later(at, rate.offset(sent));
            let result = match self.runs.release(run.id(), &token, &self.actor, due, &reason).await {
                Ok(Some(run)) => {
                    sent = sent.saturating_add(1);
                    Ok(run)
                }
                Ok(None) => Err(Error::not_possible(run.id(), run.state(), Verb::Resolve)),
                Err(runs::Error::Store(error)) => return Err(runs::Error::Store(error).into()),
                Err(error) => Err(error.into()),
            };
            outcomes.push(Outcome { chosen: run, result });
        }
        Ok(Released { cleared, outcomes, more })
    }
}
