//! Puts a contract together, and refuses what could not work.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::accept::{Contract, Hook, Shared, Upgrade, told};
use super::{Schema, Violations};
use crate::base::canonical;
use crate::base::text::shortened;

/// The highest schema version.
pub const VERSION_MAX: u32 = 99;
/// The most bytes that a contract's name may have.
const NAME_MAX: usize = 100;
/// The bytes of a document, unless said otherwise.
const BYTES: usize = 48 << 10;
/// The most bytes of a document. A stored record has 64 KiB, in which the steps must have room too.
const BYTES_MAX: usize = 60 << 10;

/// A contract that is being put together.
#[must_use = "a contract is not built until build() is called"]
pub struct Builder<T> {
    shared: Shared,
    schema: Option<Schema>,
    hooks: Vec<Hook<T>>,
    sensitive: Vec<String>,
}

/// The most paths that are called sensitive.
const SENSITIVE_MAX: usize = 64;
/// The most bytes of one.
const PATH_MAX: usize = 200;

impl<T> Builder<T> {
    pub(super) fn new(name: String, version: u32) -> Self {
        let shared = Shared {
            label: format!("{name}/{version}"),
            name,
            version,
            oldest: version,
            schema: Schema::any(),
            has_secrets: false,
            sensitive: Arc::from([]),
            older: Vec::new(),
            upgrades: Vec::new(),
            bytes_max: BYTES,
        };
        Self { shared, schema: None, hooks: Vec::new(), sensitive: Vec::new() }
    }

