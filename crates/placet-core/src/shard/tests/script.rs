//! The one door of these tests: a script goes in, a trace comes out.
//!
//! Each line is a time and a step. Between steps everything that can happen happens: commits succeed, the
//! store answers, items are delivered. The trace tells what the world saw: replies, items, events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    ActivityResponse, CompleteOrchestrationAction, CreateSubOrchestrationAction, CreateTimerAction, EventRaisedEvent,
    ExecutionCompletedEvent, HistoryEvent, OrchestrationInstance, OrchestrationStatus, OrchestratorAction,
    OrchestratorResponse, RewindOrchestrationAction, ScheduleTaskAction, SendEventAction,
    SubOrchestrationInstanceFailedEvent, TaskFailureDetails, TerminateOrchestrationAction, WorkItem,
    history_event::EventType, work_item::Request,
};
use placet_proto::placet::v1::{AskReply, Retry, UnreadEvent, Waits};
use prost::Message as _;

use super::store::MiniStore;
use crate::command::{
    Ask, Asked, Caller, Command, CommandKind, CompleteTurn, Expiry, RaiseEvent, RecordChange, RecordCommand,
    RecordContent, Recorded, Refusal, Reply, StartInstance, Suspend, Terminate, WaitFor, status_name,
};
use crate::dispatch::{Filter, Filters, StreamSpec};
use crate::ids::{BatchId, CallId, Hub, Iid, InstanceId, InstanceKey, RecordKey, StreamId, Turn};
use crate::limits::Limits;
use crate::partition::view_of_row;
use crate::rows::{AheadPiece, Batch, Lookup, ReadFailure};
use crate::shard::{Advance, Arrival, CommitFailure, Input, Output, Shard};
use crate::time::{Mono, Now, Timestamp};
use crate::wire::Events;

/// Runs a script and gives its trace.
pub(super) fn trace(script: &str) -> String {
    let trace = trace_within(Limits::default(), script);
    // Nobody sees that rows are long while the store takes no time, but by which of two instances comes first.
    let trace_ahead = trace_within(Limits { ahead_from: 48, ..Limits::default() }, script);
    let sorted = |trace: &str| trace.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&trace), sorted(&trace_ahead), "with rows that are written ahead:\n{trace_ahead}");
    trace
}

/// The same in a shard that may hold no more than this.
pub(super) fn trace_within(limits: Limits, script: &str) -> String {
    run(World::new(Shard::new(limits, 1, 0, Iid(0), Timestamp(0)), limits), script)
}

/// The same on virtual time, which goes on by itself after so long, if at all. The script's times are real; what is traced
/// has both.
pub(super) fn trace_on_virtual_time(auto_after: Option<Duration>, script: &str) -> String {
    let limits = Limits::default();
    let shard = Shard::new(limits, 1, 0, Iid(0), Timestamp(0)).on_virtual_time(auto_after);
    run(World { is_virtual: true, ..World::new(shard, limits) }, script)
}

fn run(mut world: World, script: &str) -> String {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (time, step) = line.split_once(' ').unwrap_or_else(|| panic!("no time in {line:?}"));
        world.until(seconds(time));
        world.step(step.trim());
    }
    world.trace
}

/// Where an item that a worker holds came from.
struct Item {
    stream: StreamId,
    token: String,
    sticky: bool,
}

struct World {
    limits: Limits,
    shard: Shard,
    store: MiniStore,
    now: Now,
    is_virtual: bool,
    /// Commits are held, as long as this says so.
    holding: bool,
    held: Option<Box<Batch>>,
    /// So are pieces of long rows, as long as this says so.
    holding_ahead: bool,
    held_ahead: Option<(u64, Box<AheadPiece>)>,
    calls: BTreeMap<CallId, String>,
    next_call: u64,
    streams: BTreeSet<StreamId>,
    next_stream: u64,
    sticky: BTreeSet<StreamId>,
    /// Turns and activities that workers hold, by the name of their instance (and task).
    items: BTreeMap<String, Item>,
    /// Deliveries that were followed by another of the same name: their workers are late.
    late: BTreeMap<String, Item>,
    /// The store cannot be read.
    unreadable: bool,
    /// Instances whose rows are not what was written.
    damaged: BTreeSet<InstanceId>,
    /// The store's answers to loads, as it stood when it was asked; held, as long as there is a list.
    loads: Option<VecDeque<Input>>,
    incarnation: u32,
    trace: String,
}

/// How much of a turn's completion comes at once.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Whole,
    OneOf(i32),
    Last(i32),
}

impl World {
    fn new(shard: Shard, limits: Limits) -> World {
        let mut world = World {
            limits,
            shard,
            store: MiniStore::default(),
            now: Now::default(),
            is_virtual: false,
            holding: false,
            held: None,
            holding_ahead: false,
            held_ahead: None,
            calls: BTreeMap::new(),
            next_call: 0,
            streams: BTreeSet::new(),
            next_stream: 0,
            sticky: BTreeSet::new(),
            items: BTreeMap::new(),
            late: BTreeMap::new(),
            unreadable: false,
            damaged: BTreeSet::new(),
            loads: None,
            incarnation: 1,
            trace: String::new(),
        };
        world.input(Input::Started);
        world
    }

