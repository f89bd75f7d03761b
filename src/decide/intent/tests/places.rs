//! The folders that hold a bulk change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::base::rng::Rng;
use crate::decide::intent::roots::cover;
use crate::decide::intent::tests::pick;

fn covered(folders: &[&str], roots_max: usize) -> Vec<String> {
    let roots = cover(folders.iter().map(Path::new), roots_max);
    roots.iter().map(|root| root.display().to_string()).collect()
}

#[test]
fn the_roots_are_as_deep_as_their_number_allows() {
    let folders = ["a/b/c", "a/b/d", "x/y", "x/y/z"];
    assert_eq!(covered(&folders, 8), ["a/b/c", "a/b/d", "x/y"]);
    assert_eq!(covered(&folders, 2), ["a/b", "x/y"]);
    assert_eq!(covered(&folders, 1), [""]);
    assert_eq!(covered(&folders, 0), [""], "one is the least");
    assert_eq!(covered(&["a/b/c", "a/b/d"], 1), ["a/b"]);
    assert_eq!(covered(&["", "a/b"], 8), [""]);
    assert_eq!(covered(&[], 8), [""; 0]);
}

proptest! {
    #[test]
    fn the_roots_hold_every_change_and_none_is_in_another(seed in any::<u64>()) {
        let mut rng = Rng::seeded(seed);
        let mut folder = || -> PathBuf {
            let depth = rng.up_to(5);
            (0..depth).map(|_| ["a", "b", "ab", "c"][pick(&mut rng, 3)]).collect()
        };
        let folders: BTreeSet<PathBuf> = (0..seed % 60).map(|_| folder()).collect();
        let roots_max = 1 + pick(&mut rng, 12);
        let roots = cover(folders.iter().map(PathBuf::as_path), roots_max);
        prop_assert!(roots.len() <= roots_max);
        for folder in &folders {
            prop_assert_eq!(roots.iter().filter(|root| folder.starts_with(root)).count(), 1);
        }
        for root in &roots {
            prop_assert!(folders.iter().any(|folder| folder.starts_with(root)));
            prop_assert!(!roots.iter().any(|other| other != root && root.starts_with(other)));
        }
        // With room enough they are the folders themselves.
        let outer = |folder: &&PathBuf| !folders.iter().any(|other| other != *folder && folder.starts_with(other));
        let exact: Vec<PathBuf> = folders.iter().filter(outer).cloned().collect();
        if exact.len() <= roots_max {
            prop_assert_eq!(roots, exact);
        }
    }
}
