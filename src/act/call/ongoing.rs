//! One call while it runs: the steps that all drivers share.

use std::time::Duration;

use crate::act::call::{Call, Last, Refusing, Stopped};
use crate::act::classifier::Classifier;
use crate::act::guarding::Guard;
use crate::act::log;
use crate::act::retrying::Episode;
use crate::base::rng;
use crate::base::time::{Clock, Moment, Timestamp};
use crate::decide::breaker;
use crate::decide::retry::{self, Attempt, Timeline};

pub(super) struct Ongoing<'a, E, C, K> {
    call: &'a Call<C, K>,
    began: Moment,
    /// From the first failure on.
    episode: Option<Episode<'a>>,
    last: Option<Last<E>>,
}

impl<'a, E, C: Classifier<E>, K: Clock> Ongoing<'a, E, C, K> {
    /// Begins the call; the first attempt is always made, however little time there is for it.
    pub(super) fn begin(call: &'a Call<C, K>) -> (Self, Attempt) {
        let now = call.clock.now();
        let attempt = Attempt::first(&call.retry, Some(now.moment), Some(now.wall));
        let ongoing = Self { call, began: now.moment, episode: None, last: None };
        (ongoing, call.limited(attempt, now.moment))
    }

    /// Asks the breaker. A refusal is not an attempt; it ends the call.
    pub(super) fn admit(&mut self) -> Result<Guard<'a, K>, Stopped<E>> {
        Guard::admit(&self.call.breaker, &self.call.clock)
            .map_err(|(why, retry_at)| self.refused(why, retry_at))
    }

    pub(super) fn succeeded(&self, guard: Guard<'a, K>, attempt: Attempt) {
        guard.succeeded();
        let took = self.call.clock.moment().since(self.began);
        log::succeeded(self.call.name(), attempt.number(), took);
    }

    /// Scores the failure and decides: how long to wait, or how the call ends.
    pub(super) fn failed(
        &mut self,
        guard: Guard<'a, K>,
        attempt: Attempt,
        last: Last<E>,
    ) -> Result<Duration, Stopped<E>> {
        let call = self.call;
        let fault = last.fault(|error| call.classify.fault(error));
        let now = call.clock.now();
        let overrun =
            now.moment.since(self.began).checked_sub(attempt.remaining()).filter(|over| !over.is_zero());
        guard.failed(&fault, now);
        let began = self.began;
        let episode = self.episode.get_or_insert_with(|| {
            let seed = retry::seed(rng::entropy(), call.name());
            Episode::new(&call.retry, Some(call.name()), Some(began), &call.clock, seed)
        });
        let delay = match episode.failed_late(now, &fault, overrun) {
            Ok(delay) => delay,
            Err(end) => return Err(end.with(last, std::mem::take(&mut episode.timeline))),
        };
        self.last = Some(last);
        // Waiting for an attempt that would be refused is waiting for nothing.
        match call.breaker.refusal(now.after(delay)) {
            Some((why, retry_at)) => Err(self.refused(why, retry_at)),
            None => Ok(delay),
        }
    }

    /// The next attempt, once the wait is over.
    pub(super) fn next(&mut self) -> Result<Attempt, Stopped<E>> {
        let now = self.call.clock.now();
        self.began = now.moment;
        let (Some(episode), Some(last)) = (self.episode.as_mut(), self.last.take()) else {
            let first = Attempt::first(&self.call.retry, Some(now.moment), Some(now.wall));
            return Ok(self.call.limited(first, now.moment));
        };
        match episode.begin(now) {
            Ok(attempt) => {
                self.last = Some(last);
                Ok(self.call.limited(attempt, now.moment))
            }
            Err(end) => Err(end.with(last, std::mem::take(&mut episode.timeline))),
        }
    }

    fn refused(&mut self, why: breaker::Refusing, retry_at: Timestamp) -> Stopped<E> {
        let why = Refusing::Breaker(why);
        log::ended(Some(self.call.name()), "refused", Some(retry_at), &why);
        let attempts =
            self.episode.as_mut().map_or_else(Timeline::default, |e| std::mem::take(&mut e.timeline));
        Stopped::refused(why, retry_at, self.last.take(), attempts, None)
    }
}

/// What `op` gives, unless `timer` ends first; then `op` is dropped.
#[cfg(feature = "tokio")]
pub(super) async fn cut<T>(op: impl Future<Output = T>, timer: impl Future<Output = ()>) -> Option<T> {
    let (mut op, mut timer) = (std::pin::pin!(op), std::pin::pin!(timer));
    std::future::poll_fn(|context| match op.as_mut().poll(context) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => timer.as_mut().poll(context).map(|()| None),
    })
    .await
}
