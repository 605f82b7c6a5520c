//! What one session knows of its tree, and reads from it. All of it blocks.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use syncline_core::SyncError;
use syncline_core::clock::Timestamp;
use syncline_crypto::PublicKey;
use syncline_reconcile::{ReconcileError, Reconciler, SummaryIndex as _};

use super::echoes::Echoes;
use super::limits::Limits;
use super::memory::{Memory, Who};
use super::query::{KvQuery, OpenError};
use super::queue::{self, Queue, Source};
use super::sets::{self, Terms};
use super::wire::{Capabilities, Counts, Digest, Hello, Message, Nonce, Refused};
use crate::authority::Authority;
use crate::item::RevocationId;
use crate::path::Key;
use crate::tree::{Changed, Changes, KvError, Scope, SetName, Tree, TreeView};

/// Keys that changed and wait to be looked at. Beyond that everything is compared again.
const KEYS_MAX: usize = 8_192;

/// Why a session cannot go on.
#[derive(Debug)]
pub(super) enum Failure {
    /// The peer may not, or not any more, read what it would be sent.
    Barred,
    Sync(SyncError),
}

impl From<KvError> for Failure {
    fn from(err: KvError) -> Self {
        Self::Sync(SyncError::Critical(format!("the tree failed: {err}")))
    }
}

impl From<ReconcileError> for Failure {
    fn from(err: ReconcileError) -> Self {
        let text = format!("reconciliation failed: {err}");
        Self::Sync(match err {
            ReconcileError::Index(_) | ReconcileError::SetChanged => SyncError::Critical(text),
            _ => SyncError::UnexpectedBehaviour(text),
        })
    }
}

/// A session, from when it is known what it is about.
pub(super) struct Session {
    pub(super) tree: Tree,
    pub(super) query: KvQuery,
    pub(super) remote: Option<PublicKey>,
    pub(super) limits: Limits,
    pub(super) memory: Memory,
    /// Watched from before anything was read, so that nothing falls in between.
    pub(super) changes: Changes,
    pub(super) began: Timestamp,
    pending: Mutex<Changed>,
    sending: Mutex<Sending>,
    pub(super) received: Mutex<Received>,
}

/// What is being sent, and how far that is.
struct Sending {
    /// How many grants and such there were when a set was last looked at.
    system_len: u64,
    /// The set as it is being compared. Not kept for longer: a view holds on to all that has been replaced since.
    comparing: Option<Comparing>,
    queue: Queue,
    /// Whose grants and such the peer has, or is sent.
    authority: Arc<Authority>,
}

/// A reconciliation that is under way.
struct Comparing {
    view: Arc<TreeView>,
    reconciler: Box<dyn Reconciler>,
}

/// What the peer sent.
#[derive(Default)]
pub(super) struct Received {
    pub(super) echoes: Echoes,
    /// Revocations that the peer was shown.
    pub(super) shown: BTreeSet<RevocationId>,
    /// What the peer is to be told.
    pub(super) refusals: VecDeque<Refused>,
}

/// What a session begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) counts: Counts,
    pub(super) system: Digest,
    pub(super) entries: Digest,
}

/// What a reconciliation's message led to.
#[derive(Debug)]
pub(super) struct Stepped {
    pub(super) reply: Option<Bytes>,
    pub(super) is_done: bool,
}

/// Something to send.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) messages: Vec<Message>,
    /// How many of them are items.
    pub(super) items: u64,
    /// Whether there may be more.
    pub(super) has_more: bool,
}

/// How a session is to be opened.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) remote: Option<PublicKey>,
    pub(super) limits: Limits,
    pub(super) memory: Memory,
    pub(super) capabilities: Capabilities,
}

impl Setting {
    /// Opens a session on a tree, as the side that names the query. Nothing is revealed to a peer that may not read it.
    pub(super) fn initiate(
        &self,
        tree: &Tree,
        query: KvQuery,
        now: Timestamp,
        nonce: &Nonce,
    ) -> Result<(Arc<Session>, Opening), OpenError> {
        let may_read = tree.authority().may_read(self.remote.as_ref(), &query.prefix, now);
        tree.check_not_away(now)?;
        let (session, view) = self.session(tree, query, now)?;
        let opening = session.opening(&view, self.capabilities.on_rejection, nonce)?;
        // Who holds nothing does not know yet who may read, and has nothing to hide.
        if !may_read && !is_blank(&view)? {
            return Err(OpenError::PeerMayNotRead { prefix: session.query.prefix.clone() });
        }
        Ok((Arc::new(session), opening))
    }

