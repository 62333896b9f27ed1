//! The embedded store: one SQLite file, `placet.db` in the data folder, with its write-ahead log beside it.
//!
//! The words that the rest is written in: the *session* is the committer's connection with what it remembers;
//! *readers* are connections that read from snapshots and never wait for it; the *log* is SQLite's write-ahead
//! log; the *checkpointer* copies the log into the file, on a thread of its own. STORAGE.md, "Embedded design", has
//! the measurements behind each of them.
//!
//! What a store must do is said by [`placet_store::Store`] and checked by its conformance suite.

mod checkpointer;
mod checksum;
mod connection;
mod damage;
mod entries;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod header;
mod lists;
mod lock;
mod open;
mod pieces;
mod readers;
mod reads;
mod records;
mod schema;
mod search;
mod session;
mod shrink;
mod statements;
mod store;
mod sweep;
mod tally;
mod terms;

#[doc(hidden)]
pub use store::FileLimits;
pub use store::{Compacted, Options, SqliteStore};
