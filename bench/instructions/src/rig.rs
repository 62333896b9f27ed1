//! A shard with nothing around it: a store that keeps nothing but the rows of its instances, a worker without a
//! connection, a clock that goes on by itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use placet_core::command::{Command, CommandKind, CompleteTurn};
use placet_core::dispatch::StreamSpec;
use placet_core::ids::{CallId, Hub, Iid, InstanceId, InstanceKey, StreamId};
use placet_core::limits::Limits;
use placet_core::rows::{Batch, InstanceRow, LoadedInstance, Lookup};
use placet_core::shard::{Input, Output, Shard};
use placet_core::time::{Now, Timestamp};
use placet_core::token::Token;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType;
use placet_proto::durabletask::{ActivityResponse, OrchestratorAction, OrchestratorResponse};
use placet_proto::placet::v1::{AskReply, PublishedRow, Waits};
use prost::Message as _;

/// Between two inputs.
const STEP: Duration = Duration::from_micros(100);

/// How long a commit takes.
const SYNC: Duration = Duration::from_micros(150);

const STREAM: StreamId = StreamId(1);

pub(crate) struct Rig {
    shard: Shard,
    now: Now,
    outputs: Vec<Output>,
    calls: u64,
    items: VecDeque<Bytes>,
    /// Rows of instances, for those that left memory; empty unless they are wanted.
    rows: Option<BTreeMap<Iid, InstanceRow>>,
    /// The last batch, if it is wanted.
    pub(crate) last: Option<Box<Batch>>,
    keeps_batches: bool,
    /// What our SDK tells of code that waits for an activity.
    awaits_task: Vec<u8>,
    /// … and for an event, against a timer.
    awaits_event: Vec<u8>,
}

/// A work item, as far as a worker of few words needs it.
#[derive(Clone, PartialEq, prost::Message)]
struct Item {
    #[prost(string, tag = "10")]
    completion_token: String,
}

/// What a turn comes to.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) action: Option<OrchestratorActionType>,
    pub(crate) publish: Vec<PublishedRow>,
    pub(crate) replies: Vec<AskReply>,
    pub(crate) status: Option<String>,
}

impl Rig {
    /// With a worker that keeps its state; the built-in one if it is to have what is reserved.
    pub(crate) fn new(built_in: bool) -> Rig {
        let limits = Limits { parked_instances: 16, ..Limits::default() };
        let mut rig = Rig {
            shard: Shard::new(limits, 1, 0, Iid(0), Timestamp(0)),
            now: Now::default(),
            outputs: Vec::new(),
            calls: 0,
            items: VecDeque::new(),
            rows: None,
            last: None,
            keeps_batches: false,
            awaits_task: Waits { tasks: vec![1], ..Waits::default() }.encode_to_vec(),
            awaits_event: Waits { events: vec!["approval_response".to_owned()], tasks: vec![1], ..Waits::default() }
                .encode_to_vec(),
        };
        rig.input(Input::Started);
        let spec = StreamSpec { built_in, keeps_state: true, ..StreamSpec::default() };
        rig.input(Input::StreamOpened(STREAM, spec));
        rig
    }

    /// Keeps the rows of instances, so that they may leave memory.
    pub(crate) fn keep_rows(&mut self) {
        self.rows = Some(BTreeMap::new());
    }

    /// Keeps the last batch.
    pub(crate) fn keep_batches(&mut self) {
        self.keeps_batches = true;
    }

    pub(crate) fn command(&mut self, id: &str, kind: CommandKind) {
        self.calls += 1;
        let call = CallId(self.calls);
        let target = Lookup::Key(InstanceKey::new(Hub::new("default"), InstanceId::new(id)));
        self.input(Input::Call(call, Command { target, kind, call: Some(call) }));
    }

