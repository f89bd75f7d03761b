//! The lanes: writes that wait at the same time go in one statement and one commit, each with its own result.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::base::time::millis;
use crate::remember::postgres::engine::Engine;
use crate::remember::postgres::error::{Failed, copy_of};
use crate::remember::postgres::link::Link;
use crate::remember::postgres::options::PATIENT;
use crate::remember::postgres::write::{self, Columns, Verdict};
use crate::remember::store::{Applied, ApplyError, Batch, Error, Ns};

/// The most batches that share a commit.
const GROUP_MAX: usize = 64;
/// The most bytes of bodies that share a commit.
const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// The most batches that wait; another one is told that the store is busy.
const WAITING_MAX: usize = 16_384;
/// How far a lane looks past batches that have to wait for another one with their key.
const LOOK_MAX: usize = 512;
/// How often a batch is judged again when what stood in its way was gone.
const TRIES_MAX: u32 = 5;

type Reply = oneshot::Sender<Result<Applied, ApplyError>>;

/// The queue that all lanes take from.
pub(super) struct Writer {
    queue: Arc<Queue>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// Places for batches that wait for somebody else's lock.
    patient: Semaphore,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    /// The keys that are being written: another batch with one of them waits for the next group.
    busy: HashSet<(Ns, String)>,
}

struct Request {
    batch: Batch,
    reply: Reply,
}

impl Writer {
    pub(super) fn start(engine: &Engine, link: &Arc<Link>, lanes: usize) -> Self {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            wake: Notify::new(),
            patient: Semaphore::new(PATIENT),
        });
        for _ in 0..lanes {
            let lane = Lane { link: Arc::clone(link), queue: Arc::clone(&queue) };
            engine.spawn(lane.run());
        }
        Self { queue }
    }

    /// Hands a batch over. An error means that it was not taken.
    pub(super) fn send(&self, batch: Batch, reply: Reply) -> Result<(), Error> {
        let mut waiting = self.queue.lock();
        // Those that wait beside the lanes have their keys among the busy ones.
        if waiting.requests.len().saturating_add(waiting.busy.len()) >= WAITING_MAX {
            return Err(Error::Busy { waited_ms: 0, allowed_ms: 0 });
        }
        waiting.requests.push_back(Request { batch, reply });
        drop(waiting);
        self.queue.wake.notify_one();
        Ok(())
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next_group(&self) -> Vec<Request> {
        loop {
            let (group, more) = {
                let mut waiting = self.lock();
                let group = waiting.take_group();
                (group, !waiting.requests.is_empty())
            };
            if !group.is_empty() {
                if more {
                    self.wake.notify_one();
                }
                return group;
            }
            self.wake.notified().await;
        }
    }

    /// The keys of these batches are free again.
    fn release(&self, batch: &Batch) {
        let mut waiting = self.lock();
        for write in batch.writes() {
            waiting.busy.remove(&(write.ns, write.key.clone()));
        }
        let more = !waiting.requests.is_empty();
        drop(waiting);
        if more {
            self.wake.notify_one();
        }
    }

    fn answer(&self, request: Request, result: Result<Applied, ApplyError>) {
        self.release(&request.batch);
        // A caller that is gone does not hear it.
        drop(request.reply.send(result));
    }

    /// Nobody can be reached: whoever waits is told so now, instead of one group after the other.
    fn refuse_all(&self, error: &Error) {
        let waiting = std::mem::take(&mut self.lock().requests);
        for request in waiting {
            let refused = request.not_sent(copy_of(error));
            drop(request.reply.send(Err(refused)));
        }
    }
}

impl Waiting {
    fn take_group(&mut self) -> Vec<Request> {
        let (mut group, mut passed, mut bytes) = (Vec::new(), VecDeque::new(), 0);
        // Whoever is passed over keeps his place before all that come after him with one of his keys.
        let mut blocked: HashSet<(Ns, String)> = HashSet::new();
        while group.len() < GROUP_MAX
            && passed.len() < LOOK_MAX
            && let Some(request) = self.requests.pop_front()
        {
            let mut keys = request.batch.writes().iter().map(|write| (write.ns, write.key.clone()));
            if keys.clone().any(|key| self.busy.contains(&key) || blocked.contains(&key)) {
                blocked.extend(keys);
                passed.push_back(request);
                continue;
            }
            bytes += request.bytes();
            if bytes > GROUP_BYTES_MAX && !group.is_empty() {
                passed.push_back(request);
                break;
            }
            self.busy.extend(keys.by_ref());
            group.push(request);
        }
        passed.append(&mut self.requests);
        self.requests = passed;
        group
    }
}

