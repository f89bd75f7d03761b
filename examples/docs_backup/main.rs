//! A documentation tree is backed up over a few days: what is decided of each file and why, what waits, what was harmed and
//! found, and how it comes back.
//!
//! `cargo run --features backup --example docs_backup`

use std::fs;
use std::path::Path;
use std::time::Duration;

use unattended::backup::{Name, Over, Policy, Pruned, Report, Restored, Retention, Store, Which};
use unattended::explain::Explain;
use unattended::time::{Moment, Now};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result {
    let folder = tempfile::tempdir()?;
    let (docs, store) = (folder.path().join("docs"), Store::create(folder.path().join("store"))?);
    let mut now = Now { moment: Moment::ZERO, wall: "2026-03-02T08:00:00Z".parse()? };
    // A line that is another one each day is not worth a version; it is in every version all the same.
    let policy = Policy::builder().exclude(["drafts"]).filter(without_date).build()?;
    let mut run = |title: &str, docs: &Path| -> Result<Report> {
        let report = store.backup(docs, &policy, now)?;
        println!("\n{}: {title}", now.wall.format("%a %H:%M"));
        tell(&report);
        now = now.after(8 * HOUR);
        Ok(report)
    };

    let guide = page("Guide", 120);
    write(&docs, "guide.md", &guide)?;
    write(&docs, "install.md", &page("Installing", 40))?;
    write(&docs, "reference/errors.md", &page("Errors", 80))?;
    write(&docs, "changelog.md", &page("Changes", 30))?;
    write(&docs, "drafts/idea.md", "not yet\n")?;
    std::os::unix::fs::symlink("guide.md", docs.join("index.md"))?;
    drop(run("the first backup", &docs)?);

    let mut guide = guide.replacen("sentence 7 ", "sentense 7 ", 1);
    write(&docs, "guide.md", &guide)?;
    write(&docs, "install.md", &page("Installing", 60))?;
    write(&docs, "changelog.md", &page("Changes", 30).replace("Monday", "Tuesday"))?;
    drop(run("a typo, a new chapter, and a date", &docs)?);

    guide = guide.replacen("sentence 9 ", "sentence nine ", 1);
    write(&docs, "guide.md", &guide)?;
    fs::rename(docs.join("reference/errors.md"), docs.join("errors.md"))?;
    drop(run("one more word, and a file has moved", &docs)?);

    write(&docs, "install.md", "")?;
    drop(run("an accident", &docs)?);

    write(&docs, "install.md", &page("Installing", 61))?;
    drop(run("it is noticed, and the typo has waited a day", &docs)?);

    println!("\nversions:");
    for version in store.list()? {
        let pinned = if version.pinned { ", pinned" } else { "" };
        println!("  {} {}: {} bytes, {}{pinned}", version.name, version.sequence, version.bytes, version.why);
    }
    println!("verified: {}", store.verify(now)?);
    let name: Name = "guide.md".parse()?;
    println!("{}", store.diff(&name, Which::At(1), Which::Latest, 10)?);

    harm_and_restore(&store, folder.path(), now)?;
    match store.prune(&Retention::last(1), now)? {
        Pruned::Done { removed, kept, .. } => {
            let removed: Vec<_> = removed.iter().map(|(name, run)| format!("{name} {run}")).collect();
            println!("\nretention: {kept} kept, removed {}", removed.join(", "));
        }
        Pruned::Refused(why) => println!("\nretention refused: {why}"),
    }
    Ok(())
}

/// One content in the store loses a bit: it is found, refused, and everything else comes back.
fn harm_and_restore(store: &Store, folder: &Path, now: Now) -> Result {
    let hash = store.versions(&"changelog.md".parse()?)?[0].hash.to_string();
    let digits = hash.trim_start_matches("sha256:");
    let path = store.folder().join("objects").join(&digits[..2]).join(&digits[2..]);
    let mut content = fs::read(&path)?;
    content[100] ^= 1;
    fs::write(&path, content)?;

    println!("\na bit flips in the store");
    for damaged in store.verify(now)?.damaged {
        println!("  {} {}: {}", damaged.name, damaged.sequence, damaged.damage.code());
    }
    println!("restored:");
    for restored in store.restore_tree(Which::Latest, folder.join("restored"), Over::Older)? {
        match restored {
            Restored::Written(version) => {
                let same = fs::read(folder.join("restored").join(version.name.as_path()))?
                    == fs::read(folder.join("docs").join(version.name.as_path()))?;
                println!(
                    "  {}: {}",
                    version.name,
                    if same { "as in the tree" } else { "older than the tree" }
                );
            }
            Restored::Same(version) => println!("  {}: was there", version.name),
            Restored::Refused { version, why } => println!("  {}: refused, {}", version.name, why.code()),
        }
    }
    Ok(())
}

fn tell(report: &Report) {
    for entry in &report.entries {
        println!("  {:<20} {:<22} {}", entry.path, entry.decision.code(), entry.decision);
    }
    println!("  {report}");
}

fn without_date(_: &Path, content: &[u8]) -> Option<Vec<u8>> {
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    Some(lines.filter(|line| !line.starts_with(b"built on ")).flatten().copied().collect())
}

fn page(title: &str, sentences: usize) -> String {
    let text: String =
        (0..sentences).map(|sentence| format!("This is sentence {sentence} of {title}.\n")).collect();
    format!("# {title}\nbuilt on Monday\n\n{text}")
}

fn write(docs: &Path, name: &str, text: &str) -> Result {
    let path = docs.join(name);
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    Ok(fs::write(path, text)?)
}
