//! Connects an agent to its surroundings.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use syncline_core::clock::{Timer, Timestamp};

use super::{
    Agent, AgentInput, AgentOutput, Broadcast, Connector, Gossiped, Heard, MemberEvent, Membership, News, OpenError,
    Outcome, Push, Root, Side, Source,
};

/// After how many rounds in one poll other tasks get their turn.
const ROUNDS: usize = 64;

/// Runs an agent until the membership, the broadcast or the node ends.
///
/// The agent must be new. Its messages are no longer than what the broadcast [carries](Broadcast::max_len), whatever it is set
/// up for; but for a broadcast that carries less than 256 bytes, by which nothing that is longer is sent.
///
/// Everything goes on in this one future, and nothing is spawned: all sessions that the agent asks for, at most one
/// application of pushes, the wait for news, for members, for messages and for the time. While pushes are applied no
/// messages are taken in, so that a slow tree makes the broadcast drop messages, and not this node grow.
///
/// # Cancel safety
///
/// Dropping the future ends the sessions that it had opened. What was applied stays.
pub async fn run<P, M, B, C, G>(
    agent: &mut Agent<P>,
    membership: &mut M,
    broadcast: &mut B,
    connector: &C,
    gossiped: &G,
    timer: &dyn Timer,
) where
    P: Ord + Clone + Debug + Send + Sync + 'static,
    M: Membership<P>,
    B: Broadcast<P>,
    C: Connector<P>,
    G: Gossiped<P, C::Stream>,
{
    let root = gossiped.root();
    agent.carry_at_most(broadcast.max_len());
    let mut driver = Driver {
        agent,
        membership,
        broadcast,
        connector,
        gossiped,
        timer,
        root,
        news: None,
        applying: None,
        sessions: BTreeMap::new(),
        sleep: None,
    };
    driver.tell(AgentInput::Started { root });
    poll_fn(|cx| driver.poll(cx)).await;
}

struct Driver<'a, P, M, B, C, G> {
    agent: &'a mut Agent<P>,
    membership: &'a mut M,
    broadcast: &'a mut B,
    connector: &'a C,
    gossiped: &'a G,
    timer: &'a dyn Timer,
    /// What the agent was told last.
    root: Root,
    news: Option<BoxFuture<'a, Option<News<P>>>>,
    /// The sender of what is applied, and the future of it.
    applying: Option<(Option<P>, BoxFuture<'a, Vec<Push>>)>,
    sessions: BTreeMap<P, BoxFuture<'a, Outcome>>,
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
}

/// Something has ended for good.
struct End;

