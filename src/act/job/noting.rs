//! How a job's runs end, for its statistics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::act::env::{Env, Face};
use crate::act::job::{Driver, Job};
use crate::act::monitor::{Beside, Pulse};
use crate::act::notify::{self, Sign};
use crate::act::pipeline::{AtEnd, Edges};
use crate::act::runlog;
use crate::act::statistics::{Ended, STORE_WAIT, Statistics, Subject};
use crate::base::fault::chain;
use crate::base::park::block_on_for;
use crate::base::race::before;
use crate::base::time::{BoxFuture, Moment, Now};
use crate::decide::alert::Decision;
use crate::decide::heartbeat::Beat;
use crate::decide::run::State;
use crate::remember::runs::Body;
use crate::remember::store::Write;

impl Job {
    /// Writes what was noted of how its runs ended, if anything is.
    pub(in crate::act) async fn flush(&self, env: &Arc<dyn Env>) {
        if let Some(statistics) = &self.statistics {
            statistics.finish_in(env).await;
        }
        if let Some(pulse) = &self.pulse {
            pulse.monitor().finish_in(env).await;
        }
    }

    /// Writes the beats, when it is time.
    pub(in crate::act) async fn flush_pulse(&self, env: &Arc<dyn Env>) {
        if let Some(monitor) = self.pulse.as_ref().map(Pulse::monitor)
            && monitor.is_due(env.now())
        {
            // What could not be written stays noted.
            let _mine = monitor.flush_in(env).await;
        }
    }

    pub(super) fn begin_beat(&self, run: &str, now: Now) {
        if let Some(pulse) = &self.pulse {
            pulse.note(now, Beat::Started { run: run.to_owned() });
        }
    }

    /// The points that a run comes by: each of them is progress where somebody listens for it, and between two of them a step is worked
    /// on.
    pub(super) fn pulsing(&self, driver: &Driver, run: &str) -> Option<Edges> {
        // In front of a person nobody asks how far it is but the person.
        let pulse = self.pulse.clone().filter(|_| !driver.is_in_front());
        let (statistics, edges) = (self.statistics.clone(), self.edges.clone());
        if pulse.is_none() && statistics.is_none() {
            return edges;
        }
        let (env, run, subject) = (Arc::clone(driver.env()), run.to_owned(), Subject::job(&self.name));
        let begun: Mutex<Option<(String, Moment)>> = Mutex::default();
        Some(Arc::new(move |point: &str| {
            if let Some(pulse) = &pulse {
                pulse.note(env.now(), Beat::Progress { run: run.clone() });
            }
            if let Some(statistics) = &statistics {
                let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(step) = point.strip_suffix(":begun") {
                    *begun = Some((step.to_owned(), env.now().moment));
                } else if let Some((step, at)) =
                    begun.take_if(|(step, _)| point.strip_suffix(":worked") == Some(step))
                {
                    let now = env.now();
                    statistics.step(&subject, step, now.moment.since(at), now);
                }
            }
            if let Some(edges) = &edges {
                edges(point);
            }
        }))
    }

    /// Notes that it was asked for once more and had been done.
    pub(super) fn note_duplicate(&self, now: Now) {
        if let Some(statistics) = &self.statistics {
            statistics.duplicate(&Subject::job(&self.name), now);
        }
    }

    /// Notes that somebody else took over what was worked on here.
    pub(super) fn note_lost(&self, now: Now) {
        if let Some(statistics) = &self.statistics {
            statistics.lease_lost(&Subject::job(&self.name), now);
        }
    }

    /// Beats for a run that was left in `state`; `None` if it was lost to somebody else, who beats for it then.
    pub(super) fn end_beat(&self, run: &str, state: Option<State>, body: &Body, now: Now) {
        if let Some(pulse) = &self.pulse {
            pulse.note(now, end_of(run, state, body));
        }
    }

