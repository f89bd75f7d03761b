//! Windows, and what else must be so: a step begins only while it may, and until then its run is put down.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::act::pipeline::drive::put_off;
use crate::act::pipeline::{Course, Holding, Step, handing, ready, undo};
use crate::base::explain::Explain;
use crate::base::time::{Timestamp, later};
use crate::decide::run::State;
use crate::decide::window::{self, Fits, Window};
use crate::remember::runs::{CHAIN_MAX, Error, Failure, Reason, shortened};

/// Why a step does not begin now.
#[derive(Debug)]
enum Shut {
    /// Its window is closed, or would close too soon.
    Closed { opens: Timestamp, why: window::Why },
    /// The same, until after the run is worth doing.
    PastDeadline { opens: Timestamp, deadline: Timestamp, why: window::Why },
    /// It must finish inside, and no opening is that long.
    NeverFits { longest: Duration, needs: Duration },
    /// What is closed is so to the end of the calendar.
    NeverOpens { why: window::Why },
    /// The window of the job and that of the step are not open together.
    NeverTogether,
}

/// How far from the first opening of the one on it is looked for one that the other shares: each week is in it.
const LOOKED_THROUGH: Duration = Duration::from_secs(366 * 86_400);
/// And by how many openings: 64 hours of a day open at most so often in a year.
const TURNS_MAX: usize = 50_000;

/// Moves the run where the step that is about to begin must not begin now: puts it down until it may, or ends it where
/// that is never, or too late. Says whether it did.
pub(super) async fn shut_out(
    course: &Course<'_>,
    holding: &Arc<Holding>,
    step: &Step,
) -> Result<bool, Error> {
    // It has begun, and asked for something that has not come in time.
    let begun = holding.body().wait.as_ref().is_some_and(|wait| wait.step.as_deref() == Some(&step.name));
    if begun {
        return Ok(false);
    }
    let Some(shut) = shut(course, holding, step) else {
        return ready::put_off_until(course, holding, step).await;
    };
    handing::unmark_next(holding);
    let reason = Reason::new(shut.code(), shortened(shut.to_string(), CHAIN_MAX));
    match shut {
        Shut::Closed { opens, .. } => {
            holding.body().give_attempt_back();
            put_off(holding, &step.name, reason, opens).await?;
        }
        Shut::PastDeadline { .. } if !holding.body().steps.iter().any(|step| step.state.is_settled()) => {
            expire(holding, reason).await?;
        }
        Shut::PastDeadline { .. }
        | Shut::NeverFits { .. }
        | Shut::NeverOpens { .. }
        | Shut::NeverTogether => {
            let failure = Failure::permanent(shut.code(), reason.why.as_str());
            if undo::fail_for_good(course, holding, &step.name, reason, failure, None).await? {
                undo::undo_all(course, holding).await?;
            }
        }
    }
    Ok(true)
}

/// Whether the step must not begin now.
pub(super) fn is_shut(course: &Course<'_>, holding: &Holding, step: &Step) -> bool {
    shut(course, holding, step).is_some()
}

/// Why it must not begin now by the window of the job and that of the step, and when it may by both.
fn shut(course: &Course<'_>, holding: &Holding, step: &Step) -> Option<Shut> {
    let (now, deadline) = (holding.env.now().wall, holding.expires_at());
    let (mut opens, mut first, mut until) = (now, None, Timestamp::MAX_UTC);
    for _ in 0..TURNS_MAX {
        let mut windows = course.during.into_iter().chain(&step.during);
        let (next, why) = match windows.find_map(|window| of_window(window, step, opens)) {
            Some(Shut::Closed { opens: next, why }) if next > opens => (next, why),
            None | Some(Shut::Closed { .. }) => break,
            never => return never,
        };
        if first.is_none() {
            until = later(next, LOOKED_THROUGH);
        }
        (opens, first) = (next, Some(first.unwrap_or(why)));
        if opens > until || deadline.is_some_and(|deadline| deadline <= opens) {
            break;
        }
    }
    let why = first?;
    Some(match deadline {
        Some(deadline) if deadline <= opens => Shut::PastDeadline { opens, deadline, why },
        _ if opens > until => Shut::NeverTogether,
        _ => Shut::Closed { opens, why },
    })
}

fn of_window(window: &Window, step: &Step, now: Timestamp) -> Option<Shut> {
    if let Some(needs) = step.timeout.filter(|_| window.must_finish_inside()) {
        return match window.fits(now, needs) {
            Fits::Yes => None,
            Fits::NotBefore { at, why } => Some(Shut::Closed { opens: at, why }),
            Fits::Never { longest } => Some(Shut::NeverFits { longest, needs }),
        };
    }
    match window.state(now) {
        window::State::Open { .. } => None,
        window::State::Closed { opens: Some(opens), why } => Some(Shut::Closed { opens, why }),
        window::State::Closed { opens: None, why } => Some(Shut::NeverOpens { why }),
    }
}

/// Ends a run of which nothing is done.
pub(super) async fn expire(holding: &Holding, reason: Reason) -> Result<(), Error> {
    let now = holding.env.now().wall;
    holding.body().give_attempt_back();
    let body = holding.body().clone();
    let held = (holding.id.as_str(), holding.fence);
    holding.runs.expire_held(held, body, reason, now, &holding.actor).await?;
    holding.ended(State::Expired);
    Ok(())
}

impl Explain for Shut {
    fn code(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "window.closed",
            Self::PastDeadline { .. } => "window.past_deadline",
            Self::NeverFits { .. } => "window.never_fits",
            Self::NeverOpens { .. } | Self::NeverTogether => "window.never_opens",
        }
    }
}

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { opens, why } => write!(f, "waits for its window until {opens}: {why}"),
            Self::PastDeadline { opens, deadline, why } => {
                write!(f, "its window opens at {opens}, and it was worth running until {deadline}: {why}")
            }
            Self::NeverFits { longest, needs } => {
                write!(f, "it may take {needs:?}, and its window is never open for more than {longest:?}")
            }
            Self::NeverOpens { why } => write!(f, "its window does not open again: {why}"),
            Self::NeverTogether => {
                f.write_str("its window and that of its job are not open together within a year")
            }
        }
    }
}
