//! One value, one encoding.

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::codec::describe;
use super::{FrameError, FrameLimits, FrameScanner};

/// Why serde could not write or read a value, as text for people.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}")]
pub struct CborError {
    what: Box<str>,
}

impl From<ciborium::value::Error> for CborError {
    fn from(err: ciborium::value::Error) -> Self {
        let ciborium::value::Error::Custom(what) = err;
        Self { what: what.into() }
    }
}

impl From<ciborium::de::Error<std::io::Error>> for CborError {
    fn from(err: ciborium::de::Error<std::io::Error>) -> Self {
        Self { what: describe(&err).into() }
    }
}

/// Why bytes are not the deterministic encoding of a value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeterministicError {
    /// The value cannot be written as CBOR.
    #[error("value cannot be encoded as cbor")]
    Encode(#[source] CborError),
    /// The bytes exceed a limit or are not CBOR.
    #[error("bytes are not acceptable cbor")]
    Frame(#[from] FrameError),
    /// The bytes end before the value does.
    #[error("bytes end within the value")]
    Truncated,
    /// The bytes do not hold a value of the type.
    #[error("bytes do not hold the expected value")]
    Decode(#[source] CborError),
    /// Bytes follow the value.
    #[error("{count} bytes follow the value")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// The bytes hold the value in another encoding than the deterministic one.
    #[error("encoding is not deterministic")]
    NotDeterministic,
    /// A map has the same key twice.
    #[error("a map has the same key twice")]
    DuplicateKey,
}

/// The value's deterministic encoding (RFC 8949 §4.2.1).
///
/// - Heads are the shortest that hold their argument; lengths are definite.
/// - Map keys, struct fields among them, are sorted by their encoded bytes, and no key comes twice.
/// - Floats are the shortest that hold the same number; `-0.0` and `0.0` differ. Every NaN is `f97e00`.
/// - Integers up to 64 bits are integers; beyond that, bignums without leading zeros.
///
/// The value is built as a tree first, so this takes memory of several times the encoding's length: for what is signed,
/// not for bulk data.
///
/// # Errors
///
/// [`DeterministicError::Encode`] if the value's `Serialize` fails or yields what CBOR cannot hold,
/// [`DeterministicError::DuplicateKey`] if it writes a map key twice.
pub fn to_deterministic<T: Serialize>(value: &T) -> Result<Vec<u8>, DeterministicError> {
    let mut value = Value::serialized(value).map_err(|err| DeterministicError::Encode(err.into()))?;
    normalise(&mut value)?;
    encode(&value)
}

/// Decodes a value and accepts only the bytes that [`to_deterministic`] would write for it.
///
/// The bytes are decoded, encoded again and compared, so anything that the type does not keep (an unknown field, a
/// longer head, a second spelling of a key) is refused, as are bytes after the value. A type whose `Serialize` forgets
/// part of a value, or depends on anything else, is not fit for this.
///
/// # Errors
///
/// [`DeterministicError`] with the reason. Limits: `limits` on length and nesting.
pub fn from_deterministic<T>(bytes: &[u8], limits: FrameLimits) -> Result<T, DeterministicError>
where
    T: Serialize + DeserializeOwned,
{
    let len = FrameScanner::new(limits).scan(bytes)?.ok_or(DeterministicError::Truncated)?;
    if len < bytes.len() {
        return Err(DeterministicError::Trailing { count: bytes.len() - len });
    }
    let value: T = ciborium::de::from_reader_with_recursion_limit(bytes, limits.depth_max())
        .map_err(|err| DeterministicError::Decode(err.into()))?;
    if to_deterministic(&value)? != bytes {
        return Err(DeterministicError::NotDeterministic);
    }
    Ok(value)
}

fn encode(value: &Value) -> Result<Vec<u8>, DeterministicError> {
    let mut bytes = Vec::new();
    match ciborium::into_writer(value, &mut bytes) {
        Ok(()) => Ok(bytes),
        // Writing to a `Vec` does not fail; a `Value` is already serialized. Kept as an error all the same.
        Err(_) => Err(DeterministicError::NotDeterministic),
    }
}

/// The quiet NaN without payload, `f97e00`. The bits of `f64::NAN` are not promised.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Brings a tree into the one form that counts.
///
/// The depth of the recursion is that of the value: bounded by the limits for what was decoded, the caller's own choice for
/// what it encodes.
fn normalise(value: &mut Value) -> Result<(), DeterministicError> {
    match value {
        Value::Float(number) if number.is_nan() => *number = NAN,
        Value::Array(items) => items.iter_mut().try_for_each(normalise)?,
        Value::Tag(tag, inner) => {
            normalise(inner)?;
            if let Some(bignum) = bignum(*tag, inner) {
                *value = bignum;
            }
        }
        Value::Map(entries) => sort(entries)?,
        _ => {}
    }
    Ok(())
}

fn sort(entries: &mut Vec<(Value, Value)>) -> Result<(), DeterministicError> {
    let mut keyed = Vec::with_capacity(entries.len());
    for (mut key, mut value) in entries.drain(..) {
        normalise(&mut key)?;
        normalise(&mut value)?;
        keyed.push((encode(&key)?, key, value));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    if keyed.iter().zip(keyed.iter().skip(1)).any(|(a, b)| a.0 == b.0) {
        return Err(DeterministicError::DuplicateKey);
    }
    entries.extend(keyed.into_iter().map(|(_, key, value)| (key, value)));
    Ok(())
}

/// The form that counts of a bignum (RFC 8949 §3.4.3): an integer if 64 bits hold it, else without leading zeros.
fn bignum(tag: u64, content: &Value) -> Option<Value> {
    const POSITIVE: u64 = 2;
    const NEGATIVE: u64 = 3;
    let (POSITIVE | NEGATIVE, Value::Bytes(bytes)) = (tag, content) else { return None };
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    if digits.len() > size_of::<u64>() {
        return Some(Value::Tag(tag, Box::new(Value::Bytes(digits.to_vec()))));
    }
    let magnitude = digits.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let number = if tag == POSITIVE { i128::from(magnitude) } else { -1 - i128::from(magnitude) };
    number.try_into().ok().map(Value::Integer)
}

#[cfg(test)]
mod tests;
