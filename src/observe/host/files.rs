//! Reads the kernel's files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A larger file is none of the kernel's; the mounts of a host with thousands of containers are still smaller.
const SIZE_MAX: u64 = 4 << 20;

/// The whole text of a file.
pub(super) fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(4096);
    let read = File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > SIZE_MAX {
        return Err(io::Error::other(format!("it is larger than {SIZE_MAX} bytes")));
    }
    // A name in another encoding is nobody's reason to know nothing of the rest.
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The same where it may not be there.
pub(super) fn text_if_there(path: &Path) -> Result<Option<String>, String> {
    match text(path) {
        Ok(text) => Ok(Some(text)),
        // A group that was removed answers ENODEV for its files.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV) => {
            Ok(None)
        }
        Err(error) => Err(why(path, &error)),
    }
}

const ENODEV: i32 = 19;
const EOPNOTSUPP: i32 = 95;

/// Why a file cannot be read.
pub(super) fn why(path: &Path, error: &io::Error) -> String {
    if error.raw_os_error() == Some(EOPNOTSUPP) {
        return format!("{}: the kernel has it switched off ({error})", path.display());
    }
    format!("{}: {error}", path.display())
}

/// A file that does not say what it should.
pub(super) fn garbage(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

/// The number behind a word at the beginning of a line: `MemTotal:       24684084 kB`.
pub(super) fn number_of(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(word)?;
        let mut words = rest.starts_with(char::is_whitespace).then(|| rest.split_whitespace())?;
        words.next()?.parse().ok()
    })
}
