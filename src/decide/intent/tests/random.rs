//! Editors and tools at random on a model of a file system: what is said is what they have done in the end, whatever it took.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;

use crate::base::rng::Rng;
use crate::decide::intent::tests::pick;
use crate::decide::intent::{Calm, Change, Intent, Kind, Policy, Stamp, State, What};

/// A file system that gives the smallest free inode, as ext4 does, and a time of its own to each operation.
#[derive(Default)]
struct Disk {
    names: BTreeMap<String, u64>,
    inodes: BTreeMap<u64, Stamp>,
    time: i64,
}

impl Disk {
    fn make(&mut self, name: &str, kind: Kind, size: u64) {
        self.time += 1;
        let inode = (1..).find(|inode| !self.inodes.contains_key(inode)).unwrap();
        self.inodes.insert(inode, Stamp { kind, size, mtime: self.time, ctime: self.time, inode });
        self.remove(name);
        self.names.insert(name.to_owned(), inode);
    }

    fn create(&mut self, name: &str, size: u64) {
        self.make(name, Kind::File, size);
    }

    fn write(&mut self, name: &str, size: u64) {
        self.time += 1;
        let stamp = self.inodes.get_mut(&self.names[name]).unwrap();
        (stamp.size, stamp.mtime, stamp.ctime) = (size, self.time, self.time);
    }

    fn touch(&mut self, name: &str) {
        self.time += 1;
        self.inodes.get_mut(&self.names[name]).unwrap().ctime = self.time;
    }

    fn remove(&mut self, name: &str) {
        if let Some(inode) = self.names.remove(name) {
            self.inodes.remove(&inode);
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        self.touch(from);
        let inode = self.names.remove(from).unwrap();
        self.remove(to);
        self.names.insert(to.to_owned(), inode);
    }

    fn state(&self) -> State {
        State::of(self.names.iter().map(|(name, inode)| (PathBuf::from(name), self.inodes[inode])))
    }
}

type Step = Box<dyn Fn(&mut Disk)>;

fn step(step: impl Fn(&mut Disk) + 'static) -> Step {
    Box::new(step)
}

/// One of the ways in which a file gets another content.
fn saved(name: &str, size: u64, way: u64) -> Vec<Step> {
    let name = name.to_owned();
    let beside = |ending: &str| format!("{name}{ending}");
    let (swap, backup, temp, probe) = (beside(".swp"), beside("~"), beside(".tmp"), beside(".4913"));
    let (a, b, c, d) = (name.clone(), name.clone(), name.clone(), name.clone());
    match way {
        // nano: in place, in two pieces.
        0 => vec![step(move |disk| disk.write(&a, 0)), step(move |disk| disk.write(&b, size))],
        // Written beside and renamed over.
        1 => {
            let from = temp.clone();
            vec![step(move |disk| disk.create(&temp, size)), step(move |disk| disk.rename(&from, &a))]
        }
        // vim: swap file, probe, backup by renaming, a new file.
        2 => {
            let (swap_end, probe_end, backup_end) = (swap.clone(), probe.clone(), backup.clone());
            vec![
                step(move |disk| disk.create(&swap, 4096)),
                step(move |disk| disk.create(&probe, 0)),
                step(move |disk| disk.remove(&probe_end)),
                step(move |disk| disk.rename(&a, &backup)),
                step(move |disk| disk.create(&b, 0)),
                step(move |disk| disk.write(&c, size)),
                step(move |disk| disk.remove(&backup_end)),
                step(move |disk| disk.remove(&swap_end)),
            ]
        }
        // Removed and made anew.
        _ => vec![step(move |disk| disk.remove(&c)), step(move |disk| disk.create(&d, size))],
    }
}

/// What comes to nothing.
fn idle(name: &str, way: u64) -> Vec<Step> {
    let (a, b) = (name.to_owned(), name.to_owned());
    let (other, back, end) = (format!("{name}.x"), format!("{name}.x"), format!("{name}.x"));
    match way {
        0 => vec![step(move |disk| disk.rename(&a, &other)), step(move |disk| disk.rename(&back, &b))],
        1 => vec![step(move |disk| disk.create(&other, 5)), step(move |disk| disk.remove(&end))],
        2 => vec![step(move |disk| disk.make(&other, Kind::Folder, 1)), step(move |disk| disk.remove(&end))],
        _ => vec![step(move |disk| disk.touch(&a))],
    }
}

/// What is done to the file `n`, and what that comes to.
fn done(n: u64, rng: &mut Rng) -> (Vec<Step>, Option<Change>) {
    let name = format!("d{}/f{n:02}", n % 4);
    let (a, other) = (name.clone(), format!("d{}/new{n:02}", rng.up_to(5)));
    let change = |path: &str, what| Some(Change { path: path.into(), what });
    match rng.up_to(9) {
        0 => {
            let created = change(&other, What::Created);
            (vec![step(move |disk| disk.create(&other, 1))], created)
        }
        1 => (vec![step(move |disk| disk.remove(&a))], change(&name, What::Removed)),
        2 => {
            let moved = change(&other, What::Moved { from: PathBuf::from(&name) });
            (vec![step(move |disk| disk.rename(&a, &other))], moved)
        }
        3 | 4 => (saved(&name, 1 + rng.up_to(50), rng.up_to(3)), change(&name, What::Modified)),
        _ => (idle(&name, rng.up_to(3)), None),
    }
}

proptest! {
    #[test]
    fn the_intent_is_the_net_effect(seed in any::<u64>()) {
        let mut rng = Rng::seeded(seed);
        let mut disk = Disk::default();
        for n in 0..24 {
            disk.create(&format!("d{}/f{n:02}", n % 4), 10);
        }
        let before = disk.state();
        let mut expected = BTreeSet::new();
        let mut plans: Vec<Vec<Step>> = Vec::new();
        for n in (0..24).filter(|n| n % 3 == seed % 3 || seed % 5 == 0) {
            let (mut steps, change) = done(n, &mut rng);
            steps.reverse();
            plans.push(steps);
            expected.extend(change);
        }
        // All at the same time, each in its order.
        while !plans.is_empty() {
            let at = pick(&mut rng, plans.len() - 1);
            match plans[at].pop() {
                Some(step) => step(&mut disk),
                None => drop(plans.swap_remove(at)),
            }
        }
        let expected: Vec<Change> = expected.into_iter().collect();
        match Policy::default().judge(&before, &disk.state()) {
            Intent::Nothing(why) => prop_assert_eq!((why, expected.len()), (Calm::Same, 0)),
            Intent::Single(change) => prop_assert_eq!(vec![change], expected),
            Intent::Few(changes) => {
                prop_assert!((2..6).contains(&changes.len()));
                prop_assert_eq!(changes, expected);
            }
            Intent::Bulk { count, roots, tally, .. } => {
                prop_assert!(count >= 6 && count == tally.sum());
                prop_assert_eq!(count, expected.len());
                let held = |change: &Change| roots.iter().any(|root| change.path.starts_with(root));
                prop_assert!(expected.iter().all(held));
            }
            Intent::Resync { why, .. } => prop_assert!(false, "{}", why),
        }
    }
}
