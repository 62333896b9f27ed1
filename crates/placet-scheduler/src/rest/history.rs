//! The committed history of an execution, as protobuf's own JSON of its events.
//!
//! The events are read from their stored bytes by the protocol's descriptors: what is shown is what stands there, whatever
//! kinds of event there will be.

use std::sync::LazyLock;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use placet_core::ids::Turn;
use placet_core::wire::Events;
use placet_proto::DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

use super::hub::TaskHub;
use super::problem::{Kind, Problem};
use super::{Kept, Rest};
use crate::connections::Peer;
use crate::outgoing::{Lent, Ties};
use crate::payloads::damaged;
use crate::scheduler::{CallError, Generation, Page, Scheduler};

static EVENT: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).expect("the committed descriptors can be read");
    pool.get_message_by_name("HistoryEvent").expect("the protocol has it")
});

pub(super) async fn show(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Path((id, execution_id)): Path<(String, String)>,
    peer: Option<Extension<Peer>>,
) -> Result<Response, Problem> {
    let of = rest.scheduler.generation(hub, &id).await?.ok_or_else(|| Problem::no_such_orchestration(&id))?;
    if of.execution_id != execution_id {
        let detail = format!("{execution_id:?} is not the current execution of orchestration {id:?}");
        return Err(Problem::new(Kind::NoSuchOrchestration, detail));
    }
    let ties = Ties::default();
    let (peer, scheduler) = (peer.map(|Extension(peer)| peer), rest.scheduler);
    let mut parts = Parts { next: Some(of.first), of, scheduler, peer, ties: ties.clone(), begun: false };
    // What cannot be read at all is told by a status; later there is no way but to break off.
    let first = parts.part().await?;
    let rest_of_it = stream::unfold(parts, |mut parts| async move {
        match parts.next {
            None => None,
            Some(_) => Some((parts.part().await, parts)),
        }
    });
    let all = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest_of_it);
    let mut answer = Body::from_stream(all).into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.extensions_mut().insert(Kept::Parts(ties));
    Ok(answer)
}

/// A history that is being sent, page by page.
struct Parts {
    scheduler: Scheduler,
    of: Generation,
    /// The turn to go on with; absent at the end.
    next: Option<Turn>,
    peer: Option<Peer>,
    ties: Ties,
    /// Whether an event was sent.
    begun: bool,
}

impl Parts {
    /// The next part of the text. The page that it is made of has its share until it is written.
    async fn part(&mut self) -> Result<Bytes, CallError> {
        let mut text = Vec::new();
        let Some(from) = self.next.take() else { return Ok(Bytes::new()) };
        if from == self.of.first {
            text.extend_from_slice(br#"{"history":["#);
        }
        let Page { rows, share } = self.scheduler.history(&self.of, from).await?;
        self.next = rows.last().map(|row| row.turn.next());
        for event in rows.iter().flat_map(|row| Events(&row.events)) {
            let event = event.map_err(|error| CallError::Read(damaged(error)))?;
            if std::mem::replace(&mut self.begun, true) {
                text.push(b',');
            }
            put(&mut text, event)?;
        }
        if self.next.is_none() {
            text.extend_from_slice(b"]}");
        }
        self.ties.lend(Lent::new(share, text.len(), self.peer.as_ref()));
        Ok(text.into())
    }
}

/// An event with all its fields that are there, and those that have no absence: an id of 0 is an id.
fn put(text: &mut Vec<u8>, event: &[u8]) -> Result<(), CallError> {
    let unreadable = |error: &dyn std::fmt::Display| CallError::Read(damaged(error));
    let event = DynamicMessage::decode(EVENT.clone(), event).map_err(|error| unreadable(&error))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut json = serde_json::Serializer::new(text);
    event.serialize_with_options(&mut json, &options).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use placet_proto::durabletask::history_event::EventType;
    use placet_proto::durabletask::{
        ExecutionStartedEvent, HistoryEvent, OrchestrationInstance, TaskFailedEvent, TaskFailureDetails,
        TimerFiredEvent,
    };
    use prost::Message as _;
    use serde_json::{Value, json};

    use super::*;

    fn shown(event_id: i32, event_type: EventType) -> Value {
        let timestamp = Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 });
        let event = HistoryEvent { event_id, timestamp, event_type: Some(event_type) };
        let mut text = Vec::new();
        put(&mut text, &event.encode_to_vec()).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn an_event_is_shown_as_protobuf_writes_it_in_json() {
        let started = ExecutionStartedEvent {
            name: "Ship".into(),
            input: Some("{\"a\": 1}".into()),
            orchestration_instance: Some(OrchestrationInstance {
                instance_id: "i".into(),
                execution_id: Some("e".into()),
            }),
            tags: [("team".to_owned(), "red".to_owned())].into(),
            ..ExecutionStartedEvent::default()
        };
        assert_eq!(
            shown(-1, EventType::ExecutionStarted(started)),
            json!({
                "eventId": -1,
                "timestamp": "1970-01-01T00:00:01.500Z",
                "executionStarted": {
                    "name": "Ship",
                    "input": "{\"a\": 1}",
                    "orchestrationInstance": {"instanceId": "i", "executionId": "e"},
                    "tags": {"team": "red"},
                },
            })
        );
        let failure_details = Some(TaskFailureDetails {
            error_type: "ValueError".into(),
            error_message: "no".into(),
            ..TaskFailureDetails::default()
        });
        let failed = TaskFailedEvent { task_scheduled_id: 0, failure_details };
        let shown_failed = shown(0, EventType::TaskFailed(failed));
        assert_eq!(shown_failed["eventId"], 0, "it is told though it is nothing");
        assert_eq!(shown_failed["taskFailed"]["taskScheduledId"], 0);
        assert_eq!(shown_failed["taskFailed"]["failureDetails"]["errorType"], "ValueError");
        let fired = TimerFiredEvent { timer_id: 0, fire_at: None };
        assert_eq!(shown(-1, EventType::TimerFired(fired))["timerFired"], json!({"timerId": 0}));
    }
}