    fn until(&mut self, at: Duration) {
        let end = Mono(0).after(at);
        while let Some(wait) = self.shard.wake_in(self.now)
            && self.now.mono.after(wait) <= end
        {
            self.advance(wait.max(Duration::from_micros(1)));
            self.input(Input::Tick);
        }
        self.advance(end.since(self.now.mono));
    }

    fn advance(&mut self, by: Duration) {
        let wall = if self.is_virtual { self.now.wall } else { self.now.wall.after(by) };
        self.now = Now { wall, mono: self.now.mono.after(by) };
    }

    fn step(&mut self, step: &str) {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        match verb {
            "worker" | "sticky-worker" | "built-in-worker" | "worker-of-one" => self.open(verb),
            "worker-for" => self.open_for(rest),
            "disconnect" => self.disconnect(),
            "start" => self.start(rest),
            "raise" => self.raise(rest),
            "ask" => self.ask(rest),
            "terminate" => self.terminate(rest, false),
            "terminate-all" => self.terminate(rest, true),
            "suspend" | "resume" => {
                let (rest, reason) = rest.split_once(" because ").map_or((rest, None), |(id, why)| (id, Some(why)));
                let suspend = Suspend { reason: reason.map(str::to_owned), resume: verb == "resume" };
                self.command(rest, CommandKind::Suspend(suspend), &format!("{verb} {rest}"));
            }
            "end" => self.command(rest, CommandKind::End { reason: None }, &format!("end {rest}")),
            "rewind" => {
                self.command(rest, CommandKind::Rewind { reason: Some("again".into()) }, &format!("rewind {rest}"));
            }
            "purge" => self.command(rest, CommandKind::Purge, &format!("purge {rest}")),
            "expire" => self.expire(rest),
            "clock-jumps" => self.clock_jumps(rest),
            "why" => self.command(rest, CommandKind::Why(None), &format!("why {rest}")),
            "wait" => self.command(rest, CommandKind::Wait(WaitFor::Completion), &format!("wait {rest}")),
            "turn" => self.turn(rest, Piece::Whole),
            "piece" => self.piece(rest, Piece::OneOf),
            "last" => self.piece(rest, Piece::Last),
            "done" => self.done(rest, None),
            "failed" => {
                let failure = TaskFailureDetails { error_type: "Broken".into(), ..TaskFailureDetails::default() };
                self.done(rest, Some(failure));
            }
            "late" => self.late(rest),
            "abandon" => self.abandon(rest),
            "hold-loads" => self.loads = Some(VecDeque::new()),
            "answer-load" => {
                let answer = self.loads.as_mut().and_then(VecDeque::pop_front).expect("a load is held");
                self.input(answer);
            }
            "unreadable" => self.unreadable = true,
            "readable" => self.unreadable = false,
            "damaged" => drop(self.damaged.insert(InstanceId::new(rest))),
            "mended" => drop(self.damaged.remove(&InstanceId::new(rest))),
            "delete-hub" => {
                let call = self.call("delete-hub".to_owned());
                self.input(Input::DeleteHub(call, Hub::new("default")));
            }
            "record" => self.record(rest),
            "records" => writeln!(self.trace, "{}", self.store.records()).unwrap(),
            "spill" => self.spill(rest),
            "room" => self.shard.limits.active_instances = rest.parse().unwrap(),
            "state" => self.state(rest),
            "history" => self.history(rest),
            "hold" => self.holding = true,
            "commit" => self.answer(Ok(())),
            "fail" => self.answer(Err(CommitFailure::Unknown)),
            "full" => self.answer(Err(CommitFailure::Full)),
            "hold-ahead" => self.holding_ahead = true,
            "piece-written" => self.answer_ahead(Ok(())),
            "all-written" => {
                self.holding_ahead = false;
                self.answer_ahead(Ok(()));
            }
            "piece-fails" => self.answer_ahead(Err(CommitFailure::Unknown)),
            "piece-full" => self.answer_ahead(Err(CommitFailure::Full)),
            "ahead" => writeln!(self.trace, "ahead: {} payloads", self.store.left_ahead()).unwrap(),
            "crash" => self.crash(),
            "stop" => self.input(Input::Stopping),
            "advance" => self.advance_time(rest),
            "call-opens" => self.input(Input::CallOpened),
            "call-closes" => self.input(Input::CallClosed),
            "break" => {
                self.held_ahead.take().iter().for_each(|(_, piece)| self.store.write_ahead(piece));
                self.calls.clear();
                self.shard = self.shard.successor(self.shard.watermark());
                self.input(Input::Started);
            }
            "tick" => self.input(Input::Tick),
            "waiting" => {
                self.shard.sweep();
                let (queued, asks) = (self.shard.dispatch.queued(), self.shard.status().waiting_asks);
                writeln!(self.trace, "waiting: {queued} items, {asks} asks").unwrap();
            }
            "rows" => writeln!(self.trace, "{}", self.store.count()).unwrap(),
            other => panic!("no such step: {other}"),
        }
    }

