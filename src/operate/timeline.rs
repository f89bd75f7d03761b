//! The story of a run: its events in order, put into sentences. Pure: what is printed where is not its matter.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::act::exchange::Recorded;
use crate::base::text;
use crate::base::time::Timestamp;
use crate::remember::store::StoredEvent;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The state after it, if it changed.
    pub state: Option<String>,
    /// What happened and why, as one sentence without a full stop.
    pub text: String,
    /// The reason's stable word.
    pub code: String,
    /// Who, unless the sentence says so already.
    pub actor: Option<String>,
    /// The fault that was seen, if one was.
    pub fault: Option<String>,
    /// What else was kept: a name and a value each.
    pub details: Vec<(String, String)>,
}

/// The events as moments, in the order given.
///
/// An event's data may be any JSON; a member `fault` with `code`, `class` and `chain` becomes the moment's fault, an
/// `action` with `numbers` what was done about it (`why -> action`), the other members of an object become its details,
/// and whatever is no object is one detail called `data`.
#[must_use]
pub fn of(history: &[StoredEvent]) -> Vec<Moment> {
    let mut before: Option<(&str, &str)> = None;
    let mut moments = Vec::with_capacity(history.len());
    for stored in history {
        let event = &stored.event;
        let (state_before, actor_before) = before.unzip();
        // A record begins, or a takeover keeps the state and changes the hands: both are worth the word.
        let changed = state_before != Some(event.to.as_str()) || event.code == "run.taken_over";
        let told = told(event.data.as_deref());
        let (mut text, names_actor) = sentence(stored, told.step_attempt);
        if let Some(action) = &told.action {
            text.push_str(&format!(" -> {action}"));
        }
        let fault = told.fault.map(|fault| fault.beside(&text));
        moments.push(Moment {
            at: stored.at,
            state: changed.then(|| event.to.clone()),
            text,
            code: event.code.clone().into_owned(),
            actor: (!names_actor && actor_before != Some(event.actor.as_str())).then(|| event.actor.clone()),
            fault,
            details: told.details,
        });
        before = Some((&event.to, &event.actor));
    }
    moments
}

/// What happened, and whether it says by whom.
fn sentence(stored: &StoredEvent, step_attempt: Option<u64>) -> (String, bool) {
    let event = &stored.event;
    let (actor, why) = (&event.actor, event.why.trim());
    let named = match &*event.code {
        "run.submitted" => Some(format!("{why} by {actor}")),
        "run.claimed" => Some(format!("taken by {actor} because {why}")),
        "run.taken_over" => Some(format!("taken over by {actor}: {why}")),
        "run.note" => Some(format!("note by {actor}: {why}")),
        "run.reviewed" => Some(format!("reviewed by {actor}: {why}")),
        // The reason itself says who: "operator:ada sent it round again …".
        _ if !actor.is_empty() && why.contains(actor.as_str()) => Some(why.to_owned()),
        _ => None,
    };
    let says_actor = named.is_some();
    let what = named.unwrap_or_else(|| if why.is_empty() { event.code.to_string() } else { why.to_owned() });
    let place = match (&event.step, step_attempt) {
        // "step load is done" needs no "step load:" before it.
        (Some(step), _) if what.strip_prefix("step ").is_some_and(|rest| rest.starts_with(step.as_str())) => {
            String::new()
        }
        (Some(step), Some(attempt)) => format!("step {step}, attempt {attempt}: "),
        (Some(step), None) => format!("step {step}: "),
        (None, _) => String::new(),
    };
    (place + &what, says_actor)
}

/// What an event's data says.
#[derive(Default)]
struct Told {
    fault: Option<Seen>,
    step_attempt: Option<u64>,
    /// What was done about it, of a decision of the application's own.
    action: Option<String>,
    details: Vec<(String, String)>,
}

