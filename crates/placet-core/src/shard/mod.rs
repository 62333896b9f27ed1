//! A shard: partitions, one group commit and one dispatch, wired together. Still pure: it is told what
//! arrived and what time it is, and says what is to be done.
//!
//! The scheduler gives it sockets, threads and clocks; the simulator gives it chance. Both drive exactly this,
//! so that what is most dangerous, the order of commits and effects, is inside the simulator.

mod admission;
mod ahead;
mod expiry;
mod hubs;
mod memory;
mod messages;
mod recovery;
mod streams;
mod tells;
#[cfg(test)]
mod tests;
mod virtual_time;
mod why;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::ClockGuard;
use crate::command::{Command, CommandKind, CompleteTurn, DISK_FULL, Refusal, Reply, Tell};
use crate::commit::{Commit, Voided};
use crate::dispatch::{Assignment, Dispatch, ItemId, ItemSpec, Kind, StreamLoad, StreamSpec};
use crate::ids::{BatchId, CallId, Epoch, Hub, Iid, PARTITIONS, PartitionId, StreamId};
use crate::limits::{self, Limits};
use crate::outcome::{Effect, HistoryRead, Outcome};
use crate::partition::{Begun, Partition, TurnStart};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{LoadedInstance, Lookup, ReadFailure};
use crate::tally::Lateness;
use crate::time::{Mono, Now, Timestamp};
use crate::timers::Timers;
use crate::token::Token;
use ahead::Ahead;
use expiry::Expiry;
use memory::Memory;
pub use messages::{CommitFailure, ExpiredRead, Input, LoadRead, Output, RecordRead, ShardStatus, Trouble};
pub use recovery::RecoverRead;
use recovery::Recovery;
use virtual_time::VirtualTime;
pub use virtual_time::{Advance, Arrival};

/// The machine.
#[derive(Debug)]
pub struct Shard {
    limits: Limits,
    partitions: Vec<Partition>,
    commit: Commit,
    ahead: Ahead,
    dispatch: Dispatch,
    timers: Timers,
    clock: ClockGuard,
    recovery: Recovery,
    memory: Memory,
    /// With more items in the queues, those that nobody wants any more are looked for.
    sweep_at: usize,
    outcome: Outcome,
    incarnation: u32,
    resets: u32,
    ask_deadlines: BTreeMap<(Mono, CallId), (PartitionId, Iid)>,
    refuse_until: Option<Mono>,
    /// Bytes of small commands that were taken while large ones had none to spare.
    reserve_taken: usize,
    /// Workers with room got nothing, since too much waits to be written or to be read.
    held_up: bool,
    /// A timer is firing: what is read now is read for it.
    firing: bool,
    /// Instances that are being read for timers.
    timer_loads: usize,
    /// The store could not be read for the timers: not again before then.
    timers_rest_until: Mono,
    /// What instances have to tell others that could not be told yet.
    tells_due: Vec<(Mono, Tell)>,
    /// Instances told to terminate whose turn nobody can take: the server ends them.
    unserved: Vec<(PartitionId, Iid)>,
    /// What was decided is finished, and nothing begins that can wait for the next process.
    stopping: bool,
    timers_late: Lateness,
    expiry: Expiry,
    /// What keeps the clock, if its time is virtual.
    virtual_time: Option<VirtualTime>,
}

impl Shard {
    /// A shard of all partitions over a store that was claimed for the `incarnation`th time, whose highest
    /// instance key and newest time are these. `resets` counts the shards before it in this process: after a
    /// broken invariant nothing in memory is trusted, and a new shard begins where the old one stopped.
    ///
    /// # Panics
    /// If the limits contradict each other ([`Limits::check`]).
    pub fn new(limits: Limits, incarnation: u32, resets: u32, iid_max: Iid, newest: Timestamp) -> Shard {
        assert_eq!(limits.check(), Ok(()), "{limits:?}");
        let epoch = Epoch { incarnation, resets };
        // What an earlier shard of this process had read is void for this one.
        let generation = u64::from(resets) << 32;
        Shard {
            limits,
            partitions: PartitionId::all().map(|id| Partition::new(id, epoch, limits)).collect(),
            commit: Commit::new(limits),
            ahead: Ahead::new(generation),
            dispatch: Dispatch::new(limits),
            timers: Timers::new(limits, generation),
            clock: ClockGuard::new(newest),
            recovery: Recovery::new(generation),
            memory: Memory::default(),
            sweep_at: 0,
            outcome: Outcome { iid_last: iid_max, ..Outcome::default() },
            incarnation,
            resets,
            ask_deadlines: BTreeMap::new(),
            refuse_until: None,
            reserve_taken: 0,
            held_up: false,
            firing: false,
            timer_loads: 0,
            timers_rest_until: Mono(0),
            tells_due: Vec::new(),
            unserved: Vec::new(),
            stopping: false,
            timers_late: Lateness::default(),
            expiry: Expiry::default(),
            virtual_time: None,
        }
    }

