//! What a step's failure makes of its run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::act::credential::{self, Needing};
use crate::act::pipeline::attempt::Attempted;
use crate::act::pipeline::drive::{Parked, end, end_with, park, put_down};
use crate::act::pipeline::{
    Course, Cx, Hold, Holding, Interrupt, Sent, Step, StepError, handing, known, undo,
};
use crate::base::effect::Effect;
use crate::base::fault::{self, Reached, Severity};
use crate::base::handover::HandedOver;
use crate::base::time::{Now, later, millis};
use crate::decide::retry;
use crate::decide::run::{self, State};
use crate::remember::runs::{
    CHAIN_MAX, Error, Failure, FaultRecord, Json, Question, Reason, StepState, Wait, shortened,
};

/// The wait before a run that used up its attempts is tried as a whole again; doubled each time.
const AGAIN_IN: Duration = Duration::from_secs(60);
/// The longest such wait.
const AGAIN_MAX: Duration = Duration::from_secs(3600);

/// What exchanges may take of an event's data; a fault beside them is at most a few times [`CHAIN_MAX`].
const EXCHANGES_ROOM: usize = 40 * 1024;

/// Moves the run as the policy's last word says.
pub(super) async fn settle(
    course: &Course<'_>,
    holding: &Holding,
    step: &Step,
    cx: &Cx,
    error: &StepError,
    next: retry::Next,
) -> Result<Attempted, Error> {
    let unknown = step.effect == Effect::Unsafe && error.fault.reached == Reached::Maybe;
    if !unknown && let Some(record) = holding.body().step_mut(&step.name) {
        // The failure was seen, so the outcome is known: a later attempt begins anew.
        record.state = StepState::Pending;
    }
    let data = fault_data(error, cx, None);
    let now = holding.env.now().wall;
    if !matches!(next, retry::Next::Wait { .. })
        && !unknown
        && let Some(known) = known::instead(holding, step, error).await?
    {
        return Ok(known);
    }
    let (why, disposition) = match next {
        retry::Next::Wait { .. } => return Ok(Attempted::Ended),
        retry::Next::Defer { until, why } => {
            put_down(holding, &step.name, told(&why, error), until, data).await?;
            return Ok(Attempted::Ended);
        }
        retry::Next::Stop { why, disposition } => (why, disposition),
    };
    let reason = told(&why, error);
    if error.fault.severity == Severity::Degraded {
        let why = format!("{}; the step is left out, the others go on", reason.why);
        return Ok(Attempted::Skipped { reason: Reason::new("step.degraded", why), data: exchange_data(cx) });
    }
    if unknown {
        ask_with(holding, &step.name, reason, exchange_data(cx)).await?;
        return Ok(Attempted::Ended);
    }
    if disposition == retry::Disposition::GiveUp {
        let tried = holding.body().attempt;
        if tried < course.attempts_max {
            let due = later(now, again_in(tried));
            put_down(holding, &step.name, reason, due, data).await?;
            return Ok(Attempted::Ended);
        }
    }
    let failure = Failure {
        class: error.fault.class,
        code: error.fault.code.to_string(),
        why: shortened(error.to_string(), CHAIN_MAX),
        attempt: 0,
    };
    let data = exchange_data(cx);
    let undo = undo::fail_for_good(course, holding, &step.name, reason, failure, data).await?;
    Ok(if undo { Attempted::Undo } else { Attempted::Ended })
}

