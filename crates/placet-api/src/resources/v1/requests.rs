//! `/api/v1/requests`: ask for an approval with all that belongs to it, and look at it.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use placet_approval::{
    CONTENT_ROWS, ContentRow, Input, NewRequest, ORCHESTRATION, REQUEST_ROWS, Request, RequestRow, undecidable,
};
use serde::Serialize;
use uuid::Uuid;

use crate::Api;
use crate::body::Body;
use crate::guard::BaseUrl;
use crate::problem::{self, Kind, Problem};
use crate::resources::requests::{RequestId, approval_url, not_started, status_url};
use crate::resources::time::timestamp;

/// A request as it stands.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    row: RequestRow,
    /// The status in our words: pending, approved, approved_by_override, approved_by_policy, rejected, rejected_by_policy,
    /// expired, withdrawn.
    status_detail: &'static str,
    #[serde(flatten)]
    content: ContentRow,
    approval_url: String,
    status_url: String,
}

impl Shown {
    fn new(base: &BaseUrl, row: RequestRow, content: ContentRow) -> Shown {
        let id = row.request_id.as_str();
        let (approval_url, status_url) = (approval_url(base, id), status_url(base, id));
        let status_detail = row.outcome.as_ref().map_or("pending", |outcome| outcome.detail());
        Shown { row, status_detail, content, approval_url, status_url }
    }
}

/// `POST /api/v1/requests`: what is answered is durable.
pub(crate) async fn create(
    State(api): State<Api>,
    Extension(base): Extension<BaseUrl>,
    Body(mut asked): Body<NewRequest>,
) -> Result<Response, Problem> {
    let request_id = Uuid::now_v7().to_string();
    asked.check()?;
    let now = api.client.time().await.map_err(|error| problem::of_call(&request_id, &error))?.now;
    let now = timestamp(now);
    let due = asked.due_from(now)?;
    if due <= now {
        return Err(Problem::field("due", format!("must be later than {now}")));
    }
    asked.due = Some(due);
    asked.approval_url = Some(approval_url(&base, &request_id));
    let opened = Input::New(Box::new(asked.clone())).open(request_id.clone(), now)?;
    if let Some(error) = undecidable(&opened, &(api.directory)()) {
        return Err(error.into());
    }
    let started = api.client.start(ORCHESTRATION, &asked).id(&request_id).only_if_absent().await;
    started.map_err(|error| not_started(&request_id, &error))?;
    let location = format!("{}/api/v1/requests/{request_id}", base.0);
    let location = HeaderValue::from_str(&location).map_err(|_| Problem::new(Kind::MissingHeader, "Host: is none"))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(shown(&base, &opened))).into_response())
}

fn shown(base: &BaseUrl, request: &Request) -> Shown {
    Shown::new(base, request.row(), request.content().unwrap_or_default())
}

/// `GET /api/v1/requests/{id}`.
pub(crate) async fn show(
    State(api): State<Api>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
) -> Result<Json<Shown>, Problem> {
    if let Some(row) = published::<RequestRow>(&api, REQUEST_ROWS, &id).await? {
        let content = published(&api, CONTENT_ROWS, &id).await?.unwrap_or_default();
        return Ok(Json(Shown::new(&base, row, content)));
    }
    // It was accepted, and no worker has begun with it: it is what was asked for.
    let state = api.client.get(&id).await.map_err(|error| problem::of_call(&id, &error))?;
    let state = state.filter(|state| state.name() == ORCHESTRATION).ok_or_else(|| Problem::no_such_request(&id))?;
    let input = state.input_json().and_then(|input| serde_json::from_str::<Input>(input).ok());
    let opened = input.and_then(|input| input.open(id.clone(), timestamp(state.created_at())).ok());
    let opened = opened.ok_or_else(|| Problem::no_such_request(&id))?;
    Ok(Json(shown(&base, &opened)))
}

async fn published<T: for<'de> serde::Deserialize<'de>>(
    api: &Api,
    kind: &str,
    id: &str,
) -> Result<Option<T>, Problem> {
    let row = api.client.published(kind, id).await.map_err(|error| problem::of_call(id, &error))?;
    let read = row.map(|row| serde_json::from_slice(&row)).transpose();
    read.map_err(|error| Problem::new(Kind::SchedulerFailed, format!("the row of {id} is not what was written: {error}")))
}

