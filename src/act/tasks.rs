//! Futures as tasks of a tokio runtime: one that keeps its thread busy does not keep the others from their turns.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use crate::base::fault::Panicked;
use crate::base::time::BoxFuture;

/// Makes a task of `work`, which ends when the future is dropped; `failed` says what became of one that panicked.
pub(in crate::act) fn spawn<T: Send + 'static>(
    work: BoxFuture<'static, T>,
    failed: fn(String) -> T,
) -> BoxFuture<'static, T> {
    Box::pin(Task { handle: tokio::spawn(work), failed })
}

struct Task<T> {
    handle: JoinHandle<T>,
    failed: fn(String) -> T,
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let failed = self.failed;
        Pin::new(&mut self.handle).poll(context).map(|joined| {
            joined.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => failed(Panicked::of(&*panic).to_string()),
                Err(error) => failed(error.to_string()),
            })
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}
