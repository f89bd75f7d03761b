//! A step that is another program.

mod output;
mod report;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::act::command::{self, Captured, Child, Command, Outcome, Signal, Waited};
use crate::act::pipeline::command::report::{Done, Report, ReportFile, is_code};
use crate::act::pipeline::{Cx, Hold, Interrupt, Step, StepError};
use crate::base::effect::Effect;
use crate::base::fault::{Class, Classify, Fault, Reached};
use crate::base::redact::{self, Names, Redact};
use crate::base::text;

pub(crate) use report::clear as clear_reports;

/// How much of each stream is kept in the run's record, in bytes.
const TEXT_MAX: usize = 8 * 1024;
/// How much of stderr stands in the chain of a failure, in bytes.
const CHAIN_ROOM: usize = 2 * 1024;
/// How often it is looked whether the run is still to go on, and how far the program says it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a program may go on whose run somebody else has by now.
const LOST_GRACE: Duration = Duration::ZERO;
/// So much of what a program wrote, in bytes, has room in its step's record.
const SMALL: u64 = 8 * 1024;

impl Step {
    /// A step that is another program: done when it exits with a success, failed with what its exit code means otherwise
    /// ([`Command::codes`](crate::act::command::Command::codes)). Its output is `{"code", "stdout", "stderr"}`; of each stream the beginning and the
    /// end are kept, 8 KiB in all, without what [`Names`] takes for secrets. A failure has the end of
    /// stderr in its chain.
    ///
    /// It is ended when its own time-out is over, when the run is cancelled, lost or not worth doing any more, or when the process stops, unless its
    /// effect is [`Unsafe`](Effect::Unsafe). Where the step has a [time-out](Self::timeout), all of that is over within it: at most a quarter of it is the grace, a tenth the drain.
    ///
    /// The program is told `UNATTENDED_RUN_ID`, `UNATTENDED_KEY` (where the run has one), `UNATTENDED_DEADLINE`, and
    /// `UNATTENDED_REPORT`: a file into which it may write, at any time, a JSON object of any of these:
    ///
    /// | member | |
    /// |---|---|
    /// | `class` | of its failure: `transient`, `rate_limited`, `unauthorized`, `permanent` or `unknown` |
    /// | `reached` | whether what it was for may have been done: `no`, `maybe` or `yes`; default `yes` for `permanent`, else `maybe` |
    /// | `code` | of its failure: dotted words of small letters, digits and `_` |
    /// | `retry_after_ms` | how long it is to be left alone |
    /// | `why` | a sentence |
    /// | `progress` | `{"done": 3, "total": 10}`; kept as by [`Cx::report`] |
    ///
    /// What cannot be read there is left out, and the step's note says so.
    ///
    /// ```
    /// use unattended::command::{Codes, Command};
    /// use unattended::effect::Effect;
    /// use unattended::{job::Job, pipeline::Step};
    ///
    /// let copy = Command::new("rsync").args(["-a", "/var/lib/app/", "backup:/app/"]).codes(Codes::rsync());
    /// let job = Job::new("copy").step(Step::command("copy", Effect::Idempotent, copy)).build()?;
    /// # drop(job);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn command(name: impl Into<String>, effect: Effect, command: Command) -> Self {
        Self::blocking(name, effect, move |cx| run(cx, effect, &command, None))
    }

    /// The same, with a command that depends on the run: on its input, or on what the steps before it gave.
    #[must_use]
    pub fn command_from<F>(name: impl Into<String>, effect: Effect, command: F) -> Self
    where
        F: Fn(&Cx) -> Result<Command, StepError> + Send + Sync + 'static,
    {
        Self::blocking(name, effect, move |cx| run(cx, effect, &command(cx)?, None))
    }

    /// The same, for whoever stands around the program: it says what is run, lets it in, and hears how it ended.
    #[allow(dead_code, reason = "asked for by the tool")]
    pub(crate) fn command_around(name: impl Into<String>, effect: Effect, around: Arc<dyn Around>) -> Self {
        Self::blocking(name, effect, move |cx| {
            let command = around.command(cx)?;
            around.behind(&mut || run(cx, effect, &command, Some(&*around)))
        })
    }
}

/// Who stands around a program that is run as a step.
pub(crate) trait Around: Send + Sync {
    /// What is run in this attempt.
    fn command(&self, cx: &Cx) -> Result<Command, StepError>;

    /// Makes the attempt, once it may be made.
    fn behind(&self, attempt: &mut dyn FnMut() -> Result<Given, StepError>) -> Result<Given, StepError>;

    /// It runs, and has for so long.
    fn working(&self, age: Duration);

    /// The folder in which the program's report lies, if not in that for temporary files.
    fn reports(&self) -> Option<PathBuf>;

