//! Strings.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::{Count, invalid};
use crate::decide::contract::build::Error;

/// How many texts may be listed.
const LISTED_MAX: usize = 256;

/// A string. By default any, as long as the document allows.
#[derive(Clone, Default)]
pub struct Text {
    pub(in crate::decide::contract) length: Count,
    /// In their order.
    pub(in crate::decide::contract) listed: Option<Arc<[String]>>,
    form: Option<Form>,
}

/// What a text must look like.
#[derive(Clone)]
struct Form {
    name: String,
    fits: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Text {
    /// How many characters (Unicode scalar values) it may have.
    #[must_use]
    pub fn length(mut self, characters: impl RangeBounds<usize>) -> Self {
        self.length = Count::of(characters);
        self
    }

    /// It is one of these, at most 256, letter by letter.
    #[must_use]
    pub fn one_of<S: Into<String>>(mut self, texts: impl IntoIterator<Item = S>) -> Self {
        let mut texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        texts.sort_unstable();
        texts.dedup();
        self.listed = Some(texts.into());
        self
    }

    /// It has a form that a closure knows; `form` says which, such as `an ISO 4217 code`. The closure must give the same
    /// answer each time. A later form replaces an earlier one.
    #[must_use]
    pub fn matching(
        mut self,
        form: impl Into<String>,
        fits: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.form = Some(Form { name: form.into(), fits: Arc::new(fits) });
        self
    }

    /// It is an instant of RFC 3339, such as `2026-11-22T01:02:03Z`.
    #[must_use]
    pub fn timestamp(self) -> Self {
        self.matching("an RFC 3339 instant such as 2026-11-22T01:02:03Z", |text| {
            chrono::DateTime::parse_from_rfc3339(text).is_ok()
        })
    }

    /// It looks like an address of the web: `http` or `https`, a host, and no white space or control characters.
    #[must_use]
    pub fn url(self) -> Self {
        self.matching("an http or https address", |text| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
            host.is_some_and(|host| !host.is_empty() && !host.starts_with(':'))
                && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\')
        })
    }

    /// Whether its form is the one that is asked for.
    pub(in crate::decide::contract) fn fits(&self, text: &str) -> bool {
        self.form.as_ref().is_none_or(|form| (form.fits)(text))
    }

    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        self.length.check(path, "length")?;
        match self.listed.as_deref() {
            Some(listed) if listed.is_empty() || listed.len() > LISTED_MAX => {
                Err(invalid(path, "one_of", format!("{} texts", listed.len()), format!("1 to {LISTED_MAX}")))
            }
            Some(listed) => match listed.iter().find(|text| !self.length.has(text.chars().count())) {
                Some(text) => Err(invalid(
                    path,
                    "one_of",
                    format!("{text:?}"),
                    "a text of the length that is asked for",
                )),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(listed) = &self.listed {
            for (at, text) in listed.iter().enumerate() {
                match at {
                    0 => {}
                    at if at + 1 == listed.len() => f.write_str(" or ")?,
                    _ => f.write_str(", ")?,
                }
                write!(f, "{text:?}")?;
            }
            return Ok(());
        }
        match &self.form {
            Some(form) => f.write_str(&form.name)?,
            None => f.write_str("a text")?,
        }
        self.length.tell(f, "characters")
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({self})")
    }
}
