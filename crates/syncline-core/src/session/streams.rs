//! The streams and the application channel as the protocol sees them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite, Sink};

use super::meter::Meter;
use crate::{FromSync, SyncError, TopicQuery};

fn budget_exceeded() -> io::Error {
    io::Error::other("the session's byte budget is spent")
}

pub(super) struct MeteredWriter<'s> {
    inner: &'s mut (dyn AsyncWrite + Send + Unpin),
    meter: &'s Meter,
}

impl<'s> MeteredWriter<'s> {
    pub(super) fn new(inner: &'s mut (dyn AsyncWrite + Send + Unpin), meter: &'s Meter) -> Self {
        Self { inner, meter }
    }
}

impl AsyncWrite for MeteredWriter<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(left) = self.meter.send_budget() else { return Poll::Ready(Err(budget_exceeded())) };
        let bytes = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
        let count = ready!(Pin::new(&mut *self.inner).poll_write(cx, bytes))?;
        self.meter.sent(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_close(cx)
    }
}

pub(super) struct MeteredReader<'s> {
    inner: &'s mut (dyn AsyncRead + Send + Unpin),
    meter: &'s Meter,
}

impl<'s> MeteredReader<'s> {
    pub(super) fn new(inner: &'s mut (dyn AsyncRead + Send + Unpin), meter: &'s Meter) -> Self {
        Self { inner, meter }
    }
}

impl AsyncRead for MeteredReader<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // Up to the budget, so that what the protocol sees does not depend on how the bytes are cut. Past it one byte, to
        // tell the end of the stream from more.
        let left = usize::try_from(self.meter.receive_budget().max(1)).unwrap_or(usize::MAX);
        let len = left.min(buffer.len());
        let buffer = buffer.get_mut(..len).unwrap_or_default();
        let count = ready!(Pin::new(&mut *self.inner).poll_read(cx, buffer))?;
        if !self.meter.received(count) {
            return Poll::Ready(Err(budget_exceeded()));
        }
        Poll::Ready(Ok(count))
    }
}

pub(super) struct MeteredSink<'s, T: TopicQuery> {
    inner: &'s mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin),
    meter: &'s Meter,
}

impl<'s, T: TopicQuery> MeteredSink<'s, T> {
    pub(super) fn new(
        inner: &'s mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin),
        meter: &'s Meter,
    ) -> Self {
        Self { inner, meter }
    }

    fn note(&self, polled: Poll<Result<(), SyncError>>) -> Poll<Result<(), SyncError>> {
        self.meter.set_app_stalled(polled.is_pending());
        polled
    }
}

impl<T: TopicQuery> Sink<FromSync<T>> for MeteredSink<'_, T> {
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let polled = Pin::new(&mut *self.inner).poll_ready(cx);
        self.note(polled)
    }

    fn start_send(mut self: Pin<&mut Self>, item: FromSync<T>) -> Result<(), SyncError> {
        match &item {
            FromSync::HandshakeSuccess(_) => self.meter.handshake_done(),
            FromSync::Data { .. } if !self.meter.item_received() => {
                return Err(SyncError::UnexpectedBehaviour("the session's item budget is spent".into()));
            }
            FromSync::Data { .. } => {}
        }
        Pin::new(&mut *self.inner).start_send(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let polled = Pin::new(&mut *self.inner).poll_flush(cx);
        self.note(polled)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let polled = Pin::new(&mut *self.inner).poll_close(cx);
        self.note(polled)
    }
}
