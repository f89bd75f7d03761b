//! What a step is: a name, an effect class, the work, and what it may ask before it begins.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::act::pipeline::{Cx, NotNow};
use crate::act::readiness::Gate;
use crate::base::effect::Effect;
use crate::base::explain::Explain;
use crate::base::fault::{self, Classify, Fault};
use crate::base::handover::HandedOver;
use crate::base::redact::Redact;
use crate::base::time::{BoxFuture, Now};
use crate::decide::window::Window;
use crate::decide::{breaker, retry};
use crate::remember::runs::{self, Json};
use crate::remember::{file, ledger, payload, snapshots, store};

/// One step of a job.
///
/// ```
/// use unattended::effect::Effect;
/// use unattended::pipeline::{Step, StepError};
///
/// let count = Step::blocking("count", Effect::Pure, |cx| {
///     let text: String = cx.input()?;
///     if text.is_empty() {
///         return Err(StepError::permanent("count.empty", "there is nothing to count"));
///     }
///     Ok(text.lines().count())
/// });
/// assert_eq!(count.name(), "count");
/// ```
#[derive(Clone)]
pub struct Step {
    pub(in crate::act) name: String,
    pub(in crate::act) effect: Effect,
    pub(in crate::act) work: Work<Flow<Json>>,
    pub(in crate::act) guard: Option<Work<Option<Json>>>,
    pub(in crate::act) retry: Option<retry::Policy>,
    pub(in crate::act) timeout: Option<Duration>,
    pub(in crate::act) redact: Option<Arc<dyn Redact>>,
    pub(in crate::act) undo: Option<Undo>,
    pub(in crate::act) known_good: bool,
    pub(in crate::act) during: Option<Window>,
    pub(in crate::act) ready: Vec<NotNow>,
}

/// How a finished step is undone.
#[derive(Clone)]
pub(in crate::act) struct Undo {
    pub(in crate::act) effect: Effect,
    pub(in crate::act) work: Work<()>,
}

/// What a step gave: its output, or what it waits for.
#[derive(Clone, Debug)]
pub enum Flow<T> {
    /// It is done, and gave this.
    Done(T),
    /// The run is put down until the token is resolved: the answer becomes the step's output.
    Wait(runs::Wait),
}

impl<T: Serialize> Flow<T> {
    fn written(self) -> Result<Flow<Json>, StepError> {
        Ok(match self {
            Self::Done(output) => Flow::Done(to_json(&output)?),
            Self::Wait(wait) => Flow::Wait(wait),
        })
    }
}

/// The closures of a step, both kinds of them.
pub(in crate::act) enum Work<T> {
    /// Blocks its thread.
    Blocking(Arc<BlockingWork<T>>),
    /// Gives a future.
    Future(Arc<FutureWork<T>>),
}

type BlockingWork<T> = dyn Fn(&Cx) -> Result<T, StepError> + Send + Sync;
type FutureWork<T> = dyn Fn(Cx) -> BoxFuture<'static, Result<T, StepError>> + Send + Sync;

impl<T> Clone for Work<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Blocking(work) => Self::Blocking(Arc::clone(work)),
            Self::Future(work) => Self::Future(Arc::clone(work)),
        }
    }
}

impl Step {
    /// A step whose work is a future.
    #[must_use]
    pub fn new<F, Fut, T>(name: impl Into<String>, effect: Effect, work: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, StepError>> + Send + 'static,
        T: Serialize,
    {
        let work = move |cx: Cx| -> BoxFuture<'static, Result<Flow<Json>, StepError>> {
            let work = work(cx);
            Box::pin(async move { Flow::Done(work.await?).written() })
        };
        Self::of(name, effect, Work::Future(Arc::new(work)))
    }

    /// A step whose work blocks its thread. Driven by a runtime, it is moved to a thread where blocking does no harm.
    #[must_use]
    pub fn blocking<F, T>(name: impl Into<String>, effect: Effect, work: F) -> Self
    where
        F: Fn(&Cx) -> Result<T, StepError> + Send + Sync + 'static,
        T: Serialize,
    {
        Self::of(name, effect, Work::Blocking(Arc::new(move |cx| Flow::Done(work(cx)?).written())))
    }

