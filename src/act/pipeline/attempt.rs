//! One step of a held run: its guard, its attempts, and the waits between them.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::act::env::{Env, Face};
use crate::act::keeper::{self, Keeper, Kept, Renewal};
use crate::act::pipeline::drive::save;
use crate::act::pipeline::step::Work;
use crate::act::pipeline::{
    Course, Cx, Flow, Hold, Holding, Interrupt, Step, StepError, failing, handing, waiting,
};
use crate::base::effect::Effect;
use crate::base::fault::{Class, Fault, Panicked};
use crate::base::race;
use crate::base::rng;
use crate::base::time::{Moment, Now};
use crate::decide::retry;
use crate::remember::runs::{Error, Json, Reason, StepState, Wait};

/// What became of a step.
pub(super) enum Attempted {
    /// It gave this.
    Done { output: Json, reason: Reason },
    /// It is left out; the others go on.
    Skipped { reason: Reason, data: Option<String> },
    /// It failed for good, and what was done before is to be undone.
    Undo,
    /// It failed, or waits, and the run has been moved accordingly.
    Ended,
}

/// What one attempt of a step gave.
enum Tried {
    Done { output: Json, reason: Reason },
    Waits(Wait),
}

/// Asks the guard, marks the step as begun, and tries until it is done or its policy says stop.
pub(super) async fn attempt_step(
    course: &Course<'_>,
    holding: &Arc<Holding>,
    step: &Step,
    found: StepState,
) -> Result<Attempted, Error> {
    let policy = step.retry.unwrap_or(*course.retry).effect(step.effect);
    let mut tries = policy.start(holding.env.now(), retry::seed(rng::entropy(), &holding.id));
    loop {
        let attempt = tries.attempts().saturating_add(1);
        let cx = Cx::of(holding, step, attempt);
        let tried = try_once(holding, step, &cx, found).await?;
        if holding.interrupt().is_some_and(Interrupt::was_passed_on) && holding.hold() != Hold::Lost {
            failing::cancel_in_the_middle(holding, step, tried.as_ref().err()).await?;
            return Ok(Attempted::Ended);
        }
        let error = match tried {
            Ok(Tried::Done { output, reason }) => return Ok(Attempted::Done { output, reason }),
            Ok(Tried::Waits(wait)) => match waiting::put_down(holding, step, wait).await? {
                Ok(done) => return Ok(done),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if error.is_lost() || holding.hold() == Hold::Lost {
            holding.lost();
            return Err(Error::Lost { winner: None });
        }
        if holding.was_cut() {
            handing::back_in_the_middle(holding, step).await?;
            return Ok(Attempted::Ended);
        }
        if let Some(handed) = &error.handed {
            return failing::hand_over(holding, step, &error, handed).await;
        }
        let now = holding.env.now();
        let error = failing::without_secrets(holding, error);
        failing::keep_fault(holding, &step.name, attempt, &error, now);
        match tries.failed(now, &error.fault) {
            retry::Next::Wait { delay, why, .. } => {
                let reason = Reason::of(&why);
                let data = failing::fault_data(&error, &cx, Some(delay));
                save(holding, &step.name, reason, data).await?;
                if let Some(ended) = wait(holding, delay).await? {
                    return Ok(ended);
                }
            }
            next => return failing::settle(course, holding, step, &cx, &error, next).await,
        }
    }
}

/// One attempt: `Err` inside `Ok` is the step's own failure.
async fn try_once(
    holding: &Arc<Holding>,
    step: &Step,
    cx: &Cx,
    found: StepState,
) -> Result<Result<Tried, StepError>, Error> {
    if let Some(error) = waiting::timed_out(holding, step) {
        return Ok(Err(error));
    }
    if let Some(guard) = &step.guard {
        holding.edge(&format!("{}:guard", step.name));
        match held(holding, step, cx, guard, true).await? {
            Ok(Some(output)) => {
                let why = "what it is for is so already; nothing was written";
                return Ok(Ok(Tried::Done { output, reason: Reason::new("step.already_done", why) }));
            }
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    let marked = {
        let mut body = holding.body();
        let record = body.step_mut(&step.name);
        let marked = record.as_ref().is_some_and(|record| record.state == StepState::Started);
        if let Some(record) = record
            && step.effect != Effect::Pure
        {
            record.state = StepState::Started;
        }
        marked
    };
    if step.effect != Effect::Pure && !marked && found != StepState::Started {
        let why = format!("begins; its effect is {}", step.effect);
        save(holding, &step.name, Reason::new("step.started", why), None).await?;
    }
    holding.edge(&format!("{}:begun", step.name));
    holding.set_note(None);
    let flow = held(holding, step, cx, &step.work, step.effect != Effect::Unsafe).await?;
    Ok(flow.map(|flow| match flow {
        Flow::Wait(wait) => Tried::Waits(wait),
        Flow::Done(output) => {
            let note = holding.set_note(None);
            let why = note.map_or_else(|| String::from("done"), |note| format!("done: {note}"));
            Tried::Done { output, reason: Reason::new("step.done", why) }
        }
    }))
}

/// Runs `work` while the lease is kept. Where it `may_be_cut`, and can be, it is dropped when the process stops.
pub(super) async fn held<T: Send + 'static>(
    holding: &Arc<Holding>,
    step: &Step,
    cx: &Cx,
    work: &Work<T>,
    may_be_cut: bool,
) -> Result<Result<T, StepError>, Error> {
    let started = holding.env.now().moment;
    let outcome = match holding.env.face() {
        Face::Future => {
            let sleep = |wait| holding.env.sleep(wait);
            let timed = timed(holding, step, on_future(&*holding.env, work, cx));
            let kept = keeper::beside(&**holding, sleep, timed);
            // What blocks a thread would go on there, and might meet whoever takes the run next.
            let kept = if may_be_cut && matches!(work, Work::Future(_)) {
                holding.unless_stopped(kept).await
            } else {
                Some(kept.await)
            };
            match kept {
                Some(Some(outcome)) => outcome,
                Some(None) => return Err(Error::Lost { winner: None }),
                None => Err(StepError::transient("step.stopped", "the process that worked on it ends")),
            }
        }
        Face::Thread => {
            let _keeper = Keeper::start(holding);
            on_thread(work, cx).await
        }
        Face::SimulatedThread => on_thread(work, cx).await,
    };
    Ok(match outcome {
        Err(error) if error.handed.is_none() && error.fault.class != Class::Permanent => {
            Err(overrun(holding, step, started, error))
        }
        outcome => outcome,
    })
}

/// Cuts the attempt at its time-out.
async fn timed<T>(
    holding: &Holding,
    step: &Step,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let Some(limit) = step.timeout else { return work.await };
    race::before(holding.env.sleep(limit), work).await.unwrap_or_else(|| Err(timed_out(limit)))
}

/// Blocking work that failed after its time was over failed for that reason.
fn overrun(holding: &Holding, step: &Step, started: Moment, error: StepError) -> StepError {
    match step.timeout {
        Some(limit) if holding.env.now().moment.since(started) > limit => {
            let Fault { reached, .. } = error.fault;
            let text = format!("{error} (after its time of {limit:?} was over)");
            StepError::new(Fault::transient("step.timed_out").reached(reached), text)
        }
        _ => error,
    }
}

fn timed_out(limit: Duration) -> StepError {
    StepError::transient("step.timed_out", format!("it gave nothing for {limit:?}, its time-out"))
}

async fn on_thread<T>(work: &Work<T>, cx: &Cx) -> Result<T, StepError> {
    match work {
        Work::Blocking(work) => catch_unwind(AssertUnwindSafe(|| work(cx))).unwrap_or_else(panicked),
        Work::Future(work) => caught(work(cx.clone())).await,
    }
}

async fn on_future<T: Send + 'static>(env: &dyn Env, work: &Work<T>, cx: &Cx) -> Result<T, StepError> {
    if let Some(pool) = env.pool() {
        let (work, cx) = (work.clone(), cx.clone());
        let done = pool.run(async move { on_thread(&work, &cx).await }).await;
        return done.unwrap_or_else(|| Err(StepError::transient("step.runtime_gone", "there is no thread")));
    }
    match work {
        Work::Future(work) => caught(work(cx.clone())).await,
        #[cfg(feature = "tokio")]
        Work::Blocking(work) if tokio::runtime::Handle::try_current().is_ok() => {
            let (work, cx) = (Arc::clone(work), cx.clone());
            let joined = tokio::task::spawn_blocking(move || work(&cx)).await;
            joined.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => panicked(panic),
                Err(error) => Err(StepError::transient("step.runtime_gone", error)),
            })
        }
        Work::Blocking(_) => on_thread(work, cx).await,
    }
}

