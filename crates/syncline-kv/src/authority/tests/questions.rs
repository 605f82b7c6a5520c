//! Who may what, and why.

use super::world::{admit, at, authority, draft, entry, grant, key, made, namespace, public, revocation, rotation};
use crate::authority::{Authority, AuthorityLimits, Authorization, Denied, Explanation, Op, Outcome};
use crate::item::{Grant, GrantDraft, GrantId, Ops, Quota, Reads};
use crate::path::Subtree;

fn ids(grants: &[&Grant]) -> Authorization {
    Authorization::Grants(grants.iter().map(|grant| grant.id()).collect())
}

fn until(fields: GrantDraft, millis: Option<u64>) -> Grant {
    made(&GrantDraft { not_after: millis.map(at), ..fields })
}

#[test]
fn a_root_may_everything_with_no_grants_at_all() {
    let authority = authority();
    for op in [Op::Read, Op::Write] {
        assert_eq!(authority.authorize(&public(0), &key("/x/y"), op, at(0)), Ok(Authorization::Root));
        let denied = Err(Denied::NoGrant { who: public(1) });
        assert_eq!(authority.authorize(&public(1), &key("/x/y"), op, at(0)), denied);
    }
    assert!(authority.may_read(Some(&public(0)), &Subtree::all(), at(0)));
    assert!(!authority.may_read(Some(&public(1)), &"/x".parse().unwrap(), at(0)));
    assert!(!authority.may_read(None, &"/x".parse().unwrap(), at(0)));
}

#[test]
fn the_grants_that_hold_longest_come_first_then_those_with_fewest_links() {
    let mut authority = authority();
    let forever = until(draft(None, 0, 1, "/a/**"), None);
    let short = until(draft(None, 0, 1, "/a/**"), Some(200));
    let long = until(draft(None, 0, 1, "/a/**"), Some(300));
    let passed_on = until(draft(Some(&forever), 1, 1, "/a/**"), None);
    let cut_above = until(draft(Some(&short), 1, 1, "/a/b"), None);
    let (expired, elsewhere) = (until(draft(None, 0, 1, "/a/**"), Some(99)), grant(None, 0, 1, "/b/**"));
    for known in [&forever, &short, &long, &passed_on, &cut_above, &expired, &elsewhere] {
        admit(&mut authority, known.clone());
    }
    let best = |authority: &Authority| authority.authorize(&public(1), &key("/a/b"), Op::Write, at(100)).unwrap();
    assert_eq!(best(&authority), ids(&[&forever, &passed_on, &long, &short]), "and no more than an entry may name");
    admit(&mut authority, revocation(forever.id(), 0, 1));
    assert_eq!(best(&authority), ids(&[&long, &short, &cut_above]));
}

#[test]
fn reading_is_granted_by_subtrees_in_every_link() {
    let mut authority = authority();
    let read =
        |parent, issuer, audience, keys| made(&GrantDraft { ops: Ops::Read, ..draft(parent, issuer, audience, keys) });
    let first = read(None, 0, 1, "/a/**");
    let second = read(Some(&first), 1, 2, "/a/b/**");
    let wider = read(Some(&first), 1, 3, "/**");
    let glob = read(None, 0, 4, "/a/*/**");
    let under_glob = read(Some(&glob), 4, 5, "/a/b/**");
    let written = grant(None, 0, 6, "/a/**");
    for known in [&first, &second, &wider, &glob, &under_glob, &written] {
        admit(&mut authority, known.clone());
    }
    let may_read = |who, path: &str| authority.may_read(Some(&public(who)), &path.parse().unwrap(), at(100));
    assert!(may_read(1, "/a") && may_read(1, "/a/b") && !may_read(1, "") && !may_read(1, "/ab"));
    assert!(may_read(2, "/a/b") && !may_read(2, "/a"));
    assert!(may_read(3, "/a") && !may_read(3, ""), "what is passed on is not more");
    assert!(!may_read(4, "/a/b/c") && !may_read(5, "/a/b") && !may_read(6, "/a"));
    let denied = Denied::NotSubtree { grant: glob.id(), pattern: glob.pattern().clone() };
    assert_eq!(authority.authorize(&public(5), &key("/a/b/c"), Op::Read, at(100)), Err(denied));
    let denied = Denied::Op { grant: written.id(), op: Op::Read };
    assert_eq!(authority.authorize(&public(6), &key("/a/b"), Op::Read, at(100)), Err(denied));
    assert_eq!(authority.authorize(&public(3), &key("/a/b"), Op::Read, at(100)), Ok(ids(&[&wider])));
}