    /// Opens a session that a peer asked for; none if it may not have it.
    pub(super) fn accept(
        &self,
        tree: Option<Tree>,
        hello: &Hello,
        now: Timestamp,
    ) -> Result<Option<(Arc<Session>, Opening)>, KvError> {
        let allowed = |tree: &Tree| tree.authority().may_read(self.remote.as_ref(), &hello.prefix, now);
        let Some(tree) = tree.filter(allowed) else { return Ok(None) };
        tree.check_not_away(now)?;
        let query = KvQuery { namespace: hello.namespace, prefix: hello.prefix.clone() };
        let (session, view) = self.session(&tree, query, now)?;
        let opening = session.opening(&view, hello.capabilities.on_rejection, &hello.nonce)?;
        Ok(Some((Arc::new(session), opening)))
    }

    fn session(&self, tree: &Tree, query: KvQuery, now: Timestamp) -> Result<(Session, TreeView), KvError> {
        let changes = tree.watch(Scope::Below(query.prefix.clone()));
        // Before the view, so that what comes in between is in one of them.
        let authority = tree.authority();
        let view = tree.view()?;
        let system_len = view.system.len()?;
        let sending = Sending { system_len, comparing: None, queue: Queue::default(), authority };
        let session = Session {
            tree: tree.clone(),
            query,
            remote: self.remote,
            limits: self.limits.clone(),
            memory: self.memory.clone(),
            changes,
            began: now,
            pending: Mutex::default(),
            sending: Mutex::new(sending),
            received: Mutex::new(Received { echoes: Echoes::new(self.limits.echoes_max()), ..Received::default() }),
        };
        Ok((session, view))
    }
}

impl Session {
    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under what this peer is remembered.
    pub(super) fn who(&self) -> Option<Who> {
        self.remote.map(|remote| (self.query.namespace, remote))
    }

    fn opening(&self, view: &TreeView, on_rejection: bool, nonce: &Nonce) -> Result<Opening, KvError> {
        let digest = |set| sets::digest(view, &self.query, set, on_rejection, nonce);
        Ok(Opening {
            counts: sets::counts(view, &self.query)?,
            system: digest(SetName::System)?,
            entries: digest(SetName::Entries)?,
        })
    }

    /// Whether the peer may be told anything.
    fn may_read(&self, now: Timestamp) -> bool {
        self.tree.authority().may_read(self.remote.as_ref(), &self.query.prefix, now)
    }

    /// Fails if the peer may not be told anything, unless there is nothing to tell.
    pub(super) fn check_right(&self, now: Timestamp) -> Result<(), Failure> {
        if self.may_read(now) {
            return Ok(());
        }
        if is_blank(&self.tree.view()?)? { Ok(()) } else { Err(Failure::Barred) }
    }

    /// Goes on with a reconciliation, or begins one if `round` is given.
    pub(super) fn step(
        &self,
        now: Timestamp,
        terms: &Terms,
        set: SetName,
        round: Option<u64>,
        message: Option<&[u8]>,
    ) -> Result<Stepped, Failure> {
        self.check_right(now)?;
        let mut sending = self.sending();
        if let Some(round) = round {
            let view = self.look_anew(&mut sending, terms, set)?;
            let reconciler = sets::reconciler(&self.query, set, terms, round, &self.limits);
            sending.comparing = Some(Comparing { view, reconciler });
        }
        let Some(Comparing { view, mut reconciler }) = sending.comparing.take() else {
            return Err(Failure::Sync(SyncError::Critical("no reconciliation was begun".into())));
        };
        let step = match message {
            Some(message) => reconciler.receive(view.set(set), message)?,
            None => reconciler.open(view.set(set))?,
        };
        let is_done = reconciler.is_done();
        if !step.have.is_empty() {
            let (view, items) = (Arc::clone(&view), step.have.into_iter());
            sending.queue.push(Source::Items { view, set, items });
        }
        if !is_done {
            sending.comparing = Some(Comparing { view, reconciler });
        }
        Ok(Stepped { reply: step.reply, is_done })
    }

    /// Everything is to be sent: the peer has nothing.
    pub(super) fn stream(&self, terms: &Terms, set: SetName) -> Result<(), Failure> {
        let mut sending = self.sending();
        let view = self.look_anew(&mut sending, terms, set)?;
        let span = sets::span(&self.query, set, terms.on_rejection);
        sending.queue.push(Source::Span { view, set, span });
        Ok(())
    }