fn told(data: Option<&str>) -> Told {
    let Some(data) = data else { return Told::default() };
    let one = |value: String| Told { details: vec![(String::from("data"), value)], ..Told::default() };
    let mut members = match serde_json::from_str(data) {
        Ok(Value::Object(members)) => members,
        Ok(other) => return one(plain(&other)),
        Err(_) => return one(data.to_owned()),
    };
    let fault = members.get("fault").and_then(Seen::of);
    if fault.is_some() {
        members.remove("fault");
    }
    let step_attempt = members.get("step_attempt").and_then(Value::as_u64);
    if step_attempt.is_some() {
        members.remove("step_attempt");
    }
    let action = decided(&mut members);
    let exchanges = members.get("exchanges").and_then(|value| Vec::<Recorded>::deserialize(value).ok());
    if exchanges.is_some() {
        members.remove("exchanges");
    }
    let rest = members.iter().filter(|(_, value)| !value.is_null());
    let mut details: Vec<_> = rest.map(|(name, value)| detail(name, value)).collect();
    details.extend(exchanges.iter().flatten().flat_map(exchange));
    Told { fault, step_attempt, action, details }
}

/// What a decision of the application's own has done; its numbers become members like others.
fn decided(members: &mut serde_json::Map<String, Value>) -> Option<String> {
    let action = members.get("action")?.as_str()?.to_owned();
    let Value::Object(numbers) = members.get("numbers")?.clone() else { return None };
    members.clear();
    members.extend(numbers);
    Some(action)
}

/// A member as it is told: what is named as milliseconds becomes a duration.
fn detail(name: &str, value: &Value) -> (String, String) {
    match (name.strip_suffix("_ms"), value.as_u64()) {
        (Some(name), Some(millis)) if !name.is_empty() => {
            (name.to_owned(), text::about(Duration::from_millis(millis)))
        }
        _ => (name.to_owned(), plain(value)),
    }
}

/// What was asked and answered: a line for the whole, and one for each part that there is.
fn exchange(kept: &Recorded) -> Vec<(String, String)> {
    let mut lines = vec![(String::from("exchange"), kept.to_string())];
    for (side, part) in [("request", &kept.request), ("response", &kept.response)] {
        if !part.headers.is_empty() {
            let headers: Vec<_> =
                part.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            lines.push((format!("{side} headers"), headers.join(", ")));
        }
        if !part.body.is_empty() {
            lines.push((format!("{side} body"), part.body.clone()));
        }
    }
    lines
}

/// A fault that an event carries.
struct Seen {
    /// `io.timed_out (transient)`, of whatever parts there are.
    what: String,
    /// What the error and its sources said.
    chain: Option<String>,
}

impl Seen {
    fn of(fault: &Value) -> Option<Self> {
        let part = |name: &str| fault.get(name).and_then(Value::as_str).filter(|part| !part.is_empty());
        let mut what = part("code")?.to_owned();
        let severity = part("severity").filter(|severity| *severity != "recoverable");
        let marks: Vec<_> = [part("class"), severity].into_iter().flatten().collect();
        if !marks.is_empty() {
            what.push_str(&format!(" ({})", marks.join(", ")));
        }
        Some(Self { what, chain: part("chain").map(str::to_owned) })
    }

    /// The fault as it is told beside `text`, which may have said the chain already.
    fn beside(self, text: &str) -> String {
        match self.chain.filter(|chain| !text.contains(chain.as_str())) {
            Some(chain) => format!("{}: {chain}", self.what),
            None => self.what,
        }
    }
}

