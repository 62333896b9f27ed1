//! The partition machine: what a command means. It is the single writer of its instances.
//!
//! It holds hot instances only. A command for a cold one waits for a load; then it is decided, at once and
//! whole, from what is in memory. What each command does stands in `commands/`.

mod departures;
mod instance;
mod load;
mod pieces;
mod records;
mod turn;
mod underway;
mod view;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::command::{Ask, Command, CommandKind, Refusal, Reply, WaitFor};
use crate::dispatch::{ItemId, ItemSpec, Takers};
use crate::ids::{CallId, Epoch, Hub, Iid, InstanceKey, PartitionId};
use crate::limits::Limits;
use crate::outcome::{Effect, Outcome};
use crate::reach::{Corner, reach};
use crate::rows::Lookup;
use crate::time::{Mono, Now};
use crate::token::Token;
use crate::why::ChildWait;
use departures::{Asked, Departures};
pub use instance::Damage;
pub(crate) use instance::{
    Ended, Instance, Known, Message, Outbound, activity_bytes, kept, message_bytes, reply_bytes,
};
pub(crate) use records::{Records, Standing};
pub use turn::{Begun, TurnStart};
pub(crate) use underway::Underway;
pub use view::view_of_row;

pub(crate) type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// A call that waits for an instance to start or end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) call: CallId,
    pub(crate) what: WaitFor,
}

/// A call that waits for an ask to be consumed.
#[derive(Debug, Clone)]
pub(crate) struct AskWaiter {
    pub(crate) key: InstanceKey,
    pub(crate) call: CallId,
    pub(crate) ask: Arc<Ask>,
    /// Until when it waits.
    pub(crate) until: Mono,
}

/// A load under way.
#[derive(Debug)]
pub(crate) struct Loading {
    asked: Asked,
    /// What waits for it: nothing if its hub was deleted meanwhile.
    commands: Vec<Command>,
    /// An instance with work that recovery found meanwhile, and left to this load.
    left: Option<Iid>,
}

/// One partition.
#[derive(Debug)]
pub struct Partition {
    pub(crate) id: PartitionId,
    pub(crate) limits: Limits,
    pub(crate) epoch: Epoch,
    pub(crate) instances: Map<Iid, Instance>,
    pub(crate) keys: Map<InstanceKey, Iid>,
    /// Loads under way, and the commands that wait for them.
    pub(crate) loading: Map<Lookup, Loading>,
    /// Decisions whose rows are being written ahead, and what waits behind them.
    pub(crate) underway: Vec<Underway>,
    /// The page of active instances that the store is asked for.
    pub(crate) page: Option<Asked>,
    /// What left memory while the store was being asked.
    pub(crate) departures: Departures,
    /// Record rows that were decided and are not durable, or are being read.
    pub(crate) records: Records,
    /// Instances whose deletion is not durable yet: the store still has them, and what it says of them is old.
    pub(crate) deleted: Vec<Iid>,
    /// Hubs whose deletion is not durable yet.
    pub(crate) hubs_deleted: Vec<Hub>,
    pub(crate) waiters: Map<InstanceKey, Vec<Waiter>>,
    pub(crate) ask_waiters: Map<Iid, Vec<AskWaiter>>,
    /// Calls that delete instances which have yet to tell others something.
    pub(crate) purgers: Map<InstanceKey, Vec<CallId>>,
    /// Bytes of history that its instances keep.
    pub(crate) history_cached: usize,
    /// Bytes of its instances, but for their history.
    pub(crate) hot_bytes: usize,
    /// Counts the deliveries of turns in this epoch, so that each has a token of its own, also if its instance
    /// left memory and came back.
    pub(crate) deliveries: u32,
}

impl Partition {
    /// A partition that knows nothing yet.
    pub fn new(id: PartitionId, epoch: Epoch, limits: Limits) -> Partition {
        Partition {
            id,
            limits,
            epoch,
            instances: Map::default(),
            keys: Map::default(),
            loading: Map::default(),
            underway: Vec::new(),
            page: None,
            departures: Departures::default(),
            records: Records::default(),
            deleted: Vec::new(),
            hubs_deleted: Vec::new(),
            waiters: Map::default(),
            ask_waiters: Map::default(),
            purgers: Map::default(),
            history_cached: 0,
            hot_bytes: 0,
            deliveries: 0,
        }
    }

    /// Which one it is.
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// The epoch in which it writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many instances it holds in memory.
    pub fn hot_count(&self) -> usize {
        self.instances.len()
    }

    /// About how many bytes they take.
    pub fn hot_bytes(&self) -> usize {
        self.hot_bytes
    }

    /// About how many bytes one of them takes.
    pub fn bytes_of(&self, iid: Iid) -> usize {
        self.instances.get(&iid).map_or(0, |instance| instance.counted)
    }

