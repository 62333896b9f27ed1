//! A worker's stream: what it may be given, and what it holds.

use std::collections::{BTreeMap, BTreeSet};

use super::queues::{QueueKey, Scope};
use super::{ItemId, ItemSpec, Kind, RESERVED_PREFIX};
use crate::command::Refusal;
use crate::ids::Hub;
use crate::ids::StreamId;
use crate::limits::{self, Limits};
use crate::reach::{Corner, reach};
use crate::time::Mono;

/// Which hubs a stream serves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum HubSet {
    /// Every hub of the store.
    #[default]
    All,
    /// These.
    Of(Vec<Hub>),
}

/// Which names (and versions of them) a worker takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The exact name.
    pub name: String,
    /// The versions, "" for none; empty: any.
    pub versions: Vec<String>,
}

/// A worker's filters. Where there are any, a kind with an empty list gets nothing (PROTOCOL.md §7.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filters {
    /// The orchestrations it takes.
    pub orchestrations: Vec<Filter>,
    /// The activities it takes.
    pub activities: Vec<Filter>,
}

/// What a worker says of itself when it opens its stream; by default, that it takes all but what is reserved, as many items
/// as anyone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamSpec {
    /// What it calls itself; for people only.
    pub worker_id: String,
    /// Its hubs.
    pub hubs: HubSet,
    /// Whether it is the built-in worker: it alone gets what is named `placet.*`, and nothing else.
    pub built_in: bool,
    /// How many turns it takes at once; 0: no stated limit.
    pub turns_max: usize,
    /// How many activities it takes at once; 0: no stated limit.
    pub activities_max: usize,
    /// What it takes; absent: everything.
    pub filters: Option<Filters>,
    /// Whether it keeps live state between turns.
    pub keeps_state: bool,
    /// Whether it reads a long history by a call of its own (`WORKER_CAPABILITY_HISTORY_STREAMING`).
    pub streams_history: bool,
}

/// What a worker has now, and may have.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "they are those of `StreamSpec`, and how many of them it has")]
pub struct StreamLoad {
    pub worker_id: String,
    pub turns: usize,
    pub turns_max: usize,
    pub activities: usize,
    pub activities_max: usize,
    pub filters: Option<Filters>,
}

