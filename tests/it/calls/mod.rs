//! One adapter under many tasks, on a store that takes its time, dropped half-way, and on clocks that step.

mod deadlines;
mod dropped;
mod hostile;
mod model;
mod storm;
mod together;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use unattended::call::{Builder, ByTrait, Call, Stopped};
use unattended::effect::Effect;
use unattended::memory::Memory;
use unattended::retry;
use unattended::store::{Applied, ApplyError, Batch, Error, Ns, Record, Store};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Sleep, Timestamp};

use crate::forward::forward;

pub(crate) type Api = Call<ByTrait, Sim>;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn sim(seed: u64) -> Sim {
    Sim::new(Timestamp::UNIX_EPOCH + secs(1_800_000_000), seed)
}

/// An adapter that tries once, on simulated time.
pub(crate) fn api(sim: &Sim) -> Builder<ByTrait, Sim> {
    Call::to("api").retry(retry::Policy::once()).effect(Effect::Idempotent).on(sim.clone())
}

pub(crate) fn down() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

pub(crate) fn code<T, E>(ended: &Result<T, Stopped<E>>) -> &'static str {
    ended.as_ref().map_or_else(Stopped::code, |_| "ok")
}

/// A store that takes a millisecond to hear a request and another to answer it, so that tasks come in between.
pub(crate) struct Slow {
    inner: Memory,
    sim: Sim,
    /// Until then it says nothing.
    silent: Duration,
}

impl Slow {
    pub(crate) fn store(sim: &Sim) -> Arc<dyn Store> {
        Self::silent(sim, Duration::ZERO)
    }

    pub(crate) fn silent(sim: &Sim, silent: Duration) -> Arc<dyn Store> {
        Arc::new(Self { inner: Memory::on(Arc::new(sim.clone())), sim: sim.clone(), silent })
    }

    async fn pause(&self) {
        let silence = self.silent.saturating_sub(self.sim.elapsed());
        self.sim.sleep(silence.max(Duration::from_millis(1))).await;
    }
}

impl Store for Slow {
    forward!(caps owner scan events prune => (inner));

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            self.pause().await;
            let applied = self.inner.apply(batch).await;
            self.pause().await;
            applied
        })
    }

    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(async move {
            self.pause().await;
            let found = self.inner.get(ns, key).await;
            self.pause().await;
            found
        })
    }
}
