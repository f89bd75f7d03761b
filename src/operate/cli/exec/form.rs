//! A command as its run stores it: what is needed to run it again, without its secrets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use crate::base::canonical::{Fingerprint, Hasher};
use crate::remember::payload::PayloadRef;
use crate::remember::runs::Run;

/// The format that this release writes.
const VERSION: u32 = 1;

/// The input of a run that is a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) exec: Form,
}

/// The command, and on what terms it is run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Form {
    pub(super) v: u32,
    pub(super) argv: Vec<Word>,
    /// Which of the words are not as they were given: the run cannot be replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hidden: Vec<usize>,
    /// Of the words as they were given, and of what it reads.
    pub(super) digest: Fingerprint,
    pub(super) cwd: Word,
    pub(super) uid: u32,
    /// Variables as they were; none for one that was not set.
    pub(super) env: BTreeMap<String, Option<Word>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    pub(super) effect: Class,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verify: Option<String>,
    /// The question is not as it was given: the run cannot be replayed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) verify_hidden: bool,
    pub(super) attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadline_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) deps: Vec<String>,
    /// So many in so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quota: Option<(u32, u64)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) lock: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) during: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gate: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) transient: Vec<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) permanent: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stdin: Option<Given>,
    /// Where locks are that processes of this machine share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) locks: Option<Word>,
}

/// The effect class that was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Class {
    Unsafe,
    Pure,
    Idempotent,
    Verify,
}

/// What it reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Given {
    Inline(Word),
    File { base: Word, payload: PayloadRef },
}

/// Bytes of the system: text, nearly always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Word {
    Text(String),
    Raw { hex: String },
}

impl Word {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Raw { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    pub(super) fn of_os(text: &OsStr) -> Self {
        Self::of(text.as_bytes())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Raw { hex } => {
                let pairs = hex.as_bytes().chunks(2);
                pairs
                    .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                    .collect()
            }
        }
    }

    pub(super) fn os(&self) -> OsString {
        OsString::from_vec(self.bytes())
    }
}

impl Form {
    /// The command of a run; none if the run is an application's own.
    pub(super) fn of(run: &Run) -> Option<Self> {
        let stored: Stored = serde_json::from_str(run.body.input.get()).ok()?;
        (stored.exec.v == VERSION).then_some(stored.exec)
    }

    pub(super) fn blank(argv: Vec<Word>, digest: Fingerprint, cwd: Word, uid: u32) -> Self {
        Self {
            v: VERSION,
            argv,
            hidden: Vec::new(),
            digest,
            cwd,
            uid,
            env: BTreeMap::new(),
            key: None,
            effect: Class::Unsafe,
            verify: None,
            verify_hidden: false,
            attempts: 1,
            timeout_ms: None,
            deadline_ms: None,
            deps: Vec::new(),
            quota: None,
            lock: false,
            during: None,
            gate: None,
            transient: Vec::new(),
            permanent: Vec::new(),
            stdin: None,
            locks: None,
        }
    }
}

/// What the same command has in common with itself.
pub(super) fn digest(words: &[OsString], stdin: Option<&[u8]>) -> Fingerprint {
    let mut hasher = Hasher::new();
    // So that what is read is never taken for words.
    hasher.update(u64::try_from(words.len()).unwrap_or(u64::MAX).to_le_bytes());
    for word in words {
        hasher.update(word.as_bytes());
        hasher.update([0]);
    }
    if let Some(bytes) = stdin {
        hasher.update([0]);
        hasher.update(bytes);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back() {
        for bytes in [&b"plain"[..], b"\xff\x00\xfe", b"", "ü".as_bytes()] {
            let word = Word::of(bytes);
            let text = serde_json::to_string(&word).unwrap();
            let back: Word = serde_json::from_str(&text).unwrap();
            assert_eq!(back.bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn a_command_differs_by_each_of_its_words_and_by_what_it_reads() {
        let of = |words: &[&str], stdin: Option<&str>| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            digest(&words, stdin.map(str::as_bytes))
        };
        let all = [
            of(&["a", "b"], None),
            of(&["ab"], None),
            of(&["a", "b", ""], None),
            of(&["a", "b"], Some("")),
            of(&["a", "b"], Some("c")),
            of(&["a", "b", "", "c"], None),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(of(&["a", "b"], Some("c")), of(&["a", "b"], Some("c")));
    }

    #[test]
    fn a_form_of_the_first_version_is_still_read() {
        let text = include_str!("../../../../tests/golden/exec_form_v1.json");
        let stored: Stored = serde_json::from_str(text).unwrap();
        assert_eq!(stored.exec.argv.len(), 3);
        assert_eq!(serde_json::to_string(&stored).unwrap(), text.trim());
    }
}
