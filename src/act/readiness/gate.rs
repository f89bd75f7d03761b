//! A gate that looks for itself, and whoever waits on it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::act::readiness::shared::{Shared, Source};
use crate::base::explain::Explain;
use crate::base::fault::Panicked;
use crate::base::handover::HandedOver;
use crate::base::time::{Moment, Now, Sleep, SleepBlocking, System, Timestamp, between};
use crate::decide::gate::{self, Decision, Error, GivenUp, Policy, Reading, Saved, Signal};

/// Whoever waits looks so often at least, so that the dwell is judged by more than its two ends.
const LOOK: Duration = Duration::from_secs(5);
/// A wait is never shorter.
const WAIT_MIN: Duration = Duration::from_millis(1);

type Check = Arc<dyn Fn() -> Reading + Send + Sync>;

/// Whether heavy work may begin on this machine. Clones are the same gate.
///
/// ```
/// use std::time::Duration;
/// use unattended::gate::{Policy, Signal};
/// use unattended::readiness::{Gate, Shared};
/// use unattended::time::{Clock, System};
///
/// let machine = Shared::default();
/// let import = Gate::new("mem:90/80,psi:20/10,exists:/tmp".parse()?).sampler(&machine);
/// let policy = Policy::builder().needs(Signal::Custom("approved".into())).build()?;
/// let publish = Gate::new(policy).sampler(&machine).check("approved", || true);
/// assert!(publish.ask(System.now()).is_open());
/// assert!(publish.ready(System.now()).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Gate {
    state: Arc<Mutex<gate::Gate>>,
    signals: Arc<[Signal]>,
    shared: Shared,
    checks: Vec<(String, Check)>,
}

