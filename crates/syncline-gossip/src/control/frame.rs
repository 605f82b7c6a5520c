//! Frames: four bytes of length, and a CBOR array.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{ControlError, ControlLimits};

/// With what both sides begin.
pub(super) const PREAMBLE: &[u8; 8] = b"SYNLKVC1";

/// A stream of frames.
#[derive(Debug)]
pub(super) struct Framed<S> {
    stream: S,
    limits: ControlLimits,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    /// Says what we speak, and hears whether the other side does.
    pub(super) async fn open(mut stream: S, limits: ControlLimits) -> Result<Self, ControlError> {
        let greeting = async {
            stream.write_all(PREAMBLE).await?;
            stream.flush().await?;
            let mut theirs = [0; PREAMBLE.len()];
            stream.read_exact(&mut theirs).await?;
            if &theirs == PREAMBLE { Ok(()) } else { Err(ControlError::Preamble) }
        };
        timeout(limits.frame_time, greeting).await.map_err(|_| ControlError::TimedOut)??;
        Ok(Self { stream, limits })
    }

    /// The next frame; none if the other side has ended. Waits for its first byte as long as it takes.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, ControlError> {
        let mut first = [0];
        if self.stream.read(&mut first).await? == 0 {
            return Ok(None);
        }
        let stream = &mut self.stream;
        let max = self.limits.frame_len;
        let reading = async {
            let [first] = first;
            let mut rest = [0; 3];
            stream.read_exact(&mut rest).await?;
            let [second, third, fourth] = rest;
            let len = usize::try_from(u32::from_be_bytes([first, second, third, fourth])).unwrap_or(usize::MAX);
            if len > max {
                return Err(ControlError::FrameTooLong { len, max });
            }
            // Grows with what comes, so that a claim alone reserves nothing.
            let mut body = Vec::new();
            let wanted = u64::try_from(len).unwrap_or(u64::MAX);
            if stream.take(wanted).read_to_end(&mut body).await? < len {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            Ok(Bytes::from(body))
        };
        timeout(self.limits.frame_time, reading).await.map_err(|_| ControlError::TimedOut)?.map(Some)
    }

    /// Writes a frame.
    pub(super) async fn write(&mut self, body: &[u8]) -> Result<(), ControlError> {
        let too_long = ControlError::FrameTooLong { len: body.len(), max: self.limits.frame_len };
        let Some(len) = u32::try_from(body.len()).ok().filter(|_| body.len() <= self.limits.frame_len) else {
            return Err(too_long);
        };
        let mut frame = BytesMut::with_capacity(4 + body.len());
        frame.put_u32(len);
        frame.put_slice(body);
        let writing = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        Ok(timeout(self.limits.frame_time, writing).await.map_err(|_| ControlError::TimedOut)??)
    }

    /// Waits until the other side ends, or says something.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn ended(&mut self) {
        let mut byte = [0];
        let _ = self.stream.read(&mut byte).await;
    }
}
