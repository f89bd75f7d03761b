//! A lock that the kernel keeps, and lets go when its process ends, however it ends.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, resolve};
use crate::base::rng::{Rng, entropy};
use crate::base::time::{Clock, SleepBlocking, System, millis};

/// How long is slept at most between two looks at a lock that is held. Short, because there is no queue: whoever asks when it
/// comes free has it.
const POLL_MAX: Duration = Duration::from_millis(1);

/// An exclusive lock on a file that serves for nothing else; held until it is dropped.
///
/// The lock file is made where there is none and is never removed: a lock on a removed file locks nobody out. The holder's process
/// id is in it, so that whoever waits in vain is told. It is held against other threads and handles of the same process too,
/// so taking it twice is [`Error::Busy`]. Kernel locks on a network file system are as good as that file system makes them.
///
/// ```
/// use std::time::Duration;
/// use unattended::file::{Error, Lock};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("nightly.lock");
/// let held = Lock::take(&path, Duration::ZERO)?;
/// let holder = match Lock::take(&path, Duration::from_millis(10)) {
///     Err(Error::Busy { holder, .. }) => holder,
///     _ => None,
/// };
/// assert_eq!(holder, Some(std::process::id()));
/// drop(held);
/// Lock::take(&path, Duration::ZERO)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    file: fs::File,
}

impl Lock {
    /// Takes the lock, and waits for it at most so long. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Busy`] when it does not come free in time; otherwise when the file cannot be made or locked.
    pub fn take(path: impl AsRef<Path>, wait_max: Duration) -> Result<Self, Error> {
        let path = resolve(path.as_ref())?;
        let mut rng = Rng::seeded(entropy());
        let begun = System.moment();
        loop {
            if let Some(file) = try_take(&path)? {
                return Ok(Self::held(file));
            }
            let waited = System.moment().since(begun);
            if waited >= wait_max {
                let (waited_ms, allowed_ms) = (millis(waited), millis(wait_max));
                let holder = holder(&path);
                return Err(Error::Busy { path, waited_ms, allowed_ms, holder });
            }
            let pause = Duration::from_nanos(rng.up_to(crate::base::time::nanos(POLL_MAX)));
            System.sleep_blocking(pause.min(wait_max.saturating_sub(waited)));
        }
    }

    /// Programs that are started from now on hold it too, as those of flock(1) do: it stays taken while one of them runs, should this
    /// process be killed. Given back it is free, whoever still runs.
    #[cfg(all(feature = "cli", unix))]
    pub(crate) fn hand_on(&self) -> io::Result<()> {
        Ok(rustix::io::fcntl_setfd(&self.file, rustix::io::FdFlags::empty())?)
    }

    fn held(mut file: fs::File) -> Self {
        // Said as a help to those who wait; where it cannot be said, the lock holds all the same.
        drop(note(&mut file, &std::process::id().to_string()));
        Self { file }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(note(&mut self.file, ""));
        drop(self.file.unlock());
    }
}

/// Takes the lock if it is free.
fn try_take(path: &Path) -> Result<Option<fs::File>, Error> {
    let file = lock_file(path).map_err(|source| Error::writing("cannot open the lock file", path, source))?;
    match file.try_lock() {
        // Somebody may have removed the file by hand since it was opened; then the lock is that of nobody.
        Ok(()) if same_file(&file, path) => Ok(Some(file)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => {
            Err(Error::Io { action: "cannot lock it", path: PathBuf::from(path), source })
        }
    }
}

fn note(file: &mut fs::File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Opens a file that is only ever locked. Never deleted: a lock on a deleted file locks nobody out.
pub(in crate::remember) fn lock_file(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether the lock was to be had.
#[cfg(feature = "sqlite")]
pub(in crate::remember) fn try_lock(file: &fs::File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        // A file system without locks has no turns; the engine would not have opened there either.
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// Whether `file` is what stands at `path` now.
#[cfg(unix)]
pub(in crate::remember) fn same_file(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok((ours, theirs)) = file.metadata().and_then(|ours| Ok((ours, fs::metadata(path)?))) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
}

/// Whether `file` is what stands at `path` now, as far as this system can tell.
#[cfg(not(unix))]
pub(in crate::remember) fn same_file(_file: &fs::File, path: &Path) -> bool {
    path.exists()
}
