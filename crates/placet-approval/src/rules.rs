//! What an event makes of a request.
//!
//! The deadline is half-open: what was recorded before it counts, whether or not the timer has fired; what was
//! recorded at it or later finds the request timed out (APPROVALS.md §3, "Decision against timeout").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::outcome::{Decided, Outcome, TimedOut};
use crate::planted::{self, Plant};
use crate::request::Request;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody answered.
    Answered {
        /// When the scheduler recorded it.
        at: Timestamp,
        /// Who waits for a reply, if anybody does.
        ask_id: Option<String>,
        /// What was sent.
        payload: Option<String>,
    },
    /// The deadline's timer fired.
    TimerFired,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The request has changed: show it anew.
    Show,
    /// Whoever asked is to be told.
    Reply {
        /// The ask.
        ask_id: String,
        /// What.
        reply: Reply,
    },
}

/// What an asker is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// His decision won.
    Accepted {
        /// The outcome, which is his.
        outcome: Outcome,
    },
    /// Something else had won before.
    Lost {
        /// What won.
        outcome: Outcome,
    },
    /// What he sent is no decision; it changed nothing.
    Refused {
        /// What is wrong with it.
        why: String,
    },
}

/// What an event makes of a request, and what is to be done about it.
pub fn apply(mut request: Request, event: &Event) -> (Request, Vec<Effect>) {
    let mut effects = Vec::new();
    match event {
        Event::TimerFired => expire(&mut request, &mut effects),
        Event::Answered { at, ask_id, payload } => {
            if *at >= request.due
                || (planted::is(Plant::AnsweredInTimeExpires) && at.as_second() == request.due.as_second())
            {
                expire(&mut request, &mut effects);
            }
            let reply = answer(&mut request, *at, payload.as_deref(), &mut effects);
            effects.extend(ask_id.clone().map(|ask_id| Effect::Reply { ask_id, reply }));
        }
    }
    (request, effects)
}

fn expire(request: &mut Request, effects: &mut Vec<Effect>) {
    if request.outcome.is_none() {
        let request_id = request.request_id.clone();
        request.outcome = Some(Outcome::Timeout(TimedOut { request_id, timed_out_at: request.due }));
        effects.push(Effect::Show);
    }
}

fn answer(request: &mut Request, at: Timestamp, payload: Option<&str>, effects: &mut Vec<Effect>) -> Reply {
    if let Some(outcome) = &request.outcome
        && !planted::is(Plant::OutcomeOverwritten)
    {
        return Reply::Lost { outcome: outcome.clone() };
    }
    let decision = match Decision::of_payload(payload) {
        Ok(decision) => decision,
        Err(why) => return Reply::Refused { why },
    };
    let decided = Decided {
        request_id: request.request_id.clone(),
        processed_at: at,
        approver: decision.approver,
        comments: decision.comments.unwrap_or_default(),
    };
    let outcome = if decision.is_approved { Outcome::Approved(decided) } else { Outcome::Rejected(decided) };
    request.outcome = Some(outcome.clone());
    effects.push(Effect::Show);
    Reply::Accepted { outcome }
}

#[cfg(test)]
mod tests;