    fn say(&mut self, line: &str) {
        let seconds = self.now.mono.since(Mono(0)).as_secs_f64();
        let clock = if self.is_virtual { format!(" [{:?}]", self.now.wall.since(Timestamp(0))) } else { String::new() };
        writeln!(self.trace, "{seconds}s{clock} {line}").unwrap();
    }

    /// `record KEY create|replace VERSION|delete [VERSION] [BODY] [until TIME]`
    fn record(&mut self, rest: &str) {
        let (what, until) = rest.split_once(" until ").unwrap_or((rest, ""));
        let expires_at = (!until.is_empty()).then(|| Timestamp(0).after(seconds(until)));
        let words: Vec<&str> = what.split(' ').collect();
        let content = |body: &str| RecordContent { expires_at, body: body.to_owned().into() };
        let change = match words[1..] {
            ["create", body] => RecordChange::Create(content(body)),
            ["replace", version, body] => RecordChange::Replace(version.parse().unwrap(), content(body)),
            ["delete"] => RecordChange::Delete(None),
            ["delete", version] => RecordChange::Delete(Some(version.parse().unwrap())),
            _ => panic!("no such change: {rest}"),
        };
        let key = RecordKey::new(Hub::new("default"), "kind", words[0]);
        let call = self.call(format!("record {rest}"));
        self.input(Input::Record(RecordCommand { key, change, call: Some(call) }));
    }

    /// `clock-jumps TIME`, or back: `clock-jumps -TIME`
    fn clock_jumps(&mut self, rest: &str) {
        let micros = |text| i64::try_from(seconds(text).as_micros()).unwrap();
        let by = rest.strip_prefix('-').map_or_else(|| micros(rest), |back| -micros(back));
        self.now.wall = Timestamp(self.now.wall.0 + by);
        self.input(Input::Tick);
    }

    /// `expire INSTANCE ended TIME kept TIME`
    fn expire(&mut self, rest: &str) {
        let (id, times) = rest.split_once(" ended ").expect("which end is meant");
        let (ended, kept) = times.split_once(" kept ").expect("how long it is kept");
        let expiry = Expiry { ended_at: Timestamp(0).after(seconds(ended)), kept_for: seconds(kept) };
        self.command(id, CommandKind::Expire(expiry), &format!("expire {rest}"));
    }

    /// `advance TIME [within TIME]`
    fn advance_time(&mut self, rest: &str) {
        let (by, patience) = rest.split_once(" within ").unwrap_or((rest, "10s"));
        let call = self.call(format!("advance {rest}"));
        self.input(Input::AdvanceTime(call, Advance { by: seconds(by), patience: seconds(patience) }));
    }

    fn open(&mut self, verb: &str) {
        self.next_stream += 1;
        let stream = StreamId(self.next_stream);
        self.streams.insert(stream);
        let keeps_state = matches!(verb, "sticky-worker" | "built-in-worker");
        if keeps_state {
            self.sticky.insert(stream);
        }
        let spec = StreamSpec {
            built_in: verb == "built-in-worker",
            turns_max: usize::from(verb == "worker-of-one"),
            activities_max: usize::from(verb == "worker-of-one"),
            keeps_state,
            ..StreamSpec::default()
        };
        self.input(Input::StreamOpened(stream, spec));
    }

    /// `worker-for NAME ACTIVITY[@VERSION]`: a worker of this name that takes all orchestrations' turns and this activity.
    fn open_for(&mut self, rest: &str) {
        let (worker_id, activity) = rest.split_once(' ').unwrap();
        let (name, versions) =
            activity.split_once('@').map_or((activity, Vec::new()), |(n, v)| (n, vec![v.to_owned()]));
        let filter = |name: &str, versions| Filter { name: name.to_owned(), versions };
        let filters = Filters {
            orchestrations: vec![filter("seq", Vec::new()), filter("expense", Vec::new())],
            activities: vec![filter(name, versions)],
        };
        self.next_stream += 1;
        let stream = StreamId(self.next_stream);
        self.streams.insert(stream);
        let spec = StreamSpec { worker_id: worker_id.to_owned(), filters: Some(filters), ..StreamSpec::default() };
        self.input(Input::StreamOpened(stream, spec));
    }

    fn disconnect(&mut self) {
        for stream in std::mem::take(&mut self.streams) {
            self.input(Input::StreamClosed(stream, false));
        }
    }

