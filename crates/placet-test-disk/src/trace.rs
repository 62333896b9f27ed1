//! The record of what was done to the files of a folder.

use std::collections::BTreeMap;

/// One thing that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A file was made.
    Created(String),
    /// Bytes were written to a file, at this place.
    Written(String, usize, Vec<u8>),
    /// A file was given this length.
    Truncated(String, usize),
    /// A file was synced.
    Synced(String),
    /// A sync failed: what was to be synced may be on the disk or not, and the system takes it for written.
    SyncFailed(String),
    /// A file was removed; whether that is durable.
    Deleted(String, bool),
    /// The test's own mark.
    Mark(u64),
}

/// What was done since [`Disk::record`](crate::Disk::record).
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The files at the beginning, taken to be durable.
    pub before: BTreeMap<String, Vec<u8>>,
    /// What was done then, in its order.
    pub events: Vec<Event>,
}

impl Trace {
    /// The same from a disk that lies: its syncs of these files do nothing.
    #[must_use]
    pub fn without_syncs(&self, lies: impl Fn(&str) -> bool) -> Trace {
        let kept = self.events.iter().filter(|event| !matches!(event, Event::Synced(file) if lies(file)));
        Trace { before: self.before.clone(), events: kept.cloned().collect() }
    }
}
