use proptest::prelude::*;

use super::*;

/// Names of each kind that must be found, as people write them.
fn secret_name() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "authorization",
        "Proxy-Authorization",
        "cookie",
        "Set-Cookie",
        "x-api-key",
        "api_key",
        "apikey",
        "apiKey",
        "access_token",
        "Token",
        "client-secret",
        "password",
        "PASSWD",
        "X-Amz-Signature",
        "session",
        "credential",
    ]);
    ("[a-z]{0,4}", word, "[a-z]{0,4}").prop_map(|(before, word, after)| match (before.len(), after.len()) {
        (0, 0) => word.to_owned(),
        (0, _) => format!("{word}_{after}"),
        (_, 0) => format!("{before}-{word}"),
        _ => format!("{before}_{word}-{after}"),
    })
}

fn parameter() -> impl Strategy<Value = String> {
    prop_oneof![
        secret_name(),
        prop::sample::select(vec!["sig", "key", "code", "Code"]).prop_map(str::to_owned)
    ]
}

/// A secret that needs no escaping anywhere.
fn plain() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._~-]{12,40}"
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #[test]
    fn a_secret_under_a_name_in_a_header_never_survives(name in secret_name(), secret in "\\PC{12,40}") {
        prop_assert_eq!(Names::new().header(&name, &secret), REDACTED);
    }

    #[test]
    fn a_secret_in_an_address_never_survives(
        name in parameter(), secret in plain(), other in "[a-z]{1,5}", coded in any::<bool>(), place in 0..6,
    ) {
        let name = if coded { percent(&name) } else { name };
        let url = match place {
            0 => format!("https://ada:{secret}@example.org/{other}"),
            1 => format!("https://{secret}@example.org"),
            2 => format!("https://example.org/{other}?{other}=1&{name}={secret}"),
            3 => format!("/{other}?{name}={secret}&{other}=2"),
            4 => format!("https://example.org/{other}#{name}={secret}&{other}=2"),
            _ => format!("https://example.org/?next={}", percent(&format!("https://a/?{name}={secret}"))),
        };
        let kept = Names::new().url(&url).into_owned();
        prop_assert!(!kept.contains(&secret) && !kept.contains(&percent(&secret)), "{} became {}", url, kept);
        prop_assert!(kept.contains(REDACTED));
        let header = Names::new().header("Location", &url).into_owned();
        prop_assert!(coded || !header.contains(&secret), "{} became {}", url, header);
        let text = format!("see {url} for more");
        prop_assert!(place == 3 || !Names::new().body(text.as_bytes()).contains(&secret), "{}", text);
    }

    #[test]
    fn a_secret_under_a_name_in_json_never_survives(
        name in secret_name(), secret in "\\PC{12,40}", path in prop::collection::vec("\\PC{0,6}", 0..12),
        list in any::<bool>(), cut in any::<prop::sample::Index>(), indent in any::<bool>(),
    ) {
        let mut value = serde_json::Value::String(secret.clone());
        if list {
            value = serde_json::json!([1, {"deep": value, "and": "what follows"}]);
        }
        value = serde_json::json!({ name: value });
        for member in path {
            value = serde_json::json!({ member: value, "z": [null, true, "ok"] });
        }
        let text = if indent { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let written = serde_json::to_string(&secret).unwrap();
        let written = written.trim_matches('"');
        let kept = Names::new().body(text.as_bytes()).into_owned();
        prop_assert!(!kept.contains(&secret) && !kept.contains(written), "{} became {}", text, kept);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&kept).is_ok(), "the shape is lost: {}", kept);
        // Cut anywhere, as an excerpt is: not even a part of it survives.
        let cut = &text.as_bytes()[..cut.index(text.len() + 1)];
        let head: String = secret.chars().take(8).collect();
        let kept = Names::new().body(cut).into_owned();
        prop_assert!(!kept.contains(&head), "{} became {}", String::from_utf8_lossy(cut), kept);
        // As text in JSON.
        let nested = serde_json::json!({ "payload": text }).to_string();
        let kept = Names::new().body(nested.as_bytes()).into_owned();
        prop_assert!(!kept.contains(&secret) && !kept.contains(&head), "{} became {}", nested, kept);
    }

    #[test]
    fn a_secret_in_a_form_never_survives(
        name in parameter(), secret in "\\PC{12,40}", coded in any::<bool>(), other in "[e-h]{1,5}",
    ) {
        let name = if coded { percent(&name) } else { name };
        let form = format!("{other}=1&{name}={}&{other}=2", percent(&secret));
        let kept = Names::new().body(form.as_bytes()).into_owned();
        prop_assert_eq!(kept, format!("{other}=1&{name}={REDACTED}&{other}=2"));
    }

    #[test]
    fn names_can_be_added(name in "[a-z]{5,9}", secret in plain()) {
        let names = Names::new().and(&name.to_uppercase());
        let kept = names.body(format!("{{\"x\":{{\"my_{name}\":\"{secret}\"}}}}").as_bytes()).into_owned();
        prop_assert!(!kept.contains(&secret));
    }

    #[test]
    fn no_bytes_panic_and_nothing_grows_without_bound(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let names = Names::new();
        let kept = names.body(&bytes).into_owned();
        prop_assert!(kept.len() <= bytes.len() * 8 + 2 * REDACTED.len());
        let text = String::from_utf8_lossy(&bytes);
        drop((names.header("x", &text).into_owned(), names.url(&text).into_owned()));
    }

    #[test]
    fn no_text_of_marks_panics(text in "[\"'\\\\{}\\[\\]:=&;?#@/ a%+tokenu\u{e9}]{0,60}") {
        let names = Names::new();
        drop((names.body(text.as_bytes()).into_owned(), names.header("x", &text).into_owned(), names.url(&text).into_owned()));
    }
}

