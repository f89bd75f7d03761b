//! The production-readiness checklist as a program: whether an application that runs without anybody watching would be
//! found, explained and mended when it fails.
//!
//! An [`Application`] says what there is; [`examine`] goes through the list. Each [`Check`] passes, fails or is not
//! provable, with its evidence and what to do. No effect is ever run: what only running could prove is proved in tests,
//! by `testing::assert_idempotent` (feature `testing`), whose [`Proof`] is handed in.
//!
//! ```
//! use unattended::doctor::{Application, Declared, Outcome, examine};
//! use unattended::{canonical::Key, effect::Effect, job::Job, pipeline::Step};
//!
//! let job = Job::new("invoice")
//!     .key(|number: &u64| Key::new("books", "invoice", number))
//!     .step(Step::blocking("send", Effect::Unsafe, |cx| cx.input::<u64>()))
//!     .build()?;
//! let checks = examine(&Application::new("books").job(Declared::of(&job).owner("ada")));
//! let effect = checks.iter().find(|check| check.name == "effect").unwrap();
//! assert_eq!(effect.result, Outcome::Fail);
//! assert_eq!(effect.why, "invoice: step send is unsafe and nothing says whether it was done");
//! # Ok::<(), unattended::job::BuildError>(())
//! ```
//!
//! | check | passes if |
//! |---|---|
//! | `contract` | each job's input is held against a contract |
//! | `idempotency_key` | each job makes a key of what its work is about |
//! | `effect` | no step is unsafe |
//! | `idempotency_proof` | a test has proved each job, with the steps that it has now |
//! | `retry` | no step is tried for longer than a day |
//! | `dead_letters` | somebody can replay each job |
//! | `rollback` | what changes the world can be undone when a later step fails |
//! | `lease` | each lease is longer than a failover |
//! | `logs` `alerts` `heartbeat` | there is a log, a sink, and a monitor that misses each job |
//! | `alerts_delivery` | never: only `alerts test` proves it |
//! | `secrets` | no configuration and no stored input shows one |
//! | `state_path` `store` | the state is on a durable file system, and the store whole and synced |
//! | `clock` `clock_synchronised` | the clock stands behind all that is stored, and is kept right |
//! | `retention` `ownership` | runs go away some day; each job has an owner and a runbook |

mod application;
mod jobs;
mod machine;
mod places;
mod proof;
mod secrets;
mod tally;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use application::{Application, Declared};
pub use machine::Machine;
pub use proof::Proof;

use crate::base::time::{Clock, System, Timestamp};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// Nothing that can be looked at proves it.
    NotProvable,
    /// It does not hold.
    Fail,
}

impl Outcome {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotProvable => "not_provable",
            Self::Fail => "fail",
        }
    }
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked: a word of the list above.
    pub name: String,
    /// How it went.
    pub result: Outcome,
    /// Why, in a sentence.
    pub why: String,
    /// What was looked at, and what was found.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What to do, if it does not pass.
    #[serde(default)]
    pub todo: Option<String>,
}

/// Goes through the list. Reads the store, if there is one, and blocks the thread meanwhile; runs nothing and writes nothing.
#[must_use]
pub fn examine(app: &Application) -> Vec<Check> {
    examine_at(app, System.now().wall)
}

/// The same at another time: for tests.
#[must_use]
pub fn examine_at(app: &Application, now: Timestamp) -> Vec<Check> {
    let runs = places::newest_runs(app);
    let mut checks = jobs::checks(app);
    checks.extend([
        jobs::logs(app),
        jobs::alerts(app),
        jobs::alerts_delivery(app),
        secrets::check(app, &runs),
        places::state_path(app),
        places::store(app, &runs),
        places::clock(app, &runs, now),
        places::clock_synchronised(app),
        jobs::retention(app),
        jobs::ownership(app),
    ]);
    checks
}
