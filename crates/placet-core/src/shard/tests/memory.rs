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
    batch_bytes: 1 << 20,
    ahead_from: 256 << 10,
    uncommitted_bytes: 1 << 20,
    uncommitted_reserve: 0,
    timer_window: std::time::Duration::from_secs(60),
    timer_page: 100,
    timers_per_step: 100,
    timer_loads: 100,
    active_instances: 1_000,
    hot_bytes: 1 << 20,
    inbox_bytes: 1 << 10,
    pending_bytes: 1 << 20,
    replies_kept: 100,
    reply_bytes: 1 << 20,
    history_bytes: 1 << 20,
    history_streamed_from: 1 << 20,
    stream_unread_bytes: 1 << 20,
    unread_bytes: 1 << 20,
    stream_turn_bytes: 1 << 20,
    turns_out_bytes: 1 << 20,
    client_message_bytes: 1 << 20,
    recover_page: 100,
    recover_page_bytes: 1 << 20,
    sweep_from: 0,
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

/// Orchestrations whose activity no worker takes.
fn stuck(number: usize) -> String {
    (1..=number).fold("0s worker\n".to_owned(), |script, number| {
        script + &format!("{number}s start a-{number}\n{number}s turn a-{number}: activity placet.nobody\n")
    })
}

#[test]
fn activities_that_nobody_takes_are_not_in_the_way_of_what_is_read_back() {
    let limits = Limits { recover_page: 2, ..FEW };
    let script = format!("{}20s start b-1\n20s turn b-1: activity work\n21s crash\n22s worker", stuck(12));
    let trace = trace_within(limits, &format!("{script}\n40s tick"));
    assert!(trace.contains("worker 2 gets activity b-1/work"), "{trace}");
}

#[test]
fn activities_of_what_has_ended_leave_the_queues_though_no_worker_comes_for_them() {
    let ends = (1..=12).fold(String::new(), |script, number| {
        script + &format!("{}s raise a-{number} event\n{0}s turn a-{number}: complete\n", 20 + number)
    });
    let trace = trace_within(LIMITS, &format!("{}15s waiting\n{ends}60s waiting", stuck(12)));
    assert!(trace.contains("waiting: 12 items") && trace.contains("waiting: 0 items"), "{trace}");
}

#[test]
fn a_wave_of_timers_asks_for_no_more_than_a_few_instances_at_a_time() {
    let limits = Limits { timer_loads: 3, parked_idle: std::time::Duration::from_secs(1), ..LIMITS };
    let sleepers = (1..=9).fold("0s worker\n".to_owned(), |script, number| {
        script + &format!("{number}s start a-{number}\n{number}s turn a-{number}: timer 1h\n")
    });
    let script = format!("{sleepers}100s hold-loads\n2h tick\n2h raise b-1 event");
    let held =
        trace_within(limits, &format!("{script}\n2h answer-load\n2h answer-load\n2h answer-load\n2h answer-load"));
    assert!(held.contains("reply to raise b-1"), "it waits for three timers, and no more: {held}");
    let rest = "\n2h answer-load".repeat(10);
    let trace = trace_within(limits, &format!("{script}{rest}"));
    assert_eq!(trace.matches("timerFired").count(), 9, "{trace}");
}

#[test]
fn what_callers_have_read_holds_up_no_timer() {
    let limits = Limits { timer_loads: 3, parked_idle: std::time::Duration::from_secs(36_000), ..LIMITS };
    let script = "0s worker\n0s start a-1\n0s turn a-1: timer 1h\n10s hold-loads";
    let raises: String = (1..=5).map(|number| format!("\n20s raise b-{number} event")).collect();
    let trace = trace_within(limits, &format!("{script}{raises}\n2h tick"));
    assert!(trace.contains("timerFired"), "{trace}");
}

#[test]
fn an_ask_that_is_answered_leaves_nothing_to_wait_for() {
    let script = "0s sticky-worker\n0s start a-1\n0s turn a-1: wait\n1s ask a-1 decide#one\n1s waiting\n\
                  2s turn a-1: reply one=yes\n3s waiting";
    let trace = trace_within(LIMITS, script);
    assert!(trace.contains("0 items, 1 asks") && trace.contains("0 items, 0 asks"), "{trace}");
}

/// What a script's only instance is at last, and the last that happened to it.
fn last(limits: Limits, script: &str) -> String {
    let trace = trace_within(limits, &format!("{script}\n90s history a-1\n90s state a-1"));
    let lines: Vec<&str> = trace.lines().rev().take(2).collect();
    lines.join("; ")
}

#[test]
fn what_stands_in_an_instances_row_is_bounded() {
    let turn = |actions: &str| last(LIMITS, &format!("0s worker\n0s start a-1\n1s turn a-1: {actions}"));
    let timers = |many: usize| vec!["timer 1h"; many].join(" | ");
    assert!(turn(&timers(10_000)).contains("RUNNING"), "as many as may be");
    let all = last(
        Limits { pending_bytes: 1 << 30, ..LIMITS },
        &format!("0s worker\n0s start a-1\n1s turn a-1: {}", timers(10_001)),
    );
    assert!(all.contains("TooMuchPending"), "{all}");
    assert!(turn(&format!("status {}", "s".repeat(64 << 10))).contains("RUNNING"), "as long as may be");
    let long = turn(&format!("status {}", "s".repeat((64 << 10) + 1)));
    assert!(long.contains("CustomStatusTooLong") && long.len() < 500, "it is not kept: {long}");
}

