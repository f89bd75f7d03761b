//! Whether a job repeats nothing: killed at each of its edges and started again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::act::job::{Job, Report};
use crate::base::time::{Clock, Timestamp, between};
use crate::decide::run::State;
use crate::operate::doctor::Proof;
use crate::remember::memory::Memory;
use crate::remember::store::Store;
use crate::testing::sim::Sim;

/// How often a job is started again until its run has ended.
const STARTS_MAX: u32 = 100;
/// A simulated day begins here.
const START: Timestamp = Timestamp::UNIX_EPOCH;

/// The world that a job acts on in a test: effects by name, counted. Cheap to clone; all clones count together.
///
/// A name says what the effect is about, such as `charge ada`, so that two different effects are not one that happened
/// twice.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    counts: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Effects {
    /// The effect happens.
    pub fn happen(&self, name: impl Into<String>) {
        *self.counts().entry(name.into()).or_default() += 1;
    }

    /// The effect happens if it has not: what the other side of an idempotent step does with its key.
    pub fn happen_once(&self, name: impl Into<String>) {
        self.counts().entry(name.into()).or_insert(1);
    }

    /// Whether it has happened: what a guard asks.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.counts().contains_key(name)
    }

    /// How often it has happened.
    #[must_use]
    pub fn count(&self, name: &str) -> u32 {
        self.counts().get(name).copied().unwrap_or(0)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asserts that a job does each effect once, whatever happens to its process.
///
/// `job` makes the job for a world that is new each time. First it is run twice with `input`, undisturbed. Then, for
/// each of its [edges](Job::edge_names), its process is killed there, the time of a lease passes, and it is started again
/// until its run has ended. Each time every effect must have happened once, and the run must have succeeded. The clock is
/// simulated, so this takes no time.
///
/// What it gives is handed to the [doctor](crate::operate::doctor::Declared::proof).
///
/// ```
/// use unattended::canonical::Key;
/// use unattended::effect::Effect;
/// use unattended::job::Job;
/// use unattended::pipeline::Step;
/// use unattended::testing::assert_idempotent;
///
/// let proof = assert_idempotent(
///     |world| {
///         let (mails, asked) = (world.clone(), world.clone());
///         Job::new("welcome")
///             .key(|name: &String| Key::new("shop", "welcome", name))
///             .step(Step::blocking("mail", Effect::Verifiable, move |cx| {
///                 mails.happen(format!("mail {}", cx.input::<String>()?));
///                 Ok(())
///             })
///             .guard_blocking(move |cx| Ok(asked.has(&format!("mail {}", cx.input::<String>()?)).then_some(()))))
///             .build()
///             .unwrap()
///     },
///     "ada",
/// );
/// assert_eq!((proof.job.as_str(), proof.edges), ("welcome", 8));
/// ```
///
/// # Panics
/// When an effect happened twice, got lost, or a person would have to say whether it happened; with the edge, the step and
/// what to do.
#[track_caller]
pub fn assert_idempotent<I>(job: impl Fn(&Effects) -> Job, input: &I) -> Proof
where
    I: Serialize + Sync + ?Sized,
{
    let undisturbed = Effects::default();
    let plain = job(&undisturbed);
    let (report, _) = through(&plain, input, None);
    check(&plain, &report, &undisturbed, &undisturbed, "run twice without a crash");
    let mut edges = 0;
    for edge in plain.edge_names() {
        let world = Effects::default();
        let (report, died) = through(&job(&world), input, Some(&edge));
        check(&plain, &report, &world, &undisturbed, &format!("killed at {edge} and started again"));
        edges += u32::from(died);
    }
    Proof::of(&plain, edges)
}

/// A process that is killed.
struct Death;

/// Runs the job until its run has ended, killed once at that edge, and once more after that. Whether it was killed.
#[track_caller]
fn through<I: Serialize + Sync + ?Sized>(job: &Job, input: &I, edge: Option<&str>) -> (Report, bool) {
    let died = Arc::new(AtomicBool::new(false));
    let (dies_at, dead) = (edge.map(str::to_owned), Arc::clone(&died));
    let job = job.on_edges(move |name| {
        if dies_at.as_deref() == Some(name) && !dead.swap(true, Ordering::SeqCst) {
            // Not a panic of the test: nothing is printed.
            resume_unwind(Box::new(Death));
        }
    });
    let sim = Sim::new(START + Duration::from_secs(1_700_000_000), 7);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let mut ended = 0;
    let mut last = None;
    for _ in 0..STARTS_MAX {
        if let Some(report) = process(&sim, &store, &job, input) {
            let over = report.run.as_ref().is_none_or(|run| {
                run.state().is_terminal()
                    || matches!(run.state(), State::NeedsReview | State::WaitingExternal)
            });
            let due = report.run.as_ref().and_then(|run| run.record.due_at);
            last = Some(report);
            ended += u32::from(over);
            // Once more, as a second delivery does.
            if ended == 2 {
                break;
            }
            sim.advance(due.map_or(Duration::ZERO, |due| between(sim.now().wall, due)));
        }
        sim.advance(job.outline().lease + Duration::from_secs(1));
    }
    match last {
        Some(report) if ended == 2 => (report, died.load(Ordering::SeqCst)),
        _ => fail(&job, edge.unwrap_or("no edge"), "its run has not ended after 100 starts"),
    }
}

/// One process; none if it was killed.
fn process<I>(sim: &Sim, store: &Arc<dyn Store>, job: &Job, input: &I) -> Option<Report>
where
    I: Serialize + Sync + ?Sized,
{
    let run = || sim.block_on(job.run_once_on(sim.clone(), store, input));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(Ok(report))) => Some(report),
        Ok(Ok(Err(error))) => fail(job, "the start", &error.to_string()),
        Ok(Err(stuck)) => fail(job, "the start", &stuck.to_string()),
        Err(death) if death.is::<Death>() => None,
        Err(other) => resume_unwind(other),
    }
}