async fn caught<T>(work: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
    let mut work = pin!(work);
    poll_fn(move |context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(panicked(panic)))
    })
    .await
}

fn panicked<T>(panic: Box<dyn Any + Send>) -> Result<T, StepError> {
    let text = Panicked::of(&*panic).message;
    Err(StepError::new(Fault::new(Class::Unknown, "step.panicked"), format!("it panicked: {text}")))
}

/// Waits between two attempts, in pieces, so that a lost or cancelled run is seen.
pub(super) async fn wait(holding: &Arc<Holding>, delay: Duration) -> Result<Option<Attempted>, Error> {
    let Now { moment: start, .. } = holding.env.now();
    loop {
        match holding.hold() {
            Hold::Ours => {}
            Hold::Lost => return Err(Error::Lost { winner: None }),
            Hold::Cancelling => {
                failing::cancel(holding).await?;
                return Ok(Some(Attempted::Ended));
            }
            Hold::Stopping => {
                let left = delay.saturating_sub(holding.env.now().moment.since(start));
                handing::back_between(holding, Some(left)).await?;
                return Ok(Some(Attempted::Ended));
            }
        }
        let left = delay.saturating_sub(holding.env.now().moment.since(start));
        if left.is_zero() {
            return Ok(None);
        }
        holding.env.sleep(left.min(holding.renew_in(false))).await;
        if holding.renew().await == Renewal::Lost {
            return Err(Error::Lost { winner: None });
        }
    }
}
