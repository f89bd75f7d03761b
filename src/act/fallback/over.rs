//! A fallback outside of a call: what the call could not give, it gives.

use crate::act::call::{Call, Classifier, Stopped};
use crate::act::fallback::{Answer, Fallback};
use crate::base::time::{Clock, SleepBlocking};
use crate::decide::retry::Attempt;

impl<T: Send + 'static, L: Clock> Fallback<T, L> {
    /// Around `call`, outside of all that the call does itself.
    pub const fn over<'a, C, K>(&'a self, call: &'a Call<C, K>) -> Over<'a, T, C, K, L> {
        Over { fallback: self, call }
    }
}

/// A call with a fallback around it.
#[derive(Debug)]
#[must_use = "it does nothing until it is run"]
pub struct Over<'a, T, C, K, L> {
    fallback: &'a Fallback<T, L>,
    call: &'a Call<C, K>,
}

impl<T: Send + 'static, C, K: Clock, L: Clock> Over<'_, T, C, K, L> {
    /// Calls until it succeeds or must not go on, on this thread; then keeps what it gave, or finds what stands in.
    ///
    /// # Errors
    ///
    /// As [`Call::run_blocking`], when the fallback has no answer either.
    pub fn run_blocking<E, F>(&self, op: F) -> Result<Answer<T>, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        E: std::fmt::Display,
        C: Classifier<E>,
        K: SleepBlocking,
    {
        self.fallback.settle_blocking_as(self.call.run_blocking(op), because)
    }

    /// The same, waiting on the clock's timer.
    ///
    /// # Errors
    ///
    /// As [`Call::run`], when the fallback has no answer either.
    #[cfg(feature = "tokio")]
    pub async fn run<E, F, Fut>(&self, op: F) -> Result<Answer<T>, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: std::fmt::Display,
        C: Classifier<E>,
        K: crate::base::time::Sleep,
    {
        self.fallback.settle_as(self.call.run(op).await, because).await
    }
}

/// Why the call ended, and the last thing that went wrong in it.
fn because<E: std::fmt::Display>(stopped: &Stopped<E>) -> crate::act::fallback::Because {
    let mut because = crate::act::fallback::Because::of(stopped);
    if let Some(last) = stopped.last() {
        because.why = format!("{}: {last}", because.why);
    }
    because
}
