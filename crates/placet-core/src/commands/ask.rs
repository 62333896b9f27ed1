//! Ask: an external event whose sender hears what became of it (DESIGN.md §6, "Asking an orchestration").
//!
//! The event is committed with the ask's id; a waiter, which is no row and no poll, is answered from the first
//! committed turn that consumed it, or from the instance's end. The same id again gets the same answer, as long as it is
//! among the instance's last thousands ([`Limits::replies_kept`](crate::limits::Limits::replies_kept)).

use std::cell::LazyCell;
use std::sync::Arc;

use crate::command::{Ask, Asked, InstanceView, Refusal, Reply};
use crate::ids::{CallId, Iid};
use crate::limits;
use crate::outcome::Outcome;
use crate::partition::{AskWaiter, Instance, Partition};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{ReplyRow, Write};
use crate::time::Now;

/// What can be said against an ask before anything is known of the instance.
///
/// # Errors
/// [`Refusal::InvalidArgument`], naming the field.
pub(crate) fn check_ask(ask: &Ask) -> Result<(), Refusal> {
    let fields = [
        ("ask_id", ask.ask_id.len(), limits::ASK_ID_BYTES_MAX),
        ("principal", ask.stamp.principal.len() + ask.stamp.proof.len(), limits::PRINCIPAL_BYTES_MAX),
    ];
    match fields.iter().find(|(_, bytes, most)| bytes > most) {
        Some((field, bytes, most)) => Err(Refusal::InvalidArgument(format!("{field}: {bytes} bytes, {most} at most"))),
        None => Ok(()),
    }
}

impl Partition {
    pub(crate) fn ask(&mut self, now: Now, iid: Iid, ask: Arc<Ask>, call: Option<CallId>, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        if let Some(answer) = instance.answer_to(&ask.ask_id, || instance.view()) {
            outcome.reply(call, Ok(Reply::Asked(answer)));
            return;
        }
        if instance.has_open_ask(&ask.ask_id) {
            reach(Corner::AskedWhileOpen);
        } else {
            let refusal = instance.refuses_name(&ask.event_name).or_else(|| instance.refuses(&self.limits));
            if let Some(refusal) = refusal {
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

    /// Tells those who wait what became of what they asked: of all asks that a turn took at once, since who waits may
    /// be many.
    pub(crate) fn tell_askers(&mut self, iid: Iid, outcome: &mut Outcome) {
        let Some(instance) = self.instances.get(&iid) else { return };
        let Some(mut waiters) = self.ask_waiters.remove(&iid) else { return };
        let view = LazyCell::new(|| instance.view());
        waiters.retain(|waiter| match instance.answer_to(&waiter.ask.ask_id, || view.clone()) {
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
    /// What whoever asks with this id is told at once, if anything; `view` is the instance as it stands.
    fn answer_to(&self, ask_id: &str, view: impl FnOnce() -> Arc<InstanceView>) -> Option<Asked> {
        match self.replies.get(ask_id) {
            Some((_, Some(answer))) => Some(Asked::Reply(answer.clone())),
            Some((_, None)) => Some(Asked::State(view())),
            None => self.is_terminal().then(|| Asked::Ended(view())),
        }
    }

    /// Records that an ask was consumed, with or without an answer. Who waits is told by [`Partition::tell_askers`].
    pub(crate) fn answer_ask(&mut self, ask_id: &str, answer: Option<Arc<str>>, outcome: &mut Outcome) {
        if self.replies.contains_key(ask_id) && !planted::is(Plant::AnswerOverwritten) {
            reach(Corner::ReplyTooLate);
            return; // the first turn that consumed it answered it: a later reply comes too late
        }
        self.body.open_asks.retain(|open| open != ask_id);
        let ask_id: Arc<str> = ask_id.into();
        let turn = self.turn();
        let row = ReplyRow { iid: self.iid, ask_id: ask_id.clone(), turn, answer: answer.clone() };
        outcome.writes.push(Write::PutReply(row));
        self.keep_reply(ask_id, turn, answer);
    }

    /// Whether the question is on its way: in the inbox, or in the hands of code that has not taken it yet.
    fn has_open_ask(&self, ask_id: &str) -> bool {
        self.inbox_asks.contains(ask_id) || self.body.open_asks.iter().any(|open| open == ask_id)
    }
}
