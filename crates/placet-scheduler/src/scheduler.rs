//! A running scheduler, and the handle by which calls enter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use placet_core::body::InstanceBody;
use placet_core::command::{Command, CommandKind, CompleteTurn, InstanceView, Refusal, Reply};
use placet_core::dispatch::{HubSet, StreamSpec};
use placet_core::ids::{CallId, Hub, InstanceKey, StreamId};
use placet_core::rows::{HistoryRow, Lookup};
use placet_core::shard::Input;
use placet_core::token::Token;
use placet_proto::durabletask::{ActivityResponse, OrchestrationState};
use placet_store::{Answer, CommitError, Query, ReadError, Store};
use tokio::sync::oneshot;

use crate::budget::{Budget, Share};
use crate::driver::{self, Message, ReplyTo};
use crate::health::Health;
use crate::hubs::{HubError, Hubs};
use crate::metrics::{CoreFacts, Metrics};
use crate::payloads;
use crate::worker::WorkerStream;

/// Bytes of history read at once for a stream of it.
const HISTORY_PAGE_BYTES: usize = 1 << 20;

/// How long the core may take to say how it goes.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It was refused, or nobody knows what became of it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its hub was refused.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Too many bytes are in flight. Nothing was done.
    #[error("too many bytes are in flight; try again in a moment")]
    Busy,
    /// The server is stopping. Nothing was done.
    #[error("the server is stopping")]
    Stopping,
}

/// A running scheduler. Clones are handles to the same one; it runs until [`Scheduler::stop`].
#[derive(Clone)]
pub struct Scheduler(Arc<Inner>);

struct Inner {
    messages: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    store: Arc<dyn Store>,
    health: Arc<Health>,
    hubs: Hubs,
    budget: Budget,
    metrics: Metrics,
    calls: AtomicU64,
    streams: AtomicU64,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("health", &self.0.health).finish_non_exhaustive()
    }
}

