//! One look at the store, and what it brings.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use crate::act::worker::lanes::{Ask, Open};
use crate::act::worker::plan::Look;
use crate::base::time::{Moment, Now};
use crate::decide::run;
use crate::remember::runs::{self, Error, Move, Reason, Runs, Taken, Wanted, Worth};
use crate::remember::store::{Expect, Order, PAGE_MAX, Store};

/// A run that was claimed, by a lease that was asked for at this moment.
pub(super) struct Claimed {
    pub(super) taken: Taken,
    pub(super) asked: Moment,
}

impl Claimed {
    /// Whether it is worth less as time goes by.
    fn ages(&self) -> bool {
        self.taken.run.body.worth.as_ref().is_some_and(Worth::ages)
    }
}

/// What a look has brought. What was claimed before an error is there beside it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) claimed: Vec<Claimed>,
    pub(super) swept: u32,
    /// Some of what is there is worth less as time goes by.
    pub(super) aging: bool,
    pub(super) error: Option<Error>,
}

/// Where to look, and as whom.
#[derive(Clone)]
pub(super) struct Looker {
    pub(super) store: Arc<dyn Store>,
    pub(super) actor: Arc<str>,
    pub(super) kinds: Arc<[String]>,
}

impl Looker {
    /// Looks; `now` reads the clocks. With `rank`, what is due is ranked by what it is worth now before it is claimed.
    pub(super) async fn look(self, look: Look, open: Open, rank: bool, now: impl Fn() -> Now) -> Found {
        let mut found = Found::default();
        let done = match look {
            Look::Sweep => {
                Runs::new(Arc::clone(&self.store)).sweep(&self.kinds, &self.actor).await.map(|count| {
                    found.swept = count;
                })
            }
            Look::Orphans => self.claim(None, open, &now, &mut found).await,
            Look::Due(order) => self.due(order, open, rank, &now, &mut found).await,
        };
        found.aging |= found.claimed.iter().any(|one| one.ages());
        found.error = done.err();
        found
    }

    async fn due(
        &self,
        order: Order,
        open: Open,
        rank: bool,
        now: impl Fn() -> Now,
        found: &mut Found,
    ) -> Result<(), Error> {
        if rank {
            let limit = u32::try_from(open.limit).unwrap_or(PAGE_MAX);
            let runs = Runs::new(Arc::clone(&self.store));
            found.aging = runs.rank_anew(&open.kinds(), limit, now().wall, &self.actor).await?;
        }
        let open = self.narrowed(order, open).await?;
        self.claim(Some(order), open, now, found).await
    }

    /// Claims what `open` allows: due runs in `order`, or those whose worker is gone.
    async fn claim(
        &self,
        order: Option<Order>,
        open: Open,
        now: impl Fn() -> Now,
        found: &mut Found,
    ) -> Result<(), Error> {
        for ask in open.asks {
            let left = open.limit.saturating_sub(found.claimed.len()).min(ask.limit);
            let Some(limit) = u32::try_from(left).ok().filter(|left| *left > 0) else { continue };
            let asked = now().moment;
            let wanted = Wanted {
                kinds: ask.kinds,
                limit,
                lease: ask.lease,
                order: order.unwrap_or(Order::Oldest),
                actor: &self.actor,
            };
            let runs = Runs::new(Arc::clone(&self.store)).crashes_max(ask.deaths_max);
            let taken = match order {
                Some(_) => runs.claim_queued(&wanted).await?,
                None => runs.claim_orphans(&wanted).await?,
            };
            found.claimed.extend(taken.into_iter().map(|taken| Claimed { taken, asked }));
        }
        Ok(())
    }

    /// Where jobs have bounds of their own each is asked for itself; so that the best of all come first all the same, it is
    /// looked first which they are.
    async fn narrowed(&self, order: Order, mut open: Open) -> Result<Open, Error> {
        if open.asks.len() < 2 {
            return Ok(open);
        }
        let limit = u32::try_from(open.limit).unwrap_or(PAGE_MAX);
        let page = self.store.scan(runs::due(open.kinds(), order, limit)).await?.records;
        for ask in &mut open.asks {
            let of = |ask: &Ask| page.iter().filter(|record| ask.kinds.contains(&record.kind)).count();
            ask.limit = ask.limit.min(of(ask));
        }
        Ok(open)
    }

    /// Gives runs back that were claimed and not begun: side by side, so that they share commits.
    pub(super) async fn hand_back(self, claimed: Vec<Claimed>, why: &'static str) -> HandedBack {
        let runs = Runs::new(Arc::clone(&self.store));
        let mut done = HandedBack::default();
        let mut left: Vec<_> =
            claimed.iter().map(|one| Box::pin(self.hand_one_back(&runs, &one.taken, why))).collect();
        poll_fn(|context| {
            left.retain_mut(|one| match one.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(outcome) => {
                    done.count(outcome);
                    false
                }
            });
            if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(left);
        done
    }

    async fn hand_one_back(&self, runs: &Runs, taken: &Taken, why: &str) -> Result<(), Error> {
        let reason = Reason::new("worker.not_begun", why);
        let (id, expect) = (taken.run.id(), Expect::Fence(taken.run.record.fence));
        let step = Move {
            // It was due when it was claimed.
            due_at: Some(taken.run.record.updated_at),
            actor: &self.actor,
            ..Move::new(id, taken.run.state(), run::Event::HandBack, expect, reason)
        };
        runs.apply(step).await.map(drop)
    }
}

/// What became of runs that were given back.
#[derive(Default)]
pub(super) struct HandedBack {
    pub(super) back: u64,
    pub(super) lost: u64,
    /// They could not be given back, and wait for their lease's end.
    pub(super) left: u64,
    pub(super) error: Option<Error>,
}

impl HandedBack {
    fn count(&mut self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) => self.back += 1,
            Err(Error::Lost { .. }) => self.lost += 1,
            Err(error) => {
                self.left += 1;
                self.error = Some(error);
            }
        }
    }
}
