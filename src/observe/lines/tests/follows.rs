//! Files that grow, are rotated, truncated, replaced, vanish and come back.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::base::explain::Explain;
use crate::observe::lines::{Follow, FollowError, Happened, NotAFile, Polled, Position};

struct World {
    folder: TempDir,
    path: PathBuf,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        Self { folder, path }
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn poll(follow: &mut Follow) -> (Vec<String>, Polled) {
    let mut lines = Vec::new();
    let polled = follow.poll(|line| lines.push(String::from_utf8_lossy(line.text).into_owned())).unwrap();
    assert_eq!(polled.lines, lines.len() as u64);
    (lines, polled)
}

fn lines(follow: &mut Follow) -> Vec<String> {
    let (lines, polled) = poll(follow);
    assert_eq!(polled.happened, []);
    lines
}

/// What was saved as JSON, and another process.
fn resumed(world: &World, follow: &Follow) -> Follow {
    let text = serde_json::to_string(&follow.position().unwrap()).unwrap();
    Follow::resume(&world.path, serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn a_line_is_given_once_it_is_complete() {
    let world = World::new();
    world.append("one\ntw");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one"]);
    assert_eq!(lines(&mut follow), [""; 0]);
    world.append("o\n\nfour");
    assert_eq!(lines(&mut follow), ["two", ""]);
    assert_eq!(follow.position().unwrap().offset(), 9);
    world.append("\n");
    assert_eq!(lines(&mut follow), ["four"]);
}

#[test]
fn another_process_goes_on_behind_the_last_line_that_was_given() {
    let world = World::new();
    world.append("one\ntwo\nthr");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one", "two"]);
    let mut other = resumed(&world, &follow);
    assert_eq!(other.position(), follow.position(), "also before it has polled");
    world.append("ee\nfour\n");
    assert_eq!(lines(&mut other), ["three", "four"]);
    let mut again = resumed(&world, &other);
    assert_eq!(lines(&mut again), [""; 0]);
}

#[test]
fn from_the_end_only_what_comes_is_given() {
    let world = World::new();
    world.append("old\nhalf of a li");
    let mut follow = Follow::from_end(&world.path);
    assert_eq!(lines(&mut follow), [""; 0]);
    world.append("ne\nnew\n");
    assert_eq!(lines(&mut follow), ["new"]);
    let world = World::new();
    let mut follow = Follow::from_end(&world.path);
    assert_eq!(poll(&mut follow).1.happened, [Happened::Gone]);
    world.append("first\n");
    assert_eq!(lines(&mut follow), ["first"]);
}

#[test]
fn a_rotated_file_is_read_to_its_end_first() {
    let world = World::new();
    world.append("one\n");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one"]);
    world.append("two\nno line feed");
    fs::rename(&world.path, world.beside("app.log.1")).unwrap();
    world.append("three\n");
    let (read, polled) = poll(&mut follow);
    assert_eq!(read, ["two", "no line feed", "three"]);
    assert_eq!(polled.happened, [Happened::Rotated { unfinished: true }]);
    assert_eq!(polled.happened[0].code(), "lines.rotated");
    world.append("four\n");
    assert_eq!(lines(&mut follow), ["four"]);
}

#[test]
fn an_empty_new_file_leaves_time_for_the_last_lines_of_the_old() {
    let world = World::new();
    world.append("one\n");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one"]);
    let old = world.beside("app.log.1");
    fs::rename(&world.path, &old).unwrap();
    world.append("");
    assert_eq!(lines(&mut follow), [""; 0]);
    fs::write(&old, "one\nlate\n").unwrap();
    let (read, polled) = poll(&mut follow);
    assert_eq!(
        (&read[..], &polled.happened[..]),
        (&["late".to_owned()][..], &[Happened::Rotated { unfinished: false }][..])
    );
}

#[test]
fn a_file_that_was_rotated_between_two_processes_is_found_beside_it() {
    let world = World::new();
    world.append("one\ntwo\n");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one", "two"]);
    world.append("three\n");
    fs::rename(&world.path, world.beside("app.log.1")).unwrap();
    world.append("four\n");
    let mut other = resumed(&world, &follow);
    let (read, polled) = poll(&mut other);
    assert_eq!(read, ["three", "four"]);
    assert_eq!(polled.happened, [Happened::Rotated { unfinished: false }]);
    // Gone for good: it says what it could not read.
    fs::remove_file(world.beside("app.log.1")).unwrap();
    let mut other = resumed(&world, &follow);
    let (read, polled) = poll(&mut other);
    assert_eq!(
        (&read[..], &polled.happened[..]),
        (&["four".to_owned()][..], &[Happened::Lost { offset: 8 }][..])
    );
}

#[test]
fn what_has_taken_the_number_of_the_old_file_is_not_read_as_lines() {
    let world = World::new();
    world.append("one\ntwo\n");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one", "two"]);
    fs::rename(&world.path, world.beside("app.log.1.gz")).unwrap();
    world.append("four\n");
    for packed in ["\u{1f}packed\nin\nplace of it\n", "gz\n"] {
        fs::write(world.beside("app.log.1.gz"), packed).unwrap();
        let (read, polled) = poll(&mut resumed(&world, &follow));
        assert_eq!(read, ["four"]);
        assert_eq!(polled.happened, [Happened::Lost { offset: 8 }]);
    }
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let world = World::new();
    world.append("one\ntwo\nhalf");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one", "two"]);
    fs::write(&world.path, "new\n").unwrap();
    let (read, polled) = poll(&mut follow);
    assert_eq!(
        (read, polled.happened),
        (vec!["new".to_owned()], vec![Happened::Truncated { read: 12, size: 4 }])
    );
    fs::write(&world.path, "").unwrap();
    assert_eq!(poll(&mut follow).1.happened, [Happened::Truncated { read: 4, size: 0 }]);
    assert_eq!(lines(&mut follow), [""; 0]);
}

#[test]
fn a_file_that_was_truncated_and_has_grown_since_is_seen_by_how_it_begins() {
    let world = World::new();
    world.append("one\n");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one"]);
    fs::write(&world.path, "quite another text\nthat is longer\n").unwrap();
    let other = resumed(&world, &follow);
    for mut follow in [follow, other] {
        let (read, polled) = poll(&mut follow);
        assert_eq!(read, ["quite another text", "that is longer"]);
        assert_eq!(polled.happened, [Happened::Replaced { read: 4 }]);
    }
}

#[test]
fn a_file_that_vanishes_is_read_on_and_comes_back() {
    let world = World::new();
    world.append("one\n");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow), ["one"]);
    let mut open = OpenOptions::new().append(true).open(&world.path).unwrap();
    fs::remove_file(&world.path).unwrap();
    open.write_all(b"written to a file without a name\n").unwrap();
    let (read, polled) = poll(&mut follow);
    assert_eq!((read.len(), &polled.happened[..]), (1, &[Happened::Gone][..]));
    assert_eq!(lines(&mut follow), [""; 0]);
    world.append("back\n");
    assert_eq!(lines(&mut follow), ["back"]);
}

#[test]
fn what_is_no_file_is_not_opened() {
    let world = World::new();
    fs::create_dir(&world.path).unwrap();
    let mut follow = Follow::from_start(&world.path);
    let error = follow.poll(|_| panic!("nothing is read")).unwrap_err();
    assert!(matches!(error, FollowError::NotAFile { found: NotAFile::Folder, .. }), "{error}");
    fs::remove_dir(&world.path).unwrap();
    world.append("one\n");
    assert_eq!(lines(&mut follow), ["one"]);
    // A folder takes its place while it is followed.
    fs::remove_file(&world.path).unwrap();
    fs::create_dir(&world.path).unwrap();
    assert_eq!(poll(&mut follow).1.happened, [Happened::NotAFile(NotAFile::Folder)]);
    assert_eq!(lines(&mut follow), [""; 0], "told once");
    fs::remove_dir(&world.path).unwrap();
    world.append("two\n");
    assert_eq!(
        poll(&mut follow),
        (
            vec!["two".to_owned()],
            Polled {
                lines: 1,
                bytes: 4,
                happened: vec![Happened::Rotated { unfinished: false }],
                ..Polled::default()
            }
        )
    );
}

#[cfg(unix)]
#[test]
fn a_fifo_is_refused_and_nobody_waits_for_its_writer() {
    let world = World::new();
    assert!(std::process::Command::new("mkfifo").arg(&world.path).status().unwrap().success());
    let mut follow = Follow::from_start(&world.path);
    let error = follow.poll(|_| panic!("nothing is read")).unwrap_err();
    assert!(matches!(error, FollowError::NotAFile { found: NotAFile::Fifo, .. }), "{error}");
    assert!(error.to_string().ends_with("app.log is a FIFO, not a file"));
    // It came between the look and the opening.
    assert!(crate::observe::lines::follow::opened_without_a_look(&world.path));
    fs::remove_file(&world.path).unwrap();
    world.append("one\n");
    assert_eq!(lines(&mut follow), ["one"]);
    fs::remove_file(&world.path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&world.path).status().unwrap().success());
    assert_eq!(poll(&mut follow).1.happened, [Happened::NotAFile(NotAFile::Fifo)]);
    let mut device = Follow::from_start("/dev/null");
    assert!(matches!(device.poll(|_| ()), Err(FollowError::NotAFile { found: NotAFile::Device, .. })));
}

