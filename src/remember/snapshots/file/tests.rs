use std::collections::BTreeMap;

use super::*;
use crate::base::explain::Explain;
use crate::base::fault::Classify;

type Map = BTreeMap<String, u64>;

fn value(number: u64) -> Map {
    BTreeMap::from([("runs".to_owned(), number), ("other".to_owned(), number * 7)])
}

/// A folder with two generations, and both files' bytes.
fn two() -> (tempfile::TempDir, File<Map>, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let state = File::open(folder.path().join("a.state")).unwrap();
    assert_eq!((state.save(&value(1)).unwrap(), state.save(&value(2)).unwrap()), (1, 2));
    let (current, previous) = (fs::read(&state.path).unwrap(), fs::read(&state.previous).unwrap());
    (folder, state, current, previous)
}

/// Everything that can be done to a file at one byte: cut there, or changed there.
fn damages(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
    let flipped = (0..whole.len()).flat_map(move |at| {
        [0x01, 0x02, 0x20, 0x80, 0xff].map(|bits| {
            let mut changed = whole.to_vec();
            changed[at] ^= bits;
            changed
        })
    });
    let longer = [b"\n".as_slice(), b"}", &[0; 4096]].map(|more| [whole, more].concat());
    cut.chain(flipped).chain(longer)
}

#[test]
fn a_file_torn_or_flipped_at_any_byte_gives_the_last_good_one_and_says_so() {
    let (_folder, state, current, _) = two();
    let mut codes = std::collections::BTreeSet::new();
    for damaged in damages(&current) {
        fs::write(&state.path, &damaged).unwrap();
        let loaded = state.load().unwrap().unwrap();
        assert_eq!((loaded.value, loaded.generation), (value(1), 1));
        let recovered = loaded.recovered.expect("it says so");
        assert!(recovered.to_string().ends_with("; the one before it is used"));
        codes.insert(recovered.code());
    }
    let all = ["changed", "cut", "foreign", "header", "longer"].map(|code| format!("state_file.{code}"));
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), all);
    fs::remove_file(&state.path).unwrap();
    assert_eq!(state.load().unwrap().unwrap().recovered.unwrap().damage, Damage::Gone);
}

#[test]
fn damage_to_the_one_before_does_no_harm() {
    let (_folder, state, _, previous) = two();
    for damaged in damages(&previous) {
        fs::write(&state.previous, &damaged).unwrap();
        let loaded = state.load().unwrap().unwrap();
        assert_eq!((loaded.value, loaded.generation, loaded.recovered), (value(2), 2, None));
    }
}

#[test]
fn two_damaged_files_are_an_error_and_never_a_default() {
    let (_folder, state, current, previous) = two();
    for (current, previous) in damages(&current).zip(damages(&previous)) {
        fs::write(&state.path, &current).unwrap();
        fs::write(&state.previous, &previous).unwrap();
        let error = state.load().unwrap_err();
        assert!(matches!(error, FileError::Damaged { .. }), "{error:?}");
        assert_eq!(error.fault().code, "state_file.damaged");
    }
    assert!(matches!(state.save(&value(3)).unwrap_err(), FileError::Damaged { .. }));
    assert!(matches!(state.update(Map::new, |_| ()).unwrap_err(), FileError::Damaged { .. }));
    assert!(
        fs::read(&state.path).unwrap().starts_with(b"unattended-state"),
        "the evidence is not overwritten"
    );
}

#[test]
fn the_first_generation_damaged_is_an_error_and_never_a_default() {
    let folder = tempfile::tempdir().unwrap();
    let state = File::<Map>::open(folder.path().join("a.state")).unwrap();
    state.save(&value(1)).unwrap();
    let whole = fs::read(&state.path).unwrap();
    for damaged in damages(&whole) {
        fs::write(&state.path, &damaged).unwrap();
        let error = state.load().unwrap_err();
        assert!(matches!(error, FileError::Damaged { .. } | FileError::NotOurs { .. }), "{error:?}");
        assert!(state.save(&value(2)).is_err());
        assert_eq!(fs::read(&state.path).unwrap(), damaged);
    }
}

#[test]
fn a_change_after_a_recovery_begins_with_the_last_good_one_and_keeps_it() {
    let (_folder, state, current, previous) = two();
    fs::write(&state.path, &current[..current.len() - 1]).unwrap();
    let change = |map: &mut Map| map.insert("runs".to_owned(), 9);
    let updated = state.update(Map::new, change).unwrap();
    assert_eq!((updated.answer, updated.generation), (Some(1), 3));
    assert!(matches!(updated.recovered.unwrap().damage, Damage::Cut { .. }));
    assert_eq!(fs::read(&state.previous).unwrap(), previous, "a damaged file does not displace a sound one");
    let updated = state.update(Map::new, change).unwrap();
    assert_eq!((updated.answer, updated.generation, updated.recovered), (Some(9), 4, None));
}

#[test]
fn a_newer_format_is_said_and_not_overwritten() {
    let (_folder, state, _, _) = two();
    let newer = form::sealed("unattended-state 2 zstd 77 ") + "whatever it may be";
    for write in [
        |s: &File<Map>, t: &str| fs::write(&s.path, t),
        |s: &File<Map>, t: &str| fs::write(&s.path, "").and_then(|()| fs::write(&s.previous, t)),
    ] {
        write(&state, &newer).unwrap();
        for error in [state.load().unwrap_err(), state.save(&value(3)).unwrap_err()] {
            assert!(matches!(error, FileError::TooNew { found: 2, supported: 1, .. }), "{error:?}");
        }
    }
}

