//! Who one is: a secret key, in a file.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use syncline_crypto::SigningKey;

use crate::Result;

/// The key in the file `key` of `home`, which is made if there is none.
///
/// Whoever can read the file can write in its owner's name, so nobody else may.
pub fn load_or_create(home: &Path) -> Result<SigningKey> {
    fs::create_dir_all(home).map_err(|err| format!("the folder {} cannot be made: {err}", home.display()))?;
    let path = home.join("key");
    match fs::read(&path) {
        Ok(bytes) => {
            let secret = bytes.try_into();
            let secret = secret.map_err(|_| format!("{} is no key; take another --home", path.display()))?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(err) if err.kind() == ErrorKind::NotFound => {
            let mut secret = [0; SigningKey::LEN];
            getrandom::fill(&mut secret)?;
            let mut file = create_private(&path)?;
            file.write_all(&secret)?;
            // A key that is lost in a crash was perhaps already given to others.
            file.sync_all()?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(err) => Err(format!("{} cannot be read: {err}", path.display()).into()),
    }
}

/// Makes a file that only its owner can read.
fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_is_the_same() {
        let home = tempfile::tempdir().unwrap();
        let (mine, theirs) = (home.path().join("mine"), home.path().join("theirs"));
        let me = load_or_create(&mine).unwrap().public_key();
        assert_eq!(load_or_create(&mine).unwrap().public_key(), me);
        assert_ne!(load_or_create(&theirs).unwrap().public_key(), me);
    }

    #[test]
    fn a_file_that_is_no_key_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("key"), b"my shopping list").unwrap();
        assert!(load_or_create(home.path()).is_err());
        assert_eq!(fs::read(home.path().join("key")).unwrap(), b"my shopping list");
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        load_or_create(home.path()).unwrap();
        assert_eq!(fs::metadata(home.path().join("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
