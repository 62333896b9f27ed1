//! `/healthz`: the process is there. `/readyz`: it can be relied upon, or why not.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Operations;
use crate::openapi::{About, Answer, Content};

pub(crate) const ALIVE: About = About {
    id: "getHealth",
    summary: "Whether the process is there",
    answers: &[Answer::empty(204, "It is")],
    ..About::NOTHING
};

pub(crate) async fn alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ready {
    /// Whether it is.
    ready: bool,
    /// Why it is not; empty if it is.
    reasons: Vec<String>,
}

pub(crate) const READY: About = About {
    id: "getReadiness",
    summary: "Whether the server can be relied upon",
    answers: &[
        Answer::new(200, "It can", &[Content::json::<Ready>()]),
        Answer::new(503, "It cannot, and why", &[Content::json::<Ready>()]),
    ],
    ..About::NOTHING
};

pub(crate) async fn ready(State(operations): State<Operations>) -> (StatusCode, Json<Ready>) {
    let reasons = (operations.readiness)().await;
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, reasons }))
}
