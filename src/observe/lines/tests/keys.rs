//! Which part of a line is its kind.

use crate::base::explain::Explain;
use crate::decide::baseline::Severity;
use crate::observe::lines::{Key, Keyed, Unkeyed, severity};

fn of(key: &Key, line: &str) -> Result<(String, Severity), Unkeyed> {
    let mut text = b"left from before".to_vec();
    match key.of(line.as_bytes(), &mut text) {
        Keyed::Key { severity, .. } => Ok((String::from_utf8(text).unwrap(), severity)),
        Keyed::None(why) => {
            assert!(text.is_empty());
            Err(why)
        }
    }
}

fn key(text: &str, severity: Severity) -> Result<(String, Severity), Unkeyed> {
    Ok((text.to_owned(), severity))
}

#[test]
fn the_first_word_of_the_message() {
    let first = Key::first_token();
    assert_eq!(of(&first, "12:00:00 ERROR job: Failed for 7"), key("Failed", Severity::Error));
    assert_eq!(of(&first, "alone"), key("alone", Severity::Unknown));
    assert_eq!(of(&first, " \t "), Err(Unkeyed::Empty));
}

#[test]
fn a_field_of_json() {
    let json = Key::json("/event/name").unwrap();
    let line = r#"{"level":"error","event":{"name":"disk full","code":28}}"#;
    assert_eq!(of(&json, line), key("disk full", Severity::Error));
    let code = Key::json("/event/code").unwrap().level_at("/event/name").unwrap();
    assert_eq!(of(&code, line), key("28", Severity::Unknown));
    assert_eq!(of(&json, r#"{"event":{"name":true}}"#), key("true", Severity::Unknown));
    for (line, why) in [
        ("12:00:00 not JSON", Unkeyed::NotJson),
        (r#"{"event":"#, Unkeyed::NotJson),
        (r#"{"event":{"name":null}}"#, Unkeyed::NoField),
        (r#"{"event":{"name":{}}}"#, Unkeyed::NoField),
        (r#"{"event":7}"#, Unkeyed::NoField),
    ] {
        assert_eq!(of(&json, line), Err(why), "{line}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(of(&json, &deep), Err(Unkeyed::NotJson));
    let long = format!(r#"{{"event":{{"name":"{}"}}}}"#, "x".repeat(70_000));
    assert_eq!(of(&json, &long), Err(Unkeyed::NotJson));
    assert_eq!(
        Key::json("event").unwrap_err().to_string(),
        "a JSON pointer is empty or begins with a slash, \"event\" does not"
    );
}

#[test]
fn a_group_of_an_expression() {
    let named = Key::capture(r"code=(?<code>\w+)", "code").unwrap();
    assert_eq!(of(&named, "12:00:00 WARN x code=E17 y"), key("E17", Severity::Warn));
    let whole = Key::capture(r"code=(\w+)", "0").unwrap();
    assert_eq!(of(&whole, "code=E17"), key("code=E17", Severity::Unknown));
    assert_eq!(of(&named, "nothing"), Err(Unkeyed::NoMatch));
    let other = Key::capture("a|(b)", "1").unwrap();
    assert_eq!(of(&other, "a"), Err(Unkeyed::NoMatch));
    let mut text = Vec::new();
    assert!(matches!(named.of(b"\xff code=\xff code=ok", &mut text), Keyed::Key { .. }));
    assert_eq!(text, b"ok");
    for (pattern, group, says) in [
        ("(", "0", "is no pattern"),
        ("(a)", "2", "has no group \"2\""),
        ("(a{5000}){5000}", "0", "is no pattern"),
    ] {
        let error = Key::capture(pattern, group).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn why_a_line_has_no_key_is_said() {
    for why in [Unkeyed::Empty, Unkeyed::NotJson, Unkeyed::NoField, Unkeyed::NoMatch] {
        assert!(why.code().starts_with("lines.") && !why.to_string().is_empty());
    }
}

#[test]
fn words_for_a_severity_are_known_in_any_case() {
    for (word, expected) in [
        ("INFO", Some(Severity::Info)),
        ("warning", Some(Severity::Warn)),
        ("Severe", Some(Severity::Error)),
        ("emerg", Some(Severity::Fatal)),
        ("informational", Some(Severity::Info)),
        ("informationals", None),
        ("", None),
        ("7", None),
        ("main", None),
    ] {
        assert_eq!(severity(word.as_bytes()), expected, "{word}");
    }
}
