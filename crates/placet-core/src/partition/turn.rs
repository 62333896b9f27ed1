//! Handing out work: what a turn or an activity consists of is decided at the moment when a worker takes it.

use bytes::Bytes;
use placet_proto::durabletask::{
    ActivityRequest, OrchestrationInstance, OrchestratorEntityParameters, OrchestratorRequest,
    OrchestratorStartedEvent, history_event::EventType,
};

use crate::body::MessageKind;
use crate::dispatch::{ItemSpec, RESERVED_PREFIX, StreamSpec};
use crate::ids::{Iid, InstanceKey, Seq, StreamId};
use crate::item::{APART_FROM, Item, Run};
use crate::limits::Limits;
use crate::outcome::{HistoryRead, Outcome};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::time::{Mono, Now, Timestamp};
use crate::token::Token;
use crate::wire;

use super::pieces::Pieces;
use super::{Instance, Partition};

/// A turn that a worker has.
#[derive(Debug)]
pub(crate) struct TurnOut {
    pub(crate) token: Token,
    /// How many messages of the inbox it holds.
    pub(crate) messages: usize,
    /// When it began: the time of its `orchestratorStarted`, which stands before the messages.
    pub(crate) at: Timestamp,
    pub(crate) began: Mono,
    /// The worker reads the history by a call of its own.
    pub(crate) streamed: bool,
    /// What has come of a completion that its worker sends in pieces.
    pub(crate) pieces: Pieces,
}

/// What is to be done with an item that was just assigned.
#[derive(Debug)]
pub enum Begun {
    /// Send these bytes: an encoded `WorkItem`.
    Send(Item),
    /// Read the history first; then [`Partition::history_read`].
    ReadHistory(HistoryRead),
    /// It is void: nothing is to be done for this item any more.
    Void,
}

/// To whom a turn goes.
#[derive(Debug, Clone, Copy)]
pub struct TurnStart<'a> {
    /// The stream.
    pub stream: StreamId,
    /// What its worker said of itself.
    pub spec: &'a StreamSpec,
}

impl Partition {
    /// A worker takes an instance's turn: what is in the inbox now is what it gets.
    pub fn begin_turn(&mut self, now: Now, iid: Iid, to: TurnStart<'_>) -> Begun {
        let (partition, epoch) = (self.id, self.epoch);
        let delivery = self.deliveries.wrapping_add(1);
        let Some(instance) = self.instances.get_mut(&iid) else { return Begun::Void };
        instance.offered = false;
        if instance.out.is_some() || instance.inbox.is_empty() || instance.is_terminal() || instance.body.poisoned {
            return Begun::Void;
        }
        let presumed = to.spec.keeps_state && instance.sticky == Some(to.stream) && instance.body.events > 0;
        instance.sticky = None;
        self.deliveries = delivery;
        let token = Token::Turn {
            partition,
            iid,
            epoch,
            turn: instance.turn(),
            delivery,
            events: instance.body.events,
            presumed,
        };
        let at = instance.record_time(now);
        let messages = instance.messages_of_turn(&self.limits);
        let streamed =
            to.spec.streams_history && !presumed && instance.past_bytes() > self.limits.history_streamed_from;
        instance.out = Some(TurnOut { token, messages, at, began: now.mono, streamed, pieces: Pieces::default() });
        let begun = instance.item();
        self.count(iid);
        begun
    }

    /// The token of the turn that an instance has out, if it has one. Of what only the built-in worker gets nobody learns it so.
    pub(crate) fn turn_out(&self, key: &InstanceKey) -> Option<Token> {
        let instance = self.instances.get(self.keys.get(key)?)?;
        instance.out.as_ref().filter(|_| !instance.name.starts_with(RESERVED_PREFIX)).map(|out| out.token)
    }

