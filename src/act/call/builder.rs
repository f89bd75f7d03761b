//! What is said once about a dependency.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::act::accounts::Accounts;
use crate::act::call::bulkhead::Bulkhead;
use crate::act::call::credentials::Credentials;
use crate::act::call::judge::ByContract;
#[cfg(feature = "store")]
use crate::act::call::kept::{Keeper, Saved, StoreDown};
#[cfg(feature = "store")]
use crate::act::call::watched::Watched;
use crate::act::call::{Call, Error};
use crate::act::classifier::{By, ByTrait, Keep, RejectBy};
use crate::act::credential::Renew;
#[cfg(feature = "store")]
use crate::act::statistics::{Statistics, Subject};
use crate::base::effect::Effect;
use crate::base::fault::{Class, Fault, Overrides, Severity};
use crate::base::rng;
use crate::base::time::{Clock, Now, System, between};
use crate::decide::breaker::{self, Breaker};
use crate::decide::budget::{self, Budget};
use crate::decide::contract::Check;
use crate::decide::quota::{Limit, Meter};
use crate::decide::retry;
#[cfg(feature = "store")]
use crate::remember::{snapshots::Snapshots, store::Store};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// How many calls are out at once, if nobody says otherwise.
const CONCURRENCY: u32 = 16;
/// Of how many accounts the state is kept, if nobody says otherwise.
const ACCOUNTS_MAX: usize = 100_000;
/// How many quotas one call is checked against.
pub(super) const QUOTAS_MAX: usize = 4;

/// How an error of type `E` is classified, kept in a [`Call`].
type Closure<E> = Box<dyn Fn(&E) -> Fault + Send + Sync>;
/// Which `Ok` values of type `T` are failures.
type Refuser<T, E> = Box<dyn Fn(&T) -> Option<E> + Send + Sync>;

/// An adapter that is being described; [`build`](Builder::build) does no I/O.
#[derive(Debug)]
#[must_use = "it does nothing until it is built"]
pub struct Builder<C = ByTrait, K = System, R = Keep> {
    plan: Plan,
    classify: C,
    clock: K,
    accept: R,
}

/// All that does not depend on the types of the operation.
#[derive(Debug)]
struct Plan {
    name: String,
    retry: retry::Policy,
    breaker: breaker::Policy,
    budget: Option<budget::Policy>,
    quotas: Vec<Limit>,
    #[cfg(feature = "rate-limit")]
    rate_limit: Option<crate::act::call::RateLimit>,
    concurrency: u32,
    concurrency_wait: Option<Duration>,
    attempt_timeout: Duration,
    deadline_total: Option<Duration>,
    effect: Option<Effect>,
    overrides: Overrides,
    credentials: Credentials,
    accounts_max: usize,
    seed: Option<u64>,
    #[cfg(feature = "store")]
    keeper: Option<Keeper>,
    #[cfg(feature = "store")]
    statistics: Option<Watched>,
}

impl Builder {
    pub(super) const fn new(name: String) -> Self {
        let plan = Plan {
            name,
            retry: retry::Policy::cron(),
            breaker: breaker::Policy::never(),
            budget: Some(budget::Policy::cron()),
            quotas: Vec::new(),
            #[cfg(feature = "rate-limit")]
            rate_limit: None,
            concurrency: CONCURRENCY,
            concurrency_wait: None,
            attempt_timeout: ATTEMPT_TIMEOUT,
            deadline_total: None,
            effect: None,
            overrides: Overrides::new(),
            credentials: Credentials::None,
            accounts_max: ACCOUNTS_MAX,
            seed: None,
            #[cfg(feature = "store")]
            keeper: None,
            #[cfg(feature = "store")]
            statistics: None,
        };
        Self { plan, classify: ByTrait, clock: System, accept: Keep }
    }
}

impl<C, K: Clock, R> Builder<C, K, R> {
    /// The presets of a long-running program with somebody waiting for the answer: retry, breaker and budget
    /// `service()`, 10 s for an attempt, 25 calls at once, no waiting for a turn.
    pub const fn service(mut self) -> Self {
        self.plan.retry = retry::Policy::service();
        self.plan.breaker = breaker::Policy::service();
        self.plan.budget = Some(budget::Policy::service());
        self.plan.attempt_timeout = Duration::from_secs(10);
        self.plan.concurrency = 25;
        self.plan.concurrency_wait = Some(Duration::ZERO);
        self
    }

