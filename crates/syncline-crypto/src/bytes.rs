//! What all newtypes around a fixed number of bytes share: hex, slices and serde.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};

use crate::ParseError;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes that `Debug` shows; enough to tell values apart in a log, too few to be mistaken for the whole.
const SHORT: usize = 5;

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    use fmt::Write as _;
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            let digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?');
            f.write_char(char::from(digit))?;
        }
    }
    Ok(())
}

/// All bytes as lower-case hex.
pub(crate) fn display(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write_hex(f, bytes)
}

/// The type's name and the first bytes.
pub(crate) fn debug(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    f.write_str(name)?;
    f.write_str("(")?;
    write_hex(f, bytes.get(..SHORT).unwrap_or(bytes))?;
    f.write_str("…)")
}

fn nibble(text: &[u8], position: usize) -> Result<u8, ParseError> {
    match text.get(position) {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(ParseError::Digit { position }),
    }
}

/// Exactly `2 * N` hex digits of either case, nothing else.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseError> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return Err(ParseError::TextLength { expected: 2 * N, found: text.len() });
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (nibble(text, 2 * index)? << 4) | nibble(text, 2 * index + 1)?;
    }
    Ok(bytes)
}

/// Exactly `N` bytes.
pub(crate) fn from_slice<const N: usize>(slice: &[u8]) -> Result<[u8; N], ParseError> {
    slice.try_into().map_err(|_| ParseError::Length { expected: N, found: slice.len() })
}

/// Reads `N` bytes from whatever the format has them as.
#[derive(Debug)]
pub(crate) struct BytesVisitor<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for BytesVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        from_slice(bytes).map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; N];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(index, &self))?;
        }
        match seq.next_element::<de::IgnoredAny>()? {
            None => Ok(bytes),
            Some(_) => Err(de::Error::invalid_length(N + 1, &self)),
        }
    }
}

/// Reads `N` bytes from a hex string, for formats that people read.
#[derive(Debug)]
pub(crate) struct HexVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for HexVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of {} hex digits", 2 * N)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        from_hex(text).map_err(E::custom)
    }
}

/// Implements the shared traits for a newtype `$name([u8; $len])`, whose values are made from bytes by
/// `$parse: fn([u8; $len]) -> Result<$name, $error>`, where `$error: From<ParseError> + Display`.
macro_rules! byte_newtype {
    ($name:ident, $len:expr, $error:ty, $parse:expr) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::bytes::debug(f, stringify!($name), &self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::bytes::display(f, &self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $parse($crate::bytes::from_hex::<{ $len }>(text)?)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = $error;

            fn try_from(slice: &[u8]) -> Result<Self, Self::Error> {
                $parse($crate::bytes::from_slice::<{ $len }>(slice)?)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes = if deserializer.is_human_readable() {
                    deserializer.deserialize_str($crate::bytes::HexVisitor::<{ $len }>)?
                } else {
                    deserializer.deserialize_bytes($crate::bytes::BytesVisitor::<{ $len }>)?
                };
                let parsed: Result<Self, $error> = $parse(bytes);
                parsed.map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use byte_newtype;
