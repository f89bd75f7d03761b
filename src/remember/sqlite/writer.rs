//! The thread that owns the writing connection: requests that wait at the same time share one commit.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_channel::oneshot;
use rusqlite::Connection;

use crate::base::time::{Clock, Moment, System};
use crate::remember::sqlite::site::Site;
use crate::remember::sqlite::turn::Turnstile;
use crate::remember::sqlite::write::Session;
use crate::remember::sqlite::{busy, error, reserve};
use crate::remember::store::{
    Applied, ApplyError, Batch, ClaimDue, Claimed, Conflict, Error, Expect, Ns, Write,
};

/// The most requests that share a commit.
const GROUP_MAX: usize = 64;
/// The most bytes of bodies that share a commit.
const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// The most requests that wait; another one is told that the store is busy.
const WAITING_MAX: usize = 16_384;
/// How long the writer waits for the callers of the last group, who are on their way back with their next request.
const COMPANY: Duration = Duration::from_micros(60);
/// How often at most it looks whether there is room again after the disk was full.
const REFILL: Duration = Duration::from_secs(1);

/// What is asked of the writer, and where the answer goes.
pub(super) enum Request {
    Apply(Batch, oneshot::Sender<Result<Applied, ApplyError>>),
    Claim(Box<ClaimDue>, oneshot::Sender<Result<Vec<Claimed>, Error>>),
    Prune(Vec<(i64, i64)>, oneshot::Sender<Result<u64, Error>>),
}

/// A read that is made on the writing connection, between two transactions.
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The queue and the thread.
pub(super) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// What waits for the thread.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    reads: VecDeque<Read>,
    closed: bool,
    /// Whether the thread sleeps until it is woken.
    asleep: bool,
}

impl Writer {
    pub(super) fn start(site: Arc<Site>, connection: Connection) -> Result<Self, Error> {
        let queue = Arc::new(Queue::default());
        let theirs = Arc::clone(&queue);
        let path = site.path.clone();
        let run = move || {
            busy::allow(site.busy_max, Some(Arc::clone(&site.closing)));
            let turnstile = Turnstile::new(&site.locks);
            Work { site, connection, queue: theirs, refilled: System.moment() }.run(turnstile);
        };
        let thread = thread::Builder::new()
            .name(String::from("unattended-write"))
            .spawn(run)
            .map_err(|source| Error::Io { action: "cannot start the writer's thread", path, source })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Hands a request over. An error means that the request was not taken.
    pub(super) fn send(&self, request: Request) -> Result<(), Error> {
        self.queue.push(|waiting| &mut waiting.requests, request)
    }

    /// Where reads can be handed over too.
    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Lets the thread finish what was handed over, and waits for it.
    pub(super) fn close(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has dropped its requests, which answers them.
            drop(thread.join());
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a read over. An error means that it was not taken.
    pub(super) fn read(&self, read: Read) -> Result<(), Error> {
        self.push(|waiting| &mut waiting.reads, read)
    }

    fn push<T>(&self, to: impl FnOnce(&mut Waiting) -> &mut VecDeque<T>, item: T) -> Result<(), Error> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Error::Closed);
        }
        let queue = to(&mut waiting);
        if queue.len() >= WAITING_MAX {
            return Err(Error::Busy { waited_ms: 0, allowed_ms: 0 });
        }
        queue.push_back(item);
        let wake = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for a request or a read; `false` when there will be none.
    fn wait(&self) -> bool {
        let mut waiting = self.lock();
        while waiting.is_empty() && !waiting.closed {
            waiting.asleep = true;
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.asleep = false;
        !waiting.is_empty()
    }

    /// The reads that wait, and whether a request does.
    fn take_reads(&self) -> (VecDeque<Read>, bool) {
        let mut waiting = self.lock();
        (std::mem::take(&mut waiting.reads), !waiting.requests.is_empty())
    }

    /// Gives the callers of the last group a moment to come back, and others none.
    fn wait_for_company(&self, last_group: usize) {
        if last_group < 2 {
            return;
        }
        let end = System.moment().after(COMPANY);
        while self.lock().requests.len() < last_group && System.moment() < end {
            thread::yield_now();
        }
    }

    fn take_group(&self) -> Vec<Request> {
        let mut waiting = self.lock();
        let (mut group, mut bytes) = (Vec::with_capacity(waiting.requests.len().min(GROUP_MAX)), 0);
        while group.len() < GROUP_MAX
            && let Some(request) = waiting.requests.pop_front()
        {
            bytes += request.bytes();
            if bytes > GROUP_BYTES_MAX && !group.is_empty() {
                waiting.requests.push_front(request);
                break;
            }
            group.push(request);
        }
        group
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.reads.is_empty()
    }
}

impl Request {
    fn bytes(&self) -> usize {
        let Self::Apply(batch, _) = self else { return 0 };
        let text = |text: Option<&String>| text.map_or(0, String::len);
        let write = |write: &Write| {
            let data = write.event.as_ref().and_then(|event| event.data.as_ref());
            text(write.put.body.as_ref()) + text(data) + 256
        };
        batch.writes().iter().map(write).sum()
    }

