//! `simulate`: what would this policy have done? Decides about a trace in virtual time, without waiting.
//!
//! Each kind drives the library's own decider; nothing is decided here.

mod breaker;
mod heartbeat;
mod knobs;
pub(super) mod lines;
mod lists;
mod policy;
mod queue;
mod restart;
mod retry;
pub(super) mod trace;
mod trend;

use std::ffi::OsString;

use crate::decide::{
    breaker as breakers, queue as queues, restart as restarts, retry as retries, trend as trends,
};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::Session;
use crate::operate::cli::simulate::knobs::{Hearts, OrderWord, Queues, Restarts};

/// What `simulate` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Simulate {
    #[command(subcommand)]
    kind: Kind,
}

const ABOUT: &str = "\
A trace is JSON lines on stdin; each is answered by a line, as an object with --json. Times are milliseconds from zero, in
the order of the lines: one that is before a line above it is an error. A line that is broken ends it with exit code 1 and
names its number; what was answered before it stands. Fields that are not known are errors, in traces and in policies.

See `simulate KIND --help` for the lines, the answers and the policy of each kind.";

#[derive(Clone, Debug, clap::Subcommand)]
enum Kind {
    /// Which calls a breaker lets through
    #[command(after_help = BREAKER)]
    Breaker(Seeded),
    /// When a failed operation is tried again
    #[command(after_help = RETRY)]
    Retry(Seeded),
    /// Which tasks are done in time, and what that is worth
    #[command(after_help = QUEUE)]
    Queue {
        #[command(flatten)]
        policy: Policy,
        /// How many work at the same time, 1 to 10000
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        workers: u32,
        /// What comes first, in place of what the policy says
        #[arg(long, value_enum)]
        order: Option<OrderWord>,
    },
    /// Whether what has ended is begun again
    #[command(after_help = RESTART)]
    Restart(Seeded),
    /// When somebody is told that a job is silent
    #[command(after_help = HEARTBEAT)]
    Heartbeat(Policy),
    /// When somebody is told that more goes wrong than usual
    #[command(after_help = TREND)]
    Trend(Policy),
}

#[derive(Clone, Debug, clap::Args)]
struct Policy {
    /// A file of JSON, JSON itself, or the name of one of the library's policies
    #[arg(long, value_name = "FILE|default|cron|service", default_value = "default")]
    policy: OsString,
}

