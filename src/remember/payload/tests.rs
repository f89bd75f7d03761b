use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use super::*;
use crate::base::fault::{Class, Classify};

const MAX: u64 = 1 << 20;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_payload_is_put_under_the_name_of_its_hash() {
    let (_held, folder) = folder();
    let base = folder.join("made/when/missing");
    let payload = PayloadRef::put(&base, "abc").unwrap();
    // FIPS 180-2, appendix B.1.
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(payload.path(), Path::new(&format!("ba/{}", &hex[2..])));
    assert_eq!((payload.hash().to_string(), payload.bytes()), (format!("sha256:{hex}"), 3));
    assert_eq!(payload.read(&base, 3).unwrap(), b"abc");
    payload.verify(&base).unwrap();
    assert_eq!(files(&folder), [base.join(payload.path())], "and nothing else is left");
    let empty = PayloadRef::put(&base, "").unwrap();
    assert_eq!(empty.read(&base, 0).unwrap(), b"");
}

#[test]
fn the_same_bytes_are_the_same_file_and_are_not_written_again() {
    let (_held, folder) = folder();
    let payload = PayloadRef::put(&folder, "abc").unwrap();
    let path = folder.join(payload.path());
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(PayloadRef::put(&folder, "abc").unwrap(), payload);
    assert_eq!(PayloadRef::put_reader(&folder, &b"abc"[..], MAX).unwrap(), payload);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), old);
    assert_eq!(files(&folder), [path]);
}

#[test]
fn other_bytes_under_its_name_are_put_right() {
    let (_held, folder) = folder();
    let payload = PayloadRef::put(&folder, "abc").unwrap();
    let path = folder.join(payload.path());
    for wrong in ["abd", "ab", "", "abcd"] {
        fs::write(&path, wrong).unwrap();
        assert_eq!(PayloadRef::put(&folder, "abc").unwrap(), payload);
        assert_eq!(fs::read(&path).unwrap(), b"abc");
    }
}

/// Gives so many bytes, then ends or fails.
struct Giving(u64, bool);

impl Read for Giving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 && self.1 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = into.len().min(usize::try_from(self.0).unwrap()).min(7_777);
        into[..count].fill(b'x');
        self.0 -= count as u64;
        Ok(count)
    }
}

#[test]
fn a_reader_is_put_in_pieces_and_nothing_of_one_that_fails_or_is_too_big() {
    let (_held, folder) = folder();
    let payload = PayloadRef::put_reader(&folder, Giving(200_000, false), 200_000).unwrap();
    assert_eq!(payload.read(&folder, MAX).unwrap(), vec![b'x'; 200_000]);
    let before = files(&folder);
    let error = PayloadRef::put_reader(&folder, Giving(200_001, false), 200_000).unwrap_err();
    assert!(matches!(error, Error::TooBig { given: 200_001, allowed: 200_000 }), "{error:?}");
    let error = PayloadRef::put_reader(&folder, Giving(100_000, true), 200_000).unwrap_err();
    assert_eq!(error.fault().code, "io.connection_reset");
    assert_eq!(files(&folder), before);
}

