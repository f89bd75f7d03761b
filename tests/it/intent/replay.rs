//! Each story is told twice: to a tree that is polled, and to one that is watched by the kernel's events.
//!
//! Nothing waits for a decision: what was done is known to have been heard when a file that is made last, and left out, has been heard of;
//! then time is moved by hand.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use unattended::files::{Polling, Scan, Source, Watch, Watching};
use unattended::intent::{Closing, Intent, Mass, Policy, What};
use unattended::time::Now;

use crate::intent::{millis, single, start, write};

/// A file that tells that everything before it was heard. It is no part of the tree.
const MARK: &str = "that was all";

/// A tree that is watched, and a way to know what was heard of it.
pub(super) struct Heard {
    pub(super) watching: Watching,
    marks: Receiver<()>,
    pub(super) now: Now,
}

impl Heard {
    pub(super) fn of(scan: Scan, now: Now) -> Self {
        let (said, marks) = channel();
        let scan = scan.leave_out_if(move |path| {
            let is_mark = path.as_os_str() == MARK;
            if is_mark {
                // Nobody may be there to hear it any more.
                let _heard = said.send(());
            }
            is_mark
        });
        let watching = Watch::new(scan).look_every(None).start(now).unwrap();
        assert_eq!(watching.source(), Source::Events);
        Self { watching, marks, now }
    }

    /// Waits until all that was done in `root` so far was heard.
    pub(super) fn all_of(&self, root: &Path) {
        // Those that were said by looking at the tree.
        while self.marks.try_recv().is_ok() {}
        for _ in 0..60 {
            drop(fs::remove_file(root.join(MARK)));
            File::create(root.join(MARK)).unwrap();
            // Where the queue is full the mark is lost too.
            if self.marks.recv_timeout(millis(1000)).is_ok() {
                return;
            }
        }
        panic!("the kernel does not tell of the mark");
    }

    /// What it says once time goes on, in steps of a tenth of a second.
    pub(super) fn says(&mut self) -> Intent {
        for _ in 0..600 {
            if let Some(intent) = self.watching.turn(self.now) {
                return intent;
            }
            self.now = self.now.after(millis(100));
        }
        panic!("nothing was said for a minute of simulated time");
    }
}

/// What both say of `deeds` in a folder that `before` has filled.
fn told(before: impl Fn(&Path), deeds: impl Fn(&Path)) -> Intent {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    before(root);
    let mut polled = Polling::start(Scan::workspace(root), Policy::default(), millis(250), start()).unwrap();
    let mut heard = Heard::of(Scan::workspace(root), start());
    deeds(root);
    heard.all_of(root);
    let by_events = heard.says();
    fs::remove_file(root.join(MARK)).unwrap();
    let (mut now, mut by_polling) = (start(), None);
    for _ in 0..100 {
        now = now.after(millis(100));
        by_polling = by_polling.or_else(|| polled.poll(now));
    }
    assert_eq!(by_polling.as_ref(), Some(&by_events), "polling and events tell the same");
    by_events
}

