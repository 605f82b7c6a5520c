//! Grants as a tree: who passed on what to whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_core::clock::Timestamp;
use syncline_kv::authority::Authority;
use syncline_kv::{Grant, GrantId};

use crate::failure::Result;
use crate::out::record::{GrantRecord, ops};
use crate::out::{Out, Part};
use crate::times::rfc3339;

/// How it stands with a grant, as [`GrantRecord::state`] has it.
pub fn state(authority: &Authority, grant: &Grant, now: Timestamp) -> &'static str {
    let id = grant.id();
    if !authority.is_live_grant(id) {
        return if authority.revocation_of_chain(&id).is_some() { "revoked" } else { "dead" };
    }
    let links = || authority.chain(&id).into_iter().flat_map(|chain| chain.iter()).map(|link| link.fields());
    if links().any(|link| link.not_after.is_some_and(|until| until < now)) {
        "expired"
    } else if links().any(|link| link.not_before.is_some_and(|from| from > now)) {
        "not-yet"
    } else {
        "live"
    }
}

/// Prints all grants, or those that count, each below the one that it was passed on from.
pub fn print(out: &Out, authority: &Authority, all: bool, now: Timestamp) -> Result<()> {
    let mut below: BTreeMap<Option<GrantId>, Vec<&Arc<Grant>>> = BTreeMap::new();
    for grant in authority.grants() {
        below.entry(grant.parent()).or_default().push(grant);
    }
    for grants in below.values_mut() {
        grants.sort_by_key(|grant| (grant.fields().stamp, grant.id()));
    }
    let view = View { out, authority, below, all, now };
    view.print_below(None, "")
}

struct View<'a> {
    out: &'a Out,
    authority: &'a Authority,
    below: BTreeMap<Option<GrantId>, Vec<&'a Arc<Grant>>>,
    all: bool,
    now: Timestamp,
}

impl View<'_> {
    /// A chain has at most [`Grant::CHAIN_LEN_MAX`] links, which bounds how deep this goes.
    fn print_below(&self, parent: Option<GrantId>, indent: &str) -> Result<()> {
        let grants = self.below.get(&parent).into_iter().flatten();
        let grants: Vec<_> = grants.map(|grant| (grant, state(self.authority, grant, self.now))).collect();
        let mut shown = grants.iter().filter(|(_, state)| self.all || matches!(*state, "live" | "not-yet")).peekable();
        while let Some((grant, state)) = shown.next() {
            let (branch, beside) = match (parent.is_some(), shown.peek().is_some()) {
                (false, _) => ("", ""),
                (true, true) => ("├─ ", "│  "),
                (true, false) => ("└─ ", "   "),
            };
            self.out.say(&GrantRecord::of(grant, state), || {
                let what = describe(self.out, grant);
                let state = match *state {
                    "live" => String::new(),
                    state => format!(" {}", self.out.paint(Part::Bad, format!("[{state}]"))),
                };
                format!("{indent}{branch}{} {what}{state}", self.out.id(grant.id()))
            })?;
            self.print_below(Some(grant.id()), &format!("{indent}{beside}"))?;
        }
        Ok(())
    }
}

/// What a grant says, on one line.
pub fn describe(out: &Out, grant: &Grant) -> String {
    let fields = grant.fields();
    let (issuer, audience) = (out.short(fields.issuer), out.short(fields.audience));
    let mut text = format!("{issuer} lets {audience} {} {}", ops(fields.ops), out.paint(Part::Key, &fields.pattern));
    let mut limits = Vec::new();
    if fields.depth > 0 {
        limits.push(format!(
            "may be passed on {}",
            if fields.depth == 1 { "once".into() } else { format!("{} times", fields.depth) }
        ));
    }
    limits.extend(fields.not_before.map(|from| format!("from {}", rfc3339(from))));
    limits.extend(fields.not_after.map(|until| format!("until {}", rfc3339(until))));
    limits.extend(fields.quota.entries.map(|entries| format!("at most {entries} keys")));
    limits.extend(fields.quota.bytes.map(|bytes| format!("at most {bytes} bytes")));
    if !limits.is_empty() {
        text.push_str(&format!(", {}", limits.join(", ")));
    }
    text
}
