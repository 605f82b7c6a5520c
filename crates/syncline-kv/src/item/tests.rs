//! Objects and their bytes: round trips, limits, and what becomes of bytes that are not quite right.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use syncline_core::cbor::Writer;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Domain, Hash, PublicKey, Signature, SigningKey};

use super::*;
use crate::path::{Key, Pattern, Subtree};

fn signing(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n + 1; 32])
}

fn public(n: u8) -> PublicKey {
    signing(n).public_key()
}

fn sorted(keys: impl IntoIterator<Item = u8>) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = keys.into_iter().map(public).collect();
    keys.sort_unstable();
    keys
}

fn namespace() -> Namespace {
    Namespace::new("tree", [public(0), public(1)]).unwrap()
}

fn stamp(millis: u64) -> Hlc {
    Hlc::new(Timestamp::from_millis(millis), 3)
}

fn entry_draft(value: Value) -> EntryDraft {
    EntryDraft {
        namespace: namespace().id(),
        key: Key::new("/my/key").unwrap(),
        value,
        stamp: stamp(1_700_000_000_000),
        author: public(2),
        leaves: Leaves::new([GrantId::from_bytes([8; 32]), GrantId::from_bytes([3; 32])]).unwrap(),
        previous: Some(EntryId::from_bytes([5; 32])),
    }
}

fn grant_draft() -> GrantDraft {
    GrantDraft {
        namespace: namespace().id(),
        parent: Some(GrantId::from_bytes([4; 32])),
        issuer: public(2),
        audience: public(3),
        pattern: Pattern::new("/my/**/sta*").unwrap(),
        ops: Ops::ReadWrite,
        depth: 2,
        not_before: Some(Timestamp::from_millis(10)),
        not_after: None,
        quota: Quota { entries: Some(1_000), bytes: None },
        stamp: stamp(5),
    }
}

fn revocation_draft() -> RevocationDraft {
    let grant = GrantId::from_bytes([4; 32]);
    RevocationDraft { namespace: namespace().id(), grant, revoker: public(2), stamp: stamp(6) }
}

fn rotate_draft() -> RotateDraft {
    RotateDraft {
        namespace: namespace().id(),
        index: 1,
        previous: namespace().id().into(),
        roots: sorted([1, 2]),
        retired: BTreeMap::from([(public(0), stamp(7)), (public(4), stamp(8))]),
        stamp: stamp(9),
    }
}

fn rotation() -> RootRotate {
    let draft = rotate_draft();
    let mut endorsements = Endorsements::new(&draft).unwrap();
    for n in [0, 1] {
        let message = draft.unsigned(public(n)).unwrap().message();
        endorsements.add(public(n), signing(n).sign(&message));
    }
    endorsements.finish().unwrap()
}

fn values() -> [Value; 4] {
    let blob = BlobRef { hash: Hash::digest(b"blob"), len: 300 };
    [Value::from(&b"value"[..]), Value::from(&b""[..]), Value::Blob(blob), Value::Tombstone]
}

/// One of each kind, truly signed.
fn items() -> Vec<Item> {
    let entries = values().map(|value| Item::Entry(entry_draft(value).sign(&signing(2)).unwrap()));
    let root = EntryDraft { leaves: Leaves::default(), previous: None, ..entry_draft(Value::Tombstone) };
    let bounded = GrantDraft { not_after: Some(Timestamp::MAX), parent: None, ..grant_draft() };
    let mut items = entries.to_vec();
    items.push(root.sign(&signing(2)).unwrap().into());
    items.push(grant_draft().sign(&signing(2)).unwrap().into());
    items.push(bounded.sign(&signing(2)).unwrap().into());
    items.push(revocation_draft().sign(&signing(2)).unwrap().into());
    items.push(rotation().into());
    items
}

