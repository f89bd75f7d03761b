//! A wrapper that does to an operation what the world does.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::rng::Rng;
use crate::base::time::{Clock, Sleep, SleepBlocking, System, Timestamp, millis};

/// What is done to one execution of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing: it runs, and its answer is given.
    Pass,
    /// It does not run; an error is given.
    Fail,
    /// It runs after this wait.
    Delay(Duration),
    /// It does not run; the caller panics.
    Panic,
    /// It does not run, and nothing is given: the future never ends. A thread cannot wait for ever; it sleeps for
    /// [`Chaos::hang`] and gives an error.
    Hang,
    /// It runs twice, one after the other, as a message that is delivered twice; the second answer is given. Whatever is
    /// idempotent does not mind.
    Twice,
    /// It runs, its answer is lost, and an error is given: the effect is there, and the caller does not know. When it
    /// fails by itself, its own error is given.
    Lose,
}

/// How often each [`Act`] happens, in executions out of a thousand; the rest pass. None of them unless said otherwise.
///
/// ```
/// use unattended::testing::faults::Rates;
/// let rates = Rates { fail: 200, lose: 50, ..Rates::default() };
/// assert_eq!(rates.check(), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Out of a thousand, [`Act::Fail`].
    pub fail: u16,
    /// Out of a thousand, [`Act::Delay`].
    pub delay: u16,
    /// Out of a thousand, [`Act::Panic`].
    pub panic: u16,
    /// Out of a thousand, [`Act::Hang`].
    pub hang: u16,
    /// Out of a thousand, [`Act::Twice`].
    pub twice: u16,
    /// Out of a thousand, [`Act::Lose`].
    pub lose: u16,
    /// The longest delay; each length up to it is equally likely, in milliseconds. Default 10 s.
    pub delay_max: Duration,
}

/// Rates that cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More than a thousand out of a thousand.
    #[error("the rates add up to {given} out of {limit}")]
    Rates {
        /// Their sum.
        given: u32,
        /// What it may be.
        limit: u32,
    },
}

/// One act that was done, and to which execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    /// The how manieth execution it was, from 1.
    pub number: u64,
    /// What was done.
    pub act: Act,
    /// When, on the clock of the chaos.
    pub at: Timestamp,
}

/// How many executions were asked for, and how many of them met which [`Act`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub executions: u64,
    /// [`Act::Pass`].
    pub passed: u64,
    /// [`Act::Fail`].
    pub failed: u64,
    /// [`Act::Delay`].
    pub delayed: u64,
    /// [`Act::Panic`].
    pub panicked: u64,
    /// [`Act::Hang`].
    pub hung: u64,
    /// [`Act::Twice`].
    pub twice: u64,
    /// [`Act::Lose`].
    pub lost: u64,
}

/// Does to operations what the world does, by a script or by chance. Clones are handles to the same one.
///
/// Waits are taken on its clock, so a simulated one makes them free. Each execution takes the next act, whoever asks: where
/// several threads ask, which of them meets which act is up to their order.
///
/// ```
/// use unattended::fault::Fault;
/// use unattended::testing::faults::{Act, Chaos};
///
/// let chaos = Chaos::script([Act::Fail, Act::Lose], |_| Fault::transient("chaos.injected"));
/// let mut sent = 0;
/// let mut send = || chaos.run_blocking(|| { sent += 1; Ok(()) });
/// assert!(send().is_err() && send().is_err() && send().is_ok());
/// assert_eq!((sent, chaos.counts().lost), (2, 1), "the second was sent, and nobody knew");
/// ```
pub struct Chaos<E, K = System> {
    clock: K,
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    error: Box<dyn Fn(&Injected) -> E + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    hang: Duration,
    counts: Counts,
    log: Vec<Injected>,
}

enum Plan {
    Script(VecDeque<Act>),
    Chance(Rng, Rates),
}

impl<E> Chaos<E> {
    /// How many acts the [log](Chaos::log) keeps; later ones are only counted.
    pub const LOG_MAX: usize = 10_000;

