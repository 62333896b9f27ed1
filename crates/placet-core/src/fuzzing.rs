//! What a fuzzer feeds: bytes in, and whatever they mean is done. Nothing of it may panic. The property tests below feed
//! the same functions, so that they run everywhere; `fuzz/` at the root has them as targets of cargo-fuzz.

mod rows;
mod source;

use std::time::Duration;

use bytes::Bytes;
use placet_proto::durabletask as pb;
use placet_proto::placet::v1::{AskReply, PublishedRow, Term};
use prost::Message as _;

use crate::command::{
    Ask, Caller, Command, CommandKind, CompleteTurn, RaiseEvent, Reply, StartInstance, Terminate, WaitFor,
};
use crate::dispatch::{Filter, Filters, HubSet, StreamSpec};
use crate::ids::{CallId, Hub, Iid, InstanceId, InstanceKey, PartitionId, StreamId};
use crate::limits::Limits;
use crate::rows::{Lookup, TimerRow};
use crate::shard::{CommitFailure, Input, Output, Shard};
use crate::time::{Mono, Now, Timestamp};
use crate::token::Token;
pub use rows::Stored;
pub use source::Source;

/// Steps of one run.
const STEPS_MAX: usize = 200;

impl<'a> Source<'a> {
    fn time(&mut self) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds: self.number(), nanos: self.small() }
    }

    /// A message as its bytes may say it, or what is left out is as it is when nobody says anything.
    fn message<M: prost::Message + Default>(&mut self) -> M {
        M::decode(self.bytes()).unwrap_or_default()
    }

    fn action(&mut self) -> pb::OrchestratorAction {
        use pb::orchestrator_action::OrchestratorActionType as Action;
        let action = match self.byte() % 6 {
            0 => return self.message(),
            1 => None,
            2 => {
                let (name, input, version) = (self.text(), self.some(Source::text), self.some(Source::text));
                Some(Action::ScheduleTask(pb::ScheduleTaskAction { name, input, version, ..Default::default() }))
            }
            3 => Some(Action::CreateTimer(pb::CreateTimerAction { fire_at: self.some(Source::time) })),
            _ => Some(Action::CompleteOrchestration(pb::CompleteOrchestrationAction {
                orchestration_status: self.small() % 9,
                result: self.some(Source::text),
                new_version: self.some(Source::text),
                carryover_events: self.list(Source::message),
                failure_details: self.some(Source::message),
                ..Default::default()
            })),
        };
        pb::OrchestratorAction { id: self.small(), orchestrator_action_type: action }
    }

    fn response(&mut self, token: String) -> pb::OrchestratorResponse {
        pb::OrchestratorResponse {
            completion_token: token,
            actions: self.list(Source::action),
            custom_status: self.some(Source::text),
            num_events_processed: self.some(Source::small),
            requires_history: self.flag(),
            is_partial: self.byte() % 5 == 4,
            chunk_index: self.some(Source::small),
            ..self.message()
        }
    }

    fn filters(&mut self) -> Filters {
        let filter = |source: &mut Source<'a>| Filter { name: source.text(), versions: source.list(Source::text) };
        Filters { orchestrations: self.list(filter), activities: self.list(filter) }
    }

    fn key(&mut self) -> InstanceKey {
        let id = if self.flag() { format!("i{}", self.byte() % 4) } else { self.text() };
        InstanceKey::new(Hub::new("hub"), InstanceId::new(id.as_str()))
    }
}

/// A shard, the store that takes all it is given and knows nothing, and the tokens that its workers were given.
struct World {
    shard: Shard,
    now: Now,
    calls: u64,
    /// How many streams were opened: an id is given once.
    streams: u64,
    tokens: Vec<String>,
    stored: Stored,
}

/// Drives a shard by what the bytes say: every message of the protocol with any content, in any order.
pub fn shard(data: &[u8]) {
    let mut source = Source(data);
    let limits =
        Limits { turn_messages: 3, inbox_bytes: 4_096, timers_per_step: 3, ahead_from: 64, ..Limits::default() };
    let now = Now { wall: Timestamp(1_700_000_000_000_000), mono: Mono(0) };
    let shard = Shard::new(limits, 1, 0, Iid(0), Timestamp(0));
    let mut world = World { shard, now, calls: 0, streams: 0, tokens: Vec::new(), stored: Stored::default() };
    world.take(Input::Started);
    for _ in 0..STEPS_MAX {
        if source.0.is_empty() {
            break;
        }
        world.step(&mut source);
    }
    world.ask_why();
}

