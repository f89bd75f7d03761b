//! Numbers: from digits or floats to the one text that stands for the value.

use std::fmt::Write as _;

use super::{INTEGER_DIGITS_MAX, Problem};

/// Up to this power of ten ECMAScript writes an integer without an exponent.
const PLAIN_DIGITS_MAX: i64 = 21;

/// Exponents are clamped here; beyond, every number is zero or out of range anyway.
const EXPONENT_MAX: i64 = 1 << 40;

/// The parts of a number in the grammar of JSON.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// All of it, as it stands.
    pub(super) text: &'a str,
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

/// The value `0.digits × 10^point`, negated if `negative`; no digits are zero.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Without leading and trailing zeros.
    digits: String,
    point: i64,
}

/// The number at the start of `text`, or the offset where the grammar of JSON breaks.
pub(super) fn split(text: &str) -> Result<Parts<'_>, usize> {
    let bytes = text.as_bytes();
    let digits_from = |at: usize| bytes.iter().skip(at).take_while(|b| b.is_ascii_digit()).count();
    let mut at = 0;
    let negative = bytes.first() == Some(&b'-');
    at += usize::from(negative);
    let whole = if bytes.get(at) == Some(&b'0') { 1 } else { digits_from(at) };
    if whole == 0 {
        return Err(at);
    }
    let whole = &text[at..at + whole];
    at += whole.len();
    let mut fraction = "";
    if bytes.get(at) == Some(&b'.') {
        let len = digits_from(at + 1);
        if len == 0 {
            return Err(at + 1);
        }
        fraction = &text[at + 1..at + 1 + len];
        at += 1 + len;
    }
    let mut exponent = 0;
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = bytes.get(at + 1).filter(|b| matches!(b, b'+' | b'-'));
        let start = at + 1 + usize::from(sign.is_some());
        let len = digits_from(start);
        if len == 0 {
            return Err(start);
        }
        exponent = clamped(&text[start..start + len]);
        if sign == Some(&b'-') {
            exponent = -exponent;
        }
        at = start + len;
    }
    Ok(Parts { text: &text[..at], negative, whole, fraction, exponent })
}

/// Writes a number given as text.
pub(super) fn write_text(out: &mut String, parts: &Parts<'_>) -> Result<(), Problem> {
    // Most numbers are plain integers and stand in their form already; `-0` does not.
    let is_plain = parts.whole.len() + usize::from(parts.negative) == parts.text.len();
    if is_plain && parts.whole != "0" && signed(parts.whole.len()) <= PLAIN_DIGITS_MAX {
        out.push_str(parts.text);
        return Ok(());
    }
    let exact = Decimal::from_parts(parts);
    if exact.digits.is_empty() || (exact.is_integer() && exact.point <= PLAIN_DIGITS_MAX) {
        exact.lay_out(out);
        return Ok(());
    }
    if exact.is_integer() && exact.point > bound() {
        let digits = exact.point.unsigned_abs();
        return Err(Problem::IntegerTooLong { digits });
    }
    // JSON's grammar of numbers is a part of what `f64::from_str` reads, and it rounds correctly.
    let nearest: f64 = parts.text.parse().map_err(|_| Problem::OutOfRange)?;
    if exact.is_integer() {
        // RFC 8785's own text where it keeps the number, all digits where it would not.
        if nearest.is_finite() && Decimal::of_f64(nearest) == exact {
            exact.lay_out(out);
        } else {
            exact.all_digits(out);
        }
        return Ok(());
    }
    if nearest.is_infinite() || nearest == 0.0 {
        return Err(Problem::OutOfRange);
    }
    write_f64(out, nearest)
}

/// Writes a double as the decimal number that its shortest round-trip digits write.
pub(super) fn write_f64(out: &mut String, value: f64) -> Result<(), Problem> {
    finite(value)?;
    Decimal::of_f64(value).lay_out(out);
    Ok(())
}

/// Writes a single-precision float by its own shortest digits: `0.1f32` is a tenth, not 0.10000000149011612.
pub(super) fn write_f32(out: &mut String, value: f32) -> Result<(), Problem> {
    finite(f64::from(value))?;
    // A tie (see `of_f64`) needs seven digits here, because a significand is at least 2^23.
    let mut decimal = Decimal::from_scientific(&format!("{value:e}"));
    if decimal.digits.len() >= 7 {
        let even = format!("{value:.*e}", decimal.digits.len() - 1);
        if even.parse() == Ok(value) {
            decimal = Decimal::from_scientific(&even);
        }
    }
    decimal.lay_out(out);
    Ok(())
}

