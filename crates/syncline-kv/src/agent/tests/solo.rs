//! One agent, its inputs by hand.

use std::time::Duration;

use super::*;

pub(super) type Output = AgentOutput<u32>;

/// An agent of node 0 and what it does.
pub(super) struct Solo {
    pub(super) agent: Agent<u32>,
    pub(super) now: Timestamp,
}

impl Solo {
    /// Started with root 0 and with members `1..=peers`; its first digest is out.
    pub(super) fn new(config: AgentConfig, peers: u32) -> Self {
        Self::seeded(1, config, peers)
    }

    pub(super) fn seeded(seed: u64, config: AgentConfig, peers: u32) -> Self {
        let mut solo = Self { agent: Agent::new(0, namespace(), seed, config), now: at(1_000) };
        for peer in 1..=peers {
            let rtt = Some(Duration::from_millis(u64::from(peer)));
            assert_eq!(solo.tell(AgentInput::PeerUp { peer, rtt }), []);
        }
        assert_eq!(solo.tell(AgentInput::Started { root: root(0) }).len(), 1);
        solo
    }

    pub(super) fn tell(&mut self, input: AgentInput<u32>) -> Vec<Output> {
        self.agent.handle(self.now, input);
        let outputs = std::iter::from_fn(|| self.agent.poll()).collect();
        assert!(self.agent.next_timeout().is_none_or(|next| next > self.now), "no rest at {:?}", self.now);
        outputs
    }

    pub(super) fn hear(&mut self, from: Option<u32>, message: &Message) -> Vec<Output> {
        self.tell(AgentInput::Received { from, bytes: message.encode(&namespace()) })
    }

    /// Lets time pass, waking the agent when it wants to be.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<(Timestamp, Output)> {
        let end = self.now + time;
        let mut outputs = Vec::new();
        while let Some(next) = self.agent.next_timeout().filter(|next| *next <= end) {
            self.now = next;
            outputs.extend(self.tell(AgentInput::Timeout).into_iter().map(|output| (next, output)));
        }
        self.now = end;
        outputs
    }

    /// What it does in this time, when does not matter.
    pub(super) fn does(&mut self, time: Duration) -> Vec<Output> {
        self.pass(time).into_iter().map(|(_, output)| output).collect()
    }

    /// Has it broadcast a digest by a change to `root(n)`. Returns the nonce.
    pub(super) fn ask(&mut self, n: u64) -> u64 {
        let mut outputs = self.tell(AgentInput::Changed { root: root(n), source: Source::Local, pushes: Vec::new() });
        outputs.extend(self.does(Duration::from_millis(500)));
        let nonce = outputs.iter().rev().find_map(|output| match output {
            AgentOutput::Broadcast { bytes } => match decode(bytes) {
                Message::Digest { nonce, .. } => Some(nonce),
                _ => None,
            },
            _ => None,
        });
        nonce.unwrap()
    }

    /// Has `peer` say that it has something else, in answer to a broadcast.
    pub(super) fn disagree(&mut self, peer: u32, nonce: u64, theirs: u64) -> Vec<Output> {
        self.hear(Some(peer), &Message::Reply { root: root(theirs), nonce })
    }

    pub(super) fn ended(&mut self, peer: u32, outcome: Outcome) -> Vec<Output> {
        self.tell(AgentInput::SessionEnded { peer, side: Side::Opened, outcome })
    }
}

pub(super) fn decode(bytes: &Bytes) -> Message {
    Message::decode(&namespace(), bytes).unwrap()
}

/// With whom sessions are to be opened.
pub(super) fn syncs(outputs: &[Output]) -> Vec<u32> {
    let with = |output: &Output| if let AgentOutput::Sync { with } = output { Some(*with) } else { None };
    outputs.iter().filter_map(with).collect()
}

/// What is sent, and to whom; `None` for all.
pub(super) fn messages(outputs: &[Output]) -> Vec<(Option<u32>, Message)> {
    let message = |output: &Output| match output {
        AgentOutput::Broadcast { bytes } => Some((None, decode(bytes))),
        AgentOutput::Send { to, bytes } => Some((Some(*to), decode(bytes))),
        _ => None,
    };
    outputs.iter().filter_map(message).collect()
}