    /// `start name-1 [at TIME] [over STATUS,STATUS]`: the orchestration's name is what stands before the dash.
    fn start(&mut self, rest: &str) {
        let label = format!("start {rest}");
        let (rest, over) = rest.split_once(" over ").map_or((rest, None), |(rest, over)| (rest, Some(over)));
        let status =
            |name: &str| OrchestrationStatus::from_str_name(&format!("ORCHESTRATION_STATUS_{name}")).expect("a status");
        let reuse = over.map(|over| over.split(',').filter(|name| *name != "nothing").map(status).collect());
        let (id, at) = rest.split_once(" at ").map_or((rest, None), |(id, at)| (id, Some(at)));
        let scheduled = at.map(|at| Timestamp(i64::try_from(seconds(at).as_micros()).unwrap()).to_proto());
        let start = StartInstance {
            name: id.split('-').next().unwrap_or(id).to_owned(),
            execution_id: "e".repeat(32),
            scheduled_start: scheduled,
            reuse,
            ..StartInstance::default()
        };
        self.command(id, CommandKind::Start(Box::new(start)), &label);
    }

    fn raise(&mut self, rest: &str) {
        let (id, name) = rest.split_once(' ').unwrap();
        let event = RaiseEvent { name: name.to_owned(), input: None, stamp: Caller::default() };
        self.command(id, CommandKind::RaiseEvent(event), &format!("raise {rest}"));
    }

    /// `ask id name#ask-id`
    fn ask(&mut self, rest: &str) {
        let (id, ask) = rest.split_once(' ').unwrap();
        let (name, ask_id) = ask.split_once('#').unwrap();
        let ask = Ask {
            ask_id: ask_id.into(),
            event_name: name.to_owned(),
            payload: None,
            wait: Duration::from_secs(10),
            stamp: Caller::default(),
        };
        self.command(id, CommandKind::Ask(ask.into()), &format!("ask {rest}"));
    }

    fn terminate(&mut self, rest: &str, recurse: bool) {
        let terminate = Terminate { output: Some("stopped".into()), recurse };
        self.command(rest, CommandKind::Terminate(terminate), &format!("terminate {rest}"));
    }

    /// `turn id: action | action`: completes the turn that is out. Actions: `activity NAME`, `timer TIME`,
    /// `child ID` (`child-alone ID`: nobody waits for it), `send ID EVENT`, `kill ID`, `complete`, `fail`, `rewound`, `new CARRIED-EVENTS`, `status TEXT`, `lacks-history`,
    /// `processed EVENTS`, `reply ASK=ANSWER`, `take ASK`, `wait`; and what its worker tells that it waits for: the results of
    /// the turn's actions, `awaits EVENT`, `unread EVENT`, `retries NAME ERROR` (of the timer before it), `still ID` (of an earlier
    /// action), `awaits-nothing`. A `piece` of a completion leaves the turn with its worker.
    fn turn(&mut self, rest: &str, piece: Piece) {
        let (id, actions) = rest.split_once(':').unwrap();
        let item = self.items.remove(id).unwrap_or_else(|| panic!("no worker holds a turn of {id}"));
        let mut response = OrchestratorResponse { completion_token: item.token.clone(), ..Default::default() };
        (response.is_partial, response.chunk_index) = match piece {
            Piece::Whole => (false, None),
            Piece::OneOf(number) => (true, Some(number)),
            Piece::Last(number) => (false, Some(number)),
        };
        let (mut replies, mut waits) = (Vec::new(), None::<Waits>);
        for (number, action) in actions.split('|').map(str::trim).enumerate() {
            let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
            let action = match verb {
                "wait" => continue,
                "status" => {
                    response.custom_status = Some(rest.to_owned());
                    continue;
                }
                "lacks-history" => {
                    response.requires_history = true;
                    continue;
                }
                "processed" => {
                    response.num_events_processed = Some(rest.parse().unwrap());
                    continue;
                }
                "reply" => {
                    let (ask, answer) = rest.split_once('=').unwrap();
                    replies.push(AskReply { ask_id: ask.to_owned(), answer: Some(answer.to_owned()) });
                    continue;
                }
                "awaits" => {
                    waits.get_or_insert_default().events.push(rest.to_owned());
                    continue;
                }
                "unread" => {
                    let received_at = Some(self.now.wall.to_proto());
                    let unread = UnreadEvent { name: rest.to_owned(), received_at };
                    waits.get_or_insert_default().unread.push(unread);
                    continue;
                }
                // Of the timer before it.
                "retries" => {
                    let (name, error_type) = rest.split_once(' ').unwrap();
                    let (attempt, attempts_max, timer_id) = (3, 5, i32::try_from(number).unwrap());
                    let (name, error_type) = (name.to_owned(), error_type.to_owned());
                    let retry = Retry { timer_id, name, attempt, attempts_max, error_type };
                    waits.get_or_insert_default().retries.push(retry);
                    continue;
                }
                "awaits-nothing" => {
                    waits.get_or_insert_default();
                    continue;
                }
                "still" => {
                    waits.get_or_insert_default().tasks.push(rest.parse().unwrap());
                    continue;
                }
                "take" => {
                    replies.push(AskReply { ask_id: rest.to_owned(), answer: None });
                    continue;
                }
                "activity" => {
                    let (name, version) =
                        rest.split_once('@').map_or((rest, None), |(name, v)| (name, Some(v.to_owned())));
                    Action::ScheduleTask(ScheduleTaskAction { name: name.to_owned(), version, ..Default::default() })
                }
                "timer" => {
                    let at = Timestamp(i64::try_from(seconds(rest).as_micros()).unwrap());
                    Action::CreateTimer(CreateTimerAction { fire_at: Some(at.to_proto()) })
                }
                "child" | "child-alone" => child(rest, verb == "child-alone"),
                "send" => send(rest),
                "rewound" => {
                    let new_history = self.rewritten(id);
                    Action::RewindOrchestration(RewindOrchestrationAction { new_history })
                }
                "kill" => Action::TerminateOrchestration(TerminateOrchestrationAction {
                    instance_id: rest.to_owned(),
                    reason: Some("killed".into()),
                    recurse: false,
                }),
                "complete" => completion(OrchestrationStatus::Completed),
                "fail" => failed(),
                "new" => continue_as_new(rest),
                "terminated" => completion(OrchestrationStatus::Terminated),
                other => panic!("no such action: {other}"),
            };
            let id = i32::try_from(number).unwrap() + 1;
            response.actions.push(OrchestratorAction { id, orchestrator_action_type: Some(action) });
        }
        if let Some(waits) = &mut waits {
            waits.tasks.extend(response.actions.iter().map(|action| action.id));
        }
        let completion = CompleteTurn {
            waits: waits.map(|waits| waits.encode_to_vec()),
            token: item.token.parse().unwrap(),
            sticky: item.sticky.then_some(item.stream),
            response,
            publish: Vec::new(),
            replies: item.sticky.then_some(replies),
        };
        let call = self.call(format!("turn {id}"));
        if matches!(piece, Piece::OneOf(_)) {
            self.items.insert(id.to_owned(), item);
        }
        self.input(Input::TurnCompleted(call, Box::new(completion)));
    }

