//! A workspace is watched: an edit is worked on at once, a bulk change goes to a batch.
//!
//! `cargo run --all-features --example bulk_or_edit` tells a story in a folder of its own;
//! `cargo run --all-features --example bulk_or_edit -- FOLDER` watches yours.
//!
//! In the story the events are the kernel's, and time is moved by hand: nothing is told earlier or later than on another machine.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use unattended::explain::Explain;
use unattended::files::{Scan, Watch, Watching};
use unattended::intent::{Change, Intent, Policy};
use unattended::time::{Clock, Now, System};

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args_os().nth(1) {
        Some(folder) => watch(Path::new(&folder)),
        None => tell(),
    }
}

/// Where the work goes.
#[derive(Default)]
struct Desk {
    /// Folders that the next batch goes through.
    batch: BTreeSet<PathBuf>,
}

impl Desk {
    fn take(&mut self, intent: &Intent) {
        println!("  {}: {intent}", intent.code());
        match intent {
            Intent::Nothing(_) => {}
            Intent::Single(change) => self.at_once(change),
            Intent::Few(changes) => changes.iter().for_each(|change| self.at_once(change)),
            Intent::Bulk { roots, .. } => {
                self.batch.extend(roots.iter().cloned());
                println!("  -> batch: {}", self.batch.iter().map(shown).collect::<Vec<_>>().join(", "));
            }
            Intent::Resync { .. } => {
                self.batch = BTreeSet::from([PathBuf::new()]);
                println!("  -> batch: everything");
            }
        }
    }

    /// What a batch goes through anyway is not done twice.
    fn at_once(&self, change: &Change) {
        if self.batch.iter().any(|folder| change.path.starts_with(folder)) {
            return println!("  -> with the batch: {}", shown(&change.path));
        }
        println!("  -> at once: {}", shown(&change.path));
    }
}

#[allow(clippy::ptr_arg, reason = "it is mapped over sets of PathBuf")]
fn shown(path: &PathBuf) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { path.display().to_string() }
}

/// For real: until the process is ended.
fn watch(folder: &Path) -> Result<(), Box<dyn Error>> {
    let scan = Scan::workspace(folder).leave_out_if(|path| path.starts_with("target"));
    let mut tree = Watch::new(scan).or_poll(Duration::from_secs(2)).start(System.now())?;
    println!("{} entries, {:?}", tree.state().len(), tree.source());
    let mut desk = Desk::default();
    loop {
        if let Some(intent) = tree.next(Duration::from_secs(60)) {
            desk.take(&intent);
        } else if !desk.batch.is_empty() {
            println!("a quiet minute: {} folders are gone through", std::mem::take(&mut desk.batch).len());
        }
    }
}

fn tell() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    for n in 0..12 {
        write(root, &format!("src/part{}/{n}.rs", n % 3), "fn main() {}\n")?;
    }
    write(root, "docs/guide.md", "# Guide\n")?;
    let now = System.now();
    let tree = Watch::new(Scan::workspace(root)).policy(Policy::default()).look_every(None).start(now)?;
    let mut story = Story { tree, now, desk: Desk::default() };

    story.part("vim saves a file", || {
        write(root, "docs/.guide.md.swp", "swap")?;
        write(root, "docs/4913", "")?;
        fs::remove_file(root.join("docs/4913"))?;
        fs::rename(root.join("docs/guide.md"), root.join("docs/guide.md~"))?;
        write(root, "docs/guide.md", "# Guide\n\nA paragraph.\n")?;
        fs::remove_file(root.join("docs/guide.md~"))?;
        Ok(fs::remove_file(root.join("docs/.guide.md.swp"))?)
    })?;
    story.part("a name is changed, and where it is used", || {
        fs::rename(root.join("src/part0/0.rs"), root.join("src/part0/first.rs"))?;
        write(root, "src/part1/1.rs", "use first;\nfn main() {}\n")
    })?;
    story.part("another branch is checked out", || {
        (2..12).try_for_each(|n| write(root, &format!("src/part{}/{n}.rs", n % 3), "fn other_branch() {}\n"))
    })?;
    story.part("an edit where the batch will come by", || {
        write(root, "src/part2/2.rs", "fn fixed_on_the_other_branch() {}\n")
    })?;
    story.part("a build makes files and removes them", || {
        write(root, "out/part/a.o", "object")?;
        Ok(fs::remove_dir_all(root.join("out"))?)
    })?;

    println!("a tool says that it begins, writes two files in a minute, and says that it has ended");
    let token = story.tree.begin_bulk("translations", story.now)?;
    for language in ["de", "fr"] {
        write(root, &format!("docs/{language}/guide.md"), "# Translated\n")?;
        story.now = story.now.after(Duration::from_secs(30));
        assert!(story.tree.turn(story.now).is_none(), "nothing is judged until it has ended");
    }
    println!("  it was the last one: {:?}", story.tree.end_bulk(token, story.now));
    story.next()?;

    story.part("the workspace is removed", || {
        ["src", "docs"].iter().try_for_each(|folder| Ok(fs::remove_dir_all(root.join(folder))?))
    })
}

struct Story {
    tree: Watching,
    now: Now,
    desk: Desk,
}

impl Story {
    fn part(
        &mut self,
        what: &str,
        deed: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        println!("{what}");
        deed()?;
        self.next()
    }

    /// Waits for the kernel, in real time, then lets half a second pass that nobody has to wait for.
    fn next(&mut self) -> Result<(), Box<dyn Error>> {
        for _ in 0..600 {
            // Events that come late tell of what was told already.
            self.tree.wait(Duration::from_millis(50));
            self.now = self.now.after(Duration::from_millis(250));
            if let Some(intent) = self.tree.turn(self.now) {
                self.desk.take(&intent);
                // What comes of this part after it was told is not told as the next.
                while self.tree.wait(Duration::from_millis(200)) || self.tree.next_wake().is_some() {
                    self.now = self.now.after(Duration::from_millis(250));
                    drop(self.tree.turn(self.now));
                }
                return Ok(());
            }
        }
        Err("the kernel says nothing".into())
    }
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    Ok(fs::write(path, text)?)
}
