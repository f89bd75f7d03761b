//! The whole of it: started, waited for, judged. Blocking, and as a future.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::act::command::{Command, Error, Outcome, Waited, Wake};

impl Command {
    /// Runs it to its end, and blocks the thread for at most its time-out, grace and drain.
    ///
    /// # Errors
    /// Whatever is no success; see [`Error`], which has the outcome in it where the command has run.
    pub fn run_blocking(&self) -> Result<Outcome, Error> {
        self.wait_for(None, || false)
    }

    /// The same, until `cancel` is ready: then it is ended with its grace, and the error is [`Error::Cancelled`] with what it had
    /// written. Where it is ready before the start nothing is started. Any future will do.
    ///
    /// ```
    /// use unattended::command::{Command, Error};
    /// use unattended::shutdown::{Phase, Shutdown};
    ///
    /// let shutdown = Shutdown::new();
    /// shutdown.trigger();
    /// let called_off = Command::new("sleep").arg("60").run_blocking_with(shutdown.reached(Phase::Draining));
    /// assert!(matches!(called_off, Err(Error::Cancelled { outcome: None })));
    /// ```
    ///
    /// # Errors
    /// As [`run_blocking`](Self::run_blocking).
    pub fn run_blocking_with(&self, cancel: impl Future<Output = ()>) -> Result<Outcome, Error> {
        let wake = Wake::new().map_err(|source| self.no_wait(source))?;
        let waker = wake.waker();
        let mut cancel = pin!(cancel);
        let mut over = false;
        let mut asked = move || {
            over = over || cancel.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            over
        };
        if asked() {
            return Err(Error::Cancelled { outcome: None });
        }
        self.wait_for(Some(&wake), asked)
    }

    /// The same as a future, on any runtime: a thread of its own does the waiting. Dropped before its end, the command is killed with its
    /// group and reaped, by that thread.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// use unattended::command::Command;
    ///
    /// let said = Command::new("echo").arg("hello").run().await?;
    /// assert_eq!(said.stdout.text(), "hello\n");
    /// # Ok::<(), unattended::command::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`run_blocking`](Self::run_blocking).
    pub fn run(&self) -> impl Future<Output = Result<Outcome, Error>> + Send + use<> {
        Run { state: State::New(Box::new(self.clone())) }
    }

    /// What an outcome of this command means: by its exit codes, and by whether it may leave processes behind.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::TooMuchOutput`], [`Error::Cancelled`], [`Error::NonZero`], [`Error::Signalled`],
    /// [`Error::Escaped`], [`Error::PipeHeldOpen`], [`Error::Lost`].
    pub fn judge(&self, outcome: Outcome) -> Result<Outcome, Error> {
        outcome.judged(&self.codes, self.escape_allowed)
    }

    /// Waits to its end, and ends it when `asked` says so, which is asked after each wake.
    fn wait_for(&self, wake: Option<&Wake>, mut asked: impl FnMut() -> bool) -> Result<Outcome, Error> {
        let mut child = self.start()?;
        loop {
            match child.wait(None, wake).map_err(|source| self.no_wait(source))? {
                Waited::Exited(outcome) => return self.judge(*outcome),
                Waited::Woken | Waited::TimedOut if asked() => child.terminate(self.grace),
                Waited::Woken | Waited::TimedOut => {}
            }
        }
    }

    pub(in crate::act) fn no_wait(&self, source: std::io::Error) -> Error {
        Error::Wait { program: self.name(), source }
    }
}

/// The future of [`Command::run`].
struct Run {
    state: State,
}

enum State {
    New(Box<Command>),
    Running(Arc<Shared>),
    Over,
}

/// Between the future and the thread that waits.
struct Shared {
    wake: Wake,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    given_up: bool,
    done: Option<Result<Outcome, Error>>,
    waker: Option<Waker>,
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Run {
    type Output = Result<Outcome, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::New(command) = &self.state {
            match begin(command) {
                Ok(shared) => self.state = State::Running(shared),
                Err(error) => {
                    self.state = State::Over;
                    return Poll::Ready(Err(error));
                }
            }
        }
        let State::Running(shared) = &self.state else { return Poll::Pending };
        let done = {
            let mut inner = shared.inner();
            let done = inner.done.take();
            if done.is_none() {
                inner.waker = Some(context.waker().clone());
            }
            done
        };
        match done {
            Some(done) => {
                self.state = State::Over;
                Poll::Ready(done)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let State::Running(shared) = &self.state {
            shared.inner().given_up = true;
            shared.wake.wake();
        }
    }
}

fn begin(command: &Command) -> Result<Arc<Shared>, Error> {
    let wake = Wake::new().map_err(|source| command.no_wait(source))?;
    let shared = Arc::new(Shared { wake, inner: Mutex::default() });
    let (command, theirs) = (command.clone(), Arc::clone(&shared));
    let failed = command.clone();
    std::thread::Builder::new()
        .name(String::from("unattended-command"))
        .spawn(move || work(&command, &theirs))
        .map_err(|source| failed.no_wait(source))?;
    Ok(shared)
}

fn work(command: &Command, shared: &Shared) {
    // Also when a panic of whoever hears the output goes through here: a future that is never woken would hang.
    let ending = Ending { shared, done: Some(Err(Error::Cancelled { outcome: None })) };
    ending.with(drive(command, shared));
}

/// Runs it; given up, it is killed by the drop of the child.
fn drive(command: &Command, shared: &Shared) -> Result<Outcome, Error> {
    let given_up = || shared.inner().given_up;
    if given_up() {
        return Err(Error::Cancelled { outcome: None });
    }
    let mut child = command.start()?;
    loop {
        match child.wait(None, Some(&shared.wake)).map_err(|source| command.no_wait(source))? {
            Waited::Exited(outcome) => return command.judge(*outcome),
            Waited::Woken | Waited::TimedOut if given_up() => return Err(Error::Cancelled { outcome: None }),
            Waited::Woken | Waited::TimedOut => {}
        }
    }
}

struct Ending<'a> {
    shared: &'a Shared,
    done: Option<Result<Outcome, Error>>,
}

impl Ending<'_> {
    fn with(mut self, done: Result<Outcome, Error>) {
        self.done = Some(done);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let waker = {
            let mut inner = self.shared.inner();
            inner.done = self.done.take();
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