/// Whether all signatures of an item are those of who is said to have signed.
fn verifies(item: &Item) -> bool {
    let (message, signed): (Vec<u8>, Vec<(PublicKey, Signature)>) = match item {
        Item::Entry(entry) => (entry.message(), vec![(*entry.author(), entry.signature())]),
        Item::Grant(grant) => (grant.message(), vec![(*grant.issuer(), grant.signature())]),
        Item::Revocation(ends) => (ends.message(), vec![(*ends.revoker(), ends.signature())]),
        Item::RootRotate(rotation) => (rotation.message(), rotation.signatures().to_vec()),
    };
    signed.iter().all(|(key, signature)| key.verify(&message, signature).is_ok())
}

#[test]
fn every_object_comes_back_from_its_bytes() {
    for item in items() {
        assert!(verifies(&item), "{item:?}");
        let bytes = item.encoded();
        let again = Item::decode(&bytes).unwrap();
        assert_eq!((&again, again.encoded(), again.id_bytes()), (&item, bytes, item.id_bytes()));
        assert_eq!(again.namespace(), namespace().id());
    }
}

#[test]
fn fields_come_back_as_they_were() {
    for value in values() {
        let draft = entry_draft(value);
        let entry = draft.clone().sign(&signing(2)).unwrap();
        let fields = EntryDraft {
            namespace: entry.namespace(),
            key: entry.key().clone(),
            value: entry.value().clone(),
            stamp: entry.stamp(),
            author: *entry.author(),
            leaves: entry.leaves().clone(),
            previous: entry.previous(),
        };
        assert_eq!(fields, draft);
        assert_eq!(Entry::decode_stored(entry.encoded().clone(), entry.id()).unwrap(), entry);
    }
    assert_eq!(grant_draft().sign(&signing(2)).unwrap().fields(), &grant_draft());
    assert_eq!(rotation().fields(), &rotate_draft());
    let ends = revocation_draft().sign(&signing(2)).unwrap();
    assert_eq!((ends.grant(), *ends.revoker(), ends.stamp()), (GrantId::from_bytes([4; 32]), public(2), stamp(6)));
}

#[test]
fn an_id_is_the_hash_of_what_is_signed() {
    for item in items() {
        let message = match &item {
            Item::Entry(entry) => entry.message(),
            Item::Grant(grant) => grant.message(),
            Item::Revocation(revocation) => revocation.message(),
            Item::RootRotate(rotation) => rotation.message(),
        };
        assert_eq!(&item.id_bytes(), Hash::digest(&message).as_bytes());
    }
}

/// Whatever bit flips on the way, in the body or the signature: nobody takes it for signed.
#[test]
fn no_bit_may_flip() {
    for item in items() {
        let bytes = item.encoded();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Item::decode(&flipped.into()) {
                assert_ne!(other, item, "bit {bit} says nothing");
                assert!(!verifies(&other), "bit {bit} of {item:?}");
            }
        }
    }
}

/// Each field is covered by the signature: with another value of it the signature does not fit, and the id is another.
#[test]
fn a_signature_covers_every_field_of_an_entry() {
    let draft = entry_draft(Value::from(&b"value"[..]));
    let signed = draft.clone().sign(&signing(2)).unwrap();
    let other_leaves = Leaves::new([GrantId::from_bytes([9; 32])]).unwrap();
    let changed = [
        EntryDraft { namespace: NamespaceId::from_bytes([1; 32]), ..draft.clone() },
        EntryDraft { key: Key::new("/my/key2").unwrap(), ..draft.clone() },
        EntryDraft { value: Value::from(&b"valuf"[..]), ..draft.clone() },
        EntryDraft { value: Value::Tombstone, ..draft.clone() },
        EntryDraft { stamp: Hlc::from_bits(draft.stamp.to_bits() + 1), ..draft.clone() },
        EntryDraft { author: public(3), ..draft.clone() },
        EntryDraft { leaves: other_leaves, ..draft.clone() },
        EntryDraft { leaves: Leaves::default(), ..draft.clone() },
        EntryDraft { previous: None, ..draft.clone() },
    ];
    for other in changed {
        let moved = Entry::decode(other.unsigned().unwrap().complete(&signed.signature())).unwrap();
        assert_ne!(moved.id(), signed.id());
        assert!(moved.author().verify(&moved.message(), &moved.signature()).is_err(), "{other:?}");
    }
}

