//! How a driven operation ends when it does not end well.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::fault::{Class, Fault, Reached, Severity};
use crate::base::handover::HandedOver;
use crate::base::time::Timestamp;
use crate::decide::retry::reason::{Deferring, Disposition, Stopping};

/// How many attempts a timeline keeps: the last ones.
const KEPT_MAX: usize = 64;

/// `sysexits.h`: a temporary failure, try again later.
const EX_TEMPFAIL: u8 = 75;

/// The operation has not succeeded. The last failure, as the caller's own type, is kept.
///
/// `R` is the reason of a refusal; a retry alone refuses nothing, so that arm cannot occur and need not be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped<L, R = Never> {
    /// It was tried and has failed, and there is no further attempt.
    Failed {
        /// The last failure.
        last: L,
        /// Why there is no further attempt.
        why: Stopping,
        /// What becomes of the work.
        disposition: Disposition,
        /// What was tried.
        attempts: Timeline,
    },
    /// It may not be tried now.
    Refused {
        /// Why not.
        why: R,
        /// When asking again makes sense.
        retry_at: Timestamp,
        /// The last failure, when there was an attempt before the refusal.
        last: Option<L>,
        /// What was tried; the refusal is not an attempt.
        attempts: Timeline,
    },
    /// The next attempt is too far away to hold a process for it.
    Deferred {
        /// When to go on.
        until: Timestamp,
        /// Why not here.
        why: Deferring,
        /// The last failure.
        last: L,
        /// What was tried.
        attempts: Timeline,
    },
}

/// What cannot occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl<L, R> Stopped<L, R> {
    /// The exit code for the `main` of a cron job: 75 ("try again later", `EX_TEMPFAIL`) when it was refused or
    /// deferred, 1 when it failed.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { .. } => 1,
            Self::Refused { .. } | Self::Deferred { .. } => EX_TEMPFAIL,
        }
    }

    /// The last failure, if anything was tried.
    #[must_use]
    pub const fn last(&self) -> Option<&L> {
        match self {
            Self::Failed { last, .. } | Self::Deferred { last, .. } => Some(last),
            Self::Refused { last, .. } => last.as_ref(),
        }
    }

    /// What was tried.
    #[must_use]
    pub const fn attempts(&self) -> &Timeline {
        match self {
            Self::Failed { attempts, .. }
            | Self::Refused { attempts, .. }
            | Self::Deferred { attempts, .. } => attempts,
        }
    }

    /// When to try again, where that is known.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Failed { .. } => None,
            Self::Refused { retry_at, .. } => Some(*retry_at),
            Self::Deferred { until, .. } => Some(*until),
        }
    }
}

impl<L, R: Explain> Stopped<L, R> {
    /// A refusal that can be found in the chain of sources; `credential` is the one that a person has to see to first,
    /// if that is why.
    pub(crate) fn refused(
        why: R,
        retry_at: Timestamp,
        last: Option<L>,
        mut attempts: Timeline,
        credential: Option<&str>,
    ) -> Self {
        attempts.hand_over(&why, retry_at, credential);
        Self::Refused { why, retry_at, last, attempts }
    }

    /// A deferral that can be found in the chain of sources.
    pub(crate) fn deferred(until: Timestamp, why: Deferring, last: L, mut attempts: Timeline) -> Self {
        attempts.hand_over(&why, until, None);
        Self::Deferred { until, why, last, attempts }
    }

    /// The stable word of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { why, .. } => why.code(),
            Self::Refused { why, .. } => why.code(),
            Self::Deferred { why, .. } => why.code(),
        }
    }
}

impl<L, R: Explain> Explain for Stopped<L, R> {
    fn code(&self) -> &'static str {
        Self::code(self)
    }
}

impl<L, R: fmt::Display> fmt::Display for Stopped<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { why, attempts, .. } => {
                let made = attempts.count();
                write!(f, "failed after {made} attempt{}: {why}", if made == 1 { "" } else { "s" })
            }
            Self::Refused { why, retry_at, .. } => write!(f, "refused until {retry_at}: {why}"),
            Self::Deferred { until, why, .. } => write!(f, "deferred until {until}: {why}"),
        }
    }
}

