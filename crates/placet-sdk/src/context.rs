//! What an orchestration may do.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, Select, select};
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    CreateSubOrchestrationAction, CreateTimerAction, OrchestrationInstance, ScheduleTaskAction, SendEventAction,
    TerminateOrchestrationAction,
};
use placet_proto::placet::v1::{AskReply, EntryPart, EntryParts, PublishedRow, Term, entry_part};
use placet_proto::{ENTRIES, SALT_BYTES};
use prost::Message as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{ActivityError, Failure, PayloadError, Result, read};
use crate::replay::{Raised, Resolved, Shared};
use crate::state::{system_time, timestamp};
use crate::trace::TraceContext;
use crate::transport::BoxFuture;

/// The handle that an orchestration's code works with. Clones are the same handle.
///
/// The code must be deterministic: it must take the time from [`OrchestrationContext::now`], ids from
/// [`OrchestrationContext::new_uuid`], and leave everything that touches the world to activities. The futures
/// compose with ordinary combinators (`join!`, `select`); use only those that poll in a fixed order
/// (`futures::select!` and an unbiased `tokio::select!` do not: take [`OrchestrationContext::first`]).
#[derive(Debug, Clone)]
pub struct OrchestrationContext {
    shared: Shared,
}

/// A child whose parent waits for no result carries this tag (`OrchestrationTags.FireAndForget` of the .NET SDK).
const FIRE_AND_FORGET: &str = "FireAndForget";

/// Who started an orchestration as its child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The parent's instance id.
    pub instance_id: String,
    /// The parent's name.
    pub name: String,
}

impl OrchestrationContext {
    pub(crate) fn new(shared: Shared) -> OrchestrationContext {
        OrchestrationContext { shared }
    }

    /// The instance's id.
    pub fn instance_id(&self) -> String {
        self.shared.lock().instance_id.clone()
    }

    /// The execution's id: a new one with each continue-as-new.
    pub fn execution_id(&self) -> String {
        self.shared.lock().execution_id.clone()
    }

    /// The name under which it was started.
    pub fn name(&self) -> String {
        self.shared.lock().name.clone()
    }

    /// The version that it was started with, or went on with.
    pub fn version(&self) -> Option<String> {
        self.shared.lock().version.clone()
    }

    /// The trace that it belongs to, if who started it said so. What it calls is told, too.
    pub fn trace(&self) -> Option<TraceContext> {
        self.shared.lock().trace.clone().map(TraceContext::from)
    }

    /// Who started it, if another orchestration did.
    pub fn parent(&self) -> Option<Parent> {
        let state = self.shared.lock();
        let parent = state.parent.as_ref()?;
        Some(Parent {
            instance_id: parent.orchestration_instance.as_ref()?.instance_id.clone(),
            name: parent.name.clone().unwrap_or_default(),
        })
    }

    /// The time at which this turn began: the same on every replay.
    pub fn now(&self) -> SystemTime {
        system_time(self.shared.lock().now.as_ref())
    }

    /// When the scheduler recorded the start of this generation: for the first one, when the start was accepted,
    /// however long ago that was when the first turn began.
    pub fn started_at(&self) -> SystemTime {
        system_time(self.shared.lock().started_at.as_ref())
    }

    /// Whether the scheduler vouches that the input was handed over by the last generation of this very instance. It does so for
    /// built-in orchestrations only; of others it says nothing.
    pub fn is_continued(&self) -> bool {
        self.shared.lock().is_continued
    }

    /// Ready once the orchestration is terminated. What the code does then, until it waits again, is done with its last turn: it
    /// publishes rows, sends events, sets its status. It ends as terminated in any case, with the reason for its output.
    pub fn termination(&self) -> TerminationWatch {
        TerminationWatch(self.shared.clone())
    }

    /// Whether the code runs again what it ran before: for logs that should be written once.
    pub fn is_replaying(&self) -> bool {
        self.shared.lock().replaying
    }

