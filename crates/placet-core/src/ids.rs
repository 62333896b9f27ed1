//! What things are called. A newtype for each id that could be swapped for another.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// How many partitions a store has: the same number in every store, and for ever, so that rows can move
/// from one store to another without being hashed again.
pub const PARTITIONS: usize = 256;

/// One of the [`PARTITIONS`] into which instances fall. Each has a single writer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub u8);

impl PartitionId {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = PartitionId> {
        (0..=u8::MAX).map(PartitionId)
    }

    /// Its place in a table of [`PARTITIONS`] entries.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A task hub's name, in lower case: names compare case-insensitively (PROTOCOL.md §13.1).
    Hub
}

impl Hub {
    /// The hub of this name.
    pub fn new(name: &str) -> Hub {
        Hub(name.to_ascii_lowercase().into())
    }
}

text_id! {
    /// An orchestration instance's id, as its creator chose it.
    InstanceId
}

impl InstanceId {
    /// The instance of this id.
    pub fn new(id: impl Into<Arc<str>>) -> InstanceId {
        InstanceId(id.into())
    }
}

/// An instance, named as clients name it: hubs are walls, so the hub is part of the name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct InstanceKey {
    /// The task hub.
    pub hub: Hub,
    /// The instance in it.
    pub id: InstanceId,
}

impl InstanceKey {
    /// The instance `id` of `hub`.
    pub fn new(hub: Hub, id: InstanceId) -> InstanceKey {
        InstanceKey { hub, id }
    }

    /// Where it lives: xxh3 of the lower-case hub name, a zero byte and the instance id, modulo
    /// [`PARTITIONS`]. A stable format: stored rows depend on it (there is a test vector).
    pub fn partition(&self) -> PartitionId {
        let mut bytes = Vec::with_capacity(self.hub.0.len() + self.id.0.len() + 1);
        bytes.extend_from_slice(self.hub.0.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.id.0.as_bytes());
        let hash = xxh3_64(&bytes);
        PartitionId((hash % PARTITIONS as u64).to_le_bytes()[0])
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hub, self.id)
    }
}

/// A record row, named: what belongs to no instance (`commands/record.rs`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RecordKey {
    /// The task hub.
    pub hub: Hub,
    /// What it is: a kind has its rows to itself.
    pub kind: Arc<str>,
    /// Which of its kind.
    pub key: Arc<str>,
}

impl RecordKey {
    /// The row `key` of this kind in a hub.
    pub fn new(hub: Hub, kind: impl Into<Arc<str>>, key: impl Into<Arc<str>>) -> RecordKey {
        RecordKey { hub, kind: kind.into(), key: key.into() }
    }

    /// Who writes it: xxh3 of the lower-case hub name, the kind and the key, with a zero byte between them, modulo
    /// [`PARTITIONS`]. A stable format, like an instance's (there is a test vector).
    pub fn partition(&self) -> PartitionId {
        let parts = [self.hub.as_str(), &*self.kind, &*self.key];
        let hash = xxh3_64(parts.join("\0").as_bytes());
        PartitionId((hash % PARTITIONS as u64).to_le_bytes()[0])
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind, self.key, self.hub)
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub $inner);

        impl $name {
            /// The one after it.
            #[must_use]
            pub fn next(self) -> $name {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// The store's key of one life of an instance: an id that is started over gets a new one, a next
    /// generation (continue-as-new) keeps it. Rising, so that rows are appended at the right edge of their
    /// tables: text keys cost ten times the time (STORAGE.md, "Embedded design").
    #[derive(Default)]
    Iid(u64)
}

number_id! {
    /// The server's own sequence number within one [`Iid`]: of an inbox message, a scheduled activity or a
    /// timer. Never used twice, whatever ids the SDK's code hands out (Python reuses task ids for retries).
    Seq(u64)
}

number_id! {
    /// The number of an orchestrator turn within one [`Iid`], rising over generations.
    Turn(u32)
}

number_id! {
    /// A worker's stream of work items, as this process numbers it.
    StreamId(u64)
}

number_id! {
    /// A client call that waits for its reply, as this process numbers it.
    CallId(u64)
}

number_id! {
    /// A group commit, as this process numbers it.
    BatchId(u64)
}

/// Who may write a partition and whose completion tokens live: a process's start (counted in the store) and,
/// within it, how often the partition was dropped and loaded again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Epoch {
    /// Counts the openings of the store: no two processes ever share one.
    pub incarnation: u32,
    /// Counts the reloads after failed commits and contained bugs.
    pub resets: u32,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.resets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_falls_into_the_same_partition_for_ever() {
        let partition = |hub: &str, id: &str| InstanceKey::new(Hub::new(hub), InstanceId::new(id)).partition().0;
        let vector: Vec<u8> =
            [("default", "a"), ("DEFAULT", "a"), ("default", ""), ("h", "expense-1"), ("hub", "Ünïcode")]
                .iter()
                .map(|(hub, id)| partition(hub, id))
                .collect();
        assert_eq!(vector, VECTOR);
    }

    #[test]
    fn a_record_falls_into_the_same_partition_for_ever() {
        let partition = |hub: &str, kind: &str, key: &str| RecordKey::new(Hub::new(hub), kind, key).partition().0;
        let names = [("default", "k", "a"), ("DEFAULT", "k", "a"), ("default", "k", ""), ("h", "k", "Ünïcode")];
        assert_eq!(names.map(|(hub, kind, key)| partition(hub, kind, key)), RECORDS_VECTOR);
    }

    /// Frozen: changing the hash would strand every stored instance in the wrong partition.
    const VECTOR: [u8; 5] = [178, 178, 87, 113, 166];

    /// Frozen likewise.
    const RECORDS_VECTOR: [u8; 4] = [176, 176, 148, 233];
}
