//! The kinds of connection to the file, with their settings; STORAGE.md, "Embedded design", has the reasons.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Every statement of this crate, and some more.
const STATEMENTS: usize = 64;

/// Nobody but an operator's own `sqlite3` ever holds a lock that we wait for, and he is brief.
const BUSY: Duration = Duration::from_secs(2);

/// For all: no memory mapping (an IO error would be a SIGBUS), nothing temporary on disk, no checks of foreign
/// keys (integrity is the core's; the bundled SQLite has them on), no checkpoints on the committer.
const COMMON: &str = "
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA foreign_keys = OFF;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA synchronous = FULL;";

/// A log that has grown beyond its bound gives the space back once it begins again.
const WRITER: &str = "
    PRAGMA cache_size = -65536;
    PRAGMA journal_size_limit = 67108864;";

const READER: &str = "
    PRAGMA cache_size = -8192;
    PRAGMA query_only = ON;";

/// The connection of the committer. The file must be there and in WAL mode.
pub(crate) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER)
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER)
}

/// The connection of the checkpointer. It copies pages from file to file and needs no cache.
pub(crate) fn checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, "")
}

/// The connection that makes a new file.
pub(crate) fn creator(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, "")
}

/// Without `SQLITE_OPEN_URI`, which rusqlite sets by default: a path is a path, whatever stands in it.
fn open(path: &Path, flags: OpenFlags, settings: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(COMMON)?;
    connection.execute_batch(settings)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}
