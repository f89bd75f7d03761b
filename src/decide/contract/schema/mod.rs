//! What a JSON document must be, as a value that can be shown.
//!
//! ```
//! use unattended::contract::Schema;
//!
//! let publish = Schema::object()
//!     .required("title", Schema::text().length(1..=100))
//!     .required("visibility", Schema::text().one_of(["public", "private"]))
//!     .optional("publish_at", Schema::text().timestamp())
//!     .optional("tags", Schema::array(Schema::text()).count(..=10));
//!
//! let found = unattended::contract::Schema::from(publish).examine(r#"{"title": "", "visibility": "secret", "tag": []}"#);
//! assert_eq!(format!("{found:#}"), "\
//! /title is a text of 0 characters, allowed is a text of 1 to 100 characters\n\
//! /visibility is \"secret\", allowed is \"private\" or \"public\"\n\
//! /tag is an unknown field, allowed is publish_at, tags, title, visibility");
//! ```

mod array;
mod number;
mod object;
mod text;

use std::fmt;

pub use array::{Array, Map};
pub(super) use number::Whole;
pub use number::{Integer, Number};
pub use object::{Object, Tagged};
pub use text::Text;

use super::Violations;
use super::build::Error;
use super::tree::DEPTH_MAX;
use super::walk;
use crate::base::text::shortened;

/// What a JSON value must be. Made by the functions below; [`nullable`](Self::nullable) and [`secret`](Self::secret) go
/// with each of them.
///
/// Every violation is found in one pass, before serde sees the document: fields that are required and not there, fields
/// that are not known (refused unless an object says otherwise), members of one name, values of another type or beyond
/// their bounds. Documents may be nested 32 deep. Integers are compared digit by digit, never as floats.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) secret: bool,
}

/// Which values.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Any,
    Bool,
    Text(Text),
    Integer(Integer),
    Number(Number),
    Array(Array),
    Map(Map),
    Object(Object),
    Tagged(Tagged),
}

impl Schema {
    /// Any value: only that it is JSON, that no object has two members of one name, and that its numbers can be kept.
    #[must_use]
    pub const fn any() -> Self {
        Self::of(Kind::Any)
    }

    /// `true` or `false`.
    #[must_use]
    pub const fn boolean() -> Self {
        Self::of(Kind::Bool)
    }

    /// A string.
    #[must_use]
    pub fn text() -> Text {
        Text::default()
    }

    /// A whole number, however it is spelled: `10`, `1e1` and `10.0` are one.
    #[must_use]
    pub fn integer() -> Integer {
        Integer::default()
    }

    /// A number that an `f64` can hold: neither too large nor so small that it would become zero.
    #[must_use]
    pub fn number() -> Number {
        Number::default()
    }

    /// An array whose items are as `items` says.
    #[must_use]
    pub fn array(items: impl Into<Self>) -> Array {
        Array::of(items.into())
    }

    /// An object whose names are data, and whose values are as `values` says.
    #[must_use]
    pub fn map(values: impl Into<Self>) -> Map {
        Map::of(values.into())
    }

    /// An object with known fields.
    #[must_use]
    pub fn object() -> Object {
        Object::default()
    }

    /// One of several objects, told apart by the text in the field `tag`: serde's `#[serde(tag = "…")]`.
    #[must_use]
    pub fn tagged(tag: impl Into<String>) -> Tagged {
        Tagged::by(tag.into())
    }

    /// The same, or `null`. An optional field may be left out; only one that is nullable may be `null`.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same, and what is given there, and in it, is never told: it is `[redacted]`.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Everything in which `document` is not as it must be.
    pub fn examine(&self, document: &str) -> Violations {
        walk::examine(self, document)
    }

