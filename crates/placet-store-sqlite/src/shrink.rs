//! Giving space back. What is deleted leaves free pages in the file, which the next rows take. When there are many, those at
//! the end of the file are moved into free ones before it, some at a time, and the file is cut: SQLite's incremental vacuum, for
//! which the file keeps, for each page, who points to it. What that costs whoever writes is in bench/instructions.toml.

use std::path::Path;

use rusqlite::Connection;

use crate::FileLimits;
use crate::statements as sql;

/// Of `auto_vacuum`: pages are moved when it is asked for.
pub(crate) const INCREMENTAL: i64 = 2;

/// With more than this part of the file free it is worth while: below, the next rows take the space soon enough, and whoever
/// deletes as much as he makes has nothing moved.
const FREE_PART: i64 = 8;

/// A shorter file of an earlier version is made able to give space back when it is opened: it takes under a second.
const REWRITTEN_AT_ONCE: i64 = 64 << 20;

/// The log is begun anew with nothing in it once all is given back; if readers hold it so often, it is left as it is.
const ATTEMPTS: u32 = 10;

/// How far it is. It is forgotten with the session, and then begins anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Shrink {
    /// There is little to give back, or it was not looked at yet.
    #[default]
    Rests,
    /// Pages are being moved.
    Moves,
    /// All are, but the file is cut only when the log is copied into it, and the log is as long as it was.
    Ends { attempts: u32 },
}

impl Shrink {
    /// The next piece, in a transaction. Tells whether there is more.
    pub(crate) fn step(&mut self, connection: &Connection, limits: &FileLimits) -> rusqlite::Result<bool> {
        let free = pragma(connection, sql::FREE_PAGES)?;
        match self {
            Shrink::Rests => {
                let begins = free > limits.free.max(pragma(connection, sql::PAGES)? / FREE_PART)
                    && pragma(connection, sql::AUTO_VACUUM)? == INCREMENTAL;
                if begins {
                    *self = Shrink::Moves;
                }
                Ok(begins)
            }
            Shrink::Moves => {
                let pages = limits.give_back.min(free - limits.free);
                if pages > 0 {
                    give_back(connection, pages)?;
                }
                if free - pages <= limits.free {
                    *self = Shrink::Ends { attempts: 0 };
                }
                Ok(true)
            }
            Shrink::Ends { .. } => Ok(true),
        }
    }

    /// Whether the log is to be emptied.
    pub(crate) fn wants_log_empty(self) -> bool {
        matches!(self, Shrink::Ends { .. })
    }

    /// The log was emptied, or was not since somebody reads. Tells whether there is more.
    pub(crate) fn tried_to_empty_log(&mut self, emptied: bool) -> bool {
        let attempts = if let Shrink::Ends { attempts } = self { *attempts + 1 } else { ATTEMPTS };
        let again = !emptied && attempts < ATTEMPTS;
        *self = if again { Shrink::Ends { attempts } } else { Shrink::Rests };
        again
    }
}

/// Moves so many pages, or as many as there are to move.
fn give_back(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut moved = statement.query([])?;
    while moved.next()?.is_some() {}
    Ok(())
}

/// Whether a file is of an earlier version, which gives no space back, and short.
pub(crate) fn is_worth_making_able(connection: &Connection) -> rusqlite::Result<bool> {
    let bytes = pragma(connection, sql::PAGES)? * pragma(connection, "PRAGMA page_size")?;
    Ok(pragma(connection, sql::AUTO_VACUUM)? != INCREMENTAL && bytes < REWRITTEN_AT_ONCE)
}

/// Rewrites a file in its place, whole or not at all: through its log, and in memory before.
pub(crate) fn make_able(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    connection.execute_batch("VACUUM")
}

/// Writes all that is in a file into another one, which is able to give space back.
pub(crate) fn rewrite(connection: &Connection, into: &Path) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    let into = into.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(into.to_owned()))?;
    connection.execute("VACUUM INTO ?1", [into]).map(drop)
}

fn pragma(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(pragma)?.query_row([], |row| row.get(0))
}
