//! The words that a unit is described with.

use std::time::Duration;

use crate::decide::restart;

/// How systemd knows that the service is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// It is up when it has ended: a job that runs once, as a timer starts it. `Type=oneshot`.
    #[default]
    Oneshot,
    /// It says so itself, by [`Notifier::ready`](super::Notifier::ready). `Type=notify`.
    Notify,
    /// It is up when its program runs. `Type=exec`.
    Exec,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Oneshot => "oneshot",
            Self::Notify => "notify",
            Self::Exec => "exec",
        }
    }
}

/// Who is told to end, and who is killed after the time for that. systemd.kill(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KillMode {
    /// The main process is asked, all are killed: it may end its children in order.
    #[default]
    Mixed,
    /// All are asked, all are killed.
    ControlGroup,
}

impl KillMode {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::ControlGroup => "control-group",
        }
    }
}

/// What becomes of the service when the kernel kills one of its processes for want of memory. systemd.service(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfMemory {
    /// The rest goes on, and the service has to see to it: for one that supervises children.
    Continue,
    /// It is stopped in order.
    Stop,
    /// All of it is killed at once.
    Kill,
}

impl OutOfMemory {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

/// When a service that failed is begun again, and when no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// After so many failures it is left to a person; 1 to 10,000. (`StartLimitBurst=`)
    pub failures_max: u32,
    /// If they were within this time. (`StartLimitIntervalSec=`)
    pub within: Duration,
    /// How long after its end it is begun again. (`RestartSec=`)
    pub delay: Duration,
    /// Up to which the delay grows, doubled from one start to the next. Only systemd 254 and newer can; older ones keep to
    /// `delay`. (`RestartMaxDelaySec=` with `RestartSteps=`)
    pub delay_max: Option<Duration>,
    /// Exits after which it is not begun again: 1 to 255. (`RestartPreventExitStatus=`)
    pub permanent: Vec<i32>,
}

impl Restarts {
    /// Begun again after `delay`, until it has failed `failures_max` times within `within`.
    #[must_use]
    pub const fn new(failures_max: u32, within: Duration, delay: Duration) -> Self {
        Self { failures_max, within, delay, delay_max: None, permanent: Vec::new() }
    }

    /// What `policy` says, as far as systemd can: the window, the first delay, how far it grows, and what is permanent. systemd counts
    /// starts, not failures, and knows no jitter.
    ///
    /// ```
    /// use unattended::{restart, systemd::Restarts};
    /// let restarts = Restarts::of(&restart::Policy::new());
    /// assert_eq!((restarts.failures_max, restarts.delay.as_secs()), (5, 1));
    /// ```
    #[must_use]
    pub fn of(policy: &restart::Policy) -> Self {
        let (failures_max, within, backoff, permanent) = policy.parts();
        let (base, _, least, most, _) = backoff.parts();
        let delay = base.max(least);
        let delay_max = (most > delay).then_some(most);
        Self { failures_max, within, delay, delay_max, permanent }
    }

    /// Lets the delay grow.
    #[must_use]
    pub const fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = Some(delay);
        self
    }

    /// Exits after which it is not begun again, such as 64 (`EX_USAGE`) and 78 (`EX_CONFIG`).
    #[must_use]
    pub fn permanent(mut self, exits: impl IntoIterator<Item = i32>) -> Self {
        self.permanent = exits.into_iter().collect();
        self
    }

    /// In how many doublings the delay comes to its greatest; none where it does not grow.
    pub(super) fn steps(&self) -> u32 {
        let Some(most) = self.delay_max else { return 0 };
        let (mut delay, mut steps) = (self.delay, 0);
        while delay < most && steps < 64 && !delay.is_zero() {
            delay = delay.saturating_mul(2);
            steps += 1;
        }
        steps
    }

    /// The least time in which the limit can be reached: all delays from the first start to the one that is refused.
    pub(super) fn least(&self, grows: bool) -> Duration {
        let most = self.delay_max.filter(|_| grows).unwrap_or(self.delay).max(self.delay);
        let (mut sum, mut delay) = (Duration::ZERO, self.delay);
        for _ in 0..self.failures_max.min(10_000) {
            sum = sum.saturating_add(delay);
            delay = if grows { delay.saturating_mul(2).min(most) } else { delay };
        }
        sum
    }
}
