//! The JSON of each answer: a public contract, key by key.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::base::redact::{Names, Redact as _};
use crate::base::text::rfc3339;
use crate::base::time::Timestamp;
use crate::remember::runs::{Body, FaultRecord, Question, Run, StepRecord, Wait};
use crate::remember::store::{self, StoredEvent};

/// A run in a list.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    run_id: &'a str,
    job: &'a str,
    state: &'static str,
    attempts: u32,
    code: &'a str,
    why: &'a str,
    created_at: String,
    duration_ms: Option<i64>,
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'a str>,
}

impl<'a> Line<'a> {
    pub(super) fn of(run: &'a Run) -> Self {
        Self {
            run_id: run.id(),
            job: run.job(),
            state: run.state().as_str(),
            attempts: run.tries(),
            code: &run.body.code,
            why: &run.body.why,
            created_at: rfc3339(run.record.created_at),
            duration_ms: run.duration_ms(),
            host: &run.body.host,
            waits_for: run.body.wait.as_ref().map(|wait| wait.token.as_str()),
        }
    }
}

/// A run with its history.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    history: Vec<Event<'a>>,
    history_cut: bool,
    next: Vec<String>,
}

impl<'a> Whole<'a> {
    pub(super) fn of(run: &'a Run, history: &'a [StoredEvent], cut: bool, next: Vec<String>) -> Self {
        let mut count = Count::default();
        let history = history.iter().map(|stored| Event::of(stored, &mut count)).collect();
        Self { line: Line::of(run), history, history_cut: cut, next }
    }
}

/// Everything that a run's record says.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    whole: Whole<'a>,
    key: Option<&'a str>,
    fingerprint: Option<&'a str>,
    input: Box<RawValue>,
    output: Option<Box<RawValue>>,
    config: Option<Box<RawValue>>,
    schema: u32,
    code_version: Option<&'a str>,
    steps: Vec<Step<'a>>,
    faults: &'a [FaultRecord],
    question: Option<&'a Question>,
    answers: Vec<String>,
    wait: Option<&'a Wait>,
    crash_count: u32,
    generation: u32,
    replay_of: Option<&'a str>,
    owner: Option<&'a str>,
    lease_until: Option<String>,
    paused: bool,
    cancelling: bool,
    due_at: Option<String>,
    expires_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    updated_at: String,
    reviewed_at: Option<String>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(run: &'a Run, whole: Whole<'a>, answers: Vec<String>) -> Self {
        let (record, body) = (&run.record, &run.body);
        let instant = |at: Option<Timestamp>| at.map(rfc3339);
        Self {
            whole,
            key: body.key.as_deref(),
            fingerprint: record.fingerprint.as_deref(),
            input: kept(&body.safe_input()),
            output: body.output.as_ref().map(|text| kept(&body.safe(text.get()))),
            config: body.config.as_ref().map(|text| kept(text.get())),
            schema: body.schema,
            code_version: body.code_version.as_deref(),
            steps: body.steps.iter().map(|step| Step::of(step, body)).collect(),
            faults: &body.faults,
            question: body.question.as_ref(),
            answers,
            wait: body.wait.as_ref(),
            crash_count: body.crash_count,
            generation: body.generation,
            replay_of: body.replay_of.as_deref(),
            owner: record.owner.as_deref(),
            lease_until: instant(record.lease.filter(|lease| !lease.over).map(|lease| lease.until)),
            paused: record.paused,
            cancelling: record.cancelling,
            due_at: instant(record.due_at),
            expires_at: instant(record.expires_at),
            started_at: instant(body.started_at),
            finished_at: instant(body.finished_at),
            updated_at: rfc3339(record.updated_at),
            reviewed_at: instant(record.reviewed_at),
        }
    }
}

#[derive(Serialize)]
struct Step<'a> {
    name: &'a str,
    effect: &'static str,
    state: crate::remember::runs::StepState,
    output: Option<Box<RawValue>>,
    cursor: Option<Box<RawValue>>,
}

