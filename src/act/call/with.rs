//! A call on behalf of somebody: of one account, of one run.

use std::borrow::Cow;

use crate::act::call::Call;
#[cfg(feature = "store")]
use crate::act::call::face::OnThread;
#[cfg(feature = "tokio")]
use crate::act::call::face::OnTimer;
use crate::act::call::gate::Gate;
use crate::act::call::judge::Judge;
use crate::act::call::{Last, Stopped};
use crate::act::classifier::{ByTrait, Classifier, Keep};
use crate::act::log::Who;
use crate::base::time::{Clock, SleepBlocking, System};
use crate::decide::retry::Attempt;

/// A [`Call`] on behalf of one account or one run; made by [`Call::key`] and [`Call::of_run`].
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is run"]
pub struct Calling<'a, C = ByTrait, K = System, R = Keep> {
    call: &'a Call<C, K, R>,
    account: Option<Cow<'a, str>>,
    run_id: Option<Cow<'a, str>>,
    idempotency_key: Option<Cow<'a, str>>,
}

impl<C, K: Clock, R> Call<C, K, R> {
    /// The same dependency for one account of it: breaker, block, quotas, rate limit and credential have one state for
    /// each. Budget and concurrency are those of the whole dependency.
    ///
    /// ```
    /// use unattended::{call::Call, effect::Effect, quota::Quota};
    ///
    /// let youtube = Call::to("youtube").quota(Quota::per_day(1)?).effect(Effect::Pure).build()?;
    /// let ask = |account| youtube.key(account).run_blocking(|_| Ok::<_, std::io::Error>("page"));
    /// assert!(ask("alice").is_ok() && ask("bob").is_ok());
    /// assert_eq!(ask("alice").unwrap_err().code(), "quota.spent");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key<'a>(&'a self, account: impl Into<Cow<'a, str>>) -> Calling<'a, C, K, R> {
        Calling { account: Some(account.into()), ..self.plain() }
    }

    /// The same dependency for one run: its id and key stand in each event that is told.
    pub fn of_run<'a>(
        &'a self,
        run_id: impl Into<Cow<'a, str>>,
        idempotency_key: Option<impl Into<Cow<'a, str>>>,
    ) -> Calling<'a, C, K, R> {
        self.plain().of_run(run_id, idempotency_key)
    }

    /// The same dependency for the run of a step.
    #[cfg(feature = "store")]
    pub fn of_step<'a>(&'a self, cx: &'a crate::act::pipeline::Cx) -> Calling<'a, C, K, R> {
        self.plain().of_run(cx.run_id(), cx.key())
    }

    pub(super) const fn plain(&self) -> Calling<'_, C, K, R> {
        Calling { call: self, account: None, run_id: None, idempotency_key: None }
    }
}

impl<'a, C, K: Clock, R> Calling<'a, C, K, R> {
    /// For one account of it; see [`Call::key`].
    pub fn key(mut self, account: impl Into<Cow<'a, str>>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// For one run; see [`Call::of_run`].
    pub fn of_run(
        mut self,
        run_id: impl Into<Cow<'a, str>>,
        idempotency_key: Option<impl Into<Cow<'a, str>>>,
    ) -> Self {
        self.run_id = Some(run_id.into());
        self.idempotency_key = idempotency_key.map(Into::into);
        self
    }

    /// As [`Call::run_blocking`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn run_blocking<T, E, F>(&self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        C: Classifier<E>,
        K: SleepBlocking,
        R: Judge<T, E>,
    {
        let op = |attempt| std::future::ready(op(attempt).map_err(Last::Error));
        self.call.again_blocking(self.gate(), self.who(), self.call.clock.moment(), op, None)
    }

    /// As [`Call::run_on_thread`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn run_on_thread<T, E, F>(&self, op: F) -> Result<T, Stopped<E>>
    where
        F: Fn(Attempt) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Send + 'static,
        C: Classifier<E>,
        K: SleepBlocking,
        R: Judge<T, E>,
    {
        let op = super::thread::on_thread(op, self.call.name());
        self.call.again_blocking(self.gate(), self.who(), self.call.clock.moment(), op, None)
    }

    /// As [`Call::run`].
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "tokio")]
    pub async fn run<T, E, F, Fut>(&self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
        K: crate::base::time::Sleep,
        R: Judge<T, E>,
    {
        let ongoing = self.call.ongoing(self.gate(), self.who(), self.call.clock.moment());
        let mut op = |attempt| super::last_of(op(attempt));
        Box::pin(super::drive::drive(ongoing, &OnTimer(&self.call.clock), &mut op, None)).await
    }

    /// Writes what is counted for this account; see [`Call::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "store")]
    pub fn flush_blocking(&self) -> Result<(), super::PersistError>
    where
        K: SleepBlocking,
    {
        crate::base::park::block_on(self.call.flush_on(&OnThread(&self.call.clock), self.gate()))
    }

    /// The same, for a future.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(all(feature = "store", feature = "tokio"))]
    pub async fn flush(&self) -> Result<(), super::PersistError>
    where
        K: crate::base::time::Sleep,
    {
        self.call.flush_on(&OnTimer(&self.call.clock), self.gate()).await
    }

    fn gate(&self) -> Gate<'_> {
        match &self.account {
            None => self.call.gate(),
            Some(key) => Gate::Account { accounts: &self.call.accounts, key, name: self.call.name() },
        }
    }

    fn who(&self) -> Who<'_> {
        Who {
            dependency: Some(self.call.name()),
            account: self.account.as_deref(),
            run_id: self.run_id.as_deref(),
            idempotency_key: self.idempotency_key.as_deref(),
        }
    }
}