fn notes(root: &Path) {
    write(root, "notes.md", "one\ntwo\n");
    write(root, "other.md", "something else\n");
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// What vim does to write a file with `backupcopy=no`, as `strace` shows it.
fn vim_by_hand(root: &Path) {
    let at = |name: &str| root.join(name);
    for swap in [".notes.md.swp", ".notes.md.swx"] {
        fs::write(at(swap), [0; 4096]).unwrap();
    }
    fs::remove_file(at(".notes.md.swx")).unwrap();
    File::create_new(at("4913")).unwrap();
    fs::remove_file(at("4913")).unwrap();
    fs::rename(at("notes.md"), at("notes.md~")).unwrap();
    let mut file = File::create_new(at("notes.md")).unwrap();
    file.write_all(b"one\ntwo\nthree\n").unwrap();
    file.sync_all().unwrap();
    fs::remove_file(at("notes.md~")).unwrap();
    fs::remove_file(at(".notes.md.swp")).unwrap();
}

#[test]
fn vim_saves_one_file() {
    assert_eq!(told(notes, vim_by_hand), single("notes.md", What::Modified));
    if !has("vim") {
        println!("skipped: vim is not installed, its system calls were replayed");
        return;
    }
    for setting in ["backupcopy=no", "backupcopy=yes", "backup"] {
        let vim = |root: &Path| {
            let mut vim = Command::new("vim");
            vim.args(["-u", "NONE", "-i", "NONE", "-es", "-c", &format!("set {setting}")]);
            run(vim.args(["-c", "normal Gothree", "-c", "wq", "notes.md"]).current_dir(root));
            assert_eq!(fs::read_to_string(root.join("notes.md")).unwrap(), "one\ntwo\nthree\n");
        };
        assert_eq!(told(notes, vim), single("notes.md", What::Modified), "{setting}");
    }
}

/// In place, in pieces, with a lock file of its own.
#[test]
fn nano_saves_one_file() {
    let nano = |root: &Path| {
        fs::write(root.join(".notes.md.swp"), "b0nano").unwrap();
        let mut file = File::create(root.join("notes.md")).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        fs::remove_file(root.join(".notes.md.swp")).unwrap();
    };
    assert_eq!(told(notes, nano), single("notes.md", What::Modified));
}

#[test]
fn an_atomic_save_is_one_file() {
    let save = |root: &Path| {
        let mut file = tempfile::NamedTempFile::new_in(root).unwrap();
        file.write_all(b"written beside, and renamed over\n").unwrap();
        file.as_file().sync_all().unwrap();
        file.persist(root.join("notes.md")).unwrap();
    };
    assert_eq!(told(notes, save), single("notes.md", What::Modified));
}

#[test]
fn a_new_file_a_removed_one_and_a_renamed_one_are_said_to_be_that() {
    assert_eq!(told(notes, |root| write(root, "new.md", "n")), single("new.md", What::Created));
    let remove = |root: &Path| fs::remove_file(root.join("notes.md")).unwrap();
    assert_eq!(told(notes, remove), single("notes.md", What::Removed));
    let rename = |root: &Path| fs::rename(root.join("notes.md"), root.join("done.md")).unwrap();
    assert_eq!(told(notes, rename), single("done.md", What::Moved { from: "notes.md".into() }));
    let few = |root: &Path| {
        write(root, "notes.md", "another text");
        write(root, "deep/er/new.md", "n");
    };
    assert_eq!(told(notes, few).to_string(), "deep/er/new.md was created, notes.md was modified");
}

/// A repository with a branch that differs from the one that is checked out in so many files.
fn repository(root: &Path, files: usize) {
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]);
        run(git
            .args(args)
            .current_dir(root)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1"));
    };
    git(&["init", "-q", "-b", "main"]);
    for n in 0..30 {
        write(root, &format!("src/part{}/{n:02}.rs", n % 3), "fn main() {}\n");
    }
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "all"]);
    git(&["checkout", "-q", "-b", "other"]);
    for n in 0..files {
        write(root, &format!("src/part{}/{n:02}.rs", n % 3), "fn main() { other() }\n");
    }
    git(&["commit", "-q", "-a", "-m", "other"]);
    git(&["checkout", "-q", "main"]);
}

fn checkout(root: &Path) {
    run(Command::new("git").args(["checkout", "-q", "other"]).current_dir(root));
}

