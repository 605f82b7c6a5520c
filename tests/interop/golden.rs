//! What goes over the wire, byte for byte, in the sessions that the original's own tests describe.

use crate::image::{Image, Scope, Stored};
use crate::io::End;
use crate::original::{V03, V04};
use crate::ours::{Ours, OursOnDatabase};
use crate::peer::{Contestant, Event, Role};
use crate::transcript::{Play, author, data, done, have, have_nothing, operations, store, topic};
use crate::wire::compact_data;

/// Operations 0 and 1 of the transcripts, as the original wrote them down.
const FIRST_HEADER: &str = "88015820ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c5840c7bb0d75f7f9058a24\
    272602d1e6f505ee383089cf56497d7eec190071da296da7360a795d6c6a2926eae66adf6e650c15e5be8d449ffd4d0c5dd49d5d5c75070d5820bf\
    7f440de32bfc9b3194b002a2d9afab312cb5d74771d3c31d80c0a9058aa08e000080";
const SECOND_HEADER: &str = "89015820ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c584032c550af035864cca\
    5275bcf61a8668d159427a6110449ba4e9591534f8d0e3d3265eda772378eab42e40d0c2672b459a88e2bd16d6751b13ca0b7734f45c3060d5820b\
    f7f440de32bfc9b3194b002a2d9afab312cb5d74771d3c31d80c0a9058aa08e18640158206c8c48182e49d4a18e6e8ce6cfa7e0ae8b0e11bbb71ee\
    3e4bdc866b2b40cde4280";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn messages_are_the_ones_that_were_observed() {
    let [first, second] = operations(2).try_into().expect("two operations");
    assert_eq!(hex(&first.header), FIRST_HEADER);
    assert_eq!(hex(&second.header), SECOND_HEADER);
    assert_eq!(hex(&done()), "a1647479706564446f6e65");
    assert_eq!(hex(&have_nothing()), "a2647479706564486176656576616c75658282686d657373616765738400011718ff80");
    assert_eq!(
        hex(&have(&[(0, 2), (1, 300)])),
        "a2647479706564486176656576616c75658282686d657373616765738400011718ff81825820ea4a6c63e29c520abef5507b132ec5f9954776ae\
         bebe7b92421eea691446d22c82820002820119012c"
    );
    let operation = |body: Option<&[u8]>| Stored { header: vec![1, 23, 24, 255], body: body.map(Into::into) };
    assert_eq!(hex(&data(&operation(None))), "a2647479706564446174616576616c756582840117181818fff6");
    assert_eq!(hex(&data(&operation(Some(b"hi")))), "a2647479706564446174616576616c756582840117181818ff8218681869");
    assert_eq!(data(&second).len(), 377);
}

/// A session to its end: the side under test gets `input`, has to succeed, to send exactly `output`, and to report
/// exactly `events`, however the input is cut.
fn plays<C: Contestant>(mut play: Play<'_>, output: &[u8], received: &[Stored]) {
    let mut events = vec![Event::Handshake(topic().0)];
    events.extend(received.iter().map(|stored| Event::Data(stored.header.clone(), stored.body.clone())));
    for chunk in [1, 2, 3, 7, 64, 1400, usize::MAX] {
        for end in [End::Silence, End::Closed] {
            (play.chunk, play.end) = (chunk, end);
            let (outcome, sent) = play.run::<C>();
            let outcome = outcome.expect("the session ends by itself");
            assert_eq!(outcome.result, Ok(()), "{}, chunks of {chunk}", C::NAME);
            assert_eq!(hex(&sent), hex(output), "{}, chunks of {chunk}", C::NAME);
            assert_eq!(outcome.events, events, "{}, chunks of {chunk}", C::NAME);
        }
    }
}

fn no_operations_accept<C: Contestant>() {
    let mut play = Play::new(Role::Accept, Image::new(), [have_nothing(), done()].concat());
    play.scope = Scope::new();
    plays::<C>(play, &[done(), have_nothing()].concat(), &[]);
}

fn no_operations_initiate<C: Contestant>() {
    let topic = topic();
    let mut play = Play::new(Role::Initiate(&topic), Image::new(), [done(), have_nothing()].concat());
    play.scope = Scope::new();
    plays::<C>(play, &[have_nothing(), done()].concat(), &[]);
}

