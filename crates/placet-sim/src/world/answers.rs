//! What a client is told, and what the store says of it at that moment.

use std::rc::Rc;

use placet_core::body;
use placet_core::command::{Asked, InstanceView, Recorded, Refusal, Reply, is_terminal};
use placet_core::ids::{Hub, InstanceId, InstanceKey};
use placet_core::rows::Lookup;
use placet_proto::durabletask::HistoryEvent;
use placet_store::Store as _;
use prost::Message as _;

use super::ledger::{Life, holds_event};
use super::{Event, Violation, World};
use crate::facts::{Answer, Call, Fact, Outcome, Seen, Stored, What};
use crate::struck::FaultKind;

impl World {
    pub(super) fn answer_client(
        &mut self,
        client: usize,
        call: Call,
        waits: bool,
        reply: Result<Reply, Refusal>,
    ) -> Result<(), Violation> {
        let stored = if wants_store(&reply) { self.stored(call.slot)? } else { None };
        let answer = match (&reply, &call.what) {
            (Ok(Reply::Recorded(Recorded::Version(version))), What::Record { row, .. }) => {
                Answer::Written(*version, self.stored_row(*row)?)
            }
            _ => answer_of(reply, stored.as_ref()),
        };
        self.trace.note(self.now, &[40, call.number], || format!("the server answers {}: {answer:?}", call.number));
        self.see(&Fact::Released(&call, &answer, stored.as_ref()))?;
        if waits && !self.goes_wrong(FaultKind::CallLost) {
            let wait = self.latency();
            self.after(wait, Event::Told(client, call.number, answer));
        }
        Ok(())
    }

    /// An instance as the store has it.
    pub(super) fn stored(&self, slot: usize) -> Result<Option<Stored>, Violation> {
        let slot = &self.slots[slot];
        let key = InstanceKey::new(Hub::new(&slot.hub), InstanceId::new(slot.id.as_str()));
        let store = &self.disk.store;
        let found = store.load(&[Lookup::Key(key)]).map_err(|error| error.to_string())?;
        let Some(found) = found.into_iter().flatten().next() else { return Ok(None) };
        let unread = |error: prost::DecodeError| format!("{} cannot be read: {error}", slot.id);
        let instance = body::InstanceBody::decode(found.row.body.clone()).map_err(unread)?;
        let history = self.ledger.lives.get(&found.row.iid).map(|life| life.history.clone()).unwrap_or_default();
        let mut inbox = Vec::new();
        for row in found.inbox {
            let message = body::InboxMessage::decode(row.data).map_err(unread)?;
            if holds_event(&message) {
                inbox.push(HistoryEvent::decode(message.event).map_err(unread)?);
            }
        }
        let outcome = if is_terminal(found.row.status) { Outcome::of_history(&history) } else { None };
        if outcome.as_ref().map(|outcome| outcome.status) != is_terminal(found.row.status).then_some(found.row.status) {
            let what = format!("{} has status {:?}, and its history ends otherwise", slot.id, found.row.status);
            return Err(what.into());
        }
        let replies = found.replies.into_iter().map(|row| (row.ask_id.to_string(), row.answer.map(|a| a.to_string())));
        Ok(Some(Stored { execution: instance.execution_id, outcome, history, inbox, replies: replies.collect() }))
    }
}

impl World {
    /// The life that an instance has now.
    pub(super) fn life_of(&self, slot: usize) -> Option<&Life> {
        let slot = &self.slots[slot];
        self.ledger
            .lives
            .values()
            .rev()
            .find(|life| life.row.id.as_str() == slot.id && life.row.hub.as_str() == slot.hub)
    }

    /// Whether something of an instance was set aside.
    pub(super) fn is_poisoned(&self, slot: usize) -> bool {
        let slot = &self.slots[slot];
        let key = InstanceKey::new(Hub::new(&slot.hub), InstanceId::new(slot.id.as_str()));
        let Ok(found) = self.disk.store.load(&[Lookup::Key(key)]) else { return false };
        let Some(found) = found.into_iter().flatten().next() else { return false };
        let of_activity = |data| body::PendingActivity::decode(data).is_ok_and(|pending| pending.poisoned);
        body::InstanceBody::decode(found.row.body).is_ok_and(|body| body.poisoned)
            || found.activities.into_iter().any(|row| of_activity(row.data))
    }
}

/// Whether the answer tells of something that must be in the store.
fn wants_store(reply: &Result<Reply, Refusal>) -> bool {
    match reply {
        Ok(Reply::Instance(None) | Reply::Nothing | Reply::Recorded(_) | Reply::Why(_)) | Err(_) => false,
        Ok(_) => true,
    }
}

fn answer_of(reply: Result<Reply, Refusal>, stored: Option<&Stored>) -> Answer {
    match reply {
        Ok(Reply::Done | Reply::Started(_) | Reply::Retried(_)) => Answer::Done,
        Ok(Reply::Instance(None) | Reply::Nothing) | Err(Refusal::NotFound(_)) => Answer::Absent,
        Ok(Reply::Instance(Some(view))) => seen(&view, stored).map_or_else(|| over(stored), Answer::State),
        Ok(Reply::Asked(Asked::Reply(answer))) => Answer::Reply(answer.to_string()),
        Ok(Reply::Asked(Asked::State(view))) => seen(&view, stored).map_or(Answer::Recorded, Answer::After),
        Ok(Reply::Asked(Asked::Ended(view))) => seen(&view, stored).map_or_else(|| over(stored), Answer::Ended),
        Ok(Reply::Asked(Asked::Recorded)) => Answer::Recorded,
        Err(Refusal::AlreadyExists { .. }) => Answer::Exists,
        Err(Refusal::FailedPrecondition(_)) => Answer::Unfit,
        Err(Refusal::Exhausted { .. } | Refusal::Unreadable(_)) => Answer::TryLater,
        Err(Refusal::Unknown) => Answer::Unknown,
        Ok(Reply::Stale) => Answer::Wrong("stale".to_owned()),
        Ok(Reply::Recorded(Recorded::Deleted)) => Answer::Done,
        Ok(Reply::Recorded(Recorded::Conflict(there))) => Answer::Conflict(there),
        Ok(Reply::Recorded(Recorded::Version(version))) => Answer::Written(version, None),
        Ok(Reply::Arrived(_)) => Answer::Wrong("arrived".to_owned()),
        Ok(Reply::Why(why)) => Answer::Why(Rc::from(why)),
        Err(other) => Answer::Wrong(other.to_string()),
    }
}

/// The answer when the life that the shard told of is gone by the time that its payloads are read.
fn over(stored: Option<&Stored>) -> Answer {
    if stored.is_some() { Answer::TryLater } else { Answer::Absent }
}

/// The edge fills in what the shard does not have at hand from the history, if it is still there.
fn seen(view: &InstanceView, stored: Option<&Stored>) -> Option<Seen> {
    let status = view.state.orchestration_status();
    let execution = view.state.execution_id.clone().unwrap_or_default();
    let outcome = if !is_terminal(status) {
        None
    } else if view.output_known {
        let failure = view.state.failure_details.as_ref();
        Some(Outcome {
            status,
            output: view.state.output.clone(),
            failure: failure.map(|failure| format!("{}: {}", failure.error_type, failure.error_message)),
        })
    } else {
        Some(stored.filter(|stored| stored.execution == execution)?.outcome.clone()?)
    };
    Some(Seen { execution, outcome })
}
