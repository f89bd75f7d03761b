//! What is supervised, and how.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::act::command::Command;
use crate::act::supervise::bell::Bell;
use crate::act::supervise::error::{Error, span};
use crate::act::supervise::event::Event;
use crate::act::supervise::health::Health;
use crate::act::supervise::keep::Keep;
use crate::act::supervise::liveness::{Kind, Liveness};
use crate::act::supervise::run::Supervisor;
use crate::act::supervise::stop::Stop;
use crate::act::supervise::thread;
use crate::base::rng;
use crate::base::time::{Clock, System};
use crate::decide::restart;

#[cfg(feature = "store")]
use crate::remember::{snapshots, store::Store};

const NAME_MAX: usize = 100;
const GRACE: Duration = Duration::from_secs(10);
const GRACE_MAX: Duration = Duration::from_secs(3600);
const RESIDENT_EVERY: Duration = Duration::from_secs(10);
const RESIDENT_EVERY_MIN: Duration = Duration::from_millis(100);

pub(super) type Hook = dyn FnMut(&Event) + Send;

/// What is supervised.
#[derive(Clone)]
pub(super) enum Work {
    Process(Box<Command>),
    Thread(Arc<thread::Work>),
}

/// What is supervised, and how: made by [`Supervisor::new`].
#[must_use = "nothing is supervised until it is built and run"]
pub struct Builder {
    name: String,
    work: Option<Work>,
    policy: restart::Policy,
    grace: Duration,
    liveness: Option<Liveness>,
    resident_every: Duration,
    keep: Keep,
    hook: Option<Box<Hook>>,
    seed: Option<u64>,
}

impl Builder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            work: None,
            policy: restart::Policy::new(),
            grace: GRACE,
            liveness: None,
            resident_every: RESIDENT_EVERY,
            keep: Keep::Nowhere,
            hook: None,
            seed: None,
        }
    }

    /// A process. A time-out of the command is not kept, as it is to run on; for an end after a time there is
    /// [`recycle_after`](restart::Policy::recycle_after).
    pub fn process(mut self, command: Command) -> Self {
        self.work = Some(Work::Process(Box::new(command)));
        self
    }

    /// A thread that runs this, from the beginning at each start. An error is a failure, and so is a panic; `Ok` is a clean exit. It ends when
    /// [`Stop::is_asked`], or it cannot be stopped.
    pub fn thread<E: fmt::Display>(
        mut self,
        work: impl Fn(&Stop) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let work = move |stop: &Stop| work(stop).map_err(|error| error.to_string());
        self.work = Some(Work::Thread(Arc::new(work)));
        self
    }

    /// When and how often it is begun again; default [`restart::Policy::new`].
    pub const fn policy(mut self, policy: restart::Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How long it has to end when it is stopped, up to an hour; default 10 s. Then a process is killed.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What a sign of life is; default none: what hangs is not noticed.
    pub fn liveness(mut self, liveness: Liveness) -> Self {
        self.liveness = Some(liveness);
        self
    }

    /// How often the memory of a process is looked at, where the policy has a [limit](restart::Policy::recycle_above) for it: 100 ms to an
    /// hour; default 10 s. On Linux; elsewhere it is not known. What is looked at is the process itself, not its children.
    pub const fn resident_every(mut self, interval: Duration) -> Self {
        self.resident_every = interval;
        self
    }

    /// Keeps the state in a file: it is read by [`build`](Self::build), and written before anything is begun again.
    #[cfg(feature = "store")]
    pub fn persist(mut self, file: snapshots::File<restart::Saved>) -> Self {
        self.keep = Keep::File(file);
        self
    }

    /// Keeps the state in a store, as the snapshot `restart/NAME`. One supervisor of a name at a time.
    #[cfg(feature = "store")]
    pub fn persist_in(mut self, store: &Arc<dyn Store>) -> Self {
        let snapshots = snapshots::Snapshots::new(Arc::clone(store));
        self.keep = Keep::Store { snapshots, version: None };
        self
    }

    /// Is told each thing that is seen or decided, on the supervisor's thread. It should not take long; a panic of it is
    /// passed over.
    pub fn on_event(mut self, hear: impl FnMut(&Event) + Send + 'static) -> Self {
        self.hook = Some(Box::new(hear));
        self
    }

    /// The seed of the delays, where they are to be the same each time; default another one each time. Without meaning where a state was
    /// persisted, which has its own.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The supervisor; nothing runs yet.
    ///
    /// # Errors
    /// [`Error::Field`] for what makes no sense, [`Error::Restart`] for such a policy, `Error::Kept` where what was persisted
    /// cannot be read, [`Error::System`] for want of file descriptors.
    pub fn build(self) -> Result<Supervisor, Error> {
        self.check()?;
        let Self { name, work, policy, grace, liveness, resident_every, mut keep, hook, seed } = self;
        let missing = || field("process or thread", "missing", "one of them");
        let work = work.ok_or_else(missing)?;
        let restart = |source| Error::Restart { name: name.clone(), source };
        let saved = keep.load(&name)?;
        let state = match saved {
            Some(saved) => restart::State::restored(policy, saved, System.now()),
            None => restart::State::new(policy, seed.unwrap_or_else(rng::entropy)),
        };
        let state = state.map_err(restart)?;
        let bell = Bell::new().map_err(|source| Error::System { name: name.clone(), source })?;
        Ok(Supervisor {
            health: Health::of(&name),
            stuck: Arc::new(AtomicUsize::new(0)),
            name,
            work,
            state,
            grace,
            liveness,
            resident_every,
            keep,
            hook,
            bell,
        })
    }

    fn check(&self) -> Result<(), Error> {
        if self.name.is_empty() || self.name.len() > NAME_MAX {
            let given = format!("{} bytes long", self.name.len());
            return Err(field("name", given, "1 to 100 bytes"));
        }
        span("grace", self.grace, Duration::ZERO, GRACE_MAX)?;
        span("resident_every", self.resident_every, RESIDENT_EVERY_MIN, GRACE_MAX)?;
        if let Some(liveness) = &self.liveness {
            liveness.check()?;
        }
        let notified = matches!(&self.liveness, Some(Liveness { kind: Kind::Notify { .. } }));
        match &self.work {
            Some(Work::Thread(_)) if notified => {
                Err(field("liveness", "messages of sd_notify for a thread", "a process for that"))
            }
            Some(Work::Thread(_)) if self.policy.resident_max().is_some() => {
                Err(field("recycle_above", "a limit of memory for a thread", "a process for that"))
            }
            _ => Ok(()),
        }
    }
}

fn field(field: &'static str, given: impl Into<String>, allowed: &str) -> Error {
    Error::Field { field, given: given.into(), allowed: allowed.to_owned() }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .field("liveness", &self.liveness)
            .finish_non_exhaustive()
    }
}
