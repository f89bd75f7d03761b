//! The decisions of a call as structured events: each attempt, wait and refusal, with its fields.
#![cfg(feature = "tracing")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber, span};
use unattended::call::Call;
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::quota::Quota;
use unattended::testing::sim::Sim;
use unattended::{breaker, time};

type Fields = BTreeMap<&'static str, String>;

/// Keeps what is told under the target `unattended`.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Fields>>>);

struct Reads<'a>(&'a mut Fields);

impl Visit for Reads<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "unattended"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Reads(&mut fields));
        self.0.lock().unwrap().push(fields);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// What `work` tells.
///
/// A second subscriber lives beside the one that listens: where there is only one, whether anybody wants an event is
/// asked of the thread that comes to it first, which may be another test's, and is remembered for all.
fn listening<T>(work: impl FnOnce() -> T) -> (T, Vec<Fields>) {
    static BESIDE: OnceLock<Dispatch> = OnceLock::new();
    BESIDE.get_or_init(|| Dispatch::new(Kept::default()));
    let kept = Kept::default();
    let done = tracing::subscriber::with_default(kept.clone(), work);
    let told = std::mem::take(&mut *kept.0.lock().unwrap());
    (done, told)
}

#[test]
fn each_attempt_wait_and_refusal_is_an_event_with_whose_it_is() {
    let sim = Sim::new(time::Timestamp::UNIX_EPOCH, 1);
    let call = Call::to("youtube")
        .breaker(breaker::Policy::never().consecutive(2))
        .quota(Quota::per_minute(60).unwrap().burst(1).unwrap())
        .effect(Effect::Idempotent)
        .seed(1)
        .on(sim.clone())
        .build()
        .unwrap();
    let ((), told) = listening(|| {
        let calling = call.key("alice").of_run("run-7", Some("key-7"));
        let _done = calling.run_blocking(|_| {
            sim.advance(Duration::from_millis(20));
            Ok::<_, Fault>(())
        });
        let _failed = calling.run_blocking(|_| Err::<(), _>(Fault::transient("http.503")));
        let _refused = calling.run_blocking(|_| Ok::<_, Fault>(()));
    });
    let decisions: Vec<_> = told.iter().filter(|event| event.contains_key("run_id")).collect();
    for event in &decisions {
        assert_eq!(
            ["dependency", "account", "run_id", "idempotency_key"].map(|field| event[field].as_str()),
            ["youtube", "alice", "run-7", "key-7"],
            "{event:?}"
        );
    }
    let outcomes: Vec<_> = decisions.iter().map(|event| event["outcome"].as_str()).collect();
    // A success; then the quota is waited for, an attempt fails, is waited for and fails again, which opens the breaker:
    // no wait is told that is not made. Then nothing is called.
    let expected = ["ok", "wait", "failed", "wait", "failed", "refused", "refused"];
    assert_eq!(outcomes, expected, "{decisions:#?}");
    assert_eq!(decisions[0]["duration_ms"], "20");
    assert_eq!((&*decisions[1]["code"], &*decisions[1]["attempt"]), ("quota.spent", "1"));
    assert!(decisions[1]["delay_ms"].parse::<u64>().unwrap() > 900);
    let failed = decisions[2];
    assert_eq!((&*failed["class"], &*failed["code"], &*failed["attempt"]), ("transient", "http.503", "1"));
    assert_eq!(decisions.last().unwrap()["code"], "breaker.open");
    assert!(told.iter().any(|event| event.get("outcome").is_some_and(|outcome| outcome == "trip")));
}

/// The names that every event may use; what else an event says has a name that none of these could stand for.
#[cfg(feature = "store")]
#[test]
fn what_happens_to_a_run_is_told_with_the_same_names() {
    use unattended::job::Job;
    use unattended::memory::Memory;
    use unattended::pipeline::{Step, StepError};
    use unattended::store::Store;

    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let load = Step::blocking("load", Effect::Idempotent, |cx| {
        cx.decide_blocking("disk.low", "too little room", "cleanup", &serde_json::json!({ "free": 7 }))?;
        Err::<(), _>(StepError::permanent("feed.gone", "410"))
    });
    let fetch = Step::blocking("fetch", Effect::Pure, |_| Ok(1));
    let key = |_: &u32| unattended::canonical::Key::new("feed", "page", 7);
    let job = Job::new("ingest").key(key).step(fetch).step(load).build().unwrap();
    let (ended, told) = listening(|| job.run_once_blocking(&store, &7));
    let run = ended.unwrap().run.unwrap();
    let about: Vec<_> = told.iter().filter(|event| event.contains_key("run_id")).collect();
    assert!(about.len() >= 3, "{told:#?}");
    for event in &about {
        for name in ["idempotency_key", "job", "attempt", "outcome", "code", "why"] {
            assert!(event.contains_key(name), "{name} is missing in {event:?}");
        }
        assert_eq!((&*event["run_id"], &*event["job"]), (run.id(), "ingest"), "{event:?}");
        assert_eq!(event["idempotency_key"], "feed/page/7", "{event:?}");
    }
    let decided = about.iter().find(|event| event["outcome"] == "decided").unwrap();
    assert_eq!((&*decided["action"], &*decided["step"]), ("cleanup", "load"));
    let ended = about.iter().find(|event| event["outcome"] == "failed_permanent").unwrap();
    assert!(ended["duration_ms"].parse::<u64>().is_ok(), "{ended:?}");
}
