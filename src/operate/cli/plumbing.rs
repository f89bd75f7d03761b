//! Verbs that need no store: canonical JSON, keys.

use std::io::Read as _;

use serde::Serialize;

use crate::base::canonical::{self, Fingerprint, InvalidKey, Key};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::print::Facts;
use crate::operate::cli::session::Session;

/// JSON on stdin to canonical bytes on stdout, and not a byte more.
pub(super) fn canonical(session: &mut Session<'_, '_>) -> Result<Exit, Stop> {
    let json = read_json(session)?;
    let text = canonical::from_text(&json).map_err(|error| not_canonical(&error))?;
    session.out().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// The key of a piece of work, and the fingerprint of the payload on stdin.
pub(super) fn key(session: &mut Session<'_, '_>, scope: &str, kind: &str, id: &str) -> Result<Exit, Stop> {
    #[derive(Serialize)]
    struct Answer<'a> {
        key: &'a str,
        fingerprint: &'a str,
    }
    let key = Key::new(scope, kind, id).map_err(|error| bad_key(&error))?;
    let json = read_json(session)?;
    let fingerprint = Fingerprint::of_text(&json).map_err(|error| not_canonical(&error))?.to_string();
    if session.json() {
        return session.object(&Answer { key: key.as_str(), fingerprint: &fingerprint }).map(|()| Exit::Done);
    }
    let mut facts = Facts::default();
    facts.text("key", key.as_str());
    facts.text("fingerprint", &fingerprint);
    let paint = session.paint();
    facts.write(session.out(), paint)?;
    Ok(Exit::Done)
}

fn read_json(session: &mut Session<'_, '_>) -> Result<Vec<u8>, Stop> {
    session.say_that_input_is_read()?;
    let limit = canonical::BYTES_MAX as u64;
    let mut json = Vec::new();
    let read = session.input().take(limit.saturating_add(1)).read_to_end(&mut json);
    read.map_err(|error| {
        Failure::new(Exit::Failed, "input.failed", format!("stdin cannot be read: {error}"))
    })?;
    if json.len() > canonical::BYTES_MAX {
        let message = format!("stdin has more than {limit} bytes, the most that is read");
        return Err(Failure::new(Exit::Failed, "canonical.too_long", message).into());
    }
    if json.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::new(Exit::Failed, "canonical.invalid", "there is no JSON on stdin")
            .hint("pipe it in: echo '{\"total\": 1.50}' | …")
            .into());
    }
    Ok(json)
}

fn not_canonical(error: &canonical::Error) -> Failure {
    let failure = Failure::new(Exit::Failed, "canonical.invalid", format!("the JSON on stdin: {error}"));
    match error.problem {
        canonical::Problem::DuplicateKey { .. } => {
            failure.hint("which of the two counts is not for a program to guess")
        }
        _ => failure,
    }
}

fn bad_key(error: &InvalidKey) -> Failure {
    Failure::usage(chain(error)).hint("a key is made of --scope, --kind and --id, none of them empty")
}
