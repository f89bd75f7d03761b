//! Whatever reads bytes that others wrote is fed random bytes and valid texts with a few of them changed.

use proptest::prelude::*;

#[path = "../support/parsers.rs"]
mod feed;

/// Texts that are understood: what is near them is where parsers break.
const TEXTS: [&str; 9] =
    ["90s", "1.5h", "512MiB", "2026-11-22T02:10:00Z", "60/min", "ingest~1", "@failed", "a/b/c", "1d12h"];
const POLICIES: [&str; 8] = [
    "09:00-22:00 Mon-Fri Europe/Paris",
    "22:00-06:00",
    "cpu:50,mem:75,disk:/var:10GiB,mounted:/data,psi:20",
    "30 2 * * *",
    "0 9-17/2 * * MON-FRI",
    "@daily",
    "Fri, 31 Dec 1999 23:59:59 GMT",
    "120",
];
const JSON: [&str; 5] = [
    r#"{"a":[1,2.50,-0,1e300],"b":"\u00e9\ud83d\ude80","c":{"token":"x","n":null}}"#,
    r#"[9007199254740993, "https://me:pw@example.org/?sig=1"]"#,
    "user=ada&password=hunter2",
    "Authorization: Bearer abc",
    r#"{"v":1,"state":"closed","failures":[1,2,3]}"#,
];

const SAVED: [&str; 8] = [
    include_str!("../golden/breaker_v1.json"),
    include_str!("../golden/budget_v1.json"),
    include_str!("../golden/gate_v1.json"),
    include_str!("../golden/heartbeat_v1.json"),
    include_str!("../golden/quota_v1.json"),
    include_str!("../golden/restart_v1.json"),
    include_str!("../golden/retry_run_v1.json"),
    include_str!("../golden/ticker_v1.json"),
];

/// One of `valid` with some of its bytes changed, left out or doubled, or bytes of no kind.
fn near(valid: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4);
    let mutated = (prop::sample::select(valid), edits).prop_map(|(text, edits)| {
        let mut bytes = text.as_bytes().to_vec();
        for (index, byte, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        bytes
    });
    prop_oneof![3 => mutated, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_text_makes_a_parser_panic(bytes in near(&TEXTS)) {
        feed::texts(&text(&bytes));
    }

    #[test]
    fn no_policy_makes_a_parser_panic(bytes in near(&POLICIES)) {
        feed::policies(&text(&bytes));
    }

    #[test]
    fn no_bytes_make_the_canonical_form_or_a_redaction_panic(bytes in near(&JSON)) {
        feed::json(&bytes);
    }

    #[test]
    fn no_saved_state_makes_a_decider_panic(bytes in near(&SAVED)) {
        feed::saved(&text(&bytes));
    }
}

#[test]
fn no_file_makes_a_snapshot_panic_and_none_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.json");
    let file = unattended::snapshots::File::<serde_json::Value>::open(&path).unwrap();
    file.save(&serde_json::json!({ "failures": 3 })).unwrap();
    let sound = std::fs::read(&path).unwrap();
    for at in 0..sound.len() {
        for byte in [0, b'"', b'9', 0xff] {
            let mut bytes = sound.clone();
            bytes[at] = byte;
            feed::snapshot(folder.path(), &bytes);
        }
        feed::snapshot(folder.path(), &sound[..at]);
    }
}