#[test]
fn a_file_of_somebody_else_is_said_and_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let state = File::<Map>::open(folder.path().join("settings.json")).unwrap();
    for alien in [&b"{\"a\":1}"[..], b"\xff\xfe", &[0; 1000]] {
        fs::write(&state.path, alien).unwrap();
        for error in [state.load().unwrap_err(), state.save(&value(3)).unwrap_err()] {
            assert!(matches!(error, FileError::NotOurs { .. }), "{error:?}");
        }
        assert_eq!(fs::read(&state.path).unwrap(), alien);
    }
    fs::remove_file(&state.path).unwrap();
    fs::create_dir(&state.path).unwrap();
    assert!(matches!(state.load().unwrap_err(), FileError::File(file::Error::NotAFile { .. })));
    assert!(matches!(
        File::<Map>::open(&state.path).unwrap_err(),
        FileError::File(file::Error::NotAFile { .. })
    ));
    assert!(matches!(File::<Map>::open(folder.path().join("no/a")).unwrap_err(), FileError::File(_)));
}

#[test]
fn what_cannot_be_read_back_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let state = File::<f64>::open(folder.path().join("a")).unwrap();
    state.save(&1.5).unwrap();
    for wrong in [f64::NAN, f64::INFINITY] {
        let error = state.save(&wrong).unwrap_err();
        assert!(matches!(error, FileError::Value { action: "saved", .. }), "{error:?}");
        assert!(state.update(|| 0.0, |value| *value = wrong).is_err());
    }
    assert_eq!(state.load().unwrap().unwrap().value, 1.5);
}

#[test]
fn a_value_of_another_type_is_said_and_the_one_before_is_not_taken_instead() {
    let (_folder, state, _, _) = two();
    let other = File::<Vec<u8>>::open(&state.path).unwrap();
    for error in [other.load().unwrap_err(), other.update(Vec::new, |_| ()).unwrap_err()] {
        assert!(matches!(error, FileError::Value { action: "read", .. }), "{error:?}");
    }
    assert_eq!(state.load().unwrap().unwrap().value, value(2));
}

#[test]
fn the_size_is_bounded_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let state = File::<String>::open(folder.path().join("a")).unwrap().bytes_max(12);
    state.save(&"0123456789".to_owned()).unwrap();
    let error = state.save(&"0123456789a".to_owned()).unwrap_err();
    assert!(matches!(error, FileError::TooBig { given: 13, allowed: 12, .. }), "{error:?}");
    assert_eq!(state.load().unwrap().unwrap().value, "0123456789");
    let error = state.clone().bytes_max(11).load().unwrap_err();
    assert!(matches!(error, FileError::TooBig { given: 12, allowed: 11, .. }), "{error:?}");
}

#[test]
fn where_there_are_no_links_the_one_before_is_a_copy() {
    let (_folder, state, current, _) = two();
    // What stands under the second name cannot be removed as a file, so no link can be made.
    fs::create_dir(beside(&state.previous, "~")).unwrap();
    assert_eq!(state.save(&value(3)).unwrap(), 3);
    assert_eq!(fs::read(&state.previous).unwrap(), current);
}

#[cfg(unix)]
#[test]
fn what_a_process_killed_between_two_names_has_left_is_cleared_away() {
    let (_folder, state, current, _) = two();
    fs::hard_link(&state.path, beside(&state.previous, "~")).unwrap();
    fs::remove_file(&state.previous).unwrap();
    fs::hard_link(&state.path, &state.previous).unwrap();
    assert_eq!(state.load().unwrap().unwrap().value, value(2));
    assert_eq!(state.save(&value(3)).unwrap(), 3);
    assert_eq!(fs::read(&state.previous).unwrap(), current);
    assert!(!beside(&state.previous, "~").exists());
}

#[test]
fn a_busy_state_names_its_holder_and_can_still_be_loaded() {
    let (_folder, state, _, _) = two();
    let impatient = state.clone().wait_max(Duration::from_millis(5));
    let inner = state.update(Map::new, |_| {
        assert_eq!(impatient.load().unwrap().unwrap().value, value(2));
        impatient.save(&value(3)).unwrap_err()
    });
    let error = inner.unwrap().answer;
    let own = std::process::id();
    assert!(
        matches!(error, FileError::File(file::Error::Busy { holder: Some(pid), .. }) if pid == own),
        "{error:?}"
    );
    assert_eq!(error.fault().code, "file.busy");
}

#[test]
fn a_change_that_panics_saves_nothing_and_lets_the_lock_go() {
    let (_folder, state, _, _) = two();
    let panicked = std::panic::catch_unwind(|| {
        state.update(Map::new, |map| {
            map.clear();
            panic!("in the middle");
        })
    });
    assert!(panicked.is_err());
    let impatient = state.wait_max(Duration::ZERO);
    assert_eq!(impatient.update(Map::new, |map| map.clone()).unwrap().answer, value(2));
}

#[test]
fn a_file_of_the_first_format_still_opens() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state_v1.state");
    let loaded = File::<Map>::open(golden).unwrap().load().unwrap().unwrap();
    assert_eq!((loaded.value, loaded.generation, loaded.recovered), (value(2), 2, None));
    let body = serde_json::to_vec(&value(2)).unwrap();
    let text = form::header(2, &body) + std::str::from_utf8(&body).unwrap();
    assert_eq!(fs::read_to_string(golden).unwrap(), text, "and is still written");
}
