//! The one place where a run's state becomes a write: no transition without the table, none without its event.

use std::borrow::Cow;
use std::time::Duration;

use crate::base::time::Timestamp;
use crate::decide::run::{self, Illegal, State};
use crate::remember::runs::Body;
use crate::remember::store::{BODY_MAX, Change, Event, Expect, Fencing, LeaseChange, Ns, Put, Write};

/// A reason that goes into a run's record and its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The stable word.
    pub code: Cow<'static, str>,
    /// The sentence.
    pub why: String,
}

impl Reason {
    /// A reason of these words.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        Self { code: code.into(), why: why.into() }
    }

    /// The same words as a decision's.
    #[must_use]
    pub fn of(reason: &impl crate::base::explain::Explain) -> Self {
        Self::new(reason.code(), reason.to_string())
    }
}

/// A transition of one run, not yet written.
#[derive(Debug)]
#[must_use]
pub struct Move<'a> {
    /// The run.
    pub id: &'a str,
    /// Its state now.
    pub from: State,
    /// What happens to it.
    pub event: run::Event,
    /// What must hold: the fence for its holder, the version for everybody else.
    pub expect: Expect,
    /// Its body after the move; `None` leaves it.
    pub body: Option<&'a Body>,
    /// When it next needs attention.
    pub due_at: Option<Timestamp>,
    /// The same, this long after the store's now: for whoever waits, and does not go by a date.
    pub due_in: Option<Duration>,
    /// The lease that a claim takes or a checkpoint extends.
    pub lease: Option<Duration>,
    /// Why.
    pub reason: Reason,
    /// Who.
    pub actor: &'a str,
    /// The step that it is about.
    pub step: Option<&'a str>,
    /// More for the event, as JSON text.
    pub data: Option<String>,
}

impl<'a> Move<'a> {
    /// A move of run `id` from `from` by `event`.
    pub fn new(id: &'a str, from: State, event: run::Event, expect: Expect, reason: Reason) -> Self {
        Self {
            id,
            from,
            event,
            expect,
            body: None,
            due_at: None,
            due_in: None,
            lease: None,
            reason,
            actor: "system",
            step: None,
            data: None,
        }
    }

    /// The write, if the table allows the move.
    ///
    /// # Errors
    /// [`Illegal`] if it does not.
    pub fn write(self) -> Result<Write, Illegal> {
        let to = run::transition(self.from, self.event)?;
        let takes = matches!(self.event, run::Event::Claim | run::Event::TakeOver);
        let mut put = Put {
            state: Some(to.as_str().to_owned()),
            due_at: Change::Set(self.due_at),
            due_in: self.due_in,
            body: self.body.map(to_text),
            ..Put::default()
        };
        // A run whose steps are undone stays in that state when it is put down, and begins it without a holder when a
        // person says so.
        let held = to.is_held()
            && !matches!(self.event, run::Event::HandBack)
            && (takes || self.from.is_held() || self.lease.is_some());
        put.lease = match (held, self.lease) {
            (true, Some(lease)) => LeaseChange::For(lease),
            (true, None) => LeaseChange::Keep,
            (false, _) => LeaseChange::End,
        };
        // Whoever takes it shuts out the holder before; whoever puts it down shuts out what is left of its own work.
        if takes || (self.from.is_held() && !held) {
            put.fence = Fencing::Grant;
        }
        if to.is_terminal() {
            // It said until when the work was worth doing, not until when its record is kept.
            put.expires_at = Change::CLEAR;
        }
        if matches!(self.event, run::Event::Cancel) {
            put.cancelling = Some(false);
        }
        if matches!(self.event, run::Event::Requeue | run::Event::Answer)
            || (matches!(self.event, run::Event::Compensate) && !self.from.is_held())
        {
            // What was reviewed was the earlier failure; a later one is a dead letter of its own.
            put.reviewed_at = Change::CLEAR;
            put.cancelling = Some(false);
        }
        let event = Event {
            attempt: self.body.map_or(0, |body| body.attempt),
            step: self.step.map(str::to_owned),
            data: self.data,
            ..Event::new(Some(self.from.as_str()), to.as_str(), self.actor, self.reason.code, self.reason.why)
        };
        Ok(Write::new(Ns::RUN, self.id, self.expect, put).event(event))
    }
}

/// The body as the text that is stored.
pub(super) fn to_text(body: &Body) -> String {
    // Strings, numbers and raw JSON only: serializing them cannot fail, and an empty text would be refused on reading.
    let text = serde_json::to_string(body).unwrap_or_default();
    if text.len() <= BODY_MAX || body.faults.is_empty() {
        return text;
    }
    // Old faults are in the events too. A run that could not be moved because of them would stay where it is for ever.
    let mut body = body.clone();
    body.fit_or_keep();
    serde_json::to_string(&body).unwrap_or_default()
}
