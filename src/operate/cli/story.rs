//! `explain`: a run's events as a story. What was seen, what was decided and why, what was done.

use std::io::{self, Write};

use crate::base::text::{about, second, shortened, shown};
use crate::base::time::{Timestamp, between};
use crate::decide::run::State;
use crate::operate::cli::print::{Paint, When, width};
use crate::operate::operator::Whole;
use crate::operate::timeline::{self, Moment};
use crate::remember::runs::Run;

/// Characters of a detail for people; `--json` has the whole.
const DETAIL_WIDTH: usize = 400;
/// A story that paused for this long goes on with a date of its own.
const PAUSE_SECONDS: u64 = 3600;
/// How wide a date is.
const DATE: usize = "2026-11-22 01:02:03".len();

/// The whole in one sentence: how it stands, since when, and why.
pub(super) fn summary(run: &Run) -> String {
    let body = &run.body;
    let tries = match run.tries() {
        0 => String::from("not tried yet"),
        1 => String::from("tried once"),
        n => format!("tried {n} times"),
    };
    let died = match body.crash_count {
        0 => String::new(),
        1 => String::from(", 1 process died at it"),
        n => format!(", {n} processes died at it"),
    };
    let stands = match run.state() {
        State::Queued => "waits for a worker",
        State::Processing => "is being worked on",
        State::WaitingExternal => "waits for an answer from outside",
        State::FailedTransient => "failed for now, and is tried again",
        State::NeedsReview => "needs a person",
        State::Succeeded => "succeeded",
        State::FailedPermanent => "failed for good",
        State::Cancelled => "was cancelled",
        State::Skipped => "was skipped",
        State::Expired => "expired",
        State::Compensating => "is being undone",
        State::Compensated => "was undone",
    };
    let after = body.finished_at.map(|at| format!(" after {}", about(between(run.record.created_at, at))));
    let why = if body.why.is_empty() { String::new() } else { format!(": {}", shown(&body.why)) };
    format!("It {stands}{}{why} ({tries}{died}).", after.unwrap_or_default())
}

pub(super) fn story(whole: &Whole, when: When, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let moments = timeline::of(&whole.history);
    let states = moments.iter().filter_map(|moment| moment.state.as_ref());
    let states = states.map(|state| width(state)).max().unwrap_or(0);
    let mut anchor: Option<Timestamp> = None;
    let mut before = None;
    for moment in &moments {
        let pause = before.is_some_and(|before| between(before, moment.at).as_secs() >= PAUSE_SECONDS);
        let at = match anchor.filter(|anchor| !when.absolute && !pause && *anchor <= moment.at) {
            Some(anchor) => format!("+{}", about(between(anchor, moment.at))),
            None => {
                anchor = Some(moment.at);
                second(moment.at).to_string()
            }
        };
        before = Some(moment.at);
        let state = moment.state.as_deref().unwrap_or_default();
        let pad = " ".repeat(states.saturating_sub(width(state)));
        let state = paint.state(state, shown(state));
        let mut tail = format!("[{}", shown(&moment.code));
        if let Some(actor) = &moment.actor {
            tail.push_str(&format!(", by {}", shown(actor)));
        }
        tail.push(']');
        writeln!(out, "{at:>DATE$}  {state}{pad}  {}  {}", shown(&moment.text), paint.dim(tail))?;
        beside(moment, DATE + states + 6, paint, out)?;
    }
    if whole.cut {
        writeln!(out, "{:>DATE$}  … and more than is shown here", "")?;
    }
    Ok(())
}

/// What was seen and what else was kept, below the sentence.
fn beside(moment: &Moment, indent: usize, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let indent = " ".repeat(indent);
    if let Some(fault) = &moment.fault {
        writeln!(
            out,
            "{indent}{}{}",
            paint.dim("seen: "),
            paint.bad(shown(&shortened(fault, DETAIL_WIDTH)))
        )?;
    }
    for (name, value) in &moment.details {
        let value = shortened(value, DETAIL_WIDTH);
        writeln!(out, "{indent}{}", paint.dim(format!("{}: {}", shown(name), shown(&value))))?;
    }
    Ok(())
}
