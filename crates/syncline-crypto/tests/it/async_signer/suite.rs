//! What every `AsyncSigner` does, whichever kind it is.

use std::sync::Arc;

use syncline_crypto::{
    AsyncSigner, CancelOutcome, Ed25519, Hash, IdempotencyKey, KeyId, Rejection, SignError, SignPoll, SignRequest,
    Signature, SigningKey, Submitted, Ticket,
};

/// A signer under test, and the world around it.
pub(super) trait Rig {
    /// The signer as a new process would open it: what it keeps durably is there, nothing else.
    fn open(&self) -> Arc<dyn AsyncSigner>;
    /// A key that it holds.
    fn key_id(&self) -> KeyId;
    /// Lets whoever decides say yes to all that waits.
    fn approve_all(&self);
    /// Lets whoever decides say no to all that waits. False if nobody ever does.
    fn refuse_all(&self) -> bool;
    /// How often the world has seen anything happen: approvals asked for, signatures made.
    fn effects(&self) -> usize;
}

fn request(rig: &dyn Rig, name: &str) -> SignRequest {
    let key = IdempotencyKey::from(Hash::digest(name.as_bytes()));
    SignRequest::new(key, rig.key_id(), format!("message of {name}").into_bytes()).with_fence(1)
}

fn submit(signer: &dyn AsyncSigner, request: &SignRequest) -> Submitted {
    signer.submit(request).expect("a request that can be taken")
}

/// The signature, after everybody has agreed.
fn finish(rig: &dyn Rig, request: &SignRequest) -> Signature {
    let signer = rig.open();
    let signature = match submit(&*signer, request) {
        Submitted::Ready(signature) => signature,
        Submitted::Pending { ticket, .. } => {
            rig.approve_all();
            match signer.poll(&ticket).expect("polls") {
                SignPoll::Ready(signature) => signature,
                other => panic!("approved, yet {other:?}"),
            }
        }
    };
    assert_eq!(request.check(&Ed25519, &signature), Ok(()), "the signature is valid");
    signature
}

pub(super) fn keeps_contract(rig: &dyn Rig) {
    signs_once(rig);
    remembers_across_restarts(rig);
    keeps_work_apart(rig);
    refuses_what_it_cannot_do(rig);
    stays_rejected(rig);
    cancels_or_says_so(rig);
    knows_its_tickets(rig);
    keeps_its_caps(rig);
}

fn signs_once(rig: &dyn Rig) {
    let before = rig.effects();
    let request = request(rig, "once");
    let signature = finish(rig, &request);
    let effects = rig.effects();
    assert!(effects > before);
    // Again, with a later claim to the work and another deadline: the same work, the same answer, nothing happens.
    for fence in 2..5 {
        let again = request.clone().with_fence(fence).with_not_after_ms(u64::MAX - fence);
        assert_eq!(submit(&*rig.open(), &again), Submitted::Ready(signature));
    }
    assert_eq!(rig.effects(), effects, "submitting again has no effect");
}

fn remembers_across_restarts(rig: &dyn Rig) {
    let request = request(rig, "restart");
    if let Submitted::Pending { ticket, .. } = submit(&*rig.open(), &request) {
        let effects = rig.effects();
        let Submitted::Pending { ticket: again, .. } = submit(&*rig.open(), &request) else {
            panic!("nobody has approved");
        };
        assert_eq!(rig.effects(), effects, "asking again asks nobody");
        for ticket in [&ticket, &again] {
            assert!(matches!(rig.open().poll(ticket), Ok(SignPoll::Pending { .. })));
        }
        rig.approve_all();
        let [first, second] = [&ticket, &again].map(|ticket| rig.open().poll(ticket).expect("polls"));
        assert!(matches!(first, SignPoll::Ready(_)));
        assert_eq!(first, second, "both tickets work, in any process");
    }
    let signature = finish(rig, &request);
    assert_eq!(finish(rig, &request), signature);
}

fn keeps_work_apart(rig: &dyn Rig) {
    let original = request(rig, "original").with_epoch(7);
    let key = *original.idempotency_key();
    submit(&*rig.open(), &original);
    let others = [
        SignRequest::new(key, rig.key_id(), b"another message".to_vec()).with_epoch(7).with_fence(1),
        original.clone().with_epoch(8),
    ];
    for other in others {
        let error = rig.open().submit(&other).expect_err("other work under the same key");
        assert!(matches!(error, SignError::Conflict { idempotency_key } if idempotency_key == key), "{error:?}");
        assert!(!error.is_transient());
    }
    finish(rig, &original);
    // Two that differ in the key only are two.
    let signatures = ["one", "two"].map(|name| {
        let key = IdempotencyKey::from(Hash::digest(name.as_bytes()));
        finish(rig, &SignRequest::new(key, rig.key_id(), b"shared".to_vec()))
    });
    assert_eq!(signatures[0], signatures[1], "Ed25519 is deterministic");
}