impl StreamSpec {
    /// Whether it names no more than is looked through for every item.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`], naming the field.
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |what: String| Err(Refusal::InvalidArgument(what));
        if let HubSet::Of(hubs) = &self.hubs
            && hubs.len() > limits::STREAM_HUBS_MAX
        {
            let most = limits::STREAM_HUBS_MAX;
            return refuse(format!("hubs: {} of them, {most} at most; \"*\" stands for all", hubs.len()));
        }
        for (kind, field) in [(Kind::Turn, "orchestrations"), (Kind::Activity, "activities")] {
            let filters = self.filters.as_ref().map_or(&[][..], |filters| filters.of(kind));
            let many: usize = filters.iter().map(|filter| 1 + filter.versions.len()).sum();
            if many > limits::STREAM_FILTERS_MAX {
                let most = limits::STREAM_FILTERS_MAX;
                return refuse(format!(
                    "workItemFilters.{field}: {many} names and versions, {most} at most; without filters a worker gets everything"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn limit(&self, kind: Kind) -> usize {
        let stated = match kind {
            Kind::Turn => self.turns_max,
            Kind::Activity => self.activities_max,
        };
        if stated == 0 { limits::STREAM_ITEMS_DEFAULT } else { stated }
    }
}

impl Filters {
    fn of(&self, kind: Kind) -> &[Filter] {
        match kind {
            Kind::Turn => &self.orchestrations,
            Kind::Activity => &self.activities,
        }
    }
}

/// What a stream takes, so that it is quickly found whether an item is of it: every item that waits is compared.
#[derive(Debug)]
pub(super) struct Accepts {
    built_in: bool,
    /// Absent: all.
    hubs: Option<BTreeSet<Hub>>,
    /// Absent: everything. Turns and activities, by their names, with their versions; no versions: any.
    filters: Option<[BTreeMap<String, BTreeSet<String>>; 2]>,
}

impl Accepts {
    pub(super) fn of(spec: &StreamSpec) -> Accepts {
        let hubs = match &spec.hubs {
            HubSet::All => None,
            HubSet::Of(hubs) => Some(hubs.iter().cloned().collect()),
        };
        let filters =
            spec.filters.as_ref().map(|filters| [Kind::Turn, Kind::Activity].map(|kind| by_name(filters.of(kind))));
        Accepts { built_in: spec.built_in, hubs, filters }
    }

    /// Whether it serves this hub.
    pub(super) fn hub(&self, hub: &Hub) -> bool {
        self.hubs.as_ref().is_none_or(|hubs| hubs.contains(hub))
    }

    /// Whether it is the kind of worker for an item, and serves its hub.
    pub(super) fn serves(&self, item: &ItemSpec) -> bool {
        self.built_in == item.name.starts_with(RESERVED_PREFIX) && self.hub(&item.hub)
    }

    /// The versions at which it takes what has an item's name; none if it takes nothing of that name, and no set if any.
    pub(super) fn versions(&self, item: &ItemSpec) -> Option<Option<&BTreeSet<String>>> {
        let Some(filters) = &self.filters else { return Some(None) };
        let versions = filters[item.id.kind() as usize].get(&*item.name)?;
        Some(Some(versions).filter(|versions| !versions.is_empty()))
    }

    /// Whether an item may go to it, room or not.
    pub(super) fn item(&self, item: &ItemSpec) -> bool {
        self.serves(item)
            && self.filters.as_ref().is_none_or(|filters| {
                let versions = filters[item.id.kind() as usize].get(&*item.name);
                let version = item.version.as_deref().unwrap_or("");
                versions.is_some_and(|versions| versions.is_empty() || versions.contains(version))
            })
    }
}

/// Of a name that stands twice, both say what is taken; one of them without versions takes any.
fn by_name(filters: &[Filter]) -> BTreeMap<String, BTreeSet<String>> {
    let any: BTreeSet<&str> = filters.iter().filter(|f| f.versions.is_empty()).map(|f| f.name.as_str()).collect();
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for filter in filters {
        let versions = named.entry(filter.name.clone()).or_default();
        if !any.contains(filter.name.as_str()) {
            versions.extend(filter.versions.iter().cloned());
        }
    }
    named
}

/// Where a stream stands among the queues of one kind.
#[derive(Debug)]
pub(super) struct Place {
    /// Where its items can be.
    pub(super) scope: Scope,
    /// From where it goes on, so that each queue gets its turn.
    pub(super) cursor: Option<QueueKey>,
}

impl Place {
    fn new(spec: &StreamSpec, kind: Kind) -> Place {
        let hubs = match &spec.hubs {
            HubSet::All => None,
            HubSet::Of(hubs) => Some(hubs.as_slice()),
        };
        let names = spec.filters.as_ref().map(|filters| filters.of(kind).iter().map(|f| f.name.as_str()).collect());
        Place { scope: Scope::new(spec.built_in, kind, hubs, names), cursor: None }
    }
}

/// Its places, for each kind.
#[derive(Debug)]
pub(super) struct Places {
    turn: Place,
    activity: Place,
}

impl Places {
    pub(super) fn of(&mut self, kind: Kind) -> &mut Place {
        match kind {
            Kind::Turn => &mut self.turn,
            Kind::Activity => &mut self.activity,
        }
    }
}

/// What a stream may be given, as far as all streams together decide it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// What a stream may have to read, and what turns it may have to answer, before it gets another item.
    stream_unread: usize,
    stream_turns: usize,
    /// Longer items wait, and longer turns.
    item: usize,
    turn: usize,
}

impl Bounds {
    /// `crowded`: they were sent so much that whoever has much to read must read it first. `many_turns`: they have so
    /// many turns that what is long waits for their answers.
    pub(super) fn new(limits: &Limits, crowded: bool, many_turns: bool) -> Bounds {
        let unless = |full: bool| if full { limits::SMALL_ITEM_BYTES.min(limits.unread_bytes / 8) } else { usize::MAX };
        let read = limits.stream_unread_bytes;
        Bounds {
            stream_unread: if crowded { limits::STREAM_READ_STEP.min(read / 8).max(1) } else { read },
            stream_turns: limits.stream_turn_bytes,
            item: unless(crowded),
            turn: unless(many_turns),
        }
    }

    /// Whether an item would have room in a stream.
    pub(super) fn has_room_for(&self, spec: &ItemSpec, to: StreamId) -> bool {
        let bytes = spec.bytes_for(to);
        bytes <= self.item && (spec.id.kind() == Kind::Activity || bytes <= self.turn)
    }

    /// The same, for an item that goes there if it has.
    pub(super) fn admit(&self, spec: &ItemSpec, to: StreamId) -> bool {
        let bytes = spec.bytes_for(to);
        if bytes > self.item {
            reach(Corner::ItemWaitedForReaders);
        }
        if spec.id.kind() == Kind::Turn && bytes > self.turn {
            reach(Corner::TurnWaitedForAnswers);
        }
        self.has_room_for(spec, to)
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) spec: StreamSpec,
    pub(super) accepts: Accepts,
    pub(super) places: Places,
    turns: BTreeSet<ItemId>,
    activities: BTreeSet<ItemId>,
    /// Bytes that it was sent and has not read.
    pub(super) unread: usize,
    /// Bytes of the turns that it holds.
    pub(super) turn_bytes: usize,
    spoken_at: Mono,
}

impl Stream {
    pub(super) fn new(spec: StreamSpec, now: Mono) -> Stream {
        let places = Places { turn: Place::new(&spec, Kind::Turn), activity: Place::new(&spec, Kind::Activity) };
        let (turns, activities) = (BTreeSet::new(), BTreeSet::new());
        Stream {
            accepts: Accepts::of(&spec),
            spec,
            places,
            turns,
            activities,
            unread: 0,
            turn_bytes: 0,
            spoken_at: now,
        }
    }

    /// What its worker calls itself, if it does.
    pub(super) fn worker_id(&self) -> Option<&str> {
        Some(self.spec.worker_id.as_str()).filter(|id| !id.is_empty())
    }

    /// Whether it has fewer items of a kind than its worker takes.
    pub(super) fn has_place(&self, kind: Kind) -> bool {
        self.load(kind) < self.spec.limit(kind)
    }

    /// Whether it takes another item.
    pub(super) fn room(&self, kind: Kind, bounds: &Bounds) -> bool {
        self.has_place(kind)
            && self.unread < bounds.stream_unread
            && (kind == Kind::Activity || self.turn_bytes < bounds.stream_turns)
    }

    pub(super) fn load(&self, kind: Kind) -> usize {
        match kind {
            Kind::Turn => self.turns.len(),
            Kind::Activity => self.activities.len(),
        }
    }

    pub(super) fn to_load(&self) -> StreamLoad {
        StreamLoad {
            worker_id: self.spec.worker_id.clone(),
            turns: self.load(Kind::Turn),
            turns_max: self.spec.limit(Kind::Turn),
            activities: self.load(Kind::Activity),
            activities_max: self.spec.limit(Kind::Activity),
            filters: self.spec.filters.clone(),
        }
    }

    pub(super) fn take(&mut self, item: ItemId, bytes: usize, now: Mono) {
        self.spoken_at = now;
        self.unread += bytes;
        if item.kind() == Kind::Turn {
            self.turn_bytes += bytes;
        }
        self.items(item.kind()).insert(item);
    }

    pub(super) fn give_back(&mut self, item: ItemId, bytes: usize) {
        if item.kind() == Kind::Turn {
            self.turn_bytes -= bytes;
        }
        self.items(item.kind()).remove(&item);
    }

    pub(super) fn into_items(self) -> impl Iterator<Item = ItemId> {
        self.turns.into_iter().chain(self.activities)
    }

    pub(super) fn ping_due(&self) -> Mono {
        self.spoken_at.after(limits::PING_EVERY)
    }

    pub(super) fn spoken(&mut self, now: Mono) {
        self.spoken_at = now;
    }

    fn items(&mut self, kind: Kind) -> &mut BTreeSet<ItemId> {
        match kind {
            Kind::Turn => &mut self.turns,
            Kind::Activity => &mut self.activities,
        }
    }
}
