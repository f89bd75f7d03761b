//! Engines that have a thread each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use crate::act::isolate::report::{Board, Ended, Failure};
use crate::act::isolate::{Engine, Group, Report, Thread};
use crate::act::panics::caught;
use crate::base::time::{Clock, Moment, System};

/// Tells an engine on a thread that nobody waits for it any more: its time is over, or the group was stopped.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether the work should end here.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a thread sends: which engine it was, and how it ended.
type Sent<T> = (usize, Result<Result<T, Failure>, String>);

impl<T: Send + 'static> Group<Thread<T>> {
    /// Runs the engines until each has ended or was left behind, or one has failed fatally.
    pub fn run(self) -> Report<T> {
        let Self { name, at_once, grace, timeout, engines } = self;
        let began = System.moment();
        let mut board = Board::new(name, engines.iter().map(|engine| engine.name.clone()));
        // Room for all of them: a thread that was left behind never waits for somebody to listen.
        let (sender, receiver) = mpsc::sync_channel::<Sent<T>>(engines.len());
        let mut waiting = engines.into_iter().enumerate();
        let mut running: Vec<Running> = Vec::new();
        // Once the group is stopped: until when its threads are waited for.
        let mut ending: Option<Moment> = None;
        loop {
            while ending.is_none()
                && running.len() < at_once
                && let Some((index, engine)) = waiting.next()
            {
                let limit = engine.timeout.or(timeout);
                match Running::start(index, engine, limit, sender.clone()) {
                    Ok(engine) => running.push(engine),
                    Err(error) => board.no_thread(index, error.kind()),
                }
            }
            if running.is_empty() {
                break;
            }
            let until = running.iter().filter_map(Running::until).chain(ending).min();
            // One sender is kept here, so the channel is never without any: an error is the end of the wait.
            let sent = match until {
                Some(until) => receiver.recv_timeout(until.since(System.moment())).ok(),
                None => receiver.recv().ok(),
            };
            let now = System.moment();
            if let Some((index, ended)) = sent
                && let Some(at) = running.iter().position(|engine| engine.index == index)
            {
                let ended = ended.map_or_else(Ended::Panicked, Ended::Gave);
                board.ended(index, ended, now.since(running.swap_remove(at).began));
            }
            running.retain(|engine| engine.in_time(now, &mut board));
            if !board.goes_on() && ending.is_none() {
                running.iter().for_each(|engine| engine.stop.set());
                ending = Some(now.after(grace));
            }
            if ending.is_some_and(|ending| now >= ending) {
                break;
            }
        }
        let now = System.moment();
        for engine in running {
            board.cut(engine.index, now.since(engine.began));
        }
        board.report(now.since(began))
    }
}

/// An engine whose thread was started.
struct Running {
    index: usize,
    began: Moment,
    limit: Option<Duration>,
    stop: Stop,
}

impl Running {
    fn start<T: Send + 'static>(
        index: usize,
        engine: Engine<Thread<T>>,
        limit: Option<Duration>,
        sender: SyncSender<Sent<T>>,
    ) -> std::io::Result<Self> {
        let (began, stop) = (System.moment(), Stop::default());
        let (told, work) = (stop.clone(), engine.work.0);
        thread::Builder::new().name(engine.name).spawn(move || {
            let ended = caught(|| work(&told));
            // Nobody listens any more once the group has ended without it.
            let _left_behind = sender.send((index, ended));
        })?;
        Ok(Self { index, began, limit, stop })
    }

    fn until(&self) -> Option<Moment> {
        self.limit.map(|limit| self.began.after(limit))
    }

    /// Whether it still has time; if not, it is told and left behind.
    fn in_time<T>(&self, now: Moment, board: &mut Board<T>) -> bool {
        let Some(limit) = self.limit.filter(|limit| now >= self.began.after(*limit)) else { return true };
        self.stop.set();
        board.ended(self.index, Ended::TimedOut(limit), now.since(self.began));
        false
    }
}