    /// The presets of a job that starts often and has nobody waiting for it: retry, breaker and budget `cron()`, 60 s for
    /// an attempt, 4 calls at once, 60 s of waiting for a turn.
    pub const fn cron(mut self) -> Self {
        self.plan.retry = retry::Policy::cron();
        self.plan.breaker = breaker::Policy::cron();
        self.plan.budget = Some(budget::Policy::cron());
        self.plan.attempt_timeout = ATTEMPT_TIMEOUT;
        self.plan.concurrency = 4;
        self.plan.concurrency_wait = Some(Duration::from_secs(60));
        self
    }

    /// When to try again; default [`retry::Policy::cron`]. Its effect class is replaced by the one declared here.
    pub const fn retry(mut self, policy: retry::Policy) -> Self {
        self.plan.retry = policy;
        self
    }

    /// When to leave it alone; default is no rule. What a server asked for with a 429 holds in any case. The lease of a
    /// probe is at least twice the time-out of an attempt, and what it may wait for each quota and for the rate limit.
    pub const fn breaker(mut self, policy: breaker::Policy) -> Self {
        self.plan.breaker = policy;
        self
    }

    /// What retries of all calls together may burden the dependency with; default [`budget::Policy::cron`], `None` for no
    /// bound but that of each call. One budget for all accounts.
    pub fn budget(mut self, policy: impl Into<Option<budget::Policy>>) -> Self {
        self.plan.budget = policy.into();
        self
    }

    /// How often it may be called: a [`Quota`](crate::decide::quota::Quota) or a
    /// [`Calendar`](crate::decide::quota::Calendar). Each call of this adds one (such as 60 a minute and 10,000 a day),
    /// up to 4; an attempt takes one of each. A call waits for its turn for at most the retry policy's
    /// `inline_wait_max`; a longer wait is a refusal that says when to come back.
    pub fn quota(mut self, limit: impl Into<Limit>) -> Self {
        self.plan.quotas.push(limit.into());
        self
    }

    /// How often this process may call it, by governor: a [`Rate`](crate::act::limit::Rate) for all together or a
    /// [`KeyedRate`](crate::act::limit::KeyedRate) for each [account](Call::key). It is not saved, which is what
    /// [`quota`](Self::quota) is for; a call waits for it as for a quota.
    #[cfg(feature = "rate-limit")]
    pub fn rate_limit(mut self, rate: impl Into<crate::act::call::RateLimit>) -> Self {
        self.plan.rate_limit = Some(rate.into());
        self
    }

    /// How many calls are out at once, over all accounts; default 16. Whoever comes later waits, first come first
    /// served.
    pub const fn concurrency(mut self, limit: u32) -> Self {
        self.plan.concurrency = limit;
        self
    }

    /// How long a call waits for its turn when as many as may be are out; default the retry policy's `inline_wait_max`.
    /// A blocking call waits in real time, whatever the clock.
    pub const fn concurrency_wait(mut self, limit: Duration) -> Self {
        self.plan.concurrency_wait = Some(limit);
        self
    }

