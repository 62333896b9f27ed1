//! Workers: their streams, the items that they take, finish and give back.

use placet_proto::durabletask::OrchestratorResponse;

use crate::command::CompleteActivity;
use crate::ids::InstanceKey;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};

use super::{
    Assignment, Begun, Bytes, CallId, Command, CommandKind, CompleteTurn, Effect, HistoryRead, Hub, Iid, ItemId,
    ItemSpec, Lookup, Now, Outcome, Output, PartitionId, Reply, Shard, StreamId, StreamSpec, Token, TurnStart,
};

impl Shard {
    pub(super) fn stream_opened(&mut self, now: Now, id: StreamId, spec: StreamSpec, outputs: &mut Vec<Output>) {
        self.dispatch.open(now.mono, id, spec);
        self.recovery.worker_came();
        self.fill(now, id, outputs);
    }

    pub(super) fn stream_closed(&mut self, now: Now, id: StreamId, drained: bool, outputs: &mut Vec<Output>) {
        let returned = self.dispatch.close(now.mono, id, drained);
        self.take_back(now, returned, outputs);
        // What was to end and waited for room on this stream waits for nobody now.
        self.unserved.extend(self.dispatch.unserved().into_iter().map(|item| (item.partition(), item.iid())));
    }

    pub(super) fn turn_completed(
        &mut self,
        now: Now,
        call: CallId,
        completion: Box<CompleteTurn>,
        outputs: &mut Vec<Output>,
    ) {
        let Token::Turn { partition, iid, epoch, .. } = completion.token else {
            outputs.push(Output::Reply(call, Ok(Reply::Stale)));
            return;
        };
        let here = &self.partitions[partition.index()];
        if !here.is_hot(iid) || here.epoch() != epoch {
            // A turn that is out keeps its instance in memory: this one is out no longer.
            outputs.push(Output::Reply(call, Ok(Reply::Stale)));
            self.free_if_deleted(now, ItemId::Turn(partition, iid), outputs);
            return;
        }
        let kind = CommandKind::CompleteTurn(completion);
        self.handle_command(now, partition, Command { target: Lookup::Iid(iid), kind, call: Some(call) }, outputs);
    }

    /// A turn is ended by a worker that does not say which: the one that its instance has out.
    pub(super) fn turn_ended(
        &mut self,
        now: Now,
        call: CallId,
        key: &InstanceKey,
        response: OrchestratorResponse,
        outputs: &mut Vec<Output>,
    ) {
        let Some(token) = self.partitions[key.partition().index()].turn_out(key) else {
            outputs.push(Output::Reply(call, Ok(Reply::Stale)));
            return;
        };
        let completion =
            CompleteTurn { token, sticky: None, response, publish: Vec::new(), replies: None, waits: None };
        self.turn_completed(now, call, Box::new(completion), outputs);
    }

    /// Whether the instance of a turn that was handed out is gone. Then its worker has room again.
    fn free_if_deleted(&mut self, now: Now, turn: ItemId, outputs: &mut Vec<Output>) -> bool {
        let gone = !self.partitions[turn.partition().index()].is_hot(turn.iid());
        if gone && self.dispatch.holder(turn).is_some() {
            let freed = self.dispatch.finished(turn);
            freed.into_iter().for_each(|stream| self.fill(now, stream, outputs));
        }
        gone
    }

    pub(super) fn activity_completed(
        &mut self,
        now: Now,
        call: CallId,
        token: Token,
        response: placet_proto::durabletask::ActivityResponse,
        outputs: &mut Vec<Output>,
    ) {
        let Token::Activity { partition, iid, seq, execution } = token else {
            outputs.push(Output::Reply(call, Ok(Reply::Stale)));
            return;
        };
        let completion = CompleteActivity { seq, execution, response };
        let kind = CommandKind::CompleteActivity(Box::new(completion));
        self.handle_command(now, partition, Command { target: Lookup::Iid(iid), kind, call: Some(call) }, outputs);
    }

    pub(super) fn abandoned(&mut self, now: Now, call: CallId, token: Token, outputs: &mut Vec<Output>) {
        let item = match token {
            Token::Turn { partition, iid, .. } => {
                let turn = ItemId::Turn(partition, iid);
                self.free_if_deleted(now, turn, outputs);
                self.partitions[partition.index()].holds(iid, token).then_some(turn)
            }
            Token::Activity { partition, iid, seq, .. } => Some(ItemId::Activity(partition, iid, seq)),
        };
        if let Some(item) = item {
            self.give_back(now, item, outputs);
        }
        outputs.push(Output::Reply(call, Ok(Reply::Done)));
    }