#[test]
fn the_shape_stays() {
    let names = Names::new();
    for (body, kept) in [
        (r#"{"page": 2, "error": {"code": 403, "message": "no"}}"#, None),
        (r#"{"token": null, "n": [1, 2]}"#, None),
        (r#"{"token":12345,"n":1}"#, Some(r#"{"token":"[redacted]","n":1}"#)),
        (r#"{"credentials":{"user":"a","x":[1]},"n":1}"#, Some(r#"{"credentials":"[redacted]","n":1}"#)),
        (r#"{"t\u006fken":"abc"}"#, Some(r#"{"t\u006fken":"[redacted]"}"#)),
        (r#"{"token":"abc"#, Some(r#"{"token":"[redacted]""#)),
        (
            "{\"token\":\"a\"}\n{\"token\":\"b\"}\n",
            Some("{\"token\":\"[redacted]\"}\n{\"token\":\"[redacted]\"}\n"),
        ),
        (r#"{"next":"https://a/?code=x&p=1"}"#, Some(r#"{"next":"https://a/?code=[redacted]&p=1"}"#)),
        ("plain words, 5\" long", None),
        ("Authorization: Basic YWRhOng=\nHost: a", Some("Authorization: [redacted]\nHost: a")),
        ("failed with password='a b', user=ada", Some("failed with password='[redacted]', user=ada")),
        ("a=1&password=a b c&n=2", Some("a=1&password=[redacted]&n=2")),
        ("password=a b c", Some("password=[redacted]")),
        ("see /cb?code=abc for more", Some("see /cb?code=[redacted] for more")),
        ("sent Bearer abc.def", Some("sent Bearer [redacted]")),
        ("5\" {\"token\":\"abc\"}", Some("5\" {\"token\":\"[redacted]\"}")),
        (r#"log: {\"token\":\"abc\",\"n\":1}"#, Some(r#"log: {\"token\":\"[redacted]\",\"n\":1}"#)),
    ] {
        assert_eq!(names.body(body.as_bytes()), kept.unwrap_or(body), "{body}");
    }
    assert_eq!(names.header("Accept", "application/json;q=0.9"), "application/json;q=0.9");
    assert_eq!(names.url("https://example.org/a/b?page=2#top"), "https://example.org/a/b?page=2#top");
}

#[test]
fn what_is_redacted_once_is_not_changed_again() {
    let names = Names::new();
    let body = r#"{"a":{"token":"x"},"u":"https://a:b@c/?sig=1"}"#;
    let once = names.body(body.as_bytes()).into_owned();
    assert!(matches!(names.body(once.as_bytes()), Cow::Borrowed(_)), "{once}");
}

#[test]
fn text_in_text_beyond_the_depth_is_hidden_whole() {
    let mut body = String::from(r#"{"token":"s3cr3t-s3cr3t"}"#);
    for _ in 0..8 {
        body = serde_json::json!({ "inner": body }).to_string();
    }
    let kept = Names::new().body(body.as_bytes()).into_owned();
    assert!(!kept.contains("s3cr3t"), "{kept}");
}

#[test]
fn a_long_body_is_looked_through_in_bounded_time_and_cut() {
    let body = "\"token\":[[[".repeat(100_000);
    assert!(Names::new().body(body.as_bytes()).len() <= 2 * TEXT_MAX);
    let body = "a=%3F%3D%3F".repeat(100_000);
    assert!(Names::new().body(body.as_bytes()).len() <= 2 * TEXT_MAX);
}
