//! What a refusal makes of a run: it is put down, or waits for a person, and has not failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::breaker::{self, Breaker};
use unattended::call::Call;
use unattended::canonical::Key;
use unattended::credential::{self, Credential, Token};
use unattended::effect::Effect;
use unattended::fault::{Class, Fault, Reached};
use unattended::job::{Builder, Job, Verdict};
use unattended::memory::Memory;
use unattended::operator::{Operator, RELEASE_RATE};
use unattended::pipeline::{Step, StepError};
use unattended::retry;
use unattended::run::State;
use unattended::runs::{Filter, Run, Runs};
use unattended::store::{Error, Ns, Record, Store};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Timestamp};

use super::{HOUR, MINUTE, Provider};
use crate::forward::forward;

struct World {
    sim: Sim,
    store: Arc<dyn Store>,
}

impl World {
    fn new() -> Self {
        let sim = super::sim();
        let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
        Self { sim, store }
    }

    fn run(&self, job: &Job, input: &str) -> unattended::job::Report {
        job.run_once_blocking_on(self.sim.clone(), &self.store, input).unwrap()
    }

    fn history(&self, run: &Run) -> Vec<String> {
        let events = block_on(Runs::new(Arc::clone(&self.store)).history(run.id(), 0, 100)).unwrap();
        events.into_iter().map(|event| event.event.code.into_owned()).collect()
    }

    fn operator(&self) -> Operator {
        Operator::new(Arc::clone(&self.store), "ada").unwrap()
    }

    /// A blocking credential whose provider is asked by threads.
    fn credential(&self, provider: &Arc<Provider>) -> Arc<Credential<String>> {
        let (provider, sim) = (Arc::clone(provider), self.sim.clone());
        let credential = Credential::named("youtube")
            .refresh_blocking(move |old: Option<Token<String>>| {
                provider.calls.fetch_add(1, SeqCst);
                let answer = provider.answers.lock().unwrap().pop_front();
                provider.answer(answer.flatten(), old, sim.now().wall)
            })
            .on(self.sim.clone())
            .store(&self.store)
            .build()
            .unwrap();
        Arc::new(credential)
    }
}

fn keyed(name: &str) -> Builder {
    Job::new(name).key(|input: &String| Key::new("test", "thing", input)).lease(Duration::from_secs(30))
}

/// A step that needs the credential.
fn upload(credential: &Arc<Credential<String>>, done: &Arc<AtomicU32>) -> Step {
    let (credential, done) = (Arc::clone(credential), Arc::clone(done));
    Step::blocking("upload", Effect::Unsafe, move |_| {
        let given = credential.get_blocking()?;
        done.fetch_add(1, SeqCst);
        Ok(given.expose().clone())
    })
}

