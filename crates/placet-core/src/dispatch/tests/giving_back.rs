//! When an item goes to somebody else: leases, graces, delays, and when it is set aside.

use std::time::Duration;

use super::*;

fn after(duration: Duration) -> Mono {
    NOW.after(duration)
}

fn just_before(at: Mono) -> Mono {
    Mono(at.0 - 1)
}

fn tick(dispatch: &mut Dispatch, at: Mono) -> (Returned, Vec<ItemId>) {
    let (returned, again) = dispatch.tick(at);
    (returned, again.into_iter().map(|spec| spec.id).collect())
}

fn nothing() -> (Returned, Vec<ItemId>) {
    (Returned::default(), Vec::new())
}

#[test]
fn a_turn_whose_stream_breaks_comes_back_at_once() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    offer(&mut dispatch, turn(1, "a"));
    let returned = dispatch.close(NOW, StreamId(1), false);
    assert_eq!(returned, Returned { turns: vec![turn(1, "a").id], ..Returned::default() });
    assert_eq!(dispatch.held_count(), 0);
    assert_eq!(dispatch.failed_before(NOW, turn(1, "a")), Some(turn(1, "a")), "to be offered now");
}

#[test]
fn a_turn_comes_back_when_its_lease_is_over_and_its_stream_has_room_again() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, at_most(1, 0));
    offer(&mut dispatch, turn(1, "a"));
    offer(&mut dispatch, turn(2, "a"));
    let over = after(limits::TURN_LEASE);
    assert_eq!(tick(&mut dispatch, just_before(over)), nothing());
    let (returned, _) = dispatch.tick(over);
    assert_eq!(returned.turns, [turn(1, "a").id]);
    assert_eq!(returned.freed, [StreamId(1)]);
    assert_eq!(pull(&mut dispatch, 1), [turn(2, "a").id], "what waited goes first");
}

#[test]
fn a_lease_ends_with_its_delivery() {
    for how in ["finished", "abandoned", "stream broke", "partition reset"] {
        let mut dispatch = Dispatch::default();
        open(&mut dispatch, 1, everything());
        offer(&mut dispatch, turn(1, "a"));
        match how {
            "finished" => drop(dispatch.finished(turn(1, "a").id)),
            "abandoned" => drop(dispatch.abandoned(NOW, turn(1, "a").id)),
            "stream broke" => drop(dispatch.close(NOW, StreamId(1), false)),
            _ => drop(dispatch.reset(PartitionId(0))),
        }
        // The next delivery has a lease of its own.
        dispatch.open(NOW, StreamId(2), everything());
        let later = after(Duration::from_secs(200));
        assert!(dispatch.enqueue(later, turn(1, "a")).is_some());
        assert_eq!(dispatch.tick(after(limits::TURN_LEASE)), (Returned::default(), vec![]), "{how}");
        let (returned, _) = dispatch.tick(later.after(limits::TURN_LEASE));
        assert_eq!(returned.turns, [turn(1, "a").id], "{how}");
    }
}

#[test]
fn an_activity_has_no_lease_while_its_stream_lives() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    offer(&mut dispatch, activity(1, "a"));
    assert_eq!(tick(&mut dispatch, after(Duration::from_secs(30 * 24 * 3600))), nothing());
    assert_eq!(dispatch.holder(activity(1, "a").id), Some(StreamId(1)));
}

#[test]
fn an_activity_whose_stream_breaks_is_ready_again_after_a_grace() {
    for drained in [true, false] {
        let mut dispatch = Dispatch::default();
        open(&mut dispatch, 1, everything());
        offer(&mut dispatch, activity(1, "a"));
        assert_eq!(dispatch.close(NOW, StreamId(1), drained), Returned::default());
        assert_eq!(dispatch.enqueue(NOW, activity(1, "a")), None, "it is with its worker still");
        let over = after(limits::ACTIVITY_GRACE);
        assert_eq!(dispatch.next_due(), Some(over));
        assert_eq!(tick(&mut dispatch, just_before(over)), nothing());
        assert_eq!(tick(&mut dispatch, over), (Returned::default(), vec![activity(1, "a").id]));
    }
}

