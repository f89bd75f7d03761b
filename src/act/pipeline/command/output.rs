//! What a program wrote, beside the run whose step it was: the beginning and the end of each stream, without their secrets.

use serde::Serialize;

use crate::act::command::{Captured, Outcome};
use crate::act::pipeline::Cx;
use crate::act::pipeline::command::kept;
use crate::decide::run;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Move, OUTPUT, Reason};
use crate::remember::store::BODY_MAX;

/// What is kept of each stream, in bytes, unless it needs more room as JSON.
const STREAM_MAX: usize = 60 * 1024;
/// Less is not tried.
const STREAM_MIN: usize = 1024;

/// What the event's data is.
#[derive(Default, Serialize)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_bytes: Option<u64>,
}

/// Writes it down. It is the step's end that counts: an output that cannot be stored fails nothing.
pub(super) fn save(cx: &Cx, outcome: &Outcome, wrote: (u64, u64)) {
    let (out, err) = (&outcome.stdout, &outcome.stderr);
    if wrote == (0, 0) {
        return;
    }
    let text = |stream: &Captured, max: usize, wrote: u64| Some(kept(stream, max)).filter(|_| wrote > 0);
    let whole = |max: usize| {
        let (stdout, stderr) = (text(out, max, wrote.0), text(err, max, wrote.1));
        let (stdout, stderr) = (stdout.as_deref(), stderr.as_deref());
        let output = Output {
            stdout,
            stdout_bytes: stdout.map(|_| wrote.0),
            stderr,
            stderr_bytes: stderr.map(|_| wrote.1),
        };
        written(&output)
    };
    if let Some(data) = whole(STREAM_MAX) {
        tell(cx, wrote, data);
        return;
    }
    // Each stream has room by itself, unless it is more escapes than text.
    for (is_out, stream, bytes) in [(true, out, wrote.0), (false, err, wrote.1)] {
        let mut max = STREAM_MAX;
        while max >= STREAM_MIN && bytes > 0 {
            let text = kept(stream, max);
            let output = if is_out {
                Output { stdout: Some(&text), stdout_bytes: Some(bytes), ..Output::default() }
            } else {
                Output { stderr: Some(&text), stderr_bytes: Some(bytes), ..Output::default() }
            };
            if let Some(data) = written(&output) {
                tell(cx, if is_out { (bytes, 0) } else { (0, bytes) }, data);
                break;
            }
            max = max / 8 * 7;
        }
    }
}

fn written(output: &Output<'_>) -> Option<String> {
    serde_json::to_string(output).ok().filter(|data| data.len() <= BODY_MAX)
}

fn tell(cx: &Cx, wrote: (u64, u64), data: String) {
    let why = match wrote {
        (out, 0) => format!("it wrote {out} bytes to stdout"),
        (0, err) => format!("it wrote {err} bytes to stderr"),
        (out, err) => format!("it wrote {out} bytes to stdout and {err} to stderr"),
    };
    let holding = cx.holding();
    let asked = cx.now().moment;
    let (from, event) = (holding.state(), run::Event::Checkpoint);
    let step = Move {
        actor: &holding.actor,
        step: Some(cx.step()),
        lease: Some(holding.lease),
        data: Some(data),
        ..Move::new(&holding.id, from, event, holding.expect(), Reason::new(OUTPUT, why))
    };
    if let Ok(applied) = block_on(holding.runs.apply(step)) {
        holding.heard(asked, applied.first());
        let at = applied.first().map(|written| written.version);
        let mut body = holding.body();
        body.output_at = body.output_at.or(at);
    }
}