#[test]
fn a_signature_covers_every_field_of_a_grant() {
    let draft = grant_draft();
    let signed = draft.clone().sign(&signing(2)).unwrap();
    let quota = |entries, bytes| Quota { entries, bytes };
    let changed = [
        GrantDraft { namespace: NamespaceId::from_bytes([1; 32]), ..draft.clone() },
        GrantDraft { parent: None, ..draft.clone() },
        GrantDraft { issuer: public(3), ..draft.clone() },
        GrantDraft { audience: public(2), ..draft.clone() },
        GrantDraft { pattern: Pattern::all(), ..draft.clone() },
        GrantDraft { ops: Ops::Write, ..draft.clone() },
        GrantDraft { depth: 3, ..draft.clone() },
        GrantDraft { not_before: None, ..draft.clone() },
        GrantDraft { not_after: draft.not_before, not_before: None, ..draft.clone() },
        GrantDraft { quota: quota(Some(1_001), None), ..draft.clone() },
        GrantDraft { quota: quota(None, Some(1_000)), ..draft.clone() },
        GrantDraft { stamp: stamp(6), ..draft },
    ];
    for other in changed {
        let moved = Grant::decode(other.unsigned().unwrap().complete(&signed.signature())).unwrap();
        assert_ne!(moved.id(), signed.id());
        assert!(moved.issuer().verify(&moved.message(), &moved.signature()).is_err(), "{other:?}");
    }
}

/// The bodies of a revocation and of an entry are told apart by their tags, whatever is in them.
#[test]
fn a_signature_for_one_kind_is_none_for_another() {
    let tags = ["syncline/kv/entry/v1", "syncline/kv/grant/v1", "syncline/kv/revocation/v1", "syncline/kv/rotation/v1"];
    let unsigned = revocation_draft().unsigned();
    for tag in tags {
        let signature = Domain::new(tag).sign(&signing(2), unsigned.body()).unwrap();
        let ends = Revocation::decode(unsigned.complete(&signature)).unwrap();
        assert_eq!(verifies(&ends.into()), tag == tags[2], "{tag}");
    }
}

#[test]
fn a_signer_answers_for_its_own_key_only() {
    let draft = entry_draft(Value::Tombstone);
    let request = draft.unsigned().unwrap().request();
    assert_eq!(request.message(), draft.unsigned().unwrap().message());
    assert_eq!(request.key_id().public_key(), &public(2));
    let entry = draft.sign(&signing(3)).unwrap();
    assert!(!verifies(&entry.into()), "another's signature does not count");
}

/// Bodies that say the same in other bytes.
#[test]
fn only_the_one_encoding_is_read() {
    let signature = [7; Signature::LEN];
    let ends = revocation_draft();
    let body = |write: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        write(&mut out);
        out.put_slice(&signature);
        Revocation::decode(out.freeze())
    };
    let fields = |out: &mut BytesMut| {
        let mut writer = Writer::new(out);
        writer.bytes(ends.namespace.as_bytes()).bytes(ends.grant.as_bytes()).bytes(ends.revoker.as_bytes());
    };
    let stamp = ends.stamp.to_bits();
    let usual = body(&|out| {
        Writer::new(out).array(4);
        fields(out);
        Writer::new(out).unsigned(stamp);
    });
    assert!(usual.is_ok());
    // The array's length in one byte more.
    let long_head = body(&|out| {
        out.put_slice(&[0x98, 4]);
        fields(out);
        Writer::new(out).unsigned(stamp);
    });
    // An array without a length.
    let open = body(&|out| {
        out.put_u8(0x9f);
        fields(out);
        Writer::new(out).unsigned(stamp);
        out.put_u8(0xff);
    });
    // A hash in pieces.
    let pieces = body(&|out| {
        Writer::new(out).array(4).bytes(ends.namespace.as_bytes());
        out.put_u8(0x5f);
        Writer::new(out).bytes(&ends.grant.as_bytes()[..10]).bytes(&ends.grant.as_bytes()[10..]);
        out.put_u8(0xff);
        Writer::new(out).bytes(ends.revoker.as_bytes()).unsigned(stamp);
    });
    // A small number in eight bytes.
    let wide = body(&|out| {
        Writer::new(out).array(4);
        fields(out);
        out.put_u8(0x1b);
        out.put_u64(5);
    });
    // A tag before the number.
    let tagged = body(&|out| {
        Writer::new(out).array(4);
        fields(out);
        out.put_u8(0xc1);
        Writer::new(out).unsigned(stamp);
    });
    for other in [long_head, open, pieces, wide, tagged] {
        assert!(other.is_err(), "{other:?}");
    }
}

