//! Arrays, and objects whose names are data.

use std::fmt;
use std::ops::RangeBounds;

use super::{Count, Schema, Text};
use crate::decide::contract::build::Error;

/// An array. By default of any length that the document allows.
#[derive(Clone, Debug)]
pub struct Array {
    pub(in crate::decide::contract) items: Box<Schema>,
    pub(in crate::decide::contract) count: Count,
}

impl Array {
    pub(super) fn of(items: Schema) -> Self {
        Self { items: Box::new(items), count: Count::default() }
    }

    /// How many items it may have.
    #[must_use]
    pub fn count(mut self, items: impl RangeBounds<usize>) -> Self {
        self.count = Count::of(items);
        self
    }

    pub(super) fn check(&self, path: &str, depth: usize) -> Result<(), Error> {
        self.count.check(path, "count")?;
        self.items.check_at(&format!("{path}/*"), depth + 1)
    }
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")?;
        self.count.tell(f, "items")
    }
}

/// An object whose names are data. By default of any names, as many as the document allows.
#[derive(Clone, Debug)]
pub struct Map {
    pub(in crate::decide::contract) values: Box<Schema>,
    pub(in crate::decide::contract) names: Option<Box<Text>>,
    pub(in crate::decide::contract) count: Count,
}

impl Map {
    pub(super) fn of(values: Schema) -> Self {
        Self { values: Box::new(values), names: None, count: Count::default() }
    }

    /// What its names must be.
    #[must_use]
    pub fn names(mut self, names: Text) -> Self {
        self.names = Some(Box::new(names));
        self
    }

    /// How many members it may have.
    #[must_use]
    pub fn count(mut self, members: impl RangeBounds<usize>) -> Self {
        self.count = Count::of(members);
        self
    }

    pub(super) fn check(&self, path: &str, depth: usize) -> Result<(), Error> {
        self.count.check(path, "count")?;
        if let Some(names) = &self.names {
            names.check(&format!("{path}/*"))?;
        }
        self.values.check_at(&format!("{path}/*"), depth + 1)
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")?;
        self.count.tell(f, "members")
    }
}
