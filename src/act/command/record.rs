//! What runs, written down before it runs: whoever starts it again after a crash finds the very process.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::command::leader::Leader;
use crate::act::command::{Command, Error, proc};
use crate::base::time::Timestamp;
use crate::remember::file::{self, Lock};

/// The version of the record's format.
const VERSION: u32 = 1;
/// How long is waited for somebody who starts with the same record at the same time.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How much of the arguments is written down, in bytes.
const ARGV_MAX: usize = 16 * 1024;
/// How much of a record is read.
const RECORD_MAX: u64 = 1024 * 1024;

/// What is written down.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    v: u32,
    pid: u32,
    /// In clock ticks since the boot: with the pid and the boot it is one process and no other.
    start: u64,
    boot: String,
    since: Timestamp,
    argv: Vec<String>,
}

/// A start that nobody else makes at the same time.
#[derive(Debug)]
pub(super) struct Recording {
    path: PathBuf,
    _lock: Lock,
}

/// The record of a command that runs.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    pid: u32,
}

impl Recording {
    /// Looks whether what is recorded still runs.
    pub(super) fn begin(path: &Path) -> Result<Self, Error> {
        let lock = Lock::take(lock_of(path), LOCK_WAIT)
            .map_err(|source| Error::Record { path: path.to_owned(), source })?;
        if let Some(written) = read(path)?
            && written.still_runs()
        {
            return Err(Error::Busy { pid: written.pid, since: written.since, path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Writes down what is about to run.
    pub(super) fn of(self, leader: &Leader, command: &Command, since: Timestamp) -> Result<Record, Error> {
        let unreadable = |source| Error::RecordUnreadable { path: self.path.clone(), source };
        let seen = proc::stat(leader.pid()).ok_or_else(|| {
            unreadable(io::Error::new(io::ErrorKind::Unsupported, "no /proc to tell its start"))
        })?;
        let mut room = ARGV_MAX;
        let argv = std::iter::once(&command.program).chain(&command.args).map_while(|arg| {
            room = room.checked_sub(arg.as_bytes().len())?;
            Some(arg.to_string_lossy().into_owned())
        });
        let written = Written {
            v: VERSION,
            pid: leader.pid(),
            start: seen.start,
            boot: boot().map_err(unreadable)?,
            since,
            argv: argv.collect(),
        };
        let text = serde_json::to_vec(&written).map_err(|error| unreadable(error.into()))?;
        file::replace(&self.path, text)
            .map_err(|source| Error::Record { path: self.path.clone(), source })?;
        Ok(Record { path: self.path, pid: leader.pid() })
    }
}

impl Record {
    /// Takes the record away, if it is still of this process. One that may still run stays recorded, and so does one beside which
    /// somebody starts just now: whoever reads it sees that its process has ended.
    pub(super) fn ended(self, surely: bool) {
        let Ok(_alone) = Lock::take(lock_of(&self.path), Duration::ZERO) else { return };
        if surely && read(&self.path).is_ok_and(|found| found.is_some_and(|found| found.pid == self.pid)) {
            drop(fs::remove_file(&self.path));
        }
    }
}

impl Written {
    fn still_runs(&self) -> bool {
        let same = |seen: proc::Stat| seen.start == self.start && !seen.zombie;
        proc::stat(self.pid).is_some_and(same) && boot().is_ok_and(|boot| boot == self.boot)
    }
}

fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    PathBuf::from(lock)
}

fn read(path: &Path) -> Result<Option<Written>, Error> {
    use io::Read;
    let failed = |source| Error::RecordUnreadable { path: path.to_owned(), source };
    let mut text = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(RECORD_MAX).read_to_end(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let written: Written = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    if written.v != VERSION {
        let said = format!("version {} of the format, known is {VERSION}", written.v);
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, said)));
    }
    Ok(Some(written))
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../../tests/golden/command_record_v1.json");

    #[test]
    fn a_record_of_the_first_version_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        fs::write(&path, GOLDEN).unwrap();
        let written = read(&path).unwrap().unwrap();
        assert_eq!((written.pid, written.start, written.argv.len()), (4242, 987_654, 2));
        assert_eq!(serde_json::to_string(&written).unwrap(), GOLDEN.trim());
        assert!(!written.still_runs(), "it is of another boot");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_an_error_and_no_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        for text in ["", "{}", &GOLDEN.replace("\"v\":1", "\"v\":2")] {
            fs::write(&path, text).unwrap();
            assert!(matches!(read(&path), Err(Error::RecordUnreadable { .. })), "{text:?}");
            assert!(matches!(Recording::begin(&path), Err(Error::RecordUnreadable { .. })), "{text:?}");
        }
        assert!(read(&folder.path().join("none")).unwrap().is_none());
    }
}
