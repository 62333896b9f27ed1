//! What stands at the roots: an index for programs, and the page where the dashboard's pages will be, under every address
//! that links of Aspire and of people lead to.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse};
use placet_core::ids::Hub;
use placet_proto::durabletask::OrchestrationStatus;
use placet_store::{Answer, Overview, Query, Status};
use serde_json::{Value, json};

use super::Rest;
use super::instances::in_a_path;
use super::problem::Problem;
use crate::calls::key;
use crate::hubs::HUB_DEFAULT;

/// The page. What stands in braces is filled in.
const PAGE: &str = include_str!("front.html");

/// The page has a style of its own and nothing else: no script, no picture, nothing from elsewhere. It shows and does
/// nothing, so whoever likes may frame it, as people frame the emulator's.
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *; base-uri 'none'"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

pub(super) async fn index() -> Json<Value> {
    Json(json!({
        "name": "Placet",
        "version": env!("CARGO_PKG_VERSION"),
        "taskHubHeader": "x-taskhub",
        "calls": {
            "ping": "GET /v1/taskhubs/ping",
            "list": "POST /v1/taskhubs/orchestrations/query",
            "start": "POST /v1/taskhubs/orchestrations",
            "look": "GET /v1/taskhubs/orchestrations/{id}",
            "payloads": "GET /v1/taskhubs/orchestrations/{id}/payloads",
            "history": "GET /v1/taskhubs/orchestrations/{id}/executions/{executionId}/history",
        },
        "health": "GET /healthz",
    }))
}

/// What the page is about: the hub of its address, and in it an orchestration.
pub(super) async fn page(
    State(rest): State<Rest>,
    Path(path): Path<BTreeMap<String, String>>,
) -> Result<impl IntoResponse, Problem> {
    let name = path.get("hub").map_or(HUB_DEFAULT, String::as_str);
    let hub = rest.scheduler.hub(name)?;
    let overview = overview_of(&rest, hub.clone()).await?;
    let instance = match path.get("id") {
        Some(id) => about(&rest, hub.clone(), id).await?,
        None => String::new(),
    };
    let html = PAGE
        .replace("{hub}", &escaped(hub.as_str()))
        .replace("{total}", &overview.total().to_string())
        .replace("{counts}", &counts(&overview))
        .replace("{instance}", &instance);
    Ok((HEADERS, Html(html)))
}

async fn overview_of(rest: &Rest, hub: Hub) -> Result<Overview, Problem> {
    let read = rest.scheduler.read(move |store| match store.query(&Query::Overview(hub))? {
        Answer::Overview(overview) => Ok(overview),
        _ => Ok(Overview::default()),
    });
    Ok(read.await?)
}

fn counts(overview: &Overview) -> String {
    let row = |(Status(status), count): (&Status, &u64)| {
        let name = OrchestrationStatus::try_from(*status).map_or("", |status| status.as_str_name());
        let name = name.trim_start_matches("ORCHESTRATION_STATUS_").replace('_', " ").to_lowercase();
        format!("<tr><td>{name}</td><td>{count}</td></tr>")
    };
    overview.counts.iter().map(row).collect()
}

/// A line about an orchestration.
async fn about(rest: &Rest, hub: Hub, id: &str) -> Result<String, Problem> {
    let row = rest.scheduler.row(key(hub, id)?).await?;
    let status = row.map_or("not in this task hub; it may have been purged".to_owned(), |row| {
        let name = row.status.as_str_name().trim_start_matches("ORCHESTRATION_STATUS_").to_lowercase();
        format!("{name}, as <code>GET /api/v1/taskhubs/orchestrations/{}</code> tells in full", escaped(&in_a_path(id)))
    });
    Ok(format!("<p>Orchestration <code>{}</code>: {status}.</p>", escaped(id)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