    /// Whether an activity is to be called as the first of all, if that follows from something that is no part of the history,
    /// such as a configuration or newer code: as it was when this was recorded, else as `now` says. If it says yes, the code calls
    /// the activity before it asks for anything else.
    pub fn calls_first(&self, activity: &str, now: impl FnOnce() -> bool) -> bool {
        let recorded = self.shared.lock().is_recorded_first(activity);
        recorded.unwrap_or_else(now)
    }

    /// An id that is new each time it is called and the same on every replay.
    pub fn new_uuid(&self) -> Uuid {
        let mut state = self.shared.lock();
        let number = state.next_uuid();
        let seed = format!("{}/{}/{number}", state.instance_id, state.execution_id);
        Uuid::new_v8(xxhash_rust::xxh3::xxh3_128(seed.as_bytes()).to_be_bytes())
    }

    /// Calls an activity. Await the call, or describe it further first.
    pub fn activity<O: DeserializeOwned + Send + 'static>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> ActivityCall<O> {
        let input = serde_json::to_string(input).map_err(|error| PayloadError::new::<O>("the activity's input", error));
        ActivityCall {
            context: self.clone(),
            task: Described::Activity {
                name: name.to_owned(),
                input,
                version: None,
                tags: BTreeMap::new(),
                retry: None,
            },
            running: None,
            output: PhantomData,
        }
    }

    /// Starts another orchestration as a child and waits for its end. Without an id it gets one that follows from this
    /// execution's.
    pub fn sub_orchestration<O: DeserializeOwned + Send + 'static>(
        &self,
        name: &str,
        id: Option<&str>,
        input: &(impl Serialize + ?Sized),
    ) -> ActivityCall<O> {
        let input = serde_json::to_string(input).map_err(|error| PayloadError::new::<O>("the child's input", error));
        let id = id.unwrap_or_default().to_owned();
        ActivityCall {
            context: self.clone(),
            task: Described::Child {
                name: name.to_owned(),
                input,
                id,
                version: None,
                tags: BTreeMap::new(),
                retry: None,
            },
            running: None,
            output: PhantomData,
        }
    }

    /// Starts another orchestration and waits for nothing: it goes on though this one ends. Without an id it gets one that
    /// follows from this instance's. Its id.
    ///
    /// # Errors
    /// If the input cannot be written as JSON.
    pub fn start_detached(&self, name: &str, id: Option<&str>, input: &(impl Serialize + ?Sized)) -> Result<String> {
        let instance_id = id.map_or_else(|| self.child_id(), str::to_owned);
        let child = CreateSubOrchestrationAction {
            instance_id: instance_id.clone(),
            name: name.to_owned(),
            input: Some(serde_json::to_string(input)?),
            tags: [(FIRE_AND_FORGET.to_owned(), String::new())].into(),
            parent_trace_context: self.shared.lock().trace.clone(),
            ..CreateSubOrchestrationAction::default()
        };
        let mut state = self.shared.lock();
        let id = state.emit("sub-orchestration", name, Action::CreateSubOrchestration(child));
        state.drop_slot(id);
        Ok(instance_id)
    }

    /// An id for a child: that of this execution, and the child's number in it. The same on every replay, and another one in
    /// each generation.
    fn child_id(&self) -> String {
        let mut state = self.shared.lock();
        let number = state.next_child();
        format!("{}:{number:04x}", state.execution_id)
    }

    /// Tells another instance to end, with this as its output.
    ///
    /// # Errors
    /// If that cannot be written as JSON.
    pub fn terminate(&self, instance_id: &str, output: &(impl Serialize + ?Sized)) -> Result<()> {
        let action = TerminateOrchestrationAction {
            instance_id: instance_id.to_owned(),
            reason: Some(serde_json::to_string(output)?),
            recurse: false,
        };
        self.shared.lock().emit_unconfirmed(Action::TerminateOrchestration(action));
        Ok(())
    }

    /// Waits this long, durably.
    pub fn timer(&self, duration: Duration) -> TimerCall {
        self.timer_until(self.now() + duration)
    }

    /// Waits until this time, durably, however far away it is.
    pub fn timer_until(&self, at: SystemTime) -> TimerCall {
        TimerCall { shared: self.shared.clone(), at, id: None }
    }

    /// Waits for an external event. One that came early is taken; of several, the first.
    pub fn external_event<T: DeserializeOwned>(&self, name: &str) -> EventCall<T> {
        EventCall { shared: self.shared.clone(), name: name.to_owned(), number: None, payload: PhantomData }
    }

    /// Whichever of two comes first; of two that are there at once, the left one.
    pub async fn first<A, B>(&self, left: A, right: B) -> Either<A::Output, B::Output>
    where
        A: Future + Unpin,
        B: Future + Unpin,
    {
        let both: Select<A, B> = select(left, right);
        match both.await {
            Either::Left((output, _)) => Either::Left(output),
            Either::Right((output, _)) => Either::Right(output),
        }
    }

    /// Sends an external event to another instance.
    pub fn send_event(&self, instance_id: &str, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
        let action = SendEventAction {
            instance: Some(OrchestrationInstance { instance_id: instance_id.to_owned(), execution_id: None }),
            name: name.to_owned(),
            data: Some(serde_json::to_string(payload)?),
        };
        let mut state = self.shared.lock();
        let id = state.emit("event", name, Action::SendEvent(action));
        state.drop_slot(id);
        Ok(())
    }

    /// Sets the custom status: what clients see of the instance while it runs, from this turn's commit on.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn set_custom_status(&self, status: &(impl Serialize + ?Sized)) -> Result<()> {
        self.shared.lock().custom_status = Some(serde_json::to_string(status)?);
        Ok(())
    }

    /// Begins anew with this input once the code returns: the history is dropped, and events that were not
    /// taken go over, in order.
    ///
    /// # Errors
    /// If the input cannot be written as JSON.
    pub fn continue_as_new(&self, input: &(impl Serialize + ?Sized)) -> Result<()> {
        self.shared.lock().next_input = Some(serde_json::to_string(input)?);
        Ok(())
    }

    /// Answers an ask whose event was taken in this turn: the asker hears it once the turn is durable.
    ///
    /// # Errors
    /// If the answer cannot be written as JSON.
    pub fn reply(&self, ask_id: &str, answer: &(impl Serialize + ?Sized)) -> Result<()> {
        let answer = Some(serde_json::to_string(answer)?);
        self.shared.lock().replies.push(AskReply { ask_id: ask_id.to_owned(), answer });
        Ok(())
    }

    /// Writes a row of a projection in this turn's commit. Only the built-in orchestrations may.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn publish(&self, kind: &str, key: &str, body: &(impl Serialize + ?Sized)) -> Result<()> {
        self.publish_with_terms(kind, key, body, [])
    }

    /// Writes an entry at the end of the record, in this turn's commit: a text first, then the people whom it names, so that
    /// these can be erased alone. Only the built-in orchestrations may.
    pub fn enter(&self, parts: impl IntoIterator<Item = String>) {
        // The worker puts salts in their places: what code does has no chance in it.
        let salted = |part: String| entry_part::Part::Salted([&[0; SALT_BYTES], part.as_bytes()].concat().into());
        let parts = parts.into_iter().map(|part| EntryPart { part: Some(salted(part)) }).collect();
        let body = Some(EntryParts { parts }.encode_to_vec().into());
        let row = PublishedRow { kind: ENTRIES.to_owned(), body, ..PublishedRow::default() };
        self.shared.lock().publish.push(row);
    }

    /// The same, with terms that lists find the row by, each with the row's place among those that have it. They take the place
    /// of those that the row had.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn publish_with_terms(
        &self,
        kind: &str,
        key: &str,
        body: &(impl Serialize + ?Sized),
        terms: impl IntoIterator<Item = (String, i64)>,
    ) -> Result<()> {
        let body = Some(serde_json::to_vec(body)?.into());
        let terms = terms.into_iter().map(|(text, order)| Term { text, order }).collect();
        let row = PublishedRow { kind: kind.to_owned(), key: key.to_owned(), body, terms };
        let mut state = self.shared.lock();
        // Of a row that is published twice in a turn nobody sees the first.
        state.publish.retain(|before| before.kind != row.kind || before.key != row.key);
        state.publish.push(row);
        Ok(())
    }
}

