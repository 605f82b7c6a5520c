//! The namespace of a directory, and how its replica is.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use syncline_kv::Namespace;
use syncline_kv::item::{OnRevoke, Reads};
use syncline_kv::tree::{BundleError, Import};

use super::Context;
use crate::access;
use crate::args::InitArgs;
use crate::failure::{Code, Failure, Result};
use crate::home::read_up_to;
use crate::out::record::{NamespaceRecord, StatusRecord};
use crate::out::{Out, Part};

pub fn init(context: &Context, args: InitArgs) -> Result<()> {
    let namespace = match &args.from {
        Some(path) => described(path)?,
        None => new_namespace(context, &args)?,
    };
    let id = namespace.id();
    if let Some(expected) = args.id.filter(|expected| *expected != id) {
        return Err(Failure::new(Code::Denied, format!("this describes the namespace {id}, not {expected}"))
            .hint("ask for the description again; this one may be from somebody who wants to be a root"));
    }
    let path = context.home.describe(&namespace)?;
    context.out.note(&format!("Who joins needs {}. This is the id:", path.display()));
    if args.from.is_some() && args.id.is_none() {
        context.out.note("(Compare it with who sent the description, or give --id: the id stands for its roots.)");
    }
    context.out.say(&NamespaceRecord::of(&namespace), || context.out.paint(Part::Id, id))
}

/// A new namespace, whose root is who makes it if nobody else is named.
fn new_namespace(context: &Context, args: &InitArgs) -> Result<Namespace> {
    let mut roots = args.roots.clone();
    if roots.is_empty() {
        roots.push(context.home.signing_key()?.public_key());
    }
    let mut namespace = Namespace::new(args.name.as_deref().unwrap_or_default(), roots)?;
    if args.fallback {
        namespace = namespace.with_on_revoke(OnRevoke::Fallback)?;
    }
    if args.public {
        namespace = namespace.with_reads(Reads::Public)?;
    }
    if let Some(threshold) = args.threshold {
        namespace = namespace.with_rotation_threshold(threshold)?;
    }
    Ok(namespace)
}

/// The namespace that a file describes: one of another replica's directory, or a bundle.
fn described(path: &Path) -> Result<Namespace> {
    let file = File::open(path).map_err(|err| Failure::file("cannot read", path, err))?;
    match Import::open(BufReader::new(file)) {
        Ok(bundle) => return Ok(bundle.namespace().clone()),
        Err(BundleError::Magic | BundleError::Truncated) => {}
        Err(BundleError::Io(err)) if err.kind() == ErrorKind::IsADirectory => {
            return Err(
                Failure::file("cannot read", path, err).hint("its description is in the file `namespace` in it")
            );
        }
        Err(err) => return Err(err.into()),
    }
    Namespace::decode(&read_up_to(path, 16 << 10)?)
        .map_err(|err| Failure::new(Code::Usage, format!("{} describes no namespace: {err}", path.display())))
}

pub async fn status(context: &Context) -> Result<()> {
    let status = access::open(&context.home).await?.status().await?;
    context.out.say(&status, || text(&context.out, &status))
}

fn text(out: &Out, status: &StatusRecord) -> String {
    let mut lines = vec![
        format!("namespace  {} ({})", out.paint(Part::Id, &status.namespace), out.paint(Part::Key, &status.name)),
        format!("root       {}", out.paint(Part::Id, &status.root)),
        format!(
            "holds      {}, {}",
            count(status.entries, "entry", "entries"),
            count(status.system, "grant or revocation", "grants and revocations")
        ),
    ];
    match &status.peer_id {
        None => lines.push(format!("agent      {}", out.paint(Part::Faint, "none runs"))),
        Some(peer_id) => {
            let at = status.listen.as_deref().map_or_else(|| ", does not listen".into(), |addr| format!(" at {addr}"));
            lines.push(format!("agent      {}{at}", out.paint(Part::Id, peer_id)));
        }
    }
    for member in &status.members {
        let state = if member.up { out.paint(Part::Good, "up") } else { out.paint(Part::Bad, "down") };
        let synced = member.synced.as_deref().map_or_else(|| "never synced".into(), |at| format!("synced {at}"));
        lines.push(format!("peer       {} {state}, {synced}", out.id(member.peer)));
    }
    if status.away_too_long {
        let text = "this replica was away for longer than deletions are remembered, and must not sync any more";
        lines.push(out.paint(Part::Bad, text));
        lines.push("export what only it has, make a new one by `syncline kv init --from`, and import it there".into());
    }
    lines.join("\n")
}

/// So many of something.
pub fn count(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("{number} {one}") } else { format!("{number} {more}") }
}
