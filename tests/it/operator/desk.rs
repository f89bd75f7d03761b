//! A store, a clock and some operators: on memory, and on a file where a test says so.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::memory::Memory;
use unattended::operator::Operator;
use unattended::run::{self, State};
use unattended::runs::{
    Body, Filter, Json, Move, NewRun, Question, Reason, Run, Runs, StepRecord, StepState, Submitted,
    UndoState,
};
use unattended::sqlite::Sqlite;
use unattended::store::{Ns, Record, Store, StoredEvent};
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp};

use crate::world::{LEASE, check_all};

/// What every test of this folder works on.
pub(crate) struct Desk {
    pub(crate) sim: Sim,
    pub(crate) store: Arc<dyn Store>,
    _folder: Option<tempfile::TempDir>,
}

/// The steps of every run here, of each effect class.
pub(crate) const STEPS: [(&str, Effect); 4] = [
    ("prepare", Effect::Pure),
    ("pay", Effect::Unsafe),
    ("publish", Effect::Verifiable),
    ("notify", Effect::Idempotent),
];

pub(crate) fn json(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).unwrap()
}

impl Desk {
    pub(crate) fn new() -> Self {
        let sim = Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000), 7);
        let store = Arc::new(Memory::on(Arc::new(sim.clone())));
        Self { sim, store, _folder: None }
    }

    /// The same on a file.
    pub(crate) fn on_file() -> Self {
        let sim = Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000), 7);
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(sim.clone()) as Arc<dyn Clock>;
        let store = Sqlite::options().clock(clock).open(folder.path().join("store.db")).unwrap();
        Self { sim, store: Arc::new(store), _folder: Some(folder) }
    }

    /// Both: what is tested on each.
    pub(crate) fn both() -> [Self; 2] {
        [Self::new(), Self::on_file()]
    }

    pub(crate) fn operator(&self, name: &str) -> Operator {
        Operator::new(Arc::clone(&self.store), name).unwrap().on(Arc::new(self.sim.clone()))
    }

    pub(crate) fn ada(&self) -> Operator {
        self.operator("ada")
    }

    pub(crate) fn runs(&self) -> Runs {
        Runs::new(Arc::clone(&self.store))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.sim.now().wall
    }

    pub(crate) fn secs(&self, secs: u64) {
        self.sim.advance(Duration::from_secs(secs));
    }

    pub(crate) fn new_run(&self, id: u32) -> NewRun {
        let steps = STEPS.iter().map(|(name, effect)| StepRecord::pending(*name, *effect)).collect();
        let mut new = NewRun::new("transfer", json(&format!("{{\"amount\":{id}}}")), steps);
        new.key = Some(Key::new("bank", "transfer", id).unwrap());
        new
    }

    pub(crate) fn submit(&self, new: NewRun) -> Run {
        match block_on(self.runs().submit(new, self.now())).unwrap() {
            Submitted::Created(run) => *run,
            other => panic!("not created: {other:?}"),
        }
    }

    pub(crate) fn queued(&self, id: u32) -> Run {
        self.submit(self.new_run(id))
    }

    pub(crate) fn run(&self, id: &str) -> Run {
        block_on(self.runs().must_get(id)).unwrap()
    }

    pub(crate) fn held(&self, id: u32) -> Run {
        let run = self.queued(id);
        self.claim(run.id())
    }

    pub(crate) fn claim(&self, id: &str) -> Run {
        let run = self.run(id);
        block_on(self.runs().claim(&run, LEASE, "worker:a")).unwrap().expect("somebody else has it").run
    }

    /// What a run's holder does: changes the body, moves it, and settles its key where that ends it.
    pub(crate) fn work(&self, run: &Run, event: run::Event, change: impl FnOnce(&mut Body)) -> Run {
        let mut body = run.body.clone();
        change(&mut body);
        let to = run::transition(run.state(), event).unwrap();
        body.code = String::from("test.worked");
        body.why = format!("the test said {event}");
        let mut settling = None;
        if to.is_terminal() {
            body.finished_at = Some(self.now());
            let outcome = match to {
                State::Succeeded => Some(unattended::ledger::Outcome::Succeeded {
                    result: body.output.clone().unwrap_or_else(|| json("null")),
                }),
                State::FailedPermanent | State::Compensated => Some(unattended::ledger::Outcome::Failed {
                    class: unattended::fault::Class::Permanent,
                    code: String::from("http.422"),
                    why: String::from("refused"),
                }),
                _ => None,
            };
            settling = block_on(self.runs().settle_entry(&body, run.id(), "worker:a", outcome)).unwrap();
        }
        let due = matches!(event, run::Event::FailForNow | run::Event::HandBack);
        let step = Move {
            body: Some(&body),
            actor: "worker:a",
            due_at: due.then(|| self.now()),
            ..Move::new(
                run.id(),
                run.state(),
                event,
                unattended::store::Expect::Fence(run.record.fence),
                Reason::new("test.worked", body.why.clone()),
            )
        };
        let mut batch = unattended::store::Batch::of(step.write().unwrap());
        if let Some(settling) = settling {
            batch.push(settling);
        }
        block_on(self.runs().apply_batch(batch)).unwrap();
        self.run(run.id())
    }

    /// A run whose unsafe step was begun and whose outcome is not known.
    pub(crate) fn in_doubt(&self, id: u32) -> Run {
        let held = self.held(id);
        self.work(&held, run::Event::AskReview, |body| {
            done(body, "prepare", "{\"iban\":1}");
            body.step_mut("pay").unwrap().state = StepState::Started;
            body.question = Some(question("pay", &["applied", "not_applied", "requeue", "dismiss"], false));
        })
    }

    /// A run whose third step failed for good, behind an unsafe one that is done.
    pub(crate) fn failed(&self, id: u32) -> Run {
        let held = self.held(id);
        self.work(&held, run::Event::FailForGood, |body| {
            done(body, "prepare", "1");
            done(body, "pay", "2");
        })
    }

    /// A run whose first step failed for good.
    pub(crate) fn failed_early(&self, id: u32) -> Run {
        let held = self.held(id);
        self.work(&held, run::Event::FailForGood, |_| {})
    }

    /// A run that did all that it had to.
    pub(crate) fn succeeded(&self, id: u32) -> Run {
        let held = self.held(id);
        self.work(&held, run::Event::Succeed, |body| {
            for (step, _) in STEPS {
                done(body, step, "7");
            }
            body.output = Some(json("7"));
        })
    }

    pub(crate) fn entry(&self, id: u32) -> Option<Record> {
        let key = Key::new("bank", "transfer", id).unwrap();
        block_on(self.store.get(Ns::LEDGER, key.as_str())).unwrap()
    }

    /// The state, the run and the generation of an entry.
    pub(crate) fn told(&self, id: u32) -> (String, String, u64) {
        let entry = self.entry(id).expect("no entry");
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        let run = body["run"].as_str().unwrap_or_default().to_owned();
        (entry.state, run, body["generation"].as_u64().unwrap())
    }

    pub(crate) fn history(&self, id: &str) -> Vec<StoredEvent> {
        block_on(self.runs().history(id, 0, 1000)).unwrap()
    }

    pub(crate) fn last(&self, id: &str) -> StoredEvent {
        self.history(id).pop().unwrap()
    }

    pub(crate) fn all(&self) -> Vec<Run> {
        block_on(self.runs().list(&Filter::default(), 1000, None)).unwrap().0
    }

    /// Holds every run and every entry to what is always true.
    pub(crate) fn check(&self) {
        check_all(&self.store);
    }
}

pub(crate) fn done(body: &mut Body, step: &str, output: &str) {
    let record = body.step_mut(step).unwrap();
    record.state = StepState::Done;
    record.output = Some(json(output));
}

pub(crate) fn question(step: &str, options: &[&str], undo: bool) -> Question {
    Question {
        code: String::from("takeover.outcome_unknown"),
        text: format!("was step {step} done?"),
        step: Some(step.to_owned()),
        undo,
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    }
}

pub(crate) fn step<'a>(run: &'a Run, name: &str) -> &'a StepRecord {
    run.body.steps.iter().find(|step| step.name == name).unwrap()
}

pub(crate) fn undone(run: &Run, name: &str) -> UndoState {
    step(run, name).undo
}