#[test]
fn pieces_and_long_heads_of_values_and_keys_are_refused() {
    let entry = entry_draft(Value::from(&b"value"[..])).sign(&signing(2)).unwrap();
    let bytes = entry.encoded();
    let replace = |from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        let changed = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
        Entry::decode(Bytes::from(changed))
    };
    let value = replace(b"\x45value", b"\x58\x05value").unwrap_err();
    assert_eq!(value, ItemError::NotDeterministic);
    assert!(replace(b"\x45value", b"\x5f\x42va\x43lue\xff").is_err());
    assert!(replace(b"\x67/my/key", b"\x78\x07/my/key").is_err());
    assert!(replace(b"\x67/my/key", b"\x7f\x63/my\x64/key\xff").is_err());
    assert!(replace(b"\x45value", b"\x65value").is_err(), "a text is not a value");
    assert!(replace(b"\x45value", b"\xf7").is_err(), "undefined is not null");
    assert!(replace(b"\x67/my/key", b"\x67/my//ey").is_err());
}

#[test]
fn parts_have_to_rise() {
    let entry = entry_draft(Value::Tombstone).sign(&signing(2)).unwrap();
    let [less, greater] = [[3; 32], [8; 32]];
    let swapped = swap(entry.encoded(), &less, &greater);
    assert_eq!(Entry::decode(swapped).unwrap_err(), ItemError::Unsorted("leaves"));
    let twice = [&less[..], b"\x58\x20", &less].concat();
    let once = [&less[..], b"\x58\x20", &greater].concat();
    let at = entry.encoded().windows(66).position(|window| window == once).unwrap();
    let mut doubled = entry.encoded().to_vec();
    doubled[at..at + 66].copy_from_slice(&twice);
    assert_eq!(Entry::decode(doubled.into()).unwrap_err(), ItemError::Unsorted("leaves"));

    let rotation = rotation();
    let (body, signed) = rotation.encoded().split_at(rotation.encoded().len() - 2 * SIGNED_LEN);
    let (one, other) = signed.split_at(SIGNED_LEN);
    assert!(RootRotate::decode([body, one, other].concat().into()).is_ok());
    for wrong in [[other, one], [one, one]] {
        let bytes = [body, &wrong.concat()].concat();
        assert_eq!(RootRotate::decode(bytes.into()).unwrap_err(), ItemError::Unsorted("signatures"));
    }
    let roots = &rotation.fields().roots;
    let swapped = swap(rotation.encoded(), roots[0].as_bytes(), roots[1].as_bytes());
    assert_eq!(RootRotate::decode(swapped).unwrap_err(), ItemError::Unsorted("roots"));
}

/// Bytes of one root's key and signature.
const SIGNED_LEN: usize = PublicKey::LEN + Signature::LEN;

/// The first place of each exchanged with that of the other.
fn swap(bytes: &Bytes, one: &[u8; 32], other: &[u8; 32]) -> Bytes {
    let place = |of: &[u8; 32]| bytes.windows(32).position(|window| window == of).unwrap();
    let (first, second) = (place(one), place(other));
    let mut swapped = bytes.to_vec();
    swapped[first..first + 32].copy_from_slice(other);
    swapped[second..second + 32].copy_from_slice(one);
    swapped.into()
}