/// When a failed activity is tried again: with delays that grow, on durable timers.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// How often it is tried in all.
    pub attempts_max: u32,
    /// The delay before the second attempt.
    pub delay_first: Duration,
    /// By what factor each delay is longer than the one before.
    pub backoff: f64,
    /// The longest delay.
    pub delay_max: Duration,
}

impl RetryPolicy {
    /// This many attempts, a second after the first failure, then twice as long each time, a minute at most.
    pub fn attempts(attempts_max: u32) -> RetryPolicy {
        RetryPolicy {
            attempts_max,
            delay_first: Duration::from_secs(1),
            backoff: 2.0,
            delay_max: Duration::from_secs(60),
        }
    }

    /// The delay after this many failures.
    fn delay(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.delay_first.as_secs_f64() * self.backoff.powi(exponent);
        if seconds < self.delay_max.as_secs_f64() { Duration::from_secs_f64(seconds) } else { self.delay_max }
    }
}

#[derive(Debug)]
enum Described {
    Activity {
        name: String,
        input: std::result::Result<String, PayloadError>,
        version: Option<String>,
        tags: BTreeMap<String, String>,
        retry: Option<RetryPolicy>,
    },
    Child {
        name: String,
        input: std::result::Result<String, PayloadError>,
        id: String,
        version: Option<String>,
        tags: BTreeMap<String, String>,
        retry: Option<RetryPolicy>,
    },
    Taken,
}

