//! Keys and their values.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use syncline_kv::path::KeyFilter;
use syncline_kv::tree::{Listing, PutOptions};
use syncline_kv::{Entry, Key, Subtree, Value};

use super::Context;
use crate::access::{self, Access};
use crate::args::{GetArgs, LsArgs, PutArgs, RmArgs, ValueArg};
use crate::failure::{Code, Failure, Result};
use crate::out::record::EntryRecord;
use crate::out::{Out, Part, escaped};

pub async fn put(context: &Context, args: PutArgs) -> Result<()> {
    let signer = context.home.signing_key()?;
    let value = Value::Inline(read_value(args.value)?.into());
    let mut options = PutOptions::default();
    if args.if_absent {
        options.expected = Some(None);
    }
    if let Some(entry) = args.if_latest {
        options.expected = Some(Some(entry));
    }
    let entry = access::open(&context.home).await?.put(&signer, &args.key, value, &options).await;
    let entry = entry.map_err(|failure| explainable(failure, &args.key))?;
    confirm(&context.out, "set", &entry)
}

pub async fn rm(context: &Context, args: &RmArgs) -> Result<()> {
    let signer = context.home.signing_key()?;
    let access = access::open(&context.home).await?;
    let before = access.latest(&args.key).await?;
    if before.is_none_or(|entry| entry.is_tombstone()) {
        return Err(nothing(&args.key));
    }
    let entry = access.put(&signer, &args.key, Value::Tombstone, &PutOptions::default()).await;
    confirm(&context.out, "deleted", &entry.map_err(|failure| explainable(failure, &args.key))?)
}

fn confirm(out: &Out, what: &str, entry: &Entry) -> Result<()> {
    out.confirm(&EntryRecord::of(entry), || {
        format!("{what} {} {}", out.paint(Part::Key, entry.key()), out.paint(Part::Faint, out.short(entry.id())))
    })
}

fn explainable(failure: Failure, key: &Key) -> Failure {
    match failure.code() {
        Code::Denied => {
            failure.hint(format!("`syncline kv explain {key}` says more, `syncline kv who-can {key}` who may"))
        }
        _ => failure,
    }
}

fn nothing(key: &Key) -> Failure {
    Failure::new(Code::NotFound, format!("{key} has no value here"))
}

/// The bytes of a value, wherever they are.
fn read_value(value: ValueArg) -> Result<Vec<u8>> {
    // The format has no longer ones, so there is no use in reading on.
    let max = Entry::VALUE_LEN_MAX as u64;
    let mut bytes = Vec::new();
    match value {
        ValueArg::Text(text) => return Ok(text.into_bytes()),
        ValueArg::File(path) => {
            let read = File::open(&path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes));
            read.map_err(|err| Failure::file("cannot read", &path, err))?;
        }
        ValueArg::Stdin => {
            let read = io::stdin().lock().take(max + 1).read_to_end(&mut bytes);
            read.map_err(|err| Failure::new(Code::Failure, "cannot read standard input").because(err))?;
        }
    }
    if bytes.len() as u64 > max {
        return Err(Failure::new(Code::Usage, format!("the value has more than {max} bytes"))
            .hint("keep it elsewhere, and put its name or hash here"));
    }
    Ok(bytes)
}

pub async fn get(context: &Context, args: &GetArgs) -> Result<()> {
    let entry = access::open(&context.home).await?.latest(&args.key).await?;
    let entry = entry.filter(|entry| !entry.is_tombstone()).ok_or_else(|| nothing(&args.key))?;
    if context.out.is_json() {
        return context.out.record(&EntryRecord::of(&entry));
    }
    match entry.value() {
        Value::Inline(bytes) if args.raw || !io::stdout().is_terminal() => context.out.bytes(bytes),
        Value::Inline(bytes) => context.out.line(&escaped(bytes)),
        _ => Err(Failure::new(Code::Failure, format!("the value of {} is kept elsewhere", args.key))
            .hint("`--json` shows its hash and length")),
    }
}

pub async fn ls(context: &Context, args: LsArgs) -> Result<()> {
    let filter = filter(&args.filter)?;
    let access = access::open(&context.home).await?;
    let mut entries = Pages { access: &*access, subtree: args.prefix, after: None, is_last: false };
    while let Some(page) = entries.next().await? {
        for entry in page.iter().filter(|entry| filter.matches(entry.key())) {
            context.out.say(&EntryRecord::of(entry), || line(&context.out, entry, args.long))?;
        }
    }
    Ok(())
}

pub fn filter(rules: &[String]) -> Result<KeyFilter> {
    KeyFilter::new(rules).map_err(|err| Failure::new(Code::Usage, format!("--filter: {err}")))
}

/// A key, and its value if that is wanted, on one line.
pub fn line(out: &Out, entry: &Entry, with_value: bool) -> String {
    let key = out.paint(Part::Key, entry.key());
    if !with_value {
        return key;
    }
    let value = match entry.value() {
        Value::Inline(bytes) => {
            let text = escaped(bytes);
            text.replace('\n', "\\n")
        }
        Value::Blob(blob) => format!("(blob of {} bytes, {})", blob.len, blob.hash),
        Value::Tombstone => "(deleted)".into(),
    };
    format!("{key} = {value}")
}

/// A listing, page by page.
pub struct Pages<'a> {
    access: &'a dyn Access,
    subtree: Subtree,
    after: Option<Key>,
    is_last: bool,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        if self.is_last {
            return Ok(None);
        }
        let mut listing = Listing::of(self.subtree.clone());
        listing.after = self.after.take();
        let (entries, next) = self.access.list(listing).await?;
        self.is_last = next.is_none();
        self.after = next;
        Ok(Some(entries))
    }
}
