//! Starting, stopping and killing children.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use unattended::blocking::Blocking;
use unattended::sqlite::Sqlite;
use unattended::store::{Applied, ApplyError, Batch, Event, Expect, Ns, Put, Write};

/// One test at a time: waits are measured, and the machine is small.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that plays `role` on the store at `path`.
pub struct Player {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Player {
    pub fn start(role: &str, path: &Path, args: &[(&str, String)]) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), role, path, args)
    }

    /// Starts a child whose files may not grow beyond `kib`; a write beyond it fails with an I/O error.
    pub fn start_limited(role: &str, path: &Path, kib: u32) -> Self {
        let mut shell = Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
        Self::start_by(shell, role, path, &[])
    }

    fn start_by(mut command: Command, role: &str, path: &Path, args: &[(&str, String)]) -> Self {
        command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
        command.env("UNATTENDED_CHILD", role).env("UNATTENDED_STORE", path);
        command.envs(args.iter().map(|(name, value)| (*name, value.as_str())));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next thing that the child says; `None` at its end.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(said) = line.split_once("::").and_then(|(_, said)| said.strip_suffix('\n')) {
                return Some(said.to_owned());
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success(), "kill {name}");
    }

    /// Waits until the kernel says that the child is stopped.
    pub fn until_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        for _ in 0..2_000 {
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            if text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the child did not stop");
    }

    /// Everything that it says until its end, which must be a success.
    pub fn finish(mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(line) = self.hear() {
            said.push(line);
        }
        assert!(self.child.wait().unwrap().success(), "a child failed, after it said {said:?}");
        said
    }

    /// Everything that it says until its end, and whether that was by a signal.
    pub fn end(mut self) -> (Vec<String>, bool) {
        let mut said = Vec::new();
        while let Some(line) = self.hear() {
            said.push(line);
        }
        let status = self.child.wait().unwrap();
        let killed = std::os::unix::process::ExitStatusExt::signal(&status).is_some();
        assert!(killed || status.success(), "a child failed, after it said {said:?}");
        (said, killed)
    }

    /// Kills it and reaps it, and returns what it had still said.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let mut said = Vec::new();
        while let Some(line) = self.hear() {
            said.push(line);
        }
        self.child.wait().unwrap();
        said
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // A test that failed must not leave a stopped child behind.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Opens the store that is meant by `sqlite:PATH` or `postgres:SCHEMA@URL`.
pub fn open(place: &str) -> std::sync::Arc<dyn unattended::store::Store> {
    match place.split_once(':') {
        Some(("sqlite", path)) => std::sync::Arc::new(Sqlite::open(path).unwrap()),
        #[cfg(feature = "postgres")]
        Some(("postgres", place)) => {
            let (schema, url) = place.split_once('@').unwrap();
            let options = unattended::postgres::Postgres::options().schema(schema);
            std::sync::Arc::new(options.connect_blocking(url).unwrap())
        }
        _ => panic!("no store is meant by {place:?}"),
    }
}

/// What a child says to its parent.
pub fn say(text: impl std::fmt::Display) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "::{text}").unwrap();
    out.flush().unwrap();
}

pub fn var<T: std::str::FromStr>(name: &str) -> T {
    let text = std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}"))
}

/// A claim of `key`: a record and an event.
pub fn claim(store: &Sqlite, key: &str, lease: Duration) -> Result<Applied, ApplyError> {
    let event = Event::new(None, "processing", "worker:test", "claimed", "nobody had it");
    let write = Write::new(Ns::RUN, key, Expect::Absent, Put::claim("processing", lease)).event(event);
    Blocking(store).apply(Batch::of(write))
}
