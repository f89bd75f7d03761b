//! One look at the machine for all who ask at about the same time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::time::{Moment, Now};
use crate::decide::gate::{Reading, Sample, Signal};
use crate::observe::host::Sampler;

const FRESH: Duration = Duration::from_secs(1);
const FRESH_MAX: Duration = Duration::from_secs(60);
/// What is kept of so many signals; a policy has at most 64.
const KEPT_MAX: usize = 1024;

/// Where readings come from: the machine ([`Sampler`]), or a script.
///
/// A closure is one too:
///
/// ```
/// use unattended::gate::{Decision, Policy, Sample, Signal};
/// use unattended::readiness::Gate;
/// use unattended::time::{Clock, Now, System};
///
/// let busy = |_: &[&Signal], _: Now| Sample::new().with(Signal::Cpu, 97.0).with(Signal::Memory, 40.0);
/// let gate = Gate::on(Policy::idle(), busy);
/// assert!(matches!(gate.ask(System.now()), Decision::Closed(_)));
/// ```
pub trait Source: Send {
    /// Reads these signals, and no others; what it leaves out cannot be read.
    fn sample(&mut self, signals: &[&Signal], now: Now) -> Sample;
}

impl Source for Sampler {
    fn sample(&mut self, signals: &[&Signal], now: Now) -> Sample {
        Self::sample(self, signals.iter().copied(), now.moment)
    }
}

impl<F: FnMut(&[&Signal], Now) -> Sample + Send> Source for F {
    fn sample(&mut self, signals: &[&Signal], now: Now) -> Sample {
        self(signals, now)
    }
}

/// A source that several gates have in common. Clones are the same one.
///
/// Whoever asks while another one reads waits for that reading, at most for as long as the source takes: for a [`Sampler`] that is
/// its [bound](Sampler::bound) where ports are asked, else a millisecond.
#[derive(Clone)]
pub struct Shared {
    inner: Arc<Mutex<Inner>>,
    fresh: Duration,
}

struct Inner {
    source: Box<dyn Source>,
    kept: HashMap<Signal, (Moment, Reading)>,
}

impl Default for Shared {
    /// This machine.
    fn default() -> Self {
        Self::new(Sampler::new())
    }
}

impl Shared {
    /// Readings of this source, each good for a second.
    #[must_use]
    pub fn new(source: impl Source + 'static) -> Self {
        let inner = Inner { source: Box::new(source), kept: HashMap::new() };
        Self { inner: Arc::new(Mutex::new(inner)), fresh: FRESH }
    }

    /// The same, for which a reading is good for another time; default 1 s, at most a minute. Zero reads at each question.
    #[must_use]
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh = time.min(FRESH_MAX);
        self
    }

    /// What these signals say: read now, or a moment ago.
    pub(super) fn sample<'a>(&self, signals: impl Iterator<Item = &'a Signal>, now: Now) -> Sample {
        // What a panic of a source has left behind is its own.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { source, kept } = &mut *inner;
        let mut sample = Sample::new();
        let mut asked: Vec<&Signal> = Vec::new();
        for signal in signals {
            let fresh =
                kept.get(signal).filter(|(at, _)| *at <= now.moment && now.moment.since(*at) < self.fresh);
            match fresh {
                Some((_, reading)) => sample.set(signal.clone(), reading.clone()),
                None => asked.push(signal),
            }
        }
        if asked.is_empty() {
            return sample;
        }
        let read = source.sample(&asked, now);
        if kept.len().saturating_add(asked.len()) > KEPT_MAX {
            kept.clear();
        }
        for signal in asked {
            let Some(reading) = read.get(signal) else { continue };
            // The second look is what it waits for.
            if !matches!(reading, Reading::Measuring(_)) {
                kept.insert(signal.clone(), (now.moment, reading.clone()));
            }
            sample.set(signal.clone(), reading.clone());
        }
        sample
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}
