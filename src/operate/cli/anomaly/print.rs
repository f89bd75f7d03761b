//! How alerts look, and what is said at the end.

use crate::base::text::shown;
use crate::decide::baseline::{Severity, State};
use crate::operate::cli::anomaly::watcher::{Alert, Watcher};
use crate::operate::cli::failure::Stop;
use crate::operate::cli::session::Session;

/// Tells what there is to be told.
pub(super) fn tell(session: &mut Session<'_, '_>, alerts: &[Alert], notes: &[String]) -> Result<(), Stop> {
    for alert in alerts {
        if session.json() {
            session.object(alert)?;
            continue;
        }
        let paint = session.paint();
        let place = match (&alert.file, alert.line) {
            (Some(file), Some(line)) => format!("{}:{line}", shown(file)),
            _ => String::from("-"),
        };
        let unit = alert.unit.as_ref().map(|unit| format!(" in {unit}")).unwrap_or_default();
        let severity = match alert.severity {
            Some(severity) if severity != Severity::Unknown => format!("{severity} "),
            _ => String::new(),
        };
        writeln!(
            session.out(),
            "{}{unit}  {}{}",
            paint.bold(place),
            paint.bad(severity),
            paint.dim(alert.code)
        )?;
        writeln!(session.out(), "    {}", shown(&alert.why))?;
        if let Some(text) = &alert.text {
            writeln!(session.out(), "    {}", paint.dim(text))?;
        }
    }
    if session.global.verbose && !session.json() {
        for note in notes {
            let line = session.paint().dim(format!("note: {}", shown(note)));
            writeln!(session.out(), "{line}")?;
        }
    }
    Ok(())
}

/// What there was, in a sentence.
pub(super) fn sum(session: &mut Session<'_, '_>, watcher: &mut Watcher, alerts: u64) -> Result<(), Stop> {
    let evidence = watcher.ready.baseline.evidence();
    let digest = watcher.digest();
    let no_units = |units: &crate::decide::baseline::Units| units.units() == 0;
    if evidence.state != State::Active && watcher.ready.units.as_ref().is_none_or(no_units) {
        let line = format!("nothing could be called rare: the baseline is {evidence}");
        writeln!(session.io.err, "{}", shown(&line))?;
    }
    if session.json() {
        return Ok(());
    }
    let counted = match alerts {
        1 => String::from("1 alert"),
        n => format!("{n} alerts"),
    };
    let mut line = format!("{counted} in {} lines", watcher.lines);
    if watcher.unkeyed > 0 {
        line.push_str(&format!("; {} lines have no key", watcher.unkeyed));
    }
    if digest.minor > 0 {
        line.push_str(&format!("; {} rare lines are below --alert-from", digest.minor));
    }
    if digest.overflow > 0 {
        line.push_str(&format!("; {} more were not told, as there were too many", digest.overflow));
    }
    let line = session.paint().dim(line);
    writeln!(session.out(), "{line}")?;
    Ok(())
}