/// A shard over rows of any content: they are told to be damaged, or taken for what they are, and what is then asked of
/// their instances is answered.
pub fn stored_rows(data: &[u8]) {
    let mut source = Source(data);
    let now = Now { wall: Timestamp(1_700_000_000_000_000), mono: Mono(0) };
    // What the world commits it does not keep: nothing is to be loaded a second time.
    let limits = Limits { parked_idle: Duration::from_secs(1 << 40), ..Limits::default() };
    let shard = Shard::new(limits, 1, 0, Iid(9), Timestamp(0));
    let stored = Stored::read(&mut source);
    let mut world = World { shard, now, calls: 0, streams: 0, tokens: Vec::new(), stored };
    world.take(Input::Started);
    world.step(&mut Source(&[6, 1, 0, 2, 2]));
    for number in 0..3 {
        let key = InstanceKey::new(Hub::new("hub"), InstanceId::new(format!("i{number}").as_str()));
        world.command(key.clone(), CommandKind::Wait(WaitFor::Completion));
        world.command(key, CommandKind::RetryPoisoned);
    }
    world.ask_why();
    for _ in 0..STEPS_MAX / 4 {
        if source.0.is_empty() {
            break;
        }
        world.step(&mut source);
    }
}

fn anything(source: &mut Source<'_>) -> StreamSpec {
    StreamSpec {
        worker_id: String::new(),
        hubs: if source.flag() { HubSet::All } else { HubSet::Of(vec![Hub::new("hub")]) },
        built_in: source.byte() % 4 == 3,
        turns_max: usize::from(source.byte() % 3),
        activities_max: usize::from(source.byte() % 3),
        filters: source.some(Source::filters),
        keeps_state: source.flag(),
        streams_history: source.flag(),
    }
}

impl World {
    fn step(&mut self, source: &mut Source<'_>) {
        match source.byte() % 14 {
            0 | 1 => {
                let start = StartInstance {
                    name: source.text(),
                    version: source.some(Source::text),
                    input: source.some(Source::text),
                    scheduled_start: source.some(Source::time),
                    reuse: source.some(|source| {
                        source.list(|source| {
                            pb::OrchestrationStatus::try_from(i32::from(source.byte() % 8)).unwrap_or_default()
                        })
                    }),
                    execution_id: source.text(),
                    ..StartInstance::default()
                };
                self.command(source.key(), CommandKind::Start(Box::new(start)));
            }
            2 => {
                let event =
                    RaiseEvent { name: source.text(), input: source.some(Source::text), stamp: Caller::default() };
                self.command(source.key(), CommandKind::RaiseEvent(event));
            }
            3 => {
                let terminate = Terminate { output: source.some(Source::text), recurse: source.flag() };
                self.command(source.key(), CommandKind::Terminate(terminate));
            }
            4 => {
                let ask = Ask {
                    ask_id: source.text().into(),
                    event_name: source.text(),
                    payload: source.some(Source::text),
                    wait: Duration::from_secs(u64::from(source.byte())),
                    stamp: Caller::default(),
                };
                self.command(source.key(), CommandKind::Ask(ask.into()));
            }
            5 => {
                let what = if source.flag() { WaitFor::Start } else { WaitFor::Completion };
                self.command(source.key(), CommandKind::Wait(what));
            }
            6 => {
                let spec = anything(source);
                self.streams += 1;
                self.take(Input::StreamOpened(StreamId(self.streams), spec));
            }
            7 => self.take(Input::StreamClosed(StreamId(u64::from(source.byte()) % 4), source.flag())),
            8..=10 => self.complete(source),
            11 => {
                if let Ok(token) = self.token(source).parse() {
                    let call = self.call();
                    self.take(Input::Abandoned(call, token));
                }
            }
            12 => {
                let call = CallId(u64::from(source.byte()));
                self.take(Input::Cancelled(PartitionId(source.byte()), call));
            }
            _ => {
                self.now.mono = self.now.mono.after(Duration::from_secs(u64::from(source.byte())));
                self.now.wall = Timestamp(self.now.wall.0.saturating_add(source.number().saturating_mul(1_000)));
                self.take(Input::Tick);
            }
        }
    }

    fn complete(&mut self, source: &mut Source<'_>) {
        let text = self.token(source);
        let Ok(token) = text.parse::<Token>() else { return };
        let call = self.call();
        match token {
            Token::Turn { .. } => {
                let response = source.response(text);
                let publish = source.list(|source| PublishedRow {
                    kind: source.text(),
                    key: source.text(),
                    body: source.some(|source| Bytes::copy_from_slice(source.bytes())),
                    terms: source.list(|source| Term { text: source.text(), order: source.byte().into() }),
                });
                let replies = source.some(|source| {
                    source.list(|source| AskReply { ask_id: source.text(), answer: source.some(Source::text) })
                });
                let sticky = source.some(|source| StreamId(u64::from(source.byte()) % 4));
                let waits = source.some(|source| source.bytes().to_vec());
                let completion = CompleteTurn { token, sticky, response, publish, replies, waits };
                self.take(Input::TurnCompleted(call, Box::new(completion)));
            }
            Token::Activity { .. } => {
                let response: pb::ActivityResponse = source.message();
                self.take(Input::ActivityCompleted(call, token, Box::new(response)));
            }
        }
    }

