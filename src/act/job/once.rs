//! One call: first what is due, deferred or orphaned of this job, then the input, then leave.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::act::env::{Env, Face, OnThread};
use crate::act::job::driver::{Driver, Left, actor, host};
use crate::act::job::noting::LastBeat;
use crate::act::job::{Error, Job, Report, Terms, Verdict};
use crate::act::pipeline::{AtEnd, Course, Holding, Hooks, Interrupt, drive};
use crate::base::time::{Moment, SleepBlocking, System, Timestamp, later};
use crate::decide::claim::{Decision, Settled};
use crate::decide::run::State;
use crate::remember::blocking::block_on;
use crate::remember::runs::{self, NewRun, Run, Runs, Submitted, Taken, Wanted};
use crate::remember::store::{Order, Store};

impl Job {
    /// Works off what is due, deferred or orphaned of this job, then works on `input`, blocking the thread.
    ///
    /// # Errors
    /// [`Error::Input`] for an input that the job does not take; what the store said when it could not be used. A step
    /// that fails is no error: the report's run says so.
    pub fn run_once_blocking<I>(&self, store: &Arc<dyn Store>, input: &I) -> Result<Report, Error>
    where
        I: Serialize + ?Sized,
    {
        block_on(self.once(Self::on_thread(System, Face::Thread), store, input))
    }

    /// Works off what is due, deferred or orphaned of this job, blocking the thread; oldest first, at most
    /// [`backlog_max`](crate::act::job::Builder::backlog_max) runs.
    ///
    /// # Errors
    /// What the store said when it could not be used.
    pub fn work_off_blocking(&self, store: &Arc<dyn Store>) -> Result<Vec<Run>, Error> {
        block_on(self.work_off_in(&Self::on_thread(System, Face::Thread), &self.runs(store)))
    }

    /// Works on one run that the caller named, blocking the thread: an operator's replay. `None` if somebody holds it
    /// or it is in a state that no worker takes.
    ///
    /// # Errors
    /// What the store said when it could not be used.
    pub fn resume_blocking(&self, store: &Arc<dyn Store>, run: &Run) -> Result<Option<Run>, Error> {
        let runs = self.runs(store);
        let env = Self::on_thread(System, Face::Thread);
        block_on(async {
            let asked = env.now().moment;
            let Some(taken) = runs.claim(run, self.lease, &actor(store)).await? else { return Ok(None) };
            let run = self.drive(&env, &runs, &taken, asked).await?;
            self.flush(&env).await;
            Ok(Some(run))
        })
    }

    /// The same as [`run_once_blocking`](Self::run_once_blocking) on another clock: for tests under simulated time.
    ///
    /// # Errors
    /// As there.
    pub fn run_once_blocking_on<I, C>(
        &self,
        clock: C,
        store: &Arc<dyn Store>,
        input: &I,
    ) -> Result<Report, Error>
    where
        I: Serialize + ?Sized,
        C: SleepBlocking,
    {
        block_on(self.once(Self::on_thread(clock, Face::SimulatedThread), store, input))
    }

    /// The same as [`work_off_blocking`](Self::work_off_blocking) on another clock.
    ///
    /// # Errors
    /// As there.
    pub fn work_off_blocking_on<C>(&self, clock: C, store: &Arc<dyn Store>) -> Result<Vec<Run>, Error>
    where
        C: SleepBlocking,
    {
        block_on(self.work_off_in(&Self::on_thread(clock, Face::SimulatedThread), &self.runs(store)))
    }

    /// Works off what is due, deferred or orphaned of this job, then works on `input`. Steps that block are moved to
    /// threads where that does no harm.
    ///
    /// # Errors
    /// As [`run_once_blocking`](Self::run_once_blocking).
    #[cfg(feature = "tokio")]
    pub async fn run_once<I>(&self, store: &Arc<dyn Store>, input: &I) -> Result<Report, Error>
    where
        I: Serialize + Sync + ?Sized,
    {
        self.run_once_on(System, store, input).await
    }

