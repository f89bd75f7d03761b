//! Backups of real trees: what is decided, what is kept, and what happens to a store that was harmed.
#![cfg(unix)]

mod damage;
mod places;
mod prune;
mod restore;
mod rules;
mod year;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use unattended::backup::{Error, Name, Policy, Report, Store, Version};
use unattended::explain::Explain;
use unattended::time::{Moment, Now};

/// A tree, a store, and a clock.
struct World {
    folder: tempfile::TempDir,
    now: Now,
    policy: Policy,
}

impl World {
    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        // In memory where that is to be had: thousands of runs sync as many files.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        fs::create_dir(folder.path().join("tree")).unwrap();
        let wall = "2026-03-01T00:00:00Z".parse().unwrap();
        Self { folder, now: Now { moment: Moment::ZERO, wall }, policy }
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn store(&self) -> Store {
        Store::create(self.folder.path().join("store")).unwrap()
    }

    fn try_run(&self) -> Result<Report, Error> {
        self.store().backup(self.tree(), &self.policy, self.now)
    }

    fn run(&self) -> Report {
        self.try_run().unwrap()
    }

    /// A run, told as path and code of each entry.
    fn codes(&self) -> Vec<(String, &'static str)> {
        self.run().entries.into_iter().map(|entry| (entry.path, entry.decision.code())).collect()
    }

    fn later(&mut self, by: Duration) {
        self.now = self.now.after(by);
    }

    fn versions(&self, name: &str) -> Vec<Version> {
        self.store().versions(&name_of(name)).unwrap()
    }

    fn is_sound(&self) -> bool {
        self.store().verify(self.now).unwrap().is_sound()
    }
}

fn name_of(name: &str) -> Name {
    Name::of_bytes(name.as_bytes()).unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);

/// Some text of so many bytes, other for each seed.
fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = unattended::rng::Rng::seeded(seed);
    let mut text = Vec::with_capacity(bytes + 16);
    while text.len() < bytes {
        for _ in 0..=rng.up_to(7) {
            text.push(b'a' + u8::try_from(rng.up_to(25)).unwrap());
        }
        text.push(if rng.up_to(9) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(bytes);
    text
}
