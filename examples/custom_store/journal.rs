//! The file: frames, one behind the other. A frame is what one transaction changed; it is whole, or it is not there.
//!
//! ```text
//! file   "SYNCLOG1", marker (16 random bytes), frames
//! frame  marker, length of the payload, BLAKE3 of the payload, payload (CBOR)
//! ```
//!
//! A transaction counts as soon as its frame is written and synced, and the next frame begins after that. So when the
//! machine stops, only the last frame can be torn, and nobody was told that it is there: it is cut off. A frame that is not
//! whole although another begins behind it is damage to what was acknowledged; then the file is refused as it is. The
//! marker tells, and since peers do not know it, nothing that they send looks like the beginning of a frame.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline_crypto::Hash;

const MAGIC: [u8; 8] = *b"SYNCLOG1";
const MARKER_LEN: usize = 16;
const LEN_END: usize = MARKER_LEN + 8;
const HEAD_LEN: usize = LEN_END + Hash::LEN;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("journal cannot be read or written")]
    Io(#[from] io::Error),
    #[error("journal is in use")]
    InUse,
    #[error("file is not a journal")]
    NotAJournal,
    #[error("journal is damaged at byte {at}; restore it from a copy")]
    Damaged { at: u64 },
    #[error("journal could not be written before; open it again to see whether that change was made")]
    Broken,
}

/// An open journal. The file is locked meanwhile.
pub struct Journal {
    file: File,
    marker: [u8; MARKER_LEN],
    end: u64,
}

impl Journal {
    /// Opens the journal at `path`, or makes one, and gives the payload of each frame to `replay`, which tells whether it
    /// makes sense.
    pub fn open<P: DeserializeOwned>(path: &Path, mut replay: impl FnMut(P) -> bool) -> Result<Self, JournalError> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|_| JournalError::InUse)?;
        if file.metadata()?.len() == 0 {
            initialize(&mut file, path)?;
        }
        let (mut magic, mut marker) = ([0; MAGIC.len()], [0; MARKER_LEN]);
        file.rewind()?;
        file.read_exact(&mut magic)
            .and_then(|()| file.read_exact(&mut marker))
            .map_err(|_| JournalError::NotAJournal)?;
        if magic != MAGIC {
            return Err(JournalError::NotAJournal);
        }
        let (len, end) = (file.metadata()?.len(), file.stream_position()?);
        let mut journal = Self { file, marker, end };
        while let Some(payload) = journal.next_frame(len)? {
            if !ciborium::from_reader(&payload[..]).is_ok_and(&mut replay) {
                return Err(JournalError::Damaged { at: journal.end });
            }
            journal.end += (HEAD_LEN + payload.len()) as u64;
        }
        journal.cut_torn_frame()?;
        Ok(journal)
    }

    /// The payload of the frame behind those that were read; `None` if it is not whole.
    fn next_frame(&mut self, file_len: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(payload_max) = (file_len - self.end).checked_sub(HEAD_LEN as u64) else { return Ok(None) };
        let (mut head, mut len) = ([0; HEAD_LEN], [0; 8]);
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.read_exact(&mut head)?;
        len.copy_from_slice(&head[MARKER_LEN..LEN_END]);
        // A length is only believed if the file has as many bytes.
        let len = u64::from_le_bytes(len);
        if head[..MARKER_LEN] != self.marker || len > payload_max {
            return Ok(None);
        }
        let mut payload = vec![0; len as usize];
        self.file.read_exact(&mut payload)?;
        Ok((head[LEN_END..] == Hash::digest(&payload).to_bytes()).then_some(payload))
    }

    /// Cuts off what is behind the last whole frame, unless another frame begins there.
    fn cut_torn_frame(&mut self) -> Result<(), JournalError> {
        let mut torn = Vec::new();
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.read_to_end(&mut torn)?;
        if torn.windows(MARKER_LEN).skip(1).any(|window| window == self.marker) {
            return Err(JournalError::Damaged { at: self.end });
        }
        if !torn.is_empty() {
            self.file.set_len(self.end)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Writes a frame and waits for the disk. After an error it is unknown whether the frame is there, and the journal
    /// must not be written any more.
    pub fn commit(&mut self, payload: &impl Serialize) -> Result<(), JournalError> {
        let mut frame = vec![0; HEAD_LEN];
        ciborium::into_writer(payload, &mut frame).map_err(io::Error::other)?;
        let (head, payload) = frame.split_at_mut(HEAD_LEN);
        head[..MARKER_LEN].copy_from_slice(&self.marker);
        head[MARKER_LEN..LEN_END].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        head[LEN_END..].copy_from_slice(Hash::digest(payload).as_bytes());
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.end += frame.len() as u64;
        Ok(())
    }
}

/// Writes the beginning of a new file.
fn initialize(file: &mut File, path: &Path) -> Result<(), JournalError> {
    let mut marker = [0; MARKER_LEN];
    getrandom::fill(&mut marker).map_err(io::Error::other)?;
    file.write_all(&[&MAGIC[..], &marker].concat())?;
    file.sync_all()?;
    // A name is durable when its folder is.
    #[cfg(unix)]
    File::open(path.canonicalize()?.parent().unwrap_or(path))?.sync_all()?;
    Ok(())
}
