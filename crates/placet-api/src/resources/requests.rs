//! `/api/requests`: ask for an approval, and look at it.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use placet_approval::{NewRequest, ORCHESTRATION, Outcome};
use placet_sdk::{InstanceState, StartError, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Shared;
use crate::body::Body;
use crate::guard::BaseUrl;
use crate::openapi::{About, Answer, Content, Inputs, Takes};
use crate::problem::{self, Kind, Problem};
use crate::resources::time::timestamp;

/// The body of `POST /api/requests`: the mission's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MissionRequest")]
pub(crate) struct Asked {
    /// Who asks.
    requester: String,
    /// For what.
    item: String,
    /// How long it can be answered, in hours; 24 if nothing is said.
    #[serde(default)]
    timeout_hours: Option<f64>,
}

impl Asked {
    fn into_request(self, approval_url: String) -> NewRequest {
        let mut request = NewRequest::new(self.requester, self.item);
        request.timeout_hours = self.timeout_hours;
        request.approval_url = Some(approval_url);
        request
    }
}

/// What whoever asked is told.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissionCreated")]
pub(crate) struct Created {
    request_id: String,
    /// Pending.
    status: &'static str,
    /// Where it is decided.
    approval_url: String,
    /// Where it is looked at.
    status_url: String,
    /// Until when it can be answered.
    due: Timestamp,
}

pub(crate) const CREATE: About = About {
    id: "createMissionRequest",
    summary: "Ask for an approval",
    details: "Whoever answers first decides. What is answered is on disk.",
    answers: &[Answer::new(200, "It was accepted", &[Content::json::<Created>()])],
    example: Some(r#"{"requester": "Alice", "item": "Vacation Request", "timeout_hours": 1}"#),
    ..About::NOTHING
};

/// `POST /api/requests`: what is answered is durable.
pub(crate) async fn create(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    Body(asked): Body<Asked>,
) -> Result<Json<Created>, Problem> {
    let request_id = Uuid::now_v7().to_string();
    let approval_url = approval_url(&base, &request_id);
    let mut request = asked.into_request(approval_url.clone());
    request.check()?;
    // By the clock that will end it: the scheduler's, which may be virtual, or another computer's.
    let now = api.client.time().await.map_err(|error| problem::of_call(&request_id, &error))?.now;
    let due = (api.configuration)().open(&request, &request_id, timestamp(now))?.due;
    request.due = Some(due);

    let started = api.client.start(ORCHESTRATION, &request).id(&request_id).only_if_absent().await;
    started.map_err(|error| not_started(&request_id, &error))?;
    let status_url = status_url(&base, &request_id);
    Ok(Json(Created { request_id, status: "Pending", approval_url, status_url, due }))
}

/// A request as it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissionStatus")]
pub(crate) struct Shown<'a> {
    request_id: &'a str,
    /// The orchestration's status, by the SDKs' names.
    runtime_status: &'static str,
    /// Pending, Approved, Rejected or Timeout, as the mission knows them: what was withdrawn is not approved. For another
    /// program's orchestration that ended otherwise, how.
    status: String,
    /// Our word for it, which tells more; of our own requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'static str>,
    /// The custom status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    details: Option<Cow<'a, RawValue>>,
    /// What came of it: of a request, who decided and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    output: Option<Cow<'a, RawValue>>,
    /// Why the orchestration failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The request that a path names.
pub(crate) struct RequestId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<RequestId, Problem> {
        // What is no text names no request.
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(id)| RequestId(id)).map_err(|_| Problem::no_such_request(parts.uri.path()))
    }
}

impl Takes for RequestId {
    fn describe(input: &mut Inputs<'_>) {
        let schema = json!({"type": "string", "minLength": 1});
        input.parameter("path", "id", true, "The request's id.", &schema);
        input.refuses(&[Kind::NoSuchRequest]);
    }
}

