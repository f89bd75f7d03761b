//! One run of a name at a time: the kernel's lock beside a store that is a file, a lease in one that hosts share.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::operate::cli::exec::form::Form;
use crate::operate::cli::failure::{Exit, Failure, chain};
use crate::operate::cli::shared;
use crate::remember::blocking::block_on;
use crate::remember::file::{self, Lock};
use crate::remember::leases::{Held, Leases, Taken};
use crate::remember::store::Store;

/// How long a lease is; it is renewed at a third.
const LEASE: Duration = Duration::from_secs(30);

/// Held while a run of the name is worked on.
#[expect(dead_code, reason = "it is held, not looked at")]
pub(super) enum Only {
    Nobody,
    File(Lock),
    Lease(Kept),
}

/// What asking for it found.
pub(super) enum Asked {
    Mine(Only),
    /// Somebody is at it: who, as far as that is known.
    Busy(String),
}

/// Asks for the name of a form that wants it.
pub(super) fn ask(job: &str, form: &Form, store: &Arc<dyn Store>) -> Result<Asked, Failure> {
    if !form.lock {
        return Ok(Asked::Mine(Only::Nobody));
    }
    if !store.caps().multi_process {
        // Nobody else sees a store that is this process's own.
        return Ok(Asked::Mine(Only::Nobody));
    }
    match &form.locks {
        Some(folder) => by_file(job, folder.os().into()),
        None if store.caps().name == "sqlite" => by_file(job, shared::of_user()),
        None => by_lease(job, store),
    }
}

fn by_file(job: &str, folder: PathBuf) -> Result<Asked, Failure> {
    let failed = |error: String| {
        Failure::new(Exit::Failed, "exec.lock", format!("the lock of {job} cannot be asked for: {error}"))
    };
    shared::make(&folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    match Lock::take(shared::file_for(&folder, "job", job), Duration::ZERO) {
        Ok(lock) => {
            lock.hand_on().map_err(|error| failed(error.to_string()))?;
            Ok(Asked::Mine(Only::File(lock)))
        }
        Err(file::Error::Busy { holder: Some(pid), .. }) => Ok(Asked::Busy(format!("process {pid}"))),
        Err(file::Error::Busy { .. }) => Ok(Asked::Busy(String::from("another process"))),
        Err(error) => Err(failed(chain(&error))),
    }
}

fn by_lease(job: &str, store: &Arc<dyn Store>) -> Result<Asked, Failure> {
    let leases = Leases::new(Arc::clone(store));
    let taken = block_on(leases.take(&format!("exec/{job}"), LEASE));
    match taken.map_err(|error| Failure::of_store(&error))? {
        Taken::Busy { owner, .. } => Ok(Asked::Busy(owner)),
        Taken::Held(held) => Ok(Asked::Mine(Only::Lease(Kept::start(leases, held)))),
    }
}

/// A lease that a thread renews until it is dropped, and then given back.
pub(super) struct Kept {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Kept {
    fn start(leases: Leases, held: Held) -> Self {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(String::from("unattended-name"));
        Self { stop, thread: thread.spawn(move || keep(&leases, held, &seen)).ok() }
    }
}

fn keep(leases: &Leases, held: Held, (stopped, changed): &(Mutex<bool>, Condvar)) {
    loop {
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, LEASE / 3, |stopped| !*stopped);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            // Not given back, it runs out by itself.
            drop(block_on(leases.release(held)));
            return;
        }
        // One that could not be renewed may still be when it is tried next.
        drop(block_on(leases.renew(&held, LEASE)));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
