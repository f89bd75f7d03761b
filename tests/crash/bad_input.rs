//! Files that are not what they should be: each ends in one place with a reason, and none holds up the others.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::world::{Ended, World, names, syslog};

const GIGABYTE: u64 = 1 << 30;
/// The most memory that the program may have had at once.
const MEMORY_KB_MAX: u64 = 100_000;

#[test]
fn a_file_that_cannot_be_loaded_ends_in_failed_with_its_reason() {
    let world = World::new();
    let bad: [(&str, &[u8], &str, &str); 4] = [
        ("empty.log", b"", "ingest.empty", "line 1, byte 1: the file is empty"),
        ("latin.log", b"fine\nm\xfcde\n", "ingest.not_utf8", "line 2, byte 2: 0xfc is not UTF-8 here"),
        ("nul.log", b"fine\n\nx\0y\n", "ingest.nul", "line 3, byte 2: a NUL byte, which no log text has"),
        ("cut.log", "fine\né".as_bytes().split_last().unwrap().1, "ingest.not_utf8", "line 2, byte 1"),
    ];
    for (name, content, ..) in bad {
        world.drop(name, content.to_vec(), true);
    }
    world.drop("sound.log", b"one\ntwo\n".to_vec(), false);
    let pass = world.pass();
    assert_eq!(pass.code, Some(0), "{pass:?}");
    for (name, _, code, why) in bad {
        let told = pass.told(name);
        assert_eq!((&told["state"], &told["code"]), (&"failed_permanent".into(), &code.into()), "{told}");
        assert!(told["why"].as_str().unwrap().starts_with(why), "{told}");
        let reason = world.reason(name);
        assert_eq!((&reason["code"], &reason["run_id"]), (&told["code"], &told["run_id"]), "{reason}");
        assert_eq!((&reason["step"], &reason["why"]), (&"validate".into(), &told["why"]), "{reason}");
    }
    assert_eq!(pass.told("sound.log")["lines"], 2);
    world.verify("bad content");
}

