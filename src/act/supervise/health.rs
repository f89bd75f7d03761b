//! How something that is supervised is, for who depends on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::act::supervise::stop::Run;
use crate::base::explain::{Explain, Explanation};
use crate::base::handover::HandedOver;
use crate::base::text::{relative, shown};
use crate::base::time::{Now, Timestamp, later};

/// How soon it is worth looking again at what is about to be there.
const SOON: Duration = Duration::from_secs(1);
/// How soon it is worth looking again at what only a person can bring back.
const LATER: Duration = Duration::from_secs(60);

/// How something that is supervised is. Clones look at the same one, from any thread.
#[derive(Clone, Debug)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    run: Option<Arc<Run>>,
}

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It was not started yet, or it was and is not ready.
    Starting,
    /// It runs.
    Up {
        /// Since when.
        since: Timestamp,
    },
    /// It does not run.
    Down {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: Explanation,
        /// When it will be begun again.
        retry_at: Timestamp,
    },
    /// It does not run, and a person was told.
    Escalated {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: Explanation,
    },
    /// It is supervised no more.
    Ended {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: Explanation,
    },
}

impl Health {
    pub(super) fn of(name: &str) -> Self {
        let inner = Mutex::new(Inner { state: State::Starting, run: None });
        Self { shared: Arc::new(Shared { name: name.to_owned(), inner }) }
    }

    /// What is supervised.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner().state.clone()
    }

    /// Whether it runs and is ready.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.inner().state, State::Up { .. })
    }

    /// What it says of itself by `STATUS=`, for a process with [`Liveness::notify`](super::Liveness::notify).
    #[must_use]
    pub fn status(&self) -> Option<String> {
        let run = self.inner().run.clone()?;
        run.signs().status.clone()
    }

    /// It has done so much more of what `recycle_after_runs` counts.
    pub fn ran(&self, runs: u64) {
        let run = self.inner().run.clone();
        if let Some(run) = run {
            run.ran(runs);
        }
    }

    /// Whether work that needs it can begin.
    ///
    /// # Errors
    /// Where it cannot: why not, and when it is worth looking again. That is work put off, not failed.
    pub fn ready(&self, now: Now) -> Result<(), HandedOver> {
        let soon = later(now.wall, SOON);
        let name = shown(self.name());
        let (code, said, until) = match &self.inner().state {
            State::Up { .. } => return Ok(()),
            State::Starting => (NotUp::Starting.code(), format!("{name} is starting"), soon),
            State::Down { since, why, retry_at } => {
                let since = relative(*since, now.wall);
                let said = format!("{name} is down, {since}: {}", why.why);
                (NotUp::Down.code(), said, (*retry_at).max(soon))
            }
            State::Escalated { since, why } => {
                let since = relative(*since, now.wall);
                let said = format!("{name} is down and a person was told, {since}: {}", why.why);
                (NotUp::Escalated.code(), said, later(now.wall, LATER))
            }
            State::Ended { why, .. } => {
                let said = format!("{name} is supervised no more: {}", why.why);
                (NotUp::Ended.code(), said, later(now.wall, LATER))
            }
        };
        Err(HandedOver::new(code, said, until))
    }

    pub(super) fn up(&self, since: Timestamp) {
        self.set(State::Up { since });
    }

    /// A run has begun, and is not ready yet.
    pub(super) fn begun(&self, run: &Arc<Run>) {
        let mut inner = self.inner();
        inner.state = State::Starting;
        inner.run = Some(Arc::clone(run));
    }

    /// It does not run: since when is kept while it is tried again and again.
    pub(super) fn down(&self, now: Now, why: &impl Explain, retry_at: Timestamp) {
        let why = Explanation::of(now.wall, self.name(), why);
        let mut inner = self.inner();
        inner.state = State::Down { since: now.wall, why, retry_at };
        inner.run = None;
    }

    pub(super) fn escalated(&self, now: Now, why: &impl Explain) {
        self.set(State::Escalated { since: now.wall, why: Explanation::of(now.wall, self.name(), why) });
    }

    pub(super) fn ended(&self, now: Now, why: &impl Explain) {
        self.set(State::Ended { since: now.wall, why: Explanation::of(now.wall, self.name(), why) });
    }

    fn set(&self, state: State) {
        let mut inner = self.inner();
        if !matches!(state, State::Up { .. } | State::Starting) {
            inner.run = None;
        }
        inner.state = state;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why work that needs it cannot begin.
#[derive(Clone, Copy)]
enum NotUp {
    Starting,
    Down,
    Escalated,
    Ended,
}

impl NotUp {
    const fn code(self) -> &'static str {
        match self {
            Self::Starting => "supervise.starting",
            Self::Down => "supervise.down",
            Self::Escalated => "supervise.escalated",
            Self::Ended => "supervise.ended",
        }
    }
}