    /// Counts an instance again after something happened to it.
    pub(crate) fn count(&mut self, iid: Iid) {
        let Some(instance) = self.instances.get_mut(&iid) else { return };
        let bytes = instance.bytes();
        self.hot_bytes = self.hot_bytes - instance.counted + bytes;
        instance.counted = bytes;
    }

    /// Whether an instance has work that a worker has, or may take: its turn, or one of its activities. What it has to tell
    /// others needs no worker.
    pub fn is_served(&self, iid: Iid, takers: &mut Takers<'_>) -> bool {
        let Some(instance) = self.instances.get(&iid) else { return false };
        let mut activities = instance.activities.iter().filter(|(_, pending)| !pending.poisoned);
        instance.out.is_some()
            || !instance.outbox.is_empty()
            || (instance.is_ready()
                && !instance.has_too_many_activities(&self.limits)
                && takers.has(&instance.turn_spec(self.id, &self.limits)))
            || activities.any(|(seq, pending)| takers.has(&instance.activity_spec(self.id, *seq, pending)))
    }

    /// Whether what is queued is still to be done. What is not is queued no longer.
    pub fn wants(&mut self, item: ItemId) -> bool {
        let Some(instance) = self.instances.get_mut(&item.iid()) else { return false };
        match item {
            ItemId::Turn(..) => {
                instance.offered = instance.is_ready();
                instance.offered
            }
            ItemId::Activity(_, _, seq) => instance.activities.get(&seq).is_some_and(|pending| !pending.poisoned),
        }
    }

    /// Takes a command: decides it if its instance is in memory, else asks for the instance first.
    pub fn handle(&mut self, now: Now, command: Command, outcome: &mut Outcome) {
        if let Some(at) = self.waits_behind(&command) {
            return self.wait_behind(at, command);
        }
        let hot = match &command.target {
            Lookup::Key(key) => self.keys.get(key).copied(),
            Lookup::Iid(iid) => self.instances.contains_key(iid).then_some(*iid),
        };
        match (hot, &command.target) {
            (Some(iid), _) => self.decide(now, iid, command, outcome),
            (None, Lookup::Iid(iid)) if self.deleted.contains(iid) => self.decide_absent(now, None, command, outcome),
            (None, Lookup::Key(key)) if self.hubs_deleted.contains(&key.hub) => {
                reach(Corner::GoneWithHub);
                self.decide_absent(now, Some(key.clone()), command, outcome);
            }
            (None, _) => self.load_first(command, outcome),
        }
        debug_assert_eq!(self.violated_invariant(), None);
    }

    /// Decides a command whose instance is in memory.
    fn decide(&mut self, now: Now, iid: Iid, command: Command, outcome: &mut Outcome) {
        let call = command.call;
        match command.kind {
            CommandKind::Start(start) => self.start_over(now, iid, *start, call, outcome),
            CommandKind::RaiseEvent(event) => self.raise_event(now, iid, event, call, outcome),
            CommandKind::Terminate(terminate) => self.terminate(now, iid, &terminate, call, outcome),
            CommandKind::Suspend(suspend) => self.suspend(now, iid, suspend, call, outcome),
            CommandKind::End { reason } => self.force_end(now, iid, reason, call, outcome),
            CommandKind::Rewind { reason } => self.rewind(now, iid, reason, call, outcome),
            CommandKind::Purge => self.purge(iid, call, outcome),
            CommandKind::Expire(expiry) => self.expire(now, iid, expiry, call, outcome),
            CommandKind::Wait(what) => self.wait(iid, what, call, outcome),
            CommandKind::Ask(ask) => self.ask(now, iid, ask, call, outcome),
            CommandKind::Hear(tell) => outcome.heard.push((tell, true)),
            CommandKind::Settle => outcome.reply(call, Ok(Reply::Done)),
            CommandKind::FireTimer(timer) => self.fire_timer(now, iid, timer, outcome),
            CommandKind::CompleteTurn(completion) => self.complete_turn(now, iid, *completion, call, outcome),
            CommandKind::CompleteActivity(completion) => self.complete_activity(now, iid, *completion, call, outcome),
            CommandKind::EndActivity(response) => self.end_activity(now, iid, *response, call, outcome),
            CommandKind::RetryPoisoned => self.retry_poisoned(now, iid, call, outcome),
            CommandKind::SetAside(seq) => self.set_aside(now, iid, seq, outcome),
            CommandKind::FailTooLong(seq, bytes) => self.fail_too_long(now, iid, seq, bytes, outcome),
            CommandKind::Why(parent) => self.why(iid, parent, call, outcome),
        }
    }