    /// The worker finishes the turn that it was given.
    pub(crate) fn turn(&mut self, done: Done) -> Result<()> {
        let completion_token = self.item()?;
        let token: Token = completion_token.parse().ok().context("a token")?;
        let action = |action| OrchestratorAction { id: 1, orchestrator_action_type: Some(action) };
        let response = OrchestratorResponse {
            actions: done.action.map(action).into_iter().collect(),
            custom_status: done.status,
            completion_token,
            ..OrchestratorResponse::default()
        };
        let (publish, replies) = (done.publish, Some(done.replies));
        let calls = response
            .actions
            .iter()
            .any(|action| matches!(action.orchestrator_action_type, Some(OrchestratorActionType::ScheduleTask(_))));
        let waits = Some(if calls { self.awaits_task.clone() } else { self.awaits_event.clone() });
        let completion = CompleteTurn { token, sticky: Some(STREAM), response, publish, replies, waits };
        self.calls += 1;
        self.input(Input::TurnCompleted(CallId(self.calls), Box::new(completion)));
        Ok(())
    }

    /// The worker finishes the activity that it was given.
    pub(crate) fn activity(&mut self, result: &str) -> Result<()> {
        let completion_token = self.item()?;
        let token = completion_token.parse().ok().context("a token")?;
        let response =
            ActivityResponse { result: Some(result.to_owned()), completion_token, ..ActivityResponse::default() };
        self.calls += 1;
        self.input(Input::ActivityCompleted(CallId(self.calls), token, Box::new(response)));
        Ok(())
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = Now { wall: self.now.wall.after(time), mono: self.now.mono.after(time) };
        self.input(Input::Tick);
    }

    fn item(&mut self) -> Result<String> {
        let item = self.items.pop_front().context("the worker has no item")?;
        Ok(<Item as prost::Message>::decode(item)?.completion_token)
    }

    fn input(&mut self, input: Input) {
        self.now = Now { wall: self.now.wall.after(STEP), mono: self.now.mono.after(STEP) };
        self.shard.handle(self.now, input, &mut self.outputs);
        while !self.outputs.is_empty() {
            for output in std::mem::take(&mut self.outputs) {
                if let Some(answer) = self.carry_out(output) {
                    self.shard.handle(self.now, answer, &mut self.outputs);
                }
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Commit(batch) => {
                let id = batch.id?;
                self.keep(batch);
                Some(Input::Committed(id, SYNC))
            }
            Output::WriteAhead(number, _) => Some(Input::WrittenAhead(number, Ok(()))),
            Output::Load(read) => {
                let found = self.find(&read.lookup);
                Some(Input::Loaded(read, Ok(found)))
            }
            Output::ReadHistory(read) => Some(Input::HistoryRead(read, Ok(Vec::new()))),
            Output::ReadTimers(read) => Some(Input::TimersRead(read, Ok(Vec::new()))),
            Output::Recover(read) => Some(Input::Recovered(read, Ok((Vec::new(), None)))),
            Output::LoadRecord(read) => Some(Input::RecordLoaded(read, Ok(None))),
            Output::FindExpired(read) => Some(Input::ExpiredFound(read, Ok(Vec::new()))),
            Output::Send(_, _, item) => {
                self.items.push_back(item.whole());
                None
            }
            _ => None,
        }
    }

    fn keep(&mut self, batch: Box<Batch>) {
        if let Some(rows) = &mut self.rows {
            let changed = batch.instances_updated.iter().map(|(row, _)| row);
            rows.extend(batch.instances_inserted.iter().chain(changed).map(|row| (row.iid, row.clone())));
        }
        if self.keeps_batches {
            self.last = Some(batch);
        }
    }

    fn find(&self, lookup: &Lookup) -> Option<LoadedInstance> {
        let rows = self.rows.as_ref()?;
        let row = match lookup {
            Lookup::Iid(iid) => rows.get(iid),
            Lookup::Key(key) => rows.values().find(|row| row.key() == *key),
        };
        row.map(|row| LoadedInstance {
            row: row.clone(),
            inbox: Vec::new(),
            activities: Vec::new(),
            replies: Vec::new(),
        })
    }
}
