//! Workers: the SDK's turns behind streams that break, in processes that die and hang. Two kinds: those that keep
//! live state and speak our own stream, and those that replay and complete by calls, like Microsoft's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use placet_core::command::CompleteTurn;
use placet_core::dispatch::{Filter, Filters, HubSet, StreamSpec};
use placet_core::ids::{Epoch, StreamId};
use placet_core::shard::Input;
use placet_core::token::Token;
use placet_proto::durabletask::{ActivityResponse, OrchestratorRequest, WorkItem, work_item::Request};
use placet_proto::placet::v1::Ack;
use placet_sdk::sans_io::{CacheCounts, Registry, Turns};

use super::server::Arrival;
use super::{Event, Mark, Plan, SECOND, Stream, Violation, World};
use crate::plan::MINUTE;
use crate::programs::{ACTIVITIES, ORCHESTRATIONS, built_in, registry};

/// A worker's process.
#[derive(Debug)]
pub(super) struct Worker {
    /// It keeps live state between turns.
    pub(super) keeps_state: bool,
    /// It runs what is named `placet.*`, and nothing else.
    pub(super) built_in: bool,
    /// How many items of a kind it takes at once.
    items_max: usize,
    /// How many states it keeps, and for how long.
    room: (usize, Duration),
    /// What it says that it takes; absent: everything.
    filters: Option<Filters>,
    registry: Arc<Registry>,
    pub(super) turns: Turns,
    /// What its states came to, as last looked at.
    pub(super) states: CacheCounts,
    /// The epochs of the turns that it was last given.
    pub(super) epochs: BTreeMap<u64, Epoch>,
    /// Activities that run.
    pub(super) running: usize,
    /// How often it died.
    pub(super) life: u64,
    pub(super) stream: Option<StreamId>,
    /// It hangs: what reaches it waits.
    pub(super) hangs: bool,
    waiting: Vec<WorkerStep>,
    /// Results of activities that ended while there was no stream.
    pub(super) results: VecDeque<ActivityResponse>,
    swept_at: u64,
}

/// What happens to a worker.
#[derive(Debug)]
pub(crate) enum WorkerStep {
    /// It opens a stream.
    Connect,
    /// Something comes on its stream.
    Stream(StreamId, ToWorker),
    /// It was sent the history of a turn that it asked for.
    HistoryRead(StreamId, Box<Turn>),
    /// It notices that its stream broke.
    Broken(StreamId),
    /// An activity ended.
    ActivityEnds(Box<ActivityResponse>),
    /// A call of a completion is made.
    Complete(Box<Completion>),
    /// It goes on after it hung.
    GoesOn,
}

/// A turn that a worker has.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(super) hub: String,
    pub(super) request: OrchestratorRequest,
    pub(super) token: String,
}

/// What a worker calls the server with.
#[derive(Debug, Clone)]
pub(crate) enum Completion {
    Turn(CompleteTurn),
    /// What is left of a turn in pieces, the next one first.
    Pieces(VecDeque<CompleteTurn>),
    Activity(Token, ActivityResponse),
    Abandon(Token),
}

/// What the server sends on a stream.
#[derive(Debug)]
pub(crate) enum ToWorker {
    Item { hub: String, item: Box<WorkItem>, bytes: usize },
    Ack { token: String, stale: bool, refused: String },
    Ping,
}

/// The workers of a plan.
pub(super) fn crew(plan: &Plan) -> Vec<Worker> {
    let registries = [registry(), built_in()];
    let sticky = (0..plan.sticky_workers).map(|_| (true, false));
    let plain = (0..plan.plain_workers).map(|_| (false, false));
    let kinds = sticky.chain(plain).chain([(true, true)]);
    let items_max = usize::try_from(plan.items_max).expect("it is small");
    let filtered = plan.filtered(usize::try_from(plan.sticky_workers + plan.plain_workers).expect("it is small"));
    kinds
        .enumerate()
        .map(|(at, (keeps_state, built_in))| (at, keeps_state, built_in, registries[usize::from(built_in)].clone()))
        .map(|(at, keeps_state, built_in, registry)| Worker {
            filters: filtered.get(at).copied().flatten().map(half),
            keeps_state,
            built_in,
            items_max,
            room: plan.kept,
            turns: Turns::with_room(registry.clone(), plan.kept.0, plan.kept.1),
            registry,
            states: CacheCounts::default(),
            epochs: BTreeMap::new(),
            running: 0,
            life: 0,
            stream: None,
            hangs: false,
            waiting: Vec::new(),
            results: VecDeque::new(),
            swept_at: 0,
        })
        .collect()
}

