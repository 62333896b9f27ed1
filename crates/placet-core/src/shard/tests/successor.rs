//! The shard that goes on where another one broke an invariant.

use crate::ids::Iid;
use crate::limits::Limits;
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
