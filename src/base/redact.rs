//! What must not be written down: secrets in headers, addresses and bodies.
//!
//! [`Redact`] is the hook that everything recorded goes through; [`Names`] is the one that is on unless another is given.
//! It goes by names, for a name says more about a secret than its looks do: whatever stands under a name like
//! `Authorization` or `api_key` becomes `[redacted]`, and the shape around it stays.
//!
//! ```
//! use unattended::redact::{Names, Redact};
//!
//! let names = Names::new().and("x-customer");
//! assert_eq!(names.header("Authorization", "Bearer s3cr3t"), "[redacted]");
//! assert_eq!(names.url("https://me:pw@example.org/v1?page=2&sig=s3cr3t"), "https://[redacted]@example.org/v1?page=2&sig=[redacted]");
//! assert_eq!(names.body(br#"{"user":"ada","auth":{"token":"s3cr3t"}}"#), r#"{"user":"ada","auth":{"token":"[redacted]"}}"#);
//! assert_eq!(names.header("X-Customer", "ada"), "[redacted]");
//! ```

use std::borrow::Cow;

use crate::base::text;

mod scan;
#[cfg(test)]
mod tests;

use scan::Edits;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// The longest text that is looked through, in bytes; what is beyond it is cut off and not kept.
pub const TEXT_MAX: usize = 64 * 1024;

/// How often a text inside a text is looked into: an address in a JSON string, JSON in a form. Deeper ones are redacted
/// whole where they speak of secrets at all.
const DEPTH_MAX: u8 = 4;

/// Parts of names that mean a secret, in small letters and without what separates words: `X-Api-Key` is `xapikey`.
const WORDS: [&str; 16] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "apikey",
    "accesskey",
    "privatekey",
    "signature",
    "session",
    "credential",
    "bearer",
    "jwt",
];

/// Whole names that mean a secret as parameters of an address or fields of a form. In JSON they mean other things.
const PARAMETERS: [&str; 6] = ["sig", "key", "code", "auth", "pass", "otp"];

/// Takes secrets out of what is about to be recorded. It must not panic, and is called without any lock held.
pub trait Redact: Send + Sync {
    /// The value of the header `name` as it may be kept.
    fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str>;

    /// An address as it may be kept.
    fn url<'a>(&self, url: &'a str) -> Cow<'a, str>;

    /// A body, or its beginning, as it may be kept. It may be of any kind, cut anywhere, and no text at all.
    fn body<'a>(&self, body: &'a [u8]) -> Cow<'a, str>;
}

/// The default hook: it goes by the names that values stand under.
///
/// A name means a secret when it contains, whatever its case and without `-`, `_` and the like: `authorization`,
/// `cookie`, `token`, `secret`, `password`, `passwd`, `passphrase`, `pwd`, `apikey`, `accesskey`, `privatekey`,
/// `signature`, `session`, `credential`, `bearer`, `jwt`. In the query of an address and in forms also when it is `sig`,
/// `key`, `code`, `auth`, `pass` or `otp`. Rather too much is hidden than too little: `max_tokens` is.
///
/// What is looked at: header values; in addresses what stands before the `@`, the query and the fragment; members of
/// JSON at any depth, also of JSON in a string; fields of forms, `name=value` and `name: value` in other text, and
/// whatever follows the word `Bearer`. A secret that stands under no name, in XML or in a multipart form is not found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    more: Vec<String>,
}

impl Names {
    /// The names above.
    #[must_use]
    pub const fn new() -> Self {
        Self { more: Vec::new() }
    }

    /// And every name that contains `name`; its case, and what separates its words, do not matter.
    #[must_use]
    pub fn and(mut self, name: &str) -> Self {
        let name = normal(name);
        if !name.is_empty() {
            self.more.push(name);
        }
        self
    }

    /// Whether what stands under `name` is a secret.
    #[must_use]
    pub fn is_secret(&self, name: &str) -> bool {
        let name = normal(name);
        WORDS.iter().any(|word| name.contains(word)) || self.more.iter().any(|more| name.contains(more))
    }

    /// Whether the parameter or field `name`, as it is written in an address or a form, is a secret.
    fn is_secret_parameter(&self, name: &str) -> bool {
        let name = scan::decoded(name);
        self.is_secret(&name) || PARAMETERS.contains(&normal(&name).as_str())
    }

    /// `text` without its secrets; `None` if it has none.
    fn text(&self, text: &str, depth: u8) -> Option<String> {
        if depth == 0 {
            let suspicious = text.contains('=') || text.contains("://") || self.is_secret(text);
            return suspicious.then(|| REDACTED.to_owned());
        }
        if scan::is_form(text) {
            return self.pairs(text, 0, depth);
        }
        let first = self.members(text, depth);
        // Also over what was found to be JSON: in text that only looks like it, quotes pair up wrongly.
        self.words(first.as_deref().unwrap_or(text), depth).or(first)
    }

