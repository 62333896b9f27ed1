//! What a disk can be told to do wrong, and what SQLite hears of it: the codes that its own VFS for Unix would give.

use std::ffi::c_int;

use rusqlite::ffi;

/// What SQLite asks of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Call {
    /// Reading a part of it.
    Read,
    /// Writing a part of it.
    Write,
    /// Making what was written durable.
    Sync,
    /// Making it shorter.
    Truncate,
    /// Opening or making it.
    Open,
    /// Removing it.
    Delete,
    /// Sharing memory with other connections.
    ShmMap,
    /// Locking a part of that.
    ShmLock,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 8] =
        [Call::Read, Call::Write, Call::Sync, Call::Truncate, Call::Open, Call::Delete, Call::ShmMap, Call::ShmLock];

    /// In what ways it fails.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Call::Write => &[Kind::Broken, Kind::Full, Kind::Short],
            Call::Sync => &[Kind::Broken, Kind::Full],
            Call::Read | Call::Truncate | Call::Open | Call::Delete | Call::ShmMap | Call::ShmLock => &[Kind::Broken],
        }
    }

    /// SQLite's code for it. No space is a code of its own only where bytes are written: of a sync that found none,
    /// nothing is known.
    pub(crate) fn code(self, kind: Kind) -> c_int {
        match (self, kind) {
            (Call::Write, Kind::Full | Kind::Short) => ffi::SQLITE_FULL,
            (Call::Write, Kind::Broken) => ffi::SQLITE_IOERR_WRITE,
            (Call::Read, _) => ffi::SQLITE_IOERR_READ,
            (Call::Sync, _) => ffi::SQLITE_IOERR_FSYNC,
            (Call::Truncate, _) => ffi::SQLITE_IOERR_TRUNCATE,
            (Call::Open, _) => ffi::SQLITE_CANTOPEN,
            (Call::Delete, _) => ffi::SQLITE_IOERR_DELETE,
            (Call::ShmMap, _) => ffi::SQLITE_IOERR_SHMMAP,
            (Call::ShmLock, _) => ffi::SQLITE_IOERR_SHMLOCK,
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// EIO.
    Broken,
    /// ENOSPC.
    Full,
    /// Half of it is written, then ENOSPC.
    Short,
}

/// A failure to come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fault {
    /// Of what.
    pub call: Call,
    /// Only of files whose names end so; empty: of all.
    pub of: &'static str,
    /// How many succeed before.
    pub after: u64,
    /// How.
    pub kind: Kind,
    /// Whether all later ones fail as well.
    pub for_ever: bool,
}