    /// The epoch that newly loaded partitions write in, and the highest key given to an instance: what the
    /// next shard of this process must go beyond.
    pub fn watermark(&self) -> (u32, Iid) {
        (self.resets, self.outcome.iid_last)
    }

    /// The shard that goes on where this one broke an invariant; `watermark` is what this one said when it was sound.
    /// Nothing else of its memory is trusted, but what it thinks of the clock: timers that are held must not all fire.
    pub fn successor(&self, watermark: (u32, Iid)) -> Shard {
        let (resets, iid_max) = watermark;
        let next = Shard::new(self.limits, self.incarnation, resets + 1, iid_max, Timestamp::default());
        let virtual_time = self.virtual_time.as_ref().map(VirtualTime::successor);
        Shard { clock: self.clock.clone(), virtual_time, ..next }
    }

    /// Takes one thing that arrived and brings it to an end; appends what is to be done.
    pub fn handle(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        self.take(now, input, outputs);
        self.finish(now, outputs);
    }

    /// Takes one of several things that arrived together. After the last of them, [`Shard::finish`].
    pub fn take(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        self.commit.cut();
        match input {
            Input::Started | Input::Tick => {}
            Input::Stopping => {
                self.stopping = true;
                self.expire_asks(Now { mono: Mono(u64::MAX), ..now }, outputs);
            }
            Input::Call(call, command) => self.call(now, call, command, outputs),
            Input::Record(command) => self.record(now, command, outputs),
            Input::Erase(call, erasure) => self.erase(now, call, erasure, outputs),
            Input::Cancelled(partition, call) => {
                if let Some(until) = self.partitions[partition.index()].cancel(call) {
                    self.ask_deadlines.remove(&(until, call));
                }
            }
            Input::CreateHub(call, hub, again) => self.create_hub(now, call, &hub, again, outputs),
            Input::DeleteHub(call, hub) => self.delete_hub(now, call, &hub, outputs),
            Input::StreamOpened(stream, spec) => self.stream_opened(now, stream, spec, outputs),
            Input::StreamClosed(stream, drained) => self.stream_closed(now, stream, drained, outputs),
            Input::ItemsRead(stream, bytes) => {
                self.dispatch.read(stream, bytes);
                self.fill(now, stream, outputs);
            }
            Input::TurnCompleted(call, completion) => self.turn_completed(now, call, completion, outputs),
            Input::ActivityCompleted(call, token, response) => {
                self.activity_completed(now, call, token, *response, outputs);
            }
            Input::TurnEnded(call, key, response) => self.turn_ended(now, call, &key, *response, outputs),
            Input::ActivityEnded(call, key, response) => {
                let (partition, kind) = (key.partition(), CommandKind::EndActivity(response));
                let command = Command { target: Lookup::Key(key), kind, call: Some(call) };
                self.handle_command(now, partition, command, outputs);
            }
            Input::Abandoned(call, token) => self.abandoned(now, call, token, outputs),
            Input::Committed(batch, took) => self.committed(now, batch, took, outputs),
            Input::CommitFailed(batch, failure) => self.commit_failed(now, batch, failure, outputs),
            Input::WrittenAhead(number, result) => self.written_ahead(now, number, result, outputs),
            Input::Loaded(read, found) => self.loaded(now, read, found, outputs),
            Input::HistoryRead(read, runs) => self.history_read(now, read, runs, outputs),
            Input::TimersRead(read, rows) => match rows {
                Ok(rows) => self.timers.arrived(read, &rows),
                Err(_) => {
                    self.timers.failed(read);
                    self.rest_timers(now);
                }
            },
            Input::Recovered(read, page) => self.recovered(now, read, page, outputs),
            Input::RecordLoaded(read, found) => self.record_loaded(now, *read, found, outputs),
            Input::ExpiredFound(read, found) => self.expired_found(now, read, found, outputs),
            Input::AcceptTime(call) => {
                self.clock.accept(now);
                outputs.push(Output::Reply(call, Ok(Reply::Done)));
            }
            Input::AdvanceTime(call, advance) => self.advance_time(now, call, advance, outputs),
            Input::AdvanceCancelled(call) => self.advance_cancelled(call),
            Input::CallOpened => self.virtual_time.iter_mut().for_each(VirtualTime::call_opened),
            Input::CallClosed => self.virtual_time.iter_mut().for_each(VirtualTime::call_closed),
        }
        // What begins and ends between two steps has held somebody up, too.
        self.held_up |= self.holds_workers_up();
    }