#[test]
fn answers_to_asks_are_kept_up_to_a_bound_and_too_long_ones_fail_their_orchestration() {
    let limits = Limits { reply_bytes: 1_000, ..LIMITS };
    let asked = |asks: u32, bytes: usize| {
        let mut script = "0s sticky-worker\n0s start a-1\n0s turn a-1: wait\n".to_owned();
        for ask in 1..=asks {
            let answer = "y".repeat(bytes);
            writeln!(script, "{ask}s ask a-1 decide#{ask}\n{ask}s turn a-1: reply {ask}={answer}").unwrap();
        }
        script + "80s rows"
    };
    let once = last(limits, &asked(1, 1_000));
    assert!(once.contains("FAILED") && once.contains("AnswersTooLong"), "{once}");
    let often = trace_within(limits, &asked(20, 200));
    assert_eq!(often.matches("reply to ask").count(), 20, "{often}");
    assert!(often.contains(" 2 replies"), "two of 360 bytes with all that goes with them: {often}");
}

#[test]
fn of_many_asks_the_last_ones_are_answered_again_and_the_oldest_are_dropped() {
    let asks = |numbers: std::ops::Range<u32>| numbers.map(|n| format!("{n}s ask a-1 decide#{n}\n"));
    let mut script = "0s sticky-worker\n0s start a-1\n0s turn a-1: wait\n".to_owned();
    for (ask, number) in asks(1..13).zip(1..13) {
        writeln!(script, "{ask}{number}s turn a-1: reply {number}=yes").unwrap();
    }
    let again: String = (8..13).map(|number| format!("20s ask a-1 decide#{number}\n")).collect();
    let limits = Limits { replies_kept: 5, ..LIMITS };
    let trace = trace_within(limits, &format!("{script}{again}21s rows\n21s crash\n22s ask a-1 decide#8"));
    assert_eq!(trace.matches("reply to ask").count(), 12 + 5 + 1, "{trace}");
    assert!(trace.contains(" 7 replies"), "of ten the last five, and two more: {trace}");
}

#[test]
fn of_many_asks_that_the_code_leaves_open_the_oldest_count_as_taken_without_an_answer() {
    let asks = (0..1_002).fold(String::new(), |script, number| script + &format!("1s ask a-1 decide#{number}\n"));
    let turns = "1s turn a-1: wait\n2s turn a-1: wait\n3s turn a-1: wait\n";
    let script = format!("0s worker\n0s start a-1\n0s turn a-1: wait\n{asks}{turns}5s tick");
    let trace = trace_within(Limits { inbox_bytes: 1 << 20, ..LIMITS }, &script);
    let told: Vec<&str> = trace.lines().filter(|line| line.contains("reply to ask")).collect();
    assert!(
        matches!(told[..], [first, second] if first.contains("decide#0: ") && second.contains("decide#1: ")),
        "{told:?}"
    );
}

