//! What is asked at each check: services, the memory, systemd's timers. Each on a thread of its own, and for so long only.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures_channel::oneshot;
use serde::{Deserialize, Serialize};

use crate::act::isolate::{Group, Outcome, Report};
use crate::act::monitor::ping::{PING_TIMEOUT, Ping};
use crate::act::monitor::report;
use crate::act::monitor::timers::{NoTimers, TimerUnit, Timers, parse_timers};
use crate::base::explain::Explain;
use crate::base::fault::Fault;
use crate::base::text::{about, head, second};
use crate::base::time::{Clock, Moment, System, Timestamp};

/// Of what a probe says so many bytes are kept.
const SAID_MAX: usize = 500;

/// What a probe answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is well.
    Ok,
    /// It answers, and not as it should: slow, read-only, nearly full.
    Degraded(String),
    /// It does not answer, or says that it cannot.
    Down(String),
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Well.
    Ok,
    /// It answers, and not as it should.
    Degraded,
    /// It does not answer, or not in time.
    Down,
}

/// What is known of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProbeStatus {
    /// How it is.
    pub state: Service,
    /// Since when.
    pub since: Timestamp,
    /// When it last was well, as far as was looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ok: Option<Timestamp>,
    /// What it said; empty while it is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A service answers other than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Turned {
    /// When that was noticed.
    pub at: Timestamp,
    /// How it was; `None` if it was never asked before.
    pub from: Option<Service>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How it is.
    pub to: Service,
    /// What it said.
    pub why: String,
}

impl Service {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl Explain for Turned {
    fn code(&self) -> &'static str {
        match self.to {
            Service::Ok => "monitor.answers",
            Service::Degraded => "monitor.degraded",
            Service::Down => "monitor.down",
        }
    }
}

impl fmt::Display for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.to, self.since, self.from) {
            (Service::Ok, Some(since), Some(from)) => {
                write!(f, "is well again after it was {} since {}", from.as_str(), second(since))
            }
            (Service::Ok, ..) => f.write_str("is well"),
            (to, ..) => write!(f, "is {}: {}", to.as_str(), self.why),
        }
    }
}

impl ProbeStatus {
    /// What the answer makes of what is known; `looked` is when was last looked. What has turned, if anything has.
    pub(super) fn after(
        before: Option<&Self>,
        answer: Answer,
        looked: Option<Timestamp>,
        now: Timestamp,
    ) -> (Self, Option<Turned>) {
        let (state, why) = match answer {
            Answer::Ok => (Service::Ok, String::new()),
            Answer::Degraded(why) => (Service::Degraded, why),
            Answer::Down(why) => (Service::Down, why),
        };
        let why = head(&why, SAID_MAX).to_owned();
        let was_well = before.is_some_and(|before| before.state == Service::Ok);
        let last_ok = match before {
            _ if state == Service::Ok => Some(now),
            Some(before) if was_well => before.last_ok.max(looked),
            before => before.and_then(|before| before.last_ok),
        };
        let from = before.map(|before| before.state);
        if from == Some(state) {
            let since = before.map_or(now, |before| before.since.min(now));
            return (Self { state, since, last_ok, why }, None);
        }
        let turned = (from.is_some() || state != Service::Ok).then(|| Turned {
            at: now,
            from,
            since: before.map(|before| before.since),
            to: state,
            why: why.clone(),
        });
        (Self { state, since: now, last_ok, why }, turned)
    }
}

/// What one is asked with.
#[derive(Clone)]
pub(super) enum Ask {
    Probe(Arc<dyn Fn() -> Answer + Send + Sync>),
    Timers(Arc<dyn Timers>),
    Ping(Arc<Ping>, Arc<report::Report>),
}

/// What it gave.
#[derive(Clone, Debug)]
pub(super) enum Got {
    Answer(Answer),
    Timers(Result<Vec<TimerUnit>, NoTimers>),
    Ping(Result<(), String>),
    /// Another check of this process is asking, and still may.
    Elsewhere,
}

/// One that is asked.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) timeout: Duration,
    pub(super) ask: Ask,
    /// Whether it has not come back yet: a thread that hangs is one, not one more at each check.
    busy: Arc<AtomicBool>,
    /// When it was asked last.
    since: Arc<Mutex<Option<Moment>>>,
}

/// Says that it has come back; also where no thread could be had for it.
struct Back(Arc<AtomicBool>);

impl Drop for Back {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Asked {
    pub(super) fn new(name: String, timeout: Duration, ask: Ask) -> Self {
        Self { name, timeout, ask, busy: Arc::default(), since: Arc::default() }
    }

