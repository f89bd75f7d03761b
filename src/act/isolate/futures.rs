//! Engines that are futures, polled side by side by one future.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::act::isolate::report::{Board, Ended, Failure};
use crate::act::isolate::{Future, Group, Report};
use crate::act::panics::caught;
use crate::base::time::{BoxFuture, Moment, Sleep};

impl<T: Send> Group<Future<'_, T>> {
    /// Runs the engines until each has ended, or one has failed fatally. Time-outs are waited for on `clock`.
    ///
    /// Dropping the future drops the engines.
    pub async fn run<K: Sleep>(self, clock: &K) -> Report<T> {
        let Self { name, at_once, timeout, engines, .. } = self;
        let began = clock.moment();
        let mut board = Board::new(name, engines.iter().map(|engine| engine.name.clone()));
        let mut waiting = engines.into_iter().enumerate();
        let mut running: Vec<Running<'_, '_, T>> = Vec::new();
        poll_fn(|context| {
            let mut at = 0;
            loop {
                while running.len() < at_once
                    && let Some((index, engine)) = waiting.next()
                {
                    let now = clock.moment();
                    match caught(engine.work.0) {
                        Ok(work) => {
                            let limit = engine.timeout.or(timeout);
                            let timer = limit.map(|limit| (limit, clock.sleep(limit)));
                            running.push(Running { index, began: now, work, timer });
                        }
                        Err(message) => board.ended(index, Ended::Panicked(message), Duration::ZERO),
                    }
                }
                // What was begun just now stands at the end, and is polled in the same round.
                let Some(engine) = running.get_mut(at) else { break };
                let Some(ended) = engine.poll(context) else {
                    at += 1;
                    continue;
                };
                let engine = running.remove(at);
                board.ended(engine.index, ended, clock.moment().since(engine.began));
                engine.put_away();
                if !board.goes_on() {
                    for engine in running.drain(..) {
                        board.cut(engine.index, clock.moment().since(engine.began));
                        engine.put_away();
                    }
                    return Poll::Ready(());
                }
            }
            if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        board.report(clock.moment().since(began))
    }
}

/// An engine that was begun.
struct Running<'a, 'c, T> {
    index: usize,
    began: Moment,
    work: BoxFuture<'a, Result<T, Failure>>,
    timer: Option<(Duration, BoxFuture<'c, ()>)>,
}

impl<T> Running<'_, '_, T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Option<Ended<T>> {
        match caught(|| self.work.as_mut().poll(context)) {
            Ok(Poll::Ready(result)) => return Some(Ended::Gave(result)),
            Ok(Poll::Pending) => {}
            Err(message) => return Some(Ended::Panicked(message)),
        }
        let (limit, timer) = self.timer.as_mut()?;
        timer.as_mut().poll(context).is_ready().then_some(Ended::TimedOut(*limit))
    }

    /// Drops it; that this may panic too is no matter of the others.
    fn put_away(self) {
        let _said = caught(|| drop(self));
    }
}