#[test]
fn an_activity_may_be_finished_or_given_back_within_its_grace() {
    let broken = || {
        let mut dispatch = Dispatch::default();
        open(&mut dispatch, 1, everything());
        offer(&mut dispatch, activity(1, "a"));
        dispatch.close(NOW, StreamId(1), true);
        dispatch
    };
    let mut dispatch = broken();
    assert_eq!(dispatch.finished(activity(1, "a").id), None, "no open stream has room for it");
    assert_eq!(tick(&mut dispatch, after(limits::ACTIVITY_GRACE)), nothing());

    let mut dispatch = broken();
    assert_eq!(dispatch.abandoned(NOW, activity(1, "a").id), (true, None));
    let delay = after(limits::REDELIVERY_DELAY_MIN);
    assert_eq!(tick(&mut dispatch, delay), (Returned::default(), vec![activity(1, "a").id]));
    assert_eq!(tick(&mut dispatch, after(limits::ACTIVITY_GRACE)), nothing(), "once");
}

#[test]
fn a_grace_is_as_long_the_second_time() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    offer(&mut dispatch, activity(1, "a"));
    dispatch.close(NOW, StreamId(1), true);
    dispatch.abandoned(NOW, activity(1, "a").id);
    open(&mut dispatch, 2, everything());
    let again = after(Duration::from_secs(1));
    let (_, specs) = dispatch.tick(again);
    assert!(dispatch.enqueue(again, specs.into_iter().next().unwrap()).is_some());
    let broke = after(Duration::from_secs(20));
    dispatch.close(broke, StreamId(2), true);
    assert_eq!(tick(&mut dispatch, after(limits::ACTIVITY_GRACE)), nothing(), "that was the first one's");
    let over = broke.after(limits::ACTIVITY_GRACE);
    assert_eq!(tick(&mut dispatch, over), (Returned::default(), vec![activity(1, "a").id]));
}

#[test]
fn what_is_given_back_comes_again_after_a_delay_that_doubles_up_to_the_most() {
    for spec in [turn(1, "a"), activity(1, "a")] {
        let mut dispatch = Dispatch::default();
        open(&mut dispatch, 1, everything());
        let (mut now, mut delays) = (NOW, Vec::new());
        for _ in 0..12 {
            assert!(dispatch.enqueue(now, spec.clone()).is_some());
            assert_eq!(dispatch.abandoned(now, spec.id), (true, Some(StreamId(1))));
            if spec.id.kind() == Kind::Turn {
                dispatch.delay(now, spec.clone());
            }
            assert_eq!(backlog(&dispatch), 1);
            let due = dispatch.redelivery.next_due().unwrap();
            assert_eq!(dispatch.tick(just_before(due)), (Returned::default(), vec![]));
            assert_eq!(dispatch.tick(due), (Returned::default(), vec![spec.clone()]));
            delays.push(due.since(now));
            now = due;
        }
        let millis: Vec<u128> = delays.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
        assert_eq!(dispatch.finished(spec.id), None);
        assert!(dispatch.enqueue(now, spec.clone()).is_some());
        dispatch.abandoned(now, spec.id);
        dispatch.delay(now, spec.clone());
        let due = dispatch.redelivery.next_due().unwrap();
        assert!(due.since(now) <= 2 * limits::REDELIVERY_DELAY_MIN, "once it was done, it begins anew");
    }
}

#[test]
fn a_delivery_of_what_somebody_had_before_counts_as_one_that_comes_again() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    let mut now = NOW;
    for spec in [turn(1, "a"), activity(1, "a")] {
        for _ in 0..3 {
            assert!(dispatch.enqueue(now, spec.clone()).is_some());
            dispatch.abandoned(now, spec.id);
            if spec.id.kind() == Kind::Turn {
                dispatch.delay(now, spec.clone());
            }
            now = dispatch.redelivery.next_due().unwrap();
            dispatch.tick(now);
        }
        assert!(dispatch.enqueue(now, spec.clone()).is_some());
        dispatch.finished(spec.id);
    }
    // The next turn of the same instance has the same name, and is another item.
    assert!(dispatch.enqueue(now, turn(1, "a")).is_some());
    let DeliveriesByKind { turns, activities } = dispatch.deliveries();
    assert_eq!((turns.all, turns.again), (5, 3));
    assert_eq!((activities.all, activities.again), (4, 3));
}

#[test]
fn what_nobody_holds_is_not_given_back() {
    let mut dispatch = Dispatch::default();
    offer(&mut dispatch, turn(1, "a"));
    assert_eq!(dispatch.abandoned(NOW, turn(1, "a").id), (false, None));
    assert_eq!(dispatch.abandoned(NOW, activity(7, "a").id), (false, None));
    assert_eq!(backlog(&dispatch), 1);
}

