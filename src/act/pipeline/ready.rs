//! What has to be so before a step begins, and the lock of a job that only one process works on.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::act::pipeline::drive::put_off;
use crate::act::pipeline::{Course, Holding, Step, during, handing};
use crate::base::explain::Explain;
use crate::base::fault::chain;
use crate::base::handover::HandedOver;
use crate::base::subject::Subject;
use crate::base::time::{Now, later};
use crate::remember::file::{self, Lock};
use crate::remember::runs::{CHAIN_MAX, Error, Reason, shortened};

/// Says whether it may begin now, or why and until when not. It may block its thread.
pub(in crate::act) type NotNow = Arc<dyn Fn(Now) -> Result<(), HandedOver> + Send + Sync>;

/// How soon what is held by somebody else is asked for again.
const HELD: Duration = Duration::from_secs(10);
/// How soon what could not be asked is asked again.
const UNKNOWN: Duration = Duration::from_secs(60);
/// Nothing is put off for less: whoever says "at once" would be asked without an end.
const PUT_OFF_MIN: Duration = Duration::from_millis(200);

/// The lock of a job.
#[derive(Clone, Debug)]
pub(in crate::act) struct Only {
    pub(in crate::act) path: PathBuf,
}

/// Held while a run is worked on.
pub(super) struct Alone(#[allow(dead_code, reason = "it is held, not looked at")] Option<Lock>);

/// Where a person holds the job, puts the run down until the hold ends; says whether it did. What an earlier holder had in the middle
/// stays marked: whoever takes the run then sees to that. What this one has marked ahead of time has not begun.
pub(super) async fn held_by_a_person(course: &Course<'_>, holding: &Arc<Holding>) -> Result<bool, Error> {
    let now = holding.env.now();
    let Some(standing) = holding.runs.held(&Subject::job(holding.job.as_str()), now).await? else {
        return Ok(false);
    };
    let put = standing.handed_over(now.wall);
    let mut until = put.until.max(later(now.wall, PUT_OFF_MIN));
    if let Some(deadline) = holding.expires_at().filter(|deadline| *deadline > now.wall) {
        until = until.min(deadline);
    }
    if course.begun {
        handing::unmark_next(holding);
    }
    let next = holding.body().next_step().map(|step| step.name.clone()).unwrap_or_default();
    holding.body().give_attempt_back();
    put_off(holding, &next, Reason::new(put.code, shortened(put.why, CHAIN_MAX)), until).await?;
    Ok(true)
}

/// Takes the job's lock, if it has one; where somebody else holds it, puts the run down.
pub(super) async fn alone(course: &Course<'_>, holding: &Arc<Holding>) -> Result<Option<Alone>, Error> {
    let Some(only) = course.only else { return Ok(Some(Alone(None))) };
    let path = only.path.clone();
    let taken = holding.env.block(move || Lock::take(path, Duration::ZERO)).await;
    let (why, wait) = match taken {
        Ok(Ok(lock)) => return Ok(Some(Alone(Some(lock)))),
        Ok(Err(error @ file::Error::Busy { .. })) => (Why::Locked(error.to_string()), HELD),
        Ok(Err(error)) => (Why::LockFailed(chain(&error)), UNKNOWN),
        Err(panic) => (Why::LockFailed(panic), UNKNOWN),
    };
    // A step that is marked as begun is one that an earlier holder began: nobody here has marked any yet.
    let next = holding.body().next_step().map(|step| step.name.clone()).unwrap_or_default();
    holding.body().give_attempt_back();
    let until = later(holding.env.now().wall, wait);
    put_off(holding, &next, Reason::new(why.code(), shortened(why.to_string(), CHAIN_MAX)), until).await?;
    Ok(None)
}

/// Puts the run down where the step that is about to begin has to wait for something, until it is to be asked again; a run whose
/// time is over by then is asked once more at its end. Says whether it did.
pub(super) async fn put_off_until(
    course: &Course<'_>,
    holding: &Arc<Holding>,
    step: &Step,
) -> Result<bool, Error> {
    let asked: Vec<NotNow> = course.ready.iter().chain(&step.ready).cloned().collect();
    if asked.is_empty() {
        return Ok(false);
    }
    let now = holding.env.now();
    let answer = holding.env.block(move || asked.iter().find_map(|ready| ready(now).err())).await;
    let put = match answer {
        Ok(None) => return Ok(false),
        Ok(Some(put)) => put,
        // A question that panics is no yes.
        Err(panic) => {
            let why = Why::NotKnown(panic);
            HandedOver::new(why.code(), why.to_string(), later(now.wall, UNKNOWN))
        }
    };
    handing::unmark_next(holding);
    let mut until = put.until.max(later(now.wall, PUT_OFF_MIN));
    if let Some(deadline) = holding.expires_at() {
        let unbegun = !holding.body().steps.iter().any(|step| step.state.is_settled());
        if deadline <= holding.env.now().wall && unbegun {
            let why = format!("it was worth beginning until {deadline}, and until then: {}", put.why);
            during::expire(holding, Reason::new(put.code, shortened(why, CHAIN_MAX))).await?;
            return Ok(true);
        }
        if deadline > now.wall {
            until = until.min(deadline);
        }
    }
    holding.body().give_attempt_back();
    put_off(holding, &step.name, Reason::new(put.code, shortened(put.why, CHAIN_MAX)), until).await?;
    Ok(true)
}

/// Why it does not begin.
#[derive(Debug)]
enum Why {
    Locked(String),
    LockFailed(String),
    NotKnown(String),
}

impl Explain for Why {
    fn code(&self) -> &'static str {
        match self {
            Self::Locked(_) => "job.locked",
            Self::LockFailed(_) => "job.lock_failed",
            Self::NotKnown(_) => "job.not_known_ready",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(why) => write!(f, "one of its runs is being worked on: {why}"),
            Self::LockFailed(why) => write!(f, "its lock cannot be asked for: {why}"),
            Self::NotKnown(why) => write!(f, "whether it may begin could not be asked: {why}"),
        }
    }
}