#[test]
fn a_payload_that_has_changed_since_is_never_given_out() {
    let (_held, folder) = folder();
    let payload = PayloadRef::put(&folder, "{\"a\": 1}").unwrap();
    let path = folder.join(payload.path());
    for wrong in ["{\"a\": 2}", "{\"a\": 1", "{\"a\": 1} ", ""] {
        fs::write(&path, wrong).unwrap();
        let errors = [
            payload.read(&folder, MAX).unwrap_err(),
            payload.verify(&folder).unwrap_err(),
            payload.read_json::<serde_json::Value>(&folder, MAX).unwrap_err(),
            payload.read_canonical(&folder, MAX).unwrap_err(),
        ];
        for error in errors {
            let Error::Changed { expected, found, bytes_expected, bytes_found, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!((expected, *bytes_expected, *bytes_found), (payload.hash(), 8, wrong.len() as u64));
            let same_size = wrong.len() == 8;
            assert_eq!(*found, same_size.then(|| Fingerprint::of_bytes(wrong)));
            let fault = error.fault();
            assert_eq!((fault.class, &*fault.code), (Class::Permanent, "payload.changed"));
        }
    }
}

#[test]
fn what_changes_while_it_is_read_piece_by_piece_is_found_at_the_end() {
    let (_held, folder) = folder();
    let whole = vec![b'x'; 300_000];
    let payload = PayloadRef::put(&folder, &whole).unwrap();
    let path = folder.join(payload.path());
    let read = |wrong: &[u8], path: &Path| {
        let mut reader = payload.open(&folder).unwrap();
        let mut first = [0; 10];
        reader.read_exact(&mut first).unwrap();
        fs::write(path, wrong).unwrap();
        let finished = payload.open(&folder).map(Reader::finish);
        let mut rest = Vec::new();
        let read = reader.read_to_end(&mut rest);
        assert!(rest.len() <= 300_000, "not more than was referred to");
        (read, finished)
    };
    let (sound, finished) = read(&whole, &path);
    assert_eq!(sound.unwrap(), 299_990);
    finished.unwrap().unwrap();
    let mut flipped = whole.clone();
    flipped[299_999] = b'y';
    for wrong in [&flipped[..], &whole[..299_999], &[&whole[..], b"x"].concat()] {
        fs::write(&path, &whole).unwrap();
        let (error, finished) = read(wrong, &path);
        let error = error.unwrap_err();
        let inner = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
        assert!(matches!(inner, Error::Changed { .. }), "{inner:?}");
        let finished = finished.and_then(|finished| finished).unwrap_err();
        assert!(matches!(finished, Error::Changed { .. }), "{finished:?}");
    }
}

#[test]
fn a_payload_that_is_too_big_is_not_read() {
    let (_held, folder) = folder();
    let payload = PayloadRef::put(&folder, "abc").unwrap();
    fs::remove_file(folder.join(payload.path())).unwrap();
    let error = payload.read(&folder, 2).unwrap_err();
    assert!(matches!(error, Error::TooBig { given: 3, allowed: 2 }), "{error:?}");
    let error = payload.read(&folder, 3).unwrap_err();
    assert!(matches!(&error, Error::Missing { path } if path.ends_with(payload.path())), "{error:?}");
    assert_eq!(error.fault().code, "payload.missing");
    assert!(matches!(payload.read(folder.join("nowhere"), 3).unwrap_err(), Error::Missing { .. }));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_and_never_waited_for() {
    let (_held, folder) = folder();
    let made = std::process::Command::new("mkfifo").arg(folder.join("fifo")).status().unwrap();
    assert!(made.success());
    fs::create_dir(folder.join("dir")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("zero")).unwrap();
    for name in ["fifo", "dir", "zero"] {
        let payload = PayloadRef::new(name, Fingerprint::of_bytes(""), 0).unwrap();
        let base = if name == "zero" { Path::new("/") } else { &folder };
        let payload = if name == "zero" {
            let path = folder.join(name).to_str().unwrap().to_owned();
            PayloadRef::new(path, Fingerprint::of_bytes(""), 0).unwrap()
        } else {
            payload
        };
        for error in [
            payload.read(base, MAX).unwrap_err(),
            payload.verify(base).unwrap_err(),
            PayloadRef::of_file(folder.join(name)).unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotAFile { .. }), "{name}: {error:?}");
        }
    }
}

