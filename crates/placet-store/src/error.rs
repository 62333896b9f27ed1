//! Why a store could not be opened, read or written, and what its user should do about it.

use std::path::PathBuf;

use placet_core::ids::{Epoch, PartitionId};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a store was not opened. Nothing was touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{path} is in use by another process{}", holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Who holds it, if that can be told.
        holder: Option<u32>,
    },
    /// It was written by a later version.
    #[error("{path} has schema version {found}; this binary knows versions up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It is a file of another program.
    #[error("{path} is not a Placet store")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The folder or file cannot be written.
    #[error("{path} cannot be written")]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: BoxError,
    },
    /// The linked engine is too old to be trusted.
    #[error("SQLite {found} can corrupt a write-ahead log; at least {needed} is needed")]
    EngineTooOld {
        /// The version found.
        found: String,
        /// The version needed.
        needed: &'static str,
    },
    /// Anything else.
    #[error("{path} could not be opened")]
    Failed {
        /// The file.
        path: PathBuf,
        /// The engine's word.
        #[source]
        source: BoxError,
    },
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::Locked { .. } => "stop the other server, or give this one its own folder with --data-dir",
            OpenError::Newer { .. } => "start it with the version that wrote it, or a later one",
            OpenError::Foreign { .. } => "give Placet a folder of its own with --data-dir",
            OpenError::Damaged { .. } => "put back a backup; the file was not changed",
            OpenError::Unwritable { .. } => "choose a folder that this user can write with --data-dir",
            OpenError::EngineTooOld { .. } => "build with the bundled SQLite",
            OpenError::Failed { .. } => "see the cause",
        }
    }
}

/// What the owner of the partitions does after a failed commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// They have another owner: forget them.
    GiveUpPartition,
    /// Nothing was written and nothing will be for now: refuse new work, try again.
    RefuseNewWork,
    /// Whether it was written is unknown: forget what was in memory and load what became true.
    Reload,
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Another process owns the partition now. Nothing was written.
    #[error("partition {partition} has moved: it is in epoch {current}, this batch was made in epoch {held}")]
    Fenced {
        /// Which.
        partition: PartitionId,
        /// Ours.
        held: Epoch,
        /// The one in force.
        current: Epoch,
    },
    /// Nothing was written.
    #[error("no space left for {path}")]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// Whether it was written is unknown.
    #[error("the store did not answer")]
    Unavailable(#[source] BoxError),
}

impl CommitError {
    /// What follows from the kind of the error.
    pub fn remedy(&self) -> Remedy {
        match self {
            CommitError::Fenced { .. } => Remedy::GiveUpPartition,
            CommitError::DiskFull { .. } => Remedy::RefuseNewWork,
            CommitError::Unavailable(_) => Remedy::Reload,
        }
    }
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A row is not what was written.
    #[error("a row of {table} is damaged: {what}")]
    Damaged {
        /// Which table.
        table: &'static str,
        /// What was found.
        what: String,
    },
    /// The store did not answer.
    #[error("the store did not answer")]
    Unavailable(#[source] BoxError),
}
