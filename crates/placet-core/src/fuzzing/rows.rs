//! Rows as a store may give them to whoever reads: what was written, nearly that, or anything, with a checksum that is
//! right. In the order in which a store gives them, and under keys that it can have.

use bytes::{Bytes, BytesMut};
use placet_proto::durabletask as pb;
use placet_proto::durabletask::history_event::EventType;
use placet_proto::placet::v1::Stamp;
use prost::Message as _;

use super::source::Source;
use crate::body::{
    ChildResult, ChildStart, InboxMessage, InstanceBody, MessageKind, Outgoing, PendingActivity, PendingTimer, Told,
};
use crate::ids::{Hub, Iid, InstanceId, InstanceKey, PartitionId, Seq, Turn};
use crate::rows::{ActivityRow, HistoryRow, InboxRow, InstanceRow, LoadedInstance, Lookup, ReplyRow, TimerRow};
use crate::time::Timestamp;
use crate::wire;

/// What a store holds.
#[derive(Debug, Default, Clone)]
pub struct Stored {
    /// Instances, with what hangs on them.
    pub instances: Vec<LoadedInstance>,
    /// Turns, by their numbers.
    pub history: Vec<HistoryRow>,
    /// Timers, by when they are due.
    pub timers: Vec<TimerRow>,
}

impl Stored {
    /// Whatever the bytes say.
    pub fn read(source: &mut Source<'_>) -> Stored {
        let mut stored = Stored::default();
        for number in 0..=source.byte() % 3 {
            stored.instance(source, number);
        }
        stored.timers.extend(source.list(|source| {
            let (fire_at, partition) = (Timestamp(source.number()), PartitionId(source.byte()));
            TimerRow { fire_at, iid: Iid(key(source)), seq: Seq(key(source)), partition }
        }));
        stored.timers.sort();
        stored.timers.dedup();
        stored
    }

    /// The one that is looked for.
    pub fn find(&self, lookup: &Lookup) -> Option<LoadedInstance> {
        let is_meant = |found: &&LoadedInstance| match lookup {
            Lookup::Key(key) => found.row.key() == *key,
            Lookup::Iid(iid) => found.row.iid == *iid,
        };
        self.instances.iter().find(is_meant).cloned()
    }

    fn instance(&mut self, source: &mut Source<'_>, number: u8) {
        let iid = if source.byte() % 16 == 15 { Iid(key(source)) } else { Iid(5 + u64::from(number)) };
        if self.instances.iter().any(|other| other.row.iid == iid) {
            return;
        }
        let id = InstanceKey::new(Hub::new("hub"), InstanceId::new(format!("i{number}").as_str()));
        let body = body(source);
        let data = nearly(source, body.encode_to_vec());
        // What is read of it: turns to come have no rows.
        let body = InstanceBody::decode(data.clone()).unwrap_or(body);
        for timer in &body.timers {
            let fire_at = timer.fire_at.as_ref().map_or(Timestamp(0), Timestamp::from_proto);
            let partition = id.partition();
            self.timers.push(TimerRow { fire_at, iid, seq: Seq(timer.seq.min(KEY_MAX)), partition });
        }
        for turn in (body.turn_first..body.turn).take(usize::from(source.byte() % 4)) {
            let (count, events) = (u32::from(source.byte()), run(source));
            self.history.push(HistoryRow { iid, turn: Turn(turn), count, events });
        }
        let row = InstanceRow {
            iid,
            hub: id.hub,
            id: id.id,
            name: source.text().into(),
            status: status(source),
            active: source.flag(),
            created_at: Timestamp(source.number()),
            updated_at: Timestamp(source.number()),
            completed_at: source.some(|source| Timestamp(source.number())),
            body: data,
        };
        let mut replies = source.list(|source| {
            let answer = source.some(|source| source.text().into());
            ReplyRow { iid, ask_id: source.text().into(), turn: Turn(source.byte().into()), answer }
        });
        replies.sort_by(|a, b| a.ask_id.cmp(&b.ask_id));
        replies.dedup_by(|a, b| a.ask_id == b.ask_id);
        let inbox = numbered(source, message);
        let activities = numbered(source, activity);
        self.instances.push(LoadedInstance {
            row,
            inbox: inbox.into_iter().map(|(seq, data)| InboxRow { iid, seq, data }).collect(),
            activities: activities.into_iter().map(|(seq, data)| ActivityRow { iid, seq, data }).collect(),
            replies,
        });
    }
}

/// Keys are stored as signed numbers: none is higher.
const KEY_MAX: u64 = i64::MAX as u64;

/// A key that a store can have.
fn key(source: &mut Source<'_>) -> u64 {
    u64::try_from(source.number()).unwrap_or(KEY_MAX - 1)
}

/// A number that only counts up: mostly a small one.
fn counter(source: &mut Source<'_>) -> u64 {
    match source.byte() {
        255 => u64::MAX,
        254 => KEY_MAX,
        253 => u64::from(u32::MAX),
        252 => 1 << 60,
        few => u64::from(few % 16),
    }
}

fn short_counter(source: &mut Source<'_>) -> u32 {
    u32::try_from(counter(source)).unwrap_or(u32::MAX)
}