    /// A step that may have to wait for something outside: an approval, a payment, the end of somebody else's batch.
    /// It asks, and gives [`Flow::Wait`] with the token under which the answer will come; the run is then put down, and
    /// nothing in this process waits. `Runs::resolve` (or an operator) gives the answer, which becomes the step's
    /// output. An answer that was there first, or that comes after the deadline, is kept.
    ///
    /// ```
    /// use unattended::effect::Effect;
    /// use unattended::pipeline::{Flow, Step, Wait};
    ///
    /// let approve = Step::waiting("approve", Effect::Idempotent, |cx| async move {
    ///     let token = format!("approval:{}", cx.key().unwrap_or_default());
    ///     // … ask for it, with the token …
    ///     Ok::<Flow<bool>, _>(Flow::Wait(Wait::on(token)))
    /// });
    /// # drop(approve);
    /// ```
    #[must_use]
    pub fn waiting<F, Fut, T>(name: impl Into<String>, effect: Effect, work: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Flow<T>, StepError>> + Send + 'static,
        T: Serialize,
    {
        let work = move |cx: Cx| -> BoxFuture<'static, Result<Flow<Json>, StepError>> {
            let work = work(cx);
            Box::pin(async move { work.await?.written() })
        };
        Self::of(name, effect, Work::Future(Arc::new(work)))
    }

    /// The same, for work that blocks its thread.
    #[must_use]
    pub fn waiting_blocking<F, T>(name: impl Into<String>, effect: Effect, work: F) -> Self
    where
        F: Fn(&Cx) -> Result<Flow<T>, StepError> + Send + Sync + 'static,
        T: Serialize,
    {
        Self::of(name, effect, Work::Blocking(Arc::new(move |cx| work(cx)?.written())))
    }

    fn of(name: impl Into<String>, effect: Effect, work: Work<Flow<Json>>) -> Self {
        Self {
            name: name.into(),
            effect,
            work,
            guard: None,
            retry: None,
            timeout: None,
            redact: None,
            undo: None,
            known_good: false,
            during: None,
            ready: Vec::new(),
        }
    }

    /// How it is undone. When the run fails for good, its finished steps are undone in reverse order, each at most once
    /// unless `effect` says that it may be done again, and each is recorded. An undo that fails for good, or whose outcome
    /// is not known, is a question for a person.
    ///
    /// `effect` is the class of the undoing itself; [`Verifiable`](Effect::Verifiable) is refused when the job is built,
    /// as there is nothing to ask. [`Cx::output`] of the step's own name is what it gave.
    #[must_use]
    pub fn undo<F, Fut>(mut self, effect: Effect, undo: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StepError>> + Send + 'static,
    {
        let work = move |cx: Cx| -> BoxFuture<'static, Result<(), StepError>> { Box::pin(undo(cx)) };
        self.undo = Some(Undo { effect, work: Work::Future(Arc::new(work)) });
        self
    }

    /// The same, for an undoing that blocks its thread.
    #[must_use]
    pub fn undo_blocking<F>(mut self, effect: Effect, undo: F) -> Self
    where
        F: Fn(&Cx) -> Result<(), StepError> + Send + Sync + 'static,
    {
        self.undo = Some(Undo { effect, work: Work::Blocking(Arc::new(undo)) });
        self
    }

    /// Where it cannot be done now, what it gave in the last run of this job that succeeded is taken instead, and the run's
    /// history says so. Only for a [`Pure`](Effect::Pure) step: what it would have changed outside cannot be had from the
    /// past.
    #[must_use]
    pub const fn or_last_known_good(mut self) -> Self {
        self.known_good = true;
        self
    }

    /// Asks first whether the desired end state exists already: `Some(output)` means it does, and the step is done
    /// with that output and without a write. A [`Verifiable`](Effect::Verifiable) step must have one: it is also what
    /// is asked after a crash in the middle.
    #[must_use]
    pub fn guard<F, Fut, T>(mut self, ask: F) -> Self
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<T>, StepError>> + Send + 'static,
        T: Serialize,
    {
        let ask = move |cx: Cx| -> BoxFuture<'static, Result<Option<Json>, StepError>> {
            let ask = ask(cx);
            Box::pin(async move { ask.await?.map(|output| to_json(&output)).transpose() })
        };
        self.guard = Some(Work::Future(Arc::new(ask)));
        self
    }

