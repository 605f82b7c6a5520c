#![doc = include_str!("../README.md")]
#![expect(unreachable_pub, reason = "in a program, `pub` says what other modules use")]

mod access;
mod args;
mod commands;
mod failure;
mod home;
mod interrupt;
mod keyfile;
mod out;
mod times;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::commands::Context;
use crate::failure::{Code, Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context::of(&cli.global);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|err| Failure::new(Code::Failure, "no runtime").because(err));
    match runtime.and_then(|runtime| runtime.block_on(commands::run(&context, cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.out.failure(&failure);
            failure.code().exit()
        }
    }
}
