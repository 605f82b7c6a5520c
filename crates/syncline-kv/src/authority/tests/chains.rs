//! Structure: what a chain allows.

use super::world::{admit, at, authority, draft, entry, entry_in, grant, key, made, pattern, public};
use crate::authority::{Admission, Authority, Awaited, Denied, Op, Refusal, Standing, SystemItem};
use crate::item::{Grant, GrantDraft, GrantId, Namespace, NamespaceId, Ops};

/// Admits a chain root → 1 → 2 → 3 over everything below /a, its links changed by `change`, the first by a root.
fn chain_of(authority: &mut Authority, change: impl Fn(usize, &mut GrantDraft)) -> Vec<Grant> {
    let mut links: Vec<Grant> = Vec::new();
    for link in 0..3 {
        let mut fields = draft(links.last(), link as u8, link as u8 + 1, "/a/**");
        change(link, &mut fields);
        links.push(made(&fields));
        admit(authority, links[link].clone());
    }
    links
}

fn refused(authority: &mut Authority, grant: &Grant) -> Refusal {
    match authority.admit(SystemItem::Grant(grant.clone())) {
        Admission::Refused(refusal) => refusal,
        other => panic!("not refused but {other:?}"),
    }
}

#[test]
fn a_chain_gives_what_all_of_its_links_give() {
    let mut authority = authority();
    let links = chain_of(&mut authority, |_, _| ());
    assert_eq!(authority.check(&entry(3, "/a/b", &[&links[2]], 100)), Standing::Live);
    let outside = Denied::Pattern { grant: links[2].id(), pattern: pattern("/a/**"), key: key("/b") };
    assert_eq!(authority.check(&entry(3, "/b", &[&links[2]], 100)), Standing::Unauthorized(outside));
    assert_eq!(authority.chain(&links[2].id()).unwrap().len(), 3);
}

#[test]
fn each_link_has_to_have_the_key() {
    for narrow in 0..3 {
        let mut authority = authority();
        let links = chain_of(&mut authority, |link, fields| {
            fields.pattern = pattern(if link == narrow { "/a/b/**" } else { "/a/**" });
        });
        assert_eq!(authority.check(&entry(3, "/a/b/c", &[&links[2]], 100)), Standing::Live);
        let denied = Denied::Pattern { grant: links[narrow].id(), pattern: pattern("/a/b/**"), key: key("/a/x") };
        assert_eq!(authority.check(&entry(3, "/a/x", &[&links[2]], 100)), Standing::Unauthorized(denied.clone()));
        assert_eq!(authority.authorize(&public(3), &key("/a/x"), Op::Write, at(100)), Err(denied));
    }
}

#[test]
fn each_link_has_to_allow_the_operation() {
    for narrow in 0..3 {
        let mut authority = authority();
        let links = chain_of(&mut authority, |link, fields| {
            fields.ops = if link == narrow { Ops::Read } else { Ops::ReadWrite };
        });
        let denied = Denied::Op { grant: links[narrow].id(), op: Op::Write };
        assert_eq!(authority.check(&entry(3, "/a/b", &[&links[2]], 100)), Standing::Unauthorized(denied));
        assert!(authority.authorize(&public(3), &key("/a/b"), Op::Read, at(100)).is_ok());
    }
}

#[test]
fn each_links_window_has_to_hold_the_stamp_its_ends_included() {
    for narrow in 0..3 {
        let mut authority = authority();
        let links = chain_of(&mut authority, |link, fields| {
            if link == narrow {
                (fields.not_before, fields.not_after) = (Some(at(100)), Some(at(200)));
            }
        });
        let grant = links[narrow].id();
        let check = |millis| authority.check(&entry(3, "/a/b", &[&links[2]], millis));
        assert_eq!(check(99), Standing::Unauthorized(Denied::NotYet { grant, from: at(100) }));
        assert_eq!((check(100), check(200)), (Standing::Live, Standing::Live));
        assert_eq!(check(201), Standing::Unauthorized(Denied::Expired { grant, until: at(200) }));
    }
}

#[test]
fn windows_that_have_nothing_in_common_allow_nothing() {
    let mut authority = authority();
    let links = chain_of(&mut authority, |link, fields| match link {
        0 => fields.not_after = Some(at(100)),
        2 => fields.not_before = Some(at(101)),
        _ => {}
    });
    for millis in [99, 100, 101, 102] {
        assert!(matches!(authority.check(&entry(3, "/a/b", &[&links[2]], millis)), Standing::Unauthorized(_)));
    }
}

#[test]
fn depth_counts_the_links_that_may_follow() {
    let mut authority = authority();
    let first = made(&GrantDraft { depth: 1, ..draft(None, 0, 1, "/a/**") });
    admit(&mut authority, first.clone());
    let as_deep = made(&GrantDraft { depth: 1, ..draft(Some(&first), 1, 2, "/a/**") });
    assert_eq!(refused(&mut authority, &as_deep), Refusal::Depth { parent: first.id(), held: 1, found: 1 });
    let second = made(&GrantDraft { depth: 0, ..draft(Some(&first), 1, 2, "/a/**") });
    admit(&mut authority, second.clone());
    let third = made(&GrantDraft { depth: 0, ..draft(Some(&second), 2, 3, "/a/**") });
    assert_eq!(refused(&mut authority, &third), Refusal::Depth { parent: second.id(), held: 0, found: 0 });
    assert!(matches!(authority.check(&entry(3, "/a/b", &[&third], 100)), Standing::Waiting(_)));
}

