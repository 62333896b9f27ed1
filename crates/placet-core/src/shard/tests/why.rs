//! Why instances wait: planted situations, and for each the exact sentence, what else is known, and what is to be done
//! about which instance.

use super::script::{trace, trace_on_virtual_time};

/// What the last question of a script is answered.
fn last(trace: &str) -> String {
    let line = trace.lines().rev().find(|line| line.contains(" reply to why ")).expect("it is answered");
    let (_, answer) = line.split_once(" reply to why ").unwrap();
    answer.split_once(": ").unwrap().1.to_owned()
}

fn why(script: &str) -> String {
    last(&trace(script))
}

/// Fails an activity's or a turn's workers until it is set aside.
fn failures(from_minute: u64) -> String {
    (0..10).map(|n| format!("{0}m worker\n{0}.5m disconnect\n", from_minute + 2 * n)).collect()
}

#[test]
fn an_event_that_nobody_raised_is_named_with_the_one_that_came_instead() {
    let script = "
        0s sticky-worker
        780m start expense-1
        780m turn expense-1: timer 17h | awaits approval_response | awaits Withdrawal
        842m raise expense-1 aproval_response
        842m turn expense-1: unread aproval_response | awaits Withdrawal | awaits approval_response | still 1
        972.1m why expense-1
    ";
    let answer = "waits for event `Withdrawal` or `approval_response` since 3 h 12 m, until 17:00 UTC; an event \
                  `aproval_response` came at 14:02 UTC and is unread \
                  -> RaiseEvent([\"Withdrawal\", \"approval_response\"]) expense-1";
    assert_eq!(why(script), answer);
    let after_a_restart = script.replace("972.1m why", "900m crash\n972.1m why");
    assert_eq!(why(&after_a_restart), answer, "what its worker told is stored");
}