#[test]
fn a_refusal_of_a_breaker_puts_the_run_down_until_then_and_uses_no_attempt_up() {
    let world = World::new();
    let breaker = Arc::new(Breaker::seeded("yt", breaker::Policy::cron(), 1, world.sim.now()).unwrap());
    let (held, sim, calls) = (Arc::clone(&breaker), world.sim.clone(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&calls);
    let step = Step::blocking("upload", Effect::Unsafe, move |_| {
        let guarded = held.on(&sim).call_blocking(|| {
            count.fetch_add(1, SeqCst);
            Ok::<_, std::io::Error>("done")
        });
        Ok(guarded?)
    });
    let job = keyed("guarded").step(step).attempts_max(1).build().unwrap();
    breaker.force(Some(breaker::Mode::ForcedOpen));
    let until = world.sim.now().wall + 5 * MINUTE;
    for _ in 0..10 {
        let run = world.run(&job, "a").run.unwrap();
        assert_eq!((run.state(), run.body.attempt, run.body.faults.len()), (State::FailedTransient, 0, 0));
        assert_eq!(
            (run.body.code.as_str(), run.record.due_at.map(|due| due >= until)),
            ("breaker.forced_open", Some(true))
        );
        assert!(!run.is_dead_letter());
        world.sim.advance(6 * MINUTE);
    }
    assert_eq!(calls.load(SeqCst), 0);
    breaker.force(None);
    let report = world.run(&job, "a");
    assert_eq!((report.worked_off[0].state(), report.worked_off[0].body.attempt), (State::Succeeded, 1));
}

#[test]
fn a_refusal_and_a_deferral_of_a_call_are_no_failures_either() {
    let world = World::new();
    let deferred = Step::blocking("deferred", Effect::Idempotent, |_| {
        let policy = retry::Policy::cron();
        let asked = |_: &std::io::Error| Fault::rate_limited(Some(HOUR));
        policy.classify(asked).run_blocking(|_| Err::<(), _>(std::io::Error::other("quota")))?;
        Ok(())
    });
    let job = keyed("deferred").step(deferred).attempts_max(1).build().unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!(
        (run.state(), run.body.code.as_str()),
        (State::FailedTransient, "retry.server_out_of_time"),
        "{}",
        run.body.why
    );

    let call = Call::to("yt").effect(Effect::Idempotent).build().unwrap();
    call.breaker().force(Some(breaker::Mode::ForcedOpen));
    let call = Arc::new(call);
    let refused = Step::blocking("refused", Effect::Idempotent, move |_| {
        Ok(call.run_blocking(|_| Ok::<_, std::io::Error>("done"))?)
    });
    let job = keyed("refused").step(refused).attempts_max(1).build().unwrap();
    let run = world.run(&job, "b").run.unwrap();
    assert_eq!(
        (run.state(), run.body.code.as_str()),
        (State::FailedTransient, "breaker.forced_open"),
        "{}",
        run.body.why
    );
    assert_eq!(run.body.attempt, 0);
}

#[test]
fn a_call_whose_credential_needs_a_person_parks_the_run_as_the_credential_itself_does() {
    let world = World::new();
    let provider = Provider::new(&world.sim, HOUR);
    provider.then(&[Some(Class::Unauthorized)]);
    let credential = world.credential(&provider);
    let asked = credential.get_blocking().unwrap_err();
    assert!(asked.to_string().contains("youtube"), "{asked}");
    let call = Call::to("yt").credential(credential).effect(Effect::Idempotent).build().unwrap();
    let step = Step::blocking("upload", Effect::Idempotent, move |_| {
        Ok(call.run_blocking(|_| Ok::<_, std::io::Error>("done"))?)
    });
    let run = world.run(&keyed("called").step(step).build().unwrap(), "a").run.unwrap();
    assert_eq!((run.state(), run.body.attempt), (State::WaitingExternal, 0), "{}", run.body.why);
    assert_eq!(run.body.wait.as_ref().unwrap().token, "credential:youtube");
    let now = world.sim.now().wall;
    let released = block_on(world.operator().credential_ok("youtube", now, RELEASE_RATE)).unwrap();
    assert_eq!(released.outcomes.len(), 1);
}

#[test]
fn an_unsafe_step_that_was_put_off_after_it_may_have_arrived_asks_a_person() {
    let world = World::new();
    let step = Step::blocking("pay", Effect::Unsafe, |_| {
        let fault = |_: &std::io::Error| Fault::rate_limited(Some(HOUR)).reached(Reached::Maybe);
        let policy = retry::Policy::cron();
        policy.classify(fault).run_blocking(|_| Err::<(), _>(std::io::Error::other("cut")))?;
        Ok(())
    });
    let run = world.run(&keyed("pays").step(step).build().unwrap(), "a").run.unwrap();
    assert_eq!(run.state(), State::NeedsReview);
    assert!(run.body.question.unwrap().text.contains("was it done?"));
}

#[test]
fn a_revoked_credential_parks_runs_and_a_persons_word_releases_them_one_by_one() {
    let world = World::new();
    let provider = Provider::new(&world.sim, HOUR);
    provider.then(&[Some(Class::Unauthorized)]);
    let (credential, done) = (world.credential(&provider), Arc::new(AtomicU32::new(0)));
    let job = keyed("upload").step(upload(&credential, &done)).build().unwrap();
    let inputs = ["a", "b", "c", "d", "e"];
    for input in inputs {
        let report = world.run(&job, input);
        let run = report.run.as_ref().unwrap();
        assert_eq!(
            (report.verdict.clone(), run.state(), report.exit_code()),
            (Verdict::Ran, State::WaitingExternal, 75)
        );
        assert_eq!(run.body.wait.as_ref().unwrap().token, "credential:youtube");
        assert!(run.body.why.starts_with("waits for credential youtube: "), "{}", run.body.why);
        assert_eq!((run.body.attempt, run.record.due_at, run.is_dead_letter()), (0, None, false));
    }
    // Neither called nor dead-lettered, however long it takes; a second delivery makes no second run.
    for input in inputs {
        world.sim.advance(24 * HOUR);
        let report = world.run(&job, input);
        assert!(report.worked_off.is_empty());
        let waits = Verdict::Waiting { on: "credential:youtube".into(), until: None };
        assert_eq!(report.verdict, waits);
    }
    assert_eq!((provider.calls(), done.load(SeqCst)), (1, 0));
    let alerts = block_on(world.store.events(Ns::SNAPSHOT, "credential/youtube", 0, 100)).unwrap();
    assert_eq!(alerts.iter().map(|alert| &*alert.event.code).collect::<Vec<_>>(), ["credential.needs_human"]);
    let waiting = Filter { waits_for: Some("credential:youtube".into()), ..Filter::default() };
    assert_eq!(block_on(world.operator().list(&waiting, 100)).unwrap().len(), 5);

    let now = world.sim.now().wall;
    let released = block_on(world.operator().credential_ok("youtube", now, RELEASE_RATE)).unwrap();
    assert_eq!(released.cleared, credential::Cleared::Done);
    let due: Vec<i64> = released
        .outcomes
        .iter()
        .map(|outcome| {
            outcome.result.as_ref().unwrap().record.due_at.unwrap().signed_duration_since(now).num_seconds()
        })
        .collect();
    assert_eq!(due, [0, 6, 12, 18, 24], "ten in a minute");
    let mut ended = Vec::new();
    for _ in 0..5 {
        let worked_off = job.work_off_blocking_on(world.sim.clone(), &world.store).unwrap();
        assert_eq!(worked_off.len(), 1, "one at a time");
        assert_eq!((worked_off[0].state(), worked_off[0].body.attempt), (State::Succeeded, 1));
        ended.push(worked_off[0].body.input.get().to_owned());
        world.sim.advance(Duration::from_secs(6));
    }
    assert_eq!(ended, inputs.map(|input| format!("{input:?}")), "in the order in which they came");
    assert_eq!((provider.calls(), done.load(SeqCst)), (2, 5));
    let history = world.history(&released.outcomes[0].chosen);
    assert_eq!(
        history,
        [
            "run.submitted",
            "step.started",
            "credential.needs_human",
            "credential.ok",
            "run.claimed",
            "step.started",
            "run.succeeded"
        ]
    );
    // Said again, it does no harm.
    let again = block_on(world.operator().credential_ok("youtube", now, RELEASE_RATE)).unwrap();
    assert_eq!((again.cleared, again.outcomes.len()), (credential::Cleared::NotNeeded, 0));
}

#[test]
fn a_run_is_not_parked_for_a_credential_that_was_seen_to_meanwhile() {
    let world = World::new();
    let provider = Provider::new(&world.sim, HOUR);
    provider.then(&[Some(Class::Permanent)]);
    let (credential, store) = (world.credential(&provider), Arc::clone(&world.store));
    let step = Step::blocking("upload", Effect::Idempotent, move |_| -> Result<String, StepError> {
        let given = credential.get_blocking();
        // The person is faster than the run.
        let _cleared = block_on(credential::ok(&store, "youtube", "operator:ada")).unwrap();
        Ok(given?.expose().clone())
    });
    let job = keyed("upload").step(step).build().unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!((run.state(), run.body.attempt), (State::FailedTransient, 0), "{}", run.body.why);
    world.sim.advance(Duration::from_secs(11));
    assert_eq!(world.run(&job, "a").worked_off[0].state(), State::Succeeded);
}

/// A store in which a person is faster than the run that parks: between its look at the credential and its write.
struct Racing {
    store: Memory,
    person: Arc<dyn Store>,
    armed: AtomicBool,
}

impl Store for Racing {
    forward!(caps owner apply scan events prune => (store));

    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(async move {
            let found = self.store.get(ns, key).await;
            if ns == Ns::SNAPSHOT && self.armed.swap(false, SeqCst) {
                let operator = Operator::new(Arc::clone(&self.person), "ada").unwrap();
                let said = operator.credential_ok("youtube", Timestamp::UNIX_EPOCH, RELEASE_RATE).await;
                assert_eq!(said.unwrap().outcomes.len(), 0, "the run is not parked yet");
            }
            found
        })
    }
}

