//! Continue-as-new: the same instance begins again with a new input, a new execution id and an empty history
//! (PROTOCOL.md §6.7). Events that the old generation did not consume go over, in order.

use std::collections::BTreeMap;

use placet_proto::durabletask::{
    CompleteOrchestrationAction, EventRaisedEvent, ExecutionStartedEvent, HistoryEvent, history_event::EventType,
};
use placet_proto::placet::v1::Stamp;
use prost::Message as _;

use super::complete_turn::nobody_waits;
use crate::body::MessageKind;
use crate::dispatch::{CONTINUED_TAG, RESERVED_PREFIX};
use crate::ids::{Iid, Turn};
use crate::outcome::Outcome;
use crate::partition::{Instance, Message, Partition};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::Write;
use crate::time::{Now, Timestamp};

impl Partition {
    /// The turn itself leaves no history: it ends the generation that it belongs to. A termination that came with
    /// it goes over, too: SDKs drop one that comes after their code said that it continues as new.
    pub(crate) fn continue_as_new(
        &mut self,
        now: Now,
        iid: Iid,
        action: CompleteOrchestrationAction,
        termination: Option<Message>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let at = instance.record_time(now);
        let children = instance.children.values().filter(|child| child.name.starts_with(RESERVED_PREFIX));
        let unawaited: Vec<String> = children.filter_map(|child| child.child.clone()).collect();
        for child in unawaited {
            let told = nobody_waits(instance.key.id.as_str());
            instance.tell(self.id, &child, told, outcome);
        }
        instance.drop_pending(self.id, outcome);
        if instance.body.turn > instance.body.turn_first {
            outcome.writes.push(Write::DropHistory(iid, Turn(instance.body.turn)));
        }
        self.history_cached -= instance.history_bytes();
        instance.history = Some(Vec::new());
        instance.body.turn += 1;
        instance.body.turn_first = instance.body.turn;
        instance.body.events = 0;
        instance.body.history_bytes = 0;
        instance.body.turn_trace = None;
        instance.body.execution_id = next_execution_id(instance);
        if action.new_version.is_some() {
            instance.body.version = action.new_version;
        }
        instance.status = instance.status_between_turns();
        instance.sticky = None;
        instance.touch(at);

        if termination.is_some() {
            reach(Corner::TerminationCarried);
        }
        let arrived_meanwhile = instance.take_kept_messages(outcome);
        instance.receive_started(at, action.result, outcome);
        for event in action.carryover_events {
            instance.receive_carried(at, event, outcome);
        }
        for Message { message, .. } in termination.into_iter().chain(arrived_meanwhile) {
            instance.receive_encoded(message, outcome);
        }
    }
}

impl Instance {
    /// Empties the inbox of what no worker has seen yet: external events and terminations are kept for the
    /// next generation, results and timers were meant for the last one.
    fn take_kept_messages(&mut self, outcome: &mut Outcome) -> Vec<Message> {
        let goes_over = |kind| {
            matches!(
                kind,
                MessageKind::Raised | MessageKind::Terminated | MessageKind::Suspended | MessageKind::Resumed
            )
        };
        let messages = self.take_messages(outcome).into_iter();
        let mut kept: Vec<Message> = messages.filter(|entry| goes_over(entry.message.kind())).collect();
        if planted::is(Plant::EventsReordered) {
            kept.reverse();
        }
        kept
    }

    fn receive_started(&mut self, at: Timestamp, input: Option<String>, outcome: &mut Outcome) {
        self.take_input(&input);
        let event = EventType::ExecutionStarted(ExecutionStartedEvent {
            name: (*self.name).to_owned(),
            version: self.body.version.clone(),
            input,
            orchestration_instance: Some(self.orchestration_instance()),
            parent_instance: self.body.parent.clone(),
            parent_trace_context: self.body.parent_trace.clone(),
            tags: self.tags_continued(),
            ..ExecutionStartedEvent::default()
        });
        self.receive(MessageKind::Started, at, event, None, outcome);
    }

    /// Its tags. A built-in orchestration's next generation is marked: what it is given is its own state, which nobody who starts one
    /// can pretend to have.
    fn tags_continued(&self) -> BTreeMap<String, String> {
        let mut tags = self.body.tags.clone();
        if self.name.starts_with(RESERVED_PREFIX) {
            tags.insert(CONTINUED_TAG.to_owned(), String::new());
        }
        tags
    }

    /// An event that the old generation had received and not consumed: with its own time and stamp.
    fn receive_carried(&mut self, at: Timestamp, event: HistoryEvent, outcome: &mut Outcome) {
        let Some(EventType::EventRaised(raised)) = event.event_type else { return };
        let ask_id = ask_of(&raised);
        if let Some(ask_id) = &ask_id {
            self.body.open_asks.retain(|open| open != ask_id);
        }
        let recorded = event.timestamp.as_ref().map_or(at, Timestamp::from_proto);
        self.receive(MessageKind::Raised, recorded, EventType::EventRaised(raised), ask_id.as_deref(), outcome);
    }
}

fn ask_of(raised: &EventRaisedEvent) -> Option<String> {
    let stamp = Stamp::decode(raised.stamp.clone()).ok()?;
    (!stamp.ask_id.is_empty()).then_some(stamp.ask_id)
}

fn next_execution_id(instance: &Instance) -> String {
    execution_id_from(&format!("{}/{}/{}", instance.body.execution_id, instance.iid, instance.body.turn))
}

/// An execution id, 32 hex digits like every other, which follows from what is known: the core has no chance of its own.
pub(super) fn execution_id_from(seed: &str) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(seed.as_bytes()))
}