    /// JSON, also cut off or with other text around it: what stands under a name that means a secret.
    fn members(&self, text: &str, depth: u8) -> Option<String> {
        let mut edits = Edits::of(text);
        let mut at = 0;
        while let Some(open) = scan::find(text, at, |byte| byte == b'"') {
            let content = scan::string(text, open);
            let after = (content.end + 1).min(text.len());
            let colon = scan::skip_space(text, after);
            let said = scan::unescaped(&text[content.clone()]);
            if text.as_bytes().get(colon) != Some(&b':') {
                if let Some(redacted) = self.text(&said, depth - 1) {
                    edits.replace(content, &scan::escaped(&redacted));
                }
                at = after;
                continue;
            }
            let value = scan::skip_space(text, colon + 1);
            at = value;
            if self.is_secret(&said) {
                at = scan::value_end(text, value);
                if &text[value..at] != "null" {
                    edits.replace(value..at, "\"[redacted]\"");
                }
            }
        }
        edits.done()
    }

    /// The pairs of a query or a form, from `start` on.
    fn pairs(&self, text: &str, start: usize, depth: u8) -> Option<String> {
        let mut edits = Edits::of(text);
        let mut at = start;
        while at < text.len() {
            let end =
                scan::find(text, at, |byte| matches!(byte, b'&' | b';' | b'?' | b'#')).unwrap_or(text.len());
            if let Some((name, value)) = text[at..end].split_once('=') {
                let hide = self.is_secret_parameter(name)
                    || self.text(&scan::decoded(value), depth.saturating_sub(1)).is_some();
                // In the depth an equals sign alone is suspicious, and a value that is empty or redacted is not.
                if hide && !value.trim().is_empty() && value != REDACTED {
                    edits.replace(end - value.len()..end, REDACTED);
                }
            }
            at = end + 1;
        }
        edits.done()
    }

    /// An address: who asks, and with what.
    fn address(&self, url: &str, depth: u8) -> Option<String> {
        let mut edits = Edits::of(url);
        if let Some(at) = url.find("//") {
            let authority = at + 2;
            let end = scan::find(url, authority, |byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'))
                .unwrap_or(url.len());
            if let Some(sign) = url[authority..end].rfind('@') {
                edits.replace(authority..authority + sign, REDACTED);
            }
        }
        let first = edits.done();
        let text = first.as_deref().unwrap_or(url);
        match scan::find(text, 0, |byte| matches!(byte, b'?' | b'#' | b';')) {
            Some(mark) => self.pairs(text, mark + 1, depth).or(first),
            None => first,
        }
    }

    /// Other text: `name=value`, `name: value`, addresses, bearers.
    fn words(&self, text: &str, depth: u8) -> Option<String> {
        let mut edits = Edits::of(text);
        let mut at = 0;
        while let Some(start) = scan::find(text, at, scan::is_word) {
            let end = scan::find(text, start, |byte| !scan::is_word(byte)).unwrap_or(text.len());
            let word = &text[start..end];
            at = end;
            if text[end..].starts_with("://") {
                let stop = scan::find(text, end, scan::ends_address).unwrap_or(text.len());
                if let Some(address) = self.address(&text[start..stop], depth) {
                    edits.replace(start..stop, &address);
                }
                at = stop;
            } else if word.eq_ignore_ascii_case("bearer") && text[end..].starts_with(' ') {
                let value = scan::skip_space(text, end);
                at = scan::find(text, value, scan::ends_address).unwrap_or(text.len());
                if value < at {
                    edits.replace(value..at, REDACTED);
                }
            } else if let Some(separator) = scan::separator(text, end) {
                let parameter = text[..start].ends_with(['?', '&', ';', '#']);
                if self.is_secret(&scan::decoded(word)) || parameter && self.is_secret_parameter(word) {
                    let ends = scan::Ends::of(text, start..end, separator);
                    let value = scan::loose_value(text, ends, separator);
                    at = value.end;
                    if !value.is_empty() {
                        edits.replace(value, REDACTED);
                    }
                }
            }
        }
        edits.done()
    }
}

impl Redact for Names {
    fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if self.is_secret(name) {
            return Cow::Borrowed(REDACTED);
        }
        let value = text::head(value, TEXT_MAX);
        self.text(value, DEPTH_MAX).map_or(Cow::Borrowed(value), Cow::Owned)
    }

    fn url<'a>(&self, url: &'a str) -> Cow<'a, str> {
        let url = text::head(url, TEXT_MAX);
        self.address(url, DEPTH_MAX).map_or(Cow::Borrowed(url), Cow::Owned)
    }

    fn body<'a>(&self, body: &'a [u8]) -> Cow<'a, str> {
        let body = body.get(..TEXT_MAX).unwrap_or(body);
        let text = String::from_utf8_lossy(body);
        self.text(&text, DEPTH_MAX).map_or(text, Cow::Owned)
    }
}

/// A name in small letters, without what separates its words.
fn normal(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
