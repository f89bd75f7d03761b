//! The clock that judges leases on one host: time since boot, which no step of the wall clock moves.

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Clock, System, Timestamp, millis};

/// The clocks of a store: one for leases, one for instants.
#[derive(Clone)]
pub(super) struct Clocks {
    /// Names the run of the lease clock: another name means that the machine was booted since.
    boot: Arc<str>,
    wall: Arc<dyn Clock>,
    given: bool,
}

/// Both clocks, read together, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) boot_ms: i64,
    pub(super) wall_ms: i64,
}

impl Clocks {
    /// The machine's own.
    pub(super) fn system() -> Self {
        Self { boot: boot_name().into(), wall: Arc::new(System), given: false }
    }

    /// A clock that is moved by a test: its monotonic moment judges leases.
    pub(super) fn given(clock: Arc<dyn Clock>) -> Self {
        Self { boot: "given".into(), wall: clock, given: true }
    }

    pub(super) fn boot(&self) -> &str {
        &self.boot
    }

    pub(super) fn read(&self) -> Reading {
        let now = self.wall.now();
        let wall_ms = now.wall.timestamp_millis();
        let boot_ms = if self.given {
            i64::try_from(now.moment.as_nanos() / 1_000_000).unwrap_or(i64::MAX)
        } else {
            since_boot_ms(wall_ms)
        };
        Reading { boot_ms, wall_ms }
    }
}

impl Reading {
    pub(super) fn wall(self) -> Timestamp {
        Timestamp::from_timestamp_millis(self.wall_ms).unwrap_or_default()
    }

    /// When a lease given now ends, on both clocks. Never cut short by the rounding to milliseconds.
    pub(super) fn lease_ends(self, lease: Duration) -> Self {
        let up = lease.saturating_add(Duration::from_nanos(999_999));
        let ms = i64::try_from(millis(up)).unwrap_or(i64::MAX);
        let wall = i64::try_from(millis(lease)).unwrap_or(i64::MAX);
        Self { boot_ms: self.boot_ms.saturating_add(ms), wall_ms: self.wall_ms.saturating_add(wall) }
    }
}

/// The boot and the time namespace: a container with a namespace of its own has another origin of boot time.
#[cfg(target_os = "linux")]
fn boot_name() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

#[cfg(target_os = "linux")]
fn since_boot_ms(_wall_ms: i64) -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000)
}

/// Elsewhere the wall clock has to do: a step of it moves leases.
#[cfg(not(target_os = "linux"))]
fn boot_name() -> String {
    String::from("wall")
}

#[cfg(not(target_os = "linux"))]
const fn since_boot_ms(wall_ms: i64) -> i64 {
    wall_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_not_cut_short_by_rounding() {
        let now = Reading { boot_ms: 10, wall_ms: 20 };
        assert_eq!(now.lease_ends(Duration::from_nanos(1)).boot_ms, 11);
        assert_eq!(now.lease_ends(Duration::from_millis(5)).boot_ms, 15);
        assert_eq!(now.lease_ends(Duration::MAX).boot_ms, i64::MAX);
    }

    #[test]
    fn the_boot_has_a_name_and_its_clock_runs() {
        let clocks = Clocks::system();
        assert!(clocks.boot().len() > 3, "{:?}", clocks.boot());
        let first = clocks.read();
        assert!(first.boot_ms > 0 && clocks.read().boot_ms >= first.boot_ms);
    }
}
