//! Grants: which grant is passed on, checked before anything is signed, signed here or elsewhere.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{PublicKey, Signature};
use syncline_kv::authority::{Authority, MintError};
use syncline_kv::item::{GrantDraft, Ops, Quota};
use syncline_kv::{Grant, GrantId, KvError, Pattern};

use super::Context;
use super::tree_view::describe;
use crate::access;
use crate::args::{GrantArgs, IdPrefix, SignArgs};
use crate::failure::{Code, Failure, Result};
use crate::home::read_up_to;
use crate::out::record::{GrantRecord, SignedRecord, UnsignedRecord};
use crate::times::now;

/// The longest file with a grant that is read; a grant has at most a kilobyte and a half.
const FILE_LEN_MAX: u64 = 16 << 10;

/// What somebody is to be granted, by whomever.
struct Wish {
    issuer: PublicKey,
    audience: PublicKey,
    pattern: Pattern,
    ops: Ops,
    depth: u8,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    quota: Quota,
    stamp: Hlc,
}

pub async fn grant(context: &Context, args: GrantArgs) -> Result<()> {
    if let Some(path) = &args.complete {
        return complete(context, path).await;
    }
    let access = access::open(&context.home).await?;
    let signer = if args.unsigned.is_some() { None } else { Some(context.home.signing_key()?) };
    let issuer = signer.as_ref().map(|signer| signer.public_key()).or(args.issuer);
    let (Some(issuer), Some(audience), Some(pattern), Some(ops)) = (issuer, args.to, args.pattern, args.ops) else {
        return Err(Failure::new(Code::Usage, "--to, --pattern and --ops say what is granted to whom"));
    };
    let (now, authority) = (now(), access.authority().await?);
    let wish = Wish {
        issuer,
        audience,
        pattern,
        ops: ops.ops(),
        depth: args.depth,
        not_before: args.not_before.map(|begin| begin.after(now)),
        not_after: args.not_after.map(|end| end.after(now)),
        quota: Quota { entries: args.entries, bytes: args.bytes },
        stamp: access.stamp().await?,
    };
    let draft = match &args.parent {
        Some(parent) => wish.checked(&authority, Some(resolve(&authority, parent)?), now).map_err(KvError::from)?,
        None => wish.under_the_one_that_fits(&authority, now)?,
    };
    let Some(signer) = signer else {
        let path = args.unsigned.unwrap_or_default();
        write_new(&path, draft.unsigned()?.body())?;
        let record = UnsignedRecord { path: path.display().to_string(), issuer };
        return context.out.confirm(&record, || {
            format!("wrote {}; its issuer signs it by `syncline kv sign {0} SIGNED`", path.display())
        });
    };
    let grant = draft.sign(&signer).map_err(KvError::from)?;
    access.issue(grant.clone()).await?;
    issued(context, &grant)
}

fn issued(context: &Context, grant: &Grant) -> Result<()> {
    let out = &context.out;
    // The id is what scripts want, so it is all there, and also if little is to be said.
    out.say(&GrantRecord::of(grant, "live"), || match out.is_quiet() {
        true => grant.id().to_string(),
        false => format!("{}\n  {}", grant.id(), describe(out, grant)),
    })
}

impl Wish {
    /// The draft under a parent, if it gives nothing that is not there.
    ///
    /// Limits that were not asked for are those of the chain above, since no limit at all would be more than it has.
    fn checked(
        &self,
        authority: &Authority,
        parent: Option<GrantId>,
        now: Timestamp,
    ) -> std::result::Result<GrantDraft, MintError> {
        let chain = parent.and_then(|parent| authority.chain(&parent)).map_or(&[][..], |chain| &**chain);
        let links = || chain.iter().map(|grant| grant.fields());
        let draft = GrantDraft {
            namespace: authority.namespace().id(),
            parent,
            issuer: self.issuer,
            audience: self.audience,
            pattern: self.pattern.clone(),
            ops: self.ops,
            depth: self.depth,
            not_before: self.not_before.or_else(|| links().filter_map(|link| link.not_before).max()),
            not_after: self.not_after.or_else(|| links().filter_map(|link| link.not_after).min()),
            quota: Quota {
                entries: self.quota.entries.or_else(|| links().filter_map(|link| link.quota.entries).min()),
                bytes: self.quota.bytes.or_else(|| links().filter_map(|link| link.quota.bytes).min()),
            },
            stamp: self.stamp,
        };
        authority.check_mint(&draft, now).map(|()| draft)
    }