    /// Does what time asks for, and commits what was decided if the committer is free.
    pub fn finish(&mut self, now: Now, outputs: &mut Vec<Output>) {
        self.pass_time(now, outputs);
        self.end_unserved(now, outputs);
        if self.dispatch.queued() > self.sweep_at {
            self.sweep();
        }
        self.let_workers_go_on(now, outputs);
        // Before a batch leaves: what is wrong must not become durable.
        debug_assert_eq!(self.dispatch.violated_invariant().filter(|_| !self.is_congested()), None);
        self.seal(now, outputs);
        self.write_ahead(outputs);
        self.keep_time(now, outputs);
    }

    /// Whether all that was decided is durable.
    pub fn is_settled(&self) -> bool {
        self.commit.is_idle() && self.ahead.is_idle()
    }

    /// How long the driver may sleep if nothing arrives.
    pub fn wake_in(&self, now: Now) -> Option<Duration> {
        if self.stopping {
            return self.commit.next_due().map(|due| due.since(now.mono));
        }
        let mono = [
            self.commit.next_due(),
            self.dispatch.next_due(),
            self.memory.next_due(self.limits.parked_idle),
            self.recovery.next_due(),
            self.next_tell(),
            self.ask_deadlines.first_key_value().map(|((due, _), _)| *due),
            self.virtual_time.as_ref().and_then(VirtualTime::next_due),
        ];
        let mono = mono.into_iter().flatten().min().map(|due| due.since(now.mono));
        let wall = if self.clock.doubt().is_some() {
            Some(CLOCK_LOOK) // held until it agrees again: look from time to time
        } else if self.timers_wait_for_loads() {
            None // until one of them is answered
        } else {
            let due = self.timers.next_due().filter(|due| self.virtual_time.is_none() || *due <= now.wall);
            due.map(|due| due.since(now.wall).max(self.timers_rest_until.since(now.mono)))
        };
        // A clock that is set while we sleep is to be noticed.
        [mono, wall, Some(CLOCK_LOOK)].into_iter().flatten().min()
    }

    /// What keeps it from its work.
    pub fn trouble(&self) -> Trouble {
        Trouble { clock_doubt: self.clock.doubt(), refusing: self.refuse_until.is_some() }
    }

    /// What an operator wants to know. Looks at every partition: not for each step.
    pub fn status(&self) -> ShardStatus {
        ShardStatus {
            recovering: self.recovery.is_running(),
            refusing: self.refuse_until.is_some(),
            hot_instances: self.partitions.iter().map(Partition::hot_count).sum(),
            parked_instances: self.memory.parked_count(),
            near_timers: self.timers.near_count(),
            ready_turns: self.dispatch.backlog(Kind::Turn),
            ready_activities: self.dispatch.backlog(Kind::Activity),
            held_items: self.dispatch.held_count(),
            streams: self.dispatch.stream_count(),
            uncommitted_bytes: self.commit.uncommitted_bytes() + self.ahead.bytes(),
            hot_bytes: self.memory.bytes(),
            unread_bytes: self.dispatch.unread_bytes(),
            waiting_asks: self.ask_deadlines.len(),
            deliveries: self.dispatch.deliveries(),
            timers_late: self.timers_late,
        }
    }

