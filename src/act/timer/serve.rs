//! A timer in a service: each entry waits for its next occurrence, begins it, and takes in what has ended.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::act::env::Env;
use crate::act::shutdown::{Phase, Reached, Shutdown};
use crate::act::slots::Slots;
use crate::act::timer::kept::{Given, Look, Track};
use crate::act::timer::work::{Done, Work};
use crate::act::timer::{Entry, Event, Summary, Timer};
use crate::base::backoff::{Backoff, Jitter};
use crate::base::rng::{self, Rng};
use crate::base::time::{BoxFuture, Moment, Timestamp, Watch, between};
use crate::decide::schedule::{Clash, Due, Missed, Occurrence, Overlap, Turn};

/// How many occurrences of one entry run side by side at most.
const RUNNING_MAX: usize = 16;
/// How often a job's last run is looked at whose end another occurrence waits for.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long work that was told to stop has.
const STOPPING: Duration = Duration::from_secs(5);
/// The waits between tries at a store that fails.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60))
    .delay_min(Duration::from_millis(500))
    .jitter(Jitter::Equal);

/// How an entry's work is driven: beside it, or as a task of a runtime.
pub(super) type Spawn = fn(BoxFuture<'static, Done>) -> BoxFuture<'static, Done>;

/// All entries side by side.
pub(super) struct Service<'a> {
    timer: &'a Timer,
    env: &'a Arc<dyn Env>,
    shutdown: &'a Shutdown,
    spawn: Spawn,
}

impl<'a> Service<'a> {
    pub(super) const fn new(
        timer: &'a Timer,
        env: &'a Arc<dyn Env>,
        shutdown: &'a Shutdown,
        spawn: Spawn,
    ) -> Self {
        Self { timer, env, shutdown, spawn }
    }

    pub(super) async fn run(self) -> Summary {
        let watch = Mutex::new(Watch::new(self.env.now(), self.env.uptime()));
        let mut left: Vec<BoxFuture<'_, Summary>> = Vec::new();
        for entry in self.timer.entries.iter() {
            left.push(Box::pin(Serving::new(&self, entry, &watch).serve()));
        }
        let mut summary = Summary::default();
        // Few, and each wakes seldom: all are polled when one is woken.
        poll_fn(|context| {
            left.retain_mut(|one| match one.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(done) => {
                    summary.add(&done);
                    false
                }
            });
            if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        summary
    }
}

/// One entry in its service.
struct Serving<'a> {
    service: &'a Service<'a>,
    watch: &'a Mutex<Watch>,
    entry: &'a Arc<Entry>,
    running: Slots<Occurrence, Done>,
    /// Tells what runs to stop.
    stop: Shutdown,
    /// What is run one after the other.
    batch: VecDeque<Turn>,
    /// What is told with the first of them.
    missed: Option<Missed>,
    /// The occurrence that waits, as far as it was told.
    told_waiting: Option<Timestamp>,
    failures: u32,
    rng: Rng,
    phase: Reached,
    summary: Summary,
}

/// When there is something to do again.
enum Until {
    /// At once.
    Now,
    /// By the wall clock, or when something has ended.
    Wall(Option<Timestamp>),
    /// After a while.
    After(Duration),
}

impl<'a> Serving<'a> {
    fn new(service: &'a Service<'a>, entry: &'a Arc<Entry>, watch: &'a Mutex<Watch>) -> Self {
        Self {
            service,
            watch,
            entry,
            running: Slots::new(RUNNING_MAX),
            stop: Shutdown::new(),
            batch: VecDeque::new(),
            missed: None,
            told_waiting: None,
            failures: 0,
            rng: Rng::seeded(rng::entropy()),
            phase: service.shutdown.reached(Phase::Draining),
            summary: Summary::default(),
        }
    }

    async fn serve(mut self) -> Summary {
        let store = self.service.timer.store.as_ref();
        let Ok(mut track) = Track::new(Arc::clone(self.entry), store, self.service.env.now().wall) else {
            return self.summary; // refused when it was built
        };
        let mut known = false;
        while !self.service.shutdown.is_triggered() {
            self.heed_the_clock();
            let until = match self.turn(&mut track, &mut known).await {
                Ok(until) => {
                    self.failures = 0;
                    until
                }
                Err(error) => {
                    let again_in = AGAIN.delay(self.failures, Duration::ZERO, &mut self.rng);
                    self.failures = self.failures.saturating_add(1);
                    // What others have done meanwhile is read first.
                    known = false;
                    self.tell(&Event::Failed { error, again_in });
                    Until::After(again_in)
                }
            };
            self.wait(until).await;
        }
        self.drain().await;
        self.summary
    }

