//! What is stored, what waits, and what is told of it.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::backup::{Decision, Policy, Step};
use unattended::explain::Explain;

use super::{HOUR, World, name_of, text};

#[test]
fn each_file_is_told_with_its_reason() {
    let mut world = World::new();
    let guide = text(1, 10_000);
    world.write("guide.md", &guide);
    world.write("a/deep/page.md", "a page\n");
    world.write("a/empty", "");
    let report = world.run();
    assert_eq!((report.sequence, report.created().count(), report.unchanged), (Some(1), 3, 0));
    assert_eq!(report.bytes_stored, 10_007);
    assert_eq!(world.codes(), [], "nothing has changed");

    let mut edited = guide;
    edited[5000] = b'!';
    world.write("guide.md", &edited);
    world.write("a/deep/page.md", "another page\n");
    fs::remove_file(world.path("a/empty")).unwrap();
    world.write("new.md", "new\n");
    world.later(HOUR);
    let told = [
        ("a/deep/page.md", "backup.meaningful"),
        ("a/empty", "backup.gone"),
        ("guide.md", "backup.skipped"),
        ("new.md", "backup.first"),
    ];
    assert_eq!(world.codes(), told.map(|(path, code)| (path.to_owned(), code)));
    let waiting = world.store().waiting().unwrap();
    assert_eq!((waiting.len(), waiting[0].drift.skips), (1, 1));
    assert_eq!(world.versions("a/empty").len(), 1, "old versions are kept");
    assert!(world.is_sound());
}

#[test]
fn small_changes_add_up_until_they_are_stored() {
    let mut world = World::with(Policy::builder().age_max(None).skips_max(1000).build().unwrap());
    let mut page = text(2, 10_000);
    world.write("page", &page);
    world.run();
    let mut skipped = 0;
    // Each time 12 bytes more are other ones; 200 of 10 000 may be.
    for edit in 0..17 {
        page[edit * 500..edit * 500 + 12].fill(b'#');
        world.write("page", &page);
        world.later(HOUR);
        match &world.run().entries[0].decision {
            Decision::Skipped { .. } => skipped += 1,
            Decision::Updated(why) => assert_eq!(why.code(), "backup.meaningful"),
            other => panic!("{other}"),
        }
    }
    assert_eq!((skipped, world.versions("page").len()), (16, 2));
}

#[test]
fn what_waited_a_day_or_ten_times_is_stored() {
    for (every, runs, code) in [(HOUR, 11, "backup.skipped_often"), (8 * HOUR, 4, "backup.waited")] {
        let mut world = World::new();
        let mut page = text(3, 10_000);
        world.write("page", &page);
        world.run();
        page[0] = b'#';
        world.write("page", &page);
        let codes: Vec<_> = (0..runs)
            .map(|_| {
                world.later(every);
                world.codes().remove(0).1
            })
            .collect();
        assert_eq!(codes.last(), Some(&code));
        assert!(codes[..runs - 1].iter().all(|code| *code == "backup.skipped"), "{codes:?}");
        assert_eq!(world.store().waiting().unwrap(), []);
        assert_eq!(world.codes(), [], "then it is what is stored");
    }
}

#[test]
fn more_than_so_many_bytes_are_meaningful_whatever_the_ratio() {
    let world = World::new();
    let mut page = text(4, 1_000_000);
    world.write("page", &page);
    world.run();
    page.extend_from_slice(&[b'#'; 4096]);
    world.write("page", &page);
    assert_eq!(world.codes()[0].1, "backup.skipped");
    page.push(b'#');
    world.write("page", &page);
    assert_eq!(world.codes()[0].1, "backup.meaningful");
}

#[test]
fn a_change_that_is_taken_back_no_longer_waits() {
    let mut world = World::new();
    let page = text(5, 10_000);
    world.write("page", &page);
    world.run();
    for _ in 0..3 {
        let mut edited = page.clone();
        edited[7] = b'#';
        world.write("page", &edited);
        for _ in 0..9 {
            world.later(HOUR);
            assert_eq!(world.codes()[0].1, "backup.skipped");
        }
        world.write("page", &page);
        world.later(HOUR);
        assert_eq!(world.codes(), []);
        assert_eq!(world.store().waiting().unwrap(), []);
    }
}

