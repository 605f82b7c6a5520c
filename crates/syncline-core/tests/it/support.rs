//! A byte pipe and a loop that moves the time on when nothing else is left to do.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};
use syncline_core::clock::ManualClock;

/// One direction; both ends are on one task, which is polled as a whole, so nobody is woken.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<Mutex<VecDeque<u8>>>);

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut bytes = self.0.lock().unwrap();
        let count = bytes.len().min(buffer.len());
        bytes.drain(..count).zip(buffer).for_each(|(byte, slot)| *slot = byte);
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }
}

/// Runs a future to its end under virtual time.
pub(crate) fn run<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        for _ in 0..100 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
        }
        clock.advance_to(clock.next_wake().expect("nobody waits for anything"));
    }
}
