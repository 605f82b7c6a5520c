//! The commands of the key/value tree.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use syncline_crypto::PublicKey;
use syncline_kv::{Key, NamespaceId, Pattern, Subtree};
use syncline_net::PeerAddr;

use super::{Begin, End, IdPrefix, OpsArg, ValueArg};

#[derive(Debug, Subcommand)]
pub enum Kv {
    /// Describe a new namespace, or join one whose description somebody sent
    Init(InitArgs),
    /// Run a replica: keep in touch with peers, and serve the other commands until interrupted
    Agent(AgentArgs),
    /// Set a key
    Put(PutArgs),
    /// Print the value of a key
    Get(GetArgs),
    /// Delete a key
    Rm(RmArgs),
    /// List keys
    Ls(LsArgs),
    /// Print keys and then each change, until interrupted; needs an agent
    Watch(WatchArgs),
    /// Let somebody read or write keys
    Grant(GrantArgs),
    /// Sign a grant that `grant --unsigned` wrote, on a machine that needs no network
    Sign(SignArgs),
    /// Show who was granted what
    Grants(GrantsArgs),
    /// End a grant and all that was passed on from it, for good
    Revoke(RevokeArgs),
    /// Say why somebody may write or read a key, or why not
    Explain(ExplainArgs),
    /// List all who may write or read a key
    WhoCan(WhoCanArgs),
    /// Write everything into a file that proves itself
    Export(ExportArgs),
    /// Take in what such a file has; nothing in it is believed unchecked
    Import(ImportArgs),
    /// Say what the replica has and how it is
    Status,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The name, for people
    #[arg(long, required_unless_present = "from")]
    pub name: Option<String>,
    /// The public key of a root; may be repeated. Roots may do everything. By default one's own
    #[arg(long = "root", value_name = "KEY")]
    pub roots: Vec<PublicKey>,
    /// Revoking brings back older values that are still valid, instead of deleting
    #[arg(long)]
    pub fallback: bool,
    /// Everybody who can connect may read
    #[arg(long)]
    pub public: bool,
    /// How many roots must agree to change the roots [default: more than half]
    #[arg(long, value_name = "COUNT")]
    pub threshold: Option<u8>,
    /// Take this description instead: the file `namespace` of another replica's directory, or a bundle
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["name", "roots", "fallback", "public", "threshold"])]
    pub from: Option<PathBuf>,
    /// What the id must be; a description from others says nothing about who wrote it
    #[arg(long, value_name = "ID")]
    pub id: Option<NamespaceId>,
}

#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Accept peers at this address; port 0 lets the system choose
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// A peer to keep in touch with, as KEY@HOST:PORT; may be repeated
    #[arg(long = "peer", value_name = "PEER")]
    pub peers: Vec<PeerAddr>,
    /// Find other members over UDP, at this address
    #[cfg(feature = "swim")]
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub swim: Option<SocketAddr>,
    /// A member to begin with, as KEY@ADDR of its --swim; may be repeated
    #[cfg(feature = "swim")]
    #[arg(long = "swim-seed", value_name = "MEMBER", requires = "swim")]
    pub swim_seeds: Vec<super::SeedArg>,
}

#[derive(Debug, Args)]
pub struct PutArgs {
    /// The key, such as /svc/api/limit
    pub key: Key,
    /// The value; @FILE for a file's contents, - for standard input, @@TEXT for a text that begins with @
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: ValueArg,
    /// Only if nothing is known of the key
    #[arg(long, conflicts_with = "if_latest")]
    pub if_absent: bool,
    /// Only if this is the key's latest entry, as `get --json` tells
    #[arg(long, value_name = "ID")]
    pub if_latest: Option<syncline_kv::EntryId>,
}

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The key
    pub key: Key,
    /// The bytes as they are, even to a terminal
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
}

#[derive(Debug, Args)]
pub struct RmArgs {
    /// The key
    pub key: Key,
}

#[derive(Debug, Args)]
pub struct LsArgs {
    /// Keys below this path; all by default
    #[arg(value_name = "PREFIX", default_value = "/")]
    pub prefix: Subtree,
    /// Patterns that let keys pass, or with ! hold them back; the last one that matches decides
    #[arg(long, value_name = "RULE", num_args = 1.., allow_hyphen_values = true)]
    pub filter: Vec<String>,
    /// With values
    #[arg(short, long)]
    pub long: bool,
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Keys below this path; all by default
    #[arg(value_name = "PREFIX", default_value = "/")]
    pub prefix: Subtree,
    /// As for `ls`
    #[arg(long, value_name = "RULE", num_args = 1.., allow_hyphen_values = true)]
    pub filter: Vec<String>,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["to", "complete"])))]
pub struct GrantArgs {
    /// The public key of who gets it
    #[arg(long, value_name = "KEY", requires_all = ["pattern", "ops"])]
    pub to: Option<PublicKey>,
    /// For which keys, such as /svc/*/limits/**; to be read, it must be a subtree such as /svc/**
    #[arg(short, long)]
    pub pattern: Option<Pattern>,
    /// To do what
    #[arg(long)]
    pub ops: Option<OpsArg>,
    /// How often it may be passed on
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub depth: u8,
    /// From when on: a time such as 2026-01-31T12:00:00Z, or a duration from now such as 2h [default: as the parent]
    #[arg(long, value_name = "TIME")]
    pub not_before: Option<Begin>,
    /// Until when: a time, or a duration from now such as 30d [default: as the parent]
    #[arg(long, value_name = "TIME")]
    pub not_after: Option<End>,
    /// How many keys may be written under it and what is passed on from it [default: as the parent]
    #[arg(long, value_name = "COUNT")]
    pub entries: Option<u64>,
    /// How many bytes may be written under it and what is passed on from it [default: as the parent]
    #[arg(long, value_name = "COUNT")]
    pub bytes: Option<u64>,
    /// The grant to pass on from, or the first digits of its id; by default the one of one's own that fits
    #[arg(long, value_name = "ID")]
    pub parent: Option<IdPrefix>,
    /// Do not sign, but write what is to be signed into this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["issuer", "to"])]
    pub unsigned: Option<PathBuf>,
    /// The public key of who will sign
    #[arg(long, value_name = "KEY", requires = "unsigned")]
    pub issuer: Option<PublicKey>,
    /// Issue the grant that `kv sign` wrote into this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["to", "unsigned", "pattern", "ops"])]
    pub complete: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SignArgs {
    /// What `grant --unsigned` wrote
    #[arg(value_hint = ValueHint::FilePath)]
    pub unsigned: PathBuf,
    /// Where to put the signed grant, for `grant --complete`
    #[arg(value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct GrantsArgs {
    /// Those as well that are revoked or have passed
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The grant, or the first digits of its id
    pub id: IdPrefix,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// What one wants to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OpArg {
    /// Sync what is below it
    Read,
    /// Set or delete it
    Write,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Who, by public key, if not oneself; and the key
    #[arg(value_names = ["WHO] [KEY"], num_args = 1..=2, required = true)]
    pub who_and_key: Vec<String>,
    /// To do what
    #[arg(long, default_value = "write")]
    pub op: OpArg,
}

#[derive(Debug, Args)]
pub struct WhoCanArgs {
    /// The key
    pub key: Key,
    /// To do what
    #[arg(long, default_value = "write")]
    pub op: OpArg,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file, which must not be there; - for standard output
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}
