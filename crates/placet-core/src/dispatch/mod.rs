//! The dispatch machine: who gets which work item, within which limits, and when it goes to somebody else.
//!
//! It knows items by name only; what a turn consists of is decided by the partition at the moment when the
//! item is handed out. Streams are a worker's connections; an item is *held* from its delivery to its
//! completion, and comes back when its stream breaks or its lease runs out.

mod look;
mod queues;
mod redelivery;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::ids::{Hub, Iid, PartitionId, Seq, StreamId};
use crate::limits::{self, Limits};
use crate::reach::{Corner, reach};
use crate::tally::DeliveriesByKind;
use crate::time::Mono;
pub(crate) use look::Look;
pub use look::Stage;
use queues::{QueueKey, Queues};
use redelivery::Redelivery;
use stream::{Bounds, Place, Stream};
pub use stream::{Filter, Filters, HubSet, StreamLoad, StreamSpec};

/// Names that begin so are the built-in worker's (DESIGN.md §1).
pub const RESERVED_PREFIX: &str = "placet.";

/// The event that a reserved orchestration is sent when its parent, which waited for it, does so no more: it has ended, otherwise than
/// by a termination, or begun anew. Its payload is the parent's id as JSON. Nobody but the scheduler can send it one whose name begins so.
pub const PARENT_ENDED_EVENT: &str = "placet.parent-ended";

/// The proof on what the scheduler itself tells.
pub(crate) const BY_SCHEDULER: &str = "scheduler";

/// The tag by which a built-in orchestration knows that its input is what its last generation handed over: only the core sets it.
pub const CONTINUED_TAG: &str = "placet.continued";

/// A work item's name within the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ItemId {
    /// An instance's next turn.
    Turn(PartitionId, Iid),
    /// A scheduled activity.
    Activity(PartitionId, Iid, Seq),
}

impl ItemId {
    /// An instance's activity, or its next turn.
    pub fn of(partition: PartitionId, iid: Iid, seq: Option<Seq>) -> ItemId {
        seq.map_or(ItemId::Turn(partition, iid), |seq| ItemId::Activity(partition, iid, seq))
    }

    /// Where its instance lives.
    pub fn partition(self) -> PartitionId {
        match self {
            ItemId::Turn(partition, _) | ItemId::Activity(partition, _, _) => partition,
        }
    }

    /// Its instance.
    pub fn iid(self) -> Iid {
        match self {
            ItemId::Turn(_, iid) | ItemId::Activity(_, iid, _) => iid,
        }
    }

    /// Which activity it is, if it is one.
    pub fn seq(self) -> Option<Seq> {
        match self {
            ItemId::Turn(..) => None,
            ItemId::Activity(_, _, seq) => Some(seq),
        }
    }

    fn kind(self) -> Kind {
        match self {
            ItemId::Turn(..) => Kind::Turn,
            ItemId::Activity(..) => Kind::Activity,
        }
    }
}

/// The kinds of work, each with a limit of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Orchestrator turns.
    Turn,
    /// Activities.
    Activity,
}

/// A work item, with what decides who may have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ItemSpec {
    /// Which item.
    pub id: ItemId,
    /// Its hub.
    pub hub: Hub,
    /// The orchestration's or activity's name.
    pub name: Arc<str>,
    /// Its version; for an activity without one of its own, its orchestration's (PROTOCOL.md §7.4).
    pub version: Option<Arc<str>>,
    /// The stream that completed the previous turn and keeps its state.
    pub sticky: Option<StreamId>,
    /// About how many bytes it has.
    pub bytes: usize,
    /// … and how many more for a worker that does not keep its state: the history.
    pub past: usize,
    /// A termination is among the turn's messages: if nobody can take it, the server ends the instance.
    pub terminating: bool,
}

impl ItemSpec {
    /// About how many bytes this stream would be sent.
    pub(crate) fn bytes_for(&self, stream: StreamId) -> usize {
        let past = if self.sticky == Some(stream) { 0 } else { self.past };
        self.bytes.saturating_add(past)
    }
}

/// An item that has just been given to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Which item.
    pub item: ItemId,
    /// To whom.
    pub stream: StreamId,
}

