//! Secrets among the words of a command: never stored, and looked for in what is.

use std::ffi::OsStr;
use std::ops::Range;

use globset::{GlobBuilder, GlobMatcher};

use crate::act::command::Captured;
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
    /// The secrets in it.
    pub(super) secrets: Vec<String>,
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
            found.extend(hidden.filter(|hidden| !hidden.secrets.is_empty()).map(|hidden| (place, hidden)));
        }
        found
    }
}

/// `--password`, whose value is the next word.
fn is_name_of_secret(names: &Names, word: &str) -> bool {
    let is_option = word.starts_with('-') && !word.contains('=');
    // The name of a file tells nothing of what is in it.
    is_option && !word.ends_with("-file") && names.is_secret(word)
}

fn whole(word: &str) -> Hidden {
    Hidden { shown: String::from(REDACTED), secrets: lines_of(word) }
}

/// A secret, and each of its lines: what repeats one of them tells a part of it.
fn lines_of(secret: &str) -> Vec<String> {
    let lines = secret.lines().map(str::trim).filter(|line| *line != secret).map(str::to_owned);
    std::iter::once(secret.to_owned()).chain(lines).filter(|line| !line.is_empty()).collect()
}

/// Of `NAME=VALUE` the value.
fn valued(word: &str) -> Option<Hidden> {
    let (name, value) = word.split_once('=')?;
    Some(Hidden { shown: format!("{name}={REDACTED}"), secrets: lines_of(value) })
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
    (shown != word).then(|| amid(word, shown.into_owned()))
}

/// Secrets amid other things: each of them, as far as it can be told apart, and all of the text.
fn amid(text: &str, shown: String) -> Hidden {
    let mut secrets = vec![text.to_owned()];
    for gap in gaps(text, &shown) {
        let value = text.get(gap).unwrap_or_default();
        secrets.extend(lines_of(value));
        // Behind the word that says of what kind it is, and before what else stands on the line.
        let mut words = value.split_whitespace();
        let first = words.next().filter(|word| !is_scheme(word)).or_else(|| words.next());
        secrets.extend(first.map(|word| word.trim_matches(['"', '\'']).to_owned()));
    }
    secrets.retain(|secret| !secret.is_empty());
    // It may stand there once more, under no name.
    Hidden { shown: scrubbed(shown, &secrets), secrets }
}

fn is_scheme(word: &str) -> bool {
    ["basic", "bearer", "token"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Where in `text` stood what is redacted in `shown`.
fn gaps(text: &str, shown: &str) -> Vec<Range<usize>> {
    let mut parts = shown.split(REDACTED);
    let Some(mut at) = parts.next().filter(|first| text.starts_with(first)).map(str::len) else {
        return Vec::new();
    };
    let mut gaps = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let rest = text.get(at..).unwrap_or_default();
        let last = parts.peek().is_none();
        let length = if last { rest.strip_suffix(part).map(str::len) } else { rest.find(part) };
        // It was not only left out, but written in another way.
        let Some(length) = length else { break };
        gaps.push(at..at + length);
        at += length + part.len();
    }
    gaps
}

/// A command for a shell without its secrets; none if it has none. What a variable or another command gives is no secret of the text.
pub(super) fn of_script(script: &str) -> Option<Hidden> {
    let names = Names::new();
    let mut shown = String::new();
    let mut rest = script;
    while !rest.is_empty() {
        let safe = named_words(&names, &names.body(rest.as_bytes()));
        let all = gaps(rest, &safe);
        let reference = all.iter().find_map(|gap| {
            let before = script.get(..script.len() - rest.len() + gap.start)?;
            // Within single quotes the shell takes it as it is.
            let literal = before.matches('\'').count() % 2 == 1;
            let end = gap.start + referred(rest.get(gap.clone())?, before.matches('"').count())?;
            (!literal).then_some((gap.start, end))
        });
        let Some((start, end)) = reference else {
            shown.push_str(&safe);
            break;
        };
        let (before, after) = rest.split_at(end);
        let kept = before.get(..start).unwrap_or_default();
        shown.push_str(&named_words(&names, &names.body(kept.as_bytes())));
        shown.push_str(before.get(start..).unwrap_or_default());
        rest = after;
    }
    (shown != script).then(|| amid(script, shown))
}

/// How far a value goes that begins with a reference of the shell: `$NAME`, `"${NAME}"`, `Bearer $(`. Before it stand so many quotes.
fn referred(value: &str, quotes: usize) -> Option<usize> {
    let mut at = value.len() - value.trim_start_matches([' ', '"']).len();
    let rest = value.get(at..)?;
    if let Some((scheme, more)) = rest.split_once(' ').filter(|(word, _)| is_scheme(word)) {
        at += scheme.len() + 1 + (more.len() - more.trim_start_matches([' ', '"']).len());
    }
    // Of an address, whoever asks stands before it.
    let user = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if let Some((user, _)) = value.get(at..)?.split_once(":$").filter(|(before, _)| user(before)) {
        at += user.len() + 1;
    }
    let rest = value.get(at..)?;
    if rest.starts_with("$(") || rest.starts_with('`') {
        return Some(at + if rest.starts_with('$') { 2 } else { 1 });
    }
    let name =
        |text: &str| text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let length = if let Some(braced) = rest.strip_prefix("${") {
        let length = name(braced);
        (length > 0 && braced.get(length..)?.starts_with('}')).then_some(length + 3)?
    } else {
        let length = name(rest.strip_prefix('$')?);
        (length > 0).then_some(length + 1)?
    };
    // Something else in the same word is not what the variable gives.
    let quoted = (quotes + value.get(..at)?.matches('"').count()) % 2 == 1;
    let ends =
        |next: char| "\")@".contains(next) || !quoted && (next.is_whitespace() || "';|&<>".contains(next));
    let next = rest.get(length..)?.chars().next();
    next.is_none_or(ends).then_some(at + length)
}

/// The value behind `--password` in a text of many words.
fn named_words(names: &Names, text: &str) -> String {
    let mut shown = String::new();
    let mut named = false;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        if word.is_empty() {
            shown.push_str(piece);
            continue;
        }
        let value = word.trim_matches(['"', '\'']);
        let after_its_name = std::mem::replace(&mut named, is_name_of_secret(names, word));
        let plain = value.is_empty() || value == REDACTED || value.starts_with('-');
        if after_its_name && !plain && (word.starts_with('\'') || referred(value, 0).is_none()) {
            shown.push_str(&piece.replacen(value, REDACTED, 1));
        } else {
            shown.push_str(piece);
        }
    }
    shown
}

