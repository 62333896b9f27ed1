//! Items that wait for a worker with room: a queue for each (kind, hub, name, version), so that an item which
//! nobody accepts blocks no other, and a cursor for each stream, so that every queue gets its turn.
//!
//! A stream looks only where its items can be (its *scope*): else the backlog of a thousand names that nobody
//! serves would be looked through for every item that somebody does (40 to 65 µs each, measured).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::{ItemSpec, Kind, RESERVED_PREFIX};
use crate::ids::Hub;

/// What the items of one queue have in common: all that filters look at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct QueueKey {
    reserved: bool,
    kind: Kind,
    hub: Hub,
    name: Arc<str>,
    version: Option<Arc<str>>,
}

impl QueueKey {
    pub(super) fn of(spec: &ItemSpec) -> QueueKey {
        QueueKey {
            reserved: spec.name.starts_with(RESERVED_PREFIX),
            kind: spec.id.kind(),
            hub: spec.hub.clone(),
            name: spec.name.clone(),
            version: spec.version.clone(),
        }
    }
}

/// The queues of one kind that a stream may take from, as far as the order of the keys can tell: from each of
/// these keys on, those that are like it.
#[derive(Debug)]
pub(super) struct Scope {
    starts: Vec<QueueKey>,
    like: Like,
}

/// So many places in a scope at most, if its hubs do not have more.
const STARTS_MAX: usize = 1_000;

/// How much of a start's key all keys of its part of the scope have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Like {
    Kind,
    Hub,
    Name,
}

impl Scope {
    /// Of a stream for this kind, which serves these hubs (absent: all) and takes these names (absent: all).
    pub(super) fn new(reserved: bool, kind: Kind, hubs: Option<&[Hub]>, names: Option<Vec<&str>>) -> Scope {
        let start = |hub: Hub, name: &str| QueueKey { reserved, kind, hub, name: name.into(), version: None };
        let (starts, like) = match (hubs, names) {
            (None, _) => (vec![start(Hub::new(""), "")], Like::Kind),
            (Some(hubs), None) => (hubs.iter().map(|hub| start(hub.clone(), "")).collect(), Like::Hub),
            // More places to look at than there are queues, as a rule: who takes what is asked of each queue instead.
            (Some(hubs), Some(names)) if hubs.len() * names.len() > STARTS_MAX => {
                (hubs.iter().map(|hub| start(hub.clone(), "")).collect(), Like::Hub)
            }
            (Some(hubs), Some(names)) => {
                let of_hub = |hub: &Hub| names.iter().map(|name| start(hub.clone(), name)).collect::<Vec<_>>();
                (hubs.iter().flat_map(of_hub).collect(), Like::Name)
            }
        };
        Scope { starts, like }
    }

    fn holds(&self, start: &QueueKey, key: &QueueKey) -> bool {
        (start.reserved, start.kind) == (key.reserved, key.kind)
            && (self.like == Like::Kind || start.hub == key.hub)
            && (self.like != Like::Name || start.name == key.name)
    }
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: BTreeMap<QueueKey, VecDeque<ItemSpec>>,
    /// All their items together.
    length: usize,
    /// Items were taken out that no stream took.
    thinned: bool,
}

impl Queues {
    pub(super) fn len_of(&self, kind: Kind) -> usize {
        self.queues.iter().filter(|(key, _)| key.kind == kind).map(|(_, queue)| queue.len()).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, spec: ItemSpec) {
        self.length += 1;
        self.queues.entry(QueueKey::of(&spec)).or_default().push_back(spec);
    }

    /// The first item of the next accepted queue after the cursor, which moves there.
    pub(super) fn pop(
        &mut self,
        scope: &Scope,
        cursor: &mut Option<QueueKey>,
        accepts: impl Fn(&ItemSpec) -> bool,
    ) -> Option<ItemSpec> {
        let key = self.next_key(scope, cursor.as_ref(), accepts)?;
        let queue = self.queues.get_mut(&key)?;
        let spec = queue.pop_front()?;
        self.length -= 1;
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        *cursor = Some(key);
        Some(spec)
    }

    /// The first item of each queue.
    pub(super) fn fronts(&self) -> impl Iterator<Item = &ItemSpec> {
        self.queues.values().filter_map(VecDeque::front)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&ItemSpec) -> bool) {
        let before = std::mem::take(&mut self.length);
        self.queues.retain(|_, queue| {
            queue.retain(&mut keep);
            self.length += queue.len();
            !queue.is_empty()
        });
        self.thinned |= self.length < before;
    }

    /// Whether, since it was last asked, items were taken out that no stream took.
    pub(super) fn were_thinned(&mut self) -> bool {
        std::mem::take(&mut self.thinned)
    }

    /// The next key in the scope that is accepted: after the cursor, or else from the beginning.
    fn next_key(
        &self,
        scope: &Scope,
        cursor: Option<&QueueKey>,
        accepts: impl Fn(&ItemSpec) -> bool,
    ) -> Option<QueueKey> {
        if self.queues.is_empty() {
            return None;
        }
        if self.queues.len() < scope.starts.len() {
            return self.next_of_all(scope, cursor, accepts);
        }
        let first = |start: &QueueKey, from: Bound<&QueueKey>, upto: Bound<&QueueKey>| {
            let queues = self.queues.range::<QueueKey, _>((from, upto));
            let mut like = queues.take_while(|(key, _)| scope.holds(start, key));
            like.find(|(_, queue)| queue.front().is_some_and(&accepts)).map(|(key, _)| key)
        };
        let candidates = scope.starts.iter().filter_map(|start| match cursor.filter(|cursor| *cursor >= start) {
            None => first(start, Bound::Included(start), Bound::Unbounded).map(|key| (false, key)),
            Some(cursor) => first(start, Bound::Excluded(cursor), Bound::Unbounded)
                .map(|key| (false, key))
                .or_else(|| first(start, Bound::Included(start), Bound::Included(cursor)).map(|key| (true, key))),
        });
        candidates.min().map(|(_, key)| key.clone())
    }

    /// The same, looking at every queue: there are fewer of them than places in the scope.
    fn next_of_all(
        &self,
        scope: &Scope,
        cursor: Option<&QueueKey>,
        accepts: impl Fn(&ItemSpec) -> bool,
    ) -> Option<QueueKey> {
        let kind = scope.starts.first().map(|start| (start.reserved, start.kind))?;
        let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let upto = cursor.map(|cursor| (Bound::Unbounded, Bound::Included(cursor)));
        let before = upto.map(|range| self.queues.range::<QueueKey, _>(range)).into_iter().flatten();
        let mut round = self.queues.range::<QueueKey, _>((after, Bound::Unbounded)).chain(before);
        let next = round.find(|(key, queue)| (key.reserved, key.kind) == kind && queue.front().is_some_and(&accepts));
        next.map(|(key, _)| key.clone())
    }
}