/// A call of an activity or a child. It is asked for when it is first polled.
#[must_use = "nothing is called before the call is awaited"]
pub struct ActivityCall<O> {
    context: OrchestrationContext,
    task: Described,
    running: Option<BoxFuture<'static, std::result::Result<O, ActivityError>>>,
    output: PhantomData<fn() -> O>,
}

impl<O> std::fmt::Debug for ActivityCall<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivityCall").field("task", &self.task).finish_non_exhaustive()
    }
}

impl<O> ActivityCall<O> {
    /// Tries what failed again. A child is started again under its own id.
    pub fn retry(mut self, policy: RetryPolicy) -> ActivityCall<O> {
        if let Described::Activity { retry, .. } | Described::Child { retry, .. } = &mut self.task {
            *retry = Some(policy);
        }
        self
    }

    /// The version of the activity or child.
    pub fn version(mut self, text: impl Into<String>) -> ActivityCall<O> {
        if let Described::Activity { version, .. } | Described::Child { version, .. } = &mut self.task {
            *version = Some(text.into());
        }
        self
    }

    /// What the activity is told, or the child is found by, beside its input.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> ActivityCall<O> {
        if let Described::Activity { tags, .. } | Described::Child { tags, .. } = &mut self.task {
            tags.insert(key.into(), value.into());
        }
        self
    }
}

impl<O: DeserializeOwned + Send + 'static> Future for ActivityCall<O> {
    type Output = std::result::Result<O, ActivityError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.running.is_none() {
            let task = std::mem::replace(&mut self.task, Described::Taken);
            self.running = Some(Box::pin(run_task(self.context.clone(), task)));
        }
        self.running.as_mut().expect("it was just made").as_mut().poll(context)
    }
}

impl<O> Unpin for ActivityCall<O> {}

