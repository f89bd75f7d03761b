//! The job: six steps from a file in the inbox to rows in a table, a notification, and a file in its place.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::explain::Explain;
use unattended::fault::{Class, Fault, Reached, Severity};
use unattended::job::{BuildError, Job};
use unattended::pipeline::{Cx, Step, StepError};
use unattended::retry;
use unattended::runs::Run;
use unattended::sqlite::Sqlite;

use crate::crash::CrashAt;
use crate::failed::{self, present};
use crate::format::{Detector, Format};
use crate::kinds::{Counts, KINDS_MAX, Summary};
use crate::lines::{LINE_BYTES_MAX, Lines, Text};
use crate::load::{self, Loaded};
use crate::notify;
use crate::places::{Moved, Places, Stamp, hash, naming, shift};
use crate::validate::{Limits, Report, validate};

/// What a run is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Input {
    /// The name under which its rows and its archived file stand.
    pub(crate) name: String,
    /// Where it lay when it was submitted.
    pub(crate) source: String,
    /// The SHA-256 of its content: its identity.
    pub(crate) sha256: String,
    /// Its size.
    pub(crate) bytes: u64,
}

impl Input {
    /// Of a stored run.
    pub(crate) fn of(run: &Run) -> io::Result<Self> {
        serde_json::from_str(run.body.input.get()).map_err(io::Error::other)
    }
}

/// What the steps share.
pub(crate) struct App {
    pub(crate) places: Places,
    pub(crate) store: Arc<Sqlite>,
    pub(crate) chunk_rows: u64,
}

/// What the first step gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) stamp: Stamp,
}

/// What the transformation gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Transformed {
    pub(crate) format: Format,
    pub(crate) summary: Summary,
}

/// How many kinds of lines a run keeps.
const KINDS_KEPT: usize = 20;

/// The wait for a machine that is not as it should be: the next start is when it is looked at again.
const MENDED_IN: Duration = Duration::from_secs(5);
/// The longest wait within a pass.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Builds the job.
pub(crate) fn build(app: &Arc<App>, lease: Duration, crash: CrashAt) -> Result<Job, BuildError> {
    let guard = with(app, notify::notified);
    Job::new("ingest")
        .step(Step::blocking("ingest", Effect::Idempotent, with(app, ingest)))
        .step(Step::blocking("validate", Effect::Pure, with(app, check)))
        .step(Step::blocking("transform", Effect::Pure, with(app, transform)))
        .step(Step::blocking("load", Effect::Idempotent, with(app, load::load)))
        .step(Step::blocking("notify", Effect::Verifiable, with(app, notify::notify)).guard_blocking(guard))
        .step(Step::blocking("archive", Effect::Idempotent, with(app, archive)))
        .key(|input: &Input| Key::new("ingest", "file", &input.sha256))
        .payload(|input: &Input| (input.sha256.clone(), input.bytes))
        .lease(lease)
        .retry(
            retry::Policy::cron()
                .transient(|strategy| strategy.delay_base(MENDED_IN).delay_min(MENDED_IN / 2))
                .unknown(|strategy| {
                    strategy.delay_min(Duration::ZERO).delay_base(WAIT_MAX).delay_max(WAIT_MAX)
                })
                .inline_wait_max(WAIT_MAX),
        )
        // A file that is killed over and over by an operator or a reboot is not poison as soon as one that kills.
        .crashes_max(10)
        .version(env!("CARGO_PKG_VERSION"))
        .edges(move |name| crash.reached(name))
        .build()
}

/// A step that shares `app`. A file is refused for what stands in it alone: a full disk or a folder that may not be
/// written is the machine's fault, and passes.
fn with<T: 'static>(
    app: &Arc<App>,
    step: fn(&App, &Cx) -> Result<T, StepError>,
) -> impl Fn(&Cx) -> Result<T, StepError> + Send + Sync + 'static {
    let app = Arc::clone(app);
    move |cx| {
        step(&app, cx).map_err(|error| {
            let fault = error.fault();
            let code = &*fault.code;
            let machine = code.starts_with("io.") || matches!(code, "store.full" | "store.read_only");
            if fault.class != Class::Permanent || !machine {
                return error;
            }
            let fault = Fault { class: Class::Transient, severity: Severity::Recoverable, ..fault.clone() };
            StepError::new(fault, error.to_string())
        })
    }
}