#[test]
fn a_line_of_a_gigabyte_is_refused_in_little_memory() {
    let world = World::new();
    let big = world.inbox().join("big.log");
    File::create(&big).unwrap().set_len(GIGABYTE).unwrap();
    let mut pass = world.command().stdout(Stdio::null()).spawn().unwrap();
    let (mut peak, status) = (0, Path::new("/proc").join(pass.id().to_string()).join("status"));
    let ended = loop {
        peak = peak.max(peak_kb(&status));
        match pass.try_wait().unwrap() {
            Some(ended) => break ended,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(ended.success(), "{ended}");
    assert!((1..MEMORY_KB_MAX).contains(&peak), "it had {peak} kB at once");
    let reason = world.reason("big.log");
    assert_eq!(reason["code"], "ingest.line_too_long", "{reason}");
    assert_eq!(reason["why"], "line 1, byte 1: the line has 1073741824 bytes, more than 1048576");
    assert_eq!(fs::metadata(world.root().join("failed/big.log")).unwrap().len(), GIGABYTE);
    assert_eq!(names(&world.inbox()).len(), 0);
}

/// `VmHWM`, the most that was resident at once, as the kernel counts it; 0 of a process that is no more.
fn peak_kb(status: &Path) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

#[test]
fn strange_names_are_only_names() {
    let world = World::new();
    let long = format!("{}.log", "l".repeat(239));
    let unusual = ["-rf", "two\nlines.log", "\u{1b}[31mred.log", "a b'\"$(reboot).log", "ü.log", &long];
    for (n, name) in unusual.into_iter().enumerate() {
        world.drop(name, format!("sound {n}\n").into_bytes(), false);
    }
    let foreign = world.inbox().join(OsStr::from_bytes(b"latin-\xfc.log"));
    fs::write(&foreign, "sound\n").unwrap();

    let pass = world.pass();
    assert_eq!(pass.code, Some(75), "one file is left: {pass:?}");
    for name in unusual {
        assert_eq!(pass.told(name)["state"], "succeeded", "{name:?}");
    }
    let left = pass.told(&foreign.to_string_lossy());
    assert_eq!((&left["state"], &left["code"]), (&"inbox".into(), &"ingest.name".into()), "{left}");
    assert_eq!(fs::read(&foreign).unwrap(), b"sound\n", "it was not touched");
    fs::remove_file(foreign).unwrap();
    world.verify("strange names");

    world.drop("\u{1b}[2Jclear\n.log", b"more\n".to_vec(), false);
    let mut plain = std::process::Command::new(crate::world::program());
    let told = Ended::of(plain.arg("--inbox").arg(world.inbox()).arg("--root").arg(world.root()));
    assert!(!told.out.contains('\u{1b}'), "a name must not write to the terminal: {:?}", told.out);
    assert!(told.out.contains(r"\u{1b}[2Jclear\n.log"), "{:?}", told.out);
}

#[test]
fn a_long_name_of_a_file_that_fails_still_has_its_reason() {
    let world = World::new();
    let long = format!("{}.log", "l".repeat(251));
    fs::write(world.inbox().join(&long), b"\0").unwrap();
    world.drop("sound.log", b"sound\n".to_vec(), false);
    let pass = world.pass();
    assert_eq!(pass.code, Some(0), "{pass:?}");
    let failed = names(&world.root().join("failed"));
    let reason = failed.iter().find(|name| name.ends_with(".reason.json")).unwrap();
    assert!(failed.contains(reason.strip_suffix(".reason.json").unwrap()), "{failed:?}");
    assert_eq!((failed.len(), names(&world.inbox()).len()), (2, 0), "{failed:?}");
    assert_eq!(pass.told("sound.log")["state"], "succeeded");
}

#[test]
fn a_file_named_like_a_reason_is_never_replaced_by_one() {
    let world = World::new();
    let (first, second) = (b"\0 first".as_slice(), b"\0 second".as_slice());
    fs::write(world.inbox().join("a.log.reason.json"), first).unwrap();
    assert_eq!(world.pass().code, Some(0));
    fs::write(world.inbox().join("a.log"), second).unwrap();
    assert_eq!(world.pass().code, Some(0));
    let failed = world.root().join("failed");
    let contents: Vec<_> = names(&failed).iter().map(|name| fs::read(failed.join(name)).unwrap()).collect();
    for content in [first, second] {
        assert!(contents.iter().any(|found| found == content), "lost: {:?}", names(&failed));
    }
    assert_eq!(world.reason("a.log")["code"], "ingest.nul");
}

#[test]
fn what_is_no_plain_file_is_left_alone() {
    let world = World::new();
    let inbox = world.inbox();
    mknodat(CWD, inbox.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let elsewhere = world.inbox().with_file_name("elsewhere.log");
    fs::write(&elsewhere, "not delivered\n").unwrap();
    symlink(&elsewhere, inbox.join("link.log")).unwrap();
    symlink("nowhere", inbox.join("dangling.log")).unwrap();
    fs::create_dir(inbox.join("folder.log")).unwrap();
    fs::write(inbox.join("folder.log/inner.log"), "inner\n").unwrap();
    fs::write(inbox.join(".half-written"), "hidden\n").unwrap();
    let before = names(&inbox);
    world.drop("sound.log", b"sound\n".to_vec(), false);

    let pass = world.pass();
    assert_eq!((pass.code, pass.lines().len()), (Some(0), 2), "{pass:?}");
    assert_eq!(names(&inbox), before);
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "not delivered\n");
    assert_eq!(world.rows(), 1);
}

#[test]
fn a_file_that_may_not_be_read_stays_and_the_others_are_loaded() {
    let world = World::new();
    if !world.unprivileged() {
        return;
    }
    world.drop("a-secret.log", b"secret\n".to_vec(), false);
    world.drop("b-sound.log", b"sound\n".to_vec(), false);
    let secret = world.inbox().join("a-secret.log");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
    let pass = Ended::of(&mut world.as_nobody());
    assert_eq!(pass.code, Some(75), "{pass:?}");
    let told = pass.told("a-secret.log");
    assert_eq!((&told["state"], &told["code"]), (&"inbox".into(), &"ingest.unreadable".into()), "{told}");
    assert!(told["why"].as_str().unwrap().contains("a-secret.log: Permission denied"), "{told}");
    assert_eq!(pass.told("b-sound.log")["state"], "succeeded");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(Ended::of(&mut world.as_nobody()).code, Some(0));
    world.verify("a file without permissions");
}

/// A writer that is not done: whatever is seen of the file, no part of it is loaded, and once it is done all of it is.
#[test]
fn a_file_that_grows_is_never_loaded_half() {
    let world = World::new();
    let path = world.inbox().join("growing.log");
    fs::write(&path, syslog(20_000, "grows")).unwrap();
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    let codes: Vec<String> = thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            while !stop.load(Ordering::Relaxed) && started.elapsed() < Duration::from_secs(20) {
                file.write_all(b"and more\n").unwrap();
                thread::sleep(Duration::from_micros(200));
            }
        });
        let codes = (0..3).filter_map(|_| {
            let pass = world.pass();
            assert_eq!(world.rows(), 0, "{pass:?}");
            Some(pass.lines().first()?["code"].as_str()?.to_owned())
        });
        let codes = codes.collect();
        stop.store(true, Ordering::Relaxed);
        codes
    });
    assert!(!codes.is_empty(), "the file was never seen");
    for code in &codes {
        assert!(
            ["ingest.growing", "ingest.changed", "ingest.vanished"].contains(&code.as_str()),
            "{codes:?}"
        );
    }
    let places = [path, world.root().join("failed/growing.log")];
    assert_eq!(places.iter().filter(|place| place.exists()).count(), 1, "{codes:?}");
}

