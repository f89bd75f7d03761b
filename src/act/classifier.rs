//! Where the fault of an error comes from: its own trait, or a closure for a type that has none.

use crate::base::fault::{Classify, Fault};

/// Says what an error of type `E` means. Implemented by [`ByTrait`] and [`By`]; not meant to be implemented elsewhere.
pub trait Classifier<E> {
    /// The fault that `error` is.
    fn fault(&self, error: &E) -> Fault;
}

/// The error says it itself: [`Classify`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ByTrait;

/// A closure says it.
#[derive(Clone, Copy)]
pub struct By<F>(pub(crate) F);

impl<E: Classify> Classifier<E> for ByTrait {
    fn fault(&self, error: &E) -> Fault {
        error.fault()
    }
}

impl<E, F: Fn(&E) -> Fault> Classifier<E> for By<F> {
    fn fault(&self, error: &E) -> Fault {
        (self.0)(error)
    }
}

impl<F> std::fmt::Debug for By<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("By(..)")
    }
}

/// Says whether an `Ok` value is a failure all the same. Implemented by [`Keep`] and [`RejectBy`].
pub trait Reject<T, E> {
    /// The error that `value` stands for, if it does.
    fn reject(&self, value: &T) -> Option<E>;
}

/// Every `Ok` is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep;

/// A closure says it.
#[derive(Clone, Copy)]
pub struct RejectBy<F>(pub(crate) F);

impl<T, E> Reject<T, E> for Keep {
    #[inline]
    fn reject(&self, _: &T) -> Option<E> {
        None
    }
}

impl<T, E, F: Fn(&T) -> Option<E>> Reject<T, E> for RejectBy<F> {
    fn reject(&self, value: &T) -> Option<E> {
        (self.0)(value)
    }
}

impl<F> std::fmt::Debug for RejectBy<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RejectBy(..)")
    }
}
