//! What the machine is doing.
//!
//! A [`Sampler`] reads what a [`gate`](crate::gate) asks for, and only that, when it is asked: no thread runs in between.
//!
//! ```
//! use unattended::gate::{Reading, Signal};
//! use unattended::host::Sampler;
//! use unattended::time::{Clock, System};
//!
//! let mut sampler = Sampler::new();
//! let sample = sampler.sample([&Signal::Memory, &Signal::Cpu], System.moment());
//! // How busy the processors are takes two looks.
//! assert!(!matches!(sample.get(&Signal::Cpu), Some(Reading::Number(_))));
//! ```
//!
//! | signal | Linux | elsewhere, with the feature `host` |
//! |---|---|---|
//! | processors | `/proc/stat`, two readings at least 200 ms apart | sysinfo, as far apart |
//! | memory | `/proc/meminfo` and the control groups of the process, each with its own limit: the fullest counts | sysinfo: the machine |
//! | swap | `/proc/meminfo` | sysinfo |
//! | load per core | `/proc/loadavg`, by the processors that there are or that the control groups allow | sysinfo, by the processors |
//! | pressure | `/proc/pressure` and the control group's own: the greater one counts | cannot be read |
//! | free disk | `statvfs` by rustix, feature `host` | sysinfo (Unix: `statvfs`) |
//! | mounted | `/proc/self/mountinfo` | Unix: another device than the folder above |
//! | exists, answers, checks | by the standard library | the same |
//!
//! On Linux everything but disks is read without the feature `host`, by the standard library alone; nothing is ever spawned.
//!
//! **Control groups** are those of `/proc/self/cgroup`, the process's own and each above it, not the root of the mount: so the
//! `MemoryMax=` of a systemd unit counts, and that of the slice around it. Version 2 (`memory.max`, `memory.high`), version 1
//! (`memory.limit_in_bytes`) and hosts that have both are read. Use is what is charged less `inactive_file`, pages that the kernel drops
//! when they are needed.
//!
//! **What cannot be read** is a [`Reading::Missing`](crate::gate::Reading::Missing) with its reason: no file, no such line, no number, pressure
//! that was switched off. Nothing is guessed and nothing is zero.
//!
//! **What may block**: a question about a file system that does not answer (a network mount whose server is gone) does not return until
//! the kernel gives up, and nothing can bound that from inside the process; ask for [`Mounted`](crate::gate::Signal::Mounted) with the
//! very path of the mount, which only reads `/proc`. Ports have a [time-out](Sampler::probe_timeout).

#[cfg(target_os = "linux")]
mod cgroup;
mod checks;
#[cfg(target_os = "linux")]
mod cpu;
mod disk;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod mounts;
mod port;
#[cfg(feature = "host")]
mod portable;
#[cfg(target_os = "linux")]
mod pressure;
mod sampler;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

pub use sampler::{Error, Sampler};
