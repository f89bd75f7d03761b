//! When somebody would have been told that a job is silent.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::text::second;
use crate::base::time::Timestamp;
use crate::decide::heartbeat::{Beat, Heart, Policy};
use crate::operate::cli::simulate::trace::{Answer, Answers, At, Decider, Timed, Told, Wrong};

/// A job that is expected from zero on.
pub(super) struct Heartbeat {
    heart: Heart,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    t: At,
    success: Option<bool>,
    tick: Option<bool>,
}

impl Timed for Line {
    fn at(&self) -> At {
        self.t
    }
}

#[derive(Serialize)]
struct Decided {
    t: At,
    /// Whether somebody is told: `tell` or `none`.
    decision: &'static str,
    state: &'static str,
    code: &'static str,
    why: String,
}

impl Answer for Decided {
    fn told(&self) -> Told<'_> {
        let good = match self.state {
            "overdue" | "failing" => Some(false),
            "up" => Some(true),
            _ => None,
        };
        let beside = if self.decision == "tell" { String::from("somebody is told") } else { String::new() };
        Told { at: Some(self.t), about: "", decision: self.state, good, beside, why: &self.why }
    }
}

/// Why there is nothing to say of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quiet {
    /// It has not succeeded yet, and need not have.
    New,
    /// It has succeeded in time.
    Well { last: Timestamp },
}

impl Explain for Quiet {
    fn code(&self) -> &'static str {
        match self {
            Self::New => "heartbeat.not_due",
            Self::Well { .. } => "heartbeat.well",
        }
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("it has not succeeded yet, and its time is not over"),
            Self::Well { last } => write!(f, "its last success was at {}", second(*last)),
        }
    }
}

impl Heartbeat {
    pub(super) fn new(policy: Policy) -> Self {
        Self { heart: Heart::new(policy, At::ZERO.now()) }
    }
}

impl Decider for Heartbeat {
    type Line<'a> = Line;

    fn take(&mut self, line: Line, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let now = line.t.now();
        let event = match (line.success, line.tick) {
            (Some(true), None) => self.heart.observe(now, Beat::succeeded()),
            (Some(false), None) => self.heart.observe(now, Beat::failed("")),
            (None, Some(true)) => self.heart.tick(now.into(), |_| None),
            _ => return Err(Wrong::Line(String::from("expected one of success and tick: true"))),
        };
        let status = self.heart.status();
        let decision = if event.is_some() { "tell" } else { "none" };
        let (code, why) = match (event.map(|event| event.why).or(status.why), status.last_success) {
            (Some(why), _) => (why.code(), why.to_string()),
            (None, Some(last)) => told(Quiet::Well { last }),
            (None, None) => told(Quiet::New),
        };
        let state = status.state.as_str();
        Ok(answers.say(&Decided { t: line.t, decision, state, code, why })?)
    }
}

fn told(quiet: Quiet) -> (&'static str, String) {
    (quiet.code(), quiet.to_string())
}
