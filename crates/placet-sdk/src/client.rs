//! The client: starts instances, raises events, asks questions, waits.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::{
    CreateInstanceRequest, GetInstanceRequest, GetInstanceResponse, HistoryEvent, OrchestrationIdReusePolicy,
    OrchestrationStatus, RaiseEventRequest, TerminateRequest,
};
use placet_proto::placet::v1::{
    AskRequest, ChainedEntry, CheckpointRequest, CheckpointResponse, EraseEntriesRequest, GetPublishedRequest,
    ListEntriesRequest, ListEntriesResponse, ListPublishedRequest, ListPublishedResponse, WatchRequest,
    ask_response::Outcome, list_entries_request::Of,
};
use serde::Serialize;
use tokio::time::timeout;

use crate::context::ExternalEvent;
use crate::grpc::GrpcTransport;
use crate::replay::Raised;
use crate::state::{InstanceState, system_time, timestamp};
use crate::time::{AdvanceCall, ServerTime};
use crate::trace::TraceContext;
use crate::transport::{BoxFuture, CallError, CallResult, Code, Held, Room, Transport};

/// The hub of a client that was told of none.
const HUB_DEFAULT: &str = "default";

/// How long one call of a wait may go without an answer. Then it is dropped and made again: a wait has no deadline of
/// its own, so that one that was lost on its way, with its connection or its scheduler, would never end.
const WAIT_RENEWED_AFTER: Duration = Duration::from_secs(60);

/// Why a client was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint is none.
    #[error("endpoint: {endpoint:?} is not an address such as http://localhost:8080")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
    /// It asks for what is not spoken.
    #[error("endpoint: {endpoint:?} is not of the form http://host:port; TLS is not spoken yet")]
    Unspoken {
        /// What was given.
        endpoint: String,
    },
}

/// Why an instance was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The id is taken.
    #[error("{0}")]
    AlreadyExists(String),
    /// The id, the name or the policy is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The input could not be written as JSON.
    #[error("the input cannot be written as JSON: {0}")]
    Input(String),
    /// The call failed; whether the instance was started is unknown unless the code says so.
    #[error(transparent)]
    Call(CallError),
}

/// A client of one task hub. Clones are cheap and share their connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) transport: Arc<dyn Transport>,
    hub: Arc<str>,
}

impl Client {
    /// A client of the scheduler at this endpoint, in the hub `default`. It connects when it is first used.
    ///
    /// An Azure connection string (`Endpoint=…;TaskHub=…;Authentication=…`) is understood, too.
    ///
    /// # Errors
    /// If the endpoint is none.
    pub fn connect(endpoint: &str) -> Result<Client, ConnectError> {
        let (address, hub) = connection_string(endpoint).unwrap_or((endpoint, None));
        if !is_plain(address) {
            return Err(ConnectError::Unspoken { endpoint: endpoint.to_owned() });
        }
        let transport = GrpcTransport::new(address.trim_end_matches('/'))
            .map_err(|source| ConnectError::Endpoint { endpoint: endpoint.to_owned(), source })?;
        Ok(Client::over(Arc::new(transport), hub.unwrap_or(HUB_DEFAULT)))
    }

    /// A client over this transport.
    pub fn over(transport: Arc<dyn Transport>, hub: &str) -> Client {
        Client { transport, hub: hub.into() }
    }

    /// The same client in another hub.
    #[must_use]
    pub fn with_hub(&self, hub: &str) -> Client {
        Client { transport: self.transport.clone(), hub: hub.into() }
    }