    /// How long one attempt may take; default 60 s.
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.plan.attempt_timeout = limit;
        self
    }

    /// How long all attempts and waits may take together; default what the retry policy says.
    pub const fn deadline_total(mut self, limit: Duration) -> Self {
        self.plan.deadline_total = Some(limit);
        self
    }

    /// What running the operation twice does to the world. It must be declared.
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.plan.effect = Some(effect);
        self
    }

    /// For this dependency a fault with that code is of that class, whatever the classifier says:
    /// `.class_of("http.403", Class::RateLimited)`.
    pub fn class_of(mut self, code: impl Into<std::borrow::Cow<'static, str>>, class: Class) -> Self {
        self.plan.overrides = self.plan.overrides.class(code, class);
        self
    }

    /// For this dependency a fault with that code is that severe, whatever the classifier says.
    pub fn severity_of(
        mut self,
        code: impl Into<std::borrow::Cow<'static, str>>,
        severity: Severity,
    ) -> Self {
        self.plan.overrides = self.plan.overrides.severity(code, severity);
        self
    }

    /// The credential that the operation uses: an "unauthorized" refreshes it once before the one attempt that follows,
    /// and nothing is called while it needs a person.
    pub fn credential(mut self, credential: Arc<dyn Renew>) -> Self {
        self.plan.credentials = Credentials::One(credential);
        self
    }

    /// The same where each account has its own.
    pub fn credential_of(
        mut self,
        credential: impl Fn(&str) -> Option<Arc<dyn Renew>> + Send + Sync + 'static,
    ) -> Self {
        self.plan.credentials = Credentials::Of(Arc::new(credential));
        self
    }

    /// Of how many accounts the state is kept in memory, at least 16, see [`Call::key`]; default 100,000. At the bound a
    /// new account takes the place of one that is healthy and has used nothing; else of the one that is nearest to that,
    /// and of one that refuses only if all do: [`Call::accounts_dropped`] counts them.
    pub const fn accounts_max(mut self, limit: usize) -> Self {
        self.plan.accounts_max = limit;
        self
    }

    /// Fixes the seed of every jitter, so that a simulation tells the same story again; the default is the machine's
    /// randomness.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.plan.seed = Some(seed);
        self
    }

    /// Says what an error means, for a type that does not say it itself.
    pub fn classify<E>(
        self,
        classify: impl Fn(&E) -> Fault + Send + Sync + 'static,
    ) -> Builder<By<Closure<E>>, K, R> {
        let classify = By(Box::new(classify) as Closure<E>);
        Builder { plan: self.plan, classify, clock: self.clock, accept: self.accept }
    }

    /// Says which `Ok` values are failures all the same, by giving the error that they stand for; it is classified as
    /// any other.
    pub fn reject<T, E>(
        self,
        reject: impl Fn(&T) -> Option<E> + Send + Sync + 'static,
    ) -> Builder<C, K, RejectBy<Refuser<T, E>>> {
        let accept = RejectBy(Box::new(reject) as Refuser<T, E>);
        Builder { plan: self.plan, classify: self.classify, clock: self.clock, accept }
    }

    /// Checks each answer: one that breaks the contract is a permanent fault, `contract.response`.
    pub fn contract<T>(
        self,
        contract: &(impl Check<T> + Clone + Send + Sync + 'static),
    ) -> Builder<C, K, ByContract<T>> {
        let accept = ByContract(Arc::new(contract.clone()));
        Builder { plan: self.plan, classify: self.classify, clock: self.clock, accept }
    }

    /// Runs on `clock`, such as a simulated one.
    pub fn on<L: Clock>(self, clock: L) -> Builder<C, L, R> {
        Builder { plan: self.plan, classify: self.classify, clock, accept: self.accept }
    }

    /// Keeps breaker, block, budget and quotas in `store`, for processes that follow each other: three failures in a row
    /// are three in a row across three cron runs. Loaded at first use ([`build`](Self::build) does no I/O); what moves is
    /// written before the call returns, the rest by [`Call::flush`], and nothing when it is dropped. Quotas and budget are
    /// taken before they are used, so that a kill gives nothing back that was spent.
    ///
    /// A store that fails does not fail the call: it goes on with what it knows, and `flush` says what is wrong.
    #[cfg(feature = "store")]
    pub fn persist(self, store: &Arc<dyn Store>) -> Self {
        self.kept_in(Arc::new(Snapshots::new(Arc::clone(store))), None)
    }

    /// The same for processes that run together: the breaker is read before each attempt, a probe is written before it is
    /// made, a failure is counted on top of what the others have counted; of quotas, blocks are reserved. `down` says
    /// what happens while the store cannot be read or written, or gives no answer for 5 s.
    #[cfg(feature = "store")]
    pub fn share(self, store: &Arc<dyn Store>, down: StoreDown) -> Self {
        self.kept_in(Arc::new(Snapshots::new(Arc::clone(store))), Some(down))
    }

    /// Notes how calls end in `statistics`, with a trend each for failures, retries and durations of this dependency. A call that was
    /// refused before its first attempt does not count. What was noted is written by a call that ends when it is due, and by
    /// [`flush`](Call::flush_blocking). Such calls do not take the shortest way in.
    #[cfg(feature = "store")]
    pub fn statistics(mut self, statistics: &Statistics) -> Self {
        let subject = Subject::dependency(&self.plan.name);
        self.plan.statistics = Some(Watched { statistics: statistics.clone(), subject });
        self
    }

    #[cfg(feature = "store")]
    pub(super) fn kept_in(mut self, saved: Arc<dyn Saved>, together: Option<StoreDown>) -> Self {
        self.plan.keeper = Some(Keeper::new(saved, together));
        self
    }

    /// The adapter.
    ///
    /// # Errors
    ///
    /// [`Error`], naming what is missing or out of its range.
    pub fn build(self) -> Result<Call<C, K, R>, Error> {
        let (plan, now) = (self.plan, self.clock.now());
        let Some(effect) = plan.effect else { return Err(Error::NoEffect { name: plan.name }) };
        let retry = plan.check(effect, now)?;
        let policy = plan.breaker.lease_at_least(plan.lease_min(&retry));
        let seed = plan.seed.unwrap_or_else(rng::entropy);
        let own = |source| Error::Breaker { name: plan.name.clone(), source };
        let breaker = Breaker::seeded(plan.name.clone(), policy, seed, now).map_err(own)?;
        let meters: Box<[Meter]> = plan.quotas.iter().map(|limit| Meter::new(*limit, now)).collect();
        let accounts = Accounts::new(policy, plan.quotas, plan.accounts_max, seed, now).map_err(own)?;
        let budget = plan.budget.map(Budget::new).transpose();
        let budget = budget.map_err(|source| Error::Budget { name: plan.name.clone(), source })?;
        let mut simple = !retry.needs_wall() && !meters.iter().any(Meter::needs_wall);
        simple &= matches!(plan.credentials, Credentials::None);
        #[cfg(feature = "store")]
        {
            simple &= plan.keeper.is_none() && plan.statistics.is_none();
        }
        #[cfg(feature = "rate-limit")]
        {
            simple &= plan.rate_limit.is_none();
        }
        Ok(Call {
            retry,
            breaker,
            meters,
            budget,
            bulkhead: Bulkhead::new(plan.concurrency),
            concurrency_wait: plan.concurrency_wait.unwrap_or_else(|| retry.patience()),
            attempt_timeout: plan.attempt_timeout,
            simple,
            overrides: plan.overrides,
            credentials: plan.credentials,
            accounts,
            #[cfg(feature = "rate-limit")]
            rate_limit: plan.rate_limit,
            seed,
            failing: AtomicU64::new(0),
            classify: self.classify,
            accept: self.accept,
            clock: self.clock,
            #[cfg(feature = "store")]
            keeper: plan.keeper,
            #[cfg(feature = "store")]
            statistics: plan.statistics,
        })
    }
}