impl<'a, P, M, B, C, G> Driver<'a, P, M, B, C, G>
where
    P: Ord + Clone + Debug + Send + Sync + 'static,
    M: Membership<P>,
    B: Broadcast<P>,
    C: Connector<P>,
    G: Gossiped<P, C::Stream>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            match self.round(cx) {
                Err(End) => return Poll::Ready(()),
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes one event from each source, so that none can keep the others waiting. False if there was none at all.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut busy = self.poll_time(cx);
        busy |= self.poll_news(cx)?;
        busy |= self.poll_apply(cx);
        busy |= self.poll_sessions(cx);
        busy |= self.poll_members(cx)?;
        busy |= self.poll_messages(cx)?;
        Ok(busy)
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.agent.next_timeout() else { return false };
        if self.timer.now() < at {
            let sleep = match &mut self.sleep {
                Some((until, sleep)) if *until == at => sleep,
                other => &mut other.insert((at, self.timer.sleep_until(at))).1,
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
        self.sleep = None;
        self.tell(AgentInput::Timeout);
        true
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let gossiped = self.gossiped;
        let news = self.news.get_or_insert_with(|| gossiped.news());
        let Poll::Ready(news) = news.as_mut().poll(cx) else { return Ok(false) };
        self.news = None;
        match news.ok_or(End)? {
            News::Changed { source, pushes } => self.changed(source, pushes),
            News::SessionAccepted { peer } => self.tell(AgentInput::SessionAccepted { peer }),
            News::SessionEnded { peer, outcome } => self.session_ended(peer, Side::Accepted, outcome),
        }
        Ok(true)
    }

    fn poll_apply(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((_, apply)) = &mut self.applying else { return false };
        let Poll::Ready(pushes) = apply.as_mut().poll(cx) else { return false };
        let from = self.applying.take().and_then(|(from, _)| from);
        self.changed(Source::Pushed(from), pushes);
        true
    }

    fn poll_sessions(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = Vec::new();
        for (peer, session) in &mut self.sessions {
            if let Poll::Ready(outcome) = session.as_mut().poll(cx) {
                ended.push((peer.clone(), outcome));
            }
        }
        let any = !ended.is_empty();
        for (peer, outcome) in ended {
            // The agent may have cancelled it because of what another one has brought.
            if self.sessions.remove(&peer).is_some() {
                self.session_ended(peer, Side::Opened, outcome);
            }
        }
        any
    }

    fn poll_members(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Poll::Ready(event) = self.membership.poll_event(cx) else { return Ok(false) };
        self.tell(match event.ok_or(End)? {
            MemberEvent::Up { peer, rtt } => AgentInput::PeerUp { peer, rtt },
            MemberEvent::Down { peer } => AgentInput::PeerDown { peer },
            MemberEvent::Reconnected { peer } => AgentInput::Reconnected { peer },
        });
        Ok(true)
    }

    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.applying.is_some() {
            return Ok(false);
        }
        let Poll::Ready(heard) = self.broadcast.poll_receive(cx) else { return Ok(false) };
        self.tell(match heard.ok_or(End)? {
            Heard::Message { from, bytes } => AgentInput::Received { from, bytes },
            Heard::Lagged => AgentInput::Lagged,
        });
        Ok(true)
    }

    fn changed(&mut self, source: Source<P>, pushes: Vec<Push>) {
        let root = self.gossiped.root();
        if root != self.root || !pushes.is_empty() {
            self.root = root;
            self.tell(AgentInput::Changed { root, source, pushes });
        }
    }

    fn session_ended(&mut self, peer: P, side: Side, outcome: Outcome) {
        // The agent compares what it has with what the other had said; the news of the session may come later.
        self.changed(Source::Session(peer.clone()), Vec::new());
        self.tell(AgentInput::SessionEnded { peer, side, outcome });
    }

    fn tell(&mut self, input: AgentInput<P>) {
        self.agent.handle(self.timer.now(), input);
        while let Some(output) = self.agent.poll() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: AgentOutput<P>) {
        let fits = |broadcast: &B, bytes: &Bytes| bytes.len() <= broadcast.max_len();
        match output {
            AgentOutput::Broadcast { bytes } if fits(self.broadcast, &bytes) => self.broadcast.publish(bytes),
            AgentOutput::Send { to, bytes } if fits(self.broadcast, &bytes) => self.broadcast.send(&to, bytes),
            AgentOutput::Sync { with } => {
                let session = self.session(with.clone());
                self.sessions.insert(with, session);
            }
            AgentOutput::CancelSync { with } => {
                self.sessions.remove(&with);
            }
            // Messages are taken in only while nothing is applied, and only they lead to this.
            AgentOutput::Apply { from, items } => {
                self.applying = Some((from.clone(), self.gossiped.apply(from, items)));
            }
            AgentOutput::Broadcast { .. } | AgentOutput::Send { .. } | AgentOutput::Rejected { .. } => {}
        }
    }

    fn session(&self, peer: P) -> BoxFuture<'a, Outcome> {
        let (connector, gossiped) = (self.connector, self.gossiped);
        Box::pin(async move {
            match connector.open(peer.clone()).await {
                Ok(stream) => gossiped.sync(peer, stream).await,
                Err(OpenError::Refused) => Outcome::Refused,
                Err(OpenError::Unreachable) => Outcome::Failed,
            }
        })
    }
}