impl<L: Error + 'static, R: fmt::Debug + fmt::Display> Error for Stopped<L, R> {
    /// The last failure; of what was refused or deferred, the [`HandedOver`]: it has not failed.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let handed = self.attempts().handed_over().map(|handed| handed as &(dyn Error + 'static));
        handed.or_else(|| self.last().map(|last| last as &(dyn Error + 'static)))
    }
}

impl Explain for Never {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its number; the first try is 1.
    pub number: u32,
    /// What kind of failure it was.
    pub class: Class,
    /// The stable word of the fault.
    pub code: Cow<'static, str>,
    /// How long it took; `None` where the policy asks for no time and the clock was not read.
    pub duration: Option<Duration>,
    /// The wait that followed it; `None` when none did.
    pub delay: Option<Duration>,
    /// By how much it took longer than it was given; it could not be cut.
    pub overrun: Option<Duration>,
    /// Whether the request reached the other side.
    pub reached: Reached,
    /// How bad it was.
    pub severity: Severity,
}

impl Tried {
    /// The attempt `number` failed with `fault`.
    #[must_use]
    pub fn new(number: u32, fault: &Fault, duration: Option<Duration>) -> Self {
        let code = fault.code.clone();
        let Fault { class, reached, severity, .. } = *fault;
        Self { number, class, code, duration, delay: None, overrun: None, reached, severity }
    }
}

/// The failed attempts in order. All are counted, the last 64 are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Boxed, because it travels in an error; absent until something has failed.
    inner: Option<Box<Inner>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Inner {
    kept: VecDeque<Tried>,
    count: u32,
    /// Whether any attempt may have had its effect, also one that is no longer kept.
    doubtful: bool,
    handed: Option<HandedOver>,
}

impl Timeline {
    /// How many attempts were made.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.inner.as_ref().map_or(0, |inner| inner.count)
    }

    /// Those that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Tried> {
        self.inner.iter().flat_map(|inner| &inner.kept)
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&Tried> {
        self.inner.as_ref()?.kept.back()
    }

    /// What the last attempt was to the policy, whoever classified it.
    #[cfg(feature = "store")]
    pub(crate) fn fault(&self) -> Option<Fault> {
        let Tried { class, code, reached, severity, .. } = self.last()?;
        let (class, code, reached, severity) = (*class, code.clone(), *reached, *severity);
        Some(Fault { class, severity, code, retry_after: None, reached })
    }

    pub(crate) fn push(&mut self, tried: Tried) {
        let inner = self.inner.get_or_insert_default();
        if inner.kept.len() == KEPT_MAX {
            inner.kept.pop_front();
        }
        inner.doubtful |= tried.reached == Reached::Maybe;
        inner.kept.push_back(tried);
        inner.count = inner.count.saturating_add(1);
    }

    /// What the work was put off for, where it was refused or deferred.
    #[must_use]
    pub fn handed_over(&self) -> Option<&HandedOver> {
        self.inner.as_ref()?.handed.as_ref()
    }

    /// Keeps why and until when the work is put off.
    fn hand_over(&mut self, why: &impl Explain, until: Timestamp, credential: Option<&str>) {
        let inner = self.inner.get_or_insert_default();
        let mut text = why.to_string();
        if let Some(last) = inner.kept.back() {
            text.push_str(&format!("; the last attempt failed with {} ({})", last.code, last.class));
        }
        let reached = match inner.kept.back() {
            _ if inner.doubtful => Reached::Maybe,
            Some(last) => last.reached,
            None => Reached::No,
        };
        let handed = HandedOver::new(why.code(), text, until).reached(reached);
        inner.handed = Some(match credential {
            Some(name) => handed.credential(name),
            None => handed,
        });
    }

    pub(crate) fn waited(&mut self, delay: Duration) {
        if let Some(last) = self.inner.as_mut().and_then(|inner| inner.kept.back_mut()) {
            last.delay = Some(delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_counts_all_and_keeps_the_last() {
        let mut timeline = Timeline::default();
        for number in 1..=100 {
            timeline.push(Tried::new(number, &Fault::unknown(), None));
        }
        assert_eq!((timeline.count(), timeline.iter().count()), (100, KEPT_MAX));
        assert_eq!(timeline.iter().next().map(|tried| tried.number), Some(37));
    }

    #[test]
    fn a_refusal_and_a_deferral_are_found_in_the_chain_and_a_failure_is_not() {
        let why =
            || Deferring::TooLongToHold { delay: Duration::from_secs(9), limit: Duration::from_secs(1) };
        let at = Timestamp::UNIX_EPOCH;
        let error = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        let mut attempts = Timeline::default();
        attempts.push(Tried::new(1, &Fault::transient("io.timed_out"), None));
        let deferred = Stopped::<_, Never>::deferred(at, why(), error(), attempts.clone());
        let handed = deferred.source().unwrap().downcast_ref::<HandedOver>().unwrap();
        assert_eq!(
            (handed.code, handed.until, handed.reached),
            ("retry.too_long_to_hold", at, Reached::Maybe)
        );
        assert!(handed.why.ends_with("failed with io.timed_out (transient)"), "{handed}");
        let refused = Stopped::<std::io::Error, _>::refused(why(), at, None, Timeline::default(), Some("yt"));
        let handed = refused.source().unwrap().downcast_ref::<HandedOver>().unwrap();
        assert_eq!((handed.credential.as_deref(), handed.reached), (Some("yt"), Reached::No));
        let failed: Stopped<_> = Stopped::Failed {
            last: error(),
            why: Stopping::Permanent,
            disposition: Disposition::DeadLetter,
            attempts,
        };
        assert!(failed.source().unwrap().is::<std::io::Error>());
    }

    #[test]
    fn it_is_small_enough_to_be_returned_as_an_error() {
        assert!(size_of::<Stopped<std::io::Error>>() <= 128);
    }
}
