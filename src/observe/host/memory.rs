//! How much of the memory that the process may use is used.

use std::path::{Path, PathBuf};

use crate::decide::gate::Reading;
use crate::observe::host::cgroup::Groups;
use crate::observe::host::files::{self, number_of};

/// `/proc/meminfo`, in kilobytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    total: u64,
    available: u64,
    /// What there is and what is free of it, where it says so.
    swap: Option<(u64, u64)>,
}

impl Machine {
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let path = root.join("proc/meminfo");
        let text = files::text(&path).map_err(|error| files::why(&path, &error))?;
        let number = |word| number_of(&text, word);
        let total = number("MemTotal:").filter(|total| *total > 0);
        let total = total.ok_or_else(|| files::garbage(&path, "it has no MemTotal"))?;
        // Kernels before 3.14 leave the estimate to whoever reads.
        let older = || {
            let free = number("MemFree:")?.saturating_add(number("Buffers:").unwrap_or(0));
            let cached = number("Cached:").unwrap_or(0).saturating_sub(number("Shmem:").unwrap_or(0));
            Some(free.saturating_add(cached).saturating_add(number("SReclaimable:").unwrap_or(0)))
        };
        let available = number("MemAvailable:").or_else(older);
        let available =
            available.ok_or_else(|| files::garbage(&path, "it has neither MemAvailable nor MemFree"))?;
        Ok(Self { total, available, swap: number("SwapTotal:").zip(number("SwapFree:")) })
    }

    pub(super) fn swap(self, root: &Path) -> Reading {
        match self.swap {
            None => Reading::missing(files::garbage(
                &root.join("proc/meminfo"),
                "it has no SwapTotal or no SwapFree",
            )),
            Some((0, _)) => Reading::Number(0.0),
            Some((total, free)) => Reading::Number(share(total.saturating_sub(free), total)),
        }
    }

    fn used(self) -> f64 {
        share(self.total.saturating_sub(self.available), self.total)
    }
}

/// The machine or one of the groups: whichever is fuller.
pub(super) fn used(machine: Machine, groups: &Groups) -> Reading {
    let mut most = machine.used();
    let bytes = machine.total.saturating_mul(1024);
    let unified = groups.unified.iter().map(|folder| Level::unified(folder, bytes));
    let older = groups.memory.iter().map(|folder| Level::older(folder, bytes));
    for level in unified.chain(older) {
        match level {
            Ok(Some(level)) => most = most.max(level.used()),
            Ok(None) => {}
            Err(why) => return Reading::missing(why),
        }
    }
    Reading::Number(most)
}

/// A group with a limit below what there is; one that allows more allows everything, which version 1 writes as a huge number.
struct Level {
    limit: u64,
    charged: u64,
    /// Pages of files that were not used lately: they are dropped before anything fails.
    inactive: u64,
}

impl Level {
    fn unified(folder: &Path, there: u64) -> Result<Option<Self>, String> {
        // Beyond `high` the kernel holds the group's processes up, which is as bad.
        let limit = [folder.join("memory.max"), folder.join("memory.high")];
        let mut least = None;
        for path in limit {
            least = least.into_iter().chain(limit_in(&path)?).min();
        }
        let limit = least.filter(|limit| *limit < there);
        limit.map(|limit| Self::charged(folder, limit, "memory.current", "inactive_file")).transpose()
    }

    fn older(folder: &Path, there: u64) -> Result<Option<Self>, String> {
        limit_in(&folder.join("memory.limit_in_bytes"))?
            .filter(|limit| *limit < there)
            .map(|limit| Self::charged(folder, limit, "memory.usage_in_bytes", "total_inactive_file"))
            .transpose()
    }

    fn charged(folder: &Path, limit: u64, file: &str, inactive: &str) -> Result<Self, String> {
        let path: PathBuf = folder.join(file);
        let text = files::text(&path).map_err(|error| files::why(&path, &error))?;
        let charged = text.trim().parse().map_err(|_| files::garbage(&path, "it says no number"))?;
        // Without it more counts as used than is: that errs on the safe side.
        let stat = files::text_if_there(&folder.join("memory.stat"))?.unwrap_or_default();
        Ok(Self { limit, charged, inactive: number_of(&stat, inactive).unwrap_or(0) })
    }

    fn used(&self) -> f64 {
        share(self.charged.saturating_sub(self.inactive), self.limit)
    }
}

/// What a file allows: `max`, or more than a number can say, is everything.
fn limit_in(path: &Path) -> Result<Option<u64>, String> {
    let Some(text) = files::text_if_there(path)? else { return Ok(None) };
    let text = text.trim();
    if text == "max" || text == "-1" {
        return Ok(None);
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(files::garbage(path, "it says neither a number nor max"));
    }
    Ok(text.parse().ok())
}

#[allow(clippy::cast_precision_loss, reason = "a percentage needs no more")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { (100.0 * part as f64 / whole as f64).clamp(0.0, 100.0) }
}
