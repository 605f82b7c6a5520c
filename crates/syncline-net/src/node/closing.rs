//! How a stream ends so that the last bytes reach the peer.
//!
//! Dropping a stream, or the connection under it, throws away what is still under way. So each side first finishes its own
//! direction and then reads until the peer has finished, too. A peer that has finished its direction in order has got
//! all it needs: its protocol has returned. What it sends after the protocol's end means nothing and is dropped.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};

use crate::transport::{BiStream, BoxReader};

/// The most bytes after the protocol's end that are read away; a peer that sends more is cut off.
const TRAILING_MAX: usize = 64 << 10;

/// Finishes this side's direction. Done when the transport says that the peer has all bytes, or the peer has finished or
/// is gone, or the time is over. What remains is to [`linger`].
pub(crate) async fn finish(stream: &mut BiStream, timeout: Duration) {
    let BiStream { tx, rx } = stream;
    tokio::select! {
        // The direction must be finished before anything else counts.
        biased;
        _ = tx.close() => {}
        () = until_end(rx) => {}
        () = tokio::time::sleep(timeout) => {}
    }
}

/// Keeps the stream until the peer has finished, at most for `timeout`.
pub(crate) async fn linger(mut stream: BiStream, timeout: Duration) {
    let _ = tokio::time::timeout(timeout, until_end(&mut stream.rx)).await;
}

/// Reads until the end, an error, or too many bytes.
async fn until_end(rx: &mut BoxReader) {
    let mut scratch = [0; 1024];
    let mut left = TRAILING_MAX;
    while let Ok(count @ 1..) = rx.read(&mut scratch).await {
        left = left.saturating_sub(count);
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::AsyncWrite;
    use tokio::time::Instant;

    use super::*;
    use crate::pipe::{PipeReader, PipeWriter, pipe};

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A transport that does not know when its bytes have arrived.
    struct NeverAcknowledged(PipeWriter);

    impl AsyncWrite for NeverAcknowledged {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let _ = Pin::new(&mut self.0).poll_close(cx)?;
            Poll::Pending
        }
    }

    fn unacknowledged() -> (BiStream, PipeReader, PipeWriter) {
        let (here, there) = pipe(1 << 20);
        let (rx, tx) = here.into_split();
        let (their_rx, their_tx) = there.into_split();
        (BiStream::new(NeverAcknowledged(tx), rx), their_rx, their_tx)
    }

    #[tokio::test(start_paused = true)]
    async fn the_peers_end_stands_for_an_acknowledgement() {
        let start = Instant::now();
        let (mut stream, mut their_rx, mut their_tx) = unacknowledged();
        stream.tx.write_all(b"last").await.unwrap();
        their_tx.write_all(b"trailing").await.unwrap();
        their_tx.close().await.unwrap();
        finish(&mut stream, TIMEOUT).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let mut last = Vec::new();
        their_rx.read_to_end(&mut last).await.unwrap();
        assert_eq!(last, b"last");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_waited_for_and_not_for_ever() {
        let start = Instant::now();
        let (mut stream, _their_rx, _their_tx) = unacknowledged();
        finish(&mut stream, TIMEOUT).await;
        assert_eq!(start.elapsed(), TIMEOUT);
        linger(stream, TIMEOUT).await;
        assert_eq!(start.elapsed(), 2 * TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_stops_sending_is_cut_off() {
        let start = Instant::now();
        let (stream, their_rx, mut their_tx) = unacknowledged();
        their_tx.write_all(&vec![0; TRAILING_MAX - 1]).await.unwrap();
        let lingering = tokio::spawn(linger(stream, TIMEOUT));
        tokio::task::yield_now().await;
        assert!(!lingering.is_finished());
        their_tx.write_all(&[0]).await.unwrap();
        lingering.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(their_tx.write_all(&[0]).await.is_err());
        drop(their_rx);
    }
}
