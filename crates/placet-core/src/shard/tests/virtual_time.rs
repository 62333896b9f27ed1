//! A clock that stands: what makes it go, and what it waits for. Times in square brackets are its own.

use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::script::trace_on_virtual_time;
use crate::shard::virtual_time::{Decision, VirtualTime, Work};
use crate::time::{Mono, Now, Timestamp};

const AFTER: Duration = Duration::from_millis(100);

fn trace(script: &str) -> String {
    trace_on_virtual_time(None, script)
}

fn trace_auto(script: &str) -> String {
    trace_on_virtual_time(Some(AFTER), script)
}

#[test]
fn the_clock_stands_until_it_is_told_to_go_and_timers_fire_at_their_own_time() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: timer 24h
        60h advance 23h
        60h advance 2h
        60h turn expense-1: complete
        60h history expense-1
    "
    ));
}

#[test]
fn the_clock_waits_at_each_timer_for_the_turn_that_it_causes_and_for_the_timers_that_this_one_makes() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start loop-1
        0s start other-1
        0s turn loop-1: timer 1h
        0s turn other-1: timer 90m
        0s advance 24h
        1s turn loop-1: timer 2h
        2s turn other-1: complete
        3s turn loop-1: activity last
        4s done loop-1/last
        5s turn loop-1: complete
        5s history loop-1
    "
    ));
}

#[test]
fn what_a_worker_does_not_finish_in_time_is_left_to_go_on_and_is_told() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start slow-1
        0s turn slow-1: activity endless | timer 1h | timer 2h
        1s advance 3h within 2s
        5s turn slow-1: wait
        6s history slow-1
    "
    ));
}

#[test]
fn an_advance_waits_for_a_worker_that_is_not_there_yet_and_not_for_ever() {
    assert_snapshot!(trace(
        "
        0s start expense-1
        1s advance 24h within 5s
        2s worker
        3s turn expense-1: timer 24h
        4s disconnect
        4s start expense-2
        5s advance 1h within 5s
        12s state expense-2
    "
    ));
}

#[test]
fn a_clock_does_not_go_to_a_timer_that_nobody_waits_for() {
    assert_snapshot!(trace_auto(
        "
        0s worker
        0s start over-1
        0s turn over-1: timer 1h
        0s terminate over-1
        0s turn over-1: terminated
        0s start there-1
        0s turn there-1: timer 3h
        1s state there-1
    "
    ));
}

#[test]
fn a_clock_does_not_go_to_a_timer_of_a_hub_that_is_deleted_whether_its_instance_is_in_memory_or_not() {
    assert_snapshot!(trace_auto(
        "
        0s worker
        0s start cold-1
        0s start hot-1
        0s turn cold-1: timer 1h
        0s turn hot-1: timer 2h
        0s spill cold-1
        0s delete-hub
        0s start there-1
        0s turn there-1: timer 3h
        1s state there-1
    "
    ));
}

#[test]
fn by_itself_the_clock_goes_when_nothing_else_is_left_to_happen() {
    assert_snapshot!(trace_auto(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: activity ask | timer 24h
        10s done expense-1/ask
        20s turn expense-1: wait
        20.09s raise expense-1 approval_response
        30s turn expense-1: wait
        40s turn expense-1: complete
        40s history expense-1
    "
    ));
}

#[test]
fn by_itself_the_clock_stands_while_a_call_is_open_or_the_timers_worker_is_away() {
    assert_snapshot!(trace_auto(
        "
        0s worker
        0s start expense-1
        0s turn expense-1: timer 1h
        0.05s call-opens
        5s call-closes
        5s turn expense-1: timer 2h
        5.05s disconnect
        6s built-in-worker
        10s worker
        11s turn expense-1: complete
    "
    ));
}

#[test]
fn waiting_callers_do_not_keep_the_clock_from_going() {
    assert_snapshot!(trace_auto(
        "
        0s worker
        0s start expense-1
        0s wait expense-1
        0s turn expense-1: timer 24h
        1s turn expense-1: complete
    "
    ));
}

#[test]
fn an_ask_that_nobody_answers_in_time_is_given_its_time_by_the_real_clock() {
    assert_snapshot!(trace(
        "
        0s start expense-1
        0s ask expense-1 approval_response#a
        1s advance 1000h within 1s
        5s tick
        11s tick
    "
    ));
}

#[test]
fn who_was_on_the_way_when_an_invariant_broke_is_not_gone_on_for_and_the_clock_still_stands() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start slow-1
        0s advance 24h
        1s break
        1000s worker
        1000s turn slow-1: timer 24h
        2000s advance 24h
        2001s turn slow-1: complete
    "
    ));
}

#[test]
fn a_clock_goes_no_further_than_protocols_can_tell() {
    assert_snapshot!(trace(
        "
        0s advance 70390000h
        0s advance 70380000h
    "
    ));
}

fn work() -> impl Strategy<Value = Work> {
    let next = prop_oneof![Just(None), (1_i64..100).prop_map(|next| Some(Timestamp(next * 1_000_000)))];
    (any::<bool>(), 0_usize..2, 0_usize..2, next, any::<bool>()).prop_map(|(inside, out, ready, next, is_served)| {
        let last_out = (out > 0).then_some(Mono(0));
        Work { inside, out, last_out, ready, next, is_served }
    })
}

proptest! {
    /// Whatever happens, and whenever it is asked.
    #[test]
    fn by_itself_the_clock_goes_only_to_the_next_timer_and_after_nothing_else_was_left_for_long_enough(
        steps in proptest::collection::vec((work(), 0_u64..150, 0_u8..6), 1..60)
    ) {
        let mut time = VirtualTime::new(Some(AFTER));
        let (mut now, mut open) = (Now::default(), 0_usize);
        let mut quiet_since: Option<Mono> = None;
        for (work, millis, call) in steps {
            now.mono = now.mono.after(Duration::from_millis(millis));
            match call {
                0 => { time.call_opened(); open += 1; }
                1 | 2 if open > 0 => { time.call_closed(); open -= 1; }
                _ => {}
            }
            let work = Work { next: work.next.filter(|next| *next > now.wall), ..work };
            let is_quiet = !work.inside && work.out + work.ready == 0 && work.next.is_some() && work.is_served;
            quiet_since = if is_quiet { quiet_since.or(Some(now.mono)) } else { None };
            let for_long = quiet_since.is_some_and(|since| now.mono.since(since) >= AFTER);
            match time.decide(now, 0, &work) {
                Decision::Go(at) => {
                    prop_assert!(for_long && open == 0, "{work:?}, {open} calls open");
                    prop_assert_eq!(Some(at), work.next);
                    now.wall = at;
                    quiet_since = None;
                }
                Decision::Stand(until) => {
                    prop_assert!(!for_long || open > 0, "it would stand for ever: {work:?}");
                    if let Some(until) = until {
                        prop_assert!(until > now.mono, "or be asked without end");
                    } else {
                        prop_assert!(!is_quiet || open > 0, "nobody would ask it again");
                    }
                }
                Decision::Arrived(_) => prop_assert!(false, "nobody has sent it anywhere"),
            }
        }
    }
}
