//! Who may do what, and the end of that.

use syncline_crypto::PublicKey;
use syncline_kv::Key;
use syncline_kv::authority::{Authorization, Explanation, Op, Outcome};

use super::Context;
use super::grant::resolve;
use super::namespace::count;
use super::tree_view::{self, describe};
use crate::access::{self, Becomes, Ended, Preview};
use crate::args::{ExplainArgs, GrantsArgs, OpArg, RevokeArgs, WhoCanArgs};
use crate::failure::{Code, Failure, Result};
use crate::out::record::{AuthorizedRecord, ExplanationRecord, MissRecord, RevocationRecord};
use crate::out::{Out, Part};
use crate::times::now;

pub async fn grants(context: &Context, args: &GrantsArgs) -> Result<()> {
    let authority = access::open(&context.home).await?.authority().await?;
    tree_view::print(&context.out, &authority, args.all, now())
}

pub async fn revoke(context: &Context, args: &RevokeArgs) -> Result<()> {
    let access = access::open(&context.home).await?;
    let grant = resolve(&*access.authority().await?, &args.id)?;
    if args.dry_run {
        let preview = access.dry_run(grant).await?;
        let record = RevocationRecord {
            revocation: None,
            grant: grant.to_string(),
            dry_run: true,
            grants: Some(preview.grants.iter().map(ToString::to_string).collect()),
            unset: Some(keys_that_are(&preview, Becomes::Unset)),
            fallback: keys_that_are(&preview, Becomes::Older),
        };
        return context.out.say(&record, || preview_text(&context.out, &preview));
    }
    let signer = context.home.signing_key()?;
    let ended = access.revoke(&signer, grant).await?;
    let record = RevocationRecord {
        revocation: Some(ended.revocation.to_string()),
        grant: grant.to_string(),
        dry_run: false,
        grants: None,
        unset: Some(ended.unset.iter().map(ToString::to_string).collect()),
        fallback: ended.not_unset.iter().map(ToString::to_string).collect(),
    };
    context.out.confirm(&record, || ended_text(&context.out, &record.grant, &ended))
}

fn keys_that_are(preview: &Preview, what: Becomes) -> Vec<String> {
    preview.keys.iter().filter(|(_, becomes)| *becomes == what).map(|(key, _)| key.to_string()).collect()
}

fn preview_text(out: &Out, preview: &Preview) -> String {
    if preview.grants.is_empty() {
        return "the grant does not count any more; nothing would change".into();
    }
    let mut lines = vec![format!("would end {}:", count(preview.grants.len() as u64, "grant", "grants"))];
    lines.extend(preview.grants.iter().map(|grant| format!("  {}", out.id(grant))));
    for (key, becomes) in &preview.keys {
        lines.push(match becomes {
            Becomes::Unset => format!("{} {}", out.paint(Part::Bad, "unset"), out.paint(Part::Key, key)),
            Becomes::Older => format!("{} {}", out.paint(Part::Good, "older"), out.paint(Part::Key, key)),
        });
    }
    if preview.is_truncated {
        lines.push("and more".into());
    }
    lines.join("\n")
}

fn ended_text(out: &Out, grant: &str, ended: &Ended) -> String {
    let unset = count(ended.unset.len() as u64, "key", "keys");
    let mut lines = vec![format!("revoked {}, unset {unset}", out.id(grant))];
    lines.extend(
        ended.unset.iter().map(|key| format!("{} {}", out.paint(Part::Bad, "unset"), out.paint(Part::Key, key))),
    );
    lines.extend(
        ended.not_unset.iter().map(|key| {
            format!("{} {} (not yours to delete)", out.paint(Part::Good, "older"), out.paint(Part::Key, key))
        }),
    );
    lines.join("\n")
}

