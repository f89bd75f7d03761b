//! The doctor on two applications: one that has every fault, and one that has none. And what a contract calls sensitive.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::canonical::Key;
use unattended::contract::{Contract, Schema};
use unattended::doctor::{Application, Check, Declared, Machine, Outcome, examine};
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::memory::Memory;
use unattended::pipeline::{Step, StepError};
use unattended::retry;
use unattended::run::State;
use unattended::secret::Secret;
use unattended::sqlite::Sqlite;
use unattended::store::Store;
use unattended::testing::{Effects, assert_idempotent};

const DISK: &str = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
const MEMORY: &str = "22 1 8:1 / / rw - tmpfs tmpfs rw\n";

fn machine(mounts: &str) -> Machine {
    Machine { mounts: Some(mounts.to_owned()), synchronised: Some(true) }
}

fn of<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name}: {checks:#?}"))
}

/// A job without a fault: it books, and tells somebody.
fn good(world: &Effects) -> Job {
    let (book, unbook, mail, mailed) = (world.clone(), world.clone(), world.clone(), world.clone());
    let contract = Contract::<Order>::new("order", 1)
        .schema(Schema::object().required("to", Schema::text()).required("card", Schema::text()))
        .sensitive("/card")
        .build()
        .unwrap();
    Job::new("order")
        .contract(&contract)
        .key(|order: &Order| Key::new("shop", "order", &order.to))
        .lease(Duration::from_secs(120))
        .config(&serde_json::json!({"folder": "/srv"}))
        .step(
            Step::blocking("book", Effect::Idempotent, move |cx| {
                book.happen_once(format!("book {}", cx.input::<Order>()?.to));
                Ok(())
            })
            .undo_blocking(Effect::Idempotent, move |_| {
                unbook.happen_once("unbook");
                Ok(())
            }),
        )
        .step(
            Step::blocking("mail", Effect::Verifiable, move |cx| {
                mail.happen(format!("mail {}", cx.input::<Order>()?.to));
                Ok(())
            })
            .guard_blocking(move |cx| {
                Ok(mailed.has(&format!("mail {}", cx.input::<Order>()?.to)).then_some(()))
            }),
        )
        .build()
        .unwrap()
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Order {
    to: String,
    card: String,
}

fn order() -> Order {
    Order { to: String::from("ada"), card: String::from("4111-1111") }
}

#[test]
fn a_good_application_passes_and_only_the_arrival_of_an_alert_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::options().open(folder.path().join("store.db")).unwrap());
    let any: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let job = good(&Effects::default());
    let run = job.run_once_blocking(&any, &order()).unwrap().run.unwrap();
    assert_eq!(run.state(), State::Succeeded, "{}", run.body.why);
    #[derive(serde::Serialize)]
    struct Config {
        folder: &'static str,
        #[serde(skip)]
        token: Secret<&'static str>,
    }
    let config = Config { folder: "/srv", token: Secret::new("hunter2") };
    assert_eq!(*config.token.expose(), "hunter2");
    let declared = Declared::of(&job)
        .owner("ada")
        .runbook("https://example.org/order")
        .replayable()
        .heartbeat()
        .proof(assert_idempotent(good, &order()));
    let app = Application::new("shop")
        .job(declared)
        .sqlite(store)
        .logs("JSON on stderr")
        .alerts("command /usr/local/bin/page")
        .config(&config)
        .failover(Duration::from_secs(30))
        .retention(Duration::from_secs(30 * 86_400))
        .machine(machine(DISK));
    let checks = examine(&app);
    let open: Vec<_> = checks.iter().filter(|check| check.result != Outcome::Pass).collect();
    assert_eq!(
        open.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(),
        ["alerts_delivery"],
        "{open:#?}"
    );
    assert_eq!(open[0].result, Outcome::NotProvable);
}