impl<'a> Step<'a> {
    fn of(step: &'a StepRecord, body: &Body) -> Self {
        Self {
            name: &step.name,
            effect: step.effect.as_str(),
            state: step.state,
            output: step.output.as_ref().map(|text| kept(&body.safe(text.get()))),
            cursor: step.cursor.as_ref().map(|text| kept(&body.safe(text.get()))),
        }
    }
}

#[derive(Serialize)]
struct Event<'a> {
    seq: u64,
    from: Option<&'a str>,
    to: &'a str,
    code: &'a str,
    why: &'a str,
    actor: &'a str,
    step: Option<&'a str>,
    attempt: u32,
    at: String,
    data: Option<Box<RawValue>>,
}

impl<'a> Event<'a> {
    fn of(stored: &'a StoredEvent, count: &mut Count) -> Self {
        let event = &stored.event;
        Self {
            seq: stored.seq,
            from: event.from.as_deref(),
            to: &event.to,
            code: &event.code,
            why: &event.why,
            actor: &event.actor,
            step: event.step.as_deref(),
            attempt: count.of(event),
            at: rfc3339(stored.at),
            data: event.data.as_deref().map(kept),
        }
    }
}

/// Counts the attempts of a history as [`Run::tries`] does: an attempt of the run may be several of a step.
#[derive(Default)]
struct Count {
    /// The attempt of the run that is under way.
    attempt: u32,
    /// The tries of all attempts before it.
    before: u32,
    /// The last of the step's own attempts within it that is told of.
    told: u32,
    /// The one that goes on now.
    step: u32,
}

impl Count {
    fn of(&mut self, event: &store::Event) -> u32 {
        #[derive(Deserialize)]
        struct Data {
            step_attempt: u32,
            delay_ms: Option<u64>,
        }
        if event.attempt == 0 {
            return 0;
        }
        if event.attempt > self.attempt {
            // What lies before a history that was cut has left no numbers of its steps.
            let unseen = event.attempt - self.attempt - 1;
            self.before = self.before.saturating_add(self.told).saturating_add(unseen);
            (self.attempt, self.told, self.step) = (event.attempt, 1, 1);
        }
        let data = event.data.as_deref().and_then(|data| serde_json::from_str::<Data>(data).ok());
        let Some(data) = data else { return self.before.saturating_add(self.step) };
        let shown = self.before.saturating_add(data.step_attempt);
        self.told = self.told.max(data.step_attempt);
        // After a wait in which the run was kept it is tried once more.
        self.step = self.told.saturating_add(u32::from(data.delay_ms.is_some()));
        shown
    }
}

/// What may be shown of JSON that a job has stored: whatever stands under the name of a secret is left out.
pub(super) fn hidden(json: &str) -> Cow<'_, str> {
    const NAMES: Names = Names::new();
    NAMES.body(json.as_bytes())
}

/// The same as JSON on one line.
fn kept(json: &str) -> Box<RawValue> {
    raw(&hidden(json))
}

/// JSON text on one line, every digit kept; what is not JSON becomes a string.
pub(super) fn raw(text: &str) -> Box<RawValue> {
    let json = serde_json::from_str::<&RawValue>(text).ok();
    let json = json.and_then(|json| RawValue::from_string(on_one_line(json.get())).ok());
    let as_string = || serde_json::value::to_raw_value(text).unwrap_or_default();
    json.unwrap_or_else(as_string)
}

/// Valid JSON without the white space between its tokens.
pub(super) fn on_one_line(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            quoted = c == '"';
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stays_on_its_line_and_keeps_its_digits() {
        assert_eq!(
            kept(r#"{ "api_key": "s3cr3t", "page": 1 }"#).get(),
            r#"{"api_key":"[redacted]","page":1}"#
        );
        let pretty = "{\n  \"a b\": 9007199254740993,\t\"q\": \"x \\\" \\\\\",\r\n \"n\": 1.50 }";
        assert_eq!(raw(pretty).get(), r#"{"a b":9007199254740993,"q":"x \" \\","n":1.50}"#);
        assert_eq!(raw("not json").get(), r#""not json""#);
        assert_eq!(raw("").get(), r#""""#);
    }
}
