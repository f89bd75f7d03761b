//! What the files of the Linux kernel say; each is read at most once a sample.

use std::path::{Path, PathBuf};

use crate::base::time::Moment;
use crate::decide::gate::{Reading, Signal};
use crate::observe::host::cgroup::Groups;
use crate::observe::host::cpu::{self, Cpu};
use crate::observe::host::{memory, mounts, pressure};

pub(super) struct Kernel {
    root: PathBuf,
    cpu: Cpu,
    seen: Seen,
}

/// What was read for this sample.
#[derive(Default)]
struct Seen {
    stat: Option<Result<String, String>>,
    memory: Option<Result<memory::Machine, String>>,
    groups: Option<Result<Groups, String>>,
}

impl Kernel {
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf(), cpu: Cpu::default(), seen: Seen::default() }
    }

    pub(super) fn begin(&mut self) {
        self.seen = Seen::default();
    }

    pub(super) fn read(&mut self, signal: &Signal, now: Moment) -> Reading {
        let Self { root, cpu, seen } = self;
        match signal {
            Signal::Cpu => match seen.stat(root) {
                Ok(stat) => cpu.read(stat, now),
                Err(why) => Reading::missing(why),
            },
            Signal::Memory => match (seen.memory(root), seen.groups(root)) {
                (Ok(machine), Ok(groups)) => memory::used(machine, groups),
                (Err(why), _) => Reading::missing(why),
                (_, Err(why)) => Reading::missing(why),
            },
            Signal::Swap => match seen.memory(root) {
                Ok(machine) => machine.swap(root),
                Err(why) => Reading::missing(why),
            },
            Signal::LoadPerCore => {
                let stat = seen.stat(root).map(ToOwned::to_owned);
                match (stat, seen.groups(root)) {
                    (Ok(stat), Ok(groups)) => cpu::load_per_core(root, &stat, groups),
                    (Err(why), _) => Reading::missing(why),
                    (_, Err(why)) => Reading::missing(why),
                }
            }
            Signal::Pressure { resource, kind, span } => {
                pressure::read(root, seen.groups(root).ok(), (*resource, *kind, *span))
            }
            Signal::Mounted(path) => mounts::mounted(root, path),
            _ => Reading::missing("it is not known how it is read"),
        }
    }
}

impl Seen {
    fn stat(&mut self, root: &Path) -> Result<&str, String> {
        let stat = self.stat.get_or_insert_with(|| cpu::stat(root));
        stat.as_deref().map_err(|why| why.clone())
    }

    fn memory(&mut self, root: &Path) -> Result<memory::Machine, String> {
        self.memory.get_or_insert_with(|| memory::Machine::read(root)).clone()
    }

    fn groups(&mut self, root: &Path) -> Result<&Groups, String> {
        let groups = self.groups.get_or_insert_with(|| Groups::of(root));
        groups.as_ref().map_err(|why| why.clone())
    }
}
