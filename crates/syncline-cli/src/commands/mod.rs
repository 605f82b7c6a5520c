//! What each command does.

mod agent;
mod authority;
mod bundle;
mod entries;
mod grant;
mod namespace;
mod setup;
mod tree_view;
mod watch;

use crate::args::{Cli, Command, Global, Kv};
use crate::failure::Result;
use crate::home::Home;
use crate::out::Out;

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    pub home: Home,
    pub out: Out,
}

impl Context {
    pub fn of(global: &Global) -> Self {
        Self { home: Home::of(global), out: Out::new(global) }
    }
}

pub async fn run(context: &Context, cli: Cli) -> Result<()> {
    match cli.command {
        Command::Keygen(args) => setup::keygen(context, &cli.global, args),
        Command::Completions { shell } => setup::completions(&context.out, shell),
        Command::Man { out } => setup::man(&context.out, out.as_deref()),
        Command::Kv(command) => kv(context, command).await,
    }
}

async fn kv(context: &Context, command: Kv) -> Result<()> {
    match command {
        Kv::Init(args) => namespace::init(context, args),
        Kv::Agent(args) => agent::run(context, args).await,
        Kv::Put(args) => entries::put(context, args).await,
        Kv::Get(args) => entries::get(context, &args).await,
        Kv::Rm(args) => entries::rm(context, &args).await,
        Kv::Ls(args) => entries::ls(context, args).await,
        Kv::Watch(args) => watch::watch(context, args).await,
        Kv::Grant(args) => grant::grant(context, args).await,
        Kv::Sign(args) => grant::sign(context, &args),
        Kv::Grants(args) => authority::grants(context, &args).await,
        Kv::Revoke(args) => authority::revoke(context, &args).await,
        Kv::Explain(args) => authority::explain(context, args).await,
        Kv::WhoCan(args) => authority::who_can(context, &args).await,
        Kv::Export(args) => bundle::export(context, &args).await,
        Kv::Import(args) => bundle::import(context, &args).await,
        Kv::Status => namespace::status(context).await,
    }
}
