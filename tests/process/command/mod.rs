//! Commands, with real processes: what they start, how they end, and that nothing is left.

mod bounds;
mod cancelled;
mod contained;
mod recorded;
mod refused;
mod speed;
mod step;

use std::time::{Duration, Instant};

pub use recorded::child;
use unattended::command::Command;
use unattended::rng::entropy;

/// What a loaded machine may take on top.
pub const SLACK: Duration = Duration::from_secs(8);

/// A script in `/bin/sh`, and the mark by which all that comes of it is found.
pub fn shell(script: &str) -> (Command, Mark) {
    let mark = Mark(format!("{:016x}", entropy()));
    (mark.on(Command::new("/bin/sh").arg("-c").arg(script)), mark)
}

/// A variable of the environment that says which test a process belongs to.
pub struct Mark(String);

impl Mark {
    pub fn new() -> Self {
        Self(format!("{:016x}", entropy()))
    }

    pub fn on(&self, command: Command) -> Command {
        command.env("UNATTENDED_TEST", self.0.as_str())
    }

    /// The processes with it that run.
    pub fn pids(&self) -> Vec<u32> {
        let needle = format!("UNATTENDED_TEST={}", self.0);
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|one| one == needle.as_bytes())
        })
        .collect()
    }

    /// None is left. One that was killed in the moment may still be seen, so there is a little time.
    pub fn none_left(&self) {
        assert!(until(|| self.pids().is_empty()), "still there: {:?}", self.pids());
    }

    /// Ends those that a test has let go on purpose.
    pub fn sweep(&self) {
        for pid in self.pids() {
            let _ended = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

/// Whether it becomes true soon.
pub fn until(mut is: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < SLACK {
        if is() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    is()
}

/// Whether a process of this number exists, if only as a zombie.
pub fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}/stat")).exists()
}

/// The zombies of this process. What has escaped from a command while this process is a subreaper is reaped when next one ends.
pub fn zombies() -> Vec<u32> {
    Command::new("true").run_blocking().unwrap();
    let own = std::process::id().to_string();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.next() == Some("Z") && fields.next() == Some(&own)
    })
    .collect()
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