    /// An item goes back, and comes again after a delay.
    pub(super) fn give_back(&mut self, now: Now, item: ItemId, outputs: &mut Vec<Output>) {
        let (was_held, stream) = self.dispatch.abandoned(now.mono, item);
        if was_held
            && let ItemId::Turn(partition, iid) = item
            && let Some(spec) = self.turn_taken_back(partition, iid)
        {
            self.dispatch.delay(now.mono, spec);
        }
        if let Some(stream) = stream {
            self.fill(now, stream, outputs);
        }
    }

    /// A turn is out no longer: its item, if there is still anything to do.
    fn turn_taken_back(&mut self, partition: PartitionId, iid: Iid) -> Option<ItemSpec> {
        let here = &mut self.partitions[partition.index()];
        let spec = here.take_back(iid);
        self.memory.count(here);
        spec
    }

    /// Offers an item to the workers.
    pub(super) fn offer(&mut self, now: Now, spec: ItemSpec, outputs: &mut Vec<Output>) {
        if let Some(assignment) = self.assign(now, spec) {
            self.begin_or_fill(now, assignment, outputs);
        }
    }

    /// Makes an assigned item and sends it. If it is void, it leaves room for another.
    pub(super) fn begin_or_fill(&mut self, now: Now, assignment: Assignment, outputs: &mut Vec<Output>) {
        if !self.begin(now, assignment, outputs) {
            self.fill(now, assignment.stream, outputs);
        }
    }

    /// Finds a worker for an item; without one it waits, or, if it is to end an instance, the server ends it.
    pub(super) fn assign(&mut self, now: Now, spec: ItemSpec) -> Option<Assignment> {
        if spec.terminating && !self.dispatch.has_taker(&spec) {
            self.unserved.push((spec.id.partition(), spec.id.iid()));
            return None;
        }
        // Who is held up waits longer than what has just come.
        if self.is_congested() || self.held_up {
            self.dispatch.queue(spec);
            return None;
        }
        self.dispatch.enqueue(now.mono, spec)
    }

    /// What held all workers up may be over: each gets what waits for it, in turn.
    pub(super) fn let_workers_go_on(&mut self, now: Now, outputs: &mut Vec<Output>) {
        while self.dispatch.has_unseen_room() | std::mem::take(&mut self.held_up) {
            let before = self.dispatch.deliveries();
            for stream in self.dispatch.streams_in_turn() {
                self.fill_now(now, stream, outputs);
            }
            if self.dispatch.deliveries() == before {
                break;
            }
        }
        self.held_up |= self.holds_workers_up();
    }

    /// Whether workers with room get nothing now.
    pub(super) fn holds_workers_up(&self) -> bool {
        self.is_congested() || self.dispatch.is_crowded() || self.dispatch.has_many_turns_out()
    }

    /// Whether so much waits to be written that workers get nothing: what they answer would have to wait as well, and
    /// unlike what clients bring it cannot be refused.
    pub(super) fn is_congested(&self) -> bool {
        self.commit.uncommitted_bytes() > self.limits.uncommitted_bytes / 2
    }

    /// A stream has room. While workers are held up by what all of them have together, the room is not its own: it is given
    /// out in turn, or a busy stream would take all that it makes, and the others would never get any.
    pub(super) fn fill(&mut self, now: Now, stream: StreamId, outputs: &mut Vec<Output>) {
        if !self.held_up {
            self.fill_now(now, stream, outputs);
        }
    }

    fn fill_now(&mut self, now: Now, stream: StreamId, outputs: &mut Vec<Output>) {
        loop {
            if self.is_congested() {
                break; // each commit looks again
            }
            let assigned = self.dispatch.pull(now.mono, stream);
            let mut void = false;
            for assignment in assigned {
                void |= !self.begin(now, assignment, outputs);
            }
            if !void {
                break; // a void item leaves room for another
            }
        }
    }

    /// Makes an assigned item and sends it. Tells whether it still was one.
    fn begin(&mut self, now: Now, assignment: Assignment, outputs: &mut Vec<Output>) -> bool {
        let Assignment { item, stream } = assignment;
        // What was reserved for it is more than it turns out to be: others may be held up until then.
        self.held_up |= self.holds_workers_up();
        let Some(spec) = self.dispatch.stream(stream) else { return false };
        let partition = &mut self.partitions[item.partition().index()];
        let begun = match item {
            ItemId::Turn(_, iid) => partition.begin_turn(now, iid, TurnStart { stream, spec }),
            ItemId::Activity(_, iid, seq) => partition.begin_activity(iid, seq),
        };
        self.memory.count(partition);
        self.send(now, stream, item, begun, outputs)
    }