const fn finite(value: f64) -> Result<(), Problem> {
    if value.is_nan() {
        return Err(Problem::NotFinite { given: "NaN" });
    }
    if value.is_infinite() {
        return Err(Problem::NotFinite { given: if value > 0.0 { "inf" } else { "-inf" } });
    }
    Ok(())
}

impl Decimal {
    fn from_parts(parts: &Parts<'_>) -> Self {
        let mut digits = String::with_capacity(parts.whole.len() + parts.fraction.len());
        digits.push_str(parts.whole);
        digits.push_str(parts.fraction);
        Self::normal(parts.negative, digits, signed(parts.whole.len()).saturating_add(parts.exponent))
    }

    /// The shortest digits that read back as `value`; of those the closest, and of two equally close the even ones, as
    /// ECMAScript demands.
    ///
    /// The standard library gives the shortest and closest, but of two equally close the larger: 1424953923781206.25 as
    /// ….3. Such a tie needs 16 digits, because a significand is at least 2^52; rounding the exact value to that many
    /// digits takes the even ones. They are checked to read back, since below a power of two the gap is narrower.
    fn of_f64(value: f64) -> Self {
        let shortest = Self::from_scientific(&format!("{value:e}"));
        if shortest.digits.len() < 16 {
            return shortest;
        }
        let even = format!("{value:.*e}", shortest.digits.len() - 1);
        if even.parse() == Ok(value) { Self::from_scientific(&even) } else { shortest }
    }

    /// From what `{:e}` writes: `-1.25e-7`.
    fn from_scientific(text: &str) -> Self {
        // `{:e}` writes JSON's grammar; were it ever not to, zero digits would show in the first test.
        split(text).map_or_else(|_| Self::normal(false, String::new(), 0), |parts| Self::from_parts(&parts))
    }

    fn normal(negative: bool, mut digits: String, point: i64) -> Self {
        digits.truncate(digits.trim_end_matches('0').len());
        let zeros = digits.len() - digits.trim_start_matches('0').len();
        digits.drain(..zeros);
        if digits.is_empty() {
            return Self { negative: false, digits, point: 0 };
        }
        Self { negative, digits, point: point.saturating_sub(signed(zeros)) }
    }

    fn is_integer(&self) -> bool {
        signed(self.digits.len()) <= self.point
    }

    /// `Number::toString` of ECMAScript (ECMA-262, section 6.1.6.1.20) for these digits.
    fn lay_out(&self, out: &mut String) {
        if self.digits.is_empty() {
            return out.push('0');
        }
        if self.is_integer() && self.point <= PLAIN_DIGITS_MAX {
            return self.all_digits(out);
        }
        self.sign(out);
        match usize::try_from(self.point) {
            Ok(whole @ 1..=21) => {
                let (whole, fraction) = self.digits.split_at(whole.min(self.digits.len()));
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            }
            _ if (-5..=0).contains(&self.point) => {
                out.push_str("0.");
                zeros(out, self.point.unsigned_abs());
                out.push_str(&self.digits);
            }
            _ => self.with_exponent(out),
        }
    }

    fn with_exponent(&self, out: &mut String) {
        let (first, rest) = self.digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let exponent = self.point.saturating_sub(1);
        out.push_str(if exponent < 0 { "e-" } else { "e+" });
        push(out, exponent.unsigned_abs());
    }

    fn all_digits(&self, out: &mut String) {
        self.sign(out);
        out.push_str(&self.digits);
        zeros(out, self.point.saturating_sub(signed(self.digits.len())).unsigned_abs());
    }

    fn sign(&self, out: &mut String) {
        if self.negative {
            out.push('-');
        }
    }
}

/// Writes an integer of at most 64 bits, whose digits are always its form.
pub(super) fn push(out: &mut String, integer: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    write!(out, "{integer}").unwrap_or_default();
}

fn zeros(out: &mut String, count: u64) {
    out.extend((0..count).map(|_| '0'));
}

fn clamped(digits: &str) -> i64 {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(EXPONENT_MAX).min(EXPONENT_MAX) }
}

fn bound() -> i64 {
    signed(INTEGER_DIGITS_MAX)
}

fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