#[test]
fn bytes_that_are_cut_or_go_on_are_refused() {
    for item in items() {
        let bytes = item.encoded();
        for len in 0..bytes.len() {
            match Item::decode(&bytes.slice(..len)) {
                Err(_) => {}
                // It is the same rotation, signed by one root less.
                Ok(Item::RootRotate(rotation)) => {
                    assert_eq!((rotation.id().as_bytes(), rotation.signatures().len()), (&item.id_bytes(), 1));
                }
                Ok(other) => panic!("{len} of {} bytes are {other:?}", bytes.len()),
            }
        }
        assert!(Item::decode(&[&bytes[..], &[0]].concat().into()).is_err());
    }
    assert_eq!(Item::decode(&Bytes::new()), Err(ItemError::Empty));
    assert_eq!(Item::decode(&Bytes::from_static(&[4, 0x80])), Err(ItemError::Kind(4)));
}

#[test]
fn values_are_as_long_as_may_be_and_no_longer() {
    let most = entry_draft(Value::Inline(vec![1; Entry::VALUE_LEN_MAX].into()));
    let entry = most.sign(&signing(2)).unwrap();
    assert!(Item::from(entry.clone()).encoded().len() <= Item::LEN_MAX);
    assert_eq!(Entry::decode(entry.encoded().clone()).unwrap(), entry);
    let more = entry_draft(Value::Inline(vec![1; Entry::VALUE_LEN_MAX + 1].into()));
    let too_long =
        ItemError::TooLong { field: "value", found: Entry::VALUE_LEN_MAX as u64 + 1, max: Entry::VALUE_LEN_MAX as u64 };
    assert_eq!(more.unsigned().unwrap_err(), too_long);
    // Made by hand.
    let head = [0x5a, 0, 0x10, 0, 0];
    let at = entry.encoded().windows(5).position(|window| window == head).unwrap();
    let mut bytes = entry.encoded().to_vec();
    bytes[at + 4] = 1;
    bytes.insert(at + 5, 1);
    assert_eq!(Entry::decode(bytes.into()).unwrap_err(), too_long);
}

#[test]
fn an_entry_names_as_many_grants_as_may_be_and_no_more() {
    let ids = |count: u8| (0..count).map(|n| GrantId::from_bytes([n; 32]));
    assert_eq!(Leaves::new(ids(4)).unwrap().as_slice().len(), Leaves::MAX);
    let too_long = ItemError::TooLong { field: "leaves", found: 5, max: 4 };
    assert_eq!(Leaves::new(ids(5)).unwrap_err(), too_long);
    assert_eq!(Leaves::new(ids(3).chain(ids(4))).unwrap().as_slice().len(), 4, "one that is named twice counts once");
}

#[test]
fn a_grants_fields_go_together_or_it_is_none() {
    // What can be signed can be read, also for what is below the longest key.
    let longest = Key::new(&[204, 204, 204, 204, 203].map(|len| format!("/{}", "k".repeat(len))).concat());
    let below = Subtree::below(&longest.expect("a key of 1 024 bytes")).pattern();
    assert_eq!(below.as_str().len(), Key::LEN_MAX + 3);
    assert!(GrantDraft { pattern: below, ..grant_draft() }.sign(&signing(2)).is_ok());
    let deepest = GrantDraft { depth: 7, ..grant_draft() };
    assert!(deepest.sign(&signing(2)).is_ok());
    let too_deep = GrantDraft { depth: 8, ..grant_draft() };
    assert_eq!(too_deep.unsigned().unwrap_err(), ItemError::TooLong { field: "depth", found: 8, max: 7 });
    let window = |from, until| {
        let (not_before, not_after) = (Some(Timestamp::from_millis(from)), Some(Timestamp::from_millis(until)));
        GrantDraft { not_before, not_after, ..grant_draft() }.unsigned()
    };
    assert!(window(10, 10).is_ok());
    assert!(matches!(window(11, 10), Err(ItemError::Contradiction(_))));
    // Made by hand: the fields before the quota are pattern, ops, depth, from, until.
    let grant = grant_draft().sign(&signing(2)).unwrap();
    let sound = b"/my/**/sta*\x03\x02\x0a\xf6";
    let at = grant.encoded().windows(sound.len()).position(|window| window == sound).unwrap();
    for (wrong, reason) in [
        (b"/my/**/sta*\x00\x02\x0a\xf6", "no operation"),
        (b"/my/**/sta*\x04\x02\x0a\xf6", "an unknown operation"),
        (b"/my/**/sta*\x03\x08\x0a\xf6", "too deep"),
        (b"/my/**/sta*\x03\x02\x0a\x09", "over before it begins"),
        (b"/my/**/s**a\x03\x02\x0a\xf6", "no pattern"),
    ] {
        let mut bytes = grant.encoded().to_vec();
        bytes[at..at + sound.len()].copy_from_slice(wrong);
        assert!(Grant::decode(bytes.into()).is_err(), "{reason}");
    }
}

