//! Runs as an application makes them.

use std::sync::Arc;

use serde_json::{Value, json};
use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::job::Job;
use unattended::pipeline::{Flow, Step, StepError, Wait};
use unattended::runs::{Run, Runs};
use unattended::store::Store;

use crate::kit::{Given, Shop};

/// The keys that every run in a list has.
pub const RUN_KEYS: &str = "run_id job state attempts code why created_at duration_ms host";

/// What is in the store.
pub struct Made {
    /// Of the job `report`.
    pub succeeded: String,
    /// Of the job `ingest`: its one step failed for good.
    pub failed: String,
    /// Of the job `transfer`: nobody knows whether its unsafe step was done.
    pub review: String,
    /// Of the job `approval`: it waits for the token `approval-42`.
    pub waiting: String,
}

fn ran(job: &Job, store: &Arc<dyn Store>, input: &Value) -> String {
    job.run_once_blocking(store, input).unwrap().run.unwrap().id().to_owned()
}

pub fn ingest() -> Job {
    let fetch =
        Step::blocking("fetch", Effect::Pure, |_| Ok(json!({ "rows": 120, "session_token": "s3cr3t" })));
    let load = Step::blocking("load", Effect::Idempotent, |cx| {
        let numbers = json!({ "free_bytes": 1200, "safe_bytes": 9000 });
        cx.decide_blocking("disk.low", "disk space below the safe threshold", "cleanup", &numbers)?;
        Err::<(), _>(StepError::permanent("feed.gone", "the feed answers 410"))
    });
    Job::new("ingest").version("1.0.0").step(fetch).step(load).build().unwrap()
}

/// Fills the store: four jobs, each with a run of its own fate.
pub fn fill(shop: &Shop) -> Made {
    let store = shop.store();
    let report = Step::blocking("write", Effect::Idempotent, |_| Ok(json!({ "pages": 3 })));
    let report = Job::new("report").step(report).build().unwrap();
    let succeeded = ran(&report, &store, &json!({ "month": 10 }));
    let failed = ran(&ingest(), &store, &json!({ "page": 1, "api_key": "hunter2" }));
    let pay = Step::blocking("pay", Effect::Unsafe, |_| {
        Err::<(), _>(StepError::transient("bank.no_answer", "the bank did not answer"))
    });
    let pay = Job::new("transfer").step(pay).build().unwrap();
    let review = ran(&pay, &store, &json!({ "amount": 12.5 }));
    let ask = Step::waiting_blocking("ask", Effect::Idempotent, |_| {
        Ok(Flow::<Value>::Wait(Wait::on("approval-42")))
    });
    let ask = Job::new("approval").step(ask).build().unwrap();
    let waiting = ran(&ask, &store, &json!({ "who": "ada" }));
    Made { succeeded, failed, review, waiting }
}

pub fn has_keys(value: &Value, wanted: &str) {
    for key in wanted.split(' ') {
        assert!(value.get(key).is_some(), "{key} is missing in {value}");
    }
}

/// The run as it is now.
pub fn run(shop: &Shop, id: &str) -> Run {
    block_on(Runs::new(shop.store()).must_get(id)).unwrap()
}

pub fn state(shop: &Shop, id: &str) -> String {
    run(shop, id).state().as_str().to_owned()
}

/// With `--json`.
pub fn json(shop: &Shop, args: &[&str]) -> Given {
    shop.run(&[args, &["--json"]].concat())
}
