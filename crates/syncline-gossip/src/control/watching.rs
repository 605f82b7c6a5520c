//! Watching a part of a tree for a tool.

use std::collections::BTreeSet;

use syncline_kv::tree::{Changed, Listing, Scope};
use syncline_kv::{Key, Subtree};
use tokio::io::{AsyncRead, AsyncWrite};

use super::ControlError;
use super::frame::Framed;
use super::message::Response;
use super::server::{ControlServer, encoded, fault, send};

/// Tells what there is and then what changes, until the tool ends the connection.
pub(super) async fn watch<S: AsyncRead + AsyncWrite + Unpin>(
    server: &ControlServer,
    stream: &mut Framed<S>,
    subtree: Subtree,
) -> Result<(), ControlError> {
    // First, so that nothing is missed in between.
    let changes = server.tree().watch(Scope::Below(subtree.clone()));
    tell_all(server, stream, &subtree).await?;
    loop {
        let changed = tokio::select! {
            changed = changes.changed() => changed,
            () = stream.ended() => return Ok(()),
        };
        tell(server, stream, &subtree, changed).await?;
    }
}

async fn tell<S: AsyncRead + AsyncWrite + Unpin>(
    server: &ControlServer,
    stream: &mut Framed<S>,
    subtree: &Subtree,
    changed: Changed,
) -> Result<(), ControlError> {
    if changed.authority {
        send(stream, Response::Authority).await?;
    }
    // When who may do what has changed, any value may have gone with it; which ones, the tree tells as it sweeps.
    if changed.lagged {
        send(stream, Response::Reset).await?;
        return tell_all(server, stream, subtree).await;
    }
    tell_keys(server, stream, changed.keys).await
}

async fn tell_keys<S: AsyncRead + AsyncWrite + Unpin>(
    server: &ControlServer,
    stream: &mut Framed<S>,
    keys: BTreeSet<Key>,
) -> Result<(), ControlError> {
    for key in keys {
        let wanted = key.clone();
        let entry = match server.on_tree(move |tree| tree.get(&wanted)).await {
            Ok(entry) => entry.map(encoded),
            Err(err) => return send(stream, Response::Fault(fault(&err))).await,
        };
        send(stream, Response::Change { key, entry }).await?;
    }
    Ok(())
}

/// Tells all values there are, and that this was all.
async fn tell_all<S: AsyncRead + AsyncWrite + Unpin>(
    server: &ControlServer,
    stream: &mut Framed<S>,
    subtree: &Subtree,
) -> Result<(), ControlError> {
    let mut listing = Listing::of(subtree.clone()).limit(server.limits().page_entries.min(256));
    loop {
        let wanted = listing.clone();
        let page = match server.on_tree(move |tree| tree.list(&wanted)).await {
            Ok(page) => page,
            Err(err) => return send(stream, Response::Fault(fault(&err))).await,
        };
        for entry in page.entries {
            let key = entry.key().clone();
            send(stream, Response::Change { key, entry: Some(encoded(entry)) }).await?;
        }
        match page.next {
            Some(next) => listing = listing.after(next),
            None => return send(stream, Response::Live).await,
        }
    }
}
