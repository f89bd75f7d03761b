//! A file with a line for each page.

use std::fs::{File as Opened, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::act::notify::{Page, Sink, SinkError};

/// How long it may take: a disk that hangs is not waited for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A file to which each page is added as one line of JSON, synced before it counts as sent. It is made with mode 0600 if it is not
/// there, may be moved away between two pages, and is locked while a line is written, so that several processes may share one.
#[derive(Clone, Debug)]
pub struct File {
    path: PathBuf,
}

impl File {
    /// The file at `path`; its folder must be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        file.lock()?;
        let before = file.metadata()?.len();
        let written = write_line(&mut file, before, line).and_then(|()| file.sync_all());
        if written.is_err() && before > 0 {
            // What a full disk has cut off must not stand before the next line.
            drop(file.set_len(before));
        }
        written
    }
}

/// Adds a line; one that somebody has not ended is ended first.
fn write_line(file: &mut Opened, len: u64, line: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(line.len().saturating_add(2));
    if len > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            bytes.push(b'\n');
        }
    }
    bytes.extend_from_slice(line);
    bytes.push(b'\n');
    file.write_all(&bytes)
}

impl Sink for File {
    fn send(&self, page: &Page) -> Result<(), SinkError> {
        let path = self.path.display();
        let line = serde_json::to_vec(page).map_err(SinkError::failed)?;
        if std::fs::metadata(&self.path).is_ok_and(|found| found.is_dir()) {
            return Err(SinkError::failed(format_args!("{path} is a folder")));
        }
        self.append(&line).map_err(|error| SinkError::failed(format_args!("{path}: {error}")))
    }

    fn timeout(&self) -> Option<Duration> {
        Some(TIMEOUT)
    }
}
