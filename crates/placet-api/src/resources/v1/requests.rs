//! `/api/v1/requests`: ask for an approval with all that belongs to it, and look at it.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use placet_approval::{
    CONTENT_ROWS, ContentRow, Event, Input, NewRequest, ORCHESTRATION, REQUEST_ROWS, Request, RequestRow, apply,
};
use placet_sdk::{InstanceState, StartError};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use super::dedupe;
use super::etag::IfNoneMatch;
use crate::body::Body;
use crate::guard::BaseUrl;
use crate::idempotency::{IdempotencyKey, digest_of};
use crate::openapi::{About, Answer, Content, LOCATION};
use crate::problem::{self, Kind, Problem};
use crate::resources::approvals::Wait;
use crate::resources::requests::{RequestId, approval_url, not_started, said_at_the_end, status_url, was_terminated};
use crate::resources::time::timestamp;
use crate::{Api, Shared};

/// A request as a list shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedRequest")]
pub(crate) struct Listed {
    #[serde(flatten)]
    row: RequestRow,
    /// The status in our words: pending, approved, approved_by_override, approved_by_policy, rejected, rejected_by_policy,
    /// expired, withdrawn.
    status_detail: &'static str,
    /// The link that people are sent.
    approval_url: String,
    /// Where the mission's status stands.
    status_url: String,
}

impl Listed {
    pub(super) fn id(&self) -> &str {
        &self.row.request_id
    }

    pub(crate) fn new(base: &BaseUrl, row: RequestRow) -> Listed {
        let id = row.request_id.as_str();
        let (approval_url, status_url) = (approval_url(base, id), status_url(base, id));
        let status_detail = row.outcome.as_ref().map_or("pending", |outcome| outcome.detail());
        Listed { row, status_detail, approval_url, status_url }
    }
}

/// A request as it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Request")]
pub(crate) struct Shown {
    #[serde(flatten)]
    listed: Listed,
    #[serde(flatten)]
    content: ContentRow,
    /// Whoever asks for it asks for what is open already, by its `dedupe_key`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    existing: bool,
}

impl Shown {
    /// It was asked for before.
    pub(super) fn existing(self) -> Shown {
        Shown { existing: true, ..self }
    }

    /// Its entity tag: the same under whichever name the server was called.
    pub(super) fn tag(&self) -> Result<String, Problem> {
        let what = serde_json::to_vec(&(&self.listed.row, &self.content)).map_err(|error| unwritten(&error))?;
        Ok(format!("\"{}\"", digest_of(&what)))
    }

    /// Whether nothing more can happen to it.
    pub(super) fn is_decided(&self) -> bool {
        self.listed.row.outcome.is_some()
    }

    /// Its revision, the hash of its content, and the stage that is open.
    pub(super) fn place(&self) -> (u32, Option<String>, Option<usize>) {
        let row = &self.listed.row;
        let content_hash = (!row.content_hash.is_empty()).then(|| row.content_hash.clone());
        (row.revision.unwrap_or(1), content_hash, row.stage.as_ref().map(|stage| stage.number))
    }

    fn new(base: &BaseUrl, row: RequestRow, mut content: ContentRow) -> Shown {
        content.of.clear(); // the row has it
        Shown { listed: Listed::new(base, row), content, existing: false }
    }
}

pub(crate) const CREATE: About = About {
    id: "createRequest",
    summary: "Ask for an approval",
    details: "Who decides follows from the policy of its `category`, or else from `approvers` or `plan`; of a request that says nothing \
              whoever answers first decides. One that nobody could decide is refused.",
    answers: &[
        Answer::new(201, "It was accepted", &[Content::json::<Shown>()]).with(LOCATION),
        Answer::new(200, "It was asked for before: with this `Idempotency-Key`, or, and then `existing` is true, with this `dedupe_key`", &[
            Content::json::<Shown>(),
        ])
        .with(LOCATION),
    ],
    problems: &[Kind::KeyReused, Kind::NoSuchRequest],
    example: Some(
        r#"{"requester": "alice", "item": "Deploy 2.3", "approvers": ["anyone"], "timeout": "3d", "payload": {"version": "2.3"}}"#,
    ),
};