    /// What a document of the present version must be. There must be one; [`Schema::any`] leaves everything to serde,
    /// which stops at the first violation and knows no path.
    pub fn schema(mut self, schema: impl Into<Schema>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// What a document of an older version must be before it is upgraded. Without it the first thing that the upgrade
    /// cannot read is all that is said of a bad old document.
    pub fn schema_of(mut self, version: u32, schema: impl Into<Schema>) -> Self {
        self.shared.older.push((version, schema.into()));
        self
    }

    /// Makes a document of version `from` one of the next version. A document of an older version goes through all that
    /// lie between; so a build without one of them is refused.
    ///
    /// The upgrade reads any type and gives any type: the struct of that time and the one of the next version; a
    /// `serde_json::Map`, where integers beyond 64 bits would lose digits; or a map of
    /// `Box<serde_json::value::RawValue>`, where nothing is lost. It must give the same answer each time.
    pub fn upgrade<Old, New>(
        mut self,
        from: u32,
        upgrade: impl Fn(Old) -> Result<New, String> + Send + Sync + 'static,
    ) -> Self
    where
        Old: DeserializeOwned,
        New: Serialize,
    {
        let step = move |json: &str, secret: bool| {
            let old = serde_json::from_str(json).map_err(|error| told(&error, secret))?;
            canonical::to_string(&upgrade(old)?).map_err(|error| error.to_string())
        };
        self.shared.upgrades.push(Upgrade { from, step: Arc::new(step) });
        self
    }

    /// What no schema can say: how fields go together, or with the rest of the world that is known beforehand. It is
    /// asked once everything else holds, and must give the same answer each time. There may be several; all are asked.
    ///
    /// What is told of values whose path the schema calls secret is hidden.
    pub fn validate(mut self, check: impl Fn(&T) -> Violations + Send + Sync + 'static) -> Self {
        self.hooks.push(Arc::new(check));
        self
    }

    /// Calls what stands at `path` sensitive, a JSON pointer (RFC 6901) in which `*` is every element or member, such as
    /// `/card/number` or `/recipients/*/email`: it is in no violation, log, page or record that is shown, as what the
    /// schema calls [`secret`](Schema::secret) is not. What is stored has it, so that a run can be replayed. There may be 64.
    ///
    /// ```
    /// use unattended::contract::{Contract, Schema};
    ///
    /// let contract = Contract::<serde_json::Value>::new("order", 1)
    ///     .schema(Schema::object().required("to", Schema::text()).required("card", Schema::text()))
    ///     .sensitive("/card")
    ///     .build()?;
    /// let refused = contract.accept(None, r#"{"to":"ada","card":4111}"#).unwrap_err();
    /// assert!(!refused.to_string().contains("4111"));
    /// assert_eq!(contract.erased().sensitive(), ["/card"]);
    /// # Ok::<(), unattended::contract::Error>(())
    /// ```
    pub fn sensitive(mut self, path: impl Into<String>) -> Self {
        self.sensitive.push(path.into());
        self
    }

    /// The most bytes of a document, as it comes and as it is stored. Default 48 KiB, at most 60 KiB: a run's record has
    /// room for 64. What is bigger stays outside, and the document says where.
    pub const fn bytes_max(mut self, bytes: usize) -> Self {
        self.shared.bytes_max = bytes;
        self
    }

    /// The contract.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with the field, what was given and what is allowed: a name that is empty, longer than 100 bytes
    /// or has white space, control characters, `/`, `~` or `@` in it; a version that is not from 1 to [`VERSION_MAX`];
    /// no schema, or one that cannot be met; an upgrade that is missing between two others, is there twice or is from
    /// the present version or a newer one; a size beyond its bounds.
    pub fn build(self) -> Result<Contract<T>, Error> {
        let Self { mut shared, schema, hooks, sensitive } = self;
        named("name", &shared.name)?;
        let version = shared.version;
        if !(1..=VERSION_MAX).contains(&version) {
            return Err(invalid("version", version, format!("1 to {VERSION_MAX}")));
        }
        if !(1..=BYTES_MAX).contains(&shared.bytes_max) {
            return Err(invalid("bytes_max", shared.bytes_max, format!("1 to {BYTES_MAX}")));
        }
        shared.schema = schema.ok_or_else(|| invalid("schema", "none", "a schema, if only Schema::any()"))?;
        shared.schema.check()?;
        shared.upgrades.sort_by_key(|upgrade| upgrade.from);
        shared.oldest = shared.upgrades.first().map_or(version, |first| first.from);
        for (upgrade, expected) in shared.upgrades.iter().zip(shared.oldest..) {
            if upgrade.from == 0 || upgrade.from >= version {
                return Err(invalid(
                    "upgrade",
                    upgrade.from,
                    format!("from a version of 1 to {}", version - 1),
                ));
            }
            if upgrade.from != expected {
                let gap = if upgrade.from < expected { "a second one" } else { "the next one" };
                let given = format!("{gap} from version {}", upgrade.from);
                return Err(invalid("upgrade", given, format!("one from version {expected}")));
            }
        }
        let last = shared.upgrades.last().map_or(version, |last| last.from + 1);
        if last != version {
            return Err(invalid("upgrade", "none", format!("one from version {last}")));
        }
        shared.older.sort_by_key(|(version, _)| *version);
        for (at, (of, schema)) in shared.older.iter().enumerate() {
            let twice = shared.older[..at].iter().any(|(other, _)| other == of);
            if twice || *of < shared.oldest || *of >= version {
                let allowed = format!("one for each version that has an upgrade, not for {version}");
                return Err(invalid("schema_of", of, allowed));
            }
            schema.check()?;
        }
        hide(&mut shared, sensitive)?;
        Ok(Contract { shared: Arc::new(shared), hooks: hooks.into() })
    }
}

/// Makes what is sensitive secret, also where a schema leaves everything open.
fn hide(shared: &mut Shared, sensitive: Vec<String>) -> Result<(), Error> {
    if sensitive.len() > SENSITIVE_MAX {
        return Err(invalid("sensitive", sensitive.len(), format!("at most {SENSITIVE_MAX} paths")));
    }
    let mut open = Vec::new();
    for path in sensitive {
        if path.len() > PATH_MAX || (!path.is_empty() && !path.starts_with('/')) {
            let allowed =
                format!("a JSON pointer of at most {PATH_MAX} bytes, empty or with / before each name");
            return Err(invalid("sensitive", format!("{:?}", shortened(&path, 60)), allowed));
        }
        for (_, schema) in &mut shared.older {
            schema.hide(&path);
        }
        if !shared.schema.hide(&path) {
            open.push(path);
        }
    }
    let mut paths = Vec::new();
    shared.schema.secrets("", &mut paths);
    paths.extend(open);
    let any = !paths.is_empty() || shared.older.iter().any(|(_, schema)| schema.has_secrets());
    shared.has_secrets = any;
    shared.sensitive = paths.into();
    Ok(())
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("contract", &self.shared.label).finish_non_exhaustive()
    }
}

/// A contract or a gate could not work as it was put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is outside its bounds.
    #[error("{field} is {given}; allowed is {allowed}")]
    Field {
        /// The field; in a schema with the path, such as `schema/items/*: length`.
        field: String,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
}

pub(super) fn invalid(
    field: impl Into<String>,
    given: impl fmt::Display,
    allowed: impl Into<String>,
) -> Error {
    Error::Field { field: field.into(), given: given.to_string(), allowed: allowed.into() }
}

/// Names stand in reasons, records and tables.
pub(super) fn named(field: &str, name: &str) -> Result<(), Error> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '~' | '@');
    if (1..=NAME_MAX).contains(&name.len()) && !name.contains(odd) {
        return Ok(());
    }
    let allowed = format!("1 to {NAME_MAX} bytes without white space, control characters, /, ~ and @");
    Err(invalid(field, format!("{:?}", shortened(name, 60)), allowed))
}