#[test]
fn git_checkout_is_a_few_files_or_a_bulk_change_by_how_many_differ() {
    if !has("git") {
        println!("skipped: git is not installed");
        return;
    }
    match told(|root| repository(root, 3), checkout) {
        Intent::Few(changes) => {
            assert_eq!(changes.len(), 3);
            assert!(changes.iter().all(|change| change.what == What::Modified), "{changes:?}");
        }
        other => panic!("{other}"),
    }
    match told(|root| repository(root, 20), checkout) {
        Intent::Bulk { count: 20, roots, tally, why: Mass::Many { bulk_from: 6 } } => {
            assert_eq!(tally.modified, 20);
            let roots: Vec<_> = roots.iter().map(|root| root.to_str().unwrap()).collect();
            assert_eq!(roots, ["src/part0", "src/part1", "src/part2"]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn cp_of_a_thousand_files_is_one_bulk_change() {
    let source = tempfile::tempdir().unwrap();
    for n in 0..1000 {
        write(source.path(), &format!("photos/{:02}/{n:04}.jpg", n % 10), "a photo");
    }
    let copy = |root: &Path| run(Command::new("cp").arg("-r").arg(source.path().join("photos")).arg(root));
    match told(notes, copy) {
        Intent::Bulk { count: 1000, roots, tally, why: Mass::Many { .. } } => {
            assert_eq!(tally.created, 1000);
            assert_eq!(roots, [Path::new("photos")], "ten folders are more than eight");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_undone_is_nothing() {
    let undone = |root: &Path| {
        fs::rename(root.join("notes.md"), root.join("away.md")).unwrap();
        fs::rename(root.join("away.md"), root.join("notes.md")).unwrap();
        write(root, "deep/gone.md", "g");
        fs::remove_dir_all(root.join("deep")).unwrap();
    };
    let folder = tempfile::tempdir().unwrap();
    notes(folder.path());
    let mut heard = Heard::of(Scan::workspace(folder.path()), start());
    undone(folder.path());
    heard.all_of(folder.path());
    assert_eq!(heard.says().to_string(), "nothing is other than it was");
}

/// Events come only from folders that have a watch, and a new folder gets one.
#[test]
fn what_happens_in_new_folders_and_in_renamed_ones_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "old/a.md", "a");
    let mut heard = Heard::of(Scan::workspace(root), start());
    let mut after = |deed: &dyn Fn()| {
        deed();
        heard.all_of(root);
        heard.says()
    };
    assert_eq!(after(&|| write(root, "x/y/z/new.md", "n")), single("x/y/z/new.md", What::Created));
    assert_eq!(after(&|| write(root, "x/y/z/new.md", "longer")), single("x/y/z/new.md", What::Modified));
    let moved = single("renamed/a.md", What::Moved { from: "old/a.md".into() });
    assert_eq!(after(&|| fs::rename(root.join("old"), root.join("renamed")).unwrap()), moved);
    assert_eq!(after(&|| write(root, "renamed/a.md", "longer")), single("renamed/a.md", What::Modified));
    let anew = || {
        fs::remove_dir_all(root.join("x")).unwrap();
        fs::create_dir_all(root.join("x/y")).unwrap();
    };
    assert_eq!(after(&anew), single("x/y/z/new.md", What::Removed));
    assert_eq!(after(&|| write(root, "x/y/2.md", "n")), single("x/y/2.md", What::Created));
}

#[test]
fn what_a_tool_has_announced_is_a_bulk_change_for_both() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut polled = Polling::start(Scan::workspace(root), Policy::default(), millis(250), start()).unwrap();
    let mut heard = Heard::of(Scan::workspace(root), start());
    let mut now = start();
    let (one, two) =
        (polled.begin_bulk("sync", now).unwrap(), heard.watching.begin_bulk("sync", now).unwrap());
    for n in 0..3 {
        write(root, &format!("{n}.md"), "synced");
        now = now.after(millis(9000));
        assert_eq!((polled.poll(now), heard.watching.turn(now)), (None, None), "until it has ended");
    }
    heard.all_of(root);
    fs::remove_file(root.join(MARK)).unwrap();
    assert_eq!(
        (polled.end_bulk(one, now), heard.watching.end_bulk(two, now)),
        (Closing::Last, Closing::Last)
    );
    heard.now = now;
    let said = heard.says();
    assert_eq!(said.to_string(), "3 paths in . (3 created): announced by sync");
    let polls = (1..20).find_map(|n| polled.poll(now.after(millis(n * 250))));
    assert_eq!(polls, Some(said));
}
