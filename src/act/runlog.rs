//! What happens to runs, as structured events under the target `unattended`; nothing without the feature `tracing`.
//!
//! Field names are stable: run_id, idempotency_key, job, step, dependency, attempt, duration_ms, outcome, code, why.

/// Which run, and where it is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
pub(in crate::act) struct Of<'a> {
    pub(in crate::act) run_id: &'a str,
    pub(in crate::act) idempotency_key: Option<&'a str>,
    pub(in crate::act) job: &'a str,
    pub(in crate::act) step: Option<&'a str>,
    pub(in crate::act) attempt: u32,
    /// From the first work on it to its end, once it has ended.
    pub(in crate::act) duration_ms: Option<i64>,
}

#[cfg(feature = "tracing")]
pub(in crate::act) use on::*;

#[cfg(not(feature = "tracing"))]
pub(in crate::act) use off::*;

#[cfg(feature = "tracing")]
mod on {
    use std::fmt::Display;

    use crate::act::runlog::Of;

    /// An event about a run.
    macro_rules! tell {
        ($of:expr, $($fields:tt)*) => {
            tracing::info!(
                target: "unattended",
                run_id = $of.run_id,
                idempotency_key = $of.idempotency_key,
                job = $of.job,
                step = $of.step,
                attempt = $of.attempt,
                duration_ms = $of.duration_ms,
                $($fields)*
            )
        };
    }

    /// A run moved, or one of its steps did.
    pub(in crate::act) fn moved(of: &Of<'_>, outcome: &str, code: &str, why: &str) {
        tell!(of, outcome, code, why);
    }

    /// A step has said what it decided by itself, and what it does about it.
    pub(in crate::act) fn decided(of: &Of<'_>, code: &str, why: &str, action: &str, numbers: &str) {
        tell!(of, outcome = "decided", code, why, action, numbers);
    }

    /// A lease on a run was lost, or could not be renewed.
    pub(in crate::act) fn lease(run_id: &str, outcome: &str, why: &str) {
        tracing::warn!(target: "unattended", run_id, outcome, code = "lease.trouble", why);
    }

    /// The same of a lease on a key.
    pub(in crate::act) fn key_lease(idempotency_key: &str, outcome: &str, why: &str) {
        tracing::warn!(target: "unattended", idempotency_key, outcome, code = "lease.trouble", why);
    }

    /// Nobody knows whether the work under a key was done.
    pub(in crate::act) fn in_doubt(idempotency_key: &str, code: &str, why: &str) {
        tracing::warn!(target: "unattended", idempotency_key, outcome = "needs_review", code, why);
    }

    /// Something of a job, or of what looks after jobs, deserves a warning.
    pub(in crate::act) fn doubtful(job: &str, code: &str, why: &str) {
        tracing::warn!(target: "unattended", job, outcome = "doubtful", code, why);
    }

    /// Something happened to a worker as a whole; what is trouble is a warning.
    pub(in crate::act) fn worker(worker: &str, outcome: &str, code: &str, why: &str) {
        if matches!(outcome, "store_failed" | "run_left") {
            tracing::warn!(target: "unattended", worker, outcome, code, why);
        } else {
            tracing::info!(target: "unattended", worker, outcome, code, why);
        }
    }

    /// Something happened to an entry of a timer.
    pub(in crate::act) fn timer(entry: &str, trouble: bool, code: &str, why: &impl Display) {
        if trouble {
            tracing::warn!(target: "unattended", entry, outcome = "timer", code, why = %why);
        } else {
            tracing::info!(target: "unattended", entry, outcome = "timer", code, why = %why);
        }
    }

    /// The trend of a job or of a dependency has moved.
    pub(in crate::act) fn trend(
        (job, dependency): (Option<&str>, Option<&str>),
        stream: &str,
        code: &str,
        why: &impl Display,
    ) {
        tracing::warn!(target: "unattended", job, dependency, stream, outcome = "trend", code, why = %why);
    }

    /// A monitor has noticed that something has changed.
    pub(in crate::act) fn raised(monitor: &str, job: &str, code: &str, why: &impl Display) {
        tracing::warn!(target: "unattended", monitor, job, outcome = "raised", code, why = %why);
    }

    /// The configuration that a job's runs begin with, without its secrets.
    pub(in crate::act) fn config(job: &str, fingerprint: &str, config: &str) {
        tracing::info!(target: "unattended", job, fingerprint, config, outcome = "configured");
    }

    /// An alert was raised, and this was decided of it.
    pub(in crate::act) fn alert(subject: &str, kind: &str, outcome: &str, code: &str, why: &str) {
        tracing::warn!(target: "unattended", subject, kind, outcome, code, why);
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::fmt::Display;

    use crate::act::runlog::Of;

    pub(in crate::act) const fn moved(_: &Of<'_>, _: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn decided(_: &Of<'_>, _: &str, _: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn lease(_: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn key_lease(_: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn in_doubt(_: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn doubtful(_: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn worker(_: &str, _: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn timer(_: &str, _: bool, _: &str, _: &impl Display) {}
    pub(in crate::act) const fn trend(_: (Option<&str>, Option<&str>), _: &str, _: &str, _: &impl Display) {}
    pub(in crate::act) const fn config(_: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn alert(_: &str, _: &str, _: &str, _: &str, _: &str) {}
    pub(in crate::act) const fn raised(_: &str, _: &str, _: &str, _: &impl Display) {}
}