    /// The workers that serve a hub, in the order in which they came; without the built-in one, which is no one's.
    pub fn workers(&self, hub: &Hub) -> Vec<StreamLoad> {
        self.dispatch.workers(hub)
    }

    fn call(&mut self, now: Now, call: CallId, command: Command, outputs: &mut Vec<Output>) {
        if let Err(refusal) = self.admit(now, &command) {
            outputs.push(Output::Reply(call, Err(refusal)));
            return;
        }
        if matches!(command.kind, CommandKind::Expire(_)) && self.clock.look(now).is_some() {
            // As timers are held: a clock that jumped a month ahead would take everything with it.
            let what = "the clock is not believed: nothing is deleted by its time".to_owned();
            outputs.push(Output::Reply(call, Err(Refusal::FailedPrecondition(what))));
            return;
        }
        let Lookup::Key(key) = &command.target else { unreachable!("calls name instances by their key") };
        let partition = key.partition();
        self.handle_command(now, partition, command, outputs);
    }

    fn handle_command(&mut self, now: Now, partition: PartitionId, command: Command, outputs: &mut Vec<Output>) {
        self.at_partition(now, partition, outputs, |partition, outcome| partition.handle(now, command, outcome));
    }

    /// Has a partition decide something, and does what that causes.
    fn at_partition<T>(
        &mut self,
        now: Now,
        id: PartitionId,
        outputs: &mut Vec<Output>,
        decide: impl FnOnce(&mut Partition, &mut Outcome) -> T,
    ) -> T {
        let decided = decide(&mut self.partitions[id.index()], &mut self.outcome);
        self.follow(now, id, outputs);
        decided
    }

    /// Does what a command caused, and hands its writes to the commit.
    fn follow(&mut self, now: Now, partition: PartitionId, outputs: &mut Vec<Output>) {
        if self.waits_for_rows(&self.outcome) {
            self.keep_back(partition);
            self.memory.count(&self.partitions[partition.index()]);
            return;
        }
        self.carry(now, partition, outputs);
        self.nothing_kept();
    }

    /// The same of a decision that waits for nothing, or no longer.
    fn carry(&mut self, now: Now, partition: PartitionId, outputs: &mut Vec<Output>) {
        let mut outcome = std::mem::take(&mut self.outcome);
        let here = &self.partitions[partition.index()];
        let epoch = here.epoch();
        self.memory.count(here);
        for lookup in outcome.loads.drain(..) {
            self.timer_loads += usize::from(self.firing);
            outputs.push(Output::Load(LoadRead { partition, epoch, lookup, for_timer: self.firing }));
        }
        for timer in outcome.timers.drain(..) {
            self.timers.add(timer);
        }
        self.forget_timers_deleted_by(&outcome.writes);
        for (due, call, iid) in outcome.ask_deadlines.drain(..) {
            self.ask_deadlines.insert((due, call), (partition, iid));
        }
        for told in outcome.asks_told.drain(..) {
            self.ask_deadlines.remove(&told);
        }
        for (tell, after) in outcome.tells_later.drain(..) {
            self.tell_later(now, tell, after);
        }
        let (tells, heard) = (std::mem::take(&mut outcome.tells), std::mem::take(&mut outcome.heard));
        let done = std::mem::take(&mut outcome.done);
        let mut ready = std::mem::take(&mut outcome.ready);
        let long = ready.extract_if(.., |spec| spec.bytes > limits::TURN_AT_ONCE_BYTES);
        outcome.effects.extend(long.map(Effect::Offer));
        let resend = outcome.resend.take();
        let given_back = std::mem::take(&mut outcome.given_back);
        // First: the next turn of an instance is the same item as the one that was just finished.
        let freed: Vec<StreamId> = done.iter().filter_map(|item| self.dispatch.finished(*item)).collect();
        // What waited for room goes before what becomes ready now: else a loop would keep its worker to itself.
        let mut assigned: Vec<Assignment> = Vec::new();
        let freed = if self.is_congested() { Vec::new() } else { freed };
        for stream in freed {
            assigned.extend(self.dispatch.pull(now.mono, stream));
        }
        let (placed, quick) = self.place(now, ready);
        assigned.extend(placed);
        // An activity's result may wait for the turn that it causes, as an event may; a turn's own never does.
        let waits = quick && done.iter().all(|item| matches!(item, ItemId::Activity(..)));
        self.explain_all(now, partition, &mut outcome);
        let released = self.commit.add(now.mono, (partition, epoch), &mut outcome, waits);
        self.outcome = outcome;
        for effect in released {
            self.release(now, effect, outputs);
        }
        // Only now: a turn that needs the history must find in it what was just decided.
        for assignment in assigned {
            self.begin_or_fill(now, assignment, outputs);
        }
        if let Some(iid) = resend {
            self.send_again(now, partition, iid, outputs);
        }
        for item in given_back {
            self.give_back(now, item, outputs);
        }
        for (tell, exists) in heard {
            self.hear(now, tell, exists, outputs);
        }
        for tell in tells {
            self.tell(now, tell, outputs);
        }
    }

