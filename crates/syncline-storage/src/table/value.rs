//! Values as bytes.

use bytes::Bytes;

use super::{CodecError, KeyCodec};

/// A type that can be a value of a [`Table`](super::Table). The order of the bytes does not matter.
///
/// Provided: `()`, `bool`, integers (big-endian), byte arrays, byte strings and text, as they are. A [`Bytes`] is
/// neither copied when it is put into a batch nor when a [`MemoryDb`](crate::MemoryDb) gives it back.
pub trait ValueCodec: Sized {
    /// The bytes to store.
    fn encode(&self) -> Bytes;

    /// The value of stored bytes.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with bytes that [`encode`](Self::encode) does not give.
    fn decode(bytes: Bytes) -> Result<Self, CodecError>;
}

impl ValueCodec for Bytes {
    fn encode(&self) -> Bytes {
        self.clone()
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        Ok(bytes)
    }
}

impl ValueCodec for Vec<u8> {
    fn encode(&self) -> Bytes {
        Bytes::copy_from_slice(self)
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        Ok(bytes.into())
    }
}

impl ValueCodec for String {
    fn encode(&self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        Self::from_utf8(bytes.into()).map_err(|_| CodecError::Utf8)
    }
}

impl<const N: usize> ValueCodec for [u8; N] {
    fn encode(&self) -> Bytes {
        Bytes::copy_from_slice(self)
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        KeyCodec::decode_all(&bytes)
    }
}

macro_rules! fixed_values {
    ($($name:ty),*) => {$(
        impl ValueCodec for $name {
            fn encode(&self) -> Bytes {
                let mut out = Vec::with_capacity(size_of::<Self>());
                KeyCodec::encode(self, &mut out);
                out.into()
            }

            fn decode(bytes: Bytes) -> Result<Self, CodecError> {
                KeyCodec::decode_all(&bytes)
            }
        }
    )*};
}

fixed_values!((), bool, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);
