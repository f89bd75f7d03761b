//! `credential ok`: a person's word, and the runs that waited for it.

use serde::Serialize;

use crate::act::credential::Cleared;
use crate::base::text::{Rate, shown};
use crate::operate::cli::change::{counted, report};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::{Need, Session};
use crate::operate::operator::{RUNS_MAX, Released};
use crate::remember::blocking::block_on;

/// What became of a credential, after an object for each of its runs.
#[derive(Serialize)]
struct Answer<'a> {
    credential: &'a str,
    was: &'static str,
    released: usize,
    left: usize,
    more: bool,
}

pub(super) fn credential_ok(session: &mut Session<'_, '_>, name: &str, rate: Rate) -> Result<Exit, Stop> {
    if name.trim().is_empty() {
        return Err(Failure::usage("the credential has no name").into());
    }
    let operator = session.operator(Need::Write)?;
    let now = session.host.clock.now().wall;
    let released =
        block_on(operator.credential_ok(name, now, rate)).map_err(|error| session.failed(&error))?;
    let Released { cleared, outcomes, more } = released;
    if cleared == Cleared::Unknown && outcomes.is_empty() {
        let message = format!("no credential {name} is kept in this store, and no run waits for it");
        return Err(Failure::new(Exit::Failed, "credential.unknown", message)
            .hint(format!("`{} runs --state waiting_external` says what runs wait for", session.program()))
            .into());
    }
    let _left_or_not = report(session, &outcomes, false)?;
    let sent = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let left = outcomes.len() - sent;
    if session.json() {
        let was = match cleared {
            Cleared::Done => "needs_human",
            Cleared::NotNeeded => "ok",
            Cleared::Unknown => "unknown",
        };
        session.object(&Answer { credential: name, was, released: sent, left, more })?;
        return Ok(Exit::Done);
    }
    let what = match cleared {
        Cleared::Done => "may be refreshed again",
        Cleared::NotNeeded => "did not need a person",
        Cleared::Unknown => "is not kept in this store",
    };
    let runs = counted(sent);
    writeln!(session.out(), "credential {} {what}; {runs} that waited for it released", shown(name))?;
    if more {
        writeln!(session.out(), "there may be more than {RUNS_MAX}; say it again for the others")?;
    }
    Ok(Exit::Done)
}