/// Takes the file out of the inbox, and makes sure that it is the one that was submitted.
fn ingest(app: &App, cx: &Cx) -> Result<Taken, StepError> {
    let input: Input = cx.input()?;
    let working = app.places.working_file(cx.run_id());
    if !working.exists() {
        let stamp = take(cx, &input, &working)?;
        cx.edge("ingest:moved");
        if Stamp::of(&File::open(&working)?)? == stamp {
            cx.note(format!("{} bytes taken out of the inbox", stamp.bytes));
            return Ok(Taken { stamp });
        }
    }
    // Moved by an earlier life of this run, or touched since it was read.
    let file = File::open(&working)?;
    let stamp = Stamp::of(&file)?;
    let (sha256, bytes) = hash(&file)?;
    if sha256 != input.sha256 || Stamp::of(&file)? != stamp {
        let text = format!(
            "{} changed after it was submitted: {} bytes then, {bytes} now; its writer was not done with it",
            input.name, input.bytes
        );
        return Err(StepError::new(Fault::permanent("ingest.changed").reached(Reached::No), text));
    }
    Ok(Taken { stamp })
}

/// Reads the file where it was submitted, and moves it if it is the one. What lies there now may be another file of
/// that name, and that one is left alone.
fn take(cx: &Cx, input: &Input, working: &Path) -> Result<Stamp, StepError> {
    let file = match File::open(&input.source) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(vanished(input, "there is nothing of that name"));
        }
        Err(error) => return Err(naming(input.source.as_ref(), &error).into()),
    };
    let stamp = Stamp::of(&file)?;
    if hash(&file)?.0 != input.sha256 {
        return Err(vanished(input, "what lies there now is another file"));
    }
    cx.edge("ingest:before-move");
    if shift(input.source.as_ref(), working)? == Moved::Gone && !working.exists() {
        return Err(vanished(input, "somebody took it away"));
    }
    Ok(stamp)
}

/// The code of a run whose file went away before it was taken out of the inbox.
pub(crate) const VANISHED: &str = "ingest.vanished";

fn vanished(input: &Input, why: &str) -> StepError {
    let text = format!("{} is gone from the inbox: {why}", input.source);
    StepError::new(Fault::permanent(VANISHED).reached(Reached::No), text)
}

/// Refuses what cannot be loaded whole, and lists what is wrong with it.
fn check(app: &App, cx: &Cx) -> Result<Report, StepError> {
    let file = File::open(present(app, cx)?)?;
    let report = validate(file, &Limits { hash: false, ..Limits::default() })?;
    if report.sound() {
        cx.note(format!("{} lines of UTF-8, none too long", report.lines));
        return Ok(report);
    }
    let code = report.problems.first().map_or("ingest.refused", |problem| problem.what.code());
    let mut text = report.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if report.problems_more > 0 {
        text.push_str(&format!("; and {} more", report.problems_more));
    }
    Err(StepError::permanent(code, text))
}

/// Finds the format, splits every line, and counts.
fn transform(app: &App, cx: &Cx) -> Result<Transformed, StepError> {
    let path = present(app, cx)?;
    let mut detector = Detector::default();
    let mut lines = Lines::new(File::open(&path)?, LINE_BYTES_MAX);
    while let Some(line) = lines.next_line()? {
        if let Text::Valid(text) = line.text
            && !detector.see(text)
        {
            break;
        }
    }
    let format = detector.format();
    let mut counts = Counts::new(KINDS_MAX);
    let mut lines = Lines::new(File::open(&path)?, LINE_BYTES_MAX);
    while let Some(line) = lines.next_line()? {
        if let Text::Valid(text) = line.text {
            counts.count(&format.parse(text));
        }
    }
    let summary = counts.summary(KINDS_KEPT);
    cx.note(format!("format {}, {} kinds of lines", format.as_str(), summary.kinds_total));
    Ok(Transformed { format, summary })
}

/// Puts the file where loaded files are kept.
fn archive(app: &App, cx: &Cx) -> Result<(), StepError> {
    let input: Input = cx.input()?;
    let from = app.places.working_file(cx.run_id());
    cx.edge("archive:before-move");
    let to = app.places.archive.join(&input.name);
    match shift(&from, &to)? {
        // Gone: an earlier life of this run has moved it.
        Moved::Done | Moved::Gone => {}
        Moved::Namesake => {
            let text = format!("{} stands in the archive, and this run's file has that name", to.display());
            return Err(StepError::permanent("ingest.namesake", text));
        }
    }
    cx.edge("archive:moved");
    cx.note(format!("it stands in archive/{}", input.name));
    Ok(failed::forget(app, cx.run_id(), &input)?)
}

/// The lines that a run has loaded, where it got so far.
pub(crate) fn lines_of(run: &Run) -> Option<u64> {
    let load = run.body.steps.iter().find(|step| step.name == "load")?;
    let loaded: Loaded = serde_json::from_str(load.output.as_ref()?.get()).ok()?;
    Some(loaded.lines)
}
