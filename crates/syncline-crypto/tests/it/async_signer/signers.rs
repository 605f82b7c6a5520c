//! Two small signers, one that answers at once and one that waits for approval.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use syncline_crypto::{
    AsyncSigner, CancelOutcome, Hash, IdempotencyKey, KeyId, Rejection, SignError, SignPoll, SignRequest, Signature,
    SignerCaps, SigningKey, Submitted, Ticket,
};

use super::suite::Rig;

const MAX_MESSAGE_LEN: usize = 4096;

/// What an approver may be asked to get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    Nothing,
    ForgetsOnRestart,
    AsksTwice,
    IgnoresConflicts,
    SignsAnotherMessage,
    ApprovesTheRejected,
    CancelsInWordsOnly,
    TakesLongMessages,
    IgnoresEpochs,
    IgnoresFences,
    CountsFenceAsWork,
    FailsOnStrangeTickets,
}

impl Break {
    pub(super) const ALL: [Break; 11] = [
        Break::ForgetsOnRestart,
        Break::AsksTwice,
        Break::IgnoresConflicts,
        Break::SignsAnotherMessage,
        Break::ApprovesTheRejected,
        Break::CancelsInWordsOnly,
        Break::TakesLongMessages,
        Break::IgnoresEpochs,
        Break::IgnoresFences,
        Break::CountsFenceAsWork,
        Break::FailsOnStrangeTickets,
    ];
}

#[derive(Clone, Debug)]
enum Answer {
    Waiting,
    Signed(Signature),
    Rejected(Rejection),
}

#[derive(Clone, Debug)]
struct Record {
    request: SignRequest,
    work: Hash,
    fence: u64,
    answer: Answer,
}

/// What survives a restart.
#[derive(Debug, Default)]
struct Desk {
    records: BTreeMap<IdempotencyKey, Record>,
    epochs: BTreeMap<u64, Vec<u8>>,
    effects: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_request(key: &SigningKey, request: &SignRequest, max: usize) -> Result<(), SignError> {
    if request.key_id().public_key() != &key.public_key() {
        return Err(SignError::UnknownKey { key_id: *request.key_id() });
    }
    let len = request.message().len();
    if len > max { Err(SignError::MessageTooLong { len, max }) } else { Ok(()) }
}

/// Signs on the spot. It keeps no epochs and no fences, and promises none.
#[derive(Debug)]
pub(super) struct InProcess {
    key: SigningKey,
    desk: Arc<Mutex<Desk>>,
}

impl InProcess {
    pub(super) fn new() -> Self {
        Self { key: SigningKey::from_bytes(&[1; 32]), desk: Arc::default() }
    }
}

impl Rig for InProcess {
    fn open(&self) -> Arc<dyn AsyncSigner> {
        Arc::new(Self { key: self.key.clone(), desk: Arc::clone(&self.desk) })
    }

    fn key_id(&self) -> KeyId {
        self.key.public_key().into()
    }

    fn approve_all(&self) {}

    fn refuse_all(&self) -> bool {
        false
    }

    fn effects(&self) -> usize {
        lock(&self.desk).effects
    }
}

impl AsyncSigner for InProcess {
    fn caps(&self) -> SignerCaps {
        let mut caps = SignerCaps::default();
        caps.dedupes_submit = true;
        caps.max_message_len = MAX_MESSAGE_LEN;
        caps.typical_latency = Some(Duration::ZERO);
        caps
    }

    fn submit(&self, request: &SignRequest) -> Result<Submitted, SignError> {
        check_request(&self.key, request, MAX_MESSAGE_LEN)?;
        let mut desk = lock(&self.desk);
        let idempotency_key = *request.idempotency_key();
        if let Some(record) = desk.records.get(&idempotency_key) {
            if record.work != request.work() {
                return Err(SignError::Conflict { idempotency_key });
            }
            let Answer::Signed(signature) = &record.answer else { unreachable!("signed when it was recorded") };
            return Ok(Submitted::Ready(*signature));
        }
        let signature = self.key.sign(request.message());
        let record = Record {
            request: request.clone(),
            work: request.work(),
            fence: request.fence(),
            answer: Answer::Signed(signature),
        };
        desk.records.insert(idempotency_key, record);
        desk.effects += 1;
        Ok(Submitted::Ready(signature))
    }

    fn poll(&self, _: &Ticket) -> Result<SignPoll, SignError> {
        Ok(SignPoll::Unknown)
    }
}

/// Asks people, who answer when they like. Keeps epochs and fences, and can cancel.
#[derive(Debug)]
pub(super) struct Approvals {
    key: SigningKey,
    desk: Arc<Mutex<Desk>>,
    broken: Break,
}

impl Approvals {
    pub(super) fn new(broken: Break) -> Self {
        Self { key: SigningKey::from_bytes(&[2; 32]), desk: Arc::default(), broken }
    }

    fn is(&self, what: Break) -> bool {
        self.broken == what
    }

    fn same_work(&self, record: &Record, request: &SignRequest) -> bool {
        let fences = !self.is(Break::CountsFenceAsWork) || record.fence == request.fence();
        self.is(Break::IgnoresConflicts) || (fences && record.work == request.work())
    }

