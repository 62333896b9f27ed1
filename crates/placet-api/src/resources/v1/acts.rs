//! `POST /api/v1/requests/{id}/claim` and the like: what people do with a request other than decide it.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use placet_approval::{Act, DECISION_EVENT, ORCHESTRATION};
use placet_sdk::{Answer, BoxFuture};
use schemars::JsonSchema;
use serde::Deserialize;

use super::etag::IfMatch;
use super::{refused, told};
use crate::body::By;
use crate::guard::BaseUrl;
use crate::openapi::About;
use crate::problem::{self, Kind, Problem};
use crate::resources::approvals::Wait;
use crate::resources::requests::RequestId;
use crate::rights;
use crate::{Api, Shared};

/// All is said by who does it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What came of an act, once it has.
type Answered = BoxFuture<'static, Result<Response, Problem>>;

/// A handler of an act, which is made of what its body says.
pub(crate) fn act<T: Send + 'static>(
    act: fn(T) -> Act,
) -> impl Fn(State<Shared>, Extension<BaseUrl>, RequestId, Wait, IfMatch, By<T>) -> Answered + Clone + Send + Sync + 'static
{
    move |State(api), Extension(base), RequestId(id), wait, seen, By(by, what)| {
        let act = act(what);
        Box::pin(async move {
            seen.check(&api, &base, &id).await?;
            done(&api, &base, &id, &wait, &by, act).await
        })
    }
}

async fn done(api: &Api, base: &BaseUrl, id: &str, wait: &Wait, by: &str, mut act: Act) -> Result<Response, Problem> {
    let mut caller = rights::caller(api, "by", by)?;
    caller.rights = rights::of(api, &caller);
    act.check()?;
    if let Act::Assign(to) | Act::Delegate(to) | Act::Forward(to) = &mut act {
        to.to = rights::person(api, "to", to.to.as_str())?;
    }
    // Another program's orchestration would take it for an answer.
    let state = api.client.get(id).await.map_err(|error| problem::of_call(id, &error))?;
    if state.ok_or_else(|| Problem::no_such_request(id))?.name() != ORCHESTRATION {
        return Err(foreign(id));
    }
    let ask = api.client.ask(id, DECISION_EVENT, &act).on_behalf_of(rights::stamp(&caller), caller.proof.to_string());
    let answer = ask.wait(wait.length()).await;
    match answer.map_err(|error| problem::of_call(id, &error))? {
        Answer::Reply(reply) => match serde_json::from_str(&reply) {
            Ok(reply) => told(base, id, reply),
            Err(_) => Err(foreign(id)),
        },
        Answer::Ended(state) => match state.output_json().and_then(|output| serde_json::from_str(output).ok()) {
            Some(outcome) => Err(super::lost(base, id, &outcome)),
            None => Err(refused("it has ended", placet_approval::Refusal::Conflict)),
        },
        Answer::State(_) => Err(foreign(id)),
        Answer::Recorded => Ok(super::not_yet(base, id)),
    }
}

/// An orchestration of somebody's own knows nothing of acts.
pub(crate) fn foreign(id: &str) -> Problem {
    Problem::new(
        Kind::NotNow,
        format!("{id} is an orchestration of another program: it can be decided, and nothing else"),
    )
}

const ACT: About = About { answers: super::TOLD, problems: super::REFUSED, ..About::NOTHING };

pub(crate) const CLAIM: About = About {
    id: "claimRequest",
    summary: "Take a request",
    details: "Others leave it to whoever claims it for a while: where one vote is needed it is his.",
    example: Some(r#"{"by": "bob"}"#),
    ..ACT
};

pub(crate) const RELEASE: About = About {
    id: "releaseRequest",
    summary: "Leave a request that was claimed",
    example: Some(r#"{"by": "bob"}"#),
    ..ACT
};

pub(crate) const ASSIGN: About = About {
    id: "assignRequest",
    summary: "Give a request to somebody who could decide it",
    details: "It is claimed for him. By whoever is asked himself, or has the right to.",
    example: Some(r#"{"by": "carol", "to": "bob"}"#),
    ..ACT
};

pub(crate) const DELEGATE: About = About {
    id: "delegateRequest",
    summary: "Have somebody act for one",
    details: "Both may, until one of them has.",
    example: Some(r#"{"by": "bob", "to": "dave", "text": "I am away until Monday"}"#),
    ..ACT
};

pub(crate) const FORWARD: About = About {
    id: "forwardRequest",
    summary: "Pass a request on",
    details: "It is not for whoever forwards it any more, but for somebody else.",
    example: Some(r#"{"by": "bob", "to": "dave"}"#),
    ..ACT
};

pub(crate) const COMMENT: About = About {
    id: "commentRequest",
    summary: "Say a word to a request",
    example: Some(r#"{"by": "bob", "text": "The tests are green"}"#),
    ..ACT
};

pub(crate) const QUESTION: About = About {
    id: "questionRequest",
    summary: "Ask whoever requested it",
    example: Some(r#"{"by": "bob", "text": "Is there a way back?"}"#),
    ..ACT
};

pub(crate) const ANSWER: About = About {
    id: "answerRequest",
    summary: "Answer a question",
    details: "`question` is its number in the thread.",
    example: Some(r#"{"by": "alice", "question": 1, "text": "Yes"}"#),
    ..ACT
};

pub(crate) const RETURN: About = About {
    id: "returnRequest",
    summary: "Return a request for changes",
    details: "Nobody votes until it is resubmitted.",
    example: Some(r#"{"by": "bob", "text": "Please name the version"}"#),
    ..ACT
};

pub(crate) const REVISE: About = About {
    id: "reviseRequest",
    summary: "Change a request, returned or not",
    details: "By whoever requested it. What is absent stays as it is.",
    example: Some(r#"{"by": "alice", "payload": {"version": "2.3.1"}}"#),
    ..ACT
};

pub(crate) const WITHDRAW: About = About {
    id: "withdrawRequest",
    summary: "Take a request back",
    details: "By whoever requested it, or by whoever has the right to.",
    example: Some(r#"{"by": "alice", "text": "No longer needed"}"#),
    ..ACT
};

pub(crate) const OVERRIDE: About = About {
    id: "overrideRequest",
    summary: "Approve over the heads of those who should have decided",
    details: "By whoever has the right to. The outcome says so.",
    example: Some(r#"{"by": "carol", "text": "The site is down"}"#),
    ..ACT
};
