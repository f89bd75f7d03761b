//! Processes, as `/proc` of Linux shows them. Elsewhere nobody is seen.

use std::fs;
use std::io::Read;

use crate::act::command::MARK_ENV;

/// How many processes are remembered of one look.
const SEEN_MAX: usize = 1024;
/// How much of a process's environment is looked through.
const ENVIRON_MAX: u64 = 2 * 1024 * 1024;
/// Up to how many process numbers after the leader's are asked for one by one, instead of listing all processes.
const NEAR_MAX: u32 = 64;

/// A process, as its `stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) group: u32,
    /// In clock ticks since the boot.
    pub(super) start: u64,
    pub(super) zombie: bool,
}

/// Who belongs to a command besides its leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Who runs in its group.
    pub(super) members: Vec<u32>,
    /// Who runs elsewhere and has the mark.
    pub(super) strays: Vec<u32>,
    /// Who has ended in its group and is this process's to reap.
    pub(super) zombies: Vec<u32>,
}

/// Who belongs to the command that `leader`, which is not reaped, has led; `None` where `/proc` does not tell.
///
/// One that began less than a second ago, `young`, can have started only processes with the numbers after its own, up to the one
/// that was given last; on a machine that is not busy those are few, and asking for them costs microseconds.
pub(super) fn belonging(leader: u32, mark: &str, young: bool) -> Option<Found> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let near = last_given().filter(|_| young).and_then(|last| last.checked_sub(leader));
    let mut found = Found::default();
    if let Some(count) = near.filter(|count| *count <= NEAR_MAX) {
        (1..=count).for_each(|after| found.look_at(leader.saturating_add(after), leader, 0, mark));
        return Some(found);
    }
    let since = stat(leader)?.start;
    for entry in fs::read_dir("/proc").ok()? {
        let name = entry.ok()?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        found.look_at(pid, leader, since, mark);
    }
    Some(found)
}

impl Found {
    fn look_at(&mut self, pid: u32, leader: u32, since: u64, mark: &str) {
        if pid == leader {
            return;
        }
        let Some(seen) = stat(pid).filter(|seen| seen.start >= since) else { return };
        let list = match (seen.group == leader, seen.zombie) {
            (true, true) if seen.parent == std::process::id() => &mut self.zombies,
            (_, true) => return,
            (true, false) => &mut self.members,
            (false, false) if is_marked(pid, mark) => &mut self.strays,
            (false, false) => return,
        };
        if list.len() < SEEN_MAX {
            list.push(pid);
        }
    }
}

/// A process that exists, if only as a zombie.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether a process that runs carries the mark.
pub(super) fn is_marked(pid: u32, mark: &str) -> bool {
    let mut environ = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(ENVIRON_MAX).read_to_end(&mut environ));
    let marked = |variable: &[u8]| {
        let value = variable.strip_prefix(MARK_ENV.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|marks| marks.split(|byte| *byte == b'.').any(|one| one == mark.as_bytes()))
    };
    read.is_ok() && environ.split(|byte| *byte == 0).any(marked)
}

/// The name of the program may contain anything, also what looks like a field.
fn parse(pid: u32, text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X" | "x");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The 22nd of proc_pid_stat(5).
    let start = fields.nth(16)?.parse().ok()?;
    Some(Stat { pid, parent, group, start, zombie })
}

/// The number that was given last to a process or a thread.
fn last_given() -> Option<u32> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().nth(4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_fields_changes_nothing() {
        let text = b"4242 (a) S 1 7 (b) Z 17 4200 4200 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 1\n";
        let seen = parse(4242, text).unwrap();
        assert_eq!((seen.parent, seen.group, seen.start, seen.zombie), (17, 4200, 987_654, true));
        assert_eq!(parse(1, b"1 (x) S 2"), None);
        assert_eq!(parse(1, b""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen_as_it_is() {
        let seen = stat(std::process::id()).unwrap();
        assert_eq!(seen.parent, std::os::unix::process::parent_id());
        assert!(!seen.zombie && seen.start > 0);
        assert!(!is_marked(std::process::id(), "no such mark"));
    }
}
