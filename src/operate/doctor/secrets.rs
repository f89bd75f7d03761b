//! Whether a secret stands where it can be read: in a configuration, or in what runs keep. None is ever told, only where it
//! stands.

use serde_json::Value;

use crate::base::redact::{Names, REDACTED};
use crate::operate::doctor::tally::Tally;
use crate::operate::doctor::{Application, Check};
use crate::remember::runs::Run;

/// How secrets of well-known kinds begin.
const BEGINNINGS: [&str; 14] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "AIza",
    "-----BEGIN",
    "Bearer ",
];
/// The shortest text that is taken for one by its beginning.
const LENGTH_MIN: usize = 16;
/// How deep is looked.
const DEPTH_MAX: usize = 64;
/// How many findings are told of one document.
const FOUND_MAX: usize = 10;

pub(super) fn check(app: &Application, runs: &Result<Vec<Run>, String>) -> Check {
    let mut tally = Tally::default();
    for config in &app.configs {
        match config.as_deref().map(serde_json::from_str::<Value>) {
            Ok(Ok(value)) => {
                let found = open(&value);
                if found.is_empty() {
                    tally.pass("no secret stands in the configuration");
                }
                found
                    .into_iter()
                    .for_each(|path| tally.fail(format!("a secret stands in the configuration at {path}")));
            }
            _ => tally.unknown("the configuration cannot be written as JSON"),
        }
    }
    match runs {
        Ok(runs) if app.store.is_some() => stored(runs, &mut tally),
        Ok(_) => {}
        Err(_) => tally.unknown("what runs keep cannot be read"),
    }
    let todo = "hold it in a `Secret`, read it where it is needed, and call its place in an input `sensitive` in the contract";
    tally.check("secrets", "no secret stands where it can be read", todo)
}

fn stored(runs: &[Run], tally: &mut Tally) {
    let mut clean = 0_u32;
    for run in runs {
        let kept = [Some(run.body.safe_input()), run.body.config.as_ref().map(|config| config.get().into())];
        let open: Vec<String> = kept
            .into_iter()
            .flatten()
            .filter_map(|json| serde_json::from_str::<Value>(&json).ok())
            .flat_map(|value| open(&value))
            .collect();
        match open.first() {
            None => clean += 1,
            Some(path) => {
                tally.fail(format!("a secret stands in run {} of {} at {path}", run.id(), run.job()))
            }
        }
    }
    if clean as usize == runs.len() {
        tally.pass(format!("no secret is shown of the newest {clean} runs"));
    }
}

/// Where secrets stand, as JSON pointers; a document that is a secret itself is at `/`.
fn open(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(value, "", false, &mut found);
    found
}

fn look(value: &Value, path: &str, named: bool, found: &mut Vec<String>) {
    if found.len() >= FOUND_MAX || path.matches('/').count() > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            let names = Names::new();
            for (name, value) in members {
                let below = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                look(value, &below, named || names.is_secret(name), found);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                look(value, &format!("{path}/{at}"), named, found);
            }
        }
        Value::String(text) => {
            let open = !text.is_empty() && text != REDACTED;
            if open && (named || looks_like_one(text)) {
                found.push(if path.is_empty() { String::from("/") } else { path.to_owned() });
            }
        }
        _ => {}
    }
}

fn looks_like_one(text: &str) -> bool {
    let token = text.starts_with("eyJ") && text.matches('.').count() == 2;
    let address = text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') && !user.contains(REDACTED))
    });
    address || (text.len() >= LENGTH_MIN && (token || BEGINNINGS.iter().any(|begin| text.starts_with(begin))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_their_names_and_by_their_looks() {
        let value = serde_json::json!({
            "folder": "/srv",
            "api_token": "hunter2",
            "nested": {"password": ["a"], "session": "[redacted]", "secret": ""},
            "db": "postgres://ada:pw@db/x",
            "plain": "postgres://ada@db/x",
            "odd": "ghp_0123456789abcdef0123",
        });
        assert_eq!(open(&value), ["/api_token", "/db", "/nested/password/0", "/odd"]);
    }
}