impl Plan {
    /// A probe must not be taken for dead while it waits for its quotas, or its attempt is under way.
    fn lease_min(&self, retry: &retry::Policy) -> Duration {
        let waits = u32::try_from(self.quotas.len()).unwrap_or(u32::MAX);
        #[cfg(feature = "rate-limit")]
        let waits = waits.saturating_add(u32::from(self.rate_limit.is_some()));
        self.attempt_timeout.saturating_mul(2).saturating_add(retry.patience().saturating_mul(waits))
    }

    /// Everything that can be seen without making anything of it; answers with the retry policy as it is meant.
    fn check(&self, effect: Effect, now: Now) -> Result<retry::Policy, Error> {
        let name = || self.name.clone();
        let zeros = [
            ("attempt_timeout", self.attempt_timeout.is_zero()),
            ("deadline_total", self.deadline_total.is_some_and(|limit| limit.is_zero())),
            ("concurrency", self.concurrency == 0),
            ("accounts_max", self.accounts_max == 0),
        ];
        if let Some((field, _)) = zeros.into_iter().find(|(_, zero)| *zero) {
            return Err(Error::Zero { name: name(), field });
        }
        if self.quotas.len() > QUOTAS_MAX {
            return Err(Error::TooManyQuotas { name: name(), given: self.quotas.len(), limit: QUOTAS_MAX });
        }
        self.overrides.check().map_err(|source| Error::Overrides { name: name(), source })?;
        let retry = match self.deadline_total {
            Some(limit) => self.retry.elapsed_at_most(limit),
            None => self.retry,
        }
        .effect(effect);
        retry.check().map_err(|source| Error::Retry { name: name(), source })?;
        if let Some(at) = retry.deadline_at().filter(|at| *at <= now.wall) {
            return Err(Error::DeadlinePassed { name: name(), ago: between(at, now.wall) });
        }
        Ok(retry)
    }
}
