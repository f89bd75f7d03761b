//! Secrets among the words of a command: never stored, and looked for in what is.

use std::ffi::OsStr;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::redact::{Names, REDACTED, Redact};
use crate::base::text;
use crate::operate::cli::failure::Failure;

/// A secret of fewer bytes is not looked for in other text: it would be found everywhere.
const LOOKED_FOR: usize = 4;

/// Which words are secrets, as the person said.
#[derive(Debug, Default)]
pub(super) struct Said {
    places: Vec<usize>,
    patterns: Vec<GlobMatcher>,
}

/// A word as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hidden {
    /// What stands there instead.
    pub(super) shown: String,
    /// The secret in it.
    pub(super) secret: String,
}

impl Said {
    /// `N` is the place of a word, `PATTERN` a glob over all of it.
    pub(super) fn of(given: &[String], words: usize) -> Result<Self, Failure> {
        let mut said = Self::default();
        for one in given {
            if let Ok(place) = one.parse::<usize>() {
                if place == 0 || place >= words {
                    let message = format!(
                        "--secret-arg is {place}; the command has {} words after the program",
                        words.saturating_sub(1)
                    );
                    return Err(Failure::usage(message));
                }
                said.places.push(place);
                continue;
            }
            let glob = GlobBuilder::new(one).literal_separator(false).build().map_err(|error| {
                let shown = text::shortened(one, 60);
                Failure::usage(format!("--secret-arg is {shown:?}: {}", error.kind()))
            })?;
            said.patterns.push(glob.compile_matcher());
        }
        Ok(said)
    }

    /// Each word that has a secret, by its place.
    pub(super) fn hidden(&self, words: &[&OsStr]) -> Vec<(usize, Hidden)> {
        let names = Names::new();
        let mut found = Vec::new();
        let mut named = false;
        for (place, word) in words.iter().enumerate() {
            let word = word.to_string_lossy();
            let after_its_name = std::mem::replace(&mut named, is_name_of_secret(&names, &word));
            let said = self.places.contains(&place) || self.patterns.iter().any(|glob| glob.is_match(&*word));
            if place == 0 {
                continue;
            }
            let hidden = if said {
                Some(valued(&word).unwrap_or_else(|| whole(&word)))
            } else if after_its_name && !word.starts_with('-') {
                Some(whole(&word))
            } else {
                by_name(&names, &word)
            };
            found.extend(hidden.filter(|hidden| !hidden.secret.is_empty()).map(|hidden| (place, hidden)));
        }
        found
    }
}

/// `--password`, whose value is the next word.
fn is_name_of_secret(names: &Names, word: &str) -> bool {
    word.starts_with('-') && !word.contains('=') && names.is_secret(word)
}

fn whole(word: &str) -> Hidden {
    Hidden { shown: String::from(REDACTED), secret: word.to_owned() }
}

/// Of `NAME=VALUE` the value.
fn valued(word: &str) -> Option<Hidden> {
    let (name, value) = word.split_once('=')?;
    Some(Hidden { shown: format!("{name}={REDACTED}"), secret: value.to_owned() })
}

/// What stands under a name that means a secret; all of the word where it is amid other things.
fn by_name(names: &Names, word: &str) -> Option<Hidden> {
    if let Some((name, _)) = word.split_once('=')
        && names.is_secret(name)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return valued(word);
    }
    let shown = names.body(word.as_bytes());
    let shown =
        if word.contains("://") && !word.contains(char::is_whitespace) { names.url(word) } else { shown };
    (shown != word).then(|| Hidden { shown: shown.into_owned(), secret: word.to_owned() })
}

/// `text` without these secrets.
pub(super) fn scrubbed(mut text: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| secret.len() >= LOOKED_FOR) {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), REDACTED);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(given: &[&str], words: &[&str]) -> Vec<String> {
        let given: Vec<String> = given.iter().map(|&one| one.to_owned()).collect();
        let os: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let hidden = Said::of(&given, words.len()).unwrap().hidden(&os);
        let mut all: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        for (place, hidden) in hidden {
            all[place] = hidden.shown;
        }
        all
    }

    #[test]
    fn what_stands_under_the_name_of_a_secret_is_one() {
        assert_eq!(shown(&[], &["pay", "--password", "hunter2"])[2], "[redacted]");
        assert_eq!(shown(&[], &["pay", "--api-key=abc", "-v"])[1], "--api-key=[redacted]");
        assert_eq!(shown(&[], &["pay", "--token", "--dry"])[2], "--dry", "the next option is no value");
        assert_eq!(shown(&[], &["curl", "https://me:pw@h/x"])[1], "https://[redacted]@h/x");
        assert_eq!(shown(&[], &["curl", "-H", "Authorization: Bearer abc"])[2], "Authorization: [redacted]");
        assert_eq!(shown(&[], &["true", "a", "b=c"]), ["true", "a", "b=c"]);
    }

    #[test]
    fn what_a_person_says_is_a_secret_is_one() {
        assert_eq!(shown(&["2"], &["pay", "4711", "0000"]), ["pay", "4711", "[redacted]"]);
        assert_eq!(shown(&["--pin=*"], &["pay", "--pin=0000"]), ["pay", "--pin=[redacted]"]);
        assert!(Said::of(&[String::from("3")], 3).is_err(), "there is no third");
        assert!(Said::of(&[String::from("0")], 3).is_err(), "the program is no secret");
        assert!(Said::of(&[String::from("a[")], 3).is_err());
    }

    #[test]
    fn a_secret_is_found_in_other_text() {
        let secrets = [String::from("hunter2"), String::from("ab")];
        assert_eq!(scrubbed(String::from("login ab:hunter2 failed"), &secrets), "login ab:[redacted] failed");
    }
}