pub(crate) const SHOW: About = About {
    id: "getMissionRequest",
    summary: "Look at a request",
    details: "Also at any orchestration of another program, under its instance id.",
    answers: &[Answer::new(200, "As it stands", &[Content::json::<Shown<'_>>()])],
    ..About::NOTHING
};

/// `GET /api/requests/{id}`. The answer keeps the room that the state has.
pub(crate) async fn show(State(api): State<Shared>, RequestId(id): RequestId) -> Result<Response, Problem> {
    let state = api.client.get(&id).await.map_err(|error| problem::of_call(&id, &error))?;
    let state = state.ok_or_else(|| Problem::no_such_request(&id))?;
    let shown = Shown {
        request_id: &id,
        runtime_status: state.status().as_str(),
        status: in_four(&state),
        status_detail: detail(&state),
        details: as_it_is(state.custom_status_json()),
        output: as_it_is(state.output_json()),
        error: state.failure().map(|failure| failure.message().to_owned()),
    };
    Ok((Extension(state.room().clone()), Json(shown)).into_response())
}

/// How it stands with a request: by its outcome, else by what the orchestration says of itself, else by whether it
/// goes on. So orchestrations of other programs are understood that speak of themselves as the mission's does.
pub(crate) fn status(state: &InstanceState) -> String {
    let outcome = said(state.output_json());
    match state.status() {
        Status::Failed => "Failed".to_owned(),
        Status::Terminated | Status::Canceled => "Withdrawn".to_owned(),
        Status::Completed => outcome.unwrap_or_else(|| "Completed".to_owned()),
        Status::Pending | Status::Running | Status::Suspended | Status::ContinuedAsNew => {
            said(state.custom_status_json()).unwrap_or_else(|| "Pending".to_owned())
        }
    }
}

/// Whether somebody has ended it from outside: a request of ours is withdrawn then.
pub(crate) fn was_terminated(state: &InstanceState) -> bool {
    matches!(state.status(), Status::Terminated | Status::Canceled)
}

/// What whoever ended it from outside said to that.
pub(crate) fn said_at_the_end(state: &InstanceState) -> String {
    let text = state.output_json().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

fn in_four(state: &InstanceState) -> String {
    let status = status(state);
    if status == "Withdrawn" && state.name() == ORCHESTRATION { "Rejected".to_owned() } else { status }
}

fn detail(state: &InstanceState) -> Option<&'static str> {
    if state.name() != ORCHESTRATION || state.status() == Status::Failed {
        return None;
    }
    if was_terminated(state) {
        return Some("withdrawn");
    }
    let outcome = state.output_json().and_then(|output| serde_json::from_str::<Outcome>(output).ok());
    Some(outcome.map_or("pending", |outcome| outcome.detail()))
}

/// The status that a payload speaks of.
fn said(payload: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        status: String,
    }
    let object = payload?.trim_start();
    if object.starts_with('{') { serde_json::from_str(object).ok().map(|Said { status }| status) } else { None }
}

/// A payload as JSON, which is looked through and not taken apart: apart, it is many times as long. One that is none, as the
/// text that it is.
fn as_it_is(payload: Option<&str>) -> Option<Cow<'_, RawValue>> {
    let payload = payload?;
    match serde_json::from_str(payload) {
        Ok(raw) => Some(Cow::Borrowed(raw)),
        Err(_) => to_raw_value(payload).ok().map(Cow::Owned),
    }
}

/// A payload as JSON; one that is none, as the text that it is.
pub(crate) fn json(payload: Option<&str>) -> Option<Value> {
    let payload = payload?;
    Some(serde_json::from_str(payload).unwrap_or_else(|_| Value::String(payload.to_owned())))
}

pub(crate) fn status_url(BaseUrl(base): &BaseUrl, id: &str) -> String {
    format!("{base}/api/requests/{id}")
}

pub(crate) fn approval_url(BaseUrl(base): &BaseUrl, id: &str) -> String {
    format!("{base}/api/approvals/{id}")
}

pub(crate) fn not_started(id: &str, error: &StartError) -> Problem {
    match error {
        StartError::Call(error) => problem::of_call(id, error),
        error => Problem::new(Kind::SchedulerFailed, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_shown_as_it_is_and_a_text_that_is_no_json_as_a_text() {
        let table = [
            (r#" {"a": [1, 2.50] } "#, r#"{"a": [1, 2.50] }"#),
            ("7", "7"),
            ("no JSON", r#""no JSON""#),
            (r#"{"cut": "#, r#""{\"cut\": ""#),
        ];
        for (payload, shown) in table {
            assert_eq!(as_it_is(Some(payload)).unwrap().get(), shown);
        }
        assert!(as_it_is(None).is_none());
    }

    #[test]
    fn only_an_object_speaks_of_a_status_and_only_with_a_text() {
        let table = [
            (r#" {"a": 1, "status": "Approved"}"#, Some("Approved")),
            (r#"{"status": 1}"#, None),
            (r#"{"a": 1}"#, None),
            (r#"["Approved"]"#, None),
            ("no JSON", None),
        ];
        for (payload, status) in table {
            assert_eq!(said(Some(payload)).as_deref(), status, "{payload}");
        }
    }
}
