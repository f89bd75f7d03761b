//! What of a run must not be shown: what stands at the paths that its job's contract calls sensitive.
//!
//! The stored input stays whole, for a replay needs it; it is hidden on the way out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::base::redact::REDACTED;
use crate::remember::runs::Body;

/// Shorter values are in every text, and hiding them would leave nothing of it.
const VALUE_MIN: usize = 4;
/// How many values are looked for in a text.
const VALUES_MAX: usize = 256;
/// How deep an input is looked into.
const DEPTH_MAX: usize = 64;

impl Body {
    /// The input as it may be shown: what stands at a sensitive path is `[redacted]`.
    #[must_use]
    pub fn safe_input(&self) -> Cow<'_, str> {
        if self.sensitive.is_empty() {
            return Cow::Borrowed(self.input.get());
        }
        Cow::Owned(hidden(self.input.get(), &self.paths(), 0))
    }

    /// A text about the run, or JSON that it gave, as it may be shown: without the values that stand in the input at sensitive
    /// paths, where they have 4 bytes or more.
    #[must_use]
    pub fn safe<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.sensitive.is_empty() || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut values = Vec::new();
        collect(self.input.get(), &self.paths(), 0, &mut values);
        // The longest first, so that none leaves a part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let mut safe = Cow::Borrowed(text);
        for value in values {
            if safe.contains(&value) {
                safe = Cow::Owned(safe.replace(&value, REDACTED));
            }
        }
        safe
    }

    fn paths(&self) -> Vec<Vec<String>> {
        let of = |path: &String| {
            let names = path.split('/').skip(1);
            names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
        };
        self.sensitive.iter().map(of).collect()
    }
}

/// The paths that go on below the member `name`.
fn below(paths: &[Vec<String>], name: &str) -> Vec<Vec<String>> {
    let goes_on = |path: &&Vec<String>| path.first().is_some_and(|first| first == "*" || first == name);
    paths.iter().filter(goes_on).map(|path| path.get(1..).unwrap_or_default().to_vec()).collect()
}

/// Whether one of the paths ends here.
fn ends(paths: &[Vec<String>], depth: usize) -> bool {
    depth >= DEPTH_MAX || paths.iter().any(Vec::is_empty)
}

fn hidden(json: &str, paths: &[Vec<String>], depth: usize) -> String {
    if paths.is_empty() {
        return json.to_owned();
    }
    if ends(paths, depth) {
        return format!("\"{REDACTED}\"");
    }
    if let Some(members) = members(json) {
        let member = |(name, value): (&str, &RawValue)| {
            let name_json = serde_json::to_string(name).unwrap_or_default();
            format!("{name_json}:{}", hidden(value.get(), &below(paths, name), depth + 1))
        };
        return format!(
            "{{{}}}",
            members
                .iter()
                .map(|(name, value)| (name.as_str(), &**value))
                .map(member)
                .collect::<Vec<_>>()
                .join(",")
        );
    }
    if let Some(items) = items(json) {
        let item =
            |(at, value): (usize, &RawValue)| hidden(value.get(), &below(paths, &at.to_string()), depth + 1);
        return format!(
            "[{}]",
            items.iter().map(|value| &**value).enumerate().map(item).collect::<Vec<_>>().join(",")
        );
    }
    json.to_owned()
}

fn members(json: &str) -> Option<BTreeMap<String, Box<RawValue>>> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

fn items(json: &str) -> Option<Vec<Box<RawValue>>> {
    json.trim_start().starts_with('[').then(|| serde_json::from_str(json).ok()).flatten()
}

/// The texts and numbers at the paths and below them, also as JSON writes them.
fn collect(json: &str, paths: &[Vec<String>], depth: usize, values: &mut Vec<String>) {
    if paths.is_empty() || values.len() >= VALUES_MAX || depth > DEPTH_MAX {
        return;
    }
    // What stands below a sensitive value is sensitive.
    let paths = if ends(paths, depth) { &[Vec::new()][..] } else { paths };
    let inner = |name: &str| if ends(paths, depth) { vec![Vec::new()] } else { below(paths, name) };
    if let Some(members) = members(json) {
        for (name, value) in &members {
            collect(value.get(), &inner(name), depth + 1, values);
        }
    } else if let Some(items) = items(json) {
        for (at, value) in items.iter().enumerate() {
            collect(value.get(), &inner(&at.to_string()), depth + 1, values);
        }
    } else if ends(paths, depth) {
        let written = json.trim();
        let inside = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let written = inside.unwrap_or(written).to_owned();
        let read = serde_json::from_str::<String>(json).unwrap_or_default();
        let long =
            |value: &String| value.len() >= VALUE_MIN && !matches!(value.as_str(), "true" | "false" | "null");
        let found = [read, written];
        values.extend(found.into_iter().filter(long));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(input: &str, sensitive: &[&str]) -> Body {
        let mut body = Body::new(RawValue::from_string(input.to_owned()).unwrap(), Vec::new());
        body.sensitive = sensitive.iter().map(|path| (*path).to_owned()).collect();
        body
    }

    #[test]
    fn what_is_sensitive_is_hidden_and_the_rest_kept_digit_by_digit() {
        let input = r#"{"big":12345678901234567890123,"card":{"no":"4111 1111","to":"ada"},"keys":[{"k":"abcd"},{"k":"efgh"}]}"#;
        let body = body(input, &["/card/no", "/keys/*/k", "/none"]);
        assert_eq!(
            body.safe_input(),
            r#"{"big":12345678901234567890123,"card":{"no":"[redacted]","to":"ada"},"keys":[{"k":"[redacted]"},{"k":"[redacted]"}]}"#
        );
        assert_eq!(body.input.get(), input, "what is stored stays whole");
        assert_eq!(body.safe("card 4111 1111 of ada and abcd"), "card [redacted] of ada and [redacted]");
    }

    #[test]
    fn a_whole_object_and_the_whole_input_can_be_sensitive() {
        let one = body(r#"{"card":{"no":"4111","pin":98765}}"#, &["/card"]);
        assert_eq!(one.safe_input(), r#"{"card":"[redacted]"}"#);
        assert_eq!(one.safe("4111 98765 12"), "[redacted] [redacted] 12");
        let all = body(r#""a \"secret\"""#, &[""]);
        assert_eq!(all.safe_input(), "\"[redacted]\"");
        assert_eq!(all.safe(r#"{"said":"a \"secret\""}"#), r#"{"said":"[redacted]"}"#);
        let none = body(r#"{"a":1}"#, &[]);
        assert!(matches!(none.safe("a"), Cow::Borrowed("a")));
    }
}
