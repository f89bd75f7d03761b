//! What others have heard, as alerts take it in.

use std::sync::Arc;

use crate::act::monitor;
use crate::act::notify::{Alerts, Error, Signal};
use crate::act::statistics;
use crate::base::explain::Explain;
use crate::base::time::{Now, Timestamp};
use crate::decide::alert::{Kind, Subject};
use crate::decide::heartbeat::{self, Why};
use crate::remember::runs::{Filter, Runs};

/// What is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign<'a> {
    /// The job or the dependency succeeded: that heals its [dead letters](Kind::heals_by_success).
    Success,
    /// All alerts of this kind.
    Kind(Kind),
    /// The alert with this code.
    Code(&'a str),
}

/// What was heard of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// It has happened.
    Raise(Signal),
    /// It stands, since some time; heard again it is the same.
    Stands(Signal),
    /// A job says that it has failed. That is an alert of its own only where it has no runs in the store, which tell it themselves.
    Failed(Signal),
    /// Alerts of this kind are well again.
    Well(Subject, Kind),
    /// The alert with this code is well again.
    WellAgain(Subject, String),
    /// No alert.
    Nothing,
}

impl From<&monitor::Raised> for Heard {
    /// A job that is overdue, or whose run hangs, is an alert; that a run has failed is told by the run. A service that is down is one
    /// of a dependency.
    fn from(raised: &monitor::Raised) -> Self {
        match &raised.what {
            monitor::What::Job(event) => of_job(&raised.name, event),
            monitor::What::Probe(turned) => {
                let subject = Subject::dependency(&raised.name);
                if turned.to == monitor::Service::Ok {
                    return Self::Well(subject, Kind::Overdue);
                }
                let why = format!("{} {turned}", raised.name);
                Self::Stands(Signal::new(subject, Kind::Overdue, turned.code(), why, turned.at))
            }
            monitor::What::Undeclared | monitor::What::Noticed(_) => Self::Nothing,
        }
    }
}

fn of_job(name: &str, event: &heartbeat::Event) -> Heard {
    let subject = Subject::job(name);
    match event.to {
        heartbeat::State::Up | heartbeat::State::Paused | heartbeat::State::New => {
            Heard::Well(subject, Kind::Overdue)
        }
        heartbeat::State::Late => Heard::Nothing,
        heartbeat::State::Overdue | heartbeat::State::Failing => {
            let why = format!("{name} is {event}");
            let signal = Signal::new(subject, Kind::Overdue, event.code(), why, event.at);
            match event.why {
                Why::Failed { .. } => Heard::Failed(signal),
                Why::Unsteady { .. } => Heard::Nothing,
                _ => Heard::Stands(signal),
            }
        }
    }
}

impl From<&statistics::Raised> for Heard {
    fn from(raised: &statistics::Raised) -> Self {
        let code = format!("trend.{}", raised.stream);
        if raised.is_recovery() {
            return Self::WellAgain(raised.subject.clone(), code);
        }
        let signal = Signal::new(raised.subject.clone(), Kind::Trend, code, raised.to_string(), raised.at());
        Self::Stands(signal)
    }
}

impl Heard {
    /// What is supervised was given up.
    #[must_use]
    pub fn escalated(name: &str, reason: &impl Explain, at: Timestamp) -> Self {
        let (code, why) = (reason.code(), reason.to_string());
        Self::Raise(Signal::new(Subject::job(name), Kind::Escalated, code, why, at))
    }

    /// A credential is refused, and a person has to see to it.
    #[must_use]
    pub fn credential_refused(name: &str, code: &str, why: &str, at: Timestamp) -> Self {
        Self::Stands(Signal::new(Subject::dependency(name), Kind::CredentialRefused, code, why, at))
    }

    /// A credential works again.
    #[must_use]
    pub fn credential_works(name: &str) -> Self {
        Self::Well(Subject::dependency(name), Kind::CredentialRefused)
    }

    /// What `source` logs is other than it was.
    #[must_use]
    pub fn regime_change(source: &str, code: &str, why: &str, at: Timestamp) -> Self {
        Self::Raise(Signal::new(Subject::job(source), Kind::RegimeChange, code, why, at))
    }
}

impl Alerts {
    pub(super) async fn take_in(&self, heard: &Heard, now: Now) -> Result<(), Error> {
        match heard {
            Heard::Raise(signal) => self.raise(signal, now).await.map(drop),
            Heard::Stands(signal) => self.stands(signal, now).await.map(drop),
            Heard::Failed(signal) => {
                let filter = Filter { job: Some(signal.subject.name().to_owned()), ..Filter::default() };
                let (runs, _) = Runs::new(Arc::clone(&self.inner.store)).list(&filter, 1, None).await?;
                if runs.is_empty() { self.stands(signal, now).await.map(drop) } else { Ok(()) }
            }
            Heard::Well(subject, kind) => self.healthy(subject, Sign::Kind(*kind), now).await.map(drop),
            Heard::WellAgain(subject, code) => self.healthy(subject, Sign::Code(code), now).await.map(drop),
            Heard::Nothing => Ok(()),
        }
    }
}