/// Text as it is, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remember::store::{BatchId, Event};

    fn event(to: &str, actor: &str, code: &'static str, why: &str) -> Event {
        Event::new(None, to, actor, code, why)
    }

    fn told_as(events: Vec<Event>) -> Vec<Moment> {
        let at = |seq: u64| Timestamp::from_timestamp_millis(i64::try_from(seq).unwrap() * 1000).unwrap();
        let stored = events
            .into_iter()
            .zip(1..)
            .map(|(event, seq)| StoredEvent::new(seq, at(seq), 0, BatchId::from_bytes([0; 16]), event));
        of(&stored.collect::<Vec<_>>())
    }

    #[test]
    fn a_claim_says_who_and_why_once() {
        let moments = told_as(vec![
            event("queued", "producer", "run.submitted", "submitted"),
            event("processing", "worker:a/1", "run.claimed", "it was due"),
            event("processing", "worker:a/1", "step.done", "done"),
            event("processing", "worker:b/2", "run.taken_over", "worker:a/1, who worked on it, is gone"),
        ]);
        let texts: Vec<_> = moments.iter().map(|moment| moment.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "submitted by producer",
                "taken by worker:a/1 because it was due",
                "done",
                "taken over by worker:b/2: worker:a/1, who worked on it, is gone"
            ]
        );
        assert!(moments.iter().all(|moment| moment.actor.is_none()), "nobody is named twice");
        let states: Vec<_> = moments.iter().map(|moment| moment.state.as_deref()).collect();
        assert_eq!(states, [Some("queued"), Some("processing"), None, Some("processing")]);
    }

    #[test]
    fn data_is_told_whatever_it_is() {
        let with = |data: &str| {
            let mut event = event("failed_transient", "worker:a/1", "retry.wait", "try again in 5 s");
            event.data = Some(data.to_owned());
            event.step = Some(String::from("load"));
            told_as(vec![event]).remove(0)
        };
        let fault = with(
            r#"{"fault":{"class":"transient","severity":"recoverable","code":"io.timed_out","chain":"no answer"},"step_attempt":2,"delay_ms":5000,"none":null}"#,
        );
        assert_eq!(fault.text, "step load, attempt 2: try again in 5 s");
        assert_eq!(fault.fault.as_deref(), Some("io.timed_out (transient): no answer"));
        assert_eq!(fault.details, [(String::from("delay"), String::from("5.0 s"))]);
        assert_eq!(fault.actor.as_deref(), Some("worker:a/1"));
        let said = with(r#"{"fault":{"class":"transient","code":"io.timed_out","chain":"again in 5 s"}}"#);
        assert_eq!(said.fault.as_deref(), Some("io.timed_out (transient)"), "the reason says the rest");
        assert_eq!(said.text, "step load: try again in 5 s");
        assert_eq!(with("[1,2]").details, [(String::from("data"), String::from("[1,2]"))]);
        assert_eq!(with("not json").details, [(String::from("data"), String::from("not json"))]);
        assert_eq!(with(r#"{"fault":7}"#).details, [(String::from("fault"), String::from("7"))]);
        let fatal = with(r#"{"fault":{"severity":"fatal","code":"io.storage_full"}}"#);
        assert_eq!(fatal.fault.as_deref(), Some("io.storage_full (fatal)"));
    }

    #[test]
    fn a_decision_of_the_application_is_why_and_what_was_done() {
        let with = |data: &str| {
            let why = "disk space below the safe threshold";
            let mut event = event("processing", "worker:a/1", "disk.low", why);
            event.data = Some(data.to_owned());
            told_as(vec![event]).remove(0)
        };
        let told = with(r#"{"action":"cleanup","numbers":{"free_bytes":1200,"waited_ms":5000}}"#);
        assert_eq!(told.text, "disk space below the safe threshold -> cleanup");
        let details =
            [("free_bytes", "1200"), ("waited", "5.0 s")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(told.details, details);
        assert_eq!(with(r#"{"action":"cleanup"}"#).text, "disk space below the safe threshold", "not ours");
    }

    #[test]
    fn a_reason_that_names_its_step_is_not_told_it_again() {
        let with = |why: &str| {
            let step = Some(String::from("load"));
            told_as(vec![Event { step, ..event("processing", "w", "step.done", why) }]).remove(0).text
        };
        assert_eq!(with("step load is done"), "step load is done");
        assert_eq!(with("120 rows"), "step load: 120 rows");
    }

    #[test]
    fn an_empty_reason_is_told_by_its_word() {
        assert_eq!(told_as(vec![event("queued", "", "step.saved", " ")])[0].text, "step.saved");
    }
}
