//! Where logs are kept: the contract [`LogStore`], and stores in memory and on any database.

mod any;
mod contract;
mod cursor;
mod database;
mod decide;
mod error;
mod fork;
pub(crate) mod live;
mod memory;
mod outcome;
mod page;
mod scope;
mod stream;

pub use any::AnyLogStore;
pub use contract::LogStore;
pub use cursor::{CursorName, CursorNameError, CursorStore};
pub use database::DatabaseStore;
pub use error::{Corruption, StoreError};
pub use fork::{Fork, ForkError};
pub use live::{Changes, LiveStore};
pub use memory::MemoryStore;
pub use outcome::{Appended, Link, NewOperation};
pub use page::{Located, LogSize, Page, SeqRange, StoredOperation};
pub(crate) use scope::ScopeIndex;
pub use scope::{Heights, LogId, LogSummary, Logs, Tip, Tips};
pub use stream::stream;
