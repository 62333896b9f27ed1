//! What one instance tells another of its hub: that it is to be, as a child; what became of a child; an event; that it is
//! to end (PROTOCOL.md §6.5, §6.6).
//!
//! A message is written with its sender's turn. Whoever it is for is looked for at once, and once he is in memory, or known
//! not to be, the message is taken from the one and given to the other in one step, and so in one commit: it is heard
//! exactly once, and a sender whose turn came to nothing has told nobody.

use placet_proto::durabletask::{
    SubOrchestrationInstanceCompletedEvent, SubOrchestrationInstanceFailedEvent, TaskFailureDetails,
    history_event::EventType,
};
use prost::Message as _;

use super::failure::{failure, passing_failure};
use super::rewind::parents_execution;
use super::start::check_start;
use crate::body::{ChildResult, ChildStart, MessageKind, Outgoing, Told};
use crate::command::{Caller, Parent, Refusal, StartInstance, Tell, Terminate};
use crate::dispatch::BY_SCHEDULER;
use crate::ids::{Iid, InstanceKey, Seq};
use crate::outcome::Outcome;
use crate::partition::{Instance, Partition};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::time::Now;

/// What came of a message.
#[derive(Debug)]
pub(crate) enum Heard {
    /// What was to come of it.
    Done,
    /// Nothing yet: there is no room for it.
    Later,
    /// The child could not be started. Its parent is to be told so.
    Refused(ChildResult),
}

impl Partition {
    /// What was to be told, if it still is: a sender whose turn came to nothing, or who is not in memory now, has
    /// nothing to tell. It stays with him until [`Partition::is_told`].
    pub(crate) fn to_be_told(&self, tell: &Tell) -> Option<Told> {
        let instance = self.instances.get(&tell.from.1)?;
        let message = instance.outbound(tell.seq, &tell.to.id)?;
        Outgoing::decode(message).ok().and_then(|outgoing| outgoing.told)
    }

    /// It was heard: its sender has it no longer.
    pub(crate) fn is_told(&mut self, tell: &Tell, outcome: &mut Outcome) {
        let iid = tell.from.1;
        let Some(instance) = self.instances.get_mut(&iid) else { return };
        if !planted::is(Plant::ToldTwice) {
            instance.take_outbound(tell.seq, &tell.to.id, outcome);
        }
        self.conclude(iid, outcome);
        self.purge_told(iid, outcome);
    }

    /// The instance of this id hears it. If it is not in memory, there is none.
    pub(crate) fn hear(&mut self, now: Now, key: &InstanceKey, told: Told, outcome: &mut Outcome) -> Heard {
        let hot = self.keys.get(key).copied();
        match (told, hot) {
            (Told::Start(start), _) => return self.start_child(now, key, hot, start, outcome),
            (Told::Rewind(rewind), _) => return self.rewind_child(now, key, hot, rewind, outcome),
            (Told::Result(result), Some(iid)) => return self.child_ended(now, iid, result, outcome),
            (Told::Event(event), Some(iid)) => {
                let instance = self.instances.get_mut(&iid).expect("it is in memory");
                // What other orchestrations send has no stamp.
                let is_own = !event.stamp.is_empty();
                if instance.is_terminal() || (!is_own && instance.refuses_name(&event.name).is_some()) {
                    return Heard::Done;
                }
                if instance.inbox_bytes > 2 * self.limits.inbox_bytes {
                    return Heard::Later;
                }
                let proof = if is_own { BY_SCHEDULER.to_owned() } else { String::new() };
                let caller = Caller { proof, ..Caller::default() };
                instance.receive_event(now, event.name, event.input, caller, None, outcome);
                self.conclude(iid, outcome);
            }
            (Told::Terminate(event), Some(iid)) => {
                let terminate = Terminate { output: event.input, recurse: event.recurse };
                self.terminate(now, iid, &terminate, None, outcome);
            }
            // Nobody is told of it: events to what is not there are dropped (PROTOCOL.md §6.5), and a parent that is gone
            // waits for nothing.
            (Told::Result(_) | Told::Event(_) | Told::Terminate(_), None) => {}
        }
        Heard::Done
    }

