//! A timer in a service: each entry waits for its next occurrence, begins it, and takes in what has ended.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
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
use crate::base::time::{BoxFuture, Moment, Now, Timestamp, Watch, between};
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
    batch: VecDeque<Planned>,
    /// What is told with the first of them.
    missed: Option<Missed>,
    /// The occurrence that waits, as far as it was told.
    told_waiting: Option<Timestamp>,
    failures: u32,
    rng: Rng,
    phase: Reached,
    /// When the grace is over, once an end was asked for.
    end: Option<Moment>,
    summary: Summary,
}

/// What is run when its moment has come.
#[derive(Clone, Copy)]
struct Planned {
    turn: Turn,
    /// By the monotonic clock: a wall clock that is set back does not hold it up.
    begin: Moment,
    /// Nothing of the same batch is begun before it.
    first: bool,
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
            end: None,
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
                Err(_) if self.service.shutdown.is_triggered() => break,
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
        if !*known {
            let now = self.service.env.now().wall;
            let noticed = self.ask(track.refresh(now)).await?;
            *known = true;
            noticed.into_iter().for_each(|one| self.tell(&Event::Noticed(one)));
        }
        let both = self.service.env.now();
        if let Some(planned) = self.batch.front().copied() {
            return self.go_on(track, planned, both).await;
        }
        let now = both.wall;
        if let Some(noticed) = track.heed(now) {
            self.tell(&Event::Noticed(noticed));
        }
        let due = match track.look(now) {
            Look::Due(due) => due,
            Look::Shut { opens, why } => {
                let until = opens.unwrap_or(Timestamp::MAX_UTC);
                if self.told_waiting.replace(until) != Some(until) {
                    self.tell(&Event::Shut { opens, why });
                }
                return Ok(Until::Wall(opens));
            }
        };
        if !matches!(due, Due::Wait { .. }) {
            let before = track.next();
            let noticed = self.ask(track.refresh(now)).await?;
            noticed.into_iter().for_each(|one| self.tell(&Event::Noticed(one)));
            if track.next() != before {
                return Ok(Until::Now);
            }
        }
        match due {
            Due::Wait { next, .. } => Ok(Until::Wall(next.map(|next| next.at))),
            Due::Skip { missed, .. } => {
                let event = Event::Missed(missed);
                if self.note(track.settle(missed.newest.nominal, &event, None, now)).await? {
                    self.tell(&event);
                }
                Ok(Until::Now)
            }
            Due::Run { turns, missed } => self.begin(track, turns, missed, both).await,
        }
    }

    /// Something is due: what about that which runs?
    async fn begin(
        &mut self,
        track: &mut Track,
        turns: Vec<Turn>,
        missed: Option<Missed>,
        now: Now,
    ) -> Result<Until, String> {
        let running = match track.submission() {
            Some(_) if self.entry.overlap() == Overlap::Allow => 0,
            Some(_) => usize::from(self.ask(track.still_runs()).await?),
            None => self.running.running(),
        };
        match self.entry.overlap().decide(running, RUNNING_MAX) {
            Clash::Begin => {}
            Clash::Wait => {
                return Ok(self.waits(turns.last()));
            }
            Clash::Replace => match track.submission() {
                Some(_) => {
                    self.ask(track.replace(now.wall)).await?;
                    if self.ask(track.still_runs()).await? {
                        // Whoever works on it has not stopped yet.
                        return Ok(self.waits(turns.last()));
                    }
                }
                None if matches!(self.entry.work(), Some(Work::Blocking(_))) => {
                    // A thread goes on until it looks. Asked twice, it would be asked for an end at once.
                    if !self.stop.is_triggered() {
                        self.stop.trigger();
                    }
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
                for (index, turn) in turns.iter().enumerate() {
                    let missed = missed.filter(|_| index == 0);
                    let event = Event::Overlapped { occurrence: turn.occurrence, why };
                    if !self
                        .note(track.settle(turn.occurrence.nominal, &event, missed.as_ref(), now.wall))
                        .await?
                    {
                        return Ok(Until::Now);
                    }
                    missed.into_iter().for_each(|missed| self.tell(&Event::Missed(missed)));
                    self.tell(&event);
                }
                return Ok(Until::Now);
            }
        }
        let planned = turns.into_iter().enumerate().map(|(index, turn)| Planned {
            turn,
            begin: now.moment.after(between(now.wall, turn.begin)),
            first: index == 0,
        });
        (self.batch, self.missed) = (planned.collect(), missed);
        Ok(Until::Now)
    }

    /// Begins the next of a batch when its time has come and the one before has ended.
    async fn go_on(&mut self, track: &mut Track, planned: Planned, now: Now) -> Result<Until, String> {
        let Planned { turn, begin, first } = planned;
        if !track.may_begin(&turn, now.wall) {
            return Ok(self.look_anew());
        }
        if begin > now.moment && turn.begin > now.wall {
            return Ok(Until::After(begin.since(now.moment).min(between(now.wall, turn.begin))));
        }
        if self.running.running() > 0 && self.entry.overlap() != Overlap::Allow {
            return Ok(Until::Wall(None));
        }
        if self.running.free() == 0 {
            return Ok(Until::Wall(None));
        }
        let after = !first && track.submission().is_some() && self.entry.overlap() != Overlap::Allow;
        if after && self.ask(track.still_runs()).await? {
            return Ok(self.waits(Some(&turn)));
        }
        if self.stop.is_triggered() {
            self.stop = Shutdown::new();
        }
        let occasion = track.occasion(&turn, self.stop.clone());
        let service = self.service;
        let Given { run, refused } = self.ask(track.submit(&occasion, &**service.env)).await?;
        let begun = Event::Begun { occurrence: turn.occurrence, why: turn.why, run };
        let missed = self.missed;
        if !self.note(track.settle(turn.occurrence.nominal, &begun, missed.as_ref(), now.wall)).await? {
            // Somebody else runs it.
            let again = self.look_anew();
            self.ask(track.refresh(now.wall)).await?;
            return Ok(again);
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

    /// What is left of the batch is found by the next look.
    fn look_anew(&mut self) -> Until {
        self.batch.clear();
        self.missed = None;
        Until::Now
    }

    /// Tells once that an occurrence waits for the end of the one before.
    fn waits(&mut self, turn: Option<&Turn>) -> Until {
        if let Some(occurrence) = turn.map(|turn| turn.occurrence)
            && self.told_waiting.replace(occurrence.nominal) != Some(occurrence.nominal)
        {
            self.tell(&Event::Waits { occurrence });
        }
        Until::After(LOOK_AGAIN)
    }

    /// Waits for what the store answers, or until the end is asked for; what ends meanwhile is taken in.
    async fn ask<T>(&mut self, answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let mut answer = pin!(answer);
        poll_fn(|context| {
            while self.take_in(context) {}
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            Pin::new(&mut self.phase).poll(context).map(|()| Err(String::from("the end was asked for")))
        })
        .await
    }

    /// The same where others may know of it before it is done: it has until the end of the grace.
    async fn note<T>(&mut self, answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let service = self.service;
        let mut answer = pin!(answer);
        let mut over: Option<(BoxFuture<'_, ()>, Reached)> = None;
        poll_fn(|context| {
            while self.take_in(context) {}
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            if Pin::new(&mut self.phase).poll(context).is_pending() {
                return Poll::Pending;
            }
            let (sleep, at_once) = over.get_or_insert_with(|| {
                let left = self.grace_over().since(service.env.now().moment);
                (service.env.sleep(left), service.shutdown.reached(Phase::AtOnce))
            });
            if sleep.as_mut().poll(context).is_ready() || Pin::new(at_once).poll(context).is_ready() {
                return Poll::Ready(Err(String::from("the end was asked for")));
            }
            Poll::Pending
        })
        .await
    }

    fn grace_over(&mut self) -> Moment {
        let service = self.service;
        *self.end.get_or_insert_with(|| service.env.now().moment.after(service.timer.grace))
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
        let end = self.grace_over();
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
