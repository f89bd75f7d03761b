//! A contract: a schema with a version, upgrades from older ones, and what it gives for a document.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Builder, Check, Intake, Problem, Refusal, Refused, Schema, Violations};
use crate::base::canonical;
use crate::base::redact::REDACTED;

/// What a document must be to become a `T`, in which versions it may come, and what is wrong with it if it must not.
/// Cheap to clone.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use unattended::contract::{Contract, Schema};
///
/// #[derive(Deserialize, Serialize)]
/// struct Old { title: String }
/// #[derive(Debug, Deserialize, Serialize)]
/// struct Publish { title: String, tags: Vec<String> }
///
/// let contract = Contract::<Publish>::new("publish.request", 2)
///     .schema(
///         Schema::object()
///             .required("title", Schema::text().length(1..=100))
///             .required("tags", Schema::array(Schema::text()).count(..=10)),
///     )
///     .upgrade(1, |old: Old| Ok(Publish { title: old.title, tags: Vec::new() }))
///     .build()?;
///
/// let accepted = contract.accept(Some(1), r#"{"title": "A day at sea"}"#)?;
/// assert_eq!(accepted.value.tags.len(), 0);
/// assert_eq!(accepted.input.get(), r#"{"tags":[],"title":"A day at sea"}"#);
///
/// let refused = contract.accept(None, r#"{"title": "", "colour": 7}"#).unwrap_err();
/// assert_eq!(refused.violations().map(|found| found.count()), Some(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Contract<T> {
    pub(super) shared: Arc<Shared>,
    pub(super) hooks: Arc<[Hook<T>]>,
}

/// What a contract says of a value beyond its schema.
pub(super) type Hook<T> = Arc<dyn Fn(&T) -> Violations + Send + Sync>;

/// An upgrade: the document and whether what it says may be told, to the next document or why there is none.
pub(super) type Step = dyn Fn(&str, bool) -> Result<String, String> + Send + Sync;

/// An upgrade from a version to the next.
pub(super) struct Upgrade {
    pub(super) from: u32,
    pub(super) step: Arc<Step>,
}

/// What a contract is, but for its type.
pub(super) struct Shared {
    pub(super) name: String,
    /// Name and version.
    pub(super) label: String,
    pub(super) version: u32,
    /// The oldest version that can be upgraded.
    pub(super) oldest: u32,
    pub(super) schema: Schema,
    pub(super) has_secrets: bool,
    /// Where secrets stand in the present version.
    pub(super) sensitive: Arc<[String]>,
    /// In the order of their versions.
    pub(super) older: Vec<(u32, Schema)>,
    /// In the order of their versions, without gaps, up to the present one.
    pub(super) upgrades: Vec<Upgrade>,
    pub(super) bytes_max: usize,
}

/// What a contract has accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Accepted<T> {
    /// The value.
    pub value: T,
    /// The document as it is to be stored: upgraded to the present version, in canonical form, every digit kept.
    pub input: Box<RawValue>,
    /// The version in which it came.
    pub from: u32,
}

impl<T> Contract<T> {
    /// Begins a contract called `name` whose present schema is the `version`-th.
    #[allow(
        clippy::new_ret_no_self,
        reason = "a contract begins with its builder, as every policy here does"
    )]
    pub fn new(name: impl Into<String>, version: u32) -> Builder<T> {
        Builder::new(name.into(), version)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The present version of its schema: that of what it accepts, once it is accepted.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.shared.version
    }

    /// The present schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// Whether documents of this version are accepted.
    #[must_use]
    pub fn knows(&self, version: u32) -> bool {
        self.shared.knows(version)
    }

    /// Every version in which a document is accepted, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = u32> + use<T> {
        self.shared.versions()
    }
}

impl<T: DeserializeOwned> Contract<T> {
    /// The value that `document` writes, and the text to store. `version` is the one in which it comes; without one it
    /// is the present.
    ///
    /// It reads no clock and asks nobody: the same document gives the same answer.
    ///
    /// # Errors
    ///
    /// [`Refused`], with every violation by its path: it is permanent.
    pub fn accept(&self, version: Option<u32>, document: &str) -> Result<Accepted<T>, Refused> {
        let (input, from) = self.shared.normal(version, document)?;
        let value = self.decode(&input)?;
        Ok(Accepted { value, input, from })
    }

    /// The contract without its type, for those that only have to keep bad input out.
    #[must_use]
    pub fn erased(&self) -> Intake
    where
        T: 'static,
    {
        let contract = self.clone();
        Intake::new(Arc::clone(&self.shared), move |input| contract.decode(input).map(drop))
    }

