//! Messages to the service manager: datagrams of lines `NAME=value` to the socket that `NOTIFY_SOCKET` names.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::act::systemd::error::Error;
use crate::base::text;
use crate::base::time::monotonic_micros;

/// systemd reads no more of a message (`NOTIFY_BUFFER_MAX`).
const MESSAGE_MAX: usize = 4096;
/// The longest status, in bytes.
const STATUS_MAX: usize = 512;
/// The longest time that is asked for: a year. A longer one is cut to it.
const ASKED_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Whether somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The message is in the service manager's socket.
    Sent,
    /// Nobody listens: the program was not started by a service manager that wants to be told. Nothing was done.
    Nobody,
}

/// Tells the service manager what this service does, as sd_notify(3) of systemd does.
///
/// Clones send to the same socket. No call blocks: where the receiver's socket is full the message is lost, the call says
/// [`Error::Full`], and [`lost`](Self::lost) counts it. The environment is read and never changed, so children inherit
/// `NOTIFY_SOCKET`; by `NotifyAccess=main`, which the units of this module say, systemd does not listen to them.
///
/// ```
/// use unattended::systemd::{Notifier, Told};
///
/// // Started by hand, nobody listens, and that is no error.
/// let notifier = Notifier::nobody();
/// assert_eq!(notifier.ready()?, Told::Nobody);
/// assert!(!notifier.is_connected());
/// # Ok::<(), unattended::systemd::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Notifier {
    line: Option<Arc<Line>>,
    unusable: Option<Arc<Error>>,
}

struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    lost: AtomicU64,
}

impl Notifier {
    /// To the socket that `NOTIFY_SOCKET` names: an absolute path, or on Linux `@name` for an abstract one. Where the variable
    /// is not there or cannot be used nobody is told, and [`unusable`](Self::unusable) says why.
    #[must_use]
    pub fn from_env() -> Self {
        env::var_os("NOTIFY_SOCKET").map_or_else(Self::nobody, |given| Self::of(&given))
    }

    /// To the socket at a path, or `@name` for an abstract one on Linux.
    ///
    /// # Errors
    /// [`Error::Field`] for what names no socket, such as a relative path; [`Error::Make`] where this process can have no socket.
    pub fn to(path: impl AsRef<Path>) -> Result<Self, Error> {
        let address = address(path.as_ref().as_os_str())?;
        let socket = UnixDatagram::unbound().map_err(|source| Error::Make { what: "a socket", source })?;
        socket.set_nonblocking(true).map_err(|source| Error::Make { what: "a socket", source })?;
        let line = Line { socket, address, lost: AtomicU64::new(0) };
        Ok(Self { line: Some(Arc::new(line)), unusable: None })
    }

    /// To nobody: each call does nothing and says so.
    #[must_use]
    pub fn nobody() -> Self {
        Self::default()
    }

    fn of(given: &OsStr) -> Self {
        match Self::to(Path::new(given)) {
            Ok(notifier) => notifier,
            Err(error) => Self { line: None, unusable: Some(Arc::new(error)) },
        }
    }

