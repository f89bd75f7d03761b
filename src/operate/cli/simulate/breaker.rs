//! What a breaker would have let through.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::fault::Class;
use crate::decide::breaker::{Admit, Machine, Outcome, Permit, Policy, Snapshot};
use crate::operate::cli::failure::Failure;
use crate::operate::cli::simulate::trace::{Answer, Answers, At, Decider, Timed, Told, Wrong, instant};

/// So many calls are out at the same time; of more, the oldest are taken to be lost.
const OUT_MAX: usize = 100_000;
/// The name of a call has at most so many bytes.
const ID_MAX: usize = 1024;

pub(super) struct Breaker {
    policy: Policy,
    seed: u64,
    machine: Machine,
    out: Out,
}

/// Calls that were let through and are not settled.
#[derive(Default)]
struct Out {
    permits: HashMap<String, (u64, Permit)>,
    order: BTreeMap<u64, String>,
    serial: u64,
}

impl Out {
    fn put(&mut self, id: &str, permit: Permit) {
        self.serial = self.serial.wrapping_add(1);
        // One of the same name was lost: nobody will settle it.
        if let Some((before, _)) = self.permits.insert(id.to_owned(), (self.serial, permit)) {
            self.order.remove(&before);
        }
        self.order.insert(self.serial, id.to_owned());
        if self.permits.len() > OUT_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.permits.remove(&oldest);
        }
    }

    fn take(&mut self, id: &str) -> Option<Permit> {
        let (serial, permit) = self.permits.remove(id)?;
        self.order.remove(&serial);
        Some(permit)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    t: At,
    #[serde(borrow, default)]
    admit: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    settle: Option<Cow<'a, str>>,
    outcome: Option<Word>,
    #[serde(default)]
    restart: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Success,
    Failure,
    Slow,
    Permanent,
    Abandoned,
}

impl From<Word> for Outcome {
    fn from(word: Word) -> Self {
        match word {
            Word::Success => Self::Success,
            Word::Failure => Self::Failure(Class::Transient),
            Word::Slow => Self::Slow,
            Word::Permanent => Self::Failure(Class::Permanent),
            Word::Abandoned => Self::Abandoned,
        }
    }
}

impl Timed for Line<'_> {
    fn at(&self) -> At {
        self.t
    }
}

#[derive(Serialize)]
struct Admitted<'a> {
    t: At,
    id: &'a str,
    decision: &'static str,
    state: &'static str,
    retry_at: Option<u64>,
    code: &'static str,
    why: String,
}

#[derive(Serialize)]
struct Settled<'a> {
    t: At,
    id: &'a str,
    decision: &'static str,
    state: &'static str,
    code: &'static str,
    why: String,
}

impl Answer for Admitted<'_> {
    fn told(&self) -> Told<'_> {
        let beside = match self.retry_at {
            Some(at) => format!("{}, until {at} ms", self.state),
            None => self.state.to_owned(),
        };
        let good = (self.decision == "refuse").then_some(false);
        let Self { t, id, decision, why, .. } = self;
        Told { at: Some(*t), about: id, decision, good, beside, why }
    }
}

impl Answer for Settled<'_> {
    fn told(&self) -> Told<'_> {
        let good = match self.decision {
            "trip" | "reopen" => Some(false),
            "close" => Some(true),
            _ => None,
        };
        let Self { t, id, decision, why, .. } = self;
        Told { at: Some(*t), about: id, decision, good, beside: self.state.to_owned(), why }
    }
}

impl Breaker {
    pub(super) fn new(policy: Policy, seed: u64) -> Result<Self, Failure> {
        let machine = Machine::new(policy, seed, At::ZERO.now());
        let machine = machine.map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { policy, seed, machine, out: Out::default() })
    }

    fn admit(&mut self, t: At, id: &str, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let (decision, retry_at, code, why) = match self.machine.admit(t.now()) {
            Admit::Allow { permit, why } => {
                self.out.put(id, permit);
                ("allow", None, why.code(), why.to_string())
            }
            Admit::Refuse { why, retry_at } => {
                ("refuse", Some(instant(retry_at)), why.code(), why.to_string())
            }
        };
        let state = self.machine.standing().as_str();
        Ok(answers.say(&Admitted { t, id, decision, state, retry_at, code, why })?)
    }

    fn settle(&mut self, t: At, id: &str, outcome: Word, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        // What was refused, is settled already or was never asked for does not count.
        let permit = self.out.take(id).unwrap_or_else(Permit::unscored);
        let moved = self.machine.settle(permit, outcome.into(), t.now());
        let (decision, state) = (moved.as_str(), self.machine.standing().as_str());
        Ok(answers.say(&Settled { t, id, decision, state, code: moved.code(), why: moved.to_string() })?)
    }

    /// Puts it down and picks it up, as a process that ends and another one that begins.
    fn restart(&mut self, t: At) -> Result<(), Wrong> {
        let now = t.now();
        let broken =
            |error: &dyn std::fmt::Display| Wrong::Line(format!("the breaker cannot be restored: {error}"));
        let text =
            serde_json::to_string(&self.machine.snapshot("simulate", now)).map_err(|error| broken(&error))?;
        let saved: Snapshot = serde_json::from_str(&text).map_err(|error| broken(&error))?;
        let (machine, _noticed) =
            Machine::restore(self.policy, &saved, self.seed, now).map_err(|error| broken(&error))?;
        self.machine = machine;
        Ok(())
    }
}

impl Decider for Breaker {
    type Line<'a> = Line<'a>;

    fn take(&mut self, line: Line<'_>, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let Line { t, admit, settle, outcome, restart } = line;
        if admit.as_ref().is_some_and(|id| id.len() > ID_MAX) {
            return Err(Wrong::Line(format!("the name of the call has more than {ID_MAX} bytes")));
        }
        match (admit, settle, outcome, restart) {
            (Some(id), None, None, false) => self.admit(t, &id, answers),
            (None, Some(id), Some(outcome), false) => self.settle(t, &id, outcome, answers),
            (None, None, None, true) => self.restart(t),
            (None, Some(_), None, false) => Err(Wrong::Line(String::from("missing field `outcome`"))),
            _ => Err(Wrong::Line(String::from("expected one of admit, settle with outcome, and restart"))),
        }
    }
}
