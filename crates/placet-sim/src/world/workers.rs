//! Workers: the SDK's turns behind streams that break, in processes that die and hang. Two kinds: those that keep
//! live state and speak our own stream, and those that replay and complete by calls, like Microsoft's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use placet_core::command::CompleteTurn;
use placet_core::dispatch::{HubSet, StreamSpec};
use placet_core::ids::{Hub, StreamId};
use placet_core::token::Token;
use placet_proto::durabletask::{
    ActivityRequest, ActivityResponse, HistoryEvent, OrchestratorRequest, WorkItem, history_event::EventType,
    work_item::Request,
};
use placet_proto::placet::v1::{Ack, TurnCompletion};
use placet_sdk::sans_io::{Registry, Turns};
use placet_store::Store as _;
use prost::Message as _;

use super::server::{Arrival, ReplyTo};
use super::{Event, Mark, Plan, SECOND, Stream, Violation, World};
use crate::expectations::micros;
use crate::facts::Fact;
use crate::plan::MINUTE;
use crate::programs::{registry, run_activity};

/// A worker's process.
#[derive(Debug)]
pub(super) struct Worker {
    /// It keeps live state between turns.
    keeps_state: bool,
    /// How many items of a kind it takes at once.
    items_max: usize,
    registry: Arc<Registry>,
    turns: Turns,
    /// How often it died.
    pub(super) life: u64,
    pub(super) stream: Option<StreamId>,
    /// It hangs: what reaches it waits.
    pub(super) hangs: bool,
    waiting: Vec<WorkerStep>,
    /// Results of activities that ended while there was no stream.
    results: VecDeque<ActivityResponse>,
    swept_at: u64,
}

/// What happens to a worker.
#[derive(Debug)]
pub(crate) enum WorkerStep {
    /// It opens a stream.
    Connect,
    /// Something comes on its stream.
    Stream(StreamId, ToWorker),
    /// It notices that its stream broke.
    Broken(StreamId),
    /// An activity ended.
    ActivityEnds(Box<ActivityResponse>),
    /// A call of a completion is made.
    Complete(Box<Completion>),
    /// It goes on after it hung.
    GoesOn,
}

/// What a worker calls the server with.
#[derive(Debug, Clone)]
pub(crate) enum Completion {
    Turn(CompleteTurn),
    Activity(Token, ActivityResponse),
    Abandon(Token),
}

/// What the server sends on a stream.
#[derive(Debug)]
pub(crate) enum ToWorker {
    Item { hub: String, item: Bytes },
    Ack { token: String, stale: bool, refused: String },
    Ping,
}