/// Why a scheduler did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store could not be taken into use.
    #[error("the store could not be taken into use")]
    Claim(#[from] CommitError),
    /// The store could not be read.
    #[error("the store could not be read")]
    Read(#[from] ReadError),
    /// The system gave no threads.
    #[error("no thread could be started")]
    Threads(#[from] std::io::Error),
}

impl Scheduler {
    /// Takes a store into use and begins to serve what is in it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(store: Arc<dyn Store>) -> Result<Scheduler, StartError> {
        let claim = store.claim()?;
        let hubs = match store.query(&Query::Hubs)? {
            Answer::Hubs(hubs) => Hubs::new(hubs),
            Answer::Published(_) => Hubs::default(),
        };
        let health = Arc::new(Health::default());
        let (budget, metrics) = (Budget::default(), Metrics::default());
        let core = driver::start(store.clone(), claim, health.clone(), metrics.clone())?;
        Ok(Scheduler(Arc::new(Inner {
            messages: core.messages,
            thread: Mutex::new(Some(core.thread)),
            store,
            health,
            hubs,
            budget,
            metrics,
            calls: AtomicU64::new(0),
            streams: AtomicU64::new(0),
        })))
    }

    /// Ends the workers' streams, makes durable what was decided, and stops. Blocks until that is done.
    pub fn stop(&self) {
        self.0.health.stopping();
        self.tell(Message::Stop);
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
    }

    /// How it is.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Its metrics, to be registered and shown; [`Scheduler::look`] brings them up to date.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Asks the core how it goes, so that the metrics tell of now. If it does not answer in a moment they tell of what
    /// is known without it.
    pub async fn look(&self) {
        let (sender, answer) = oneshot::channel();
        self.tell(Message::Look(sender));
        let answer: Option<Box<CoreFacts>> =
            tokio::time::timeout(LOOK_PATIENCE, answer).await.ok().and_then(Result::ok);
        self.0.metrics.looked(answer, self.0.budget.in_flight());
    }

    /// Gives a command to the core and waits for its reply; what the reply tells of is durable.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// A command that was given is carried out although nobody waits for it; a wait ends.
    pub async fn command(&self, key: InstanceKey, kind: CommandKind, bytes: usize) -> Result<Reply, CallError> {
        // Only a start makes a hub: a question about one that is not there leaves nothing behind.
        if matches!(kind, CommandKind::Start(_)) {
            self.0.hubs.used(&key.hub)?;
        }
        let _share = self.share(bytes)?;
        let waits = matches!(kind, CommandKind::Wait(_) | CommandKind::Ask(_));
        let target = Lookup::Key(key);
        self.call(waits, |call| Input::Call(call, Command { target, kind, call: Some(call) })).await
    }

    /// Makes a hub; `again` empties it if it exists.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn create_hub(&self, hub: Hub, again: bool) -> Result<(), CallError> {
        self.0.hubs.created(&hub);
        self.call(false, |call| Input::CreateHub(call, hub, again)).await.map(drop)
    }

    /// Deletes a hub with all that is in it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete_hub(&self, hub: Hub) -> Result<(), CallError> {
        self.0.hubs.deleted(&hub);
        self.call(false, |call| Input::DeleteHub(call, hub)).await.map(drop)
    }

    /// Says that the wall clock is right.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn accept_time(&self) -> Result<(), CallError> {
        self.call(false, Input::AcceptTime).await.map(drop)
    }

    /// Opens a worker's stream.
    ///
    /// # Errors
    /// If one of its hubs is refused.
    pub fn open_stream(&self, spec: StreamSpec) -> Result<WorkerStream, HubError> {
        if let HubSet::Of(hubs) = &spec.hubs {
            hubs.iter().try_for_each(|hub| self.0.hubs.used(hub))?;
        }
        let id = StreamId(self.0.streams.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(WorkerStream::open(self, id, spec))
    }

    /// A turn was finished, told by a call of its own.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn complete_turn(&self, completion: CompleteTurn, bytes: usize) -> Result<Reply, CallError> {
        let _share = self.share(bytes)?;
        self.call(false, |call| Input::TurnCompleted(call, Box::new(completion))).await
    }

    /// An activity was finished, told by a call of its own.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn complete_activity(
        &self,
        token: Token,
        response: ActivityResponse,
        bytes: usize,
    ) -> Result<Reply, CallError> {
        let _share = self.share(bytes)?;
        self.call(false, |call| Input::ActivityCompleted(call, token, Box::new(response))).await
    }

    /// An item is given back, by a call of its own.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn abandon(&self, token: Token) -> Result<(), CallError> {
        self.call(false, |call| Input::Abandoned(call, token)).await.map(drop)
    }

    /// An instance as committed; with its input and output if they are wanted.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn instance(&self, key: InstanceKey, payloads: bool) -> Result<Option<OrchestrationState>, CallError> {
        self.read(move |store| {
            let found = store.load(&[Lookup::Key(key)])?.pop().flatten();
            found.map(|found| payloads::state_of_loaded(store, &found, payloads)).transpose()
        })
        .await
    }

    /// What a reply left to be read from the history.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn complete_view(&self, view: InstanceView, payloads: bool) -> Result<OrchestrationState, CallError> {
        if payloads::is_complete(&view, payloads) {
            return Ok(payloads::trimmed(view.state, payloads));
        }
        self.read(move |store| payloads::complete(store, view, None, payloads)).await
    }

    /// A page of an instance's committed history: the turns from this one on. Empty at the end, and for an
    /// instance that does not exist.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn history(
        &self,
        iid: placet_core::ids::Iid,
        from: placet_core::ids::Turn,
    ) -> Result<Vec<HistoryRow>, CallError> {
        self.read(move |store| store.history(iid, from, HISTORY_PAGE_BYTES)).await
    }

    /// The store's row of an instance.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn row(&self, key: InstanceKey) -> Result<Option<placet_core::rows::InstanceRow>, CallError> {
        self.read(move |store| Ok(store.load(&[Lookup::Key(key)])?.pop().flatten().map(|found| found.row))).await
    }

    /// The key of an instance's history, and the first turn of its current generation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn generation(
        &self,
        hub: Hub,
        instance_id: &str,
    ) -> Result<Option<(placet_core::ids::Iid, placet_core::ids::Turn)>, CallError> {
        let Some(row) = self.row(crate::calls::key(hub, instance_id)?).await? else { return Ok(None) };
        let body = <InstanceBody as prost::Message>::decode(row.body)
            .map_err(|error| ReadError::Damaged { table: "instance", what: error.to_string() })?;
        Ok(Some((row.iid, placet_core::ids::Turn(body.turn_first))))
    }

    /// A published row.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn published(&self, hub: Hub, kind: String, key: String) -> Result<Option<Bytes>, CallError> {
        let query = Query::Published { hub, kind: kind.into(), key: key.into() };
        self.read(move |store| match store.query(&query)? {
            Answer::Published(body) => Ok(body),
            Answer::Hubs(_) => Ok(None),
        })
        .await
    }

    /// A share of the bytes in flight.
    fn share(&self, bytes: usize) -> Result<Share, CallError> {
        self.0.budget.take(bytes).ok_or_else(|| {
            self.0.metrics.refused_busy();
            CallError::Busy
        })
    }

    pub(crate) fn new_call(&self) -> CallId {
        CallId(self.0.calls.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Tells the core thread something; if it has ended, whoever waits for an answer learns it by that.
    pub(crate) fn tell(&self, message: Message) {
        drop(self.0.messages.send(message));
    }

    async fn call(&self, waits: bool, input: impl FnOnce(CallId) -> Input) -> Result<Reply, CallError> {
        let call = self.new_call();
        let (sender, reply) = oneshot::channel();
        self.tell(Message::Call(call, ReplyTo::Caller(sender), input(call)));
        let mut cancel = CancelOnDrop { scheduler: self, call: waits.then_some(call) };
        let reply = reply.await;
        cancel.call = None;
        Ok(reply.map_err(|_| CallError::Stopping)??)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, CallError> {
        let store = self.0.store.clone();
        let answer = tokio::task::spawn_blocking(move || read(&*store)).await;
        Ok(answer.map_err(|_| CallError::Stopping)??)
    }
}

/// Tells the core that a caller has gone: a waiter must not outlive its call.
struct CancelOnDrop<'a> {
    scheduler: &'a Scheduler,
    call: Option<CallId>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.scheduler.tell(Message::Input(Input::Cancelled(call)));
        }
    }
}
