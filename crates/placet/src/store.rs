//! Opening the store that the flags name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use placet_store::{OpenError, Store};
use placet_store_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::exit::Failure;
use crate::flags::Data;
use crate::os;

/// The file's name in the data folder.
pub(crate) const FILE: &str = "placet.db";

/// An open store, and the folder that it lives in.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dir: PathBuf,
    /// Removes the folder when it is dropped.
    pub(crate) temporary: Option<TempDir>,
}

/// Opens it; makes the folder if need be.
///
/// # Errors
/// If the folder cannot be made or the store not be opened.
pub(crate) fn open(data: &Data) -> Result<Opened, Failure> {
    let temporary = if data.ephemeral {
        let dir = tempfile::Builder::new().prefix("placet-").tempdir();
        Some(dir.map_err(|source| unwritable(&std::env::temp_dir(), source))?)
    } else {
        None
    };
    let dir = temporary.as_ref().map_or(data.data_dir.as_path(), TempDir::path);
    os::make_private_folder(dir).map_err(|source| unwritable(dir, source))?;
    let dir = std::path::absolute(dir).map_err(|source| unwritable(dir, source))?;
    let store = Arc::new(SqliteStore::open(&dir.join(FILE))?);
    Ok(Opened { store, dir, temporary })
}

fn unwritable(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Unwritable { path: path.to_owned(), source: source.into() }
}
