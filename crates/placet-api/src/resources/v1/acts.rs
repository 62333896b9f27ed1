//! `POST /api/v1/requests/{id}/{act}`: what people do with a request other than decide it.

use axum::Extension;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use placet_approval::{Act, DECISION_EVENT, ORCHESTRATION};
use placet_sdk::Answer;
use serde_json::{Map, Value};

use super::{refused, told};
use crate::Api;
use crate::body::Body;
use crate::guard::BaseUrl;
use crate::problem::{self, Kind, Problem};
use crate::resources::approvals::Wait;
use crate::rights;

/// The acts, by their places in a path.
const ACTS: [&str; 12] = [
    "claim", "release", "assign", "delegate", "forward", "comment", "question", "answer", "return", "revise",
    "withdraw", "override",
];

/// The request that a path names, and what is done with it.
pub(crate) struct Named {
    id: String,
    act: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, act)) = path.map_err(|_| Problem::no_such_request(parts.uri.path()))?;
        if !ACTS.contains(&act.as_str()) {
            let detail = format!("a request knows no {act:?}; it knows decisions, {}", ACTS.join(", "));
            return Err(Problem::new(Kind::NoSuchPath, detail));
        }
        Ok(Named { id, act })
    }
}

/// The call: `by` says who, the rest is the act's.
pub(crate) async fn act(
    State(api): State<Api>,
    Extension(base): Extension<BaseUrl>,
    Named { id, act }: Named,
    wait: Wait,
    Body(mut body): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let Some(Value::String(by)) = body.remove("by") else {
        return Err(Problem::field("by", "must be the name of whoever does it"));
    };
    if body.contains_key("act") {
        return Err(Problem::field("act", "stands in the path"));
    }
    let mut caller = rights::caller(&api, "by", &by)?;
    caller.rights = rights::of(&api, &caller);
    body.insert("act".to_owned(), act.into());
    let mut act: Act = serde_json::from_value(Value::Object(body)).map_err(|error| named(&error.to_string()))?;
    act.check()?;
    if let Act::Assign(to) | Act::Delegate(to) | Act::Forward(to) = &mut act {
        to.to = rights::person(&api, "to", to.to.as_str())?;
    }
    // Another program's orchestration would take it for an answer.
    let state = api.client.get(&id).await.map_err(|error| problem::of_call(&id, &error))?;
    if state.ok_or_else(|| Problem::no_such_request(&id))?.name() != ORCHESTRATION {
        return Err(foreign(&id));
    }
    let ask = api.client.ask(&id, DECISION_EVENT, &act).on_behalf_of(rights::stamp(&caller), caller.proof.to_string());
    let answer = ask.wait(wait.length()).await;
    match answer.map_err(|error| problem::of_call(&id, &error))? {
        Answer::Reply(reply) => match serde_json::from_str(&reply) {
            Ok(reply) => told(&base, &id, reply),
            Err(_) => Err(foreign(&id)),
        },
        Answer::Ended(state) => match state.output_json().and_then(|output| serde_json::from_str(output).ok()) {
            Some(outcome) => Err(super::lost(&base, &id, &outcome)),
            None => Err(refused("it has ended", placet_approval::Refusal::Conflict)),
        },
        Answer::State(_) => Err(foreign(&id)),
        Answer::Recorded => Ok(super::not_yet(&base, &id)),
    }
}

/// An orchestration of somebody's own knows nothing of acts.
pub(crate) fn foreign(id: &str) -> Problem {
    Problem::new(
        Kind::NotNow,
        format!("{id} is an orchestration of another program: it can be decided, and nothing else"),
    )
}

/// A problem with the field that a message names between backquotes.
fn named(message: &str) -> Problem {
    let field =
        message.split('`').nth(1).filter(|_| message.starts_with("missing") || message.starts_with("unknown field"));
    Problem::field(field.unwrap_or("body").to_owned(), message)
}