    /// Whether there is somebody to tell.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.line.is_some()
    }

    /// Why nobody is told although `NOTIFY_SOCKET` is there.
    #[must_use]
    pub fn unusable(&self) -> Option<&Error> {
        self.unusable.as_deref()
    }

    /// How many messages could not be sent.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.line.as_ref().map_or(0, |line| line.lost.load(Ordering::Relaxed))
    }

    /// The service is up, or has reloaded. With `Type=notify` whoever waits for it goes on now.
    ///
    /// # Errors
    /// As [`send`](Self::send); so do those below.
    pub fn ready(&self) -> Result<Told, Error> {
        self.send(&[("READY", "1")])
    }

    /// What the service does, for `systemctl status`: one line. Control characters become spaces, and of a long text the
    /// first 512 bytes are told.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn status(&self, status: &str) -> Result<Told, Error> {
        self.send(&[("STATUS", one_line(status).trim())])
    }

    /// The service reads its settings again; [`ready`](Self::ready) says when it is done. The monotonic clock is told with it,
    /// where there is one, as `Type=notify-reload` wants it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn reloading(&self) -> Result<Told, Error> {
        match monotonic_micros() {
            Some(micros) => self.send(&[("RELOADING", "1"), ("MONOTONIC_USEC", &micros.to_string())]),
            None => self.send(&[("RELOADING", "1")]),
        }
    }

    /// The service ends.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn stopping(&self) -> Result<Told, Error> {
        self.send(&[("STOPPING", "1")])
    }

    /// The start, the end, or a piece of work may take this long from now, whatever the unit says. Has to be said again before
    /// the time is over, if it takes longer. It prolongs what is left of `WatchdogSec=` too, until the next ping. At most a year.
    ///
    /// # Errors
    /// [`Error::Field`] for no time at all; else as [`send`](Self::send).
    pub fn extend(&self, by: Duration) -> Result<Told, Error> {
        self.send(&[("EXTEND_TIMEOUT_USEC", &micros("extend", by)?)])
    }

    /// From now on a ping has to come this often, until another time is said: `WatchdogSec=` anew. At most a year.
    ///
    /// # Errors
    /// [`Error::Field`] for no time at all; else as [`send`](Self::send).
    pub fn watchdog_usec(&self, interval: Duration) -> Result<Told, Error> {
        self.send(&[("WATCHDOG_USEC", &micros("watchdog_usec", interval)?)])
    }

    /// The service is another process than the one that was started.
    ///
    /// # Errors
    /// [`Error::Field`] for 0; else as [`send`](Self::send).
    pub fn main_pid(&self, pid: u32) -> Result<Told, Error> {
        if pid == 0 {
            return Err(Error::field("main_pid", pid, "1 or more"));
        }
        self.send(&[("MAINPID", &pid.to_string())])
    }

    /// The service failed with this number of errno(3), for `systemctl status`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn errno(&self, number: u16) -> Result<Told, Error> {
        self.send(&[("ERRNO", &number.to_string())])
    }

    /// Any assignments, in one message.
    ///
    /// # Errors
    /// [`Error::Field`] for a name that is not one of `A` to `Z`, digits and `_`, a value with a control character, or more than 4096
    /// bytes in all: it is checked also where nobody listens. [`Error::Full`] and [`Error::Send`] where it cannot be sent; the message
    /// is lost and counted.
    pub fn send(&self, assignments: &[(&str, &str)]) -> Result<Told, Error> {
        let message = message(assignments)?;
        let Some(line) = &self.line else { return Ok(Told::Nobody) };
        match line.socket.send_to_addr(message.as_bytes(), &line.address) {
            Ok(_) => Ok(Told::Sent),
            Err(source) => {
                line.lost.fetch_add(1, Ordering::Relaxed);
                Err(match source.kind() {
                    io::ErrorKind::WouldBlock => Error::Full,
                    _ => Error::Send { source },
                })
            }
        }
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.line.as_ref().map(|line| &line.address);
        f.debug_struct("Notifier").field("address", &address).field("lost", &self.lost()).finish()
    }
}

fn message(assignments: &[(&str, &str)]) -> Result<String, Error> {
    let mut message = String::new();
    for (name, value) in assignments {
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Error::field("name", name, "A to Z, digits and _"));
        }
        if value.contains(|c: char| c.is_control()) {
            return Err(Error::field("value", text::shown(value), "one line without control characters"));
        }
        message.push_str(&format!("{name}={value}\n"));
    }
    if message.is_empty() {
        return Err(Error::field("assignments", "none", "one or more"));
    }
    if message.len() > MESSAGE_MAX {
        return Err(Error::field(
            "assignments",
            format!("{} bytes", message.len()),
            format!("at most {MESSAGE_MAX} bytes"),
        ));
    }
    Ok(message)
}

/// One line, of bounded length.
fn one_line(status: &str) -> String {
    text::head(status, STATUS_MAX).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn micros(field: &'static str, duration: Duration) -> Result<String, Error> {
    match duration.min(ASKED_MAX).as_micros() {
        0 => Err(Error::field(field, format!("{duration:?}"), "1 µs or more")),
        micros => Ok(micros.to_string()),
    }
}

fn address(given: &OsStr) -> Result<SocketAddr, Error> {
    let wrong = || Error::field("NOTIFY_SOCKET", given.to_string_lossy(), ALLOWED);
    match given.as_bytes() {
        [b'/', _, ..] => SocketAddr::from_pathname(given).map_err(|_| wrong()),
        [b'@', name @ ..] if !name.is_empty() => abstract_address(name).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

const ALLOWED: &str = "an absolute path, or @ and a name where the system is Linux; at most 107 bytes";

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &[u8]) -> Option<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_address(_: &[u8]) -> Option<SocketAddr> {
    None
}
