//! A running scheduler, and the handle by which calls enter.

mod reading;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use placet_core::command::{Command, CommandKind, CompleteTurn, InstanceView, Refusal, Reply};
use placet_core::dispatch::{HubSet, StreamLoad, StreamSpec};
use placet_core::ids::{CallId, Hub, Iid, InstanceKey, PartitionId, StreamId, Turn};
use placet_core::partition::view_of_row;
use placet_core::rows::{InstanceRow, Lookup};
use placet_core::shard::Input;
use placet_core::token::Token;
use placet_proto::durabletask::{ActivityResponse, OrchestrationState, OrchestratorResponse};
use placet_store::{Answer, CommitError, Query, ReadError, Store};
use prost::Message as _;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::budget::{ANSWER_FROM, Budget, Busy, RETRY_AFTER, Share};
use crate::bulk::Bulks;
use crate::driver::{self, Hearers, Message, ReplyTo, Time, WallClock};
use crate::health::Health;
use crate::hubs::{HubError, Hubs};
use crate::metrics::{CoreFacts, Metrics};
use crate::payloads;
use crate::record::{Keeping, KeyError, MasterKey};
use crate::retention::{Keeper, Means, Retention};
use crate::watch::Watched;
use crate::worker::WorkerStream;
pub(crate) use reading::damaged;
pub(crate) use reading::row_of;
pub use reading::{Generation, Page};
use reading::{Read, Turns, bytes_of, generation_of};

/// Bytes of history read at once for a stream of it.
const HISTORY_PAGE_BYTES: usize = 1 << 20;

/// How long the core may take to say how it goes.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// How many times its size a payload occupies while it is read: in the store's hands, as a row, and decoded.
const READ_COPIES: usize = 3;

/// … and while it waits to be sent: encoded, in a buffer that has grown by doubling.
const SENT_COPIES: usize = 2;

/// Reads for callers at a time: each is a thread, and a connection of the store with its cache. More would only wait for
/// the processor and the disk.
const READS_MAX: usize = 16;

/// Searches at a time: each may take a processor for as long as it has patience. Others wait for their turn.
const SEARCHES_MAX: usize = 2;

/// If more than so many are told the same at once, so many are answered at a time: whoever else calls comes between them.
const CROWD: usize = 16;

/// Calls that wait for an instance, or for an answer, at a time: some 8 kB each, with what their connections hold of them.
const WAITS_MAX: usize = 16 << 10;

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
    #[error("too many bytes are in flight in this server; try again in {} ms", RETRY_AFTER.as_millis())]
    Busy,
    /// Too many calls wait. Nothing was done.
    #[error("{WAITS_MAX} calls wait in this server, which is as many as it lets; try again in {} ms", RETRY_AFTER.as_millis())]
    TooManyWait,
    /// Its history was being read when the instance continued as new: what was read is not all of one generation.
    #[error("the instance continued as new while its history was read: read it again")]
    ContinuedAsNew,
    /// There is no such bulk operation.
    #[error("there is no bulk operation {0:?}; one is told of for seven days after its last change")]
    NoOperation(String),
    /// The key that the hub's checkpoints are signed with cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is nothing to be signed.
    #[error("nothing has been entered in the record of hub {0} yet")]
    NothingEntered(Hub),
    /// The last checkpoint is missing, or not the hub's.
    #[error(
        "the last checkpoint of hub {0} is missing, or not signed by its key: hold the record against one that was kept \
         (placet audit verify --checkpoint FILE), then begin anew: placet audit checkpoint --anew"
    )]
    NotItsCheckpoint(Hub),
    /// The record is not what the hub has signed.
    #[error(
        "the record is not what checkpoint {checkpoint} says: entry {entry} of chain {} is missing, or another; no further \
         checkpoint is signed: restore a backup, or begin anew: placet audit checkpoint --anew",
        partition.0
    )]
    RecordBroken {
        /// The chain.
        partition: PartitionId,
        /// The entry's number.
        entry: u64,
        /// The number of the last checkpoint.
        checkpoint: u64,
    },
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
    time: Time,
    clock: WallClock,
    calls: Arc<AtomicU64>,
    /// Absent if everything is kept for ever, and once it has stopped.
    keeper: Mutex<Option<Keeper>>,
    streams: AtomicU64,
    waiting: AtomicUsize,
    reads: Arc<Semaphore>,
    searches: Semaphore,
    /// Who of a crowd is answered.
    crowd: Semaphore,
    bulks: Bulks,
    record: Keeping,
    watched: Arc<Watched>,
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
    /// The system gave no random numbers.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system gave no threads.
    #[error("no thread could be started")]
    Threads(#[from] std::io::Error),
}

