//! Keys, and what becomes of them.

use syncline_kv::Entry;

use super::Context;
use super::entries::{filter, line};
use crate::access::{self, Seen};
use crate::args::WatchArgs;
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::out::Part;
use crate::out::record::{EntryRecord, LiveRecord, RemovedRecord};

pub async fn watch(context: &Context, args: WatchArgs) -> Result<()> {
    let filter = filter(&args.filter)?;
    let out = &context.out;
    let access = access::open(&context.home).await?;
    let mut watch = access.watch(&args.prefix).await?;
    let interrupted = interrupt::wait()?;
    tokio::pin!(interrupted);
    loop {
        let seen = tokio::select! {
            () = &mut interrupted => return Ok(()),
            seen = watch.next() => seen?,
        };
        match seen {
            Some(Seen::Set(entry)) if filter.matches(entry.key()) => set(context, &entry)?,
            Some(Seen::Removed(key)) if filter.matches(&key) => {
                let text = || format!("{} {}", out.paint(Part::Bad, "-"), out.paint(Part::Key, &key));
                out.say(&RemovedRecord { key: key.to_string() }, text)?;
            }
            Some(Seen::Live) => {
                if out.is_json() {
                    out.record(&LiveRecord {})?;
                } else {
                    out.note("That is all for now. Changes follow; ctrl-c ends.");
                }
            }
            Some(_) => {}
            None => return Err(Failure::new(Code::Failure, "the agent has gone")),
        }
    }
}

fn set(context: &Context, entry: &Entry) -> Result<()> {
    let out = &context.out;
    out.say(&EntryRecord::of(entry), || format!("{} {}", out.paint(Part::Good, "+"), line(out, entry, true)))
}
