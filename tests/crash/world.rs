//! An inbox, a root, the processes that work on them, and what must hold in the end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use rustix::process::geteuid;
use unattended::blocking::block_on;
use unattended::run::{self, State};
use unattended::runs::{Filter, Runs};
use unattended::sqlite::Sqlite;
use unattended::store::Store;

/// How to give privileges up.
const NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/// How the files of one delivery end.
#[derive(Clone, Debug)]
struct Delivered {
    content: Vec<u8>,
    broken: bool,
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    /// What was dropped, by name.
    delivered: RefCell<BTreeMap<String, Delivered>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), delivered: RefCell::default() };
        fs::create_dir(world.inbox()).unwrap();
        world
    }

    pub(crate) fn inbox(&self) -> PathBuf {
        self.folder.path().join("inbox")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Every kind of file at once: several chunks, no last newline, CRLF and blank lines, a broken one, the same
    /// content twice.
    pub(crate) fn drop_everything(&self) {
        self.drop("a-long.log", syslog(1050, "first"), false);
        self.drop("b-plain.log", b"one\r\n\r\nthree\n\n\nsix without an end".to_vec(), false);
        self.drop("c-broken.log", b"fine\nnot \xff\xfe fine\n".to_vec(), true);
        self.drop("d-again.log", syslog(1050, "first"), false);
    }

    /// Some more, each different from those before.
    pub(crate) fn drop_round(&self, round: u32) {
        self.drop(&format!("r{round}-long.log"), syslog(700 + round, &format!("round {round}")), false);
        self.drop(&format!("r{round}-short.log"), format!("only line of {round}").into_bytes(), false);
        self.drop(&format!("r{round}-again.log"), syslog(700 + round, &format!("round {round}")), false);
        if round.is_multiple_of(5) {
            self.drop(&format!("r{round}-broken.log"), format!("\u{0}{round}\n").into_bytes(), true);
        }
    }

    /// Drops a file as a careful writer does: written elsewhere, then renamed.
    pub(crate) fn drop(&self, name: &str, content: Vec<u8>, broken: bool) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, &content).unwrap();
        fs::rename(draft, self.inbox().join(name)).unwrap();
        self.delivered.borrow_mut().insert(name.to_owned(), Delivered { content, broken });
    }

    /// Starts the program.
    pub(crate) fn ingest(&self, more: &[&str]) -> Child {
        self.command().args(more).stdout(Stdio::null()).spawn().unwrap()
    }

    /// The program as it is to be started, told to answer in JSON.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.arg("--inbox").arg(self.inbox()).arg("--root").arg(self.root());
        command.args(["--json", "--lease-ms", "500", "--chunk-rows", "200"]);
        command
    }

    /// Starts the program once and gives what it said.
    pub(crate) fn pass(&self) -> Ended {
        Ended::of(&mut self.command())
    }

    /// One of the operator's verbs.
    pub(crate) fn ops(&self, verb: &[&str]) -> Ended {
        Ended::of(Command::new(program()).args(["ops", "--root"]).arg(self.root()).args(verb))
    }

    /// How many rows stand, of all files.
    pub(crate) fn rows(&self) -> u64 {
        self.rows_so_far().unwrap()
    }

    /// The same while the program may still be making its table.
    pub(crate) fn rows_so_far(&self) -> rusqlite::Result<u64> {
        let path = self.root().join("ingest.db");
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let rows: i64 = db.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
        Ok(rows.unsigned_abs())
    }

    /// Makes this world one in which permissions count, and says whether that can be done: `as_nobody` works then.
    pub(crate) fn unprivileged(&self) -> bool {
        if !geteuid().is_root() {
            return true;
        }
        let can = Command::new("setpriv").args(NOBODY).arg("true").status();
        if !can.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no setpriv to give privileges up with");
            return false;
        }
        // The program may stand where nobody can read.
        fs::copy(program(), self.folder.path().join("ingest")).unwrap();
        for path in [self.folder.path().to_owned(), self.inbox()] {
            chown(path, Some(65534), Some(65534)).unwrap();
        }
        true
    }

    /// The program without the privileges that override permissions.
    pub(crate) fn as_nobody(&self) -> Command {
        let privileged = self.command();
        if !geteuid().is_root() {
            return privileged;
        }
        let mut command = Command::new("setpriv");
        command.args(NOBODY).arg(self.folder.path().join("ingest")).args(privileged.get_args());
        command
    }

    /// The reason beside a file that failed.
    pub(crate) fn reason(&self, name: &str) -> serde_json::Value {
        let text = fs::read(self.root().join("failed").join(format!("{name}.reason.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Starts the program over and over until it leaves nothing for later.
    pub(crate) fn settle(&self) {
        self.settle_with(Self::command);
    }

    /// The same, started in this way.
    pub(crate) fn settle_with(&self, command: fn(&Self) -> Command) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            let status = command(self).stdout(Stdio::null()).status().unwrap();
            match status.code() {
                Some(0) if fs::read_dir(self.inbox()).unwrap().next().is_none() => return,
                Some(0 | 75) => thread::sleep(Duration::from_millis(50)),
                _ => panic!("{status}"),
            }
        }
        panic!("it never settled; in the inbox: {:?}", names(&self.inbox()));
    }

    /// Everything that must hold once nothing is left to do.
    pub(crate) fn verify(&self, what: &str) {
        let delivered = self.delivered.borrow();
        self.verify_files(&delivered, what);
        let loaded = self.verify_rows(&delivered, what);
        self.verify_notifications(&loaded, what);
        self.verify_runs(&delivered, what);
    }

    /// Each file stands in one folder: in archive/, or in failed/ with its reason.
    fn verify_files(&self, delivered: &BTreeMap<String, Delivered>, what: &str) {
        for empty in [self.inbox(), self.root().join("working")] {
            assert_eq!(names(&empty), BTreeSet::new(), "{what}: {}", empty.display());
        }
        let (archive, failed) = (names(&self.root().join("archive")), names(&self.root().join("failed")));
        let mut reasons = BTreeSet::new();
        for (name, one) in delivered {
            let (here, there) = if one.broken { (&failed, &archive) } else { (&archive, &failed) };
            assert!(here.contains(name) && !there.contains(name), "{what}: {name} in {archive:?} {failed:?}");
            let folder = if one.broken { "failed" } else { "archive" };
            let content = fs::read(self.root().join(folder).join(name)).unwrap();
            assert!(content == one.content, "{what}: {name} is not what it was");
            if one.broken {
                reasons.insert(format!("{name}.reason.json"));
            }
        }
        assert_eq!(
            archive.len() + failed.len(),
            delivered.len() + reasons.len(),
            "{what}: {archive:?} {failed:?}"
        );
        for reason in reasons {
            let text = fs::read(self.root().join("failed").join(&reason)).unwrap();
            let reason: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert!(reason["why"].as_str().unwrap().contains("line"), "{what}: {reason}");
        }
    }

    /// Every line of every content stands once, in order; gives the names that were loaded.
    fn verify_rows(&self, delivered: &BTreeMap<String, Delivered>, what: &str) -> BTreeMap<String, usize> {
        let db = Connection::open_with_flags(self.root().join("ingest.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap();
        let mut rows =
            db.prepare("SELECT file, line_no, message FROM events ORDER BY file, line_no").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in rows {
            let (file, line_no, message): (String, i64, String) = row.unwrap();
            let lines = files.entry(file.clone()).or_default();
            lines.push(message);
            assert_eq!(
                usize::try_from(line_no),
                Ok(lines.len()),
                "{what}: {file} has a line twice or not at all"
            );
        }
        let mut contents: BTreeMap<&[u8], Vec<&str>> = BTreeMap::new();
        for (name, one) in delivered.iter().filter(|(_, one)| !one.broken) {
            contents.entry(&one.content).or_default().push(name);
        }
        assert_eq!(files.len(), contents.len(), "{what}: {:?}", files.keys());
        for (content, of) in contents {
            let name = of.iter().find(|name| files.contains_key(**name));
            let name = name.unwrap_or_else(|| panic!("{what}: none of {of:?} was loaded"));
            let lines: Vec<_> = std::str::from_utf8(content).unwrap().lines().collect();
            let messages = &files[*name];
            assert_eq!(messages.len(), lines.len(), "{what}: {name}");
            for (message, line) in messages.iter().zip(lines) {
                assert!(line.ends_with(message.as_str()), "{what}: {name}: {line:?} gave {message:?}");
            }
        }
        files.into_iter().map(|(name, lines)| (name, lines.len())).collect()
    }

    /// Every loaded file has one notification.
    fn verify_notifications(&self, loaded: &BTreeMap<String, usize>, what: &str) {
        let text = fs::read_to_string(self.root().join("notifications.jsonl")).unwrap();
        assert!(text.ends_with('\n'), "{what}");
        let mut told = BTreeMap::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let lines = usize::try_from(line["lines"].as_u64().unwrap()).unwrap();
            let before = told.insert(line["file"].as_str().unwrap().to_owned(), lines);
            assert_eq!(before, None, "{what}: notified twice: {line}");
        }
        assert_eq!(&told, loaded, "{what}");
    }

    /// Every run has ended, by a way that the table knows, and the store is sound.
    fn verify_runs(&self, delivered: &BTreeMap<String, Delivered>, what: &str) {
        let store = Arc::new(Sqlite::open(self.root().join("ingest.db")).unwrap());
        assert_eq!(store.check().unwrap(), Vec::<String>::new(), "{what}");
        let runs = Runs::new(Arc::clone(&store) as Arc<dyn Store>);
        let (all, more) = block_on(runs.list(&Filter::default(), 1000, None)).unwrap();
        assert_eq!(more, None);
        let contents: BTreeSet<_> = delivered.values().map(|one| &one.content).collect();
        assert_eq!(all.len(), contents.len(), "{what}: one run for each content");
        for run in &all {
            assert!(matches!(run.state(), State::Succeeded | State::FailedPermanent), "{what}: {run:?}");
            let mut at: Option<State> = None;
            for stored in block_on(runs.history(run.id(), 0, 1000)).unwrap() {
                let (from, to) = (stored.event.from.as_deref(), stored.event.to.parse::<State>().unwrap());
                assert_eq!(from, at.map(State::as_str), "{what}: {}: {:?}", run.id(), stored.event);
                let legal = at.is_none_or(|at| {
                    at == to || run::Event::ALL.into_iter().any(|event| run::transition(at, event) == Ok(to))
                });
                assert!(legal, "{what}: {at:?} to {to:?}");
                at = Some(to);
            }
            assert_eq!(at, Some(run.state()), "{what}: the last event is the state");
        }
    }
}

/// A process that has ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ended = Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        assert!(ended.code.is_some() && !ended.err.contains("panicked"), "{ended:?}");
        ended
    }

    /// What was told, each line an object.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.out.lines().map(line).collect()
    }

    /// What was told of the file of this name.
    pub(crate) fn told(&self, name: &str) -> serde_json::Value {
        let found = self.lines().into_iter().find(|line| line["file"] == name);
        found.unwrap_or_else(|| panic!("nothing was told of {name}: {self:?}"))
    }

    /// The error that stopped it: it did not go well, and it said so.
    pub(crate) fn error(&self) -> String {
        assert!(!matches!(self.code, Some(0 | 101)), "{self:?}");
        let last = self.lines().pop().unwrap_or_default();
        last["error"]["message"].as_str().unwrap_or_else(|| panic!("no error was told: {self:?}")).to_owned()
    }
}

/// The names of the crash points.
pub(crate) fn points() -> Vec<String> {
    let output = Command::new(program()).args(["--crash-at", "list"]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The example, built as this test was.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--all-features", "--example", "ingest"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // What a build script looks at must be as it was, or this builds much of it anew, and whoever builds next all of that again.
        build.env_remove("CARGO_MANIFEST_DIR");
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        // Beside the binary that cargo has built for this test stand the examples.
        Path::new(env!("CARGO_BIN_EXE_unattended")).parent().unwrap().join("examples/ingest")
    })
}

pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub(crate) fn syslog(lines: u32, mark: &str) -> Vec<u8> {
    let line =
        |n: u32| format!("Jun 14 15:{:02}:{:02} host app[{n}]: {mark}: event {n}\n", n / 60 % 60, n % 60);
    (0..lines).map(line).collect::<String>().into_bytes()
}