#[test]
fn a_file_that_shrinks_is_marked_and_the_version_before_is_pinned() {
    let world = World::new();
    world.write("page", text(6, 10_000));
    world.run();
    world.write("page", "");
    assert_eq!(world.codes(), [("page".to_owned(), "backup.shrunk")]);
    let versions = world.versions("page");
    assert_eq!(versions.iter().map(|version| version.pinned).collect::<Vec<_>>(), [true, false]);
    assert!(versions[1].shrunk);
    world.store().pin(&name_of("page"), 1, false).unwrap();
    assert!(!world.versions("page")[0].pinned);
}

#[test]
fn the_filter_counts_for_the_decision_and_never_for_what_is_stored() {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let without_date = move |_: &std::path::Path, content: &[u8]| {
        *count.lock().unwrap() += 1;
        let lines = content.split_inclusive(|byte| *byte == b'\n');
        Some(lines.filter(|line| !line.starts_with(b"date:")).flatten().copied().collect())
    };
    let mut world = World::with(Policy::builder().filter(without_date).build().unwrap());
    world.write("page", "date: Monday, at ten\nshort\n");
    world.run();
    world.write("page", "date: Tuesday, a little later\nshort\n");
    assert_eq!(world.codes()[0].1, "backup.skipped", "nothing that counts has changed");
    world.write("page", "date: Wednesday, later still\nother\n");
    world.later(HOUR);
    assert_eq!(world.codes()[0].1, "backup.meaningful");
    assert_eq!(*asked.lock().unwrap(), 4);
    let to = world.folder.path().join("out");
    drop(world.store().restore(&name_of("page"), Default::default(), &to, Default::default()).unwrap());
    assert_eq!(fs::read_to_string(to).unwrap(), "date: Wednesday, later still\nother\n");
}

#[test]
fn a_filter_that_panics_costs_a_copy_and_is_told() {
    let world = World::with(Policy::builder().filter(|_, _| panic!("no such date")).build().unwrap());
    world.write("page", text(7, 1000));
    world.run();
    let mut page = text(7, 1000);
    page[3] = b'#';
    world.write("page", page);
    let report = world.run();
    assert_eq!(report.entries[0].decision.code(), "backup.filter_panicked");
    assert_eq!(report.entries[0].decision.to_string(), "the filter panicked over it: no such date");
}

#[test]
fn patterns_say_what_is_taken_in() {
    let policy = Policy::builder().include(["**/*.md"]).exclude(["drafts", "**/tmp.md"]).build().unwrap();
    let world = World::with(policy);
    for name in ["a.md", "b.txt", "drafts/c.md", "d/e.md", "d/tmp.md", "d/drafts/f.md"] {
        world.write(name, name);
    }
    let paths: Vec<_> = world.codes().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["a.md", "d/drafts/f.md", "d/e.md"]);
    // What is no longer taken in is not gone.
    let store = world.store();
    let fewer = Policy::builder().exclude(["d"]).build().unwrap();
    let report = store.backup(world.tree(), &fewer, world.now).unwrap();
    assert_eq!(report.gone().count(), 0);
}

#[test]
fn a_large_file_is_decided_in_pieces() {
    let mut world = World::with(Policy::builder().whole_max(1000).build().unwrap());
    let mut page = text(8, 300_000);
    world.write("page", &page);
    assert_eq!(world.run().created().count(), 1);
    assert_eq!(world.codes(), []);
    page[150_000] = b'#';
    world.write("page", &page);
    world.later(HOUR);
    let code = world.codes()[0].1;
    assert!(["backup.skipped", "backup.assumed_meaningful"].contains(&code), "{code}");
    world.write("page", text(9, 300_000));
    world.later(HOUR);
    let code = world.codes()[0].1;
    assert!(["backup.meaningful", "backup.assumed_meaningful"].contains(&code), "{code}");
    assert!(world.is_sound());
    assert_eq!(fs::read_dir(world.folder.path().join("store/tmp")).unwrap().count(), 0);
}

