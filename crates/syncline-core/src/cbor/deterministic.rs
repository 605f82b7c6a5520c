//! One value, one encoding.

use std::io;

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{FrameError, FrameLimits, FrameScanner};

/// Why bytes are not the deterministic encoding of a value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeterministicError {
    /// The value cannot be written as CBOR.
    #[error("value cannot be encoded as cbor")]
    Encode(#[source] ciborium::value::Error),
    /// The bytes exceed a limit or are not CBOR.
    #[error("bytes are not acceptable cbor")]
    Frame(#[from] FrameError),
    /// The bytes end before the value does.
    #[error("bytes end within the value")]
    Truncated,
    /// The bytes do not hold a value of the type.
    #[error("bytes do not hold the expected value")]
    Decode(#[source] ciborium::de::Error<io::Error>),
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

/// The value's deterministic encoding (RFC 8949 §4.2.1): shortest heads and floats, definite lengths, map keys sorted by
/// their encoded bytes.
///
/// # Errors
///
/// [`DeterministicError::Encode`] if the value's `Serialize` fails or yields what CBOR cannot hold,
/// [`DeterministicError::DuplicateKey`] if it writes a map key twice.
pub fn to_deterministic<T: Serialize>(value: &T) -> Result<Vec<u8>, DeterministicError> {
    let mut value = Value::serialized(value).map_err(DeterministicError::Encode)?;
    sort_maps(&mut value)?;
    encode(&value)
}

/// Decodes a value and accepts only the bytes that [`to_deterministic`] would write for it.
///
/// The bytes are decoded, encoded again and compared, so anything that the type does not keep (an unknown field, a
/// longer head, a second spelling of a key) is refused, as are bytes after the value.
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
    let depth_max = limits.depth_max().saturating_add(1);
    let value: T =
        ciborium::de::from_reader_with_recursion_limit(bytes, depth_max).map_err(DeterministicError::Decode)?;
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

fn sort_maps(value: &mut Value) -> Result<(), DeterministicError> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(sort_maps),
        Value::Tag(_, inner) => sort_maps(inner),
        Value::Map(entries) => {
            let mut keyed = Vec::with_capacity(entries.len());
            for (mut key, mut value) in entries.drain(..) {
                sort_maps(&mut key)?;
                sort_maps(&mut value)?;
                keyed.push((encode(&key)?, key, value));
            }
            keyed.sort_by(|a, b| a.0.cmp(&b.0));
            if keyed.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(DeterministicError::DuplicateKey);
            }
            entries.extend(keyed.into_iter().map(|(_, key, value)| (key, value)));
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