    /// Does what is to be done now, and says when there is more.
    async fn turn(&mut self, track: &mut Track, known: &mut bool) -> Result<Until, String> {
        let now = self.service.env.now().wall;
        if !*known {
            let noticed = track.refresh(now).await?;
            *known = true;
            noticed.into_iter().for_each(|one| self.tell(&Event::Noticed(one)));
        }
        if let Some(turn) = self.batch.front().copied() {
            return self.go_on(track, turn, now).await;
        }
        let due = match track.look(now) {
            Look::Due(due) => due,
            Look::Shut { opens, why } => {
                if self.told_waiting.replace(opens.unwrap_or(now)) != Some(opens.unwrap_or(now)) {
                    self.tell(&Event::Shut { opens, why });
                }
                return Ok(Until::Wall(opens));
            }
        };
        if !matches!(due, Due::Wait { .. }) {
            let before = track.next();
            let noticed = track.refresh(now).await?;
            noticed.into_iter().for_each(|one| self.tell(&Event::Noticed(one)));
            if track.next() != before {
                return Ok(Until::Now);
            }
        }
        match due {
            Due::Wait { next, .. } => Ok(Until::Wall(next.map(|next| next.at))),
            Due::Skip { missed, .. } => {
                let event = Event::Missed(missed);
                if track.settle(missed.newest.nominal, &event, now).await? {
                    self.tell(&event);
                }
                Ok(Until::Now)
            }
            Due::Run { turns, missed } => self.begin(track, turns, missed, now).await,
        }
    }

    /// Something is due: what about that which runs?
    async fn begin(
        &mut self,
        track: &mut Track,
        turns: Vec<Turn>,
        missed: Option<Missed>,
        now: Timestamp,
    ) -> Result<Until, String> {
        let running = match track.submission() {
            Some(_) if self.entry.overlap() == Overlap::Allow => 0,
            Some(_) => usize::from(track.still_runs().await?),
            None => self.running.running(),
        };
        match self.entry.overlap().decide(running, RUNNING_MAX) {
            Clash::Begin => {}
            Clash::Wait => {
                let waits = turns.last().map(|turn| turn.occurrence);
                if let Some(occurrence) = waits
                    && self.told_waiting.replace(occurrence.nominal) != Some(occurrence.nominal)
                {
                    self.tell(&Event::Waits { occurrence });
                }
                return Ok(Until::After(LOOK_AGAIN));
            }
            Clash::Replace => match track.submission() {
                Some(_) => track.replace(now).await?,
                None if matches!(self.entry.work(), Some(Work::Blocking(_))) => {
                    // A thread goes on until it looks.
                    self.stop.trigger();
                    return Ok(Until::After(LOOK_AGAIN));
                }
                None => {
                    self.stop.trigger();
                    let replaced: Vec<Occurrence> = self.running.whose().collect();
                    self.running.clear();
                    for occurrence in replaced {
                        let error = Some(String::from("the next occurrence takes its place"));
                        self.tell(&Event::Ended { occurrence, error });
                    }
                }
            },
            Clash::Skip { why } => {
                for turn in &turns {
                    let event = Event::Overlapped { occurrence: turn.occurrence, why };
                    if !track.settle(turn.occurrence.nominal, &event, now).await? {
                        return Ok(Until::Now);
                    }
                    if let Some(missed) = self.missed.take().or_else(|| missed.filter(|_| turn == &turns[0]))
                    {
                        self.tell(&Event::Missed(missed));
                    }
                    self.tell(&event);
                }
                return Ok(Until::Now);
            }
        }
        (self.batch, self.missed) = (turns.into(), missed);
        Ok(Until::Now)
    }

