//! What a pass did, for people and for programs.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use unattended::text::shown;
use unattended::time::millis;

use crate::inbox::Told;

/// The last line.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) files: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) duplicates: u64,
    pub(crate) left: u64,
    pub(crate) lines: u64,
    pub(crate) duration_ms: u64,
}

impl Summary {
    pub(crate) fn of(told: &[Told], took: Duration) -> Self {
        let mut summary = Self { duration_ms: millis(took), ..Self::default() };
        for one in told {
            summary.files += 1;
            match (one.duplicate, one.state.as_str()) {
                (true, "succeeded" | "failed_permanent") => summary.duplicates += 1,
                (false, "succeeded") => {
                    summary.succeeded += 1;
                    summary.lines += one.lines.unwrap_or_default();
                }
                (false, "failed_permanent") => summary.failed += 1,
                _ => summary.left += 1,
            }
        }
        summary
    }
}

/// One object a line, and the summary as the last; without one, an error comes last.
pub(crate) fn json(out: &mut dyn Write, told: &[Told], summary: Option<&Summary>) -> io::Result<()> {
    for one in told {
        writeln!(out, "{}", serde_json::to_string(one)?)?;
    }
    match summary {
        Some(summary) => writeln!(out, "{}", serde_json::json!({ "summary": summary })),
        None => Ok(()),
    }
}

/// What was decided for each file and why, then a table. Names and reasons come from anywhere: what would write to the
/// terminal is escaped.
pub(crate) fn human(out: &mut dyn Write, told: &[Told], summary: &Summary) -> io::Result<()> {
    for one in told {
        writeln!(out, "{}: {} [{}]", shown(&one.file), shown(&one.why), one.code)?;
    }
    let wide = told.iter().map(|one| shown(&one.file).chars().count()).max().unwrap_or(4).max(4);
    writeln!(out, "\n{:<wide$}  {:<16}  {:>9}  run", "file", "state", "lines")?;
    for one in told {
        let state = if one.duplicate { format!("= {}", one.state) } else { one.state.clone() };
        let lines = one.lines.map_or_else(|| "-".to_owned(), |lines| lines.to_string());
        let run = one.run_id.as_deref().unwrap_or("-");
        writeln!(out, "{:<wide$}  {state:<16}  {lines:>9}  {run}", shown(&one.file))?;
    }
    writeln!(
        out,
        "\n{} files: {} loaded ({} lines), {} failed, {} delivered before, {} left in the inbox or for later; {} ms",
        summary.files,
        summary.succeeded,
        summary.lines,
        summary.failed,
        summary.duplicates,
        summary.left,
        summary.duration_ms
    )
}