#[derive(Clone, Debug, clap::Args)]
struct Seeded {
    #[command(flatten)]
    policy: Policy,
    /// What the jitter is drawn from: the same seed gives the same answers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

const BREAKER: &str = "\
Lines:
  {\"t\":0,\"admit\":\"a\"}                       -> t id decision(allow|refuse) state(closed|open|half_open) retry_at code why
  {\"t\":9,\"settle\":\"a\",\"outcome\":\"failure\"}  -> t id decision(none|trip|close|reopen) state code why
  {\"t\":10,\"restart\":true}                   no answer: the snapshot is saved and restored
  outcome: success, failure, slow, permanent, abandoned
retry_at is in milliseconds, null for a call that is let through. A call that is settled and is not out (it was refused, or
is settled already) counts for nothing and is answered so; at most 100000 are out, of more the oldest are taken to be lost.

Policy: default, cron, service, or JSON; a rule that is absent is off:
  {\"consecutive\":3,\"rate\":{\"percent\":50,\"calls\":10,\"min\":5,\"within_ms\":…},
   \"time_rate\":{\"percent\":50,\"window_ms\":60000,\"min\":10},\"slow_rate\":{\"percent\":50,\"calls\":10,\"min\":5,\"over_ms\":…},
   \"open_ms\":300000,\"open_factor\":2,\"open_max_ms\":…,\"open_jitter\":0,\"probes\":1,\"successes\":1,\"lease_ms\":…,
   \"healthy_ms\":…,\"mode\":\"enforce|shadow|forced_open|disabled\"}";

const RETRY: &str = "\
Lines: the failures of one operation that began at 0
  {\"t\":0,\"failed\":\"transient\",\"retry_after_ms\":5000}
    -> t decision(wait|defer|stop) delay_ms attempt disposition(dead_letter|give_up|alert) code why
  failed: transient, rate_limited, unauthorized, permanent, unknown
  besides: \"severity\":\"critical|recoverable|degraded|fatal\", \"reached\":\"no|maybe|yes\"
delay_ms (rounded up) and attempt, the number of the attempt that follows, are null at a stop; disposition else.

Policy: default, cron, service, or JSON; what is absent is as in cron:
  {\"transient\":{\"attempts_max\":5,\"delay_base_ms\":2000,\"factor\":2,\"delay_max_ms\":120000,\"delay_min_ms\":500,
   \"jitter\":\"none|full|equal|decorrelated\"},\"rate_limited\":{…},\"unknown\":{…},\"elapsed_max_ms\":600000,
   \"retry_after_max_ms\":900000,\"inline_wait_max_ms\":60000,\"attempt_min_ms\":0,\"effect\":\"idempotent\"}";

const QUEUE: &str = "\
Lines: tasks, as they arrive
  {\"t\":0,\"id\":\"a\",\"run_ms\":10,\"estimate_ms\":10,\"deadline\":500,\"value\":{\"step\":5}}
  value: {\"step\":5}, {\"linear\":{\"v\":5,\"from\":0,\"to\":500}}, {\"half_life\":{\"v\":5,\"h\":100}}, counted from t; 1 if absent.
  deadline is absolute; it and estimate_ms may be absent. Those that arrive at the same time are chosen from together.
Answers: when a task ends, t id decision end(done|late|expired|cannot_finish|shed) at value code why; and last
  value done expired shed late cannot_finish
where done counts the late ones too and expired those that could not finish; what is late is worth nothing.

Policy: default (cron and service are the same), or JSON: {\"order\":\"density|fifo|edf|edf_until_overload\",\"capacity\":10000,\"oldest_every\":16}";

const RESTART: &str = "\
Lines: ends of something that began at 0, and is begun again at the very moment at which it may be
  {\"t\":0,\"exit\":1} or {\"t\":0,\"signal\":9}; besides \"tail\":\"the end of its stderr\", \"uptime_ms\":5
    -> t decision(restart|escalate|stop) delay_ms code why
delay_ms is rounded up, and null where it is not begun again.

Policy: default (cron and service are the same), or JSON; what is absent is as by default:
  {\"failures_max\":5,\"window_ms\":600000,\"backoff\":{\"base_ms\":1000,\"factor\":2,\"max_ms\":60000,\"min_ms\":0,\"jitter\":\"full\"},
   \"stable_after_ms\":60000,\"same_max\":3,\"quick_ms\":2000,\"restart\":\"always|on_failure|never\",
   \"permanent\":[64,65,77,78],\"success\":[0]}; \"same_max\":null is no such limit";

const HEARTBEAT: &str = "\
Lines: what is heard of a job that is expected from 0 on, and when somebody looks
  {\"t\":0,\"success\":true}, {\"t\":0,\"success\":false} (it failed), {\"t\":0,\"tick\":true}
    -> t decision(tell|none) state(new|up|late|overdue|failing) code why

Policy: default (each hour; cron and service are the same), or JSON; what is absent is as by default:
  {\"every_ms\":3600000,\"tick_ms\":60000,\"grace_ms\":…,\"failures\":1,\"recovery\":1,
   \"unsteady\":{\"changes\":6,\"span_ms\":3600000}}; \"unsteady\":null tells every change";

const TREND: &str = "\
Lines: {\"t\":0,\"bad\":false} -> t decision(none|alert|recover) code why

Policy: default (cron and service are the same), or JSON; what is absent is as by default:
  {\"learn_min\":50,\"learn_max\":1000,\"threshold\":7,\"recover\":3,\"factor\":5,\"add\":0.05,\"bad_max\":0.5}";

/// The policies that have names. Of most kinds the library has one policy, which all of them name.
const NAMES: [&str; 3] = ["default", "cron", "service"];

pub(super) fn simulate(session: &mut Session<'_, '_>, asked: Simulate) -> Result<Exit, Stop> {
    match asked.kind {
        Kind::Breaker(Seeded { policy, seed }) => {
            let policy = policy.read(|name| match name {
                "service" => Some(breakers::Policy::service()),
                "cron" => Some(breakers::Policy::cron()),
                _ => Some(breakers::Policy::default()),
            })?;
            trace::drive(session, breaker::Breaker::new(policy, seed)?)
        }
        Kind::Retry(Seeded { policy, seed }) => {
            let policy = policy.read(|name| match name {
                "service" => Some(retries::Policy::service()),
                "cron" => Some(retries::Policy::cron()),
                _ => Some(retries::Policy::default()),
            })?;
            trace::drive(session, retry::Retry::new(&policy, seed))
        }
        Kind::Queue { policy, workers, order } => {
            let Queues(mut builder) = policy.read(|_| Some(Queues(queues::Queue::builder())))?;
            if let Some(order) = order {
                builder = builder.order(order.into());
            }
            let workers = usize::try_from(workers).unwrap_or(usize::MAX);
            trace::drive(session, queue::Queue::new(builder, workers)?)
        }
        Kind::Restart(Seeded { policy, seed }) => {
            let Restarts(policy) = policy.read(|_| Some(Restarts(restarts::Policy::default())))?;
            let state = restarts::State::new(policy, seed);
            let state = state.map_err(|error| Failure::usage(error.to_string()))?;
            trace::drive(session, restart::Restart::new(state))
        }
        Kind::Heartbeat(policy) => {
            let Hearts(policy) = policy.read(|_| Hearts::hourly())?;
            trace::drive(session, heartbeat::Heartbeat::new(policy))
        }
        Kind::Trend(policy) => {
            let policy = policy.read(|_| Some(trends::Policy::default()))?;
            trace::drive(session, trend::Trend::new(policy))
        }
    }
}

impl Policy {
    fn read<P: serde::de::DeserializeOwned>(&self, named: impl Fn(&str) -> Option<P>) -> Result<P, Failure> {
        let given = self.policy.as_os_str();
        let known = given.to_str().filter(|given| NAMES.contains(given)).and_then(named);
        known.map_or_else(|| policy::read(given, &NAMES), Ok)
    }
}