impl Request {
    fn bytes(&self) -> usize {
        let text = |text: Option<&String>| text.map_or(0, String::len);
        let write = |write: &crate::remember::store::Write| {
            let data = write.event.as_ref().and_then(|event| event.data.as_ref());
            text(write.put.body.as_ref()) + text(data) + 256
        };
        self.batch.writes().iter().map(write).sum()
    }

    /// It was not sent now; whether its first sending arrived is as open as it was.
    fn not_sent(&self, error: Error) -> ApplyError {
        if self.batch.resent() { ApplyError::Unknown(error) } else { ApplyError::NotApplied(error) }
    }
}

/// One group at a time, on one connection at a time.
#[derive(Clone)]
struct Lane {
    link: Arc<Link>,
    queue: Arc<Queue>,
}

impl Lane {
    async fn run(self) {
        loop {
            let group = self.queue.next_group().await;
            self.settle(group).await;
        }
    }

    async fn settle(&self, group: Vec<Request>) {
        let batches: Vec<&Batch> = group.iter().map(|request| &request.batch).collect();
        match self.apply(&batches, false).await {
            Ok(verdicts) => {
                for (request, verdict) in group.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Applied(applied) => self.queue.answer(request, Ok(applied)),
                        Verdict::Conflict(lost) => {
                            self.queue.answer(request, Err(ApplyError::Conflict(lost)))
                        }
                        Verdict::Again => self.wait_beside(request),
                    }
                }
            }
            // One of them cannot be written: each alone, so that it hurts no other.
            Err(Failed::Refused(Error::Unreachable { detail })) => {
                self.refuse(group, &Error::Unreachable { detail })
            }
            Err(Failed::Refused(_) | Failed::Again(_)) if group.len() > 1 => {
                for request in group {
                    self.settle_alone(request, false).await;
                }
            }
            Err(Failed::Refused(Error::Busy { .. }) | Failed::Again(_)) => {
                group.into_iter().for_each(|request| self.wait_beside(request));
            }
            Err(Failed::Refused(error)) => self.refuse(group, &error),
            Err(Failed::Open(error)) => {
                for request in group {
                    self.queue.answer(request, Err(ApplyError::Unknown(copy_of(&error))));
                }
            }
        }
    }

    fn refuse(&self, group: Vec<Request>, error: &Error) {
        for request in group {
            let refused = request.not_sent(copy_of(error));
            self.queue.answer(request, Err(refused));
        }
        if matches!(error, Error::Unreachable { .. }) {
            self.queue.refuse_all(error);
        }
    }

    /// Lets a batch wait for a lock without keeping the lane.
    fn wait_beside(&self, request: Request) {
        let beside = self.clone();
        tokio::spawn(async move {
            let bound = beside.link.answer_max;
            let Ok(_place) = timeout(bound, beside.queue.patient.acquire()).await else {
                let busy = Error::Busy { waited_ms: millis(bound), allowed_ms: millis(bound) };
                let refused = request.not_sent(busy);
                return beside.queue.answer(request, Err(refused));
            };
            beside.settle_alone(request, true).await;
        });
    }

    async fn settle_alone(&self, request: Request, patient: bool) {
        for _ in 0..TRIES_MAX {
            let result = match self.apply(&[&request.batch], patient).await {
                Ok(verdicts) => match verdicts.into_iter().next() {
                    Some(Verdict::Applied(applied)) => Ok(applied),
                    Some(Verdict::Conflict(lost)) => Err(ApplyError::Conflict(lost)),
                    Some(Verdict::Again) | None if patient => continue,
                    Some(Verdict::Again) | None => return self.wait_beside(request),
                },
                Err(Failed::Refused(Error::Busy { .. }) | Failed::Again(_)) if !patient => {
                    return self.wait_beside(request);
                }
                Err(Failed::Refused(error) | Failed::Again(error)) => Err(request.not_sent(error)),
                Err(Failed::Open(error)) => Err(ApplyError::Unknown(error)),
            };
            return self.queue.answer(request, result);
        }
        let refused = request.not_sent(Error::Busy { waited_ms: 0, allowed_ms: 0 });
        self.queue.answer(request, Err(refused));
    }

    /// Sends a group, and reads what became of each batch after the commit.
    async fn apply(&self, batches: &[&Batch], patient: bool) -> Result<Vec<Verdict>, Failed> {
        let columns = Columns::of(batches.iter().copied());
        let owner = self.link.owner.as_str();
        let sql = self.link.sql(&write::call());
        let answer = self.link.ask("cannot write", &sql, &columns.params(&owner, &patient)).await?;
        self.link.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.link.counts.batches.fetch_add(batches.len() as u64, Ordering::Relaxed);
        // What cannot be understood was committed all the same.
        write::verdicts(owner, batches, &answer).map_err(Failed::Open)
    }
}
