//! One link while it is up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use syncline_core::SyncError;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::frame::Frame;
use super::queue::Queue;
use super::table::{Link, Table};

/// How long a link that is to end has for its last bytes.
const END_WAIT: Duration = Duration::from_secs(1);

/// What both directions of a link share.
struct Served<'a> {
    table: &'a Table,
    link: &'a Link,
    /// A ping that waits to be answered: one, however many come.
    pongs: Queue,
    timing: Mutex<Timing>,
}

struct Timing {
    /// When the peer was last heard, or last had to wait for us.
    heard: Instant,
    /// The ping that was sent last.
    asked: Option<(u64, Instant)>,
}

/// Carries messages until one side ends the link.
pub(super) async fn serve(
    table: &Table,
    link: &Link,
    tx: &mut (dyn AsyncWrite + Send + Unpin),
    rx: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<(), SyncError> {
    let timing = Timing { heard: Instant::now(), asked: None };
    let served = Served { table, link, pongs: Queue::new(1, 8), timing: Mutex::new(timing) };
    let stopped = async {
        link.stop.cancelled().await;
        tokio::time::sleep(END_WAIT).await;
    };
    tokio::select! {
        biased;
        result = served.write(tx) => result,
        result = served.read(rx) => result,
        () = stopped => Err(SyncError::UnexpectedBehaviour("the peer did not let the link end".into())),
    }
}

impl Served<'_> {
    async fn read(&self, rx: &mut (dyn AsyncRead + Send + Unpin)) -> Result<(), SyncError> {
        while let Some(frame) = Frame::read(rx, self.table.limits().message_len).await? {
            self.with_timing(|timing| timing.heard = Instant::now());
            match frame {
                Frame::Message(bytes) => {
                    self.table.note_message_after(self.link, bytes).await;
                    // The peer may have waited for us all the while.
                    self.with_timing(|timing| timing.heard = Instant::now());
                }
                Frame::Ping(number) => {
                    self.pongs.offer(Bytes::copy_from_slice(&number.to_be_bytes()));
                }
                Frame::Pong(number) => self.note_pong(number),
            }
        }
        Ok(())
    }

    async fn write(&self, tx: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), SyncError> {
        let mut pings = interval(self.table.limits().ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_ping = 0;
        loop {
            let frame = tokio::select! {
                biased;
                () = self.link.stop.cancelled() => break,
                number = self.pongs.next() => Frame::Pong(number_of(&number)),
                _ = pings.tick() => {
                    next_ping += 1;
                    self.ping(next_ping)?
                }
                message = self.link.outbound.next() => Frame::Message(message),
            };
            tx.write_all(&frame.encode()).await?;
            if self.link.outbound.is_empty() {
                tx.flush().await?;
                if self.link.outbound.take_loss() {
                    self.table.note_loss(&self.link.peer);
                }
            }
        }
        // Whoever runs the session closes the stream.
        tx.flush().await?;
        Ok(())
    }

    /// The next ping, unless the peer was silent for too long.
    fn ping(&self, number: u64) -> Result<Frame, SyncError> {
        let now = Instant::now();
        let silent = self.with_timing(|timing| {
            timing.asked = Some((number, now));
            now.duration_since(timing.heard)
        });
        // Who waits for us to take what it has sent is not silent.
        if silent > self.table.limits().silence && self.link.inbound.is_empty() {
            return Err(SyncError::UnexpectedBehaviour("the peer fell silent".into()));
        }
        Ok(Frame::Ping(number))
    }

    fn note_pong(&self, number: u64) {
        let asked = self.with_timing(|timing| timing.asked.take_if(|(asked, _)| *asked == number));
        if let Some((_, since)) = asked {
            self.table.note_rtt(&self.link.peer, since.elapsed());
        }
    }

    fn with_timing<R>(&self, with: impl FnOnce(&mut Timing) -> R) -> R {
        with(&mut self.timing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    /// Puts a message where it is heard as soon as there is room.
    async fn note_message_after(&self, link: &Link, bytes: Bytes) {
        link.inbound.put(bytes).await;
        self.note_message();
    }
}

fn number_of(bytes: &Bytes) -> u64 {
    <[u8; 8]>::try_from(bytes.as_ref()).map_or(0, u64::from_be_bytes)
}
