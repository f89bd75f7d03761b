//! What was asked and answered is told when a step fails, without its secrets, and forgotten when it does not.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::exchange::Exchange;
use unattended::fault::{Fault, Severity};
use unattended::job::Job;
use unattended::memory::Memory;
use unattended::pipeline::{Cx, Step, StepError};
use unattended::redact::Redact;
use unattended::run::State;
use unattended::runs::{Run, Runs};
use unattended::store::{Store, StoredEvent};
use unattended::testing::sim::Sim;
use unattended::time::Timestamp;
use unattended::timeline;

const SECRET: &str = "s3cr3t-0123456789";

fn asked(cx: &Cx) {
    cx.exchanges().push(
        Exchange::new("POST", format!("https://api.example.org/v1/videos?api_key={SECRET}&page=2"))
            .request_header("Authorization", format!("Bearer {SECRET}"))
            .request_header("Accept", "application/json")
            .request_body(format!("{{\"client_secret\":\"{SECRET}\",\"title\":\"a day out\"}}"))
            .status(503)
            .response_header("Set-Cookie", format!("sid={SECRET}"))
            .response_body(format!("{{\"error\":{{\"code\":\"busy\",\"session_token\":\"{SECRET}\"}}}}"))
            .took(Duration::from_millis(1200))
            .at(Timestamp::UNIX_EPOCH),
    );
}

/// Runs a job of the one step, and gives the run and its history.
fn driven(step: Step) -> (Run, Vec<StoredEvent>) {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 7);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let job =
        Job::new("upload").key(|input: &String| Key::new("test", "video", input)).step(step).build().unwrap();
    let run = job.run_once_blocking_on(sim, &store, "a").unwrap().run.unwrap();
    let events = block_on(Runs::new(store).history(run.id(), 0, 100)).unwrap();
    (run, events)
}

fn story(events: &[StoredEvent]) -> String {
    let moments = timeline::of(events);
    let line = |(name, value): &(String, String)| format!("{name}: {value}\n");
    moments
        .iter()
        .map(|moment| format!("{}\n{}", moment.code, moment.details.iter().map(line).collect::<String>()))
        .collect()
}

#[test]
fn a_failing_runs_story_shows_the_exchanges_redacted_and_never_the_secret() {
    let step = Step::blocking("upload", Effect::Idempotent, |cx| -> Result<(), _> {
        asked(cx);
        let fault =
            if cx.attempt() == 1 { Fault::transient("http.503") } else { Fault::permanent("http.410") };
        Err(StepError::new(fault, "no luck"))
    });
    let (run, events) = driven(step);
    assert_eq!(run.state(), State::FailedPermanent);
    for event in &events {
        assert!(!event.event.data.as_deref().unwrap_or_default().contains(SECRET), "{event:?}");
    }
    let story = story(&events);
    let told = "exchange: POST https://api.example.org/v1/videos?api_key=[redacted]&page=2: 503 in 1.2 s\n\
        request headers: Authorization: [redacted], Accept: application/json\n\
        request body: {\"client_secret\":\"[redacted]\",\"title\":\"a day out\"}\n\
        response headers: Set-Cookie: [redacted]\n\
        response body: {\"error\":{\"code\":\"busy\",\"session_token\":\"[redacted]\"}}\n";
    assert_eq!(story.matches(told).count(), 2, "each failed attempt tells its own: {story}");
    // In the very event of the failure, and so in its commit.
    let tells = |event: &&StoredEvent| event.event.data.as_deref().unwrap_or_default().contains("exchanges");
    let codes: Vec<_> = events.iter().filter(tells).map(|event| event.event.code.as_ref()).collect();
    assert_eq!(codes, ["retry.backoff", "retry.permanent"]);
}

#[test]
fn exchanges_are_forgotten_when_the_step_succeeds() {
    let (run, events) = driven(Step::blocking("upload", Effect::Idempotent, |cx| {
        asked(cx);
        Ok(cx.exchanges().len())
    }));
    assert_eq!(run.state(), State::Succeeded);
    assert!(!story(&events).contains("exchange"), "{}", story(&events));
}

#[test]
fn a_step_that_is_left_out_and_one_that_is_asked_about_tell_theirs_too() {
    let degraded = Fault::permanent("http.404").severity(Severity::Degraded);
    for (effect, fault, state) in [
        (Effect::Idempotent, degraded, State::Succeeded),
        (Effect::Unsafe, Fault::transient("http.504"), State::NeedsReview),
    ] {
        let (run, events) = driven(Step::new("upload", effect, move |cx: Cx| {
            let fault = fault.clone();
            async move {
                asked(&cx);
                Err::<(), _>(StepError::new(fault, "no luck"))
            }
        }));
        assert_eq!(run.state(), state);
        assert!(story(&events).contains("exchange: POST"), "{}", story(&events));
    }
}

#[test]
fn what_a_flood_of_exchanges_leaves_in_an_event_is_bounded() {
    let step = Step::blocking("upload", Effect::Idempotent, |cx| -> Result<(), _> {
        for number in 0..1000 {
            // Each byte of it takes six in JSON.
            let body = "\u{1}".repeat(5000);
            cx.exchanges()
                .push(Exchange::new("GET", format!("/{number}")).request_body(&body).response_body(&body));
        }
        Err(StepError::permanent("http.400", "\u{1}".repeat(5000)))
    });
    let (run, events) = driven(step);
    assert_eq!(run.state(), State::FailedPermanent);
    let story = story(&events);
    assert!(story.contains("GET /999: no answer") && !story.contains("GET /990: "), "the last ones are told");
}

#[test]
fn a_step_may_have_a_hook_of_its_own() {
    struct Nothing;
    impl Redact for Nothing {
        fn header<'a>(&self, _: &str, _: &'a str) -> Cow<'a, str> {
            Cow::Borrowed("hidden")
        }
        fn url<'a>(&self, _: &'a str) -> Cow<'a, str> {
            Cow::Borrowed("somewhere")
        }
        fn body<'a>(&self, _: &'a [u8]) -> Cow<'a, str> {
            Cow::Borrowed("")
        }
    }
    let step = Step::blocking("upload", Effect::Idempotent, |cx| -> Result<(), _> {
        asked(cx);
        Err(StepError::permanent("http.400", "no luck"))
    });
    let (_, events) = driven(step.redact(Nothing));
    let story = story(&events);
    assert!(story.contains("exchange: POST somewhere: 503") && story.contains("Accept: hidden"), "{story}");
}
