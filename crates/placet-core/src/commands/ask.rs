//! Ask: an external event whose sender hears what became of it (DESIGN.md §6, "Asking an orchestration").
//!
//! The event is committed with the ask's id; a waiter, which is no row and no poll, is answered from the first
//! committed turn that consumed it, or from the instance's end. The same id again gets the same answer.

use std::sync::Arc;

use placet_proto::placet::v1::AskReply;

use crate::command::{Ask, Asked, Reply};
use crate::ids::{CallId, Iid};
use crate::outcome::Outcome;
use crate::partition::{AskWaiter, Instance, Partition};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{ReplyRow, Write};
use crate::time::Now;

impl Partition {
    pub(crate) fn ask(&mut self, now: Now, iid: Iid, ask: Arc<Ask>, call: Option<CallId>, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        if let Some(answer) = instance.answer_to(&ask.ask_id) {
            outcome.reply(call, Ok(Reply::Asked(answer)));
            return;
        }
        if instance.has_open_ask(&ask.ask_id) {
            reach(Corner::AskedWhileOpen);
        } else {
            if let Some(refusal) = instance.refuses(&self.limits) {
                outcome.reply(call, Err(refusal));
                return;
            }
            let (name, payload) = (ask.event_name.clone(), ask.payload.clone());
            instance.receive_event(now, name, payload, ask.stamp.clone(), Some(&ask.ask_id), outcome);
        }
        if let Some(call) = call {
            let until = now.mono.after(ask.wait);
            outcome.ask_deadlines.push((until, call, iid));
            let waiter = AskWaiter { key: instance.key.clone(), call, ask, until };
            self.ask_waiters.entry(iid).or_default().push(waiter);
        }
        self.conclude(iid, outcome);
    }

    /// The caller of an ask has waited long enough: it is told that its question is recorded.
    pub fn ask_expired(&mut self, iid: Iid, call: CallId, outcome: &mut Outcome) {
        let Some(waiters) = self.ask_waiters.get_mut(&iid) else { return };
        let before = waiters.len();
        waiters.retain(|waiter| waiter.call != call);
        if waiters.len() < before {
            outcome.reply(Some(call), Ok(Reply::Asked(Asked::Recorded)));
        }
        if waiters.is_empty() {
            self.ask_waiters.remove(&iid);
        }
    }

    /// Records what the turn's code made of the asks that it took, and tells those who wait.
    pub(crate) fn answer_asks(&mut self, iid: Iid, replies: Vec<AskReply>, outcome: &mut Outcome) {
        for reply in replies {
            self.answer_ask(iid, &reply.ask_id, reply.answer.map(Arc::from), outcome);
        }
    }

    /// Records that an ask was consumed, with or without an answer, and tells those who wait.
    pub(crate) fn answer_ask(&mut self, iid: Iid, ask_id: &str, answer: Option<Arc<str>>, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        if instance.replies.contains_key(ask_id) && !planted::is(Plant::AnswerOverwritten) {
            reach(Corner::ReplyTooLate);
            return; // the first turn that consumed it answered it: a later reply comes too late
        }
        instance.body.open_asks.retain(|open| open != ask_id);
        let ask_id: Arc<str> = ask_id.into();
        outcome.writes.push(Write::PutReply(ReplyRow { iid, ask_id: ask_id.clone(), answer: answer.clone() }));
        instance.replies.insert(ask_id.clone(), answer);
        self.tell_askers(iid, outcome, |waiter, instance| {
            (waiter.ask.ask_id == ask_id).then(|| instance.answer_to(&ask_id)).flatten()
        });
    }

    /// Tells everybody who still waits for an answer that the instance has ended.
    pub(crate) fn end_asks(&mut self, iid: Iid, outcome: &mut Outcome) {
        self.tell_askers(iid, outcome, |_, instance| Some(Asked::Ended(instance.view())));
    }

    fn tell_askers(
        &mut self,
        iid: Iid,
        outcome: &mut Outcome,
        answer: impl Fn(&AskWaiter, &Instance) -> Option<Asked>,
    ) {
        let Some(instance) = self.instances.get(&iid) else { return };
        let Some(mut waiters) = self.ask_waiters.remove(&iid) else { return };
        waiters.retain(|waiter| match answer(waiter, instance) {
            Some(asked) => {
                waiter.tell(asked, outcome);
                false
            }
            None => true,
        });
        if !waiters.is_empty() {
            self.ask_waiters.insert(iid, waiters);
        }
    }
}

impl AskWaiter {
    /// It is answered, and waits no longer.
    pub(crate) fn tell(&self, asked: Asked, outcome: &mut Outcome) {
        outcome.reply(Some(self.call), Ok(Reply::Asked(asked)));
        outcome.asks_told.push((self.until, self.call));
    }
}

impl Instance {
    /// What whoever asks with this id is told at once, if anything.
    fn answer_to(&self, ask_id: &str) -> Option<Asked> {
        match self.replies.get(ask_id) {
            Some(Some(answer)) => Some(Asked::Reply(answer.clone())),
            Some(None) => Some(Asked::State(self.view())),
            None => self.is_terminal().then(|| Asked::Ended(self.view())),
        }
    }

    /// Whether the question is on its way: in the inbox, or in the hands of code that has not taken it yet.
    fn has_open_ask(&self, ask_id: &str) -> bool {
        self.body.open_asks.iter().any(|open| open == ask_id)
            || self.inbox.iter().any(|entry| entry.message.ask_id.as_deref() == Some(ask_id))
    }
}