fn refuses_what_it_cannot_do(rig: &dyn Rig) {
    let signer = rig.open();
    let stranger = SigningKey::from_bytes(&[0xee; 32]).public_key();
    let key = IdempotencyKey::from(Hash::digest(b"stranger"));
    let error = signer.submit(&SignRequest::new(key, stranger, Vec::new())).expect_err("a key of somebody else");
    assert!(matches!(error, SignError::UnknownKey { key_id } if key_id == KeyId::new(stranger)));

    let max = signer.caps().max_message_len;
    let key = IdempotencyKey::from(Hash::digest(b"long"));
    let error = signer.submit(&SignRequest::new(key, rig.key_id(), vec![0; max + 1])).expect_err("too long");
    assert!(matches!(error, SignError::MessageTooLong { len, max: most } if len == max + 1 && most == max));
    finish(rig, &SignRequest::new(key, rig.key_id(), vec![0; max]));
}

fn stays_rejected(rig: &dyn Rig) {
    let request = request(rig, "rejected");
    let Submitted::Pending { ticket, .. } = submit(&*rig.open(), &request) else { return };
    if !rig.refuse_all() {
        return;
    }
    rig.approve_all();
    for _ in 0..2 {
        let SignPoll::Rejected { rejection } = rig.open().poll(&ticket).expect("polls") else {
            panic!("somebody said no");
        };
        assert!(matches!(rejection, Rejection::Refused { .. }));
        let error = rig.open().submit(&request.clone().with_fence(9)).expect_err("rejected for good");
        assert!(matches!(error, SignError::Rejected { .. }) && !error.is_transient());
    }
    assert_eq!(rig.open().cancel(&ticket).ok(), Some(too_late_or_unsupported(rig)));
}

fn too_late_or_unsupported(rig: &dyn Rig) -> CancelOutcome {
    if rig.open().caps().cancels { CancelOutcome::TooLate } else { CancelOutcome::Unsupported }
}

fn cancels_or_says_so(rig: &dyn Rig) {
    let request = request(rig, "cancelled");
    let Submitted::Pending { ticket, .. } = submit(&*rig.open(), &request) else { return };
    if !rig.open().caps().cancels {
        assert_eq!(rig.open().cancel(&ticket).ok(), Some(CancelOutcome::Unsupported));
        finish(rig, &request);
        return;
    }
    for _ in 0..2 {
        assert_eq!(rig.open().cancel(&ticket).ok(), Some(CancelOutcome::Cancelled), "also when asked again");
    }
    rig.approve_all();
    assert_eq!(rig.open().poll(&ticket).ok(), Some(SignPoll::Rejected { rejection: Rejection::Cancelled }));
    let error = rig.open().submit(&request).expect_err("cancelled for good");
    assert!(matches!(error, SignError::Rejected { rejection: Rejection::Cancelled }));

    let signed = self::request(rig, "signed before");
    let Submitted::Pending { ticket, .. } = submit(&*rig.open(), &signed) else { return };
    rig.approve_all();
    assert_eq!(rig.open().cancel(&ticket).ok(), Some(CancelOutcome::TooLate));
    assert!(matches!(rig.open().poll(&ticket), Ok(SignPoll::Ready(_))));
}

fn knows_its_tickets(rig: &dyn Rig) {
    for bytes in [vec![], vec![0; 32], vec![0xff; Ticket::MAX_LEN]] {
        let ticket = Ticket::new(bytes).expect("not too long");
        assert_eq!(rig.open().poll(&ticket).ok(), Some(SignPoll::Unknown));
        let expected = if rig.open().caps().cancels { CancelOutcome::Unknown } else { CancelOutcome::Unsupported };
        assert_eq!(rig.open().cancel(&ticket).ok(), Some(expected));
    }
}

fn keeps_its_caps(rig: &dyn Rig) {
    let caps = rig.open().caps();
    assert_eq!(rig.open().caps(), caps);
    if caps.keeps_epochs {
        let first = request(rig, "epoch").with_epoch(100);
        finish(rig, &first);
        let rival = request(rig, "rival").with_epoch(100);
        let error = rig.open().submit(&rival).expect_err("the epoch has its message");
        assert!(matches!(error, SignError::EpochTaken { epoch: 100 }), "{error:?}");
        // The same message for the epoch, under another name, is no rival.
        let key = IdempotencyKey::from(Hash::digest(b"epoch, other name"));
        let twin = SignRequest::new(key, rig.key_id(), first.message().to_vec()).with_epoch(100).with_fence(1);
        assert_eq!(finish(rig, &twin), finish(rig, &first));
    }
    if caps.keeps_fences {
        let request = request(rig, "fenced");
        submit(&*rig.open(), &request.clone().with_fence(5));
        let error = rig.open().submit(&request.clone().with_fence(4)).expect_err("an owner that was replaced");
        assert!(matches!(error, SignError::Fenced { offered: 4, seen: 5 }), "{error:?}");
        finish(rig, &request.with_fence(5));
    }
}
