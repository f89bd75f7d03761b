//! The serializer of a map's keys: what can be the name of a member.

use std::fmt;

use serde::ser::{self, Impossible, Serialize};

use super::ser::{CALLS_MAX, displayed};
use super::{Error, Problem};

/// Takes a map's key as text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    calls: usize,
}

impl Name {
    fn inner<T: Serialize + ?Sized>(self, value: &T) -> Result<String, Error> {
        if self.calls == CALLS_MAX {
            return Err(Error::here(Problem::TooDeep));
        }
        value.serialize(Self { calls: self.calls + 1 })
    }
}

type No = Impossible<String, Error>;

fn refused<T>(given: &'static str) -> Result<T, Error> {
    Err(Error::here(Problem::KeyNotText { given }))
}

impl ser::Serializer for Name {
    type Ok = String;
    type Error = Error;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    fn serialize_bool(self, v: bool) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_i8(self, v: i8) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_i16(self, v: i16) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_i32(self, v: i32) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_i64(self, v: i64) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_i128(self, v: i128) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_u8(self, v: u8) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_u16(self, v: u16) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_u32(self, v: u32) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_u64(self, v: u64) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_u128(self, v: u128) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_f32(self, _: f32) -> Result<String, Error> {
        refused("a float")
    }

    fn serialize_f64(self, _: f64) -> Result<String, Error> {
        refused("a float")
    }

    fn serialize_char(self, v: char) -> Result<String, Error> {
        Ok(v.to_string())
    }

    fn serialize_str(self, v: &str) -> Result<String, Error> {
        Ok(v.to_owned())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<String, Error> {
        refused("bytes")
    }

    fn serialize_none(self) -> Result<String, Error> {
        refused("nothing")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, Error> {
        self.inner(value)
    }

    fn serialize_unit(self) -> Result<String, Error> {
        refused("nothing")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<String, Error> {
        refused("nothing")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String, Error> {
        Ok(variant.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<String, Error> {
        self.inner(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, Error> {
        refused("a variant with content")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<No, Error> {
        refused("a sequence")
    }

    fn serialize_tuple(self, _: usize) -> Result<No, Error> {
        refused("a tuple")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<No, Error> {
        refused("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, Error> {
        refused("a variant with content")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<No, Error> {
        refused("a map")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<No, Error> {
        refused("a struct")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, Error> {
        refused("a variant with content")
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<String, Error> {
        displayed(value)
    }
}