/// What became of a stream's items when it closed, or of items whose time ran out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Returned {
    /// Turns that are out no longer: their partition must take them back. They are queued again by it.
    pub turns: Vec<ItemId>,
    /// Items that were delivered too often, to be set aside.
    pub poisoned: Vec<ItemId>,
    /// Items that are too long for the workers that they were sent, and how many bytes they have: to be failed.
    pub too_long: Vec<(ItemId, usize)>,
    /// Open streams that have room again. Follow with [`Dispatch::pull`].
    pub freed: Vec<StreamId>,
}

/// An item that a stream holds.
#[derive(Debug)]
struct Held {
    by: Holder,
    spec: ItemSpec,
    /// What was reserved of the stream's unread bytes until it is sent.
    reserved: usize,
    /// Bytes that its worker was sent.
    sent: usize,
    /// Since when.
    since: Mono,
    /// The name of the worker that had it when its stream closed, for people.
    lost_by: Option<Box<str>>,
}

/// Who holds an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Stream(StreamId),
    /// A worker whose stream is gone. Until then it may finish by a unary call.
    Grace(Mono),
}

/// Whether some stream may take an item, for many items: those that are alike are looked for once.
#[derive(Debug)]
pub struct Takers<'a> {
    dispatch: &'a Dispatch,
    known: BTreeMap<QueueKey, bool>,
}

impl Takers<'_> {
    /// See [`Dispatch::has_taker`].
    pub fn has(&mut self, spec: &ItemSpec) -> bool {
        *self.known.entry(QueueKey::of(spec)).or_insert_with(|| self.dispatch.has_taker(spec))
    }
}

/// The machine.
#[derive(Debug, Default)]
pub struct Dispatch {
    limits: Limits,
    streams: BTreeMap<StreamId, Stream>,
    queues: Queues,
    held: HashMap<ItemId, Held, FxBuildHasher>,
    redelivery: Redelivery,
    /// Bytes that the streams were sent and have not read.
    unread: usize,
    /// About how many bytes the turns have that workers hold.
    turns_out: usize,
    /// An item turned out shorter than what was reserved for it.
    shrunk: bool,
    /// No stream is to be pinged before then; absent: there is none.
    pings_from: Option<Mono>,
    /// The stream that was given something last.
    served: Option<StreamId>,
    deliveries: DeliveriesByKind,
}

impl Dispatch {
    /// One that has given out nothing yet.
    pub fn new(limits: Limits) -> Dispatch {
        Dispatch { limits, ..Dispatch::default() }
    }

    /// A worker's stream opened. Follow with [`Dispatch::pull`].
    pub fn open(&mut self, now: Mono, id: StreamId, spec: StreamSpec) {
        let stream = Stream::new(spec, now);
        let due = stream.ping_due();
        self.pings_from = Some(self.pings_from.map_or(due, |from| from.min(due)));
        self.streams.insert(id, stream);
        self.redelivery.hurry(now);
    }

    /// The stream's specification, as long as it is open.
    pub fn stream(&self, id: StreamId) -> Option<&StreamSpec> {
        self.streams.get(&id).map(|stream| &stream.spec)
    }

    /// An item goes out: so many bytes are to be read.
    pub fn sent(&mut self, id: StreamId, item: ItemId, bytes: usize) {
        let reserved = self.held.get_mut(&item).map_or(0, |held| {
            held.sent = bytes;
            std::mem::take(&mut held.reserved)
        });
        self.shrunk |= bytes < reserved;
        if let Some(stream) = self.streams.get_mut(&id) {
            let before = stream.unread;
            stream.unread = before.saturating_sub(reserved) + bytes;
            self.unread = self.unread - before + stream.unread;
        }
    }