    /// Whether it brings new work in, which waits while the disk is full, so that what runs can end. A first alert, hold
    /// or heartbeat is none: it is what people see to the full disk with.
    fn is_new_work(&self) -> bool {
        let new = |write: &Write| write.expect == Expect::Absent && write.ns != Ns::SNAPSHOT;
        matches!(self, Self::Apply(batch, _) if batch.writes().iter().all(new))
    }

    fn refuse(self, error: impl Fn() -> Error) {
        // A caller that is gone does not hear it.
        match self {
            Self::Apply(_, reply) => drop(reply.send(Err(ApplyError::NotApplied(error())))),
            Self::Claim(_, reply) => drop(reply.send(Err(error()))),
            Self::Prune(_, reply) => drop(reply.send(Err(error()))),
        }
    }

    fn leave_open(self, error: impl Fn() -> Error) {
        match self {
            Self::Apply(_, reply) => drop(reply.send(Err(ApplyError::Unknown(error())))),
            other => other.refuse(error),
        }
    }
}

/// What became of a request, once its group is committed.
enum Outcome {
    Applied(Result<Applied, Vec<Conflict>>),
    Claimed(Vec<Claimed>),
    Pruned(u64),
}

impl Outcome {
    fn tell(self, request: Request) {
        match (self, request) {
            (Self::Applied(result), Request::Apply(_, reply)) => {
                drop(reply.send(result.map_err(ApplyError::Conflict)));
            }
            (Self::Claimed(claimed), Request::Claim(_, reply)) => drop(reply.send(Ok(claimed))),
            (Self::Pruned(gone), Request::Prune(_, reply)) => drop(reply.send(Ok(gone))),
            // An outcome is made of its own request; were it not, the dropped reply would answer "unknown".
            (Self::Applied(_) | Self::Claimed(_) | Self::Pruned(_), _) => {}
        }
    }
}

/// How far a group came.
enum Broke {
    /// The statements of this request failed; the transaction is rolled back.
    At(usize, rusqlite::Error),
    /// The transaction could not begin, or its end failed before anything was certain.
    Around(rusqlite::Error),
    /// The commit failed in the file system: what is on the disk is not known.
    Commit(rusqlite::Error),
}

struct Work {
    site: Arc<Site>,
    connection: Connection,
    queue: Arc<Queue>,
    refilled: Moment,
}

impl Work {
    fn run(mut self, mut turnstile: Turnstile) {
        let mut last_group = 0;
        while self.queue.wait() {
            let (reads, writes) = self.queue.take_reads();
            reads.into_iter().for_each(|read| read(&self.connection));
            if !writes {
                continue;
            }
            // The turn comes first, the draining second: whoever asks while this process waits is in the group.
            let turn = turnstile.enter(|| self.begin_at_once());
            self.queue.wait_for_company(last_group);
            let group = self.queue.take_group();
            last_group = group.len();
            self.commit(group);
            self.end_what_was_not_used();
            drop(turn);
            thread::yield_now();
        }
        // The last connection to close moves the log into the file; others must not open in between.
        let gate = super::gate(&self.site.locks);
        drop(self.connection);
        drop(gate);
    }

    /// Begins the group's transaction if nobody else writes now.
    fn begin_at_once(&self) -> bool {
        busy::without_waiting(|| self.execute("BEGIN IMMEDIATE").is_ok())
    }