    /// The acts in this order, one for each execution; what comes after them passes. `error` makes the errors.
    pub fn script(
        acts: impl IntoIterator<Item = Act>,
        error: impl Fn(&Injected) -> E + Send + Sync + 'static,
    ) -> Self {
        Self::new(Plan::Script(acts.into_iter().collect()), error)
    }

    /// Acts by chance; the same seed gives the same ones. `error` makes the errors.
    ///
    /// # Errors
    ///
    /// The rates add up to more than a thousand.
    pub fn seeded(
        seed: u64,
        rates: Rates,
        error: impl Fn(&Injected) -> E + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        rates.check()?;
        Ok(Self::new(Plan::Chance(Rng::seeded(seed), rates), error))
    }

    fn new(plan: Plan, error: impl Fn(&Injected) -> E + Send + Sync + 'static) -> Self {
        let hang = Duration::from_secs(3600);
        let state = State { plan, hang, counts: Counts::default(), log: Vec::new() };
        Self { clock: System, shared: Arc::new(Shared { error: Box::new(error), state: Mutex::new(state) }) }
    }
}

impl<E, K: Clock> Chaos<E, K> {
    /// The same chaos with its waits on another clock, such as a simulated one.
    pub fn on<L: Clock>(self, clock: L) -> Chaos<E, L> {
        Chaos { clock, shared: self.shared }
    }

    /// The same chaos with another sleep for a thread that [hangs](Act::Hang): one hour unless told otherwise.
    #[must_use]
    pub fn hang(self, limit: Duration) -> Self {
        self.state().hang = limit;
        self
    }

    /// Runs `op`, or not, as the next act says, on this thread.
    ///
    /// # Errors
    ///
    /// Those of `op`, and those of the acts.
    ///
    /// # Panics
    ///
    /// Where the act is [`Act::Panic`].
    pub fn run_blocking<T>(&self, mut op: impl FnMut() -> Result<T, E>) -> Result<T, E>
    where
        K: SleepBlocking,
    {
        let injected = self.next();
        match injected.act {
            Act::Pass => op(),
            Act::Fail => Err(self.error(&injected)),
            Act::Delay(wait) => {
                self.clock.sleep_blocking(wait);
                op()
            }
            Act::Panic => panic_on_purpose(&injected),
            Act::Hang => {
                let hang = self.state().hang;
                self.clock.sleep_blocking(hang);
                Err(self.error(&injected))
            }
            Act::Twice => {
                let _first = op();
                op()
            }
            Act::Lose => {
                op()?;
                Err(self.error(&injected))
            }
        }
    }

    /// Runs `op`, or not, as the next act says. The act is taken when the future is first polled.
    ///
    /// # Errors
    ///
    /// Those of `op`, and those of the acts.
    ///
    /// # Panics
    ///
    /// Where the act is [`Act::Panic`].
    pub async fn run<T, Fut>(&self, mut op: impl FnMut() -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        K: Sleep,
    {
        let injected = self.next();
        match injected.act {
            Act::Pass => op().await,
            Act::Fail => Err(self.error(&injected)),
            Act::Delay(wait) => {
                self.clock.sleep(wait).await;
                op().await
            }
            Act::Panic => panic_on_purpose(&injected),
            Act::Hang => std::future::pending().await,
            Act::Twice => {
                let _first = op().await;
                op().await
            }
            Act::Lose => {
                op().await?;
                Err(self.error(&injected))
            }
        }
    }

    /// How often what was done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// What was done, in its order, without what passed; at most the first [`LOG_MAX`](Chaos::LOG_MAX) acts.
    #[must_use]
    pub fn log(&self) -> Vec<Injected> {
        self.state().log.clone()
    }

    fn next(&self) -> Injected {
        let at = self.clock.now().wall;
        let mut state = self.state();
        let act = state.plan.next();
        let number = state.counts.count(act);
        let injected = Injected { number, act, at };
        if act != Act::Pass && state.log.len() < Chaos::<E>::LOG_MAX {
            state.log.push(injected);
        }
        injected
    }

    fn error(&self, injected: &Injected) -> E {
        (self.shared.error)(injected)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E, K: Clone> Clone for Chaos<E, K> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<E, K> fmt::Debug for Chaos<E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).counts;
        f.debug_struct("Chaos").field("counts", &counts).finish_non_exhaustive()
    }
}