    /// A worker takes an activity.
    pub fn begin_activity(&mut self, iid: Iid, seq: Seq) -> Begun {
        let Some(instance) = self.instances.get(&iid) else { return Begun::Void };
        let Some(pending) = instance.activities.get(&seq) else { return Begun::Void };
        if pending.poisoned {
            return Begun::Void;
        }
        let token = Token::Activity { partition: self.id, iid, seq, execution: instance.execution_digest() };
        let request = ActivityRequest {
            name: pending.name.clone(),
            version: pending.version.clone(),
            input: pending.input.clone(),
            orchestration_instance: Some(instance.orchestration_instance()),
            task_id: pending.task_id,
            parent_trace_context: pending.trace.clone(),
            tags: pending.tags.clone(),
        };
        Begun::Send(wire::activity_item(&request, &token.to_string()).into())
    }

    /// The history that a turn waited for. Nothing if the turn is no longer out.
    pub fn history_read(&mut self, token: Token, iid: Iid, runs: Vec<Bytes>) -> Begun {
        let Some(instance) = self.instances.get_mut(&iid) else { return Begun::Void };
        if instance.out.as_ref().is_none_or(|out| out.token != token) {
            return Begun::Void;
        }
        Begun::Send(instance.turn_item(&runs))
    }

    /// A turn is out no longer: its messages are as if they had not been taken, and the old token is dead.
    /// Tells the specification under which it is to be queued again, if there still is anything to do.
    pub fn take_back(&mut self, iid: Iid) -> Option<ItemSpec> {
        let instance = self.instances.get_mut(&iid)?;
        instance.out.take()?;
        instance.sticky = None;
        let mut outcome = Outcome::default();
        instance.offer(self.id, &self.limits, &mut outcome);
        self.count(iid);
        outcome.ready.pop()
    }

    /// The worker lacks the state that it was presumed to have: the same turn with its history.
    pub(crate) fn resend(&mut self, iid: Iid) -> Begun {
        let Some(instance) = self.instances.get_mut(&iid) else { return Begun::Void };
        let Some(out) = &mut instance.out else { return Begun::Void };
        if let Token::Turn { presumed, .. } = &mut out.token {
            *presumed = planted::is(Plant::HistoryNotSentAgain);
        }
        instance.item()
    }
}

impl Instance {
    /// How many messages the turn has that begins now.
    pub(crate) fn messages_of_turn(&self, limits: &Limits) -> usize {
        if self.inbox.front().is_some_and(|entry| entry.message.kind() == MessageKind::Rewound) {
            return 1; // workers reject any other shape of this turn (PROTOCOL.md §6.11)
        }
        let (mut messages, mut bytes) = (0, 0);
        for entry in self.inbox.iter().take(limits.turn_messages) {
            bytes += wire::pushed_len(entry.message.event.len());
            if messages > 0 && bytes > limits.turn_bytes {
                reach(Corner::TurnCutByBytes);
                break;
            }
            messages += 1;
        }
        if messages == limits.turn_messages && messages < self.inbox.len() {
            reach(Corner::TurnCutByMessages);
        }
        messages
    }

    /// The events of the turn that is out, up to so many messages: `orchestratorStarted` stands before them.
    pub(crate) fn push_turn(&self, out: &TurnOut, messages: usize, key: u8, run: &mut impl Run) {
        let started = EventType::OrchestratorStarted(OrchestratorStartedEvent {});
        run.put_event(key, &wire::event(-1, out.at, started));
        for entry in self.inbox.iter().take(messages).filter(|entry| entry.message.kind() != MessageKind::Nudge) {
            run.put_event(key, &entry.message.event);
        }
    }

    /// How long its first messages are in a run.
    pub(crate) fn messages_len(&self, messages: usize) -> usize {
        self.inbox.iter().take(messages).map(|entry| wire::pushed_len(entry.message.event.len())).sum()
    }