    /// Finds workers for ready items. Tells, too, whether every item is a turn that has one, and whose worker
    /// answers quickly: then what caused it may share its commit.
    fn place(&mut self, now: Now, ready: Vec<ItemSpec>) -> (Vec<Assignment>, bool) {
        let patience = self.commit.patience();
        let mut quick = !ready.is_empty();
        let mut assigned = Vec::new();
        for spec in ready {
            let id = spec.id;
            let assignment = self.assign(now, spec);
            quick &= assignment.is_some()
                && matches!(id, ItemId::Turn(partition, iid)
                    if self.partitions[partition.index()].turn_is_quick(iid, patience));
            assigned.extend(assignment);
        }
        (assigned, quick)
    }

    /// Lets an effect happen: all that it tells of is durable.
    fn release(&mut self, now: Now, effect: Effect, outputs: &mut Vec<Output>) {
        match effect {
            Effect::Reply(call, reply) => outputs.push(Output::Reply(call, reply)),
            Effect::Offer(spec) => {
                self.offer(now, spec, outputs);
            }
            Effect::Settled(partition, iid) => {
                if self.partitions[partition.index()].settled(iid) {
                    self.memory.parked(now.mono, partition, iid);
                } else {
                    self.memory.active(partition, iid);
                }
            }
            Effect::RecordSettled(partition, key) => self.partitions[partition.index()].record_settled(&key),
            Effect::SetAside(item) => self.dispatch.is_set_aside(item),
            Effect::Deleted(partition, iid) => self.partitions[partition.index()].deletion_is_durable(iid),
            Effect::ReadHistory(read) if read.by_worker => {
                reach(Corner::HistoryLeftToWorker);
                self.history_read(now, read, Ok(Vec::new()), outputs);
            }
            Effect::ReadHistory(read) => outputs.push(Output::ReadHistory(read)),
            Effect::HubDeleted(hub) => self.hub_deleted(&hub, true),
            Effect::AskChild(question) => self.ask_child(now, *question, outputs),
            Effect::ReadTimers => {
                if let Some(read) = self.timers.read() {
                    outputs.push(Output::ReadTimers(read));
                }
            }
        }
    }

    fn committed(&mut self, now: Now, batch: BatchId, took: Duration, outputs: &mut Vec<Output>) {
        // There is room again.
        self.refuse_until = None;
        for effect in self.commit.committed(batch, took) {
            self.release(now, effect, outputs);
        }
        self.void_for_ahead(now, outputs);
    }

    fn commit_failed(&mut self, now: Now, batch: BatchId, failure: CommitFailure, outputs: &mut Vec<Output>) {
        let voided = self.commit.failed(batch);
        self.come_to_nothing(now, failure, voided, outputs);
    }

    /// The store did not take what was decided.
    fn come_to_nothing(&mut self, now: Now, failure: CommitFailure, voided: Voided, outputs: &mut Vec<Output>) {
        let retry_after = limits::REFUSE_AFTER_FAILURE;
        // What is due stays due: without a rest it would be tried again, and fail, as fast as the disk says no.
        self.rest_timers(now);
        // On a full disk nothing was written, which whoever waits for a reply may know.
        let refusal = if failure == CommitFailure::Full || planted::is(Plant::UnknownCalledRefused) {
            self.refuse_until = Some(now.mono.after(retry_after));
            Refusal::Exhausted { what: DISK_FULL, retry_after }
        } else {
            Refusal::Unknown
        };
        self.void(now, voided, &refusal, outputs);
        // Nor is the work looked for at once: a worker would do it again, as fast as it can, and for nothing.
        self.recovery.rest_until(now.mono.after(retry_after));
    }