    /// Tells a person of a run that was left with one, and of one that ended well where that is news.
    pub(super) async fn tell(&self, driver: &Driver, run: &str, state: State) {
        let Some(alerts) = &self.alerts else { return };
        let env = driver.env();
        let told = async {
            if state == State::Succeeded {
                alerts.healthy(&Subject::job(&self.name), Sign::Success, env.now()).await?;
                return Ok(false);
            }
            let run = driver.runs().must_get(run).await?;
            let decision = alerts.take_in_run(&run, env.now()).await?;
            Ok::<_, notify::Error>(matches!(decision, Some(Decision::Page(_))))
        };
        if state != State::Succeeded && !state.is_dead_letter() {
            return;
        }
        let told = match env.face() {
            Face::Future => before(env.sleep(STORE_WAIT), told).await,
            Face::Thread | Face::SimulatedThread => block_on_for(told, STORE_WAIT),
        };
        match told {
            Some(Ok(true)) if alerts.has_sinks() => {
                let (alerts, now) = (alerts.clone(), env.now());
                let sent = env.block(move || alerts.send_blocking(now)).await;
                if let Ok(Err(error)) = sent {
                    runlog::doubtful(&self.name, "alert.not_sent", &chain(&error));
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => runlog::doubtful(&self.name, "alert.not_raised", &chain(&error)),
            None => {
                let why = format!("the store did not answer within {STORE_WAIT:?}");
                runlog::doubtful(&self.name, "alert.not_raised", &why);
            }
        }
    }

    /// Notes how a run was left; `counted` if what was tried counts as an attempt.
    pub(super) fn note(
        &self,
        statistics: &Statistics,
        state: State,
        counted: bool,
        body: &Body,
        began: Moment,
        now: Now,
    ) {
        let subject = Subject::job(&self.name);
        // The fault that ended it is no second attempt.
        let faults_of_one = usize::from(state != State::Succeeded);
        let retried = body.attempt > 1 || body.faults.len() > faults_of_one;
        let ended = match state {
            State::Succeeded => Ended::ok(now.moment.since(began)).retried(retried).dead_lettered(false),
            State::FailedTransient if counted => Ended::failed(),
            State::FailedPermanent | State::Compensated => {
                Ended::failed().retried(retried).dead_lettered(true)
            }
            State::NeedsReview => Ended::failed().dead_lettered(true),
            // It was put off, and nothing was tried.
            State::Queued | State::FailedTransient if !counted && !body.code.is_empty() => {
                return statistics.refused(&subject, body.code.clone(), now);
            }
            _ => return,
        };
        statistics.note(&subject, ended, now);
    }
}

/// What is beaten for a run that was left in `state`.
fn end_of(run: &str, state: Option<State>, body: &Body) -> Beat {
    let run = run.to_owned();
    let why = || body.faults.last().map_or_else(String::new, |fault| fault.chain.clone());
    match state {
        Some(State::Succeeded) => Beat::Succeeded { run },
        Some(
            State::FailedTransient
            | State::FailedPermanent
            | State::Compensated
            | State::NeedsReview
            | State::Expired,
        ) => Beat::Failed { run, why: why() },
        _ => Beat::PutDown { run },
    }
}

/// The last beat of a run, in the commit that ends it.
pub(super) struct LastBeat {
    pulse: Pulse,
    run: String,
    under_way: Mutex<Option<Beside>>,
    told: AtomicBool,
}

impl LastBeat {
    pub(super) fn new(pulse: Pulse, run: &str) -> Self {
        let (under_way, told) = (Mutex::default(), AtomicBool::new(false));
        Self { pulse, run: run.to_owned(), under_way, told }
    }

    /// Whether it stands.
    pub(super) fn was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}

impl AtEnd for LastBeat {
    fn beside<'a>(&'a self, state: State, body: &'a Body, now: Now) -> BoxFuture<'a, Option<Write>> {
        Box::pin(async move {
            let (write, beside) = self.pulse.beside(now, end_of(&self.run, Some(state), body)).await?;
            *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) = Some(beside);
            Some(write)
        })
    }

    fn settled(&self, stands: bool) {
        let beside = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(beside) = beside {
            beside.settled(stands);
            self.told.store(stands, Ordering::Relaxed);
        }
    }
}
