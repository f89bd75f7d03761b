//! A few threads with a connection each, so that a read never waits for a write, nor an executor for the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use rusqlite::Connection;

use crate::remember::sqlite::busy;
use crate::remember::sqlite::connect::{self, Reading, Use};
use crate::remember::sqlite::site::Site;
use crate::remember::sqlite::writer;
use crate::remember::store::Error;

/// The most threads; the first is started by the first read.
const THREADS_MAX: usize = 3;
/// The most reads that wait; another one is told that the store is busy.
const WAITING_MAX: usize = 16_384;

type Job = Box<dyn FnOnce(Result<&Connection, Error>) + Send>;

/// The threads and their queue.
pub(super) struct Readers {
    site: Arc<Site>,
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Where reads are made on the writing connection.
    with_writes: Option<Arc<writer::Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl Readers {
    pub(super) fn new(site: Arc<Site>, with_writes: Option<Arc<writer::Queue>>) -> Self {
        Self { site, queue: Arc::default(), threads: Mutex::default(), with_writes }
    }

    /// Runs `read` on a reader's connection.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection, &Site) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.site.sound()?;
        let (reply, answer) = oneshot::channel();
        let site = Arc::clone(&self.site);
        let job = move |connection: Result<&Connection, Error>| {
            let found =
                connection.and_then(|connection| busy::persist("cannot read", || read(connection, &site)));
            // A caller that is gone does not hear it.
            drop(reply.send(found));
        };
        self.send(Box::new(job))?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            drop(thread.join());
        }
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        if let Some(writer) = &self.with_writes {
            return writer.read(Box::new(|connection| job(Ok(connection))));
        }
        let mut waiting = self.queue.lock();
        if waiting.closed {
            return Err(Error::Closed);
        }
        if waiting.jobs.len() >= WAITING_MAX {
            return Err(Error::Busy { waited_ms: 0, allowed_ms: 0 });
        }
        waiting.jobs.push_back(job);
        let short = waiting.jobs.len() > waiting.idle;
        drop(waiting);
        if short { self.grow() } else { Ok(()) }.map(|()| self.queue.wake.notify_one())
    }

    fn grow(&self) -> Result<(), Error> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() >= THREADS_MAX {
            return Ok(());
        }
        let (site, queue) = (Arc::clone(&self.site), Arc::clone(&self.queue));
        let thread = thread::Builder::new()
            .name(String::from("unattended-read"))
            .spawn(move || serve(&site, &queue))
            .map_err(|source| Error::Io {
                action: "cannot start a reader's thread",
                path: self.site.path.clone(),
                source,
            });
        match thread {
            Ok(thread) => threads.push(thread),
            // The reads that wait are served by the threads that there are.
            Err(error) if threads.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting.idle += 1;
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }
}

fn serve(site: &Site, queue: &Queue) {
    busy::allow(site.busy_max, Some(Arc::clone(&site.closing)));
    let mut connection: Option<Reading> = None;
    while let Some(job) = queue.next() {
        if connection.is_none() {
            match open(site) {
                Ok(opened) => connection = Some(opened),
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        match &connection {
            Some(reading) => job(Ok(&reading.connection)),
            None => job(Err(Error::Closed)),
        }
        // Whoever made the file system read-only may make it writable again, and then locks and the log count.
        if connection.as_ref().is_some_and(|reading| reading.immutable) {
            connection = None;
        }
    }
    let gate = (!site.read_only).then(|| super::gate(&site.locks));
    drop(connection);
    drop(gate);
}

fn open(site: &Site) -> Result<Reading, Error> {
    let reading = connect::open_to_read(site)?;
    connect::check(&reading.connection, if site.read_only { Use::ReadOnly } else { Use::Read })?;
    Ok(reading)
}
