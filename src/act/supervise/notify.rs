//! The socket on which a process says how it is, as systemd has it: sd_notify(3).

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::act::supervise::stop::Run;
use crate::base::rng::entropy;
use crate::base::text;
use crate::base::time::{Clock, System};

/// The longest message that is read, in bytes.
const MESSAGE_MAX: usize = 4096;
/// How much of a status is kept, in bytes.
const STATUS_MAX: usize = 512;

/// A socket in a folder of its own that nobody else may enter, and the thread that reads it. Each run has its own, so that what an
/// earlier one has said late is not taken for its successor's.
#[derive(Debug)]
pub(super) struct Socket {
    folder: PathBuf,
    path: PathBuf,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Socket {
    pub(super) fn open(run: &Arc<Run>) -> io::Result<Self> {
        let folder = folder()?;
        let path = folder.join("notify");
        let closed = Arc::new(AtomicBool::new(false));
        let mut opened = Self { folder, path, closed: Arc::clone(&closed), thread: None };
        let socket = UnixDatagram::bind(&opened.path)?;
        let run = Arc::clone(run);
        let thread = std::thread::Builder::new().name(String::from("unattended-notify"));
        opened.thread = Some(thread.spawn(move || listen(&socket, &closed, &run))?);
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // An empty message wakes the reader. Where it cannot be sent the thread is left to wait.
            let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(&[], &self.path));
            if sent.is_ok() {
                drop(thread.join());
            }
        }
        drop(fs::remove_file(&self.path));
        drop(fs::remove_dir(&self.folder));
    }
}

/// A new folder that only this user may enter.
fn folder() -> io::Result<PathBuf> {
    let parent = std::env::temp_dir();
    for _ in 0..16 {
        let folder = parent.join(format!("unattended-{}-{:016x}", std::process::id(), entropy()));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn listen(socket: &UnixDatagram, closed: &AtomicBool, run: &Run) {
    let mut message = [0_u8; MESSAGE_MAX];
    loop {
        let read = socket.recv(&mut message);
        if closed.load(Ordering::Acquire) {
            return;
        }
        match read {
            Ok(length) => hear(message.get(..length).unwrap_or_default(), run),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Takes in one message: lines `NAME=VALUE`. What is not understood is passed over.
pub(super) fn hear(message: &[u8], run: &Run) {
    for line in String::from_utf8_lossy(message).lines() {
        match line.split_once('=') {
            Some(("READY", "1")) => {
                run.lives();
                run.signs().ready = true;
                run.bell.ring();
            }
            Some(("WATCHDOG", "1")) => run.lives(),
            Some(("WATCHDOG", "trigger")) => {
                run.signs().trigger = true;
                run.bell.ring();
            }
            Some(("STOPPING", "1")) => {
                run.lives();
                run.signs().stopping = true;
            }
            Some(("STATUS", status)) => {
                let status = text::shown(status);
                run.signs().status = Some(text::head(&status, STATUS_MAX).to_owned());
            }
            Some(("EXTEND_TIMEOUT_USEC", span)) => {
                if let Ok(span) = span.parse() {
                    run.signs().extended = Some(System.moment().after(Duration::from_micros(span)));
                }
            }
            _ => {}
        }
    }
}