async fn run_task<O: DeserializeOwned>(
    context: OrchestrationContext,
    task: Described,
) -> std::result::Result<O, ActivityError> {
    let (kind, name, action, retry) = match task {
        Described::Activity { name, input, version, tags, retry } => {
            let input = Some(input.map_err(|error| invalid(&name, &error))?);
            let parent_trace_context = context.shared.lock().trace.clone();
            let task = ScheduleTaskAction { name: name.clone(), version, input, tags, parent_trace_context };
            ("activity", name, Action::ScheduleTask(task), retry)
        }
        Described::Child { name, input, id, version, tags, retry } => {
            let input = Some(input.map_err(|error| invalid(&name, &error))?);
            let child = CreateSubOrchestrationAction {
                instance_id: if id.is_empty() { context.child_id() } else { id },
                name: name.clone(),
                version,
                input,
                tags,
                parent_trace_context: context.shared.lock().trace.clone(),
            };
            ("sub-orchestration", name, Action::CreateSubOrchestration(child), retry)
        }
        Described::Taken => unreachable!("a call runs once"),
    };
    let Some(policy) = retry else { return step(&context, kind, &name, action).await };
    let mut failures = 0;
    loop {
        let error = match step(&context, kind, &name, action.clone()).await {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        failures += 1;
        if failures >= policy.attempts_max || error.is_non_retriable() {
            return Err(error);
        }
        retry_timer(&context, &policy, failures, &error).await;
    }
}

/// Waits for the next attempt.
async fn retry_timer(context: &OrchestrationContext, policy: &RetryPolicy, failures: u32, error: &ActivityError) {
    let fire_at = Some(timestamp(context.now() + policy.delay(failures)));
    let id = {
        let mut state = context.shared.lock();
        let id = state.emit("timer", "", Action::CreateTimer(CreateTimerAction { fire_at }));
        state.retries(id, &error.name, failures, policy.attempts_max, &error.details.error_type);
        id
    };
    SlotFuture { shared: context.shared.clone(), id, taken: false }.await;
}

/// Asks for an action at once, so that whoever waits for what comes of it need not keep it.
fn step<'a, O: DeserializeOwned>(
    context: &OrchestrationContext,
    kind: &'static str,
    name: &'a str,
    action: Action,
) -> impl Future<Output = std::result::Result<O, ActivityError>> + use<'a, O> {
    let id = context.shared.lock().emit(kind, name, action);
    let slot = SlotFuture { shared: context.shared.clone(), id, taken: false };
    async move {
        match slot.await {
            Resolved::Completed(result) => {
                let text = result.as_deref().filter(|text| !text.is_empty()).unwrap_or("null");
                serde_json::from_str(text).map_err(|error| ActivityError::unreadable(name, id, &error))
            }
            Resolved::Failed(details) => Err(ActivityError { what: kind, name: name.to_owned(), task_id: id, details }),
            Resolved::Fired => unreachable!("only timers fire"),
        }
    }
}

fn invalid(name: &str, error: &PayloadError) -> ActivityError {
    let details = Failure::new("PayloadError", error.to_string()).non_retriable().into_details();
    ActivityError { what: "activity", name: name.to_owned(), task_id: 0, details }
}

/// What comes under an action's id.
struct SlotFuture {
    shared: Shared,
    id: i32,
    taken: bool,
}

