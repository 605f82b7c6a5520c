//! What goes wrong, what to do about it, and how the program ends then.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use serde::Serialize;
use syncline_kv::item::ItemError;
use syncline_kv::tree::BundleError;
use syncline_kv::{KvError, Verdict};
use syncline_storage::{StorageError, StorageErrorKind};

/// What the program ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    Failure,
    Usage,
    Denied,
    NotFound,
    Conflict,
}

impl Code {
    pub fn exit(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
        })
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// Who reads the output has gone, which is no failure worth telling.
    is_silent: bool,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hints: Vec::new(), source: None, is_silent: false }
    }

    /// Says what would help.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says what it comes from.
    pub fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    pub fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// The output cannot be written.
    pub fn output(err: io::Error) -> Self {
        let is_silent = err.kind() == io::ErrorKind::BrokenPipe;
        Self { is_silent, ..Self::new(Code::Failure, "the output cannot be written").because(err) }
    }

    /// A file cannot be used.
    pub fn file(what: &str, path: &std::path::Path, err: io::Error) -> Self {
        let code = match err.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::PermissionDenied => Code::Denied,
            io::ErrorKind::AlreadyExists => Code::Conflict,
            _ => Code::Failure,
        };
        Self::new(code, format!("{what} {}", path.display())).because(err)
    }

    /// The whole text on one line: what failed, and from where that comes.
    pub fn text(&self) -> String {
        chained(&self.message, self.source.as_deref().map(|source| source as _))
    }
}

/// A text and the errors behind it.
fn chained(text: &str, mut source: Option<&dyn Error>) -> String {
    let mut text = text.to_owned();
    while let Some(err) = source {
        let cause = err.to_string();
        // Many errors have what they come from in their own text.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = err.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<KvError> for Failure {
    fn from(err: KvError) -> Self {
        let code = match &err {
            KvError::Denied(_) | KvError::Mint(_) | KvError::NotRevoker { .. } | KvError::OverQuota { .. } => {
                Code::Denied
            }
            KvError::UnknownGrant(_) => Code::NotFound,
            KvError::Conflict { .. } => Code::Conflict,
            KvError::Storage(err) => storage_code(err),
            KvError::NotApplied(verdict) => verdict_code(verdict),
            _ => Code::Failure,
        };
        Self::new(code, chained(&err.to_string(), err.source()))
    }
}

fn storage_code(err: &StorageError) -> Code {
    match err.kind() {
        StorageErrorKind::NotFound => Code::NotFound,
        StorageErrorKind::Locked => Code::Conflict,
        _ => Code::Failure,
    }
}

/// What an item that was not taken means for who made it.
fn verdict_code(verdict: &Verdict) -> Code {
    match verdict {
        Verdict::Unauthorized(_)
        | Verdict::Revoked { .. }
        | Verdict::Ineffective
        | Verdict::Distrusted { .. }
        | Verdict::OverQuota { .. }
        | Verdict::Refused(_)
        | Verdict::BadSignature => Code::Denied,
        Verdict::Superseded { .. } | Verdict::Collected => Code::Conflict,
        Verdict::Waiting(_) => Code::NotFound,
        _ => Code::Failure,
    }
}

impl From<StorageError> for Failure {
    fn from(err: StorageError) -> Self {
        Self::new(storage_code(&err), chained(&err.to_string(), err.source()))
    }
}

impl From<ItemError> for Failure {
    fn from(err: ItemError) -> Self {
        Self::new(Code::Usage, err.to_string())
    }
}

impl From<BundleError> for Failure {
    fn from(err: BundleError) -> Self {
        match err {
            BundleError::Tree(err) => err.into(),
            BundleError::Io(err) if err.kind() == io::ErrorKind::BrokenPipe => Self::output(err),
            BundleError::OtherNamespace { .. } => Self::new(Code::Conflict, err.to_string())
                .hint("give the --dir of a replica of that namespace, or make one by `syncline kv init --from FILE`"),
            err @ BundleError::Io(_) => Self::new(Code::Failure, "the bundle cannot be read or written").because(err),
            err => Self::new(Code::Usage, err.to_string()),
        }
    }
}
