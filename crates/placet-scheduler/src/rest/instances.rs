//! Single orchestrations: shown, started, started again, purged; and many purged or ended at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use placet_core::ids::Hub;
use placet_proto::durabletask::{
    CreateInstanceRequest, InstanceBatch, OrchestrationState, PurgeInstancesRequest, RestartInstanceRequest,
    SkipGracefulOrchestrationTerminationsRequest, purge_instances_request,
};
use serde::{Deserialize, Serialize};

use super::body::{Body, Id};
use super::hub::TaskHub;
use super::problem::{Kind, Problem};
use super::shape::{Orchestration, Payloads};
use super::{Kept, Rest};
use crate::calls::key;
use crate::scheduler::Weighed;

pub(super) async fn show(State(rest): State<Rest>, TaskHub(hub): TaskHub, Id(id): Id) -> Result<Response, Problem> {
    let state = state_of(&rest, hub, &id, false).await?;
    Ok(weighed(state, |state| Json(Orchestration::from(state))))
}

pub(super) async fn payloads(State(rest): State<Rest>, TaskHub(hub): TaskHub, Id(id): Id) -> Result<Response, Problem> {
    let state = state_of(&rest, hub, &id, true).await?;
    Ok(weighed(state, |state| Json(Payloads::from(state))))
}

async fn state_of(rest: &Rest, hub: Hub, id: &str, payloads: bool) -> Result<Weighed<OrchestrationState>, Problem> {
    let Weighed { value, bytes, share } = rest.scheduler.instance(key(hub, id)?, payloads).await?;
    let value = value.ok_or_else(|| Problem::no_such_orchestration(id))?;
    Ok(Weighed { value, bytes, share })
}

/// An answer that may be long: its share of the budget goes with it.
fn weighed<T, R: axum::response::IntoResponse>(answer: Weighed<T>, into: impl FnOnce(T) -> R) -> Response {
    let Weighed { value, bytes, share } = answer;
    let mut answer = into(value).into_response();
    if let Some(share) = share {
        answer.extensions_mut().insert(Kept::Whole { share: Arc::new(share), bytes });
    }
    answer
}

/// An orchestration to be started.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start {
    name: String,
    #[serde(default)]
    instance_id: Option<String>,
    #[serde(default)]
    execution_id: Option<String>,
    #[serde(default)]
    input: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    scheduled_start_timestamp: Option<String>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
}

/// What was started.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    instance_id: String,
}

pub(super) async fn start(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Body { value: start, .. }: Body<Start>,
) -> Result<Response, Problem> {
    let scheduled = start.scheduled_start_timestamp.filter(|text| !text.is_empty());
    let scheduled = scheduled.map(|text| super::query::time("scheduledStartTimestamp", &text)).transpose()?;
    let request = CreateInstanceRequest {
        instance_id: start.instance_id.unwrap_or_default(),
        name: start.name,
        version: start.version.filter(|version| !version.is_empty()),
        input: start.input,
        scheduled_start_timestamp: scheduled,
        execution_id: start.execution_id,
        tags: start.tags.unwrap_or_default(),
        ..CreateInstanceRequest::default()
    };
    let instance_id = rest.scheduler.start_instance(hub, request).await?.instance_id;
    let location = format!("orchestrations/{}", in_a_path(&instance_id));
    let location = HeaderValue::try_from(location).expect("what is not plain is escaped");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(Started { instance_id })).into_response())
}

/// An id as it stands in a path: whatever could be taken for something else there is escaped (RFC 3986 §3.3).
pub(super) fn in_a_path(id: &str) -> String {
    let mut path = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// How to start it again.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restart {
    #[serde(default)]
    restart_with_new_instance_id: bool,
}

/// Answers with the id, as it is.
pub(super) async fn restart(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Id(instance_id): Id,
    Body { value: restart, .. }: Body<Restart>,
) -> Result<String, Problem> {
    let restart_with_new_instance_id = restart.restart_with_new_instance_id;
    let request = RestartInstanceRequest { instance_id, restart_with_new_instance_id };
    Ok(rest.scheduler.restart_instance(hub, request).await?.instance_id)
}

pub(super) async fn purge(State(rest): State<Rest>, TaskHub(hub): TaskHub, Id(id): Id) -> Result<StatusCode, Problem> {
    let key = key(hub.clone(), &id)?;
    if rest.scheduler.purge(&hub, vec![id.clone()], false).await? == 1 {
        return Ok(StatusCode::NO_CONTENT);
    }
    match rest.scheduler.row(key).await? {
        None => Err(Problem::no_such_orchestration(&id)),
        Some(row) => {
            let status = row.status.as_str_name();
            let detail = format!("orchestration {id:?} has not ended ({status}): terminate it first");
            Err(Problem::new(Kind::Conflict, detail))
        }
    }
}

/// How many were purged; those that are unknown or have not ended are passed over.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Purged {
    deleted_instance_count: i32,
}

pub(super) async fn purge_many(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Body { value: instance_ids, .. }: Body<Vec<String>>,
) -> Result<Json<Purged>, Problem> {
    let batch = purge_instances_request::Request::InstanceBatch(InstanceBatch { instance_ids });
    let request = PurgeInstancesRequest { request: Some(batch), ..PurgeInstancesRequest::default() };
    let deleted_instance_count = rest.scheduler.purge_instances(hub, request).await?.deleted_instance_count;
    Ok(Json(Purged { deleted_instance_count }))
}

/// Which to end without asking any worker. (Pascal case is the tools' own.)
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EndMany {
    #[serde(alias = "instanceIds")]
    instance_ids: Vec<String>,
    #[serde(default, alias = "reason")]
    reason: Option<String>,
}

/// Answers with the ids of those that were not ended.
pub(super) async fn end_many(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Body { value: EndMany { instance_ids, reason }, .. }: Body<EndMany>,
) -> Result<Json<Vec<String>>, Problem> {
    let request =
        SkipGracefulOrchestrationTerminationsRequest { instance_batch: Some(InstanceBatch { instance_ids }), reason };
    Ok(Json(rest.scheduler.end_instances(hub, request).await?.unterminated_instance_ids))
}