    /// Its hub.
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// How it reaches the scheduler.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Starts an instance of an orchestration; await the call, which gives the instance's id. What was
    /// answered is durable.
    pub fn start(&self, name: &str, input: &(impl Serialize + ?Sized)) -> StartCall {
        let (input, problem) = match serde_json::to_string(input) {
            Ok(json) => (Some(json), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let request = CreateInstanceRequest { name: name.to_owned(), input, ..CreateInstanceRequest::default() };
        StartCall { client: self.clone(), request, problem }
    }

    /// An instance's state with its payloads; none if there is no such instance.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn get(&self, id: &str) -> Result<Option<InstanceState>, CallError> {
        let Held { value: answer, room } = self.transport.get_instance(&self.hub, instance(id)).await?;
        let state = answer.orchestration_state.filter(|_| answer.exists);
        Ok(state.map(|state| InstanceState::new(state, room)))
    }

    /// Waits until an instance has begun to run, however long that takes. A call that is not answered within a minute is made
    /// again.
    ///
    /// # Errors
    /// If the call fails; with [`Code::NotFound`] if there is no such instance.
    ///
    /// # Cancel safety
    /// Nothing changes if the future is dropped.
    pub async fn wait_for_start(&self, id: &str) -> Result<InstanceState, CallError> {
        let answer = renewed(|| self.transport.wait_for_start(&self.hub, instance(id))).await?;
        found(id, answer)
    }

    /// Waits until an instance has ended, however long that takes. A call that is not answered within a minute is made
    /// again.
    ///
    /// # Errors
    /// If the call fails; with [`Code::NotFound`] if there is no such instance.
    ///
    /// # Cancel safety
    /// Nothing changes if the future is dropped.
    pub async fn wait_for_completion(&self, id: &str) -> Result<InstanceState, CallError> {
        let answer = renewed(|| self.transport.wait_for_completion(&self.hub, instance(id))).await?;
        found(id, answer)
    }

    /// Raises an external event. What was answered is durable; whether the orchestration takes it is not
    /// known: [`Client::ask`] tells that.
    ///
    /// # Errors
    /// If the call fails; with [`Code::NotFound`] if there is no such instance.
    pub async fn raise_event(
        &self,
        id: &str,
        name: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), CallError> {
        let request =
            RaiseEventRequest { instance_id: id.to_owned(), name: name.to_owned(), input: Some(json(payload)?) };
        self.transport.raise_event(&self.hub, request).await
    }

    /// Tells an instance to end with this output.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn terminate(&self, id: &str, output: &(impl Serialize + ?Sized)) -> Result<(), CallError> {
        let request = TerminateRequest { instance_id: id.to_owned(), output: Some(json(output)?), recursive: false };
        self.transport.terminate(&self.hub, request).await
    }

    /// Raises an event and waits for what the orchestration makes of it; await the call.
    pub fn ask(&self, id: &str, event: &str, payload: &(impl Serialize + ?Sized)) -> AskCall {
        let request = json(payload).map(|payload| AskRequest {
            instance_id: id.to_owned(),
            event_name: event.to_owned(),
            payload,
            ..AskRequest::default()
        });
        AskCall { client: self.clone(), request }
    }

