//! The peers agree on a topic, prove that they know it if it is secret, and see whether they differ.

use syncline_core::{FromSync, SyncError, TopicQuery};

use super::super::secrecy::{Mac, is_same};
use super::super::wire::{Hello, Message, Purpose, Refusal, TopicName, VERSION, Welcome};
use super::{LogMachine, Output, Phase, Request, Resolved, out_of_turn, unexpected};
use crate::store::LogId;

/// What is left of a message for a header beside a body.
const HEADER_ROOM: usize = 64 << 10;

/// What a peer that was refused is told.
pub(super) fn refused_by_peer(why: Refusal) -> SyncError {
    unexpected(match why {
        Refusal::Topic => "the peer does not know the topic, or not for us",
        Refusal::Version => "the peer speaks no version of the protocol that we speak",
        Refusal::Purpose => "the peer does not do what it was asked for",
    })
}

impl<T: TopicQuery, L: LogId> LogMachine<T, L> {
    /// The initiator's first message.
    pub(super) fn say_hello(&mut self, resolved: Resolved<T, L>, purpose: Purpose) {
        let (key, summary) = (&resolved.key, &resolved.summary);
        let topic = match key.is_secret() {
            true => TopicName::Secret(key.topic(&self.nonce)),
            false => TopicName::Clear(resolved.name.clone()),
        };
        self.is_initiator = true;
        self.purpose = purpose;
        let hello = Hello {
            version_min: VERSION,
            version_max: VERSION,
            purpose: purpose as u64,
            live: self.config.live,
            body_len_max: self.body_len_max(),
            nonce: self.nonce,
            topic,
            summary: key.summary(&self.nonce, summary.len(), summary.digest()),
            count: (!key.is_secret()).then_some(summary.len()),
        };
        self.resolved = Some(resolved);
        self.send(&Message::Hello(hello));
    }

    /// The acceptor finds out what is meant.
    pub(super) fn hello(&mut self, hello: Hello) -> Result<(), SyncError> {
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            return self.refuse(Refusal::Version, "the peer speaks no version of the protocol that we speak");
        }
        self.purpose = match hello.purpose {
            0 => Purpose::Sync,
            1 => Purpose::FetchPayloads,
            _ => return self.refuse(Refusal::Purpose, "the peer asked for something unknown"),
        };
        let request = Request::Resolve { name: hello.topic.clone(), nonce: hello.nonce };
        self.phase = Phase::Resolving(Box::new(hello));
        self.outputs.push_back(Output::Request(request));
        Ok(())
    }

    fn refuse(&mut self, why: Refusal, text: &str) -> Result<(), SyncError> {
        self.send(&Message::Refuse(why));
        self.phase = Phase::Refused(unexpected(text));
        Ok(())
    }

    /// The acceptor answers.
    pub(super) fn resolved(&mut self, resolved: Option<Resolved<T, L>>) -> Result<(), SyncError> {
        let Phase::Resolving(hello) = std::mem::replace(&mut self.phase, Phase::Open) else {
            return Err(out_of_turn());
        };
        let Some(resolved) = resolved else {
            return self.refuse(Refusal::Topic, "the peer asked for an unsupported topic");
        };
        let (key, summary) = (&resolved.key, &resolved.summary);
        let ours = key.summary(&hello.nonce, summary.len(), summary.digest());
        let is_equal = self.purpose == Purpose::Sync && is_same(&ours, &hello.summary);
        let welcome = Welcome {
            version: VERSION,
            live: self.config.live,
            body_len_max: self.body_len_max(),
            nonce: self.nonce,
            is_equal,
            proof: key.accept(&hello.nonce, &self.nonce),
            count: (!key.is_secret()).then_some(summary.len()),
        };
        let is_secret = key.is_secret();
        self.send(&Message::Welcome(welcome));
        self.agree(hello.nonce, hello.live, hello.body_len_max, resolved);
        self.heights.peer_count = hello.count;
        self.heights.are_equal = is_equal;
        if is_secret {
            // Whoever says this hello again gets no further.
            self.phase = Phase::Proof;
            return Ok(());
        }
        self.greet(true)
    }

    /// Tells the application, and ends the session or goes on.
    fn greet(&mut self, opens: bool) -> Result<(), SyncError> {
        let topic = self.resolved.as_ref().map(|resolved| resolved.topic.clone()).ok_or_else(out_of_turn)?;
        self.deliver(FromSync::HandshakeSuccess(topic));
        if self.heights.are_equal && !self.live && self.purpose == Purpose::Sync {
            self.phase = Phase::Finished;
            return Ok(());
        }
        self.phase = Phase::Open;
        self.open(opens)
    }

    /// The longest body that this side takes: what it wants, and what fits into a message.
    pub(super) fn body_len_max(&self) -> u64 {
        let limits = &self.config.limits;
        let fits = limits.frame_len_max().saturating_sub(HEADER_ROOM) as u64;
        match self.purpose {
            Purpose::Sync => fits.min(limits.body_len_max()),
            // These are asked for because they are long.
            Purpose::FetchPayloads => fits,
        }
    }

    fn agree(&mut self, peer_nonce: [u8; 16], peer_live: bool, peer_body_len_max: u64, resolved: Resolved<T, L>) {
        self.peer_nonce = peer_nonce;
        self.live = self.config.live && peer_live && self.purpose == Purpose::Sync;
        self.outgoing.peer_body_len_max = peer_body_len_max;
        self.resolved = Some(resolved);
    }

    /// The initiator takes the answer.
    pub(super) fn welcome(&mut self, welcome: &Welcome) -> Result<(), SyncError> {
        let resolved = self.resolved.take().ok_or_else(out_of_turn)?;
        if welcome.version != VERSION {
            return Err(unexpected("the peer chose a version that was not offered"));
        }
        if !is_same(&welcome.proof, &resolved.key.accept(&self.nonce, &welcome.nonce)) {
            return Err(unexpected("the peer does not know the topic that it agreed to"));
        }
        let (key, is_secret) = (resolved.key.clone(), resolved.key.is_secret());
        self.agree(welcome.nonce, welcome.live, welcome.body_len_max, resolved);
        self.heights.peer_count = welcome.count;
        self.heights.are_equal = welcome.is_equal;
        if is_secret {
            self.send(&Message::Proof(key.initiate(&self.nonce, &self.peer_nonce)));
        }
        self.greet(is_secret)
    }

    /// The acceptor of a secret topic sees that the initiator knows it.
    pub(super) fn proof(&mut self, mac: &Mac) -> Result<(), SyncError> {
        let resolved = self.resolved.as_ref().ok_or_else(out_of_turn)?;
        if !is_same(mac, &resolved.key.initiate(&self.peer_nonce, &self.nonce)) {
            return Err(unexpected("the peer does not know the topic that it named"));
        }
        self.greet(false)
    }

    /// Goes on with heights; `opens` if this side has the first word.
    fn open(&mut self, opens: bool) -> Result<(), SyncError> {
        match self.purpose {
            Purpose::Sync => self.start_heights(opens),
            Purpose::FetchPayloads => {
                self.outgoing.is_ready = true;
                if self.is_initiator {
                    self.ask_for_payloads();
                }
                Ok(())
            }
        }
    }
}