#[test]
fn a_namespace_certifies_itself() {
    let namespace = namespace().with_reads(Reads::Public).unwrap().with_on_revoke(OnRevoke::Fallback).unwrap();
    let again = Namespace::decode(&namespace.encoded()).unwrap();
    assert_eq!((&again, again.id()), (&namespace, namespace.id()));
    assert_eq!(namespace.rotation_threshold(), 2);
    let bytes = namespace.encoded();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Namespace::decode(&flipped).map_or(true, |other| other.id() != namespace.id()), "bit {bit}");
    }
    assert!(Namespace::decode(&[&bytes[..], &[0]].concat()).is_err());
    for len in 0..bytes.len() {
        assert!(Namespace::decode(&bytes[..len]).is_err());
    }
}

#[test]
fn a_namespaces_limits() {
    let roots = |count: u8| (0..count).map(public);
    assert!(Namespace::new(&"n".repeat(255), roots(16)).is_ok());
    for (name, count) in [("", 1), (&"n".repeat(256)[..], 1), ("n", 0), ("n", 17)] {
        assert!(Namespace::new(name, roots(count)).is_err(), "{count}");
    }
    assert_eq!(Namespace::new("n", [public(0), public(0)]).unwrap_err(), ItemError::Unsorted("roots"));
    assert_eq!([1, 2, 3, 4].map(|count| Namespace::new("n", roots(count)).unwrap().rotation_threshold()), [1, 2, 2, 3]);
    for (threshold, good) in [(0, false), (1, true), (2, true), (3, false)] {
        assert_eq!(namespace().with_rotation_threshold(threshold).is_ok(), good);
    }
}

#[test]
fn a_rotations_limits() {
    let change = |change: &dyn Fn(&mut RotateDraft)| {
        let mut draft = rotate_draft();
        change(&mut draft);
        draft.unsigned(public(0)).map(|_| ())
    };
    assert!(change(&|draft| draft.roots = sorted(5..21)).is_ok());
    assert!(change(&|draft| draft.roots = sorted(5..22)).is_err());
    assert!(change(&|draft| draft.roots = Vec::new()).is_err());
    assert!(change(&|draft| draft.roots.reverse()).is_err());
    assert!(change(&|draft| draft.index = 0).is_err());
    assert!(change(&|draft| draft.retired = (10..74).map(|n| (public(n), stamp(1))).collect()).is_ok());
    assert!(change(&|draft| draft.retired = (10..75).map(|n| (public(n), stamp(1))).collect()).is_err());
    let both = change(&|draft| draft.retired = BTreeMap::from([(public(1), stamp(1))]));
    assert!(matches!(both, Err(ItemError::Contradiction(_))));
    let mut endorsements = Endorsements::new(&rotate_draft()).unwrap();
    assert!(endorsements.finish().is_err(), "nobody signed");
    for n in 0..16 {
        endorsements.add(public(n), Signature::from_bytes([0; 64]));
    }
    let id = endorsements.finish().unwrap().id();
    assert_eq!(id, rotation().id(), "the id does not depend on who signed");
    assert!(endorsements.add(public(16), Signature::from_bytes([0; 64])).finish().is_err());
}

