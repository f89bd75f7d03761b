//! One text for one value: canonical JSON, and the names and fingerprints that are built on it.
//!
//! The form is that of [RFC 8785] (JSON Canonicalization Scheme): no white space, object members ordered by the UTF-16
//! code units of their names, the string escapes and the number layout of ECMAScript. It differs in one point, because
//! a ledger that confuses two invoice numbers is worse than none: **where RFC 8785 would lose digits of an integer, all
//! digits are kept**. RFC 8785 rounds 9007199254740993 to 9007199254740992; here both keep their own text, and so their
//! own [`Fingerprint`].
//!
//! What a number means:
//!
//! - The value counts, not the spelling: `1`, `1.0`, `1e0` and `10e-1` are one number, and `-0` is `0`.
//! - An integer is exact, however it is spelled (`1e30` too), up to [`INTEGER_DIGITS_MAX`] digits.
//! - A number with a fraction is the nearest `f64`: `0.1000000000000000055511151231257827` is `0.1`. One that is too
//!   large for an `f64`, or so small that it would become zero, is an error.
//! - A typed `f32` or `f64` is the decimal number that its shortest round-trip digits write, so `0.1f32` is the same
//!   number as the text `0.1`. NaN and the infinities are errors; they never become `null`.
//!
//! Typed values are written by a serializer of its own and text is read by a scanner that keeps digits. Neither goes
//! through `serde_json::Value`, so the form does not depend on the features (`preserve_order`, `arbitrary_precision`,
//! `float_roundtrip`) that some other crate of the build switches on. A value that *is* a `serde_json::Value` is written
//! as it stands; what reading it had already rounded is not brought back, so prefer [`from_text`] for text.
//!
//! Strings are compared as they are: no Unicode normalisation, as in the RFC.
//!
//! ```
//! use unattended::canonical;
//!
//! let text = canonical::from_text(r#"{ "total": 1.50, "id": 9007199254740993 }"#)?;
//! assert_eq!(text, r#"{"id":9007199254740993,"total":1.5}"#);
//! # Ok::<(), canonical::Error>(())
//! ```
//!
//! [RFC 8785]: https://www.rfc-editor.org/rfc/rfc8785

mod error;
mod fingerprint;
mod key;
mod lex;
mod name;
mod number;
mod ser;
mod text;
mod write;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use error::{Error, Place, Position, Problem};
pub use fingerprint::{Fingerprint, Form, Hasher, InvalidFingerprint};
pub use key::{InvalidKey, Key};
pub(crate) use lex::{Flaw, Lexer};

/// How deep arrays and objects may be nested.
pub const DEPTH_MAX: usize = 128;

/// How many digits an integer may have; RSA moduli of 3072 bits fit.
pub const INTEGER_DIGITS_MAX: usize = 1024;

/// How many bytes the canonical text may have: 64 MiB. It is built in memory, because members have to be ordered.
pub const BYTES_MAX: usize = 64 << 20;

/// The canonical JSON of a typed value.
///
/// Maps are written as `serde_json` writes them: names that are integers, booleans, characters or unit variants become
/// strings, anything else as a name is an error.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Invoice { number: u64, amount: f64 }
///
/// let text = unattended::canonical::to_string(&Invoice { number: u64::MAX, amount: 10.0 })?;
/// assert_eq!(text, r#"{"amount":10,"number":18446744073709551615}"#);
/// # Ok::<(), unattended::canonical::Error>(())
/// ```
///
/// # Errors
///
/// NaN and infinities, two members of one name, names that cannot be strings, nesting beyond [`DEPTH_MAX`], integers
/// beyond [`INTEGER_DIGITS_MAX`], text beyond [`BYTES_MAX`], and whatever the value's own `Serialize` refuses; each with
/// the JSON pointer of the place.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    ser::to_string(value)
}

/// The canonical JSON of a typed value, as bytes. See [`to_string`].
///
/// # Errors
///
/// As [`to_string`].
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    to_string(value).map(String::into_bytes)
}

/// The canonical form of JSON text ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259), UTF-8, no byte order mark),
/// with every digit of every integer kept.
///
/// # Errors
///
/// What is not JSON, two members of one name (also when spelled with other escapes), escapes of lone surrogates,
/// numbers out of range, and the bounds that [`to_string`] has; each with byte offset, line and column.
pub fn from_text(json: impl AsRef<[u8]>) -> Result<String, Error> {
    text::canonical(json.as_ref())
}
