//! The control groups of the process: where its own are, and those above them.
//!
//! `/proc/self/cgroup` says which (cgroups(7)), `/proc/self/mountinfo` where to find them. A process in a container may see its group
//! as the root of the mount, or only the part of the path that is below what was mounted.

use std::path::{Component, Path, PathBuf};

use crate::base::mounts::{Mount, parsed};
use crate::observe::host::files;
use crate::observe::host::mounts::below;

/// So deep no group is.
const LEVELS_MAX: usize = 64;

/// The folders of the process's groups, its own first, then the one above, up to the root of the mount.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    /// Of version 2.
    pub(super) unified: Vec<PathBuf>,
    /// Of version 1, for memory.
    pub(super) memory: Vec<PathBuf>,
    /// Of version 1, for time of processors.
    pub(super) cpu: Vec<PathBuf>,
}

impl Groups {
    /// Where they are; empty where the kernel has none.
    pub(super) fn of(root: &Path) -> Result<Self, String> {
        let own = root.join("proc/self/cgroup");
        let Some(own) = files::text_if_there(&own)? else { return Ok(Self::default()) };
        let table = root.join("proc/self/mountinfo");
        let table = files::text(&table).map_err(|error| files::why(&table, &error))?;
        let mounts: Vec<Mount> = parsed(&table).filter(|mount| mount.kind.starts_with("cgroup")).collect();
        let mut groups = Self::default();
        // A line: `4:memory:/system.slice/ingest.service`, of version 2 `0::/system.slice/ingest.service`.
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            if controllers.is_empty() {
                let mount = mounts.iter().find(|mount| mount.kind == "cgroup2");
                groups.unified = levels(root, mount, path);
            }
            for (controller, place) in [("memory", &mut groups.memory), ("cpu", &mut groups.cpu)] {
                if controllers.split(',').any(|named| named == controller) {
                    let mount = mounts.iter().find(|mount| {
                        mount.kind == "cgroup" && mount.options.split(',').any(|named| named == controller)
                    });
                    *place = levels(root, mount, path);
                }
            }
        }
        Ok(groups)
    }
}

fn levels(root: &Path, mount: Option<&Mount>, own: &str) -> Vec<PathBuf> {
    let Some(mount) = mount else { return Vec::new() };
    let top = below(root, &mount.at);
    let inside = Path::new(own).strip_prefix(&mount.root).unwrap_or_else(|_| Path::new(""));
    // `/../x` is a group outside of what this process may see.
    let seen = inside.components().all(|part| matches!(part, Component::Normal(_)));
    let own = if seen { top.join(inside) } else { top.clone() };
    own.ancestors()
        .take_while(|level| level.starts_with(&top))
        .take(LEVELS_MAX)
        .map(Path::to_path_buf)
        .collect()
}
