//! A replica that runs.

use std::future::Future;
use std::io::{ErrorKind, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use syncline_gossip::control::{ControlServer, UnixControl, serve_unix};
use syncline_gossip::{Events, KvNode, KvNodeBuilder, NodeEvent, StartError};

use super::Context;
use super::namespace::count;
use crate::access::{Remote, open_tree};
use crate::args::AgentArgs;
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::out::record::AgentRecord;
use crate::out::{Out, Part};

/// How often the line on a terminal is drawn again.
const REDRAW: Duration = Duration::from_millis(500);

pub async fn run(context: &Context, args: AgentArgs) -> Result<()> {
    let (out, home) = (&context.out, &context.home);
    let interrupted = interrupt::wait()?;
    let namespace = home.namespace()?;
    let key = home.signing_key()?;
    if Remote::connect(home, &namespace).await?.is_some() {
        return Err(Failure::new(Code::Conflict, "an agent runs in this directory already"));
    }
    let tree = open_tree(&home.database()?, &namespace)?;
    let builder = args.peers.into_iter().fold(KvNode::builder(tree, key), KvNodeBuilder::peer);
    let builder = args.listen.into_iter().fold(builder, KvNodeBuilder::listen);
    #[cfg(feature = "swim")]
    let builder = args.swim.into_iter().fold(builder, |builder, addr| {
        let config = syncline_gossip::swim::SwimConfig::new(addr);
        builder.swim(args.swim_seeds.iter().fold(config, |config, seed| config.seed(seed.peer, seed.addr)))
    });
    let node = builder.start().await.map_err(start_failure)?;
    let events = node.events();
    let control = match control(context, &node) {
        Ok(control) => control,
        Err(failure) => {
            node.shutdown().await;
            return Err(failure);
        }
    };
    announce(out, &node, &control)?;
    serve(out, &node, events, interrupted).await;
    control.close().await;
    drop(control);
    let report = node.shutdown().await;
    out.detail(|| format!("ended; {} cut off", count(report.sessions_cut_off as u64, "session was", "sessions were")));
    Ok(())
}

fn start_failure(err: StartError) -> Failure {
    match err {
        StartError::Tree(err) => err.into(),
        err => Failure::new(Code::Failure, "the agent was not started").because(err),
    }
}

fn control(context: &Context, node: &KvNode) -> Result<UnixControl> {
    let socket = context.home.socket()?;
    serve_unix(&socket, ControlServer::new(node.clone())).map_err(|err| {
        let is_too_long = err.kind() == ErrorKind::InvalidInput;
        let failure = Failure::file("cannot serve commands at", &socket, err);
        if is_too_long { failure.hint("the path is too long for a socket; give a shorter --dir") } else { failure }
    })
}

/// Says where it is, once others can rely on that.
fn announce(out: &Out, node: &KvNode, control: &UnixControl) -> Result<()> {
    let addr = node.peer_addr().ok();
    let record = AgentRecord {
        peer_id: *node.peer_id(),
        addr: addr.as_ref().map(ToString::to_string),
        socket: control.path().display().to_string(),
    };
    out.say(&record, || match &addr {
        Some(addr) => format!("listening; others join by --peer {}", out.paint(Part::Id, addr)),
        None => format!("running as {}; it does not listen, and dials its peers", out.paint(Part::Id, node.peer_id())),
    })
}

/// Serves until it is interrupted, and tells what happens meanwhile.
async fn serve(out: &Out, node: &KvNode, mut events: Events, interrupted: impl Future<Output = ()>) {
    tokio::pin!(interrupted);
    let bar = progress(out);
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            () = &mut interrupted => break,
            event = events.next() => match event {
                Some(event) => tell(out, &bar, &event),
                None => break,
            },
            _ = redraw.tick(), if !bar.is_hidden() => {
                if let Ok(status) = node.status().await {
                    let up = status.members.values().filter(|member| member.is_up()).count() as u64;
                    let (peers, entries) = (count(up, "peer", "peers"), count(status.root.entries, "entry", "entries"));
                    bar.set_message(format!("{peers}, {entries}, root {}", out.short(status.root.hash)));
                    bar.tick();
                }
            }
        }
    }
    bar.finish_and_clear();
}

/// A line that moves, on a terminal.
fn progress(out: &Out) -> ProgressBar {
    if out.is_json() || out.is_quiet() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    match ProgressStyle::with_template("{spinner} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn tell(out: &Out, bar: &ProgressBar, event: &NodeEvent) {
    let text = match event {
        NodeEvent::MemberUp(peer) => format!("peer {} is up", out.short(peer)),
        NodeEvent::MemberDown(peer) => format!("peer {} is down", out.short(peer)),
        NodeEvent::StrangerRefused(peer) => {
            format!("{peer} was refused: it may not read the namespace; grant it /** to read if it should")
        }
        NodeEvent::AwayTooLong => {
            "this replica was away for too long and must not sync; see `syncline kv status`".into()
        }
        NodeEvent::ChoreFailed(err) => format!("the database failed: {err}"),
        event if out.is_verbose() => format!("{event:?}"),
        _ => return,
    };
    bar.suspend(|| out.note(&text));
}
