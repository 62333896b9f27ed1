//! What leaves memory when there is too much of it, and how it comes back.

use std::fmt::Write as _;

use super::script::trace_within;
use crate::limits::Limits;

/// Room for some four instances.
const FEW: Limits = Limits { hot_bytes: 6 << 10, ..LIMITS };

const LIMITS: Limits = Limits {
    turn_messages: 1_000,
    turn_bytes: 1 << 20,
    batch_commands: 1_024,
    uncommitted_bytes: 1 << 20,
    uncommitted_reserve: 0,
    timer_window: std::time::Duration::from_secs(60),
    timer_page: 100,
    timers_per_step: 100,
    active_instances: 1_000,
    hot_bytes: 1 << 20,
    inbox_bytes: 1 << 10,
    recover_page: 100,
    recover_page_bytes: 1 << 20,
    parked_instances: 100,
    parked_idle: std::time::Duration::from_secs(30),
    history_cache_bytes: 1 << 20,
    history_cache_instance_bytes: 1 << 20,
};

fn starts(names: &str, number: usize) -> String {
    (1..=number).fold(String::new(), |mut script, number| {
        writeln!(script, "{number}s start {names}-{number}").unwrap();
        script
    })
}

#[test]
fn instances_that_no_worker_can_take_leave_memory_and_are_served_by_one_that_comes() {
    // The last ones are still there; when they are done there is room for the others.
    let done = "21s turn a-9: complete\n21s turn a-10: complete\n21s turn a-11: complete\n30s turn a-12: complete";
    let trace = trace_within(FEW, &format!("{}20s worker\n{done}\n40s rows", starts("a", 12)));
    for number in 1..=12 {
        assert!(trace.contains(&format!("worker 1 gets turn a-{number} past")), "a-{number}:\n{trace}");
    }
}

#[test]
fn what_nobody_can_take_is_not_in_the_way_of_what_somebody_can() {
    let script =
        format!("{}13s worker\n14s start b-1\n15s raise b-1 one\n16s turn b-1: complete", starts("placet.a", 12));
    let trace = trace_within(FEW, &script);
    assert!(trace.contains("worker 1 gets turn b-1"), "{trace}");
    assert!(trace.contains("reply to turn b-1"), "{trace}");
}

#[test]
fn events_beyond_what_an_inbox_holds_are_refused_until_a_worker_has_taken_some() {
    let raises = (0..12).fold(String::new(), |mut script, number| {
        writeln!(script, "{}s raise a-1 event{number}", 2 + number).unwrap();
        script
    });
    let script = format!("1s start a-1\n{raises}20s worker\n21s turn a-1: wait\n22s raise a-1 late");
    let trace = trace_within(LIMITS, &script);
    let refused = trace.lines().filter(|line| line.contains("the instance's inbox is full")).count();
    assert!((1..12).contains(&refused), "{trace}");
    let last = trace.lines().rfind(|line| line.contains("reply to raise a-1 late")).expect("it is answered");
    assert!(!last.contains("full"), "{trace}");
}

#[test]
fn while_much_waits_to_be_written_workers_get_nothing_and_afterwards_all_of_it() {
    let limits = Limits { uncommitted_bytes: 1_000, ..LIMITS };
    let (before, after) = ("0s worker\n1s hold\n1s start a-1\n1s start a-2\n1s start a-3\n1s start a-4", "2s commit");
    let held = trace_within(limits, before);
    assert!(held.contains("gets turn a-1") && !held.contains("gets turn a-4"), "{held}");
    let trace = trace_within(limits, &format!("{before}\n{after}"));
    assert!(trace.contains("gets turn a-4"), "{trace}");
}

#[test]
fn while_much_waits_to_be_written_small_commands_are_taken_until_they_are_much_themselves() {
    let limits = Limits { uncommitted_bytes: 1_000, uncommitted_reserve: 64 << 10, ..LIMITS };
    let starts = (0..200).fold(String::new(), |script, number| script + &format!("1s start a-{number}\n"));
    let held = format!("0s hold\n{starts}");
    let refused = |trace: &str| trace.matches("too much waits to be written").count();
    let trace = trace_within(limits, &held);
    assert!((50..150).contains(&refused(&trace)), "{trace}");
    let after = trace_within(limits, &format!("{held}2s commit\n4s start b-1"));
    assert_eq!(refused(&after), refused(&trace), "afterwards there is room again: {after}");
    let large = trace_within(limits, "0s hold\n1s start a-1\n1s start a-2\n1s raise a-1 event\n1s start a-3");
    assert_eq!(refused(&large), 0, "{large}");
}