    /// The same on another clock: for tests under simulated time.
    ///
    /// # Errors
    /// As there.
    pub async fn run_once_on<I, C>(
        &self,
        clock: C,
        store: &Arc<dyn Store>,
        input: &I,
    ) -> Result<Report, Error>
    where
        I: Serialize + Sync + ?Sized,
        C: crate::base::time::Sleep,
    {
        self.once(Arc::new(crate::act::env::OnTimer(clock)), store, input).await
    }

    /// As [`work_off_blocking`](Self::work_off_blocking). Steps that block are moved to threads where that does no harm.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "tokio")]
    pub async fn work_off(&self, store: &Arc<dyn Store>) -> Result<Vec<Run>, Error> {
        self.work_off_on(System, store).await
    }

    /// The same on another clock: for tests under simulated time.
    ///
    /// # Errors
    /// As there.
    pub async fn work_off_on<C>(&self, clock: C, store: &Arc<dyn Store>) -> Result<Vec<Run>, Error>
    where
        C: crate::base::time::Sleep,
    {
        let env: Arc<dyn Env> = Arc::new(crate::act::env::OnTimer(clock));
        self.work_off_in(&env, &self.runs(store)).await
    }

    fn on_thread<C: SleepBlocking>(clock: C, face: Face) -> Arc<dyn Env> {
        Arc::new(OnThread { clock, face })
    }

    async fn once<I: Serialize + ?Sized>(
        &self,
        env: Arc<dyn Env>,
        store: &Arc<dyn Store>,
        input: &I,
    ) -> Result<Report, Error> {
        let runs = self.runs(store);
        let now = env.now().wall;
        let new = NewRun {
            take: Some(self.lease),
            ..self.new_run(store, self.admitted(input)?, &Terms::default(), now)?
        };
        self.keep_config(store).await?;
        let worked_off = self.work_off_in(&env, &runs).await?;
        let done = self.once_more(&env, &runs, new).await;
        if let Ok((_, Verdict::Duplicate(_))) = &done {
            self.note_duplicate(env.now());
        }
        self.flush(&env).await;
        let (run, verdict) = done?;
        Ok(Report { run, verdict, worked_off })
    }

    async fn once_more(
        &self,
        env: &Arc<dyn Env>,
        runs: &Runs,
        new: NewRun,
    ) -> Result<(Option<Run>, Verdict), Error> {
        self.edge("submit:before");
        let asked = env.now();
        let submitted = runs.submit(new, asked.wall).await?;
        self.edge("submit:after");
        let (run, verdict) = match submitted {
            Submitted::Created(run) => {
                let id = run.id().to_owned();
                match runs.in_its_turn(*run, &actor(runs.store())).await? {
                    Some(run) => {
                        let taken = Taken { run, from: State::Queued, orphan: false };
                        (Some(self.drive(env, runs, &taken, asked.moment).await?), Verdict::Ran)
                    }
                    None => {
                        let run = runs.must_get(&id).await?;
                        let until = run.record.due_at.unwrap_or(asked.wall);
                        (Some(run), Verdict::Deferred { until })
                    }
                }
            }
            before => self.submitted_before(env, runs, before, None).await?,
        };
        Ok((run, verdict))
    }

    /// What a delivery finds that is not the first.
    pub(super) async fn submitted_before(
        &self,
        env: &Arc<dyn Env>,
        runs: &Runs,
        submitted: Submitted,
        interrupt: Option<&Interrupt>,
    ) -> Result<(Option<Run>, Verdict), Error> {
        Ok(match submitted {
            Submitted::Created(run) => (Some(*run), Verdict::Ran),
            Submitted::Existing(run, decision) => {
                let (run, verdict) = self.existing(env, runs, *run, decision, interrupt).await?;
                (Some(run), verdict)
            }
            Submitted::Settled { settled, .. } => (None, Verdict::Duplicate(settled)),
            Submitted::Conflict { key, stored, given, run } => {
                let run = match run {
                    Some(id) => runs.get(&id).await?,
                    None => None,
                };
                (run, Verdict::Conflict { key, stored, given })
            }
        })
    }

