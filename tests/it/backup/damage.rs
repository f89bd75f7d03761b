//! Stores that were cut, flipped and robbed: found by `verify`, refused by `restore`, and no version lost but the harmed ones.

use std::fs;
use std::path::{Path, PathBuf};

use unattended::backup::{Error, Over, PruneError, Refusing, Restored, Retention, Which};
use unattended::explain::Explain;

use super::{HOUR, World, name_of, text};

/// Three runs: in the second and the third one of the files has changed.
fn world() -> World {
    let mut world = World::new();
    for run in 0..3 {
        world.write("page", text(run, 3000));
        world.write("other", "never changed");
        world.run();
        world.later(HOUR);
    }
    world
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn objects(world: &World) -> Vec<PathBuf> {
    let folders = files(&world.folder.path().join("store/objects"));
    folders.iter().flat_map(|folder| files(folder)).collect()
}

#[test]
fn an_index_cut_at_any_byte_is_found_and_older_versions_stay() {
    let world = world();
    let index = files(&world.folder.path().join("store/index"));
    assert_eq!(index.len(), 3);
    for (at, path) in index.iter().enumerate() {
        let whole = fs::read(path).unwrap();
        for end in 0..whole.len() {
            fs::write(path, &whole[..end]).unwrap();
            let store = world.store();
            // The whole verification for some, the index for all.
            if end % 61 == 0 {
                assert!(!world.is_sound(), "{end} bytes of run {}", at + 1);
            }
            let versions = store.versions(&name_of("page")).unwrap();
            for run in (1..=3).filter(|run| *run != at as u64 + 1) {
                assert!(versions.iter().any(|version| version.sequence == run), "{end} of {at}: run {run}");
            }
        }
        fs::write(path, whole).unwrap();
        assert!(world.is_sound());
    }
}

#[test]
fn an_index_that_was_cut_is_never_a_reason_to_remove_anything() {
    let mut world = world();
    let index = files(&world.folder.path().join("store/index"));
    let whole = fs::read(&index[1]).unwrap();
    fs::write(&index[1], &whole[..whole.len() / 2]).unwrap();
    let contents = objects(&world).len();
    let refused = world.store().prune(&Retention::last(1), world.now).unwrap_err();
    assert!(matches!(refused, PruneError::Store(Error::IndexDamaged { .. })), "{refused}");
    // A run goes on, says so, and removes nothing.
    world.write("page", text(9, 3000));
    world.later(HOUR);
    let report = world.run();
    assert!(!report.is_complete() && report.sequence == Some(4));
    assert_eq!(objects(&world).len(), contents + 1);
    // Until a person takes it for what it is.
    let damage = world.store().mend().unwrap();
    assert_eq!(damage[0].code(), "backup.index_lines", "{damage:?}");
    assert!(world.is_sound());
    let sequences: Vec<_> = world.versions("page").iter().map(|version| version.sequence).collect();
    assert!(sequences.contains(&1) && sequences.contains(&3) && sequences.contains(&4), "{sequences:?}");
    drop(world.store().prune(&Retention::last(9), world.now).unwrap());
}

#[test]
fn runs_that_are_missing_are_missed() {
    for missing in 0..3 {
        let world = world();
        let index = files(&world.folder.path().join("store/index"));
        fs::remove_file(&index[missing]).unwrap();
        let found = world.store().verify(world.now).unwrap();
        assert!(!found.index.is_empty(), "run {}", missing + 1);
        assert!(!found.is_sound());
    }
}

#[test]
fn each_flipped_bit_of_a_content_is_found_and_refused() {
    let world = world();
    for path in objects(&world) {
        let whole = fs::read(&path).unwrap();
        for bit in (0..whole.len() * 8).step_by(if whole.len() > 100 { 1009 } else { 1 }) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            let found = world.store().verify(world.now).unwrap();
            assert!(!found.damaged.is_empty(), "{bit}");
            assert!(found.damaged.iter().all(|version| version.damage.code() == "backup.content_hash"));
            let to = world.folder.path().join("out");
            for version in world.store().list().unwrap() {
                let which = Which::At(version.sequence);
                let restored = world.store().restore(&version.name, which, &to, Over::Everything).unwrap();
                let is_damaged = found
                    .damaged
                    .iter()
                    .any(|of| (&of.name, of.sequence) == (&version.name, version.sequence));
                let refused = matches!(restored, Restored::Refused { why: Refusing::Damaged(_), .. });
                assert_eq!(refused, is_damaged, "{version:?}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(world.is_sound());
}

#[test]
fn a_content_that_is_cut_missing_or_something_else_is_found() {
    type Harm = fn(&Path);
    let harms: [(Harm, &str); 5] = [
        (|path| fs::remove_file(path).unwrap(), "backup.content_missing"),
        (|path| fs::write(path, "").unwrap(), "backup.content_size"),
        (|path| fs::write(path, text(0, 9000)).unwrap(), "backup.content_size"),
        (
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            "backup.content_unreadable",
        ),
        (
            |path| {
                fs::remove_file(path).unwrap();
                assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
            },
            "backup.content_unreadable",
        ),
    ];
    for (harm, code) in harms {
        let world = world();
        harm(&objects(&world)[0]);
        let found = world.store().verify(world.now).unwrap();
        assert_eq!(found.damaged[0].damage.code(), code);
        assert!(found.noted);
    }
}

#[test]
fn what_verify_found_damaged_is_stored_again_by_the_next_run() {
    let mut world = world();
    for path in objects(&world) {
        let mut content = fs::read(&path).unwrap();
        content[0] ^= 1;
        fs::write(&path, content).unwrap();
    }
    assert_eq!(world.codes(), [], "nobody has looked yet");
    assert_eq!(world.store().verify(world.now).unwrap().damaged.len(), 4);
    world.later(HOUR);
    let told = ["other", "page"].map(|path| (path.to_owned(), "backup.reference_lost"));
    assert_eq!(world.codes(), told);
    assert_eq!(world.codes(), [], "once");
    // The versions whose content is still in the tree are sound again, those that are not are not.
    let damaged = world.store().verify(world.now).unwrap().damaged;
    let damaged: Vec<_> = damaged.iter().map(|of| (of.name.to_string(), of.sequence)).collect();
    assert_eq!(damaged, [("page".to_owned(), 1), ("page".to_owned(), 2)]);
}

#[test]
fn a_reference_that_cannot_be_read_costs_a_copy() {
    let world = world();
    objects(&world).iter().for_each(|path| fs::remove_file(path).unwrap());
    let mut page = text(2, 3000);
    page[7] = b'#';
    world.write("page", page);
    assert_eq!(world.codes(), [("page".to_owned(), "backup.reference_lost")]);
}

#[test]
fn without_the_record_of_what_waits_nothing_waits_longer() {
    let mut world = world();
    let mut page = text(2, 3000);
    page[7] = b'#';
    world.write("page", &page);
    assert_eq!(world.codes()[0].1, "backup.skipped");
    let waiting = world.folder.path().join("store/waiting");
    let whole = fs::read(&waiting).unwrap();
    for end in [0, whole.len() / 3, whole.len() - 1] {
        fs::write(&waiting, &whole[..end]).unwrap();
        page[8 + end] ^= 1;
        world.write("page", &page);
        world.later(HOUR);
        assert_eq!(world.codes()[0].1, "backup.state_lost", "{end} bytes");
    }
    fs::remove_file(waiting).unwrap();
    page[5] ^= 1;
    world.write("page", &page);
    assert_eq!(world.codes()[0].1, "backup.state_lost");
}

#[test]
fn what_a_killed_run_left_is_used_or_removed() {
    let world = world();
    let store = world.folder.path().join("store");
    fs::write(store.join("tmp/0123"), "half a content").unwrap();
    fs::write(store.join("writing"), "").unwrap();
    fs::create_dir_all(store.join("objects/ff")).unwrap();
    fs::write(store.join("objects/ff").join("0".repeat(62)), "nobody's").unwrap();
    assert_eq!(world.store().verify(world.now).unwrap().unreferenced, 1);
    assert_eq!(world.run().swept, 1);
    assert_eq!(world.store().verify(world.now).unwrap().unreferenced, 0);
    assert_eq!(files(&store.join("tmp")), Vec::<PathBuf>::new());
    assert!(!store.join("writing").exists());
}
