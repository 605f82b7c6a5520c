//! Folders on disk.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use syncline_crypto::{Hash, Hasher};

/// The files below a folder by their relative path, with `/` between its parts. What `.gitignore` excludes is left out, as
/// are links and names that are not UTF-8.
pub fn list(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut files = BTreeMap::new();
    let walk = ignore::WalkBuilder::new(folder)
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk {
        let entry = entry?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let parts = entry.path().strip_prefix(folder)?.iter().map(|part| part.to_str());
        if let Some(parts) = parts.collect::<Option<Vec<_>>>() {
            files.insert(parts.join("/"), entry.path().to_path_buf());
        }
    }
    Ok(files)
}

/// The log of a file: its top-level folder, or `.` for what lies beside the folders.
pub fn log_of(path: &str) -> &str {
    path.split_once('/').map_or(".", |(folder, _)| folder)
}

pub fn copy_tree(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for (path, file) in list(from)? {
        let target = to.join(path);
        fs::create_dir_all(target.parent().ok_or("a file lies in a folder")?)?;
        fs::copy(file, target)?;
    }
    Ok(())
}

/// Appends a line to the largest file and names it; `None` if there are no files.
pub fn change_one(folder: &Path) -> Result<Option<String>, Box<dyn Error>> {
    let mut largest = None;
    for (path, file) in list(folder)? {
        let len = fs::metadata(&file)?.len();
        largest = largest.max(Some((len, path, file)));
    }
    let Some((_, path, file)) = largest else { return Ok(None) };
    let mut bytes = fs::read(&file)?;
    bytes.extend_from_slice(b"\nOne line more.\n");
    fs::write(file, bytes)?;
    Ok(Some(path))
}

/// What a tree looks like: how many files, and a digest of all paths and contents.
#[derive(PartialEq, Eq)]
pub struct TreeDigest {
    pub files: usize,
    pub root: Hash,
}

pub fn digest_tree(folder: &Path) -> Result<TreeDigest, Box<dyn Error>> {
    let mut hasher = Hasher::new();
    let files = list(folder)?;
    for (path, file) in &files {
        hasher.update(Hash::digest(path.as_bytes()).as_bytes());
        hasher.update(Hash::digest(&fs::read(file)?).as_bytes());
    }
    Ok(TreeDigest { files: files.len(), root: hasher.finalize() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_digest_and_a_change_another() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::create_dir_all(one.join("sub")).unwrap();
        fs::write(one.join("sub/a"), "a").unwrap();
        fs::write(one.join("b"), "bb").unwrap();
        copy_tree(&one, &two).unwrap();
        assert!(digest_tree(&one).unwrap() == digest_tree(&two).unwrap());
        assert_eq!(change_one(&two).unwrap().as_deref(), Some("b"));
        assert!(digest_tree(&one).unwrap() != digest_tree(&two).unwrap());
        assert_eq!((log_of("sub/a"), log_of("b")), ("sub", "."));
    }
}
