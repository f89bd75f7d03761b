//! A state that is put down and picked up.

use crate::decide::intent::tests::{file, folder};
use crate::decide::intent::{Kind, Root, Stamp, State};

#[test]
fn a_state_survives_the_process() {
    let odd = |kind, name: &str| {
        (name.into(), Stamp { kind, size: u64::MAX, mtime: i64::MIN, ctime: i64::MAX, inode: u64::MAX })
    };
    let state =
        State::of([folder("a", 1), file("a/b", 2, 1), odd(Kind::Link, "l"), odd(Kind::Other, "o\n\u{7f}%")])
            .with_root(Root::Folder(7))
            .with_unreadable(["a/secret".into()])
            .with_left_out(3)
            .with_cut(9);
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_survive_it_too() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let name = std::path::PathBuf::from(OsStr::from_bytes(b"caf\xe9/\xff\xfe"));
    let (_, stamp) = file("", 1, 1);
    let state = State::of([(name.clone(), stamp)]).with_unreadable([name.clone()]);
    let text = serde_json::to_string(&state).unwrap();
    let back: State = serde_json::from_str(&text).unwrap();
    assert_eq!(back, state);
    assert_eq!(back.get(&name), Some(&stamp));
    assert_eq!(back.unreadable(), [name]);
}

#[cfg(unix)]
#[test]
fn a_state_of_version_1_still_opens() {
    let text = include_str!("../../../../tests/golden/tree_v1.json");
    let state: State = serde_json::from_str(text).unwrap();
    assert_eq!((state.len(), state.root(), state.left_out(), state.cut_at()), (3, Root::Folder(7), 2, None));
    let newer = text.replace("\"v\":1", "\"v\":2");
    let error = serde_json::from_str::<State>(&newer).unwrap_err().to_string();
    assert!(error.contains("version 2, this program knows 1"), "{error}");
    assert_eq!(serde_json::to_string(&Root::Missing).unwrap(), r#""missing""#);
}

#[test]
fn a_state_cut_at_any_byte_is_an_error_and_never_another_state() {
    let text = serde_json::to_string(&State::of([folder("a", 1), file("a/b", 2, 1)])).unwrap();
    for end in 0..text.len() {
        assert!(serde_json::from_str::<State>(&text[..end]).is_err(), "{end}");
    }
}