/// Filters for every other thing that there is, from the first or from the second on.
fn half(from: usize) -> Filters {
    let filters = |names: &[&str]| {
        let names = names.iter().skip(from).step_by(2);
        names.map(|name| Filter { name: (*name).to_owned(), versions: Vec::new() }).collect()
    };
    Filters { orchestrations: filters(&ORCHESTRATIONS), activities: filters(&ACTIVITIES) }
}

impl Worker {
    /// Whether it says what it takes.
    pub(super) fn chooses(&self) -> bool {
        self.filters.is_some()
    }

    /// Whether it could take another activity.
    pub(super) fn has_room(&self) -> bool {
        let most = if self.items_max == 0 { usize::MAX } else { self.items_max };
        !self.built_in && self.stream.is_some() && !self.hangs && self.running < most
    }
}

impl World {
    pub(super) fn worker_goes_on(&mut self, at: usize, life: u64, step: WorkerStep) -> Result<(), Violation> {
        let worker = &mut self.workers[at];
        if worker.life != life {
            return Ok(());
        }
        if worker.hangs && !matches!(step, WorkerStep::GoesOn) {
            worker.waiting.push(step);
            return Ok(());
        }
        if !matches!(step, WorkerStep::Stream(_, ToWorker::Ping)) {
            self.traffic_at = self.now;
        }
        match step {
            WorkerStep::Connect => self.connect(at),
            WorkerStep::Stream(stream, what) if self.workers[at].stream == Some(stream) => {
                return self.hears(at, stream, what);
            }
            WorkerStep::HistoryRead(stream, turn) if self.workers[at].stream == Some(stream) => {
                return self.history_comes(at, stream, *turn);
            }
            WorkerStep::Stream(..) | WorkerStep::HistoryRead(..) => {}
            WorkerStep::Broken(stream) => self.notices_break(at, stream),
            WorkerStep::ActivityEnds(response) => self.activity_ends(at, *response),
            WorkerStep::Complete(completion) => self.complete(at, *completion),
            WorkerStep::GoesOn => self.worker_recovers(at),
        }
        Ok(())
    }

