//! What happens, and that it happens as told.

use std::collections::BTreeMap;
use std::time::Instant;

use syncline_crypto::{Hash, SigningKey};

use crate::Result;
use crate::board::{Content, Entry};
use crate::node::{BODY_LEN_MAX, FIRST_VERSION, NotesNode, Versions};
use crate::notebook::People;

const PHOTO_LEN: usize = 2 << 20;

pub async fn run() -> Result<()> {
    let home = tempfile::tempdir()?;
    let keys = [new_key()?, new_key()?, new_key()?, new_key()?];
    let names = ["Ann", "Ben", "Cleo", "Dora"];
    let people = People(keys.iter().map(SigningKey::public_key).zip(names).collect::<BTreeMap<_, _>>());
    let start = |nth: usize, versions| NotesNode::start(home.path(), &keys[nth], &people, versions);

    println!("Ann, Ben and Cleo share a notebook. Each has a key, a database and a socket.\n");
    let (ann, ben, cleo) = (start(0, Versions::Both)?, start(1, Versions::Both)?, start(2, Versions::Both)?);
    ben.stay_in_touch(&ann.address()?);
    call(&cleo, [&ann, &ben])?;

    println!("They stay connected. What one writes, the others see at once:");
    for (writer, text) in [(&ann, "Who is there?"), (&ben, "I am."), (&cleo, "So am I."), (&ann, "Good.")] {
        say(writer, text, [&ann, &ben, &cleo]).await?;
    }
    let everything = [&ann, &ben, &cleo].map(|node| node.board.news().len());
    assert_eq!(everything, [2, 3, 3], "everybody got what the others wrote, and each note once");

    println!("\nCleo goes offline. Ann and Ben go on.");
    assert_eq!(cleo.stop().await, 0, "her open sessions ended in order");
    say(&ann, "Cleo has left.", [&ann, &ben]).await?;
    say(&ben, "She will be back.", [&ann, &ben]).await?;

    println!("\nCleo returns, with the same key and database, and calls the others:");
    let cleo = start(2, Versions::Both)?;
    assert_eq!(cleo.entries().await?.len(), 4, "what she had before");
    call(&cleo, [&ann, &ben])?;
    for text in ["Cleo has left.", "She will be back."] {
        let entry = cleo.board.wait_for_note(text).await?;
        println!("  Cleo catches up: {}: {text}", entry.author);
    }
    assert_eq!(cleo.board.news().len(), 2, "nothing that she had came again, though two peers had it for her");
    say(&cleo, "I was on a train.", [&ann, &ben, &cleo]).await?;

    let photo = attachment([&ann, &ben, &cleo]).await?;
    println!("\nCleo is gone again. Ann wants the photo, too, and asks Ben:");
    assert_eq!(cleo.stop().await, 0);
    fetch(&ann, &ben, photo).await?;

    old_friend([&ann, &ben], start(3, Versions::OnlyTheFirst)?).await?;

    println!("\nCleo looks in a last time, and everybody compares notes.");
    let cleo = start(2, Versions::Both)?;
    call(&cleo, [&ann, &ben])?;
    for text in ["What is a live session?", "You will see."] {
        cleo.board.wait_for_note(text).await?;
    }
    let expected = ann.entries().await?;
    assert_eq!(expected.len(), 10);
    for node in [&ben, &cleo] {
        assert_eq!(node.entries().await?, expected, "{} has the same as Ann", node.name());
    }
    for node in [ann, ben, cleo] {
        assert_eq!(node.stop().await, 0);
    }
    println!("All have the same {} entries, the photo among them.", expected.len());
    Ok(())
}

fn new_key() -> Result<SigningKey> {
    let mut secret = [0; SigningKey::LEN];
    getrandom::fill(&mut secret)?;
    Ok(SigningKey::from_bytes(&secret))
}