#[test]
fn an_event_that_came_is_another_one_than_the_next_of_its_name() {
    assert_eq!(
        why("
            0s sticky-worker
            0s start collect-1
            0s turn collect-1: awaits item
            60m raise collect-1 ITEM
            60m turn collect-1: awaits item
            61m raise collect-1 noise
            61m turn collect-1: awaits item | unread noise
            62.01m why collect-1
        "),
        "waits for event `item` since 2 m; an event `noise` came at 01:01 UTC and is unread \
         -> RaiseEvent([\"item\"]) collect-1"
    );
}

#[test]
fn of_code_whose_sdk_does_not_tell_it_is_said_what_can_be_seen() {
    let script = "
        0s worker
        0s start expense-1
        0s turn expense-1: wait
        60m raise expense-1 aproval_response
        60m turn expense-1: wait
        61.01m why expense-1
    ";
    assert_eq!(
        why(script),
        "waits for an event since 1 m, and its SDK does not tell which; an event `aproval_response` came at 01:00 UTC, \
         and its code did nothing then; its SDK does not tell what its code awaits: this is what can be seen from outside \
         -> RaiseEvent([]) expense-1"
    );
    assert_eq!(
        why("
            0s worker
            0s start expense-1
            0s turn expense-1: timer 2h
            61.01m why expense-1
        "),
        "waits for a timer since 1 h 1 m, until 02:00 UTC, or for an event, if its code awaits one: its SDK does not tell; \
         its SDK does not tell what its code awaits: this is what can be seen from outside -> Wait expense-1"
    );
    assert_eq!(
        why("
            0s worker
            0s start seq-1
            0s turn seq-1: activity charge
            1s failed seq-1/charge
            1s turn seq-1: timer 1m
            30.01s why seq-1
        "),
        "waits for a timer that it set after Broken, until 00:01 UTC: a retry, as it seems; \
         its SDK does not tell what its code awaits: this is what can be seen from outside -> Wait seq-1"
    );
}

#[test]
fn a_retry_tells_which_of_how_many_it_is_and_after_what() {
    assert_eq!(
        why("
            0s sticky-worker
            0s start seq-1
            0s turn seq-1: activity charge
            1s failed seq-1/charge
            1s turn seq-1: timer 12s | retries charge TimeoutError
            4.51s why seq-1
        "),
        "retry 3 of 5 of `charge` in 8 s after TimeoutError -> Wait seq-1"
    );
}

#[test]
fn an_activity_that_no_worker_takes_tells_what_those_who_are_there_take() {
    let ready = |workers: &str| {
        why(&format!(
            "
            0s worker
            0s start seq-1
            0s turn seq-1: activity charge@2 | awaits-nothing
            0.5s disconnect
            {workers}
            40.01s why seq-1
            "
        ))
    };
    let remedy = "-> ConnectWorker { kind: Activity, name: \"charge\", version: Some(\"2\") } seq-1";
    // Its worker's stream is gone, which might finish it for half a minute: then it is ready again.
    assert_eq!(
        ready(""),
        format!("activity `charge` ready since 9 s; no worker is connected to task hub `default` {remedy}")
    );
    assert_eq!(
        ready("1s worker-for w1 refund"),
        format!("activity `charge` ready since 9 s; the one connected worker does not handle it {remedy}")
    );
    assert_eq!(
        ready("1s worker-for w1 charge@1\n1s worker-for w2 charge@1\n1s worker-for w3 refund"),
        format!(
            "activity `charge` ready since 9 s; no connected worker handles it at version 2; \
             workers handle it at version 1 {remedy}"
        )
    );
}

#[test]
fn an_activity_tells_who_has_it_and_since_when_or_that_all_who_take_it_are_busy() {
    let script = "
        0s worker-of-one
        0s start seq-1
        0s turn seq-1: activity one | activity two | awaits-nothing
        40.01s why seq-1
    ";
    assert_eq!(
        why(script),
        "activity `two` (and 1 more) ready since 40 s; the one worker that handles it has as much as it takes \
         -> ConnectWorker { kind: Activity, name: \"two\", version: None } seq-1"
    );
    assert_eq!(
        why("
            0s worker-for w1 charge
            0s start seq-1
            10s turn seq-1: activity charge | awaits-nothing
            50.01s why seq-1
        "),
        "activity `charge` runs since 40 s on worker `w1` -> Wait seq-1"
    );
    assert_eq!(
        why("
            0s worker-for w1 charge
            0s start seq-1
            10s turn seq-1: activity charge | awaits-nothing
            15s disconnect
            20.01s why seq-1
        "),
        "activity `charge` is out since 10 s with worker `w1`, whose stream is gone; it goes to another one at 00:00:45 UTC \
         -> Wait seq-1"
    );
}

#[test]
fn an_item_that_came_back_tells_when_it_comes_again_and_one_that_was_set_aside_what_brings_it_back() {
    assert_eq!(
        why("
            0s worker-for w1 charge
            0s start seq-1
            0s turn seq-1: activity charge | awaits-nothing
            0.1s abandon seq-1/charge
            1s abandon seq-1/charge
            2s abandon seq-1/charge
            3s abandon seq-1/charge
            4s abandon seq-1/charge
            4.11s why seq-1
        "),
        "activity `charge` comes again in 2 s: workers gave it back 5 times -> Wait seq-1"
    );
    let broken = failures(0);
    assert_eq!(
        why(&format!("0s start seq-1\n{broken}60.01m why seq-1")),
        "next turn was set aside 41 m 30 s ago: it failed its workers too often; 1 message waits for its next turn \
         -> RetryPoisoned seq-1"
    );
    assert_eq!(
        why(&format!(
            "0s worker\n0s start seq-1\n0s turn seq-1: activity charge | awaits-nothing\n0.5s disconnect\n{}60.01m why seq-1",
            failures(1)
        )),
        "activity `charge` was set aside 1 h ago: it failed its workers too often -> RetryPoisoned seq-1"
    );
}

#[test]
fn a_turn_that_is_ready_or_out_tells_so_and_what_waits_for_it() {
    assert_eq!(
        why("
            0s start seq-1
            40s raise seq-1 go
            65.01s why seq-1
        "),
        "next turn ready since 1 m 5 s; no worker is connected to task hub `default`; \
         2 messages wait for its next turn, event `go` of 00:00:40 UTC \
         -> ConnectWorker { kind: Turn, name: \"seq\", version: None } seq-1"
    );
    assert_eq!(
        why("
            0s worker-for w1 charge
            0s start seq-1
            7.01s why seq-1
        "),
        "next turn runs since 7 s on worker `w1`; 1 message waits for its next turn -> Wait seq-1"
    );
}

#[test]
fn a_child_is_named_and_why_it_waits_itself() {
    let script = "
        0s sticky-worker
        0s start parent-1
        0s turn parent-1: child ship-1 | awaits-nothing
        60s turn ship-1: awaits shipped
        120.01s why parent-1
    ";
    let answer = "waits for child `ship-1` (`ship`) since 2 m: waits for event `shipped` since 1 m \
                  -> RaiseEvent([\"shipped\"]) ship-1";
    assert_eq!(why(script), answer);
    // Both are cold: each is read for it.
    assert_eq!(why(&script.replace("120.01s why", "90s crash\n120.01s why")), answer);
    let damaged = script.replace("120.01s why", "90s crash\n90s damaged ship-1\n120.01s why");
    assert_eq!(
        why(&damaged),
        "waits for child `ship-1` (`ship`) since 2 m: it cannot be read (a checksum differs) -> Wait parent-1"
    );
}

#[test]
fn nobody_is_told_of_a_child_whose_parents_turn_came_to_nothing() {
    let script = "
        0s sticky-worker
        0s start parent-1
        1s hold
        1s turn parent-1: child ship-1 | awaits-nothing
        2s why parent-1
        3s full
    ";
    assert!(last(&trace(script)).contains("the disk is full"));
    let committed = script.replace("3s full", "3.01s commit");
    assert!(last(&trace(&committed)).starts_with("waits for child `ship-1` (`ship`) since 1 s: "));
}

#[test]
fn a_suspension_tells_its_reason_and_what_waits_for_its_end() {
    let script = "
        0s sticky-worker
        0s start expense-1
        0s turn expense-1: awaits approval_response
        60m suspend expense-1 because maintenance
        60m turn expense-1: awaits approval_response
        90m raise expense-1 approval_response
        120.01m why expense-1
    ";
    let answer = "suspended since 1 h (maintenance); 1 message waits until it is resumed; \
                  1 message waits for its next turn, event `approval_response` of 01:30 UTC -> Resume expense-1";
    assert_eq!(why(script), answer);
    assert_eq!(why(&script.replace("120.01m why", "100m crash\n120.01m why")), answer);
}

#[test]
fn a_start_to_come_and_a_timer_tell_when_they_are_due_and_that_the_clock_is_not_believed() {
    assert_eq!(why("0s start seq-1 at 30h\n1.01h why seq-1"), "is to start at 1970-01-02 06:00 UTC -> Wait seq-1");
    let script = "
        0s sticky-worker
        0s start expense-1
        0s turn expense-1: timer 5h | awaits-nothing
        1.01h why expense-1
    ";
    assert_eq!(why(script), "waits for a timer since 1 h, until 05:00 UTC -> Wait expense-1");
    assert_eq!(
        why(&script.replace("1.01h why", "0.5h clock-jumps 9h\n1.01h why")),
        "waits for a timer due at 05:00 UTC, and timers are held: the server's clock jumped 9 h ahead \
         -> AcceptTime expense-1"
    );
    let virtual_time = last(&trace_on_virtual_time(None, script));
    assert_eq!(
        virtual_time,
        "waits for a timer since under 1 s, until 05:00 UTC; the server's time is virtual: it stands until it is advanced \
         -> AdvanceTime expense-1"
    );
}

#[test]
fn what_has_ended_says_so_and_what_is_not_there_is_not_found() {
    assert_eq!(
        why("
            0s worker
            0s start seq-1
            90s turn seq-1: complete
            100.01s why seq-1
        "),
        "has ended at 00:01:30 UTC: completed -> Nothing seq-1"
    );
    assert_eq!(why("0.01s why seq-1"), "refused: there is no instance default/seq-1");
    assert_eq!(
        why("
            0s sticky-worker
            0s start seq-1
            0s turn seq-1: awaits-nothing
            60.01s why seq-1
        "),
        "awaits no event, timer, activity or child since 1 m: nothing can come that lets it go on -> Terminate seq-1"
    );
}

#[test]
fn a_full_disk_is_why_what_is_ready_does_not_go_on() {
    assert_eq!(
        why("
            0s worker
            0s start seq-1
            0s turn seq-1: activity charge | awaits-nothing
            1s hold
            1s done seq-1/charge
            1s full
            1.11s why seq-1
        "),
        "the disk is full: what comes of its work cannot be written; it awaits activity `charge`, too -> FreeDisk seq-1"
    );
}