pub async fn explain(context: &Context, args: ExplainArgs) -> Result<()> {
    let usage = |err: String| Failure::new(Code::Usage, err);
    let (who, key) = match args.who_and_key.as_slice() {
        [who, key] => {
            let who = who.parse::<PublicKey>().map_err(|err| usage(format!("{who} is no public key: {err}")))?;
            (Some(who), key)
        }
        [key] => (None, key),
        _ => return Err(usage("which key?".into())),
    };
    let key = Key::new(key).map_err(|err| usage(format!("{key} is no key: {err}")))?;
    let who = match who {
        Some(who) => who,
        None => context.home.signing_key()?.public_key(),
    };
    let authority = access::open(&context.home).await?.authority().await?;
    let explanation = authority.explain(&who, &key, op(args.op), now());
    context.out.say(&record(&explanation), || text(&context.out, &explanation))?;
    match explanation.outcome {
        // It was said already, but programs look at how this ends.
        Outcome::Denied { .. } => {
            Err(Failure::new(Code::Denied, format!("{} may not {} {key}", context.out.short(who), explanation.op)))
        }
        _ => Ok(()),
    }
}

fn op(op: OpArg) -> Op {
    match op {
        OpArg::Read => Op::Read,
        OpArg::Write => Op::Write,
    }
}

fn op_name(op: Op) -> &'static str {
    match op {
        Op::Read => "read",
        Op::Write => "write",
    }
}

fn record(explanation: &Explanation) -> ExplanationRecord {
    let (by, chains, reason, misses) = match &explanation.outcome {
        Outcome::Root => ("root", Vec::new(), None, Vec::new()),
        Outcome::Public => ("public", Vec::new(), None, Vec::new()),
        Outcome::Granted(chains) => {
            let ids = chains.iter().map(|chain| chain.iter().map(|grant| grant.id().to_string()).collect());
            ("grants", ids.collect(), None, Vec::new())
        }
        Outcome::Denied { reason, misses, .. } => {
            let misses = misses.iter();
            let misses =
                misses.map(|miss| MissRecord { grant: miss.grant.to_string(), reason: miss.reason.to_string() });
            ("denied", Vec::new(), Some(reason.to_string()), misses.collect())
        }
    };
    ExplanationRecord {
        who: explanation.who,
        key: explanation.key.to_string(),
        op: op_name(explanation.op),
        allowed: explanation.is_allowed(),
        by,
        chains,
        reason,
        misses,
    }
}

fn text(out: &Out, explanation: &Explanation) -> String {
    let (who, op, key) = (out.id(explanation.who), op_name(explanation.op), out.paint(Part::Key, &explanation.key));
    let mut lines = Vec::new();
    match &explanation.outcome {
        Outcome::Root => lines.push(format!("{who} may {op} {key}: it is a root")),
        Outcome::Public => lines.push(format!("{who} may {op} {key}: everybody may")),
        Outcome::Granted(chains) => {
            lines.push(format!("{who} may {op} {key}:"));
            for chain in chains {
                let links = chain.iter().enumerate();
                lines.extend(links.map(|(at, grant)| {
                    format!("{:indent$}{} {}", "", out.id(grant.id()), describe(out, grant), indent = 2 + 2 * at)
                }));
            }
        }
        Outcome::Denied { reason, misses, omitted } => {
            lines.push(format!("{who} may not {op} {key}:"));
            match misses.as_slice() {
                [] => lines.push(format!("  {reason}")),
                misses => lines.extend(misses.iter().map(|miss| format!("  {}", miss.reason))),
            }
            if *omitted > 0 {
                lines.push(format!("  and {}", count(*omitted as u64, "more grant", "more grants")));
            }
        }
    }
    lines.join("\n")
}

pub async fn who_can(context: &Context, args: &WhoCanArgs) -> Result<()> {
    let out = &context.out;
    let authority = access::open(&context.home).await?.authority().await?;
    for (who, authorization) in authority.who_can(&args.key, op(args.op), now()) {
        let (by, grants) = match authorization {
            Authorization::Root => ("root", Vec::new()),
            Authorization::Public => ("public", Vec::new()),
            Authorization::Grants(grants) => ("grants", grants),
        };
        let record = AuthorizedRecord { who, by, grants: grants.iter().map(ToString::to_string).collect() };
        out.say(&record, || {
            // A public key is for others to use, so it is all there.
            let who = out.paint(Part::Id, who);
            let grants: Vec<String> = grants.iter().map(|grant| out.short(grant)).collect();
            if grants.is_empty() { format!("{who} ({by})") } else { format!("{who} by {}", grants.join(", ")) }
        })?;
    }
    Ok(())
}