    /// A set as it is now.
    fn look_anew(&self, sending: &mut Sending, terms: &Terms, set: SetName) -> Result<Arc<TreeView>, KvError> {
        let view = Arc::new(self.tree.view()?);
        sending.system_len = view.system.len()?;
        if set == SetName::Entries {
            // Entries may rest on what has come since the system sets were compared. It goes before them, or the peer would
            // refuse what it is about to allow.
            self.push_news(sending, terms);
        }
        Ok(view)
    }

    /// The grants and such that are new since the peer was told last are to be sent.
    fn push_news(&self, sending: &mut Sending, terms: &Terms) {
        let now = self.tree.authority();
        if Arc::ptr_eq(&sending.authority, &now) {
            return;
        }
        let before = std::mem::replace(&mut sending.authority, Arc::clone(&now));
        let items = queue::news(&before, &now, terms.on_rejection);
        sending.queue.push(Source::Encoded(items));
    }

    /// Notes what has changed. What this peer just sent itself need not be looked at unless `is_exact`.
    pub(super) fn note(&self, changed: Changed, sent_by_peer: Option<&BTreeSet<Key>>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.authority |= changed.authority;
        pending.lagged |= changed.lagged;
        if pending.lagged {
            return;
        }
        let is_news = |key: &Key| !sent_by_peer.is_some_and(|keys| keys.contains(key));
        pending.keys.extend(changed.keys.into_iter().filter(is_news));
        if pending.keys.len() > KEYS_MAX {
            pending.keys.clear();
            pending.lagged = true;
        }
    }

    /// What has changed by now is to be sent, grants and such first. Says whether all must be compared again instead.
    pub(super) fn push_changes(&self, terms: &Terms) -> bool {
        if let Some(changed) = self.changes.take() {
            self.note(changed, None);
        }
        let changed = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sending = self.sending();
        if changed.authority {
            self.push_news(&mut sending, terms);
        }
        if !changed.keys.is_empty() {
            sending.queue.push(Source::Keys(changed.keys));
        }
        changed.lagged
    }

    /// The next things to send: refusals, then items, about as many bytes as fit.
    pub(super) fn page(&self, now: Timestamp, terms: &Terms) -> Result<Page, Failure> {
        let mut page = Page::default();
        let mut bytes_left = self.limits.page_bytes().max(1);
        self.refusals(now, &mut page, &mut bytes_left);
        let refusals = page.messages.len();
        let who = self.who();
        let mut sending = self.sending();
        // What the peer knows of grants and such by now: once they are reconciled, what is known here.
        let version = if terms.on_rejection { terms.their_counts.system } else { sending.system_len };
        while bytes_left > 0 {
            let Some((id, item)) = sending.queue.next(&self.tree)? else { break };
            let will_be_refused = who.is_some_and(|who| self.memory.will_refuse(&who, version, &id));
            if will_be_refused || self.received().echoes.contains(&id) {
                continue;
            }
            bytes_left = bytes_left.saturating_sub(item.len());
            page.messages.push(Message::Item(item));
        }
        page.items = (page.messages.len() - refusals) as u64;
        page.has_more = !sending.queue.is_empty() || !self.received().refusals.is_empty();
        drop(sending);
        if page.items > 0 && !self.may_read(now) {
            return Err(Failure::Barred);
        }
        Ok(page)
    }

    fn refusals(&self, now: Timestamp, page: &mut Page, bytes_left: &mut usize) {
        let may_read = self.may_read(now);
        let mut received = self.received();
        while *bytes_left > 0 {
            let Some(mut refused) = received.refusals.pop_front() else { return };
            // That its own items were refused is all that a peer learns that may not read.
            refused.revocation = refused.revocation.filter(|_| may_read);
            let len = 40 + refused.revocation.as_ref().map_or(0, Bytes::len);
            *bytes_left = bytes_left.saturating_sub(len);
            page.messages.push(Message::Refused(refused));
        }
    }
}

/// Whether there is nothing at all.
fn is_blank(view: &TreeView) -> Result<bool, KvError> {
    Ok(view.system.is_empty()? && view.entries.is_empty()?)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("query", &self.query).field("remote", &self.remote).finish_non_exhaustive()
    }
}
