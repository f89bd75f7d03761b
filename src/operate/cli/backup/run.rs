//! `backup run`: what became of each file, and why.

use serde::Serialize;

use crate::act::backup::{Decision, Entry, Policy, Progress, Report, Store, Storing};
use crate::base::explain::Explain;
use crate::base::text::{about_size, shortened};
use crate::decide::similarity::Verdict;
use crate::operate::cli::backup::{Run, failed};
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::print::{Table, plain};
use crate::operate::cli::progress::Bar;
use crate::operate::cli::session::Session;

/// Characters of a reason in a table on a terminal; elsewhere it is whole.
const WHY_WIDTH: usize = 100;

/// A file in the answer for programs.
#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    action: &'static str,
    code: &'static str,
    ratio: Option<f64>,
    why: String,
    unstable: bool,
}

/// Its last line.
#[derive(Serialize)]
struct Sum {
    created: usize,
    updated: usize,
    skipped: usize,
    failed: usize,
    bytes_stored: u64,
    unchanged: u64,
    gone: usize,
    passed: usize,
    bytes_read: u64,
    run: Option<u64>,
    damaged_index: usize,
}

pub(super) fn run(session: &mut Session<'_, '_>, asked: &Run) -> Result<Exit, Stop> {
    let policy = policy(session, asked)?;
    // Looked at first, so that a wrong SRC makes no empty DEST.
    if let Err(source) = std::fs::read_dir(&asked.source) {
        let error = crate::act::backup::Error::Source { tree: asked.source.clone(), source };
        return Err(failed(session, &error).into());
    }
    let store = Store::create(&asked.dest).map_err(|error| failed(session, &error))?;
    let now = session.host.clock.now();
    let bar = Bar::begin(session, None, "files");
    let told = |progress: Progress| {
        if progress.listed {
            bar.total(progress.found);
        }
        bar.at(progress.files);
    };
    let report = store.backup_with(&asked.source, &policy, now, told);
    bar.done();
    let report = report.map_err(|error| failed(session, &error))?;
    if session.json() {
        objects(session, &report)?
    } else {
        tell(session, &report)?
    }
    Ok(if report.is_complete() { Exit::Done } else { Exit::Failed })
}

fn policy(session: &Session<'_, '_>, asked: &Run) -> Result<Policy, Failure> {
    let policy = Policy::builder()
        .threshold_ppm(asked.threshold)
        .changed_bytes_max(asked.changed_bytes_max.0)
        .age_max(asked.age_max.0)
        .skips_max(asked.skips_max)
        .include(asked.include.clone())
        .exclude(asked.exclude.clone())
        .source_moved(asked.source_moved)
        .tell_unchanged(session.json())
        .build();
    policy.map_err(|error| {
        Failure::usage(chain(&error)).hint("patterns are like '**/*.md'; `*` does not cross a `/`, `**` does")
    })
}

fn objects(session: &mut Session<'_, '_>, report: &Report) -> Result<(), Stop> {
    for entry in &report.entries {
        let Entry { path, decision, unstable, .. } = entry;
        let (action, ratio) = (action(decision), ratio(decision));
        let file = File {
            path,
            action,
            code: decision.code(),
            ratio,
            why: decision.to_string(),
            unstable: *unstable,
        };
        session.object(&file)?;
    }
    session.object(&sum(report))
}

fn sum(report: &Report) -> Sum {
    Sum {
        created: report.created().count(),
        updated: report.updated().count(),
        skipped: report.skipped().count(),
        failed: report.failed().count(),
        bytes_stored: report.bytes_stored,
        unchanged: report.unchanged,
        gone: report.gone().count(),
        passed: report.passed().count(),
        bytes_read: report.bytes_read,
        run: report.sequence,
        damaged_index: report.damage.len(),
    }
}

const fn action(decision: &Decision) -> &'static str {
    match decision {
        Decision::Created(_) => "created",
        Decision::Updated(_) => "updated",
        Decision::Skipped { .. } => "skipped",
        Decision::Unchanged(_) => "unchanged",
        Decision::Gone(_) => "gone",
        Decision::Passed(_) => "passed",
        Decision::Failed(_) => "failed",
    }
}

/// What is known of the ratio: of a small change that it is not below this, of a large one that it is not above.
fn ratio(decision: &Decision) -> Option<f64> {
    let ppm = match decision {
        Decision::Unchanged(_) => 1_000_000,
        Decision::Skipped { verdict, .. } => verdict.why().ratio_ppm_least(),
        Decision::Updated(Storing::Changed(verdict @ Verdict::NotMeaningful(_))) => {
            verdict.why().ratio_ppm_least()
        }
        Decision::Updated(Storing::Changed(verdict)) => verdict.why().ratio_ppm_most(),
        _ => return None,
    };
    Some(f64::from(ppm) / 1e6)
}

fn tell(session: &mut Session<'_, '_>, report: &Report) -> Result<(), Stop> {
    let (paint, terminal) = (session.paint(), session.io.terminal);
    let told = |decision: &Decision| match decision {
        Decision::Created(_) | Decision::Updated(_) | Decision::Failed(_) | Decision::Gone(_) => true,
        Decision::Skipped { .. } | Decision::Passed(_) => session.global.verbose,
        Decision::Unchanged(_) => false,
    };
    let mut table = Table::head(paint, &["ACTION", "PATH", "WHY"]);
    let mut rows = 0_u64;
    for entry in report.entries.iter().filter(|entry| told(&entry.decision)) {
        rows += 1;
        let action = action(&entry.decision);
        let painted = match entry.decision {
            Decision::Failed(_) => paint.bad(action),
            Decision::Created(_) | Decision::Updated(_) => paint.good(action),
            _ => action.to_owned(),
        };
        let why = entry.decision.to_string();
        let why = if terminal { shortened(&why, WHY_WIDTH) } else { why };
        let unstable = if entry.unstable { "; it changed while it was read" } else { "" };
        table.row([(action.to_owned(), painted), plain(&entry.path), plain(&format!("{why}{unstable}"))]);
    }
    if rows > 0 {
        table.write(session.out())?;
        writeln!(session.out())?;
    }
    let line = sentence(report);
    writeln!(session.out(), "{line}")?;
    for damage in &report.damage {
        writeln!(session.out(), "{} {damage}", paint.bad("damaged"))?;
    }
    Ok(())
}

fn sentence(report: &Report) -> String {
    let sum = sum(report);
    let mut parts = vec![match sum.created + sum.updated {
        0 => String::from("nothing had to be stored"),
        1 => format!("1 file stored ({} new), {} written", sum.created, about_size(sum.bytes_stored)),
        n => format!("{n} files stored ({} new), {} written", sum.created, about_size(sum.bytes_stored)),
    }];
    let mut part = |count: usize, one: &str, many: &str| match count {
        0 => {}
        1 => parts.push(format!("1 {one}")),
        n => parts.push(format!("{n} {many}")),
    };
    part(sum.skipped, "small change waits", "small changes wait");
    part(usize::try_from(sum.unchanged).unwrap_or(usize::MAX), "unchanged", "unchanged");
    part(sum.gone, "gone", "gone");
    part(sum.passed, "passed over", "passed over");
    part(sum.failed, "could not be read", "could not be read");
    let run = sum.run.map(|run| format!("run {run}: ")).unwrap_or_default();
    format!("{run}{}", parts.join("; "))
}
