//! The pipes of a child: fed and read while it is waited for.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::act::command::builder::OnOutput;
use crate::act::command::captured::Keeping;
use crate::act::command::{Captured, Stream, Wake};

/// How much is read at once.
const PIECE: usize = 64 * 1024;
/// How many pieces of one pipe are read at the end: all that a pipe of the largest usual size holds.
const PIECES_MAX: usize = 17;
/// How often a process is looked at where the kernel does not tell when it ends.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Both directions.
pub(super) struct Pump {
    feed: Option<Feed>,
    stdout: Tube,
    stderr: Tube,
    hear: Option<Arc<OnOutput>>,
    buffer: Vec<u8>,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    /// The process may have ended.
    pub(super) leader: bool,
    /// Somebody has woken the wait.
    pub(super) woken: bool,
}

struct Feed {
    pipe: ChildStdin,
    bytes: Vec<u8>,
    at: usize,
}

struct Tube {
    pipe: Option<Box<dyn Pipe>>,
    stream: Stream,
    keeping: Keeping,
}

trait Pipe: Read + AsFd + Send {}
impl Pipe for ChildStdout {}
impl Pipe for ChildStderr {}

impl Pump {
    pub(super) fn new(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>, output_max: usize) -> Self {
        // The program can open its own pipes to read: what it takes away is not waited for.
        let _set = stdout.as_ref().map(|pipe| rustix::io::ioctl_fionbio(pipe, true));
        let _set = stderr.as_ref().map(|pipe| rustix::io::ioctl_fionbio(pipe, true));
        let tube = |pipe, stream| Tube { pipe, stream, keeping: Keeping::of(output_max) };
        Self {
            feed: None,
            stdout: tube(stdout.map(|pipe| -> Box<dyn Pipe> { Box::new(pipe) }), Stream::Stdout),
            stderr: tube(stderr.map(|pipe| -> Box<dyn Pipe> { Box::new(pipe) }), Stream::Stderr),
            hear: None,
            buffer: vec![0; PIECE],
        }
    }

    /// What the child is given to read, as it reads it.
    pub(super) fn feed(&mut self, pipe: ChildStdin, bytes: Vec<u8>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        rustix::io::ioctl_fionbio(&pipe, true)?;
        self.feed = Some(Feed { pipe, bytes, at: 0 });
        Ok(())
    }

    /// Who hears what is written, from now on.
    pub(super) fn hear(&mut self, hear: Option<Arc<OnOutput>>) {
        self.hear = hear;
    }

    /// Whether somebody may still write.
    pub(super) const fn is_open(&self) -> bool {
        self.stdout.pipe.is_some() || self.stderr.pipe.is_some()
    }

    /// How many bytes were written until now.
    pub(super) const fn written(&self) -> u64 {
        self.stdout.keeping.bytes.saturating_add(self.stderr.keeping.bytes)
    }

    /// What was written to both, as far as it is kept.
    pub(super) fn captured(&self) -> [Captured; 2] {
        [&self.stdout, &self.stderr].map(|tube| tube.keeping.captured())
    }

    /// The same at the end, without a copy of it.
    pub(super) fn take(&mut self) -> [Captured; 2] {
        [&mut self.stdout, &mut self.stderr].map(|tube| tube.keeping.take())
    }

    /// Waits until something happens, at most so long, and moves what can be moved. `leader` is what tells that the process has
    /// ended, where there is such a thing; `watched` says whether it is waited for.
    pub(super) fn wait(
        &mut self,
        leader: Option<BorrowedFd<'_>>,
        watched: bool,
        wake: Option<&Wake>,
        limit: Option<Duration>,
    ) -> io::Result<Ready> {
        let blind = watched && leader.is_none();
        let limit = if blind { Some(limit.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)) } else { limit };
        let [mut out, mut err, mut fed, mut ended, mut woken] = [PollFlags::empty(); 5];
        {
            let mut fds = Vec::with_capacity(5);
            let mut places = Vec::with_capacity(5);
            let sources = [
                (self.stdout.pipe.as_ref().map(|pipe| pipe.as_fd()), PollFlags::IN, &mut out),
                (self.stderr.pipe.as_ref().map(|pipe| pipe.as_fd()), PollFlags::IN, &mut err),
                (self.feed.as_ref().map(|feed| feed.pipe.as_fd()), PollFlags::OUT, &mut fed),
                (leader.filter(|_| watched), PollFlags::IN, &mut ended),
                (wake.map(Wake::fd), PollFlags::IN, &mut woken),
            ];
            for (fd, flags, place) in sources {
                if let Some(fd) = fd {
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                    places.push(place);
                }
            }
            let limit = limit.map(|limit| Timespec::try_from(limit).unwrap_or(LONGEST));
            match poll(&mut fds, limit.as_ref()) {
                Ok(_) => fds.iter().zip(places).for_each(|(fd, place)| *place = fd.revents()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !out.is_empty() {
            self.stdout.read(&mut self.buffer, self.hear.as_deref());
        }
        if !err.is_empty() {
            self.stderr.read(&mut self.buffer, self.hear.as_deref());
        }
        if !fed.is_empty() && self.feed.as_mut().is_some_and(|feed| feed.write(fed)) {
            self.feed = None;
        }
        if let Some(wake) = wake.filter(|_| !woken.is_empty()) {
            wake.clear();
        }
        Ok(Ready { leader: blind || !ended.is_empty(), woken: !woken.is_empty() })
    }

    /// Takes what lies in the pipes, and waits for nothing.
    pub(super) fn empty(&mut self) {
        self.feed = None;
        for tube in [&mut self.stdout, &mut self.stderr] {
            for _ in 0..PIECES_MAX {
                let Some(pipe) = &tube.pipe else { break };
                let mut fds = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
                if !matches!(poll(&mut fds, Some(&NOTHING)), Ok(1)) {
                    break;
                }
                tube.read(&mut self.buffer, self.hear.as_deref());
            }
        }
    }
}

const NOTHING: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// Some 31 years, which every system's `poll` takes.
const LONGEST: Timespec = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };

impl Tube {
    /// One piece, of a pipe that has something or has come to its end.
    fn read(&mut self, buffer: &mut [u8], hear: Option<&OnOutput>) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(buffer) {
            Err(error) if [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock].contains(&error.kind()) => {
            }
            Ok(0) | Err(_) => self.pipe = None,
            Ok(count) => {
                let bytes = &buffer[..count.min(buffer.len())];
                self.keeping.push(bytes);
                if let Some(hear) = hear {
                    hear(self.stream, bytes);
                }
            }
        }
    }
}

impl Feed {
    /// Writes what the pipe takes; says whether this is over.
    fn write(&mut self, ready: PollFlags) -> bool {
        // Nobody reads any more. Not written to, as a program that has SIGPIPE at its default would die of that.
        if ready.contains(PollFlags::ERR) {
            return true;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return true;
        }
        match self.pipe.write(rest) {
            Ok(count) => self.at = self.at.saturating_add(count),
            Err(error) => {
                let again = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
                return !again.contains(&error.kind());
            }
        }
        self.at >= self.bytes.len()
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("open", &self.is_open())
            .field("written", &self.written())
            .finish_non_exhaustive()
    }
}