#[test]
fn a_key_that_nobody_may_use_is_refused() {
    let ends = revocation_draft().sign(&signing(2)).unwrap();
    let at = ends.encoded().windows(32).position(|window| window == public(2).as_bytes()).unwrap();
    // The neutral element, for which anybody can sign.
    let mut small = [0; 32];
    small[0] = 1;
    let mut bytes = ends.encoded().to_vec();
    bytes[at..at + 32].copy_from_slice(&small);
    assert!(matches!(Revocation::decode(bytes.into()), Err(ItemError::PublicKey(_))));
}

#[test]
fn entries_are_ordered_by_key_stamp_author_and_id() {
    let make = |path: &str, millis, author: u8, value: &[u8]| {
        let key = Key::new(path).unwrap();
        let draft = EntryDraft { key, stamp: stamp(millis), author: public(author), ..entry_draft(Value::from(value)) };
        draft.sign(&signing(author)).unwrap()
    };
    let (less, greater) = if public(2) < public(3) { (2, 3) } else { (3, 2) };
    assert!(make("/a", 9, greater, b"x") < make("/b", 1, less, b"x"));
    assert!(make("/a", 1, greater, b"x") < make("/a", 2, less, b"x"));
    assert!(make("/a", 1, less, b"x") < make("/a", 1, greater, b"x"));
    let (one, other) = (make("/a", 1, 2, b"x"), make("/a", 1, 2, b"y"));
    assert_eq!(one < other, one.id() < other.id());
    assert_eq!(one.order().cmp(&other.order()), one.cmp(&other));
}

#[test]
fn what_is_shown_of_a_value_is_its_length() {
    let entry = entry_draft(Value::from(&b"secret"[..])).sign(&signing(2)).unwrap();
    assert!(format!("{entry:?}").contains("Inline(6 bytes)") && !format!("{entry:?}").contains("secret"));
}

/// What was read is written in the same bytes, so nothing is known by two ids.
fn decode_checked(bytes: &Bytes) {
    if let Ok(item) = Item::decode(bytes) {
        assert_eq!(item.encoded(), bytes);
    }
    let _ = Namespace::decode(bytes);
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode_checked(&bytes.clone().into());
        for kind in 0..4_u8 {
            decode_checked(&[&[kind][..], &bytes].concat().into());
        }
    }

    #[test]
    fn reading_what_was_changed_never_panics(
        which in 0..9_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut bytes = items()[which].encoded().to_vec();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len().max(1));
            match how {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        let bytes = Bytes::from(bytes);
        decode_checked(&bytes);
        if let Ok(item) = Item::decode(&bytes) {
            prop_assert!(items().contains(&item) || !verifies(&item));
        }
    }

    #[test]
    fn any_entry_comes_back(
        path in "(/[a-z]{1,4}){1,4}",
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        bits in any::<u64>(),
        leaves in prop::collection::vec(any::<[u8; 32]>(), 0..=4),
        previous in prop::option::of(any::<[u8; 32]>()),
    ) {
        let draft = EntryDraft {
            key: Key::new(&path).unwrap(),
            value: value.map_or(Value::Tombstone, |bytes| Value::Inline(bytes.into())),
            stamp: Hlc::from_bits(bits),
            leaves: Leaves::new(leaves.into_iter().map(GrantId::from_bytes)).unwrap(),
            previous: previous.map(EntryId::from_bytes),
            ..entry_draft(Value::Tombstone)
        };
        let entry = Entry::decode(draft.unsigned().unwrap().complete(&Signature::from_bytes([0; 64]))).unwrap();
        prop_assert_eq!(entry.key(), &draft.key);
        prop_assert_eq!(entry.value(), &draft.value);
        prop_assert_eq!(entry.stamp(), draft.stamp);
        prop_assert_eq!(entry.leaves(), &draft.leaves);
        prop_assert_eq!(entry.previous(), draft.previous);
        prop_assert_eq!(Entry::decode(entry.encoded().clone()).unwrap(), entry);
    }
}
