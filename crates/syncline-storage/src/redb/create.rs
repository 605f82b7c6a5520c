//! What to do with a file whose creation was cut short.
//!
//! redb writes the first page of a new file twice: without the magic number, and after a sync with it. If the machine
//! stops between, the file is neither empty nor a database, and redb refuses it for ever. Nothing has been
//! stored in such a file, so it is emptied and made again. A file of another program must not be taken for one: only a
//! file qualifies in which every byte is either zero or what redb writes at that place of a new file.

use std::{fs::File, io, sync::Mutex};

use redb::{
    StorageBackend,
    backends::{FileBackend, InMemoryBackend},
};

use super::error;
use crate::{StorageError, StorageErrorKind};

/// No new file is larger; of larger ones only the beginning is read.
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// Empties `file` if it is an unfinished new one.
pub(super) fn discard_unfinished_file(file: &File) -> Result<(), StorageError> {
    let backend = FileBackend::new(file.try_clone().map_err(error::io)?).map_err(error::database)?;
    // The usual case must not touch the lock, which redb is about to take.
    if !may_be_unfinished(&backend).map_err(error::io)? {
        return Ok(());
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(StorageErrorKind::Locked.into()),
        Err(std::fs::TryLockError::Error(source)) => return Err(error::io(source)),
    }
    let result = discard_unfinished(&backend);
    file.unlock().map_err(error::io)?;
    result.map_err(error::io)
}

/// Empties the backend if it holds an unfinished new file.
pub(super) fn discard_unfinished(backend: &dyn StorageBackend) -> io::Result<()> {
    if may_be_unfinished(backend)? && is_unfinished(backend)? {
        backend.set_len(0)?;
        backend.sync_data()?;
    }
    Ok(())
}

/// Whether the magic number is not, or not fully, there.
fn may_be_unfinished(backend: &dyn StorageBackend) -> io::Result<bool> {
    let mut magic = vec![0; usize_len(backend)?.min(MAGIC.len())];
    if magic.is_empty() {
        return Ok(false);
    }
    backend.read(0, &mut magic)?;
    let partly = magic.iter().zip(MAGIC).all(|(a, b)| a == b || *a == 0);
    Ok(partly && magic != MAGIC)
}

fn is_unfinished(backend: &dyn StorageBackend) -> io::Result<bool> {
    let new = new_file()?;
    let len = usize_len(backend)?;
    if len > new.len() {
        return Ok(false);
    }
    let mut found = vec![0; len];
    backend.read(0, &mut found)?;
    Ok(found.iter().zip(&new).all(|(a, b)| a == b || *a == 0))
}

fn usize_len(backend: &dyn StorageBackend) -> io::Result<usize> {
    Ok(usize::try_from(backend.len()?).unwrap_or(usize::MAX))
}

/// The bytes of a new file right after its magic number was synced.
fn new_file() -> io::Result<Vec<u8>> {
    let image = std::sync::Arc::new(Mutex::new(Vec::new()));
    let recorder = Recorder { memory: InMemoryBackend::new(), image: std::sync::Arc::clone(&image) };
    let db = redb::Builder::new().set_cache_size(1 << 20).create_with_backend(recorder).map_err(io::Error::other)?;
    drop(db);
    let image = std::mem::take(&mut *image.lock().map_err(|_| io::ErrorKind::Other)?);
    Ok(image)
}

/// Keeps what is stored at the first sync with a magic number.
#[derive(Debug)]
struct Recorder {
    memory: InMemoryBackend,
    image: std::sync::Arc<Mutex<Vec<u8>>>,
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut image = self.image.lock().map_err(|_| io::ErrorKind::Other)?;
        if image.is_empty() {
            let mut bytes = vec![0; usize_len(&self.memory)?];
            self.memory.read(0, &mut bytes)?;
            if bytes.starts_with(MAGIC) {
                *image = bytes;
            }
        }
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}