/// `text` without these secrets. They may overlap, and one may be a part of another.
pub(super) fn scrubbed(text: String, secrets: &[String]) -> String {
    let mut found: Vec<Range<usize>> = Vec::new();
    for secret in looked_for(secrets) {
        let mut at = 0;
        while let Some(start) = text.get(at..).and_then(|rest| rest.find(secret)).map(|start| at + start) {
            found.push(start..start + secret.len());
            // The next may begin within this one.
            at = start + secret.chars().next().map_or(1, char::len_utf8);
        }
    }
    if found.is_empty() {
        return text;
    }
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        if range.start >= at {
            clean.push_str(text.get(at..range.start).unwrap_or_default());
            clean.push_str(REDACTED);
        }
        at = at.max(range.end);
    }
    clean.push_str(text.get(at..).unwrap_or_default());
    clean
}

/// A stream without these secrets, nor the parts of them where it was cut. It is as if that had been written.
pub(super) fn cleaned(captured: &mut Captured, secrets: &[String]) {
    if looked_for(secrets).next().is_none() {
        return;
    }
    let whole = captured.is_whole();
    if whole && !captured.tail.is_empty() {
        // One may lie across the seam.
        captured.head.append(&mut captured.tail);
    }
    let left_out = captured.left_out();
    for (is_head, part) in [(true, &mut captured.head), (false, &mut captured.tail)] {
        let text = String::from_utf8_lossy(part).into_owned();
        let uncut = match (whole, is_head) {
            (true, _) => &text,
            (false, true) => without_beginnings(&text, secrets),
            (false, false) => without_ends(&text, secrets),
        };
        let clean = scrubbed(uncut.to_owned(), secrets);
        // What is no text stays as it is.
        if clean != text {
            *part = clean.into_bytes();
        }
    }
    let kept = captured.head.len().saturating_add(captured.tail.len());
    captured.bytes = left_out.saturating_add(u64::try_from(kept).unwrap_or(u64::MAX));
}

fn looked_for(secrets: &[String]) -> impl Iterator<Item = &str> {
    secrets.iter().map(String::as_str).filter(|secret| secret.len() >= LOOKED_FOR)
}

/// The beginning of a stream up to where a secret was cut at its end.
fn without_beginnings<'a>(text: &'a str, secrets: &[String]) -> &'a str {
    let cut = |secret: &str| {
        let ends = secret.char_indices().map(|(at, _)| at).rev();
        ends.take_while(|end| *end >= LOOKED_FOR)
            .find(|end| secret.get(..*end).is_some_and(|part| text.ends_with(part)))
    };
    let longest = looked_for(secrets).filter_map(cut).max().unwrap_or(0);
    text.get(..text.len() - longest).unwrap_or(text)
}

