use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::fail;
use crate::compare::kv::{self, Recording};
use crate::progress::Bar;

/// `cargo lab record`.
#[derive(Args)]
pub(super) struct Record {
    /// Where to write it.
    #[arg(long, default_value = Recording::FILE, hide_default_value = true)]
    file: PathBuf,
    /// Does less of everything, to see that it works. Needs a file of its own.
    #[arg(long, requires = "file")]
    quick: bool,
}

impl Record {
    pub(super) fn main(self) -> ExitCode {
        let scale = if self.quick { kv::Scale::QUICK } else { kv::Scale::FULL };
        let recording = kv::record(scale, &Bar::default());
        match recording.and_then(|recording| recording.write(&self.file)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(why),
        }
    }
}
