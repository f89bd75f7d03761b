//! A run that this process holds: its body, its fence, and whether it still holds it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::act::env::Env;
use crate::base::time::Moment;
use crate::decide::run::State;
use crate::remember::runs::{Body, Error, Runs, Taken};
use crate::remember::store::{ApplyError, Batch, Expect, Ns, Put, Write, Written};

/// How much of the lease is left unused at its end: work stops before somebody else may begin.
const MARGIN: u32 = 10;

/// Is told the name of each point between two writes.
pub(in crate::act) type Edges = Arc<dyn Fn(&str) + Send + Sync>;

/// What the driver, the steps and the renewal share about one held run.
pub(in crate::act) struct Holding {
    pub(in crate::act) runs: Runs,
    pub(in crate::act) env: Arc<dyn Env>,
    pub(in crate::act) id: String,
    pub(in crate::act) job: String,
    pub(in crate::act) actor: String,
    pub(in crate::act) fence: u64,
    pub(in crate::act) lease: Duration,
    body: Mutex<Body>,
    kept: Mutex<Kept>,
    edges: Option<Edges>,
}

/// What the last word from the store was.
#[derive(Clone, Copy, Debug)]
struct Kept {
    until: Moment,
    cancelling: bool,
    lost: bool,
}

/// Whether work may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Hold {
    /// The run is ours.
    Ours,
    /// It is ours, and an operator asked to stop it.
    Cancelling,
    /// Somebody took it over, or its lease is about to end and could not be renewed.
    Lost,
}

impl Holding {
    /// `asked` is from before the request that gave the lease.
    pub(in crate::act) fn new(
        runs: Runs,
        env: Arc<dyn Env>,
        taken: &Taken,
        asked: Moment,
        lease: Duration,
        actor: &str,
        edges: Option<Edges>,
    ) -> Arc<Self> {
        let until = usable(asked, lease);
        Arc::new(Self {
            runs,
            env,
            id: taken.run.id().to_owned(),
            job: taken.run.job().to_owned(),
            actor: actor.to_owned(),
            fence: taken.run.record.fence,
            lease,
            body: Mutex::new(taken.run.body.clone()),
            kept: Mutex::new(Kept { until, cancelling: taken.run.record.cancelling, lost: false }),
            edges,
        })
    }

    /// The body as it was last committed, or as the driver is about to commit it.
    pub(in crate::act) fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the holder's writes expect.
    pub(in crate::act) const fn expect(&self) -> Expect {
        Expect::Fence(self.fence)
    }

    /// The state in which every write of this holder finds the run.
    pub(in crate::act) const STATE: State = State::Processing;

    /// Whether work may go on.
    pub(in crate::act) fn hold(&self) -> Hold {
        let kept = *self.kept();
        if kept.lost || self.env.now().moment >= kept.until {
            return Hold::Lost;
        }
        if kept.cancelling { Hold::Cancelling } else { Hold::Ours }
    }

    /// Takes in what the store said about a write of ours that began at `asked`: the lease counts from before the
    /// request, so that it never ends earlier at the store than here.
    pub(in crate::act) fn heard(&self, asked: Moment, written: Option<&Written>) {
        let Some(written) = written else { return };
        let mut kept = self.kept();
        if written.lease.is_some() {
            kept.until = usable(asked, self.lease);
        }
        kept.cancelling = written.cancelling;
    }

    /// The run is somebody else's.
    pub(in crate::act) fn lose(&self) {
        self.kept().lost = true;
    }

    /// Makes the lease longer. An error that is not a loss is not one: work goes on until the lease's end.
    pub(in crate::act) async fn renew(&self) -> Result<(), Error> {
        let asked = self.env.now().moment;
        let write = Write::new(Ns::RUN, self.id.as_str(), self.expect(), Put::renew(self.lease));
        match self.runs.store().apply(Batch::of(write)).await {
            Ok(applied) => {
                self.heard(asked, applied.first());
                Ok(())
            }
            Err(ApplyError::Conflict(_)) => {
                self.lose();
                Err(Error::Lost { winner: None })
            }
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error.into()),
        }
    }

    /// How long the work may go on unless the lease is renewed.
    pub(in crate::act) fn left(&self) -> Duration {
        self.kept().until.since(self.env.now().moment)
    }

    /// When the lease is next to be renewed: at a third of it, sooner after a renewal that failed.
    pub(in crate::act) fn renew_in(&self, failed: bool) -> Duration {
        let part = if failed { self.lease / 12 } else { self.lease / 3 };
        part.max(Duration::from_millis(1))
    }

    /// Tells whoever wants to know that a point between two writes was reached.
    pub(in crate::act) fn edge(&self, name: &str) {
        if let Some(edges) = &self.edges {
            edges(name);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until when work may go on by a lease that was asked for at `asked`.
fn usable(asked: Moment, lease: Duration) -> Moment {
    asked.after(lease.saturating_sub(lease / MARGIN))
}
