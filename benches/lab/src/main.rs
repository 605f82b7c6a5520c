//! Measures Syncline beside what it is compared with: `cargo lab --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    syncline_lab::cli::main(&syncline_lab::Contestants::built_in())
}