/// The end of a stream from where a secret was cut at its beginning.
fn without_ends<'a>(text: &'a str, secrets: &[String]) -> &'a str {
    let cut = |secret: &str| {
        let starts = secret.char_indices().map(|(at, _)| at).skip(1);
        let mut parts = starts.filter_map(|start| secret.get(start..));
        parts.find(|part| part.len() >= LOOKED_FOR && text.starts_with(part)).map(str::len)
    };
    let longest = looked_for(secrets).filter_map(cut).max().unwrap_or(0);
    text.get(longest..).unwrap_or(text)
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
        assert_eq!(shown(&[], &["pay", "--password-file", "/run/pw"])[2], "/run/pw");
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

    #[test]
    fn secrets_that_overlap_leave_nothing_of_each_other() {
        let of = |text: &str, secrets: &[&str]| {
            let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
            scrubbed(text.to_owned(), &secrets)
        };
        assert_eq!(of("is s3cr3tZQCDEF.", &["s3cr3tZQC", "s3cr3tZQCDEF"]), "is [redacted].");
        assert_eq!(of("abcdefgh", &["abcdef", "defgh"]), "[redacted]");
        assert_eq!(of("aaaaaab", &["aaaa"]), "[redacted]b");
        assert_eq!(of("acted acted", &["acted"]), "[redacted] [redacted]");
        assert_eq!(of("ééééx", &["éé"]), "[redacted]x");
    }

    #[test]
    fn each_line_of_a_secret_is_one() {
        let key = "-----BEGIN KEY-----\n  AAAABBBBCCCC\nZZZZlast\n.\n";
        let os = [OsStr::new("sign"), OsStr::new(key)];
        let hidden = Said::of(&[String::from("1")], 2).unwrap().hidden(&os);
        let clean = |text: &str| scrubbed(text.to_owned(), &hidden[0].1.secrets);
        assert_eq!(clean("bad key: ZZZZlast"), "bad key: [redacted]");
        assert_eq!(clean("AAAABBBBCCCC."), "[redacted].");
        assert_eq!(clean(&format!("is {key}")), "is [redacted]");
    }

    #[test]
    fn a_secret_amid_other_things_is_known_by_itself() {
        let os = [OsStr::new("sh"), OsStr::new("curl -H 'Authorization: Bearer s3cr3t' https://me:pa55@h/")];
        let hidden = Said::default().hidden(&os);
        let clean = scrubbed(String::from("refused: s3cr3t"), &hidden[0].1.secrets);
        assert_eq!(clean, "refused: [redacted]");
    }

    #[test]
    fn a_script_is_stored_without_its_secrets_and_what_it_refers_to_is_none() {
        let shown = |script: &str| of_script(script).map(|hidden| hidden.shown);
        for (script, secret) in [
            ("curl -H 'Authorization: Bearer s3cr3t' x", "s3cr3t"),
            ("curl https://me:s3cr3t@h/x && echo", "s3cr3t"),
            ("asks --password s3cr3t -v", "s3cr3t"),
            ("asks --token '$s3cr3t'", "s3cr3t"),
            ("PASSWORD=s3cr3t asks", "s3cr3t"),
            ("PASSWORD=s3cr3t asks s3cr3t", "s3cr3t"),
            ("asks --token $T; curl -H 'X-Token: s3cr3t'", "s3cr3t"),
            ("asks --password=$(cat f) --api-key=s3cr3t", "s3cr3t"),
            ("asks --password=$HALFs3cr3t-rest", "s3cr3t"),
            ("PASSWORD=\"$HALF s3cr3t\" asks", "s3cr3t"),
            ("curl -H \"Authorization: Bearer $HALF s3cr3t\"", "s3cr3t"),
        ] {
            let shown = shown(script).unwrap_or_else(|| panic!("nothing was hidden: {script}"));
            assert!(!shown.contains(secret) && shown.contains(REDACTED), "{shown}");
        }
        for plain in [
            "test -e done",
            "curl -H \"Authorization: Bearer $TOKEN\" https://h/x",
            "curl \"https://me:$PW@h/x\"",
            "asks --password \"$PW\" && test \"$(cat token)\" = x",
            "PASSWORD=$(cat /run/pw) asks",
            "asks --token-file /run/token",
        ] {
            assert_eq!(shown(plain), None, "{plain}");
        }
    }

    #[test]
    fn a_stream_is_clean_also_where_it_was_cut() {
        let secrets = [String::from("tr0ub4dor-and-more")];
        let of = |head: &str, tail: &str, bytes: u64| {
            let mut captured = Captured { head: head.into(), tail: tail.into(), bytes };
            cleaned(&mut captured, &secrets);
            captured
        };
        let whole = of("says tr0ub4dor-", "and-more.", 24);
        assert_eq!((whole.text(), whole.is_whole()), (String::from("says [redacted]."), true));
        let cut = of("says tr0ub4d", "or-and-more.\nend", 1000);
        assert_eq!((cut.head, cut.tail), (b"says ".to_vec(), b".\nend".to_vec()));
        let noise = Captured { head: vec![0xff; 9], tail: Vec::new(), bytes: 9 };
        let mut same = noise.clone();
        cleaned(&mut same, &secrets);
        assert_eq!(same, noise);
    }
}
