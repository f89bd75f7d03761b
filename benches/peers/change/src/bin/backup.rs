//! What a backup of a tree costs when nothing has changed, beside `sha256sum` over the same tree, in one run.
//!
//! `cargo run --release --bin backup -- [FILES] [FOLDER]`; 50,000 files of 1 to 16 KiB by default, in a temporary folder. Each
//! figure is the best of five, with the tree in the page cache. Peers that are not installed are left out.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use unattended::backup::{Policy, Store};
use unattended::rng::Rng;
use unattended::time::{Clock, System};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 5;

fn main() -> Result {
    let mut args = std::env::args().skip(1);
    let files: u64 = args.next().map_or(Ok(50_000), |files| files.parse())?;
    let folder = args.next().map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let tree = folder.path().join("tree");
    let bytes = plant(&tree, files)?;
    println!("{files} files, {:.0} MB, {} cores\n", bytes as f64 / 1e6, std::thread::available_parallelism()?);
    println!("| what | time | beside sha256sum |\n|---|---|---|");

    let find = format!("find {} -type f -print0 | xargs -0 sha256sum > /dev/null", tree.display());
    shell(&find)?;
    let store = Store::create(folder.path().join("store"))?;
    let first = Policy::default();
    let begun = Instant::now();
    assert_eq!(store.backup(&tree, &first, System.now())?.created().count() as u64, files);
    let first_time = begun.elapsed();

    let one = Policy::builder().threads(1).build()?;
    let trusting = Policy::builder().trust_metadata(true).build()?;
    let (mut sums, mut ours, mut alone, mut trusted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sums.push(timed(|| shell(&find))?);
        for (policy, times) in [(&first, &mut ours), (&one, &mut alone), (&trusting, &mut trusted)] {
            times.push(timed(|| {
                let report = store.backup(&tree, policy, System.now())?;
                assert_eq!((report.unchanged, report.sequence), (files, None));
                Ok(())
            })?);
        }
    }
    let base = best(&sums);
    row("`find … \\| xargs sha256sum`", base, base);
    row("second backup, nothing changed", best(&ours), base);
    row("the same with one thread", best(&alone), base);
    row("the same, trusting metadata", best(&trusted), base);
    row("first backup", first_time, base);
    peers(folder.path(), &tree, base)
}

/// Files of pseudo-random text, a hundred in each folder.
fn plant(tree: &Path, files: u64) -> Result<u64> {
    let mut rng = Rng::seeded(1);
    let noise: Vec<u8> = (0..1 << 20).map(|_| b' ' + u8::try_from(rng.up_to(90)).unwrap_or(0)).collect();
    let mut bytes = 0;
    for file in 0..files {
        let folder = tree.join(format!("{}/{}", file / 10_000, file / 100 % 100));
        if file % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        let (at, size) = (usize::try_from(rng.up_to(1 << 19))?, usize::try_from(1024 + rng.up_to(15 * 1024))?);
        fs::write(folder.join(format!("{file}.md")), &noise[at..at + size])?;
        bytes += size as u64;
    }
    Ok(bytes)
}

/// What others make of it, where they are installed: the first run and one in which nothing has changed.
fn peers(folder: &Path, tree: &Path, base: Duration) -> Result {
    let (tree, folder) = (tree.display(), folder.display());
    let restic = format!("RESTIC_PASSWORD=x restic -q -r {folder}/restic");
    let borg = format!("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes borg create --files-cache=disabled {folder}/borg::{{now:%s%f}} {tree}");
    let peers = [
        ("restic", format!("{restic} init"), format!("{restic} backup --force {tree}")),
        ("borg", format!("borg init -e none {folder}/borg"), borg),
        ("rsync", "true".to_owned(), format!("rsync -a --checksum {tree}/ {folder}/rsync/")),
    ];
    for (name, prepare, run) in peers {
        let installed = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !installed.is_ok_and(|status| status.success()) {
            continue;
        }
        shell(&prepare)?;
        row(&format!("{name}, first"), timed(|| shell(&run))?, base);
        row(&format!("{name}, again, reading all"), timed(|| shell(&run))?, base);
    }
    Ok(())
}

fn row(what: &str, time: Duration, base: Duration) {
    println!("| {what} | {:.2} s | {:.2} |", time.as_secs_f64(), time.as_secs_f64() / base.as_secs_f64());
}

fn best(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}

fn timed(run: impl FnOnce() -> Result) -> Result<Duration> {
    let begun = Instant::now();
    run()?;
    Ok(begun.elapsed())
}

fn shell(line: &str) -> Result {
    let status = Command::new("sh").args(["-c", line]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}").into()) }
}