    pub(super) fn send_again(&mut self, now: Now, partition: PartitionId, iid: Iid, outputs: &mut Vec<Output>) {
        let item = ItemId::Turn(partition, iid);
        let begun = self.partitions[partition.index()].resend(iid);
        if let Some(stream) = self.dispatch.holder(item) {
            self.send(now, stream, item, begun, outputs);
        }
    }

    fn send(&mut self, now: Now, stream: StreamId, item: ItemId, begun: Begun, outputs: &mut Vec<Output>) -> bool {
        match begun {
            Begun::Send(bytes) => {
                self.dispatch.sent(stream, item, bytes.len());
                self.held_up |= self.holds_workers_up();
                let hub = self.hub_of(item);
                outputs.push(Output::Send(stream, hub, bytes));
                true
            }
            Begun::ReadHistory(read) => {
                self.read_history(now, read, outputs);
                true
            }
            Begun::Void => {
                reach(Corner::VoidItem);
                if self.partitions[item.partition().index()].is_hot(item.iid()) {
                    self.dispatch.finished(item);
                } else {
                    // Its instance left memory while a worker that is gone might still have brought it: it comes back with it.
                    self.dispatch.left_memory(item);
                }
                false
            }
        }
    }

    /// Reads a history once all of it is durable.
    pub(super) fn read_history(&mut self, now: Now, read: HistoryRead, outputs: &mut Vec<Output>) {
        if planted::is(Plant::HistoryBeforeCommit) {
            outputs.push(Output::ReadHistory(read));
            return;
        }
        let mut outcome = Outcome { effects: vec![Effect::ReadHistory(read)], ..Outcome::default() };
        for effect in self.commit.hold(&mut outcome) {
            self.release(now, effect, outputs);
        }
    }

    fn hub_of(&self, item: ItemId) -> Hub {
        let partition = &self.partitions[item.partition().index()];
        partition.hub_of(item.iid()).expect("what begins is in memory")
    }

    pub(super) fn history_read(
        &mut self,
        now: Now,
        read: HistoryRead,
        runs: Result<Vec<Bytes>, String>,
        outputs: &mut Vec<Output>,
    ) {
        let item = ItemId::Turn(read.token.partition(), read.iid);
        if self.free_if_deleted(now, item, outputs) {
            reach(Corner::HistoryReadInVain);
            return;
        }
        match runs {
            Ok(runs) => {
                let partition = &mut self.partitions[item.partition().index()];
                let begun = partition.history_read(read.token, read.iid, runs);
                match begun {
                    // The turn was taken back meanwhile, and somebody else may hold the item by now.
                    Begun::Void => reach(Corner::HistoryReadInVain),
                    begun => {
                        if let Some(stream) = self.dispatch.holder(item) {
                            self.send(now, stream, item, begun, outputs);
                        }
                    }
                }
            }
            Err(_) if self.partitions[item.partition().index()].holds(read.iid, read.token) => {
                reach(Corner::HistoryUnread);
                self.give_back(now, item, outputs);
            }
            Err(_) => {}
        }
    }

    pub(super) fn dispatch_tick(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.dispatch.next_due().is_none_or(|due| now.mono < due) {
            return;
        }
        let (returned, again) = self.dispatch.tick(now.mono);
        self.take_back(now, returned, outputs);
        for spec in again {
            self.offer(now, spec, outputs);
        }
        outputs.extend(self.dispatch.pings(now.mono).into_iter().map(Output::Ping));
    }

    fn decide_about(&mut self, now: Now, item: ItemId, kind: CommandKind, outputs: &mut Vec<Output>) {
        let command = Command { target: Lookup::Iid(item.iid()), kind, call: None };
        self.handle_command(now, item.partition(), command, outputs);
    }

    fn take_back(&mut self, now: Now, returned: crate::dispatch::Returned, outputs: &mut Vec<Output>) {
        // What waited for room goes first: what comes back had its turn.
        for stream in returned.freed {
            self.fill(now, stream, outputs);
        }
        for item in returned.turns {
            if let Some(spec) = self.turn_taken_back(item.partition(), item.iid())
                && let Some(spec) = self.dispatch.failed_before(now.mono, spec)
            {
                self.offer(now, spec, outputs);
            }
        }
        for item in returned.poisoned {
            let key = self.partitions[item.partition().index()].key_of(item.iid());
            outputs.push(Output::SetAside(item, key));
            self.decide_about(now, item, CommandKind::SetAside(item.seq()), outputs);
        }
        for (item, bytes) in returned.too_long {
            self.decide_about(now, item, CommandKind::FailTooLong(item.seq(), bytes), outputs);
        }
    }
}