    /// `piece N id: actions`: what `turn` does, but only the Nth piece of it; `last N id: actions`: the last one.
    fn piece(&mut self, rest: &str, piece: fn(i32) -> Piece) {
        let (number, turn) = rest.split_once(' ').unwrap();
        self.turn(turn, piece(number.parse().unwrap()));
    }

    /// `done id/activity [with RESULT]`: completes an activity.
    fn done(&mut self, rest: &str, failure_details: Option<TaskFailureDetails>) {
        let (name, result) = rest.split_once(" with ").map_or((rest, None), |(name, result)| (name, Some(result)));
        let token = self.items.remove(name).unwrap_or_else(|| panic!("no worker holds {name}")).token;
        let call = self.call(format!("done {name}"));
        let completion_token = token.clone();
        let result = result.map(str::to_owned);
        let response = ActivityResponse { completion_token, result, failure_details, ..Default::default() };
        self.input(Input::ActivityCompleted(call, token.parse().unwrap(), Box::new(response)));
    }

    /// `late STEP`: the step of a worker whose item was given to another since.
    fn late(&mut self, step: &str) {
        let name = step.split_once(' ').unwrap().1.split(':').next().unwrap().to_owned();
        let item = self.late.remove(&name).unwrap_or_else(|| panic!("nobody is late with {name}"));
        let current = self.items.insert(name.clone(), item);
        self.step(step);
        self.items.remove(&name);
        self.items.extend(current.map(|current| (name, current)));
    }

    fn abandon(&mut self, name: &str) {
        let token = self.items.remove(name).unwrap_or_else(|| panic!("no worker holds {name}")).token;
        let call = self.call(format!("abandon {name}"));
        self.input(Input::Abandoned(call, token.parse().unwrap()));
    }