#[test]
fn every_fault_of_a_bad_application_is_found_where_it_is() {
    let forever = retry::Policy::cron().elapsed_max(None).transient(|strategy| {
        strategy
            .attempts_max(1000)
            .delay_base(Duration::from_secs(3600))
            .delay_max(Duration::from_secs(86_400))
    });
    let job = Job::new("pay")
        .lease(Duration::from_secs(5))
        .retry(forever)
        .step(Step::blocking("charge", Effect::Unsafe, |_| Ok(())))
        .step(Step::blocking("mail", Effect::Idempotent, |_| Ok(())))
        .build()
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let input = serde_json::json!({"to": "ada", "password": "hunter2"});
    let run = job.run_once_blocking(&store, &input).unwrap().run.unwrap();
    let app = Application::new("bad")
        .job(Declared::of(&job))
        .store(store)
        .state_path("/nowhere/at/all")
        .config(&serde_json::json!({"api_token": "hunter2", "db": "postgres://ada:hunter2@db/x"}))
        .failover(Duration::from_secs(30))
        .machine(Machine { synchronised: Some(false), ..machine(MEMORY) });
    let checks = examine(&app);
    for (name, where_) in [
        ("contract", "pay: any input is let in"),
        ("idempotency_key", "pay: the same work delivered twice is done twice"),
        ("effect", "pay: step charge is unsafe"),
        ("retry", "pay: each step is tried 1000 times"),
        ("dead_letters", "pay: nobody is known"),
        ("rollback", "pay: step charge stays done"),
        ("lease", "pay: its lease of 5s ends before a failover of 30s does"),
        ("logs", "nothing is said of a log"),
        ("alerts", "no sink is declared"),
        ("alerts_delivery", "no sink"),
        ("heartbeat", "pay: nobody notices"),
        ("secrets", "in the configuration at /api_token"),
        ("secrets", "in the configuration at /db"),
        ("secrets", run.id()),
        ("state_path", "is on tmpfs"),
        ("store", "lost when the power is"),
        ("clock_synchronised", "not kept right"),
        ("retention", "pay: its runs are kept for ever"),
        ("ownership", "pay: it has no owner and no runbook"),
    ] {
        let check = of(&checks, name);
        assert_eq!(check.result, Outcome::Fail, "{check:#?}");
        let told = format!("{} {}", check.why, check.evidence.join(" "));
        assert!(told.contains(where_), "{name}: {where_:?} is not in {told:?}");
        assert!(check.todo.is_some(), "{name} says nothing of what to do");
    }
    assert_eq!(of(&checks, "idempotency_proof").result, Outcome::NotProvable);
    assert!(!serde_json::to_string(&checks).unwrap().contains("hunter2"), "a secret is never told");
}

#[test]
fn what_a_contract_calls_sensitive_is_stored_and_not_shown() {
    let seen = Arc::new(Mutex::new(String::new()));
    let saw = Arc::clone(&seen);
    let contract = Contract::<Order>::new("order", 1)
        .schema(Schema::object().required("to", Schema::text()).required("card", Schema::text()))
        .sensitive("/card")
        .build()
        .unwrap();
    let job = Job::new("order")
        .contract(&contract)
        .retry(retry::Policy::once())
        .step(Step::blocking("charge", Effect::Idempotent, move |cx| {
            let order = cx.input::<Order>()?;
            saw.lock().unwrap().clone_from(&order.card);
            Err::<(), _>(StepError::permanent("card.refused", format!("card {} was refused", order.card)))
        }))
        .build()
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let run = job.run_once_blocking(&store, &order()).unwrap().run.unwrap();
    assert_eq!(*seen.lock().unwrap(), "4111-1111", "the step has it");
    assert!(run.body.input.get().contains("4111-1111"), "a replay needs it");
    assert_eq!(run.body.safe_input(), r#"{"card":"[redacted]","to":"ada"}"#);
    assert!(run.body.why.contains("card [redacted] was refused"), "{}", run.body.why);
    let mut shown = run.body.clone();
    shown.input = serde_json::value::RawValue::from_string(String::from("null")).unwrap();
    assert!(!serde_json::to_string(&shown).unwrap().contains("4111"), "nothing else of the record quotes it");
    let refused = job.run_once_blocking(&store, &serde_json::json!({"to": "ada", "card": 4111})).unwrap_err();
    assert!(!refused.to_string().contains("4111"), "{refused}");
}

#[test]
fn a_large_configuration_is_kept_once_and_runs_say_which() {
    let rows: Vec<_> = (0..400).map(|n| serde_json::json!({"name": n, "password": "hunter2"})).collect();
    let job = Job::new("fetch")
        .config(&rows)
        .step(Step::blocking("get", Effect::Pure, |cx| cx.input::<String>()))
        .build()
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let run = job.run_once_blocking(&store, "a").unwrap().run.unwrap();
    let kept: serde_json::Value = serde_json::from_str(run.body.config.unwrap().get()).unwrap();
    let name = format!("config/{}", kept["fingerprint"].as_str().unwrap());
    let snapshots = unattended::snapshots::Snapshots::new(store);
    let loaded =
        unattended::blocking::block_on(snapshots.load_large::<serde_json::Value>(&name)).unwrap().unwrap();
    assert_eq!(loaded.value.as_array().unwrap().len(), 400);
    assert_eq!(loaded.value[7], serde_json::json!({"name": 7, "password": "[redacted]"}));
}