    /// The same, for a question that blocks its thread.
    #[must_use]
    pub fn guard_blocking<F, T>(mut self, ask: F) -> Self
    where
        F: Fn(&Cx) -> Result<Option<T>, StepError> + Send + Sync + 'static,
        T: Serialize,
    {
        let ask = move |cx: &Cx| ask(cx)?.map(|output| to_json(&output)).transpose();
        self.guard = Some(Work::Blocking(Arc::new(ask)));
        self
    }

    /// How this step is retried inside one run; without it, as the job says.
    #[must_use]
    pub const fn retry(mut self, policy: retry::Policy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// How long one attempt may take. A future is dropped at its end. Work that blocks cannot be cut: it is handed
    /// the time that is left ([`Cx::remaining`]), and an overrun is recorded.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Begins only while `window` is open. Where it is closed the run is put down until it opens: what the steps before
    /// have given stays, and no attempt is used up. What has begun goes on when it closes, and so does what was in the
    /// middle when a process died.
    ///
    /// With [`must_finish_inside`](crate::decide::window::Builder::must_finish_inside) it begins only where its
    /// [time-out](Self::timeout), which it then must have, ends before the window closes; a retry within the run is not asked
    /// again.
    ///
    /// A run never waits for longer than it is worth doing: one that expires before the window opens ends at once, as expired
    /// where none of its steps is done, else as failed for good (`window.past_deadline`), which undoes them.
    ///
    /// ```
    /// use unattended::{effect::Effect, job::Job, pipeline::Step, window::Window};
    ///
    /// let hours: Window = "09:00-22:00 Mon-Fri".parse()?;
    /// let job = Job::new("newsletter")
    ///     .step(Step::blocking("prepare", Effect::Pure, |cx| cx.input::<String>()))
    ///     .step(Step::blocking("publish", Effect::Unsafe, |cx| cx.output::<String>("prepare")).during(hours))
    ///     .build()?;
    /// # drop(job);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn during(mut self, window: Window) -> Self {
        self.during = Some(window);
        self
    }

    /// Asks before it begins whether it may, as [`ready_when`](crate::act::job::Builder::ready_when) of a job does before each of
    /// its steps. At most 8.
    #[must_use]
    pub fn ready_when(
        mut self,
        ready: impl Fn(Now) -> Result<(), HandedOver> + Send + Sync + 'static,
    ) -> Self {
        self.ready.push(Arc::new(ready));
        self
    }

    /// Begins it only on a machine on which `gate` is open; until then its run is put down with what is too high.
    #[must_use]
    pub fn gate(self, gate: &Gate) -> Self {
        let gate = gate.clone();
        self.ready_when(move |now| gate.ready(now))
    }

    /// What takes the secrets out of its [exchanges](Cx::exchanges); default
    /// [`redact::Names`](crate::base::redact::Names).
    #[must_use]
    pub fn redact(mut self, hook: impl Redact + 'static) -> Self {
        self.redact = Some(Arc::new(hook));
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its effect class.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("name", &self.name).field("effect", &self.effect).finish_non_exhaustive()
    }
}

/// Why a step's attempt failed: what it means to the policy, and what the error said.
///
/// `?` turns any error into one, classified by what its chain of sources contains; use the constructors where the step
/// knows better. What a call, a breaker or a credential has refused or deferred is no failure: `?` keeps until when, the
/// run is put down until then, and no attempt is used up. It is not an `Error` itself, as `anyhow::Error` is not, so that the conversion can exist.
#[derive(Debug)]
pub struct StepError {
    pub(in crate::act) fault: Fault,
    pub(in crate::act) error: Box<dyn Error + Send + Sync>,
    pub(in crate::act) lost: bool,
    /// Until when the work is put off, where it has not failed at all.
    pub(in crate::act) handed: Option<Box<HandedOver>>,
}

impl StepError {
    /// A failure that means `fault`.
    #[must_use]
    pub fn new(fault: Fault, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { fault, error: error.into(), lost: false, handed: None }
    }

