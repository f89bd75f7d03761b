//! What happens to runs, as structured events under the target `unattended`; nothing without the feature `tracing`.
//!
//! Field names are stable: run_id, job, step, attempt, outcome, code, why.

/// A run moved, or one of its steps did.
#[cfg(feature = "tracing")]
pub(in crate::act) fn moved(
    run_id: &str,
    job: &str,
    step: Option<&str>,
    outcome: &str,
    code: &str,
    why: &str,
) {
    tracing::info!(target: "unattended", run_id, job, step, outcome, code, why);
}

/// A lease was lost, or could not be renewed.
#[cfg(feature = "tracing")]
pub(in crate::act) fn lease(run_id: &str, outcome: &str, why: &str) {
    tracing::warn!(target: "unattended", run_id, outcome, code = "lease.trouble", why);
}

/// A job was built in a way that deserves a warning.
#[cfg(feature = "tracing")]
pub(in crate::act) fn doubtful(job: &str, code: &str, why: &str) {
    tracing::warn!(target: "unattended", job, code, why);
}

/// Something happened to a worker as a whole; what is trouble is a warning.
#[cfg(feature = "tracing")]
pub(in crate::act) fn worker(worker: &str, outcome: &str, code: &str, why: &str) {
    if matches!(outcome, "store_failed" | "run_left") {
        tracing::warn!(target: "unattended", worker, outcome, code, why);
    } else {
        tracing::info!(target: "unattended", worker, outcome, code, why);
    }
}

/// Something happened to an entry of a timer.
#[cfg(feature = "tracing")]
pub(in crate::act) fn timer(entry: &str, trouble: bool, code: &str, why: &impl std::fmt::Display) {
    if trouble {
        tracing::warn!(target: "unattended", entry, code, why = %why);
    } else {
        tracing::info!(target: "unattended", entry, code, why = %why);
    }
}

/// The trend of a job or a dependency has moved.
#[cfg(feature = "tracing")]
pub(in crate::act) fn trend(subject: &str, stream: &str, code: &str, why: &impl std::fmt::Display) {
    tracing::warn!(target: "unattended", subject, stream, code, why = %why, outcome = "trend");
}

/// A monitor has noticed that something has changed.
#[cfg(feature = "tracing")]
pub(in crate::act) fn raised(monitor: &str, subject: &str, code: &str, why: &impl std::fmt::Display) {
    tracing::warn!(target: "unattended", monitor, subject, code, why = %why, outcome = "raised");
}

#[cfg(not(feature = "tracing"))]
pub(in crate::act) const fn raised(_: &str, _: &str, _: &str, _: &impl std::fmt::Display) {}
#[cfg(not(feature = "tracing"))]
pub(in crate::act) const fn trend(_: &str, _: &str, _: &str, _: &impl std::fmt::Display) {}
#[cfg(not(feature = "tracing"))]
pub(in crate::act) const fn timer(_: &str, _: bool, _: &str, _: &impl std::fmt::Display) {}
#[cfg(not(feature = "tracing"))]
pub(in crate::act) const fn worker(_: &str, _: &str, _: &str, _: &str) {}
#[cfg(not(feature = "tracing"))]
pub(in crate::act) const fn moved(_: &str, _: &str, _: Option<&str>, _: &str, _: &str, _: &str) {}
#[cfg(not(feature = "tracing"))]
pub(in crate::act) const fn lease(_: &str, _: &str, _: &str) {}
#[cfg(not(feature = "tracing"))]
pub(in crate::act) const fn doubtful(_: &str, _: &str, _: &str) {}
