//! What goes wrong around a shard, and what it makes of it.

use insta::assert_snapshot;

use super::script::{trace, trace_within};
use crate::limits::Limits;

#[test]
fn a_delivery_from_before_its_instance_left_memory_counts_for_nothing() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: wait
        1s raise seq-1 a
        2s disconnect
        3s spill seq-1
        3s raise seq-1 b
        4s worker
        5s late turn seq-1: complete
        5s turn seq-1: wait
        5s rows
    "
    ));
}

#[test]
fn a_turn_that_waits_for_its_history_is_sent_though_the_commit_of_another_fails() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: wait
        1s crash
        1s worker
        1s raise seq-1 event
        2s hold
        2s start other-1
        3s disconnect
        3s worker
        4s fail
        5s turn seq-1: complete
    "
    ));
}

#[test]
fn that_an_instance_was_not_there_before_its_hub_was_deleted_says_nothing_of_what_was_made_in_it_since() {
    let trace = trace(
        "0s hold-loads
        1s raise a-1 early
        2s hold
        2s delete-hub
        2s start a-1
        3s commit
        4s spill a-1
        5s raise a-1 event
        6s answer-load
        6s answer-load",
    );
    assert!(trace.contains("reply to raise a-1 event: done"), "{trace}");
}

#[test]
fn a_hub_whose_deletion_failed_goes_on() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        1s hold
        1s delete-hub
        1s raise seq-1 event
        1s start seq-2
        2s fail
        2s raise seq-1 event
        2s turn seq-1: wait
        3s delete-hub
        3s rows
        3s start seq-1
        4s rows
    "
    ));
}

#[test]
fn what_is_asked_of_a_hub_while_its_deletion_is_not_durable_finds_nothing_there_and_waits_for_nothing() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        0s start seq-2
        0s turn seq-2: timer 1h
        600s hold
        600s delete-hub
        600s raise seq-1 event
        600s wait seq-2
        600s start seq-2
        600s raise seq-2 event
        601s commit
        602s turn seq-2: complete
        602s raise seq-1 event
        602s rows
    "
    ));
}

#[test]
fn a_timer_whose_instance_cannot_be_read_fires_when_it_can() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        50m unreadable
        61m readable
        62m turn seq-1: complete
    "
    ));
}

#[test]
fn a_timer_of_a_damaged_instance_holds_up_no_other_and_is_looked_for_again_when_the_window_moves() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        0s start seq-2
        0s turn seq-2: timer 1h
        1s disconnect
        50m damaged seq-1
        59m worker
        60.1m turn seq-2: complete
        61m raise seq-1 event
        61.1m mended seq-1
        64m turn seq-1: complete
        64m rows
    "
    ));
}

#[test]
fn the_result_of_an_activity_of_a_damaged_instance_is_refused_and_the_activity_is_not_given_out_again_for_it() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one | activity two
        1s hold
        1s done seq-1/one
        1s damaged seq-1
        1s fail
        2s done seq-1/two
        9s rows
        10s mended seq-1
        10s raise seq-1 event
        11s done seq-1/two
        11s rows
    "
    ));
}

#[test]
fn an_activity_that_is_given_back_after_its_stream_broke_is_given_to_another() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: activity one
        1s disconnect
        2s abandon seq-1/one
        2s worker
        3s done seq-1/one
    "
    ));
}

#[test]
fn a_turn_that_breaks_its_streams_comes_back_later_each_time_and_is_set_aside() {
    let mut script = "0s start seq-1\n".to_owned();
    for round in 1..=11 {
        script += &format!("{0}s worker\n{0}.5s tick\n{1}s disconnect\n", round * 100, round * 100 + 50);
    }
    assert_snapshot!(trace(&script));
}

#[test]
fn an_old_answer_about_an_instance_that_is_in_memory_changes_nothing() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        59m hold-loads
        59m raise seq-1 event
        60.01m tick
        60.02m answer-load
        60.03m hold
        60.03m turn seq-1: activity one
        60.03m answer-load
        60.04m commit
        60.05m done seq-1/one
    "
    ));
}

#[test]
fn an_old_answer_about_an_instance_that_was_started_over_does_not_bring_it_back() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1h
        59m hold-loads
        59m start seq-1 over RUNNING,TERMINATED
        60.01m tick
        60.02m answer-load
        60.03m answer-load
        60.03m answer-load
        60.04m turn seq-1: complete
        60.05m rows
    "
    ));
}

#[test]
fn what_a_full_disk_did_not_take_is_refused_as_not_done() {
    assert_snapshot!(trace(
        "
        0s hold
        0s start seq-1
        0s full
        0s start seq-1
        1s start seq-1
    "
    ));
}

/// Or a worker and the store would be kept busy with the same turn for as long as the disk is full.
#[test]
fn a_turn_that_a_full_disk_did_not_take_rests_before_it_is_given_out_again() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s hold
        0s turn seq-1: activity one
        0s full
        0.4s tick
        0.5s tick
        0.6s turn seq-1: activity one
        0.7s done seq-1/one
    "
    ));
}

#[test]
fn a_timer_that_a_full_disk_did_not_let_fire_rests_before_it_is_tried_again() {
    assert_snapshot!(trace(
        "
        0s worker
        0s start seq-1
        0s turn seq-1: timer 1s
        0s hold
        1s tick
        1s full
        2s turn seq-1: complete
    "
    ));
}

/// Of a shard whose workers take so little in a message that each item is too long for them.
fn trace_of_long_items(script: &str) -> String {
    trace_within(Limits { client_message_bytes: 20, ..Limits::default() }, script)
}

#[test]
fn a_long_turn_on_which_three_streams_broke_fails_and_can_be_rewound() {
    assert_snapshot!(trace_of_long_items(
        "
        0s start a-1
        10s worker
        11s disconnect
        20s worker
        21s disconnect
        40s worker
        41s disconnect
        50s state a-1
        51s rewind a-1
        52s sticky-worker
        53s turn a-1: complete
    "
    ));
}

#[test]
fn a_long_activity_on_which_three_streams_broke_fails_in_its_orchestration() {
    assert_snapshot!(trace_of_long_items(
        "
        0s worker
        0s start a-1
        0s turn a-1: activity one
        1s disconnect
        2s worker
        3s tick
        4s disconnect
        5s worker
        9s tick
        10s disconnect
        20s sticky-worker
        21s turn a-1: complete
        22s history a-1
    "
    ));
}

#[test]
fn a_stream_that_breaks_later_or_takes_whatever_comes_says_nothing_of_an_items_length() {
    let late = (1..=4).fold("0s start a-1\n".to_owned(), |script, round| {
        script + &format!("{}s worker\n{}s disconnect\n", 100 * round, 100 * round + 11)
    });
    let ours = late.replace("worker", "sticky-worker").replace("11s", "01s");
    for script in [late, ours] {
        let trace = trace_of_long_items(&format!("{script}1000s worker\n1001s turn a-1: complete"));
        assert!(trace.contains("reply to turn a-1") && !trace.contains("FAILED"), "{trace}");
    }
}