/// Delivers an item to a stream that then breaks, again and again: after how many times it was set aside.
fn break_streams(spec: &ItemSpec, drained: bool) -> Option<u32> {
    let mut dispatch = Dispatch::default();
    let mut now = NOW;
    let mut next = Some(spec.clone());
    for delivery in 1..=30 {
        let id = StreamId(delivery.into());
        dispatch.open(now, id, everything());
        while next.is_none() {
            now = dispatch.next_due().unwrap();
            dispatch.pings(now);
            next = dispatch.tick(now).1.into_iter().next();
        }
        assert_eq!(dispatch.enqueue(now, next.take().unwrap()), Some(Assignment { item: spec.id, stream: id }));
        let returned = dispatch.close(now, id, drained);
        if returned.poisoned == [spec.id] {
            assert_eq!(dispatch.held_count(), 0);
            assert_eq!(dispatch.redelivery.next_due(), None, "nothing of it is left");
            return Some(delivery);
        }
        if returned.turns == [spec.id] {
            next = dispatch.failed_before(now, spec.clone());
        }
    }
    None
}

#[test]
fn an_item_that_breaks_its_streams_is_set_aside_after_ten_and_one_whose_workers_drain_is_not() {
    for spec in [turn(1, "a"), activity(1, "a")] {
        assert_eq!(break_streams(&spec, false), Some(limits::DELIVERIES_MAX));
        assert_eq!(break_streams(&spec, true), None);
    }
}

#[test]
fn a_turn_that_fails_again_comes_back_after_a_delay_that_grows() {
    let mut dispatch = Dispatch::default();
    let mut now = NOW;
    let mut delays = Vec::new();
    for delivery in 1..limits::DELIVERIES_MAX {
        let id = StreamId(delivery.into());
        dispatch.open(now, id, everything());
        assert!(dispatch.enqueue(now, turn(1, "a")).is_some());
        dispatch.close(now, id, false);
        let due = match dispatch.failed_before(now, turn(1, "a")) {
            Some(_) => now,
            None => dispatch.redelivery.next_due().unwrap(),
        };
        dispatch.tick(due);
        delays.push(due.since(now).as_millis());
        now = due;
    }
    assert_eq!(delays, [0, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600]);
}

#[test]
fn an_instance_that_leaves_memory_between_two_deliveries_is_given_no_new_lives() {
    let mut dispatch = Dispatch::default();
    let spec = turn(1, "a");
    for delivery in 1..=limits::DELIVERIES_MAX {
        let id = StreamId(delivery.into());
        dispatch.open(NOW, id, everything());
        assert!(dispatch.enqueue(NOW, spec.clone()).is_some());
        let returned = dispatch.close(NOW, id, false);
        assert_eq!(returned.poisoned.len(), usize::from(delivery == limits::DELIVERIES_MAX));
        drop(dispatch.failed_before(NOW, spec.clone()));
        dispatch.unqueue(&[(spec.id.partition(), spec.id.iid())]);
        assert_eq!(dispatch.tick(after(limits::REDELIVERY_DELAY_MAX)).1, [], "it is offered again when it comes back");
    }
}

#[test]
fn a_turn_that_outlives_ten_leases_is_set_aside() {
    let mut dispatch = Dispatch::default();
    let mut now = NOW;
    dispatch.open(now, StreamId(1), everything());
    for delivery in 1..=limits::DELIVERIES_MAX {
        assert!(dispatch.enqueue(now, turn(1, "a")).is_some());
        now = now.after(limits::TURN_LEASE);
        let (returned, _) = dispatch.tick(now);
        let last = delivery == limits::DELIVERIES_MAX;
        assert_eq!((returned.turns.len(), returned.poisoned.len()), (usize::from(!last), usize::from(last)));
    }
}

#[test]
fn what_was_done_once_is_not_counted_for_the_next_turn() {
    let mut dispatch = Dispatch::default();
    for delivery in 1..=3 * u64::from(limits::DELIVERIES_MAX) {
        dispatch.open(NOW, StreamId(delivery), everything());
        assert!(dispatch.enqueue(NOW, turn(1, "a")).is_some());
        if delivery % 5 == 0 {
            dispatch.finished(turn(1, "a").id);
        }
        assert_eq!(dispatch.close(NOW, StreamId(delivery), false).poisoned, []);
    }
}