#[test]
fn a_file_that_grows_while_it_is_loaded_loses_the_rows_that_were_loaded() {
    let world = World::new();
    fs::write(world.inbox().join("late.log"), syslog(6_000, "late")).unwrap();
    // The writer keeps the file open, so it writes into it wherever it was moved to.
    let mut writer = OpenOptions::new().append(true).open(world.inbox().join("late.log")).unwrap();
    let mut pass = world.command().stdout(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while world.rows_so_far().unwrap_or_default() == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing was ever loaded");
        thread::sleep(Duration::from_millis(1));
    }
    writer.write_all(b"one more\n").unwrap();
    assert!(pass.wait().unwrap().success());
    let reason = world.reason("late.log");
    assert_eq!((&reason["code"], &reason["step"]), (&"ingest.changed".into(), &"load".into()), "{reason}");
    assert_eq!(world.rows(), 0, "half of it is still there");
    assert!(fs::read(world.root().join("failed/late.log")).unwrap().ends_with(b"one more\n"));
}

/// Files are taken away all the time while passes go on: what is gone is no error, and holds up no other file.
#[test]
fn a_file_that_vanishes_is_no_error() {
    let world = World::new();
    for round in 0..12 {
        for n in 0..4 {
            fs::write(world.inbox().join(format!("v{n}.log")), syslog(4_000, &format!("{round}/{n}")))
                .unwrap();
        }
        let pass = world.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for n in 0..4_u64 {
            thread::sleep(Duration::from_millis((round * 7 + n * 13) % 40));
            drop(fs::remove_file(world.inbox().join(format!("v{n}.log"))));
        }
        let output = pass.wait_with_output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "round {round}: {out}");
        for line in out.lines().filter(|line| line.contains("failed_permanent")) {
            assert!(line.contains("ingest.vanished"), "round {round}: {line}");
        }
        drop(names(&world.inbox()).into_iter().map(|name| fs::remove_file(world.inbox().join(name))));
    }
    assert_eq!(world.rows() % 4_000, 0, "half a file was loaded");
}
