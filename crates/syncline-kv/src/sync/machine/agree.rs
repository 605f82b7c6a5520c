//! The peers agree on what the session is about, and see whether they differ.

use syncline_core::clock::Timestamp;
use syncline_core::{FromSync, SyncError};

use super::super::query::KvQuery;
use super::super::session::Opening;
use super::super::sets::Terms;
use super::super::wire::{Capabilities, Hello, Message, Nonce, VERSION, Welcome};
use super::rounds::Stage;
use super::{Agreed, KvMachine, Phase, Request, out_of_turn, unexpected};

impl KvMachine {
    /// The initiator's first message.
    pub(super) fn say_hello(&mut self, query: KvQuery, opening: &Opening) {
        self.is_initiator = true;
        self.ours = opening.counts;
        let hello = Hello {
            version_min: VERSION,
            version_max: VERSION,
            capabilities: self.config.capabilities,
            nonce: self.nonce,
            namespace: query.namespace,
            prefix: query.prefix.clone(),
            counts: opening.counts,
            system: opening.system,
            entries: opening.entries,
        };
        self.query = Some(query);
        self.send(&Message::Hello(Box::new(hello)));
    }

    /// The acceptor finds out whether the peer may have what it asks for.
    pub(super) fn hello(&mut self, now: Timestamp, hello: Box<Hello>) {
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            return self.refuse(now, "the peer speaks no version of the protocol that we speak");
        }
        self.phase = Phase::Resolving;
        self.ask(Request::Open(hello));
    }

    /// The acceptor answers.
    pub(super) fn opened(&mut self, now: Timestamp, agreed: Option<Box<Agreed>>) -> Result<(), SyncError> {
        if !matches!(self.phase, Phase::Resolving) || !std::mem::take(&mut self.is_asking) {
            return Err(out_of_turn());
        }
        let Some(agreed) = agreed else {
            self.refuse(now, "the peer asked for a namespace that is not here, or that it may not read");
            return Ok(());
        };
        let Agreed { hello, opening } = *agreed;
        let welcome = Welcome {
            version: VERSION,
            capabilities: self.config.capabilities,
            nonce: self.nonce,
            counts: opening.counts,
            system_equal: opening.system == hello.system,
            entries_equal: opening.entries == hello.entries,
        };
        self.send(&Message::Welcome(welcome.clone()));
        self.ours = opening.counts;
        self.theirs = hello.counts;
        self.query = Some(KvQuery { namespace: hello.namespace, prefix: hello.prefix });
        self.agree(hello.nonce, hello.capabilities, &welcome)
    }

    /// The initiator takes the answer.
    pub(super) fn welcome(&mut self, welcome: &Welcome) -> Result<(), SyncError> {
        if welcome.version != VERSION {
            return Err(unexpected("the peer chose a version that was not offered"));
        }
        self.theirs = welcome.counts;
        self.agree(welcome.nonce, welcome.capabilities, welcome)
    }

    fn agree(&mut self, theirs: Nonce, peer: Capabilities, welcome: &Welcome) -> Result<(), SyncError> {
        let ours = self.config.capabilities;
        let terms = Terms {
            ours: self.nonce,
            theirs,
            live: ours.live && peer.live,
            on_rejection: ours.on_rejection || peer.on_rejection,
            our_counts: self.ours,
            their_counts: self.theirs,
        };
        self.terms = Some(terms);
        let query = self.query.clone().ok_or_else(out_of_turn)?;
        self.deliver(FromSync::HandshakeSuccess(query));
        self.phase = Phase::Open;
        let is_equal = welcome.system_equal && welcome.entries_equal;
        self.stage = match is_equal {
            true => Stage::After,
            // Revocations may have taken entries out on one side by the time that the entries are compared.
            false if welcome.system_equal => Stage::Entries,
            false => Stage::System,
        };
        if is_equal && !terms.live {
            return self.close();
        }
        Ok(())
    }
}