    /// A row that an orchestration published.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn published(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, CallError> {
        let request = GetPublishedRequest { kind: kind.to_owned(), key: key.to_owned(), signed: false };
        let answer = self.transport.published(&self.hub, request).await?;
        Ok(answer.exists.then(|| answer.body.to_vec()))
    }

    /// The same, signed by the hub: a note (c2sp.org/signed-note), and the key that it is signed with.
    ///
    /// # Errors
    /// If the call fails, or the hub cannot sign.
    pub async fn signed(&self, kind: &str, key: &str) -> Result<Option<(String, String)>, CallError> {
        let request = GetPublishedRequest { kind: kind.to_owned(), key: key.to_owned(), signed: true };
        let answer = self.transport.published(&self.hub, request).await?;
        Ok(answer.exists.then_some((answer.note, answer.note_key)))
    }

    /// A page of rows that orchestrations published, by the terms that they were published with.
    ///
    /// # Errors
    /// If the call fails; with [`Code::InvalidArgument`] if it asks for nothing, or goes on where no page ended.
    pub async fn list_published(
        &self,
        request: ListPublishedRequest,
    ) -> Result<Held<ListPublishedResponse>, CallError> {
        self.transport.list_published(&self.hub, request).await
    }

    /// Tells when rows that orchestrations publish have changed: those of these keys, and those published with one of these
    /// terms. What is committed once this is answered is told of; several changes may be told at once.
    ///
    /// # Errors
    /// If the call fails. The stream ends when the server stops.
    pub async fn watch(
        &self,
        kind: &str,
        keys: Vec<String>,
        terms: Vec<String>,
    ) -> Result<BoxStream<'static, Result<(), CallError>>, CallError> {
        self.transport.watch(&self.hub, WatchRequest { kind: kind.to_owned(), keys, terms }).await
    }

    /// What an instance has entered in the record, behind the entry of this number: a page, which is empty at the end.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn entries_of(&self, id: &str, after: u64) -> Result<Held<ListEntriesResponse>, CallError> {
        self.entries(Of::InstanceId(id.to_owned()), after, 0).await
    }

    /// All that an instance has entered in the record.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn all_entries_of(&self, id: &str) -> Result<Vec<ChainedEntry>, CallError> {
        let mut entries: Vec<ChainedEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |last| last.number);
            let page = self.entries_of(id, after).await?;
            if page.value.entries.is_empty() {
                return Ok(entries);
            }
            entries.extend(page.value.entries.iter().cloned());
        }
    }

    /// Whether an instance has entered anything in the record: that stays when the instance goes.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn has_entered(&self, id: &str) -> Result<bool, CallError> {
        let first = self.entries(Of::InstanceId(id.to_owned()), 0, 1).await?;
        Ok(!first.value.entries.is_empty())
    }

    /// What a partition's chain of the record holds behind the entry of this number: a page, which is empty at the end.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn chain(&self, partition: u8, after: u64) -> Result<Held<ListEntriesResponse>, CallError> {
        self.entries(Of::Partition(partition.into()), after, 0).await
    }

    async fn entries(&self, of: Of, after: u64, limit: u32) -> Result<Held<ListEntriesResponse>, CallError> {
        let request = ListEntriesRequest { of: Some(of), after, limit };
        self.transport.list_entries(&self.hub, request).await
    }

    /// Erases what an instance has entered in the record, or only this person's name in it. The hashes stay.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn erase_entries(&self, id: &str, person: Option<&str>) -> Result<(), CallError> {
        let request = EraseEntriesRequest { instance_id: id.to_owned(), person: person.map(str::to_owned) };
        self.transport.erase_entries(&self.hub, request).await
    }

    /// The ends of the record's chains, signed by the hub (placet.v1 Checkpoint).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn checkpoint(&self) -> Result<CheckpointResponse, CallError> {
        self.transport.checkpoint(&self.hub, CheckpointRequest { anew: false }).await
    }

    /// The same, with a new beginning where the last checkpoint or the key is not to be had: an operator's act.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn checkpoint_anew(&self) -> Result<CheckpointResponse, CallError> {
        self.transport.checkpoint(&self.hub, CheckpointRequest { anew: true }).await
    }

    /// An instance's history, as committed; empty if there is no such instance. All of it is in memory then.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn history(&self, id: &str) -> Result<Vec<HistoryEvent>, CallError> {
        self.transport.history(&self.hub, id).try_concat().await
    }

    /// The first external event of this name that an instance's current generation has received, with what was
    /// recorded of it. Names are matched without case. The history is read as far as that, page by page.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn first_event(&self, id: &str, name: &str) -> Result<Option<ExternalEvent<Option<String>>>, CallError> {
        let mut pages = self.transport.history(&self.hub, id);
        while let Some(page) = pages.try_next().await? {
            let found = page.iter().find_map(|event| match &event.event_type {
                Some(EventType::EventRaised(raised)) if raised.name.eq_ignore_ascii_case(name) => {
                    Some(Raised::new(event, raised).into_facts())
                }
                _ => None,
            });
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Says that the scheduler's wall clock is right: timers that it held because it doubted run again.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn accept_time(&self) -> Result<(), CallError> {
        self.transport.accept_time().await
    }

    /// The time by which the scheduler's histories, deadlines and timers go. A scheduler that does not tell is taken to
    /// have this computer's.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn time(&self) -> Result<ServerTime, CallError> {
        match self.transport.get_time().await {
            Ok(time) => Ok(ServerTime { now: system_time(time.now.as_ref()), is_virtual: time.is_virtual }),
            Err(error) if error.code == Code::Unimplemented => {
                Ok(ServerTime { now: SystemTime::now(), is_virtual: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the clock of a scheduler go on that runs on virtual time (`placet --ephemeral --virtual-time`). It goes from timer
    /// to timer: each fires at its own time, and the clock stops there until what follows from it has come to rest. When
    /// this returns, all that could happen by then has happened. By nothing, it waits for just that.
    ///
    /// ```no_run
    /// # async fn run(client: placet_sdk::Client) -> Result<(), placet_sdk::CallError> {
    /// # use std::time::Duration;
    /// client.advance_time(Duration::from_secs(24 * 3600)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] if the scheduler's time is real; or if the call fails.
    ///
    /// # Cancel safety
    /// The clock stops where it is.
    pub fn advance_time(&self, by: Duration) -> AdvanceCall {
        AdvanceCall { client: self.clone(), by, patience: None }
    }

    /// Whether the scheduler is there.
    ///
    /// # Errors
    /// If it is not.
    pub async fn hello(&self) -> Result<(), CallError> {
        self.transport.hello().await
    }
}

/// Makes a call again and again until one of them is answered in time.
pub(crate) async fn renewed<'a, T>(call: impl Fn() -> BoxFuture<'a, CallResult<T>>) -> CallResult<T> {
    loop {
        if let Ok(answer) = timeout(WAIT_RENEWED_AFTER, call()).await {
            return answer;
        }
    }
}

/// Whether an address names a host and nothing that would silently be left out: another scheme, a path.
fn is_plain(address: &str) -> bool {
    let (scheme, host) = address.split_once("://").unwrap_or(("http", address));
    let host = host.trim_end_matches('/');
    matches!(scheme, "http" | "grpc") && !host.is_empty() && !host.contains(['/', '?', '#', ' '])
}

/// A start that is being described. Await it.
#[derive(Debug)]
#[must_use = "nothing is started before the call is awaited"]
pub struct StartCall {
    client: Client,
    request: CreateInstanceRequest,
    problem: Option<String>,
}

impl StartCall {
    /// The instance's id; without one the scheduler makes one.
    pub fn id(mut self, id: impl Into<String>) -> StartCall {
        self.request.instance_id = id.into();
        self
    }

    /// Not before this time.
    pub fn at(mut self, at: SystemTime) -> StartCall {
        self.request.scheduled_start_timestamp = Some(timestamp(at));
        self
    }

    /// The orchestration's version.
    pub fn version(mut self, version: impl Into<String>) -> StartCall {
        self.request.version = Some(version.into());
        self
    }

    /// The trace that it belongs to: its activities and children are told.
    pub fn trace(mut self, trace: TraceContext) -> StartCall {
        self.request.parent_trace_context = Some(trace.into());
        self
    }

    /// Tags.
    pub fn tags(mut self, tags: BTreeMap<String, String>) -> StartCall {
        self.request.tags = tags;
        self
    }

    /// An instance of this id must not exist, ended or not. (Else one that ended gives way.)
    pub fn only_if_absent(mut self) -> StartCall {
        let policy = OrchestrationIdReusePolicy::default();
        self.request.orchestration_id_reuse_policy = Some(policy);
        self
    }

    /// An instance of this id gives way whatever its status; a running one is terminated.
    pub fn replace_any(mut self) -> StartCall {
        let all = [
            OrchestrationStatus::Running,
            OrchestrationStatus::Completed,
            OrchestrationStatus::Failed,
            OrchestrationStatus::Canceled,
            OrchestrationStatus::Terminated,
            OrchestrationStatus::Pending,
            OrchestrationStatus::Suspended,
        ];
        let policy = OrchestrationIdReusePolicy { replaceable_status: all.map(i32::from).to_vec(), action: 0 };
        self.request.orchestration_id_reuse_policy = Some(policy);
        self
    }

    async fn send(self) -> Result<String, StartError> {
        if let Some(problem) = self.problem {
            return Err(StartError::Input(problem));
        }
        let answer = self.client.transport.start_instance(&self.client.hub, self.request).await;
        answer.map(|answer| answer.instance_id).map_err(|error| match error.code {
            Code::AlreadyExists => StartError::AlreadyExists(error.message),
            Code::InvalidArgument => StartError::Invalid(error.message),
            _ => StartError::Call(error),
        })
    }
}

impl IntoFuture for StartCall {
    type Output = Result<String, StartError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The orchestration's answer, as JSON. The turn that gave it is durable.
    Reply(Reply),
    /// The orchestration took the event without an answer: its state after that turn.
    State(InstanceState),
    /// It ended without taking the event, or had ended before: its final state.
    Ended(InstanceState),
    /// The event is recorded; no worker has taken it yet, or its answer is long and found no room. The same ask id tells.
    Recorded,
}

impl Answer {
    /// The room that it has in the scheduler's process: whoever makes something as long of it keeps this with that.
    pub fn room(&self) -> Room {
        match self {
            Answer::Reply(reply) => reply.room.clone(),
            Answer::State(state) | Answer::Ended(state) => state.room().clone(),
            Answer::Recorded => Room::default(),
        }
    }
}

/// What an orchestration replied, as JSON.
#[derive(Debug, Clone)]
pub struct Reply {
    text: String,
    room: Room,
}

impl std::ops::Deref for Reply {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Reply {
    fn eq(&self, other: &Reply) -> bool {
        self.text == other.text
    }
}

/// A question that is being described. Await it.
#[derive(Debug)]
#[must_use = "nothing is asked before the call is awaited"]
pub struct AskCall {
    client: Client,
    request: Result<AskRequest, CallError>,
}

impl AskCall {
    /// The ask's id: who asks again with the same one gets the same answer.
    pub fn ask_id(mut self, id: impl Into<String>) -> AskCall {
        if let Ok(request) = &mut self.request {
            request.ask_id = id.into();
        }
        self
    }

    /// Whose question it is, when it is passed on for somebody, and by what he is known: stamped on the event, where
    /// orchestrations find it beside the payload.
    pub fn on_behalf_of(mut self, principal: impl Into<String>, proof: impl Into<String>) -> AskCall {
        if let Ok(request) = &mut self.request {
            (request.principal, request.proof) = (principal.into(), proof.into());
        }
        self
    }

    /// How long to wait for the answer (10 s if not said). After that the question stays recorded.
    pub fn wait(mut self, wait: Duration) -> AskCall {
        if let Ok(request) = &mut self.request {
            request.wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
        }
        self
    }

    async fn send(self) -> Result<Answer, CallError> {
        let Held { value: answer, room } = self.client.transport.ask(&self.client.hub, self.request?).await?;
        match answer.outcome {
            Some(Outcome::Reply(text)) => Ok(Answer::Reply(Reply { text, room })),
            Some(Outcome::State(state)) => Ok(Answer::State(InstanceState::new(state, room))),
            Some(Outcome::Ended(state)) => Ok(Answer::Ended(InstanceState::new(state, room))),
            Some(Outcome::Recorded(_)) => Ok(Answer::Recorded),
            None => Err(CallError::new(Code::Internal, "the scheduler did not say what became of the question")),
        }
    }
}

impl IntoFuture for AskCall {
    type Output = Result<Answer, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

fn instance(id: &str) -> GetInstanceRequest {
    GetInstanceRequest { instance_id: id.to_owned(), get_inputs_and_outputs: true }
}

fn found(id: &str, answer: Held<GetInstanceResponse>) -> Result<InstanceState, CallError> {
    let absent = || CallError::new(Code::NotFound, format!("there is no instance {id}"));
    let state = answer.value.orchestration_state.ok_or_else(absent)?;
    Ok(InstanceState::new(state, answer.room))
}

pub(crate) fn json(payload: &(impl Serialize + ?Sized)) -> Result<String, CallError> {
    serde_json::to_string(payload).map_err(|error| {
        CallError::new(Code::InvalidArgument, format!("the payload cannot be written as JSON: {error}"))
    })
}

/// The endpoint and hub of an Azure connection string, if it is one.
fn connection_string(text: &str) -> Option<(&str, Option<&str>)> {
    let field = |name: &str| {
        text.split(';')
            .filter_map(|part| part.split_once('='))
            .find_map(|(key, value)| key.trim().eq_ignore_ascii_case(name).then(|| value.trim()))
    };
    Some((field("Endpoint")?, field("TaskHub")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use placet_proto::durabletask::{EventRaisedEvent, OrchestrationState};
    use tokio::time::Instant;

    use super::*;
    use crate::transport::scripted::{Scripted, never};

    fn ended() -> Held<GetInstanceResponse> {
        let orchestration_status = OrchestrationStatus::Completed.into();
        let state = OrchestrationState { orchestration_status, ..OrchestrationState::default() };
        GetInstanceResponse { exists: true, orchestration_state: Some(state) }.into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_lost_on_its_way_is_made_again() {
        let wait =
            Box::new(|before| if before < 2 { never() } else { Box::pin(async { Ok(ended()) }) as BoxFuture<'_, _> });
        let transport = Arc::new(Scripted { wait, ..Scripted::default() });
        let client = Client::over(transport.clone(), HUB_DEFAULT);
        let since = Instant::now();
        let state = timeout(10 * WAIT_RENEWED_AFTER, client.wait_for_completion("i")).await.expect("it is answered");
        assert!(state.unwrap().status().is_terminal());
        assert_eq!(since.elapsed().as_secs(), 2 * WAIT_RENEWED_AFTER.as_secs());
        client.wait_for_start("i").await.unwrap();
        assert_eq!(transport.waits.load(Ordering::Relaxed), 4, "what is answered is not asked again");
    }

    #[tokio::test]
    async fn the_first_event_of_a_name_is_found_without_reading_on() {
        let raised = |name: &str, input: &str| {
            let raised = EventRaisedEvent { name: name.into(), input: Some(input.into()), ..Default::default() };
            HistoryEvent { event_type: Some(EventType::EventRaised(raised)), ..HistoryEvent::default() }
        };
        let read_on = CallError::new(Code::Internal, "it reads on");
        let pages = [
            Ok(vec![raised("another", "1"), raised("another", "2")]),
            Ok(Vec::new()),
            Ok(vec![raised("another", "3"), raised("Wanted", "4"), raised("wanted", "5")]),
            Err(read_on.clone()),
        ];
        let client = Client::over(Arc::new(Scripted { history: pages.into(), ..Scripted::default() }), HUB_DEFAULT);
        let found = client.first_event("i", "wanted").await.unwrap().unwrap();
        assert_eq!(found.payload.as_deref(), Some("4"));
        assert_eq!(client.first_event("i", "other").await.unwrap_err(), read_on);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_failed_is_left_to_its_caller() {
        let unavailable = || Err(CallError::new(Code::Unavailable, "gone"));
        let wait = Box::new(move |_| Box::pin(async move { unavailable() }) as BoxFuture<'_, _>);
        let client = Client::over(Arc::new(Scripted { wait, ..Scripted::default() }), HUB_DEFAULT);
        assert_eq!(client.wait_for_completion("i").await.unwrap_err().code, Code::Unavailable);
    }

    #[test]
    fn an_endpoint_that_asks_for_what_is_not_spoken_is_refused() {
        for plain in ["http://localhost:8080", "http://localhost:8080/", "grpc://localhost:8080", "[::1]:8080"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in ["https://localhost:8080", "ftp://localhost", "http://localhost:8080/path", "http://", "a b"] {
            assert!(!is_plain(other), "{other}");
        }
    }

    #[test]
    fn an_azure_connection_string_names_endpoint_and_hub() {
        let text = "Endpoint=http://localhost:8080;Authentication=None;TaskHub=mine";
        assert_eq!(connection_string(text), Some(("http://localhost:8080", Some("mine"))));
        assert_eq!(connection_string("http://localhost:8080"), None);
    }
}
