//! One process at a time: an exclusive lock of the operating system on a file beside the database. It ends
//! with the process, however the process ends, so there is no stale lock to break.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use placet_store::OpenError;

/// Held as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of this database.
    ///
    /// The file stays when the lock ends: removing it would let two processes lock two files of one name.
    pub(crate) fn take(database: &Path) -> Result<Lock, OpenError> {
        let path = lock_path(database);
        let unwritable = |source: std::io::Error| OpenError::Unwritable { path: path.clone(), source: source.into() };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
        let mut file = options.open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { file }),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::Locked { path: database.to_owned(), holder: holder(&mut file) })
            }
            Err(TryLockError::Error(source)) => Err(unwritable(source)),
        }
    }

    /// Leaves the process's id for whoever comes too late. A courtesy: on a full disk there is none.
    pub(crate) fn leave_id(&mut self) {
        let written = self.file.set_len(0).and_then(|()| self.file.rewind());
        drop(written.and_then(|()| writeln!(self.file, "{}", std::process::id())));
    }
}

impl Drop for Lock {
    /// Said and not only left to the end of the descriptor: a child process that is just being started has it, too.
    fn drop(&mut self) {
        drop(self.file.unlock());
    }
}

/// `placet.lock` beside `placet.db`.
pub(crate) fn lock_path(database: &Path) -> PathBuf {
    database.with_extension("lock")
}

/// Who holds it, if that can be read: on Windows a locked file cannot.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_ended_is_free_though_another_process_has_its_descriptor() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("placet.db");
        let lock = Lock::take(&path).unwrap();
        // As between a fork and what is executed then.
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        drop(Lock::take(&path).unwrap());
        drop(inherited);
    }
}
