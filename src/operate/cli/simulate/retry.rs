//! When a failed operation would have been tried again.

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::fault::{Class, Fault, Reached, Severity};
use crate::base::time::between;
use crate::decide::retry::{Next, Policy, Run};
use crate::operate::cli::simulate::trace::{Answer, Answers, At, Decider, Timed, Told, Wrong, up};

/// One operation, begun at zero.
pub(super) struct Retry<'a> {
    run: Run<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    t: At,
    failed: Class,
    retry_after_ms: Option<At>,
    severity: Option<Severity>,
    reached: Option<Reached>,
}

impl Timed for Line {
    fn at(&self) -> At {
        self.t
    }
}

#[derive(Serialize)]
struct Decided {
    t: At,
    decision: &'static str,
    delay_ms: Option<u64>,
    attempt: Option<u32>,
    disposition: Option<&'static str>,
    code: &'static str,
    why: String,
}

impl Answer for Decided {
    fn told(&self) -> Told<'_> {
        let beside = match (self.delay_ms, self.attempt, self.disposition) {
            (Some(delay), Some(attempt), _) => format!("{delay} ms, attempt {attempt}"),
            (.., Some(disposition)) => disposition.replace('_', " "),
            _ => String::new(),
        };
        let good = (self.decision == "stop").then_some(false);
        Told { at: Some(self.t), about: "", decision: self.decision, good, beside, why: &self.why }
    }
}

impl<'a> Retry<'a> {
    pub(super) fn new(policy: &'a Policy, seed: u64) -> Self {
        Self { run: policy.start(At::ZERO.now(), seed) }
    }
}

impl Decider for Retry<'_> {
    type Line<'a> = Line;

    fn take(&mut self, line: Line, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let Line { t, failed, retry_after_ms, severity, reached } = line;
        let mut fault = Fault::new(failed, "simulate.failed");
        if let Some(asked) = retry_after_ms {
            fault = fault.retry_after(asked.span());
        }
        if let Some(severity) = severity {
            fault = fault.severity(severity);
        }
        if let Some(reached) = reached {
            fault = fault.reached(reached);
        }
        let now = t.now();
        let answer = match self.run.failed(now, &fault) {
            Next::Wait { delay, attempt, why } => Decided {
                t,
                decision: "wait",
                delay_ms: Some(up(delay)),
                attempt: Some(attempt),
                disposition: None,
                code: why.code(),
                why: why.to_string(),
            },
            Next::Defer { until, why } => Decided {
                t,
                decision: "defer",
                delay_ms: Some(up(between(now.wall, until))),
                attempt: Some(self.run.attempts().saturating_add(1)),
                disposition: None,
                code: why.code(),
                why: why.to_string(),
            },
            Next::Stop { why, disposition } => Decided {
                t,
                decision: "stop",
                delay_ms: None,
                attempt: None,
                disposition: Some(disposition.as_str()),
                code: why.code(),
                why: why.to_string(),
            },
        };
        Ok(answers.say(&answer)?)
    }
}
