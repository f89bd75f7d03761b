//! `metrics`: numbers for Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::base::fault::chain;
use crate::base::text::shown;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::{Need, Session};
use crate::operate::metrics::{self, Kind, Report};
use crate::remember::blocking::block_on;
use crate::remember::file;
use crate::remember::store::Store;

/// Whoever collects the file is another user.
const MODE: u32 = 0o644;

/// What `metrics` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Metrics {
    /// Write the text into this file, all of it or nothing, for a textfile collector
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: String,
    kind: Kind,
    labels: BTreeMap<&'static str, &'a str>,
    value: Option<f64>,
}

#[derive(Serialize)]
struct Written {
    file: String,
    samples: usize,
}

pub(super) fn metrics(session: &mut Session<'_, '_>, asked: Metrics) -> Result<Exit, Stop> {
    let store = session.store(Need::Read)?;
    let report = collected(session, &store)?;
    if let Some(out) = asked.out {
        write(&out, &report)?;
        let samples = report.families.iter().map(|family| family.samples.len()).sum();
        let file = out.display().to_string();
        if session.json() {
            return session.object(&Written { file, samples }).map(|()| Exit::Done);
        }
        writeln!(session.io.err, "{samples} numbers are in {}", shown(&file))?;
        return Ok(Exit::Done);
    }
    if !session.json() {
        write!(session.out(), "{}", report.prometheus())?;
        return Ok(Exit::Done);
    }
    for family in &report.families {
        for sample in &family.samples {
            session.object(&Line {
                name: format!("{}{}", family.name, sample.suffix),
                kind: family.kind,
                labels: sample.labels.iter().map(|(label, value)| (*label, value.as_str())).collect(),
                value: Some(sample.value).filter(|value| value.is_finite()),
            })?;
        }
    }
    Ok(Exit::Done)
}

/// The numbers as they are now.
pub(super) fn collected(session: &Session<'_, '_>, store: &Arc<dyn Store>) -> Result<Report, Failure> {
    block_on(metrics::collect(store, session.host.clock.now())).map_err(|error| match error {
        metrics::Error::Store(error) => Failure::of_store(&error),
        error => Failure::new(Exit::Failed, "metrics.not_collected", chain(&error)),
    })
}

/// Replaces the file, which others may read.
pub(super) fn write(path: &Path, report: &Report) -> Result<(), Failure> {
    let told = |error: &dyn std::fmt::Display| {
        let message = format!("{} cannot be written: {error}", path.display());
        Failure::new(Exit::Failed, "metrics.not_written", message)
            .hint("the folder must be there, and writable for this user")
    };
    let fresh = !path.exists();
    file::replace(path, report.prometheus()).map_err(|error| told(&chain(&error)))?;
    if fresh {
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(|error| told(&error))?;
    }
    Ok(())
}
