//! What ends a wait for a child from outside.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::Waker;

/// Ends a [`Child::wait`](super::Child::wait) from another thread, or from whatever wakes a future. Clones are handles to the
/// same one.
///
/// A wake that comes before the wait is kept, and ends the next one at once; any number of them that come between two waits end one.
///
/// ```
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::Context;
/// use unattended::command::{Command, Waited, Wake};
/// use unattended::shutdown::{Phase, Shutdown};
///
/// let (shutdown, wake) = (Shutdown::new(), Wake::new()?);
/// let mut asked = pin!(shutdown.reached(Phase::Draining));
/// assert!(asked.as_mut().poll(&mut Context::from_waker(&wake.waker())).is_pending());
///
/// let mut child = Command::new("sleep").arg("60").start()?;
/// shutdown.trigger();
/// assert!(matches!(child.wait(None, Some(&wake))?, Waited::Woken));
/// child.stop(std::time::Duration::from_secs(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Wake {
    ends: Arc<Ends>,
}

#[derive(Debug)]
struct Ends {
    read: UnixStream,
    write: UnixStream,
}

impl Wake {
    /// One that nobody has woken.
    ///
    /// # Errors
    /// When the process has no file descriptors left: it takes two.
    pub fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Self { ends: Arc::new(Ends { read, write }) })
    }

    /// Ends the wait that uses it, or the next one.
    pub fn wake(&self) {
        // Where it is full there are wakes enough in it.
        drop((&self.ends.write).write(&[1]));
    }

    /// The same as a waker, for futures.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::new(self.clone()))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.ends.read.as_fd()
    }

    /// Takes back all wakes until now.
    pub(super) fn clear(&self) {
        let mut bytes = [0_u8; 64];
        // Bounded, though nobody wakes that fast.
        for _ in 0..1024 {
            match (&self.ends.read).read(&mut bytes) {
                Ok(64) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl std::task::Wake for Wake {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::wake(self);
    }
}
