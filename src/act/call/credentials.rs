//! Which credential a call goes with.

use std::sync::Arc;

use crate::act::call::gate::Gate;
use crate::act::credential::Renew;

/// Finds the credential of an account.
pub(super) type Finder = dyn Fn(&str) -> Option<Arc<dyn Renew>> + Send + Sync;

/// Whose credential it is.
#[derive(Clone)]
pub(super) enum Credentials {
    None,
    One(Arc<dyn Renew>),
    Of(Arc<Finder>),
}

impl Credentials {
    /// The credential of that gate, if it has one.
    pub(super) fn of(&self, gate: Gate<'_>) -> Option<Arc<dyn Renew>> {
        match self {
            Self::None => None,
            Self::One(credential) => Some(Arc::clone(credential)),
            Self::Of(of) => of(gate.account()?),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::One(_) => "One(..)",
            Self::Of(_) => "Of(..)",
        })
    }
}