    /// The draft under the only grant of the issuer under which it can be; under none if it is a root.
    fn under_the_one_that_fits(&self, authority: &Authority, now: Timestamp) -> Result<GrantDraft> {
        if authority.is_root(&self.issuer, self.stamp) {
            return Ok(self.checked(authority, None, now).map_err(KvError::from)?);
        }
        let held = authority.grants_to(&self.issuer).map(|grant| grant.id());
        let held: Vec<GrantId> = held.filter(|grant| authority.is_live_grant(*grant)).collect();
        let (mut drafts, mut misses) = (Vec::new(), Vec::new());
        for parent in held {
            match self.checked(authority, Some(parent), now) {
                Ok(draft) => drafts.push((parent, draft)),
                Err(miss) => misses.push(miss),
            }
        }
        if drafts.len() > 1 {
            let several = Failure::new(Code::Usage, format!("{} of your grants have that", drafts.len()));
            let several = several.hint("choose the one that this one is to end with, by --parent:");
            return Err(drafts.iter().fold(several, |failure, (parent, _)| failure.hint(parent.to_string())));
        }
        match drafts.pop() {
            Some((_, draft)) => Ok(draft),
            None => Err(self.nothing_fits(misses)),
        }
    }

    fn nothing_fits(&self, mut misses: Vec<MintError>) -> Failure {
        if misses.len() > 1 {
            let failure = Failure::new(Code::Denied, "the grant cannot be issued: none of your grants has all of that");
            return misses.iter().fold(failure, |failure, miss| failure.hint(miss.to_string()));
        }
        match misses.pop() {
            Some(miss) => KvError::from(miss).into(),
            None => Failure::new(Code::Denied, format!("{} is no root, and has no grant to pass on", self.issuer))
                .hint("ask who has one with depth; `syncline kv grants` shows them"),
        }
    }
}

/// The grant whose id begins so.
pub fn resolve(authority: &Authority, prefix: &IdPrefix) -> Result<GrantId> {
    let mut found: Vec<GrantId> =
        authority.grants().map(|grant| grant.id()).filter(|id| prefix.matches(id)).take(17).collect();
    if found.len() > 1 {
        let failure = Failure::new(Code::Usage, format!("several grants begin with {}", prefix.as_str()));
        return Err(found.iter().fold(failure, |failure, id| failure.hint(id.to_string())));
    }
    found.pop().ok_or_else(|| {
        Failure::new(Code::NotFound, format!("no grant that is known here begins with {}", prefix.as_str()))
            .hint("`syncline kv grants --all` shows all")
    })
}

/// Signs what somebody wants to be granted, after saying what that is.
pub fn sign(context: &Context, args: &SignArgs) -> Result<()> {
    let signer = context.home.signing_key()?;
    let mut bytes = read_up_to(&args.unsigned, FILE_LEN_MAX)?;
    // Bytes of a grant end with a signature; this one is only there to be replaced.
    bytes.extend_from_slice(&[0; Signature::LEN]);
    let wanted = Grant::decode(Bytes::from(bytes))
        .map_err(|err| Failure::new(Code::Usage, format!("{} is no unsigned grant: {err}", args.unsigned.display())))?;
    let me = signer.public_key();
    if *wanted.issuer() != me {
        return Err(Failure::new(Code::Denied, format!("{} is to sign this, not {me}", wanted.issuer()))
            .hint("name the file of that key by --key"));
    }
    let grant = wanted.fields().clone().sign(&signer).map_err(KvError::from)?;
    write_new(&args.out, grant.encoded())?;
    let record = SignedRecord { path: args.out.display().to_string(), grant: grant.id().to_string() };
    context.out.confirm(&record, || {
        let what = describe(&context.out, &grant);
        format!(
            "signed, in the namespace {}:\n  {what}\nissue it by `syncline kv grant --complete {}`",
            grant.namespace(),
            args.out.display()
        )
    })
}

/// Issues a grant that was signed elsewhere.
async fn complete(context: &Context, path: &Path) -> Result<()> {
    let grant = Grant::decode(Bytes::from(read_up_to(path, FILE_LEN_MAX)?))
        .map_err(|err| Failure::new(Code::Usage, format!("{} is no signed grant: {err}", path.display())))?;
    let access = access::open(&context.home).await?;
    let authority = access.authority().await?;
    // Much may have changed since it was asked for.
    authority.check_mint(grant.fields(), now()).map_err(KvError::from)?;
    access.issue(grant.clone()).await?;
    issued(context, &grant)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|err| Failure::file("cannot write", path, err))
}