    /// What was decided is void: the partitions forget what they held and load what is true; those who wait
    /// for a reply are told what is known of it.
    fn void(&mut self, now: Now, mut voided: Voided, refusal: &Refusal, outputs: &mut Vec<Output>) {
        let (tells, mut freed) = self.void_ahead(&mut voided);
        self.resets += u32::from(!planted::is(Plant::EpochNotBumped));
        let epoch = Epoch { incarnation: self.incarnation, resets: self.resets };
        let (mut hubs, mut reads) = (Vec::new(), Vec::new());
        for effect in voided.effects {
            match effect {
                Effect::Reply(call, _) => outputs.push(Output::Reply(call, Err(refusal.clone()))),
                Effect::AskChild(question) => outputs.push(Output::Reply(question.call, Err(refusal.clone()))),
                Effect::HubDeleted(hub) => hubs.push(hub),
                Effect::ReadHistory(_) if planted::is(Plant::HistoryReadForgotten) => {}
                Effect::ReadHistory(read) => reads.push(read),
                // Their partitions look at the store again, and so do the timers.
                Effect::Offer(_)
                | Effect::Settled(..)
                | Effect::RecordSettled(..)
                | Effect::SetAside(_)
                | Effect::Deleted(..)
                | Effect::ReadTimers => {}
            }
        }
        if !planted::is(Plant::TimersNotReset) {
            self.timers.reset();
        }
        if self.recovery.is_reading() {
            reach(Corner::VoidedWhileRecovering);
            self.partitions.iter_mut().for_each(Partition::recovery_ends);
        }
        let mut interrupted = Vec::new();
        let mut records = Vec::new();
        for id in voided.partitions {
            freed.extend(self.dispatch.reset(id));
            self.memory.reset(id);
            self.ask_deadlines.retain(|_, (partition, _)| *partition != id);
            records.extend(self.partitions[id.index()].records.take_waiting());
            let commands = self.partitions[id.index()].reset(epoch);
            self.memory.count(&self.partitions[id.index()]);
            interrupted.extend(commands.into_iter().map(|command| (id, command)));
        }
        self.recovery.restart();
        for (partition, command) in interrupted {
            reach(Corner::VoidedWhileLoading);
            self.handle_command(now, partition, command, outputs);
        }
        for command in records {
            self.record_decided(now, command, outputs);
        }
        for stream in freed {
            if !planted::is(Plant::StreamsNotRefilled) {
                self.fill(now, stream, outputs);
            }
        }
        // A turn of a partition that lost nothing still waits for its history.
        for read in reads {
            if self.partitions[read.token.partition().index()].holds(read.iid, read.token) {
                self.read_history(now, read, outputs);
            }
        }
        for hub in hubs {
            self.hub_deleted(&hub, false);
        }
        for tell in tells {
            self.tell(now, tell, outputs);
        }
    }

    fn loaded(
        &mut self,
        now: Now,
        read: LoadRead,
        found: Result<Option<LoadedInstance>, ReadFailure>,
        outputs: &mut Vec<Output>,
    ) {
        let id = read.partition;
        // Saturating: it may be an answer to the shard before this one.
        self.timer_loads = self.timer_loads.saturating_sub(usize::from(read.for_timer));
        if self.partitions[id.index()].epoch() != read.epoch {
            return; // asked before the partition forgot everything
        }
        let partition = &mut self.partitions[id.index()];
        let waiting = match found {
            Ok(found) => partition.loaded(&read.lookup, found, &mut self.outcome),
            Err(failure) => {
                let left = partition.load_failed(&read.lookup, &failure, &mut self.outcome);
                // What is damaged fails alone: the others do not wait for it.
                if matches!(failure, ReadFailure::Unavailable(_)) {
                    left.into_iter().for_each(|iid| self.recovery.spilled(iid));
                    self.timers_rest_until = now.mono.after(limits::REFUSE_AFTER_FAILURE);
                }
                Vec::new()
            }
        };
        let ready = std::mem::take(&mut self.outcome.ready);
        self.outcome.ready = self.found_again(now, ready);
        self.follow(now, id, outputs);
        for (command, exists) in waiting {
            self.at_partition(now, id, outputs, |partition, outcome| partition.resume(now, command, exists, outcome));
        }
        self.memory.loaded(now.mono, id, &read.lookup, &self.partitions[id.index()]);
        self.shed(now);
    }

