//! A session over TCP on this machine: what it costs when the network costs nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::RunError;
use super::meter::Meter;
use super::simulated::Scene;
use crate::contestant::{Contestant, Failure, Node, Received, Stream, Tally};

/// What a session took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loopback {
    /// From the first poll until all tasks ended.
    pub(crate) wall: Duration,
    /// CPU time of the initiator's session and application.
    pub(crate) initiator_cpu: Duration,
    /// The same of the acceptor.
    pub(crate) acceptor_cpu: Duration,
}

/// Runs one session on one thread. It is an error if not everything arrived.
pub(crate) fn over_loopback(contestant: &dyn Contestant, scene: &Scene<'_>) -> Result<Loopback, RunError> {
    over_loopback_after(contestant, scene, || {})
}

/// The same; calls `ready` when the nodes are there and before the session begins.
pub(crate) fn over_loopback_after(
    contestant: &dyn Contestant,
    scene: &Scene<'_>,
    ready: impl FnOnce(),
) -> Result<Loopback, RunError> {
    let fail = |why: Failure| RunError::Session { contestant: contestant.name().to_owned(), why: why.to_string() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(|err| fail(err.into()))?;
    let nodes = scene.nodes(contestant);
    ready();
    let (took, received) = runtime.block_on(session(&nodes)).map_err(fail)?;
    let sides = [(scene.initiator, scene.acceptor), (scene.acceptor, scene.initiator)];
    for ((own, peers), received) in sides.into_iter().zip(received) {
        let lacking = Tally::of(own.lacking(peers, scene.dataset));
        if received.operations < lacking.operations {
            return Err(fail(format!("{} of {} operations came", received.operations, lacking.operations).into()));
        }
    }
    Ok(took)
}

async fn session(nodes: &[Arc<dyn Node>; 2]) -> Result<(Loopback, [Tally; 2]), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (near, far) = futures::future::join(TcpStream::connect(listener.local_addr()?), listener.accept()).await;
    let (near, (far, _)) = (near?, far?);
    let meters = [Meter::new(), Meter::new()];
    let start = |index: usize, stream: TcpStream| -> Result<_, Failure> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let stream = Stream::new(reader.compat(), writer.compat_write());
        let side = Arc::clone(&nodes[index]).start(stream, Received::counting());
        let meter = &meters[index];
        Ok((tokio::spawn(meter.task(side.session)), tokio::spawn(meter.task(side.application))))
    };
    let before = Instant::now();
    let initiator = start(0, near)?;
    let acceptor = start(1, far)?;
    let mut received = [Tally::default(); 2];
    for ((session, application), received) in [initiator, acceptor].into_iter().zip(&mut received) {
        session.await??;
        *received = application.await?.tally();
    }
    let wall = before.elapsed();
    let [initiator_cpu, acceptor_cpu] = [meters[0].cpu(), meters[1].cpu()];
    Ok((Loopback { wall, initiator_cpu, acceptor_cpu }, received))
}