impl Default for Rates {
    fn default() -> Self {
        let delay_max = Duration::from_secs(10);
        Self { fail: 0, delay: 0, panic: 0, hang: 0, twice: 0, lose: 0, delay_max }
    }
}

impl Rates {
    /// Whether they can be meant.
    ///
    /// # Errors
    ///
    /// They add up to more than a thousand.
    pub fn check(&self) -> Result<(), Error> {
        let given = self.acts(Duration::ZERO).iter().map(|(rate, _)| u32::from(*rate)).sum();
        if given > 1000 { Err(Error::Rates { given, limit: 1000 }) } else { Ok(()) }
    }

    const fn acts(&self, delay: Duration) -> [(u16, Act); 6] {
        [
            (self.fail, Act::Fail),
            (self.delay, Act::Delay(delay)),
            (self.panic, Act::Panic),
            (self.hang, Act::Hang),
            (self.twice, Act::Twice),
            (self.lose, Act::Lose),
        ]
    }
}

impl Plan {
    fn next(&mut self) -> Act {
        match self {
            Self::Script(acts) => acts.pop_front().unwrap_or(Act::Pass),
            Self::Chance(rng, rates) => {
                // Both are drawn each time, so that one rate does not move the draws of the others.
                let mut drawn = rng.up_to(999);
                let delay = Duration::from_millis(rng.up_to(millis(rates.delay_max)));
                for (rate, act) in rates.acts(delay) {
                    match drawn.checked_sub(u64::from(rate)) {
                        Some(rest) => drawn = rest,
                        None => return act,
                    }
                }
                Act::Pass
            }
        }
    }
}

impl Counts {
    /// Counts an act, and gives the number of the execution.
    const fn count(&mut self, act: Act) -> u64 {
        let of = match act {
            Act::Pass => &mut self.passed,
            Act::Fail => &mut self.failed,
            Act::Delay(_) => &mut self.delayed,
            Act::Panic => &mut self.panicked,
            Act::Hang => &mut self.hung,
            Act::Twice => &mut self.twice,
            Act::Lose => &mut self.lost,
        };
        *of = of.saturating_add(1);
        self.executions = self.executions.saturating_add(1);
        self.executions
    }
}

