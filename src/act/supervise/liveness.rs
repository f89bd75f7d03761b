//! What a sign of life is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::act::command::Command;
use crate::act::supervise::error::{Error, span};
use crate::base::fault;

const SPAN_MIN: Duration = Duration::from_millis(10);
const SPAN_MAX: Duration = Duration::from_secs(30 * 86_400);
const MISSES_LIMIT: u32 = 1000;
/// How long a process may take until it says that it is ready, unless told otherwise; systemd's `TimeoutStartSec=`.
const READY_WITHIN: Duration = Duration::from_secs(90);

pub(super) type Probe = dyn Fn() -> Result<(), String> + Send + Sync;

/// What shows that something lives; without any it is taken to hang, is stopped, and that is a failure.
///
/// Nothing is looked at more often than it is due.
#[derive(Clone)]
pub struct Liveness {
    pub(super) kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    Progress { within: Duration },
    Notify { within: Duration, ready_within: Duration },
    Probe { probe: Arc<Probe>, interval: Duration, timeout: Duration, misses_max: u32 },
}

impl Liveness {
    /// Its work: a process writes something (to either stream), a thread calls [`Stop::beat`](super::Stop::beat), at least once
    /// `within` this time; 10 ms to 30 days.
    #[must_use]
    pub const fn progress(within: Duration) -> Self {
        Self { kind: Kind::Progress { within } }
    }

    /// The messages that systemd understands, sd_notify(3): the process gets `NOTIFY_SOCKET` and `WATCHDOG_USEC`, and says `WATCHDOG=1`
    /// at least once `within` this time, 10 ms to 30 days. It is up once it has said `READY=1`, for which it has 90 s
    /// ([`ready_within`](Self::ready_within)). `WATCHDOG=trigger`, `EXTEND_TIMEOUT_USEC=`, `STATUS=` and `STOPPING=1` are
    /// understood. For processes.
    #[must_use]
    pub const fn notify(within: Duration) -> Self {
        Self { kind: Kind::Notify { within, ready_within: READY_WITHIN } }
    }

    /// How long a process may take until it says `READY=1`, in place of 90 s. Without meaning but for
    /// [`notify`](Self::notify).
    #[must_use]
    pub fn ready_within(mut self, limit: Duration) -> Self {
        if let Kind::Notify { ready_within, .. } = &mut self.kind {
            *ready_within = limit;
        }
        self
    }

    /// A question that is asked each `interval`, and has to be answered within `timeout`; three in a row that are not, or answered by
    /// an error, are a hang ([`misses_max`](Self::misses_max)). Both are 10 ms to 30 days.
    ///
    /// It is asked on a thread of its own. One that does not come back in time is left to itself, and no other is asked meanwhile.
    #[must_use]
    pub fn probe<E: fmt::Display>(
        interval: Duration,
        timeout: Duration,
        probe: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let probe = Arc::new(move || probe().map_err(|error| error.to_string()));
        Self { kind: Kind::Probe { probe, interval, timeout, misses_max: 3 } }
    }

    /// The same by a command that has to succeed. Its own time-out is replaced by this one.
    #[must_use]
    pub fn command(interval: Duration, timeout: Duration, command: Command) -> Self {
        let command = command.timeout(timeout).grace(Duration::ZERO);
        let probe = move || command.run_blocking().map(drop).map_err(|error| fault::chain(&error));
        Self { kind: Kind::Probe { probe: Arc::new(probe), interval, timeout, misses_max: 3 } }
    }

    /// How many unanswered questions in a row are a hang, 1 to 1000; default 3. Without meaning but for
    /// [`probe`](Self::probe) and [`command`](Self::command).
    #[must_use]
    pub fn misses_max(mut self, misses: u32) -> Self {
        if let Kind::Probe { misses_max, .. } = &mut self.kind {
            *misses_max = misses;
        }
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Progress { within } => span("liveness within", *within, SPAN_MIN, SPAN_MAX),
            Kind::Notify { within, ready_within } => span("liveness within", *within, SPAN_MIN, SPAN_MAX)
                .and_then(|()| span("ready_within", *ready_within, SPAN_MIN, SPAN_MAX)),
            Kind::Probe { interval, timeout, misses_max, .. } => {
                span("probe interval", *interval, SPAN_MIN, SPAN_MAX)?;
                span("probe timeout", *timeout, SPAN_MIN, SPAN_MAX)?;
                if (1..=MISSES_LIMIT).contains(misses_max) {
                    return Ok(());
                }
                let (given, allowed) = (misses_max.to_string(), format!("1 to {MISSES_LIMIT}"));
                Err(Error::Field { field: "misses_max", given, allowed })
            }
        }
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Progress { within } => f.debug_struct("Progress").field("within", within).finish(),
            Kind::Notify { within, ready_within } => {
                f.debug_struct("Notify").field("within", within).field("ready_within", ready_within).finish()
            }
            Kind::Probe { interval, timeout, misses_max, .. } => f
                .debug_struct("Probe")
                .field("interval", interval)
                .field("timeout", timeout)
                .field("misses_max", misses_max)
                .finish_non_exhaustive(),
        }
    }
}