    /// A child is to be. If its id is that of one that has ended, it takes its place.
    pub(super) fn start_child(
        &mut self,
        now: Now,
        key: &InstanceKey,
        hot: Option<Iid>,
        start: ChildStart,
        outcome: &mut Outcome,
    ) -> Heard {
        let execution_id = parents_execution(start.parent.as_ref());
        let (parent, seq) = (start.parent.unwrap_or_default(), start.parent_seq);
        let start = StartInstance {
            name: start.name,
            version: start.version,
            input: start.input,
            scheduled_start: None,
            reuse: None,
            keep: Vec::new(),
            execution_id: start.execution_id,
            tags: start.tags,
            parent_trace: start.trace,
            parent: Some(Parent { info: parent, seq: seq.map(Seq) }),
        };
        let place = check_start(key, &start).and_then(|()| match hot {
            Some(iid) => self.end_life(iid, &start, outcome).map(|(_, left)| left),
            None => Ok(Vec::new()),
        });
        match (place, seq) {
            (Ok(left), _) => {
                self.begin_life(now, key.clone(), start, left, outcome);
                Heard::Done
            }
            (Err(refusal), Some(seq)) => {
                reach(Corner::ChildRefused);
                let failure = match &refusal {
                    Refusal::AlreadyExists { .. } => {
                        passing_failure("OrchestrationAlreadyExists", &refusal.to_string())
                    }
                    _ => failure("InvalidSubOrchestration", &refusal.to_string()),
                };
                Heard::Refused(ChildResult { execution_id, seq, output: None, failure: Some(failure) })
            }
            (Err(_), None) => Heard::Done,
        }
    }

    /// What became of a child that this instance waits for. If it does not any more, nothing.
    pub(crate) fn child_ended(&mut self, now: Now, iid: Iid, result: ChildResult, outcome: &mut Outcome) -> Heard {
        let Some(instance) = self.instances.get_mut(&iid) else { return Heard::Done };
        let seq = Seq(result.seq);
        let waits = instance.body.execution_id == result.execution_id && instance.children.contains_key(&seq);
        if !waits {
            reach(Corner::ChildResultInVain);
            return Heard::Done;
        }
        if instance.inbox_bytes > 2 * self.limits.inbox_bytes {
            reach(Corner::InboxFullForChild);
            return Heard::Later;
        }
        let child = instance.take_child(seq, outcome).expect("it was just looked at");
        let task_scheduled_id = child.task_id;
        let event = match result.failure {
            Some(failure) => EventType::SubOrchestrationInstanceFailed(SubOrchestrationInstanceFailedEvent {
                task_scheduled_id,
                failure_details: Some(failure),
            }),
            None => EventType::SubOrchestrationInstanceCompleted(SubOrchestrationInstanceCompletedEvent {
                task_scheduled_id,
                result: result.output,
            }),
        };
        let at = instance.record_time(now);
        instance.receive(MessageKind::Result, at, event, None, outcome);
        self.conclude(iid, outcome);
        Heard::Done
    }
}

impl Instance {
    /// Tells its parent, if one waits for it, how it ended.
    pub(crate) fn tell_parent(
        &mut self,
        partition: crate::ids::PartitionId,
        output: Option<String>,
        failure: Option<TaskFailureDetails>,
        outcome: &mut Outcome,
    ) {
        let Some(seq) = self.body.parent_seq else { return };
        let Some(parent) = self.body.parent.as_ref().and_then(|parent| parent.orchestration_instance.clone()) else {
            return;
        };
        let execution_id = parent.execution_id.unwrap_or_default();
        let result = ChildResult { execution_id, seq, output, failure };
        self.tell(partition, &parent.instance_id, Told::Result(result), outcome);
    }
}
