//! What an operator holds and lets go, and which alerts he sees to.

use std::sync::Arc;

use crate::act::notify::{self, Alerts, Entry};
use crate::base::text::rfc3339;
use crate::base::time::Timestamp;
use crate::decide::alert::Subject;
use crate::operate::operator::{Error, Operator};
use crate::remember::holds::{Forced, Held, Holds, REASON_MAX, Standing};
use crate::remember::store;

impl Operator {
    /// Holds a job or a dependency until `until`, or until it is released: what it would do is put off, with this reason. What was held
    /// before, if it was.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an end that is past, a reason that is empty or longer than 1,000 bytes, or no name; when the store cannot
    /// be read or written.
    pub async fn hold(
        &self,
        subject: &Subject,
        until: Option<Timestamp>,
        reason: &str,
    ) -> Result<Option<Held>, Error> {
        let held = self.held(subject, until, reason)?;
        if held.reason.is_empty() {
            return Err(Error::invalid("reason", "empty", format!("1 to {REASON_MAX} bytes")));
        }
        self.switches().hold(subject, &held).await.map_err(failed)
    }

    /// Lets a job or a dependency go; what was put off because of it is due at once. What was held; `None` if nothing was.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn release(&self, subject: &Subject, why: &str) -> Result<Option<Held>, Error> {
        let word = self.word(why)?;
        self.switches().release(subject, word.by, word.why, word.at).await.map_err(failed)
    }

    /// Forces the breaker of a dependency, until `until` or until it is let go by [`auto`](Self::auto). How it was forced before, if it
    /// was.
    ///
    /// # Errors
    /// As [`hold`](Self::hold); the reason may be empty.
    pub async fn force(
        &self,
        dependency: &str,
        forced: Forced,
        until: Option<Timestamp>,
        reason: &str,
    ) -> Result<Option<Standing>, Error> {
        let held = self.held(&Subject::dependency(dependency), until, reason)?;
        self.switches().force(dependency, forced, &held).await.map_err(failed)
    }

    /// Lets the breaker of a dependency decide by itself again. How it was forced, if it was.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn auto(&self, dependency: &str, why: &str) -> Result<Option<Standing>, Error> {
        let word = self.word(why)?;
        self.switches().auto(dependency, word.by, word.why, word.at).await.map_err(failed)
    }

    /// All that is held, and all breakers that are forced.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn holds(&self) -> Result<Vec<Standing>, Error> {
        self.switches().list(self.clock.now().wall).await.map_err(failed)
    }

    /// Up to `limit` alerts, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn alerts(&self, filter: &notify::Filter, limit: u32) -> Result<Vec<Entry>, Error> {
        Ok(self.notify()?.list(filter, limit).await?)
    }

    /// Sees to an alert, until `until` or until it is over: nobody is paged about it meanwhile. `given` is its id, or a unique end
    /// of it.
    ///
    /// # Errors
    /// [`Error::Alerts`] for one that is not there or is over; [`Error::Invalid`] for an end that is past; when the store cannot be
    /// written.
    pub async fn ack(&self, given: &str, until: Option<Timestamp>) -> Result<Entry, Error> {
        let now = self.clock.now();
        later_than(until, now.wall)?;
        Ok(self.notify()?.ack(given, until, &self.actor, now).await?)
    }

    fn held(&self, subject: &Subject, until: Option<Timestamp>, reason: &str) -> Result<Held, Error> {
        let word = self.word(reason)?;
        if word.why.len() > REASON_MAX {
            return Err(Error::invalid(
                "reason",
                format!("{} bytes", word.why.len()),
                format!("at most {REASON_MAX} bytes"),
            ));
        }
        // As it is typed: a name that cannot be is one that cannot be released from a shell either.
        if let Err(error) = subject.typed().parse::<Subject>() {
            return Err(Error::invalid("subject", error.given, "job:NAME or dependency:NAME"));
        }
        later_than(until, word.at)?;
        Ok(Held { until, ..Held::new(word.by, word.why, word.at) })
    }

    fn switches(&self) -> Holds {
        Holds::new(Arc::clone(self.runs.store()))
    }

    fn notify(&self) -> Result<Alerts, Error> {
        Ok(Alerts::new(Arc::clone(self.runs.store())).build()?)
    }
}

fn later_than(until: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    match until.filter(|until| *until <= now) {
        None => Ok(()),
        Some(until) => Err(Error::invalid("until", rfc3339(until), format!("later than {}", rfc3339(now)))),
    }
}

fn failed(error: store::Error) -> Error {
    Error::Runs(error.into())
}