    /// How it ended, before anything is written of it.
    fn ended(&self, ended: &Result<Outcome, command::Error>);

    /// Takes out of what it wrote what must not be told, before anything is cut from that.
    fn clean(&self, outcome: &mut Outcome);

    /// A text as it may be stored.
    fn scrubbed(&self, text: String) -> String;
}

/// What the step gives.
#[derive(Debug, Serialize)]
pub(crate) struct Given {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(cx: &Cx, effect: Effect, command: &Command, around: Option<&dyn Around>) -> Result<Given, StepError> {
    let report = ReportFile::of(cx.run_id(), around.and_then(Around::reports)).map_err(|error| {
        let fault = error.fault().reached(Reached::No);
        StepError::new(fault, format!("there is no place for the program's report: {error}"))
    })?;
    let command = told(cx, command, &report);
    if around.is_some() {
        cx.holding().body().output_at = None;
    }
    let mut done = drive(cx, effect, &command, &report, around);
    if let Some(around) = around {
        around.ended(&done);
    }
    let wrote = cleaned(&mut done, around);
    let (said, odd) = match report.read() {
        Ok(said) => (said, None),
        Err(odd) => (Report::default(), Some(odd)),
    };
    if let Some(Done { done, total }) = said.progress {
        cx.set_progress(done, total);
    }
    match done {
        Ok(outcome) => {
            if let Some(note) = odd.or(said.why) {
                cx.note(redacted(&scrubbed(around, note)));
            }
            if around.is_some() && wrote.0.saturating_add(wrote.1) > SMALL {
                output::save(cx, &outcome, wrote);
            }
            Ok(Given {
                code: outcome.status.code().unwrap_or_default(),
                stdout: kept(&outcome.stdout, TEXT_MAX),
                stderr: kept(&outcome.stderr, TEXT_MAX),
            })
        }
        Err(error) => {
            if let Some(outcome) = error.outcome().filter(|_| around.is_some()) {
                output::save(cx, outcome, wrote);
            }
            Err(failed(&error, &said, odd, around))
        }
    }
}

/// Cleans what was written; how many bytes that were to stdout and to stderr.
fn cleaned(done: &mut Result<Outcome, command::Error>, around: Option<&dyn Around>) -> (u64, u64) {
    let outcome = match done {
        Ok(outcome) => Some(outcome),
        Err(error) => error.outcome_mut(),
    };
    let Some(outcome) = outcome else { return (0, 0) };
    let wrote = (outcome.stdout.bytes, outcome.stderr.bytes);
    if let Some(around) = around {
        around.clean(outcome);
    }
    wrote
}

fn scrubbed(around: Option<&dyn Around>, text: String) -> String {
    match around {
        Some(around) => around.scrubbed(text),
        None => text,
    }
}

/// The command within the bounds of the attempt, told what it works on.
fn told(cx: &Cx, command: &Command, report: &ReportFile) -> Command {
    let mut command =
        command.clone().env("UNATTENDED_RUN_ID", cx.run_id()).env("UNATTENDED_REPORT", report.path());
    command = match cx.key() {
        Some(key) => command.env("UNATTENDED_KEY", key),
        None => command.env_remove("UNATTENDED_KEY"),
    };
    if let Some(until) = cx.holding().expires_at() {
        command = command.deadline_by(until);
    }
    cx.remaining().map_or_else(|| command.clone(), |left| command.clone().within(left))
}

/// Waits for it, and looks meanwhile whether the run is still to go on.
fn drive(
    cx: &Cx,
    effect: Effect,
    command: &Command,
    report: &ReportFile,
    around: Option<&dyn Around>,
) -> Result<Outcome, command::Error> {
    let mut child = command.start()?;
    let mut seen = None;
    loop {
        let waited = child.wait(Some(LOOK_EVERY), None);
        match waited.map_err(|source| command.no_wait(source))? {
            Waited::Exited(outcome) => return command.judge(*outcome),
            Waited::Woken | Waited::TimedOut => {}
        }
        if let Some(around) = around {
            around.working(child.age());
        }
        match cx.holding().hold() {
            Hold::Ours => report.forward(cx, &mut seen),
            Hold::Lost => return command.judge(*child.stop(LOST_GRACE)),
            Hold::Cancelling => match cx.holding().interrupt().filter(|sent| sent.signal().is_some()) {
                Some(sent) => pass_on(sent, &mut child, command),
                None => child.terminate(command.grace_of()),
            },
            // Nobody could say what became of it, so it may end by itself.
            Hold::Stopping if effect == Effect::Unsafe => {}
            Hold::Stopping => {
                cx.holding().cut_short();
                child.terminate(command.grace_of());
            }
        }
    }
}

/// Hands the signal to the program's group. Sent again, it is ended as one whose time is up.
fn pass_on(sent: &Interrupt, child: &mut Child, command: &Command) {
    let Some(number) = sent.take() else { return };
    if sent.pass_on() {
        child.terminate(command.grace_of());
    } else {
        // One that has ended in the very moment is seen by the next wait.
        drop(child.signal(Signal::of(number)));
    }
}

/// The step's error: what the program said of itself counts more than its exit code.
fn failed(
    error: &command::Error,
    said: &Report,
    odd: Option<String>,
    around: Option<&dyn Around>,
) -> StepError {
    // Whoever has put a program in front takes its exit code for its word: it has ended, and has not done it.
    let own_word = around.is_some() && matches!(error, command::Error::NonZero { .. });
    let mut fault = error.fault();
    if own_word {
        fault = fault.reached(Reached::No);
    }
    if let Some(class) = said.class {
        let reached = match class {
            _ if own_word => Reached::No,
            Class::Permanent => Reached::Yes,
            _ => Reached::Maybe,
        };
        fault = Fault { class, severity: class.severity(), ..fault }.reached(said.reached.unwrap_or(reached));
    }
    if let Some(code) = said.code.as_ref().filter(|code| is_code(code)) {
        fault.code = code.clone().into();
    }
    if let Some(wait) = said.retry_after_ms {
        fault.retry_after = Some(Duration::from_millis(wait));
    }
    let clean = |text: String| redacted(&scrubbed(around, text));
    let mut what = clean(error.to_string());
    for more in [said.why.clone().map(clean), odd.map(clean)].into_iter().flatten() {
        what = format!("{what} ({more})");
    }
    let tail = error.outcome().map(|outcome| kept(&outcome.stderr, CHAIN_ROOM));
    let tail = tail.filter(|tail| tail.trim().lines().count() > 1);
    let tail = tail.map(Tail);
    StepError::new(fault, Failed { what, tail })
}

fn redacted(text: &str) -> String {
    Names::new().body(text::shortened(text, 1024).as_bytes()).into_owned()
}

/// The beginning and the end of a stream without their secrets, in so many bytes but for the line between them.
fn kept(captured: &Captured, max: usize) -> String {
    let names = Names::new();
    let all = [&*captured.head, &*captured.tail].concat();
    if captured.is_whole() && all.len() <= redact::TEXT_MAX {
        let all = names.body(&all);
        return if all.len() <= max { all.into_owned() } else { around(&all, &all, max, captured.bytes) };
    }
    let rest = if captured.is_whole() { &all } else { &captured.tail };
    let rest = rest.get(rest.len().saturating_sub(redact::TEXT_MAX)..).unwrap_or_default();
    // It begins amid a line, and what names a secret there may have been left out.
    let line = rest.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    around(
        &names.body(&captured.head),
        &names.body(rest.get(line..).unwrap_or_default()),
        max,
        captured.bytes,
    )
}

fn around(head: &str, tail: &str, max: usize, bytes: u64) -> String {
    let (head, tail) = (text::head(head, max / 2), end_of(tail, max / 2));
    let kept = u64::try_from(head.len().saturating_add(tail.len())).unwrap_or(u64::MAX);
    format!("{head}\n… about {} bytes left out …\n{tail}", bytes.saturating_sub(kept))
}

/// The last bytes of a text, from a character's beginning on.
fn end_of(text: &str, max: usize) -> &str {
    let mut from = text.len().saturating_sub(max);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}

/// What failed, and below it what the program said last.
#[derive(Debug)]
struct Failed {
    what: String,
    tail: Option<Tail>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.tail.as_ref().map(|tail| -> &(dyn Error + 'static) { tail })
    }
}

#[derive(Debug)]
struct Tail(String);

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stderr: {}", self.0.trim())
    }
}

impl Error for Tail {}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(head: &str, tail: &str, bytes: u64) -> Captured {
        Captured { head: head.into(), tail: tail.into(), bytes }
    }

    #[test]
    fn what_is_kept_has_no_secrets_and_a_bound() {
        assert_eq!(kept(&captured("a=1 token=abc\n", "x\n", 16), 100), "a=1 token=[redacted]\nx\n");
        let cut = kept(&captured("begun\n", "secret-end\nlast line\n", 1000), 100);
        assert_eq!(cut, "begun\n\n… about 984 bytes left out …\nlast line\n");
        let long = "é".repeat(5000);
        let cut = kept(&captured(&long, "", 10_000), 1000);
        assert!(cut.len() < 1100 && cut.ends_with('é'), "{}", cut.len());
    }
}