    /// What a second delivery does: goes on with a run that nobody works on, else says where it stands.
    async fn existing(
        &self,
        env: &Arc<dyn Env>,
        runs: &Runs,
        run: Run,
        decision: Decision,
        interrupt: Option<&Interrupt>,
    ) -> Result<(Run, Verdict), Error> {
        if run.record.leased() {
            let until = run.record.lease.map_or(Timestamp::UNIX_EPOCH, |lease| lease.until);
            return Ok((run, Verdict::Busy { until }));
        }
        if run.record.paused || run.state() == State::NeedsReview {
            return Ok((run, Verdict::WithAPerson));
        }
        if let (State::WaitingExternal, Some(wait)) = (run.state(), &run.body.wait) {
            let verdict = Verdict::Waiting { on: wait.token.clone(), until: wait.deadline };
            return Ok((run, verdict));
        }
        if let Some(until) =
            run.record.due_at.filter(|due| !run.state().is_terminal() && *due > env.now().wall)
        {
            return Ok((run, Verdict::Deferred { until }));
        }
        if run.state().is_terminal() {
            let settled = match decision {
                Decision::Duplicate(settled) => settled,
                _ if run.state() == State::Succeeded => Settled::Succeeded,
                _ => Settled::Failed,
            };
            return Ok((run, Verdict::Duplicate(settled)));
        }
        let asked = env.now().moment;
        match runs.claim(&run, self.lease, &actor(runs.store())).await? {
            Some(taken) => {
                let driver = Driver::new(Arc::clone(env), runs.clone(), actor(runs.store()));
                let driver = match interrupt {
                    Some(interrupt) => driver.in_front(interrupt.clone(), false),
                    None => driver,
                };
                let _left = self.drive_by(&driver, &taken, asked).await?;
                // Where somebody else has it now, how it stands is the answer.
                Ok((runs.must_get(taken.run.id()).await?, Verdict::Ran))
            }
            None => {
                let run = runs.must_get(run.id()).await?;
                let verdict = match (run.state(), run.record.lease) {
                    (State::NeedsReview, _) => Verdict::WithAPerson,
                    (_, Some(lease)) => Verdict::Busy { until: lease.until },
                    (_, None) => {
                        Verdict::Deferred { until: run.record.due_at.unwrap_or_else(|| env.now().wall) }
                    }
                };
                Ok((run, verdict))
            }
        }
    }

    pub(in crate::act) async fn work_off_in(
        &self,
        env: &Arc<dyn Env>,
        runs: &Runs,
    ) -> Result<Vec<Run>, Error> {
        let start = env.now().moment;
        let mut done = Vec::new();
        while done.len() < usize::try_from(self.backlog_max).unwrap_or(usize::MAX) {
            let asked = env.now().moment;
            if self.time_max.is_some_and(|limit| asked.since(start) > limit / 2) {
                break;
            }
            if done.is_empty() {
                runs.sweep(&self.kinds(), &actor(runs.store())).await?;
            }
            runs.rank_anew(&self.kinds(), 1, env.now().wall, &actor(runs.store())).await?;
            // One at a time: a run that waits in this process while another is worked on could not be taken by others.
            let actor = actor(runs.store());
            let wanted = Wanted {
                kinds: self.kinds(),
                limit: 1,
                lease: self.lease,
                order: Order::Rank,
                actor: &actor,
            };
            let taken = runs.claim_of(&wanted).await?;
            let Some(taken) = taken.into_iter().next() else { break };
            done.push(self.drive(env, runs, &taken, asked).await?);
        }
        self.flush(env).await;
        Ok(done)
    }

    /// Takes a run, held by a lease that was asked for at `asked`, through its steps, and gives it as it stands then.
    async fn drive(
        &self,
        env: &Arc<dyn Env>,
        runs: &Runs,
        taken: &Taken,
        asked: Moment,
    ) -> Result<Run, Error> {
        let driver = Driver::new(Arc::clone(env), runs.clone(), actor(runs.store()));
        let _left = self.drive_by(&driver, taken, asked).await?;
        // Where somebody else has it now, how it stands is the answer.
        Ok(runs.must_get(taken.run.id()).await?)
    }

