//! `GET /api/v1/requests/{id}/events` and `GET /api/v1/inbox/events`: what happens to a request, or to somebody's inbox, as it
//! happens (Server-Sent Events, WHATWG HTML §9.2). Whoever comes back says with `Last-Event-ID` what he knows, and is told what is
//! different by then: a state, and no replay.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use placet_approval::REQUEST_ROWS;
use placet_sdk::CallError;
use serde::Serialize;
use serde_json::json;

use super::lists::{Inbox, InboxQuery};
use super::requests::{Listed, Shown, find};
use crate::guard::BaseUrl;
use crate::idempotency::digest_of;
use crate::openapi::{About, Answer, Content, Inputs, Takes};
use crate::problem::{self, Problem};
use crate::resources::requests::RequestId;
use crate::{Api, Shared};

/// What happens together is told together.
const TOGETHER: Duration = Duration::from_millis(50);

/// Proxies cut what says nothing for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Changes = BoxStream<'static, Result<(), CallError>>;

pub(crate) const OF_REQUEST: About = About {
    id: "watchRequest",
    summary: "Be told when a request changes",
    details: "Server-Sent Events: `request`, with the request as it stands, now and each time when that changes. The stream ends when it \
              is decided. Whoever comes back sends `Last-Event-ID`.",
    answers: &[
        Answer::new(200, "Events, as they happen", &[Content::text("text/event-stream")]),
        Answer::empty(204, "It is decided, and `Last-Event-ID` knows it"),
    ],
    ..About::NOTHING
};

/// `GET /api/v1/requests/{id}/events`: an event `request` with the request as it stands, each time when that changes; the stream
/// ends when it is decided, and whoever has seen that gets 204, by which browsers know that there is no more.
pub(crate) async fn of_request(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    RequestId(id): RequestId,
    LastEventId(known): LastEventId,
) -> Result<Response, Problem> {
    let changes = watch(&api, std::slice::from_ref(&id), &[]).await?;
    let first = find(&api, &base, &id).await?;
    if first.is_decided() && known == Some(tag(&first)) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let looking = OfRequest { api, base, id, changes, known, first: Some(first), is_over: false };
    Ok(answer(stream::unfold(looking, OfRequest::next)))
}

/// Somebody who looks at a request.
struct OfRequest {
    api: Shared,
    base: BaseUrl,
    id: String,
    changes: Changes,
    /// What he has seen.
    known: Option<String>,
    first: Option<Shown>,
    is_over: bool,
}

impl OfRequest {
    async fn next(mut self) -> Option<(Event, OfRequest)> {
        while !self.is_over {
            let shown = match self.first.take() {
                Some(first) => first,
                None => {
                    self.changes.next().await?.ok()?;
                    find(&self.api, &self.base, &self.id).await.ok()?
                }
            };
            self.is_over = shown.is_decided();
            let text = text(&shown);
            let tag = digest_of(text.as_bytes());
            if self.known.as_ref() != Some(&tag) {
                self.known = Some(tag.clone());
                return Some((Event::default().event("request").data(text).id(tag), self));
            }
        }
        None
    }
}

pub(crate) const OF_INBOX: About = About {
    id: "watchInbox",
    summary: "Be told what comes to wait for somebody",
    details: "Server-Sent Events: `inbox`, with all that waits, then `added`, `changed` and `removed`. Whoever comes back sends \
              `Last-Event-ID`.",
    answers: &[Answer::new(200, "Events, as they happen", &[Content::text("text/event-stream")])],
    ..About::NOTHING
};

/// `GET /api/v1/inbox/events?person=ann`: an event `inbox` with all that waits, then `added`, `changed` and `removed` for each
/// request as it comes and goes.
pub(crate) async fn of_inbox(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    InboxQuery(asked): InboxQuery,
    LastEventId(known): LastEventId,
) -> Result<Response, Problem> {
    let inbox = Inbox::of(&api, asked)?;
    let mut looking =
        OfInbox { api, base, inbox, changes: stream::empty().boxed(), view: View::default(), waiting: Vec::new() };
    let first = looking.look().await?;
    if known != Some(looking.view.tag()) {
        let event = event("inbox", &json!({"requests": first})).id(looking.view.tag());
        looking.waiting.push(event);
    }
    Ok(answer(stream::unfold(looking, OfInbox::next)))
}

/// Somebody who looks at an inbox.
struct OfInbox {
    api: Shared,
    base: BaseUrl,
    inbox: Inbox,
    changes: Changes,
    view: View,
    /// Events that are to be told, the last one first.
    waiting: Vec<Event>,
}

impl OfInbox {
    async fn next(mut self) -> Option<(Event, OfInbox)> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some((event, self));
            }
            self.changes.next().await?.ok()?;
            tokio::time::sleep(TOGETHER).await;
            let before = self.view.clone();
            let requests = self.look().await.ok()?;
            self.waiting = self.view.since(&before, requests);
            self.waiting.reverse();
        }
    }

    /// All that waits now. What happens to it from now on is told by `changes`: what it was watched for was known before it was
    /// read, or it is read again.
    async fn look(&mut self) -> Result<Vec<Listed>, Problem> {
        loop {
            let keys: Vec<String> = self.view.0.keys().cloned().collect();
            self.changes = watch(&self.api, &keys, &self.inbox.terms(&self.api)).await?;
            let requests = self.inbox.requests(&self.api, &self.base).await?;
            self.view = View(requests.iter().map(|request| (request.id().to_owned(), tag(request))).collect());
            if self.view.0.keys().all(|key| keys.contains(key)) {
                return Ok(requests);
            }
        }
    }
}

/// What stands in an inbox, by its ids, and the tag of each.
#[derive(Clone, Default)]
struct View(HashMap<String, String>);

impl View {
    fn tag(&self) -> String {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_unstable();
        tag(&all)
    }

    /// What is to be told to whoever knows what was before.
    fn since(&self, before: &View, requests: Vec<Listed>) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for id in before.0.keys().filter(|id| !self.0.contains_key(*id)) {
            events.push(event("removed", &json!({"request_id": id})));
        }
        for request in requests {
            match before.0.get(request.id()) {
                None => events.push(event("added", &request)),
                Some(tag) if self.0.get(request.id()) != Some(tag) => events.push(event("changed", &request)),
                Some(_) => {}
            }
        }
        // Only behind the last of them he knows all of it.
        let last = events.pop();
        events.extend(last.map(|last| last.id(self.tag())));
        events
    }
}

async fn watch(api: &Api, keys: &[String], terms: &[String]) -> Result<Changes, Problem> {
    let watch = api.client.watch(REQUEST_ROWS, keys.to_vec(), terms.to_vec()).await;
    watch.map_err(|error| problem::of_call("", &error))
}

fn answer(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = Sse::new(events.map(Ok::<Event, Infallible>));
    events.keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(text(data))
}

/// By which somebody says what he knows.
fn tag(what: &impl Serialize) -> String {
    digest_of(text(what).as_bytes())
}

fn text(what: &impl Serialize) -> String {
    serde_json::to_string(what).expect("its keys are texts")
}

/// `Last-Event-ID`: what whoever comes back has seen.
pub(crate) struct LastEventId(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<LastEventId, Infallible> {
        let id = parts.headers.get("last-event-id").and_then(|id| id.to_str().ok());
        Ok(LastEventId(id.map(str::to_owned)))
    }
}

impl Takes for LastEventId {
    fn describe(input: &mut Inputs<'_>) {
        let says = "The `id` of the last event that was seen: what it told is not told again.";
        input.parameter("header", "Last-Event-ID", false, says, &json!({"type": "string"}));
    }
}
