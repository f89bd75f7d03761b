//! A job that acts on a world outside, in a process that dies at a chosen point.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Error, Job, Report};
use unattended::pipeline::{Step, StepError};

use crate::world::{LEASE, World};

/// How often something happened outside, by step and input.
pub(crate) type Counts = BTreeMap<(String, String), u32>;

/// The world outside, and what is to happen next.
#[derive(Default)]
pub(crate) struct Inner {
    /// How often each step's work was called.
    pub(crate) calls: Counts,
    /// How often each effect took place.
    pub(crate) effects: Counts,
    /// How often each guard was asked.
    pub(crate) asked: Counts,
    /// What the next calls of each step do instead of succeeding.
    pub(crate) script: BTreeMap<String, Vec<Act>>,
    /// The point at which the process dies next.
    pub(crate) die_at: Option<String>,
}

/// What one call of a step does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Its effect takes place.
    Work,
    /// Its effect does not take place, and it fails so.
    Refuse(unattended::fault::Fault),
    /// Its effect takes place, and it fails so.
    CutOff(unattended::fault::Fault),
    /// Its effect takes place, and the process dies before it can say so.
    DieAfter,
    /// The process dies before the effect.
    DieBefore,
}

#[derive(Clone, Default)]
pub(crate) struct Site(Arc<Mutex<Inner>>);

/// What a dying process throws.
pub(crate) struct Death;

impl Site {
    pub(crate) fn get(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn die_at(&self, edge: &str) {
        self.get().die_at = Some(edge.to_owned());
    }

    pub(crate) fn next(&self, step: &str, acts: impl IntoIterator<Item = Act>) {
        self.get().script.insert(step.to_owned(), acts.into_iter().collect());
    }

    pub(crate) fn calls(&self, step: &str, input: &str) -> u32 {
        count(&self.get().calls, step, input)
    }

    pub(crate) fn effects(&self, step: &str, input: &str) -> u32 {
        count(&self.get().effects, step, input)
    }

    /// One call of a step's work.
    fn act(&self, step: &str, input: &str, effect: Effect) -> Result<u32, StepError> {
        let mut inner = self.get();
        let at = (step.to_owned(), input.to_owned());
        *inner.calls.entry(at.clone()).or_default() += 1;
        let act = inner.script.get_mut(step).filter(|acts| !acts.is_empty()).map(|acts| acts.remove(0));
        let act = act.unwrap_or(Act::Work);
        let takes_place = matches!(act, Act::Work | Act::CutOff(_) | Act::DieAfter);
        let effects = inner.effects.entry(at).or_default();
        if takes_place && !(effect == Effect::Idempotent && *effects > 0) {
            *effects += 1;
        }
        let effects = *effects;
        drop(inner);
        match act {
            Act::Work => Ok(effects),
            Act::Refuse(fault) | Act::CutOff(fault) => Err(StepError::new(fault, "as the script says")),
            Act::DieAfter | Act::DieBefore => resume_unwind(Box::new(Death)),
        }
    }

    /// A step whose effect is counted.
    pub(crate) fn step(&self, name: &str, effect: Effect) -> Step {
        let (site, step) = (self.clone(), name.to_owned());
        let work = Step::new(name, effect, move |cx| {
            let (site, step) = (site.clone(), step.clone());
            async move { site.act(&step, &cx.input::<String>()?, effect) }
        });
        if effect != Effect::Verifiable {
            return work;
        }
        let (site, step) = (self.clone(), name.to_owned());
        work.guard(move |cx| {
            let (site, step) = (site.clone(), step.clone());
            async move {
                let input: String = cx.input()?;
                *site.get().asked.entry((step.clone(), input.clone())).or_default() += 1;
                let effects = site.effects(&step, &input);
                Ok((effects > 0).then_some(effects))
            }
        })
    }

    /// A job of these steps, keyed by its input, that dies where the site says.
    pub(crate) fn job(&self, name: &str, steps: &[(&str, Effect)]) -> Job {
        let site = self.clone();
        let mut job = Job::new(name).lease(LEASE).key(|input: &String| Key::new("site", "thing", input));
        for (step, effect) in steps {
            job = job.step(self.step(step, *effect));
        }
        job.edges(move |edge| {
            let dies = site.get().die_at.take_if(|at| at == edge).is_some();
            if dies {
                resume_unwind(Box::new(Death));
            }
        })
        .build()
        .unwrap()
    }
}

fn count(counts: &Counts, step: &str, input: &str) -> u32 {
    counts.get(&(step.to_owned(), input.to_owned())).copied().unwrap_or(0)
}

/// One process: it may die, and then nothing of it is left but what it wrote.
pub(crate) fn process(
    world: &World,
    store: &Arc<dyn unattended::store::Store>,
    job: &Job,
    input: &str,
) -> Option<Result<Report, Error>> {
    let done = catch_unwind(AssertUnwindSafe(|| {
        world.sim.block_on(job.run_once_on(world.sim.clone(), store, input)).unwrap()
    }));
    match done {
        Ok(report) => Some(report),
        Err(death) if death.is::<Death>() => None,
        Err(other) => resume_unwind(other),
    }
}

/// One process on the world's own handle, whose leases end by time.
pub(crate) fn deliver(world: &World, job: &Job, input: &str) -> Option<Report> {
    process(world, &world.store, job, input).map(|report| report.unwrap())
}