    /// Decides a command whose instance does not exist.
    fn decide_absent(&mut self, now: Now, key: Option<InstanceKey>, command: Command, outcome: &mut Outcome) {
        let call = command.call;
        match (command.kind, key) {
            (CommandKind::Start(start), Some(key)) => self.create(now, key, *start, call, outcome),
            (CommandKind::Wait(_), _) => outcome.reply(call, Ok(Reply::Instance(None))),
            (CommandKind::Settle | CommandKind::End { .. } | CommandKind::Purge | CommandKind::Expire(_), _) => {
                outcome.reply(call, Ok(Reply::Nothing));
            }
            (CommandKind::CompleteTurn(_) | CommandKind::EndActivity(_), _) => outcome.reply(call, Ok(Reply::Stale)),
            (CommandKind::CompleteActivity(completion), _) => {
                if let Lookup::Iid(iid) = command.target {
                    // Its instance was deleted meanwhile: the worker has room again.
                    outcome.done.push(ItemId::Activity(self.id, iid, completion.seq));
                }
                outcome.reply(call, Ok(Reply::Stale));
            }
            (CommandKind::Hear(tell), _) => outcome.heard.push((tell, false)),
            (
                CommandKind::RaiseEvent(_)
                | CommandKind::Terminate(_)
                | CommandKind::Suspend(_)
                | CommandKind::Rewind { .. }
                | CommandKind::Ask(_)
                | CommandKind::RetryPoisoned
                | CommandKind::Why(None),
                Some(key),
            ) => outcome.reply(call, Err(Refusal::NotFound(key))),
            (CommandKind::Why(Some(parent)), _) => {
                let known = parent.with_child(ChildWait::Absent);
                outcome.reply(call, Ok(Reply::Why(Box::new(known))));
            }
            // A timer, or an item, of an instance that is gone: it was deleted with it.
            (CommandKind::FireTimer(_) | CommandKind::FailTooLong(..), _) => {}
            (CommandKind::SetAside(seq), _) => {
                if let Lookup::Iid(iid) = command.target {
                    outcome.effects.push(Effect::SetAside(ItemId::of(self.id, iid, seq)));
                }
            }
            (
                CommandKind::Start(_)
                | CommandKind::RaiseEvent(_)
                | CommandKind::Terminate(_)
                | CommandKind::Suspend(_)
                | CommandKind::Rewind { .. }
                | CommandKind::Ask(_)
                | CommandKind::RetryPoisoned
                | CommandKind::Why(None),
                None,
            ) => unreachable!("calls name instances by their key"),
        }
    }

    /// A call no longer waits. Of an ask: until when it would have.
    pub fn cancel(&mut self, call: CallId) -> Option<Mono> {
        let loading = self.loading.values_mut().flat_map(|loading| &mut loading.commands);
        let underway = self.underway.iter_mut().flat_map(|underway| &mut underway.commands);
        loading.chain(underway).for_each(|command| command.forget(call));
        self.waiters.retain(|_, waiters| {
            waiters.retain(|waiter| waiter.call != call);
            !waiters.is_empty()
        });
        self.purgers.retain(|_, calls| {
            calls.retain(|waiting| *waiting != call);
            !calls.is_empty()
        });
        let mut until = None;
        self.ask_waiters.retain(|_, waiters| {
            until = waiters.extract_if(.., |waiter| waiter.call == call).map(|waiter| waiter.until).last().or(until);
            !waiters.is_empty()
        });
        until
    }

    /// A write of this instance is durable. Tells whether it may leave memory.
    pub fn settled(&mut self, iid: Iid) -> bool {
        let Some(instance) = self.instances.get_mut(&iid) else { return false };
        instance.unsettled -= 1;
        instance.is_parked()
    }

    /// Lets an instance leave memory if nothing keeps it: nothing of it is undecided or unsaved. `active`: even
    /// if it has work, as long as no worker has any of it.
    pub fn evict(&mut self, iid: Iid, active: bool) -> bool {
        let Some(instance) = self.instances.get(&iid) else { return false };
        let idle = instance.is_parked() || (active && instance.unsettled == 0 && instance.out.is_none());
        if !idle {
            return false;
        }
        self.forget(iid);
        self.departures.instance_left(iid);
        true
    }

    /// Whether an instance is in memory.
    pub fn is_hot(&self, iid: Iid) -> bool {
        self.instances.contains_key(&iid)
    }

    /// The key of the instance that is meant, if it is in memory.
    pub fn hot_iid(&self, lookup: &Lookup) -> Option<Iid> {
        match lookup {
            Lookup::Key(key) => self.keys.get(key).copied(),
            Lookup::Iid(iid) => self.instances.contains_key(iid).then_some(*iid),
        }
    }

    /// The next turn of an instance that is in memory, as it would be queued if something woke it.
    pub fn turn_of(&self, iid: Iid) -> Option<ItemSpec> {
        self.instances.get(&iid).map(|instance| instance.turn_spec(self.id, &self.limits))
    }

