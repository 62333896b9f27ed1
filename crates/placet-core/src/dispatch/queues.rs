//! Items that wait for a worker with room: a queue for each (kind, hub, name, version), so that an item which
//! nobody accepts blocks no other, and a cursor for each stream, so that every queue gets its turn.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::{ItemId, ItemSpec, Kind};
use crate::ids::Hub;

/// What the items of one queue have in common: all that filters look at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct QueueKey {
    kind: Kind,
    hub: Hub,
    name: Arc<str>,
    version: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: BTreeMap<QueueKey, VecDeque<ItemSpec>>,
    len: usize,
}

impl Queues {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, spec: ItemSpec) {
        let key = QueueKey {
            kind: spec.id.kind(),
            hub: spec.hub.clone(),
            name: spec.name.clone(),
            version: spec.version.clone(),
        };
        self.queues.entry(key).or_default().push_back(spec);
        self.len += 1;
    }

    /// The first item of the next accepted queue after the cursor, which moves there.
    pub(super) fn pop(
        &mut self,
        kind: Kind,
        cursor: &mut Option<QueueKey>,
        accepts: impl Fn(&ItemSpec) -> bool,
    ) -> Option<ItemSpec> {
        let key = self.next_key(kind, cursor.as_ref(), accepts)?;
        let queue = self.queues.get_mut(&key)?;
        let spec = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        self.len -= 1;
        *cursor = Some(key);
        Some(spec)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(ItemId) -> bool) {
        self.queues.retain(|_, queue| {
            queue.retain(|spec| keep(spec.id));
            !queue.is_empty()
        });
        self.len = self.queues.values().map(VecDeque::len).sum();
    }

    fn next_key(
        &self,
        kind: Kind,
        cursor: Option<&QueueKey>,
        accepts: impl Fn(&ItemSpec) -> bool,
    ) -> Option<QueueKey> {
        let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let upto = cursor.map_or(Bound::Unbounded, Bound::Included);
        let behind = self.queues.range((after, Bound::Unbounded));
        let before = cursor.map(|_| self.queues.range((Bound::Unbounded, upto))).into_iter().flatten();
        behind
            .chain(before)
            .find(|(key, queue)| key.kind == kind && queue.front().is_some_and(&accepts))
            .map(|(key, _)| key.clone())
    }
}