    /// The item of the turn that is out, or what is needed to make it.
    fn item(&self) -> Begun {
        let out = self.out.as_ref().expect("a turn is out");
        let Token::Turn { presumed, .. } = out.token else { unreachable!("a turn has a turn's token") };
        match &self.history {
            _ if presumed || self.body.events == 0 => Begun::Send(self.turn_item(&[])),
            Some(runs) if !out.streamed => Begun::Send(self.turn_item(runs)),
            _ => {
                let from = crate::ids::Turn(self.body.turn_first);
                let by_worker = out.streamed;
                Begun::ReadHistory(HistoryRead { token: out.token, iid: self.iid, from, by_worker })
            }
        }
    }

    fn turn_item(&self, past: &[Bytes]) -> Item {
        let out = self.out.as_ref().expect("a turn is out");
        let head = OrchestratorRequest {
            instance_id: self.key.id.as_str().to_owned(),
            execution_id: Some(self.body.execution_id.clone()),
            entity_parameters: Some(OrchestratorEntityParameters {
                // Events are delivered in order: there is nothing to reorder.
                entity_message_reorder_window: Some(prost_types::Duration::default()),
            }),
            requires_history_streaming: out.streamed,
            orchestration_trace_context: self.body.turn_trace.clone(),
            ..OrchestratorRequest::default()
        };
        let short = self.inbox.iter().take(out.messages).map(|entry| entry.message.event.len());
        let short = short.filter(|length| *length < APART_FROM).map(wire::pushed_len).sum();
        wire::turn_item(&head, past, &out.token.to_string(), short, |item| {
            self.push_turn(out, out.messages, wire::NEW_EVENTS, item);
        })
    }

    pub(crate) fn orchestration_instance(&self) -> OrchestrationInstance {
        OrchestrationInstance {
            instance_id: self.key.id.as_str().to_owned(),
            execution_id: Some(self.body.execution_id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use placet_proto::durabletask::OrchestrationStatus;
    use prost::Message as _;

    use super::*;
    use crate::body::{InboxMessage, InstanceBody};
    use crate::ids::{Epoch, Hub, InstanceId, InstanceKey, PartitionId};
    use crate::rows::{InboxRow, InstanceRow};

    /// What is no event of any version: whoever decoded it would fail.
    const UNREADABLE: &[u8] = b"\xff\xff\xffno event";

    fn contains(item: &[u8], part: &[u8]) -> bool {
        item.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn a_worker_that_replays_is_sent_what_was_recorded_byte_by_byte() {
        let body = InstanceBody { turn: 1, events: 1, ..InstanceBody::default() };
        let row = InstanceRow {
            iid: Iid(1),
            hub: Hub::new("hub"),
            id: InstanceId::new("id"),
            name: "name".into(),
            status: OrchestrationStatus::Running,
            active: true,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            completed_at: None,
            body: body.encode_to_vec().into(),
        };
        let message = InboxMessage { kind: MessageKind::Raised.into(), event: UNREADABLE.into(), ask_id: None };
        let message = InboxRow { iid: Iid(1), seq: Seq(1), data: message.encode_to_vec().into() };
        let instance = Instance::from_rows(row, vec![message], Vec::new(), Vec::new()).unwrap();
        let mut partition = Partition::new(PartitionId(0), Epoch { incarnation: 1, resets: 0 }, Limits::default());
        partition.keys.insert(InstanceKey::new(Hub::new("hub"), InstanceId::new("id")), Iid(1));
        partition.instances.insert(Iid(1), instance);

        let to = TurnStart { stream: StreamId(1), spec: &StreamSpec::default() };
        let Begun::ReadHistory(read) = partition.begin_turn(Now::default(), Iid(1), to) else {
            panic!("it is not at hand")
        };
        let mut past = BytesMut::new();
        wire::push_event(&mut past, wire::PAST_EVENTS, UNREADABLE);
        let past = past.freeze();
        let Begun::Send(item) = partition.history_read(read.token, Iid(1), vec![past.clone()]) else {
            panic!("its turn is out")
        };
        let item = item.whole();
        assert!(contains(&item, &past), "its history");
        let mut new = BytesMut::new();
        wire::push_event(&mut new, wire::NEW_EVENTS, UNREADABLE);
        assert!(contains(&item, &new), "what came since");
    }
}
