//! `/metrics`: what Prometheus reads, in the OpenMetrics format.

use axum::extract::State;
use axum::http::{HeaderName, header};

use crate::Operations;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn show(State(operations): State<Operations>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], (operations.exposition)().await)
}
