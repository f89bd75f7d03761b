//! Keys and fingerprints.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;

use proptest::prelude::*;

use crate::base::canonical::{Fingerprint, Form, Hasher, InvalidFingerprint, InvalidKey, Key, from_text};

#[test]
fn a_fingerprint_is_the_sha256_of_the_canonical_text() {
    // printf '{"a":1,"b":[2,"x"]}' | sha256sum
    let golden = "jcs1:sha256:454597f51f0e5988dd7d0864f82e826d91fd43ed815a21bb06cd7181e8547a2f";
    let text = Fingerprint::of_text(r#"{ "b": [2.0, "x"], "a": 1 }"#).unwrap();
    assert_eq!(text.to_string(), golden);
    assert_eq!(text.form(), Form::Json);
    assert_eq!(golden.parse(), Ok(text));
    // printf abc | sha256sum, the first example of FIPS 180-2.
    assert_eq!(
        Fingerprint::of_bytes("abc").to_string(),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn the_golden_rows_of_the_first_form() {
    let rows = include_str!("../../../../tests/golden/jcs1.tsv").lines().filter(|row| !row.starts_with('#'));
    let mut count = 0;
    for row in rows {
        let [json, form, hex] = row.split('\t').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(from_text(json).unwrap(), form);
        assert_eq!(Fingerprint::of_text(json).unwrap().to_string(), format!("jcs1:sha256:{hex}"), "{json}");
        count += 1;
    }
    assert_eq!(count, 8);
}

#[test]
fn neighbours_beyond_2_to_the_53_have_their_own_fingerprints() {
    let of = |n: u64| Fingerprint::of(&n).unwrap();
    assert_ne!(of(9_007_199_254_740_992), of(9_007_199_254_740_993));
    assert_ne!(of(u64::MAX), of(u64::MAX - 1));
    assert_eq!(of(1), Fingerprint::of(&1.0).unwrap());
}

#[test]
fn json_and_bytes_are_never_equal() {
    let json = Fingerprint::of(&1).unwrap();
    let bytes = Fingerprint::of_bytes("1");
    assert_eq!(json.digest(), bytes.digest());
    assert_ne!(json, bytes);
}

#[test]
fn a_fingerprint_that_is_none_is_refused() {
    let hex = "0".repeat(64);
    let parse = |text: &str| text.parse::<Fingerprint>().unwrap_err();
    assert_eq!(parse(&hex), InvalidFingerprint::Tag);
    assert_eq!(parse(&format!("jcs2:sha256:{hex}")), InvalidFingerprint::Tag);
    assert_eq!(parse("sha256:00"), InvalidFingerprint::Digits);
    assert_eq!(parse(&format!("sha256:{}", "A".repeat(64))), InvalidFingerprint::Digits);
    assert_eq!(parse(&format!("sha256:{}", "é".repeat(32))), InvalidFingerprint::Digits);
}

#[test]
fn a_key_reads_as_it_is_meant() {
    let key = Key::new("billing", "invoice", 42).unwrap();
    assert_eq!(key.to_string(), "billing/invoice/42");
    assert_eq!((key.scope().as_ref(), key.kind().as_ref(), key.id().as_ref()), ("billing", "invoice", "42"));
    assert_eq!(key.payload(), None);
    let odd = Key::new("a/b", "50%", "x\n\u{85}y").unwrap();
    assert_eq!(odd.as_str(), "a%2Fb/50%25/x%0A%C2%85y");
    assert_eq!((odd.scope().as_ref(), odd.kind().as_ref(), odd.id().as_ref()), ("a/b", "50%", "x\n\u{85}y"));
}

#[test]
fn a_payload_tells_two_actions_of_one_identity_apart() {
    let key = || Key::new("billing", "refund", 42).unwrap();
    let first = key().with_payload(&serde_json::json!({ "amount": 5 })).unwrap();
    let second = key().with_payload(&serde_json::json!({ "amount": 6 })).unwrap();
    assert_ne!(first, second);
    assert_eq!(first.as_str().strip_suffix(first.payload().unwrap()), Some("billing/refund/42/"));
    assert_eq!(first.id(), "42");
    assert_eq!(first.clone().with_payload(&serde_json::json!({ "amount": 6.0 })).unwrap(), second);
    assert_eq!(first.as_str().parse(), Ok(first));
    assert!(matches!(key().with_payload(&f64::NAN), Err(InvalidKey::Payload(_))));
}

#[test]
fn a_key_that_would_confuse_work_is_refused() {
    assert_eq!(Key::new("", "b", 1), Err(InvalidKey::Empty { part: "scope" }));
    assert_eq!(Key::new("a", "b", ""), Err(InvalidKey::Empty { part: "id" }));
    let limit = Key::BYTES_MAX;
    assert_eq!(Key::new("a", "b", "x".repeat(limit)), Err(InvalidKey::TooLong { limit }));
    assert_eq!(Key::new("a", "b", "/".repeat(limit / 3)), Err(InvalidKey::TooLong { limit }));
    assert!(Key::new("a", "b", "x".repeat(limit - 4)).is_ok());
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    assert_eq!(Key::new("a", "b", Broken), Err(InvalidKey::Display));
}

#[test]
fn only_the_text_of_a_key_is_read_as_one() {
    let parse = |text: &str| text.parse::<Key>();
    assert_eq!(parse("a/b"), Err(InvalidKey::Parts { given: 2 }));
    assert_eq!(parse("a/b/c/0011223344556677/e"), Err(InvalidKey::Parts { given: 5 }));
    assert_eq!(parse("a//c"), Err(InvalidKey::Empty { part: "kind" }));
    // Other spellings of a character that a key writes in one way.
    for id in ["%41", "%2f", "%", "%2", "%C3", "a\nb"] {
        assert_eq!(parse(&format!("a/b/{id}")), Err(InvalidKey::Escape { part: "id" }), "{id}");
    }
    for payload in ["x", "00112233445566", "0011223344556677AA", "001122334455667A", "zz11223344556677"] {
        assert_eq!(
            parse(&format!("a/b/c/{payload}")),
            Err(InvalidKey::Escape { part: "payload" }),
            "{payload}"
        );
    }
    let json: Result<Key, _> = serde_json::from_str("\"a/b\"");
    assert!(json.unwrap_err().to_string().contains("scope/kind/id"));
}

/// Parts out of the characters that could be confused.
fn part() -> impl Strategy<Value = String> {
    prop_oneof!["[a/%2Fé\n ]{1,4}", any::<String>().prop_filter("not empty", |s| !s.is_empty())]
}

proptest! {
    #[test]
    fn different_triples_have_different_texts(
        triples in prop::collection::hash_set((part(), part(), part()), 2..20)
    ) {
        let mut texts = HashSet::new();
        for (scope, kind, id) in &triples {
            let Ok(key) = Key::new(scope, kind, id) else { continue };
            prop_assert_eq!(key.scope(), scope.as_str());
            prop_assert_eq!(key.kind(), kind.as_str());
            prop_assert_eq!(key.id(), id.as_str());
            prop_assert!(!key.as_str().chars().any(char::is_control));
            prop_assert_eq!(key.as_str().parse::<Key>().unwrap(), key.clone());
            let json = serde_json::to_string(&key).unwrap();
            prop_assert_eq!(serde_json::from_str::<Key>(&json).unwrap(), key.clone());
            prop_assert!(texts.insert(key));
        }
    }

    #[test]
    fn what_is_read_as_a_key_is_written_the_same(text in "[a-b/%2F0-9]{0,12}") {
        if let Ok(key) = text.parse::<Key>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn pieces_have_the_fingerprint_of_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        let mut hasher = Hasher::new();
        hasher.update(a);
        hasher.write_all(b).unwrap();
        let whole = Fingerprint::of_bytes(&bytes);
        prop_assert_eq!(hasher.finish(), whole);
        prop_assert_eq!(whole.to_string().parse::<Fingerprint>().unwrap(), whole);
        let json = serde_json::to_string(&whole).unwrap();
        prop_assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), whole);
    }
}