impl Gate {
    /// One that looks at this machine, by a sampler of its own.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::of(gate::Gate::new(policy), Shared::default())
    }

    /// One that is told by something else: a test, or a machine elsewhere.
    #[must_use]
    pub fn on(policy: Policy, source: impl Source + 'static) -> Self {
        Self::of(gate::Gate::new(policy), Shared::new(source))
    }

    fn of(state: gate::Gate, shared: Shared) -> Self {
        let signals = state.signals().cloned().collect();
        Self { state: Arc::new(Mutex::new(state)), signals, shared, checks: Vec::new() }
    }

    /// The same gate, looking together with the others that have this one.
    #[must_use]
    pub fn sampler(mut self, shared: &Shared) -> Self {
        self.shared = shared.clone();
        self
    }

    /// Answers the [`Signal::Custom`] of this name: by a number or yes and no, or by what may fail to be either. It is asked on the
    /// thread that asks the gate, under no lock, each time. One that panics cannot be read; the last one of a name counts.
    #[must_use]
    pub fn check<T: Into<Reading>>(
        mut self,
        name: impl Into<String>,
        check: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        self.checks.retain(|(other, _)| *other != name);
        self.checks.push((name, Arc::new(move || check().into())));
        self
    }

    /// The gate with what was [saved](Self::saved), by another process or before; clones made earlier have it too.
    ///
    /// # Errors
    ///
    /// As [`gate::Gate::restored`].
    pub fn restored(self, saved: &Saved) -> Result<Self, Error> {
        {
            let mut state = self.state();
            let policy = state.policy().clone();
            *state = gate::Gate::restored(policy, saved)?;
        }
        Ok(self)
    }

    /// What it has seen, for the next process.
    #[must_use]
    pub fn saved(&self) -> Saved {
        self.state().saved()
    }

    /// Its policy.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.state().policy().clone()
    }

    /// Whether work may begin now.
    ///
    /// It looks at the machine, which takes less than a millisecond, or as long as the ports that it asks and the checks of the
    /// application take. How busy the processors are takes two looks: the first is answered with
    /// [`Why::Measuring`](gate::Why::Measuring), to be asked again 200 ms later.
    pub fn ask(&self, now: Now) -> Decision {
        let sample = self.sample(now);
        self.state().evaluate(&sample, now)
    }

    /// The same for work that is of no use if it cannot begin before `deadline`.
    pub fn ask_by(&self, now: Now, deadline: Timestamp) -> Decision {
        let sample = self.sample(now);
        self.state().evaluate_by(&sample, now, deadline)
    }

    /// Work that may begin now, or what puts it off until it is worth asking again.
    ///
    /// # Errors
    ///
    /// [`HandedOver`] with the code and the sentence of the reason while it is closed, and when it gives up (`gate.given_up`): then too
    /// it says when to ask again, since whoever runs the work decides whether that is the end.
    pub fn ready(&self, now: Now) -> Result<(), HandedOver> {
        let decision = self.ask(now);
        match decision.closed() {
            None => Ok(()),
            Some(closed) => Err(HandedOver::new(decision.code(), decision.to_string(), closed.retry_at)),
        }
    }

    /// Waits on this thread until work may begin, for at most `limit`; then it gives up, saying what was in the way at last. A policy
    /// that gives up sooner does.
    pub fn wait_blocking(&self, limit: Duration) -> Decision {
        self.wait_blocking_on(&System, limit)
    }

    /// The same on another clock.
    pub fn wait_blocking_on(&self, clock: &impl SleepBlocking, limit: Duration) -> Decision {
        let begun = clock.moment();
        loop {
            match self.turn(clock.now(), begun, limit) {
                Turn::Done(decision) => return decision,
                Turn::Wait(duration) => clock.sleep_blocking(duration),
            }
        }
    }

    /// The same as a future, on any clock. It looks at the machine on the task that polls it: with ports or slow disks in the policy
    /// that may block for as long as they take. A future that is dropped leaves nothing behind.
    pub async fn wait_on(&self, clock: &impl Sleep, limit: Duration) -> Decision {
        let begun = clock.moment();
        loop {
            match self.turn(clock.now(), begun, limit) {
                Turn::Done(decision) => return decision,
                Turn::Wait(duration) => clock.sleep(duration).await,
            }
        }
    }

    /// The same on tokio's timer; it looks at the machine on one of tokio's threads for what blocks.
    #[cfg(feature = "tokio")]
    pub async fn wait(&self, limit: Duration) -> Decision {
        use crate::base::time::Clock;

        let begun = System.moment();
        loop {
            let gate = self.clone();
            let look = tokio::task::spawn_blocking(move || gate.turn(System.now(), begun, limit));
            // A runtime that shuts down takes no more of them: then it is looked at here.
            let turn = look.await.unwrap_or_else(|_| self.turn(System.now(), begun, limit));
            match turn {
                Turn::Done(decision) => return decision,
                Turn::Wait(duration) => System.sleep(duration).await,
            }
        }
    }

    /// What whoever waits does next.
    fn turn(&self, now: Now, begun: Moment, limit: Duration) -> Turn {
        let decision = self.ask(now);
        let Decision::Closed(closed) = decision else { return Turn::Done(decision) };
        let waited = now.moment.since(begun);
        let left = limit.saturating_sub(waited);
        if left.is_zero() {
            return Turn::Done(Decision::GivenUp(GivenUp::after(limit, waited, closed)));
        }
        let again = between(now.wall, closed.retry_at).clamp(WAIT_MIN, LOOK);
        Turn::Wait(again.min(left))
    }

    fn sample(&self, now: Now) -> gate::Sample {
        let own = |signal: &Signal| match signal {
            Signal::Custom(name) => self.checks.iter().find(|(known, _)| known == name),
            _ => None,
        };
        let mut sample = self.shared.sample(self.signals.iter().filter(|signal| own(signal).is_none()), now);
        for signal in self.signals.iter() {
            if let Some((_, check)) = own(signal) {
                let said = catch_unwind(AssertUnwindSafe(|| check()));
                let said = said.unwrap_or_else(|panic| {
                    Reading::missing(format_args!("its check panicked: {}", Panicked::of(&*panic).message))
                });
                sample.set(signal.clone(), said);
            }
        }
        sample
    }

    fn state(&self) -> std::sync::MutexGuard<'_, gate::Gate> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Turn {
    Done(Decision),
    Wait(Duration),
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks: Vec<&str> = self.checks.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Gate").field("state", &*self.state()).field("checks", &checks).finish_non_exhaustive()
    }
}