/// The workers of a plan.
pub(super) fn crew(plan: &Plan) -> Vec<Worker> {
    let registry = registry();
    let kinds = (0..plan.sticky_workers).map(|_| true).chain((0..plan.plain_workers).map(|_| false));
    let items_max = usize::try_from(plan.items_max).expect("it is small");
    kinds
        .map(|keeps_state| Worker {
            keeps_state,
            items_max,
            turns: Turns::new(registry.clone()),
            registry: registry.clone(),
            life: 0,
            stream: None,
            hangs: false,
            waiting: Vec::new(),
            results: VecDeque::new(),
            swept_at: 0,
        })
        .collect()
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
            WorkerStep::Stream(..) => {}
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
            hubs: HubSet::All,
            built_in: false,
            turns_max: worker.items_max,
            activities_max: worker.items_max,
            filters: None,
            keeps_state: worker.keeps_state,
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
            ToWorker::Item { hub, item } => {
                let item = WorkItem::decode(item).map_err(|error| format!("an item cannot be read: {error}"))?;
                let token = item.completion_token;
                match item.request {
                    Some(Request::OrchestratorRequest(turn)) => self.run_turn(at, stream, hub, turn, token),
                    Some(Request::ActivityRequest(activity)) => self.start_activity(at, stream, activity, &token),
                    other => Err(format!("an item that no shard sends: {other:?}")),
                }
            }
        }
    }

    fn run_turn(
        &mut self,
        at: usize,
        stream: StreamId,
        hub: String,
        turn: OrchestratorRequest,
        token: String,
    ) -> Result<(), Violation> {
        self.counts.turns += 1;
        let parsed: Token = token.parse().map_err(|error| format!("token {token}: {error}"))?;
        let bomb =
            self.slot_of.get(&(hub.clone(), turn.instance_id.clone())).is_some_and(|slot| self.slots[*slot].bomb);
        if bomb && !self.healed {
            self.break_stream(stream);
            return Ok(());
        }
        if self.goes_wrong(|faults| faults.abandoned) {
            self.trace.note(self.now, &[22], || format!("worker {at} gives back {token}"));
            self.give_back(stream, at, parsed);
            return Ok(());
        }
        let now = Duration::from_micros(self.now);
        let presumed = matches!(parsed, Token::Turn { presumed: true, .. });
        let name = turn.instance_id.clone();
        let worker = &mut self.workers[at];
        let completion = if worker.keeps_state {
            worker.turns.turn(now, hub, turn, token.clone())
        } else {
            worker.turns.replay(turn, token.clone())
        };
        let TurnCompletion { response, publish, replies } = completion;
        let response = response.ok_or("a turn without a response")?;
        if presumed {
            let missed = response.requires_history;
            self.reach(if missed { Mark::PresumedStateMissed } else { Mark::PresumedStateFound });
        }
        self.trace.note(self.now, &[23, at as u64, response.actions.len() as u64], || {
            format!("worker {at} ran {name} {token}: {:?} replies {replies:?}", response.actions)
        });
        let think =
            if self.chance.one_in(10) { self.chance.skewed(100, 3 * SECOND) } else { self.chance.skewed(10, 2_000) };
        let stray = CompleteTurn {
            token: parsed,
            sticky: None,
            response: response.clone(),
            publish: Vec::new(),
            replies: None,
        };
        if self.goes_wrong(|faults| faults.doubled) && !response.requires_history {
            self.double(at, Completion::Turn(stray.clone()));
        }
        if self.workers[at].keeps_state {
            let sticky = Some(stream);
            let completion = CompleteTurn { token: parsed, sticky, response, publish, replies: Some(replies) };
            let reply_to = ReplyTo::Stream(stream, token, !completion.response.requires_history);
            self.on_stream(stream, think, Arrival::Turn(reply_to, Box::new(completion)));
        } else {
            let life = self.workers[at].life;
            self.after(think, Event::Worker(at, life, WorkerStep::Complete(Box::new(Completion::Turn(stray)))));
        }
        Ok(())
    }

    fn start_activity(
        &mut self,
        at: usize,
        stream: StreamId,
        request: ActivityRequest,
        token: &str,
    ) -> Result<(), Violation> {
        self.counts.activities += 1;
        let parsed: Token = token.parse().map_err(|error| format!("token {token}: {error}"))?;
        if self.goes_wrong(|faults| faults.abandoned) {
            self.trace.note(self.now, &[24], || format!("worker {at} gives back {token}"));
            self.give_back(stream, at, parsed);
            return Ok(());
        }
        let instance = request.orchestration_instance.unwrap_or_default();
        let result = run_activity(&request.name, request.input.as_deref().unwrap_or("null"), request.task_id);
        let told = result.clone().map_err(|failure| failure.message().to_owned());
        if let Some(slot) = self.slot_named(&instance.instance_id) {
            let execution = instance.execution_id.unwrap_or_default();
            self.see(&Fact::ActivityRan(slot, &execution, request.task_id, &told))?;
        }
        let (result, failure_details) = match result {
            Ok(result) => (Some(result), None),
            Err(failure) => (
                None,
                Some(placet_proto::durabletask::TaskFailureDetails {
                    error_type: failure.error_type().to_owned(),
                    error_message: failure.message().to_owned(),
                    ..Default::default()
                }),
            ),
        };
        let response = ActivityResponse {
            instance_id: instance.instance_id,
            task_id: request.task_id,
            result,
            failure_details,
            completion_token: token.to_owned(),
        };
        let runs = self.chance.skewed(100, self.plan.activity_max);
        let life = self.workers[at].life;
        if self.goes_wrong(|faults| faults.doubled) {
            self.double(at, Completion::Activity(parsed, response.clone()));
        }
        self.after(runs, Event::Worker(at, life, WorkerStep::ActivityEnds(Box::new(response))));
        Ok(())
    }

    fn activity_ends(&mut self, at: usize, response: ActivityResponse) {
        let worker = &mut self.workers[at];
        if worker.keeps_state {
            match worker.stream {
                Some(stream) => self.send_result(stream, response),
                None => worker.results.push_back(response),
            }
        } else if let Ok(token) = response.completion_token.parse() {
            self.complete(at, Completion::Activity(token, response));
        }
    }

    fn send_result(&mut self, stream: StreamId, response: ActivityResponse) {
        let text = response.completion_token.clone();
        let Ok(token) = text.parse() else { return };
        self.on_stream(stream, 0, Arrival::Activity(ReplyTo::Stream(stream, text, true), token, Box::new(response)));
    }

    fn give_back(&mut self, stream: StreamId, at: usize, token: Token) {
        if self.workers[at].keeps_state {
            let reply_to = ReplyTo::Stream(stream, token.to_string(), false);
            self.on_stream(stream, 0, Arrival::Abandon(reply_to, token));
        } else {
            self.complete(at, Completion::Abandon(token));
        }
        if self.goes_wrong(|faults| faults.doubled) {
            self.double(at, Completion::Abandon(token));
        }
    }

    /// The same again, much later, from somewhere.
    fn double(&mut self, at: usize, completion: Completion) {
        let wait = self.chance.skewed(1_000, MINUTE);
        let life = self.workers[at].life;
        self.after(wait, Event::Worker(at, life, WorkerStep::Complete(Box::new(completion))));
    }

    /// A completion by a call of its own. If it is lost, the worker makes it again, or the connection that failed
    /// was that of its stream, too. (One that is lost for good while its stream lives is nobody's to notice: an
    /// activity has no lease then.)
    fn complete(&mut self, at: usize, completion: Completion) {
        if self.goes_wrong(|faults| faults.call_lost) {
            match self.workers[at].stream {
                Some(stream) if self.chance.one_in(2) => self.break_stream(stream),
                _ => {
                    let wait = self.chance.skewed(1_000, 5 * SECOND);
                    let life = self.workers[at].life;
                    self.after(wait, Event::Worker(at, life, WorkerStep::Complete(Box::new(completion))));
                }
            }
            return;
        }
        let wait = self.latency();
        let process = self.running().unwrap_or(0);
        let arrival = match completion {
            Completion::Turn(turn) => Arrival::Turn(ReplyTo::Nobody(Some(turn.token.to_string())), Box::new(turn)),
            Completion::Activity(token, response) => {
                Arrival::Activity(ReplyTo::Nobody(Some(token.to_string())), token, Box::new(response))
            }
            Completion::Abandon(token) => Arrival::Abandon(ReplyTo::Nobody(None), token),
        };
        self.after(wait, Event::Arrive(process, Box::new(arrival)));
    }

    /// The process dies: what it ran and kept is gone.
    pub(super) fn kill_worker(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let stream = worker.stream.take();
        worker.life += 1;
        worker.hangs = false;
        worker.waiting.clear();
        worker.results.clear();
        worker.turns = Turns::new(worker.registry.clone());
        let life = worker.life;
        self.trace.note(self.now, &[25, at as u64], || format!("worker {at} dies"));
        if let Some(stream) = stream {
            self.break_stream(stream);
            self.streams.remove(&stream);
        }
        let wait = self.chance.skewed(SECOND / 100, 30 * SECOND);
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
        let life = self.workers[at].life;
        if lasts > 5 * MINUTE {
            self.reach(Mark::WorkerHungLong);
        }
        self.trace.note(self.now, &[27, at as u64, lasts], || format!("worker {at} hangs for {lasts} µs"));
        self.after(lasts, Event::Worker(at, life, WorkerStep::GoesOn));
    }

    pub(super) fn worker_recovers(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        worker.hangs = false;
        let life = worker.life;
        // In order: ties are decided by chance, so each a moment later.
        for (later, step) in (1..).zip(std::mem::take(&mut worker.waiting)) {
            self.after(later, Event::Worker(at, life, step));
        }
    }

    /// What an item is, as seen from outside.
    pub(super) fn look_at_item(&mut self, stream: StreamId, hub: &Hub, item: &Bytes) -> Result<(), Violation> {
        let item = WorkItem::decode(item.clone()).map_err(|error| format!("an item cannot be read: {error}"))?;
        let token: Token = item.completion_token.parse().map_err(|_| "an item's token is none".to_owned())?;
        match (item.request, token) {
            (Some(Request::OrchestratorRequest(turn)), Token::Turn { iid, turn: number, .. }) => {
                if !self.seen_items.insert((iid.0, number.0.into(), true)) {
                    self.reach(Mark::TurnRedelivered);
                }
                let key = (hub.as_str().to_owned(), turn.instance_id);
                let slot = *self.slot_of.get(&key).ok_or("an item of an instance that nobody started")?;
                let execution = turn.execution_id.unwrap_or_default();
                if carries_an_ask(&turn.new_events) {
                    self.reach(Mark::AskCarriedOver);
                }
                self.executions.insert((iid.0, number.0), execution.clone());
                if let Some(stream) = self.streams.get(&stream) {
                    self.turn_with.insert(slot, stream.worker);
                }
                self.see(&Fact::TurnSent(slot, &turn.past_events, &turn.new_events))
            }
            (Some(Request::ActivityRequest(activity)), Token::Activity { iid, seq, .. }) => {
                if !self.seen_items.insert((iid.0, seq.0, false)) {
                    self.reach(Mark::ActivityRedelivered);
                }
                let process = self.running().unwrap_or(0);
                self.handed_out.entry((iid.0, seq.0)).or_insert(process);
                let instance = activity.orchestration_instance.unwrap_or_default().instance_id;
                let slot = self.slot_named(&instance).ok_or("an activity of an instance that nobody started")?;
                let lookups = [placet_core::rows::Lookup::Iid(iid)];
                let found = self.disk.store.load(&lookups).map_err(|error| error.to_string())?;
                let stored = found.into_iter().flatten().next();
                let durable = stored.is_some_and(|stored| stored.activities.iter().any(|row| row.seq == seq));
                self.see(&Fact::ActivitySent(slot, durable))
            }
            (request, token) => Err(format!("an item {request:?} with token {token}")),
        }
    }

    fn slot_named(&self, id: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id)
    }
}

/// Whether a generation begins with a question that an earlier one was asked.
fn carries_an_ask(new: &[HistoryEvent]) -> bool {
    let Some([_, start, rest @ ..]) = new.get(..3).map(|_| new) else { return false };
    let Some(EventType::ExecutionStarted(_)) = &start.event_type else { return false };
    rest.iter().any(|event| match &event.event_type {
        Some(EventType::EventRaised(raised)) => {
            !raised.stamp.is_empty() && event.timestamp.as_ref().map(micros) < start.timestamp.as_ref().map(micros)
        }
        _ => false,
    })
}