    pub(super) fn ping(ping: &Arc<Ping>, report: &Arc<report::Report>) -> Self {
        let ask = Ask::Ping(Arc::clone(ping), Arc::clone(report));
        Self {
            name: String::from("ping"),
            timeout: PING_TIMEOUT,
            ask,
            busy: ping.busy(),
            since: Arc::default(),
        }
    }

    /// Notes that it is asked; or, while it is asked already, whether it has had its time.
    fn begin(&self) -> Begun {
        let (hung, now) = (self.busy.swap(true, Ordering::AcqRel), System.moment());
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if !hung {
            *since = Some(now);
            return Begun::Asked;
        }
        match *since {
            Some(since) if matches!(self.ask, Ask::Probe(_)) && now.since(since) < self.timeout => {
                Begun::Elsewhere
            }
            _ => Begun::Hangs,
        }
    }

    fn failed(&self, why: String) -> Got {
        match &self.ask {
            Ask::Probe(_) => Got::Answer(Answer::Down(why)),
            Ask::Timers(_) => Got::Timers(Err(NoTimers::Failed(why))),
            Ask::Ping(..) => Got::Ping(Err(why)),
        }
    }
}

impl Ask {
    fn run(&self) -> Got {
        match self {
            Self::Probe(probe) => Got::Answer(probe()),
            Self::Timers(timers) => Got::Timers(timers.list().and_then(|json| parse_timers(&json))),
            Self::Ping(ping, report) => Got::Ping(ping.send(report)),
        }
    }
}

/// Whether one is asked now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Asked,
    Elsewhere,
    Hangs,
}

/// Asks all of them side by side; what each gave, in their order.
pub(super) async fn ask_all(asked: &[Asked]) -> Vec<Got> {
    let mut group = Group::threads("monitor").at_once(asked.len());
    let mut begun = Vec::with_capacity(asked.len());
    for one in asked {
        let asked = one.begin();
        begun.push(asked);
        if asked == Begun::Asked {
            let (ask, back) = (one.ask.clone(), Back(Arc::clone(&one.busy)));
            let run = move |_: &_| {
                let _back = back;
                Ok::<Got, Fault>(ask.run())
            };
            group = group.engine(one.name.as_str(), run).timeout(one.timeout);
        }
    }
    let mut entries = match on_a_thread(group).await {
        Some(report) => report.into_entries(),
        None => Vec::new(),
    }
    .into_iter();
    let gave = asked.iter().zip(begun).map(|(one, begun)| {
        match begun {
            Begun::Asked => {}
            Begun::Elsewhere => return Got::Elsewhere,
            Begun::Hangs => return one.failed(String::from("it still hangs since it was asked before")),
        }
        match entries.next().map(|entry| entry.outcome) {
            Some(Outcome::Done { value }) => value,
            Some(Outcome::TimedOut { after }) => one.failed(format!("no answer within {}", about(after))),
            Some(Outcome::Panicked { message }) => one.failed(format!("it panicked: {message}")),
            _ => one.failed(String::from("there is no thread to ask it on")),
        }
    });
    gave.collect()
}

/// The caller may be a future that must not block.
async fn on_a_thread(group: Group<crate::act::isolate::Thread<Got>>) -> Option<Report<Got>> {
    let (send, receive) = oneshot::channel();
    let run = move || drop(send.send(group.run()));
    thread::Builder::new().name(String::from("monitor")).spawn(run).ok()?;
    receive.await.ok()
}

/// What is said of the memory.
pub(super) fn memory(percent: f64, used: Result<f64, String>) -> Answer {
    match used {
        Ok(used) if used < percent => Answer::Ok,
        Ok(used) => Answer::Down(format!("{used:.1} % of the memory is used, the limit is {percent} %")),
        Err(why) => Answer::Degraded(format!("nobody knows how much memory is used: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::base::park::block_on;

    #[test]
    fn a_slow_probe_that_another_check_is_asking_is_not_called_down() {
        let ((asks, asked), (go, goes)) = (mpsc::channel(), mpsc::channel::<()>());
        let goes = Mutex::new(goes);
        let probe = move || {
            asks.send(()).unwrap();
            goes.lock().unwrap().recv().unwrap();
            Answer::Ok
        };
        let slow = Asked::new(String::from("slow"), Duration::from_secs(600), Ask::Probe(Arc::new(probe)));
        let first = thread::spawn({
            let slow = slow.clone();
            move || block_on(ask_all(&[slow]))
        });
        asked.recv().unwrap();
        assert!(matches!(block_on(ask_all(&[slow])).as_slice(), [Got::Elsewhere]));
        go.send(()).unwrap();
        assert!(matches!(first.join().unwrap().as_slice(), [Got::Answer(Answer::Ok)]));
    }
}