    /// The same without a look at how it stands then: says only in which state it was left.
    pub(in crate::act) async fn drive_by(
        &self,
        driver: &Driver,
        taken: &Taken,
        asked: Moment,
    ) -> Result<Left, runs::Error> {
        // By the store's clock when it was taken, and the time since: it may have waited here for a slot.
        let now = later(taken.run.record.updated_at, driver.env.now().moment.since(asked));
        if let Some(reason) = taken.run.expiring(now) {
            let held = (taken.run.id(), taken.run.record.fence);
            let ended =
                driver.runs.expire_held(held, taken.run.body.clone(), reason, now, &driver.actor).await;
            return match ended {
                Ok(()) => Ok(Left { state: Some(State::Expired) }),
                Err(runs::Error::Lost { .. }) => Ok(Left { state: None }),
                Err(error) => Err(error),
            };
        }
        let course = Course {
            steps: &self.steps,
            retry: &self.retry,
            attempts_max: self.attempts_max,
            host: host(),
            code_version: self.version.as_deref(),
            after: &self.after,
            intake: self.intake.as_ref(),
            during: self.during.as_ref(),
            ready: &self.ready,
            only: self.only.as_ref(),
            begun: driver.begun,
        };
        let last_beat = self.pulse.clone().filter(|_| driver.is_in_front());
        let last_beat = last_beat.map(|pulse| Arc::new(LastBeat::new(pulse, taken.run.id())));
        let holding = Holding::new(
            driver.runs.clone(),
            Arc::clone(&driver.env),
            taken,
            asked,
            self.lease,
            &driver.actor,
            Hooks {
                edges: self.pulsing(driver, taken.run.id()),
                brake: driver.brake.clone(),
                interrupt: driver.interrupt.clone(),
                at_end: last_beat.clone().map(|last| -> Arc<dyn AtEnd> { last }),
            },
        );
        let began = driver.env.now();
        self.begin_beat(taken.run.id(), began);
        if let Some(pulse) = self.pulse.as_ref().filter(|_| driver.brake.is_none() && !driver.is_in_front()) {
            // A worker writes now and then; here nobody would before the end, and a run that hangs has none.
            let _mine = pulse.monitor().flush_in(&driver.env).await;
        }
        match drive(&course, &holding).await {
            Ok(()) => {
                let state = holding.left_in();
                // Whoever has it now may have begun it before this is known here.
                let at = if state.is_some() { driver.env.now() } else { began };
                if !last_beat.is_some_and(|last| last.was_told()) {
                    self.end_beat(taken.run.id(), state, &holding.body(), at);
                }
                self.flush_pulse(&driver.env).await;
                if state.is_none() {
                    self.note_lost(driver.env.now());
                }
                if let (Some(statistics), Some(state)) = (&self.statistics, state) {
                    let counted = holding.body().attempt > taken.run.body.attempt;
                    self.note(statistics, state, counted, &holding.body(), began.moment, driver.env.now());
                    if statistics.is_due(driver.env.now()) {
                        let _mine = statistics.flush_in(&driver.env).await;
                    }
                }
                if let Some(state) = state {
                    self.tell(driver, taken.run.id(), state).await;
                }
                Ok(Left { state })
            }
            Err(error) => {
                // It is not worked on here any more, and maybe nowhere: it was cancelled, or its store fails.
                self.end_beat(taken.run.id(), None, &holding.body(), began);
                self.flush_pulse(&driver.env).await;
                match error {
                    runs::Error::Lost { .. } => {
                        self.note_lost(driver.env.now());
                        Ok(Left { state: None })
                    }
                    error => Err(error),
                }
            }
        }
    }

    /// How long its leases are.
    pub(in crate::act) const fn lease(&self) -> Duration {
        self.lease
    }

    /// After how many deaths in a row a run of it is poison.
    pub(in crate::act) const fn deaths_max(&self) -> u32 {
        self.crashes_max
    }

    pub(super) fn runs(&self, store: &Arc<dyn Store>) -> Runs {
        Runs::new(Arc::clone(store)).crashes_max(self.crashes_max)
    }

    fn edge(&self, name: &str) {
        if let Some(edges) = &self.edges {
            edges(name);
        }
    }
}
