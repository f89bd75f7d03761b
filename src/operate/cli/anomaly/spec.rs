//! How the kind and the unit of a line are written.

use std::fmt;
use std::str::FromStr;

use crate::decide::baseline::Severity;
use crate::observe::lines::{self, Key};
use crate::operate::cli::failure::chain;

/// The highest field that can be asked for.
const FIELD_MAX: u32 = 100;
const ALLOWED: &str = "masked, first-token, field:N, json:NAME or regex:R";

/// What makes the kind of a line, as it was written, and as it works.
#[derive(Clone, Debug)]
pub(super) struct KeySpec {
    text: String,
    key: Key,
}

impl KeySpec {
    /// The one that is taken where none is given.
    pub(super) fn masked() -> Self {
        Self { text: String::from("masked"), key: Key::default() }
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for KeySpec {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for KeySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let key = match (name, rest) {
            ("masked", None) => Key::default(),
            ("first-token", None) => Key::first_token(),
            ("field", Some(number)) => field(number)?,
            ("json", Some(name)) if !name.is_empty() => {
                Key::json(&pointer(name)).map_err(|error| told(&error))?
            }
            ("regex", Some(pattern)) if !pattern.is_empty() => capture(pattern)?,
            _ => return Err(format!("{text:?} is no key; allowed is {ALLOWED}")),
        };
        Ok(Self { text: text.to_owned(), key })
    }
}

/// Which unit of work a line belongs to.
#[derive(Clone, Debug)]
pub(super) struct UnitSpec {
    text: String,
    key: Key,
}

impl UnitSpec {
    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for UnitSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("regex:") {
            Some(pattern) if !pattern.is_empty() => {
                Ok(Self { text: text.to_owned(), key: capture(pattern)? })
            }
            _ => Err(format!("{text:?} is no unit; allowed is regex:R, such as 'regex:session=(\\w+)'")),
        }
    }
}

fn told(error: &lines::Error) -> String {
    chain(error)
}

/// The `number`-th word of a line.
fn field(number: &str) -> Result<Key, String> {
    let invalid = || format!("field:{number} is no field; allowed is field:1 to field:{FIELD_MAX}");
    let number: u32 = number.parse().map_err(|_| invalid())?;
    if !(1..=FIELD_MAX).contains(&number) {
        return Err(invalid());
    }
    let before = number - 1;
    Key::capture(&format!(r"^\s*(?:\S+\s+){{{before}}}(\S+)"), "1").map_err(|error| told(&error))
}

/// `a.b` as the JSON pointer `/a/b`; a pointer is taken as it is.
fn pointer(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/{}", name.replace('.', "/")) }
}

/// The first group, or all that matches where there is none.
fn capture(pattern: &str) -> Result<Key, String> {
    match Key::capture(pattern, "1") {
        Err(lines::Error::Group { .. }) => Key::capture(pattern, "0").map_err(|error| told(&error)),
        other => other.map_err(|error| told(&error)),
    }
}

pub(super) fn severity(text: &str) -> Result<Severity, String> {
    lines::severity(text.as_bytes()).ok_or_else(|| {
        format!("{text:?} is no severity; allowed is debug, info, notice, warn, error or fatal")
    })
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (1e-9..=0.5).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share; allowed is 0.000000001 to 0.5"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::lines::Keyed;

    fn kind(spec: &str, line: &str) -> Option<String> {
        let spec: KeySpec = spec.parse().unwrap();
        let mut text = Vec::new();
        let keyed = spec.key().of(line.as_bytes(), &mut text);
        matches!(keyed, Keyed::Key { .. }).then(|| String::from_utf8(text).unwrap())
    }

    #[test]
    fn each_spec_makes_its_kind() {
        assert_eq!(kind("first-token", "INFO job: started 7"), Some(String::from("started")));
        assert_eq!(kind("field:1", "  GET /a 200"), Some(String::from("GET")));
        assert_eq!(kind("field:3", "GET /a 200"), Some(String::from("200")));
        assert_eq!(kind("field:4", "GET /a 200"), None);
        assert_eq!(kind("json:event.name", r#"{"event":{"name":"up"}}"#), Some(String::from("up")));
        assert_eq!(kind("json:event", r#"{"event":"down"}"#), Some(String::from("down")));
        assert_eq!(kind(r"regex:code=(\d+)", "x code=42 y"), Some(String::from("42")));
        assert_eq!(kind(r"regex:code=\d+", "x code=42 y"), Some(String::from("code=42")));
    }

    #[test]
    fn what_is_no_spec_is_said() {
        for wrong in ["", "mask", "field:0", "field:x", "field:101", "json:", "regex:", "regex:(", "masked:1"]
        {
            assert!(wrong.parse::<KeySpec>().is_err(), "{wrong}");
        }
        assert!("session=(x)".parse::<UnitSpec>().is_err());
        assert!(severity("loud").is_err() && severity("WARN") == Ok(Severity::Warn));
        assert!(share("0.001") == Ok(0.001) && share("1").is_err() && share("NaN").is_err());
    }
}
