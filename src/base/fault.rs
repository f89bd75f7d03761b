//! What went wrong, in the terms that a policy needs: its class, how severe it is, whether the request arrived.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What kind of failure it is; each class has a strategy of its own in `retry::Policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Time-outs, resets, answers that mean "later".
    Transient,
    /// 429 or a quota answer.
    RateLimited,
    /// The credential is no longer valid.
    Unauthorized,
    /// Trying again cannot help: invalid input, schema mismatch, wrong configuration.
    Permanent,
    /// No category yet.
    Unknown,
}

impl Class {
    /// Every class, in the order of the enum.
    pub const ALL: [Self; 5] =
        [Self::Transient, Self::RateLimited, Self::Unauthorized, Self::Permanent, Self::Unknown];

    /// The stable word that is stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
        }
    }

    /// The severity that a fault of this class has unless it says otherwise.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Unauthorized => Severity::Critical,
            Self::Transient | Self::RateLimited | Self::Permanent | Self::Unknown => Severity::Recoverable,
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad it is. `Fatal` beats the class; `Degraded` changes only what happens once the class's strategy has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Act now (refresh the credential), then retry.
    Critical,
    /// Back off; later.
    Recoverable,
    /// Skip this step, go on with the others.
    Degraded,
    /// Disk full, out of memory: stop, and alert a person.
    Fatal,
}

/// Whether the request reached the other side, that is, whether its effect may have taken place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// It certainly did not: refused connection, name not found.
    No,
    /// Nobody knows: time-out, reset.
    Maybe,
    /// It did: the other side answered.
    Yes,
}

/// A failure in the terms of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which strategy applies.
    pub class: Class,
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for what happened, such as `io.timed_out` or `http.503`.
    pub code: Cow<'static, str>,
    /// What the other side asked us to wait, if it did.
    pub retry_after: Option<Duration>,
    /// Whether the request reached the other side.
    pub reached: Reached,
}

impl Fault {
    /// A fault of `class` with that class's severity, that may have reached the other side.
    #[must_use]
    pub const fn new(class: Class, code: &'static str) -> Self {
        Self {
            class,
            severity: class.severity(),
            code: Cow::Borrowed(code),
            retry_after: None,
            reached: Reached::Maybe,
        }
    }

    /// A transient fault.
    #[must_use]
    pub const fn transient(code: &'static str) -> Self {
        Self::new(Class::Transient, code)
    }

    /// A permanent fault. The other side has judged it, so the request did arrive.
    #[must_use]
    pub const fn permanent(code: &'static str) -> Self {
        Self::new(Class::Permanent, code).reached(Reached::Yes)
    }

    /// A fault without a category.
    #[must_use]
    pub const fn unknown() -> Self {
        Self::new(Class::Unknown, "fault.unknown")
    }

    /// The other side said "not so fast", perhaps with how long to wait.
    #[must_use]
    pub const fn rate_limited(retry_after: Option<Duration>) -> Self {
        let mut fault = Self::new(Class::RateLimited, "fault.rate_limited").reached(Reached::Yes);
        fault.retry_after = retry_after;
        fault
    }

    /// The same fault with another severity.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same fault, saying whether the request arrived.
    #[must_use]
    pub const fn reached(mut self, reached: Reached) -> Self {
        self.reached = reached;
        self
    }

    /// The same fault with the wait that the other side asked for.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Whether time ran out: the code ends in `.timed_out`, or is `http.408` or `http.504`.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.code.ends_with(".timed_out") || matches!(&*self.code, "http.408" | "http.504")
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.code, self.class)
    }
}

/// Says what an error means to a policy.
///
/// ```
/// use unattended::fault::{Class, Classify};
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// assert_eq!(refused.fault().class, Class::Transient);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it means to a policy",
    note = "implement `unattended::fault::Classify` for it, or pass `.classify(|error: &{Self}| …)`; `fault::of_chain(error)` finds what is known in its sources"
)]
pub trait Classify {
    /// The fault that this is.
    fn fault(&self) -> Fault;
}

impl Classify for Fault {
    fn fault(&self) -> Fault {
        self.clone()
    }
}

impl Classify for io::Error {
    fn fault(&self) -> Fault {
        of_io(self.kind())
    }
}

impl Classify for Box<dyn Error> {
    fn fault(&self) -> Fault {
        of_chain(&**self)
    }
}

impl Classify for Box<dyn Error + Send + Sync> {
    fn fault(&self) -> Fault {
        of_chain(&**self)
    }
}

/// What the chain of sources says: the first error in it that has a classifier decides, else [`Fault::unknown`].
#[must_use]
pub fn of_chain(error: &(dyn Error + 'static)) -> Fault {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            // An io::Error made from another error says less than what it wraps.
            match io.get_ref() {
                Some(inner) if io.kind() == io::ErrorKind::Other => {
                    let inner: &(dyn Error + 'static) = inner;
                    return of_chain(inner);
                }
                _ => return io.fault(),
            }
        }
        next = error.source();
    }
    Fault::unknown()
}