#[test]
fn a_line_without_end_is_cut_and_memory_is_bounded() {
    let world = World::new();
    let mut follow = Follow::from_start(&world.path).line_max(100);
    world.append(&"x".repeat(300_000));
    let mut given = Vec::new();
    let polled = follow.poll(|line| given.push((line.text.len(), line.cut))).unwrap();
    assert_eq!((&given[..], polled.lines_cut), (&[(100, true)][..], 1));
    // The rest of it is no line, here and in the next process.
    let mut other = resumed(&world, &follow);
    world.append("yyy\nshort\n");
    for follow in [&mut follow, &mut other] {
        let mut given = Vec::new();
        let polled = follow.poll(|line| given.push((line.text.to_vec(), line.cut))).unwrap();
        assert_eq!((given, polled.lines_cut), (vec![(b"short".to_vec(), false)], 0));
    }
    // The same within one read.
    world.append(&format!("{}\nafter\n", "z".repeat(500)));
    let mut given = Vec::new();
    let polled = follow.poll(|line| given.push((line.text.len(), line.cut))).unwrap();
    assert_eq!((given, polled.bytes_cut), (vec![(100, true), (5, false)], 400));
}

#[test]
fn a_poll_reads_only_so_much() {
    let world = World::new();
    world.append(&"a line of some length\n".repeat(20_000));
    let mut follow = Follow::from_start(&world.path).bytes_max(1);
    let (mut polls, mut sum) = (0, 0);
    loop {
        let polled = follow.poll(|_| ()).unwrap();
        (polls, sum) = (polls + 1, sum + polled.lines);
        assert!(polled.bytes <= 64 * 1024);
        if !polled.more {
            break;
        }
    }
    assert_eq!((polls, sum), (7, 20_000));
}

#[test]
fn a_position_of_a_newer_program_is_refused_and_a_wrong_one_does_no_harm() {
    let world = World::new();
    world.append("one\ntwo\n");
    let mut follow = Follow::from_start(&world.path);
    assert_eq!(lines(&mut follow).len(), 2);
    let text = serde_json::to_string(&follow.position().unwrap()).unwrap();
    let newer: Position = serde_json::from_str(&text.replace("\"v\":1", "\"v\":2")).unwrap();
    assert!(matches!(Follow::resume(&world.path, newer), Err(FollowError::Version { found: 2, known: 1 })));
    let far = text.replace("\"offset\":8", "\"offset\":18446744073709551615");
    let mut follow = Follow::resume(&world.path, serde_json::from_str(&far).unwrap()).unwrap();
    let (read, polled) = poll(&mut follow);
    assert!(read.len() == 2 && matches!(polled.happened[..], [Happened::Truncated { .. }]), "{polled:?}");
}
