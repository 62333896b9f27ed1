//! What a list or a look-up may ask of a store: typed, and rendered by each store in its own dialect.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use placet_core::chain::{Entry, Head};
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, PartitionId, RecordKey};
use placet_core::rows::{InstanceRow, OrchestrationStatus, RecordRow};
use placet_core::time::Timestamp;

use crate::listing::{Listed, Listing};
use crate::search::{Found, Overview, Search};

/// A question that needs no decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// The task hubs that exist, by name.
    Hubs,
    /// One published row.
    Published {
        /// The hub.
        hub: Hub,
        /// The projection.
        kind: Arc<str>,
        /// The row's key.
        key: Arc<str>,
    },
    /// Many of a projection, by their terms.
    Listing(Box<Listing>),
    /// The ends of a hub's chains in the record, by partition; none of those without an entry.
    Heads(Hub),
    /// Entries of the record.
    Entries(EntryList),
    /// The row of one instance, without what hangs on it.
    Instance(InstanceKey),
    /// The rows of many.
    Instances(List),
    /// Those that match, in any order.
    Search(Box<Search>),
    /// How many there are in a hub.
    Overview(Hub),
    /// One record row, whether or not it has expired.
    Record(RecordKey),
    /// Many, likewise, by their kinds and keys.
    Records(RecordList),
    /// The names of record rows that have expired, the first of them first.
    Expired {
        /// By then.
        until: Timestamp,
        /// At most so many are looked at.
        limit: usize,
    },
}

/// Which entries to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryList {
    /// The hub.
    pub hub: Hub,
    /// The chain.
    pub partition: PartitionId,
    /// Only those of this instance, whose chain it is.
    pub owner: Option<InstanceId>,
    /// Behind this number.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}

impl EntryList {
    /// A page ends with the entry by which it has so many bytes. Only behind the last entry it is empty.
    pub const PAGE_BYTES: usize = 1 << 20;
}

/// Which record rows to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordList {
    /// The hub.
    pub hub: Hub,
    /// The kind; all of them, if absent.
    pub kind: Option<Arc<str>>,
    /// How the keys begin, if a kind is named.
    pub starts: String,
    /// Behind the row of this kind and key.
    pub after: Option<(Arc<str>, Arc<str>)>,
    /// At most so many.
    pub limit: usize,
}

impl RecordList {
    /// The first kind and key that may be one of them.
    pub fn from(&self) -> (&str, &str) {
        let first = self.kind.as_ref().map_or(("", ""), |kind| (&**kind, self.starts.as_str()));
        let after = self.after.as_ref().map_or(("", ""), |(kind, key)| (&**kind, &**key));
        first.max(after)
    }

    /// Whether a row is one of them.
    pub fn holds(&self, key: &RecordKey) -> bool {
        let named = (&*key.kind, &*key.key);
        key.hub == self.hub
            && self.after.as_ref().is_none_or(|(kind, key)| named > (&**kind, &**key))
            && self.kind.as_ref().is_none_or(|kind| *kind == key.kind && key.key.starts_with(&self.starts))
    }

    /// Whether a row of the hub comes behind all of them.
    pub fn is_behind(&self, key: &RecordKey) -> bool {
        let is_beyond = |kind: &Arc<str>| {
            key.kind > *kind || (key.kind == *kind && !key.key.starts_with(&self.starts) && *key.key > *self.starts)
        };
        self.kind.as_ref().is_some_and(is_beyond)
    }
}

/// Which instances to list, in which order, and how many of them to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// The hub.
    pub hub: Hub,
    /// Those with one of these statuses; with any, if there is none.
    pub statuses: Vec<OrchestrationStatus>,
    /// Those that were created in this time.
    pub created: Range<Timestamp>,
    /// The order in which they come, and after which of them.
    pub order: Order,
    /// At most so many rows are looked at: a page may be short, and says whether another follows.
    pub limit: usize,
}

/// An order of instances, and where to begin in it: behind the one named, or at the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// By the time of their creation.
    Created(Option<(Timestamp, Iid)>),
    /// By their ids, those that begin so.
    Id {
        /// How they begin.
        prefix: String,
        /// Behind this one.
        after: Option<InstanceId>,
    },
    /// By the time of their end, those that ended in this time.
    Ended {
        /// From the one, up to before the other.
        within: Range<Timestamp>,
        /// Behind this one.
        after: Option<(Timestamp, Iid)>,
    },
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The instances.
    pub rows: Vec<InstanceRow>,
    /// The order and where the next page begins, if one may follow.
    pub next: Option<Order>,
}

impl List {
    /// Whether an instance is one of those that are listed, wherever its order begins.
    pub fn holds(&self, row: &InstanceRow) -> bool {
        row.hub == self.hub
            && (self.statuses.is_empty() || self.statuses.contains(&row.status))
            && self.created.contains(&row.created_at)
            && match &self.order {
                Order::Created(_) => true,
                Order::Id { prefix, .. } => row.id.as_str().starts_with(prefix),
                Order::Ended { within, .. } => row.completed_at.is_some_and(|at| within.contains(&at)),
            }
    }
}

impl Order {
    /// The same order, from behind this instance on.
    #[must_use]
    pub fn behind(&self, row: &InstanceRow) -> Order {
        match self {
            Order::Created(_) => Order::Created(Some((row.created_at, row.iid))),
            Order::Id { prefix, .. } => Order::Id { prefix: prefix.clone(), after: Some(row.id.clone()) },
            Order::Ended { within, .. } => {
                Order::Ended { within: within.clone(), after: row.completed_at.map(|at| (at, row.iid)) }
            }
        }
    }
}

/// Its answer, variant by variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Query::Hubs`].
    Hubs(Vec<Hub>),
    /// To [`Query::Published`].
    Published(Option<Bytes>),
    /// To [`Query::Listing`].
    Listed(Listed),
    /// To [`Query::Heads`].
    Heads(Vec<(PartitionId, Head)>),
    /// To [`Query::Entries`].
    Entries(Vec<Entry>),
    /// To [`Query::Instance`].
    Instance(Option<Box<InstanceRow>>),
    /// To [`Query::Instances`].
    Instances(Page),
    /// To [`Query::Search`].
    Found(Found),
    /// To [`Query::Overview`].
    Overview(Overview),
    /// To [`Query::Record`].
    Record(Option<RecordRow>),
    /// To [`Query::Records`].
    Records(Vec<RecordRow>),
    /// To [`Query::Expired`].
    Expired(Vec<RecordKey>),
}
