//! Opening the file: first everything that can be wrong is looked for, without changing a byte; then a new file
//! is made or an older one brought up to date.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use placet_store::OpenError;
use placet_store::rows::TABLES;
use rusqlite::{Connection, ErrorCode, Row};

use crate::header::{self, Found};
use crate::{Options, connection, schema, shrink};

/// The first version whose checkpoints from two connections do not corrupt a log (STORAGE.md, "Pitfalls met").
const ENGINE_NEEDED: (i32, &str) = (3_051_003, "3.51.3");

/// Looks for everything that can be wrong, and changes nothing. Tells whether there is a database.
pub(crate) fn inspect(path: &Path, options: &Options) -> Result<bool, OpenError> {
    engine(rusqlite::version_number())?;
    let unwritable = |source: std::io::Error| OpenError::Unwritable { path: path.to_owned(), source: source.into() };
    match header::look(path).map_err(unwritable)? {
        Found::Nothing => Ok(false),
        Found::Damaged(what) => Err(OpenError::Damaged { path: path.to_owned(), what }),
        Found::Database { application, .. } if application != schema::APPLICATION_ID => {
            Err(OpenError::Foreign { path: path.to_owned() })
        }
        Found::Database { logged, .. } => {
            OpenOptions::new().read(true).write(true).open(path).map_err(unwritable)?;
            examine(path, logged, options)?;
            Ok(true)
        }
    }
}

/// Makes what is there ready, so that connections may be opened. The lock is held.
pub(crate) fn prepare(path: &Path, options: &Options) -> Result<(), OpenError> {
    if !inspect(path, options)? {
        create(path)?;
    }
    bring_up_to_date(path).map_err(|error| failed(path, error))
}

fn engine(version: i32) -> Result<(), OpenError> {
    let (least, needed) = ENGINE_NEEDED;
    let found = || format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000);
    if version >= least { Ok(()) } else { Err(OpenError::EngineTooOld { found: found(), needed }) }
}

/// Makes a file with an empty schema, under another name first: a crash on the way leaves no half a database.
fn create(path: &Path) -> Result<(), OpenError> {
    let unwritable = |source| OpenError::Unwritable { path: path.to_owned(), source };
    let draft = beside(path, "-new");
    remove_draft(&draft)?;
    draw_up(&draft).map_err(|error| unwritable(error.into()))?;
    std::fs::rename(&draft, path).map_err(|error| unwritable(error.into()))?;
    sync_folder(path).map_err(|error| unwritable(error.into()))
}

