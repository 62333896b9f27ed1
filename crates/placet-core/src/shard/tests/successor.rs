//! The shard that goes on where another one broke an invariant.

use crate::command::{Command, CommandKind, Suspend};
use crate::ids::{CallId, Hub, Iid, InstanceId};
use crate::limits::Limits;
use crate::rows::{InstanceRow, LoadedInstance, Lookup, OrchestrationStatus, ReadFailure};
use crate::shard::{Input, Output, Shard};
use crate::time::{Mono, Now, Timestamp};

fn now(wall_seconds: i64, mono_seconds: u64) -> Now {
    Now { wall: Timestamp(wall_seconds * 1_000_000), mono: Mono(mono_seconds * 1_000_000) }
}

fn begin(shard: &mut Shard, now: Now) -> Vec<Output> {
    let mut outputs = Vec::new();
    shard.handle(now, Input::Started, &mut outputs);
    outputs
}

#[test]
fn what_the_broken_shard_had_asked_the_store_is_no_answer_to_its_successor() {
    let mut broken = Shard::new(Limits::default(), 1, 0, Iid(0), Timestamp(0));
    let before = begin(&mut broken, now(1_000, 0));
    let mut next = broken.successor(broken.watermark());
    let after = begin(&mut next, now(1_000, 0));
    let active = |outputs: &[Output]| {
        outputs.iter().find_map(|output| if let Output::Recover(read) = output { Some(*read) } else { None })
    };
    let timers = |outputs: &[Output]| {
        outputs.iter().find_map(|output| if let Output::ReadTimers(read) = output { Some(*read) } else { None })
    };
    assert!(active(&before).is_some() && timers(&before).is_some(), "{before:?}");
    assert!(active(&after).is_some() && timers(&after).is_some(), "{after:?}");
    assert_ne!(active(&before), active(&after));
    assert_ne!(timers(&before), timers(&after));
}

#[test]
fn a_clock_that_was_doubted_is_doubted_by_the_successor_too() {
    let mut broken = Shard::new(Limits::default(), 1, 0, Iid(0), Timestamp(0));
    begin(&mut broken, now(1_000, 0));
    broken.handle(now(5_001, 1), Input::Tick, &mut Vec::new());
    let mut next = broken.successor(broken.watermark());
    begin(&mut next, now(5_002, 2));
    assert!(broken.trouble().clock_doubt.is_some() && next.trouble().clock_doubt.is_some());
}

#[test]
fn an_instance_that_recovery_left_to_a_load_is_looked_for_again_if_that_fails() {
    let mut shard = Shard::new(Limits::default(), 1, 0, Iid(9), Timestamp(0));
    let outputs = begin(&mut shard, now(1_000, 0));
    let reads = |outputs: &[Output]| {
        outputs.iter().find_map(|output| if let Output::Recover(read) = output { Some(*read) } else { None })
    };
    let page = reads(&outputs).unwrap();
    let row = InstanceRow {
        iid: Iid(7),
        hub: Hub::new("default"),
        id: InstanceId::new("i"),
        name: "n".into(),
        status: OrchestrationStatus::Running,
        active: true,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        completed_at: None,
        body: bytes::Bytes::new(),
    };
    let (call, kind) = (CallId(1), CommandKind::Suspend(Suspend { reason: None, resume: false }));
    let asks = Command { target: Lookup::Key(row.key()), kind, call: Some(call) };
    let mut outputs = Vec::new();
    shard.handle(now(1_000, 0), Input::Call(call, asks), &mut outputs);
    let load =
        outputs.iter().find_map(|output| if let Output::Load(read) = output { Some(read.clone()) } else { None });
    let found = LoadedInstance { row, inbox: Vec::new(), activities: Vec::new(), replies: Vec::new() };
    let mut outputs = Vec::new();
    shard.handle(now(1_000, 0), Input::Recovered(page, Ok((vec![found], None))), &mut outputs);
    assert_eq!(reads(&outputs), None, "it is on its way");
    let failed = ReadFailure::Unavailable("the disk".to_owned());
    shard.handle(now(1_000, 0), Input::Loaded(load.unwrap(), Err(failed)), &mut outputs);
    assert_eq!(reads(&outputs).map(|read| read.after), Some(Some(Iid(6))));
}
