//! How busy the processors are, from `/proc/stat` (proc(5)): what was counted between two readings.

use std::path::Path;

use crate::base::time::Moment;
use crate::decide::gate::Reading;
use crate::observe::host::cgroup::Groups;
use crate::observe::host::files;
use crate::observe::host::sampler::{CPU_APART, CPU_SPAN_MAX};

/// The earlier reading.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    before: Option<(Moment, Ticks)>,
    /// What was known when that was taken.
    known: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Ticks {
    all: u64,
    idle: u64,
}

/// The text of `/proc/stat`.
pub(super) fn stat(root: &Path) -> Result<String, String> {
    let path = root.join("proc/stat");
    files::text(&path).map_err(|error| files::why(&path, &error))
}

impl Cpu {
    pub(super) fn read(&mut self, stat: &str, now: Moment) -> Reading {
        let Some(ticks) = Ticks::of(stat) else {
            return Reading::missing("/proc/stat: it does not begin with the counters of all processors");
        };
        let Some((at, before)) = self.before else { return self.begin(ticks, now) };
        let apart = now.since(at);
        if now < at || apart > CPU_SPAN_MAX || ticks.all < before.all {
            return self.begin(ticks, now);
        }
        if apart < CPU_APART {
            let due = CPU_APART.saturating_sub(apart);
            return self.known.map_or(Reading::Measuring(due), Reading::Number);
        }
        let all = ticks.all.saturating_sub(before.all);
        if all == 0 {
            return Reading::missing("/proc/stat: its counters stand still");
        }
        // The kernel does not promise that idle time only grows.
        let idle = ticks.idle.saturating_sub(before.idle).min(all);
        #[allow(clippy::cast_precision_loss, reason = "a percentage needs no more")]
        let used = 100.0 * (all.saturating_sub(idle)) as f64 / all as f64;
        *self = Self { before: Some((now, ticks)), known: Some(used) };
        Reading::Number(used)
    }

    fn begin(&mut self, ticks: Ticks, now: Moment) -> Reading {
        *self = Self { before: Some((now, ticks)), known: None };
        Reading::Measuring(CPU_APART)
    }
}

impl Ticks {
    /// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`: guests are in user already, and what was stolen is not
    /// to be had. Kernels before 2.6 end sooner.
    fn of(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let counted: Option<Vec<u64>> =
            line.split_whitespace().take(8).map(|word| word.parse().ok()).collect();
        let counted = counted.filter(|counted| counted.len() >= 4)?;
        let sum = |all: u64, more: &u64| all.saturating_add(*more);
        Some(Self { all: counted.iter().fold(0, sum), idle: counted.iter().skip(3).take(2).fold(0, sum) })
    }
}

/// The load of the last minute for each processor that the process may use.
pub(super) fn load_per_core(root: &Path, stat: &str, groups: &Groups) -> Reading {
    let path = root.join("proc/loadavg");
    let load = files::text(&path).map_err(|error| files::why(&path, &error)).and_then(|text| {
        let load = text.split_whitespace().next().and_then(|word| word.parse().ok());
        let load = load.filter(|load: &f64| load.is_finite() && *load >= 0.0);
        load.ok_or_else(|| files::garbage(&path, "it does not begin with a number"))
    });
    load.and_then(|load| Ok(load / cores(stat, groups)?)).into()
}

/// How many processors there are, or fewer where a group may use fewer: then a fraction of one is possible.
fn cores(stat: &str, groups: &Groups) -> Result<f64, String> {
    let one = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let there = u32::try_from(stat.lines().filter(one).count()).unwrap_or(u32::MAX);
    if there == 0 {
        return Err(String::from("/proc/stat: it names no processor"));
    }
    let mut least = f64::from(there);
    for folder in &groups.unified {
        let path = folder.join("cpu.max");
        if let Some(text) = files::text_if_there(&path)? {
            let mut words = text.split_whitespace();
            let (quota, period) = (words.next().unwrap_or_default(), words.next().unwrap_or("100000"));
            if quota != "max" {
                least = least
                    .min(quotient(quota, period).ok_or_else(|| files::garbage(&path, "it says no quota"))?);
            }
        }
    }
    for folder in &groups.cpu {
        let path = folder.join("cpu.cfs_quota_us");
        let texts = (files::text_if_there(&path)?, files::text_if_there(&folder.join("cpu.cfs_period_us"))?);
        if let (Some(quota), Some(period)) = texts
            && quota.trim() != "-1"
        {
            let allowed = quotient(quota.trim(), period.trim());
            least = least.min(allowed.ok_or_else(|| files::garbage(&path, "it says no quota"))?);
        }
    }
    Ok(least)
}

fn quotient(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    Some(quota / period).filter(|cores| cores.is_finite() && *cores > 0.0)
}