    /// One that was given out, or one that somebody made up.
    fn token(&mut self, source: &mut Source<'_>) -> String {
        if self.tokens.is_empty() || source.byte() % 8 == 7 {
            return String::from_utf8_lossy(source.bytes()).into_owned();
        }
        let at = usize::from(source.byte()) % self.tokens.len();
        self.tokens.get(at).cloned().unwrap_or_default()
    }

    fn call(&mut self) -> CallId {
        self.calls += 1;
        CallId(self.calls)
    }

    /// Why some instances wait.
    fn ask_why(&mut self) {
        for number in 0..3 {
            let key = InstanceKey::new(Hub::new("hub"), InstanceId::new(format!("i{number}").as_str()));
            self.command(key, CommandKind::Why(None));
        }
    }

    fn command(&mut self, key: InstanceKey, kind: CommandKind) {
        let call = self.call();
        self.take(Input::Call(call, Command { target: Lookup::Key(key), kind, call: Some(call) }));
    }

    fn take(&mut self, input: Input) {
        let mut waiting = vec![input];
        while let Some(input) = waiting.pop() {
            let mut outputs = Vec::new();
            self.shard.handle(self.now, input, &mut outputs);
            waiting.extend(outputs.into_iter().filter_map(|output| self.answer(output)));
        }
    }

    fn answer(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Commit(batch) => Some(Input::Committed(batch.id?, Duration::from_millis(1))),
            Output::WriteAhead(number, _) => {
                let fails = number % 32 == 31;
                Some(Input::WrittenAhead(number, if fails { Err(CommitFailure::Unknown) } else { Ok(()) }))
            }
            Output::Load(read) => {
                let found = self.stored.find(&read.lookup);
                Some(Input::Loaded(read, Ok(found)))
            }
            Output::ReadHistory(read) => {
                let rows = self.stored.history.iter().filter(|row| row.iid == read.iid && row.turn >= read.from);
                Some(Input::HistoryRead(read, Ok(rows.map(|row| row.events.clone()).collect())))
            }
            Output::ReadTimers(read) => {
                let due = |row: &&TimerRow| row.fire_at <= read.until && read.after.is_none_or(|after| **row > after);
                let rows = self.stored.timers.iter().filter(due).take(read.limit).copied().collect();
                Some(Input::TimersRead(read, Ok(rows)))
            }
            Output::Recover(read) => {
                let mut found = self.stored.instances.clone();
                found.retain(|found| found.row.active && read.after.is_none_or(|after| found.row.iid > after));
                found.sort_by_key(|found| found.row.iid);
                Some(Input::Recovered(read, Ok((found, None))))
            }
            Output::LoadRecord(read) => Some(Input::RecordLoaded(read, Ok(None))),
            Output::FindExpired(read) => Some(Input::ExpiredFound(read, Ok(Vec::new()))),
            Output::Send(_, _, item) => {
                // Events that a store gave are passed on unread.
                let is_read = self.stored.instances.is_empty();
                let item = pb::WorkItem::decode(item);
                assert!(!is_read || item.is_ok(), "what is sent is a work item: {item:?}");
                self.tokens.extend(item.map(|item| item.completion_token));
                None
            }
            Output::Reply(_, Ok(Reply::Why(why))) => {
                assert!(!why.sentence().is_empty() && why.evidence.iter().all(|more| !more.told(why.now).is_empty()));
                None
            }
            Output::Reply(..) | Output::Ping(_) | Output::SetClock(_) | Output::SetAside(..) => None,
        }
    }
}

/// A text that may be a completion token: what is one is written as it was read.
pub fn token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.to_string().parse(), Ok(token), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

        #[test]
        fn a_shard_takes_any_message_in_any_order(data in vec(any::<u8>(), 0..1_500)) {
            super::shard(&data);
        }

        #[test]
        fn rows_of_any_content_are_damaged_or_taken_for_what_they_are(data in vec(any::<u8>(), 0..1_500)) {
            super::stored_rows(&data);
        }

        #[test]
        fn a_token_is_a_token_or_none(text in "(pl1\\.)?[0-9.ta]{0,40}", noise in vec(any::<u8>(), 0..40)) {
            super::token(text.as_bytes());
            super::token(&noise);
        }
    }
}
