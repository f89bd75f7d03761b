//! What happens to credentials, as structured events under the target `unattended`; nothing without the feature
//! `tracing`. None holds a token, nor what an error of the refresh said.
//!
//! Field names are stable: credential, class, code, why, outcome.

#[cfg(feature = "tracing")]
pub(super) use on::*;

#[cfg(not(feature = "tracing"))]
pub(super) use off::*;

#[cfg(feature = "tracing")]
mod on {
    #[cfg(feature = "store")]
    use std::error::Error;

    use crate::act::credential::Refusing;
    use crate::act::credential::work::Failed;
    use crate::base::explain::Explain;
    #[cfg(feature = "store")]
    use crate::base::fault;
    use crate::base::fault::Class;

    /// A refresh was refused for good: said once, by the process that found it out.
    pub(in crate::act::credential) fn needs_human(credential: &str, class: Class) {
        let why = Refusing::NeedsHuman { class };
        tracing::error!(
            target: "unattended",
            credential,
            class = class.as_str(),
            code = why.code(),
            why = %why,
            outcome = "needs_human",
        );
    }

    pub(in crate::act::credential) fn refreshed(credential: &str, saved: bool) {
        let outcome = if saved { "refreshed" } else { "refreshed_unsaved" };
        tracing::info!(target: "unattended", credential, outcome);
    }

    pub(in crate::act::credential) fn failed(credential: &str, failed: Failed) {
        let Failed { class, failures, retry_at, .. } = failed;
        let why = Refusing::RefreshFailed { class, failures, retry_at };
        tracing::warn!(
            target: "unattended",
            credential,
            class = class.as_str(),
            code = why.code(),
            why = %why,
            outcome = "failed",
        );
    }

    #[cfg(feature = "store")]
    pub(in crate::act::credential) fn store_down(credential: &str, error: &(dyn Error + 'static)) {
        let why = fault::chain(error);
        tracing::warn!(target: "unattended", credential, code = "credential.store_down", why, outcome = "not_kept");
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use crate::act::credential::work::Failed;
    use crate::base::fault::Class;

    pub(in crate::act::credential) const fn needs_human(_: &str, _: Class) {}
    pub(in crate::act::credential) const fn refreshed(_: &str, _: bool) {}
    pub(in crate::act::credential) const fn failed(_: &str, _: Failed) {}
    #[cfg(feature = "store")]
    pub(in crate::act::credential) fn store_down(_: &str, _: &(dyn std::error::Error + 'static)) {}
}
