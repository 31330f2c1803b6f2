//! The wire format of protocol buffers: what proto2 messages are read from and written to.
//!
//! After <https://protobuf.dev/programming-guides/encoding/>: a field of another number or of another wire type than is asked
//! for is skipped (so `CommandInfo`'s field 6 may be the message that it was in 0.19, or the boolean that it became), the
//! last of several values counts, and several values of a message are one, merged.

use std::fmt;

/// How deep groups, which nobody has written for twenty years, may be in each other.
const DEEPEST: usize = 100;

/// The largest number of a field.
const LARGEST: u64 = (1 << 29) - 1;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It ends within a field.
    Short,
    /// A number of more than 64 bits.
    Number,
    /// A field number or a wire type that there is none of.
    Tag,
    /// A group that is not ended, or ended without being begun; or too many in each other.
    Group,
    /// A string that is no UTF-8, or has a NUL.
    Text,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Short => "it ends within a field",
            Broken::Number => "it has a number of more than 64 bits",
            Broken::Tag => "it has a field of no known kind",
            Broken::Group => "it has a group without a begin or an end",
            Broken::Text => "it has a string that is not UTF-8, or contains a NUL",
        })
    }
}

/// What a field holds, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Other,
}

/// A message, as its fields in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields<'a>(Vec<(u32, Value<'a>)>);

impl<'a> Fields<'a> {
    /// Takes a message apart. What is in it of messages is looked at when it is asked for.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Fields<'a>, Broken> {
        let mut rest = bytes;
        let mut fields = Vec::new();
        let mut groups: Vec<u64> = Vec::new();
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            let number = tag >> 3;
            if number == 0 || number > LARGEST {
                return Err(Broken::Tag);
            }
            let value = match tag & 7 {
                0 => Value::Varint(varint(&mut rest)?),
                1 => Value::Fixed64(u64::from_le_bytes(*take::<8>(&mut rest)?)),
                2 => {
                    let length = usize::try_from(varint(&mut rest)?).map_err(|_| Broken::Short)?;
                    let (value, after) = rest.split_at_checked(length).ok_or(Broken::Short)?;
                    rest = after;
                    Value::Bytes(value)
                }
                3 if groups.len() < DEEPEST => {
                    groups.push(number);
                    continue;
                }
                4 if groups.pop() == Some(number) => Value::Other,
                3 | 4 => return Err(Broken::Group),
                5 => {
                    take::<4>(&mut rest)?;
                    Value::Other
                }
                _ => return Err(Broken::Tag),
            };
            if groups.is_empty() {
                fields.push((u32::try_from(number).map_err(|_| Broken::Tag)?, value));
            }
        }
        if groups.is_empty() { Ok(Fields(fields)) } else { Err(Broken::Group) }
    }

    fn values(&self, number: u32) -> impl Iterator<Item = Value<'a>> {
        self.0.iter().filter(move |(other, _)| *other == number).map(|(_, value)| *value)
    }

    fn last<T>(&self, number: u32, convert: impl Fn(Value<'a>) -> Option<T>) -> Option<T> {
        self.values(number).filter_map(convert).last()
    }

    fn bytes(&self, number: u32) -> impl Iterator<Item = &'a [u8]> {
        self.values(number).filter_map(|value| match value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Varint(_) | Value::Fixed64(_) | Value::Other => None,
        })
    }

    /// A number, or a value of an enumeration.
    #[must_use]
    pub fn number(&self, number: u32) -> Option<u64> {
        self.last(number, |value| match value {
            Value::Varint(value) => Some(value),
            Value::Fixed64(_) | Value::Bytes(_) | Value::Other => None,
        })
    }

    /// A boolean.
    #[must_use]
    pub fn bool(&self, number: u32) -> Option<bool> {
        self.number(number).map(|value| value != 0)
    }

    /// A `double`.
    #[must_use]
    pub fn double(&self, number: u32) -> Option<f64> {
        self.last(number, |value| match value {
            Value::Fixed64(value) => Some(f64::from_bits(value)),
            Value::Varint(_) | Value::Bytes(_) | Value::Other => None,
        })
    }

    /// A string.
    ///
    /// # Errors
    ///
    /// If one of its values is no text.
    pub fn string(&self, number: u32) -> Result<Option<String>, Broken> {
        Ok(self.strings(number)?.pop())
    }

    /// A field of any number of strings.
    ///
    /// # Errors
    ///
    /// If one of them is no text.
    pub fn strings(&self, number: u32) -> Result<Vec<String>, Broken> {
        self.bytes(number).map(text).collect()
    }

    /// A message in this one; several are merged.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn message(&self, number: u32) -> Result<Option<Fields<'a>>, Broken> {
        let parts = self.messages(number)?;
        let there = !parts.is_empty();
        let merged = Fields(parts.into_iter().flat_map(|part| part.0).collect());
        Ok(there.then_some(merged))
    }

    /// A field of any number of messages.
    ///
    /// # Errors
    ///
    /// If one of them is none.
    pub fn messages(&self, number: u32) -> Result<Vec<Fields<'a>>, Broken> {
        self.bytes(number).map(Fields::parse).collect()
    }
}