/// Opens live sessions. One session serves both directions, so it is enough that one side calls.
fn call(node: &NotesNode, others: [&NotesNode; 2]) -> Result<()> {
    for other in others {
        node.stay_in_touch(&other.address()?);
    }
    Ok(())
}

/// Writes a note and waits until it has appeared on all boards but the writer's own.
async fn say<const N: usize>(writer: &NotesNode, text: &str, nodes: [&NotesNode; N]) -> Result<()> {
    let began = Instant::now();
    writer.write(text).await?;
    let mut seen_by = Vec::new();
    for node in nodes.iter().filter(|node| node.name() != writer.name()) {
        let entry = node.board.wait_for_note(text).await?;
        assert_eq!(entry.author, writer.name());
        seen_by.push(node.name());
    }
    let after = began.elapsed().as_millis();
    let said = format!("{}: {text}", writer.name());
    println!("  {said:<30} seen by {} after {after} ms", seen_by.join(" and "));
    Ok(())
}

/// A body that is too long to come by itself.
async fn attachment([ann, ben, cleo]: [&NotesNode; 3]) -> Result<Hash> {
    println!(
        "\nCleo attaches a photo of {PHOTO_LEN} bytes. Only that there is one appears; {BODY_LEN_MAX} bytes come by themselves."
    );
    let photo = cleo.attach("train.jpg", photo_bytes()).await?;
    for node in [ann, ben] {
        let entry = node.board.wait_for(|entry| entry.hash == photo).await?;
        assert!(bytes_of(&entry).is_none(), "it stayed behind");
        let Content::File { name, len, .. } = &entry.content else { return Err("not a file".into()) };
        assert_eq!((name.as_str(), *len), ("train.jpg", PHOTO_LEN as u64));
        println!("  {} sees: {name}, {len} bytes, not here", node.name());
    }
    println!("Ben fetches it from Cleo:");
    fetch(ben, cleo, photo).await?;
    Ok(photo)
}

fn photo_bytes() -> Vec<u8> {
    (0..PHOTO_LEN).map(|at| (at % 251) as u8).collect()
}

fn bytes_of(entry: &Entry) -> Option<&Vec<u8>> {
    match &entry.content {
        Content::File { bytes, .. } => bytes.as_ref(),
        Content::Note(_) => None,
    }
}

async fn fetch(node: &NotesNode, from: &NotesNode, photo: Hash) -> Result<()> {
    node.fetch(&from.address()?, photo).await?;
    let entry = node.board.wait_for(|entry| entry.hash == photo && bytes_of(entry).is_some()).await?;
    assert!(bytes_of(&entry) == Some(&photo_bytes()), "it is what the author signed");
    println!("  {} has the photo, from {}", node.name(), from.name());
    Ok(())
}

/// Somebody whose node has never heard of live sessions.
async fn old_friend([ann, ben]: [&NotesNode; 2], dora: NotesNode) -> Result<()> {
    println!("\nDora's node is older: it has only {}. Ann offers both, and falls back:", FIRST_VERSION);
    let mut rounds = ann.stay_in_touch_with_old(&dora.address()?);
    let status = rounds.changed().await.ok_or("no round was made")?;
    assert_eq!((status.succeeded, status.protocol), (1, Some(FIRST_VERSION)));
    // That the round is over here says that Dora has all bytes. Her node may still be at storing them.
    let entries = dora.board.wait_for_count(8).await?;
    assert_eq!(
        entries.iter().filter_map(bytes_of).next(),
        Some(&photo_bytes()),
        "nothing stays behind in this version"
    );
    println!("  Dora got {} entries in the first round, with the whole photo", entries.len());
    // By rounds from Dora to Ann, and live from Ann to Ben.
    say(&dora, "What is a live session?", [ann, ben, &dora]).await?;
    say(ben, "You will see.", [ann, ben, &dora]).await?;
    rounds.stop();
    dora.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_happens_as_told() {
        super::run().await.unwrap();
    }
}