    /// The ticket is the idempotency key.
    fn ticket(request: &SignRequest) -> Ticket {
        Ticket::new(request.idempotency_key().as_bytes().to_vec()).expect("32 bytes")
    }

    fn stands(record: &Record) -> Result<Submitted, SignError> {
        match &record.answer {
            Answer::Waiting => Ok(Submitted::Pending {
                ticket: Self::ticket(&record.request),
                retry_after: Some(Duration::from_secs(60)),
            }),
            Answer::Signed(signature) => Ok(Submitted::Ready(*signature)),
            Answer::Rejected(rejection) => Err(SignError::Rejected { rejection: rejection.clone() }),
        }
    }
}

impl Rig for Approvals {
    fn open(&self) -> Arc<dyn AsyncSigner> {
        let desk = if self.is(Break::ForgetsOnRestart) { Arc::default() } else { Arc::clone(&self.desk) };
        Arc::new(Self { key: self.key.clone(), desk, broken: self.broken })
    }

    fn key_id(&self) -> KeyId {
        self.key.public_key().into()
    }

    fn approve_all(&self) {
        let mut desk = lock(&self.desk);
        let desk = &mut *desk;
        for record in desk.records.values_mut() {
            let rejected = matches!(record.answer, Answer::Rejected(_));
            if matches!(record.answer, Answer::Waiting) || (rejected && self.is(Break::ApprovesTheRejected)) {
                let message = if self.is(Break::SignsAnotherMessage) { b"" } else { record.request.message() };
                record.answer = Answer::Signed(self.key.sign(message));
                desk.effects += 1;
            }
        }
    }

    fn refuse_all(&self) -> bool {
        for record in lock(&self.desk).records.values_mut() {
            if matches!(record.answer, Answer::Waiting) {
                record.answer = Answer::Rejected(Rejection::Refused { reason: "not today".into() });
            }
        }
        true
    }

    fn effects(&self) -> usize {
        lock(&self.desk).effects
    }
}

impl AsyncSigner for Approvals {
    fn caps(&self) -> SignerCaps {
        let mut caps = SignerCaps::default();
        caps.dedupes_submit = true;
        caps.keeps_epochs = true;
        caps.keeps_fences = true;
        caps.cancels = true;
        caps.max_message_len = MAX_MESSAGE_LEN;
        caps
    }

    fn submit(&self, request: &SignRequest) -> Result<Submitted, SignError> {
        let max = if self.is(Break::TakesLongMessages) { usize::MAX } else { MAX_MESSAGE_LEN };
        check_request(&self.key, request, max)?;
        let mut desk = lock(&self.desk);
        let desk = &mut *desk;
        let idempotency_key = *request.idempotency_key();
        if let Some(record) = desk.records.get_mut(&idempotency_key) {
            if !self.same_work(record, request) {
                return Err(SignError::Conflict { idempotency_key });
            }
            if request.fence() < record.fence && !self.is(Break::IgnoresFences) {
                return Err(SignError::Fenced { offered: request.fence(), seen: record.fence });
            }
            record.fence = request.fence();
            if self.is(Break::AsksTwice) {
                desk.effects += 1;
            }
            return Self::stands(record);
        }
        if let Some(epoch) = request.epoch() {
            let bound = desk.epochs.entry(epoch).or_insert_with(|| request.message().to_vec());
            if bound != request.message() && !self.is(Break::IgnoresEpochs) {
                return Err(SignError::EpochTaken { epoch });
            }
        }
        let record =
            Record { request: request.clone(), work: request.work(), fence: request.fence(), answer: Answer::Waiting };
        desk.effects += 1;
        Self::stands(desk.records.entry(idempotency_key).or_insert(record))
    }

    fn poll(&self, ticket: &Ticket) -> Result<SignPoll, SignError> {
        let Ok(key) = IdempotencyKey::try_from(ticket.as_bytes()) else {
            return if self.is(Break::FailsOnStrangeTickets) {
                Err(SignError::Failed { source: "no such ticket".into() })
            } else {
                Ok(SignPoll::Unknown)
            };
        };
        Ok(match lock(&self.desk).records.get(&key).map(|record| record.answer.clone()) {
            None => SignPoll::Unknown,
            Some(Answer::Waiting) => SignPoll::Pending { retry_after: None },
            Some(Answer::Signed(signature)) => SignPoll::Ready(signature),
            Some(Answer::Rejected(rejection)) => SignPoll::Rejected { rejection },
        })
    }

    fn cancel(&self, ticket: &Ticket) -> Result<CancelOutcome, SignError> {
        let Ok(key) = IdempotencyKey::try_from(ticket.as_bytes()) else { return Ok(CancelOutcome::Unknown) };
        let mut desk = lock(&self.desk);
        let Some(record) = desk.records.get_mut(&key) else { return Ok(CancelOutcome::Unknown) };
        Ok(match &record.answer {
            Answer::Waiting => {
                if !self.is(Break::CancelsInWordsOnly) {
                    record.answer = Answer::Rejected(Rejection::Cancelled);
                }
                CancelOutcome::Cancelled
            }
            Answer::Rejected(Rejection::Cancelled) => CancelOutcome::Cancelled,
            Answer::Signed(_) | Answer::Rejected(_) => CancelOutcome::TooLate,
        })
    }
}