    fn connect(&mut self, at: usize) {
        let life = self.workers[at].life;
        if self.workers[at].stream.is_some() {
            return;
        }
        let Some(process) = self.running() else {
            let wait = self.chance.between(SECOND / 10, 2 * SECOND);
            self.after(wait, Event::Worker(at, life, WorkerStep::Connect));
            return;
        };
        self.next_stream += 1;
        let id = StreamId(self.next_stream);
        let (to_server_at, to_worker_at) = (self.now, self.now);
        self.streams
            .insert(id, Stream { worker: at, process, opened_at: 0, to_server_at, to_worker_at, broken: false });
        let worker = &mut self.workers[at];
        worker.stream = Some(id);
        let spec = StreamSpec {
            worker_id: String::new(),
            hubs: HubSet::All,
            built_in: worker.built_in,
            turns_max: worker.items_max,
            activities_max: worker.items_max,
            filters: worker.filters.clone(),
            keeps_state: worker.keeps_state,
            streams_history: self.plan.streams_history && !worker.keeps_state,
        };
        let results: Vec<ActivityResponse> = worker.results.drain(..).collect();
        self.trace.note(self.now, &[20, at as u64, id.0], || format!("worker {at} opens stream {id}"));
        self.on_stream(id, 0, Arrival::Opened(id, spec));
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.opened_at = stream.to_server_at;
        }
        for response in results {
            self.send_result(id, response);
        }
    }

    /// A stream is cut: both sides notice, each in its time.
    pub(super) fn break_stream(&mut self, id: StreamId) {
        let (to_server, to_worker) = (self.latency(), self.latency());
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if std::mem::replace(&mut stream.broken, true) {
            return;
        }
        let (at, process) = (stream.worker, stream.process);
        // The server cannot notice the end of a stream before its beginning.
        let to_server = (self.now + to_server).max(stream.opened_at + 1);
        let life = self.workers[at].life;
        self.trace.note(self.now, &[21, id.0], || format!("stream {id} breaks"));
        self.at(to_server, Event::Arrive(process, Box::new(Arrival::Closed(id, false))));
        self.after(to_worker, Event::Worker(at, life, WorkerStep::Broken(id)));
    }

    fn notices_break(&mut self, at: usize, stream: StreamId) {
        if self.workers[at].stream != Some(stream) {
            return;
        }
        self.streams.remove(&stream);
        let worker = &mut self.workers[at];
        worker.stream = None;
        worker.turns.disconnected();
        let life = worker.life;
        let wait = self.chance.skewed(1_000, SECOND);
        self.after(wait, Event::Worker(at, life, WorkerStep::Connect));
    }

    fn hears(&mut self, at: usize, stream: StreamId, what: ToWorker) -> Result<(), Violation> {
        let now = Duration::from_micros(self.now);
        let worker = &mut self.workers[at];
        if self.now >= worker.swept_at + 10 * SECOND {
            worker.swept_at = self.now;
            worker.turns.sweep(now);
        }
        match what {
            ToWorker::Ping => Ok(()),
            ToWorker::Ack { token, stale, refused } => {
                worker.turns.acknowledged(&Ack { completion_token: token, stale, refused });
                Ok(())
            }
            ToWorker::Item { hub, item, bytes } => {
                self.on_stream(stream, 0, Arrival::Input(Input::ItemsRead(stream, bytes)));
                let token = item.completion_token;
                match item.request {
                    Some(Request::OrchestratorRequest(request)) => {
                        let turn = Turn { hub, request, token };
                        if !turn.request.requires_history_streaming {
                            return self.run_turn(at, stream, turn);
                        }
                        let (wait, life) = (self.latency() + self.latency(), self.workers[at].life);
                        self.after(wait, Event::Worker(at, life, WorkerStep::HistoryRead(stream, turn.into())));
                        Ok(())
                    }
                    Some(Request::ActivityRequest(activity)) => self.start_activity(at, stream, activity, &token),
                    other => Err(format!("an item that no shard sends: {other:?}").into()),
                }
            }
        }
    }

    /// The process dies: what it ran and kept is gone.
    pub(super) fn kill_worker(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let stream = worker.stream.take();
        worker.life += 1;
        worker.hangs = false;
        worker.waiting.clear();
        worker.results.clear();
        worker.running = 0;
        worker.epochs.clear();
        worker.states = CacheCounts::default();
        worker.turns = Turns::with_room(worker.registry.clone(), worker.room.0, worker.room.1);
        let life = worker.life;
        self.trace.note(self.now, &[25, at as u64], || format!("worker {at} dies"));
        if let Some(stream) = stream {
            self.break_stream(stream);
            self.streams.remove(&stream);
        }
        let wait = self.chance.skewed(SECOND / 100, 30 * SECOND);
        self.wrong(self.now + wait);
        self.after(wait, Event::Worker(at, life, WorkerStep::Connect));
    }

    /// The worker stops in good order: it takes no more, what it holds goes to others.
    pub(super) fn stop_worker(&mut self, at: usize) {
        let Some(stream) = self.workers[at].stream else { return };
        self.trace.note(self.now, &[26, at as u64], || format!("worker {at} stops"));
        self.on_stream(stream, 0, Arrival::Closed(stream, true));
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.broken = true;
        }
        self.streams.remove(&stream);
        self.kill_worker_quietly(at);
    }

    fn kill_worker_quietly(&mut self, at: usize) {
        self.workers[at].stream = None;
        self.kill_worker(at);
    }

    pub(super) fn hang_worker(&mut self, at: usize, lasts: u64) {
        if self.workers[at].hangs {
            return;
        }
        self.workers[at].hangs = true;
        self.wrong(self.now + lasts);
        let life = self.workers[at].life;
        if lasts > 5 * MINUTE {
            self.reach(Mark::WorkerHungLong);
        }
        self.trace.note(self.now, &[27, at as u64, lasts], || format!("worker {at} hangs for {lasts} µs"));
        self.after(lasts, Event::Worker(at, life, WorkerStep::GoesOn));
    }

    pub(super) fn worker_recovers(&mut self, at: usize) {
        let now = self.now;
        self.wrong(now);
        let worker = &mut self.workers[at];
        worker.hangs = false;
        let life = worker.life;
        // In order: ties are decided by chance, so each a moment later.
        for (later, step) in (1..).zip(std::mem::take(&mut worker.waiting)) {
            self.after(later, Event::Worker(at, life, step));
        }
    }
}
