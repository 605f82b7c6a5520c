//! What takes a race to see in whole sessions.

use bytes::{Bytes, BytesMut};
use syncline_core::clock::Timestamp;
use syncline_core::machine::{Input, Machine as _, Output};

use super::super::limits::Limits;
use super::super::session::Opening;
use super::super::wire::{self, Capabilities, Counts, Hello, Message};
use super::{Agreed, Config, KvMachine, Request, Response, Role};
use crate::item::NamespaceId;
use crate::path::Subtree;
use crate::sync::intake::Applied;
use crate::tree::SetName;

const NOW: Timestamp = Timestamp::ZERO;

fn bytes(messages: &[Message]) -> Bytes {
    let mut out = BytesMut::new();
    messages.iter().for_each(|message| wire::encode(&mut out, message));
    out.freeze()
}

fn requests(machine: &mut KvMachine) -> Vec<Request> {
    let outputs = std::iter::from_fn(|| machine.poll());
    let requests = outputs.filter_map(|output| match output {
        Output::Request(request) | Output::Apply(request) => Some(request),
        _ => None,
    });
    requests.collect()
}

#[test]
fn an_initiator_that_lags_early_is_heard_by_one_that_holds_nothing() -> Result<(), syncline_core::SyncError> {
    let capabilities = Capabilities { live: true, on_rejection: false };
    let config = Config { limits: Limits::default(), capabilities };
    let mut machine = KvMachine::new(NOW, Role::Acceptor, [1; 16], config);
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        capabilities,
        nonce: [2; 16],
        namespace: NamespaceId::from_bytes([3; 32]),
        prefix: Subtree::all(),
        counts: Counts { system: 1, entries: 1 },
        system: [4; 16],
        entries: [4; 16],
    };
    let hello = Box::new(hello);
    machine.handle(NOW, Input::Received(&bytes(&[Message::Hello(hello.clone())])))?;
    assert!(matches!(requests(&mut machine)[..], [Request::Open(_)]));
    let opening = Opening { counts: Counts::default(), system: [5; 16], entries: [5; 16] };
    machine.handle(NOW, Input::Response(Response::Opened(Some(Box::new(Agreed { hello, opening })))))?;
    requests(&mut machine);
    // This side has nothing to send, so that the initiator is done with both sets while this one still stores an item.
    let said = [Message::Item(Bytes::from_static(b"x")), Message::SystemEnd, Message::Again];
    machine.handle(NOW, Input::Received(&bytes(&said)))?;
    assert!(matches!(requests(&mut machine)[..], [Request::Apply { .. }]));
    machine.handle(NOW, Input::Response(Response::Applied(Applied { is_settled: true, ..Applied::default() })))?;
    let asked = requests(&mut machine);
    let is_reconciling =
        |request: &Request| matches!(request, Request::Step { set: SetName::Entries, round: Some(1), .. });
    assert!(asked.iter().any(is_reconciling), "the initiator waits for it: {asked:?}");
    Ok(())
}