/// `POST /api/v1/requests`: what is answered is durable.
pub(crate) async fn create(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    key: IdempotencyKey,
    Body(asked): Body<NewRequest>,
) -> Result<Response, Problem> {
    create_one(&api, &base, &key, asked).await
}

pub(crate) async fn create_one(
    api: &Api,
    base: &BaseUrl,
    key: &IdempotencyKey,
    mut asked: NewRequest,
) -> Result<Response, Problem> {
    asked.check()?;
    asked.requester = requester(api, &asked);
    if let Some(dedupe_key) = asked.dedupe_key.clone() {
        return dedupe::create(api, base, key, &asked, &dedupe_key).await;
    }
    let request_id = key.request_id(api, &asked).to_string();
    if key.is_given()
        && let Some(there) = there_already(api, base, key, &request_id, &asked).await?
    {
        return Ok(there);
    }
    match start(api, base, key, &request_id, &asked).await? {
        Some(request) => Ok(created(base, StatusCode::CREATED, shown(base, &request))),
        None => {
            let there = there_already(api, base, key, &request_id, &asked).await?;
            there.ok_or_else(|| Problem::no_such_request(&request_id))
        }
    }
}

/// Starts a request; nothing, if there is one under this id.
pub(super) async fn start(
    api: &Api,
    base: &BaseUrl,
    key: &IdempotencyKey,
    id: &str,
    asked: &NewRequest,
) -> Result<Option<Request>, Problem> {
    let now = api.client.time().await.map_err(|error| problem::of_call(id, &error))?.now;
    let opened = open(api, base, id, asked, timestamp(now))?;
    let start = api.client.start(ORCHESTRATION, &opened.asked).id(id).tags(key.tags(asked)).only_if_absent();
    match start.await {
        Ok(_) => Ok(Some(opened.request)),
        Err(StartError::AlreadyExists(_)) => Ok(None),
        Err(error) => Err(not_started(id, &error)),
    }
}

/// What was asked for under a key before, as it stands now.
async fn there_already(
    api: &Api,
    base: &BaseUrl,
    key: &IdempotencyKey,
    id: &str,
    asked: &NewRequest,
) -> Result<Option<Response>, Problem> {
    let state = api.client.get(id).await.map_err(|error| problem::of_call(id, &error))?;
    let Some(state) = state else { return Ok(None) };
    key.check(&state, asked)?;
    Ok(Some(created(base, StatusCode::OK, find(api, base, id).await?)))
}

/// A request as it is started, and as it will stand then.
struct Opened {
    asked: NewRequest,
    request: Request,
}

fn open(api: &Api, base: &BaseUrl, id: &str, asked: &NewRequest, now: Timestamp) -> Result<Opened, Problem> {
    in_time(asked, now)?;
    let asked = NewRequest { approval_url: Some(approval_url(base, id)), ..asked.clone() };
    // The worker plans it for itself: who starts a request without this API is bound by the same policies.
    let request = (api.configuration)().open(&asked, id, now)?;
    Ok(Opened { asked: NewRequest { due: Some(request.due), ..asked }, request })
}

/// Whether a deadline that was given lies ahead.
pub(crate) fn in_time(asked: &NewRequest, now: Timestamp) -> Result<(), Problem> {
    if asked.due.is_some_and(|due| due <= now) {
        return Err(Problem::field("due", format!("must be later than {now}")));
    }
    Ok(())
}

/// Who asks, by his id.
pub(crate) fn requester(api: &Api, asked: &NewRequest) -> String {
    (api.configuration)().directory.person(&asked.requester).to_string()
}

