//! What a monitor asks of the machine that it is on.

use std::sync::{Mutex, PoisonError};

use crate::act::monitor::Builder;
use crate::base::time::{Clock, System};
use crate::decide::gate::{Reading, Signal};
use crate::observe::host::Sampler;

impl Builder {
    /// Asks at each check how much of the memory is used that this process may use: of the machine, or of its control group where
    /// that has less. Down from `percent` on.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use unattended::memory::Memory;
    /// use unattended::monitor::Monitor;
    ///
    /// let monitor = Monitor::new(Arc::new(Memory::new()), "night watch").memory_of_host_below(90.0).build()?;
    /// # drop(monitor);
    /// # Ok::<(), unattended::monitor::Error>(())
    /// ```
    pub fn memory_of_host_below(self, percent: f64) -> Self {
        let sampler = Mutex::new(Sampler::new());
        self.memory_below(percent, move || {
            let mut sampler = sampler.lock().unwrap_or_else(PoisonError::into_inner);
            match sampler.sample([&Signal::Memory], System.moment()).get(&Signal::Memory) {
                Some(Reading::Number(used)) => Ok(*used),
                Some(Reading::Missing(why)) => Err(why.clone()),
                other => Err(format!("the memory was not read: {other:?}")),
            }
        })
    }
}

#[cfg(all(feature = "process", unix))]
mod systemctl {
    use std::time::Duration;

    use crate::act::command::{Command, Error};
    use crate::act::monitor::{NoTimers, Timers};

    /// What `systemctl` says of the timers of this machine. It has 8 s to do so.
    #[derive(Clone, Copy, Debug, Default)]
    #[non_exhaustive]
    pub struct Systemctl {
        user: bool,
    }

    impl Systemctl {
        /// The timers of the machine.
        #[must_use]
        pub const fn new() -> Self {
            Self { user: false }
        }

        /// The timers of this user.
        #[must_use]
        pub const fn of_user() -> Self {
            Self { user: true }
        }
    }

    impl Timers for Systemctl {
        fn list(&self) -> Result<String, NoTimers> {
            let command = Command::new("systemctl")
                .args(self.user.then_some("--user"))
                .args(["list-timers", "--all", "--output=json", "--no-pager"])
                .timeout(Duration::from_secs(6))
                .grace(Duration::from_secs(1))
                .drain(Duration::from_secs(1))
                .output_max(8 << 20);
            match command.run_blocking() {
                Ok(outcome) if outcome.truncated => {
                    Err(NoTimers::Failed(String::from("its list is longer than 8 MiB")))
                }
                Ok(outcome) => Ok(outcome.stdout.text()),
                Err(error @ (Error::NotFound { .. } | Error::Permission { .. })) => {
                    Err(NoTimers::NoSystemd(error.to_string()))
                }
                Err(error) => {
                    let said = error.outcome().map(|outcome| outcome.stderr.text());
                    let said = said.unwrap_or_default();
                    // A container without systemd has the program and nobody to ask.
                    match said.contains("not been booted with systemd") || said.contains("connect to bus") {
                        true => Err(NoTimers::NoSystemd(String::from(said.trim()))),
                        false => Err(NoTimers::Failed(format!("{error}: {}", said.trim()))),
                    }
                }
            }
        }
    }
}

#[cfg(all(feature = "process", unix))]
pub use systemctl::Systemctl;
