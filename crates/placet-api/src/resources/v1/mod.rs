//! `/api/v1`: the whole life of a request.

pub(crate) mod acts;
pub(crate) mod decisions;
mod dedupe;
mod etag;
pub(crate) mod events;
pub(crate) mod lists;
pub(crate) mod permit;
pub(crate) mod policies;
pub(crate) mod record;
pub(crate) mod requests;
pub(crate) mod sheets;

use axum::Json;
use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use placet_approval::{Outcome, Refusal, Reply};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::requests::status_url;
use crate::guard::BaseUrl;
use crate::openapi::{Answer, Content};
use crate::problem::{Kind, Problem};

/// What became of what somebody did.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Done")]
pub(crate) struct Told {
    request_id: String,
    /// In a sentence.
    message: String,
    /// How many more must say yes in the stage that is open, at least; absent once it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<u32>,
    /// The stage that is open, from 1 on; absent once it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<usize>,
    /// The revision of the content that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    /// What came of the request, if that is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    status_url: String,
}

/// What whoever does something is answered.
const TOLD: &[Answer] = &[
    Answer::new(200, "It was done", &[Content::json::<Told>()]),
    Answer::new(202, "It was recorded; no worker has taken it yet", &[Content::json::<Told>()]),
];

/// Why what somebody does to a request may change nothing.
const REFUSED: &[Kind] = &[Kind::AlreadyDecided, Kind::ContentChanged, Kind::NotNow, Kind::NotYours];

/// What the rules have answered.
pub(crate) fn told(base: &BaseUrl, id: &str, reply: Reply) -> Result<Response, Problem> {
    let told = match reply {
        Reply::Accepted { outcome } => Told {
            request_id: id.to_owned(),
            message: outcome.sentence(),
            more: None,
            stage: None,
            revision: None,
            status_url: status_url(base, id),
            outcome: Some(outcome),
        },
        Reply::Recorded { more, stage, revision } => Told {
            request_id: id.to_owned(),
            message: recorded(more),
            more,
            stage: Some(stage + 1),
            revision: Some(revision),
            outcome: None,
            status_url: status_url(base, id),
        },
        Reply::Lost { outcome } => return Err(lost(base, id, &outcome)),
        Reply::Refused { why, as_it_is } => return Err(refused(&why, as_it_is)),
    };
    Ok((StatusCode::OK, Json(told)).into_response())
}

/// Something else has won.
pub(crate) fn lost(base: &BaseUrl, id: &str, outcome: &Outcome) -> Problem {
    Problem::new(Kind::AlreadyDecided, outcome.sentence())
        .with("request_id", id)
        .with("outcome", serde_json::to_value(outcome).unwrap_or_default())
        .with("status_url", status_url(base, id))
}

/// It changed nothing.
pub(crate) fn refused(why: &str, as_it_is: Refusal) -> Problem {
    match as_it_is {
        Refusal::Invalid => {
            let (field, remedy) = why.split_once(": ").unwrap_or(("body", why));
            // The field is the part before the colon if that is a name; what the event calls a choice is a decision here.
            let field = if field == "choice" { "decision" } else { field };
            if field.contains(' ') { Problem::field("body", why) } else { Problem::field(field, remedy) }
        }
        Refusal::Forbidden => Problem::new(Kind::NotYours, why),
        Refusal::Conflict => Problem::new(Kind::NotNow, why),
        Refusal::Changed => Problem::new(Kind::ContentChanged, why),
    }
}

/// No worker has taken it: it will be done, or not, when one does.
pub(crate) fn not_yet(base: &BaseUrl, id: &str) -> Response {
    let told = Told {
        request_id: id.to_owned(),
        message: "Recorded, not yet done: no worker has taken it".to_owned(),
        more: None,
        stage: None,
        revision: None,
        outcome: None,
        status_url: status_url(base, id),
    };
    (StatusCode::ACCEPTED, Json(told)).into_response()
}

/// "Recorded, 1 more needed".
pub(crate) fn recorded(more: Option<u32>) -> String {
    match more {
        Some(more) => format!("Recorded, {more} more needed"),
        None => "Recorded; others are asked now".to_owned(),
    }
}

/// Of many that came in one call, those that are under way at a time.
const AT_ONCE: usize = 16;

/// The answer to one of many: the status and the body that it would have had alone.
async fn told_apart(answer: Result<Response, Problem>) -> (u16, Value) {
    let answer = answer.into_response();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