/// Payloads of one instance under numbers that rise.
fn numbered(source: &mut Source<'_>, make: fn(&mut Source<'_>) -> Bytes) -> Vec<(Seq, Bytes)> {
    let mut rows = source.list(|source| (Seq(counter(source).min(KEY_MAX)), make(source)));
    rows.sort_by_key(|(seq, _)| *seq);
    rows.dedup_by_key(|(seq, _)| *seq);
    rows
}

/// What was written, mostly; else with some of it changed, or something else.
pub(super) fn nearly(source: &mut Source<'_>, written: Vec<u8>) -> Bytes {
    match source.byte() % 32 {
        30 => Bytes::copy_from_slice(source.bytes()),
        31 => source.changed(written).into(),
        _ => written.into(),
    }
}

fn body(source: &mut Source<'_>) -> InstanceBody {
    let turn_first = short_counter(source);
    InstanceBody {
        version: source.some(Source::text),
        execution_id: source.text(),
        tags: source.list(|source| (source.text(), source.text())).into_iter().collect(),
        custom_status: source.some(Source::text),
        turn: if source.byte() == 255 { 0 } else { turn_first.saturating_add(short_counter(source)) },
        turn_first,
        events: short_counter(source),
        history_bytes: counter(source),
        seq: counter(source),
        timers: source.list(|source| PendingTimer {
            seq: counter(source),
            timer_id: source.some(Source::small),
            fire_at: source.some(Source::time),
        }),
        scheduled_start: source.some(Source::time),
        open_asks: source.list(Source::text),
        held: source.byte() % 8 == 7,
        poisoned: source.byte() % 8 == 7,
        suspended: source.byte() % 8 == 7,
        input_bytes: counter(source),
        ..InstanceBody::default()
    }
}

/// Mostly of one that goes on.
fn status(source: &mut Source<'_>) -> pb::OrchestrationStatus {
    let number = source.byte();
    if number % 4 == 3 {
        return pb::OrchestrationStatus::try_from(i32::from(number / 4 % 8)).unwrap_or_default();
    }
    pb::OrchestrationStatus::Running
}

fn message(source: &mut Source<'_>) -> Bytes {
    let kind = i32::from(source.byte() % 9);
    let message = InboxMessage {
        kind,
        event: if kind == i32::from(MessageKind::Outgoing) { outgoing(source) } else { event(source) },
        ask_id: source.some(|source| source.text()),
    };
    nearly(source, message.encode_to_vec())
}

fn outgoing(source: &mut Source<'_>) -> Bytes {
    let told = match source.byte() % 5 {
        0 => None,
        1 => Some(Told::Start(ChildStart {
            name: source.text(),
            input: source.some(Source::text),
            parent_seq: source.some(counter),
            ..ChildStart::default()
        })),
        2 => Some(Told::Result(ChildResult {
            execution_id: source.text(),
            seq: counter(source),
            output: source.some(Source::text),
            failure: None,
        })),
        3 => Some(Told::Event(pb::EventRaisedEvent { name: source.text(), ..pb::EventRaisedEvent::default() })),
        _ => Some(Told::Terminate(pb::ExecutionTerminatedEvent { input: None, recurse: source.flag() })),
    };
    let message = Outgoing { to: source.text(), told };
    nearly(source, message.encode_to_vec())
}

fn activity(source: &mut Source<'_>) -> Bytes {
    let activity = PendingActivity {
        task_id: source.small(),
        name: source.text(),
        version: source.some(Source::text),
        input: source.some(Source::text),
        tags: source.list(|source| (source.text(), source.text())).into_iter().collect(),
        trace: None,
        poisoned: source.byte() % 4 == 3,
        child: source.some(Source::text).filter(|child| child.len() % 2 == 1),
        scheduled_at: source.some(|source| i64::from(source.small()) << 32),
    };
    nearly(source, activity.encode_to_vec())
}

fn event(source: &mut Source<'_>) -> Bytes {
    let event_type = match source.byte() % 7 {
        0 => None,
        1 => Some(EventType::ExecutionStarted(pb::ExecutionStartedEvent {
            name: source.text(),
            input: source.some(Source::text),
            ..pb::ExecutionStartedEvent::default()
        })),
        2 => Some(EventType::TimerFired(pb::TimerFiredEvent {
            fire_at: source.some(Source::time),
            timer_id: source.small(),
        })),
        3 => Some(EventType::ExecutionTerminated(pb::ExecutionTerminatedEvent {
            input: source.some(Source::text),
            recurse: source.flag(),
        })),
        4 => Some(EventType::ExecutionCompleted(pb::ExecutionCompletedEvent {
            orchestration_status: source.small(),
            result: source.some(Source::text),
            failure_details: None,
        })),
        _ => {
            let stamp = Stamp { ask_id: source.text(), principal: source.text(), proof: source.text() };
            Some(EventType::EventRaised(pb::EventRaisedEvent {
                name: source.text(),
                input: source.some(Source::text),
                stamp: nearly(source, stamp.encode_to_vec()),
            }))
        }
    };
    let event = pb::HistoryEvent { event_id: source.small(), timestamp: source.some(Source::time), event_type };
    nearly(source, event.encode_to_vec())
}

/// The events of a turn.
fn run(source: &mut Source<'_>) -> Bytes {
    let mut run = BytesMut::new();
    for event in source.list(event) {
        wire::push_event(&mut run, wire::PAST_EVENTS, &event);
    }
    nearly(source, run.to_vec())
}