fn operations_accept<C: Contestant>() {
    let all = operations(3);
    let play = Play::new(Role::Accept, store(0, &all), [have_nothing(), done()].concat());
    let output = [data(&all[0]), data(&all[1]), data(&all[2]), done(), have(&[(0, 2)])];
    plays::<C>(play, &output.concat(), &[]);
}

fn operations_initiate<C: Contestant>() {
    let (topic, all) = (topic(), operations(3));
    let input = [data(&all[0]), data(&all[1]), data(&all[2]), done(), have_nothing()];
    let play = Play::new(Role::Initiate(&topic), Image::new(), input.concat());
    plays::<C>(play, &[have(&[]), done()].concat(), &all);
}

/// The peer has the first of three operations.
fn partial_accept<C: Contestant>() {
    let all = operations(3);
    let play = Play::new(Role::Accept, store(0, &all), [have(&[(0, 0)]), done()].concat());
    plays::<C>(play, &[data(&all[1]), data(&all[2]), done(), have(&[(0, 2)])].concat(), &[]);
}

/// We have the first of three operations, the peer has all and sends them in byte strings.
fn partial_initiate_in_byte_strings<C: Contestant>() {
    let (topic, all) = (topic(), operations(3));
    let compact = |stored: &Stored| compact_data(&stored.header, stored.body.as_deref());
    let input = [compact(&all[1]), compact(&all[2]), done(), have(&[(0, 2)])];
    let play = Play::new(Role::Initiate(&topic), store(0, &all[..1]), input.concat());
    plays::<C>(play, &[have(&[(0, 0)]), done()].concat(), &all[1..]);
}

/// Each side has what the other lacks, in two logs of one author.
fn two_logs<C: Contestant>() {
    let (topic, all) = (topic(), operations(3));
    let both = Scope::from([(author(), vec![0, 1])]);
    let mut second = Image::new();
    for (seq, stored) in (0..).zip(&all[..2]) {
        second.insert(&(author(), 1), seq, stored.clone());
    }
    let from_initiator = [have(&[(0, 0)]), data(&all[0]), done()];
    let from_acceptor = [data(&all[0]), data(&all[1]), done(), have(&[(1, 1)])];
    let mut play = Play::new(Role::Initiate(&topic), store(0, &all[..1]), from_acceptor.concat());
    play.scope = both.clone();
    plays::<C>(play, &from_initiator.concat(), &all[..2]);
    let mut play = Play::new(Role::Accept, second, from_initiator.concat());
    play.scope = both;
    plays::<C>(play, &from_acceptor.concat(), &all[..1]);
}

/// A log whose first three operations were pruned, and the payload of the next deleted: the rest is sent as it is.
fn pruned_and_deleted<C: Contestant>() {
    let mut rest = operations(5).split_off(3);
    rest[0].body = None;
    let play = Play::new(Role::Accept, store(3, &rest), [have_nothing(), done()].concat());
    plays::<C>(play, &[data(&rest[0]), data(&rest[1]), done(), have(&[(0, 4)])].concat(), &[]);
}

/// A log in the topic of which nothing is held is not listed, its author is.
fn forgotten_log<C: Contestant>() {
    let play = Play::new(Role::Accept, Image::new(), [have(&[]), done()].concat());
    plays::<C>(play, &[done(), have(&[])].concat(), &[]);
}

macro_rules! transcripts {
    ($($module:ident: $contestant:ty),+) => {$(
        mod $module {
            use super::*;

            transcripts!(@ $contestant: no_operations_accept, no_operations_initiate, operations_accept,
                operations_initiate, partial_accept, partial_initiate_in_byte_strings, two_logs, pruned_and_deleted,
                forgotten_log);
        }
    )+};
    (@ $contestant:ty: $($name:ident),+) => {$(
        #[test]
        fn $name() {
            super::$name::<$contestant>();
        }
    )+};
}

transcripts!(original_v03: V03, original_v04: V04, ours: Ours, ours_on_a_database: OursOnDatabase);