    /// Whether it could ever be met, and is within its own bounds: at most 32 deep, at most 256 fields in an object, 256
    /// listed texts and 64 variants.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with the path of the place, what was given and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        self.check_at("", 1)
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, nullable: false, secret: false }
    }

    fn check_at(&self, path: &str, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(invalid(path, "depth", "deeper", format!("at most {DEPTH_MAX}")));
        }
        match &self.kind {
            Kind::Any | Kind::Bool => Ok(()),
            Kind::Text(text) => text.check(path),
            Kind::Integer(integer) => integer.check(path),
            Kind::Number(number) => number.check(path),
            Kind::Array(array) => array.check(path, depth),
            Kind::Map(map) => map.check(path, depth),
            Kind::Object(object) => object.check(path, depth),
            Kind::Tagged(tagged) => tagged.check(path, depth),
        }
    }

    /// Whether what stands at `pointer`, or around it, is a secret.
    pub(super) fn hides(&self, pointer: &str) -> bool {
        if self.secret {
            return true;
        }
        let Some((name, rest)) = pointer.strip_prefix('/').map(|path| match path.split_once('/') {
            Some((name, _)) => (name, &path[name.len()..]),
            None => (path, ""),
        }) else {
            return false;
        };
        match &self.kind {
            Kind::Any | Kind::Bool | Kind::Text(_) | Kind::Integer(_) | Kind::Number(_) => false,
            Kind::Array(array) => array.items.hides(rest),
            Kind::Map(map) => map.values.hides(rest),
            Kind::Object(object) => object.hides(name, rest),
            Kind::Tagged(tagged) => tagged.variants.iter().any(|(_, object)| object.hides(name, rest)),
        }
    }

    /// Makes what stands at `path` a secret, a JSON pointer in which `*` is every element or member; whether the schema knows
    /// such a place.
    pub(super) fn hide(&mut self, path: &str) -> bool {
        let Some((name, rest)) = path.strip_prefix('/').map(|path| match path.split_once('/') {
            Some((name, _)) => (name, &path[name.len()..]),
            None => (path, ""),
        }) else {
            self.secret = true;
            return true;
        };
        match &mut self.kind {
            Kind::Any | Kind::Bool | Kind::Text(_) | Kind::Integer(_) | Kind::Number(_) => false,
            Kind::Array(array) => name == "*" && array.items.hide(rest),
            Kind::Map(map) => name == "*" && map.values.hide(rest),
            Kind::Object(object) => object.hide(name, rest),
            Kind::Tagged(tagged) => {
                let hidden = tagged.variants.iter_mut().map(|(_, object)| object.hide(name, rest));
                hidden.fold(false, |any, one| any | one)
            }
        }
    }

    /// The paths of all that is secret, as JSON pointers in which `*` is every element or member.
    pub(super) fn secrets(&self, path: &str, found: &mut Vec<String>) {
        if self.secret {
            found.push(path.to_owned());
            return;
        }
        let object = |object: &Object, found: &mut Vec<String>| {
            for field in &object.fields {
                let name = field.name.replace('~', "~0").replace('/', "~1");
                field.schema.secrets(&format!("{path}/{name}"), found);
            }
        };
        match &self.kind {
            Kind::Any | Kind::Bool | Kind::Text(_) | Kind::Integer(_) | Kind::Number(_) => {}
            Kind::Array(array) => array.items.secrets(&format!("{path}/*"), found),
            Kind::Map(map) => map.values.secrets(&format!("{path}/*"), found),
            Kind::Object(fields) => object(fields, found),
            Kind::Tagged(tagged) => tagged.variants.iter().for_each(|(_, fields)| object(fields, found)),
        }
    }

    /// Whether anything in it is a secret.
    pub(super) fn has_secrets(&self) -> bool {
        let object = |object: &Object| object.fields.iter().any(|field| field.schema.has_secrets());
        self.secret
            || match &self.kind {
                Kind::Any | Kind::Bool | Kind::Text(_) | Kind::Integer(_) | Kind::Number(_) => false,
                Kind::Array(array) => array.items.has_secrets(),
                Kind::Map(map) => map.values.has_secrets(),
                Kind::Object(fields) => object(fields),
                Kind::Tagged(tagged) => tagged.variants.iter().any(|(_, fields)| object(fields)),
            }
    }
}

/// What is allowed, for people: `a text of 1 to 100 characters`.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Any => f.write_str("any value"),
            Kind::Bool => f.write_str("true or false"),
            Kind::Text(text) => text.fmt(f),
            Kind::Integer(integer) => integer.fmt(f),
            Kind::Number(number) => number.fmt(f),
            Kind::Array(array) => array.fmt(f),
            Kind::Map(map) => map.fmt(f),
            Kind::Object(_) => f.write_str("an object"),
            Kind::Tagged(tagged) => write!(f, "an object with {}", tagged.tag),
        }?;
        if self.nullable { f.write_str(" or null") } else { Ok(()) }
    }
}

/// Lets the schemas of one kind be used wherever a [`Schema`] is, and gives them what goes with all of them.
macro_rules! kinds {
    ($($kind:ident)*) => {$(
        impl From<$kind> for Schema {
            fn from(kind: $kind) -> Self {
                Self::of(Kind::$kind(kind))
            }
        }

        impl $kind {
            /// The same, or `null`: [`Schema::nullable`].
            #[must_use]
            pub fn nullable(self) -> Schema {
                Schema::from(self).nullable()
            }

            /// The same, and what is given there is never told: [`Schema::secret`].
            #[must_use]
            pub fn secret(self) -> Schema {
                Schema::from(self).secret()
            }
        }
    )*};
}

kinds! { Text Integer Number Array Map Object Tagged }

fn invalid(path: &str, what: &str, given: impl fmt::Display, allowed: impl Into<String>) -> Error {
    let given = shortened(&given.to_string(), 100);
    Error::Field { field: format!("schema{path}: {what}"), given, allowed: allowed.into() }
}

/// How many there may be, both ends counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) least: usize,
    pub(super) most: usize,
}

impl Default for Count {
    fn default() -> Self {
        Self { least: 0, most: usize::MAX }
    }
}

impl Count {
    fn of(range: impl std::ops::RangeBounds<usize>) -> Self {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let least = match range.start_bound() {
            Included(least) => *least,
            Excluded(below) => below.saturating_add(1),
            Unbounded => 0,
        };
        let (least, most) = match range.end_bound() {
            Included(most) => (least, *most),
            // Nothing is below zero: least above most says so.
            Excluded(0) => (least.max(1), 0),
            Excluded(above) => (least, *above - 1),
            Unbounded => (least, usize::MAX),
        };
        Self { least, most }
    }

    pub(super) const fn has(self, count: usize) -> bool {
        self.least <= count && count <= self.most
    }

    fn check(self, path: &str, what: &str) -> Result<(), Error> {
        if self.least <= self.most {
            return Ok(());
        }
        Err(invalid(
            path,
            what,
            format!("{} to {}", self.least, self.most),
            "a least that is at most the most",
        ))
    }

    /// `of 1 to 100 characters`; nothing where all counts are allowed.
    fn tell(self, f: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
        match (self.least, self.most) {
            (0, usize::MAX) => Ok(()),
            (least, usize::MAX) => write!(f, " of at least {least} {what}"),
            (0, most) => write!(f, " of at most {most} {what}"),
            (least, most) if least == most => write!(f, " of {most} {what}"),
            (least, most) => write!(f, " of {least} to {most} {what}"),
        }
    }
}
