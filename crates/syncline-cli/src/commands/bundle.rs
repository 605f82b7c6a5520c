//! Trees in files.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::Context;
use super::namespace::count;
use crate::access;
use crate::args::{ExportArgs, ImportArgs};
use crate::failure::{Code, Failure, Result};

pub async fn export(context: &Context, args: &ExportArgs) -> Result<()> {
    let access = access::open(&context.home).await?;
    if args.file == Path::new("-") {
        // What was written is the output, so nothing else is said.
        return access.export(&mut io::stdout()).await.map(drop);
    }
    let path = &args.file;
    let file = File::create_new(path).map_err(|err| match err.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Code::Conflict, format!("{} is there already, and is left as it is", path.display()))
                .hint("name another file, or remove it")
        }
        _ => Failure::file("cannot write", path, err),
    })?;
    let mut writer = BufWriter::new(file);
    let written = match access.export(&mut writer).await {
        Ok(record) => finish(writer).map(|()| record).map_err(|err| Failure::file("cannot write", path, err)),
        Err(failure) => Err(failure),
    };
    let record = written.inspect_err(|_| {
        // Half a bundle is good for nothing.
        let _ = fs::remove_file(path);
    })?;
    context.out.confirm(&record, || format!("wrote {} into {}", count(record.bytes, "byte", "bytes"), path.display()))
}

fn finish(mut writer: BufWriter<File>) -> io::Result<()> {
    writer.flush()?;
    writer.get_ref().sync_all()
}

pub async fn import(context: &Context, args: &ImportArgs) -> Result<()> {
    let from: Box<dyn Read + Send> = if args.file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let file = File::open(&args.file).map_err(|err| Failure::file("cannot read", &args.file, err))?;
        Box::new(BufReader::new(file))
    };
    let record = access::open(&context.home).await?.import(from).await?;
    context.out.confirm(&record, || {
        format!(
            "took in {}, {} known before, {} refused",
            count(record.new, "item", "items"),
            record.known,
            record.refused
        )
    })?;
    for reason in &record.reasons {
        context.out.detail(|| format!("refused: {reason}"));
    }
    Ok(())
}