/// Removes what a crash has left of a draft.
fn remove_draft(draft: &Path) -> Result<(), OpenError> {
    for leftover in ["", "-journal", "-wal", "-shm"] {
        match std::fs::remove_file(beside(draft, leftover)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(OpenError::Unwritable { path: draft.to_owned(), source: error.into() });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The path with more behind its name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Writes all that is in a file into another one, densely, and puts that in its place.
///
/// The lock is held, and nobody else has the file open.
pub(crate) fn rewrite(path: &Path) -> Result<(), OpenError> {
    let draft = beside(path, "-new");
    remove_draft(&draft)?;
    let failed = |error| failed(path, error);
    let connection = connection::writer(path).map_err(failed)?;
    let rewritten = shrink::rewrite(&connection, &draft);
    // The last one to close it takes its log away, which must not be taken for the new file's.
    connection.close().map_err(|(_, error)| failed(error))?;
    rewritten.and_then(|()| finish_draft(&draft)).map_err(|error| {
        // What is left of it is in the way of nothing.
        drop(remove_draft(&draft));
        failed(error)
    })?;
    let unwritable = |source: std::io::Error| OpenError::Unwritable { path: path.to_owned(), source: source.into() };
    File::open(&draft).and_then(|file| file.sync_all()).map_err(unwritable)?;
    if beside(path, "-wal").exists() {
        drop(remove_draft(&draft));
        return Err(unwritable(std::io::Error::other("another program has the file open: close it first")));
    }
    std::fs::rename(&draft, path).map_err(unwritable)?;
    sync_folder(path).map_err(unwritable)
}

fn finish_draft(draft: &Path) -> rusqlite::Result<()> {
    let connection = connection::creator(draft)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.close().map_err(|(_, error)| error)
}

/// In bytes.
pub(crate) fn length(path: &Path) -> Result<u64, OpenError> {
    let length = std::fs::metadata(path).map(|metadata| metadata.len());
    length.map_err(|source| OpenError::Unwritable { path: path.to_owned(), source: source.into() })
}

/// In WAL mode from the end on only: until then there is one file, which a rename takes along.
fn draw_up(draft: &Path) -> rusqlite::Result<()> {
    let mut connection = connection::creator(draft)?;
    connection.pragma_update(None, "page_size", 4_096)?;
    connection.pragma_update(None, "auto_vacuum", shrink::INCREMENTAL)?;
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    schema::migrate(&mut connection)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.close().map_err(|(_, error)| error)
}

/// Makes a rename durable. Where folders cannot be opened (Windows) it is so already.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().map(File::open) {
        Some(Ok(folder)) => folder.sync_all(),
        Some(Err(_)) | None => Ok(()),
    }
}

/// Of which version it is, and whether it can be read.
fn examine(path: &Path, logged: bool, options: &Options) -> Result<(), OpenError> {
    let told = |error| damaged_or_failed(path, error);
    let connection = connection::observer(path, logged).map_err(told)?;
    let (found, known) = (schema::version(&connection).map_err(told)?, schema::version_known());
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    if found == known {
        touch_tables(&connection).map_err(told)?;
    }
    if options.integrity_check {
        let check = |row: &Row<'_>| row.get(0);
        let what: String = connection.query_row("PRAGMA integrity_check(1)", [], check).map_err(told)?;
        if what != "ok" {
            return Err(OpenError::Damaged { path: path.to_owned(), what });
        }
    }
    Ok(())
}

/// Reads the schema, of which every column must be there, and the way to the first row of each table: what costs no time
/// in a file of any size.
fn touch_tables(connection: &Connection) -> rusqlite::Result<()> {
    for table in TABLES {
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        let first = format!("SELECT {} FROM {} LIMIT 1", columns.join(", "), table.name);
        connection.prepare(&first)?.query([])?.next()?;
    }
    Ok(())
}

/// Brings an older schema forward, and writes the log that a killed process left back into the file: what is
/// in a log may never have reached the disk, and nothing may be built on it before it has.
fn bring_up_to_date(path: &Path) -> rusqlite::Result<()> {
    let mut connection = connection::writer(path)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| {
        let mode: String = row.get(0)?;
        if mode == "wal" { Ok(()) } else { Err(not_in_wal_mode(&mode)) }
    })?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    schema::migrate(&mut connection)?;
    if shrink::is_worth_making_able(&connection)?
        && let Err(error) = shrink::make_able(&connection)
    {
        // It is as it was, and serves; `placet compact` may be tried.
        tracing::warn!(error = &error as &dyn std::error::Error, "the file stays one that does not give space back");
    }
    connection.close().map_err(|(_, error)| error)
}

/// Where a file system has no shared memory SQLite silently keeps another journal.
fn not_in_wal_mode(mode: &str) -> rusqlite::Error {
    let message = format!("the file system allows no write-ahead log, only {mode}");
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), Some(message))
}

fn damaged_or_failed(path: &Path, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        // `Unknown` is a statement that does not fit the schema: a table or column is missing.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
            OpenError::Damaged { path: path.to_owned(), what: error.to_string() }
        }
        _ => failed(path, error),
    }
}

pub(crate) fn failed(path: &Path, error: rusqlite::Error) -> OpenError {
    OpenError::Failed { path: path.to_owned(), source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_can_corrupt_a_log_is_refused() {
        for (version, found) in [(3_051_002, "3.51.2"), (3_040_001, "3.40.1")] {
            let error = engine(version).unwrap_err();
            assert!(matches!(error, OpenError::EngineTooOld { found: told, .. } if told == found));
        }
        for version in [3_051_003, 3_054_001, rusqlite::version_number()] {
            assert!(engine(version).is_ok());
        }
    }
}
