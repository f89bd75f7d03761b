use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::act::job::Job;
use crate::act::pipeline::Step;
use crate::base::canonical::Key;
use crate::base::effect::Effect;
use crate::decide::contract::{Contract, Schema};
use crate::decide::retry;
use crate::remember::memory::Memory;
use crate::remember::store::Store;

const DISK: &str = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
const MEMORY: &str = "22 1 8:1 / / rw - tmpfs tmpfs rw\n";

fn machine(mounts: &str, synchronised: Option<bool>) -> Machine {
    Machine { mounts: Some(mounts.to_owned()), synchronised }
}

fn result(checks: &[Check], name: &str) -> Outcome {
    checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}: {checks:#?}")).result
}

/// A job without a fault.
fn good_job() -> Job {
    let contract = Contract::<String>::new("name", 1).schema(Schema::text()).build().unwrap();
    Job::new("greet")
        .contract(&contract)
        .key(|name: &String| Key::new("docs", "greeting", name))
        .lease(Duration::from_secs(120))
        .step(
            Step::blocking("write", Effect::Idempotent, |_| Ok(()))
                .undo_blocking(Effect::Idempotent, |_| Ok(())),
        )
        .step(Step::blocking("look", Effect::Pure, |_| Ok(())))
        .build()
        .unwrap()
}

#[test]
fn a_job_without_a_fault_passes_and_what_nobody_can_prove_is_said() {
    let job = good_job();
    let declared = Declared::of(&job)
        .owner("ada")
        .runbook("https://example.org/greet")
        .replayable()
        .heartbeat()
        .proof(Proof::of(&job, 9));
    let app = Application::new("good")
        .job(declared)
        .state_path("/nowhere")
        .logs("JSON on stderr")
        .alerts("file /var/log/pages")
        .config(&serde_json::json!({"folder": "/srv"}))
        .failover(Duration::from_secs(30))
        .retention(Duration::from_secs(86_400))
        .machine(machine(DISK, Some(true)));
    let checks = examine_at(&app, "2026-03-02T08:00:00Z".parse().unwrap());
    let open: Vec<_> = checks.iter().filter(|check| check.result != Outcome::Pass).collect();
    let names: Vec<_> = open.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["alerts_delivery", "store"], "{open:#?}");
    assert!(open.iter().all(|check| check.result == Outcome::NotProvable && check.todo.is_some()));
}

#[test]
fn a_proof_holds_only_for_the_steps_that_were_proved() {
    let job = good_job();
    let stale = Proof { steps: vec![String::from("write unsafe")], ..Proof::of(&job, 9) };
    let app = Application::new("x").job(Declared::of(&job).proof(stale));
    assert_eq!(result(&examine(&app), "idempotency_proof"), Outcome::NotProvable);
}

#[test]
fn each_fault_is_found_where_it_is() {
    let policy = retry::Policy::cron().elapsed_max(None).transient(|strategy| {
        strategy
            .attempts_max(1000)
            .delay_base(Duration::from_secs(3600))
            .delay_max(Duration::from_secs(86_400))
    });
    let job = Job::new("pay")
        .lease(Duration::from_secs(1))
        .retry(policy)
        .step(Step::blocking("charge", Effect::Unsafe, |_| Ok(())))
        .step(Step::blocking("mail", Effect::Idempotent, |_| Ok(())))
        .build()
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    job.run_once_blocking(&store, &serde_json::json!({"card_token": "4111"})).unwrap();
    let app = Application::new("bad")
        .job(Declared::of(&job))
        .store(store)
        .state_path("/nowhere")
        .config(&serde_json::json!({"api_token": "hunter2"}))
        .failover(Duration::from_secs(30))
        .machine(machine(MEMORY, Some(false)));
    let checks = examine_at(&app, "2019-03-02T08:00:00Z".parse().unwrap());
    let passed: Vec<_> = checks.iter().filter(|check| check.result == Outcome::Pass).collect();
    assert!(passed.is_empty(), "{passed:#?}");
    assert_eq!(result(&checks, "idempotency_proof"), Outcome::NotProvable);
    let failed = checks.iter().filter(|check| check.result == Outcome::Fail).count();
    assert_eq!(failed, checks.len() - 1, "{checks:#?}");
    assert!(!format!("{app:?}{checks:?}").contains("hunter2"), "a secret is never told");
    let secrets = checks.iter().find(|check| check.name == "secrets").unwrap();
    assert_eq!(secrets.evidence.len(), 2, "in the configuration and in a run: {secrets:#?}");
}

#[test]
fn a_command_has_no_code_and_what_it_declares_is_looked_at() {
    let app = Application::new("cron").job(Declared::named("backup").effect(Effect::Idempotent).replayable());
    let checks = examine(&app);
    assert_eq!(result(&checks, "effect"), Outcome::Pass);
    assert_eq!(result(&checks, "dead_letters"), Outcome::Pass);
    assert_eq!(result(&checks, "rollback"), Outcome::NotProvable);
    assert_eq!(result(&checks, "ownership"), Outcome::Fail);
    let nothing = examine(&Application::default());
    assert_eq!(result(&nothing, "contract"), Outcome::NotProvable);
}