#[test]
fn a_run_is_not_parked_behind_the_back_of_whoever_released_the_others() {
    let sim = super::sim();
    let store = Memory::on(Arc::new(sim.clone()));
    let person: Arc<dyn Store> = Arc::new(store.second());
    let racing = Arc::new(Racing { store, person, armed: AtomicBool::new(false) });
    let world = World { sim, store: racing.clone() };
    let provider = Provider::new(&world.sim, HOUR);
    provider.then(&[Some(Class::Permanent)]);
    let credential = world.credential(&provider);
    let step = Step::blocking("upload", Effect::Idempotent, move |_| -> Result<String, StepError> {
        let given = credential.get_blocking();
        racing.armed.store(given.is_err(), SeqCst);
        Ok(given?.expose().clone())
    });
    let job = keyed("upload").step(step).build().unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!(run.state(), State::FailedTransient, "it would wait for ever: {}", run.body.why);
    world.sim.advance(Duration::from_secs(11));
    assert_eq!(world.run(&job, "a").worked_off[0].state(), State::Succeeded);
}

#[test]
fn a_credential_that_fails_for_now_puts_the_run_down_until_its_next_try() {
    let world = World::new();
    let provider = Provider::new(&world.sim, HOUR);
    provider.then(&[Some(Class::Transient)]);
    let (credential, done) = (world.credential(&provider), Arc::new(AtomicU32::new(0)));
    let job = keyed("upload").step(upload(&credential, &done)).attempts_max(1).build().unwrap();
    let run = world.run(&job, "a").run.unwrap();
    assert_eq!((run.state(), run.body.code.as_str()), (State::FailedTransient, "credential.refresh_failed"));
    world.sim.advance(Duration::from_secs(3));
    assert_eq!(world.run(&job, "a").worked_off[0].state(), State::Succeeded);
    assert_eq!(done.load(SeqCst), 1);
}