    /// How a call or a retry has stopped, with the fault as that has classified it. `?` looks at the error's chain
    /// instead, which does not know what a closure said of a foreign type, nor what the dependency's table says.
    ///
    /// ```
    /// use unattended::pipeline::StepError;
    /// use unattended::{call::Call, effect::Effect, fault::Fault};
    ///
    /// let parser = Call::to("parser")
    ///     .classify(|_: &std::num::ParseIntError| Fault::permanent("input.not_a_number"))
    ///     .effect(Effect::Pure)
    ///     .build()?;
    /// let stopped = parser.run_blocking(|_| "seven".parse::<u32>()).unwrap_err();
    /// assert_eq!(StepError::stopped(stopped).fault().code, "input.not_a_number");
    /// # Ok::<(), unattended::call::Error>(())
    /// ```
    #[must_use]
    pub fn stopped<L, R>(stopped: retry::Stopped<L, R>) -> Self
    where
        L: Error + Send + Sync + 'static,
        R: Explain + fmt::Debug + Send + Sync + 'static,
    {
        let decided = match &stopped {
            retry::Stopped::Failed { attempts, .. } => attempts.fault(),
            retry::Stopped::Refused { .. } | retry::Stopped::Deferred { .. } => None,
        };
        let mut error = Self::from(stopped);
        if let Some(fault) = decided {
            error.fault = fault;
        }
        error
    }

    /// Trying again cannot help.
    #[must_use]
    pub fn permanent(code: &'static str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Fault::permanent(code), error)
    }

    /// It may work later.
    #[must_use]
    pub fn transient(code: &'static str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Fault::transient(code), error)
    }

    /// What it means to the policy.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Until when the work is put off and why, where that is what the error's chain says.
    #[must_use]
    pub fn handed_over(&self) -> Option<&HandedOver> {
        self.handed.as_deref()
    }

    /// What an error means to a policy, by what its chain of sources contains.
    pub(in crate::act) fn classified(error: &(dyn Error + 'static)) -> Fault {
        of_ours(error).unwrap_or_else(|| fault::of_chain(error))
    }

    pub(in crate::act) fn is_lost(&self) -> bool {
        self.lost
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fault::chain(&*self.error))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for StepError {
    fn from(error: E) -> Self {
        let fault = Self::classified(&error);
        let any: &dyn Any = &error;
        // In a caller's own transaction the fence that no longer holds shows as a conflict of the batch.
        let lost = matches!(any.downcast_ref(), Some(runs::Error::Lost { .. }))
            || matches!(any.downcast_ref(), Some(store::ApplyError::Conflict(_)));
        let handed = handed_over(&error).map(Box::new);
        Self { fault, error: Box::new(error), lost, handed }
    }
}

/// The refusal or deferral that the chain contains, if it does.
fn handed_over(error: &(dyn Error + 'static)) -> Option<HandedOver> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(handed) = error.downcast_ref::<HandedOver>() {
            return Some(handed.clone());
        }
        if let Some(breaker::Refusal { why, retry_at, .. }) = error.downcast_ref() {
            return Some(HandedOver::new(why.code(), why.to_string(), *retry_at));
        }
        next = error.source();
    }
    None
}

/// The fault of this crate's own errors, and of its engine's in a caller's own transaction, wherever in the chain they
/// stand.
fn of_ours(error: &(dyn Error + 'static)) -> Option<Fault> {
    let mut next = Some(error);
    while let Some(error) = next {
        let fault = error
            .downcast_ref::<store::Error>()
            .map(Classify::fault)
            .or_else(|| error.downcast_ref::<runs::Error>().map(Classify::fault))
            .or_else(|| error.downcast_ref::<ledger::Error>().map(Classify::fault))
            .or_else(|| error.downcast_ref::<payload::Error>().map(Classify::fault))
            .or_else(|| error.downcast_ref::<snapshots::FileError>().map(Classify::fault))
            .or_else(|| error.downcast_ref::<file::Error>().map(Classify::fault));
        #[cfg(feature = "sqlite")]
        let fault = fault.or_else(|| error.downcast_ref().and_then(crate::remember::sqlite::error::fault));
        #[cfg(feature = "postgres")]
        let fault = fault.or_else(|| error.downcast_ref().and_then(crate::remember::postgres::error::fault));
        if fault.is_some() {
            return fault;
        }
        // The source of an io::Error that was made from another error is that of the error within.
        let within = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = within.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// A step's output as the text that is stored.
pub(in crate::act) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Json, StepError> {
    serde_json::value::to_raw_value(value).map_err(|error| {
        StepError::permanent("step.output", format!("what the step gave is no JSON: {error}"))
    })
}