/// The run succeeded, and every effect of an undisturbed run happened once.
#[track_caller]
fn check(job: &Job, report: &Report, world: &Effects, undisturbed: &Effects, what: &str) {
    let expected: Vec<String> = undisturbed.counts().keys().cloned().collect();
    let counts = world.counts().clone();
    for (effect, count) in &counts {
        if *count > 1 {
            let todo = "let the other side know the key, or ask in a guard whether it was done";
            fail(job, what, &format!("{effect:?} happened {count} times; {todo}"));
        }
    }
    if let Some(run) = &report.run
        && run.state() != State::Succeeded
    {
        let (state, why) = (run.state(), &run.body.why);
        fail(job, what, &format!("its run is {state}: {why}"));
    }
    if let Some(lost) = expected.iter().find(|effect| !counts.contains_key(*effect)) {
        fail(job, what, &format!("{lost:?} never happened"));
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "an assertion of a test")]
fn fail(job: &Job, what: &str, why: &str) -> ! {
    panic!("job {} is not idempotent: {what}: {why}", job.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::pipeline::Step;
    use crate::base::canonical::Key;
    use crate::base::effect::Effect;

    fn job(
        effect: Effect,
        step: impl Fn(&Effects, &str) + Send + Sync + 'static,
    ) -> impl Fn(&Effects) -> Job {
        let step = Arc::new(step);
        move |world| {
            let (world, asked, step) = (world.clone(), world.clone(), Arc::clone(&step));
            let pay = Step::blocking("pay", effect, move |cx| {
                step(&world, &cx.input::<String>()?);
                Ok(())
            });
            let pay = match effect {
                Effect::Verifiable => pay.guard_blocking(move |_| Ok(asked.has("pay ada").then_some(()))),
                _ => pay,
            };
            Job::new("pay")
                .key(|name: &String| Key::new("books", "pay", name))
                .step(Step::blocking("look", Effect::Pure, |_| Ok(())))
                .step(pay)
                .build()
                .unwrap()
        }
    }

    fn said(assert: impl FnOnce() -> Proof) -> String {
        let panicked = catch_unwind(AssertUnwindSafe(assert)).expect_err("it was let through");
        panicked.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn a_job_whose_other_side_knows_the_key_repeats_nothing() {
        let proof = assert_idempotent(
            job(Effect::Idempotent, |world, name| world.happen_once(format!("pay {name}"))),
            "ada",
        );
        assert_eq!(proof.steps, ["look pure", "pay idempotent"]);
        assert_eq!(proof.edges, 10);
        let guarded = assert_idempotent(
            job(Effect::Verifiable, |world, name| world.happen(format!("pay {name}"))),
            "ada",
        );
        assert_eq!(guarded.edges, 11);
    }

    #[test]
    fn what_is_called_idempotent_and_is_not_is_found() {
        let naive = job(Effect::Idempotent, |world, name| world.happen(format!("pay {name}")));
        let said = said(|| assert_idempotent(naive, "ada"));
        assert!(
            said.contains("killed at pay:worked") && said.contains("\"pay ada\" happened 2 times"),
            "{said}"
        );
    }

    #[test]
    fn a_step_of_which_a_person_would_be_asked_is_found() {
        let naive = job(Effect::Unsafe, |world, name| world.happen(format!("pay {name}")));
        let said = said(|| assert_idempotent(naive, "ada"));
        assert!(said.contains("needs_review"), "{said}");
    }
}
