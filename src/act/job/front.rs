//! One run in front of whoever waits for it: begun with as few writes as can be, and ended by a signal.

use std::sync::Arc;

use serde::Serialize;

use crate::act::env::{Env, Face, OnThread};
use crate::act::job::driver::{Driver, actor};
use crate::act::job::report::{Report, Verdict};
use crate::act::job::{Error, Job, Terms};
use crate::act::pipeline::{Interrupt, Wakeful};
use crate::base::effect::Effect;
use crate::decide::run::State;
use crate::remember::blocking::block_on;
use crate::remember::runs::{NewRun, Run, StepState, Submitted, Taken};
use crate::remember::store::Store;

impl Job {
    /// Works on `input` alone, blocking the thread; `interrupt` ends its run. Nothing of the backlog is worked off, and the first
    /// step is marked as begun in the commit that makes the run, where nothing is asked before it.
    ///
    /// # Errors
    /// As [`run_once_blocking`](Self::run_once_blocking).
    #[allow(dead_code, reason = "asked for by the tool")]
    pub(crate) fn run_in_front<I>(
        &self,
        store: &Arc<dyn Store>,
        input: &I,
        interrupt: &Interrupt,
    ) -> Result<Report, Error>
    where
        I: Serialize + ?Sized,
    {
        let env = in_front(interrupt);
        block_on(async {
            let runs = self.runs(store);
            let terms = Terms::default();
            let new = self.new_run(store, self.admitted(input)?, &terms, env.now().wall)?;
            let mut new = NewRun { take: Some(self.lease), ..new };
            let begun = self.mark_as_begun(&mut new);
            let asked = env.now();
            let done = match runs.submit(new, asked.wall).await? {
                Submitted::Created(run) => {
                    let taken = Taken { run: *run, from: State::Queued, orphan: false };
                    let driver = Driver::new(Arc::clone(&env), runs.clone(), actor(runs.store()));
                    let driver = driver.in_front(interrupt.clone(), begun);
                    let _left = self.drive_by(&driver, &taken, asked.moment).await?;
                    (Some(runs.must_get(taken.run.id()).await?), Verdict::Ran)
                }
                other => self.submitted_before(&env, &runs, other, Some(interrupt)).await?,
            };
            self.flush(&env).await;
            Ok(Report { run: done.0, verdict: done.1, worked_off: Vec::new() })
        })
    }

    /// Works on one run that the caller named, as [`resume_blocking`](Self::resume_blocking) does; `interrupt` ends it.
    ///
    /// # Errors
    /// As there.
    #[allow(dead_code, reason = "asked for by the tool")]
    pub(crate) fn resume_in_front(
        &self,
        store: &Arc<dyn Store>,
        run: &Run,
        interrupt: &Interrupt,
    ) -> Result<Option<Run>, Error> {
        let env = in_front(interrupt);
        block_on(async {
            let runs = self.runs(store);
            let asked = env.now().moment;
            let Some(taken) = runs.claim(run, self.lease, &actor(store)).await? else { return Ok(None) };
            let driver = Driver::new(Arc::clone(&env), runs.clone(), actor(store));
            let driver = driver.in_front(interrupt.clone(), false);
            let _left = self.drive_by(&driver, &taken, asked).await?;
            self.flush(&env).await;
            Ok(Some(runs.must_get(run.id()).await?))
        })
    }

    /// Marks the first step as begun, where nothing is asked before it; says whether it did.
    fn mark_as_begun(&self, new: &mut NewRun) -> bool {
        let asks =
            !self.ready.is_empty() || !self.after.is_empty() || self.only.is_some() || self.intake.is_some();
        let Some(step) = self.steps.first() else { return false };
        let asks = asks || self.during.is_some() || self.serial.is_some();
        let asks = asks || step.during.is_some() || !step.ready.is_empty() || step.guard.is_some();
        if asks || step.effect == Effect::Pure {
            return false;
        }
        if let Some(record) = new.body.steps.first_mut() {
            record.state = StepState::Started;
        }
        true
    }
}

fn in_front(interrupt: &Interrupt) -> Arc<dyn Env> {
    Arc::new(OnThread { clock: Wakeful(interrupt.clone()), face: Face::Thread })
}
