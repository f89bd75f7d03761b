//! State files and payloads between real processes: killed ones, concurrent ones, and those on a full or read-only disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use unattended::file::{self, Lock};
use unattended::payload::{self, PayloadRef};
use unattended::rng::Rng;
use unattended::snapshots::{File, FileError};

use crate::disk::{Small, fill};
use crate::kit::{Player, alone, say, var};

/// Large enough that a write is not one page, and of a content that belongs to its number.
fn numbers(number: u64) -> Vec<u64> {
    (0..5_000).map(|at| number.wrapping_mul(at + 1)).collect()
}

pub fn child(role: &str, path: &Path) -> bool {
    match role {
        "save without end" => save_without_end(path),
        "update so often" => {
            let state = File::<u64>::open(path).unwrap();
            for _ in 0..var("UNATTENDED_COUNT") {
                state.update(|| 0, |sum| *sum += 1).unwrap();
            }
        }
        "put without end" => put_without_end(path),
        "hold a lock" => {
            let _held = Lock::take(path, Duration::ZERO).unwrap();
            say(std::process::id());
            std::thread::sleep(Duration::from_secs(600));
        }
        "work in the folder" => work_in_the_folder(path),
        _ => return false,
    }
    true
}

fn save_without_end(path: &Path) {
    let state = File::<Vec<u64>>::open(path).unwrap();
    loop {
        let updated = state.update(
            || numbers(0),
            |value| {
                let next = value[0] + 1;
                *value = numbers(next);
                next
            },
        );
        say(updated.unwrap().answer);
    }
}

fn put_without_end(folder: &Path) {
    for number in 0_u64.. {
        let payload = PayloadRef::put(
            folder,
            numbers(number).iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>(),
        );
        say(serde_json::to_string(&payload.unwrap()).unwrap());
    }
}

/// With paths that have no folder part.
fn work_in_the_folder(folder: &Path) {
    std::env::set_current_dir(folder).unwrap();
    file::replace("plain", "1").unwrap();
    let state = File::<u64>::open("bare.state").unwrap();
    let relative = PayloadRef::put("payloads", "abc").unwrap();
    let absolute = PayloadRef::of_file("plain").unwrap();
    std::env::set_current_dir("/").unwrap();
    state.save(&7).unwrap();
    assert_eq!(relative.read(folder.join("payloads"), 3).unwrap(), b"abc");
    assert_eq!(absolute.read(folder, 3).unwrap(), b"1");
    say(std::fs::read_to_string(folder.join("plain")).unwrap());
    say(File::<u64>::open(folder.join("bare.state")).unwrap().load().unwrap().unwrap().value);
}

#[test]
fn a_save_that_was_acknowledged_survives_a_kill_at_any_time() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.state");
    let state = File::<Vec<u64>>::open(&path).unwrap();
    let mut rng = Rng::seeded(11);
    let mut acknowledged = 0;
    for round in 0..25 {
        let mut player = Player::start("save without end", &path, &[]);
        let first = player.hear().expect("a child that saves");
        std::thread::sleep(Duration::from_micros(rng.up_to(100_000)));
        let said = player.kill();
        acknowledged = [first].iter().chain(&said).filter_map(|n| n.parse().ok()).max().unwrap();
        let loaded = state.load().unwrap().unwrap();
        assert_eq!(loaded.recovered, None, "round {round}");
        let stands = loaded.value[0];
        assert!(stands >= acknowledged, "{acknowledged} was acknowledged, and {stands} stands");
        assert_eq!(loaded.value, numbers(stands), "round {round}");
    }
    assert!(acknowledged > 30, "only {acknowledged} saves were acknowledged");

    for leftover in temporaries(folder.path()) {
        let old = std::time::SystemTime::now() - Duration::from_secs(7_200);
        std::fs::File::options().write(true).open(leftover).unwrap().set_modified(old).unwrap();
    }
    state.save(&numbers(1)).unwrap();
    assert_eq!(temporaries(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn two_processes_that_change_one_state_lose_no_change() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sum.state");
    let count = [("UNATTENDED_COUNT", "400".to_owned())];
    let players = [(); 2].map(|()| Player::start("update so often", &path, &count));
    for player in players {
        player.finish();
    }
    let loaded = File::<u64>::open(&path).unwrap().load().unwrap().unwrap();
    assert_eq!((loaded.value, loaded.generation, loaded.recovered), (800, 800, None));
}

#[test]
fn a_payload_that_was_referred_to_survives_a_kill_at_any_time() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Rng::seeded(12);
    let mut referred = Vec::new();
    for _ in 0..8 {
        let mut player = Player::start("put without end", folder.path(), &[]);
        referred.push(player.hear().expect("a child that puts"));
        std::thread::sleep(Duration::from_micros(rng.up_to(100_000)));
        referred.extend(player.kill());
    }
    let payloads = referred.iter().filter_map(|json| serde_json::from_str::<PayloadRef>(json).ok());
    assert!(payloads.map(|payload| payload.verify(folder.path()).unwrap()).count() > 10);
}

