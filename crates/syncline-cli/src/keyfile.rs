//! Files with a secret key. Whoever can read one can write in its owner's name.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;

use syncline_crypto::SigningKey;
use zeroize::Zeroizing;

use crate::failure::{Code, Failure, Result};

/// What the file begins with, so that scanners for secrets find it.
const PREFIX: &str = "SYNCLINE-SECRET-KEY-1 ";

/// Bytes of a file, its end of line included.
const LEN: usize = PREFIX.len() + 2 * SigningKey::LEN + 1;

/// Makes a key and its file, which must not be there unless it is to be replaced.
pub fn create(path: &Path, replace: bool) -> Result<SigningKey> {
    refuse_secret(path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_private_dir(parent).map_err(|err| Failure::file("cannot make the directory", parent, err))?;
    }
    let mut seed = Zeroizing::new([0; SigningKey::LEN]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|err| Failure::new(Code::Failure, format!("the system gives no random bytes: {err}")))?;
    let key = SigningKey::from_bytes(&seed);
    let written = if replace { replace_file(path, &encode(&seed)) } else { write_new(path, &encode(&seed)) };
    written.map(|()| key).map_err(|err| match err.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Code::Conflict, format!("{} is there already, and is left as it is", path.display()))
                .hint("name another file; --force replaces it, and what was granted to that key is then lost")
        }
        _ => Failure::file("cannot write the key to", path, err),
    })
}

/// Reads a key, if only its owner can do so.
pub fn load(path: &Path) -> Result<SigningKey> {
    refuse_secret(path)?;
    let failed = |err: io::Error| {
        let failure = Failure::file("cannot read the key", path, err);
        if failure.code() == Code::NotFound {
            failure.hint("make one by `syncline keygen`, or name another file by --key or SYNCLINE_KEY")
        } else {
            failure
        }
    };
    // Opening a pipe would wait for somebody to write into it.
    check_regular(path, &fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_regular(path, &metadata)?;
    check_private(path, &metadata)?;
    let mut text = Zeroizing::new(Vec::with_capacity(LEN + 2));
    file.take(LEN as u64 + 2).read_to_end(&mut text).map_err(failed)?;
    let seed = decode(&text).ok_or_else(|| {
        Failure::new(Code::Usage, format!("{} is no key that `syncline keygen` made", path.display()))
            .hint("name another file by --key or SYNCLINE_KEY")
    })?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Makes a directory, and those above it, that only its owner can look into. One that is there stays as it is.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A key in place of a file's name must not end up in a message.
fn refuse_secret(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    let is_hex = text.len() == 2 * SigningKey::LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex || text.starts_with(PREFIX.trim_end()) {
        return Err(Failure::new(Code::Usage, "--key and SYNCLINE_KEY take the name of a file, not a key")
            .hint("what was given looks like a key: if it is a secret one, others may have seen it by now"));
    }
    Ok(())
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(Failure::new(Code::Usage, format!("{} is no file", path.display())))
}

#[cfg(unix)]
fn check_private(path: &Path, metadata: &Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::new(Code::Denied, format!("the key {} can be used by others: its mode is {mode:03o}", path.display()))
        .hint(format!("run: chmod 600 {}", quoted(path)))
        .hint("if others could read it, make a new key, and have what was granted to this one revoked"))
}

#[cfg(not(unix))]
fn check_private(_path: &Path, _metadata: &Metadata) -> Result<()> {
    Ok(())
}

/// The path as a shell takes it.
#[cfg(unix)]
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn encode(seed: &[u8; SigningKey::LEN]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(LEN));
    text.extend_from_slice(PREFIX.as_bytes());
    for byte in seed {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0xf));
    }
    text.push(b'\n');
    text
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn decode(text: &[u8]) -> Option<Zeroizing<[u8; SigningKey::LEN]>> {
    let hex = text.strip_prefix(PREFIX.as_bytes())?;
    let hex = hex.strip_suffix(b"\n").unwrap_or(hex);
    if hex.len() != 2 * SigningKey::LEN {
        return None;
    }
    let mut seed = Zeroizing::new([0; SigningKey::LEN]);
    for (byte, pair) in seed.iter_mut().zip(hex.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Some(seed)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Writes a file that was not there, for its owner alone. A half-written one is taken away again.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // A key that is lost in a crash was perhaps already given to others.
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces a file as a whole.
fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_os_string();
    name.push(".new");
    let new = path.with_file_name(name);
    write_new(&new, bytes)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_as_it_was_written() {
        let seed: [u8; 32] = std::array::from_fn(|at| at as u8 * 7);
        let text = encode(&seed);
        assert_eq!(text.len(), LEN);
        assert_eq!(*decode(&text).unwrap(), seed);
        assert!(decode(&text[..LEN - 2]).is_none());
        assert!(decode(&text[1..]).is_none());
        assert!(decode(&[text.as_slice(), b"\n"].concat()).is_none());
        assert!(decode(&[PREFIX.as_bytes(), &[b'g'; 64]].concat()).is_none());
    }
}