    /// The instance leaves memory with its work, as if there were too many.
    fn spill(&mut self, id: &str) {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new(id));
        let partition = &mut self.shard.partitions[key.partition().index()];
        let iid = partition.hot_iid(&Lookup::Key(key.clone())).expect("it is in memory");
        assert!(partition.evict(iid, true), "nothing keeps it");
        self.shard.memory.count(partition);
        self.shard.dispatch.unqueue(&[(key.partition(), iid)]);
        self.shard.recovery.spilled(iid);
        self.input(Input::Tick);
    }

    /// What the store has of an instance.
    fn state(&mut self, id: &str) {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new(id));
        let Some(found) = self.store.load(&Lookup::Key(key)) else { return self.say(&format!("no {id}")) };
        let active = found.row.active;
        let state = view_of_row(&found.row).unwrap().state;
        let at = |time: Option<prost_types::Timestamp>| time.map(|at| at.seconds);
        self.say(&format!(
            "{id} is {} execution {}… custom status {:?} created {:?} completed {:?} active {active}",
            status_name(state.orchestration_status()),
            &state.execution_id.clone().unwrap()[..4],
            state.custom_status,
            at(state.created_timestamp),
            at(state.completed_timestamp),
        ));
    }

    /// An instance's history as a worker rewrites it that rewinds: without its failures and its end.
    fn rewritten(&self, id: &str) -> Vec<HistoryEvent> {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new(id));
        let iid = self.store.load(&Lookup::Key(key)).expect("it is there").row.iid;
        let runs = self.store.history(iid, Turn(0));
        let events: Vec<HistoryEvent> = runs
            .iter()
            .flat_map(|run| Events(run))
            .map(|event| HistoryEvent::decode(event.unwrap()).unwrap())
            .collect();
        let failed = |id: i32| {
            events.iter().any(|event| match &event.event_type {
                Some(EventType::TaskFailed(failed)) => failed.task_scheduled_id == id,
                _ => false,
            })
        };
        let mut rewritten: Vec<HistoryEvent> = Vec::new();
        for mut event in events.iter().cloned() {
            match event.event_type.as_mut().unwrap() {
                EventType::TaskFailed(_)
                | EventType::SubOrchestrationInstanceFailed(_)
                | EventType::ExecutionCompleted(_) => continue,
                EventType::TaskScheduled(_) if failed(event.event_id) => continue,
                EventType::ExecutionStarted(started) => {
                    started.orchestration_instance.as_mut().unwrap().execution_id = Some("f".repeat(32));
                }
                _ => {}
            }
            rewritten.push(event);
        }
        rewritten
    }

    /// The history of an instance's generation, each event with its id and time.
    fn history(&mut self, id: &str) {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new(id));
        let iid = self.store.load(&Lookup::Key(key)).expect("it is there").row.iid;
        for run in self.store.history(iid, Turn(0)) {
            for event in Events(&run) {
                let event = HistoryEvent::decode(event.unwrap()).unwrap();
                let at = Timestamp::from_proto(event.timestamp.as_ref().unwrap()).since(Timestamp(0)).as_secs();
                writeln!(self.trace, "    {at}s {} {}", event.event_id, name_of(&event)).unwrap();
            }
        }
    }

    /// The process dies and starts again: what was with the store is lost.
    fn crash(&mut self) {
        self.held = None;
        self.held_ahead = None;
        (self.holding, self.holding_ahead) = (false, false);
        self.store.claim();
        self.calls.clear();
        self.streams.clear();
        self.incarnation += 1;
        self.shard = Shard::new(self.limits, self.incarnation, 0, self.store.iid_max(), Timestamp(0));
        self.say("crashed and restarted");
        self.input(Input::Started);
    }

    fn command(&mut self, id: &str, kind: CommandKind, label: &str) {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new(id));
        let call = self.call(label.to_owned());
        let command = Command { target: Lookup::Key(key), kind, call: Some(call) };
        self.input(Input::Call(call, command));
    }

    fn call(&mut self, label: String) -> CallId {
        self.next_call += 1;
        self.calls.insert(CallId(self.next_call), label);
        CallId(self.next_call)
    }

    fn answer(&mut self, result: Result<(), CommitFailure>) {
        self.holding = false;
        let batch = self.held.take().expect("a commit is held");
        let answer = self.outcome(&batch, result);
        self.input(answer);
    }

    fn answer_ahead(&mut self, result: Result<(), CommitFailure>) {
        let (number, piece) = self.held_ahead.take().expect("a piece is held");
        if result.is_ok() {
            self.store.write_ahead(&piece);
        }
        self.input(Input::WrittenAhead(number, result));
    }

    fn outcome(&mut self, batch: &Batch, result: Result<(), CommitFailure>) -> Input {
        let id: BatchId = batch.id.unwrap();
        match result {
            Ok(()) => {
                self.store.apply(batch);
                Input::Committed(id, Duration::from_micros(100))
            }
            Err(failure) => Input::CommitFailed(id, failure),
        }
    }

    /// Gives the shard an input, and carries out all that follows from it.
    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut outputs = Vec::new();
            self.shard.handle(self.now, input, &mut outputs);
            let mut answers: Vec<Input> = outputs.into_iter().filter_map(|output| self.carry_out(output)).collect();
            answers.reverse();
            inputs.extend(answers);
            if inputs.is_empty()
                && !self.holding
                && let Some(batch) = self.held.take()
            {
                inputs.push(self.outcome(&batch, Ok(())));
            }
            // A commit that waits for a turn is let go after a while.
            if inputs.is_empty() && self.held.is_none() && self.held_ahead.is_none() && !self.shard.is_settled() {
                self.advance(Duration::from_micros(1_100));
                inputs.push(Input::Tick);
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Commit(batch) => {
                assert!(self.held.is_none(), "one batch at a time");
                self.held = Some(batch);
                None
            }
            Output::WriteAhead(number, piece) => {
                assert!(self.held_ahead.is_none(), "one piece at a time");
                if self.holding_ahead {
                    self.held_ahead = Some((number, piece));
                    return None;
                }
                self.store.write_ahead(&piece);
                Some(Input::WrittenAhead(number, Ok(())))
            }
            Output::Load(read) if self.unreadable => {
                Some(Input::Loaded(read, Err(ReadFailure::Unavailable("unreadable".into()))))
            }
            Output::Load(read) if self.is_damaged(&read.lookup) => {
                Some(Input::Loaded(read, Err(ReadFailure::Damaged("a checksum differs".into()))))
            }
            Output::Load(read) => {
                let found = self.store.load(&read.lookup);
                let answer = Input::Loaded(read, Ok(found));
                match &mut self.loads {
                    Some(held) => {
                        held.push_back(answer);
                        None
                    }
                    None => Some(answer),
                }
            }
            Output::ReadHistory(read) => {
                let runs = self.store.history(read.iid, read.from);
                Some(Input::HistoryRead(read, Ok(runs)))
            }
            Output::ReadTimers(read) => {
                let rows = self.store.due(read.after, read.until, read.limit);
                Some(Input::TimersRead(read, Ok(rows)))
            }
            Output::Recover(read) if self.unreadable => Some(Input::Recovered(read, Err("unreadable".into()))),
            Output::Recover(read) => {
                let mut page = self.store.active(read.after);
                page.retain(|found| !self.damaged.contains(&found.row.id));
                let next = (page.len() > read.limit).then(|| page[read.limit - 1].row.iid);
                page.truncate(read.limit);
                Some(Input::Recovered(read, Ok((page, next))))
            }
            Output::LoadRecord(read) if self.unreadable => {
                Some(Input::RecordLoaded(read, Err(ReadFailure::Unavailable("unreadable".into()))))
            }
            Output::LoadRecord(read) => {
                let found = self.store.record(&read.key);
                let answer = Input::RecordLoaded(read, Ok(found));
                match &mut self.loads {
                    Some(held) => {
                        held.push_back(answer);
                        None
                    }
                    None => Some(answer),
                }
            }
            Output::FindExpired(read) => {
                let found = self.store.expired(read.until, read.limit);
                Some(Input::ExpiredFound(read, Ok(found)))
            }
            Output::Reply(call, reply) => {
                if let Some(label) = self.calls.remove(&call) {
                    let reply = describe(&reply);
                    self.say(&format!("reply to {label}: {reply}"));
                }
                None
            }
            Output::Send(stream, _, item) => {
                let read = Input::ItemsRead(stream, item.len());
                self.deliver(stream, item.whole());
                Some(read)
            }
            Output::SetClock(at) => {
                assert!(self.is_virtual && at > self.now.wall, "it goes on, and only if it may");
                self.now.wall = at;
                Some(Input::Tick)
            }
            Output::Ping(_) | Output::SetAside(..) => None,
        }
    }

    fn is_damaged(&self, lookup: &Lookup) -> bool {
        match lookup {
            Lookup::Key(key) => self.damaged.contains(&key.id),
            Lookup::Iid(_) => self.store.load(lookup).is_some_and(|found| self.damaged.contains(&found.row.id)),
        }
    }

    fn give(&mut self, name: String, item: Item) {
        if let Some(before) = self.items.insert(name.clone(), item) {
            self.late.insert(name, before);
        }
    }

    fn deliver(&mut self, stream: StreamId, item: Bytes) {
        let item = WorkItem::decode(item).unwrap();
        let token = item.completion_token;
        let sticky = self.sticky.contains(&stream);
        let worker = stream.0;
        match item.request.unwrap() {
            Request::OrchestratorRequest(turn) => {
                let past = turn.past_events.len();
                let names: Vec<String> = turn.new_events.iter().map(name_of).collect();
                self.say(&format!(
                    "worker {worker} gets turn {} past {past} new {}",
                    turn.instance_id,
                    names.join(" ")
                ));
                self.give(turn.instance_id, Item { stream, token, sticky });
            }
            Request::ActivityRequest(activity) => {
                let id = activity.orchestration_instance.unwrap().instance_id;
                self.say(&format!("worker {worker} gets activity {id}/{}", activity.name));
                self.give(format!("{id}/{}", activity.name), Item { stream, token, sticky });
            }
            other => panic!("not sent by a shard: {other:?}"),
        }
    }
}

