//! RaiseEvent: an external event goes into the inbox, whatever its name. Matching names, and keeping early
//! events, is the worker's job (PROTOCOL.md §4).

use placet_proto::durabletask::{EventRaisedEvent, history_event::EventType};
use placet_proto::placet::v1::Stamp;
use prost::Message as _;

use crate::body::MessageKind;
use crate::command::{Caller, RaiseEvent, Refusal, Reply};
use crate::dispatch::RESERVED_PREFIX;
use crate::ids::{CallId, Iid};
use crate::limits::Limits;
use crate::outcome::Outcome;
use crate::partition::{Instance, Partition};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::time::Now;

impl Partition {
    pub(crate) fn raise_event(
        &mut self,
        now: Now,
        iid: Iid,
        event: RaiseEvent,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let refusal = instance.refuses_name(&event.name).or_else(|| instance.refuses(&self.limits));
        if let Some(refusal) = refusal {
            outcome.reply(call, Err(refusal));
            return;
        }
        let is_dropped = planted::is(Plant::EventDropped) && instance.name.starts_with(RESERVED_PREFIX);
        if !instance.is_terminal() && !is_dropped {
            instance.receive_event(now, event.name, event.input, event.stamp, None, outcome);
        }
        outcome.reply(call, Ok(Reply::Done));
        self.conclude(iid, outcome);
    }
}

impl Instance {
    /// Why an event of this name is not taken, if it is not: the scheduler tells its own orchestrations of such things, and nobody else.
    pub(crate) fn refuses_name(&self, event: &str) -> Option<Refusal> {
        // Workers compare names without their case.
        let is_own = self.name.starts_with(RESERVED_PREFIX) && event.to_lowercase().starts_with(RESERVED_PREFIX);
        is_own.then(|| {
            Refusal::FailedPrecondition(format!("event {event:?} is for the scheduler to send to {}", self.key))
        })
    }

    /// Why an event is not taken, if it is not: too much waits for a worker.
    pub(crate) fn refuses(&self, limits: &Limits) -> Option<Refusal> {
        if self.inbox_bytes <= limits.inbox_bytes {
            return None;
        }
        reach(Corner::InboxFull);
        Some(Refusal::inbox_full())
    }

    /// Puts an external event into the inbox, stamped with the time and the caller.
    pub(crate) fn receive_event(
        &mut self,
        now: Now,
        name: String,
        input: Option<String>,
        caller: Caller,
        ask_id: Option<&str>,
        outcome: &mut Outcome,
    ) {
        let at = self.record_time(now);
        let stamp =
            Stamp { ask_id: ask_id.unwrap_or_default().to_owned(), principal: caller.principal, proof: caller.proof };
        let event = EventRaisedEvent { name, input, stamp: stamp.encode_to_vec().into() };
        self.receive(MessageKind::Raised, at, EventType::EventRaised(event), ask_id, outcome);
    }
}