    /// Does what is due by either clock.
    fn pass_time(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.stopping {
            return; // timers that are due, and instances not yet read back, are the next process's
        }
        self.fire_timers(now, outputs);
        self.dispatch_tick(now, outputs);
        self.expire_asks(now, outputs);
        self.tell_again(now, outputs);
        self.find_expired(now, outputs);
        self.shed(now);
        self.recover(now, outputs);
    }

    fn fire_timers(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.clock.look(now).is_some() {
            reach(Corner::TimersHeld);
            return;
        }
        if now.mono < self.timers_rest_until {
            return;
        }
        for fired in 0.. {
            if fired == self.limits.timers_per_step {
                reach(Corner::TimersCut);
                break;
            }
            if self.timers_wait_for_loads() {
                if self.timers.next_due().is_some_and(|due| due <= now.wall) {
                    reach(Corner::TimersWaitForLoads);
                }
                break;
            }
            let Some(timer) = self.timers.pop_due(now.wall) else { break };
            self.timers_late.add(now.wall.since(timer.fire_at));
            let command = Command { target: Lookup::Iid(timer.iid), kind: CommandKind::FireTimer(timer), call: None };
            self.firing = true;
            self.handle_command(now, timer.partition, command, outputs);
            self.firing = false;
        }
        if self.timers.advance(now.wall) {
            let mut outcome = Outcome { effects: vec![Effect::ReadTimers], ..Outcome::default() };
            for effect in self.commit.hold(&mut outcome) {
                self.release(now, effect, outputs);
            }
        }
    }

    /// Takes out of the queues what nobody wants any more.
    pub fn sweep(&mut self) {
        let partitions = &mut self.partitions;
        self.dispatch.sweep(|spec| partitions[spec.id.partition().index()].wants(spec.id));
        self.sweep_at = 2 * self.dispatch.queued() + self.limits.sweep_from;
    }

    /// Whether so much is being read that no timer is to ask for more: they fire on as it comes.
    fn timers_wait_for_loads(&self) -> bool {
        self.timer_loads >= self.limits.timer_loads
    }

    /// The store does not answer: it is left alone for a while.
    fn rest_timers(&mut self, now: Now) {
        self.timers_rest_until = now.mono.after(limits::REFUSE_AFTER_FAILURE);
    }

    fn expire_asks(&mut self, now: Now, outputs: &mut Vec<Output>) {
        while let Some(entry) = self.ask_deadlines.first_entry()
            && entry.key().0 <= now.mono
        {
            let ((_, call), (partition, iid)) = entry.remove_entry();
            self.at_partition(now, partition, outputs, |partition, outcome| partition.ask_expired(iid, call, outcome));
        }
    }

    fn seal(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if let Some(batch) = self.commit.seal(now.mono) {
            outputs.push(Output::Commit(Box::new(batch)));
        }
    }

    fn end_unserved(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let mut behind = Vec::new();
        while let Some((partition, iid)) = self.unserved.pop() {
            if self.is_underway(partition, iid) {
                reach(Corner::UnservedBehindAhead);
                behind.push((partition, iid));
                continue;
            }
            let ends =
                |partition: &mut Partition, outcome: &mut Outcome| partition.terminate_unserved(now, iid, outcome);
            if self.at_partition(now, partition, outputs, ends) {
                reach(Corner::Unserved);
            }
        }
        self.unserved = behind;
    }
}

/// How often the clocks are compared though nothing happens.
const CLOCK_LOOK: Duration = Duration::from_secs(5);

const _: () = assert!(PARTITIONS == 256, "a partition's id is one byte");
