//! Objects with known fields, and several of them told apart by a tag.

use super::{Schema, invalid};
use crate::decide::contract::build::Error;
use crate::decide::contract::walk::segment;

/// How many fields an object may have.
const FIELDS_MAX: usize = 256;
/// How many variants there may be.
const VARIANTS_MAX: usize = 64;

/// An object with known fields; others are refused, unless [`unknown_allowed`](Self::unknown_allowed) says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// In the order of their names.
    pub(in crate::decide::contract) fields: Vec<Field>,
    pub(in crate::decide::contract) unknown_allowed: bool,
    /// A name that was given to two fields.
    twice: Option<String>,
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(in crate::decide::contract) struct Field {
    pub(in crate::decide::contract) name: String,
    pub(in crate::decide::contract) required: bool,
    pub(in crate::decide::contract) schema: Schema,
}

impl Object {
    /// A field that must be there. It may be `null` only if its schema is nullable.
    #[must_use]
    pub fn required(self, name: impl Into<String>, schema: impl Into<Schema>) -> Self {
        self.field(Field { name: name.into(), required: true, schema: schema.into() })
    }

    /// A field that may be left out. It may be `null` only if its schema is nullable.
    #[must_use]
    pub fn optional(self, name: impl Into<String>, schema: impl Into<Schema>) -> Self {
        self.field(Field { name: name.into(), required: false, schema: schema.into() })
    }

    /// Lets fields pass that are not known, whatever they are.
    #[must_use]
    pub const fn unknown_allowed(mut self) -> Self {
        self.unknown_allowed = true;
        self
    }

    fn field(mut self, field: Field) -> Self {
        match self.place(&field.name) {
            Ok(_) => self.twice = Some(field.name),
            Err(at) => self.fields.insert(at, field),
        }
        self
    }

    /// The place of the field called `name`.
    pub(in crate::decide::contract) fn place(&self, name: &str) -> Result<usize, usize> {
        self.fields.binary_search_by(|field| field.name.as_str().cmp(name))
    }

    /// Makes what stands at `rest` in that field, or in all of them, a secret; whether there is one.
    pub(super) fn hide(&mut self, name: &str, rest: &str) -> bool {
        if name == "*" {
            let hidden = self.fields.iter_mut().map(|field| field.schema.hide(rest));
            return hidden.fold(false, |any, one| any | one);
        }
        let name = name.replace("~1", "/").replace("~0", "~");
        self.place(&name).is_ok_and(|at| self.fields[at].schema.hide(rest))
    }

    /// Whether what stands at `rest` in the field whose name is written `name` in a pointer is a secret.
    pub(super) fn hides(&self, name: &str, rest: &str) -> bool {
        let name = name.replace("~1", "/").replace("~0", "~");
        self.place(&name).is_ok_and(|at| self.fields[at].schema.hides(rest))
    }

    pub(super) fn check(&self, path: &str, depth: usize) -> Result<(), Error> {
        if let Some(name) = &self.twice {
            return Err(invalid(path, "field", format!("{name:?} twice"), "a name once in an object"));
        }
        if self.fields.len() > FIELDS_MAX {
            return Err(invalid(path, "fields", self.fields.len(), format!("at most {FIELDS_MAX}")));
        }
        self.fields.iter().try_for_each(|field| {
            field.schema.check_at(&format!("{path}/{}", segment(&field.name)), depth + 1)
        })
    }
}

/// One of several objects, told apart by the text in one field, which none of them names itself.
#[derive(Clone, Debug)]
pub struct Tagged {
    pub(in crate::decide::contract) tag: String,
    /// In the order of their names.
    pub(in crate::decide::contract) variants: Vec<(String, Object)>,
    twice: Option<String>,
}

impl Tagged {
    pub(super) const fn by(tag: String) -> Self {
        Self { tag, variants: Vec::new(), twice: None }
    }

    /// The object that it is when the tag says `name`. The tag is not among its fields.
    #[must_use]
    pub fn variant(mut self, name: impl Into<String>, object: Object) -> Self {
        let name = name.into();
        match self.place(&name) {
            Ok(_) => self.twice = Some(name),
            Err(at) => self.variants.insert(at, (name, object)),
        }
        self
    }

    /// The place of the variant called `name`.
    pub(in crate::decide::contract) fn place(&self, name: &str) -> Result<usize, usize> {
        self.variants.binary_search_by(|(other, _)| other.as_str().cmp(name))
    }

    pub(super) fn check(&self, path: &str, depth: usize) -> Result<(), Error> {
        if let Some(name) = &self.twice {
            return Err(invalid(path, "variant", format!("{name:?} twice"), "a name once"));
        }
        if self.variants.is_empty() || self.variants.len() > VARIANTS_MAX {
            return Err(invalid(path, "variants", self.variants.len(), format!("1 to {VARIANTS_MAX}")));
        }
        for (name, object) in &self.variants {
            if object.place(&self.tag).is_ok() {
                let given = format!("{:?} as a field of {name:?}", self.tag);
                return Err(invalid(path, "tag", given, "a tag that no variant has as a field"));
            }
            object.check(path, depth)?;
        }
        Ok(())
    }
}