impl Future for SlotFuture {
    type Output = Resolved;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Resolved> {
        let resolved = self.shared.lock().poll_slot(self.id, context.waker());
        match resolved {
            Some(resolved) => {
                self.taken = true;
                Poll::Ready(resolved)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for SlotFuture {
    fn drop(&mut self) {
        if !self.taken {
            self.shared.lock().drop_slot(self.id);
        }
    }
}

/// A durable timer. It is set when it is first polled.
#[derive(Debug)]
#[must_use = "a timer does nothing before it is awaited"]
pub struct TimerCall {
    shared: Shared,
    at: SystemTime,
    id: Option<i32>,
}

impl Future for TimerCall {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let id = match self.id {
            Some(id) => id,
            None => {
                let action = CreateTimerAction { fire_at: Some(timestamp(self.at)) };
                let id = state.emit("timer", "", Action::CreateTimer(action));
                self.id = Some(id);
                id
            }
        };
        match state.poll_slot(id, context.waker()) {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }
}

/// How an orchestration was terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// Why, as whoever terminated it has said: JSON by convention.
    pub reason: Option<String>,
    /// When the scheduler recorded it.
    pub at: SystemTime,
}

/// See [`OrchestrationContext::termination`].
#[derive(Debug)]
pub struct TerminationWatch(Shared);

impl Future for TerminationWatch {
    type Output = Termination;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Termination> {
        let mut state = self.0.lock();
        match state.poll_termination(context.waker()) {
            Some((reason, at)) => {
                let at = system_time(at.or(state.now).as_ref());
                Poll::Ready(Termination { reason, at })
            }
            None => Poll::Pending,
        }
    }
}

/// An external event, with what the scheduler recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalEvent<T> {
    /// What it says.
    pub payload: T,
    /// When the scheduler recorded it.
    pub received_at: SystemTime,
    /// The ask that it belongs to, if somebody waits for an answer.
    pub ask_id: Option<String>,
    /// Who raised it, as far as the scheduler could tell.
    pub principal: Option<String>,
    /// By what proof.
    pub proof: String,
}

/// A wait for an external event.
#[must_use = "nothing is waited for before the call is awaited"]
pub struct EventCall<T> {
    shared: Shared,
    name: String,
    number: Option<u64>,
    payload: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for EventCall<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventCall").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> EventCall<T> {
    /// The same wait, which gives the payload as it was written together with what was recorded of it.
    pub fn with_facts(mut self) -> EventFacts {
        EventFacts { shared: self.shared.clone(), name: std::mem::take(&mut self.name), number: self.number.take() }
    }
}

impl<T: DeserializeOwned> Future for EventCall<T> {
    type Output = std::result::Result<T, PayloadError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match poll_event(&this.shared, &this.name, &mut this.number, context) {
            Poll::Ready(raised) => Poll::Ready(read(&format!("the event {:?}", this.name), raised.input.as_deref())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for EventCall<T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.lock().drop_event_wait(&self.name, number);
        }
    }
}

/// A wait for an external event, with what was recorded of it. The payload is the text as it was written.
#[derive(Debug)]
#[must_use = "nothing is waited for before the call is awaited"]
pub struct EventFacts {
    shared: Shared,
    name: String,
    number: Option<u64>,
}

impl Future for EventFacts {
    type Output = ExternalEvent<Option<String>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        poll_event(&this.shared, &this.name, &mut this.number, context).map(Raised::into_facts)
    }
}

impl Raised {
    pub(crate) fn into_facts(self) -> ExternalEvent<Option<String>> {
        let some = |text: String| (!text.is_empty()).then_some(text);
        ExternalEvent {
            payload: self.input,
            received_at: system_time(self.event.timestamp.as_ref()),
            ask_id: some(self.stamp.ask_id),
            principal: some(self.stamp.principal),
            proof: some(self.stamp.proof).unwrap_or_else(|| "none".to_owned()),
        }
    }
}

impl Drop for EventFacts {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.lock().drop_event_wait(&self.name, number);
        }
    }
}

fn poll_event(shared: &Shared, name: &str, number: &mut Option<u64>, context: &Context<'_>) -> Poll<Raised> {
    let mut state = shared.lock();
    let waiting = *number.get_or_insert_with(|| state.wait_for_event(name));
    match state.poll_event(name, waiting, context.waker()) {
        Some(raised) => {
            *number = None;
            Poll::Ready(raised)
        }
        None => Poll::Pending,
    }
}
