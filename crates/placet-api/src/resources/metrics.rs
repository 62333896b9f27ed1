//! `/metrics`: what Prometheus reads, in the OpenMetrics format.

use axum::extract::State;
use axum::http::{HeaderName, header};

use crate::Operations;
use crate::openapi::{About, Answer, Content};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) const SHOW: About = About {
    id: "getMetrics",
    summary: "All metrics",
    details: "docs/metrics.md has every one.",
    answers: &[Answer::new(200, "In the OpenMetrics format", &[Content::text("application/openmetrics-text")])],
    ..About::NOTHING
};

pub(crate) async fn show(State(operations): State<Operations>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], (operations.exposition)().await)
}