#[test]
fn a_read_grant_ends_by_time_and_by_revocation() {
    let mut authority = authority();
    let fields = GrantDraft { ops: Ops::ReadWrite, not_before: Some(at(50)), ..draft(None, 0, 1, "/a/**") };
    let granted = until(fields, Some(100));
    admit(&mut authority, granted.clone());
    let may_read =
        |authority: &Authority, millis| authority.may_read(Some(&public(1)), &"/a".parse().unwrap(), at(millis));
    assert_eq!([49, 50, 100, 101].map(|millis| may_read(&authority, millis)), [false, true, true, false]);
    admit(&mut authority, revocation(granted.id(), 0, 1));
    assert!(!may_read(&authority, 100));
}

#[test]
fn in_a_public_namespace_everybody_reads() {
    let namespace = namespace().with_reads(Reads::Public).unwrap();
    let authority = Authority::new(namespace, AuthorityLimits::default());
    assert!(authority.may_read(None, &Subtree::all(), at(0)));
    assert_eq!(authority.authorize(&public(3), &key("/a"), Op::Read, at(0)), Ok(Authorization::Public));
    assert!(authority.authorize(&public(3), &key("/a"), Op::Write, at(0)).is_err());
    assert_eq!(authority.who_can(&key("/a"), Op::Read, at(0)), [(public(0), Authorization::Root)]);
    assert!(authority.explain(&public(3), &key("/a"), Op::Read, at(0)).to_string().contains("everybody may read"));
}

#[test]
fn who_can_lists_roots_first_and_each_once() {
    let mut authority = authority();
    let (one, other, to_root) = (grant(None, 0, 1, "/a/**"), grant(None, 0, 2, "/b/**"), grant(None, 0, 0, "/a/**"));
    for known in [&one, &other, &to_root] {
        admit(&mut authority, known.clone());
    }
    let expected = vec![(public(0), Authorization::Root), (public(1), ids(&[&one]))];
    assert_eq!(authority.who_can(&key("/a/b"), Op::Write, at(100)), expected);
    let rotated = rotation(&authority, &[3], &[(0, 150)], &[0]);
    admit(&mut authority, rotated);
    let who = |millis| -> Vec<_> {
        authority.who_can(&key("/a/b"), Op::Write, at(millis)).into_iter().map(|(who, _)| who).collect()
    };
    assert_eq!(who(150), [public(3), public(0), public(1)], "the retired root up to its cut");
    let mut after = vec![public(0), public(1)];
    after.sort_unstable();
    assert_eq!(who(151), [vec![public(3)], after].concat(), "then by the grant to itself");
}

#[test]
fn an_explanation_shows_the_chain_from_the_root_down() {
    let mut authority = authority();
    let first = until(draft(None, 0, 1, "/a/**"), Some(500));
    let second = grant(Some(&first), 1, 2, "/a/b/**");
    admit(&mut authority, first.clone());
    admit(&mut authority, second.clone());
    let explanation = authority.explain(&public(2), &key("/a/b/c"), Op::Write, at(100));
    let Outcome::Granted(chains) = &explanation.outcome else { panic!("{explanation}") };
    let links: Vec<GrantId> = chains[0].iter().map(|link| link.id()).collect();
    assert_eq!((chains.len(), links), (1, vec![first.id(), second.id()]));
    let (root, one, two) = (public(0), public(1), public(2));
    let text = format!(
        "{two} may write /a/b/c at 100 ms, by 1 chain\n  chain 1\n    {}: root {root} lets {one} write /a/**, until 500 ms\n    \
         {}: {one} lets {two} write /a/b/**",
        first.id(),
        second.id()
    );
    assert_eq!(explanation.to_string(), text);
    assert!(authority.explain(&root, &key("/a"), Op::Read, at(1)).to_string().ends_with("it is a root"));
}