#[test]
fn an_ask_whose_id_is_a_novel_is_refused() {
    let ask = |bytes: usize| format!("1s ask a-1 decide#{}", "i".repeat(bytes));
    let trace = trace_within(LIMITS, &format!("0s start a-1\n{}\n{}", ask(256), ask(257)));
    let refused: Vec<&str> = trace.lines().filter(|line| line.contains("reply to ask")).collect();
    assert!(matches!(refused[..], [one] if one.contains("ask_id: 257 bytes, 256 at most")), "{trace}");
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

/// Room for three activities that an instance waits for; twice as much is too much.
const FEW_PENDING: Limits = Limits { pending_bytes: 1_000, ..LIMITS };

const FOUR: &str = "0s worker\n0s start a-1\n0s turn a-1: activity one | activity two | activity three | activity four";

#[test]
fn while_an_instance_waits_for_too_much_its_next_turn_waits_and_nothing_is_lost() {
    let held = trace_within(FEW_PENDING, &format!("{FOUR}\n1s raise a-1 event"));
    assert!(held.contains("gets activity a-1/four") && held.matches("gets turn a-1").count() == 1, "{held}");
    let trace = trace_within(FEW_PENDING, &format!("{FOUR}\n1s raise a-1 event\n2s done a-1/two"));
    assert!(
        trace.contains("2s worker 1 gets turn a-1 past 6 new orchestratorStarted eventRaised:event task"),
        "{trace}"
    );
    let after = format!("{FOUR}\n1s raise a-1 event\n2s crash\n3s worker\n4s done a-1/two");
    let trace = trace_within(FEW_PENDING, &after);
    assert_eq!(
        trace.lines().filter(|line| line.starts_with("4s") && line.contains("gets turn a-1")).count(),
        1,
        "{trace}"
    );
    assert_eq!(trace.matches("gets turn a-1").count(), 2, "{trace}");
}

#[test]
fn timers_that_are_far_away_keep_no_turn_waiting() {
    // More than `pending_bytes`, less than twice as much: what they guard may long have happened.
    let timers = ["timer 1000s"; 9].join(" | ");
    let trace =
        trace_within(FEW_PENDING, &format!("0s worker\n0s start a-1\n0s turn a-1: {timers}\n1s raise a-1 event"));
    assert!(trace.lines().any(|line| line.starts_with("1s worker 1 gets turn a-1")), "{trace}");
}

#[test]
fn an_instance_that_waits_for_too_much_still_ends_and_still_makes_room_for_results() {
    let trace = trace_within(FEW_PENDING, &format!("{FOUR}\n1s terminate a-1"));
    assert!(trace.lines().any(|line| line.starts_with("1s worker 1 gets turn a-1")), "{trace}");
    let full = Limits { inbox_bytes: 300, ..FEW_PENDING };
    let trace = trace_within(full, &format!("{FOUR}\n1s raise a-1 event\n2s raise a-1 event"));
    assert!(trace.lines().any(|line| line.starts_with("2s worker 1 gets turn a-1")), "{trace}");
}

#[test]
fn a_turn_that_begins_more_than_one_instance_may_wait_for_fails_it_with_the_reason() {
    let many = |verb: &str| (0..7).map(|number| format!("{verb} {number}s")).collect::<Vec<_>>().join(" | ");
    for verb in ["activity", "timer"] {
        let script = format!("0s worker\n0s start a-1\n0s turn a-1: {} | {0}\n1s state a-1\n1s wait a-1", many(verb));
        let trace = trace_within(FEW_PENDING, &script);
        assert!(trace.contains("FAILED") && !trace.contains("gets activity"), "{trace}");
    }
    let trace = trace_within(FEW_PENDING, &format!("0s worker\n0s start a-1\n0s turn a-1: {} | new", many("activity")));
    assert_eq!(trace.matches("gets turn a-1").count(), 2, "what a generation leaves behind is nobody's: {trace}");
}

#[test]
fn a_history_that_is_too_long_fails_its_orchestration_unless_the_generation_ends() {
    let limits = Limits { history_bytes: 150, ..LIMITS };
    let timers = (1..9).map(|hour| format!("timer {hour}h")).collect::<Vec<_>>().join(" | ");
    let one = |actions: &str| format!("0s worker\n0s start a-1\n0s turn a-1: {actions}\n1s state a-1\n1s wait a-1");
    let trace = trace_within(limits, &one(&timers));
    assert!(trace.contains("a-1 is FAILED"), "{trace}");
    let trace = trace_within(limits, &one(&format!("{timers} | complete")));
    assert!(trace.contains("a-1 is COMPLETED"), "{trace}");
    let trace = trace_within(limits, &one(&format!("{timers} | new")));
    assert_eq!(trace.matches("gets turn a-1").count(), 2, "{trace}");
}

#[test]
fn a_worker_that_lacks_the_state_of_a_long_history_is_sent_it_when_it_is_counted() {
    let limits = Limits { unread_bytes: 400, ..LIMITS };
    let script =
        "0s sticky-worker\n0s start a-1\n0s turn a-1: wait\n1s raise a-1 event\n2s turn a-1: lacks-history\n3s tick";
    let trace = trace_within(limits, script);
    let turns: Vec<&str> = trace.lines().filter(|line| line.contains("gets turn a-1")).collect();
    assert!(matches!(&turns[..], [_, kept, whole] if kept.contains("past 0") && whole.contains("past 2")), "{trace}");
}

#[test]
fn a_busy_worker_does_not_take_all_the_room_that_it_makes() {
    // One turn is all that workers may have together, and the first one always has more to do.
    let limits = Limits { turn_messages: 1, unread_bytes: 8, turns_out_bytes: 1, ..LIMITS };
    let start = "0s worker\n0s built-in-worker\n0s start a-1\n0s start placet.b-1\n";
    let busy = (1..=9).fold(String::new(), |script, number| script + &format!("0s raise a-1 event-{number}\n"));
    let trace = trace_within(limits, &format!("{start}{busy}1s turn a-1: wait\n2s turn placet.b-1: complete"));
    assert!(trace.contains("reply to turn placet.b-1"), "{trace}");
}

#[test]
fn work_that_rests_goes_on_or_ends_though_it_fills_the_memory() {
    let fills = "0s worker\n0s start a-1\n0s turn a-1: wait\n1s suspend a-1\n";
    let raises = (0..200).fold(String::new(), |script, number| script + &format!("2s raise a-1 event-{number}\n"));
    let limits = Limits { hot_bytes: 1 << 10, inbox_bytes: 1 << 20, ..LIMITS };
    for deed in ["resume", "terminate"] {
        let trace = trace_within(limits, &format!("{fills}{raises}3s {deed} a-1"));
        assert!(trace.contains("too much work is in memory"), "{trace}");
        assert!(trace.contains(&format!("reply to {deed} a-1: done")), "{trace}");
    }
}