/// What a scheduler may be told when it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a task hub is made by its first use. Without that there are those that the store has, and those that are
    /// created ([`Scheduler::create_hub`]).
    pub dynamic_hubs: bool,
    /// The time. A store that outlives the process must not see one that is virtual: what comes after it would be behind what
    /// is in it.
    pub time: Time,
    /// For how long what has ended is kept.
    pub retention: Retention,
    /// What seals the keys that checkpoints of the record are signed with. Absent: one that lasts as long as the process.
    pub master_key: Option<MasterKey>,
}

impl Default for Options {
    fn default() -> Options {
        Options { dynamic_hubs: true, time: Time::Real, retention: Retention::off(), master_key: None }
    }
}

impl Scheduler {
    /// Takes a store into use and begins to serve what is in it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(store: Arc<dyn Store>) -> Result<Scheduler, StartError> {
        Scheduler::start_with(store, Options::default())
    }

    /// The same, with what is not as always.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_with(store: Arc<dyn Store>, options: Options) -> Result<Scheduler, StartError> {
        let Options { dynamic_hubs, time, retention, master_key } = options;
        let record = Keeping::new(master_key.map_or_else(MasterKey::random, Ok)?);
        let claim = store.claim()?;
        let hubs = match store.query(&Query::Hubs)? {
            Answer::Hubs(hubs) => Hubs::new(hubs, dynamic_hubs),
            _ => Hubs::new([], dynamic_hubs),
        };
        let health = Arc::new(Health::default());
        let (budget, metrics) = (Budget::default(), Metrics::default());
        let clock = match time {
            Time::Real => WallClock::Real,
            Time::Virtual { .. } => WallClock::new_virtual(),
        };
        let keeping = (time, clock.clone());
        let hearers = Hearers { entered: record.entered(), watched: Arc::default() };
        let watched = hearers.watched.clone();
        let core =
            driver::start(store.clone(), claim, health.clone(), budget.clone(), metrics.clone(), hearers, keeping)?;
        let calls: Arc<AtomicU64> = Arc::default();
        let keeper = if retention.is_off() {
            None
        } else {
            let (store, core, calls, clock) = (store.clone(), core.messages.clone(), calls.clone(), clock.clone());
            let (health, metrics) = (health.clone(), metrics.clone());
            Some(Keeper::start(retention, Means { store, core, calls, clock, health, metrics })?)
        };
        Ok(Scheduler(Arc::new(Inner {
            messages: core.messages,
            thread: Mutex::new(Some(core.thread)),
            store,
            health,
            hubs,
            budget,
            metrics,
            time,
            clock,
            calls,
            keeper: Mutex::new(keeper),
            streams: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            searches: Semaphore::new(SEARCHES_MAX),
            crowd: Semaphore::new(CROWD),
            bulks: Bulks::default(),
            record,
            watched,
        })))
    }

    /// Ends the workers' streams, makes durable what was decided, and stops. Blocks until that is done.
    pub fn stop(&self) {
        self.0.health.stopping();
        self.0.watched.end();
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tell(Message::Stop);
        keeper.into_iter().for_each(Keeper::stop);
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
    }

    pub(crate) fn watched(&self) -> &Arc<Watched> {
        &self.0.watched
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
        self.0.metrics.looked(answer, &self.0.budget, self.now());
    }

    /// Gives a command to the core and waits for its reply; what the reply tells of is durable.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// A command that was given is carried out although nobody waits for it; a wait ends.
    pub async fn command(&self, key: InstanceKey, kind: CommandKind) -> Result<Reply, CallError> {
        // Only a start makes a hub, and only one that was accepted: nothing else leaves a name behind.
        let is_start = matches!(kind, CommandKind::Start(_));
        let makes = (is_start && !self.0.hubs.admits(&key.hub)?).then(|| key.hub.clone());
        let waits = matches!(kind, CommandKind::Wait(_) | CommandKind::Ask(_)).then(|| key.partition());
        let target = Lookup::Key(key);
        let input = |call| Input::Call(call, Command { target, kind, call: Some(call) });
        let Some(hub) = makes else { return self.call(waits, input).await };
        let scheduler = self.clone();
        to_its_end(async move {
            let reply = scheduler.call(None, input).await?;
            scheduler.0.hubs.is_there(hub);
            Ok(reply)
        })
        .await
    }

    /// The task hub of this name, whatever its case, if there is one or its first use would make it.
    ///
    /// # Errors
    /// If it is no name, or there is none.
    pub fn hub(&self, name: &str) -> Result<Hub, HubError> {
        self.0.hubs.named(name)
    }

    /// Whether there is this hub already.
    ///
    /// # Errors
    /// [`HubError::Unknown`].
    pub(crate) fn is_known(&self, hub: &Hub) -> Result<(), HubError> {
        if self.0.hubs.admits(hub)? { Ok(()) } else { Err(HubError::Unknown(hub.to_string())) }
    }

    /// The newest instance that there is, or is about to be.
    ///
    /// # Errors
    /// [`CallError::Stopping`].
    pub(crate) async fn iid_last(&self) -> Result<Iid, CallError> {
        let (sender, answer) = oneshot::channel();
        self.tell(Message::IidLast(sender));
        answer.await.map_err(|_| CallError::Stopping)
    }

    /// The workers that serve a hub, with what each has now.
    ///
    /// # Errors
    /// [`CallError::Stopping`].
    pub async fn workers(&self, hub: Hub) -> Result<Vec<StreamLoad>, CallError> {
        let (sender, answer) = oneshot::channel();
        self.tell(Message::Workers(hub, sender));
        answer.await.map_err(|_| CallError::Stopping)
    }

    /// Makes a hub; `again` empties it if it exists.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn create_hub(&self, hub: Hub, again: bool) -> Result<(), CallError> {
        let scheduler = self.clone();
        to_its_end(async move {
            scheduler.call(None, |call| Input::CreateHub(call, hub.clone(), again)).await?;
            scheduler.0.hubs.is_there(hub);
            Ok(())
        })
        .await
    }

    /// Deletes a hub with all that is in it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete_hub(&self, hub: Hub) -> Result<(), CallError> {
        let scheduler = self.clone();
        to_its_end(async move {
            // Before it is, or a start that comes right after it would make a hub that nobody knows of.
            let is_known = scheduler.0.hubs.forget(&hub);
            let deleted = scheduler.call(None, |call| Input::DeleteHub(call, hub.clone())).await;
            if deleted.is_err() && is_known {
                scheduler.0.hubs.is_there(hub);
            }
            deleted.map(drop)
        })
        .await
    }

    /// Opens a worker's stream.
    ///
    /// # Errors
    /// If it names too much, or one of its hubs would be one too many.
    pub fn open_stream(&self, spec: StreamSpec) -> Result<WorkerStream, CallError> {
        spec.check()?;
        if let HubSet::Of(hubs) = &spec.hubs {
            hubs.iter().try_for_each(|hub| self.0.hubs.admits(hub).map(drop))?;
        }
        let id = StreamId(self.0.streams.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(WorkerStream::open(self, id, spec))
    }

    /// A turn was finished, told by a call of its own.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn complete_turn(&self, completion: CompleteTurn) -> Result<Reply, CallError> {
        self.call(None, |call| Input::TurnCompleted(call, Box::new(completion))).await
    }

    /// An activity was finished, told by a call of its own.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn complete_activity(&self, token: Token, response: ActivityResponse) -> Result<Reply, CallError> {
        self.call(None, |call| Input::ActivityCompleted(call, token, Box::new(response))).await
    }

    /// An item is given back, by a call of its own.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn abandon(&self, token: Token) -> Result<(), CallError> {
        self.call(None, |call| Input::Abandoned(call, token)).await.map(drop)
    }

    /// Takes what came of the turn that an instance has out, from a worker that does not say of which.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) async fn end_turn(&self, key: InstanceKey, response: OrchestratorResponse) -> Result<(), CallError> {
        self.call(None, |call| Input::TurnEnded(call, key, Box::new(response))).await.map(drop)
    }

    /// Takes the result of an activity likewise.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) async fn end_activity(&self, key: InstanceKey, response: ActivityResponse) -> Result<(), CallError> {
        self.call(None, |call| Input::ActivityEnded(call, key, Box::new(response))).await.map(drop)
    }

    /// An instance as committed; with its input and output if they are wanted.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn instance(
        &self,
        key: InstanceKey,
        payloads: bool,
    ) -> Result<Weighed<Option<OrchestrationState>>, CallError> {
        if let Some(found) = self.committed_instance(key.clone(), payloads).await? {
            return Ok(found.map(Some));
        }
        // A worker may have the first turn of a child before that is durable, and ask for it.
        if self.command(key.clone(), CommandKind::Settle).await? == Reply::Nothing {
            return Ok(Weighed::light(None));
        }
        Ok(match self.committed_instance(key, payloads).await? {
            Some(found) => found.map(Some),
            None => Weighed::light(None),
        })
    }

    async fn committed_instance(
        &self,
        key: InstanceKey,
        payloads: bool,
    ) -> Result<Option<Weighed<OrchestrationState>>, CallError> {
        loop {
            let of = key.clone();
            let found = self.read(move |store| {
                loop {
                    let Some(row) = row_of(store, of.clone())? else { return Ok(None) };
                    let view = view_of_row(&row).map_err(|error| damaged(&error))?;
                    if payloads::bytes_to_read(&view, payloads) > ANSWER_FROM {
                        return Ok(Some(Read::Long(Arc::new(view))));
                    }
                    if let Some(state) = payloads::complete(store, view, payloads)? {
                        return Ok(Some(Read::Done(Box::new(state))));
                    }
                }
            });
            match found.await? {
                None => return Ok(None),
                Some(Read::Done(state)) => {
                    let bytes = state.encoded_len();
                    return self.weigh(bytes, || *state).await.map(Some);
                }
                Some(Read::Long(view)) => {
                    if let Some(state) = self.complete_view(view, payloads).await? {
                        return Ok(Some(state));
                    }
                }
            }
        }
    }

    /// What a reply left to be read from the history. Absent: the instance was begun anew or deleted meanwhile.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn complete_view(
        &self,
        view: Arc<InstanceView>,
        payloads: bool,
    ) -> Result<Option<Weighed<OrchestrationState>>, CallError> {
        let _place = if Arc::strong_count(&view) > CROWD {
            let place = self.0.crowd.acquire().await.map_err(|_| CallError::Stopping)?;
            tokio::task::yield_now().await;
            Some(place)
        } else {
            None
        };
        if payloads::is_complete(&view, payloads) {
            let bytes = view.state.encoded_len();
            // Only when there is room for it: all who waited for it hold the same.
            return self.weigh(bytes, || payloads::trimmed(Arc::unwrap_or_clone(view).state, payloads)).await.map(Some);
        }
        let bytes = payloads::bytes_to_read(&view, payloads).saturating_add(view.state.encoded_len());
        let share = self.share_of_answer(bytes, READ_COPIES).await?;
        let complete = move |store: &dyn Store| payloads::complete(store, Arc::unwrap_or_clone(view), payloads);
        let (value, mut share) = self.read_with(share, complete).await?;
        if let Some(share) = &mut share {
            share.shrink_to(SENT_COPIES.saturating_mul(bytes));
        }
        Ok(value.map(|value| Weighed { value, bytes, share }))
    }

    /// An answer of which nothing has to be read waits for its share, if it is long, and is made when it has that: of one
    /// answer many may wait for a copy.
    pub(crate) async fn weigh<T>(&self, bytes: usize, value: impl FnOnce() -> T) -> Result<Weighed<T>, CallError> {
        let share = self.share_of_answer(bytes, SENT_COPIES).await?;
        Ok(Weighed { value: value(), bytes, share })
    }

    /// The share of an answer of which there are so many copies, if it is long.
    async fn share_of_answer(&self, bytes: usize, copies: usize) -> Result<Option<Share>, CallError> {
        if bytes <= ANSWER_FROM {
            return Ok(None);
        }
        let share = self.0.budget.answer(copies.saturating_mul(bytes)).await;
        share.map(Some).map_err(|Busy| CallError::Busy)
    }

    /// A page of the committed history of a generation: the turns from this one on. Empty at the end.
    ///
    /// # Errors
    /// If the store cannot be read; [`CallError::ContinuedAsNew`] if that generation is over; [`CallError::Busy`].
    pub async fn history(&self, of: &Generation, from: Turn) -> Result<Page, CallError> {
        let budget = &self.0.budget;
        let share = budget.page().await.map_err(|Busy| CallError::Busy)?;
        let (most, share) = match self.turns(share, of, from, HISTORY_PAGE_BYTES).await? {
            (Turns::Read(rows), share) => return Ok(Page { rows, share }),
            (Turns::Long(bytes), share) => (bytes, share),
        };
        // Of a long history any turn may be long. What is read to know takes what there is of the budget; when it is known,
        // the turn is let go, waits for its room with nothing in its hands, and is read again.
        let bytes = {
            let look = budget.look().await.map_err(|Busy| CallError::Busy)?;
            let shares = (share, look, budget.claim(most));
            let (Turns::Read(rows), (share, ..)) = self.turns(shares, of, from, usize::MAX).await? else {
                return Err(CallError::ContinuedAsNew);
            };
            let bytes = bytes_of(&rows);
            if bytes <= HISTORY_PAGE_BYTES {
                return Ok(Page { rows, share });
            }
            bytes
        };
        let share = budget.answer(READ_COPIES.saturating_mul(bytes)).await.map_err(|Busy| CallError::Busy)?;
        let (Turns::Read(rows), mut share) = self.turns(share, of, from, usize::MAX).await? else {
            return Err(CallError::ContinuedAsNew);
        };
        share.shrink_to(SENT_COPIES.saturating_mul(bytes_of(&rows)));
        Ok(Page { rows, share })
    }

    /// The turns of a page, unless the history is longer than this; and the shares that they have.
    async fn turns<S: Send + 'static>(
        &self,
        shares: S,
        of: &Generation,
        from: Turn,
        longest: usize,
    ) -> Result<(Turns, S), CallError> {
        let Generation { key, iid, first, .. } = of.clone();
        let page = self.read_with(shares, move |store| {
            // Afterwards, too: what begins a generation anew takes the old one's history away with the same commit.
            let same = |now: &Generation| (now.iid, now.first) == (iid, first);
            let Some(now) = generation_of(store, key.clone())?.filter(same) else { return Ok(None) };
            if now.bytes > longest {
                return Ok(Some(Turns::Long(now.bytes)));
            }
            let rows = store.history(iid, from, HISTORY_PAGE_BYTES)?;
            Ok(generation_of(store, key)?.filter(same).map(|_| Turns::Read(rows)))
        });
        let (turns, shares) = page.await?;
        Ok((turns.ok_or(CallError::ContinuedAsNew)?, shares))
    }

    /// The store's row of an instance.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn row(&self, key: InstanceKey) -> Result<Option<InstanceRow>, CallError> {
        self.read(move |store| row_of(store, key)).await
    }

    /// An instance's current generation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn generation(&self, hub: Hub, instance_id: &str) -> Result<Option<Generation>, CallError> {
        let key = crate::calls::key(hub, instance_id)?;
        self.read(move |store| generation_of(store, key)).await
    }

    /// The budget of bytes in flight: who brings calls takes a share of it for each.
    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(crate) fn hubs_known(&self) -> std::collections::BTreeSet<Hub> {
        self.0.hubs.all()
    }

    pub(crate) fn record_keeping(&self) -> &Keeping {
        &self.0.record
    }

    pub(crate) fn bulks(&self) -> &Bulks {
        &self.0.bulks
    }

    pub(crate) fn clock(&self) -> &WallClock {
        &self.0.clock
    }

    pub(crate) fn time(&self) -> Time {
        self.0.time
    }

    /// Waits until all that was kept for its time by now has gone.
    pub(crate) async fn retention_catches_up(&self) {
        if let Some(caught_up) = self.wake_retention() {
            // If it has ended meanwhile, the server is stopping.
            drop(caught_up.await);
        }
    }

    /// Has what was kept for its time looked for now.
    pub(crate) fn wake_retention(&self) -> Option<oneshot::Receiver<()>> {
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.as_ref().map(Keeper::catch_up)
    }

    pub(crate) fn new_call(&self) -> CallId {
        CallId(self.0.calls.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Tells the core thread something; if it has ended, whoever waits for an answer learns it by that.
    pub(crate) fn tell(&self, message: Message) {
        drop(self.0.messages.send(message));
    }

    pub(crate) async fn call(
        &self,
        waits: Option<PartitionId>,
        input: impl FnOnce(CallId) -> Input,
    ) -> Result<Reply, CallError> {
        let Some(partition) = waits else { return self.call_with(input, |_| None).await };
        self.call_until_gone(input, |call| Input::Cancelled(partition, call)).await
    }

    /// A call that waits; the core is told so if its caller goes before it is answered.
    pub(crate) async fn call_until_gone(
        &self,
        input: impl FnOnce(CallId) -> Input,
        gone: impl FnOnce(CallId) -> Input,
    ) -> Result<Reply, CallError> {
        let _place = self.place_to_wait()?;
        self.call_with(input, |call| Some(gone(call))).await
    }

    async fn call_with(
        &self,
        input: impl FnOnce(CallId) -> Input,
        gone: impl FnOnce(CallId) -> Option<Input>,
    ) -> Result<Reply, CallError> {
        let call = self.new_call();
        let (sender, reply) = oneshot::channel();
        self.tell(Message::Call(call, ReplyTo::Caller(sender), input(call)));
        let mut cancel = CancelOnDrop { scheduler: self, input: gone(call) };
        let reply = reply.await;
        cancel.input = None;
        Ok(reply.map_err(|_| CallError::Stopping)??)
    }

    pub(crate) fn place_to_wait(&self) -> Result<Place<'_>, CallError> {
        let place = Place(&self.0.waiting);
        if place.0.fetch_add(1, Ordering::Relaxed) < WAITS_MAX { Ok(place) } else { Err(CallError::TooManyWait) }
    }

    /// The place of one who searches, until it is dropped.
    pub(crate) async fn place_to_search(&self) -> Result<SemaphorePermit<'_>, CallError> {
        self.0.searches.acquire().await.map_err(|_| CallError::Stopping)
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, CallError> {
        Ok(self.read_with((), read).await?.0)
    }

    /// Reads what has these shares of the budget.
    async fn read_with<T: Send + 'static, S: Send + 'static>(
        &self,
        shares: S,
        read: impl FnOnce(&dyn Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<(T, S), CallError> {
        let place = self.0.reads.clone().acquire_owned().await.map_err(|_| CallError::Stopping)?;
        let store = self.0.store.clone();
        let answer = tokio::task::spawn_blocking(move || {
            // The thread's, not the caller's, as the shares are: he may be gone before it.
            let _place = place;
            read(&*store).map(|value| (value, shares))
        })
        .await;
        Ok(answer.map_err(|_| CallError::Stopping)??)
    }
}

/// What makes a hub, takes one away, or begins what goes on by itself is heard to its end though its caller has gone: the
/// hubs are counted by it.
pub(crate) async fn to_its_end<T: Send + 'static>(
    call: impl Future<Output = Result<T, CallError>> + Send + 'static,
) -> Result<T, CallError> {
    tokio::spawn(call).await.unwrap_or(Err(CallError::Refused(Refusal::Unknown)))
}

/// An answer, and the share of the budget that it has until it is sent, if it is long.
#[derive(Debug)]
pub struct Weighed<T> {
    /// The answer.
    pub value: T,
    /// About how long it is.
    pub bytes: usize,
    /// Its share.
    pub share: Option<Share>,
}

impl<T> Weighed<T> {
    pub(crate) fn light(value: T) -> Weighed<T> {
        Weighed { value, bytes: 0, share: None }
    }

    pub(crate) fn map<U>(self, into: impl FnOnce(T) -> U) -> Weighed<U> {
        Weighed { value: into(self.value), bytes: self.bytes, share: self.share }
    }
}

/// One of the places for calls that wait.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the core that a caller has gone: a waiter must not outlive its call.
struct CancelOnDrop<'a> {
    scheduler: &'a Scheduler,
    /// … by this.
    input: Option<Input>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(input) = self.input.take() {
            self.scheduler.tell(Message::Input(input));
        }
    }
}
