//! What sysinfo says, on any platform.

use std::path::Path;
use std::time::Duration;

use sysinfo::System;

use crate::base::time::Moment;
use crate::decide::gate::{Reading, Signal};
use crate::observe::host::sampler::{CPU_APART, CPU_SPAN_MAX};

/// Shortest time between two readings, whatever the platform needs.
const APART: Duration = if sysinfo::MINIMUM_CPU_UPDATE_INTERVAL.as_millis() > CPU_APART.as_millis() {
    sysinfo::MINIMUM_CPU_UPDATE_INTERVAL
} else {
    CPU_APART
};

/// Nothing is read until it is asked for.
#[derive(Default)]
pub(super) struct Portable {
    system: System,
    /// When the processors were read last, and what their use was then.
    cpu: Option<(Moment, Option<f64>)>,
}

impl Portable {
    pub(super) fn read(&mut self, signal: &Signal, now: Moment) -> Reading {
        match signal {
            Signal::Cpu => self.cpu(now),
            Signal::Memory => {
                self.system.refresh_memory();
                let (total, available) = (self.system.total_memory(), self.system.available_memory());
                share(total.saturating_sub(available), total, "sysinfo does not know the memory")
            }
            Signal::Swap => {
                self.system.refresh_memory();
                match self.system.total_swap() {
                    0 => Reading::Number(0.0),
                    total => share(self.system.used_swap(), total, ""),
                }
            }
            Signal::LoadPerCore if cfg!(windows) => Reading::missing("this platform has no load average"),
            Signal::LoadPerCore => {
                let cores = std::thread::available_parallelism().map_err(|error| error.to_string());
                #[allow(clippy::cast_precision_loss, reason = "nobody has 2^53 processors")]
                cores.map(|cores| System::load_average().one / cores.get() as f64).into()
            }
            Signal::Mounted(path) => mounted(path),
            _ => Reading::missing("sysinfo does not know it"),
        }
    }

    /// The first reading is an average since the machine was started, and is not given out.
    fn cpu(&mut self, now: Moment) -> Reading {
        match self.cpu {
            Some((before, known)) if now >= before && now.since(before) < APART => known
                .map_or_else(|| Reading::Measuring(APART.saturating_sub(now.since(before))), Reading::Number),
            Some((before, _)) if now >= before && now.since(before) <= CPU_SPAN_MAX => {
                self.system.refresh_cpu_usage();
                let used = f64::from(self.system.global_cpu_usage());
                if !used.is_finite() {
                    return Reading::missing("sysinfo does not know it");
                }
                self.cpu = Some((now, Some(used)));
                Reading::Number(used.clamp(0.0, 100.0))
            }
            _ => {
                self.system.refresh_cpu_usage();
                self.cpu = Some((now, None));
                Reading::Measuring(APART)
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a percentage needs no more")]
fn share(part: u64, whole: u64, unknown: &'static str) -> Reading {
    if whole == 0 { Reading::missing(unknown) } else { Reading::Number(100.0 * part as f64 / whole as f64) }
}

/// A folder that is on another device than the one above it.
#[cfg(unix)]
fn mounted(path: &Path) -> Reading {
    use std::os::unix::fs::MetadataExt;

    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Reading::Is(false),
        Err(error) => return Reading::missing(error),
    };
    let device = |path: &Path| path.metadata().map(|data| data.dev());
    match path.parent() {
        None => Reading::Is(true),
        Some(above) => device(&path).and_then(|here| Ok(here != device(above)?)).into(),
    }
}

#[cfg(not(unix))]
fn mounted(_path: &Path) -> Reading {
    Reading::missing("what is mounted is not known on this platform")
}
