//! What goes over a link, byte by byte. `docs/spec/kv-link.md` is the specification.

use bytes::{BufMut, Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt};
use syncline_core::SyncError;

/// What the accepting side answers to a hello that it takes. To others it says nothing.
pub(super) const WELCOME: u8 = 1;
/// Bytes of the length before each frame.
const LENGTH_LEN: usize = 4;

const MESSAGE: u8 = 0;
const PING: u8 = 1;
const PONG: u8 = 2;

/// One frame of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message of the agent.
    Message(Bytes),
    /// To be answered with the same number.
    Ping(u64),
    /// The answer.
    Pong(u64),
}

impl Frame {
    /// Writes the frame with its length.
    pub(super) fn encode(&self) -> Bytes {
        let (kind, number, body) = match self {
            Self::Message(bytes) => (MESSAGE, None, bytes.as_ref()),
            Self::Ping(number) => (PING, Some(number.to_be_bytes()), &[][..]),
            Self::Pong(number) => (PONG, Some(number.to_be_bytes()), &[][..]),
        };
        let number = number.as_ref().map_or(&[][..], |number| &number[..]);
        let len = 1 + number.len() + body.len();
        let mut out = BytesMut::with_capacity(LENGTH_LEN + len);
        // Messages are far shorter than 4 GiB: the limit is checked before they are queued.
        out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
        out.put_u8(kind);
        out.put_slice(number);
        out.put_slice(body);
        out.freeze()
    }

    /// Reads a frame, whose message has at most so many bytes. No more is reserved than that.
    pub(super) async fn read(
        rx: &mut (dyn AsyncRead + Send + Unpin),
        message_len: usize,
    ) -> Result<Option<Self>, SyncError> {
        let mut length = [0; LENGTH_LEN];
        let Some((first, rest)) = length.split_first_mut() else { return Ok(None) };
        // Between frames the peer may end.
        if rx.read(std::slice::from_mut(first)).await? == 0 {
            return Ok(None);
        }
        rx.read_exact(rest).await?;
        let len = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if len == 0 || len > message_len.saturating_add(1) {
            return Err(SyncError::InvalidEncoding(format!("a frame of {len} bytes")));
        }
        let mut body = vec![0; len];
        rx.read_exact(&mut body).await?;
        Self::decode(Bytes::from(body)).map(Some)
    }

    fn decode(mut body: Bytes) -> Result<Self, SyncError> {
        let kind = body.split_to(1)[0];
        let number = || {
            let number = <[u8; 8]>::try_from(body.as_ref());
            number.map(u64::from_be_bytes).map_err(|_| SyncError::InvalidEncoding("a ping of another length".into()))
        };
        match kind {
            MESSAGE => Ok(Self::Message(body)),
            PING => number().map(Self::Ping),
            PONG => number().map(Self::Pong),
            kind => Err(SyncError::InvalidEncoding(format!("a frame of kind {kind}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn read(mut bytes: &[u8], message_len: usize) -> Result<Option<Frame>, SyncError> {
        Frame::read(&mut bytes, message_len).now_or_never().unwrap()
    }

    #[test]
    fn frames_are_what_the_specification_says() {
        assert_eq!(Frame::Message(Bytes::from_static(b"ab")).encode(), &b"\0\0\0\x03\0ab"[..]);
        assert_eq!(Frame::Ping(7).encode(), &b"\0\0\0\x09\x01\0\0\0\0\0\0\0\x07"[..]);
        assert_eq!(Frame::Pong(7).encode(), &b"\0\0\0\x09\x02\0\0\0\0\0\0\0\x07"[..]);
    }

    #[test]
    fn a_message_at_the_limit_is_taken_and_no_longer_one() {
        let frame = Frame::Message(Bytes::from(vec![5; 10]));
        assert_eq!(read(&frame.encode(), 10).unwrap(), Some(frame.clone()));
        assert!(matches!(read(&frame.encode(), 9), Err(SyncError::InvalidEncoding(_))));
        assert!(matches!(read(&[0xff; 4], 1 << 20), Err(SyncError::InvalidEncoding(_))), "before anything is reserved");
        assert!(matches!(read(&[0; 4], 10), Err(SyncError::InvalidEncoding(_))));
        assert_eq!(read(&[], 10).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some(frame)) = read(&bytes, 64) {
                let encoded = frame.encode();
                prop_assert_eq!(&bytes[..encoded.len()], &encoded[..]);
            }
        }
    }
}