#[test]
fn a_file_is_referred_to_as_it_is() {
    let (_held, folder) = folder();
    fs::create_dir(folder.join("in")).unwrap();
    fs::write(folder.join("in/day.csv"), "a,b\n").unwrap();
    let absolute = PayloadRef::of_file(folder.join("in/day.csv")).unwrap();
    assert!(absolute.path().is_absolute());
    let relative = PayloadRef::of_file_in(&folder, "in/day.csv").unwrap();
    assert_eq!(relative.path(), Path::new("in/day.csv"));
    assert_eq!((absolute.hash(), absolute.bytes()), (relative.hash(), 4));
    for payload in [&absolute, &relative] {
        assert_eq!(payload.read(&folder, MAX).unwrap(), b"a,b\n");
    }
    assert!(matches!(PayloadRef::of_file(folder.join("no")).unwrap_err(), Error::Missing { .. }));
    assert!(matches!(PayloadRef::of_file_in(&folder, "in/../x").unwrap_err(), Error::Invalid(_)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_grows_while_it_is_read_is_not_referred_to() {
    // Its size is said to be zero, and it gives more.
    let error = PayloadRef::of_file("/proc/self/status").unwrap_err();
    assert!(matches!(error, Error::Moving { .. }), "{error:?}");
    assert_eq!(error.fault().class, Class::Transient);
}

#[cfg(unix)]
#[test]
fn no_path_leads_out_of_the_folder() {
    let (_held, folder) = folder();
    let base = folder.join("base");
    fs::create_dir(&base).unwrap();
    fs::write(folder.join("secret"), "s").unwrap();
    std::os::unix::fs::symlink(folder.join("secret"), base.join("link")).unwrap();
    std::os::unix::fs::symlink(&folder, base.join("up")).unwrap();
    let hash = Fingerprint::of_bytes("s");
    let secret = folder.join("secret").to_str().unwrap().to_owned();
    for path in ["link", "up/secret", &secret] {
        let payload = PayloadRef::new(path, hash, 1).unwrap();
        for error in [
            payload.read(&base, MAX).unwrap_err(),
            payload.verify(&base).unwrap_err(),
            PayloadRef::of_file_in(&base, path).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Outside { .. }), "{path}: {error:?}");
            assert_eq!(error.fault().code, "payload.outside");
        }
    }
    let payload = PayloadRef::new(secret, hash, 1).unwrap();
    for base in [&*folder, Path::new("/")] {
        assert_eq!(payload.read(base, MAX).unwrap(), b"s", "it lies in this one");
    }
}

#[test]
fn a_reference_is_checked_when_it_is_read() {
    let hash = Fingerprint::of_bytes("").to_string();
    let wire = |path: &str, hash: &str, more: &str| {
        let (path, hash) = (serde_json::json!(path), serde_json::json!(hash));
        let json = format!(r#"{{"path":{path},"hash":{hash},"bytes":0{more}}}"#);
        serde_json::from_str::<PayloadRef>(&json).map_err(|error| error.to_string())
    };
    let sound = wire("a/b", &hash, r#","media_type":"text/csv; charset=utf-8""#).unwrap();
    assert_eq!(sound.media_type(), Some("text/csv; charset=utf-8"));
    let text = serde_json::to_string(&sound).unwrap();
    assert_eq!(serde_json::from_str::<PayloadRef>(&text).unwrap(), sound);
    assert!(text.starts_with(r#"{"path":"a/b","hash":"sha256:e3b0"#), "{text}");

    let long = "a/".repeat(2048) + "b";
    for path in ["", "..", "a/../b", "/a/../b", "./a", "a/", "/", "a\0b", &long] {
        let error = wire(path, &hash, "").unwrap_err();
        assert!(error.starts_with("payload path "), "{path:?}: {error}");
    }
    let upper = hash.to_uppercase();
    for (wrong, says) in [
        (&hash[..70], "payload hash \"sha256:e3b0"),
        (&upper, "payload hash \"SHA256"),
        ("md5:00", "payload hash \"md5:00\""),
        (&format!("jcs1:{hash}"), "is not one of bytes"),
    ] {
        let error = wire("a", wrong, "").unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    for wrong in ["csv", "text/", "/csv", "te xt/csv", "text/csv\n", &format!("text/{}", "x".repeat(255))] {
        let error = wire("a", &hash, &format!(r#","media_type":{wrong:?}"#)).unwrap_err();
        assert!(error.starts_with("payload media type "), "{error}");
    }
    assert!(wire("a", &hash, r#","encoding":"gzip""#).unwrap_err().contains("unknown field"));
    assert!(serde_json::from_str::<PayloadRef>(r#"{"path":"a","hash":"x","bytes":-1}"#).is_err());
}

#[test]
fn one_value_has_one_canonical_text_however_its_payload_is_spelled() {
    let (_held, folder) = folder();
    let value = serde_json::json!({"b": 9_007_199_254_740_993_u64, "a": [1, 2]});
    let canonical = PayloadRef::put_canonical(&folder, &value).unwrap();
    assert_eq!(canonical.media_type(), Some("application/json"));
    let spelled = PayloadRef::put(&folder, r#"{ "a": [1.0, 2e0], "b": 9007199254740993 }"#).unwrap();
    assert_ne!(canonical.hash(), spelled.hash());
    let text = |payload: &PayloadRef| payload.read_canonical(&folder, MAX).unwrap();
    assert_eq!(text(&canonical), text(&spelled));
    assert_eq!(Fingerprint::of_text(text(&spelled)).unwrap(), Fingerprint::of(&value).unwrap());
    let back: serde_json::Value = canonical.read_json(&folder, MAX).unwrap();
    assert_eq!(back, value);

    let broken = PayloadRef::put(&folder, "{").unwrap();
    assert_eq!(broken.read_json::<u8>(&folder, MAX).unwrap_err().fault().code, "payload.not_json");
    assert_eq!(broken.read_canonical(&folder, MAX).unwrap_err().fault().code, "payload.not_canonical");
    assert!(matches!(PayloadRef::put_canonical(&folder, &f64::NAN).unwrap_err(), Error::Canonical(_)));
}