    fn decode(&self, input: &RawValue) -> Result<T, Refused> {
        let shared = &*self.shared;
        let value: T = serde_json::from_str(input.get()).map_err(|error| {
            let given = format!("refused by its type: {}", told(&error, shared.has_secrets));
            shared.broken(Problem::Undecodable, given, "what the type takes")
        })?;
        self.judge(&value).map_err(|found| shared.refused(shared.version, found))?;
        Ok(value)
    }
}

impl<T> Contract<T> {
    fn judge(&self, value: &T) -> Result<(), Violations> {
        let mut found = Violations::default();
        self.hooks.iter().for_each(|hook| found.add(hook(value)));
        if !found.is_empty() && self.shared.has_secrets {
            found.hide(REDACTED, |path| self.shared.schema.hides(path));
        }
        found.into_result()
    }
}

/// For a value that is there already only the [`validate`](Builder::validate) hooks have something to say.
impl<T> Check<T> for Contract<T> {
    fn name(&self) -> &str {
        self.shared.label.as_str()
    }

    fn check(&self, value: &T) -> Result<(), Violations> {
        self.judge(value)
    }
}

impl<T> Clone for Contract<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), hooks: Arc::clone(&self.hooks) }
    }
}

impl<T> fmt::Debug for Contract<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contract").field(&self.shared.label).finish()
    }
}

impl Shared {
    pub(super) const fn knows(&self, version: u32) -> bool {
        self.oldest <= version && version <= self.version
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = u32> + use<> {
        self.oldest..=self.version
    }

    /// The document as it is to be stored, once the schema holds, and the version in which it came.
    pub(super) fn normal(
        &self,
        version: Option<u32>,
        document: &str,
    ) -> Result<(Box<RawValue>, u32), Refused> {
        let from = version.unwrap_or(self.version);
        if !self.knows(from) {
            let (oldest, newest) = (self.oldest, self.version);
            return Err(self.because(Refusal::UnknownVersion { given: from, oldest, newest }));
        }
        self.fits(document)?;
        let mut document = Cow::Borrowed(document);
        for upgrade in self.upgrades.iter().filter(|upgrade| upgrade.from >= from) {
            document = Cow::Owned(self.upgraded(upgrade, &document)?);
        }
        let found = self.schema.examine(&document);
        found.into_result().map_err(|found| self.refused(self.version, found))?;
        let input = RawValue::from_string(self.canonical(&document)?)
            .map_err(|error| self.broken(Problem::NotJson, error, "a JSON document"))?;
        Ok((input, from))
    }

    fn upgraded(&self, upgrade: &Upgrade, document: &str) -> Result<String, Refused> {
        let of = |(version, _): &&(u32, Schema)| *version == upgrade.from;
        let any = Schema::any();
        let schema = self.older.iter().find(of).map_or(&any, |(_, schema)| schema);
        schema.examine(document).into_result().map_err(|found| self.refused(upgrade.from, found))?;
        let document = self.canonical(document)?;
        let next = (upgrade.step)(&document, self.has_secrets).map_err(|why| {
            let mut found = Violations::default();
            let allowed = format!("what can be upgraded to version {}", upgrade.from + 1);
            let given = format!("of version {} and cannot be upgraded: {why}", upgrade.from);
            found.note(Problem::NotUpgraded, String::new, given, allowed);
            self.refused(upgrade.from, found)
        })?;
        self.fits(&next)?;
        Ok(next)
    }

    /// The canonical form, which may be the longer one: `1e1000` has a thousand digits in it.
    fn canonical(&self, document: &str) -> Result<String, Refused> {
        let normal = canonical::from_text(document)
            .map_err(|error| self.broken(Problem::NotJson, error, "a JSON document"))?;
        self.fits(&normal)?;
        Ok(normal)
    }

    fn fits(&self, document: &str) -> Result<(), Refused> {
        let (given, limit) = (document.len(), self.bytes_max);
        if given <= limit { Ok(()) } else { Err(self.because(Refusal::TooLong { given, limit })) }
    }

    /// The refusal of a document for one reason, which is about the whole of it.
    fn broken(&self, problem: Problem, given: impl fmt::Display, allowed: &str) -> Refused {
        let mut found = Violations::default();
        found.note(problem, String::new, given, allowed);
        self.refused(self.version, found)
    }

    fn refused(&self, version: u32, violations: Violations) -> Refused {
        self.because(Refusal::Invalid { version, violations })
    }

    pub(super) fn because(&self, why: Refusal) -> Refused {
        Refused { contract: self.label.clone(), why }
    }
}

/// What serde says; where that might quote a secret, only of which kind it is and where.
pub(super) fn told(error: &serde_json::Error, secret: bool) -> String {
    if !secret {
        return error.to_string();
    }
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()).to_lowercase()
}
