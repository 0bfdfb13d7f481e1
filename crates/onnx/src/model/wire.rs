//! The wire format of protocol buffers: a message as its fields, one after the other.
//!
//! After "Encoding" of the Protocol Buffers documentation. Only what an ONNX file needs, and
//! without copying: values are slices of the file.

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A value goes on beyond the end: the file is cut off, or is something else.
    CutOff,
    /// A number has more than ten bytes, a field has the number 0 or an unknown wire type.
    NotAMessage,
    /// Messages in messages, deeper than [`DEEPEST`].
    TooDeep,
}

/// Messages are followed to this depth; ONNX Runtime and tract stop at 100.
pub(crate) const DEEPEST: usize = 64;

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A number of variable length: all integers.
    Number(u64),
    /// Eight bytes, as a `double`.
    Eight([u8; 8]),
    /// A text, a message, or numbers packed together.
    Bytes(&'a [u8]),
    /// Four bytes, as a `float`.
    Four([u8; 4]),
}

impl<'a> Value<'a> {
    /// The bytes of a text or message; a value of another type is none.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::NotAMessage),
        }
    }

    /// A text; bytes that are no UTF-8 are replaced.
    pub(crate) fn text(self) -> Result<String, Malformed> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// A whole number in two's complement, as `int32`, `int64` and enumerations are written.
    pub(crate) fn whole(self) -> Result<i64, Malformed> {
        match self {
            Self::Number(number) => Ok(number.cast_signed()),
            _ => Err(Malformed::NotAMessage),
        }
    }

    /// Appends whole numbers, whether they are packed or written one field each.
    pub(crate) fn wholes(self, into: &mut Vec<i64>) -> Result<(), Malformed> {
        match self {
            Self::Number(number) => into.push(number.cast_signed()),
            Self::Bytes(mut rest) => {
                while !rest.is_empty() {
                    into.push(number(&mut rest)?.cast_signed());
                }
            }
            _ => return Err(Malformed::NotAMessage),
        }
        Ok(())
    }
}

/// Calls `visit` with the number and value of every field of a message.
pub(crate) fn fields<'a>(
    mut message: &'a [u8],
    mut visit: impl FnMut(u64, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !message.is_empty() {
        let tag = number(&mut message)?;
        let field = tag >> 3;
        if field == 0 {
            return Err(Malformed::NotAMessage);
        }
        let value = match tag & 7 {
            0 => Value::Number(number(&mut message)?),
            1 => Value::Eight(take_array(&mut message)?),
            2 => {
                let length = number(&mut message)?;
                let length = usize::try_from(length).map_err(|_| Malformed::CutOff)?;
                let (bytes, rest) = message.split_at_checked(length).ok_or(Malformed::CutOff)?;
                message = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Four(take_array(&mut message)?),
            _ => return Err(Malformed::NotAMessage),
        };
        visit(field, value)?;
    }
    Ok(())
}

fn take_array<const N: usize>(message: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, rest) = message.split_first_chunk::<N>().ok_or(Malformed::CutOff)?;
    *message = rest;
    Ok(*bytes)
}

fn number(message: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (&byte, rest) = message.split_first().ok_or(Malformed::CutOff)?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed::NotAMessage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Malformed> {
        let mut found = Vec::new();
        fields(message, |field, value| {
            found.push((field, value));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn the_examples_of_the_documentation() {
        // protobuf.dev, "Encoding": a = 150; b = "testing".
        let found = all(&[
            0x08, 0x96, 0x01, 0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67,
        ]);
        assert_eq!(
            found.unwrap(),
            [(1, Value::Number(150)), (2, Value::Bytes(b"testing"))]
        );
        // -2 as an int64.
        let minus = [
            0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ];
        assert_eq!(all(&minus).unwrap()[0].1.whole(), Ok(-2));
        // Packed: 3, 270, 86942.
        let mut numbers = Vec::new();
        Value::Bytes(&[0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05])
            .wholes(&mut numbers)
            .unwrap();
        assert_eq!(numbers, [3, 270, 86_942]);
    }

    #[test]
    fn what_is_cut_off_or_no_message_is_said() {
        for cut in [
            &[0x08][..],
            &[0x12, 0x07, 0x74],
            &[0x0d, 1, 2, 3],
            &[0x09, 1],
        ] {
            assert_eq!(all(cut), Err(Malformed::CutOff), "{cut:?}");
        }
        let endless = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        for other in [&[0x00, 0x00][..], &[0x0b], &endless] {
            assert_eq!(all(other), Err(Malformed::NotAMessage), "{other:?}");
        }
        // A length of 2^63.
        let long = [0x12, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1];
        assert_eq!(all(&long), Err(Malformed::CutOff));
    }
}