#[test]
fn the_longest_chain_is_as_long_as_may_be() {
    let mut authority = authority();
    let mut links: Vec<Grant> = Vec::new();
    for depth in (0..8).rev() {
        let (issuer, audience) = if links.is_empty() { (0, 1) } else { (1, 1) };
        links.push(made(&GrantDraft { depth, ..draft(links.last(), issuer, audience, "/**") }));
        admit(&mut authority, links.last().unwrap().clone());
    }
    assert_eq!(authority.chain(&links[7].id()).unwrap().len(), Grant::CHAIN_LEN_MAX);
    assert_eq!(authority.check(&entry(1, "/a", &[&links[7]], 100)), Standing::Live);
    let further = made(&GrantDraft { depth: 0, ..draft(links.last(), 1, 1, "/**") });
    assert!(matches!(refused(&mut authority, &further), Refusal::Depth { .. }));
}

#[test]
fn only_the_audience_of_a_grant_passes_it_on() {
    let mut authority = authority();
    let first = grant(None, 0, 1, "/a/**");
    admit(&mut authority, first.clone());
    // Not even a root, who can issue its own.
    for issuer in [0, 2] {
        let stolen = grant(Some(&first), issuer, 2, "/a/**");
        let refusal = Refusal::NotAudience { parent: first.id(), audience: public(1), issuer: public(issuer) };
        assert_eq!(refused(&mut authority, &stolen), refusal);
    }
}

#[test]
fn a_root_may_pass_on_what_was_granted_to_it() {
    let mut authority = authority();
    let first = grant(None, 0, 1, "/a/**");
    let to_root = grant(Some(&first), 1, 0, "/a/**");
    let by_root = grant(Some(&to_root), 0, 2, "/**");
    for link in [&first, &to_root, &by_root] {
        admit(&mut authority, link.clone());
    }
    assert_eq!(authority.check(&entry(2, "/a/b", &[&by_root], 100)), Standing::Live);
    assert!(matches!(authority.check(&entry(2, "/b", &[&by_root], 100)), Standing::Unauthorized(_)), "it is under /a");
}

#[test]
fn a_stranger_roots_no_chain() {
    let mut authority = authority();
    let refusal = refused(&mut authority, &grant(None, 1, 1, "/**"));
    assert_eq!(refusal, Refusal::NotRoot { issuer: public(1) });
    assert!(!refusal.is_final(), "a rotation may make it a root");
}

#[test]
fn a_grant_to_oneself_is_allowed_and_gives_nothing_more() {
    let mut authority = authority();
    let first = grant(None, 0, 1, "/a/**");
    let wider = grant(Some(&first), 1, 1, "/**");
    admit(&mut authority, first);
    admit(&mut authority, wider.clone());
    assert_eq!(authority.check(&entry(1, "/a/b", &[&wider], 100)), Standing::Live);
    assert!(matches!(authority.check(&entry(1, "/b", &[&wider], 100)), Standing::Unauthorized(_)));
}

#[test]
fn an_unknown_parent_is_waited_for() {
    let mut authority = authority();
    let first = grant(None, 0, 1, "/a/**");
    let second = grant(Some(&first), 1, 2, "/a/**");
    let waiting = Admission::Waiting(Awaited::Grant(first.id()));
    assert_eq!(authority.admit(second.clone().into()), waiting);
    assert_eq!(authority.check(&entry(2, "/a/b", &[&second], 100)), Standing::Waiting(second.id()));
    admit(&mut authority, first);
    admit(&mut authority, second.clone());
    assert_eq!(authority.admit(second.clone().into()), Admission::Known);
    assert_eq!(authority.check(&entry(2, "/a/b", &[&second], 100)), Standing::Live);
}

#[test]
fn every_grant_that_an_entry_names_has_to_allow_it() {
    let mut authority = authority();
    let (good, narrow) = (grant(None, 0, 1, "/a/**"), grant(None, 0, 1, "/b/**"));
    let (others, unknown) = (grant(None, 0, 2, "/a/**"), grant(None, 0, 1, "/a/b"));
    for known in [&good, &narrow, &others] {
        admit(&mut authority, known.clone());
    }
    let check = |leaves: &[&Grant]| authority.check(&entry(1, "/a/b", leaves, 100));
    assert_eq!(check(&[&good]), Standing::Live);
    assert!(matches!(check(&[&good, &narrow]), Standing::Unauthorized(Denied::Pattern { .. })));
    assert!(matches!(check(&[&good, &others]), Standing::Unauthorized(Denied::NotAudience { .. })));
    assert_eq!(check(&[&good, &unknown]), Standing::Waiting(unknown.id()));
    // It can never be allowed, so it is no use to wait.
    assert!(matches!(check(&[&narrow, &unknown]), Standing::Unauthorized(Denied::Pattern { .. })));
}

#[test]
fn objects_of_another_namespace_are_refused() {
    let mut authority = authority();
    let found = Namespace::new("another", [public(0)]).unwrap().id();
    let foreign = made(&GrantDraft { namespace: found, ..draft(None, 0, 1, "/**") });
    assert_eq!(refused(&mut authority, &foreign), Refusal::OtherNamespace { found });
    let check = |namespace: NamespaceId| authority.check(&entry_in(namespace, 0, "/a", [], 100));
    assert_eq!(check(found), Standing::Unauthorized(Denied::OtherNamespace { found }));
    assert_eq!(check(authority.namespace().id()), Standing::Live);
    assert!(!authority.is_live_grant(GrantId::from_bytes([1; 32])));
}