fn text(bytes: &[u8]) -> Result<String, Broken> {
    let text = std::str::from_utf8(bytes).map_err(|_| Broken::Text)?;
    // It becomes an argument, a path or a variable, none of which can have one.
    if text.contains('\0') { Err(Broken::Text) } else { Ok(text.to_owned()) }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], Broken> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(Broken::Short)?;
    *rest = after;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0_u64;
    for position in 0..10_u32 {
        let [byte] = *take::<1>(rest)?;
        // The tenth byte has the one bit that is left.
        if position == 9 && byte > 1 {
            return Err(Broken::Number);
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Broken::Number)
}

/// A message in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The message's bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn tag(&mut self, number: u32, kind: u64) {
        self.varint(u64::from(number) << 3 | kind);
    }

    /// A number, an enumeration or a boolean.
    #[must_use]
    pub fn number(mut self, number: u32, value: u64) -> Writer {
        self.tag(number, 0);
        self.varint(value);
        self
    }

    /// An `int32`, which takes ten bytes if it is negative.
    #[must_use]
    pub fn int32(self, number: u32, value: i32) -> Writer {
        self.number(number, i64::from(value).cast_unsigned())
    }

    /// A `double`.
    #[must_use]
    pub fn double(mut self, number: u32, value: f64) -> Writer {
        self.tag(number, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A string or a message.
    #[must_use]
    pub fn bytes(mut self, number: u32, value: &[u8]) -> Writer {
        self.tag(number, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_again() {
        let inner = Writer::default().number(1, 300).finish();
        let bytes = Writer::default()
            .int32(3, -1)
            .double(4, 0.25)
            .bytes(5, b"text")
            .bytes(6, &inner)
            .number(536_870_911, u64::MAX)
            .finish();
        let fields = Fields::parse(&bytes).unwrap();
        assert_eq!(fields.number(3), Some(u64::MAX));
        assert_eq!(fields.double(4), Some(0.25));
        assert_eq!(fields.string(5), Ok(Some("text".to_owned())));
        assert_eq!(fields.message(6).unwrap().unwrap().number(1), Some(300));
        assert_eq!(fields.number(536_870_911), Some(u64::MAX));
        assert_eq!(fields.number(7), None);
    }

    #[test]
    fn a_field_of_another_type_is_skipped() {
        let bytes = Writer::default().bytes(6, b"\x08\x01").number(5, 1).finish();
        let fields = Fields::parse(&bytes).unwrap();
        assert_eq!((fields.bool(6), fields.string(5), fields.double(5)), (None, Ok(None), None));
    }

    #[test]
    fn the_last_value_counts_and_messages_are_merged() {
        let one = Writer::default().number(1, 1).number(2, 1).finish();
        let two = Writer::default().number(1, 2).finish();
        let bytes = Writer::default().number(1, 7).bytes(2, &one).number(1, 8).bytes(2, &two).finish();
        let fields = Fields::parse(&bytes).unwrap();
        let merged = fields.message(2).unwrap().unwrap();
        assert_eq!((fields.number(1), merged.number(1), merged.number(2)), (Some(8), Some(2), Some(1)));
    }

    #[test]
    fn groups_are_skipped_with_what_is_in_them() {
        let bytes = [0x0b, 0x10, 0x01, 0x13, 0x14, 0x0c, 0x10, 0x02];
        assert_eq!(Fields::parse(&bytes).unwrap().number(2), Some(2));
        for broken in [&[0x0b][..], &[0x0c], &[0x0b, 0x14], &[0x0b; 1000]] {
            assert_eq!(Fields::parse(broken), Err(Broken::Group));
        }
    }

    #[test]
    fn what_is_broken_is_told() {
        let cases: [(&[u8], Broken); 8] = [
            (&[0x08], Broken::Short),
            (&[0x08, 0x80], Broken::Short),
            (&[0x09, 1, 2, 3], Broken::Short),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], Broken::Short),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Broken::Number),
            (&[0x00, 0x01], Broken::Tag),
            (&[0x0e, 0x01], Broken::Tag),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0x01], Broken::Tag),
        ];
        for (bytes, broken) in cases {
            assert_eq!(Fields::parse(bytes), Err(broken), "{bytes:x?}");
        }
        let bytes = Writer::default().bytes(1, b"\xff").bytes(2, b"a\0b").finish();
        let fields = Fields::parse(&bytes).unwrap();
        assert_eq!((fields.string(1), fields.string(2)), (Err(Broken::Text), Err(Broken::Text)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(fields) = Fields::parse(&bytes) {
                for number in 1..20 {
                    let _ = (fields.number(number), fields.double(number), fields.strings(number));
                    let _ = fields.message(number);
                }
            }
        }

        #[test]
        fn a_message_cut_short_is_none_unless_cut_between_fields(values in proptest::collection::vec(any::<u64>(), 1..9)) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for value in values {
                bytes.extend(Writer::default().number(1, value).finish());
                ends.push(bytes.len());
            }
            for length in 0..=bytes.len() {
                prop_assert_eq!(Fields::parse(&bytes[..length]).is_ok(), ends.contains(&length));
            }
        }

        #[test]
        fn any_number_survives(value in any::<u64>(), small in any::<i32>()) {
            let bytes = Writer::default().number(1, value).int32(2, small).finish();
            let fields = Fields::parse(&bytes).unwrap();
            prop_assert_eq!(fields.number(1), Some(value));
            prop_assert_eq!(fields.number(2), Some(i64::from(small).cast_unsigned()));
        }
    }
}
