//! Numbers in headers.

use crate::error::{Error, Result};

/// A number in octal digits, with blanks or a NUL around it; or, with the highest bit set, in base 256 (tar(5)).
pub(super) fn number(field: &[u8], what: &str) -> Result<i64> {
    let wrong = || Error::refused(format!("the {what} in a header is no number"));
    match field.first() {
        Some(first) if first & 0x80 != 0 => binary(field).ok_or_else(wrong),
        Some(_) | None => octal(field).ok_or_else(wrong),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let text = std::str::from_utf8(field.get(..end)?).ok()?.trim_matches(' ');
    if text.is_empty() {
        return Some(0);
    }
    if !text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return None;
    }
    i64::from_str_radix(text, 8).ok()
}

/// A number of two's complement in all bits but the first.
fn binary(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let mut value = i64::from(first & 0x3f);
    if first & 0x40 != 0 {
        value -= 0x40;
    }
    for byte in rest {
        value = value.checked_mul(256)?.checked_add(i64::from(*byte))?;
    }
    Some(value)
}

/// The same, which may not be negative.
pub(super) fn unsigned(field: &[u8], what: &str) -> Result<u64> {
    number(field, what)?.try_into().map_err(|_| Error::refused(format!("the {what} in a header is negative")))
}

/// The same, which has to fit into 32 bits.
pub(super) fn small(field: &[u8], what: &str) -> Result<u32> {
    number(field, what)?
        .try_into()
        .map_err(|_| Error::refused(format!("the {what} in a header is out of range")))
}