pub(super) fn created(base: &BaseUrl, status: StatusCode, shown: Shown) -> Response {
    let location = format!("{}/api/v1/requests/{}", base.0, shown.listed.row.request_id);
    let mut response = (status, Json(shown)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub(super) fn shown(base: &BaseUrl, request: &Request) -> Shown {
    Shown::new(base, request.row(), request.content().unwrap_or_default())
}

pub(crate) const SHOW: About = About {
    id: "getRequest",
    summary: "Look at a request",
    details: "With `wait` the answer comes when it is decided, or after so long.",
    answers: &[
        Answer::new(200, "As it stands", &[Content::json::<Shown>()])
            .with(&[("ETag", "What `If-None-Match` asks by whether it has changed")]),
        Answer::empty(304, "It is as `If-None-Match` knows it"),
    ],
    ..About::NOTHING
};

/// `GET /api/v1/requests/{id}`. With `?wait=` it is answered once the request is decided, or after so long.
pub(crate) async fn show(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    wait: Wait,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let mut shown = find(&api, &base, &id).await?;
    if wait.is_asked() && shown.listed.row.outcome.is_none() {
        // Whatever comes of the wait: the request is looked at again.
        drop(timeout(wait.length(), api.client.wait_for_completion(&id)).await);
        shown = find(&api, &base, &id).await?;
    }
    let tag = shown.tag()?;
    let is_known = known.is(&tag);
    let tag = [(header::ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits"))];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let body = serde_json::to_vec(&shown).map_err(|error| unwritten(&error))?;
    Ok((tag, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

fn unwritten(error: &serde_json::Error) -> Problem {
    Problem::new(Kind::SchedulerFailed, error.to_string())
}

/// # Errors
/// If there is no such request.
pub(crate) async fn is_there(api: &Api, id: &str) -> Result<InstanceState, Problem> {
    let state = api.client.get(id).await.map_err(|error| problem::of_call(id, &error))?;
    state.filter(|state| state.name() == ORCHESTRATION).ok_or_else(|| Problem::no_such_request(id))
}

/// A request as it stands now.
pub(super) async fn find(api: &Api, base: &BaseUrl, id: &str) -> Result<Shown, Problem> {
    if let Some(row) = published::<RequestRow>(api, REQUEST_ROWS, id).await? {
        let content = published::<ContentRow>(api, CONTENT_ROWS, id).await?.unwrap_or_default();
        // An earlier request of this id may have left another one; what was written before there were hashes has none.
        let is_left = !row.is_about(&content) && row.is_about(&ContentRow::default());
        let content = if is_left { ContentRow::default() } else { content };
        return Ok(Shown::new(base, row, content));
    }
    // It was accepted, and no worker has begun with it: it is what was asked for.
    let state = is_there(api, id).await?;
    let input = state.input_json().and_then(|input| serde_json::from_str::<Input>(input).ok());
    let at = timestamp(state.created_at());
    let planned = |asked: &NewRequest| (api.configuration)().open(asked, id, at).ok();
    let opened = input.and_then(|input| {
        let planned = if let Input::New(asked) = &input { planned(asked) } else { None };
        planned.or_else(|| input.open(id.to_owned(), at, false).ok())
    });
    let mut opened = opened.ok_or_else(|| Problem::no_such_request(id))?;
    if was_terminated(&state) {
        // Before any has: its rules have said nothing to it.
        let at = timestamp(state.updated_at());
        apply(&mut opened, &Event::Terminated { at, reason: said_at_the_end(&state) });
    }
    Ok(shown(base, &opened))
}

pub(crate) async fn published<T: for<'de> serde::Deserialize<'de>>(
    api: &Api,
    kind: &str,
    id: &str,
) -> Result<Option<T>, Problem> {
    let row = api.client.published(kind, id).await.map_err(|error| problem::of_call(id, &error))?;
    let read = row.map(|row| serde_json::from_slice(&row)).transpose();
    read.map_err(|error| {
        Problem::new(Kind::SchedulerFailed, format!("the row of {id} is not what was written: {error}"))
    })
}
