//! The kinds of connection to the file, with their settings; STORAGE.md, "Embedded design", has the reasons.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Every statement of this crate, and some more.
const STATEMENTS: usize = 96;

/// Nobody but an operator's own `sqlite3` ever holds a lock that we wait for, and he is brief.
pub(crate) const BUSY: Duration = Duration::from_secs(2);

/// For all: no memory mapping (an IO error would be a SIGBUS), nothing temporary on disk, no checks of foreign
/// keys (integrity is the core's; the bundled SQLite has them on), no checkpoints on the committer.
const COMMON: &str = "
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA foreign_keys = OFF;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA synchronous = FULL;";

/// No larger cache: whenever a split moves pages past each other, SQLite gives one of them a number beyond the file
/// for a moment, and searches its whole cache for pages beyond the file at the end of the transaction. With 64 MiB that
/// was a tenth of the committer's time; what is not in this cache is in the system's.
///
/// A log that has grown beyond its bound gives the space back once it begins again.
const WRITER: &str = "
    PRAGMA cache_size = -16384;
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

/// Tells a connection to leave the log as it is when it ends, though it be the last.
pub(crate) fn leave_log(connection: &Connection) {
    // It fails for an option that SQLite does not know, and for nothing else.
    drop(connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
}

/// The connection that makes a new file.
pub(crate) fn creator(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, "")
}

/// A connection that reads and leaves no trace: no file is made or changed, not even the index of the log
/// (`placet.db-shm`), which any other connection rebuilds. Only for a moment while nobody else writes.
pub(crate) fn observer(path: &Path, logged: bool) -> rusqlite::Result<Connection> {
    if !logged {
        // There is no log, and none is to be made. The only place where SQLite reads a path as a URI.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        return Connection::open_with_flags(immutable(path), flags);
    }
    // Alone, a connection keeps the index of the log in memory; and it is told to leave the log when it ends.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON;")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let looked = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    match looked.map_err(|error| (error.sqlite_error_code(), error)) {
        // An operator looks at it with a tool of his own: then there is an index already.
        Err((Some(ErrorCode::DatabaseBusy), _)) => reader(path),
        Err((_, error)) => Err(error),
        Ok(()) => Ok(connection),
    }
}

/// The file as a URI that says that it does not change.
fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    // An empty authority, or the first part of a path could be taken for one. On Windows: file:///C:/…
    let lead = if cfg!(windows) { "///" } else { "//" };
    uri.push_str(if path.is_absolute() { lead } else { "" });
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            b'\\' | b':' if cfg!(windows) => uri.push(if *byte == b':' { ':' } else { '/' }),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Without `SQLITE_OPEN_URI`, which rusqlite sets by default: a path is a path, whatever stands in it.
fn open(path: &Path, flags: OpenFlags, settings: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    // Or statements whose plan might be another for another value are prepared again at every use: a fifth of
    // the time of a read.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(COMMON)?;
    connection.execute_batch(settings)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}
