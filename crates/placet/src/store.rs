//! Opening the store that the flags name.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use placet_scheduler::record::MasterKey;
use placet_store::{OpenError, Store};
use placet_store_sqlite::SqliteStore;
use tempfile::{NamedTempFile, TempDir};

use crate::exit::Failure;
use crate::flags::Data;
use crate::os;

/// The file's name in the data folder.
pub(crate) const FILE: &str = "placet.db";

/// And the master key's. Whoever has both can sign in the hubs' names; a copy of the data alone cannot.
const MASTER_KEY: &str = "master.key";

/// An open store, and the folder that it lives in.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dir: PathBuf,
    /// What seals the hubs' signing keys.
    pub(crate) master_key: MasterKey,
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
    let master_key = master_key(&dir.join(MASTER_KEY))?;
    Ok(Opened { store, dir, master_key, temporary })
}

/// The key that lies beside the data, in hexadecimal digits; one is made if there is none.
fn master_key(path: &Path) -> Result<MasterKey, Failure> {
    let failed = |error: std::io::Error| Failure::system(path.to_string_lossy(), error);
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let digits = text.trim_end();
            let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
            let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            let what =
                || format!("{}: is no key of 64 hexadecimal digits; put back the one that was there", path.display());
            bytes.map(MasterKey::new).ok_or_else(|| Failure::Config { what: what() })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = MasterKey::random().map_err(|error| Failure::system(path.to_string_lossy(), error))?;
            let digits: String = key.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            // For its user's eyes alone, and whole or not at all.
            let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
            writeln!(file, "{digits}").and_then(|()| file.as_file().sync_all()).map_err(failed)?;
            file.persist_noclobber(path).map_err(|error| failed(error.error))?;
            os::sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Unwritable { path: path.to_owned(), source: source.into() }
}