fn child(id: &str, alone: bool) -> Action {
    let tags = alone.then(|| ("FireAndForget".to_owned(), String::new())).into_iter().collect();
    let name = id.split('-').next().unwrap_or(id).to_owned();
    Action::CreateSubOrchestration(CreateSubOrchestrationAction {
        instance_id: id.to_owned(),
        name,
        tags,
        ..CreateSubOrchestrationAction::default()
    })
}

fn send(rest: &str) -> Action {
    let (id, name) = rest.split_once(' ').unwrap();
    let instance = Some(OrchestrationInstance { instance_id: id.to_owned(), execution_id: None });
    Action::SendEvent(SendEventAction { instance, name: name.to_owned(), data: None })
}

fn failed() -> Action {
    let failure = TaskFailureDetails {
        error_type: "ValueError".into(),
        inner_failure: Some(Box::new(TaskFailureDetails { error_type: "Inner".into(), ..Default::default() })),
        ..TaskFailureDetails::default()
    };
    Action::CompleteOrchestration(CompleteOrchestrationAction {
        orchestration_status: OrchestrationStatus::Failed.into(),
        failure_details: Some(failure),
        ..CompleteOrchestrationAction::default()
    })
}

fn continue_as_new(carried: &str) -> Action {
    let event = |name: &str| HistoryEvent {
        event_id: -1,
        timestamp: Some(Timestamp(0).to_proto()),
        event_type: Some(EventType::EventRaised(EventRaisedEvent { name: name.to_owned(), ..Default::default() })),
    };
    Action::CompleteOrchestration(CompleteOrchestrationAction {
        orchestration_status: OrchestrationStatus::ContinuedAsNew.into(),
        carryover_events: carried.split_whitespace().map(event).collect(),
        ..CompleteOrchestrationAction::default()
    })
}