/// The wait before a run is tried as a whole again that was tried so often.
pub(super) fn again_in(tried: u32) -> Duration {
    let doubled = AGAIN_IN.saturating_mul(1_u32.checked_shl(tried.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(AGAIN_MAX)
}

/// The least that a refused run is put down for, so that it is not worked off again and again.
pub(super) const PUT_OFF_MIN: Duration = Duration::from_secs(1);
/// For how long a run is put down whose credential was seen to while it was being parked.
const SEEN_TO: Duration = Duration::from_secs(10);
/// How often parking looks again when the credential moved under it.
const PARKINGS_MAX: u32 = 8;

/// Puts the run down until what was refused or deferred may go on: it has not failed, and no attempt is used up. Where
/// only a person can help it waits for that.
pub(super) async fn hand_over(
    holding: &Holding,
    step: &Step,
    error: &StepError,
    handed: &HandedOver,
) -> Result<Attempted, Error> {
    let reason = Reason::new(handed.code, shortened(error.to_string(), CHAIN_MAX));
    if step.effect == Effect::Unsafe && handed.reached == Reached::Maybe {
        ask(holding, &step.name, reason).await?;
        return Ok(Attempted::Ended);
    }
    if holding.hold() == Hold::Cancelling {
        cancel(holding).await?;
        return Ok(Attempted::Ended);
    }
    {
        let mut body = holding.body();
        body.give_attempt_back();
        if let Some(record) = body.step_mut(&step.name) {
            record.state = StepState::Pending;
        }
    }
    let now = holding.env.now().wall;
    let due = match &handed.credential {
        Some(name) if park_for(holding, &step.name, name, &reason).await? => return Ok(Attempted::Ended),
        Some(_) => later(now, SEEN_TO),
        None => handed.until.max(later(now, PUT_OFF_MIN)),
    };
    put_down(holding, &step.name, reason, due, None).await?;
    Ok(Attempted::Ended)
}

/// Parks the run until a person has seen to the credential; `false` if one has meanwhile. Both are decided by one write:
/// a run that is parked after the others were released would wait for ever.
async fn park_for(holding: &Holding, step: &str, name: &str, reason: &Reason) -> Result<bool, Error> {
    let why = shortened(format!("waits for credential {name}: {}", reason.why), CHAIN_MAX);
    let reason = Reason::new(reason.code.clone(), why);
    let token = credential::token_of(name);
    for _ in 0..PARKINGS_MAX {
        let guard = match credential::needs_human(&**holding.runs.store(), name).await? {
            Needing::Nobody => return Ok(false),
            Needing::Person { version } => Some(credential::unmoved(name, version)),
            Needing::NotKept => None,
        };
        if let Parked::Yes = park(holding, step, reason.clone(), Wait::on(token.as_str()), guard).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts the question to a person whether an unsafe effect took place.
pub(super) async fn ask(holding: &Holding, step: &str, reason: Reason) -> Result<(), Error> {
    ask_with(holding, step, reason, None).await
}

/// The same, with what its event is to say beyond the reason.
async fn ask_with(holding: &Holding, step: &str, reason: Reason, data: Option<String>) -> Result<(), Error> {
    holding.body().question = Some(Question {
        code: reason.code.clone().into_owned(),
        text: match holding.state() {
            State::Compensating => {
                format!("the undoing of step {step} was begun and its outcome is not known: was it done?")
            }
            _ => format!("step {step} was begun and its outcome is not known: was it done?"),
        },
        step: Some(step.to_owned()),
        undo: holding.state() == State::Compensating,
        options: options(holding.state()),
    });
    end_with(holding, run::Event::AskReview, reason, Some(step), None, data).await
}

/// The answers to whether something was done.
pub(super) fn options(state: State) -> Vec<String> {
    let options: &[&str] = match state {
        // Sent round again from the start, what is undone by half would be done again.
        State::Compensating => &["applied", "not_applied", "skip", "dismiss"],
        _ => &["applied", "not_applied", "skip", "requeue", "dismiss"],
    };
    options.iter().map(|option| (*option).to_owned()).collect()
}

/// Ends the run because an operator asked for it.
pub(super) async fn cancel(holding: &Holding) -> Result<(), Error> {
    // Only called between attempts.
    handing::unmark_next(holding);
    let sent = holding.interrupt().and_then(Interrupt::signal);
    let reason = sent.map_or_else(cancelled, |sent| interrupted(sent, "nothing was in the middle"));
    end(holding, run::Event::Cancel, reason, None, None).await
}

/// Ends the run because a signal was passed on to the program that it is, which has ended since. What an unsafe one has done is not
/// known: its step stays begun, and its key is not given back.
pub(super) async fn cancel_in_the_middle(
    holding: &Holding,
    step: &Step,
    error: Option<&StepError>,
) -> Result<(), Error> {
    if step.effect != Effect::Unsafe
        && let Some(record) = holding.body().step_mut(&step.name)
    {
        record.state = StepState::Pending;
    }
    let sent = holding.interrupt().and_then(Interrupt::signal).unwrap_or_default();
    let what = match error {
        Some(error) => shortened(format!("it was passed on: {error}"), CHAIN_MAX),
        None => String::from("it was passed on, and the program ended well"),
    };
    end(holding, run::Event::Cancel, interrupted(sent, &what), Some(&step.name), None).await
}

/// Why a run was ended whose process was sent a signal.
fn interrupted(sent: i32, what: &str) -> Reason {
    Reason::new("run.interrupted", format!("the process was sent {}; {what}", Sent(sent)))
}

/// Why a run was ended that an operator asked to stop.
pub(super) fn cancelled() -> Reason {
    Reason::new("run.cancelled", "an operator asked to stop it")
}

/// The same error, which quotes nothing of the input that is sensitive: what it says goes into records, logs and pages.
pub(super) fn without_secrets(holding: &Holding, error: StepError) -> StepError {
    let body = holding.body();
    if body.sensitive.is_empty() {
        return error;
    }
    let said = fault::chain(&*error.error);
    let safe = body.safe(&said);
    match safe {
        Cow::Borrowed(_) => error,
        Cow::Owned(safe) => StepError { error: safe.into(), ..error },
    }
}

/// Keeps the fault in the run's body, with the whole chain of what the error said.
pub(super) fn keep_fault(holding: &Holding, step: &str, attempt: u32, error: &StepError, now: Now) {
    let mut body = holding.body();
    let record = FaultRecord {
        attempt: body.attempt,
        step_attempt: attempt,
        step: step.to_owned(),
        class: error.fault.class,
        severity: error.fault.severity,
        code: error.fault.code.to_string(),
        chain: fault::chain(&*error.error),
        at: now.wall,
    };
    body.keep_fault(record);
}

/// What the event of a failed attempt says beyond its reason.
pub(super) fn fault_data(error: &StepError, cx: &Cx, delay: Option<Duration>) -> Option<String> {
    #[derive(Serialize)]
    struct Data<'a> {
        fault: Told<'a>,
        step_attempt: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        delay_ms: Option<u64>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        exchanges: Vec<Json>,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        class: &'a str,
        code: &'a str,
        chain: String,
    }
    let told = Told {
        class: error.fault.class.as_str(),
        code: &error.fault.code,
        chain: shortened(error.to_string(), CHAIN_MAX),
    };
    let (step_attempt, exchanges) = (cx.attempt(), exchanges(cx));
    serde_json::to_string(&Data { fault: told, step_attempt, delay_ms: delay.map(millis), exchanges }).ok()
}

/// The attempt's last exchanges alone, for an event whose reason says the rest.
fn exchange_data(cx: &Cx) -> Option<String> {
    let exchanges = exchanges(cx);
    if exchanges.is_empty() {
        return None;
    }
    serde_json::to_string(&BTreeMap::from([("exchanges", exchanges)])).ok()
}

/// As many of the attempt's last exchanges as have room beside the fault, oldest first.
fn exchanges(cx: &Cx) -> Vec<Json> {
    let mut room = EXCHANGES_ROOM;
    let written = cx.exchanges().entries().into_iter().rev().map_while(|kept| {
        let json = serde_json::value::to_raw_value(&kept).ok()?;
        room = room.checked_sub(json.get().len())?;
        Some(json)
    });
    let mut written: Vec<_> = written.collect();
    written.reverse();
    written
}

/// The policy's reason, and what the error said.
pub(super) fn told(why: &impl crate::base::explain::Explain, error: &StepError) -> Reason {
    let text = format!("{why}: {}: {error}", error.fault.code);
    Reason::new(why.code(), shortened(text, CHAIN_MAX))
}