    /// A group whose every request was refused has left the transaction open that was begun for it.
    fn end_what_was_not_used(&self) {
        if !self.connection.is_autocommit() {
            drop(self.execute("ROLLBACK"));
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Commits a group and answers it; when a statement fails, what was before it, it alone, and what was after it.
    fn commit(&mut self, group: Vec<Request>) {
        if let Err(error) = self.site.sound() {
            let detail = error.to_string();
            return refuse_all(group, || Error::Latched { detail: detail.clone() });
        }
        self.refill();
        let group = self.without_new_work_while_full(group);
        if group.is_empty() {
            return;
        }
        match self.transaction(&group) {
            Ok(outcomes) => {
                self.site.counts.batches.fetch_add(group.len() as u64, Ordering::Relaxed);
                outcomes.into_iter().zip(group).for_each(|(outcome, request)| outcome.tell(request));
            }
            Err(broke) => self.broken(broke, group),
        }
    }

    fn broken(&mut self, broke: Broke, mut group: Vec<Request>) {
        let (Broke::At(_, found) | Broke::Around(found) | Broke::Commit(found)) = &broke;
        if error::is_io(found) {
            self.site.latch(found.to_string());
        }
        if error::is_full(found) && self.give_reserve_back() {
            return self.commit(group);
        }
        match broke {
            Broke::At(index, found) if !error::is_io(&found) && group.len() > 1 => {
                let after = group.split_off(index.saturating_add(1).min(group.len()));
                let it = group.split_off(index.min(group.len()));
                for part in [group, it, after] {
                    self.commit(part);
                }
            }
            Broke::At(_, found) | Broke::Around(found) => {
                let again = || super::copy_of(&found);
                refuse_all(group, || error::of("cannot write", again()));
            }
            Broke::Commit(found) => {
                let again = || super::copy_of(&found);
                for request in group {
                    request.leave_open(|| error::of("cannot commit", again()));
                }
            }
        }
    }

    fn transaction(&self, group: &[Request]) -> Result<Vec<Outcome>, Broke> {
        if self.connection.is_autocommit() {
            self.execute("BEGIN IMMEDIATE").map_err(Broke::Around)?;
        }
        let done = self.statements(group).and_then(|outcomes| match self.execute("COMMIT") {
            Ok(()) => Ok(outcomes),
            Err(found) if error::is_io(&found) => Err(Broke::Commit(found)),
            Err(found) => Err(Broke::Around(found)),
        });
        self.site.counts.commits.fetch_add(1, Ordering::Relaxed);
        if done.is_err() && !self.connection.is_autocommit() {
            // When not even this works, closing the connection does it.
            drop(self.execute("ROLLBACK"));
        }
        done
    }

    fn statements(&self, group: &[Request]) -> Result<Vec<Outcome>, Broke> {
        let mut session = Session::begin(&self.connection, self.site.judge(), Some(&self.site.owner))
            .map_err(Broke::Around)?;
        let mut outcomes = Vec::with_capacity(group.len());
        for (index, request) in group.iter().enumerate() {
            let outcome = match request {
                Request::Apply(batch, _) => session.apply(batch, false).map(Outcome::Applied),
                Request::Claim(claim, _) => session.claim_due(claim).map(Outcome::Claimed),
                Request::Prune(found, _) => session.prune(found).map(Outcome::Pruned),
            };
            outcomes.push(outcome.map_err(|found| Broke::At(index, found))?);
        }
        session.finish().map_err(Broke::Around)?;
        Ok(outcomes)
    }

    fn give_reserve_back(&self) -> bool {
        let had = self.site.reserve.give_back();
        let first = !self.site.counts.full.swap(true, Ordering::Relaxed);
        if first {
            reserve::tell_full(&self.site.path, had);
        }
        had
    }

    fn without_new_work_while_full(&self, group: Vec<Request>) -> Vec<Request> {
        if !self.site.counts.full.load(Ordering::Relaxed) {
            return group;
        }
        let (new, rest): (Vec<_>, Vec<_>) = group.into_iter().partition(Request::is_new_work);
        refuse_all(new, || Error::Full { detail: String::from("the reserve is for work that runs") });
        rest
    }

    /// Sets the reserve up again when there is room; until then new work is refused.
    fn refill(&mut self) {
        if !self.site.counts.full.load(Ordering::Relaxed) || System.moment().since(self.refilled) < REFILL {
            return;
        }
        self.refilled = System.moment();
        if self.site.reserve.fill() {
            self.site.counts.full.store(false, Ordering::Relaxed);
            #[cfg(feature = "tracing")]
            tracing::info!(store = %self.site.path.display(), "there is room again; new work is taken");
        }
    }
}

fn refuse_all(group: Vec<Request>, error: impl Fn() -> Error) {
    for request in group {
        request.refuse(&error);
    }
}