#[allow(clippy::panic, reason = "a panic is what was asked for")]
fn panic_on_purpose(injected: &Injected) -> ! {
    panic!("injected into execution {}", injected.number)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::base::fault::Panicked;
    use crate::testing::sim::{Sim, Stuck};

    const MINUTE: Duration = Duration::from_secs(60);

    fn script(acts: &[Act], sim: &Sim) -> Chaos<u64, Sim> {
        Chaos::script(acts.iter().copied(), |injected| injected.number).on(sim.clone())
    }

    fn sim() -> Sim {
        Sim::new(Timestamp::UNIX_EPOCH, 1)
    }

    /// What one execution under `act` gives, how often the operation ran, and how long that took.
    fn blocking(act: Act) -> (Result<&'static str, u64>, u32, Duration) {
        let (sim, ran) = (sim(), Cell::new(0));
        let given = script(&[act], &sim).hang(MINUTE).run_blocking(|| {
            ran.set(ran.get() + 1);
            Ok("done")
        });
        (given, ran.get(), sim.elapsed())
    }

    fn future(act: Act) -> Result<(Result<&'static str, u64>, u32, Duration), Stuck> {
        let (sim, ran) = (sim(), Cell::new(0));
        let chaos = script(&[act], &sim);
        let given = sim.block_on(chaos.run(async || {
            ran.set(ran.get() + 1);
            Ok("done")
        }))?;
        Ok((given, ran.get(), sim.elapsed()))
    }

    #[test]
    fn each_act_does_what_it_says_to_a_thread_and_to_a_future() {
        for (act, expected) in [
            (Act::Pass, (Ok("done"), 1, Duration::ZERO)),
            (Act::Fail, (Err(1), 0, Duration::ZERO)),
            (Act::Delay(MINUTE), (Ok("done"), 1, MINUTE)),
            (Act::Twice, (Ok("done"), 2, Duration::ZERO)),
            (Act::Lose, (Err(1), 1, Duration::ZERO)),
        ] {
            assert_eq!(blocking(act), expected, "{act:?}");
            assert_eq!(future(act), Ok(expected), "{act:?}");
        }
    }

    #[test]
    fn a_hanging_future_never_ends_and_a_hanging_thread_sleeps() {
        assert_eq!(blocking(Act::Hang), (Err(1), 0, MINUTE));
        assert!(matches!(future(Act::Hang), Err(Stuck::Deadlock { .. })));
    }

    #[test]
    fn a_panic_says_which_execution_it_was_put_into() {
        let chaos = script(&[Act::Pass, Act::Panic], &sim());
        let run = || chaos.run_blocking(|| Ok(()));
        assert_eq!(run(), Ok(()));
        let caught = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(Panicked::of(&*caught).message, "injected into execution 2");
        assert_eq!(run(), Ok(()), "it goes on after that");
        assert_eq!(chaos.counts().panicked, 1);
    }

    #[test]
    fn a_failure_of_its_own_is_not_lost() {
        let given = script(&[Act::Lose], &sim()).run_blocking(|| Err::<(), u64>(77));
        assert_eq!(given, Err(77));
    }

    fn story(seed: u64, rates: Rates) -> (Vec<Injected>, Counts) {
        let sim = sim();
        let chaos = Chaos::seeded(seed, rates, |_| ()).unwrap().on(sim.clone());
        for _ in 0..10_000 {
            let _given = chaos.run_blocking(|| Ok(()));
        }
        (chaos.log(), chaos.counts())
    }

    #[test]
    fn the_same_seed_gives_the_same_story_and_the_rates_are_met() {
        let rates = Rates { fail: 100, delay: 50, twice: 20, lose: 30, ..Rates::default() };
        let (log, counts) = story(7, rates);
        assert_eq!((log.clone(), counts), story(7, rates));
        assert_ne!(log, story(8, rates).0);
        assert!((900..1100).contains(&counts.failed), "{counts:?}");
        assert!((430..570).contains(&counts.delayed), "{counts:?}");
        assert!((150..250).contains(&counts.twice) && (240..360).contains(&counts.lost), "{counts:?}");
        assert_eq!((counts.panicked, counts.hung, counts.executions), (0, 0, 10_000));
        assert_eq!(counts.executions - counts.passed, log.len() as u64);
        let longest = log.iter().filter_map(|one| match one.act {
            Act::Delay(wait) => Some(wait),
            _ => None,
        });
        assert!((9500..=10_000).contains(&millis(longest.max().unwrap())));
    }

    #[test]
    fn the_log_is_bounded_and_the_counts_go_on() {
        let chaos = Chaos::seeded(1, Rates { fail: 1000, ..Rates::default() }, |_| ()).unwrap();
        for _ in 0..10_001 {
            assert_eq!(chaos.run_blocking(|| Ok(())), Err(()));
        }
        assert_eq!((chaos.log().len(), chaos.counts().failed), (10_000, 10_001));
    }

    #[test]
    fn rates_beyond_all_are_refused() {
        let rates = Rates { fail: 900, hang: 101, ..Rates::default() };
        let error = Chaos::seeded(1, rates, |_| ()).unwrap_err();
        assert_eq!(error, Error::Rates { given: 1001, limit: 1000 });
    }

    #[test]
    fn its_future_may_be_spawned() {
        fn spawnable(_: impl Future<Output = Result<(), ()>> + Send + 'static) {}
        let chaos = Chaos::script([], |_| ()).on(sim());
        spawnable(async move { chaos.clone().run(async || Ok(())).await });
    }
}
