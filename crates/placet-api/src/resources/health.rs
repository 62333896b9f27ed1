//! `/healthz`: the process is there. `/readyz`: it can be relied upon, or why not.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use crate::Operations;

pub(crate) async fn alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    ready: bool,
    /// Why it is not; empty if it is.
    reasons: Vec<String>,
}

pub(crate) async fn ready(State(operations): State<Operations>) -> (StatusCode, Json<Ready>) {
    let reasons = (operations.readiness)().await;
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, reasons }))
}
