//! Connections that read, each call from one snapshot, and what their errors mean.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use placet_store::ReadError;
use rusqlite::{Connection, ErrorCode};

use crate::connection;

/// Idle connections that are kept, each with a page cache; beyond that they are closed after use.
const IDLE_MAX: usize = 8;

/// As many as are needed at a time.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Readers {
        Readers { path: path.to_owned(), idle: Mutex::default() }
    }

    /// Reads from one snapshot, which includes every commit that has returned. After an error the connection is
    /// closed and not used again.
    pub(crate) fn read<T>(&self, act: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::reader(&self.path).map_err(unavailable)?,
        };
        execute(&connection, "BEGIN")?;
        let found = act(&connection)?;
        // It fails after damage that was left out, which makes what was read no less true.
        if execute(&connection, "COMMIT").is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        Ok(found)
    }
}

fn execute(connection: &Connection, statement: &str) -> Result<(), ReadError> {
    let done = connection.prepare_cached(statement).and_then(|mut statement| statement.execute([]));
    done.map(drop).map_err(unavailable)
}

fn unavailable(error: rusqlite::Error) -> ReadError {
    ReadError::Unavailable(error.into())
}

/// Why rows of one table were not read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite's word.
    Engine(rusqlite::Error),
    /// A row that is not what was written; which one.
    Damaged(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Engine(error)
    }
}

impl Fault {
    /// The same, for the caller.
    pub(crate) fn of(self, table: &'static str) -> ReadError {
        match self {
            Fault::Damaged(what) => ReadError::Damaged { table, what },
            Fault::Engine(error) if is_damage(&error) => ReadError::Damaged { table, what: error.to_string() },
            Fault::Engine(error) => unavailable(error),
        }
    }
}

/// Whether the file was read and what stands there cannot be. A value of a wrong type is no error of ours: the
/// tables are STRICT.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(
            error,
            E::FromSqlConversionFailure(..)
                | E::IntegralValueOutOfRange(..)
                | E::InvalidColumnType(..)
                | E::Utf8Error(..)
        )
}
