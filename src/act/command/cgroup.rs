//! Control groups: one of a command's own, and whether the kernel has ended a process in one for want of memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::act::command::Error;

/// How deep groups in groups are looked into.
const DEPTH_MAX: u8 = 8;
/// How many processes are remembered.
const MEMBERS_MAX: usize = 1024;

/// A control group that holds one command and nothing else. It is removed when this is dropped and nobody runs in it.
#[derive(Debug)]
pub(super) struct Cage {
    folder: PathBuf,
}

impl Cage {
    /// A new group below `parent`.
    pub(super) fn below(parent: &Path, id: &str) -> Result<Self, Error> {
        let failed = |action, source| Error::Cgroup { action, path: parent.to_owned(), source };
        fs::metadata(parent.join("cgroup.procs")).map_err(|source| failed("find", source))?;
        let folder = parent.join(format!("unattended-{id}"));
        fs::create_dir(&folder).map_err(|source| failed("make a group in", source))?;
        let cage = Self { folder };
        // Of version 1, or of a kernel that cannot end a group.
        fs::metadata(cage.folder.join("cgroup.kill")).map_err(|source| failed("end what is in", source))?;
        Ok(cage)
    }

    /// Moves a process into it; what that starts is in it too.
    pub(super) fn take(&self, pid: u32) -> Result<(), Error> {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).map_err(|source| Error::Cgroup {
            action: "move the command into",
            path: self.folder.clone(),
            source,
        })
    }

    /// Who runs in it; zombies do not.
    pub(super) fn members(&self) -> Vec<u32> {
        let mut members = Vec::new();
        collect(&self.folder, DEPTH_MAX, &mut members);
        members
    }

    /// Ends all that is in it, at once.
    pub(super) fn kill(&self) {
        drop(fs::write(self.folder.join("cgroup.kill"), "1"));
    }

    pub(super) fn oom_kills(&self) -> Option<u64> {
        oom_kills(&self.folder.join("memory.events"))
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        remove(&self.folder, DEPTH_MAX);
    }
}

/// How many processes the kernel has ended for want of memory in this program's own group.
pub(super) fn own_oom_kills() -> Option<u64> {
    static EVENTS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let own = || {
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        own_events(&text).into_iter().find(|path| oom_kills(path).is_some())
    };
    oom_kills(EVENTS.get_or_init(own).as_deref()?)
}

/// Where the counter may be: version 2 beside nothing else, beside version 1, and version 1.
fn own_events(text: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            paths.push(Path::new("/sys/fs/cgroup").join(path).join("memory.events"));
            paths.push(Path::new("/sys/fs/cgroup/unified").join(path).join("memory.events"));
        } else if controllers.split(',').any(|one| one == "memory") {
            paths.push(Path::new("/sys/fs/cgroup/memory").join(path).join("memory.oom_control"));
        }
    }
    paths
}

fn oom_kills(events: &Path) -> Option<u64> {
    let text = fs::read_to_string(events).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

fn collect(folder: &Path, depth: u8, members: &mut Vec<u32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let room = MEMBERS_MAX.saturating_sub(members.len());
    members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).take(room));
    if depth > 0 && room > 0 {
        below(folder).for_each(|folder| collect(&folder, depth - 1, members));
    }
}

fn remove(folder: &Path, depth: u8) -> Option<io::Error> {
    if depth > 0 {
        below(folder).for_each(|folder| drop(remove(&folder, depth - 1)));
    }
    fs::remove_dir(folder).err()
}

fn below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_looked_for_in_both_versions() {
        let both = "4:memory:/api/x\n1:name=systemd:/\n0::/user.slice/job\n";
        let paths: Vec<_> = own_events(both).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(
            paths,
            [
                "/sys/fs/cgroup/memory/api/x/memory.oom_control",
                "/sys/fs/cgroup/user.slice/job/memory.events",
                "/sys/fs/cgroup/unified/user.slice/job/memory.events",
            ]
        );
        assert!(own_events("odd\n\n").is_empty());
    }

    #[test]
    fn a_folder_that_is_no_control_group_is_refused() {
        let folder = std::env::temp_dir();
        let error = Cage::below(&folder, "x").unwrap_err();
        assert!(matches!(error, Error::Cgroup { action: "find", .. }), "{error:?}");
    }
}
