//! The decisions as structured events, under the target `unattended`; nothing without the feature `tracing`.
//!
//! Field names are stable: dependency, account, run_id, idempotency_key, attempt, class, code, delay_ms, duration_ms,
//! outcome, why.

/// Whose decision it is.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
pub(crate) struct Who<'a> {
    pub(crate) dependency: Option<&'a str>,
    pub(crate) account: Option<&'a str>,
    pub(crate) run_id: Option<&'a str>,
    pub(crate) idempotency_key: Option<&'a str>,
}

#[cfg(feature = "tracing")]
pub(crate) use on::*;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::*;

#[cfg(feature = "tracing")]
mod on {
    use std::time::Duration;

    use crate::act::log::Who;
    use crate::base::explain::Explain;
    use crate::base::time::{Timestamp, millis};
    use crate::decide::breaker::Moved;
    use crate::decide::retry::Tried;

    /// An event that says on whose behalf.
    macro_rules! tell {
        ($level:ident, $who:expr, $($fields:tt)*) => {
            tracing::$level!(
                target: "unattended",
                dependency = $who.dependency,
                account = $who.account,
                run_id = $who.run_id,
                idempotency_key = $who.idempotency_key,
                $($fields)*
            )
        };
    }

    /// An attempt has failed.
    pub(crate) fn failed(who: Who<'_>, tried: &Tried) {
        tell!(
            warn,
            who,
            attempt = tried.number,
            class = tried.class.as_str(),
            code = &*tried.code,
            duration_ms = tried.duration.map(millis),
            overrun_ms = tried.overrun.map(millis),
            outcome = "failed",
        );
    }

    /// Whether anybody listens to successes; else their duration need not be known.
    pub(crate) fn wants_successes() -> bool {
        tracing::enabled!(target: "unattended", tracing::Level::DEBUG)
    }

    /// An attempt has succeeded.
    pub(crate) fn succeeded(who: Who<'_>, attempt: u32, duration: Duration) {
        tell!(debug, who, attempt, duration_ms = millis(duration), outcome = "ok",);
    }

    /// The next attempt is waited for.
    pub(crate) fn waiting(who: Who<'_>, attempt: u32, delay: Duration, why: &impl Explain) {
        tell!(
            info,
            who,
            attempt,
            delay_ms = millis(delay),
            code = why.code(),
            why = %why,
            outcome = "wait",
        );
    }

    /// There is no further attempt in this process.
    pub(crate) fn ended(who: Who<'_>, outcome: &str, until: Option<Timestamp>, why: &impl Explain) {
        let until = until.map(|until| until.to_rfc3339());
        tell!(
            warn,
            who,
            until,
            code = why.code(),
            why = %why,
            outcome,
        );
    }

    /// What is kept could not be loaded or written.
    #[cfg(feature = "store")]
    pub(crate) fn kept<E: std::error::Error + 'static>(dependency: &str, result: &Result<(), E>) {
        if let Err(error) = result {
            not_kept(dependency, error);
        }
    }

    /// What is kept could not be loaded or written.
    #[cfg(feature = "store")]
    pub(crate) fn not_kept(dependency: &str, error: &(dyn std::error::Error + 'static)) {
        let why = crate::base::fault::chain(error);
        tracing::warn!(target: "unattended", dependency, code = "call.not_kept", why, outcome = "not_kept");
    }

    /// An operation has failed with `because`; what stands in, or why a source has nothing.
    #[cfg(feature = "store")]
    pub(crate) fn fallen(because: &str, why: &impl Explain) {
        tracing::warn!(target: "unattended", because, code = why.code(), why = %why, outcome = "fallback");
    }

    /// Something was asked and answered; secrets are out of it already.
    pub(crate) fn exchange(method: &str, url: &str, status: Option<u16>, duration_ms: Option<u64>) {
        tracing::debug!(target: "unattended", method, url, status, duration_ms, outcome = "exchange");
    }

    /// An engine of a group has ended, or will not begin.
    pub(crate) fn engine(
        group: &str,
        engine: &str,
        outcome: &str,
        took: Option<Duration>,
        why: &impl Explain,
    ) {
        let (code, duration_ms) = (why.code(), took.map(millis));
        if outcome == "done" {
            tracing::debug!(target: "unattended", group, engine, code, duration_ms, why = %why, outcome);
        } else {
            tracing::warn!(target: "unattended", group, engine, code, duration_ms, why = %why, outcome);
        }
    }

    /// A supervisor has seen or decided something.
    #[cfg(all(feature = "process", unix))]
    pub(crate) fn supervised(supervisor: &str, event: &impl Explain, trouble: bool) {
        let code = event.code();
        if trouble {
            tracing::warn!(target: "unattended", supervisor, code, why = %event, outcome = "supervised");
        } else {
            tracing::info!(target: "unattended", supervisor, code, why = %event, outcome = "supervised");
        }
    }

    /// A breaker has changed its state, if it has.
    pub(crate) fn moved(dependency: &str, moved: &Moved) {
        if moved.is_transition() {
            let (code, outcome) = (moved.code(), moved.as_str());
            tracing::warn!(target: "unattended", dependency, code, why = %moved, outcome);
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::time::Duration;

    use crate::act::log::Who;
    use crate::base::explain::Explain;
    use crate::base::time::Timestamp;
    use crate::decide::breaker::Moved;
    use crate::decide::retry::Tried;

    pub(crate) const fn failed(_: Who<'_>, _: &Tried) {}
    pub(crate) const fn wants_successes() -> bool {
        false
    }
    pub(crate) const fn succeeded(_: Who<'_>, _: u32, _: Duration) {}
    pub(crate) const fn waiting(_: Who<'_>, _: u32, _: Duration, _: &impl Explain) {}
    pub(crate) const fn ended(_: Who<'_>, _: &str, _: Option<Timestamp>, _: &impl Explain) {}
    #[cfg(feature = "store")]
    pub(crate) const fn kept<E>(_: &str, _: &Result<(), E>) {}
    #[cfg(feature = "store")]
    pub(crate) const fn not_kept(_: &str, _: &(dyn std::error::Error + 'static)) {}
    #[cfg(feature = "store")]
    pub(crate) const fn fallen(_: &str, _: &impl Explain) {}
    pub(crate) const fn exchange(_: &str, _: &str, _: Option<u16>, _: Option<u64>) {}
    pub(crate) const fn engine(_: &str, _: &str, _: &str, _: Option<Duration>, _: &impl Explain) {}
    #[cfg(all(feature = "process", unix))]
    pub(crate) const fn supervised(_: &str, _: &impl Explain, _: bool) {}
    pub(crate) const fn moved(_: &str, _: &Moved) {}
}
