//! Events posted to orchestrations: raised, suspended, resumed, terminated, rewound; to one, or to many at once.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::stream::{self, StreamExt as _};
use placet_core::command::Caller;
use placet_core::ids::Hub;
use placet_proto::durabletask::{
    RaiseEventRequest, ResumeRequest, RewindInstanceRequest, SuspendRequest, TerminateRequest,
};
use serde::Deserialize;

use super::Rest;
use super::body::{Body, Id};
use super::hub::TaskHub;
use super::problem::Problem;
use crate::calls::key;

/// Orchestrations that one call may name, as in a batch over gRPC.
const BATCH_MAX: usize = 500;

/// Events of one call that are given to the scheduler at a time: they share commits.
const AT_ONCE: usize = 64;

/// One of these, as in a history.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posted {
    #[serde(default)]
    execution_suspended: Option<Reason>,
    #[serde(default)]
    execution_resumed: Option<Reason>,
    #[serde(default)]
    execution_terminated: Option<Reason>,
    #[serde(default)]
    execution_rewound: Option<Reason>,
    #[serde(default)]
    event_raised: Option<Raised>,
}

/// Why. The history's own name for it is `input`.
#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    input: Option<String>,
    /// Of a termination: that of its children, too.
    #[serde(default)]
    recurse: bool,
}

impl Reason {
    fn text(self) -> Option<String> {
        self.input.or(self.reason)
    }
}

#[derive(Debug, Deserialize)]
struct Raised {
    name: String,
    #[serde(default)]
    input: Option<String>,
}

/// What a posted event asks for.
enum Event {
    Suspend(Reason),
    Resume(Reason),
    Terminate(Reason),
    Rewind(Reason),
    Raise(Raised),
}

impl Posted {
    /// The event, if it is one.
    fn event(self) -> Result<Event, Problem> {
        let events = [
            self.execution_suspended.map(Event::Suspend),
            self.execution_resumed.map(Event::Resume),
            self.execution_terminated.map(Event::Terminate),
            self.execution_rewound.map(Event::Rewind),
            self.event_raised.map(Event::Raise),
        ];
        let mut events = events.into_iter().flatten();
        match (events.next(), events.next()) {
            (Some(event), None) => Ok(event),
            _ => Err(Problem::field(
                "body",
                "must have one of executionSuspended, executionResumed, executionTerminated, executionRewound, eventRaised",
            )),
        }
    }
}

pub(super) async fn post(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Id(id): Id,
    Body { value: posted, .. }: Body<Posted>,
) -> Result<StatusCode, Problem> {
    tell(&rest, hub, id, posted.event()?).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Events by the ids of orchestrations.
#[derive(Debug, Deserialize)]
pub(super) struct PostedToMany {
    events: BTreeMap<String, Posted>,
}

/// Answers with the ids of those that were not told.
pub(super) async fn post_to_many(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Body { value: PostedToMany { events }, .. }: Body<PostedToMany>,
) -> Result<Json<Vec<String>>, Problem> {
    if events.len() > BATCH_MAX {
        return Err(Problem::field("events", format!("{} of them, {BATCH_MAX} at most in one call", events.len())));
    }
    let events: Vec<(String, Event)> =
        events.into_iter().map(|(id, posted)| Ok((id, posted.event()?))).collect::<Result<_, Problem>>()?;
    let told = events.into_iter().map(|(id, event)| {
        let (rest, hub) = (rest.clone(), hub.clone());
        async move { tell(&rest, hub, id.clone(), event).await.is_err().then_some(id) }
    });
    Ok(Json(stream::iter(told).buffered(AT_ONCE).filter_map(std::future::ready).collect().await))
}

async fn tell(rest: &Rest, hub: Hub, instance_id: String, event: Event) -> Result<(), Problem> {
    let scheduler = &rest.scheduler;
    match event {
        Event::Suspend(reason) => {
            scheduler.suspend_instance(hub, SuspendRequest { instance_id, reason: reason.text() }).await?;
        }
        Event::Resume(reason) => {
            scheduler.resume_instance(hub, ResumeRequest { instance_id, reason: reason.text() }).await?;
        }
        Event::Rewind(reason) => {
            scheduler.rewind_instance(hub, RewindInstanceRequest { instance_id, reason: reason.text() }).await?;
        }
        Event::Raise(Raised { name, input }) => {
            let caller = Caller { principal: String::new(), proof: "none".to_owned() };
            scheduler.raise_event(hub, RaiseEventRequest { instance_id, name, input }, caller).await?;
        }
        Event::Terminate(reason) => {
            // Over gRPC the termination of what is not there succeeds silently; here whoever asks is told.
            if scheduler.row(key(hub.clone(), &instance_id)?).await?.is_none() {
                return Err(Problem::no_such_orchestration(&instance_id));
            }
            let recursive = reason.recurse;
            let terminate = TerminateRequest { instance_id, output: reason.text(), recursive };
            scheduler.terminate_instance(hub, terminate).await?;
        }
    }
    Ok(())
}