#[test]
fn a_lock_names_its_holder_and_ends_with_its_process() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lock");
    let mut player = Player::start("hold a lock", &path, &[]);
    let pid: u32 = player.hear().unwrap().parse().unwrap();
    let error = Lock::take(&path, Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, file::Error::Busy { holder: Some(holder), .. } if holder == pid), "{error:?}");
    player.kill();
    drop(Lock::take(&path, Duration::ZERO).unwrap());
}

#[test]
fn a_path_without_a_folder_is_one_in_the_current_folder() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Player::start("work in the folder", folder.path(), &[]).finish(), ["1", "7"]);
}

#[test]
fn a_full_disk_leaves_the_old_state() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(_small) = Small::mount(folder.path(), "1m") else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    let state = File::<Vec<u64>>::open(folder.path().join("a.state")).unwrap();
    state.save(&numbers(1)).unwrap();
    state.save(&numbers(2)).unwrap();
    let filler = folder.path().join("filler");
    fill(&filler);
    for error in [
        state.save(&numbers(3)).unwrap_err(),
        state.update(Vec::new, |value| *value = numbers(3)).unwrap_err(),
    ] {
        assert!(matches!(error, FileError::File(file::Error::Full { .. })), "{error:?}");
    }
    let error = PayloadRef::put(folder.path(), vec![7; 100_000]).unwrap_err();
    assert!(matches!(error, payload::Error::Io(file::Error::Full { .. })), "{error:?}");
    let loaded = state.load().unwrap().unwrap();
    assert_eq!((loaded.value, loaded.generation, loaded.recovered), (numbers(2), 2, None));
    assert_eq!(temporaries(folder.path()), Vec::<PathBuf>::new(), "nothing is left over");
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(state.save(&numbers(3)).unwrap(), 3);
}

#[test]
fn a_read_only_folder_can_be_loaded_from_and_says_that_it_is() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(folder.path(), "1m") else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    let path = folder.path().join("a.state");
    let state = File::<u64>::open(&path).unwrap();
    state.save(&7).unwrap();
    small.read_only();
    assert_eq!(state.load().unwrap().unwrap().value, 7);
    let error = state.save(&8).unwrap_err();
    assert!(matches!(error, FileError::File(file::Error::ReadOnly { .. })), "{error:?}");
    let error = file::replace(&path, "x").unwrap_err();
    assert!(matches!(error, file::Error::ReadOnly { .. }), "{error:?}");
    let error = PayloadRef::put(folder.path(), "x").unwrap_err();
    assert!(matches!(error, payload::Error::Io(file::Error::ReadOnly { .. })), "{error:?}");
}

fn temporaries(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().ends_with(".tmp")).collect()
}
