//! Reads what it is asked for.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::base::text::exact;
use crate::base::time::{Clock, Moment, System};
use crate::decide::gate::{Reading, Sample, Signal};
use crate::observe::host::checks::Checks;
#[cfg(target_os = "linux")]
use crate::observe::host::kernel::Kernel;
#[cfg(feature = "host")]
use crate::observe::host::portable::Portable;
use crate::observe::host::{disk, port};

/// Two readings of the processors are at least so far apart.
pub(super) const CPU_APART: Duration = Duration::from_millis(200);
/// And at most so far, else their difference says nothing of now.
pub(super) const CPU_SPAN_MAX: Duration = Duration::from_secs(90);
const PROBE: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_secs(5);
const BOUND_MAX: Duration = Duration::from_secs(60);

/// Reads the machine. It remembers one reading of the processors, since their use is the difference of two.
///
/// Whoever samples for several gates shares one; see [`readiness::Shared`](crate::readiness::Shared).
pub struct Sampler {
    machine: Machine,
    checks: Checks,
    ports: port::Ports,
    probe_timeout: Duration,
    bound: Duration,
}

/// Where the numbers of the machine come from.
enum Machine {
    #[cfg(target_os = "linux")]
    Kernel(Box<Kernel>),
    #[cfg(feature = "host")]
    Portable(Box<Portable>),
    /// Neither is there.
    #[cfg(not(any(target_os = "linux", feature = "host")))]
    Unknown,
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampler {
    /// One that reads this machine in the way that says most: on Linux from the kernel's own files, elsewhere by sysinfo.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(target_os = "linux")]
        let machine = Machine::Kernel(Box::new(Kernel::at(Path::new("/"))));
        #[cfg(all(not(target_os = "linux"), feature = "host"))]
        let machine = Machine::Portable(Box::default());
        #[cfg(not(any(target_os = "linux", feature = "host")))]
        let machine = Machine::Unknown;
        Self::on(machine)
    }

    /// One that reads the machine by sysinfo alone, also on Linux: the same numbers on each platform, and neither pressure nor control
    /// groups.
    #[cfg(feature = "host")]
    #[must_use]
    pub fn portable() -> Self {
        Self::on(Machine::Portable(Box::default()))
    }

    fn on(machine: Machine) -> Self {
        Self {
            machine,
            checks: Checks::default(),
            ports: port::Ports::default(),
            probe_timeout: PROBE,
            bound: BOUND,
        }
    }

    /// The same, reading the kernel's files (`proc`, `sys`) below another folder: a container's view of its host, or files of another
    /// machine in a test. Paths that are asked for (disks, files) are not below it. Nothing changes where no such files are read.
    #[must_use]
    #[cfg_attr(
        not(target_os = "linux"),
        allow(unused_variables, unused_mut, reason = "there are no such files")
    )]
    pub fn root(mut self, folder: &Path) -> Self {
        match &mut self.machine {
            #[cfg(target_os = "linux")]
            Machine::Kernel(kernel) => **kernel = Kernel::at(folder),
            #[cfg(feature = "host")]
            Machine::Portable(_) => {}
            #[cfg(not(any(target_os = "linux", feature = "host")))]
            Machine::Unknown => {}
        }
        self
    }

    /// How long a port has to answer, name lookup and connection each; default 1 s, 1 ms to 60 s.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for another time.
    pub fn probe_timeout(mut self, limit: Duration) -> Result<Self, Error> {
        self.probe_timeout = within("probe_timeout", limit)?;
        Ok(self)
    }

    /// How long all ports of a sample have together; default 5 s, 1 ms to 60 s. What there is no time left for cannot be read.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for another time.
    pub fn bound(mut self, limit: Duration) -> Result<Self, Error> {
        self.bound = within("bound", limit)?;
        Ok(self)
    }

    /// Answers [`Signal::Custom`] of this name: by a number or yes and no, or by what may fail to be either. It must not wait for
    /// long, since nothing bounds it; one that panics cannot be read. The last one of a name counts.
    ///
    /// ```
    /// use unattended::gate::{Reading, Signal};
    /// use unattended::host::Sampler;
    /// use unattended::time::Moment;
    ///
    /// let mut sampler = Sampler::new().check("backlog", || "17".parse::<f64>());
    /// let backlog = Signal::Custom("backlog".into());
    /// let sample = sampler.sample([&backlog], Moment::ZERO);
    /// assert_eq!(sample.get(&backlog), Some(&Reading::Number(17.0)));
    /// ```
    #[must_use]
    pub fn check<T: Into<Reading>>(
        mut self,
        name: impl Into<String>,
        mut check: impl FnMut() -> T + Send + 'static,
    ) -> Self {
        self.checks.set(name.into(), Box::new(move || check().into()));
        self
    }

    /// Reads these signals, each once. `now` is the monotonic clock's, by which the two readings of the processors are told apart.
    pub fn sample<'a>(&mut self, signals: impl IntoIterator<Item = &'a Signal>, now: Moment) -> Sample {
        let mut sample = Sample::new();
        let begun = System.moment();
        self.machine.begin();
        for signal in signals {
            if sample.get(signal).is_none() {
                let reading = self.read(signal, now, begun);
                sample.set(signal.clone(), reading);
            }
        }
        sample
    }

    fn read(&mut self, signal: &Signal, now: Moment, begun: Moment) -> Reading {
        match signal {
            Signal::DiskFreeBytes(path) => disk::bytes(path),
            Signal::DiskFreePercent(path) => disk::percent(path),
            Signal::Exists(path) => path.try_exists().into(),
            Signal::Answers(address) => {
                let left = self.bound.saturating_sub(System.moment().since(begun));
                self.ports.answers(address, self.probe_timeout, left)
            }
            Signal::Custom(name) => self.checks.ask(name),
            signal => self.machine.read(signal, now),
        }
    }
}

impl Machine {
    /// Another sample begins: what was read for the last one is old.
    fn begin(&mut self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kernel(kernel) => kernel.begin(),
            #[cfg(feature = "host")]
            Self::Portable(_) => {}
            #[cfg(not(any(target_os = "linux", feature = "host")))]
            Self::Unknown => {}
        }
    }

    #[cfg_attr(
        not(any(target_os = "linux", feature = "host")),
        allow(unused_variables, reason = "nothing can be read")
    )]
    fn read(&mut self, signal: &Signal, now: Moment) -> Reading {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kernel(kernel) => kernel.read(signal, now),
            #[cfg(feature = "host")]
            Self::Portable(portable) => portable.read(signal, now),
            #[cfg(not(any(target_os = "linux", feature = "host")))]
            Self::Unknown => Reading::missing("on this platform it is read with the feature `host`"),
        }
    }
}

fn within(field: &'static str, limit: Duration) -> Result<Duration, Error> {
    if limit < Duration::from_millis(1) || limit > BOUND_MAX {
        return Err(Error::Field { field, given: exact(limit), allowed: String::from("1ms to 1m") });
    }
    Ok(limit)
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("probe_timeout", &self.probe_timeout)
            .field("bound", &self.bound)
            .field("checks", &self.checks.names())
            .finish_non_exhaustive()
    }
}

/// What a sampler cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its range.
    #[error("host: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
}
