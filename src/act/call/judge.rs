//! Whether an `Ok` is one: a value may stand for a failure, or break the contract.

use std::sync::Arc;

use crate::act::call::Last;
use crate::act::classifier::{Keep, RejectBy};
use crate::decide::contract::Check;

/// Says whether an `Ok` value is a failure all the same. Implemented by [`Keep`], [`RejectBy`] and [`ByContract`]; not
/// meant to be implemented elsewhere.
pub trait Judge<T, E> {
    /// How the attempt failed, if the value says that it did.
    fn judge(&self, value: &T) -> Option<Last<E>>;
}

/// A contract says it: what breaks it is [`Last::BreaksContract`], which is permanent.
pub struct ByContract<T: ?Sized>(pub(super) Arc<dyn Check<T> + Send + Sync>);

impl<T, E> Judge<T, E> for Keep {
    #[inline]
    fn judge(&self, _: &T) -> Option<Last<E>> {
        None
    }
}

impl<T, E, F: Fn(&T) -> Option<E>> Judge<T, E> for RejectBy<F> {
    fn judge(&self, value: &T) -> Option<Last<E>> {
        (self.0)(value).map(Last::Error)
    }
}

impl<T, E> Judge<T, E> for ByContract<T> {
    fn judge(&self, value: &T) -> Option<Last<E>> {
        self.0.check(value).err().map(Last::BreaksContract)
    }
}

impl<T: ?Sized> std::fmt::Debug for ByContract<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ByContract").field(&self.0.name()).finish()
    }
}
