//! Where things are: the replica's directory, the key.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use syncline_crypto::SigningKey;
use syncline_kv::Namespace;

use crate::args::Global;
use crate::failure::{Code, Failure, Result};
use crate::keyfile;

/// The longest description of a namespace that is read; the format allows a tenth of it.
const DESCRIPTION_LEN_MAX: u64 = 16 << 10;

/// The directory of a replica, and the key of who uses it.
#[derive(Clone, Debug)]
pub struct Home {
    dir: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Home {
    pub fn of(global: &Global) -> Self {
        let dir = global.dir.clone().or_else(|| user_dir("XDG_DATA_HOME", ".local/share"));
        Self { dir, key: global.key.clone().or_else(default_key) }
    }

    pub fn dir(&self) -> Result<&Path> {
        let missing = || Failure::new(Code::Usage, "it is not known where the replica is").hint("name it by --dir");
        self.dir.as_deref().ok_or_else(missing)
    }

    pub fn database(&self) -> Result<PathBuf> {
        Ok(self.dir()?.join("tree.redb"))
    }

    pub fn socket(&self) -> Result<PathBuf> {
        Ok(self.dir()?.join("control.sock"))
    }

    pub fn key_path(&self) -> Result<&Path> {
        let missing = || Failure::new(Code::Usage, "it is not known where the key is").hint("name its file by --key");
        self.key.as_deref().ok_or_else(missing)
    }

    pub fn signing_key(&self) -> Result<SigningKey> {
        keyfile::load(self.key_path()?)
    }

    /// The namespace that was described here.
    pub fn namespace(&self) -> Result<Namespace> {
        let path = self.dir()?.join("namespace");
        let bytes = read_up_to(&path, DESCRIPTION_LEN_MAX).map_err(|failure| match failure.code() {
            Code::NotFound => Failure::new(Code::NotFound, format!("there is no replica in {}", path_of(&path)))
                .hint("describe a namespace by `syncline kv init --name NAME`, or join one by `syncline kv init --from FILE`")
                .hint("or name another directory by --dir"),
            _ => failure,
        })?;
        Namespace::decode(&bytes)
            .map_err(|err| Failure::new(Code::Usage, format!("{} describes no namespace: {err}", path.display())))
    }

    /// Writes the description of a namespace, which must not be there.
    pub fn describe(&self, namespace: &Namespace) -> Result<PathBuf> {
        let dir = self.dir()?;
        keyfile::create_private_dir(dir).map_err(|err| Failure::file("cannot make the directory", dir, err))?;
        let path = dir.join("namespace");
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(&namespace.encoded())?;
            file.sync_all()
        });
        written.map(|()| path.clone()).map_err(|err| match err.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::new(Code::Conflict, format!("there is a replica in {} already", dir.display()))
                    .hint("name another directory by --dir")
            }
            _ => Failure::file("cannot write", &path, err),
        })
    }
}

/// Where the key is if nobody says so.
pub fn default_key() -> Option<PathBuf> {
    user_dir("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("key"))
}

fn user_dir(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let base = set(variable).or_else(|| set("HOME").map(|home| home.join(below_home)));
    base.map(|base| base.join("syncline"))
}

/// Reads a file that must not be longer than so many bytes.
pub fn read_up_to(path: &Path, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes));
    read.map_err(|err| Failure::file("cannot read", path, err))?;
    if bytes.len() as u64 > max {
        return Err(Failure::new(Code::Usage, format!("{} has more than {max} bytes", path.display())));
    }
    Ok(bytes)
}

/// The directory that a file is in, for messages.
fn path_of(path: &Path) -> String {
    let parent = path.parent().unwrap_or(path);
    fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned()).display().to_string()
}