    /// A stream's worker has read so many bytes. Follow with [`Dispatch::pull`].
    pub fn read(&mut self, id: StreamId, bytes: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let read = bytes.min(stream.unread);
            stream.unread -= read;
            self.unread -= read;
        }
    }

    /// About how many bytes the turns have that workers hold: their instances cannot leave memory.
    pub fn held_turn_bytes(&self) -> usize {
        self.turns_out
    }

    /// Whether workers hold so many bytes of turns that none gets a long one.
    pub fn has_many_turns_out(&self) -> bool {
        self.turns_out >= self.limits.turns_out_bytes
    }

    /// Whether all streams together have so much to read that each is sent something only once it has read, and nothing
    /// long.
    pub fn is_crowded(&self) -> bool {
        self.unread >= self.limits.unread_bytes
    }

    /// How many bytes the streams were sent and have not read.
    pub fn unread_bytes(&self) -> usize {
        self.unread
    }

    /// How many streams are open.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// The workers that serve a hub.
    pub fn workers(&self, hub: &Hub) -> Vec<StreamLoad> {
        let serving = self.streams.values().filter(|stream| stream.accepts.hub(hub) && !stream.spec.built_in);
        serving.map(Stream::to_load).collect()
    }

    /// How many items of a kind are queued, delayed ones included.
    pub fn backlog(&self, kind: Kind) -> usize {
        self.queues.len_of(kind) + self.redelivery.delayed_count(kind)
    }

    /// How many items were given to workers.
    pub fn deliveries(&self) -> DeliveriesByKind {
        self.deliveries
    }

    /// How many items are with workers.
    pub fn held_count(&self) -> usize {
        self.held.len()
    }

    /// The same, and when the last one of them was given to one.
    pub fn held_since(&self) -> (usize, Option<Mono>) {
        (self.held.len(), self.held.values().map(|held| held.since).max())
    }

    /// An item is ready. It is given to a stream at once if one has room, else it waits.
    pub fn enqueue(&mut self, now: Mono, spec: ItemSpec) -> Option<Assignment> {
        if self.held.contains_key(&spec.id) {
            reach(Corner::ReadyThoughHeld);
            return None; // still with a worker: a partition that was reloaded found it pending
        }
        let Some(stream) = self.stream_for(&spec) else {
            self.queues.push(spec);
            return None;
        };
        Some(self.assign(now, stream, spec))
    }

    /// An item is ready, and nothing is handed out for now: it waits.
    pub fn queue(&mut self, spec: ItemSpec) {
        if !self.held.contains_key(&spec.id) {
            self.queues.push(spec);
        }
    }

    /// The open streams, beginning with the one after that which was given something last.
    pub fn streams_in_turn(&self) -> Vec<StreamId> {
        let (before, after): (Vec<_>, Vec<_>) = self.streams.keys().partition(|id| Some(**id) <= self.served);
        after.into_iter().chain(before).copied().collect()
    }

    /// Gives a stream what it has room for.
    pub fn pull(&mut self, now: Mono, id: StreamId) -> Vec<Assignment> {
        let mut assigned = Vec::new();
        for kind in [Kind::Turn, Kind::Activity] {
            while let Some(spec) = self.next_for(id, kind) {
                assigned.push(self.assign(now, id, spec));
            }
        }
        assigned
    }

    /// An item was completed, or turned out to be void when it was to be handed out: its stream, which has
    /// room again.
    pub fn finished(&mut self, item: ItemId) -> Option<StreamId> {
        self.redelivery.forget(item);
        self.release(item)
    }

    /// An item was to be handed out, and its instance is not in memory: it is offered when that comes back. What was counted
    /// of it stays.
    pub fn left_memory(&mut self, item: ItemId) {
        self.release(item);
    }

    /// A worker gives an item back: it comes again after a delay that grows. A turn must be taken back by its
    /// partition, and delayed with [`Dispatch::delay`]. Tells whether somebody held it, and the stream that has
    /// room again.
    pub fn abandoned(&mut self, now: Mono, item: ItemId) -> (bool, Option<StreamId>) {
        let Some(held) = self.held.remove(&item) else { return (false, None) };
        if let Holder::Stream(by) = held.by {
            self.redelivery.given_back(item, by);
        }
        let stream = self.free_slot(&held);
        if item.kind() == Kind::Activity {
            self.redelivery.delay(now, held.spec);
        }
        (true, stream)
    }

    /// Queues a turn that was abandoned and that its partition has taken back.
    pub fn delay(&mut self, now: Mono, spec: ItemSpec) {
        self.redelivery.delay(now, spec);
    }

    /// A turn whose delivery failed and that its partition has taken back: handed back, to be offered at once,
    /// if that was the first failure; later it comes again after a delay that grows, so that a turn which
    /// crashes its workers does not take down all of them in a moment.
    pub fn failed_before(&mut self, now: Mono, spec: ItemSpec) -> Option<ItemSpec> {
        if self.redelivery.failures(spec.id) <= 1 {
            return Some(spec);
        }
        reach(Corner::FailedAgain);
        self.redelivery.delay_failed(now, spec);
        None
    }

    /// An item whose instance came back into memory: handed back, to be offered at once, unless its delay is not over.
    pub fn found_again(&mut self, now: Mono, spec: ItemSpec) -> Option<ItemSpec> {
        if self.held.contains_key(&spec.id) { Some(spec) } else { self.redelivery.delay_on(now, spec) }
    }

    /// A stream closed. `drained`: by a worker that stopped in good order, or by our own stop, so that the
    /// deliveries do not count as failed.
    pub fn close(&mut self, now: Mono, id: StreamId, drained: bool) -> Returned {
        let Some(stream) = self.streams.remove(&id) else { return Returned::default() };
        self.unread -= stream.unread;
        self.turns_out -= stream.turn_bytes;
        if self.streams.is_empty() {
            self.pings_from = None;
        }
        let mut returned = Returned::default();
        let takes_all = drained || stream.spec.keeps_state;
        let name = stream.worker_id().map(Box::<str>::from);
        for item in stream.into_items() {
            self.redelivery.end_lease(item);
            let broke_on = if takes_all { None } else { self.may_have_broken_on(now, item) };
            if let Some(bytes) = broke_on
                && self.redelivery.broke(item) >= limits::BREAKS_MAX
            {
                self.held.remove(&item);
                returned.too_long.push((item, bytes));
                continue;
            }
            if !drained && self.redelivery.failed(item) >= limits::DELIVERIES_MAX {
                self.held.remove(&item);
                returned.poisoned.push(item);
                continue;
            }
            match item.kind() {
                Kind::Turn => {
                    self.held.remove(&item);
                    returned.turns.push(item);
                }
                // Its worker never saw it: no result can come.
                Kind::Activity if broke_on.is_some() => {
                    let held = self.held.remove(&item).expect("what a stream holds is held");
                    self.redelivery.delay_failed(now, held.spec);
                }
                Kind::Activity => {
                    let until = self.redelivery.grace(now, item);
                    let held = self.held.get_mut(&item).expect("what a stream holds is held");
                    held.by = Holder::Grace(until);
                    held.lost_by.clone_from(&name);
                }
            }
        }
        returned
    }

    /// How many bytes an item has on which its stream may have broken: a client that cannot take a message ends its call.
    fn may_have_broken_on(&self, now: Mono, item: ItemId) -> Option<usize> {
        let held = self.held.get(&item)?;
        let is_suspect = held.sent > self.limits.client_message_bytes && now <= held.since.after(limits::BREAKS_WITHIN);
        is_suspect.then_some(held.sent)
    }

    /// What is due: leases that ran out (their turns must be taken back), and items whose grace or delay is
    /// over, to be offered again.
    pub fn tick(&mut self, now: Mono) -> (Returned, Vec<ItemSpec>) {
        let mut returned = Returned::default();
        for item in self.redelivery.leases_over(now) {
            if self.redelivery.failed(item) >= limits::DELIVERIES_MAX {
                returned.poisoned.push(item);
            } else {
                returned.turns.push(item);
            }
            reach(Corner::LeaseOver);
            returned.freed.extend(self.release(item));
        }
        let mut again = Vec::new();
        for item in self.redelivery.graces_over(now) {
            // An older grace of an item that was given out again since is none.
            if self.held.get(&item).is_some_and(|held| matches!(held.by, Holder::Grace(until) if until <= now))
                && let Some(held) = self.held.remove(&item)
            {
                reach(Corner::GraceOver);
                self.redelivery.comes_back(now, item);
                again.push(held.spec);
            }
        }
        again.extend(self.redelivery.delays_over(now));
        (returned, again)
    }

    /// Takes the queued turns that would end their instances and that no open stream may take.
    pub fn unserved(&mut self) -> Vec<ItemId> {
        let streams = &self.streams;
        let served = |spec: &ItemSpec| streams.values().any(|stream| stream.accepts.item(spec));
        let mut unserved = Vec::new();
        self.queues.retain(|spec| {
            let stays = !spec.terminating || served(spec);
            if !stays {
                unserved.push(spec.id);
            }
            stays
        });
        unserved
    }

    /// Streams that had nothing for so long that they are to be pinged.
    pub fn pings(&mut self, now: Mono) -> Vec<StreamId> {
        let mut due = Vec::new();
        if self.pings_from.is_none_or(|from| now < from) {
            return due;
        }
        for (id, stream) in &mut self.streams {
            if stream.ping_due() <= now {
                stream.spoken(now);
                due.push(*id);
            }
        }
        self.pings_from = self.streams.values().map(Stream::ping_due).min();
        due
    }

    /// When [`Dispatch::tick`] or [`Dispatch::pings`] may have something to do. A stream that was given
    /// something since puts its ping off, which is found out then: so nobody looks at all of them each time.
    pub fn next_due(&self) -> Option<Mono> {
        [self.redelivery.next_due(), self.pings_from].into_iter().flatten().min()
    }

    /// Whether some open stream may take this item, room or not.
    pub fn has_taker(&self, spec: &ItemSpec) -> bool {
        self.streams.values().any(|stream| stream.accepts.item(spec))
    }

    /// Answers that for many items.
    pub fn takers(&self) -> Takers<'_> {
        Takers { dispatch: self, known: BTreeMap::new() }
    }

    /// How many items wait for a worker with room.
    pub fn queued(&self) -> usize {
        self.queues.len()
    }

    /// Whether, since it was last asked, room may have come that nobody has looked at: items have left the queues that
    /// nobody took, and what stood behind them may be less than what a stream had no room for; or an item turned out shorter
    /// than what was reserved for it, since its instance has changed while it was queued.
    pub fn has_unseen_room(&mut self) -> bool {
        self.queues.were_thinned() | std::mem::take(&mut self.shrunk)
    }

    /// Takes out of the queues what nobody wants any more: an instance that ends leaves its activities there, and a worker
    /// that would find that out may never come.
    pub fn sweep(&mut self, wanted: impl FnMut(&ItemSpec) -> bool) {
        self.queues.retain(wanted);
    }

    /// The stream that holds an item.
    pub fn holder(&self, item: ItemId) -> Option<StreamId> {
        match self.held.get(&item)?.by {
            Holder::Stream(stream) => Some(stream),
            Holder::Grace(_) => None,
        }
    }

    /// That an item is set aside is durable: only now its failures are forgotten, or a failed commit would give it as many
    /// again.
    pub fn is_set_aside(&mut self, item: ItemId) {
        self.redelivery.forget(item);
    }

    /// Takes a hub's items out of the queues: it is deleted.
    pub fn unqueue_hub(&mut self, hub: &Hub) {
        self.queues.retain(|spec| spec.hub != *hub);
    }

    /// Takes the items of instances that leave memory (sorted) out of the queues, and no longer delays them: they are
    /// offered again when their instances come back. What was counted of them stays.
    pub fn unqueue(&mut self, gone: &[(PartitionId, Iid)]) {
        let stays = |item: ItemId| gone.binary_search(&(item.partition(), item.iid())).is_err();
        self.queues.retain(|spec| stays(spec.id));
        self.redelivery.keep_delayed(stays);
    }

    /// Forgets the queued and held turns of a partition that dropped its memory; its activities stay with the
    /// workers that hold them, as their results are good in any epoch. Tells which streams have room again.
    #[must_use = "streams that may be given what waits"]
    pub fn reset(&mut self, partition: PartitionId) -> Vec<StreamId> {
        self.queues.retain(|spec| spec.id.partition() != partition);
        self.redelivery.remove_partition(partition);
        let turns: Vec<ItemId> = self
            .held
            .keys()
            .copied()
            .filter(|item| item.partition() == partition && item.kind() == Kind::Turn)
            .collect();
        turns.into_iter().filter_map(|item| self.release(item)).collect()
    }

    /// What must hold whenever all that arrived was taken: nobody waits for work that waits for him.
    pub fn violated_invariant(&self) -> Option<String> {
        let bounds = self.bounds();
        if self.turns_out != self.streams.values().map(|stream| stream.turn_bytes).sum::<usize>() {
            return Some(format!("{} bytes of turns are out by the sum", self.turns_out));
        }
        self.queues.fronts().find_map(|spec| {
            let waits = !self.held.contains_key(&spec.id);
            let fits = |id: StreamId, stream: &Stream| {
                stream.room(spec.id.kind(), &bounds) && stream.accepts.item(spec) && bounds.admit(spec, id)
            };
            let (idle, _) = self.streams.iter().find(|(id, stream)| waits && fits(**id, stream))?;
            Some(format!("{:?} waits, and stream {idle} has room for it", spec.id))
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds::new(&self.limits, self.is_crowded(), self.has_many_turns_out())
    }

    /// The stream that an item goes to: the one that keeps its state if it has room, else the least busy one.
    fn stream_for(&self, spec: &ItemSpec) -> Option<StreamId> {
        let kind = spec.id.kind();
        let bounds = self.bounds();
        let fits = |id: StreamId, stream: &Stream| {
            stream.room(kind, &bounds) && stream.accepts.item(spec) && bounds.admit(spec, id)
        };
        if let Some(sticky) = spec.sticky {
            if self.streams.get(&sticky).is_some_and(|stream| fits(sticky, stream)) {
                return Some(sticky);
            }
            if self.streams.contains_key(&sticky) {
                reach(Corner::StickyHadNoRoom);
            }
        }
        let unwilling = self.redelivery.given_back_by(spec.id);
        let mut best: Option<((bool, usize), StreamId)> = None;
        for (id, stream) in &self.streams {
            let rank = (unwilling == Some(*id), stream.load(kind));
            // Asked last, as filters may be long.
            if best.is_none_or(|(least, _)| rank < least) && fits(*id, stream) {
                best = Some((rank, *id));
                if rank == (false, 0) {
                    break;
                }
            }
        }
        best.map(|(_, id)| id)
    }

    fn next_for(&mut self, id: StreamId, kind: Kind) -> Option<ItemSpec> {
        let bounds = self.bounds();
        let stream = self.streams.get_mut(&id)?;
        if !stream.room(kind, &bounds) {
            return None;
        }
        let Stream { accepts, places, .. } = stream;
        let Place { scope, cursor } = places.of(kind);
        loop {
            let item = self.queues.pop(scope, cursor, |item| accepts.item(item) && bounds.admit(item, id))?;
            // An instance that left memory and came back offered its work again.
            if !self.held.contains_key(&item.id) {
                return Some(item);
            }
        }
    }

    fn assign(&mut self, now: Mono, id: StreamId, spec: ItemSpec) -> Assignment {
        let item = spec.id;
        let bytes = spec.bytes_for(id);
        let spec = ItemSpec { bytes, past: 0, ..spec };
        let stream = self.streams.get_mut(&id).expect("chosen among the open streams");
        stream.take(item, bytes, now);
        self.served = Some(id);
        self.unread += bytes;
        self.deliveries.add(item.kind(), self.redelivery.was_delivered(item));
        if item.kind() == Kind::Turn {
            self.turns_out += bytes;
            self.redelivery.lease(now, item);
        }
        self.held
            .insert(item, Held { by: Holder::Stream(id), reserved: bytes, sent: 0, since: now, spec, lost_by: None });
        Assignment { item, stream: id }
    }

    fn release(&mut self, item: ItemId) -> Option<StreamId> {
        let held = self.held.remove(&item)?;
        self.free_slot(&held)
    }

    fn free_slot(&mut self, held: &Held) -> Option<StreamId> {
        self.redelivery.end_lease(held.spec.id);
        let Holder::Stream(id) = held.by else { return None };
        self.streams.get_mut(&id)?.give_back(held.spec.id, held.spec.bytes);
        if held.spec.id.kind() == Kind::Turn {
            self.turns_out -= held.spec.bytes;
        }
        self.read(id, held.reserved);
        Some(id)
    }
}