#[test]
fn a_partition_that_drops_its_memory_drops_its_turns_and_not_the_activities_that_run() {
    let elsewhere = ItemSpec { id: ItemId::Turn(PartitionId(9), Iid(9)), ..turn(9, "a") };
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, at_most(1, 1));
    for spec in [turn(1, "a"), activity(2, "a"), turn(3, "a"), activity(4, "a"), elsewhere.clone()] {
        offer(&mut dispatch, spec);
    }
    assert_eq!(dispatch.reset(PartitionId(0)), [StreamId(1)], "it has room again");
    assert_eq!(dispatch.holder(turn(1, "a").id), None);
    assert_eq!(dispatch.holder(activity(2, "a").id), Some(StreamId(1)));
    assert_eq!(pull(&mut dispatch, 1), [elsewhere.id]);
    assert_eq!(offer(&mut dispatch, activity(2, "a")), None, "found again, and still with its worker");
    assert_eq!(backlog(&dispatch), 0);
}

#[test]
fn a_stream_is_pinged_when_it_had_nothing_for_a_while() {
    let mut dispatch = Dispatch::default();
    assert_eq!((dispatch.next_due(), dispatch.pings(NOW)), (None, vec![]));
    dispatch.open(NOW, StreamId(1), everything());
    dispatch.open(after(Duration::from_secs(1)), StreamId(2), everything());
    let due = after(limits::PING_EVERY);
    assert_eq!(dispatch.next_due(), Some(due));
    assert_eq!(dispatch.pings(just_before(due)), []);
    // What is sent is as good as a ping. It goes to the first stream.
    assert!(dispatch.enqueue(after(Duration::from_secs(20)), turn(1, "a")).is_some());
    assert_eq!(dispatch.pings(due), []);
    let second = due.after(Duration::from_secs(1));
    assert_eq!(dispatch.next_due(), Some(second));
    assert_eq!(dispatch.pings(second), [StreamId(2)]);
    let first = after(Duration::from_secs(20)).after(limits::PING_EVERY);
    assert_eq!(dispatch.next_due(), Some(first));
    assert_eq!(dispatch.pings(first), [StreamId(1)]);
    assert_eq!(dispatch.pings(first), []);
    dispatch.close(first, StreamId(1), true);
    dispatch.close(first, StreamId(2), true);
    assert_eq!(dispatch.pings(first.after(limits::PING_EVERY * 2)), []);
    assert_eq!(dispatch.next_due(), None);
}

#[test]
fn what_a_worker_gives_back_goes_to_another_one_if_there_is_one() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    open(&mut dispatch, 2, everything());
    let item = turn(1, "a");
    assert_eq!(dispatch.enqueue(NOW, item.clone()).map(|given| given.stream), Some(StreamId(1)));
    dispatch.abandoned(NOW, item.id);
    dispatch.delay(NOW, item.clone());
    let later = after(limits::REDELIVERY_DELAY_MIN);
    let (_, again) = dispatch.tick(later);
    assert_eq!(again, std::slice::from_ref(&item));
    assert_eq!(dispatch.enqueue(later, item.clone()).map(|given| given.stream), Some(StreamId(2)));
    dispatch.abandoned(later, item.id);
    dispatch.close(later, StreamId(1), true);
    assert_eq!(dispatch.enqueue(later, item).map(|given| given.stream), Some(StreamId(2)), "there is no other");
}

#[test]
fn what_was_given_back_waits_no_longer_when_somebody_else_comes() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    let (unwanted, broken) = (turn(1, "a"), turn(2, "a"));
    for item in [&unwanted, &broken] {
        offer(&mut dispatch, item.clone());
    }
    dispatch.abandoned(NOW, unwanted.id);
    dispatch.delay(NOW, unwanted.clone());
    dispatch.close(NOW, StreamId(1), false);
    assert_eq!(dispatch.failed_before(NOW, broken.clone()), Some(broken));
    assert_eq!(tick(&mut dispatch, NOW), nothing());
    open(&mut dispatch, 2, everything());
    assert_eq!(dispatch.next_due(), Some(NOW));
    assert_eq!(tick(&mut dispatch, NOW).1, [unwanted.id]);
}
