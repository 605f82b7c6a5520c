//! Keys, completions, manual pages.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Context;
use crate::args::{Cli, Global, KeygenArgs};
use crate::failure::{Code, Failure, Result};
use crate::home::default_key;
use crate::keyfile;
use crate::out::record::KeyRecord;
use crate::out::{Out, Part};

pub fn keygen(context: &Context, global: &Global, args: KeygenArgs) -> Result<()> {
    let path = args.path.or_else(|| global.key.clone()).or_else(default_key);
    let path =
        path.ok_or_else(|| Failure::new(Code::Usage, "it is not known where to put the key").hint("name a file"))?;
    let key = keyfile::create(&path, args.force)?;
    let record = KeyRecord { public_key: key.public_key(), path: path.display().to_string() };
    context.out.note(&format!("The secret key is in {}. This is the public one:", path.display()));
    context.out.say(&record, || context.out.paint(Part::Id, key.public_key()))
}

pub fn completions(out: &Out, shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "syncline", &mut script);
    out.bytes(&script)
}

pub fn man(out: &Out, dir: Option<&Path>) -> Result<()> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::output)?;
        return out.bytes(&page);
    };
    let failed = |err| Failure::file("cannot write the pages into", dir, err);
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(failed)
}
