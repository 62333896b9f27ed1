//! TerminateInstance: the worker is told, and ends the instance; if none can take the turn, the server does.

use bytes::BytesMut;
use placet_proto::durabletask::{
    ExecutionTerminatedEvent, HistoryEvent, OrchestrationStatus, OrchestratorStartedEvent, history_event::EventType,
};
use prost::Message as _;

use crate::body::MessageKind;
use crate::command::{Reply, Terminate};
use crate::dispatch::{ItemId, RESERVED_PREFIX};
use crate::ids::{CallId, Iid};
use crate::outcome::Outcome;
use crate::partition::{Instance, Partition};
use crate::reach::{Corner, reach};
use crate::time::Now;
use crate::wire;

use super::complete_turn::{End, Taken, told_to_children};

impl Partition {
    pub(crate) fn terminate(
        &mut self,
        now: Now,
        iid: Iid,
        terminate: &Terminate,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        outcome.reply(call, Ok(Reply::Done));
        if instance.is_terminal() || instance.terminating {
            return;
        }
        let at = instance.record_time(now);
        let event = ExecutionTerminatedEvent { input: terminate.output.clone(), recurse: terminate.recurse };
        instance.receive(MessageKind::Terminated, at, EventType::ExecutionTerminated(event), None, outcome);
        let idle = instance.out.is_none();
        if idle && (instance.status == OrchestrationStatus::Pending || instance.body.poisoned) {
            // Nothing ran yet, or nothing will again: no worker needs to hear of it, and none may come for long.
            if instance.body.poisoned {
                reach(Corner::PoisonedTerminated);
            }
            self.end_terminated(now, iid, outcome);
        } else if idle && instance.offered {
            // Its turn waits for a worker already, which may never come: it is offered again, as one that ends.
            outcome.ready.push(instance.turn_spec(self.id, &self.limits));
        }
        self.conclude(iid, outcome);
    }

    /// Ends an instance that was told to terminate and that no worker can take: what is in its inbox becomes
    /// its last turn. Tells whether there was anything to do.
    pub fn terminate_unserved(&mut self, now: Now, iid: Iid, outcome: &mut Outcome) -> bool {
        let Some(instance) = self.instances.get_mut(&iid) else { return false };
        instance.offered = false;
        if instance.is_terminal() || instance.out.is_some() || !instance.terminating {
            return false;
        }
        self.end_terminated(now, iid, outcome);
        self.conclude(iid, outcome);
        true
    }

    /// Ends an instance at once, whatever a worker has of it.
    pub(crate) fn force_end(
        &mut self,
        now: Now,
        iid: Iid,
        reason: Option<String>,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        // An approval is ended by its rules, which keep the record of it.
        if instance.is_terminal() || instance.name.starts_with(RESERVED_PREFIX) {
            outcome.reply(call, Ok(Reply::Nothing));
            return;
        }
        if !instance.terminating {
            let at = instance.record_time(now);
            let event = ExecutionTerminatedEvent { input: reason, recurse: false };
            instance.receive(MessageKind::Terminated, at, EventType::ExecutionTerminated(event), None, outcome);
        }
        if instance.out.take().is_some() {
            outcome.done.push(ItemId::Turn(self.id, iid));
        }
        self.end_terminated(now, iid, outcome);
        outcome.reply(call, Ok(Reply::Done));
        self.conclude(iid, outcome);
    }

    pub(crate) fn end_terminated(&mut self, now: Now, iid: Iid, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let (output, children) = instance.termination();
        let end = End { id: -1, status: OrchestrationStatus::Terminated, output, failure: None };
        self.end_without_worker(now, iid, end, children, outcome);
    }

    /// Ends an instance whose last turn no worker runs: what is in its inbox becomes that turn.
    pub(super) fn end_without_worker(
        &mut self,
        now: Now,
        iid: Iid,
        end: End,
        children: Option<ExecutionTerminatedEvent>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let at = instance.record_time(now);
        let mut run = BytesMut::new();
        let started = EventType::OrchestratorStarted(OrchestratorStartedEvent {});
        wire::push_event(&mut run, wire::PAST_EVENTS, &wire::event(-1, at, started));
        for entry in &instance.inbox {
            wire::push_event(&mut run, wire::PAST_EVENTS, &entry.message.event);
        }
        instance.body.held = false;
        let messages = instance.inbox.len();
        self.consume(iid, messages, Taken::Nothing, outcome);
        self.end(iid, at, end, children, &mut run, outcome);
        self.record_turn(iid, run.freeze(), outcome);
        self.wake_waiters(iid, outcome);
        self.tell_askers(iid, outcome);
    }
}

impl Instance {
    /// What the first termination in the inbox says that the output is to be, and what the children are told.
    fn termination(&self) -> (Option<String>, Option<ExecutionTerminatedEvent>) {
        let mut inbox = self.inbox.iter();
        let Some(first) = inbox.find(|entry| entry.message.kind() == MessageKind::Terminated) else {
            return (None, None);
        };
        let event = HistoryEvent::decode(first.message.event.clone());
        let output = match event.ok().and_then(|event| event.event_type) {
            Some(EventType::ExecutionTerminated(terminated)) => terminated.input,
            _ => None,
        };
        (output, told_to_children(&first.message))
    }
}
