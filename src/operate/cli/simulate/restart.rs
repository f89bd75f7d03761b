//! Whether what has ended would have been begun again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::decide::restart::{Decision, Exit, State};
use crate::operate::cli::simulate::trace::{Answer, Answers, At, Decider, Timed, Told, Wrong, up};

/// Something that was begun at zero, and is begun again at the very moment at which it may be.
pub(super) struct Restart {
    state: State,
    /// When it is begun next.
    begins: At,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    t: At,
    exit: Option<i32>,
    signal: Option<i32>,
    #[serde(borrow, default)]
    tail: Option<Cow<'a, str>>,
    uptime_ms: Option<At>,
}

impl Timed for Line<'_> {
    fn at(&self) -> At {
        self.t
    }
}

#[derive(Serialize)]
struct Decided {
    t: At,
    decision: &'static str,
    delay_ms: Option<u64>,
    code: &'static str,
    why: String,
}

impl Answer for Decided {
    fn told(&self) -> Told<'_> {
        let beside = self.delay_ms.map_or_else(String::new, |delay| format!("in {delay} ms"));
        let good = (self.decision == "escalate").then_some(false);
        Told { at: Some(self.t), about: "", decision: self.decision, good, beside, why: &self.why }
    }
}

impl Restart {
    pub(super) const fn new(state: State) -> Self {
        Self { state, begins: At::ZERO }
    }
}

impl Decider for Restart {
    type Line<'a> = Line<'a>;

    fn take(&mut self, line: Line<'_>, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let Line { t, exit, signal, tail, uptime_ms } = line;
        let mut ended = match (exit, signal) {
            (Some(code), None) => Exit::code(code),
            (None, Some(signal)) => Exit::signal(signal),
            _ => return Err(Wrong::Line(String::from("expected one of exit and signal"))),
        };
        if let Some(tail) = tail {
            ended = ended.stderr_tail(tail);
        }
        if let Some(uptime) = uptime_ms {
            ended = ended.uptime(uptime.span());
        }
        // What ends before it may have been begun was not waited for.
        self.state.started(self.begins.min(t).now());
        let now = t.now();
        let decision = self.state.on_exit(now, ended);
        let (word, delay) = match &decision {
            Decision::Restart { at, .. } => ("restart", Some(at.since(now.moment))),
            Decision::Escalate { .. } => ("escalate", None),
            Decision::Stop { .. } => ("stop", None),
        };
        self.begins = t.after(delay.unwrap_or_default());
        let (code, why) = (decision.code(), decision.to_string());
        Ok(answers.say(&Decided { t, decision: word, delay_ms: delay.map(up), code, why })?)
    }
}