#[test]
fn a_denial_names_the_nearest_miss_first() {
    let mut authority = authority();
    let elsewhere = grant(None, 0, 1, "/b/**");
    let nearby = grant(None, 0, 1, "/a/x/**");
    let nearer = grant(None, 0, 1, "/a/bc/**");
    let expired = until(draft(None, 0, 1, "/a/**"), Some(99));
    let revoked = grant(None, 0, 1, "/a/*");
    let reads = made(&GrantDraft { ops: Ops::Read, ..draft(None, 0, 1, "/a/**") });
    for known in [&elsewhere, &nearby, &nearer, &expired, &revoked, &reads] {
        admit(&mut authority, known.clone());
    }
    let ends = revocation(revoked.id(), 0, 1);
    admit(&mut authority, ends.clone());
    let explanation = authority.explain(&public(1), &key("/a/b"), Op::Write, at(100));
    let Outcome::Denied { reason, misses, omitted } = &explanation.outcome else { panic!("{explanation}") };
    let order: Vec<GrantId> = misses.iter().map(|miss| miss.grant).collect();
    assert_eq!(order, [&revoked, &expired, &reads, &nearer, &nearby, &elsewhere].map(Grant::id));
    assert_eq!((reason, *omitted), (&Denied::Revoked { grant: revoked.id(), revocation: ends.id() }, 0));
    let text = explanation.to_string();
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(text.starts_with(&format!("{} may not write /a/b at 100 ms; its grants", public(1))), "{text}");
    assert!(text.contains("that is final, ask for a new grant") && text.contains("held until 99 ms"), "{text}");
    let nothing = authority.explain(&public(5), &key("/a/b"), Op::Write, at(100)).to_string();
    assert!(nothing.ends_with("has no grants; ask a root, or who has a grant with depth, for one"), "{nothing}");
}

#[test]
fn of_grants_for_other_keys_the_one_that_begins_most_like_the_key_is_nearest() {
    let mut authority = authority();
    let (wanted, steps) = (key("/abcdefgh"), ["/abcdefg", "/abcdef", "/abcde", "/abcd", "/abc", "/ab", "/a"]);
    for text in steps.iter().rev() {
        admit(&mut authority, grant(None, 0, 1, &format!("{text}/*")));
    }
    let explanation = authority.explain(&public(1), &wanted, Op::Write, at(100));
    let Outcome::Denied { misses, .. } = &explanation.outcome else { panic!("{explanation}") };
    let found: Vec<&str> = misses
        .iter()
        .map(|miss| match &miss.reason {
            Denied::Pattern { pattern, .. } => pattern.as_str().trim_end_matches("/*"),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(found, steps);
}

#[test]
fn an_explanation_stays_short() {
    let mut authority = authority();
    for n in 0..20 {
        admit(&mut authority, grant(None, 0, 1, &format!("/b/{n}")));
    }
    let explanation = authority.explain(&public(1), &key("/a"), Op::Write, at(100));
    let Outcome::Denied { misses, omitted, .. } = &explanation.outcome else { panic!("{explanation}") };
    assert_eq!((misses.len(), *omitted), (Explanation::MISSES_MAX, 4));
    assert!(explanation.to_string().ends_with("and 4 more grants"));
}

#[test]
fn quotas_are_those_of_the_chains_links() {
    let mut authority = authority();
    let quota = Quota { entries: Some(5), bytes: None };
    let first = made(&GrantDraft { quota, ..draft(None, 0, 1, "/a/**") });
    let second = grant(Some(&first), 1, 2, "/a/**");
    let third = made(&GrantDraft { quota: Quota { bytes: Some(1), ..quota }, ..draft(Some(&second), 2, 3, "/a/**") });
    for known in [&first, &second, &third] {
        admit(&mut authority, known.clone());
    }
    let quotas: Vec<_> = authority.quotas(&third.id()).collect();
    assert_eq!(quotas, [(third.id(), Quota { bytes: Some(1), ..quota }), (first.id(), quota)]);
    assert_eq!(authority.quotas(&GrantId::from_bytes([1; 32])).count(), 0);
}

#[test]
fn debug_is_short() {
    let mut authority = authority();
    for n in 0..100 {
        admit(&mut authority, grant(None, 0, 1, &format!("/b/{n}")));
    }
    assert!(format!("{authority:?}").len() < 600);
    assert!(entry(0, "/a", &[], 1).leaves().is_root());
}
