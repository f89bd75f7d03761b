//! Whether what runs lives: when the next sign is due, and whether it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::act::panics::caught;
use crate::act::supervise::event::Hanging;
use crate::act::supervise::liveness::{Kind, Liveness, Probe};
use crate::act::supervise::stop::Run;
use crate::base::time::Moment;

/// Probes of earlier runs that have not come back; beyond that no further one is asked, and counts as missed.
const STUCK_MAX: usize = 4;
/// How much later it is looked a second time before it is said that something hangs: the supervisor itself may have been kept from
/// listening.
const SECOND_LOOK: u32 = 20;
const SECOND_LOOK_MAX: Duration = Duration::from_secs(1);

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// It lives, as far as that can be said; the next look is due then.
    Alive { next: Option<Moment> },
    /// It hangs.
    Hung(Hanging),
}

/// The watch over one run.
pub(super) struct Watch<'a> {
    liveness: Option<&'a Kind>,
    run: Arc<Run>,
    begun: Moment,
    stuck: Arc<AtomicUsize>,
    /// When the sign was missed that is looked for a second time.
    missed: Option<Moment>,
    probing: Option<Moment>,
    /// Whether the question under way was counted as missed before its answer came.
    late: bool,
    next_probe: Moment,
    good: Moment,
    misses: u32,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        liveness: Option<&'a Liveness>,
        run: Arc<Run>,
        begun: Moment,
        stuck: &Arc<AtomicUsize>,
    ) -> Self {
        let liveness = liveness.map(|liveness| &liveness.kind);
        let next_probe = match liveness {
            Some(Kind::Probe { interval, .. }) => begun.after(*interval),
            _ => begun,
        };
        let stuck = Arc::clone(stuck);
        Self {
            liveness,
            run,
            begun,
            stuck,
            missed: None,
            probing: None,
            late: false,
            next_probe,
            good: begun,
            misses: 0,
        }
    }

    /// Whether it has to say first that it is ready.
    pub(super) const fn waits_for_ready(&self) -> bool {
        matches!(self.liveness, Some(Kind::Notify { .. }))
    }

    /// Looks whether it lives.
    pub(super) fn look(&mut self, now: Moment) -> Looked {
        match self.liveness {
            None => Looked::Alive { next: None },
            Some(Kind::Progress { within }) => self.silent(now, *within),
            Some(Kind::Notify { within, ready_within }) => self.notified(now, *within, *ready_within),
            Some(Kind::Probe { probe, interval, timeout, misses_max }) => {
                self.probed(now, probe, *interval, *timeout, *misses_max)
            }
        }
    }

    fn silent(&mut self, now: Moment, within: Duration) -> Looked {
        let last = self.run.last_sign().max(self.begun);
        let silent = now.since(last);
        self.judged(now, last.after(within), within, Hanging::Silent { silent, within })
    }

    fn notified(&mut self, now: Moment, within: Duration, ready_within: Duration) -> Looked {
        let last = self.run.last_sign().max(self.begun);
        let (ready, trigger, stopping, extended) = {
            let signs = self.run.signs();
            (signs.ready, signs.trigger, signs.stopping, signs.extended)
        };
        if trigger {
            return Looked::Hung(Hanging::Said { silent: now.since(last) });
        }
        let (due, limit, why) = if ready {
            (last.after(within), within, Hanging::Silent { silent: now.since(last), within })
        } else {
            let why = Hanging::NotReady { silent: now.since(self.begun), within: ready_within };
            (self.begun.after(ready_within), ready_within, why)
        };
        // What says that it ends gives no more signs; it has as long for that as between two of them.
        let due = if stopping { due.max(last.after(within)) } else { due };
        self.judged(now, extended.map_or(due, |extended| due.max(extended)), limit, why)
    }

    /// Whether what is due then has come; looked at twice before it is said that it has not.
    fn judged(&mut self, now: Moment, due: Moment, limit: Duration, why: Hanging) -> Looked {
        if now < due {
            self.missed = None;
            return Looked::Alive { next: Some(due) };
        }
        let again = self.missed.get_or_insert(now).after((limit / SECOND_LOOK).min(SECOND_LOOK_MAX));
        if now < again { Looked::Alive { next: Some(again) } } else { Looked::Hung(why) }
    }

    fn probed(
        &mut self,
        now: Moment,
        probe: &Arc<Probe>,
        interval: Duration,
        timeout: Duration,
        misses_max: u32,
    ) -> Looked {
        let answer = self.run.signs().probed.take();
        if let Some(asked) = self.probing {
            match answer {
                // It was counted when its time was over, and is not counted twice.
                Some(_) if self.late => self.probing = None,
                Some(Ok(())) => (self.misses, self.good, self.probing) = (0, now, None),
                Some(Err(_)) => {
                    self.misses = self.misses.saturating_add(1);
                    self.probing = None;
                }
                // Asked no further one while this one is out: it counts again when the next would be due.
                None if now >= asked.after(timeout) => {
                    self.misses = self.misses.saturating_add(1);
                    self.probing = Some(asked.after(interval.max(timeout)));
                    self.late = true;
                }
                None => {}
            }
        }
        if self.misses >= misses_max {
            return Looked::Hung(Hanging::ProbeMissed { misses: self.misses, silent: now.since(self.good) });
        }
        if self.probing.is_none() && now >= self.next_probe {
            self.next_probe = now.after(interval);
            self.probing = Some(now);
            self.late = false;
            self.ask(probe);
        }
        let next = self.probing.map_or(self.next_probe, |asked| asked.after(timeout));
        Looked::Alive { next: Some(next) }
    }

    /// Asks on a thread of its own. Where there can be none, nobody answers, which is a miss when the time is up.
    fn ask(&self, probe: &Arc<Probe>) {
        if self.stuck.fetch_add(1, Ordering::AcqRel) >= STUCK_MAX {
            self.stuck.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let (probe, run, stuck) = (Arc::clone(probe), Arc::clone(&self.run), Arc::clone(&self.stuck));
        let thread = std::thread::Builder::new().name(String::from("unattended-probe"));
        let asked = thread.spawn(move || {
            let answer = caught(|| probe()).and_then(|answer| answer);
            stuck.fetch_sub(1, Ordering::AcqRel);
            run.signs().probed = Some(answer);
            run.bell.ring();
        });
        if asked.is_err() {
            self.stuck.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
