//! What the machine says: which file system a path is on, and whether the clock is kept right.

use std::fs;
use std::path::Path;

use crate::base::mounts::{self, TABLE};

/// Where systemd says that the clock was set right since the machine was started.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// File systems that lose what they have when the machine is started again, or whose locks and syncs do not hold.
const UNFIT: [&str; 12] = [
    "tmpfs",
    "ramfs",
    "devtmpfs",
    "overlay",
    "aufs",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "fuse.sshfs",
    "squashfs",
];
/// Those on which a commit that was synced stands after the power was cut.
const FIT: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "bcachefs", "reiserfs", "nilfs2"];

/// What is known of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// What is mounted, as Linux writes it in `/proc/self/mountinfo` (proc_pid_mountinfo(5)); `None` if nobody says.
    pub mounts: Option<String>,
    /// Whether the clock is kept right by the network; `None` if nobody says.
    pub synchronised: Option<bool>,
}

/// What a file system is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    Fit(String),
    Unfit(String),
    Unknown(String),
}

impl Machine {
    /// The one that this runs on.
    #[must_use]
    pub fn here() -> Self {
        let mounts = fs::read_to_string(TABLE).ok();
        Self { mounts, synchronised: Path::new(SYNCHRONISED).exists().then_some(true) }
    }

    /// On what a path lies, or will lie.
    pub(super) fn fitness(&self, path: &Path) -> Fitness {
        let Some(mounts) = &self.mounts else {
            return Fitness::Unknown(String::from("nobody says what is mounted here"));
        };
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let there = whole.ancestors().find_map(|above| fs::canonicalize(above).ok());
        let whole = there.unwrap_or(whole);
        match mounts::under(mounts, &whole).map(|mount| mount.kind) {
            Some(kind) if UNFIT.contains(&kind.as_str()) => Fitness::Unfit(kind),
            Some(kind) if FIT.contains(&kind.as_str()) => Fitness::Fit(kind),
            Some(kind) => Fitness::Unknown(format!("nothing is known of the file system {kind}")),
            None => Fitness::Unknown(String::from("nothing says on which file system it is")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_is_the_one() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      23 22 0:20 / /proc rw shared:1 - tmpfs tmpfs rw\n";
        let machine = Machine { mounts: Some(mounts.to_owned()), synchronised: None };
        assert_eq!(machine.fitness(Path::new("/nowhere/at/all")), Fitness::Fit(String::from("ext4")));
        assert_eq!(machine.fitness(Path::new("/proc/x")), Fitness::Unfit(String::from("tmpfs")));
        assert!(matches!(Machine::default().fitness(Path::new("/")), Fitness::Unknown(_)));
    }
}
