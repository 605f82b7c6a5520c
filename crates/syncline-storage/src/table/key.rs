//! Keys as bytes whose order is the order of the keys.

use bytes::Bytes;

/// Bytes that are not the encoding of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// Bytes are left over.
    #[error("{left} bytes are left over")]
    #[non_exhaustive]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A byte that no encoding has at its place.
    #[error("an invalid byte {byte:#04x}")]
    #[non_exhaustive]
    Invalid {
        /// The byte.
        byte: u8,
    },
    /// Text that is not UTF-8.
    #[error("text that is not utf-8")]
    Utf8,
    /// What a codec outside this crate found wrong.
    #[error("a value out of its domain")]
    Domain,
}

/// A type that can be a key, or a component of one.
///
/// An implementation has three laws, and its author a property test for them:
/// - *order*: `a.encode() < b.encode()` exactly if `a < b`;
/// - *no prefixes*: no encoding is a beginning of another, so that components can follow one another in a tuple;
/// - *one way back*: `decode` gives the value that was encoded, consumes what `encode` wrote and nothing else, and
///   refuses bytes that `encode` does not write.
///
/// Provided: `()`, `bool`, unsigned and signed integers (big-endian, the sign flipped), byte arrays (as they are), byte
/// strings and text (a zero becomes `00 ff`, the end is `00 00`), `Option` (`00`, or `01` and the value), and tuples of
/// up to six.
pub trait KeyCodec: Sized {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads an encoding from the beginning of `input` and moves `input` behind it.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with bytes that [`encode`](Self::encode) does not write.
    fn decode(input: &mut &[u8]) -> Result<Self, CodecError>;

    /// Reads an encoding that is the whole of `input`.
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Self::decode), and [`CodecError::Trailing`].
    fn decode_all(mut input: &[u8]) -> Result<Self, CodecError> {
        let key = Self::decode(&mut input)?;
        match input.len() {
            0 => Ok(key),
            left => Err(CodecError::Trailing { left }),
        }
    }
}

/// Takes the first `N` bytes.
fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], CodecError> {
    let (head, rest) = input.split_first_chunk().ok_or(CodecError::Truncated)?;
    *input = rest;
    Ok(*head)
}

macro_rules! integer_keys {
    ($($unsigned:ty, $signed:ty;)*) => {$(
        impl KeyCodec for $unsigned {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
                take(input).map(Self::from_be_bytes)
            }
        }

        impl KeyCodec for $signed {
            fn encode(&self, out: &mut Vec<u8>) {
                (self.cast_unsigned() ^ (1 << (<$signed>::BITS - 1))).encode(out);
            }

            fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
                let flipped = <$unsigned>::decode(input)?;
                Ok((flipped ^ (1 << (<$signed>::BITS - 1))).cast_signed())
            }
        }
    )*};
}

integer_keys! {
    u8, i8;
    u16, i16;
    u32, i32;
    u64, i64;
    u128, i128;
}

impl KeyCodec for () {
    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(_input: &mut &[u8]) -> Result<Self, CodecError> {
        Ok(())
    }
}

impl KeyCodec for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
        match take(input)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [byte] => Err(CodecError::Invalid { byte }),
        }
    }
}

impl<const N: usize> KeyCodec for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
        take(input)
    }
}

impl<T: KeyCodec> KeyCodec for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }

    fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
        match take(input)? {
            [0] => Ok(None),
            [1] => T::decode(input).map(Some),
            [byte] => Err(CodecError::Invalid { byte }),
        }
    }
}

/// Stands behind a zero that belongs to the string.
const ESCAPE: u8 = 0xff;
/// Stands behind a zero that ends the string.
const END: u8 = 0x00;

/// Appends `bytes` with every zero escaped, and the end. Since the end is less than the escape and than any two bytes
/// of a string, a string sorts before those that it begins.
fn encode_string(bytes: &[u8], out: &mut Vec<u8>) {
    let mut runs = bytes.split(|byte| *byte == 0);
    out.extend_from_slice(runs.next().unwrap_or_default());
    for run in runs {
        out.extend_from_slice(&[0, ESCAPE]);
        out.extend_from_slice(run);
    }
    out.extend_from_slice(&[0, END]);
}

fn decode_string(input: &mut &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    loop {
        let zero = input.iter().position(|byte| *byte == 0);
        let (run, rest) = zero.and_then(|at| input.split_at_checked(at + 1)).ok_or(CodecError::Truncated)?;
        // With its zero, which is either part of the string or goes again.
        out.extend_from_slice(run);
        *input = rest;
        match take(input)? {
            [ESCAPE] => {}
            [END] => {
                out.pop();
                return Ok(out);
            }
            [byte] => return Err(CodecError::Invalid { byte }),
        }
    }
}

macro_rules! string_keys {
    ($($name:ty),*) => {$(
        impl KeyCodec for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                encode_string(self, out);
            }

            fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
                decode_string(input).map(Into::into)
            }
        }
    )*};
}

string_keys!(Vec<u8>, Bytes, Box<[u8]>);

impl KeyCodec for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_string(self.as_bytes(), out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
        Self::from_utf8(decode_string(input)?).map_err(|_| CodecError::Utf8)
    }
}

macro_rules! tuple_keys {
    ($(($($name:ident $at:tt),+);)*) => {$(
        impl<$($name: KeyCodec),+> KeyCodec for ($($name,)+) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$at.encode(out);)+
            }

            fn decode(input: &mut &[u8]) -> Result<Self, CodecError> {
                Ok(($($name::decode(input)?,)+))
            }
        }
    )*};
}

tuple_keys! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
}