fn completion(status: OrchestrationStatus) -> Action {
    Action::CompleteOrchestration(CompleteOrchestrationAction {
        orchestration_status: status.into(),
        ..CompleteOrchestrationAction::default()
    })
}

fn describe(reply: &Result<Reply, Refusal>) -> String {
    match reply {
        Ok(Reply::Done) => "done".into(),
        Ok(Reply::Nothing) => "nothing".into(),
        Ok(Reply::Started(_)) => "started".into(),
        Ok(Reply::Instance(None)) => "no instance".into(),
        Ok(Reply::Instance(Some(view))) => status_name(view.state.orchestration_status()).to_lowercase(),
        Ok(Reply::Asked(Asked::Reply(answer))) => format!("answer {answer}"),
        Ok(Reply::Asked(Asked::State(view))) => {
            format!("state {}", status_name(view.state.orchestration_status()).to_lowercase())
        }
        Ok(Reply::Asked(Asked::Ended(view))) => {
            format!("ended {}", status_name(view.state.orchestration_status()).to_lowercase())
        }
        Ok(Reply::Asked(Asked::Recorded)) => "recorded".into(),
        Ok(Reply::Recorded(Recorded::Version(version))) => format!("version {version}"),
        Ok(Reply::Recorded(Recorded::Deleted)) => "deleted".into(),
        Ok(Reply::Recorded(Recorded::Conflict(None))) => "conflict: it is absent".into(),
        Ok(Reply::Recorded(Recorded::Conflict(Some(version)))) => format!("conflict: version {version}"),
        Ok(Reply::Why(why)) => {
            let evidence: String = why.evidence.iter().map(|more| format!("; {}", more.told(why.now))).collect();
            let (id, remedy) = why.remedy();
            format!("{}{evidence} -> {remedy:?} {id}", why.sentence())
        }
        Ok(Reply::Stale) => "stale".into(),
        Ok(Reply::Retried(count)) => format!("retried {count}"),
        Ok(Reply::Arrived(Arrival { timers_fired, items_out, items_ready, .. })) => {
            format!("arrived, {timers_fired} timers fired, {items_out} items out, {items_ready} ready")
        }
        Err(refusal) => format!("refused: {refusal}"),
    }
}

/// An event's name; for external events the one that it was raised under, for a failure its type.
fn name_of(event: &HistoryEvent) -> String {
    match event.event_type.as_ref().unwrap() {
        EventType::EventRaised(raised) => format!("eventRaised:{}", raised.name),
        EventType::ExecutionCompleted(ExecutionCompletedEvent { failure_details: Some(failure), .. }) => {
            format!("executionCompleted:{}", failure.error_type)
        }
        EventType::SubOrchestrationInstanceFailed(SubOrchestrationInstanceFailedEvent {
            failure_details: Some(failure),
            ..
        }) => {
            let inner = failure.inner_failure.as_ref().map(|inner| format!("({})", inner.error_type));
            format!("subOrchestrationInstanceFailed:{}{}", failure.error_type, inner.unwrap_or_default())
        }
        other => {
            let text = format!("{other:?}");
            let name = text.split('(').next().unwrap();
            name[..1].to_lowercase() + &name[1..]
        }
    }
}

fn seconds(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap());
    let number: f64 = number.parse().unwrap();
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        other => panic!("no such unit: {other}"),
    };
    Duration::from_secs_f64(number * unit)
}