/// The whole chain of an error as one line, outermost first, without saying anything twice.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = source.source();
    }
    line
}

fn of_io(kind: io::ErrorKind) -> Fault {
    use io::ErrorKind as K;
    let maybe = |code| Fault::transient(code);
    let before = |code| Fault::transient(code).reached(Reached::No);
    let wrong = |code| Fault::permanent(code).reached(Reached::No);
    match kind {
        K::ConnectionRefused => before("io.connection_refused"),
        K::HostUnreachable => before("io.host_unreachable"),
        K::NetworkUnreachable => before("io.network_unreachable"),
        K::NetworkDown => before("io.network_down"),
        K::AddrInUse => before("io.addr_in_use"),
        K::AddrNotAvailable => before("io.addr_not_available"),
        K::NotConnected => before("io.not_connected"),
        K::ResourceBusy => before("io.resource_busy"),
        K::ExecutableFileBusy => before("io.executable_file_busy"),
        K::WouldBlock => before("io.would_block"),
        K::Deadlock => before("io.deadlock"),
        K::StaleNetworkFileHandle => before("io.stale_network_file_handle"),
        K::ConnectionReset => maybe("io.connection_reset"),
        K::ConnectionAborted => maybe("io.connection_aborted"),
        K::BrokenPipe => maybe("io.broken_pipe"),
        K::TimedOut => maybe("io.timed_out"),
        K::UnexpectedEof => maybe("io.unexpected_eof"),
        K::Interrupted => maybe("io.interrupted"),
        K::StorageFull => wrong("io.storage_full").severity(Severity::Fatal),
        K::QuotaExceeded => wrong("io.quota_exceeded").severity(Severity::Fatal),
        K::OutOfMemory => wrong("io.out_of_memory").severity(Severity::Fatal),
        K::ReadOnlyFilesystem => wrong("io.read_only_filesystem").severity(Severity::Fatal),
        K::NotFound => wrong("io.not_found"),
        K::PermissionDenied => wrong("io.permission_denied"),
        K::AlreadyExists => wrong("io.already_exists"),
        K::NotADirectory => wrong("io.not_a_directory"),
        K::IsADirectory => wrong("io.is_a_directory"),
        K::DirectoryNotEmpty => wrong("io.directory_not_empty"),
        K::InvalidInput => wrong("io.invalid_input"),
        K::InvalidData => Fault::permanent("io.invalid_data"),
        K::FileTooLarge => wrong("io.file_too_large"),
        K::InvalidFilename => wrong("io.invalid_filename"),
        K::ArgumentListTooLong => wrong("io.argument_list_too_long"),
        K::NotSeekable => wrong("io.not_seekable"),
        K::TooManyLinks => wrong("io.too_many_links"),
        K::CrossesDevices => wrong("io.crosses_devices"),
        K::Unsupported => wrong("io.unsupported"),
        K::WriteZero => maybe("io.write_zero"),
        // The enum grows with the standard library; what it will mean is not known here.
        _ => Fault::new(Class::Unknown, "io.other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_fatal_and_not_retried() {
        let fault = io::Error::from(io::ErrorKind::StorageFull).fault();
        assert_eq!((fault.class, fault.severity), (Class::Permanent, Severity::Fatal));
    }

    #[test]
    fn a_refused_connection_did_not_arrive_and_a_time_out_may_have() {
        assert_eq!(io::Error::from(io::ErrorKind::ConnectionRefused).fault().reached, Reached::No);
        assert_eq!(io::Error::from(io::ErrorKind::TimedOut).fault().reached, Reached::Maybe);
    }

    #[test]
    fn a_time_out_is_known_by_its_code() {
        assert!(io::Error::from(io::ErrorKind::TimedOut).fault().is_timeout());
        assert!(Fault::transient("http.504").is_timeout() && Fault::transient("call.timed_out").is_timeout());
        assert!(
            !Fault::transient("http.503").is_timeout() && !Fault::transient("timed_out_once").is_timeout()
        );
    }

    #[derive(Debug, thiserror::Error)]
    #[error("loading the page: {0}")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn the_chain_is_searched_for_what_has_a_class() {
        let error = Wrapped(io::Error::other(Wrapped(io::ErrorKind::TimedOut.into())));
        assert_eq!(of_chain(&error).code, "io.timed_out");
        assert_eq!(of_chain(&std::fmt::Error), Fault::unknown());
    }

    #[test]
    fn the_chain_in_one_line_says_nothing_twice() {
        let error = Wrapped(io::Error::other("no route"));
        assert_eq!(chain(&error), "loading the page: no route");
    }
}
