//! How much can still be written.

use std::path::Path;

use crate::decide::gate::Reading;

/// Bytes that an unprivileged process may still write.
#[cfg(feature = "host")]
pub(super) fn bytes(path: &Path) -> Reading {
    free(path).map(|free| free.bytes).into()
}

/// The same in percent of what it may use at all.
#[cfg(feature = "host")]
pub(super) fn percent(path: &Path) -> Reading {
    match free(path) {
        // As `df` counts it: blocks that are kept for root are neither free nor part of the whole.
        Ok(Free { bytes, total }) if total > 0.0 => {
            Reading::Number((100.0 * bytes / total).clamp(0.0, 100.0))
        }
        Ok(_) => Reading::missing("the file system has no size"),
        Err(why) => Reading::missing(why),
    }
}

#[cfg(feature = "host")]
struct Free {
    bytes: f64,
    total: f64,
}

#[cfg(all(feature = "host", unix))]
#[allow(clippy::cast_precision_loss, reason = "a disk of more than 2^53 bytes is off by its last ones")]
fn free(path: &Path) -> Result<Free, String> {
    let said = rustix::fs::statvfs(path).map_err(|error| std::io::Error::from(error).to_string())?;
    let block = if said.f_frsize == 0 { said.f_bsize } else { said.f_frsize } as f64;
    let used = said.f_blocks.saturating_sub(said.f_bfree);
    let total = used.saturating_add(said.f_bavail) as f64 * block;
    Ok(Free { bytes: said.f_bavail as f64 * block, total })
}

#[cfg(all(feature = "host", not(unix)))]
#[allow(clippy::cast_precision_loss, reason = "a disk of more than 2^53 bytes is off by its last ones")]
fn free(path: &Path) -> Result<Free, String> {
    let path = path.canonicalize().map_err(|error| error.to_string())?;
    let disks = sysinfo::Disks::new_with_refreshed_list();
    disks
        .iter()
        .filter(|disk| path.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map(|disk| Free { bytes: disk.available_space() as f64, total: disk.total_space() as f64 })
        .ok_or_else(|| String::from("no disk is known that it is on"))
}

#[cfg(not(feature = "host"))]
pub(super) fn bytes(_path: &Path) -> Reading {
    Reading::missing("disks are read with the feature `host`")
}

#[cfg(not(feature = "host"))]
pub(super) fn percent(path: &Path) -> Reading {
    bytes(path)
}
