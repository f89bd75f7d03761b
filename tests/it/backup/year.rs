//! A year of edits, under a clock that is only said.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rapidfuzz::distance::indel;
use unattended::backup::{Over, Policy, Pruned, Retention, Which};
use unattended::rng::Rng;

use super::{World, name_of, text};

const THRESHOLD_PPM: u64 = 980_000;
const CHANGED_MAX: u64 = 60;
const SKIPS_MAX: u32 = 10;
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How far the stored version may be from the truth, in inserted and deleted bytes.
fn allowed(old: usize, new: usize) -> u64 {
    ((1_000_000 - THRESHOLD_PPM) * (old + new) as u64 / 1_000_000).min(CHANGED_MAX)
}

/// The independent judge: whether one is so near to the other.
fn is_near(old: &[u8], new: &[u8], allowed: u64) -> bool {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let most = usize::try_from(allowed).unwrap();
    let args = indel::Args::default().score_cutoff(most);
    indel::distance_with_args(old.iter().copied(), new.iter().copied(), &args).is_some()
}

#[test]
fn a_year_of_small_edits_never_leaves_the_newest_version_further_from_the_truth_than_the_policy_says() {
    let mut rng = Rng::seeded(20_260_301);
    let policy = Policy::builder().changed_bytes_max(Some(CHANGED_MAX)).threads(1).build().unwrap();
    let mut world = World::with(policy);
    let mut files: BTreeMap<String, Vec<u8>> = (0..4)
        .map(|file| (format!("page{file}.md"), text(file, 1500 + 700 * usize::try_from(file).unwrap())))
        .collect();
    let mut stored: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
    // Since when, and how often, the newest version has not been the truth.
    let mut waits: BTreeMap<String, (chrono::DateTime<chrono::Utc>, u32)> = BTreeMap::new();
    let (mut skips_in_all, mut stored_in_all, mut runs) = (0, 0, 0);
    let begin = world.now.wall;
    while world.now.wall < begin + chrono::TimeDelta::days(365) {
        for (name, content) in &mut files {
            edit(&mut rng, content);
            world.write(name, &content);
        }
        let report = world.run();
        assert_eq!(report.failed().count(), 0);
        for (name, content) in &files {
            let newest = world_newest(&stored, name);
            let is_stored =
                report.entries.iter().any(|entry| entry.path == *name && entry.decision.is_stored());
            if is_stored {
                stored.insert((name.clone(), report.sequence.unwrap()), content.clone());
                stored_in_all += 1;
                waits.remove(name);
                continue;
            }
            let newest = newest.expect("it was stored in the first run");
            if newest == content {
                waits.remove(name);
                continue;
            }
            skips_in_all += 1;
            let most = allowed(newest.len(), content.len());
            assert!(
                is_near(newest, content, most),
                "{name} has drifted by more than {most} at {}",
                world.now.wall
            );
            let wait = waits.entry(name.clone()).or_insert((world.now.wall, 0));
            wait.1 += 1;
            assert!(wait.1 <= SKIPS_MAX, "{name} was skipped {} times", wait.1);
            let waited = (world.now.wall - wait.0).to_std().unwrap();
            assert!(waited < AGE_MAX, "{name} has waited {waited:?}");
        }
        runs += 1;
        if runs % 20 == 0 {
            forget(&world, &mut stored);
        }
        world.later(Duration::from_secs(3600 + rng.up_to(17 * 3600)));
    }
    assert!(skips_in_all > 300 && stored_in_all > 500, "{skips_in_all} skips, {stored_in_all} versions");
    assert!(world.is_sound());
    let to = world.folder.path().join("out");
    for ((name, sequence), content) in &stored {
        drop(world.store().restore(&name_of(name), Which::At(*sequence), &to, Over::Everything).unwrap());
        assert!(fs::read(&to).unwrap() == *content, "{name} in version {sequence}");
    }
}

/// What a retention does to the versions, it does to what the test knows.
fn forget(world: &World, stored: &mut BTreeMap<(String, u64), Vec<u8>>) {
    let retention = Retention { daily: 5, monthly: 12, ..Retention::last(3) };
    match world.store().prune(&retention, world.now).unwrap() {
        Pruned::Done { removed, .. } => {
            for (name, sequence) in removed {
                stored.remove(&(name.to_string(), sequence)).expect("it was stored");
            }
        }
        Pruned::Refused(why) => panic!("{why}"),
    }
}

fn world_newest<'a>(stored: &'a BTreeMap<(String, u64), Vec<u8>>, name: &str) -> Option<&'a Vec<u8>> {
    let range = (name.to_owned(), 0)..=(name.to_owned(), u64::MAX);
    stored.range(range).next_back().map(|(_, content)| content)
}

/// Mostly nothing or a little, now and then more.
fn edit(rng: &mut Rng, content: &mut Vec<u8>) {
    let times = match rng.up_to(9) {
        0..=3 => 0,
        4..=8 => 1,
        _ => 5,
    };
    for _ in 0..times {
        let at = usize::try_from(rng.up_to(content.len() as u64 - 40)).unwrap();
        let size = usize::try_from(rng.up_to(12)).unwrap();
        match rng.up_to(2) {
            0 if content.len() > 1000 => drop(content.drain(at..at + size)),
            1 => drop(content.splice(at..at, text(rng.up_to(1 << 40), size))),
            _ => drop(content.splice(at..at + size, text(rng.up_to(1 << 40), size))),
        }
    }
}