    /// Whether something waits for an instance to come into memory.
    pub fn is_loading(&self) -> bool {
        !self.loading.is_empty()
    }

    /// The hub of an instance that is in memory.
    pub fn hub_of(&self, iid: Iid) -> Option<Hub> {
        self.instances.get(&iid).map(|instance| instance.key.hub.clone())
    }

    /// How clients name an instance that is in memory.
    pub fn key_of(&self, iid: Iid) -> Option<InstanceKey> {
        self.instances.get(&iid).map(|instance| instance.key.clone())
    }

    /// Whether an instance is in memory and has work to do.
    pub fn is_active(&self, iid: Iid) -> bool {
        self.instances.get(&iid).is_some_and(|instance| !instance.is_parked())
    }

    /// Whether this delivery of a turn is the one that is out.
    pub fn holds(&self, iid: Iid, token: Token) -> bool {
        let out = self.instances.get(&iid).and_then(|instance| instance.out.as_ref());
        out.is_some_and(|out| out.token == token)
    }

    /// Whether the worker of an instance's turns answered within this time when it was last asked.
    pub fn turn_is_quick(&self, iid: Iid, patience: Duration) -> bool {
        self.instances.get(&iid).is_some_and(|instance| instance.last_turn_took <= patience)
    }

    /// Forgets all that belongs to a hub: the store deletes it. Who waits for one of its instances is told
    /// that there is none.
    pub fn drop_hub(&mut self, hub: &Hub, outcome: &mut Outcome) {
        let mut gone: Vec<Iid> = Vec::new();
        gone.extend(self.keys.iter().filter(|(key, _)| key.hub == *hub).map(|(_, iid)| *iid));
        gone.sort_unstable();
        for iid in gone {
            self.drop_instance(iid, outcome);
        }
        for (lookup, loading) in &mut self.loading {
            if matches!(lookup, Lookup::Key(key) if key.hub == *hub) {
                for command in loading.commands.drain(..) {
                    outcome.reply(command.call, Err(Refusal::Unknown));
                }
            }
        }
        self.waiters.retain(|key, waiters| {
            let stays = key.hub != *hub;
            if !stays {
                waiters.iter().for_each(|waiter| outcome.reply(Some(waiter.call), Ok(Reply::Instance(None))));
            }
            stays
        });
        self.purgers.retain(|key, calls| {
            let stays = key.hub != *hub;
            if !stays {
                calls.iter().for_each(|call| outcome.reply(Some(*call), Ok(Reply::Nothing)));
            }
            stays
        });
        self.drop_records(hub, outcome);
        self.hubs_deleted.push(hub.clone());
    }

    /// The deletion of an instance is durable: only the answer to a question that was asked before is old now.
    pub fn deletion_is_durable(&mut self, iid: Iid) {
        self.deleted.retain(|deleted| *deleted != iid);
        self.departures.instance_left(iid);
    }

    /// The deletion of a hub is durable, or it came to nothing.
    pub fn hub_deletion_ends(&mut self, hub: &Hub, durable: bool) {
        if let Some(at) = self.hubs_deleted.iter().position(|deleted| deleted == hub) {
            self.hubs_deleted.swap_remove(at);
        }
        if durable {
            self.departures.hub_left(hub);
        }
    }

    /// Whether an instance or its hub is deleted, though the store does not know it yet.
    pub(crate) fn is_deleted(&self, iid: Iid, hub: &Hub) -> bool {
        self.deleted.contains(&iid) || self.hubs_deleted.contains(hub)
    }

    pub(crate) fn forget(&mut self, iid: Iid) -> Option<Instance> {
        let instance = self.instances.remove(&iid)?;
        if self.keys.get(&instance.key) == Some(&iid) {
            self.keys.remove(&instance.key);
        }
        self.history_cached -= instance.history_bytes();
        self.hot_bytes -= instance.counted;
        Some(instance)
    }

    /// Ends what a command did to an instance: writes it if it changed, says that its turn is ready if it is.
    pub(crate) fn conclude(&mut self, iid: Iid, outcome: &mut Outcome) {
        let Some(instance) = self.instances.get_mut(&iid) else { return };
        instance.save(outcome);
        if !outcome.writes.is_empty() {
            instance.unsettled += 1;
            outcome.effects.push(Effect::Settled(self.id, iid));
        }
        instance.offer(self.id, &self.limits, outcome);
        self.count(iid);
    }

    /// What must hold between commands; checked in tests and simulations.
    fn violated_invariant(&self) -> Option<String> {
        if self.keys.len() != self.instances.len() {
            return Some(format!("{} keys for {} instances", self.keys.len(), self.instances.len()));
        }
        self.instances.values().find_map(Instance::violated_invariant)
    }
}
