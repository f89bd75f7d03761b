//! When somebody would have been told that more goes wrong than usual.

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::decide::trend;
use crate::operate::cli::simulate::trace::{Answer, Answers, At, Decider, Timed, Told, Wrong};

pub(super) struct Trend {
    trend: trend::Trend,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    t: At,
    bad: bool,
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
    code: &'static str,
    why: String,
}

impl Answer for Decided {
    fn told(&self) -> Told<'_> {
        let good = match self.decision {
            "alert" => Some(false),
            "recover" => Some(true),
            _ => None,
        };
        let Self { t, decision, why, .. } = self;
        Told { at: Some(*t), about: "", decision, good, beside: String::new(), why }
    }
}

impl Trend {
    pub(super) const fn new(policy: trend::Policy) -> Self {
        Self { trend: trend::Trend::new(policy) }
    }
}

impl Decider for Trend {
    type Line<'a> = Line;

    fn take(&mut self, line: Line, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let observed = self.trend.observe(line.bad, line.t.now());
        let (decision, code) = (observed.as_str(), observed.code());
        Ok(answers.say(&Decided { t: line.t, decision, code, why: observed.to_string() })?)
    }
}
