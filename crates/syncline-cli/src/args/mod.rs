//! What the command line may say.

mod kv;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

pub use kv::{
    AgentArgs, ExplainArgs, ExportArgs, GetArgs, GrantArgs, GrantsArgs, ImportArgs, InitArgs, Kv, LsArgs, OpArg,
    PutArgs, RevokeArgs, RmArgs, SignArgs, WatchArgs, WhoCanArgs,
};
#[cfg(feature = "swim")]
pub use values::SeedArg;
pub use values::{Begin, End, IdPrefix, OpsArg, ValueArg};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line, or a file that it names, makes no sense
  3  not allowed: by grants, by a quota, or by the permissions of a key file
  4  there is no such key, grant, file or namespace
  5  something else is there already";

/// Sync primitives on the command line: a signed key/value tree among machines that trust keys, not each other.
#[derive(Debug, Parser)]
#[command(name = "syncline", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command knows.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The replica's directory: the namespace's description, the database, the agent's socket
    /// [default: syncline in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, global = true, env = "SYNCLINE_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// The file with the secret key to sign with [default: syncline/key in $XDG_CONFIG_HOME or ~/.config]
    #[arg(id = "key_file", long = "key", global = true, env = "SYNCLINE_KEY", hide_env_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// One JSON object per line, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Say nothing but what was asked for
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: whole ids, what happens meanwhile
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a secret key that only its owner can read, and print the public one
    Keygen(KeygenArgs),
    /// The signed key/value tree
    #[command(subcommand)]
    Kv(Kv),
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands
    Man {
        /// Write a page for each command into this directory
        #[arg(long = "out", value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Where to put it; by default where other commands look for it
    #[arg(value_hint = ValueHint::FilePath)]
    pub path: Option<PathBuf>,
    /// Replace a key that is there; what was granted to it is lost with it
    #[arg(long)]
    pub force: bool,
}
