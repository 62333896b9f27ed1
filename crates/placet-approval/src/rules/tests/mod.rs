//! The rules, as scripts, tables and laws.

mod clock;
mod content;
mod laws;
mod mission;
mod people;
mod play;
mod record;
mod votes;

use serde_json::{Value, json};

use super::*;
use crate::decision::Decision;
use crate::request::{Input, NewRequest};

const ACCEPTED: i64 = 1_000_000;
const DUE: i64 = ACCEPTED + 3_600;

/// The request that follows, and what is to be done.
fn apply(mut request: Request, event: &Event) -> (Request, Vec<Effect>) {
    let effects = super::apply(&mut request, event);
    (request, effects)
}

/// The reply, if nothing else is to be done.
fn only_reply(effects: &[Effect]) -> Option<&Reply> {
    if let [Effect::Reply { reply, .. }] = effects { Some(reply) } else { None }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn said(seconds: i64, who: &str, caller: Caller, payload: &impl Serialize) -> Said {
    let payload = Some(serde_json::to_string(payload).unwrap());
    Said { at: at(seconds), ask_id: Some(format!("ask of {who}")), caller, payload }
}

/// As the mission's sample has it: a name, and nothing that says whose.
fn answered(seconds: i64, is_approved: bool, approver: &str) -> Event {
    Event::Said(said(seconds, approver, Caller::default(), &Decision::new(is_approved, approver)))
}

fn opened(asked: Value) -> Request {
    let new: NewRequest = serde_json::from_value(asked).unwrap();
    let mut opened = Input::New(Box::new(new)).open("r-1".into(), at(ACCEPTED), false).unwrap();
    opened.seal("an execution");
    opened
}

/// Due an hour after it was accepted.
fn request() -> Request {
    apply(opened(json!({"requester": "Alice", "item": "Vacation", "timeout_hours": 1})), &Event::Began).0
}

fn verdict(reply: &Reply) -> String {
    match reply {
        Reply::Accepted { outcome } => format!("won: {}", outcome.status()),
        Reply::Recorded { more: Some(more), stage, .. } => format!("recorded, {more} more in stage {stage}"),
        Reply::Recorded { .. } => "recorded".to_owned(),
        Reply::Lost { outcome } => format!("lost to {}", outcome.status()),
        Reply::Refused { why, as_it_is } => format!("{as_it_is:?}: {why}"),
    }
}
