//! Stand-in until the packed accounts are merged.
use crate::base::time::{Now, Timestamp};
use crate::decide::breaker::{
    self, Admit, Breaker, Moved, Outcome, Permit, Policy, Refusing, Restored, Snapshot, Standing,
};
use crate::decide::quota::{Limit, Meter, Reserve, Taken};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
type One = (Breaker, Vec<Meter>);
#[derive(Debug)]
pub(in crate::act) struct Accounts {
    policy: Policy,
    limits: Vec<Limit>,
    seed: u64,
    map: Mutex<HashMap<Box<str>, Arc<One>>>,
}
impl Accounts {
    pub(in crate::act) const KEYS_MAX: usize = 100_000;
    pub(in crate::act) fn new(
        policy: Policy,
        limits: &[Limit],
        _max: usize,
        seed: u64,
    ) -> Result<Self, breaker::Error> {
        Ok(Self { policy, limits: limits.to_vec(), seed, map: Mutex::default() })
    }
    fn one(&self, key: &str, now: Now) -> Arc<One> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(map.entry(key.into()).or_insert_with(|| {
            Arc::new((
                Breaker::seeded(key, self.policy, self.seed, now).unwrap_or_else(|_| unreachable!()),
                self.limits.iter().map(|l| Meter::new(*l, now)).collect(),
            ))
        }))
    }
    pub(in crate::act) fn admit(&self, key: &str, now: Now) -> Admit {
        self.one(key, now).0.admit(now)
    }
    pub(in crate::act) fn settle_hinted(
        &self,
        key: &str,
        p: Permit,
        o: Outcome,
        h: Option<Duration>,
        now: Now,
    ) -> Moved {
        self.one(key, now).0.settle_hinted(p, o, h, now)
    }
    pub(in crate::act) fn block(&self, key: &str, w: Duration, now: Now) -> Timestamp {
        self.one(key, now).0.block(w, now)
    }
    pub(in crate::act) fn refusal(&self, key: &str, now: Now) -> Option<(Refusing, Timestamp)> {
        self.one(key, now).0.refusal(now)
    }
    pub(in crate::act) fn slow_over(&self) -> Option<Duration> {
        self.policy.slow_over()
    }
    pub(in crate::act) fn snapshot(&self, key: &str, now: Now) -> Snapshot {
        self.one(key, now).0.snapshot(now)
    }
    pub(in crate::act) fn adopt_and_credit(
        &self,
        key: &str,
        s: &Snapshot,
        n: u32,
        now: Now,
    ) -> Result<Restored, breaker::Error> {
        self.one(key, now).0.adopt_and_credit(s, n, now)
    }
    pub(in crate::act) fn mark(&self, key: &str, now: Now) -> (u32, Option<Timestamp>, Standing) {
        self.one(key, now).0.mark()
    }
    pub(in crate::act) fn reserve(
        &self,
        key: &str,
        i: usize,
        n: u32,
        now: Now,
        w: Duration,
    ) -> Option<Reserve> {
        Some(self.one(key, now).1.get(i)?.reserve(n, now, w))
    }
    pub(in crate::act) fn give_back(&self, key: &str, i: usize, t: Taken, now: Now) {
        if let Some(m) = self.one(key, now).1.get(i) {
            m.give_back(t);
        }
    }
}
