//! The serializer: typed values to canonical text, without a tree in between.

use std::fmt::{self, Write as _};

use serde::ser::{self, Serialize};

use super::error::short;
use super::name::Name;
use super::write::{self, Object};
use super::{BYTES_MAX, DEPTH_MAX, Error, Problem, number, text};

/// How many calls may stand inside each other, transparent wrappers included: they have no text, but they have a stack.
pub(super) const CALLS_MAX: usize = 4 * DEPTH_MAX;

/// The names under which `serde_json` hands over a number as text (with `arbitrary_precision`) and raw JSON.
const NUMBER: &str = "$serde_json::private::Number";
const RAW: &str = "$serde_json::private::RawValue";

pub(super) fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let mut writer = Writer { out: String::new(), depth: 0, calls: 0 };
    value.serialize(&mut writer)?;
    writer.bounded()?;
    Ok(writer.out)
}

#[derive(Debug)]
struct Writer {
    out: String,
    depth: usize,
    calls: usize,
}

impl Writer {
    /// Writes a value inside another one.
    fn inner<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if self.calls == CALLS_MAX {
            return Err(Error::here(Problem::TooDeep));
        }
        self.calls += 1;
        value.serialize(&mut *self)?;
        self.calls -= 1;
        self.bounded()
    }

    fn bounded(&self) -> Result<(), Error> {
        if self.out.len() > BYTES_MAX { Err(Error::here(Problem::TooLong)) } else { Ok(()) }
    }

    fn deeper(&mut self) -> Result<(), Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::here(Problem::TooDeep));
        }
        self.depth += 1;
        Ok(())
    }

    /// Opens `{"variant":`, the form of an enum's variant with content.
    fn variant(&mut self, variant: &'static str) -> Result<(), Error> {
        self.deeper()?;
        self.out.push('{');
        write::string(&mut self.out, variant);
        self.out.push(':');
        Ok(())
    }

    fn close_variant(&mut self) {
        self.out.push('}');
        self.depth -= 1;
    }

    fn array(&mut self, variant: Option<&'static str>) -> Result<Array<'_>, Error> {
        if let Some(variant) = variant {
            self.variant(variant)?;
        }
        self.deeper().map_err(|e| in_variant(e, variant))?;
        self.out.push('[');
        Ok(Array { writer: self, index: 0, variant })
    }

    fn object(&mut self, variant: Option<&'static str>) -> Result<Members<'_>, Error> {
        if let Some(variant) = variant {
            self.variant(variant)?;
        }
        self.deeper().map_err(|e| in_variant(e, variant))?;
        let object = Object::open(&mut self.out);
        Ok(Members { writer: self, object, variant })
    }

    fn put(&mut self, plain: impl fmt::Display) {
        number::push(&mut self.out, plain);
    }

    /// A number that comes as text: all of its digits count.
    fn number_text(&mut self, digits: &str) -> Result<(), Error> {
        let parts = number::split(digits).ok().filter(|parts| parts.text.len() == digits.len());
        let Some(parts) = parts else {
            return Err(Error::here(Problem::Syntax { expected: "a number" }));
        };
        number::write_text(&mut self.out, &parts).map_err(Error::here)
    }
}

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Array<'a>;
    type SerializeTuple = Array<'a>;
    type SerializeTupleStruct = Array<'a>;
    type SerializeTupleVariant = Array<'a>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Struct<'a>;
    type SerializeStructVariant = Members<'a>;

    fn serialize_bool(self, v: bool) -> Result<(), Error> {
        self.put(v);
        Ok(())
    }

    fn serialize_i8(self, v: i8) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<(), Error> {
        self.put(v);
        Ok(())
    }

    fn serialize_i128(self, v: i128) -> Result<(), Error> {
        self.number_text(&v.to_string())
    }

    fn serialize_u8(self, v: u8) -> Result<(), Error> {
        self.serialize_u64(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<(), Error> {
        self.serialize_u64(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<(), Error> {
        self.serialize_u64(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<(), Error> {
        self.put(v);
        Ok(())
    }

    fn serialize_u128(self, v: u128) -> Result<(), Error> {
        self.number_text(&v.to_string())
    }

    fn serialize_f32(self, v: f32) -> Result<(), Error> {
        number::write_f32(&mut self.out, v).map_err(Error::here)
    }

    fn serialize_f64(self, v: f64) -> Result<(), Error> {
        number::write_f64(&mut self.out, v).map_err(Error::here)
    }

    fn serialize_char(self, v: char) -> Result<(), Error> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<(), Error> {
        write::string(&mut self.out, v);
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Error> {
        self.deeper()?;
        write::bytes(&mut self.out, v);
        self.depth -= 1;
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.inner(value)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.inner(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant)?;
        self.inner(value).map_err(|e| e.under(variant))?;
        self.close_variant();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Array<'a>, Error> {
        self.array(None)
    }

    fn serialize_tuple(self, _: usize) -> Result<Array<'a>, Error> {
        self.array(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Array<'a>, Error> {
        self.array(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Array<'a>, Error> {
        self.array(Some(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>, Error> {
        self.object(None)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Struct<'a>, Error> {
        Ok(match name {
            NUMBER => Struct::Number(self),
            RAW => Struct::Raw(self),
            _ => Struct::Members(self.object(None)?),
        })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a>, Error> {
        self.object(Some(variant))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        write::string(&mut self.out, &displayed(value)?);
        Ok(())
    }
}

/// What a value displays; `to_string` would panic where its Display fails.
pub(super) fn displayed<T: fmt::Display + ?Sized>(value: &T) -> Result<String, Error> {
    let mut text = String::new();
    match write!(text, "{value}") {
        Ok(()) => Ok(text),
        Err(_) => {
            let message = "the value's Display failed".to_owned();
            Err(Error::here(Problem::Refused { message }))
        }
    }
}

fn in_variant(error: Error, variant: Option<&str>) -> Error {
    match variant {
        Some(variant) => error.under(variant),
        None => error,
    }
}

/// An array being written.
#[derive(Debug)]
struct Array<'a> {
    writer: &'a mut Writer,
    index: usize,
    variant: Option<&'static str>,
}

impl Array<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        write::separate(&mut self.writer.out, self.index);
        self.writer.inner(value).map_err(|e| in_variant(e.under(&self.index.to_string()), self.variant))?;
        self.index += 1;
        Ok(())
    }

    fn close(self) -> Result<(), Error> {
        self.writer.out.push(']');
        self.writer.depth -= 1;
        if self.variant.is_some() {
            self.writer.close_variant();
        }
        Ok(())
    }
}

/// An object being written.
#[derive(Debug)]
struct Members<'a> {
    writer: &'a mut Writer,
    object: Object,
    variant: Option<&'static str>,
}

impl Members<'_> {
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.writer.inner(value).map_err(|e| in_variant(e.under(self.object.current()), self.variant))?;
        self.object.valued(&self.writer.out);
        Ok(())
    }

    fn name(&mut self, name: String) {
        self.object.name(&mut self.writer.out, name);
    }

    fn close(self) -> Result<(), Error> {
        self.object.close(&mut self.writer.out).map_err(|name| {
            let problem = Problem::DuplicateKey { key: short(&name) };
            in_variant(Error::here(problem), self.variant)
        })?;
        self.writer.depth -= 1;
        if self.variant.is_some() {
            self.writer.close_variant();
        }
        Ok(())
    }
}

/// A struct, or one of the two that `serde_json` disguises as structs.
#[derive(Debug)]
enum Struct<'a> {
    Members(Members<'a>),
    Number(&'a mut Writer),
    Raw(&'a mut Writer),
}

impl ser::SerializeSeq for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeTuple for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeTupleStruct for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeTupleVariant for Array<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let name = key.serialize(Name::default()).map_err(|e| in_variant(e, self.variant))?;
        self.name(name);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeStructVariant for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.name(name.to_owned());
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeStruct for Struct<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        match self {
            Self::Members(members) => {
                members.name(name.to_owned());
                members.value(value)
            }
            Self::Number(writer) => {
                let digits = value.serialize(Name::default())?;
                writer.number_text(&digits)
            }
            Self::Raw(writer) => {
                let json = value.serialize(Name::default())?;
                text::append(&mut writer.out, json.as_bytes(), writer.depth)
            }
        }
    }

    fn end(self) -> Result<(), Error> {
        match self {
            Self::Members(members) => members.close(),
            Self::Number(_) | Self::Raw(_) => Ok(()),
        }
    }
}