#[test]
fn equal_contents_are_kept_once() {
    let world = World::with(Policy::builder().threads(1).build().unwrap());
    for name in ["a", "b", "c/d"] {
        world.write(name, text(10, 5000));
    }
    world.run();
    let verified = world.store().verify(world.now).unwrap();
    assert_eq!((verified.versions, verified.contents), (3, 1));
    world.write("e", text(10, 5000));
    assert_eq!(world.run().bytes_stored, 0);
}

#[test]
fn trusted_metadata_spare_the_reading_and_only_when_asked() {
    let mut world = World::new();
    // Above what was written just now, whose times say nothing.
    world.now.wall += chrono::TimeDelta::days(3650);
    world.write("page", "the first content");
    world.run();
    let modified = fs::metadata(world.path("page")).unwrap().modified().unwrap();
    world.policy = Policy::builder().trust_metadata(true).build().unwrap();
    assert_eq!((world.run().unchanged, world.run().bytes_read), (1, 0));
    // The same size and modification time: only ctime tells.
    world.write("page", "the other content");
    let file = fs::OpenOptions::new().write(true).open(world.path("page")).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(world.codes(), [("page".to_owned(), "backup.meaningful")]);
}

#[test]
fn progress_is_told_until_the_end() {
    let world = World::new();
    (0..300).for_each(|index| world.write(&format!("{}/{index}", index % 7), format!("{index}")));
    let mut told = Vec::new();
    world
        .store()
        .backup_with(world.tree(), &world.policy, world.now, |progress| told.push(progress))
        .unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.files, last.found, last.listed), (300, 307, true));
    assert_eq!((told[0].step, last.step), (Step::Begun, Step::Swept));
    assert!(told.windows(2).all(|pair| pair[0].files <= pair[1].files));
}

#[test]
fn many_runs_are_put_together_and_nothing_is_lost() {
    let mut world = World::new();
    for run in 0..150 {
        world.write("page", format!("content {run}"));
        world.later(Duration::from_secs(60));
        assert_eq!(world.run().sequence, Some(run + 1));
    }
    let files = fs::read_dir(world.folder.path().join("store/index")).unwrap().count();
    assert!(files <= 66, "{files} files");
    assert_eq!(world.versions("page").len(), 150);
    assert!(world.is_sound());
}

#[cfg(feature = "zstd")]
#[test]
fn compressed_versions_are_read_beside_others() {
    let world = World::new();
    world.write("page", text(11, 20_000));
    world.run();
    let packed = Policy::builder().compress(3).build().unwrap();
    let big = Policy::builder().compress(3).whole_max(100).build().unwrap();
    world.write("page", text(12, 20_000));
    world.write("noise", [1, 2, 3]);
    let store = world.store();
    let report = store.backup(world.tree(), &packed, world.now).unwrap();
    assert!(report.bytes_stored < 15_000, "{}", report.bytes_stored);
    world.write("page", text(13, 20_000));
    drop(store.backup(world.tree(), &big, world.now).unwrap());
    assert!(world.is_sound());
    for (sequence, seed) in [(1, 11), (2, 12), (3, 13)] {
        let to = world.folder.path().join(format!("out{sequence}"));
        let which = unattended::backup::Which::At(sequence);
        drop(store.restore(&name_of("page"), which, &to, Default::default()).unwrap());
        assert!(fs::read(to).unwrap() == text(seed, 20_000));
    }
}

#[test]
fn what_differs_between_two_versions_is_told_by_lines() {
    use unattended::backup::Which;
    let world = World::new();
    world.write("page", "one\ntwo\nthree\n");
    world.run();
    world.write("page", "one\n2\nthree\nfour\n");
    world.run();
    let diff = world.store().diff(&name_of("page"), Which::At(1), Which::Latest, 10).unwrap();
    assert_eq!(diff.to_string(), "page: versions 1 and 2 differ in 2 places");
    assert!(diff.text(1000).contains("-two\n+2\n"), "{}", diff.text(1000));
}