    /// Begins the next of a batch when its time has come and the one before has ended.
    async fn go_on(&mut self, track: &mut Track, turn: Turn, now: Timestamp) -> Result<Until, String> {
        if turn.begin > now {
            return Ok(Until::Wall(Some(turn.begin)));
        }
        if self.running.running() > 0 && self.entry.overlap() != Overlap::Allow {
            return Ok(Until::Wall(None));
        }
        if self.running.free() == 0 {
            return Ok(Until::Wall(None));
        }
        if self.stop.is_triggered() {
            self.stop = Shutdown::new();
        }
        let occasion = track.occasion(&turn, self.stop.clone());
        let (mut run, mut refused) = (None, None);
        if let Some(submission) = track.submission() {
            match track.submit(&submission, &occasion, &**self.service.env).await? {
                Given::Run(id) => run = id,
                Given::NotTaken(why) => refused = Some(why),
            }
        }
        let begun = Event::Begun { occurrence: turn.occurrence, why: turn.why, run };
        if !track.settle(turn.occurrence.nominal, &begun, now).await? {
            // Somebody else runs it: what is left is found by the next look.
            self.batch.clear();
            self.missed = None;
            track.refresh(now).await?;
            return Ok(Until::Now);
        }
        self.batch.pop_front();
        if let Some(missed) = self.missed.take() {
            self.tell(&Event::Missed(missed));
        }
        self.tell(&begun);
        if refused.is_some() {
            self.tell(&Event::Ended { occurrence: turn.occurrence, error: refused });
        }
        if let Some(work) = self.entry.work().filter(|work| !matches!(work, Work::Job(_))) {
            let future = (self.service.spawn)(work.begin(self.service.env, occasion));
            self.running.begin(turn.occurrence, future);
        }
        Ok(Until::Now)
    }

    /// Whichever entry looks first sees it, and tells it for all.
    fn heed_the_clock(&mut self) {
        let (now, uptime) = (self.service.env.now(), self.service.env.uptime());
        let jump = self.watch.lock().unwrap_or_else(PoisonError::into_inner).look(now, uptime);
        if let Some(jump) = jump {
            self.tell(&Event::ClockJumped(jump));
        }
    }

    /// Waits until then, until some work has ended, or until the end is asked for; a minute at most.
    async fn wait(&mut self, until: Until) {
        let now = self.service.env.now();
        let left = match until {
            Until::Now => Duration::ZERO,
            Until::Wall(at) => at.map_or(Watch::PIECE, |at| between(now.wall, at)),
            Until::After(left) => left,
        };
        let mut sleep = (!left.is_zero()).then(|| self.service.env.sleep(left.min(Watch::PIECE)));
        let mut polled = false;
        poll_fn(|context| {
            let ended = self.take_in(context);
            if ended || Pin::new(&mut self.phase).poll(context).is_ready() {
                return Poll::Ready(());
            }
            match &mut sleep {
                Some(sleep) => sleep.as_mut().poll(context),
                // Others have their turn, and what was begun is polled for the first time.
                None if !std::mem::replace(&mut polled, true) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Takes in what has ended; says whether something has.
    fn take_in(&mut self, context: &mut Context<'_>) -> bool {
        let mut ended = Vec::new();
        self.running.poll(context, |occurrence, done| {
            let error = done.map_or_else(Some, |done| done.0);
            ended.push(Event::Ended { occurrence, error });
        });
        ended.iter().for_each(|event| self.tell(event));
        !ended.is_empty()
    }

    /// What runs may end within the grace; then it is told to stop, and dropped.
    async fn drain(&mut self) {
        let end = self.service.env.now().moment.after(self.service.timer.grace);
        let at_once = self.service.shutdown.reached(Phase::AtOnce);
        self.until_ended(end, Some(at_once)).await;
        self.stop.trigger();
        let end = self.service.env.now().moment.after(STOPPING);
        self.until_ended(end, None).await;
        self.summary.left += self.running.clear() as u64;
    }

    async fn until_ended(&mut self, end: Moment, mut sooner: Option<Reached>) {
        let mut sleep = self.service.env.sleep(end.since(self.service.env.now().moment));
        poll_fn(|context| {
            while self.take_in(context) {}
            let asked = sooner.as_mut().is_some_and(|asked| Pin::new(asked).poll(context).is_ready());
            if self.running.running() == 0 || asked { Poll::Ready(()) } else { sleep.as_mut().poll(context) }
        })
        .await;
    }

    fn tell(&mut self, event: &Event) {
        self.summary.count(event);
        self.service.timer.tell(self.entry.name(), event);
    }
}
